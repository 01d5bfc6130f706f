/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * put and get between two hosts, beside plain TCP on the same way. The exporter is stopped all the time: node 2's rsmd serves
 * alone.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "bench.h"

#define ROUNDS   5
#define THINK_NS 150000u /* longer than any side spins before it sleeps */
#define CONNECTS 100u

/* How one row is measured. */
struct net {
	const char *name, *limit, *unit;
	enum bench_tcp_op op; /* of the raw limit */
	bool spin;            /* raw: both sides */
	size_t raw_size;      /* bytes of a raw write */
	uint64_t raw_count;
	enum { PUT, GET, GETV } call;
	unsigned window; /* calls between opening and closing a barrier; 0: implicit mode */
	bool think;      /* before each operation, so that everybody sleeps */
	size_t length;   /* bytes of one operation */
	uint64_t count;  /* operations of a round; a multiple of the window */
	enum bench_goal kind;
	double goal;
	const char *note;
	bool chosen; /* which way the raw stream waits */
};

#define ECHO    .op = BENCH_TCP_ECHO, .raw_size = 8, .limit = "request/response"
#define LATENCY .unit = "us", .length = 8, .kind = BENCH_RATIO_MOST
#define SPIN    .spin = true, .raw_count = 4000, .count = 4000
#define SLEEP   .think = true, .raw_count = 500, .count = 500
#define STREAM  .unit = "GB/s", .limit = "stream of the same writes", .kind = BENCH_RATIO_LEAST
#define RATE    .unit = "M/s", .length = 8, .kind = BENCH_VALUE_LEAST, .spin = true
#define K64     .raw_size = 65536, .raw_count = 2048, .length = 65536, .count = 2048, .window = 64
#define M1      .raw_size = 1 << 20, .raw_count = 128, .length = 1 << 20, .count = 128, .window = 16

/* clang-format off: one row, one line or two */
static const struct net table[] = {
	{.name = "put 8 B, spinning", LATENCY, ECHO, SPIN, .call = PUT, .goal = 1.10},
	{.name = "get 8 B, spinning", LATENCY, ECHO, SPIN, .call = GET, .goal = 1.07},
	{.name = "put 8 B, both sides asleep", LATENCY, ECHO, SLEEP, .call = PUT, .goal = 1.10},
	{.name = "get 8 B, both sides asleep", LATENCY, ECHO, SLEEP, .call = GET, .goal = 1.10},
	{.name = "put 8 B, explicit, windows of 4096",
	 RATE,
	 .call = PUT,
	 .window = 4096,
	 .count = 1 << 18,
	 .op = BENCH_TCP_PUT,
	 .limit = "a send for each",
	 .raw_size = 8,
	 .raw_count = 20000,
	 .goal = 6},
	{.name = "get 8 B, explicit, windows of 1024",
	 RATE,
	 .call = GET,
	 .window = 1024,
	 .count = 1 << 15,
	 .op = BENCH_TCP_ECHO,
	 .limit = "request/response",
	 .raw_size = 8,
	 .raw_count = 4000,
	 .goal = 1},
	{.name = "get 8 B, vectors of 16, implicit",
	 RATE,
	 .call = GETV,
	 .count = 1 << 14,
	 .op = BENCH_TCP_ECHO,
	 .limit = "request/response",
	 .raw_size = 8,
	 .raw_count = 4000,
	 .goal = 1},
	{.name = "put 64 KiB, windows of 64", STREAM, K64, .op = BENCH_TCP_PUT, .call = PUT, .goal = 1.3},
	{.name = "get 64 KiB, windows of 64", STREAM, K64, .op = BENCH_TCP_GET, .call = GET, .goal = 1.3},
	{.name = "put 1 MiB, windows of 16", STREAM, M1, .op = BENCH_TCP_PUT, .call = PUT, .goal = 0.95},
	{.name = "get 1 MiB, windows of 16", STREAM, M1, .op = BENCH_TCP_GET, .call = GET, .goal = 0.95},
};
/* clang-format on */

static rsm_memseg_import_handle_t handle;
static rsmapi_barrier_t barrier;
static rsmapi_controller_handle_t controller;
static char *local;
static pid_t child;

bool bench_net_connect(rsm_memseg_import_handle_t *import, rsmapi_barrier_t *span)
{
	int code =
		rsm_memseg_import_connect(controller, BENCH_FAR_NODE, BENCH_SEGMENT, RSM_PERM_RDWR, import);

	if (code)
		return bench_refused("rsm_memseg_import_connect to node 2", code);
	code = rsm_memseg_import_init_barrier(*import, RSM_BARRIER_SEGMENT, span);
	return code == RSM_SUCCESS || bench_refused("rsm_memseg_import_init_barrier", code);
}

/* Time of all operations in the row's unit. */
static double figure(const struct net *row, double ns, uint64_t count)
{
	ns /= (double)count;
	if (strcmp(row->unit, "GB/s") == 0)
		return (double)row->length / ns;
	return strcmp(row->unit, "M/s") == 0 ? 1000 / ns : ns / 1000;
}

static double raw_run(const struct net *row, bool spin)
{
	return bench_tcp_run((struct bench_tcp_order){.op = row->op,
						      .spin = spin,
						      .think = row->think ? THINK_NS : 0,
						      .size = row->raw_size,
						      .count = row->raw_count});
}

/* Streams are faster with sleeping sides on one machine and with spinning ones on another: the warm-up chooses. */
static double raw_probe(void *context)
{
	struct net *row = context;
	double ns;

	if (!row->chosen && strcmp(row->unit, "GB/s") == 0) {
		double spinning = raw_run(row, true), sleeping = raw_run(row, false);

		if (spinning < 0 || sleeping < 0)
			return -1;
		row->spin = spinning < sleeping;
	}
	row->chosen = true;
	ns = raw_run(row, row->spin);
	return ns < 0 ? ns : figure(row, ns, row->raw_count);
}

