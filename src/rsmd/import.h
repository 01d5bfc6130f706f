/* SPDX-License-Identifier: BSD-2-Clause */
/* Import handles: connected to a published segment, or aborted and waiting for their owner to let go. */
#ifndef RSMD_IMPORT_H
#define RSMD_IMPORT_H

#include "rsmd/client.h"

struct rsmd_away;
struct rsmd_guest;

/*
 * Three kinds: a process of ours in a segment of ours (owner and export); a process of another node in a segment of ours
 * (guest and export, no owner); a process of ours in a segment of another node (owner and away, no export).
 */
struct rsmd_import {
	uint64_t id;
	struct rsmd_client *owner;
	struct rsmd_guest *guest;
	struct rsmd_away *away;
	struct rsmd_export *export; /* NULL: aborted, or away */
	uint32_t segment_id;        /* as it was asked for */
	bool told;                  /* its connection was an event, its end will be one */
	uint32_t granted;           /* bits of 0600 */
	uint32_t signal_slot;
	int doorbell;                    /* of this handle, or -1 */
	struct rsmd_import *prev, *next; /* of the same owner */
	UT_hash_handle hh;
};

/* The client's own import of that id, or NULL with a reason. */
struct rsmd_import *rsmd_import_find(const struct rsmd_client *client, uint64_t id);

/*
 * A connect of segment 0, which nobody can publish, measures a round trip (rsm ping): that it is refused is neither an event nor
 * counted. The same of a client's request, which may ask for a segment or for the outcome.
 */
bool rsmd_segment_measures(uint32_t segment_id);
bool rsmd_request_measures(const struct rsmd_client *client, const Wire__Request *request);

/* The number of connected handles of an export changes. */
void rsmd_import_count(struct rsmd_export *export, int32_t by);

/* Forced disconnect of one that has an export (a guest is freed): wakes its waiters, hangs up its descriptor, and cuts it off its export. */
void rsmd_import_abort(struct rsmd_import *import);

/* Disconnects and frees it. */
void rsmd_import_end(struct rsmd_import *import);

#endif
