/* SPDX-License-Identifier: BSD-2-Clause */
#include "rsmd/watch.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <rsmapi.h>
#include <stdlib.h>
#include <unistd.h>
#include <utlist.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/reason.h"
#include "rsmd/client.h"
#include "rsmd/loop.h"

#define OF_CLIENT 8  /* watchers that one client may have */
#define OF_NODE   64 /* all clients together */
#define KEPT      16 /* of these, for root and rsmd's own user */

struct watcher {
	const struct rsmd_client *client;
	int pipe;
	struct rsmd_watch
		*room;     /* tells that the reader has gone; while lines are lost, that there is room */
	uint64_t lost;     /* lines that found no room since the last one that did */
	uint64_t lost_seq; /* the last one of them */
	struct watcher *prev, *next;
};

static struct watcher *watchers; /* utlist */
static size_t count;

static void watcher_end(struct watcher *watcher)
{
	DL_DELETE(watchers, watcher);
	count--;
	rsmd_loop_unwatch(watcher->room);
	base_fd_close(&watcher->pipe);
	free(watcher);
}

/* 0, EAGAIN (no room), or why the reader cannot be reached any more. */
static int put(const struct watcher *watcher, const struct rsmd_line *line)
{
	ssize_t written;
	do
		written = write(watcher->pipe, line->text, line->length);
	while (written < 0 && errno == EINTR);
	return written < 0 ? errno : 0;
}

/* How many were lost is told before anything else. */
static int put_lost(struct watcher *watcher)
{
	struct rsmd_line line;
	if (!watcher->lost)
		return 0;
	rsmd_line_begin(&line);
	rsmd_line_number(&line, "schema", 1);
	rsmd_line_number(&line, "seq", watcher->lost_seq);
	rsmd_line_time(&line, "time", base_clock_real_ns());
	rsmd_line_text(&line, "event", "lost");
	rsmd_line_number(&line, "count", watcher->lost);
	rsmd_line_end(&line);
	int error = put(watcher, &line);
	if (!error) {
		watcher->lost = 0;
		rsmd_loop_wait_for(watcher->room, RSMD_WAIT_READ);
	}
	return error;
}

static void on_room(void *context)
{
	struct watcher *watcher = context;
	int error = put_lost(watcher);
	/* A pipe's writing end is never readable: without anything to tell, the reader has gone. */
	struct pollfd pipe = {.fd = watcher->pipe};
	if ((error && error != EAGAIN) || poll(&pipe, 1, 0) > 0)
		watcher_end(watcher);
}

void rsmd_watchers_tell(const struct rsmd_line *line, uint64_t seq)
{
	struct watcher *watcher, *next;
	DL_FOREACH_SAFE(watchers, watcher, next)
	{
		/* cppcheck-suppress uninitvar ; a list element is one that was entered */
		int error = put_lost(watcher);
		if (!error)
			error = put(watcher, line);
		if (error == EAGAIN) {
			if (!watcher->lost++)
				rsmd_loop_wait_for(watcher->room, RSMD_WAIT_WRITE);
			watcher->lost_seq = seq;
		} else if (error) {
			watcher_end(watcher);
		}
	}
}

void rsmd_watchers_end(const struct rsmd_client *client)
{
	struct watcher *watcher, *next;
	DL_FOREACH_SAFE(watchers, watcher, next)
	if (watcher->client == client)
		watcher_end(watcher);
}

static int limits_check(const struct rsmd_client *client)
{
	const struct watcher *watcher;
	size_t own = 0;
	uid_t uid = client->identity.uid;
	DL_FOREACH(watchers, watcher)
	own += watcher->client == client;
	if (own >= OF_CLIENT)
		return base_refuse(RSMERR_INSUFFICIENT_RESOURCES,
				   "this process watches the node's events %zu times; %d is the limit of one "
				   "process, close one first",
				   own, OF_CLIENT);
	size_t limit = uid == 0 || uid == geteuid() ? OF_NODE : OF_NODE - KEPT;
	if (count >= limit)
		return base_refuse(
			RSMERR_INSUFFICIENT_RESOURCES,
			"%zu watchers read this node's events; the limit is %d, of which %d are kept "
			"for root and rsmd's own user",
			count, OF_NODE, KEPT);
	return RSM_SUCCESS;
}

RSMD_HANDLER(rsmd_watch_open)
{
	int ends[2];
	(void)request;
	(void)packet;
	int code = limits_check(client);
	if (code)
		return code;
	if (pipe2(ends, O_CLOEXEC))
		return base_refuse_errno(RSMERR_INSUFFICIENT_RESOURCES, errno, "rsmd cannot make a pipe");
	/* The reader's end blocks, as its owner may change; ours never does. */
	struct watcher *watcher = fcntl(ends[1], F_SETFL, O_NONBLOCK) ? NULL : calloc(1, sizeof(*watcher));
	code = rsmd_fd_keep(&ends[1]);
	if (!code && watcher)
		watcher->room = rsmd_loop_watch(ends[1], on_room, watcher);
	if (code || !watcher || !watcher->room) {
		base_fd_close(&ends[0]);
		base_fd_close(&ends[1]);
		free(watcher);
		return code ? code : base_refuse(RSMERR_INSUFFICIENT_MEM, "rsmd has no memory for a watcher");
	}
	watcher->client = client;
	watcher->pipe = ends[1];
	DL_APPEND(watchers, watcher);
	count++;
	rsmd_answer_add_fd(answer, ends[0], true);
	return RSM_SUCCESS;
}
