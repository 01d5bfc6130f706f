/* SPDX-License-Identifier: BSD-2-Clause */
/* What stands at a range: kinds, gaps, protections, attributes, descriptors of shared memory, relatives. */
#include "memory.h"

#include <fcntl.h>
#include <rsmapi.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/reason.h"

static struct segment_range range_of(const void *address, size_t length)
{
	struct segment_range *list, first;
	size_t count;
	assert_int_equal(segment_range_collect(address, length, &list, &count), RSM_SUCCESS);
	assert_int_equal(count, 1);
	first = list[0];
	free(list);
	assert_int_equal(first.start, (uintptr_t)address);
	assert_int_equal(first.end, (uintptr_t)address + length);
	return first;
}

static unsigned char data_page[3 * 4096] = {1};

static void test_kinds_of_private_memory(void **state)
{
	(void)state;
	void *heap = NULL;
	unsigned char *map = memory_map(MEMORY_PAGE);
	assert_int_equal(posix_memalign(&heap, MEMORY_PAGE, MEMORY_PAGE), 0);
	int zero = open("/dev/zero", O_RDWR);
	void *zeros = mmap(NULL, MEMORY_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, zero, 0);
	int exe = open("/proc/self/exe", O_RDONLY);
	void *file = mmap(NULL, MEMORY_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, exe, 0);
	const void *data = (void *)(((uintptr_t)data_page + 4095) & ~(uintptr_t)4095);
	assert_int_equal(range_of(map, MEMORY_PAGE).kind, SEGMENT_RANGE_ANONYMOUS);
	assert_int_equal(range_of(heap, MEMORY_PAGE).kind, SEGMENT_RANGE_ANONYMOUS);
	assert_int_equal(range_of(zeros, MEMORY_PAGE).kind, SEGMENT_RANGE_ANONYMOUS);
	assert_int_equal(range_of(file, MEMORY_PAGE).kind, SEGMENT_RANGE_PRIVATE_FILE);
	assert_int_equal(range_of(data, MEMORY_PAGE).kind, SEGMENT_RANGE_PRIVATE_FILE);
	close(zero);
	close(exe);
	munmap(zeros, MEMORY_PAGE);
	munmap(file, MEMORY_PAGE);
	munmap(map, MEMORY_PAGE);
	free(heap);
}

