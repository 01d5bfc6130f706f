/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/text.h"

#include <stdbool.h>
#include <string.h>

size_t base_text_character(const char *at)
{
	const unsigned char *text = (const unsigned char *)at;
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

size_t base_text_clean(char *to, size_t size, const char *from)
{
	size_t length = 0;
	while (*from) {
		size_t bytes = base_text_character(from);
		size_t taken = bytes ? bytes : 1;
		if (length + taken >= size)
			break;
		if (bytes)
			memmove(to + length, from, bytes);
		else
			to[length] = '?';
		length += taken;
		from += taken;
	}
	to[length] = '\0';
	return length;
}
