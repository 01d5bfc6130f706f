/* SPDX-License-Identifier: BSD-2-Clause */
/* Every function from many threads at once; and stores of other threads while memory is adopted, moved, returned. */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "pair.h"
#include "peer.h"

#define THREADS 10
#define ROUNDS  200

static struct pair shared;
static _Atomic bool stop;

static void together(void *(*run)(void *))
{
	pthread_t threads[THREADS];

	for (intptr_t at = 0; at < THREADS; at++)
		CHECK(pthread_create(&threads[at], NULL, run, (void *)at) == 0);
	for (int at = 0; at < THREADS; at++)
		CHECK(pthread_join(threads[at], NULL) == 0);
}

/* Own words of one segment through one handle in implicit mode. */
static void *put_get(void *argument)
{
	off_t offset = (off_t)(intptr_t)argument * 64;

	for (uint64_t round = 1; round <= 20 * ROUNDS; round++) {
		uint64_t back = 0;
		MUST(rsm_memseg_import_put64(shared.i, offset, &round, 1));
		MUST(rsm_memseg_import_get64(shared.i, offset, &back, 1));
		CHECK_EQUAL(round, back);
	}
	return NULL;
}

static void r_put_get(void)
{
	pair_open(&shared);
	together(put_get);
}

/* Whole lives of segments side by side. */
static void *life(void *argument)
{
	(void)argument;
	for (int round = 0; round < ROUNDS / 8; round++) {
		struct pair pair;
		void *address = NULL;
		pair_open(&pair);
		MUST(pair_put_byte(pair.i, 1, round));
		CHECK_BYTES(pair.memory + 1, round, 1);
		EXPECT(SUITE_MAP_CODE,
		       rsm_memseg_import_map(pair.i, &address, RSM_MAP_NONE, RSM_PERM_RDWR, 0, pair.length));
		MUST(rsm_intr_signal_post(pair.i, 0));
		MUST(rsm_intr_signal_wait(pair.e, 1000));
		if (suite_can_map())
			MUST(rsm_memseg_import_unmap(pair.i));
		MUST(rsm_memseg_export_unpublish(pair.e));
		EXPECT(RSMERR_CONN_ABORTED, pair_put_byte(pair.i, 1, 0));
		pair_close(&pair);
		free(pair.memory);
	}
	return NULL;
}

static void r_lives(void)
{
	together(life);
}

/* Connects to one segment from all threads, which one thread keeps withdrawing. */
static void *connects(void *argument)
{
	(void)argument;
	while (!atomic_load(&stop)) {
		rsm_memseg_import_handle_t i = NULL;
		rsmapi_barrier_t barrier;
		int code = rsm_memseg_import_connect(shared.controller, shared.node, 0x400088, RSM_PERM_RDWR,
						     &i);
		if (code == RSMERR_SEG_NOT_PUBLISHED || code == RSMERR_INTERRUPTED)
			continue;
		MUST(code);
		MUST(rsm_memseg_import_init_barrier(i, RSM_BAR_DEFAULT, &barrier));
		code = pair_put_byte(i, 0, 1);
		CHECK(code == RSM_SUCCESS || code == RSMERR_CONN_ABORTED);
		code = rsm_intr_signal_post(i, RSM_SIGPOST_NO_ACCUMULATE);
		CHECK(code == RSM_SUCCESS || code == RSMERR_CONN_ABORTED);
		MUST(rsm_memseg_import_disconnect(i));
	}
	return NULL;
}

static void *withdraws(void *argument)
{
	rsm_memseg_id_t id = 0x400088;

	if (argument)
		return connects(argument);
	for (int round = 0; round < ROUNDS; round++) {
		MUST(rsm_memseg_export_publish(shared.e, &id, NULL, 0));
		MUST(rsm_memseg_export_republish(shared.e, NULL, 0));
		MUST(rsm_memseg_export_unpublish(shared.e));
	}
	atomic_store(&stop, true);
	return NULL;
}

