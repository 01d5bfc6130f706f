/* SPDX-License-Identifier: BSD-2-Clause */
/* Whose cell is whose, and which row is which import's; see count.h. */
#include "lib/count.h"

#include <pthread.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>

#include "base/fd.h"
#include "segment/memfd.h"

#define OTHERS   (SEGMENT_COUNTERS_ROWS - 1) /* the row of all that find no other */
#define SMOOTHED 8u                          /* a sample changes the latency by an eighth of the difference */

struct segment_counters_row lib_count_nowhere;

/* ---- threads ---- */

/* Cells but the last one are a thread's own. */
#define OWN_CELLS (SEGMENT_COUNTERS_CELLS - 1)

_Thread_local uint32_t lib_count_thread;
/* This thread has asked for a cell. */
static _Thread_local bool has_entered __attribute__((tls_model("initial-exec")));

static atomic_uint taken; /* a bit for each cell that is a thread's own */
static pthread_key_t key; /* its destructor gives the cell back */
static bool has_key;
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* Of a cell that is this thread's own. */
static uint32_t cell_number(void)
{
	return (lib_count_thread - (uint32_t)offsetof(struct segment_counters_row, cells)) /
	       (uint32_t)sizeof(struct segment_counters_cell);
}

/* At the thread's end. What it still calls from other destructors counts in the shared cell. */
static void thread_leave(void *value)
{
	(void)value;
	const uint32_t number = cell_number();
	lib_count_thread = 0;
	/* Releases: the next owner goes on from what was counted. */
	if (number < OWN_CELLS)
		atomic_fetch_and_explicit(&taken, ~(1u << number), memory_order_release);
}

static void key_make(void)
{
	has_key = pthread_key_create(&key, thread_leave) == 0;
}

/* The library may be unloaded before its threads end. */
static __attribute__((destructor)) void key_end(void)
{
	if (has_key)
		pthread_key_delete(key);
}

/* Gives this thread a cell of its own if there is one. */
static __attribute__((cold)) void thread_enter(void)
{
	has_entered = true;
	pthread_once(&once, key_make);
	uint32_t number;
	unsigned bits = atomic_load_explicit(&taken, memory_order_relaxed);
	do {
		for (number = 0; number < OWN_CELLS && (bits & 1u << number) != 0; number++)
			;
		if (!has_key || number == OWN_CELLS)
			return;
	} while (!atomic_compare_exchange_weak_explicit(&taken, &bits, bits | 1u << number,
							memory_order_acquire, memory_order_relaxed));
	lib_count_thread = (uint32_t)(offsetof(struct segment_counters_row, cells) +
				      number * sizeof(struct segment_counters_cell));
	if (pthread_setspecific(key, &lib_count_thread) != 0)
		thread_leave(NULL);
}

/* ---- adding, off the shortest way ---- */

/* The calling thread's cell. */
static struct segment_counters_cell *cell_of(const struct lib_import *import, bool *is_shared)
{
	if (lib_unlikely(!has_entered))
		thread_enter();
	*is_shared = lib_count_thread == 0;
	return *is_shared ? &import->counters->cells[OWN_CELLS] : &import->counters->cells[cell_number()];
}

/* Adds; the value before. */
static uint64_t add(_Atomic uint64_t *counter, uint64_t more, bool is_shared)
{
	if (is_shared)
		return atomic_fetch_add_explicit(counter, more, memory_order_relaxed);
	uint64_t before = atomic_load_explicit(counter, memory_order_relaxed);
	atomic_store_explicit(counter, before + more, memory_order_relaxed);
	return before;
}

bool lib_count_transfer(const struct lib_import *import, bool is_put, uint64_t bytes)
{
	bool is_shared;
	struct segment_counters_cell *cell = cell_of(import, &is_shared);
	uint64_t before = add(is_put ? &cell->puts : &cell->gets, 1, is_shared);
	add(is_put ? &cell->bytes_put : &cell->bytes_got, bytes, is_shared);
	return (before & atomic_load_explicit(&import->sample, memory_order_relaxed)) == 0;
}

void lib_count_latency(const struct lib_import *import, uint64_t ns)
{
	_Atomic uint64_t *word = &import->counters->latency_ns;
	/* Two threads that take a sample at once lose one of them. */
	uint64_t old = atomic_load_explicit(word, memory_order_relaxed);
	uint64_t smoothed = old == 0 ? ns : (old * (SMOOTHED - 1) + ns + SMOOTHED / 2) / SMOOTHED;
	atomic_store_explicit(word, smoothed == 0 ? 1 : smoothed, memory_order_relaxed);
}

void lib_count_signal(const struct lib_import *import)
{
	bool is_shared;
	struct segment_counters_cell *cell = cell_of(import, &is_shared);
	add(&cell->posts, 1, is_shared);
}

void lib_count_span(const struct lib_import *import, int code)
{
	bool is_shared;
	struct segment_counters_cell *cell = cell_of(import, &is_shared);
	add(&cell->spans, 1, is_shared);
	if (lib_unlikely(code != RSM_SUCCESS))
		add(&cell->failures, 1, is_shared);
}

void lib_count_failure(const struct lib_import *import)
{
	bool is_shared;
	struct segment_counters_cell *cell = cell_of(import, &is_shared);
	add(&cell->failures, 1, is_shared);
}

void transport_failed(struct transport_import *transport)
{
	lib_count_failure((struct lib_import *)((char *)transport - offsetof(struct lib_import, transport)));
}

/* ---- rows ---- */

