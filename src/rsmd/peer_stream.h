/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files behind peer.h share: peer.c (life of a path), dial.c, peer_stream.c (messages), hello.c, beat.c. */
#ifndef RSMD_PEER_STREAM_H
#define RSMD_PEER_STREAM_H

#include "rsmd/peer.h"

/* A message of the self path on its way. */
struct rsmd_note {
	struct rsmd_note *prev, *next;
	size_t length;
	uint8_t bytes[];
};

/* peer.c */
void rsmd_peer_set_state(struct rsmd_peer *peer, enum rsmd_peer_state state);
/*
 * Ends the stream now: guests are fenced before the peer can learn of it. `gone`: the peer has ended it after its own fence, so
 * that aways can be aborted at once; else they wait until silence has lasted long enough.
 */
void rsmd_peer_end(struct rsmd_peer *peer, bool gone, const char *why);
/* One line for each cause, however often a path that is down fails for it. */
void rsmd_peer_report(struct rsmd_peer *peer, const char *why);
/* Something is to be done in the loop's next turn. */
void rsmd_peer_turn(void);

/* dial.c: begins to connect; the stream's `ready` finishes it. */
void rsmd_peer_dial(struct rsmd_peer *peer);
/* The connection stands: TLS begins. False: broken. */
bool rsmd_peer_dialled(struct rsmd_peer *peer);

/* peer_stream.c */
void rsmd_peer_ready(void *context);            /* the socket is */
void rsmd_peer_deliver(struct rsmd_peer *peer); /* notes of the self path */

/* hello.c */
void rsmd_hello_send(struct rsmd_peer *peer);
void rsmd_hello_received(struct rsmd_peer *peer, const Wire__PeerHello *said);
void rsmd_hello_bye(struct rsmd_peer *peer, const Wire__PeerBye *said);
uint64_t rsmd_hello_own_dead_after_ns(void);

/* beat.c */
void rsmd_beat_start(struct rsmd_peer *peer); /* the path is active */
void rsmd_beat_tick(struct rsmd_peer *peer);  /* its timer */
void rsmd_beat_received(struct rsmd_peer *peer, const Wire__PeerBeat *said);

#endif
