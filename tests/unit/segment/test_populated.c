/* SPDX-License-Identifier: BSD-2-Clause */
/* Runs of populated pages, more of them than one answer of the kernel holds. */
#include "memory.h"

#include <rsmapi.h>
#include <sys/mman.h>

struct seen {
	uintptr_t next; /* the page that the next run must begin at */
	size_t step, runs, bytes, stop_after;
};

static int count_run(void *context, uintptr_t start, size_t length)
{
	struct seen *seen = context;
	assert_int_equal(start, seen->next);
	seen->next += seen->step;
	seen->bytes += length;
	return ++seen->runs == seen->stop_after ? 42 : RSM_SUCCESS;
}

static void test_runs_are_exact(void **state)
{
	(void)state;
	size_t length = 16 * MEMORY_MIB;
	unsigned char *at = memory_map(length);
	struct seen seen = {.next = (uintptr_t)at + 2 * MEMORY_PAGE, .step = 5 * MEMORY_PAGE};
	madvise(at, length, MADV_NOHUGEPAGE);
	assert_int_equal(segment_range_populated(at, length, count_run, &seen), RSM_SUCCESS);
	assert_int_equal(seen.runs, 0);
	size_t wanted = 0;
	for (size_t page = 2; page + 1 < length / MEMORY_PAGE; page += 5, wanted++)
		at[page * MEMORY_PAGE] = at[(page + 1) * MEMORY_PAGE] = 1;
	assert_true(wanted > 512);
	assert_int_equal(segment_range_populated(at, length, count_run, &seen), RSM_SUCCESS);
	assert_int_equal(seen.runs, wanted);
	assert_int_equal(seen.bytes, wanted * 2 * MEMORY_PAGE);
	munmap(at, length);
}

static void test_a_result_stops(void **state)
{
	(void)state;
	unsigned char *at = memory_map(MEMORY_MIB);
	struct seen seen = {.next = (uintptr_t)at, .step = 2 * MEMORY_PAGE, .stop_after = 3};
	madvise(at, MEMORY_MIB, MADV_NOHUGEPAGE);
	for (size_t i = 0; i < MEMORY_MIB; i += 2 * MEMORY_PAGE)
		at[i] = 1;
	assert_int_equal(segment_range_populated(at, MEMORY_MIB, count_run, &seen), 42);
	assert_int_equal(seen.runs, 3);
	munmap(at, MEMORY_MIB);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_runs_are_exact),
		cmocka_unit_test(test_a_result_stops),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
