/* SPDX-License-Identifier: BSD-2-Clause */
/* lib/segmentid.c: the grammar of rsm.segmentid(5) and the situations of rsm_get_segmentid_range(3rsm), line by line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/reason.h"
#include "rsmapi.h"

#define GOOD  "reserved SUNWfoo 0x600000 1000\n"
#define OTHER "reserved SUNWbar 0x700000 10\n"

/* Looks SUNWfoo up in a file with this contents. */
static int lookup(const char *text, size_t size, rsm_memseg_id_t *base, uint32_t *length)
{
	char path[64];
	int fd = memfd_create("segmentid", MFD_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, size), size);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	setenv("RSM_SEGMENTID_FILE", path, 1);
	int code = rsm_get_segmentid_range("SUNWfoo", base, length);
	close(fd);
	return code;
}

struct row {
	const char *text;
	int code;
	uint32_t base, length;
};

static void expect_row(const struct row *row)
{
	rsm_memseg_id_t base = 77;
	uint32_t length = 88;
	int code = lookup(row->text, strlen(row->text), &base, &length);
	uint32_t wanted_base = row->code == RSM_SUCCESS ? row->base : 77; /* untouched by a failure */
	uint32_t wanted_length = row->code == RSM_SUCCESS ? row->length : 88;
	if (code != row->code || base != wanted_base || length != wanted_length)
		fail_msg("\"%s\": code %d, base %#x, length %u", row->text, code, base, length);
}

#define EXPECT_ROWS(rows)                                                                                    \
	for (size_t row_i = 0; row_i < sizeof(rows) / sizeof(*(rows)); row_i++)                              \
	expect_row(&(rows)[row_i])

static void test_grammar(void **state)
{
	const struct row rows[] = {
		{GOOD, RSM_SUCCESS, 0x600000, 1000},
		{"#keyword appid baseid length\n" GOOD, RSM_SUCCESS, 0x600000, 1000},
		{"  \t# indented comment\n" GOOD, RSM_SUCCESS, 0x600000, 1000},
		{"#\n#\n" GOOD, RSM_SUCCESS, 0x600000, 1000},
		{" \t reserved\tSUNWfoo \t 0x600000\t\t1000 \n", RSM_SUCCESS, 0x600000, 1000},
		{"reserved SUNWfoo 600000 1000\n", RSM_SUCCESS, 0x600000, 1000},
		{"reserved SUNWfoo 0X6aBcD0 1000\n", RSM_SUCCESS, 0x6abcd0, 1000},
		{"reserved SUNWfoo 0x600000 1000", RSM_SUCCESS, 0x600000, 1000}, /* no newline at the end */
		{"reserved SUNWfoo 0x600000 1000 and so on # !\n", RSM_SUCCESS, 0x600000, 1000},
		{"reserve SUNWfoo 0x600000 1000\n", RSM_SUCCESS, 0x600000, 1000},
		{"RESERVED sunwFOO 0x600000 1000\n", RSM_SUCCESS, 0x600000, 1000},
		{"Reserve sunwfoo 0x600000 1000\n", RSM_SUCCESS, 0x600000, 1000},
		{"reserved SUNWfoo 0x600000 0010\n", RSM_SUCCESS, 0x600000, 10}, /* not octal */
		{"reserved SUNWfoo 0x600000 1000\r\n", RSM_SUCCESS, 0x600000, 1000},
		{"# comment\r\n" OTHER "reserved SUNWfoo 1 2\r\n", RSM_SUCCESS, 1, 2},
		{GOOD "reserved SUNWfoo 1 2\n", RSM_SUCCESS, 0x600000, 1000}, /* the first match */
		{"reserved SUNWfoobar 1 2\nreserved SUNWfo 3 4\n" GOOD, RSM_SUCCESS, 0x600000, 1000},
	};

	(void)state;
	EXPECT_ROWS(rows);
}

