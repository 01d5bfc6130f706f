/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a data connection may reach: the memory of one export as rsmd has it mapped, and its signal memory. Made by the
 * loop's thread when the first guest comes; used by data threads through a grant, each access under the grant's gate, so that after
 * rsmd_grant_close or rsmd_grant_hold has returned no byte moves any more.
 */
#ifndef RSMD_TARGET_H
#define RSMD_TARGET_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "segment/counters.h"
#include "segment/signal.h"
#include "segment/view.h"
#include "wire/frame.h"

struct rsmd_export;
struct rsmd_peer;
struct rsmd_target;

/* One guest's access. The loop's thread makes and closes it; the data thread of its connection uses it under `gate`. */
struct rsmd_grant {
	pthread_mutex_t gate;
	_Atomic bool
		wanted; /* the loop's thread waits for the gate: the data thread lets go and does not take it again */
	bool closed, held; /* under gate */
	uint64_t held_ns;  /* under gate: since when (base_clock_ns) */
	int socket;        /* under gate: of its data connection, which the data thread closes; -1: none */

	struct segment_view
		view;     /* under gate; base NULL while held. Mapped once per export, shared by its grants */
	uint32_t granted; /* RSM_PERM_ bits */
	uint64_t length;  /* bytes of the segment */
	struct rsmd_signals *signals;  /* the exporter's slot is 0; under gate */
	const _Atomic uint64_t *lease; /* of its peer; NULL: no end */
	uint64_t guest_id;
	atomic_uint references; /* the guest's and the connection's; the last one frees it */

	struct rsmd_target
		*target; /* the loop's thread, like the list of the target's grants; NULL: closed */
	struct rsmd_grant *prev, *next;

	struct segment_counters_cell
		*counted; /* written by the data thread, read by status; of the guest's row, or `own` */
	struct segment_counters_cell own;
};

/*
 * The map of an export's memory, for all its grants. RSM_SUCCESS, or a code with reason. Repeated: counts uses. Each guest
 * opens it before its grant is made, and closes it after the grant.
 */
int rsmd_target_open(struct rsmd_export *export);
void rsmd_target_close(struct rsmd_export *export);

/*
 * The exporter moves its memory: guests wait (their requests stay in the socket). rsmd_target_move ends it with a map of the
 * export's new extents; when that cannot be had, the connections of all guests end. Both are fences; neither does anything
 * where there is no guest.
 */
void rsmd_target_hold(struct rsmd_export *export);
void rsmd_target_move(struct rsmd_export *export);

/*
 * A grant on an open target, with one reference, the guest's; NULL: no memory. Who hands it to rsmd_data_serve takes another
 * one for the connection before.
 */
struct rsmd_grant *rsmd_grant_make(struct rsmd_export *export, struct rsmd_peer *peer, uint32_t granted,
				   uint64_t guest_id);
/* Fences: on return nothing of this guest reaches memory or signals any more. Drops the guest's reference. */
void rsmd_grant_close(struct rsmd_grant *grant);
void rsmd_grant_ref(struct rsmd_grant *grant);
void rsmd_grant_unref(struct rsmd_grant *grant);

#endif
