/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Counting on the data path (segment/counters.h): which cell is this thread's, and adding to it. No system call, no lock, and no
 * store to memory that threads share, but for processes with more threads in data calls than a row has cells of their own.
 */
#ifndef LIB_COUNT_H
#define LIB_COUNT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "lib/lib.h"
#include "segment/counters.h"

/*
 * Of this thread: the offset of its own cell in a row, in bytes; 0: it has none. At offset 0 lie the row's zeros, and a count of 0
 * leads off the shortest way like every LIB_COUNT_SAMPLE-th: one comparison for both.
 */
extern _Thread_local uint32_t lib_count_thread __attribute__((tls_model("initial-exec")));

/* In the child of a fork: the other threads' cells are free. */
void lib_count_forked(void);

/* Where an import counts that has no row, also in a forked child: read by nobody. */
extern struct segment_counters_row lib_count_nowhere;

/* Every so many calls of a thread are timed, a power of 2; each where it is a round trip between nodes. */
#define LIB_COUNT_SAMPLE 1024u

/*
 * The whole of it for a put or get of a thread with a cell of its own that is not to be timed. False: nothing was counted.
 */
static inline __attribute__((always_inline)) bool lib_count_quickly(const struct lib_import *import,
								    bool is_put, uint64_t bytes)
{
	struct segment_counters_cell *cell =
		(struct segment_counters_cell *)(void *)((char *)import->counters + lib_count_thread);
	_Atomic uint64_t *calls = is_put ? &cell->puts : &cell->gets;
	const uint64_t before = atomic_load_explicit(calls, memory_order_relaxed);
	if (lib_unlikely((before & atomic_load_explicit(&import->sample, memory_order_relaxed)) == 0))
		return false;
	atomic_store_explicit(calls, before + 1, memory_order_relaxed);
	_Atomic uint64_t *moved = is_put ? &cell->bytes_put : &cell->bytes_got;
	atomic_store_explicit(moved, atomic_load_explicit(moved, memory_order_relaxed) + bytes,
			      memory_order_relaxed);
	return true;
}

/* A put, get or vector; true: it is to be timed. */
bool lib_count_transfer(const struct lib_import *import, bool is_put, uint64_t bytes);

/* How long one took that is to be timed. */
void lib_count_latency(const struct lib_import *import, uint64_t ns);

/* Others. */
void lib_count_signal(const struct lib_import *import);
void lib_count_span(const struct lib_import *import, int code);
void lib_count_failure(const struct lib_import *import);

/*
 * A row for a new import, and back with it. Asks rsmd once per conversation for the table. Where none is to be had the import
 * counts nowhere: never an error. Under lib_lock.
 */
void lib_count_open(struct lib_import *import);

/* The import has another mode: in the explicit one puts are gathered and gets pipelined, and a clock would cost what they do. */
void lib_count_mode(struct lib_import *import);
void lib_count_close(struct lib_import *import);

#endif