static void r_withdraw(void)
{
	pair_export(&shared, 1);
	together(withdraws);
}

/* Each thread counts in its own words of the memory, by plain stores through the application's pointer. */
static uint64_t counted[THREADS];

static void *count_up(void *argument)
{
	size_t thread = (size_t)(intptr_t)argument;
	size_t words = shared.length / 8;
	volatile uint64_t *memory = (volatile uint64_t *)(void *)shared.memory;

	if (thread == 0) {
		rsm_memseg_export_handle_t e;
		for (int round = 0; round < 12; round++) {
			MUST(rsm_memseg_export_create(shared.controller, &e, shared.memory, shared.length,
						      RSM_ALLOW_REBIND));
			shared.e = e;
			pair_publish(&shared);
			pair_connect(&shared, RSM_PERM_READ);
			pair_get_byte(shared.i, 0);
			MUST(rsm_memseg_export_unpublish(e)); /* somebody holds it: the pages move */
			MUST(rsm_memseg_import_disconnect(shared.i));
			MUST(rsm_memseg_export_destroy(e));
		}
		atomic_store(&stop, true);
		return NULL;
	}
	while (!atomic_load(&stop)) {
		for (size_t at = thread; at < words; at += THREADS * 97) {
			memory[at]++;
			counted[thread]++;
		}
	}
	return NULL;
}

static void r_no_lost_store(void)
{
	pair_open_pages(&shared, 512);
	pair_close(&shared);
	shared.controller = pair_controller(suite_controller());
	memset(shared.memory, 0, shared.length);
	together(count_up);
	for (size_t thread = 1; thread < THREADS; thread++) {
		uint64_t sum = 0;
		for (size_t at = thread; at < shared.length / 8; at += THREADS * 97)
			sum += ((uint64_t *)(void *)shared.memory)[at];
		CHECK(counted[thread] > 0);
		CHECK_EQUAL(counted[thread], sum);
	}
}

#define REGION ((size_t)1 << 20) /* large enough that threads are interrupted in the middle of a put */

static struct putter {
	pthread_t thread;
	size_t offset;
	uint64_t last; /* the last put that succeeded */
	uint64_t words[REGION / 8];
} putters[THREADS];

static void *put_until_aborted(void *argument)
{
	struct putter *own = argument;

	for (own->last = 0;; own->last++) {
		for (size_t at = 0; at < REGION / 8; at++)
			own->words[at] = own->last + 1;
		int code = rsm_memseg_import_put64(shared.i, (off_t)own->offset, own->words, REGION / 8);
		if (code != RSM_SUCCESS) {
			EXPECT(RSMERR_CONN_ABORTED, code);
			return NULL;
		}
	}
}

static void expect_arrived(const struct putter *own)
{
	const uint64_t *memory = (const uint64_t *)(const void *)(shared.memory + own->offset);

	for (size_t at = 0; at < REGION / 8; at++) {
		if (memory[at] < own->last)
			suite_fail(__FILE__, __LINE__, "word %zu is of put %llu, but put %llu succeeded", at,
				   (unsigned long long)memory[at], (unsigned long long)own->last);
	}
}

static void r_put_unpublish(void)
{
	/* Success of an implicit put means that the exporter has the data, also when it withdraws at that moment. */
	pair_export(&shared, THREADS * REGION / suite_page());
	for (int round = 0; round < 25; round++) {
		memset(shared.memory, 0, shared.length);
		pair_publish(&shared);
		pair_connect(&shared, RSM_PERM_RDWR);
		for (size_t at = 0; at < THREADS; at++) {
			putters[at].offset = at * REGION;
			CHECK(pthread_create(&putters[at].thread, NULL, put_until_aborted, &putters[at]) ==
			      0);
		}
		while (*(volatile uint64_t *)(void *)(shared.memory + (size_t)(round % THREADS) * REGION) ==
		       0)
			sched_yield();
		MUST(rsm_memseg_export_unpublish(shared.e));
		for (size_t at = 0; at < THREADS; at++)
			CHECK(pthread_join(putters[at].thread, NULL) == 0);
		for (size_t at = 0; at < THREADS; at++)
			expect_arrived(&putters[at]);
		MUST(rsm_memseg_import_disconnect(shared.i));
	}
}

