/* SPDX-License-Identifier: BSD-2-Clause */
/* Echoes: a message through the map, and signals. An operation is a round trip, half of it is reported. */
#include <string.h>

#include "rsm/perf.h"

/* Tells the peer to leave its loop, by the stop word and one more event. */
static int end_signals(struct perf_run *run, size_t size)
{
	(void)size;
	uint32_t stop = 1;
	int code = rsm_memseg_import_put(run->session.import, offsetof(struct perf_words, stop), &stop,
					 sizeof(stop));
	if (code == RSM_SUCCESS)
		code = rsm_intr_signal_post(run->session.import, 0);
	return code == RSM_SUCCESS ? perf_peer_finish(&run->peer) : code;
}

static int begin_spin(struct perf_run *run, size_t size)
{
	return perf_peer_order(&run->peer, "signal-spin", size, 0);
}

static int begin_block(struct perf_run *run, size_t size)
{
	return perf_peer_order(&run->peer, "signal-block", size, 0);
}

static int signal_spin(struct perf_run *run, size_t size, uint64_t count)
{
	(void)size;
	while (count--) {
		int code = rsm_intr_signal_post(run->session.import, 0);
		if (code != RSM_SUCCESS)
			return code;
		unsigned spins = 0;
		while ((code = rsm_intr_signal_wait(run->session.import, 0)) == RSMERR_TIMEOUT) {
			if (++spins % PERF_SPINS == 0 && perf_peer_check(&run->peer) != RSM_SUCCESS)
				return PERF_TOLD;
		}
		if (code != RSM_SUCCESS)
			return code;
	}
	return RSM_SUCCESS;
}

static int signal_block(struct perf_run *run, size_t size, uint64_t count)
{
	(void)size;
	int code = RSM_SUCCESS;
	while (count-- && code == RSM_SUCCESS) {
		perf_think();
		code = rsm_intr_signal_post(run->session.import, 0);
		if (code == RSM_SUCCESS)
			code = rsm_intr_signal_wait(run->session.import, PERF_WAIT_MS);
	}
	return code;
}

static int begin_echo(struct perf_run *run, size_t size)
{
	void *address = NULL;
	int code = rsm_memseg_import_map(run->session.import, &address, RSM_MAP_NONE, RSM_PERM_RDWR, 0,
					 run->session.length);
	if (code != RSM_SUCCESS)
		return code;
	run->map = address;
	run->turn = perf_echo_read(run->map + PERF_DATA, size);
	return perf_peer_order(&run->peer, "echo", size, 0);
}

static int map_echo(struct perf_run *run, size_t size, uint64_t count)
{
	unsigned char *ping = run->map + PERF_DATA;
	const unsigned char *pong = run->map + PERF_DATA + run->room / 2;
	while (count--) {
		perf_echo_write(ping, run->local, size, ++run->turn);
		for (unsigned spins = 1; perf_echo_read(pong, size) != run->turn; spins++) {
			if (spins % PERF_SPINS == 0 && perf_peer_check(&run->peer) != RSM_SUCCESS)
				return PERF_TOLD;
		}
	}
	return RSM_SUCCESS;
}

static int end_echo(struct perf_run *run, size_t size)
{
	(void)size;
	atomic_store(&((struct perf_words *)(void *)run->map)->stop, 1);
	int code = perf_peer_finish(&run->peer);
	run->map = NULL;
	int unmapped = rsm_memseg_import_unmap(run->session.import);
	return code != RSM_SUCCESS ? code : unmapped;
}

const struct perf_test perf_signal_tests[] = {
	{.name = "map",
	 .title = "data and flag through the mapped segment, half a round trip",
	 .kind = PERF_TIME,
	 .parts = 2,
	 .sized = true,
	 .writes = true,
	 .peer = true,
	 .spins = true,
	 .begin = begin_echo,
	 .run = map_echo,
	 .end = end_echo,
	 .raw = &perf_raw_echo},
	{.name = "signal-spin",
	 .title = "signal, the waiter spins, half a round trip",
	 .kind = PERF_TIME,
	 .parts = 2,
	 .writes = true,
	 .peer = true,
	 .spins = true,
	 .begin = begin_spin,
	 .run = signal_spin,
	 .end = end_signals,
	 .raw = &perf_raw_echo},
	{.name = "signal-block",
	 .title = "signal, the waiter is asleep, half a round trip",
	 .kind = PERF_TIME,
	 .parts = 2,
	 .think = PERF_THINK_NS,
	 .writes = true,
	 .peer = true,
	 .begin = begin_block,
	 .run = signal_block,
	 .end = end_signals,
	 .raw = &perf_raw_futex},
};
const size_t perf_signal_count = sizeof(perf_signal_tests) / sizeof(perf_signal_tests[0]);
