/* SPDX-License-Identifier: BSD-2-Clause */
#include "rsmd/dump.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "rsmd/log.h"
#include "rsmd/recorder.h"

#define WAIT_MS    1000 /* for room, where stderr leads to */
#define FILE_MAX   (8 << 20)
#define STACK_SIZE 65536u /* the main thread's own may be what is broken */

static const int faults[] = {SIGSEGV, SIGBUS, SIGABRT, SIGILL, SIGFPE};
#define FAULTS (sizeof(faults) / sizeof(faults[0]))

static char path[4096]; /* "": stderr */
static _Alignas(16) char stack[STACK_SIZE];
static volatile sig_atomic_t is_dying;

/* Async-signal-safe, like all below it. -1: there is none, or none that may be used. */
static int file_open(void)
{
	struct stat file;
	if (!path[0])
		return -1;
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC,
		      0600);
	if (fd < 0)
		return -1;
	bool ours =
		!fstat(fd, &file) && S_ISREG(file.st_mode) && file.st_uid == geteuid() && file.st_nlink == 1;
	/* One that is started and dies again and again must not fill the disk; the newest death is what is asked for. */
	if (ours && (file.st_size <= FILE_MAX || !ftruncate(fd, 0)))
		return fd;
	close(fd);
	return -1;
}

static int put(int fd, const char *text)
{
	return base_fd_write(fd, text, strlen(text), WAIT_MS);
}

/* Whoever does not read what stderr leads to makes the dump shorter, not rsmd wait. */
static void dump(int fd, const char *why)
{
	if (put(fd, "rsmd: flight recorder, newest last: ") || put(fd, why) || put(fd, "\n") ||
	    rsmd_recorder_write(fd, WAIT_MS))
		return;
	put(fd, "rsmd: end of the flight recorder\n");
}

static const char *name_of(int number)
{
	switch (number) {
	case SIGSEGV:
		return "SIGSEGV";
	case SIGBUS:
		return "SIGBUS";
	case SIGABRT:
		return "SIGABRT";
	case SIGILL:
		return "SIGILL";
	case SIGFPE:
		return "SIGFPE";
	default:
		return "SIGUSR1";
	}
}

static void on_signal(int number)
{
	int saved = errno, fd = file_open();
	dump(fd < 0 ? STDERR_FILENO : fd, name_of(number));
	if (fd >= 0)
		close(fd);
	errno = saved;
}

/* SA_RESETHAND: a fault in here, and the signal that is raised again, do what they do without a handler. */
static void on_fault(int number)
{
	if (!is_dying) {
		is_dying = 1;
		on_signal(number);
	}
	raise(number); /* comes when the handler returns */
}

static void path_choose(void)
{
	const char *named = getenv("RSM_DUMP"), *directory = getenv("STATE_DIRECTORY");
	int length = 0;
	if (named && *named)
		length = snprintf(path, sizeof(path), "%s", named);
	else if (directory && *directory) /* several are separated by colons */
		length = snprintf(path, sizeof(path), "%.*s/rsmd.dump", (int)strcspn(directory, ":"),
				  directory);
	if (path[0] && (path[0] != '/' || length >= (int)sizeof(path))) {
		rsmd_log(RSMD_LOG_WARNING, "RSM_DUMP or STATE_DIRECTORY: not an absolute path: %.200s", path);
		path[0] = '\0';
	}
}

void rsmd_dump_open(void)
{
	const stack_t other = {.ss_sp = stack, .ss_size = sizeof(stack)};
	struct sigaction fault = {.sa_handler = on_fault, .sa_flags = SA_ONSTACK | (int)SA_RESETHAND};
	struct sigaction asked = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
	path_choose();
	sigaltstack(&other, NULL);
	sigemptyset(&fault.sa_mask);
	sigemptyset(&asked.sa_mask);
	for (size_t i = 0; i < FAULTS; i++)
		sigaction(faults[i], &fault, NULL);
	sigaction(SIGUSR1, &asked, NULL);
}

void rsmd_dump_spare(sigset_t *blocked)
{
	for (size_t i = 0; i < FAULTS; i++)
		sigdelset(blocked, faults[i]);
}

void rsmd_dump_fatal(void)
{
	int fd = file_open();
	if (fd < 0)
		return;
	dump(fd, "fatal error");
	close(fd);
}