static void test_situations(void **state)
{
	const struct row rows[] = {
		/* fewer than four fields, or a blank line, before a match */
		{"reserved SUNWbar 0x700000\n" GOOD, RSMERR_BAD_CONF, 0, 0},
		{"reserved SUNWbar\n" GOOD, RSMERR_BAD_CONF, 0, 0},
		{"reserved\n" GOOD, RSMERR_BAD_CONF, 0, 0},
		{"reserved SUNWfoo 0x600000\n" GOOD, RSMERR_BAD_CONF, 0, 0},
		{"reserved SUNWfoo 0x600000", RSMERR_BAD_CONF, 0, 0},
		{"\n" GOOD, RSMERR_BAD_CONF, 0, 0},
		{" \t \n" GOOD, RSMERR_BAD_CONF, 0, 0},
		{"\r\n" GOOD, RSMERR_BAD_CONF, 0, 0},
		{OTHER "\n", RSMERR_BAD_CONF, 0, 0},
		/* matching appid, keyword not reserved */
		{"free SUNWfoo 0x600000 1000\n" GOOD, RSMERR_BAD_CONF, 0, 0},
		{"reservedx SUNWfoo 0x600000 1000\n", RSMERR_BAD_CONF, 0, 0},
		/* numbers out of range, or none */
		{"reserved SUNWfoo 0x100000000 1\n", RSMERR_BAD_CONF, 0, 0},
		{"reserved SUNWfoo 0xffffffffffffffffffff 1\n", RSMERR_BAD_CONF, 0, 0},
		{"reserved SUNWfoo 1 4294967296\n", RSMERR_BAD_CONF, 0, 0},
		{"reserved SUNWfoo 1 99999999999999999999999\n", RSMERR_BAD_CONF, 0, 0},
		{"reserved SUNWfoo -1 1\n", RSMERR_BAD_CONF, 0, 0},
		{"reserved SUNWfoo 1 -1\n", RSMERR_BAD_CONF, 0, 0},
		{"reserved SUNWfoo 1 -18446744073709551615\n", RSMERR_BAD_CONF, 0, 0}, /* 1, to strtoull */
		{"reserved SUNWfoo foo 1\n", RSMERR_BAD_CONF, 0, 0},
		{"reserved SUNWfoo 0x 1\n", RSMERR_BAD_CONF, 0, 0},
		{"reserved SUNWfoo 1 many\n", RSMERR_BAD_CONF, 0, 0},
		{"reserved SUNWfoo 1 0x10\n", RSMERR_BAD_CONF, 0, 0},
		{"reserved SUNWfoo 1 10k\n", RSMERR_BAD_CONF, 0, 0},
		{"reserved SUNWfoo 0xffffffff 4294967295\n", RSM_SUCCESS, 0xffffffff, 4294967295u},
		{"reserved SUNWfoo 0 0\n", RSM_SUCCESS, 0, 0},
		/* a line that does not match, with an unknown keyword or bad numbers */
		{"free SUNWbar what ever\n" GOOD, RSM_SUCCESS, 0x600000, 1000},
		{"SUNWfoo SUNWbar 1 2\n" GOOD, RSM_SUCCESS, 0x600000, 1000},
		/* malformed after the match */
		{GOOD "\n", RSM_SUCCESS, 0x600000, 1000},
		{GOOD "reserved\nfree SUNWfoo 1\n", RSM_SUCCESS, 0x600000, 1000},
		/* end of file */
		{"", RSMERR_BAD_APPID, 0, 0},
		{OTHER, RSMERR_BAD_APPID, 0, 0},
		{"# reserved SUNWfoo 0x600000 1000\n", RSMERR_BAD_APPID, 0, 0},
	};

	(void)state;
	EXPECT_ROWS(rows);
}

