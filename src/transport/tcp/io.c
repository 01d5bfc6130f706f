/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The only reads and writes of data connections, and the two loops that wait: until everything is sent, and until
 * answers are there. While the socket takes no more, answers are taken, so that both ends never wait for each other.
 */
#include "transport/tcp/tcp.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/cpu.h"
#include "rsmapi.h"

ssize_t tcp_read(struct tcp_link *link, const struct iovec *pieces, int count)
{
	ssize_t got;
	if (link->tls != NULL) {
		got = tcp_secure_module()->read(link->tls, pieces[0].iov_base, pieces[0].iov_len);
	} else {
		struct msghdr message = {.msg_iov = (struct iovec *)(uintptr_t)pieces,
					 .msg_iovlen = (size_t)count};
		do
			got = count == 1 ? recv(link->socket, pieces->iov_base, pieces->iov_len, MSG_DONTWAIT)
					 : recvmsg(link->socket, &message, MSG_DONTWAIT);
		while (got < 0 && errno == EINTR);
		got = got < 0 ? -errno : got;
	}
	if (got > 0)
		link->moved += (uint64_t)got;
	return got;
}

/*
 * One record for a header and what belongs to it. Who is told to come again does so with the same pieces, as TLS wants it:
 * nothing is given up half-way but the connection.
 */
static ssize_t tls_write(struct tcp_link *link, const struct iovec *pieces, int count)
{
	if (count == 1 || pieces[0].iov_len >= TCP_RECORD)
		return tcp_secure_module()->write(link->tls, pieces[0].iov_base, pieces[0].iov_len);
	size_t used = 0;
	for (int i = 0; i < count && used < TCP_RECORD; i++) {
		size_t part = pieces[i].iov_len < TCP_RECORD - used ? pieces[i].iov_len : TCP_RECORD - used;
		memcpy(link->record + used, pieces[i].iov_base, part);
		used += part;
	}
	return tcp_secure_module()->write(link->tls, link->record, used);
}

ssize_t tcp_write(struct tcp_link *link, const struct iovec *pieces, int count)
{
	ssize_t sent;
	if (link->tls != NULL) {
		sent = tls_write(link, pieces, count);
	} else {
		struct msghdr message = {.msg_iov = (struct iovec *)(uintptr_t)pieces,
					 .msg_iovlen = (size_t)count};
		const int flags = MSG_DONTWAIT | MSG_NOSIGNAL;
		do
			sent = count == 1 ? send(link->socket, pieces->iov_base, pieces->iov_len, flags)
					  : sendmsg(link->socket, &message, flags);
		while (sent < 0 && errno == EINTR);
		sent = sent < 0 ? -errno : sent;
	}
	if (sent > 0)
		link->moved += (uint64_t)sent;
	return sent;
}

short tcp_poll_events(const struct tcp_link *link, short events)
{
	if (link->tls != NULL && tcp_secure_module()->wants_write(link->tls))
		events |= POLLOUT;
	return events;
}

static int lost(struct transport_import *import, int error, const char *why)
{
	tcp_lose(import->link, error == ENODATA ? 0 : error, why);
	return tcp_verdict(import);
}

/* The socket is full: answers are taken, then both directions are waited for. */
static int send_wait(struct transport_import *import)
{
	const char *why = NULL;
	int error = tcp_reap_present(import->link, &why);
	if (error != -EAGAIN)
		return lost(import, -error, why);
	return tcp_wait(import, POLLIN | POLLOUT);
}

static int send_all(struct transport_import *import, struct iovec *pieces, int count)
{
	for (;;) {
		for (; count > 0 && pieces->iov_len == 0; count--)
			pieces++;
		if (count == 0)
			return RSM_SUCCESS;
		ssize_t sent = tcp_write(import->link, pieces, count);
		if (sent < 0 && sent != -EAGAIN)
			return lost(import, (int)-sent, "sending to the segment's node failed");
		if (sent < 0) {
			int code = send_wait(import);
			if (code != RSM_SUCCESS)
				return code;
			continue;
		}
		for (size_t left = (size_t)sent; left > 0;) {
			size_t part = left < pieces->iov_len ? left : pieces->iov_len;
			pieces->iov_base = (char *)pieces->iov_base + part;
			pieces->iov_len -= part;
			left -= part;
			if (pieces->iov_len == 0)
				pieces++, count--;
		}
	}
}

/* A thread that is cancelled half-way through a frame would leave a mutex locked and the connection spoilt. */
int tcp_send(struct transport_import *import, struct tcp_batch *batch)
{
	int state;
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
	int code = send_all(import, batch->pieces, batch->count);
	if (code == RSM_SUCCESS) {
		import->link->gathered = 0;
		import->link->gets_unsent = 0;
	}
	pthread_setcancelstate(state, NULL);
	return code;
}

/* A spin before the sleep, left out for longer and longer where it did not help, as signal waits do. */
static bool spin_begin(struct tcp_link *link)
{
	if (!link->can_spin)
		return false;
	if (link->spin_skip == 0)
		return true;
	link->spin_skip--;
	return false;
}

static void spin_end(struct tcp_link *link, bool helped)
{
	unsigned backoff = helped ? 0 : link->spin_backoff * 2u + 1u;
	link->spin_backoff = (uint8_t)(backoff > TCP_SPIN_SKIP ? TCP_SPIN_SKIP : backoff);
	link->spin_skip = link->spin_backoff;
}

static int await(struct transport_import *import, uint32_t keep)
{
	struct tcp_link *link = import->link;
	bool spins = false;
	uint64_t until = 0;
	for (;;) {
		const char *why = NULL;
		int error = tcp_reap(link, keep, &why);
		if (error == 0) {
			if (spins)
				spin_end(link, true);
			return RSM_SUCCESS;
		}
		if (error != -EAGAIN)
			return lost(import, -error, why);
		if (until == 0) {
			spins = spin_begin(link);
			until = spins ? base_clock_ns() + TCP_SPIN_NS : 1;
		}
		if (spins && base_clock_ns() < until) {
			base_cpu_relax();
			continue;
		}
		if (spins)
			spin_end(link, false);
		spins = false;
		/* What was answered before the abort is there by now. */
		if (transport_is_aborted(import) && tcp_reap(link, keep, &why) == 0)
			return RSM_SUCCESS;
		int code = tcp_wait(import, POLLIN);
		if (code != RSM_SUCCESS)
			return code;
	}
}

int tcp_await(struct transport_import *import, uint32_t keep)
{
	if (import->link->count <= keep)
		return RSM_SUCCESS;
	int state;
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
	int code = await(import, keep);
	pthread_setcancelstate(state, NULL);
	return code;
}
