/* SPDX-License-Identifier: BSD-2-Clause */
#include "rsmd/line.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

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

/* Bytes of the character at `text` if it is well-formed UTF-8 and no control character, else 0. */
static size_t character(const unsigned char *text)
{
	unsigned char first = text[0];
	if (first < 0x80)
		return first >= ' ' && first != 0x7f;
	size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
	if (first < 0xc2 || first > 0xf4)
		return 0;
	for (size_t i = 1; i < length; i++) /* a NUL ends it here, too */
		if ((text[i] & 0xc0) != 0x80)
			return 0;
	unsigned char second = text[1];
	bool is_control = first == 0xc2 && second < 0xa0;
	bool is_overlong = (first == 0xe0 && second < 0xa0) || (first == 0xf0 && second < 0x90);
	bool is_none = (first == 0xed && second >= 0xa0) || (first == 0xf4 && second >= 0x90);
	return is_control || is_overlong || is_none ? 0 : length;
}

size_t rsmd_line_clean(char *to, size_t size, const char *from)
{
	size_t length = 0;
	while (*from) {
		size_t bytes = character((const unsigned char *)from);
		size_t taken = bytes ? bytes : 1;
		if (length + taken >= size)
			break;
		if (bytes)
			memcpy(to + length, from, bytes);
		else
			to[length] = '?';
		length += taken;
		from += taken;
	}
	to[length] = '\0';
	return length;
}

void rsmd_line_quote(struct rsmd_line *line, const char *clean)
{
	size_t limit = sizeof(line->text) - END_ROOM - 1; /* without the closing quote */
	if (line->length + 1 > limit)
		return;
	line->text[line->length++] = '"';
	for (const char *from = clean; *from;) {
		size_t bytes = character((const unsigned char *)from);
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
	rsmd_line_clean(clean, sizeof(clean), value);
	if (!add(line, "%s\"%s\":", comma(line), key))
		return;
	size_t value_at = line->length;
	rsmd_line_quote(line, clean);
	if (line->length == value_at) /* no room for a value */
		line->length = before;
}
