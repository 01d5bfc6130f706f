/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A path: one other node as this node reaches it through one controller. Owns the TLS stream with that node's rsmd, says and
 * hears hello and beats, decides when the path is up and when it is lost, and hands every other message to guest.c
 * (their processes in our segments) or away.c (our processes in theirs). All of it in the loop's thread; only `lease` is read
 * by the data threads.
 *
 * One stream is one life of a path: with its end all guests lose their access (first) and all away imports are aborted
 * (then). The node with the smaller number opens streams; the other one is opened to.
 */
#ifndef RSMD_PEER_H
#define RSMD_PEER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "rsmd/log.h"
#include "rsmd/member.h"
#include "wire/peer.pb-c.h"
#include "wire/stream.h"

#define WIRE_PEER_VERSION 1u

struct rsmd_guest;
struct rsmd_away;
struct rsmd_note;
struct rsmd_watch;
struct rsmd_timer;

/* As rsm_get_interconnect_topology(3rsm) tells them. */
enum rsmd_peer_state { RSMD_PEER_DOWN = 1, RSMD_PEER_UP = 2, RSMD_PEER_ACTIVE = 3, RSMD_PEER_LEAVING = 4 };

/* Since rsmd started, for metrics; what guests moved: of those that have gone. */
struct rsmd_peer_counts {
	uint64_t losses, connects, refusals;
	uint64_t puts, gets, posts, bytes_in, bytes_out;
};

struct rsmd_peer {
	struct rsmd_member member;
	enum rsmd_peer_state state; /* UP: a stream, no hello yet; ACTIVE: usable */
	bool self; /* the path of a `loop = yes` controller to this very node: messages without a stream */

	int socket; /* -1: no stream */
	struct wire_stream *stream;
	struct rsmd_watch *watch;
	struct rsmd_timer *timer; /* to dial again, until when the other side may hesitate, the next beat */
	uint32_t retry_ms;        /* before dialling again */
	bool again;               /* messages wait inside the stream */
	bool broken;              /* the stream ends in the loop's next turn, `fault` tells why */
	char fault[256];
	char said[256];               /* what the log knows of a path that is down: told once */
	struct rsmd_log_budget lines; /* in the log: who has the key may come and go as often as it likes */
	struct rsmd_note *notes;      /* utlist: messages of the self path */

	/* of the present stream, from the peer's hello */
	uint64_t incarnation;
	char release[32];
	char controller[RSMD_NAME_MAX]; /* the peer's name of it */
	uint64_t hwaddr;
	bool encrypt; /* data connections to the peer are TLS */
	uint64_t dead_after_ns;

	/*
	 * Until when (CLOCK_BOOTTIME, ns) data connections of the peer's processes may touch memory; 0: not at all. Data
	 * threads read it before each access.
	 */
	_Atomic uint64_t lease;
	uint64_t heard_ns;      /* when the last beat came that counts (CLOCK_BOOTTIME) */
	uint64_t heard_time_ns; /* the peer's clock in it, echoed in ours */
	uint64_t seen_ns;       /* when the last one came at all */
	uint64_t seen_time_ns;
	uint64_t arrived_ns;    /* newest beat of ours that the peer has seen: our clock in it */
	uint64_t round_trip_ns; /* of the newest answered beat */
	int64_t clock_ahead_ns; /* the peer's wall clock against ours, in the newest beat that tells it */
	bool clock_known;
	uint64_t changed_ns; /* when `state` changed (base_clock_ns) */
	uint64_t hello_ns;   /* when our hello was sent (CLOCK_BOOTTIME): the first beat */
	uint64_t lost_ns;    /* when the path was lost, or we started (CLOCK_BOOTTIME) */
	bool silent; /* lost, but the aways have to wait until the other side has fenced for certain */
	struct rsmd_timer *away_timer; /* of what waits for a path that is down */

	struct rsmd_peer_counts counts;
	struct rsmd_guest *guests; /* utlists */
	struct rsmd_away *aways;
	uint32_t guest_count, away_count;
	bool events_wait; /* some guest has events that found no room in the stream */
	struct rsmd_peer *prev, *next;
};

/* Opens the membership source and starts dialling. False: error tells why. */
bool rsmd_peers_open(char *error, size_t size);

/* Says farewell to all, after the fence: guests have lost their access. */
void rsmd_peers_close(void);

extern struct rsmd_peer *rsmd_peers; /* utlist */

/* The path to a node through a controller, or NULL. */
struct rsmd_peer *rsmd_peer_find(uint32_t node, const struct rsmd_controller *controller);

/* Sends a message, chosen by body_case as in rsm.proto's Request. A failure ends the stream, later, by itself. */
void rsmd_peer_send(struct rsmd_peer *peer, Wire__PeerMessage__BodyCase body_case, void *body);

/* The cluster's key, 32 bytes; all zeros without peers. */
const uint8_t *rsmd_peers_key(void);

/* The stream ends, later, because of what the peer did or what happened to it. Repeated: the first cause counts. */
void rsmd_peer_break(struct rsmd_peer *peer, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* An import waits for the path: sees to it that it does not wait for ever. False: the path has been down too long. */
bool rsmd_peer_is_awaited(struct rsmd_peer *peer);

/* Gives the peer a stream on an accepted socket, its TLS handshake done (gate.c). */
void rsmd_peer_accept(struct rsmd_peer *peer, int socket, struct wire_stream *stream);

#endif
