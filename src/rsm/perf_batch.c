/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A batch: a file whose lines are options of `rsm perf`, each a run of its own. Words are separated by blanks; # begins a
 * remark. The whole file is understood before anything is measured.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rsm/perf.h"

#define TEXT_MAX  ((size_t)1 << 20)
#define WORDS_MAX 32
#define RUNS_MAX  4096

/* All of the file, as a string. */
static int read_text(const char *file, char **text)
{
	FILE *stream = strcmp(file, "-") == 0 ? stdin : fopen(file, "re");
	if (!stream)
		return tool_fail_errno(errno, "read the batch %s", file);
	size_t length = 0;
	*text = malloc(TEXT_MAX + 1);
	if (*text)
		length = fread(*text, 1, TEXT_MAX + 1, stream);
	int error = !*text ? ENOMEM : ferror(stream) ? EIO : length > TEXT_MAX ? EFBIG : 0;
	if (stream != stdin)
		fclose(stream);
	if (error)
		return tool_fail_errno(error, "read the batch %s", file);
	(*text)[length] = '\0';
	if (strlen(*text) != length)
		return tool_fail("read the batch %s: it has a byte 0, so it is no text", file);
	return TOOL_OK;
}

/* Cuts the line into words, which follow the name of the command; their number, or -1 if there are too many. */
static int split(char *line, char *words[WORDS_MAX + 1])
{
	static char name[] = "perf";
	int count = 1;
	char *rest;
	words[0] = name;
	line[strcspn(line, "#")] = '\0';
	for (char *word = strtok_r(line, " \t\r", &rest); word; word = strtok_r(NULL, " \t\r", &rest)) {
		if (count == WORDS_MAX)
			return -1;
		words[count++] = word;
	}
	words[count] = NULL;
	return count;
}

static int add_run(struct perf_batch *batch, const struct tool_command *command,
		   const struct perf_options *common, int argc, char **argv)
{
	if (batch->count == RUNS_MAX)
		return tool_usage(command, "more than %d runs", RUNS_MAX);
	struct perf_options *runs = reallocarray(batch->runs, batch->count + 1, sizeof(*runs));
	if (!runs)
		return tool_fail("out of memory for a batch");
	batch->runs = runs;
	runs[batch->count] = *common;
	runs[batch->count].line = true;
	return perf_options_parse(command, argc, argv, &runs[batch->count++]);
}

int perf_batch_load(struct perf_batch *batch, const struct tool_command *command,
		    const struct perf_options *common)
{
	int result = read_text(common->batch, &batch->text);
	char *next = batch->text;
	for (unsigned number = 1; result == TOOL_OK && next; number++) {
		char *line = next, *words[WORDS_MAX + 1];
		next = strchr(line, '\n');
		if (next)
			*next++ = '\0';
		int count = split(line, words);
		if (count < 0)
			result = tool_usage(command, "more than %d words", WORDS_MAX - 1);
		else if (count > 1)
			result = add_run(batch, command, common, count, words);
		if (result != TOOL_OK)
			tool_fail("that is in line %u of the batch %s; nothing was measured", number,
				  common->batch);
	}
	if (result == TOOL_OK && batch->count == 0)
		return tool_fail("the batch %s has no line with options", common->batch);
	return result;
}

void perf_batch_clear(struct perf_batch *batch)
{
	free(batch->runs);
	free(batch->text);
	memset(batch, 0, sizeof(*batch));
}
