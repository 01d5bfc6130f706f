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

/* Of this thread: the offset of its cell in a row's cells, LIB_COUNT_SHARED, or before its first call LIB_COUNT_NONE. */
#define LIB_COUNT_CELL   ((uint32_t)sizeof(struct segment_counters_cell))
#define LIB_COUNT_SHARED ((SEGMENT_COUNTERS_CELLS - 1) * LIB_COUNT_CELL)
#define LIB_COUNT_NONE   UINT32_MAX
extern _Thread_local uint32_t lib_count_thread __attribute__((tls_model("initial-exec")));

/* Gives this thread a cell, its own while there is one. Out of the way of those who have one. */
uint32_t lib_count_thread_enter(void);

/* In the child of a fork: the other threads' cells are free. */
void lib_count_forked(void);

/* Where an import counts that has no row, also in a forked child: read by nobody. */
extern struct segment_counters_row lib_count_nowhere;

/* Every so many calls of a thread are timed, a power of 2. Between nodes each is. */
#define LIB_COUNT_SAMPLE 1024u

static inline struct segment_counters_cell *lib_count_cell(const struct lib_import *import, uint32_t thread)
{
	return (struct segment_counters_cell *)(void *)((char *)import->counters->cells + thread);
}

/* The calling thread's cell, for what is rarer than a put. */
static inline struct segment_counters_cell *lib_count_own(const struct lib_import *import, bool *is_shared)
{
	uint32_t thread = lib_count_thread;
	if (lib_unlikely(thread == LIB_COUNT_NONE))
		thread = lib_count_thread_enter();
	*is_shared = thread == LIB_COUNT_SHARED;
	return lib_count_cell(import, thread);
}

/* Adds; the value before. */
static inline uint64_t lib_count_add(_Atomic uint64_t *counter, uint64_t more, bool is_shared)
{
	if (is_shared)
		return atomic_fetch_add_explicit(counter, more, memory_order_relaxed);
	uint64_t before = atomic_load_explicit(counter, memory_order_relaxed);
	atomic_store_explicit(counter, before + more, memory_order_relaxed);
	return before;
}

/*
 * The whole of it for a put or get that is neither the first of its thread, nor to be timed, nor in the shared cell. False:
 * nothing was counted.
 */
static inline __attribute__((always_inline)) bool lib_count_quickly(const struct lib_import *import,
								    bool is_put, uint64_t bytes)
{
	const uint32_t thread = lib_count_thread;
	if (lib_unlikely(thread >= LIB_COUNT_SHARED))
		return false;
	struct segment_counters_cell *cell = lib_count_cell(import, thread);
	_Atomic uint64_t *calls = is_put ? &cell->puts : &cell->gets;
	const uint64_t before = atomic_load_explicit(calls, memory_order_relaxed);
	if (lib_unlikely((before & import->sample) == 0))
		return false;
	atomic_store_explicit(calls, before + 1, memory_order_relaxed);
	lib_count_add(is_put ? &cell->bytes_put : &cell->bytes_got, bytes, false);
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
void lib_count_close(struct lib_import *import);

#endif
