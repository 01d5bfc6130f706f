/* SPDX-License-Identifier: BSD-2-Clause */
/* What the machine does without the library: the limits of --compare, on memory shared with the same peer. */
#include <errno.h>
#include <linux/futex.h>
#include <string.h>

#include "rsm/perf.h"

void *(*volatile perf_raw_memcpy)(void *to, const void *from, size_t size) = memcpy;

/* A store that is known to be performed. For more than a word: copy, then fence. */
static int raw_store(struct perf_run *run, size_t size, uint64_t count)
{
	unsigned char *target = run->raw + PERF_DATA;
	if (size == sizeof(uint64_t)) {
		volatile uint64_t *word = (volatile uint64_t *)(void *)target;
		uint64_t value = *(const uint64_t *)(const void *)run->local;
		while (count--) {
			*word = value;
			atomic_thread_fence(memory_order_seq_cst);
		}
		return RSM_SUCCESS;
	}
	while (count--) {
		perf_raw_memcpy(target, run->local, size);
		atomic_thread_fence(memory_order_seq_cst);
	}
	return RSM_SUCCESS;
}

static int raw_copy_in(struct perf_run *run, size_t size, uint64_t count)
{
	while (count--)
		perf_raw_memcpy(run->raw + PERF_DATA, run->local, size);
	return RSM_SUCCESS;
}

static int raw_copy_out(struct perf_run *run, size_t size, uint64_t count)
{
	while (count--)
		perf_raw_memcpy(run->local, run->raw + PERF_DATA, size);
	return RSM_SUCCESS;
}

static int begin_raw_echo(struct perf_run *run, size_t size)
{
	run->turn = perf_echo_read(run->raw + PERF_DATA, size);
	return perf_peer_order(&run->peer, "raw-echo", size, 0);
}

static int raw_echo(struct perf_run *run, size_t size, uint64_t count)
{
	unsigned char *ping = run->raw + PERF_DATA;
	const unsigned char *pong = run->raw + PERF_DATA + run->room / 2;
	while (count--) {
		perf_echo_write(ping, run->local, size, ++run->turn);
		for (unsigned spins = 1; perf_echo_read(pong, size) != run->turn; spins++) {
			if (spins % PERF_SPINS == 0 && perf_peer_check(&run->peer) != RSM_SUCCESS)
				return PERF_TOLD;
		}
	}
	return RSM_SUCCESS;
}

static int begin_raw_futex(struct perf_run *run, size_t size)
{
	return perf_peer_order(&run->peer, "raw-futex", size, 0);
}

static int raw_futex(struct perf_run *run, size_t size, uint64_t count)
{
	struct perf_words *words = (struct perf_words *)(void *)run->raw;
	(void)size;
	while (count--) {
		uint32_t turn = atomic_load(&words->ping) + 1, now;
		perf_think();
		atomic_store(&words->ping, turn);
		perf_futex(&words->ping, FUTEX_WAKE, 1, 0);
		while ((now = atomic_load(&words->pong)) != turn) {
			if (perf_futex(&words->pong, FUTEX_WAIT, now, PERF_WAIT_MS) != 0 &&
			    errno == ETIMEDOUT)
				return RSMERR_TIMEOUT;
		}
	}
	return RSM_SUCCESS;
}

/* The stop word first, then one more turn for a peer that sleeps. */
static int end_raw(struct perf_run *run, size_t size)
{
	struct perf_words *words = (struct perf_words *)(void *)run->raw;
	(void)size;
	atomic_store(&words->stop, 1);
	atomic_fetch_add(&words->ping, 1);
	perf_futex(&words->ping, FUTEX_WAKE, 1, 0);
	return perf_peer_finish(&run->peer);
}

const struct perf_test perf_raw_store = {.name = "raw store and fence", .parts = 1, .run = raw_store};
const struct perf_test perf_raw_copy_in = {
	.name = "raw memcpy to shared memory", .parts = 1, .run = raw_copy_in};
const struct perf_test perf_raw_copy_out = {
	.name = "raw memcpy from shared memory", .parts = 1, .run = raw_copy_out};
const struct perf_test perf_raw_echo = {.name = "raw echo through shared memory",
					.parts = 2,
					.begin = begin_raw_echo,
					.run = raw_echo,
					.end = end_raw};
const struct perf_test perf_raw_futex = {.name = "raw futex echo",
					 .parts = 2,
					 .think = PERF_THINK_NS,
					 .begin = begin_raw_futex,
					 .run = raw_futex,
					 .end = end_raw};
