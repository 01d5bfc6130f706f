/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the control plane costs: publish and connect, beside the socket round trips and maps that any daemon
 * would need for them.
 */
#include <unistd.h>

#include "base/clock.h"
#include "bench.h"

#define ROUNDS  9
#define REPEATS 200
#define FEW     10

struct control {
	const struct bench_peer *peer;
	rsm_memseg_export_handle_t handle;
	unsigned requests; /* of the raw limit */
	bool map;          /* the raw limit maps what a reply brings */
};

/* Microseconds for `requests` socket round trips. */
static double raw_probe(void *context)
{
	const struct control *control = context;
	uint64_t count = (uint64_t)REPEATS * control->requests, start;

	if (!bench_peer_tell(control->peer, BENCH_PONG_SOCKET, 0, count))
		return -1;
	start = base_clock_ns();
	for (uint64_t i = 0; i < count; i++) {
		if (!bench_raw_request(control->peer->socket, control->map))
			return -1;
	}
	start = base_clock_ns() - start;
	return bench_peer_answer(control->peer) ? (double)start / REPEATS / 1000 : -1;
}

static double publish_probe(void *context)
{
	const struct control *control = context;
	uint64_t start = base_clock_ns();

	for (unsigned i = 0; i < REPEATS; i++) {
		rsm_memseg_id_t id = 0;
		int code = rsm_memseg_export_publish(control->handle, &id, NULL, 0);

		if (code)
			return bench_refused("rsm_memseg_export_publish", code), -1;
		code = rsm_memseg_export_unpublish(control->handle);
		if (code)
			return bench_refused("rsm_memseg_export_unpublish", code), -1;
	}
	return (double)(base_clock_ns() - start) / REPEATS / 1000;
}

static bool visit(rsmapi_controller_handle_t controller, rsm_node_id_t node, rsm_memseg_id_t id)
{
	rsm_memseg_import_handle_t handle;
	rsmapi_barrier_t barrier;
	uint64_t value;
	int code = rsm_memseg_import_connect(controller, node, id, RSM_PERM_RDWR, &handle);

	if (code)
		return bench_refused("rsm_memseg_import_connect", code);
	code = rsm_memseg_import_init_barrier(handle, RSM_BARRIER_SEGMENT, &barrier);
	if (!code)
		code = rsm_memseg_import_get(handle, 0, &value, sizeof(value));
	if (code)
		bench_refused("rsm_memseg_import_get", code);
	return rsm_memseg_import_disconnect(handle) == RSM_SUCCESS && code == RSM_SUCCESS;
}

/* Spread over all segments by a step that is prime to their number. */
double bench_connect_cost(uint32_t count)
{
	static uint32_t at;
	rsmapi_controller_handle_t controller;
	rsm_node_id_t node;
	uint64_t start;

	if (!bench_controller(&controller, &node))
		return -1;
	start = base_clock_ns();
	for (unsigned i = 0; i < REPEATS; i++) {
		at = (at + 7919) % count;
		if (!visit(controller, node, BENCH_SEGMENT_MANY + at))
			return -1;
	}
	return (double)(base_clock_ns() - start) / REPEATS / 1000;
}

static double connect_probe(void *context)
{
	(void)context;
	return bench_connect_cost(FEW);
}

static bool publish_row(struct control control)
{
	struct bench_row row = {.name = "publish + unpublish of a page",
				.limit = "2 socket requests, both ends spinning",
				.unit = "us",
				.kind = BENCH_VALUE_MOST,
				.goal = 60};
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	rsmapi_controller_handle_t controller;
	void *memory = bench_memory(page);
	rsm_node_id_t node;
	bool ok;
	int code;

	if (!memory || !bench_controller(&controller, &node))
		return false;
	code = rsm_memseg_export_create(controller, &control.handle, memory, page, 0);
	if (code)
		return bench_refused("rsm_memseg_export_create", code);
	control.requests = 2;
	ok = bench_compare(row, raw_probe, publish_probe, &control, ROUNDS);
	rsm_memseg_export_destroy(control.handle);
	return ok;
}

bool bench_control_rows(struct bench_peer *peer)
{
	struct bench_row row = {.name = "connect + first get + disconnect",
				.limit = "socket request for a memfd, mmap, load, munmap",
				.unit = "us",
				.kind = BENCH_VALUE_MOST,
				.goal = 80};
	struct control control = {.peer = peer};
	struct bench_peer exporter;
	bool ok = publish_row(control);

	if (!bench_peer_start(&exporter, bench_core[1]))
		return false;
	control.requests = 1;
	control.map = true;
	ok &= bench_peer_ask(&exporter, BENCH_EXPORT_MANY, BENCH_SEGMENT_MANY, FEW) &&
	      bench_compare(row, raw_probe, connect_probe, &control, ROUNDS);
	bench_peer_end(&exporter);
	return ok;
}
