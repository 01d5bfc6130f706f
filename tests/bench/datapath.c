/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One put or get, again and again, for datapath.sh to look at from outside: strace between the two access()
 * calls that mark the loop, callgrind inside the loop's function.
 */
#include <string.h>
#include <unistd.h>

#include "bench.h"

/* A function of its own in every build, so that callgrind finds it by name. */
#define LOOP_NAME __attribute__((noinline))

struct datapath {
	const char *what;
	rsm_barrier_mode_t mode;
	int (*loop)(rsm_memseg_import_handle_t handle, unsigned long count);
};

int bench_datapath_put(rsm_memseg_import_handle_t handle, unsigned long count);
int bench_datapath_get(rsm_memseg_import_handle_t handle, unsigned long count);

static uint64_t value;

LOOP_NAME int bench_datapath_put(rsm_memseg_import_handle_t handle, unsigned long count)
{
	int code = RSM_SUCCESS;

	for (unsigned long i = 0; i < count; i++)
		code |= rsm_memseg_import_put(handle, 64, &value, sizeof(value));
	return code;
}

LOOP_NAME int bench_datapath_get(rsm_memseg_import_handle_t handle, unsigned long count)
{
	int code = RSM_SUCCESS;

	for (unsigned long i = 0; i < count; i++)
		code |= rsm_memseg_import_get(handle, 64, &value, sizeof(value));
	return code;
}

static const struct datapath table[] = {
	{"put-implicit", RSM_BARRIER_MODE_IMPLICIT, bench_datapath_put},
	{"put-explicit", RSM_BARRIER_MODE_EXPLICIT, bench_datapath_put},
	{"get-implicit", RSM_BARRIER_MODE_IMPLICIT, bench_datapath_get},
	{"get-explicit", RSM_BARRIER_MODE_EXPLICIT, bench_datapath_get},
};

static bool run(const struct datapath *path, unsigned long count)
{
	rsm_memseg_import_handle_t handle;
	rsmapi_barrier_t barrier;
	int code;

	if (!bench_connect(BENCH_SEGMENT, &handle, &barrier))
		return false;
	code = rsm_memseg_import_set_mode(handle, path->mode);
	/* The first one of a handle makes the map. */
	code |= path->loop == bench_datapath_put ? rsm_memseg_import_put(handle, 64, &value, sizeof(value))
						 : rsm_memseg_import_get(handle, 64, &value, sizeof(value));
	(void)!access("bench:loop:begin", F_OK);
	code |= path->loop(handle, count);
	(void)!access("bench:loop:end", F_OK);
	rsm_memseg_import_destroy_barrier(&barrier);
	rsm_memseg_import_disconnect(handle);
	return code == RSM_SUCCESS || bench_refused(path->what, code);
}

int bench_datapath(const char *what, unsigned long count)
{
	struct bench_peer peer;
	bool ok;

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		if (strcmp(what, table[i].what) != 0)
			continue;
		if (!bench_peer_start(&peer, bench_core[1]))
			return 1;
		ok = bench_peer_ask(&peer, BENCH_EXPORT, 0, 1 << 20) && run(&table[i], count);
		bench_peer_end(&peer);
		return ok ? 0 : 1;
	}
	fprintf(stderr,
		"bench: --datapath %s: put-implicit, put-explicit, get-implicit, get-explicit are known\n",
		what);
	return 2;
}
