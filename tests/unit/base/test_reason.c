/* SPDX-License-Identifier: BSD-2-Clause */
/* base/reason.c: the text of the last refusal, per thread, and the names of all codes. */
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <wchar.h>

#include <cmocka.h>
#include <rsmapi.h>

#include "base/reason.h"

static void test_refuse(void **state)
{
	(void)state;
	assert_int_equal(base_refuse(RSMERR_BAD_LENGTH, "size %d of %s", 7, "x"), RSMERR_BAD_LENGTH);
	assert_string_equal(base_reason(), "size 7 of x");
}

static void test_refuse_errno(void **state)
{
	(void)state;
	errno = EDOM;
	assert_int_equal(base_refuse_errno(RSMERR_MAP_FAILED, ENOENT, "open %s", "y"), RSMERR_MAP_FAILED);
	assert_string_equal(base_reason(), "open y: No such file or directory");
	assert_int_equal(errno, EDOM);
}

/* A caller above may add to the reason that it got. */
static void test_refuse_with_own_reason(void **state)
{
	(void)state;
	base_refuse(1, "inner");
	base_refuse(1, "outer: %s", base_reason());
	assert_string_equal(base_reason(), "outer: inner");
}

static void test_long_text_is_cut(void **state)
{
	char text[2 * BASE_REASON_MAX];

	(void)state;
	memset(text, 'a', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	base_refuse_errno(1, ENOENT, "%s", text);
	assert_int_equal(strlen(base_reason()), BASE_REASON_MAX - 1);
	assert_memory_equal(base_reason(), text, BASE_REASON_MAX - 1);
	text[BASE_REASON_MAX - 3] = '\0';
	base_refuse_errno(1, ENOENT, "%s", text);
	assert_int_equal(strlen(base_reason()), BASE_REASON_MAX - 1);
}

/* vsnprintf fails on a wide character that does not exist, and sets errno. */
static void test_unprintable_text(void **state)
{
	static const wchar_t nonsense[] = {0x7fffffff, 0};

	(void)state;
	errno = EDOM;
	assert_int_equal(base_refuse_errno(1, ENOENT, "%ls", nonsense), 1);
	assert_string_equal(base_reason(), ": No such file or directory");
	assert_int_equal(errno, EDOM);
}

static void *other_thread(void *before)
{
	*(bool *)before = base_reason()[0] == '\0';
	base_refuse(1, "other");
	return NULL;
}

static void test_threads_have_their_own(void **state)
{
	pthread_t thread;
	bool empty_at_start = false;

	(void)state;
	base_refuse(1, "mine");
	assert_int_equal(pthread_create(&thread, NULL, other_thread, &empty_at_start), 0);
	pthread_join(thread, NULL);
	assert_true(empty_at_start);
	assert_string_equal(base_reason(), "mine");
}

static void test_names(void **state)
{
	(void)state;
	assert_string_equal(base_code_name(0), "RSM_SUCCESS");
	assert_string_equal(base_code_name(RSMERR_BAD_MEM_ALIGNMENT), "RSMERR_BAD_MEM_ALIGNMENT");
	assert_string_equal(base_code_name(RSMERR_QUEUE_FULL), "RSMERR_QUEUE_FULL");
}

/* 0-45, 100-134 are codes, each with its own name and text; nothing else is. */
static void test_every_code(void **state)
{
	(void)state;
	for (int code = -2; code < 200; code++) {
		bool known = (code >= 0 && code <= 45) || (code >= 100 && code <= 134);

		if (known == !strcmp(base_code_name(code), "RSMERR_?"))
			fail_msg("code %d is %s", code, base_code_name(code));
		if (known == !strcmp(base_code_text(code), "unknown error number"))
			fail_msg("code %d is %s", code, base_code_text(code));
		for (int other = 0; known && other < code; other++)
			assert_string_not_equal(base_code_name(code), base_code_name(other));
	}
	assert_string_equal(base_code_name(INT_MAX), "RSMERR_?");
	assert_string_equal(base_code_name(INT_MIN), "RSMERR_?");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_refuse),
		cmocka_unit_test(test_refuse_errno),
		cmocka_unit_test(test_refuse_with_own_reason),
		cmocka_unit_test(test_long_text_is_cut),
		cmocka_unit_test(test_unprintable_text),
		cmocka_unit_test(test_threads_have_their_own),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_every_code),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
