/* SPDX-License-Identifier: BSD-2-Clause */
/* The samples of a row as bars on the terminal: blocks of eighths where the locale has them, else ASCII. */
#include <langinfo.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "rsm/perf.h"

#define BAR 40 /* columns; with the other cells a line has 97 at most */

static bool has_blocks(void)
{
	static int known = -1;
	if (known < 0)
		known = setlocale(LC_CTYPE, "") && strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
	return known;
}

/* A bar of BAR columns, padded; `part` of 1. What is there at all is seen. */
static void draw_bar(char *text, size_t size, double part)
{
	static const char *const eighths[] = {"",       "\u258f", "\u258e", "\u258d", "\u258c",
					      "\u258b", "\u258a", "\u2589", "\u2588"};
	bool blocks = has_blocks();
	int left = (int)ceil(part * BAR * 8), used = 0;
	left = blocks ? left : (left + 7) / 8 * 8;
	for (int column = 0; column < BAR; column++) {
		int filled = left > 8 ? 8 : left > 0 ? left : 0;
		left -= filled;
		used += snprintf(text + used, size - (size_t)used, "%s",
				 filled == 0 ? " "
				 : blocks    ? eighths[filled]
					     : "#");
	}
}

/* Which of the row's percentiles are in bucket `index`. */
static void mark(char *text, size_t size, const json_t *row, const struct perf_histogram *histogram,
		 size_t index)
{
	static const char *const marks[][2] = {
		{"median_ns", "median"}, {"p99_ns", "p99"}, {"p999_ns", "p99.9"}};
	size_t used = 0;
	text[0] = '\0';
	for (size_t i = 0; i < sizeof(marks) / sizeof(marks[0]) && used < size; i++) {
		double value = json_number_value(json_object_get(row, marks[i][0]));
		if (perf_histogram_find(histogram, value) == index)
			used += (size_t)snprintf(text + used, size - used, " %s", marks[i][1]);
	}
}

static uint64_t load(struct perf_histogram *histogram, const json_t *list, uint64_t *most)
{
	uint64_t sum = 0;
	const json_t *bucket;
	size_t index;
	memset(histogram, 0, sizeof(*histogram));
	json_array_foreach(list, index, bucket)
	{
		if (index == PERF_BUCKETS)
			break;
		json_int_t count = json_integer_value(json_object_get(bucket, "count"));
		histogram->counts[index] = count > 0 ? (uint64_t)count : 0;
		histogram->bounds[index] = json_number_value(json_object_get(bucket, "from_ns"));
		histogram->bounds[index + 1] = json_number_value(json_object_get(bucket, "to_ns"));
		histogram->count++;
		sum += histogram->counts[index];
		*most = histogram->counts[index] > *most ? histogram->counts[index] : *most;
	}
	return sum;
}

/* How many buckets from this one on have nothing. */
static size_t empty_from(const struct perf_histogram *histogram, size_t index)
{
	size_t count = 0;
	while (index + count < histogram->count && histogram->counts[index + count] == 0)
		count++;
	return count;
}

void perf_histogram_print(const json_t *row)
{
	struct perf_histogram histogram;
	char from[16], to[16], bar[BAR * 4 + 1], marks[32];
	uint64_t most = 0, sum = load(&histogram, json_object_get(row, "histogram"), &most);
	if (sum == 0)
		return;
	for (size_t i = 0; i < histogram.count; i++) {
		uint64_t count = histogram.counts[i];
		size_t empty = empty_from(&histogram, i);
		if (empty > 2) {
			printf("  %7s\n", "...");
			i += empty - 1;
			continue;
		}
		perf_format_time(from, sizeof(from), histogram.bounds[i]);
		perf_format_time(to, sizeof(to), histogram.bounds[i + 1]);
		draw_bar(bar, sizeof(bar), (double)count / (double)most);
		mark(marks, sizeof(marks), row, &histogram, i);
		printf("  %7s to %7s %s %7ju %5.1f%%%s\n", from, to, bar, (uintmax_t)count,
		       (double)count * 100 / (double)sum, marks);
	}
	printf("  %7s    %7s %*s %7ju samples\n\n", "", "", BAR, "", (uintmax_t)sum);
	fflush(stdout);
}
