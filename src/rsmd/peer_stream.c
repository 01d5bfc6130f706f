/* SPDX-License-Identifier: BSD-2-Clause */
/* The messages of a path: TLS and hello first, then each goes to who knows it. */
#include "rsmd/peer_stream.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "rsmd/away.h"
#include "rsmd/guest.h"
#include "rsmd/loop.h"
#include "rsmd/rsmd.h"
#include "rsmd/unpack.h"

#define MESSAGES    64u          /* in a row, before others get their turn */
#define TURN_BYTES  (256u << 10) /* the same for long ones */
#define HELLO_LIMIT 4096u        /* bytes of a message, until it is known who sends */

/* False: none that may come now. */
static bool handle(struct rsmd_peer *peer, const Wire__PeerMessage *message)
{
	if (message->body_case == WIRE__PEER_MESSAGE__BODY_HELLO) {
		rsmd_hello_received(peer, message->hello);
		return true;
	}
	if (message->body_case == WIRE__PEER_MESSAGE__BODY_BYE) {
		rsmd_hello_bye(peer, message->bye);
		return true;
	}
	if (peer->state != RSMD_PEER_ACTIVE)
		return false;
	switch (message->body_case) {
	case WIRE__PEER_MESSAGE__BODY_BEAT:
		rsmd_beat_received(peer, message->beat);
		break;
	case WIRE__PEER_MESSAGE__BODY_CONNECT:
		rsmd_guest_connect(peer, message->connect);
		break;
	case WIRE__PEER_MESSAGE__BODY_CONNECTED:
		rsmd_away_connected(peer, message->connected);
		break;
	case WIRE__PEER_MESSAGE__BODY_DISCONNECT:
		rsmd_guest_disconnect(peer, message->disconnect);
		break;
	case WIRE__PEER_MESSAGE__BODY_ABORTED:
		rsmd_away_aborted(peer, message->aborted);
		break;
	case WIRE__PEER_MESSAGE__BODY_SIGNAL:
		rsmd_away_signalled(peer, message->signal);
		break;
	default: /* of a later release */
		break;
	}
	return true;
}

static void unpack(struct rsmd_peer *peer, const uint8_t *bytes, size_t length)
{
	Wire__PeerMessage *message = rsmd_unpack_peer(bytes, length);
	if (!message || !handle(peer, message))
		rsmd_peer_break(peer, message ? "a message before its hello" : "not a message");
	rsmd_unpack_reset();
}

static void receive(struct rsmd_peer *peer)
{
	const uint8_t *message;
	size_t length, taken = 0;
	for (unsigned i = 0; i < MESSAGES && taken < TURN_BYTES && !peer->broken; i++) {
		bool known = peer->state == RSMD_PEER_ACTIVE;
		int error = wire_stream_receive(peer->stream, known ? WIRE_STREAM_MESSAGE_MAX : HELLO_LIMIT,
						&message, &length);
		if (error == -EAGAIN)
			return;
		if (error == -EPROTO)
			rsmd_peer_break(peer, "not a stream of messages, or one that is too long");
		else if (error == -ECONNRESET || error == -EPIPE || (!error && !message))
			/* The other daemon ended it, after its fence, or has died. */
			rsmd_peer_end(peer, true, "its rsmd ended the stream");
		else if (error)
			rsmd_peer_break(peer, "receiving: %s", strerror(-error));
		else
			unpack(peer, message, length);
		taken += length;
		if (!peer->stream)
			return;
	}
	peer->again = true;
	rsmd_peer_turn();
}

/* TLS is done: hello goes out, theirs is awaited. */
static void greet(struct rsmd_peer *peer)
{
	rsmd_peer_set_state(peer, RSMD_PEER_UP);
	rsmd_loop_timer_start(peer->timer, rsmd_server.config.dead_after_ms);
	rsmd_hello_send(peer);
}

static void shake(struct rsmd_peer *peer)
{
	int error = wire_stream_handshake(peer->stream);
	if (error == -EAGAIN)
		return;
	if (error == -EACCES)
		rsmd_peer_break(peer, "it has another key: key-file must be the same on both nodes");
	else if (error)
		rsmd_peer_break(peer, "TLS handshake: %s", strerror(-error));
	else
		greet(peer);
}

void rsmd_peer_ready(void *context)
{
	struct rsmd_peer *peer = context;
	if (peer->broken || peer->socket < 0 || (!peer->stream && !rsmd_peer_dialled(peer)))
		return;
	if (peer->state == RSMD_PEER_DOWN)
		shake(peer);
	if (peer->state != RSMD_PEER_DOWN && !peer->broken) {
		int error = wire_stream_flush(peer->stream);
		if (error && error != -EAGAIN && error != -ECONNRESET && error != -EPIPE)
			rsmd_peer_break(peer, "sending: %s", strerror(-error));
		else if (!error)
			rsmd_guests_flush(peer);
		if (!peer->broken)
			receive(peer); /* tells an end by the other side */
	}
	if (peer->broken || !peer->stream)
		return;
	bool write = wire_stream_wants_write(peer->stream);
	enum rsmd_wait room = peer->state == RSMD_PEER_DOWN ? RSMD_WAIT_WRITE : RSMD_WAIT_BOTH;
	rsmd_loop_wait_for(peer->watch, write ? room : RSMD_WAIT_READ);
}

void rsmd_peer_deliver(struct rsmd_peer *peer)
{
	struct rsmd_note *notes = peer->notes;
	peer->notes = NULL; /* what these make comes in the next turn */
	while (notes) {
		struct rsmd_note *note = notes;
		DL_DELETE(notes, note);
		unpack(peer, note->bytes, note->length);
		free(note);
	}
}

static int send_note(struct rsmd_peer *peer, const Wire__PeerMessage *message, size_t length)
{
	struct rsmd_note *note = malloc(sizeof(*note) + length);
	if (!note)
		return -ENOMEM;
	note->length = wire__peer_message__pack(message, note->bytes);
	DL_APPEND(peer->notes, note);
	rsmd_peer_turn();
	return 0;
}

static int send_packed(struct rsmd_peer *peer, const Wire__PeerMessage *message, size_t length)
{
	uint8_t small[512], *bytes = small;
	if (length > sizeof(small))
		bytes = malloc(length);
	if (!bytes)
		return -ENOMEM;
	wire__peer_message__pack(message, bytes);
	int error = wire_stream_send(peer->stream, bytes, length);
	if (bytes != small)
		free(bytes);
	if (wire_stream_wants_write(peer->stream))
		rsmd_loop_wait_for(peer->watch, RSMD_WAIT_BOTH);
	return error;
}

void rsmd_peer_send(struct rsmd_peer *peer, Wire__PeerMessage__BodyCase body_case, void *body)
{
	Wire__PeerMessage message;
	wire__peer_message__init(&message);
	if (!peer->self && (!peer->stream || peer->broken || peer->state == RSMD_PEER_DOWN))
		return;
	message.body_case = body_case;
	message.hello = body; /* a union of pointers */
	size_t length = wire__peer_message__get_packed_size(&message);
	int error = peer->self ? send_note(peer, &message, length) : send_packed(peer, &message, length);
	if (error == -ENOBUFS) {
		rsmd_peer_break(peer, "it takes no messages: %u bytes wait", WIRE_STREAM_QUEUE_MAX);
	} else if (error == -ECONNRESET || error == -EPIPE) {
		/* Receiving tells that the other side has ended it, and what it said last. */
		peer->again = true;
		rsmd_peer_turn();
	} else if (error) {
		rsmd_peer_break(peer, "sending: %s", strerror(-error));
	}
}
