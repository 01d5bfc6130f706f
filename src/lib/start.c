/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Finds rsmd, and starts a private one where nobody listens. Many processes may come here at once: the lock on the
 * socket's directory lets one of them start it, the others find the socket when the lock is free again
 * (doc/architecture.md). Under lib_lock; waits end after START_NS.
 */
#include "lib/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/place.h"
#include "base/reason.h"
#include "rsmapi.h"

#define START_NS 10000000000u /* how long rsmd may take to answer its socket */
#define LOCK_FD  3            /* where the child finds the locked directory */
#define ALIVE_FD 4            /* what rsmd holds until it is ready */

struct start_place {
	char directory[PATH_MAX];
	char socket[sizeof((struct sockaddr_un *)0)->sun_path];
	char program[PATH_MAX];
};

/* A connected socket, or a negative errno. */
static int connect_to(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	if (strlen(path) >= sizeof address.sun_path)
		return -ENAMETOOLONG;
	strcpy(address.sun_path, path);
	int fd = base_fd_above_stdio(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
	if (fd < 0)
		return -errno;
	/* Bounds connect (a full backlog) and every later send: no call waits for ever for a stuck rsmd. */
	const struct timeval bound = {.tv_sec = START_NS / 1000000000u};
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &bound, sizeof bound);
	while (connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
		if (errno == EINTR)
			continue;
		int error = errno;
		base_fd_close(&fd);
		return -error;
	}
	return fd;
}

/* The directory of this user's private socket, made 0700 if missing. */
static int private_place(struct start_place *place)
{
	struct stat st;
	if (!base_place_private(place->directory, sizeof place->directory) ||
	    snprintf(place->socket, sizeof place->socket, "%s/rsmd.sock", place->directory) >=
		    (int)sizeof place->socket)
		return base_refuse(RSMERR_CTLR_NOT_PRESENT,
				   "the path of rsmd's socket is too long for a socket; set "
				   "XDG_RUNTIME_DIR to a shorter one");
	if (mkdir(place->directory, 0700) != 0 && errno != EEXIST)
		return base_refuse_errno(RSMERR_CTLR_NOT_PRESENT, errno, "cannot make %s for rsmd's socket",
					 place->directory);
	if (lstat(place->directory, &st) != 0 || !S_ISDIR(st.st_mode) || st.st_uid != geteuid() ||
	    (st.st_mode & 022) != 0)
		return base_refuse(
			RSMERR_CTLR_NOT_PRESENT,
			"%s must be a directory of uid %u that nobody else can write; remove it or set "
			"XDG_RUNTIME_DIR",
			place->directory, geteuid());
	return RSM_SUCCESS;
}

struct starter {
	const struct start_place *place;
	int lock;
	int alive; /* write end of a pipe that rsmd keeps open until it is ready or has failed */
	sigset_t no_signals;
	char *stack; /* of the second child */
};

/* In the children, which share our memory until one execs: system calls only. */
static int starter_exec(void *argument)
{
	struct starter *starter = argument;
	int null = open("/dev/null", O_RDWR);
	int lock = fcntl(starter->lock, F_DUPFD, ALIVE_FD + 1),
	    alive = fcntl(starter->alive, F_DUPFD, ALIVE_FD + 1);
	for (int fd = 0; fd <= 2; fd++)
		if (dup2(null, fd) < 0)
			_exit(127);
	if (dup2(lock, LOCK_FD) < 0 || dup2(alive, ALIVE_FD) < 0)
		_exit(127);
	syscall(SYS_close_range, ALIVE_FD + 1, ~0u, 0);
	setsid();
	if (chdir("/") != 0)
		_exit(127);
	for (int number = 1; number < NSIG; number++)
		signal(number, SIG_DFL);
	sigprocmask(SIG_SETMASK, &starter->no_signals, NULL);
	execl(starter->place->program, starter->place->program, "--private", "--detach", "--lock-fd", "3",
	      "--socket", starter->place->socket, (char *)NULL);
	_exit(127);
}

/* The first child only makes the second one an orphan: rsmd is nobody's child in the application. */
static int starter_orphan(void *argument)
{
	struct starter *starter = argument;
	_exit(clone(starter_exec, starter->stack, CLONE_VM | CLONE_VFORK | SIGCHLD, starter) < 0 ? 127 : 0);
}

