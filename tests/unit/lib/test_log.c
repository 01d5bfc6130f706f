/* SPDX-License-Identifier: BSD-2-Clause */
/* lib/log.c: texts wait for the lock to be given back; whom they reach, and which of them. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "lib/lib.h"
#include "lib/log.h"

static struct {
	unsigned count;
	void *context;
	rsmx_log_level_t level[8];
	char text[8][300];
} seen;

static void note(void *context, rsmx_log_level_t level, const char *text)
{
	seen.context = context;
	if (seen.count < 8) {
		seen.level[seen.count] = level;
		snprintf(seen.text[seen.count], sizeof(seen.text[0]), "%s", text);
	}
	seen.count++;
}

static int listen_at(void **state)
{
	(void)state;
	memset(&seen, 0, sizeof(seen));
	rsmx_set_log(note, &seen, RSMX_LOG_DEBUG);
	return 0;
}

static int listen_no_more(void **state)
{
	(void)state;
	rsmx_set_log(NULL, NULL, RSMX_LOG_ERROR);
	return 0;
}

static void test_waits_for_unlock(void **state)
{
	(void)state;
	lib_lock();
	lib_log(RSMX_LOG_WARNING, "one %d", 1);
	lib_log(RSMX_LOG_ERROR, "two %s", "ii");
	assert_int_equal(seen.count, 0);
	lib_unlock();
	assert_int_equal(seen.count, 2);
	assert_string_equal(seen.text[0], "one 1");
	assert_string_equal(seen.text[1], "two ii");
	assert_int_equal(seen.level[0], RSMX_LOG_WARNING);
	assert_int_equal(seen.level[1], RSMX_LOG_ERROR);
	assert_ptr_equal(seen.context, &seen);
	lib_lock();
	lib_unlock();
	assert_int_equal(seen.count, 2); /* each once */
}

static void test_levels(void **state)
{
	const rsmx_log_level_t all[] = {RSMX_LOG_ERROR, RSMX_LOG_WARNING, RSMX_LOG_INFO, RSMX_LOG_DEBUG};

	(void)state;
	for (int level = 0; level < 4; level++) {
		seen.count = 0;
		rsmx_set_log(note, NULL, all[level]);
		lib_lock();
		for (int i = 0; i < 4; i++)
			lib_log(all[i], "x");
		lib_unlock();
		assert_int_equal(seen.count, level + 1);
		for (int i = 0; i <= level; i++)
			assert_int_equal(seen.level[i], all[i]);
	}
}

/* More than can wait: the newer ones are dropped, and there is room again afterwards. */
static void test_too_many(void **state)
{
	(void)state;
	lib_lock();
	for (int i = 0; i < 6; i++)
		lib_log(RSMX_LOG_INFO, "%d", i);
	lib_unlock();
	assert_int_equal(seen.count, 4);
	for (int i = 0; i < 4; i++)
		assert_int_equal(seen.text[i][0], '0' + i);
	lib_lock();
	lib_log(RSMX_LOG_INFO, "again");
	lib_unlock();
	assert_string_equal(seen.text[4], "again");
}

static void test_long_text(void **state)
{
	char text[1000];

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	lib_lock();
	lib_log(RSMX_LOG_INFO, "%s", text);
	lib_log(RSMX_LOG_INFO, "next");
	lib_unlock();
	assert_int_equal(strlen(seen.text[0]), 255);
	assert_string_equal(seen.text[1], "next");
}

/* What nobody wanted to hear is not told to who asks later. */
static void test_nobody(void **state)
{
	(void)state;
	rsmx_set_log(NULL, NULL, RSMX_LOG_DEBUG);
	lib_lock();
	lib_log(RSMX_LOG_ERROR, "lost");
	lib_unlock();
	rsmx_set_log(note, NULL, RSMX_LOG_DEBUG);
	lib_lock();
	lib_unlock();
	assert_int_equal(seen.count, 0);
}

/* Noted by a thread whose lib_unlock is still to come. */
static void *note_there(void *unused)
{
	(void)unused;
	lib_log(RSMX_LOG_INFO, "theirs");
	lib_lock();
	lib_unlock();
	return NULL;
}

/* Texts belong to the thread whose call made them. */
static void test_own_thread(void **state)
{
	pthread_t thread;

	(void)state;
	lib_log(RSMX_LOG_INFO, "mine");
	assert_int_equal(pthread_create(&thread, NULL, note_there, NULL), 0);
	pthread_join(thread, NULL);
	assert_int_equal(seen.count, 1);
	assert_string_equal(seen.text[0], "theirs");
	lib_lock();
	lib_unlock();
	assert_int_equal(seen.count, 2);
	assert_string_equal(seen.text[1], "mine");
}

static void *lock_and_set(void *done)
{
	lib_lock();
	lib_unlock();
	rsmx_set_log(note, NULL, RSMX_LOG_DEBUG);
	*(int *)done = 1;
	return NULL;
}

/* Waits for another thread that needs the lock. */
static void note_slowly(void *context, rsmx_log_level_t level, const char *text)
{
	pthread_t thread;
	(void)level;
	(void)text;
	assert_int_equal(pthread_create(&thread, NULL, lock_and_set, context), 0);
	pthread_join(thread, NULL);
}

/* No lock is held while the callback runs: this would hang else. */
static void test_no_lock(void **state)
{
	int done = 0;

	(void)state;
	rsmx_set_log(note_slowly, &done, RSMX_LOG_DEBUG);
	lib_lock();
	lib_log(RSMX_LOG_INFO, "x");
	lib_unlock();
	assert_int_equal(done, 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, listen_at, listen_no_more)
	const struct CMUnitTest tests[] = {
		TEST(test_waits_for_unlock), TEST(test_levels),     TEST(test_too_many), TEST(test_long_text),
		TEST(test_nobody),           TEST(test_own_thread), TEST(test_no_lock),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
