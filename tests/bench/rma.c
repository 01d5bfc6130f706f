/* SPDX-License-Identifier: BSD-2-Clause */
/* put and get against memcpy to and from a mapped memfd, and against a store with a fence. */
#include <string.h>

#include "base/clock.h"
#include "bench.h"

#define ROUNDS 9
#define LARGE  ((size_t)1 << 20)
#define PIECE  ((size_t)128 << 10)

/* How one row is measured. */
struct rma {
	const char *name, *limit, *unit;
	enum { RAW_FENCE, RAW_COPY } raw;
	enum { PUT, PUT64, GET } call;
	bool implicit;
	unsigned window;     /* operations between opening and closing a barrier; 0: no barrier around them */
	size_t length;       /* bytes of one operation */
	unsigned long count; /* operations of a round; a multiple of the window */
	enum bench_goal kind;
	double goal;
	const char *note;
	size_t piece; /* of the raw copy; 0: not yet chosen */
};

/*
 * The goals that doc/benchmarks.md gives in nanoseconds and operations per second were set on one machine.
 * Here they are ratios to its raw limits: store and locked add 5.6 ns, call of memcpy 3.1 ns, 320 M/s.
 */
#define FENCE     "store + lock add"
#define CALL      "memcpy call"
#define COPY_TO   "memcpy to a memfd"
#define COPY_FROM "memcpy from a memfd"

#define PUTS      .call = PUT, .limit = COPY_TO, .raw = RAW_COPY
#define GETS      .call = GET, .limit = COPY_FROM, .raw = RAW_COPY
#define LATENCY   .unit = "ns", .length = 8, .count = 1000000, .kind = BENCH_RATIO_MOST
#define BANDWIDTH .unit = "GB/s", .kind = BENCH_RATIO_LEAST

/* clang-format off: one row, one line or two */
static const struct rma table[] = {
	{.name = "put 8 B, implicit",
	 LATENCY,
	 .limit = FENCE,
	 .raw = RAW_FENCE,
	 .call = PUT,
	 .implicit = true,
	 .goal = 12 / 5.6,
	 .note = "12 ns"},
	{.name = "put64 8 B, implicit",
	 LATENCY,
	 .limit = FENCE,
	 .raw = RAW_FENCE,
	 .call = PUT64,
	 .implicit = true,
	 .goal = 12 / 5.6,
	 .note = "12 ns"},
	{.name = "put 8 B, explicit", LATENCY, PUTS, .goal = 6 / 3.1, .note = "6 ns"},
	{.name = "get 8 B, implicit", LATENCY, GETS, .implicit = true, .goal = 10 / 3.1, .note = "10 ns"},
	{.name = "get 8 B, explicit", LATENCY, GETS, .goal = 6 / 3.1, .note = "6 ns"},
	{.name = "put 8 B, explicit, windows of 64",
	 PUTS,
	 .unit = "M/s",
	 .window = 64,
	 .length = 8,
	 .count = 1 << 20,
	 .kind = BENCH_RATIO_LEAST,
	 .goal = 160.0 / 320,
	 .note = "160 M/s"},
	{.name = "put 4 KiB, windows of 64",
	 BANDWIDTH,
	 PUTS,
	 .window = 64,
	 .length = 4096,
	 .count = 1 << 18,
	 .goal = 0.85},
	{.name = "put 64 KiB",
	 BANDWIDTH,
	 PUTS,
	 .window = 64,
	 .length = 65536,
	 .count = 1 << 14,
	 .goal = 0.97},
	{.name = "get 64 KiB",
	 BANDWIDTH,
	 GETS,
	 .window = 64,
	 .length = 65536,
	 .count = 1 << 14,
	 .goal = 0.97},
	{.name = "put 1 MiB", BANDWIDTH, PUTS, .window = 16, .length = 1 << 20, .count = 512, .goal = 1.00},
	{.name = "get 1 MiB", BANDWIDTH, GETS, .window = 16, .length = 1 << 20, .count = 512, .goal = 1.00},
	{.name = "put 64 MiB", BANDWIDTH, PUTS, .window = 1, .length = 64 << 20, .count = 4, .goal = 0.97},
	{.name = "get 64 MiB", BANDWIDTH, GETS, .window = 1, .length = 64 << 20, .count = 4, .goal = 0.97},
};
/* clang-format on */

