/* SPDX-License-Identifier: BSD-2-Clause */
/* Private huge pages. Needs a pool of them; root makes one for the time of the test. */
#include "memory.h"

#include <rsmapi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/reason.h"

#define HUGE  (2 * MEMORY_MIB)
#define POOL  "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages"
#define PAGES 12

static long pool_get(const char *path)
{
	long pages = -1;
	FILE *file = fopen(path, "re");
	if (file && fscanf(file, "%ld", &pages) != 1)
		pages = -1;
	if (file)
		fclose(file);
	return pages;
}

static void pool_set(long pages)
{
	FILE *file = fopen(POOL, "we");
	if (file) {
		fprintf(file, "%ld\n", pages);
		fclose(file);
	}
}

static long before;

static int need_pool(void **state)
{
	(void)state;
	before = pool_get(POOL);
	if (before < PAGES)
		pool_set(PAGES);
	return 0;
}

static int restore_pool(void **state)
{
	(void)state;
	if (before >= 0 && before < PAGES)
		pool_set(before);
	return 0;
}

static unsigned char *huge_map(size_t pages)
{
	if (pool_get(POOL) < PAGES) {
		print_message("%s has less than %d pages: start as root, or set it\n", POOL, PAGES);
		skip();
	}
	unsigned char *at = mmap(NULL, pages * HUGE, PROT_READ | PROT_WRITE,
				 MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
	assert_true(at != MAP_FAILED);
	return at;
}

static int huge_memfd(size_t pages)
{
	int fd;
	assert_int_equal(segment_memfd_create("test", pages * HUGE, true, 0, &fd), RSM_SUCCESS);
	return fd;
}

static void test_huge_pages_go_and_come_back(void **state)
{
	(void)state;
	struct segment_guard guard;
	unsigned char *at = huge_map(4);
	segment_guard_open(&guard, -1);
	int fd = huge_memfd(4), fresh = huge_memfd(4);
	memory_fill(at, HUGE, 1);
	memory_fill(at + 3 * HUGE, HUGE, 2);
	assert_int_equal(memory_adopt(at, 4 * HUGE, fd, 0, &guard), RSM_SUCCESS);
	assert_true(memory_has(at, HUGE, 1) && memory_has(at + 3 * HUGE, HUGE, 2));
	unsigned char *seen = mmap(NULL, 4 * HUGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_true(memory_has(seen, HUGE, 1) && memory_is_zero(seen + HUGE, HUGE));
	memory_fill(seen + 3 * HUGE, HUGE, 3);
	assert_true(memory_has(at + 3 * HUGE, HUGE, 3));
	munmap(seen, 4 * HUGE);
	assert_int_equal(segment_move(at, 4 * HUGE, fd, 0, fresh, 0, &guard), RSM_SUCCESS);
	assert_true(memory_has(at, HUGE, 1) && memory_has(at + 3 * HUGE, HUGE, 3));
	assert_int_equal(segment_return(at, 4 * HUGE, fresh, 0, &guard), RSM_SUCCESS);
	assert_true(memory_has(at, HUGE, 1) && memory_has(at + 3 * HUGE, HUGE, 3));
	struct segment_range *list;
	size_t count;
	assert_int_equal(segment_range_list(at, 4 * HUGE, &list, &count), RSM_SUCCESS);
	for (size_t i = 0; i < count; i++) { /* the kernel does not merge mappings of huge pages */
		assert_int_equal(list[i].kind, SEGMENT_RANGE_HUGE);
		assert_int_equal(list[i].page_size, HUGE);
	}
	free(list);
	segment_guard_close(&guard);
	munmap(at, 4 * HUGE);
	close(fd);
	close(fresh);
}

static void test_parts_of_huge_pages_are_refused(void **state)
{
	(void)state;
	struct segment_guard none = {.fd = -1, .kind = SEGMENT_GUARD_NONE};
	unsigned char *at = huge_map(2);
	int fd = memory_memfd(2 * HUGE);
	memory_fill(at, 2 * HUGE, 1);
	assert_int_equal(memory_adopt(at, HUGE + MEMORY_PAGE, fd, 0, &none), RSMERR_BAD_ADDR);
	assert_non_null(strstr(base_reason(), "whole pages of 2097152"));
	assert_true(memory_has(at, 2 * HUGE, 1));
	munmap(at, 2 * HUGE);
	close(fd);
}

/* The pool holds no second copy: a code, no SIGBUS, and the memory is as it was; reserved pages count like used ones. */
static void test_an_exhausted_pool_is_refused(void **state)
{
	(void)state;
	struct segment_guard none = {.fd = -1, .kind = SEGMENT_GUARD_NONE};
	unsigned char *at = huge_map(PAGES);
	int fd = huge_memfd(PAGES);
	if (pool_get(POOL) > PAGES) {
		munmap(at, PAGES * HUGE);
		close(fd);
		print_message("the pool is larger than this test can fill\n");
		skip();
	}
	assert_int_equal(memory_adopt(at, PAGES * HUGE, fd, 0, &none), RSMERR_INSUFFICIENT_MEM);
	for (size_t i = 0; i < PAGES; i++)
		memory_fill(at + i * HUGE, HUGE, i);
	assert_int_equal(memory_adopt(at, PAGES * HUGE, fd, 0, &none), RSMERR_INSUFFICIENT_MEM);
	for (size_t i = 0; i < PAGES; i++)
		assert_true(memory_has(at + i * HUGE, HUGE, i));
	munmap(at, PAGES * HUGE);
	close(fd);
}

static void test_forked_child_gets_its_own_huge_pages(void **state)
{
	(void)state;
	struct segment_guard none = {.fd = -1, .kind = SEGMENT_GUARD_NONE};
	unsigned char *at = huge_map(2);
	int fd = huge_memfd(2), status;
	memory_fill(at, 2 * HUGE, 1);
	assert_int_equal(memory_adopt(at, 2 * HUGE, fd, 0, &none), RSM_SUCCESS);
	pid_t child = memory_fork();
	if (child == 0) {
		bool good = segment_copy_private(at, 2 * HUGE, fd, 0) && memory_has(at, 2 * HUGE, 1);
		memory_fill(at, 2 * HUGE, 2);
		_exit(!good);
	}
	waitpid(child, &status, 0);
	assert_int_equal(status, 0);
	assert_true(memory_has(at, 2 * HUGE, 1));
	munmap(at, 2 * HUGE);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_huge_pages_go_and_come_back),
		cmocka_unit_test(test_parts_of_huge_pages_are_refused),
		cmocka_unit_test(test_an_exhausted_pool_is_refused),
		cmocka_unit_test(test_forked_child_gets_its_own_huge_pages),
	};
	return cmocka_run_group_tests(tests, need_pool, restore_pool);
}
