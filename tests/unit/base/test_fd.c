/* SPDX-License-Identifier: BSD-2-Clause */
/* base/fd.c: descriptors stay away from 0, 1 and 2 and are closed on exec. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fd.h"

/* Standard input and error are closed for the moment: the next descriptors would be 0 and 2. */
static void test_moves_above_stdio(void **state)
{
	int input = fcntl(0, F_DUPFD_CLOEXEC, 3);
	int error = fcntl(2, F_DUPFD_CLOEXEC, 3);

	(void)state;
	close(0);
	close(2);
	int low = open("/dev/null", O_RDONLY | O_CLOEXEC);
	int last = open("/dev/null", O_RDONLY | O_CLOEXEC);
	int fd = base_fd_above_stdio(low), other = base_fd_above_stdio(last);
	int low_flags = fcntl(low, F_GETFD), last_flags = fcntl(last, F_GETFD);
	dup2(input, 0);
	dup2(error, 2);
	close(input);
	close(error);

	assert_int_equal(low, 0);
	assert_int_equal(low_flags, -1); /* the low one was closed */
	assert_int_equal(last, 2);
	assert_int_equal(last_flags, -1);
	assert_true(fd > 2 && other > 2);
	assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	close(fd);
	close(other);
}

/* No number above 2 is to be had: the low one is closed all the same, and errno tells why. */
static void test_no_room_above(void **state)
{
	struct rlimit limit, none;
	int input = fcntl(0, F_DUPFD_CLOEXEC, 3);

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	none = limit;
	none.rlim_cur = 3;
	close(0);
	int low = open("/dev/null", O_RDONLY | O_CLOEXEC);
	setrlimit(RLIMIT_NOFILE, &none);
	errno = 0;
	int fd = base_fd_above_stdio(low), error = errno;
	int low_flags = fcntl(low, F_GETFD);
	setrlimit(RLIMIT_NOFILE, &limit);
	dup2(input, 0);
	close(input);

	assert_int_equal(low, 0);
	assert_int_equal(fd, -1);
	assert_int_not_equal(error, 0);
	assert_int_equal(low_flags, -1);
}

static void test_leaves_others(void **state)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	(void)state;
	assert_true(fd > 2);
	assert_int_equal(base_fd_above_stdio(fd), fd);
	assert_int_equal(base_fd_above_stdio(-1), -1);
	close(fd);
}

static void test_close(void **state)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	int number = fd;

	(void)state;
	errno = EDOM;
	base_fd_close(&fd);
	assert_int_equal(fd, -1);
	base_fd_close(&fd);
	assert_int_equal(errno, EDOM);
	assert_int_equal(fcntl(number, F_GETFD), -1);
	errno = EDOM;
	base_fd_close(&number); /* close(2) fails */
	assert_int_equal(number, -1);
	assert_int_equal(errno, EDOM);
}

/* A pipe that nobody reads takes a line or refuses it, and nobody waits. */
static void test_write_finds_no_room(void **state)
{
	static char line[1000], more[1u << 20];
	int ends[2], lines = 0, error;

	(void)state;
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	while (!(error = base_fd_write(ends[1], line, sizeof(line), 0)))
		lines++;
	assert_int_equal(error, EAGAIN);
	assert_int_equal(base_fd_write(ends[1], line, sizeof(line), 1), EAGAIN);
	assert_int_equal(read(ends[0], more, sizeof(more)), lines * (int)sizeof(line));
	assert_int_equal(base_fd_write(ends[1], line, sizeof(line), 0), 0);
	close(ends[0]);
	close(ends[1]);
	assert_int_equal(base_fd_write(ends[1], line, 1, 0), EBADF);
	assert_int_equal(base_fd_write(ends[1], line, 0, 0), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_moves_above_stdio),   cmocka_unit_test(test_no_room_above),
		cmocka_unit_test(test_leaves_others),       cmocka_unit_test(test_close),
		cmocka_unit_test(test_write_finds_no_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
