/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What export_create costs in time and memory: ranges never touched, and resident ones beside a plain copy.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "bench.h"

#define ROUNDS          9
#define SMALL           ((size_t)4 << 20) /* from 2 MiB on, attributes are read from smaps: a step, no growth */
#define LARGE           ((size_t)4 << 30)
#define RESIDENT        ((size_t)256 << 20)
#define RESIDENT_ROUNDS 5

/* A sample taken longer than this may have seen a chunk at both of its places. */
#define SAMPLE_NS 100000

static void *map_fresh(size_t length)
{
	void *memory = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
			    -1, 0);

	if (memory == MAP_FAILED)
		bench_problem("mmap of %zu bytes: %s", length, strerror(errno));
	return memory == MAP_FAILED ? NULL : memory;
}

static bool create(void *memory, size_t length, rsm_memseg_export_handle_t *handle)
{
	rsmapi_controller_handle_t controller;
	rsm_node_id_t node;
	int code;

	if (!bench_controller(&controller, &node))
		return false;
	code = rsm_memseg_export_create(controller, handle, memory, length, 0);
	return code == RSM_SUCCESS || bench_refused("rsm_memseg_export_create", code);
}

static bool destroy(rsm_memseg_export_handle_t handle)
{
	int code = rsm_memseg_export_destroy(handle);

	return code == RSM_SUCCESS || bench_refused("rsm_memseg_export_destroy", code);
}

/* Microseconds of export_create alone. */
static double create_cost(void *memory, size_t length)
{
	rsm_memseg_export_handle_t handle;
	uint64_t start = base_clock_ns();

	if (!create(memory, length, &handle))
		return -1;
	start = base_clock_ns() - start;
	return destroy(handle) ? (double)start / 1000 : -1;
}

static double untouched_cost(size_t length)
{
	void *memory = map_fresh(length);
	double cost = memory ? create_cost(memory, length) : -1;

	if (memory)
		munmap(memory, length);
	return cost;
}

static double small_probe(void *context)
{
	(void)context;
	return untouched_cost(SMALL);
}

static double large_probe(void *context)
{
	(void)context;
	return untouched_cost(LARGE);
}

/*
 * Makes the pages that the kernel hands out next ones that were used a moment ago: on a virtual machine a page
 * that the host has to provide costs many times as much, and whoever comes first in a round would pay for both.
 */
static bool warm_free_pages(void)
{
	void *memory = bench_memory(2 * RESIDENT);

	return memory && munmap(memory, 2 * RESIDENT) == 0;
}

/* Milliseconds of a copy into pages that are faulted in by it. */
static double copy_probe(void *context)
{
	void *copy = warm_free_pages() ? map_fresh(RESIDENT) : NULL;
	uint64_t start = base_clock_ns();

	if (!copy)
		return -1;
	memcpy(copy, context, RESIDENT);
	start = base_clock_ns() - start;
	munmap(copy, RESIDENT);
	return (double)start / 1e6;
}

static double adopt_probe(void *context)
{
	double cost = warm_free_pages() ? create_cost(context, RESIDENT) : -1;

	return cost < 0 ? -1 : cost / 1000;
}

/* The figure in KiB after `key` in a /proc file, -1 when it is not there. */
static long read_kib(int fd, const char *key)
{
	char text[4096];
	ssize_t got = pread(fd, text, sizeof(text) - 1, 0);
	const char *line;

	if (got <= 0)
		return -1;
	text[got] = '\0';
	line = strstr(text, key);
	return line ? strtol(line + strlen(key), NULL, 10) : -1;
}

/* Watches, on a thread of its own on the second core, how much memory is in use. */
struct watch {
	_Atomic bool end;
	_Atomic unsigned samples;
	int status, meminfo;
	_Atomic long peak; /* KiB; -1 when a sample failed */
};

/*
 * Private pages first, shared ones after: a chunk that moves between the two reads counts twice, never not at
 * all, and a sample that was interrupted long enough for that is dropped.
 */
static long sample(const struct watch *watch)
{
	uint64_t start = base_clock_ns();
	long private = read_kib(watch->status, "RssAnon:");
	long shared = read_kib(watch->meminfo, "Shmem:");

	if (private < 0 || shared < 0)
		return -1;
	return base_clock_ns() - start > SAMPLE_NS ? 0 : private + shared;
}

static void *watch_memory(void *context)
{
	struct watch *watch = context;

	bench_pin(0, bench_core[1]);
	while (!atomic_load(&watch->end) && watch->peak >= 0) {
		long now = sample(watch);

		if (now < 0 || now > watch->peak)
			watch->peak = now;
		atomic_fetch_add(&watch->samples, now > 0);
	}
	return NULL;
}

static bool peak_row(void *memory)
{
	struct bench_row row = {.name = "the same, peak extra memory",
				.unit = "MiB",
				.kind = BENCH_VALUE_MOST,
				.goal = 4.3,
				.note = "4 + 0.3"};
	struct watch watch = {.status = open("/proc/self/status", O_RDONLY | O_CLOEXEC),
			      .meminfo = open("/proc/meminfo", O_RDONLY | O_CLOEXEC)};
	rsm_memseg_export_handle_t handle;
	pthread_t thread;
	long before;
	bool ok;

	if (pthread_create(&thread, NULL, watch_memory, &watch) != 0)
		return bench_problem("no thread to watch memory with");
	/* What counts as "before" is the peak of a quiet spell, taken by the same sampler. */
	while (atomic_load(&watch.samples) < 100 && watch.peak >= 0)
		sched_yield();
	before = watch.peak;
	ok = create(memory, RESIDENT, &handle);
	atomic_store(&watch.end, true);
	pthread_join(thread, NULL);
	close(watch.status);
	close(watch.meminfo);
	if (watch.peak < 0)
		return bench_problem("cannot read RssAnon or Shmem");
	row.ours = (double)(watch.peak - before) / 1024;
	bench_row_add(&row);
	return ok && destroy(handle);
}

bool bench_memory_rows(void)
{
	struct bench_row untouched = {.name = "export_create, untouched, 4 GiB",
				      .limit = "librsm with 4 MiB",
				      .unit = "us",
				      .kind = BENCH_RATIO_MOST,
				      .goal = 1.25,
				      .note = "any size"};
	struct bench_row resident = {.name = "export_create, resident, 256 MiB",
				     .limit = "memcpy to fresh pages",
				     .unit = "ms",
				     .kind = BENCH_RATIO_MOST,
				     .goal = 1.3};
	bool ok = bench_compare(untouched, small_probe, large_probe, NULL, ROUNDS);
	void *memory = bench_memory(RESIDENT);

	if (!memory)
		return false;
	ok &= bench_compare(resident, copy_probe, adopt_probe, memory, RESIDENT_ROUNDS);
	ok &= peak_row(memory);
	munmap(memory, RESIDENT);
	return ok;
}
