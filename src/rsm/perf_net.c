/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a segment of another node shows: requests in flight together, and waits for its daemon, which these tests have asleep, or kept busy.
 */
#include "rsm/perf.h"

#define VECTOR RSM_MAX_SGIOREQS /* entries of getv */
#define WINDOW 1024             /* gets between two barriers of get-rate */

/* The pause before each operation puts both sides to sleep: a wake-up on the way there, and one on the way back. */
static int put_block(struct perf_run *run, size_t size, uint64_t count)
{
	int code = RSM_SUCCESS;
	while (count-- && code == RSM_SUCCESS) {
		perf_think();
		code = rsm_memseg_import_put(run->session.import, (off_t)run->base, run->local, size);
	}
	return code;
}

static int get_block(struct perf_run *run, size_t size, uint64_t count)
{
	int code = RSM_SUCCESS;
	while (count-- && code == RSM_SUCCESS) {
		perf_think();
		code = rsm_memseg_import_get(run->session.import, (off_t)run->base, run->local, size);
	}
	return code;
}

/* Consecutive places, asked for one behind the other, all there when the barrier is closed. */
static int get_window(struct perf_run *run, size_t size, uint64_t count)
{
	int code = RSM_SUCCESS;
	uint64_t fitting = run->room / size, most = WINDOW < fitting ? WINDOW : fitting;
	while (count && code == RSM_SUCCESS) {
		uint64_t window = count < most ? count : most;
		code = rsm_memseg_import_open_barrier(&run->session.barrier);
		for (uint64_t i = 0; i < window && code == RSM_SUCCESS; i++)
			code = rsm_memseg_import_get(run->session.import, (off_t)(run->base + i * size),
						     run->local + i * size, size);
		int closed = rsm_memseg_import_close_barrier(&run->session.barrier);
		code = code != RSM_SUCCESS ? code : closed;
		count -= window;
	}
	return code;
}

/* An operation is one entry. Implicit mode: a vector is complete on return. */
static int get_vector(struct perf_run *run, size_t size, uint64_t count)
{
	rsm_iovec_t entries[VECTOR];
	int code = RSM_SUCCESS;
	for (size_t i = 0; i < VECTOR; i++)
		entries[i] = (rsm_iovec_t){.io_type = RSM_VA_TYPE,
					   .local.vaddr = (caddr_t)run->local + i * size,
					   .remote_offset = run->base + i * size,
					   .transfer_length = size};
	while (count && code == RSM_SUCCESS) {
		uint64_t part = count < VECTOR ? count : VECTOR;
		rsm_scat_gath_t vector = {.io_request_count = (ulong_t)part,
					  .remote_handle = run->session.import,
					  .iovec = entries};
		code = rsm_memseg_import_getv(&vector);
		count -= part;
	}
	return code;
}

const struct perf_test perf_net_tests[] = {
	{.name = "put-block",
	 .title = "put, implicit mode, after a pause: the other daemon and the caller sleep",
	 .kind = PERF_TIME,
	 .parts = 1,
	 .think = PERF_THINK_NS,
	 .sized = true,
	 .writes = true,
	 .far = true,
	 .run = put_block},
	{.name = "get-block",
	 .title = "get, implicit mode, after a pause: the other daemon and the caller sleep",
	 .kind = PERF_TIME,
	 .parts = 1,
	 .think = PERF_THINK_NS,
	 .sized = true,
	 .far = true,
	 .run = get_block},
	{.name = "get-rate",
	 .title = "8-byte gets of consecutive places, a barrier after every 1024",
	 .kind = PERF_RATE,
	 .parts = 1,
	 .window = WINDOW,
	 .begin = perf_begin_explicit,
	 .run = get_window,
	 .end = perf_end_explicit,
	 .raw = &perf_raw_copy_out},
	{.name = "getv",
	 .title = "entries of 8 bytes in vectors of 16, implicit mode",
	 .kind = PERF_RATE,
	 .parts = 1,
	 .window = VECTOR,
	 .far = true,
	 .run = get_vector},
};
const size_t perf_net_count = sizeof(perf_net_tests) / sizeof(perf_net_tests[0]);
