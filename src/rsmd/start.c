/* SPDX-License-Identifier: BSD-2-Clause */
#include "rsmd/start.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "rsmd/manager.h"

static int ready_pipe = -1; /* the child's end, while a parent waits */

void rsmd_start_clean(void)
{
	sigset_t none;
	int fd;
	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= 2);
	if (fd >= 0)
		close(fd);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	for (int number = 1; number < NSIG; number++)
		signal(number, SIG_DFL); /* KILL and STOP refuse, which is fine */
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN); /* memory beyond RLIMIT_FSIZE is refused, see limits.c */
	umask(077);
}

static void wait_for_child(int pipe, pid_t child)
{
	char byte;
	ssize_t got;
	int status = 0;
	do
		got = read(pipe, &byte, 1);
	while (got < 0 && errno == EINTR);
	if (got == 1)
		_exit(0);
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	_exit(WIFEXITED(status) && WEXITSTATUS(status) ? WEXITSTATUS(status) : 1);
}

/* Closes all above stdio but two: a pipe of the starter's program must not stay open for our sake. */
static void close_others(int one, int other)
{
	unsigned low = (unsigned)(one < other ? one : other), high = (unsigned)(one < other ? other : one);
	if (low > 2 && low < UINT_MAX) {
		close_range(3, low - 1, 0);
		close_range(low + 1, high - 1, 0);
	} else {
		close_range(3, high - 1, 0);
	}
	close_range(high + 1, UINT_MAX, 0);
}

void rsmd_start_detach(int keep_fd)
{
	int ends[2];
	if (pipe2(ends, O_CLOEXEC))
		_exit(1);
	pid_t child = fork();
	if (child < 0)
		_exit(1);
	if (child > 0) {
		close(ends[1]);
		wait_for_child(ends[0], child);
	}
	close(ends[0]);
	ready_pipe = ends[1];
	close_others(ready_pipe, keep_fd);
	setsid();
	if (chdir("/")) /* so that no file system stays busy; anywhere else is as good */
		errno = 0;
}

void rsmd_start_ready(void)
{
	if (ready_pipe < 0) {
		rsmd_manager_ready();
		return;
	}
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	for (int fd = 0; null >= 0 && fd <= 2; fd++)
		dup2(null, fd);
	base_fd_close(&null);
	ssize_t told;
	do
		told = write(ready_pipe, "", 1);
	while (told < 0 && errno == EINTR);
	base_fd_close(&ready_pipe);
}
