/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The signal memory of one segment: a sealed memfd that rsmd makes when the first importer connects or the
 * exporter first asks. Everybody who was admitted to the segment, and its exporter, map it read-write: whoever may
 * signal can also spoil the signals of this one segment (not its data, and no other segment). So nothing here is
 * trusted: every index is bounded, and every wait looks at the read-only status table at least once a second.
 *
 * Slot 0 belongs to the exporter, slot n to the import handle that rsmd gave signal_slot n.
 * Shared layout: processes of other releases use it; with another one WIRE_VERSION would be another.
 */
#ifndef SEGMENT_SIGNAL_H
#define SEGMENT_SIGNAL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SEGMENT_SIGNAL_SLOTS 65536u
#define SEGMENT_SIGNAL_SIZE  ((size_t)SEGMENT_SIGNAL_SLOTS * sizeof(struct segment_signal))

/* Set in `events` by rsmd when the import is aborted, so that a waiter wakes; the low 31 bits count. */
#define SEGMENT_SIGNAL_ABORTED 0x80000000u
#define SEGMENT_SIGNAL_COUNT   0x7fffffffu

/* In `doorbell`: the import is of another node. Who posts leaves the slot alone and tells rsmd, which has the event sent. */
#define SEGMENT_SIGNAL_FORWARD 2u

struct segment_signal {
	_Atomic uint32_t events;  /* the futex word: pending events, and SEGMENT_SIGNAL_ABORTED */
	_Atomic uint32_t waiters; /* 1: somebody may sleep on it; who posts sets 0 and wakes all */
	_Atomic uint32_t
		doorbell; /* 1: a descriptor for poll exists; a post that makes events 1 rings rsmd. Or SEGMENT_SIGNAL_FORWARD */
	_Atomic uint32_t connected; /* 1: the slot is in use (written by rsmd) */
	_Atomic uint32_t high;      /* slot 0 only: highest slot ever in use (written by rsmd) */
	uint32_t pad[11];
};

/*
 * `count` events for the owner of a slot, with a full fence before; wakes who sleeps. `no_accumulate`: one, if nothing is
 * pending. True: a descriptor for poll has to be made readable. Any thread, no lock.
 */
bool segment_signal_post(struct segment_signal *slot, uint32_t count, bool no_accumulate);

_Static_assert(sizeof(struct segment_signal) == 64, "one cache line");

#endif
