/* SPDX-License-Identifier: BSD-2-Clause */
/* base/text.c: what strangers said, as it may be shown. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/text.h"

static void expect_clean(const char *from, const char *expected)
{
	char to[64];
	assert_int_equal(base_text_clean(to, sizeof(to), from), strlen(expected));
	assert_string_equal(to, expected);
}

static void test_clean(void **state)
{
	char small[4], own[] = "\x1b\xc3\xa4\xc2\x9b";
	(void)state;
	expect_clean("", "");
	expect_clean("a\tb\x7f", "a?b?");
	expect_clean("\xc3\xa4\xf0\x9f\x90\x8b", "\xc3\xa4\xf0\x9f\x90\x8b");
	expect_clean("\xc3", "?"); /* cut short */
	expect_clean("\xe2\x82", "??");
	expect_clean("\xc0\x80\xe0\x80\x80", "?????"); /* longer than need be */
	expect_clean("\xed\xa0\x80", "???");           /* half of a pair */
	expect_clean("\xf4\x90\x80\x80", "????");      /* beyond the last one */
	expect_clean("\xc2\x80\xc2\x9f\xc2\xa0", "????\xc2\xa0");
	assert_int_equal(base_text_clean(own, sizeof(own), own), 5);
	assert_string_equal(own, "?\xc3\xa4??");
	assert_int_equal(base_text_clean(small, sizeof(small), "ab\xc3\xa4"), 2);
	assert_string_equal(small, "ab");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_clean),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
