/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * rsmd's side of events (segment/signal.h): makes a segment's signal memory, hands out its slots, rings the
 * descriptors for poll. Everybody admitted to the segment can write into it: nothing read here is trusted.
 */
#ifndef RSMD_SIGNAL_H
#define RSMD_SIGNAL_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "segment/signal.h"

struct rsmd_import;

/* Of one export. Exists once somebody connected or the exporter asked. */
struct rsmd_signals {
	int fd; /* -1: not made yet */
	struct segment_signal *memory;
	bool handed;                /* an importer got it */
	bool given;                 /* the exporter has it mapped: pending events are moved by the exporter */
	struct rsmd_import **slots; /* who has slot n; 0 is the exporter's */
	uint32_t slot_count;        /* length of the array */
	uint32_t lowest;            /* no free slot below it, save 0 */

	pthread_mutex_t
		bell; /* of doorbell: data threads ring it while the loop's thread may replace or close it */
	int doorbell; /* of the exporter, or -1 */
};

/* Nothing is there yet. */
void rsmd_signals_init(struct rsmd_signals *signals);
/* The end of it, when no grant is left. */
void rsmd_signals_end(struct rsmd_signals *signals);

/* RSM_SUCCESS or a code with a reason. Makes the memory if it is not there yet. */
int rsmd_signals_open(struct rsmd_signals *signals);

/* Slot for a new import, emptied and marked connected; lowest free first. */
int rsmd_signals_take(struct rsmd_signals *signals, struct rsmd_import *import, uint32_t *slot);
void rsmd_signals_give(struct rsmd_signals *signals, uint32_t slot);

/* Wakes who waits on the slot for good: the import is aborted. */
void rsmd_signals_abort(struct rsmd_signals *signals, uint32_t slot);

/*
 * After a withdrawal: new memory if somebody who was admitted still has the old one, with the exporter's
 * pending events. *fresh tells whether. On failure the old one stays. No grant may be left.
 */
int rsmd_signals_renew(struct rsmd_signals *signals, bool *fresh);

/* Rings a doorbell (-1: none) if the slot has events. */
void rsmd_signals_ring(struct rsmd_signals *signals, uint32_t slot, int doorbell);

/* The same for the exporter's slot and doorbell. The loop's thread, or a data thread under its grant's gate. */
void rsmd_signals_ring_exporter(struct rsmd_signals *signals);

#endif
