/* SPDX-License-Identifier: BSD-2-Clause */
/* The library's lock and what fork does to it. */
#include "lib/lib.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "lib/count.h"
#include "lib/export.h"
#include "lib/memory.h"

#define FORK_WAIT_NS 60000000000u /* how long a fork waits for the child's copies at the most */

_Atomic pid_t lib_pid;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static int fork_pipe[2] = {-1, -1};
static int cancel_state; /* of the thread that holds the lock */

/* With the lock held no thread may be cancelled: opening, polling and receiving would be places for it. */
static void take(void)
{
	int state;
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
	pthread_mutex_lock(&lock);
	cancel_state = state;
}

static void give(void)
{
	int state = cancel_state;
	pthread_mutex_unlock(&lock);
	pthread_setcancelstate(state, NULL);
}

/*
 * Exported memory is shared, not copy-on-write: a child that writes to its heap would write to its parent's. So the
 * child gets private copies (doc/decisions/0012), and the parent waits until they are made, lest the child see what the parent
 * writes after the fork. posix_spawn, vfork and system() do not come here and cost nothing.
 */
static void before_fork(void)
{
	take();
	if (!lib_memory_is_empty() && pipe2(fork_pipe, O_CLOEXEC) != 0)
		fork_pipe[0] = fork_pipe[1] = -1;
}

static void after_fork_parent(void)
{
	base_fd_close(&fork_pipe[1]);
	if (fork_pipe[0] >= 0) {
		struct pollfd child_done = {.fd = fork_pipe[0], .events = POLLIN};
		const uint64_t end = base_clock_ns() + FORK_WAIT_NS;
		while (poll(&child_done, 1, base_clock_ms_until(end)) < 0 && errno == EINTR)
			;
	}
	base_fd_close(&fork_pipe[0]);
	give();
}

static void after_fork_child(void)
{
	atomic_store(&lib_pid, getpid());
	lib_memory_forked();
	base_fd_close(&fork_pipe[0]);
	base_fd_close(&fork_pipe[1]);
	lib_export_forked();
	lib_count_forked();
	transport_tcp_forked();
	lib_daemon_close(); /* the conversation is the parent's; we close our copy of its socket */
	give();
}

static void make_ready(void)
{
	atomic_store(&lib_pid, getpid());
	pthread_atfork(before_fork, after_fork_parent, after_fork_child);
}

void lib_lock(void)
{
	pthread_once(&once, make_ready);
	take();
}

void lib_unlock(void)
{
	struct lib_log_sink sink = lib_log_sink;
	give();
	lib_log_flush(&sink);
}

/* The transports see one lock per import; ours is one for all. */
void transport_lock(struct transport_import *import)
{
	(void)import;
	lib_lock();
}

void transport_unlock(struct transport_import *import)
{
	(void)import;
	lib_unlock();
}

/*
 * Asked while a data call waits, with a connection's own lock held. A control call that has the lock just now is an answer too, for
 * this time: it would find out by itself.
 */
bool transport_is_orphaned(struct transport_import *transport)
{
	const struct lib_import *import =
		(struct lib_import *)((char *)transport - offsetof(struct lib_import, transport));
	int state;
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
	bool orphaned = false;
	if (pthread_mutex_trylock(&lock) == 0) {
		orphaned = !lib_daemon_is_there(import->signal.session);
		pthread_mutex_unlock(&lock);
	}
	pthread_setcancelstate(state, NULL);
	return orphaned;
}

int lib_refuse_handle(const char *what, const void *value, int code)
{
	if (value == NULL)
		return base_refuse(code, "the %s handle is NULL", what);
	return base_refuse(code, "%p is not a %s handle of this process in use (freed, or of another kind?)",
			   value, what);
}