/* Lines of any length: the historic buffer was 255 characters. */
static void test_long_lines(void **state)
{
	const size_t lengths[] = {254, 255, 256, 257, 4096, 200000};
	rsm_memseg_id_t base;
	uint32_t count;

	(void)state;
	for (size_t i = 0; i < sizeof(lengths) / sizeof(*lengths); i++) {
		size_t length = lengths[i];
		char *text = malloc(length + 200);
		assert_non_null(text);
		/* A long comment must not become lines of its own; long blanks and a long tail belong to the line. */
		for (unsigned k = 0; k < 3; k++) {
			memset(text, k == 0 ? 'x' : ' ', length);
			text[0] = k < 2 ? '#' : ' ';
			strcpy(text + length, k < 2 ? "\n" GOOD : GOOD);
			assert_int_equal(lookup(text, strlen(text), &base, &count), RSM_SUCCESS);
			assert_int_equal(base, 0x600000);
			assert_int_equal(count, 1000);
		}
		strcpy(text, "reserved SUNWfoo 0x600000 1000 ");
		memset(text + strlen(text), 'y', length);
		strcpy(text + strlen("reserved SUNWfoo 0x600000 1000 ") + length, "\n\n");
		assert_int_equal(lookup(text, strlen(text), &base, &count), RSM_SUCCESS);
		free(text);
	}
}

/* The names of the file and of the line are in the reason. */
static void test_reasons(void **state)
{
	rsm_memseg_id_t base;
	uint32_t length;
	const char *text = OTHER "# two\nreserved SUNWfoo 0x600000\n";

	(void)state;
	assert_int_equal(lookup(text, strlen(text), &base, &length), RSMERR_BAD_CONF);
	assert_non_null(strstr(base_reason(), "/proc/self/fd/"));
	assert_non_null(strstr(base_reason(), ":3:"));
	assert_int_equal(lookup("", 0, &base, &length), RSMERR_BAD_APPID);
	assert_non_null(strstr(base_reason(), "SUNWfoo"));
}

static void test_arguments(void **state)
{
	rsm_memseg_id_t base;
	uint32_t length;

	(void)state;
	setenv("RSM_SEGMENTID_FILE", "/proc/self/nothing-here", 1);
	assert_int_equal(rsm_get_segmentid_range(NULL, &base, &length), RSMERR_BAD_ADDR);
	assert_int_equal(rsm_get_segmentid_range("SUNWfoo", NULL, &length), RSMERR_BAD_ADDR);
	assert_int_equal(rsm_get_segmentid_range("SUNWfoo", &base, NULL), RSMERR_BAD_ADDR);
	assert_int_equal(rsm_get_segmentid_range("SUNWfoo", &base, &length), RSMERR_BAD_CONF);
	assert_non_null(strstr(base_reason(), "/proc/self/nothing-here"));
}

/* A NUL ends the line's text; what is behind it is not believed. */
static void test_binary(void **state)
{
	static const char nul_first[] = "\0reserved SUNWfoo 0x600000 1000\n";
	static const char nul_inside[] = "reserved SUNWfoo\0 0x600000 1000\n";
	rsm_memseg_id_t base;
	uint32_t length;

	(void)state;
	assert_int_equal(lookup(nul_first, sizeof(nul_first) - 1, &base, &length), RSMERR_BAD_CONF);
	assert_int_equal(lookup(nul_inside, sizeof(nul_inside) - 1, &base, &length), RSMERR_BAD_CONF);
}

/* What can be opened but not read is no empty file. */
static void test_unreadable(void **state)
{
	rsm_memseg_id_t base;
	uint32_t length;

	(void)state;
	setenv("RSM_SEGMENTID_FILE", "/", 1);
	assert_int_equal(rsm_get_segmentid_range("SUNWfoo", &base, &length), RSMERR_BAD_CONF);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_grammar),    cmocka_unit_test(test_situations),
		cmocka_unit_test(test_long_lines), cmocka_unit_test(test_reasons),
		cmocka_unit_test(test_arguments),  cmocka_unit_test(test_binary),
		cmocka_unit_test(test_unreadable),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
