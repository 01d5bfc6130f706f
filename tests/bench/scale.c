/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Many segments: 15,000 pages, one descriptor of rsmd each, published by several processes. Does a connect
 * still cost what it costs with ten, and what does rsmd need for each?
 */
#include <unistd.h>

#include "base/clock.h"
#include "bench.h"

#define SEGMENTS  15000u
#define EXPORTERS 15u
#define FEW       10u
#define ROUNDS    9
#define GONE_NS   20000000000u

static double connect_cost(uint32_t count)
{
	double costs[ROUNDS];

	for (unsigned i = 0; i <= ROUNDS; i++) {
		double cost = bench_connect_cost(count);

		if (cost < 0)
			return -1;
		if (i > 0)
			costs[i - 1] = cost;
	}
	return bench_median(costs, ROUNDS);
}

/* Publishes `count` segments from as many exporters at once; returns how many exporters were started. */
static unsigned publish(struct bench_peer *exporters, unsigned number, uint32_t count, bool *ok)
{
	uint32_t each = count / number;
	unsigned started = 0;

	while (started < number && bench_peer_start(&exporters[started], bench_core[started % 2]))
		started++;
	*ok = started == number;
	for (unsigned i = 0; i < started; i++)
		*ok &= bench_peer_tell(&exporters[i], BENCH_EXPORT_MANY, BENCH_SEGMENT_MANY + i * each, each);
	for (unsigned i = 0; i < started; i++)
		*ok &= bench_peer_answer(&exporters[i]);
	return started;
}

/* Ends the exporters and waits until rsmd has withdrawn all their segments. */
static bool withdraw(struct bench_peer *exporters, unsigned number, uint32_t count)
{
	uint64_t deadline = base_clock_ns() + GONE_NS;
	rsmapi_controller_handle_t controller;
	rsm_memseg_import_handle_t handle;
	rsm_node_id_t node;

	for (unsigned i = 0; i < number; i++)
		bench_peer_end(&exporters[i]);
	if (!bench_controller(&controller, &node))
		return false;
	for (uint32_t i = 0; i < count; i++) {
		while (rsm_memseg_import_connect(controller, node, BENCH_SEGMENT_MANY + i, 0, &handle) !=
		       RSMERR_SEG_NOT_PUBLISHED) {
			if (handle)
				rsm_memseg_import_disconnect(handle);
			if (base_clock_ns() > deadline)
				return bench_problem("segments of ended processes stay published");
		}
	}
	return true;
}

static double cost_with_few(void)
{
	struct bench_peer exporter;
	double cost = -1;
	bool ok;
	unsigned started = publish(&exporter, 1, FEW, &ok);

	if (ok)
		cost = connect_cost(FEW);
	return withdraw(&exporter, started, FEW) ? cost : -1;
}

static bool cost_with_many(double *cost, double *growth)
{
	struct bench_peer exporters[EXPORTERS];
	double before = bench_daemon_rss(&bench_daemon);
	bool ok;
	unsigned started = publish(exporters, EXPORTERS, SEGMENTS, &ok);

	*growth = bench_daemon_rss(&bench_daemon) - before;
	/* The same ones as with few: the first connect to a segment ever makes its signal memory, which is another cost. */
	if (ok)
		*cost = connect_cost(FEW);
	return withdraw(exporters, started, SEGMENTS) && ok && before >= 0 && *cost >= 0;
}

/* The figure with few is taken before and after: the machine must not have changed meanwhile. */
bool bench_scale_rows(void)
{
	struct bench_row connect = {.name = "connect + get + disconnect, 15,000 segs",
				    .limit = "librsm with 10",
				    .unit = "us",
				    .kind = BENCH_RATIO_MOST,
				    .goal = 1.2};
	struct bench_row memory = {.name = "rsmd memory per published segment",
				   .unit = "KiB",
				   .kind = BENCH_VALUE_MOST,
				   .goal = 1};
	double before = cost_with_few(), many = -1, growth = 0, after;
	bool ok = cost_with_many(&many, &growth);

	after = cost_with_few();
	if (!ok || before < 0 || after < 0)
		return false;
	connect.raw = (before + after) / 2;
	connect.ours = many;
	bench_row_add(&connect);
	memory.ours = growth / SEGMENTS;
	bench_row_add(&memory);
	return true;
}
