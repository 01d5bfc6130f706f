/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The status table: one shared page run per rsmd, written by rsmd alone, mapped read-only by every client.
 * One cache line per segment. The data path reads `epoch` and nothing else.
 *
 * Shared layout, version SEGMENT_STATUS_VERSION: processes of other releases read it. Fields are only added in
 * the padding.
 */
#ifndef SEGMENT_STATUS_H
#define SEGMENT_STATUS_H

#include <stdatomic.h>
#include <stdint.h>

#define SEGMENT_STATUS_MAGIC   0x524d5354u /* "RSMT" */
#define SEGMENT_STATUS_VERSION 1u

/*
 * The epoch word. High half: generation, raised by every withdrawal; an import whose generation
 * differs is aborted for good. Low half: layout, raised when other memory was put behind the segment, and odd while
 * the pages are being moved there; an import waits until it is even, asks for the new layout and goes on.
 */
#define SEGMENT_EPOCH(generation, layout) ((uint64_t)(generation) << 32 | (uint32_t)(layout))
#define SEGMENT_EPOCH_GENERATION(epoch)   ((uint32_t)((epoch) >> 32))
#define SEGMENT_EPOCH_LAYOUT(epoch)       ((uint32_t)(epoch))
#define SEGMENT_EPOCH_IS_MOVING(epoch)    (((epoch)&1) != 0)

/* The layout half as a futex: importers sleep on it, rsmd wakes them. */
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define SEGMENT_EPOCH_FUTEX(word) ((uint32_t *)(uintptr_t)(word))
#else
#define SEGMENT_EPOCH_FUTEX(word) ((uint32_t *)(uintptr_t)(word) + 1)
#endif

struct segment_status {
	_Atomic uint64_t epoch;
	_Atomic uint32_t importers; /* connected import handles */
	uint32_t pad[13];
};

/* Slot 0 of the table. Segments use slots 1..slots-1. */
struct segment_status_head {
	uint32_t magic;
	uint32_t version;
	uint32_t slots;
	_Atomic uint32_t changes; /* raised when a table of counters comes or goes */
	uint32_t pad[12];
};

_Static_assert(sizeof(struct segment_status) == 64, "one cache line");
_Static_assert(sizeof(struct segment_status_head) == 64, "one cache line");

#endif
