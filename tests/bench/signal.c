/* SPDX-License-Identifier: BSD-2-Clause */
/* Handing over between two processes: a flag in mapped memory; signals with a waiter that polls or sleeps. */
#include <string.h>
#include <sys/mman.h>

#include "bench.h"

#define ROUNDS      7
#define SPIN_TURNS  200000
#define BLOCK_TURNS 2000
#define THINK_NS    60000u

/* No wait of the bench is for ever: a peer that died or a lost signal shows within this time. */
#define WAIT_MS 10000

void *bench_signal_handle;

static bool signal_post(unsigned own, uint32_t turn)
{
	int code;

	(void)own;
	(void)turn;
	bench_think();
	code = rsm_intr_signal_post(bench_signal_handle, 0);
	return code == RSM_SUCCESS || bench_refused("rsm_intr_signal_post", code);
}

static bool signal_wait(unsigned own, uint32_t turn)
{
	int code = rsm_intr_signal_wait(bench_signal_handle, WAIT_MS);

	(void)own;
	(void)turn;
	return code == RSM_SUCCESS || bench_refused("rsm_intr_signal_wait", code);
}

static bool signal_poll(unsigned own, uint32_t turn)
{
	int code;

	(void)own;
	(void)turn;
	do {
		code = rsm_intr_signal_wait(bench_signal_handle, 0);
	} while (code == RSMERR_TIMEOUT);
	return code == RSM_SUCCESS || bench_refused("rsm_intr_signal_wait", code);
}

const struct bench_ball bench_ball_signal = {signal_post, signal_wait};
const struct bench_ball bench_ball_poll = {signal_post, signal_poll};

struct match {
	const struct bench_peer *peer;
	const struct bench_ball *raw, *ours;
	enum bench_verb raw_verb, our_verb;
	uint32_t turns;
	uint64_t think; /* nanoseconds before each post */
	double unit;    /* nanoseconds */
};

static double play(const struct match *match, const struct bench_ball *ball, enum bench_verb verb)
{
	double ns;

	memset(bench_shared, 0, sizeof(*bench_shared));
	memset(bench_mapped, 0, sizeof(*bench_mapped));
	bench_shared->think = match->think;
	if (!bench_peer_tell(match->peer, verb, 0, match->turns))
		return -1;
	ns = bench_ping(ball, match->turns);
	return ns < 0 || !bench_peer_answer(match->peer) ? -1 : (ns - (double)match->think) / match->unit;
}

static double raw_probe(void *context)
{
	const struct match *match = context;

	return play(match, match->raw, match->raw_verb);
}

static double our_probe(void *context)
{
	const struct match *match = context;

	return play(match, match->ours, match->our_verb);
}

static bool spinning_rows(struct match match)
{
	struct bench_row data = {.name = "data + flag through a map, half trip",
				 .limit = "the same in a memfd",
				 .unit = "ns",
				 .kind = BENCH_RATIO_MOST,
				 .goal = 1.05,
				 .note = "1.0"};
	struct bench_row spin = {.name = "signal, waiter polls, half trip",
				 .limit = "two cache lines",
				 .unit = "ns",
				 .kind = BENCH_RATIO_MOST,
				 .goal = 130.0 / 61,
				 .note = "130 ns"};
	bool ok;

	match.turns = SPIN_TURNS;
	match.unit = 1;
	match.raw = &bench_ball_lines;
	match.raw_verb = BENCH_PONG_LINES;
	match.ours = &bench_ball_data;
	match.our_verb = BENCH_PONG_DATA;
	ok = bench_compare(data, raw_probe, our_probe, &match, ROUNDS);
	match.ours = &bench_ball_poll;
	match.our_verb = BENCH_PONG_POLL;
	return bench_compare(spin, raw_probe, our_probe, &match, ROUNDS) && ok;
}

/*
 * Across cores each side computes before it posts, longer than any spin of the waiter, so that a wake-up is what is
 * measured; on one core the waiter sleeps anyway.
 */
static bool blocking_rows(struct match match)
{
	struct bench_row across = {.name = "signal, waiter blocked, across cores",
				   .limit = "futex",
				   .unit = "us",
				   .kind = BENCH_RATIO_MOST,
				   .goal = 1.1};
	struct bench_row one = {.name = "signal, waiter blocked, one core",
				.limit = "futex",
				.unit = "us",
				.kind = BENCH_RATIO_MOST,
				.goal = 1.1};
	bool ok;

	match.turns = BLOCK_TURNS;
	match.unit = 1000;
	match.raw = &bench_ball_futex;
	match.raw_verb = BENCH_PONG_FUTEX;
	match.ours = &bench_ball_signal;
	match.our_verb = BENCH_PONG_SIGNAL;
	match.think = THINK_NS;
	ok = bench_compare(across, raw_probe, our_probe, &match, ROUNDS);
	match.think = 0;
	if (!bench_peer_ask(match.peer, BENCH_PIN, 0, (uint64_t)bench_core[0]))
		return false;
	ok &= bench_compare(one, raw_probe, our_probe, &match, ROUNDS);
	return bench_peer_ask(match.peer, BENCH_PIN, 0, (uint64_t)bench_core[1]) && ok;
}

bool bench_signal_rows(struct bench_peer *peer)
{
	struct match match = {.peer = peer};
	rsm_memseg_import_handle_t handle;
	rsmapi_barrier_t barrier;
	void *map = NULL;
	bool ok;
	int code;

	if (!bench_connect(BENCH_SEGMENT, &handle, &barrier))
		return false;
	code = rsm_memseg_import_map(handle, &map, RSM_MAP_NONE, RSM_PERM_RDWR, 0, sizeof(*bench_mapped));
	if (code)
		return bench_refused("rsm_memseg_import_map", code);
	bench_mapped = map;
	bench_signal_handle = handle;
	ok = spinning_rows(match);
	ok &= blocking_rows(match);
	rsm_memseg_import_unmap(handle);
	rsm_memseg_import_destroy_barrier(&barrier);
	rsm_memseg_import_disconnect(handle);
	return ok;
}
