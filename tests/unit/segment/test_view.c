/* SPDX-License-Identifier: BSD-2-Clause */
/* segment/view: extents one behind the other, items, and memory that is cut short under the view. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "memory.h"
#include "segment/view.h"

#define PAGES 4

static int file_of(size_t length)
{
	int fd = memfd_create("file", MFD_CLOEXEC); /* not sealed: like a file of the exporter's own */
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)length), 0);
	return fd;
}

static void test_extents(void **state)
{
	int first = memory_memfd(2 * MEMORY_PAGE), second = memory_memfd(2 * MEMORY_PAGE);
	const struct segment_extent extents[] = {
		{.fd = first, .shmid = -1, .offset = MEMORY_PAGE, .length = MEMORY_PAGE},
		{.fd = second, .shmid = -1, .offset = 0, .length = 2 * MEMORY_PAGE}};
	struct segment_view view;
	char back[8];
	(void)state;
	assert_int_equal(segment_view_open(&view, extents, 2, 3 * MEMORY_PAGE, true), 0);
	assert_true(view.safe);
	/* Across the seam. */
	assert_int_equal(segment_view_write(&view, MEMORY_PAGE - 4, "abcdefgh", 8, 0), 0);
	assert_int_equal(pread(first, back, 4, 2 * MEMORY_PAGE - 4), 4);
	assert_int_equal(pread(second, back + 4, 4, 0), 4);
	assert_memory_equal(back, "abcdefgh", 8);
	memset(back, 0, 8);
	assert_int_equal(segment_view_read(&view, MEMORY_PAGE - 4, back, 8, 0), 0);
	assert_memory_equal(back, "abcdefgh", 8);
	segment_view_close(&view);
	assert_null(view.base);
	segment_view_close(&view);
	/* Less memory than the segment has. */
	assert_int_equal(segment_view_open(&view, extents, 2, 4 * MEMORY_PAGE, true), ERANGE);
	assert_null(view.base);
	close(first);
	close(second);
}

static void test_bounds(void **state)
{
	int fd = memory_memfd(MEMORY_PAGE);
	const struct segment_extent extent = {.fd = fd, .shmid = -1, .length = MEMORY_PAGE};
	struct segment_view view;
	char bytes[16] = "";
	(void)state;
	assert_int_equal(segment_view_open(&view, &extent, 1, MEMORY_PAGE, true), 0);
	assert_int_equal(segment_view_write(&view, MEMORY_PAGE, bytes, 0, 0), 0);
	assert_int_equal(segment_view_write(&view, MEMORY_PAGE - 15, bytes, 16, 0), EFAULT);
	assert_int_equal(segment_view_read(&view, MEMORY_PAGE + 1, bytes, 0, 0), EFAULT);
	assert_int_equal(segment_view_read(&view, UINT64_MAX, bytes, 16, 0), EFAULT);
	assert_int_equal(segment_view_probe(&view, 1, MEMORY_PAGE), EFAULT);
	segment_view_close(&view);
	assert_int_equal(segment_view_read(&view, 0, bytes, 1, 0), EFAULT);
	close(fd);
}

static void test_items(void **state)
{
	int fd = memory_memfd(MEMORY_PAGE);
	const struct segment_extent extent = {.fd = fd, .shmid = -1, .length = MEMORY_PAGE};
	(void)state;
	for (int sealed = 0; sealed <= 1; sealed++)
		for (unsigned width = 1; width <= 8; width *= 2) {
			struct segment_view view;
			char from[33] = "_0123456789abcdefghijklmnopqrstu", to[33] = "";
			assert_int_equal(segment_view_open(&view, &extent, 1, MEMORY_PAGE, sealed), 0);
			assert_int_equal(view.safe, sealed);
			/* The other side is not aligned. */
			assert_int_equal(segment_view_write(&view, 64, from + 1, 24, width), 0);
			assert_int_equal(segment_view_read(&view, 64, to + 1, 24, width), 0);
			assert_memory_equal(from + 1, to + 1, 24);
			assert_int_equal(to[25], 0);
			segment_view_close(&view);
		}
	close(fd);
}

/* The owner cuts a file short: an error each time, and no signal. */
static void test_cut_short(void **state)
{
	int fd = file_of(PAGES * MEMORY_PAGE);
	const struct segment_extent extent = {.fd = fd, .shmid = -1, .length = PAGES * MEMORY_PAGE};
	struct segment_view view;
	static char bytes[2 * MEMORY_PAGE];
	(void)state;
	assert_int_equal(segment_view_open(&view, &extent, 1, PAGES * MEMORY_PAGE, false), 0);
	assert_false(view.safe);
	memset(bytes, 'x', sizeof(bytes));
	assert_int_equal(segment_view_write(&view, 2 * MEMORY_PAGE, bytes, sizeof(bytes), 0), 0);
	assert_int_equal(segment_view_probe(&view, 0, PAGES * MEMORY_PAGE), 0);
	assert_int_equal(ftruncate(fd, 3 * MEMORY_PAGE), 0);
	assert_int_equal(segment_view_write(&view, 2 * MEMORY_PAGE, bytes, sizeof(bytes), 0), EFAULT);
	assert_int_equal(segment_view_read(&view, 2 * MEMORY_PAGE, bytes, sizeof(bytes), 0), EFAULT);
	assert_int_equal(segment_view_write(&view, 3 * MEMORY_PAGE, bytes, 8, 8), EFAULT);
	assert_int_equal(segment_view_read(&view, 3 * MEMORY_PAGE, bytes, 8, 8), EFAULT);
	assert_int_equal(segment_view_probe(&view, 0, PAGES * MEMORY_PAGE), EFAULT);
	assert_int_equal(segment_view_probe(&view, 1, 3 * MEMORY_PAGE - 1), 0);
	assert_int_equal(segment_view_read(&view, 2 * MEMORY_PAGE, bytes, MEMORY_PAGE, 0), 0);
	segment_view_close(&view);
	close(fd);
}

/* The file that stands for those that others serve is of /proc: no memory and no disk either. */
static void test_local(void **state)
{
	int memory = memory_memfd(MEMORY_PAGE), other = open("/proc/version", O_RDONLY | O_CLOEXEC);
	(void)state;
	assert_true(segment_view_is_local(memory));
	assert_true(other >= 0);
	assert_false(segment_view_is_local(other));
	assert_false(segment_view_is_local(-1));
	close(memory);
	close(other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_extents),   cmocka_unit_test(test_bounds), cmocka_unit_test(test_items),
		cmocka_unit_test(test_cut_short), cmocka_unit_test(test_local),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
