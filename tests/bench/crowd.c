/* SPDX-License-Identifier: BSD-2-Clause */
/* Many connections between two hosts: do they slow each other, what does each cost? And what do idle nodes cost? */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "bench.h"

#define MANY         1000u
#define FEW          10u /* also: how many are busy at a time */
#define LENGTH       ((size_t)65536)
#define PASSES       20u /* transfers of a round, times MANY / 10 */
#define ROUNDS       5
#define IDLE_SECONDS 10

static rsm_memseg_import_handle_t handles[MANY];
static rsmapi_barrier_t barriers[MANY];
static char *local;

static bool open_connections(unsigned from, unsigned to)
{
	for (unsigned i = from; i < to; i++) {
		if (!bench_net_connect(&handles[i], &barriers[i]))
			return false;
		int code = rsm_memseg_import_set_mode(handles[i], RSM_BARRIER_MODE_EXPLICIT);
		if (code)
			return bench_refused("rsm_memseg_import_set_mode", code);
	}
	return true;
}

static void close_connections(unsigned from, unsigned to)
{
	for (unsigned i = from; i < to; i++) {
		if (barriers[i].seg)
			rsm_memseg_import_destroy_barrier(&barriers[i]);
		if (handles[i])
			rsm_memseg_import_disconnect(handles[i]);
		handles[i] = NULL;
	}
}

/* One put through each of FEW connections at once. */
static int transfer(unsigned first)
{
	int code = RSM_SUCCESS;

	for (unsigned i = first; i < first + FEW; i++) {
		code |= rsm_memseg_import_open_barrier(&barriers[i]);
		code |= rsm_memseg_import_put(handles[i], (off_t)(i * LENGTH % BENCH_SEGMENT_SIZE), local,
					      LENGTH);
	}
	for (unsigned i = first; i < first + FEW; i++)
		code |= rsm_memseg_import_close_barrier(&barriers[i]);
	return code;
}

/* GB/s over `count` open connections, as many transfers whatever their number. */
static double throughput(unsigned count)
{
	double figures[ROUNDS];

	for (unsigned round = 0; round <= ROUNDS; round++) {
		uint64_t start = base_clock_ns();
		unsigned transfers = PASSES * MANY / FEW / 10;

		for (unsigned i = 0; i < transfers; i++) {
			int code = transfer(i * FEW % count);

			if (code)
				return bench_refused("put over many connections", code), -1;
		}
		if (round > 0)
			figures[round - 1] =
				(double)transfers * FEW * (double)LENGTH / (double)(base_clock_ns() - start);
	}
	return bench_median(figures, ROUNDS);
}

/* Pages that the kernel holds for TCP sockets of this machine, both ends, in KiB. */
static double socket_memory(void)
{
	char line[160];
	double pages = -1;
	FILE *file = fopen("/proc/net/sockstat", "re");

	while (file && fgets(line, sizeof(line), file)) {
		const char *memory = strncmp(line, "TCP:", 4) == 0 ? strstr(line, " mem ") : NULL;

		if (memory)
			pages = strtod(memory + strlen(" mem "), NULL);
	}
	if (file)
		fclose(file);
	return pages < 0 ? pages : pages * (double)sysconf(_SC_PAGESIZE) / 1024;
}

static bool raise_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return bench_problem("getrlimit: %s", strerror(errno));
	limit.rlim_cur = limit.rlim_max;
	return (limit.rlim_cur >= MANY + 100 && setrlimit(RLIMIT_NOFILE, &limit) == 0) ||
	       bench_problem("%u connections need as many descriptors, the limit is %ju", MANY,
			     (uintmax_t)limit.rlim_max);
}

static bool many_rows(void)
{
	struct bench_row speed = {.far = true,
				  .name = "put 64 KiB, ten at a time of 1,000",
				  .limit = "librsm with 10 connections",
				  .unit = "GB/s",
				  .kind = BENCH_RATIO_LEAST,
				  .goal = 0.9};
	struct bench_row memory = {.far = true,
				   .name = "rsmd memory per connection",
				   .unit = "KiB",
				   .kind = BENCH_VALUE_MOST,
				   .goal = 64};
	struct bench_row kernel = {.far = true,
				   .name = "  the same with sockets, both ends",
				   .unit = "KiB",
				   .kind = BENCH_VALUE_MOST,
				   .goal = 64};
	const struct bench_daemon *owner = &bench_hosts.daemon[1];
	double before, after, resident, sockets;

	if (!open_connections(0, FEW))
		return false;
	before = throughput(FEW);
	resident = bench_daemon_rss(owner);
	sockets = socket_memory();
	if (!open_connections(FEW, MANY))
		return false;
	speed.ours = throughput(MANY);
	memory.ours = (bench_daemon_rss(owner) - resident) / (MANY - FEW);
	kernel.ours = memory.ours + (socket_memory() - sockets) / (MANY - FEW);
	close_connections(FEW, MANY);
	after = throughput(FEW);
	if (before < 0 || speed.ours < 0 || after < 0 || resident < 0)
		return false;
	speed.raw = (before + after) / 2;
	bench_row_add(&speed);
	bench_row_add(&memory);
	if (sockets >= 0)
		bench_row_add(&kernel);
	return true;
}

/* Both nodes, with an active path and ten connections between them. */
static bool idle_row(void)
{
	const struct timespec span = {.tv_sec = IDLE_SECONDS};
	struct bench_row row = {.far = true,
				.name = "two idle rsmd, 10 s, path and connections",
				.unit = "ms",
				.kind = BENCH_VALUE_MOST,
				.goal = 10,
				.note = "beats"};
	double before[2], after[2];

	for (unsigned i = 0; i < 2; i++)
		before[i] = bench_daemon_cpu_ms(&bench_hosts.daemon[i]);
	clock_nanosleep(CLOCK_MONOTONIC, 0, &span, NULL);
	for (unsigned i = 0; i < 2; i++)
		after[i] = bench_daemon_cpu_ms(&bench_hosts.daemon[i]);
	if (before[0] < 0 || before[1] < 0 || after[0] < 0 || after[1] < 0)
		return false;
	row.ours = after[0] - before[0] + after[1] - before[1];
	bench_row_add(&row);
	return true;
}

bool bench_crowd_rows(void)
{
	bool ok;

	local = bench_memory(LENGTH);
	ok = local && raise_limit() && many_rows() && idle_row();
	close_connections(0, MANY);
	return ok;
}
