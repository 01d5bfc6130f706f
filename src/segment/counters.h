/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Counters of the data path. One table per importing process, a sealed memfd made by rsmd, written by that process
 * alone and read by viewers; and one of rsmd's own, for importers of other nodes. A row per import. Nobody is asked and
 * nothing is locked, neither to count nor to look.
 *
 * A table is what its writer says of itself: whose it is, and how many rows it can have, rsmd says; every value in it may be
 * nonsense, the node and the segment of a row as well.
 *
 * Shared layout, version SEGMENT_COUNTERS_VERSION: processes of other releases read it. Fields are only added in the
 * padding.
 */
#ifndef SEGMENT_COUNTERS_H
#define SEGMENT_COUNTERS_H

#include <stdatomic.h>
#include <stdint.h>

#define SEGMENT_COUNTERS_MAGIC   0x4e435352u /* "RSCN" */
#define SEGMENT_COUNTERS_VERSION 1u

/*
 * Cells of a row. Each but the last one belongs to one thread at a time, which adds by plain loads and stores; all other
 * threads share the last one and add atomically. A sum over the cells is exact once the threads rest.
 */
#define SEGMENT_COUNTERS_CELLS 4u

/* One cache line, so that threads do not disturb each other. */
struct segment_counters_cell {
	_Atomic uint64_t puts, gets; /* calls; an item call and a vector are one */
	_Atomic uint64_t bytes_put, bytes_got;
	_Atomic uint64_t posts;    /* of signals */
	_Atomic uint64_t spans;    /* closed */
	_Atomic uint64_t failures; /* data calls and barriers */
	uint64_t pad;
};

struct segment_counters_row {
	uint64_t zero
		[2]; /* for good: where a thread without a cell of its own would find puts and gets (lib/count.h) */
	/*
	 * 0: free. Else a number that no other row of this table has had or will have; written last, and set to 0 first: a reader
	 * that finds the same one before and after has read one import's row.
	 */
	_Atomic uint32_t id;
	_Atomic uint32_t node; /* that owns the segment; 0 with segment_id 0: all imports that found no row */
	_Atomic uint32_t segment_id; /* of the segment */
	_Atomic uint32_t importer;   /* rsmd's table only: the importing process, of another node */
	_Atomic uint32_t uid;
	_Atomic int32_t pid;
	_Atomic uint64_t length;     /* bytes of the segment */
	_Atomic uint64_t latency_ns; /* of one put or get, smoothed; 0: not known */
	uint64_t pad;
	union {
		struct segment_counters_cell cells[SEGMENT_COUNTERS_CELLS];
		struct { /* rsmd's table: its one data thread needs one cell */
			struct segment_counters_cell guest;
			_Atomic uint64_t program[8]; /* 64 characters, ended by 0 if there are fewer */
		};
	};
};

/* Before the rows. */
struct segment_counters {
	_Atomic uint32_t magic;
	_Atomic uint32_t version;
	_Atomic uint32_t high; /* rows from here on were never used */
	uint32_t pad[13];
	/*
	 * Sums of rows that were given back: added after the row's id was set to 0, so that who reads them first, and the rows then,
	 * finds nothing twice.
	 */
	struct segment_counters_cell closed;
	struct segment_counters_row rows[];
};

/* Rows of a process's table, the last of which is shared by the imports that find no other. Only used pages take memory. */
#define SEGMENT_COUNTERS_ROWS 2048u

#define SEGMENT_COUNTERS_SIZE(rows)                                                                          \
	(sizeof(struct segment_counters) + (uint64_t)(rows) * sizeof(struct segment_counters_row))

_Static_assert(sizeof(struct segment_counters_cell) == 64, "one cache line");
_Static_assert(sizeof(struct segment_counters_row) == 320, "a line and its cells");
_Static_assert(sizeof(struct segment_counters) == 128, "a line, and the closed rows");

#endif
