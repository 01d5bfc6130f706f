/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One line of JSON in a buffer of its user, made without memory from the heap: an event is told, and remembered, also when memory is
 * short. What does not fit is cut; the line is a whole object in every case.
 */
#ifndef RSMD_LINE_H
#define RSMD_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RSMD_LINE_MAX                                                                                        \
	1000 /* bytes, with the newline and the NUL; less than PIPE_BUF, so that a pipe takes all or nothing */

struct rsmd_line {
	size_t length;
	char text[RSMD_LINE_MAX];
};

/* "{", and "}\n". Between them any number of keys; those that find no room are left out, texts are cut. */
void rsmd_line_begin(struct rsmd_line *line);
void rsmd_line_end(struct rsmd_line *line);

void rsmd_line_number(struct rsmd_line *line, const char *key, uint64_t value);
void rsmd_line_time(struct rsmd_line *line, const char *key, uint64_t ns); /* as seconds */
void rsmd_line_text(struct rsmd_line *line, const char *key, const char *value);

/* Adds to the text of a line that is no JSON. */
void rsmd_line_add(struct rsmd_line *line, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Adds a clean text in quotes, those inside it escaped; cut where there is no room. */
void rsmd_line_quote(struct rsmd_line *line, const char *clean);

#endif
