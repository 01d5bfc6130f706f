/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Who knocks costs one descriptor and no thread until he has shown a key or a ticket. There is room for some that say nothing; beyond
 * that the oldest goes first, so that a crowd of silent connections keeps nobody out who speaks at once.
 */
#include "rsmd/knock.h"

#include <errno.h>
#include <rsmapi.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "base/clock.h"
#include "base/fd.h"
#include "rsmd/address.h"
#include "rsmd/data.h"
#include "rsmd/guest.h"
#include "rsmd/log.h"
#include "rsmd/loop.h"
#include "rsmd/peer.h"
#include "wire/tls.h"

#define KNOCKS_MAX 1024u

struct knock {
	int socket;
	const struct rsmd_controller *controller;
	struct rsmd_watch *watch;
	struct wire_tls *tls; /* NULL: plain, or nothing came yet */
	bool shaken;          /* the handshake is done */
	uint8_t bytes[WIRE_HELLO_SIZE];
	size_t length;
	uint64_t end_ns; /* until when it has to show */
	struct knock *prev, *next;
};

static struct knock *knocks; /* utlist, the oldest first */
static unsigned knock_count;
static struct rsmd_timer *timer;

/* Takes it out of the list; its socket and TLS are somebody else's then, or closed by knock_drop. */
static void knock_leave(struct knock *knock)
{
	rsmd_loop_unwatch(knock->watch);
	DL_DELETE(knocks, knock);
	knock_count--;
	free(knock);
}

static void knock_drop(struct knock *knock)
{
	int socket = knock->socket;
	wire_tls_close(knock->tls);
	knock_leave(knock);
	base_fd_close(&socket);
}

__attribute__((format(printf, 2, 3))) static void offend(struct knock *knock, const char *format, ...)
{
	struct sockaddr_storage address = {0};
	socklen_t size = sizeof(address);
	char from[RSMD_ADDRESS_TEXT], cause[160];
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(cause, sizeof(cause), format, arguments);
	va_end(arguments);
	getpeername(knock->socket, (struct sockaddr *)&address, &size);
	rsmd_address_text(&address, from);
	rsmd_log_offence("connection from %s to %s dropped: %s", from, knock->controller->name, cause);
	knock_drop(knock);
}

static void on_time(void *context)
{
	uint64_t now = base_clock_ns();
	(void)context;
	while (knocks && knocks->end_ns <= now)
		offend(knocks, "it did not show a key or a ticket within dead-after");
	if (knocks)
		rsmd_loop_timer_start(timer, (knocks->end_ns - now) / 1000000u + 1);
}

/* The node of "rsm-node-N", if it is a peer of ours that opens the path of this controller. */
static struct rsmd_peer *peer_of(const struct knock *knock, const char *identity)
{
	unsigned node;
	int end = 0;
	if (sscanf(identity, "rsm-node-%u%n", &node, &end) != 1 || identity[end] ||
	    node >= rsmd_server.config.node_id)
		return NULL;
	return rsmd_peer_find(node, knock->controller);
}

static bool ticket_of(const char *identity, uint64_t *id)
{
	unsigned long long number;
	int end = 0;
	if (strlen(identity) != 27 || sscanf(identity, "rsm-ticket-%16llx%n", &number, &end) != 1 ||
	    end != 27)
		return false;
	*id = number;
	return true;
}

static bool lookup(void *context, const char *identity, uint8_t key[WIRE_TLS_KEY_SIZE])
{
	const uint8_t *secret = NULL;
	uint64_t ticket;
	if (peer_of(context, identity))
		secret = rsmd_peers_key();
	else if (ticket_of(identity, &ticket))
		secret = rsmd_guest_secret(ticket);
	if (secret)
		memcpy(key, secret, WIRE_TLS_KEY_SIZE);
	return secret != NULL;
}

