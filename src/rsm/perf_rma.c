/* SPDX-License-Identifier: BSD-2-Clause */
/* put and get. Every call goes to the same place, as the raw copies beside them do. */
#include "rsm/perf.h"

#define WINDOW     64   /* puts between two barriers of put-rate */
#define FAR_WINDOW 4096 /* the same to another node, where a barrier is a round trip */

static int put(struct perf_run *run, size_t size, uint64_t count)
{
	int code = RSM_SUCCESS;
	while (count-- && code == RSM_SUCCESS)
		code = rsm_memseg_import_put(run->session.import, (off_t)run->base, run->local, size);
	return code;
}

static int get(struct perf_run *run, size_t size, uint64_t count)
{
	int code = RSM_SUCCESS;
	while (count-- && code == RSM_SUCCESS)
		code = rsm_memseg_import_get(run->session.import, (off_t)run->base, run->local, size);
	return code;
}

/* The same inside one barrier. */
static int put_span(struct perf_run *run, size_t size, uint64_t count)
{
	int code = rsm_memseg_import_open_barrier(&run->session.barrier);
	if (code == RSM_SUCCESS)
		code = put(run, size, count);
	int closed = rsm_memseg_import_close_barrier(&run->session.barrier);
	return code != RSM_SUCCESS ? code : closed;
}

static int get_span(struct perf_run *run, size_t size, uint64_t count)
{
	int code = rsm_memseg_import_open_barrier(&run->session.barrier);
	if (code == RSM_SUCCESS)
		code = get(run, size, count);
	int closed = rsm_memseg_import_close_barrier(&run->session.barrier);
	return code != RSM_SUCCESS ? code : closed;
}

/* Consecutive places, a barrier after every window. */
static int put_window(struct perf_run *run, size_t size, uint64_t count)
{
	int code = RSM_SUCCESS;
	uint64_t fitting = run->room / size, most = run->far ? FAR_WINDOW : WINDOW;
	most = most < fitting ? most : fitting;
	while (count && code == RSM_SUCCESS) {
		uint64_t window = count < most ? count : most;
		rsm_memseg_import_open_barrier(&run->session.barrier);
		for (uint64_t i = 0; i < window && code == RSM_SUCCESS; i++)
			code = rsm_memseg_import_put(run->session.import, (off_t)(run->base + i * size),
						     run->local + i * size, size);
		int closed = rsm_memseg_import_close_barrier(&run->session.barrier);
		code = code != RSM_SUCCESS ? code : closed;
		count -= window;
	}
	return code;
}

/* What a span costs: with nothing in it, and with one put. */
static int span_empty(struct perf_run *run, size_t size, uint64_t count)
{
	(void)size;
	int code = RSM_SUCCESS;
	while (count-- && code == RSM_SUCCESS) {
		code = rsm_memseg_import_open_barrier(&run->session.barrier);
		if (code == RSM_SUCCESS)
			code = rsm_memseg_import_close_barrier(&run->session.barrier);
	}
	return code;
}

static int span_put(struct perf_run *run, size_t size, uint64_t count)
{
	int code = RSM_SUCCESS;
	while (count-- && code == RSM_SUCCESS)
		code = put_span(run, size, 1);
	return code;
}

const struct perf_test perf_rma_tests[] = {
	{.name = "put",
	 .title = "put, implicit mode: complete and checked on return",
	 .kind = PERF_TIME,
	 .parts = 1,
	 .sized = true,
	 .writes = true,
	 .run = put,
	 .raw = &perf_raw_store},
	{.name = "put-explicit",
	 .title = "put inside an open barrier",
	 .kind = PERF_TIME,
	 .parts = 1,
	 .window = 64,
	 .sized = true,
	 .writes = true,
	 .begin = perf_begin_explicit,
	 .run = put_span,
	 .end = perf_end_explicit,
	 .raw = &perf_raw_copy_in},
	{.name = "get",
	 .title = "get, implicit mode",
	 .kind = PERF_TIME,
	 .parts = 1,
	 .sized = true,
	 .run = get,
	 .raw = &perf_raw_copy_out},
	{.name = "get-explicit",
	 .title = "get inside an open barrier",
	 .kind = PERF_TIME,
	 .parts = 1,
	 .window = 64,
	 .sized = true,
	 .begin = perf_begin_explicit,
	 .run = get_span,
	 .end = perf_end_explicit,
	 .raw = &perf_raw_copy_out},
	{.name = "put-rate",
	 .title = "8-byte puts to consecutive places, a barrier after every 64; to another node 4096",
	 .kind = PERF_RATE,
	 .parts = 1,
	 .window = FAR_WINDOW,
	 .writes = true,
	 .begin = perf_begin_explicit,
	 .run = put_window,
	 .end = perf_end_explicit,
	 .raw = &perf_raw_copy_in},
	{.name = "barrier",
	 .title = "open and close of a barrier with nothing between",
	 .kind = PERF_TIME,
	 .parts = 1,
	 .begin = perf_begin_explicit,
	 .run = span_empty,
	 .end = perf_end_explicit},
	{.name = "barrier-put",
	 .title = "open a barrier, one put, close: it has arrived",
	 .kind = PERF_TIME,
	 .parts = 1,
	 .sized = true,
	 .writes = true,
	 .begin = perf_begin_explicit,
	 .run = span_put,
	 .end = perf_end_explicit,
	 .raw = &perf_raw_store},
	{.name = "put-bw",
	 .title = "put bandwidth, explicit mode; to another node windows of 16 or more",
	 .kind = PERF_BANDWIDTH,
	 .parts = 1,
	 .ways = 1,
	 .window = 16,
	 .sized = true,
	 .writes = true,
	 .begin = perf_begin_explicit,
	 .run = put_span,
	 .end = perf_end_explicit,
	 .raw = &perf_raw_copy_in},
	{.name = "get-bw",
	 .title = "get bandwidth, explicit mode; to another node windows of 16 or more",
	 .kind = PERF_BANDWIDTH,
	 .parts = 1,
	 .ways = 1,
	 .window = 16,
	 .sized = true,
	 .begin = perf_begin_explicit,
	 .run = get_span,
	 .end = perf_end_explicit,
	 .raw = &perf_raw_copy_out},
};
const size_t perf_rma_count = sizeof(perf_rma_tests) / sizeof(perf_rma_tests[0]);