static void test_kinds_of_shared_memory(void **state)
{
	(void)state;
	void *anonymous = mmap(NULL, MEMORY_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_int_equal(range_of(anonymous, MEMORY_PAGE).kind, SEGMENT_RANGE_SHARED_ANONYMOUS);
	int shmid = shmget(IPC_PRIVATE, MEMORY_PAGE, 0600);
	void *sysv = shmat(shmid, NULL, 0);
	shmctl(shmid, IPC_RMID, NULL);
	assert_int_equal(range_of(sysv, MEMORY_PAGE).kind, SEGMENT_RANGE_SYSV);
	assert_int_equal(range_of(sysv, MEMORY_PAGE).inode, shmid);
	int fd = memory_memfd(4 * MEMORY_PAGE);
	unsigned char *memfd =
		mmap(NULL, 3 * MEMORY_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, MEMORY_PAGE);
	struct segment_range range = range_of(memfd + MEMORY_PAGE, MEMORY_PAGE);
	struct stat st;
	fstat(fd, &st);
	assert_int_equal(range.kind, SEGMENT_RANGE_SHARED_FILE);
	assert_int_equal(range.offset, 2 * MEMORY_PAGE); /* moved by the clipping */
	assert_int_equal(range.inode, st.st_ino);
	assert_int_equal(range.device, st.st_dev);
	assert_int_equal(range.page_size, MEMORY_PAGE);
	shmdt(sysv);
	munmap(memfd, 3 * MEMORY_PAGE);
	munmap(anonymous, MEMORY_PAGE);
	close(fd);
}

static void test_gaps_win_over_protection(void **state)
{
	(void)state;
	struct segment_range *list;
	size_t count;
	unsigned char *at = memory_map(6 * MEMORY_PAGE);
	assert_int_equal(segment_range_list(at, 6 * MEMORY_PAGE, &list, &count), RSM_SUCCESS);
	assert_int_equal(count, 1);
	free(list);
	mprotect(at + MEMORY_PAGE, MEMORY_PAGE, PROT_READ);
	assert_int_equal(segment_range_list(at, 6 * MEMORY_PAGE, &list, &count), RSMERR_PERM_DENIED);
	mprotect(at + MEMORY_PAGE, MEMORY_PAGE, PROT_WRITE);
	assert_int_equal(segment_range_list(at, 6 * MEMORY_PAGE, &list, &count), RSMERR_PERM_DENIED);
	assert_null(list);
	for (size_t page = 0; page < 6; page += 5) { /* first, then last too */
		munmap(at + page * MEMORY_PAGE, MEMORY_PAGE);
		assert_int_equal(segment_range_list(at, 6 * MEMORY_PAGE, &list, &count), RSMERR_BAD_ADDR);
		assert_int_equal(count, 0);
	}
	munmap(at + 3 * MEMORY_PAGE, MEMORY_PAGE);
	assert_int_equal(segment_range_list(at + MEMORY_PAGE, 4 * MEMORY_PAGE, &list, &count),
			 RSMERR_BAD_ADDR);
	assert_non_null(strstr(base_reason(), "not mapped"));
	assert_int_equal(segment_range_list(at, SIZE_MAX - 4095, &list, &count), RSMERR_BAD_ADDR);
	assert_int_equal(memory_mappings(at, 6 * MEMORY_PAGE), 3);
	munmap(at, 6 * MEMORY_PAGE);
}

static void test_lists_mappings_in_order(void **state)
{
	(void)state;
	struct segment_range *list;
	size_t count;
	unsigned char *at = memory_map(32 * MEMORY_PAGE);
	for (size_t i = 0; i < 32; i += 2)
		mprotect(at + i * MEMORY_PAGE, MEMORY_PAGE, PROT_READ | PROT_WRITE | PROT_EXEC);
	assert_int_equal(segment_range_list(at, 32 * MEMORY_PAGE, &list, &count), RSM_SUCCESS);
	assert_int_equal(count, 32);
	for (size_t i = 0; i < 32; i++) {
		assert_int_equal(list[i].start, (uintptr_t)at + i * MEMORY_PAGE);
		assert_int_equal(list[i].protection & PROT_EXEC, i % 2 ? 0 : PROT_EXEC);
	}
	free(list);
	munmap(at, 32 * MEMORY_PAGE);
}

/* Small ranges take the short cut around smaps, large ones and single pages do not: the same answer. */
static void test_attributes(void **state)
{
	(void)state;
	static const size_t pages[] = {1, 2, 16, 1024};
	for (size_t i = 0; i < 4; i++) {
		size_t length = pages[i] * MEMORY_PAGE;
		unsigned char *at = memory_map(length);
		struct segment_range range = range_of(at, length);
		assert_false(range.locked || range.dont_dump || range.dont_fork);
		madvise(at, length, MADV_DONTDUMP);
		range = range_of(at, length);
		assert_true(range.dont_dump && !range.dont_fork);
		assert_true(memory_flag(at, "dd")); /* asking changed nothing */
		assert_int_equal(memory_mappings(at, length), 1);
		madvise(at, length, MADV_DODUMP);
		madvise(at, length, MADV_DONTFORK);
		range = range_of(at, length);
		assert_true(!range.dont_dump && range.dont_fork);
		assert_int_equal(mlock(at, MEMORY_PAGE), 0);
		assert_true(MEMORY_SANITIZED || range_of(at, MEMORY_PAGE).locked);
		munmap(at, length);
	}
}

static void test_attributes_of_shared_memory(void **state)
{
	(void)state;
	int fd = memory_memfd(MEMORY_PAGE);
	void *at = mmap(NULL, MEMORY_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_false(range_of(at, MEMORY_PAGE).dont_dump);
	madvise(at, MEMORY_PAGE, MADV_DONTDUMP);
	assert_true(range_of(at, MEMORY_PAGE).dont_dump);
	munmap(at, MEMORY_PAGE);
	close(fd);
}

static bool same_file(int a, int b)
{
	struct stat first, second;
	return fstat(a, &first) == 0 && fstat(b, &second) == 0 && first.st_ino == second.st_ino &&
	       first.st_dev == second.st_dev;
}

static void test_descriptor_of_an_open_memfd(void **state)
{
	(void)state;
	int fd = memory_memfd(MEMORY_PAGE), only;
	void *at = mmap(NULL, MEMORY_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	struct segment_range range = range_of(at, MEMORY_PAGE);
	int found = segment_range_descriptor(&range);
	assert_true(found > 2 && found != fd && same_file(found, fd));
	close(found);
	/* One that is open for reading only does not serve memory that is written. */
	assert_int_equal(segment_memfd_reopen(fd, false, &only), RSM_SUCCESS);
	close(fd);
	assert_int_equal(segment_range_descriptor(&range), -1);
	close(only);
	assert_int_equal(segment_range_descriptor(&range), -1);
	munmap(at, MEMORY_PAGE);
}

static void test_descriptor_by_path(void **state)
{
	(void)state;
	char name[] = "/tmp/rsm-test-XXXXXX";
	int fd = mkstemp(name);
	assert_int_equal(ftruncate(fd, MEMORY_PAGE), 0);
	void *at = mmap(NULL, MEMORY_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	struct segment_range range = range_of(at, MEMORY_PAGE);
	fd = segment_range_descriptor(&range);
	assert_true(fd > 2);
	assert_int_equal(segment_memfd_verify(fd, MEMORY_PAGE, true, false), RSM_SUCCESS);
	close(fd);
	/* Another file, or a pipe, under its name is not it; and does not block. */
	unlink(name);
	assert_int_equal(mkfifo(name, 0600), 0);
	assert_int_equal(segment_range_descriptor(&range), -1);
	unlink(name);
	close(open(name, O_RDWR | O_CREAT, 0600));
	assert_int_equal(segment_range_descriptor(&range), -1);
	unlink(name);
	munmap(at, MEMORY_PAGE);
}

static void test_relatives_are_seen(void **state)
{
	(void)state;
	unsigned char *at =
		mmap(NULL, 4 * MEMORY_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	at[0] = 1;
	struct segment_range range = range_of(at, 4 * MEMORY_PAGE);
	assert_false(segment_range_is_shared_with_others(&range));
	int end[2];
	assert_int_equal(pipe(end), 0);
	pid_t child = memory_fork();
	if (child == 0) {
		char byte;
		close(end[1]);
		_exit(read(end[0], &byte, 1) != 0);
	}
	close(end[0]);
	assert_true(segment_range_is_shared_with_others(&range)); /* though it has touched nothing */
	close(end[1]);
	waitpid(child, NULL, 0);
	assert_false(segment_range_is_shared_with_others(&range));
	void *twin = mremap(at, 0, MEMORY_PAGE, MREMAP_MAYMOVE);
	assert_true(segment_range_is_shared_with_others(&range));
	munmap(twin, MEMORY_PAGE);
	munmap(at, 4 * MEMORY_PAGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kinds_of_private_memory),
		cmocka_unit_test(test_kinds_of_shared_memory),
		cmocka_unit_test(test_gaps_win_over_protection),
		cmocka_unit_test(test_lists_mappings_in_order),
		cmocka_unit_test(test_attributes),
		cmocka_unit_test(test_attributes_of_shared_memory),
		cmocka_unit_test(test_descriptor_of_an_open_memfd),
		cmocka_unit_test(test_descriptor_by_path),
		cmocka_unit_test(test_relatives_are_seen),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
