/* SPDX-License-Identifier: BSD-2-Clause */
/* How SIGINT and SIGTERM end what goes on until then. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include "rsm/tool.h"

#define STUCK_S 1 /* how long the rest may take to be printed */

volatile sig_atomic_t tool_ends;

static void interrupt(int number)
{
	(void)number;
	tool_ends = 1;
	alarm(STUCK_S);
}

static void end(int number)
{
	(void)number;
	_exit(TOOL_OK);
}

static void enders(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGINT);
	sigaddset(set, SIGTERM);
}

void tool_ends_take(void)
{
	struct sigaction action = {.sa_handler = interrupt, .sa_flags = SA_RESTART};
	enders(&action.sa_mask);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	action.sa_handler = end;
	sigaction(SIGALRM, &action, NULL);
}

/* They are blocked between the look and the wait: none is missed. */
int tool_ends_wait(struct pollfd *stream, const struct timespec *limit)
{
	sigset_t ends, open;
	enders(&ends);
	sigprocmask(SIG_BLOCK, &ends, &open);
	errno = EINTR;
	int ready = tool_ends ? -1 : ppoll(stream, stream ? 1 : 0, limit, &open), error = errno;
	sigprocmask(SIG_SETMASK, &open, NULL);
	errno = error;
	return ready;
}
