/* SPDX-License-Identifier: BSD-2-Clause */
#include "rsmd/line.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"

#define END_ROOM 3 /* "}\n" and the NUL */

void rsmd_line_begin(struct rsmd_line *line)
{
	line->text[0] = '{';
	line->length = 1;
}

void rsmd_line_end(struct rsmd_line *line)
{
	memcpy(line->text + line->length, "}\n", END_ROOM);
	line->length += END_ROOM - 1;
}

/* All of it, or nothing. */
__attribute__((format(printf, 2, 0))) static bool add_list(struct rsmd_line *line, const char *format,
							   va_list arguments)
{
	size_t room = sizeof(line->text) - END_ROOM - line->length;
	int length = vsnprintf(line->text + line->length, room, format, arguments);
	if (length >= 0 && (size_t)length < room) {
		line->length += (size_t)length;
		return true;
	}
	line->text[line->length] = '\0';
	return false;
}

void rsmd_line_add(struct rsmd_line *line, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	add_list(line, format, arguments);
	va_end(arguments);
}

__attribute__((format(printf, 2, 3))) static bool add(struct rsmd_line *line, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	bool done = add_list(line, format, arguments);
	va_end(arguments);
	return done;
}

static const char *comma(const struct rsmd_line *line)
{
	return line->length > 1 ? "," : "";
}

void rsmd_line_number(struct rsmd_line *line, const char *key, uint64_t value)
{
	if (value > INT64_MAX) /* what a peer says may be anything, and readers have 63 bits */
		value = INT64_MAX;
	add(line, "%s\"%s\":%" PRIu64, comma(line), key, value);
}

void rsmd_line_time(struct rsmd_line *line, const char *key, uint64_t ns)
{
	add(line, "%s\"%s\":%" PRIu64 ".%06u", comma(line), key, ns / 1000000000u,
	    (unsigned)(ns % 1000000000u / 1000u));
}

void rsmd_line_quote(struct rsmd_line *line, const char *clean)
{
	size_t limit = sizeof(line->text) - END_ROOM - 1; /* without the closing quote */
	if (line->length + 1 > limit)
		return;
	line->text[line->length++] = '"';
	for (const char *from = clean; *from;) {
		size_t bytes = base_text_character(from);
		bool is_escaped = *from == '"' || *from == '\\';
		if (!bytes || line->length + bytes + is_escaped > limit)
			break;
		if (is_escaped)
			line->text[line->length++] = '\\';
		memcpy(line->text + line->length, from, bytes);
		line->length += bytes;
		from += bytes;
	}
	line->text[line->length++] = '"';
	line->text[line->length] = '\0';
}

void rsmd_line_text(struct rsmd_line *line, const char *key, const char *value)
{
	size_t before = line->length;
	char clean[RSMD_LINE_MAX];
	base_text_clean(clean, sizeof(clean), value);
	if (!add(line, "%s\"%s\":", comma(line), key))
		return;
	size_t value_at = line->length;
	rsmd_line_quote(line, clean);
	if (line->length == value_at) /* no room for a value */
		line->length = before;
}