/* A refusal that the other side can read; what it has said was read, so that closing does not take the answer away. */
static void welcome_refuse(struct knock *knock, int code)
{
	struct wire_welcome welcome = {WIRE_DATA_VERSION, (uint16_t)code, wire_order_own()};
	uint8_t bytes[WIRE_WELCOME_SIZE];
	wire_welcome_pack(&welcome, bytes);
	if (knock->tls)
		(void)!wire_tls_write(knock->tls, bytes, sizeof(bytes));
	else
		(void)!send(knock->socket, bytes, sizeof(bytes), MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* The ticket of a hello is good for the way that it came: a ticket's TLS for that ticket alone. */
static struct rsmd_guest *claim(const struct knock *knock, const struct wire_hello *hello)
{
	uint64_t named = 0;
	if (knock->tls && (!ticket_of(wire_tls_identity(knock->tls), &named) || named != hello->ticket.id))
		return NULL;
	struct rsmd_guest *guest = rsmd_guest_claim(&hello->ticket);
	if (!guest || guest->peer->member.controller == knock->controller)
		return guest;
	rsmd_guest_abort(guest, RSMERR_CONN_ABORTED, "its data connection came to another controller");
	return NULL;
}

/* A whole hello is there: the ticket decides. */
static void on_hello(struct knock *knock)
{
	struct wire_hello hello;
	int error = wire_hello_unpack(knock->bytes, &hello);
	explicit_bzero(knock->bytes, sizeof(knock->bytes));
	if (error == -EPROTONOSUPPORT) {
		welcome_refuse(knock, RSMERR_BAD_LIBRARY_VERSION);
		offend(knock,
		       "its library speaks version %u of data connections, rsmd %s version %u; install the "
		       "same "
		       "release on both nodes",
		       hello.version, RSM_RELEASE, WIRE_DATA_VERSION);
		return;
	}
	if (error) {
		offend(knock, "neither TLS nor the hello of a data connection");
		return;
	}
	if (!knock->tls && knock->controller->encrypt) {
		welcome_refuse(knock, RSMERR_PERM_DENIED);
		offend(knock, "a data connection without encryption, and the controller has encrypt = yes");
		return;
	}
	struct rsmd_guest *guest = claim(knock, &hello);
	explicit_bzero(&hello.ticket, sizeof(hello.ticket));
	if (!guest) {
		welcome_refuse(knock, RSMERR_CONN_ABORTED);
		offend(knock, "its ticket is unknown, used, or older than 10 s");
		return;
	}
	int socket = knock->socket;
	struct wire_tls *tls = knock->tls;
	knock_leave(knock);
	rsmd_grant_ref(guest->grant);
	if (!rsmd_data_serve(socket, tls, guest->grant, hello.order != wire_order_own()))
		rsmd_guest_abort(guest, RSMERR_INSUFFICIENT_MEM, "rsmd has no memory for a data connection");
}

/* TLS is done: a node's stream goes to its path, a ticket's waits for the hello. True: go on reading. */
static bool on_shaken(struct knock *knock)
{
	struct rsmd_peer *peer = peer_of(knock, wire_tls_identity(knock->tls));
	knock->shaken = true;
	if (!peer)
		return true;
	struct wire_stream *stream = wire_stream_open(knock->tls);
	if (!stream) {
		offend(knock, "no memory for a stream");
		return false;
	}
	int socket = knock->socket;
	knock_leave(knock);
	rsmd_peer_accept(peer, socket, stream);
	return false;
}

/* True: the handshake is done, and reading goes on. */
static bool shake(struct knock *knock)
{
	if (knock->shaken)
		return true;
	int error = wire_tls_handshake(knock->tls);
	if (error == -EAGAIN)
		rsmd_loop_wait_for(knock->watch,
				   wire_tls_wants_write(knock->tls) ? RSMD_WAIT_WRITE : RSMD_WAIT_READ);
	else if (error == -EACCES)
		offend(knock,
		       "it has not the cluster's key, or names a node that is no peer here, or a ticket that "
		       "is not good");
	else if (error)
		offend(knock, "TLS handshake: %s", strerror(-error));
	if (error)
		return false;
	rsmd_loop_wait_for(knock->watch, RSMD_WAIT_READ);
	return on_shaken(knock);
}

/* The first byte tells what it is; it stays in the socket for who reads it. */
static bool begin(struct knock *knock)
{
	uint8_t first;
	ssize_t got = recv(knock->socket, &first, 1, MSG_PEEK);
	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (got <= 0) {
		knock_drop(knock); /* a look whether somebody listens */
		return false;
	}
	if (first != WIRE_TLS_FIRST_BYTE)
		return true;
	int error = wire_tls_server(knock->socket, lookup, knock, &knock->tls);
	if (error)
		offend(knock, "TLS cannot begin: %s", strerror(-error));
	return !error;
}

static void on_ready(void *context)
{
	struct knock *knock = context;
	if (!knock->tls && !knock->length && !begin(knock))
		return;
	if (knock->tls && !shake(knock))
		return;
	uint8_t *at = knock->bytes + knock->length;
	size_t room = sizeof(knock->bytes) - knock->length;
	ssize_t got = knock->tls ? wire_tls_read(knock->tls, at, room) : recv(knock->socket, at, room, 0);
	int error = got >= 0 ? 0 : knock->tls ? (int)-got : errno;
	if (error == EAGAIN || error == EINTR)
		return;
	if (got <= 0) {
		offend(knock, "it ended before its hello was complete");
		return;
	}
	knock->length += (size_t)got;
	if (knock->length == sizeof(knock->bytes))
		on_hello(knock);
	else if (knock->tls && wire_tls_pending(knock->tls))
		on_ready(knock); /* at most once for each byte of the hello */
}

bool rsmd_knocks_open(void)
{
	timer = rsmd_loop_timer(on_time, NULL);
	return timer != NULL;
}

void rsmd_knocks_close(void)
{
	while (knocks)
		knock_drop(knocks);
}

void rsmd_knock(int socket, const struct rsmd_controller *controller)
{
	unsigned most = (unsigned)rsmd_fd_last() / 8;
	if (most > KNOCKS_MAX)
		most = KNOCKS_MAX;
	if (knocks && knock_count >= most)
		offend(knocks,
		       "%u connections wait that have not shown a key or a ticket, this is the oldest", most);
	struct knock *knock = rsmd_fd_check(socket) ? NULL : calloc(1, sizeof(*knock));
	if (knock)
		knock->watch = rsmd_loop_watch(socket, on_ready, knock);
	if (!knock || !knock->watch) {
		rsmd_log_offence("%s: no room for another connection", controller->name);
		free(knock);
		base_fd_close(&socket);
		return;
	}
	knock->socket = socket;
	knock->controller = controller;
	knock->end_ns = base_clock_ns() + rsmd_server.config.dead_after_ms * 1000000u;
	DL_APPEND(knocks, knock);
	if (!knock_count++)
		rsmd_loop_timer_start(timer, rsmd_server.config.dead_after_ms);
}
