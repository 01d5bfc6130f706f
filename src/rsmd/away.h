/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Imports of other nodes' segments by our processes. An away import has a slot of the status table of its own, and a slot in
 * its client's signal memory, so that waits, polls and abort checks of the library are the same as on one host. The
 * loop's thread.
 */
#ifndef RSMD_AWAY_H
#define RSMD_AWAY_H

#include "rsmd/import.h"
#include "rsmd/peer.h"
#include "wire/frame.h"

enum rsmd_away_state {
	RSMD_AWAY_WAITING, /* for the path to come up, as long as its peer is awaited */
	RSMD_AWAY_ASKED,   /* PeerConnect is out */
	RSMD_AWAY_REFUSED, /* code and reason wait for ConnectResult */
	RSMD_AWAY_GRANTED, /* connected; the answer waits for ConnectResult, or was fetched */
	RSMD_AWAY_ABORTED,
};

struct rsmd_away {
	struct rsmd_import import; /* owner the client, export NULL, away this */
	struct rsmd_peer *peer;
	enum rsmd_away_state state;
	uint32_t slot; /* in the status table */
	uint32_t permission;
	bool fetched; /* the client has the outcome */
	int code;     /* refused */
	char *reason;
	uint64_t guest_id, length; /* granted */
	int32_t exporter_pid;
	uint32_t exporter_uid;
	struct wire_ticket ticket;
	struct rsmd_away *prev, *next; /* of the peer */
};

/* The rest of rsmd_import_connect for another node: RSM_SUCCESS with a pending answer, or a code with reason. */
int rsmd_away_connect(struct rsmd_client *client, const struct rsmd_controller *controller,
		      const Wire__Connect *asked, struct rsmd_answer *answer);
void rsmd_away_end(struct rsmd_away *away); /* disconnect, or the client's death */

static inline bool rsmd_away_is_aborted(const struct rsmd_away *away)
{
	return away->state == RSMD_AWAY_ABORTED;
}

/* Messages of a peer. */
void rsmd_away_connected(struct rsmd_peer *peer, const Wire__PeerConnected *said);
void rsmd_away_aborted(struct rsmd_peer *peer, const Wire__PeerAborted *said);
void rsmd_away_signalled(struct rsmd_peer *peer, const Wire__PeerSignal *said);

/*
 * The path is up: asks for all that wait. The path is lost: aborts those that were granted, refuses those that were asked for. It
 * stays down: refuses those that wait.
 */
void rsmd_aways_ask(struct rsmd_peer *peer);
void rsmd_aways_lose(struct rsmd_peer *peer, const char *reason);
void rsmd_aways_expire(struct rsmd_peer *peer);

#endif
