/* SPDX-License-Identifier: BSD-2-Clause */
/* Numbers, sizes and addresses as people write them. A string that is not understood as a whole is refused. */
#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "rsm/tool.h"

/* Decimal or 0x. strtoull alone would take signs, blanks and octal. */
static bool number(const char *text, const char **end, uint64_t *value)
{
	bool hexadecimal = text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
	const char *digits = hexadecimal ? text + 2 : text;
	if (hexadecimal ? !isxdigit((unsigned char)*digits) : !isdigit((unsigned char)*digits))
		return false;
	char *stop;
	errno = 0;
	*value = strtoull(digits, &stop, hexadecimal ? 16 : 10);
	*end = stop;
	return errno == 0;
}

bool tool_parse_number(const char *text, uint64_t limit, uint64_t *value)
{
	const char *end;
	return number(text, &end, value) && *end == '\0' && *value <= limit;
}

bool tool_parse_size(const char *text, uint64_t *bytes)
{
	static const char units[] = "kmgt";
	const char *end;
	uint64_t value;
	if (!number(text, &end, &value))
		return false;
	unsigned shift = 0;
	const char *unit = *end ? strchr(units, tolower((unsigned char)*end)) : NULL;
	if (unit) {
		shift = 10 * (unsigned)(unit - units + 1);
		end++;
		if (strcmp(end, "iB") == 0)
			end += 2;
	} else if (*end == 'B') {
		end++;
	}
	if (*end != '\0' || value > UINT64_MAX >> shift)
		return false;
	*bytes = value << shift;
	return true;
}

bool tool_parse_seconds(const char *text, uint64_t *nanoseconds)
{
	char *end;
	if (!isdigit((unsigned char)*text) && *text != '.')
		return false;
	double seconds = strtod(text, &end);
	if (end == text || *end != '\0' || !(seconds > 0) || seconds > 3600)
		return false;
	*nanoseconds = (uint64_t)(seconds * 1e9);
	return *nanoseconds > 0;
}

bool tool_parse_permissions(const char *text, rsm_permission_t *permissions)
{
	size_t length = strlen(text);
	if (length == 0 || length > 4 || strspn(text, "01234567") != length)
		return false;
	unsigned long value = strtoul(text, NULL, 8);
	*permissions = (rsm_permission_t)value;
	return (value & ~0666ul) == 0;
}

bool tool_parse_address(const char *text, struct tool_address *address)
{
	const char *end;
	uint64_t first, second;
	if (!number(text, &end, &first) || first > UINT32_MAX)
		return false;
	if (*end == '\0') {
		*address = (struct tool_address){.local = true, .id = (rsm_memseg_id_t)first};
		return true;
	}
	if (*end != ':' || !tool_parse_number(end + 1, UINT32_MAX, &second))
		return false;
	*address = (struct tool_address){.node = (rsm_node_id_t)first, .id = (rsm_memseg_id_t)second};
	return true;
}
