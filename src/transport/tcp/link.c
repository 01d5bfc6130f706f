/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How a data connection begins (connection, TLS where it is wanted, hello with the ticket, welcome) and ends. Nobody else
 * knows the link yet: no mutex, and every wait is bounded by the time after which the other node counts as dead.
 */
#include "transport/tcp/tcp.h"

#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/reason.h"
#include "rsmapi.h"

static int unreachable(int error, const char *doing)
{
	return base_refuse_errno(
		RSMERR_REMOTE_NODE_UNREACHABLE, error,
		"%s the rsmd of the segment's node failed; is its address reachable from this "
		"process?",
		doing);
}

/*
 * The other rsmd took the ticket back, or ended: that the segment was withdrawn just now is by far the likeliest, and whoever tries
 * again is told what is so.
 */
static int interrupted(void)
{
	return base_refuse(RSMERR_INTERRUPTED,
			   "the rsmd of the segment's node ended the data connection: the segment was "
			   "withdrawn, or that rsmd ended, while it was being connected");
}

static bool is_end(int error)
{
	return error == 0 || error == ECONNRESET || error == EPIPE;
}

/* One slice of waiting while the connection is being made. */
static int wait_ready(struct transport_import *import, short events, uint64_t end, const char *doing)
{
	struct tcp_link *link = import->link;
	int left = base_clock_ms_until(end);
	if (transport_is_aborted(import))
		return base_refuse(RSMERR_INTERRUPTED,
				   "the segment was withdrawn, or the path to its node was "
				   "lost, while it was being connected");
	if (left == 0)
		return unreachable(ETIMEDOUT, doing);
	struct pollfd ready = {.fd = link->socket, .events = tcp_poll_events(link, events)};
	if (poll(&ready, 1, left < TCP_SLICE_MS ? left : TCP_SLICE_MS) >= 0)
		return RSM_SUCCESS;
	return errno == EINTR ? base_refuse(RSMERR_INTERRUPTED, "a signal handler ran during the connect")
			      : unreachable(errno, doing);
}