static int call(const struct net *row, uint64_t at)
{
	off_t offset = (off_t)(at * row->length % BENCH_SEGMENT_SIZE);

	if (row->call == PUT)
		return rsm_memseg_import_put(handle, offset, local, row->length);
	return rsm_memseg_import_get(handle, offset, local, row->length);
}

static int windows(const struct net *row)
{
	int code = RSM_SUCCESS;

	for (uint64_t done = 0; done < row->count && !code; done += row->window) {
		code = rsm_memseg_import_open_barrier(&barrier);
		for (unsigned i = 0; i < row->window; i++)
			code |= call(row, done + i);
		code |= rsm_memseg_import_close_barrier(&barrier);
	}
	return code;
}

static int vectors(const struct net *row)
{
	rsm_iovec_t entries[RSM_MAX_SGIOREQS];
	rsm_scat_gath_t vector = {
		.io_request_count = RSM_MAX_SGIOREQS, .remote_handle = handle, .iovec = entries};
	int code = RSM_SUCCESS;

	for (size_t i = 0; i < RSM_MAX_SGIOREQS; i++)
		entries[i] = (rsm_iovec_t){.io_type = RSM_VA_TYPE,
					   .local.vaddr = local + i * row->length,
					   .remote_offset = i * row->length,
					   .transfer_length = row->length};
	for (uint64_t done = 0; done < row->count && !code; done += RSM_MAX_SGIOREQS)
		code = rsm_memseg_import_getv(&vector);
	return code;
}

/* One at a time; `*spent` without the pauses. */
static int singles(const struct net *row, uint64_t *spent)
{
	int code = RSM_SUCCESS;

	for (uint64_t i = 0; i < row->count && !code; i++) {
		if (row->think)
			bench_tcp_think(THINK_NS);
		uint64_t start = base_clock_ns();
		code = call(row, 0);
		*spent += base_clock_ns() - start;
	}
	return code;
}

static double our_probe(void *context)
{
	const struct net *row = context;
	uint64_t start, spent = 0;
	int code = rsm_memseg_import_set_mode(handle, row->window ? RSM_BARRIER_MODE_EXPLICIT
								  : RSM_BARRIER_MODE_IMPLICIT);

	start = base_clock_ns();
	if (row->window || row->call == GETV) {
		code |= row->window ? windows(row) : vectors(row);
		spent = base_clock_ns() - start;
	} else {
		code |= singles(row, &spent);
	}
	if (code)
		return bench_refused(row->name, code), -1;
	return figure(row, (double)spent, row->count);
}

static double three_trips(void *context)
{
	struct bench_tcp_order order = {.op = BENCH_TCP_ECHO, .size = 8, .count = 3 * CONNECTS};
	double ns = bench_tcp_run(order);

	(void)context;
	return ns < 0 ? ns : ns / CONNECTS / 1000;
}

/* Connects alone, what ends them is not counted; the median, since a stall of the scheduler is not theirs. */
static double connects(void *context)
{
	double spent[CONNECTS];

	(void)context;
	for (unsigned i = 0; i < CONNECTS; i++) {
		rsm_memseg_import_handle_t import;
		uint64_t start = base_clock_ns();
		int code = rsm_memseg_import_connect(controller, BENCH_FAR_NODE, BENCH_SEGMENT, RSM_PERM_RDWR,
						     &import);

		spent[i] = (double)(base_clock_ns() - start) / 1000;
		if (code)
			return bench_refused("rsm_memseg_import_connect to node 2", code), -1;
		rsm_memseg_import_disconnect(import);
	}
	return bench_median(spent, CONNECTS);
}

static bool transfer_rows(void)
{
	bool ok = true;

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct net row = table[i];

		ok &= bench_compare((struct bench_row){.far = true,
						       .name = row.name,
						       .limit = row.limit,
						       .unit = row.unit,
						       .kind = row.kind,
						       .goal = row.goal,
						       .note = row.note},
				    raw_probe, our_probe, &row, ROUNDS);
	}
	return ok;
}

static bool rows(void)
{
	struct bench_row connect = {.far = true,
				    .name = "connect",
				    .limit = "3 round trips, both ends asleep",
				    .unit = "us",
				    .kind = BENCH_EXCESS_MOST,
				    .goal = 100};
	char name[] = "tcp0";
	int code = rsm_get_controller(name, &controller);
	bool ok;

	if (code)
		return bench_refused("rsm_get_controller", code);
	local = bench_memory((size_t)1 << 20);
	ok = local && bench_net_connect(&handle, &barrier);
	if (!ok)
		return false;
	ok = transfer_rows();
	ok &= bench_compare(connect, three_trips, connects, NULL, ROUNDS);
	ok &= bench_crowd_rows();
	rsm_memseg_import_destroy_barrier(&barrier);
	rsm_memseg_import_disconnect(handle);
	return ok;
}

/* A process of its own, for one process speaks with one rsmd only. Its rows are in shared memory. */
bool bench_net_group(void)
{
	int status;

	child = fork();
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGTERM);
		bool ok = bench_hosts_open() && bench_pin(0, bench_core[0]) && rows();
		for (unsigned i = 0; !ok && i < 2; i++)
			bench_daemon_tell(&bench_hosts.daemon[i]);
		bench_hosts_close();
		_exit(ok ? 0 : 1);
	}
	return child > 0 && waitpid(child, &status, 0) == child && status == 0;
}

void bench_net_abandon(void)
{
	if (child > 0)
		kill(child, SIGTERM);
	else
		bench_hosts_abandon();
}
