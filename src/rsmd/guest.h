/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Imports of our segments by processes of other nodes. A guest has a slot in its export's signal memory (marked
 * SEGMENT_SIGNAL_FORWARD: who posts to it rings rsmd, which tells the guest's node), a grant, and a ticket until its data connection
 * has come. The loop's thread.
 */
#ifndef RSMD_GUEST_H
#define RSMD_GUEST_H

#include "rsmd/import.h"
#include "rsmd/peer.h"
#include "rsmd/target.h"
#include "wire/frame.h"

struct rsmd_guest {
	struct rsmd_import import; /* in the export's slots: owner NULL, guest this */
	struct rsmd_peer *peer;
	uint64_t away_id; /* the other node's id of it */
	uint32_t uid, gid;
	int32_t pid;
	char program[65];
	struct rsmd_grant *grant;
	struct wire_ticket ticket;
	bool claimed;        /* the ticket was used */
	uint64_t expires_ns; /* of the ticket, while it is not */
	bool single;         /* events on their way that wait for room in the stream */
	uint32_t events;
	struct rsmd_guest *prev, *next; /* of the peer */
	UT_hash_handle hh_ticket;
};

/* False: no memory. */
bool rsmd_guests_open(void);

/* Messages of a peer. */
void rsmd_guest_connect(struct rsmd_peer *peer, const Wire__PeerConnect *asked);
void rsmd_guest_disconnect(struct rsmd_peer *peer, const Wire__PeerDisconnect *said);

/* A data connection shows a ticket: the guest's, once; NULL when it is unknown, used or too old. */
struct rsmd_guest *rsmd_guest_claim(const struct wire_ticket *ticket);
/* For TLS, before the claim: the secret of a ticket that is still good. */
const uint8_t *rsmd_guest_secret(uint64_t ticket_id);

/* Forced disconnect: fences, tells the other node, frees. Of one (withdrawal), of all of a peer (its stream has ended: not told). */
void rsmd_guest_abort(struct rsmd_guest *guest, int code, const char *reason);
void rsmd_guests_lose(struct rsmd_peer *peer);

/* One event for each guest of the export, with the flags of the post. */
void rsmd_guests_signal(struct rsmd_export *export, uint32_t flags);

/* Adds what its data connection moved up to now. */
void rsmd_guest_count(const struct rsmd_guest *guest, struct rsmd_peer_counts *counts);

/* The stream has room again: sends the events that waited. */
void rsmd_guests_flush(struct rsmd_peer *peer);

#endif
