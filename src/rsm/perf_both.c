/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Both ways at the same time: this side puts to the peer's segment while the peer puts as much to one of this side. A batch
 * ends when both are done. They hand over by two words of the mapped segment, so batches are long.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "rsm/perf.h"

#define SHORTEST 100000u /* ns; a hand-over is less than 1 % of it */

static struct perf_words *words_of(const struct perf_run *run)
{
	return (struct perf_words *)(void *)(run->map ? run->map : run->raw);
}

static int export_target(struct perf_run *run, size_t size, rsm_memseg_id_t *id)
{
	rsmapi_access_entry_t access = {.ae_node = run->session.node, .ae_permission = 0600};
	size_t length = (size + PERF_DATA - 1) / PERF_DATA * PERF_DATA;
	run->page = rsmx_alloc(length, 0);
	if (!run->page) {
		tool_fail("memory for %zu bytes that the peer writes to: %s", length, rsmx_last_error());
		return PERF_TOLD;
	}
	memset(run->page, 0, length);
	int code = rsm_memseg_export_create(run->session.controller, &run->segment, run->page, length, 0);
	if (code == RSM_SUCCESS)
		code = rsm_memseg_export_publish(run->segment, id, &access, 1);
	return code;
}

static int begin_both(struct perf_run *run, size_t size)
{
	void *address = NULL;
	rsm_memseg_id_t id = 0;
	int code = export_target(run, size, &id);
	if (code == RSM_SUCCESS)
		code = rsm_memseg_import_map(run->session.import, &address, RSM_MAP_NONE, RSM_PERM_RDWR, 0,
					     run->session.length);
	if (code != RSM_SUCCESS)
		return code;
	run->map = address;
	code = perf_peer_order(&run->peer, "both", size, id);
	return code == RSM_SUCCESS ? perf_begin_explicit(run, size) : code;
}

static int begin_raw(struct perf_run *run, size_t size)
{
	return perf_peer_order(&run->peer, "both", size, 0);
}

/* Asks the peer for `count` operations; they run while this side does its own. */
static uint64_t ask(struct perf_run *run, uint64_t count)
{
	return atomic_fetch_add_explicit(&words_of(run)->asked, count, memory_order_release) + count;
}

static int await(struct perf_run *run, uint64_t asked)
{
	for (unsigned spins = 1; atomic_load_explicit(&words_of(run)->done, memory_order_acquire) != asked;
	     spins++) {
		if (spins % PERF_SPINS == 0 && perf_peer_check(&run->peer) != RSM_SUCCESS)
			return PERF_TOLD;
	}
	return RSM_SUCCESS;
}

/* `count` puts within one barrier. */
static int put_all(rsm_memseg_import_handle_t import, rsmapi_barrier_t *barrier, size_t offset,
		   const void *from, size_t size, uint64_t count)
{
	int code = rsm_memseg_import_open_barrier(barrier);
	while (count-- && code == RSM_SUCCESS)
		code = rsm_memseg_import_put(import, (off_t)offset, (void *)(uintptr_t)from, size);
	int closed = rsm_memseg_import_close_barrier(barrier);
	return code != RSM_SUCCESS ? code : closed;
}

static int run_both(struct perf_run *run, size_t size, uint64_t count)
{
	uint64_t asked = ask(run, count);
	int code = put_all(run->session.import, &run->session.barrier, run->base, run->local, size, count);
	return code == RSM_SUCCESS ? await(run, asked) : code;
}

static int run_raw(struct perf_run *run, size_t size, uint64_t count)
{
	uint64_t asked = ask(run, count);
	while (count--)
		perf_raw_memcpy(run->raw + PERF_DATA, run->local, size);
	return await(run, asked);
}

static int end_raw(struct perf_run *run, size_t size)
{
	(void)size;
	atomic_store(&words_of(run)->stop, 1);
	return perf_peer_finish(&run->peer);
}

static int end_both(struct perf_run *run, size_t size)
{
	int code = end_raw(run, size);
	run->map = NULL;
	int unmapped = rsm_memseg_import_unmap(run->session.import);
	code = code != RSM_SUCCESS ? code : unmapped;
	int ended = rsm_memseg_export_destroy(run->segment);
	rsmx_free(run->page);
	code = code != RSM_SUCCESS ? code : ended;
	return code != RSM_SUCCESS ? code : perf_end_explicit(run, size);
}

/* The peer: does what is asked until it is told to stop. */
static int serve(const struct perf_server *server, struct perf_words *words,
		 rsm_memseg_import_handle_t import, rsmapi_barrier_t *barrier, size_t size)
{
	const unsigned char *from = server->shared + PERF_DATA + server->room / 2;
	uint64_t done = atomic_load(&words->done);
	perf_server_say(server, "ready");
	for (unsigned spins = 0;; spins++) {
		uint64_t asked = atomic_load_explicit(&words->asked, memory_order_acquire);
		int code = RSM_SUCCESS;
		if (asked != done) {
			if (import)
				code = put_all(import, barrier, 0, from, size, asked - done);
			else
				for (uint64_t left = asked - done; left; left--)
					perf_raw_memcpy(server->raw + PERF_DATA + server->room / 2, from,
							size);
			if (code != RSM_SUCCESS)
				return code;
			done = asked;
			atomic_store_explicit(&words->done, done, memory_order_release);
			spins = 0;
		} else if (atomic_load_explicit(&words->stop, memory_order_relaxed)) {
			return RSM_SUCCESS;
		} else if (spins >= PERF_SPINS) {
			if (perf_server_over(server, words))
				return RSM_SUCCESS;
			spins = 0;
		}
	}
}

int perf_both_serve(const struct perf_server *server, rsm_memseg_id_t id, size_t size)
{
	rsm_memseg_import_handle_t import = NULL;
	rsmapi_barrier_t barrier;
	if (id == 0)
		return serve(server, (struct perf_words *)(void *)server->raw, NULL, NULL, size);
	int code = rsm_memseg_import_connect(server->session.controller, server->session.node, id,
					     RSM_PERM_RDWR, &import);
	if (code != RSM_SUCCESS)
		return code;
	code = rsm_memseg_import_init_barrier(import, RSM_BARRIER_SEGMENT, &barrier);
	if (code == RSM_SUCCESS)
		code = rsm_memseg_import_set_mode(import, RSM_BARRIER_MODE_EXPLICIT);
	if (code == RSM_SUCCESS)
		code = serve(server, (struct perf_words *)(void *)server->shared, import, &barrier, size);
	int ended = rsm_memseg_import_disconnect(import);
	return code != RSM_SUCCESS ? code : ended;
}

static const struct perf_test raw_both = {.name = "raw memcpy by both sides",
					  .parts = 1,
					  .shortest = SHORTEST,
					  .begin = begin_raw,
					  .run = run_raw,
					  .end = end_raw};

const struct perf_test perf_both_tests[] = {
	{.name = "put-bw-both",
	 .title = "put bandwidth, explicit mode, both sides put to each other; their sum",
	 .kind = PERF_BANDWIDTH,
	 .parts = 1,
	 .ways = 2,
	 .shortest = SHORTEST,
	 .sized = true,
	 .writes = true,
	 .peer = true,
	 .spins = true,
	 .begin = begin_both,
	 .run = run_both,
	 .end = end_both,
	 .raw = &raw_both},
};
const size_t perf_both_count = sizeof(perf_both_tests) / sizeof(perf_both_tests[0]);
