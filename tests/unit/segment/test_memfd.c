/* SPDX-License-Identifier: BSD-2-Clause */
/* Sealed memfds: seals, mode, who counts as a holder, and what is refused of a foreign descriptor. */
#include "memory.h"

#include <errno.h>
#include <fcntl.h>
#include <rsmapi.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/reason.h"

static void test_create_seals_and_hides(void **state)
{
	(void)state;
	struct stat st;
	int fd = memory_memfd(3 * MEMORY_PAGE);
	assert_true(fd > 2);
	assert_int_equal(fcntl(fd, F_GET_SEALS) & (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL | F_SEAL_WRITE),
			 F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(st.st_size, 3 * MEMORY_PAGE);
	assert_int_equal(ftruncate(fd, 0), -1);
	assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	close(fd);
}

static void test_create_refuses_the_impossible(void **state)
{
	(void)state;
	int fd = 7;
	assert_int_equal(segment_memfd_create("test", UINT64_MAX, false, 0, &fd), RSMERR_INSUFFICIENT_MEM);
	assert_int_equal(fd, -1);
	assert_non_null(strstr(base_reason(), "18446744073709551615"));
}

static void test_create_without_descriptors(void **state)
{
	(void)state;
	struct rlimit before, none;
	int fd;
	getrlimit(RLIMIT_NOFILE, &before);
	none = before;
	none.rlim_cur = 3; /* standard input, output and error are there */
	setrlimit(RLIMIT_NOFILE, &none);
	int code = segment_memfd_create("test", MEMORY_PAGE, false, 0, &fd);
	setrlimit(RLIMIT_NOFILE, &before);
	assert_int_equal(code, RSMERR_INSUFFICIENT_RESOURCES);
}

static void test_final_seals(void **state)
{
	(void)state;
	int fd;
	assert_int_equal(segment_memfd_create("test", MEMORY_PAGE, false, F_SEAL_FUTURE_WRITE, &fd),
			 RSM_SUCCESS);
	assert_true(mmap(NULL, MEMORY_PAGE, PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED);
	assert_int_equal(segment_memfd_verify(fd, MEMORY_PAGE, false, true), RSM_SUCCESS);
	assert_int_equal(segment_memfd_verify(fd, MEMORY_PAGE, true, true), RSMERR_BAD_ADDR);
	close(fd);
}

static void test_reopened_read_only_stays_so(void **state)
{
	(void)state;
	int fd = memory_memfd(MEMORY_PAGE), copy;
	assert_int_equal(segment_memfd_reopen(fd, false, &copy), RSM_SUCCESS);
	assert_true(mmap(NULL, MEMORY_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, copy, 0) == MAP_FAILED);
	assert_int_equal(segment_memfd_verify(copy, MEMORY_PAGE, false, true), RSM_SUCCESS);
	assert_int_equal(segment_memfd_verify(copy, MEMORY_PAGE, true, true), RSMERR_BAD_ADDR);
	close(copy);
	close(fd);
}

static void test_sole_sees_every_other_file(void **state)
{
	(void)state;
	assert_true(segment_memfd_can_tell());
	int fd = memory_memfd(MEMORY_PAGE), copy;
	int twin = dup(fd);
	void *own = mmap(NULL, MEMORY_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_true(segment_memfd_is_sole(fd));
	for (int writable = 0; writable <= 1; writable++) {
		assert_int_equal(segment_memfd_reopen(fd, writable, &copy), RSM_SUCCESS);
		assert_false(segment_memfd_is_sole(fd));
		void *map = mmap(NULL, MEMORY_PAGE, PROT_READ, MAP_SHARED, copy, 0);
		close(copy);
		assert_false(segment_memfd_is_sole(fd)); /* the map alone keeps the file */
		munmap(map, MEMORY_PAGE);
		assert_true(segment_memfd_is_sole(fd));
	}
	munmap(own, MEMORY_PAGE);
	close(twin);
	close(fd);
}

/* The map of another process counts as well, until that process ends. */
static void test_sole_sees_another_process(void **state)
{
	(void)state;
	int fd = memory_memfd(MEMORY_PAGE), copy, there[2], end[2];
	char byte = 0;
	assert_int_equal(pipe(there) | pipe(end), 0);
	pid_t child = memory_fork();
	if (child == 0) {
		close(end[1]);
		if (segment_memfd_reopen(fd, false, &copy) != RSM_SUCCESS)
			_exit(1);
		mmap(NULL, MEMORY_PAGE, PROT_READ, MAP_SHARED, copy, 0);
		close(copy);
		_exit(write(there[1], &byte, 1) != 1 || read(end[0], &byte, 1) != 0);
	}
	close(end[0]);
	assert_int_equal(read(there[0], &byte, 1), 1);
	assert_false(segment_memfd_is_sole(fd));
	close(end[1]);
	assert_int_equal(waitpid(child, NULL, 0), child);
	assert_true(segment_memfd_is_sole(fd));
	close(there[0]);
	close(there[1]);
	close(fd);
}

static void test_punch_gives_pages_back(void **state)
{
	(void)state;
	int fd = memory_memfd(4 * MEMORY_PAGE);
	char page[4096];
	memset(page, 7, sizeof(page));
	for (int i = 0; i < 4; i++)
		assert_int_equal(pwrite(fd, page, sizeof(page), i * (off_t)MEMORY_PAGE), sizeof(page));
	segment_memfd_punch(fd, MEMORY_PAGE, 2 * MEMORY_PAGE);
	assert_int_equal(memory_held(fd), 2 * MEMORY_PAGE);
	segment_memfd_punch(fd, UINT64_MAX, 1); /* nonsense is ignored */
	assert_int_equal(memory_held(fd), 2 * MEMORY_PAGE);
	close(fd);
}

static void test_verify_refuses_what_is_not_memory(void **state)
{
	(void)state;
	int pair[2], sock[2];
	assert_int_equal(pipe(pair) | socketpair(AF_UNIX, SOCK_STREAM, 0, sock), 0);
	int zero = open("/dev/zero", O_RDWR), directory = open("/", O_RDONLY);
	int bad[] = {-1, 9999, pair[0], pair[1], sock[0], zero, directory};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(segment_memfd_verify(bad[i], 0, false, false), RSMERR_BAD_ADDR);
	close(pair[0]);
	close(pair[1]);
	close(sock[0]);
	close(sock[1]);
	close(zero);
	close(directory);
}

static void test_verify_looks_at_size_mode_and_seals(void **state)
{
	(void)state;
	int fd = memory_memfd(2 * MEMORY_PAGE);
	assert_int_equal(segment_memfd_verify(fd, 2 * MEMORY_PAGE, true, true), RSM_SUCCESS);
	assert_int_equal(segment_memfd_verify(fd, 2 * MEMORY_PAGE + 1, true, true), RSMERR_BAD_ADDR);
	assert_int_equal(segment_memfd_verify(fd, UINT64_MAX, true, true), RSMERR_BAD_ADDR);
	close(fd);
	int unsealed = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	assert_int_equal(ftruncate(unsealed, MEMORY_PAGE), 0);
	assert_int_equal(segment_memfd_verify(unsealed, MEMORY_PAGE, true, false), RSM_SUCCESS);
	assert_int_equal(segment_memfd_verify(unsealed, MEMORY_PAGE, true, true), RSMERR_BAD_ADDR);
	assert_int_equal(fcntl(unsealed, F_ADD_SEALS, F_SEAL_SHRINK), 0);
	assert_int_equal(segment_memfd_verify(unsealed, MEMORY_PAGE, true, true), RSMERR_BAD_ADDR);
	close(unsealed);
	char name[] = "/tmp/rsm-test-XXXXXX";
	int file = mkstemp(name), only;
	assert_int_equal(ftruncate(file, MEMORY_PAGE), 0);
	only = open(name, O_WRONLY);
	int path = open(name, O_PATH);
	unlink(name);
	assert_int_equal(segment_memfd_verify(file, MEMORY_PAGE, true, false), RSM_SUCCESS);
	assert_int_equal(segment_memfd_verify(file, MEMORY_PAGE, true, true), RSMERR_BAD_ADDR);
	assert_int_equal(segment_memfd_verify(only, MEMORY_PAGE, false, false), RSMERR_BAD_ADDR);
	assert_int_equal(segment_memfd_verify(path, 1, false, false), RSMERR_BAD_ADDR);
	close(path);
	close(only);
	close(file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_create_seals_and_hides),
		cmocka_unit_test(test_create_refuses_the_impossible),
		cmocka_unit_test(test_create_without_descriptors),
		cmocka_unit_test(test_final_seals),
		cmocka_unit_test(test_reopened_read_only_stays_so),
		cmocka_unit_test(test_sole_sees_every_other_file),
		cmocka_unit_test(test_sole_sees_another_process),
		cmocka_unit_test(test_punch_gives_pages_back),
		cmocka_unit_test(test_verify_refuses_what_is_not_memory),
		cmocka_unit_test(test_verify_looks_at_size_mode_and_seals),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
