/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How a link ends and when that may be told. An end that the other rsmd made (FIN, RST) is told at once: it has fenced before, or
 * is gone. Anything else, a network that fails, is silence: what was sent may still be on its way, so nobody is told before the status word
 * says that this node's rsmd has counted the time, or, without an rsmd, the time was counted here (doc/protocol.md 6).
 */
#include "transport/tcp/tcp.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/reason.h"
#include "rsmapi.h"

void tcp_lose(struct tcp_link *link, int error, const char *why)
{
	if (link->health != TCP_WELL)
		return;
	link->health =
		error == 0 || error == ECONNRESET || error == EPIPE || error == EPROTO || error == ECANCELED
			? TCP_LOST
			: TCP_SILENT;
	link->error = error;
	link->why = why;
	/* Nothing of the application's memory is touched from here on. */
	link->count = 0;
	link->gets = 0;
	link->in_payload = false;
	link->gathered = 0;
	link->gets_unsent = 0;
	shutdown(link->socket, SHUT_RDWR);
}

int tcp_refuse_forked(void)
{
	return base_refuse_plain(RSMERR_CONN_ABORTED, "the parent process connected this segment; a forked "
						      "child connects anew");
}

static int refuse_withdrawn(void)
{
	return base_refuse_plain(RSMERR_CONN_ABORTED,
				 "the segment was withdrawn, or the path to its node was lost; connect "
				 "again to go on");
}

/* Gets that were asked for must not arrive any more: who is told of the abort may free their memory. */
int tcp_refuse_aborted(struct transport_import *import)
{
	struct tcp_link *link = import->link;
	pthread_mutex_lock(&link->lock);
	tcp_lose(link, ECANCELED, "aborted");
	pthread_mutex_unlock(&link->lock);
	return refuse_withdrawn();
}

/* Whether this node's rsmd, that would tell of an abort, has been gone for as long as a dead node takes to be dead. */
static bool is_given_up(struct transport_import *import, uint64_t now)
{
	struct tcp_link *link = import->link;
	if (!transport_is_orphaned(import)) {
		link->orphaned_ns = 0;
		return false;
	}
	if (link->orphaned_ns == 0)
		link->orphaned_ns = now;
	return now - link->orphaned_ns >= (uint64_t)link->dead_after_ms * 1000000u;
}

/* Nobody but an abort can end this wait, or time. */
static void silence_wait(struct transport_import *import)
{
	const uint64_t end = base_clock_ns() + tcp_silence_ns(import->link);
	for (uint64_t now = base_clock_ns(); now < end; now = base_clock_ns()) {
		if (transport_is_aborted(import) || is_given_up(import, now))
			return;
		poll(NULL, 0, TCP_SLICE_MS);
	}
}

int tcp_verdict(struct transport_import *import)
{
	struct tcp_link *link = import->link;
	if (link->health == TCP_SILENT) {
		int state;
		pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
		silence_wait(import);
		pthread_setcancelstate(state, NULL);
		link->health = TCP_LOST;
	}
	if (transport_is_aborted(import))
		return refuse_withdrawn();
	if (link->error == 0)
		return base_refuse_plain(RSMERR_CONN_ABORTED, link->why);
	return base_refuse_errno(RSMERR_CONN_ABORTED, link->error, "%s", link->why);
}

/* The slice ended without anything: is there still somebody to wait for? */
static void quiet_check(struct transport_import *import)
{
	struct tcp_link *link = import->link;
	uint64_t now = base_clock_ns();
	if (link->moved != link->moved_seen || link->quiet_ns == 0) {
		link->moved_seen = link->moved;
		link->quiet_ns = now;
		link->orphaned_ns = 0;
	}
	if (is_given_up(import, now))
		tcp_lose(link, 0,
			 "rsmd is gone, and the segment's node says nothing; connect again to go on");
	else if (now - link->quiet_ns >= TCP_STALL_NS)
		tcp_lose(link, ETIMEDOUT,
			 "the segment's node did not answer for two minutes; connect again to go on");
}

int tcp_wait(struct transport_import *import, short events)
{
	struct tcp_link *link = import->link;
	if (transport_is_aborted(import)) {
		tcp_lose(link, ECANCELED, "aborted");
		return refuse_withdrawn();
	}
	struct pollfd ready = {.fd = link->socket, .events = tcp_poll_events(link, events)};
	int count = poll(&ready, 1, TCP_SLICE_MS);
	if (count == 0)
		quiet_check(import);
	else if (count < 0 && errno != EINTR)
		tcp_lose(link, errno, "waiting for the segment's node failed");
	else
		link->quiet_ns = 0;
	return link->health == TCP_WELL ? RSM_SUCCESS : tcp_verdict(import);
}
