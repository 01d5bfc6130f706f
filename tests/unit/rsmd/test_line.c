/* SPDX-License-Identifier: BSD-2-Clause */
/* rsmd/line.c: one whole object whatever it is given, and never more than its buffer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "rsmd/line.h"

static json_t *parsed(const struct rsmd_line *line)
{
	assert_true(line->length < RSMD_LINE_MAX);
	assert_int_equal(line->length, strlen(line->text));
	assert_int_equal(line->text[line->length - 1], '\n');
	json_t *object = json_loads(line->text, JSON_REJECT_DUPLICATES, NULL);
	assert_true(json_is_object(object));
	return object;
}

static void test_keys(void **state)
{
	struct rsmd_line line;
	(void)state;
	rsmd_line_begin(&line);
	rsmd_line_end(&line);
	assert_string_equal(line.text, "{}\n");
	rsmd_line_begin(&line);
	rsmd_line_number(&line, "n", UINT64_MAX);
	rsmd_line_time(&line, "t", 1700000000000001000u);
	rsmd_line_text(&line, "s", "a\"b\\c\n");
	rsmd_line_end(&line);
	assert_string_equal(line.text,
			    "{\"n\":9223372036854775807,\"t\":1700000000.000001,\"s\":\"a\\\"b\\\\c?\"}\n");
	json_decref(parsed(&line));
}

/* Every length of a text, of characters of one to four bytes and of such that are escaped, after every filling. */
static void test_room(void **state)
{
	static const char *const units[] = {"x", "\"", "\xc3\xa4", "\xe2\x82\xac", "\xf0\x9f\x90\x8b"};
	char text[1200], before[1200];
	struct rsmd_line line;
	(void)state;
	for (size_t unit = 0; unit < sizeof(units) / sizeof(units[0]); unit++) {
		text[0] = '\0';
		while (strlen(text) + 5 < sizeof(text))
			strcat(text, units[unit]);
		for (size_t filling = 0; filling < 1100; filling++) {
			memset(before, 'f', filling);
			before[filling] = '\0';
			rsmd_line_begin(&line);
			rsmd_line_text(&line, "a", before);
			rsmd_line_text(&line, "b", text);
			rsmd_line_number(&line, "c", filling);
			rsmd_line_text(&line, "d", text);
			rsmd_line_end(&line);
			json_t *object = parsed(&line);
			assert_int_equal(
				strncmp(json_string_value(json_object_get(object, "a")), before, 900), 0);
			json_decref(object);
		}
	}
}

/* Any bytes at all. */
static void test_random(void **state)
{
	uint32_t random = 12345;
	struct rsmd_line line;
	(void)state;
	for (int round = 0; round < 20000; round++) {
		char bytes[200];
		size_t length = round % sizeof(bytes);
		for (size_t i = 0; i < length; i++) {
			random = random * 1664525u + 1013904223u;
			bytes[i] = (char)(random >> 24 ? random >> 24 : 1);
		}
		bytes[length] = '\0';
		rsmd_line_begin(&line);
		rsmd_line_text(&line, "any", bytes);
		rsmd_line_end(&line);
		json_decref(parsed(&line));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_room),
		cmocka_unit_test(test_random),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