/* This process's table; of the present conversation. Those of earlier ones stay mapped: imports may outlive rsmd. */
static struct {
	uint32_t session; /* in which it was asked for; 0: never */
	struct segment_counters *table;
	uint32_t fresh;                        /* rows from here on were never used */
	uint32_t last_id;                      /* of a row */
	uint16_t spare[SEGMENT_COUNTERS_ROWS]; /* stack of rows that were given back */
	uint32_t spare_count;
	uint32_t others; /* imports in the last row */
} own;

static void table_map(struct lib_reply *reply)
{
	const size_t size = SEGMENT_COUNTERS_SIZE(SEGMENT_COUNTERS_ROWS);
	int fd = wire_packet_take(&reply->packet, 0);
	if (fd >= 0 && segment_memfd_verify(fd, size, true, true) == RSM_SUCCESS) {
		void *table = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		own.table = table == MAP_FAILED ? NULL : table;
	}
	base_fd_close(&fd);
	if (own.table == NULL)
		return;
	atomic_store_explicit(&own.table->version, SEGMENT_COUNTERS_VERSION, memory_order_relaxed);
	atomic_store_explicit(&own.table->magic, SEGMENT_COUNTERS_MAGIC, memory_order_release);
}

static void table_open(void)
{
	if (own.session == lib_daemon.session)
		return;
	own.session = lib_daemon.session;
	own.table = NULL;
	own.fresh = own.last_id = own.spare_count = own.others = 0;
	if ((lib_daemon.features & WIRE_FEATURE_COUNTERS) == 0)
		return;
	Wire__Counters message = WIRE__COUNTERS__INIT;
	struct lib_reply reply = {0};
	message.own = true;
	if (lib_daemon_call(WIRE__REQUEST__BODY_COUNTERS, &message, -1, &reply) == RSM_SUCCESS)
		table_map(&reply);
	lib_reply_clear(&reply);
}

static void row_fill(struct segment_counters_row *row, const struct lib_import *import, uint32_t id)
{
	const bool is_one = import != NULL;
	memset(row->cells, 0, sizeof row->cells);
	atomic_store_explicit(&row->latency_ns, 0, memory_order_relaxed);
	atomic_store_explicit(&row->node, is_one ? import->node : 0, memory_order_relaxed);
	atomic_store_explicit(&row->segment_id, is_one ? import->segment_id : 0, memory_order_relaxed);
	atomic_store_explicit(&row->length, is_one ? import->transport.length : 0, memory_order_relaxed);
	atomic_store_explicit(&row->id, id, memory_order_release);
}

static uint32_t row_take(void)
{
	if (own.spare_count > 0)
		return own.spare[--own.spare_count];
	return own.fresh < OTHERS ? own.fresh++ : OTHERS;
}

void lib_count_mode(struct lib_import *import)
{
	const bool is_round_trip = lib_import_is_away(import) && atomic_load(&import->transport.implicit);
	atomic_store_explicit(&import->sample, is_round_trip ? 0 : LIB_COUNT_SAMPLE - 1,
			      memory_order_relaxed);
}

void lib_count_open(struct lib_import *import)
{
	import->counters = &lib_count_nowhere;
	lib_count_mode(import);
	table_open();
	if (own.table == NULL)
		return;
	uint32_t index = row_take();
	import->counters = &own.table->rows[index];
	if (index < OTHERS || own.others++ == 0)
		row_fill(import->counters, index < OTHERS ? import : NULL, ++own.last_id);
	if (index >= atomic_load_explicit(&own.table->high, memory_order_relaxed))
		atomic_store_explicit(&own.table->high, index + 1, memory_order_release);
}

static void word_add(_Atomic uint64_t *sum, const _Atomic uint64_t *counter)
{
	atomic_fetch_add_explicit(sum, atomic_load_explicit(counter, memory_order_relaxed),
				  memory_order_relaxed);
}

/* What the node's sums keep of a row that the next import will begin anew. */
static void row_close(struct segment_counters_row *row)
{
	struct segment_counters_cell *closed = &own.table->closed;
	atomic_store_explicit(&row->id, 0, memory_order_release);
	atomic_thread_fence(memory_order_seq_cst); /* the id, then the sums */
	for (const struct segment_counters_cell *cell = row->cells;
	     cell < row->cells + SEGMENT_COUNTERS_CELLS; cell++) {
		word_add(&closed->puts, &cell->puts);
		word_add(&closed->gets, &cell->gets);
		word_add(&closed->bytes_put, &cell->bytes_put);
		word_add(&closed->bytes_got, &cell->bytes_got);
		word_add(&closed->posts, &cell->posts);
		word_add(&closed->spans, &cell->spans);
		word_add(&closed->failures, &cell->failures);
	}
}

void lib_count_close(struct lib_import *import)
{
	struct segment_counters_row *row = import->counters;
	import->counters = &lib_count_nowhere;
	if (own.table == NULL || row < own.table->rows || row >= own.table->rows + SEGMENT_COUNTERS_ROWS)
		return; /* of an earlier rsmd, or nowhere */
	uint32_t index = (uint32_t)(row - own.table->rows);
	if (index == OTHERS && --own.others > 0)
		return;
	row_close(row);
	if (index != OTHERS)
		own.spare[own.spare_count++] = (uint16_t)index;
}

/* ---- fork ---- */

static void table_leave(void)
{
	/*
	 * In the place of the parent's table: what the child does with the parent's handles counts for nobody. Where there is no
	 * memory for it, it goes on counting for the parent.
	 */
	if (own.table != NULL)
		(void)mmap(own.table, SEGMENT_COUNTERS_SIZE(SEGMENT_COUNTERS_ROWS), PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	own.table = NULL;
	own.session = 0;
}

void lib_count_forked(void)
{
	const uint32_t number = cell_number();
	atomic_store(&taken, number < OWN_CELLS ? 1u << number : 0);
	table_leave();
}
