/* SPDX-License-Identifier: BSD-2-Clause */
/* Which command or option a mistyped word may mean. */
#include <string.h>

#include "rsm/tool.h"

#define WORD_MAX 20u /* longer words mean none */

/* How many letters have to be left out, put in, exchanged, or swapped with their neighbour. */
static unsigned distance(const char *left, const char *right)
{
	unsigned rows[WORD_MAX + 1][WORD_MAX + 1];
	size_t height = strlen(left), width = strlen(right);
	if (height > WORD_MAX || width > WORD_MAX)
		return WORD_MAX;
	for (unsigned i = 0; i <= height; i++)
		rows[i][0] = i;
	for (unsigned k = 0; k <= width; k++)
		rows[0][k] = k;
	for (size_t i = 1; i <= height; i++) {
		for (size_t k = 1; k <= width; k++) {
			unsigned best = rows[i - 1][k - 1] + (left[i - 1] != right[k - 1]);
			best = rows[i - 1][k] + 1 < best ? rows[i - 1][k] + 1 : best;
			best = rows[i][k - 1] + 1 < best ? rows[i][k - 1] + 1 : best;
			if (i > 1 && k > 1 && left[i - 1] == right[k - 2] && left[i - 2] == right[k - 1] &&
			    rows[i - 2][k - 2] + 1 < best)
				best = rows[i - 2][k - 2] + 1;
			rows[i][k] = best;
		}
	}
	return rows[height][width];
}

const char *tool_nearest(const char *word, const void *first, size_t stride, size_t count)
{
	const char *nearest = NULL;
	unsigned least = strlen(word) > 3 ? 3 : 2; /* one letter less is allowed */
	for (size_t i = 0; i < count; i++) {
		const char *name = *(const char *const *)((const char *)first + i * stride);
		unsigned now = distance(word, name);
		bool begins = strlen(word) > 1 && strncmp(word, name, strlen(word)) == 0;
		if (begins)
			now = 1;
		if (now >= least)
			continue;
		least = now;
		nearest = name;
	}
	return nearest;
}
