/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * rsm_get_segmentid_range(3rsm): ranges of segment ids that were agreed upon for applications, in
 * /etc/rsm/rsm.segmentid or where RSM_SEGMENTID_FILE says.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/lib.h"

#define DEFAULT_FILE "/etc/rsm/rsm.segmentid"
#define BLANKS       " \t\r\n\v\f"

/* A whole word as a number that fits 32 bits. */
static bool number(const char *word, int base, uint32_t *value)
{
	char *end;
	errno = 0;
	unsigned long long n = strtoull(word, &end, base);
	if (errno != 0 || end == word || *end != '\0' || word[0] == '-' || n > UINT32_MAX)
		return false;
	*value = (uint32_t)n;
	return true;
}

/* True when the line settles the search; *code then is the result. `line` is cut into words. */
static bool line_decides(char *line, const char *appid, const char *file, unsigned at, int *code,
			 uint32_t *base, uint32_t *length)
{
	char *rest, *words[4];
	line += strspn(line, BLANKS);
	if (line[0] == '#')
		return false;
	for (int i = 0; i < 4; i++) {
		words[i] = strtok_r(i == 0 ? line : NULL, BLANKS, &rest);
		if (words[i] == NULL) {
			*code = base_refuse(RSMERR_BAD_CONF,
					    "%s:%u: %d fields, expected keyword, appid, baseid, length", file,
					    at, i);
			return true;
		}
	}
	if (strcasecmp(words[1], appid) != 0)
		return false;
	if (strcasecmp(words[0], "reserved") != 0 && strcasecmp(words[0], "reserve") != 0)
		*code = base_refuse(RSMERR_BAD_CONF, "%s:%u: keyword %s, expected reserved", file, at,
				    words[0]);
	else if (!number(words[2], 16, base) || !number(words[3], 10, length))
		*code = base_refuse(
			RSMERR_BAD_CONF,
			"%s:%u: baseid %s (hexadecimal) or length %s (decimal) is not a number of "
			"32 bits",
			file, at, words[2], words[3]);
	else
		*code = RSM_SUCCESS;
	return true;
}

int rsm_get_segmentid_range(const char *appid, rsm_memseg_id_t *baseid, uint32_t *length)
{
	if (appid == NULL || baseid == NULL || length == NULL)
		return base_refuse(RSMERR_BAD_ADDR, "appid, baseid or length is NULL");
	const char *file = secure_getenv("RSM_SEGMENTID_FILE");
	if (file == NULL)
		file = DEFAULT_FILE;
	FILE *stream = fopen(file, "re");
	if (stream == NULL)
		return base_refuse_errno(RSMERR_BAD_CONF, errno, "cannot open %s", file);
	char *line = NULL;
	size_t room = 0;
	uint32_t base = 0, count = 0;
	int code = RSMERR_BAD_APPID;
	bool decided = false;
	for (unsigned at = 1; !decided && getline(&line, &room, stream) >= 0; at++)
		decided = line_decides(line, appid, file, at, &code, &base, &count);
	const bool unreadable = ferror(stream) != 0;
	free(line);
	fclose(stream);
	if (unreadable)
		return base_refuse(RSMERR_BAD_CONF, "cannot read %s", file);
	if (!decided)
		return base_refuse(RSMERR_BAD_APPID, "%s has no entry for %s", file, appid);
	if (code == RSM_SUCCESS) {
		*baseid = base;
		*length = count;
	}
	return code;
}