/* Posts from all threads are all counted. */
static void *post(void *argument)
{
	(void)argument;
	for (int round = 0; round < ROUNDS; round++)
		MUST(rsm_intr_signal_post(shared.i, 0));
	return NULL;
}

static void r_posts(void)
{
	pair_open(&shared);
	together(post);
	for (int at = 0; at < THREADS * ROUNDS; at++)
		MUST(rsm_intr_signal_wait(shared.e, 0));
	EXPECT(RSMERR_TIMEOUT, rsm_intr_signal_wait(shared.e, 0));
}

static void *wait_some(void *argument)
{
	(void)argument;
	for (int round = 0; round < ROUNDS; round++)
		MUST(rsm_intr_signal_wait(shared.e, 20000));
	return NULL;
}

static void r_waits(void)
{
	struct peer peer;

	peer_start(&peer, NULL);
	pair_open(&shared);
	MUST(peer_connect(&peer, 0, shared.node, shared.id, RSM_PERM_NONE));
	pthread_t threads[THREADS];
	for (intptr_t at = 0; at < THREADS; at++)
		CHECK(pthread_create(&threads[at], NULL, wait_some, (void *)at) == 0);
	for (int at = 0; at < THREADS * ROUNDS; at++)
		MUST(peer_simple(&peer, PEER_POST, 0, 0));
	for (int at = 0; at < THREADS; at++)
		CHECK(pthread_join(threads[at], NULL) == 0);
	EXPECT(RSMERR_TIMEOUT, rsm_intr_signal_wait(shared.e, 0));
}

/*
 * Control calls, with places for cancellation inside, until the thread is cancelled. No local variables in memory
 * here: AddressSanitizer does not see that a cancelled thread leaves their frame.
 */
static void *control_until_cancelled(void *running)
{
	for (;;) {
		MUST(rsm_memseg_import_disconnect(pair_import(&shared, RSM_PERM_RDWR, NULL)));
		atomic_store((_Atomic bool *)running, true);
		pthread_testcancel();
	}
	return NULL;
}

static void r_cancel(void)
{
	pthread_t thread;
	void *end;

	/* Whoever is cancelled inside the library leaves no lock behind; else the next call hangs. */
	pair_open(&shared);
	for (int round = 0; round < 50; round++) {
		_Atomic bool running = false;
		CHECK(pthread_create(&thread, NULL, control_until_cancelled, &running) == 0);
		while (!atomic_load(&running))
			sched_yield();
		CHECK(pthread_cancel(thread) == 0);
		CHECK(pthread_join(thread, &end) == 0 && end == PTHREAD_CANCELED);
		MUST(rsm_memseg_export_republish(shared.e, NULL, 0));
	}
}

static const struct suite_case cases[] = {
	{"R-threads-put-get", "10 threads put and get through one handle", r_put_get},
	{"R-threads-lives", "10 threads with segments of their own", r_lives},
	{"R-threads-withdraw", "9 threads connect while one withdraws", r_withdraw},
	{"R-threads-no-lost-store", "no store is lost while memory is adopted, moved and returned",
	 r_no_lost_store},
	{"R-threads-put-unpublish", "a put that succeeds beside unpublish has arrived", r_put_unpublish},
	{"R-threads-posts", "10 threads post, every event counts", r_posts},
	{"R-threads-cancel", "a thread cancelled in control calls leaves no lock behind", r_cancel},
	{"R-threads-waits", "10 threads wait, every event releases one", r_waits},
};

SUITE_MAIN(cases)