/*
 * Runs `rsmd --private --detach`, which goes on in the background, and waits until it answers or has failed. No SIGCHLD
 * reaches the application and its wait() sees nothing: our one child has exit signal 0 and is waited for by __WCLONE.
 */
static int program_run(const struct start_place *place, int lock)
{
	static char stacks[2][32768] __attribute__((aligned(16))); /* lib_lock: one starter per process */
	struct starter starter = {.place = place, .lock = lock, .stack = stacks[1] + sizeof stacks[1]};
	int ends[2];
	if (pipe2(ends, O_CLOEXEC) != 0)
		return base_refuse_errno(RSMERR_CTLR_NOT_PRESENT, errno, "cannot start %s", place->program);
	starter.alive = ends[1];
	sigset_t all, saved;
	sigfillset(&all);
	sigemptyset(&starter.no_signals);
	pthread_sigmask(SIG_BLOCK, &all, &saved);
	pid_t pid = clone(starter_orphan, stacks[0] + sizeof stacks[0], CLONE_VM | CLONE_VFORK, &starter);
	int error = errno;
	pthread_sigmask(SIG_SETMASK, &saved, NULL);
	base_fd_close(&ends[1]);
	if (pid < 0) {
		base_fd_close(&ends[0]);
		return base_refuse_errno(RSMERR_CTLR_NOT_PRESENT, error, "cannot start %s", place->program);
	}
	while (waitpid(pid, NULL, __WCLONE) < 0 && errno == EINTR)
		;
	struct pollfd done = {.fd = ends[0]};
	const uint64_t end = base_clock_ns() + START_NS;
	while (poll(&done, 1, base_clock_ms_until(end)) < 0 && errno == EINTR)
		;
	base_fd_close(&ends[0]);
	return RSM_SUCCESS;
}

/* With the directory locked: somebody may have been faster; else we start it. */
static int connect_or_run(struct start_place *place, int lock)
{
	int fd = connect_to(place->socket);
	if (fd >= 0)
		return fd;
	if (!base_place_program((const void *)lib_start_connect, place->program, sizeof place->program)) {
		base_refuse(
			RSMERR_CTLR_NOT_PRESENT,
			"nobody listens at %s and no rsmd was found to start (beside the library or in PATH)",
			place->socket);
		return -1;
	}
	if (program_run(place, lock) != RSM_SUCCESS)
		return -1;
	fd = connect_to(place->socket);
	if (fd < 0)
		base_refuse_errno(RSMERR_CTLR_NOT_PRESENT, -fd,
				  "rsmd did not start; run it by hand to see why: %s --private --socket %s",
				  place->program, place->socket);
	return fd < 0 ? -1 : fd;
}

static int start_private(struct start_place *place)
{
	const uint64_t deadline = base_clock_ns() + START_NS;
	const struct timespec pause = {.tv_nsec = 2000000};
	for (;;) {
		int fd = connect_to(place->socket);
		if (fd >= 0)
			return fd;
		int lock = base_fd_above_stdio(open(place->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
		if (lock < 0) {
			base_refuse_errno(RSMERR_CTLR_NOT_PRESENT, errno, "cannot open %s", place->directory);
			return -1;
		}
		if (flock(lock, LOCK_EX | LOCK_NB) == 0) {
			fd = connect_or_run(place, lock);
			base_fd_close(&lock); /* rsmd has its own copy until it is ready */
			return fd;
		}
		base_fd_close(&lock);
		if (base_clock_ns() >= deadline) {
			base_refuse(RSMERR_CTLR_NOT_PRESENT,
				    "another process has been starting rsmd at %s for 10 s", place->socket);
			return -1;
		}
		nanosleep(&pause, NULL);
	}
}

int lib_start_connect(void)
{
	const char *chosen = secure_getenv("RSM_SOCKET");
	if (chosen != NULL && chosen[0] != '\0') {
		int fd = connect_to(chosen);
		if (fd < 0)
			base_refuse_errno(
				RSMERR_CTLR_NOT_PRESENT, -fd,
				"no rsmd answers at %s, which RSM_SOCKET names; start one there or unset it",
				chosen);
		return fd < 0 ? -1 : fd;
	}
	int fd = connect_to(BASE_PLACE_SYSTEM_SOCKET);
	if (fd >= 0)
		return fd;
	struct start_place place;
	if (private_place(&place) != RSM_SUCCESS)
		return -1;
	return start_private(&place);
}