static rsm_memseg_import_handle_t handle;
static rsmapi_barrier_t barrier;
static char *local, *window_memory;

/* A time per operation in the row's unit. */
static double figure(const struct rma *row, double ns)
{
	if (strcmp(row->unit, "GB/s") == 0)
		return (double)row->length / ns;
	return strcmp(row->unit, "M/s") == 0 ? 1000 / ns : ns;
}

static double raw_copy(const struct rma *row, size_t piece)
{
	char *to = row->call == GET ? local : window_memory, *from = row->call == GET ? window_memory : local;

	return bench_raw_copy(to, from, row->length, piece, row->window, row->count);
}

/*
 * One call of memcpy is not the limit at every size: copies that leave the second-level cache may be faster in
 * pieces that stay. The warm-up round chooses, for all rounds: a choice in each would favour the lucky one.
 */
static void choose_piece(struct rma *row)
{
	row->piece = row->length;
	raw_copy(row, row->length);
	if (row->length == LARGE && raw_copy(row, PIECE) < raw_copy(row, row->length))
		row->piece = PIECE;
}

static double raw_probe(void *context)
{
	struct rma *row = context;

	if (row->raw == RAW_FENCE)
		return figure(row, bench_raw_lock_add(row->count));
	if (row->piece == 0)
		choose_piece(row);
	return figure(row, raw_copy(row, row->piece));
}

/* One loop per call, so that nothing but the call is in it. */
static int loop(const struct rma *row, unsigned long count)
{
	int code = RSM_SUCCESS;

	switch (row->call) {
	case PUT:
		for (unsigned long i = 0; i < count; i++)
			code |= rsm_memseg_import_put(handle, 0, local, row->length);
		break;
	case PUT64:
		for (unsigned long i = 0; i < count; i++)
			code |= rsm_memseg_import_put64(handle, 0, (uint64_t *)(void *)local,
							row->length / 8);
		break;
	case GET:
		for (unsigned long i = 0; i < count; i++)
			code |= rsm_memseg_import_get(handle, 0, local, row->length);
		break;
	}
	return code;
}

static int windows(const struct rma *row)
{
	int code = RSM_SUCCESS;

	for (unsigned long done = 0; done < row->count; done += row->window) {
		code |= rsm_memseg_import_open_barrier(&barrier);
		code |= loop(row, row->window);
		code |= rsm_memseg_import_close_barrier(&barrier);
	}
	return code;
}

static double our_probe(void *context)
{
	const struct rma *row = context;
	uint64_t start;
	int code;

	code = rsm_memseg_import_set_mode(handle, row->implicit ? RSM_BARRIER_MODE_IMPLICIT
								: RSM_BARRIER_MODE_EXPLICIT);
	start = base_clock_ns();
	code |= row->window ? windows(row) : loop(row, row->count);
	if (code)
		return bench_refused(row->name, code), -1;
	return figure(row, (double)(base_clock_ns() - start) / (double)row->count);
}

static double mfence_probe(void *context)
{
	(void)context;
	return bench_raw_mfence(1000000);
}

bool bench_rma_rows(void)
{
	struct rma put = table[0];
	bool ok = true;

	local = bench_memory(BENCH_SEGMENT_SIZE);
	window_memory = bench_memfd(BENCH_SEGMENT_SIZE);
	if (!local || !window_memory || !bench_connect(BENCH_SEGMENT, &handle, &barrier))
		return false;
	memset(window_memory, 1, BENCH_SEGMENT_SIZE);
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct rma row = table[i];

		ok &= bench_compare((struct bench_row){.name = row.name,
						       .limit = row.limit,
						       .unit = row.unit,
						       .kind = row.kind,
						       .goal = row.goal,
						       .note = row.note},
				    raw_probe, our_probe, &row, ROUNDS);
		if (i == 0)
			ok &= bench_compare((struct bench_row){.name = "  the same beside store + mfence",
							       .limit = "store + mfence",
							       .unit = "ns",
							       .kind = BENCH_RATIO_MOST,
							       .goal = 12.0 / 23,
							       .note = "12 ns"},
					    mfence_probe, our_probe, &put, ROUNDS);
	}
	rsm_memseg_import_destroy_barrier(&barrier);
	rsm_memseg_import_disconnect(handle);
	return ok;
}