static int open_socket(struct transport_import *import, const struct transport_remote *remote, uint64_t end)
{
	struct tcp_link *link = import->link;
	link->socket = base_fd_above_stdio(
		socket(remote->address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
	if (link->socket < 0)
		return base_refuse_errno(RSMERR_INSUFFICIENT_RESOURCES, errno,
					 "no socket for the data connection");
	const int on = 1;
	setsockopt(link->socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	if (connect(link->socket, (const struct sockaddr *)&remote->address, remote->address_length) == 0)
		return RSM_SUCCESS;
	if (errno != EINPROGRESS)
		return unreachable(errno, "connecting to");
	for (;;) {
		int code = wait_ready(import, POLLOUT, end, "connecting to");
		if (code != RSM_SUCCESS)
			return code;
		struct pollfd done = {.fd = link->socket, .events = POLLOUT};
		int error = 0;
		socklen_t length = sizeof error;
		if (poll(&done, 1, 0) <= 0)
			continue;
		getsockopt(link->socket, SOL_SOCKET, SO_ERROR, &error, &length);
		return error == 0 ? RSM_SUCCESS : unreachable(error, "connecting to");
	}
}

/* The ticket's secret is the key: who does not know it gets no further. */
static int secure(struct transport_import *import, const struct wire_ticket *ticket, uint64_t end)
{
	struct tcp_link *link = import->link;
	char identity[WIRE_TLS_IDENTITY_MAX];
	snprintf(identity, sizeof identity, "rsm-ticket-%016" PRIx64, ticket->id);
	link->record = malloc(TCP_RECORD);
	int error = link->record == NULL
			    ? -ENOMEM
			    : tcp_secure_module()->client(link->socket, identity, ticket->secret, &link->tls);
	if (error != 0) {
		link->tls = NULL;
		return base_refuse_errno(RSMERR_INSUFFICIENT_MEM, -error, "TLS cannot be started");
	}
	while ((error = tcp_secure_module()->handshake(link->tls)) != 0) {
		if (is_end(-error) || error == -EACCES) /* without its ticket the secret is no key any more */
			return interrupted();
		if (error != -EAGAIN)
			return unreachable(-error, "agreeing by TLS with");
		const bool writes = tcp_secure_module()->wants_write(link->tls);
		int code = wait_ready(import, writes ? POLLOUT : POLLIN, end, "agreeing by TLS with");
		if (code != RSM_SUCCESS)
			return code;
	}
	return RSM_SUCCESS;
}

enum direction { READ, WRITE };

/* All of it, in pieces. */
static int move(struct transport_import *import, enum direction direction, uint8_t *bytes, size_t length,
		uint64_t end)
{
	const char *doing = direction == READ ? "hearing the welcome of" : "saying hello to";
	for (size_t done = 0; done < length;) {
		const struct iovec rest = {bytes + done, length - done};
		ssize_t moved = direction == READ ? tcp_read(import->link, &rest, 1)
						  : tcp_write(import->link, &rest, 1);
		if (moved > 0)
			done += (size_t)moved;
		else if (moved != -EAGAIN)
			return is_end((int)-moved) ? interrupted() : unreachable((int)-moved, doing);
		else {
			int code = wait_ready(import, direction == READ ? POLLIN : POLLOUT, end, doing);
			if (code != RSM_SUCCESS)
				return code;
		}
	}
	return RSM_SUCCESS;
}

static int judge_welcome(const uint8_t bytes[WIRE_WELCOME_SIZE])
{
	struct wire_welcome welcome;
	int error = wire_welcome_unpack(bytes, &welcome);
	if (error == -EPROTONOSUPPORT)
		return base_refuse(RSMERR_REMOTE_NODE_UNREACHABLE,
				   "this library speaks version %u of data connections, the rsmd of the "
				   "segment's node %u; update the %s",
				   WIRE_DATA_VERSION, welcome.version,
				   welcome.version > WIRE_DATA_VERSION ? "library" : "rsmd of that node");
	if (error != 0)
		return base_refuse(RSMERR_REMOTE_NODE_UNREACHABLE,
				   "what answers at the address of the segment's node is no rsmd");
	if (welcome.code == RSM_SUCCESS)
		return RSM_SUCCESS;
	if (welcome.code == RSMERR_CONN_ABORTED)
		return interrupted();
	/* A code that does not exist would be no answer to the application. */
	const bool known = strcmp(base_code_name(welcome.code), "RSMERR_?") != 0;
	return base_refuse(known ? welcome.code : RSMERR_REMOTE_NODE_UNREACHABLE,
			   "the rsmd of the segment's node refused the data connection (code %u: %s)",
			   welcome.code, base_code_text(welcome.code));
}

static int greet(struct transport_import *import, const struct wire_ticket *ticket, uint64_t end)
{
	const struct wire_hello hello = {
		.version = WIRE_DATA_VERSION, .order = wire_order_own(), .ticket = *ticket};
	uint8_t said[WIRE_HELLO_SIZE], heard[WIRE_WELCOME_SIZE];
	wire_hello_pack(&hello, said);
	int code = move(import, WRITE, said, sizeof said, end);
	explicit_bzero(said, sizeof said);
	if (code == RSM_SUCCESS)
		code = move(import, READ, heard, sizeof heard, end);
	return code == RSM_SUCCESS ? judge_welcome(heard) : code;
}

/* Not this process's share of processors: who answers is another process, mostly on another host. Asked once: it opens a file. */
static bool can_spin(void)
{
	static _Atomic long processors;
	long count = atomic_load_explicit(&processors, memory_order_relaxed);
	if (count == 0) {
		count = sysconf(_SC_NPROCESSORS_ONLN);
		atomic_store_explicit(&processors, count, memory_order_relaxed);
	}
	return count > 1;
}

static struct tcp_link *link_make(uint32_t dead_after_ms)
{
	struct tcp_link *link = malloc(sizeof *link);
	if (link == NULL)
		return NULL;
	memset(link, 0, offsetof(struct tcp_link, ahead));
	pthread_mutex_init(&link->lock, NULL);
	link->socket = -1;
	link->forks = atomic_load(&tcp_forks);
	link->can_spin = can_spin();
	link->dead_after_ms = dead_after_ms;
	link->answers = link->few;
	link->capacity = TCP_ANSWERS_FEW;
	return link;
}

int tcp_attach(struct transport_import *import, const struct transport_layout *layout)
{
	const struct transport_remote *remote = &layout->remote;
	const uint64_t end = base_clock_ns() + (uint64_t)remote->dead_after_ms * 1000000u;
	int code = remote->encrypt ? tcp_secure_load() : RSM_SUCCESS;
	if (code != RSM_SUCCESS)
		return code;
	import->link = link_make(remote->dead_after_ms);
	if (import->link == NULL)
		return base_refuse(RSMERR_INSUFFICIENT_MEM, "no memory for a data connection");
	int state;
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
	code = open_socket(import, remote, end);
	if (code == RSM_SUCCESS && remote->encrypt)
		code = secure(import, &remote->ticket, end);
	if (code == RSM_SUCCESS)
		code = greet(import, &remote->ticket, end);
	pthread_setcancelstate(state, NULL);
	if (code != RSM_SUCCESS)
		tcp_detach(import);
	return code;
}

/*
 * What a span still holds is lost with it; the library orders before. A forked child only lets go: a farewell of its own
 * would end the parent's connection.
 */
void tcp_detach(struct transport_import *import)
{
	struct tcp_link *link = import->link;
	if (link == NULL)
		return;
	import->link = NULL;
	if (link->forks == atomic_load(&tcp_forks)) {
		if (link->tls != NULL)
			tcp_secure_module()->close(link->tls);
		if (link->socket >= 0)
			shutdown(link->socket, SHUT_RDWR); /* a forked child may hold a copy of it */
		pthread_mutex_destroy(&link->lock);
	}
	base_fd_close(&link->socket);
	if (link->answers != link->few)
		free(link->answers);
	free(link->gather);
	free(link->record);
	free(link);
}
