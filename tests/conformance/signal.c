/* SPDX-License-Identifier: BSD-2-Clause */
/* C66-C73: post and wait. The descriptor for poll is in pollfd.c. */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "pair.h"
#include "peer.h"

static void c66(void)
{
	struct pair pair;

	pair_open(&pair);
	MUST(rsm_intr_signal_post(pair.i, 0));
	MUST(rsm_intr_signal_wait(pair.e, 1000));
	EXPECT(RSMERR_TIMEOUT, rsm_intr_signal_wait(pair.e, 0));
	EXPECT(RSMERR_TIMEOUT, rsm_intr_signal_wait(pair.i, 0));
}

static void c67(void)
{
	struct pair pair;

	pair_open(&pair);
	for (int at = 0; at < 3; at++)
		MUST(rsm_intr_signal_post(pair.i, 0));
	for (int at = 0; at < 3; at++)
		MUST(rsm_intr_signal_wait(pair.e, 0));
	EXPECT(RSMERR_TIMEOUT, rsm_intr_signal_wait(pair.e, 0));
}

static void c68(void)
{
	struct pair pair;

	pair_open(&pair);
	for (int at = 0; at < 2; at++)
		MUST(rsm_intr_signal_post(pair.i, RSM_SIGPOST_NO_ACCUMULATE));
	MUST(rsm_intr_signal_wait(pair.e, 0));
	EXPECT(RSMERR_TIMEOUT, rsm_intr_signal_wait(pair.e, 0));
	for (int at = 0; at < 2; at++)
		MUST(rsm_intr_signal_post(pair.e, RSM_SIGPOST_NO_ACCUMULATE));
	pair_settle(&pair);
	MUST(rsm_intr_signal_wait(pair.i, 0));
	EXPECT(RSMERR_TIMEOUT, rsm_intr_signal_wait(pair.i, 0));
}

static void c69(void)
{
	struct pair pair;

	pair_open(&pair);
	rsm_memseg_import_handle_t second = pair_import(&pair, RSM_PERM_READ, NULL);
	MUST(rsm_intr_signal_post(pair.e, 0));
	MUST(rsm_intr_signal_wait(pair.i, 1000));
	MUST(rsm_intr_signal_wait(second, 1000));
	pair_settle(&pair);
	EXPECT(RSMERR_TIMEOUT, rsm_intr_signal_wait(pair.i, 0));
	EXPECT(RSMERR_TIMEOUT, rsm_intr_signal_wait(second, 0));
	EXPECT(RSMERR_TIMEOUT, rsm_intr_signal_wait(pair.e, 0));
	MUST(rsm_intr_signal_post(pair.i, 0)); /* goes to the exporter, not to other importers */
	EXPECT(RSMERR_TIMEOUT, rsm_intr_signal_wait(second, 0));
	EXPECT(RSMERR_TIMEOUT, rsm_intr_signal_wait(pair.i, 0));
}

static void c70(void)
{
	struct pair pair;

	pair_open(&pair);
	uint64_t start = suite_clock_ms();
	EXPECT(RSMERR_TIMEOUT, rsm_intr_signal_wait(pair.e, 100));
	CHECK(suite_clock_ms() - start >= 99); /* the clock here is cut to milliseconds */
	start = suite_clock_ms();
	EXPECT(RSMERR_TIMEOUT, rsm_intr_signal_wait(pair.i, 100));
	CHECK(suite_clock_ms() - start >= 99);
}

static void on_signal(int number)
{
	(void)number;
}

/* Every 20 ms from now on, so that one before the wait does no harm. Not SIGALRM: that is the case's deadline. */
static void interrupt(int flags)
{
	struct sigaction action = {.sa_handler = on_signal, .sa_flags = flags};
	struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
	struct itimerspec every = {{0, 20000000}, {0, 20000000}};
	timer_t timer;

	CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
	CHECK(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0);
	CHECK(timer_settime(timer, 0, &every, NULL) == 0);
}

static void c71(void)
{
	struct pair pair;
	struct pollfd fd;
	int count;

	pair_open(&pair);
	MUST(rsm_memseg_get_pollfd(pair.e, &fd));
	interrupt(0);
	EXPECT(RSMERR_INTERRUPTED, rsm_intr_signal_wait(pair.e, -1));
	EXPECT(RSMERR_INTERRUPTED, rsm_intr_signal_wait(pair.i, -1));
	EXPECT(RSMERR_INTERRUPTED, rsm_intr_signal_wait_pollfd(&fd, 1, -1, &count));
	interrupt(SA_RESTART);
	EXPECT(RSMERR_INTERRUPTED, rsm_intr_signal_wait(pair.e, -1));
	EXPECT(RSMERR_INTERRUPTED, rsm_intr_signal_wait(pair.i, 5000));
	EXPECT(RSMERR_INTERRUPTED, rsm_intr_signal_wait_pollfd(&fd, 1, -1, &count));
}

static void c72(void)
{
	struct peer peer;
	struct pair pair;

	peer_start(&peer, NULL);
	pair_open(&pair);
	MUST(peer_connect(&peer, 0, pair.node, pair.id, RSM_PERM_RDWR));
	peer_begin(&peer, &(struct peer_request){.op = PEER_WAIT, .handle = 0, .value = -1});
	peer_until_asleep(&peer);
	uint64_t start = suite_clock_ms();
	MUST(rsm_memseg_export_unpublish(pair.e));
	EXPECT(RSMERR_CONN_ABORTED, peer_end(&peer).code);
	CHECK(suite_clock_ms() - start < 500); /* woken, not found by looking again once a second */
	EXPECT(RSMERR_CONN_ABORTED, peer_simple(&peer, PEER_POST, 0, 0));
	EXPECT(RSMERR_CONN_ABORTED, peer_simple(&peer, PEER_WAIT, 0, 0));
	EXPECT(RSMERR_CONN_ABORTED, rsm_intr_signal_wait(pair.i, -1));
	EXPECT(RSMERR_CONN_ABORTED, rsm_intr_signal_post(pair.i, 0));
	EXPECT(RSMERR_TIMEOUT, rsm_intr_signal_wait(pair.e, 0));
}

static void c73(void)
{
	struct pair pair;

	pair_open(&pair);
	EXPECT(RSMERR_BAD_SEG_HNDL, rsm_intr_signal_post(NULL, 0));
	EXPECT(RSMERR_BAD_SEG_HNDL, rsm_intr_signal_wait(NULL, 0));
	EXPECT(RSMERR_BAD_SEG_HNDL, rsm_intr_signal_post(pair.memory, 0));
	EXPECT(RSMERR_BAD_SEG_HNDL, rsm_intr_signal_wait(pair.memory, 0));
	EXPECT(RSMERR_BAD_SEG_HNDL, rsm_intr_signal_post(pair.controller, 0));
}

static void r_no_accumulate(void)
{
	struct pair pair;

	pair_open(&pair);
	MUST(rsm_intr_signal_post(pair.e,
				  0)); /* the first import has one pending, the second is yet to come */
	rsm_memseg_import_handle_t second = pair_import(&pair, RSM_PERM_READ, NULL);
	MUST(rsm_intr_signal_post(pair.e, RSM_SIGPOST_NO_ACCUMULATE));
	pair_settle(&pair);
	MUST(rsm_intr_signal_wait(pair.i, 0));
	EXPECT(RSMERR_TIMEOUT, rsm_intr_signal_wait(pair.i, 0));
	MUST(rsm_intr_signal_wait(second, 0));
	EXPECT(RSMERR_TIMEOUT, rsm_intr_signal_wait(second, 0));
	MUST(rsm_intr_signal_post(pair.i, 0)); /* a counter above 1 stays */
	MUST(rsm_intr_signal_post(pair.i, 0));
	MUST(rsm_intr_signal_post(pair.i, RSM_SIGPOST_NO_ACCUMULATE));
	MUST(rsm_intr_signal_wait(pair.e, 0));
	MUST(rsm_intr_signal_wait(pair.e, 0));
	EXPECT(RSMERR_TIMEOUT, rsm_intr_signal_wait(pair.e, 0));
}

static void r_flags(void)
{
	struct pair pair;

	pair_open(&pair);
	MUST(rsm_intr_signal_post(pair.i, 0xfffffffdu)); /* all but NO_ACCUMULATE are ignored */
	MUST(rsm_intr_signal_post(pair.i, 0xfffffffdu));
	MUST(rsm_intr_signal_wait(pair.e, 0));
	MUST(rsm_intr_signal_wait(pair.e, 0));
}

static void r_bound(void)
{
	struct pair pair;

	pair_export(&pair, 1);
	MUST(rsm_intr_signal_post(pair.e, 0)); /* nobody receives */
	EXPECT(RSMERR_TIMEOUT, rsm_intr_signal_wait(pair.e, 0));
	pair_publish(&pair);
	MUST(rsm_intr_signal_post(pair.e, 0));
	pair_connect(&pair, RSM_PERM_RDWR);
	EXPECT(RSMERR_TIMEOUT, rsm_intr_signal_wait(pair.i, 0)); /* a fresh handle has none pending */
}

static void r_survive(void)
{
	struct pair pair;

	pair_open(&pair);
	MUST(rsm_intr_signal_post(pair.i, 0));
	MUST(rsm_intr_signal_post(pair.i, 0));
	MUST(rsm_intr_signal_post(pair.e, 0));
	MUST(rsm_memseg_export_unpublish(pair.e));
	MUST(rsm_intr_signal_wait(pair.e, 0));
	MUST(rsm_intr_signal_wait(pair.i, -1)); /* pending first, then the abort */
	EXPECT(RSMERR_CONN_ABORTED, rsm_intr_signal_wait(pair.i, -1));
	MUST(rsm_memseg_import_disconnect(pair.i));
	pair_publish(&pair);
	pair_connect(&pair, RSM_PERM_RDWR);
	MUST(rsm_intr_signal_wait(pair.e, 0));
	EXPECT(RSMERR_TIMEOUT, rsm_intr_signal_wait(pair.e, 0));
	MUST(rsm_intr_signal_post(pair.i, 0));
	MUST(rsm_intr_signal_wait(pair.e, 0));
}

static void r_export_wait_unpublish(void)
{
	struct peer peer;
	struct pair pair;
	rsm_memseg_id_t id = 0x400071;

	/* An exporter that waits is not disturbed by unpublish, and later events reach the same wait. */
	peer_start(&peer, NULL);
	pair_export(&pair, 1);
	MUST(rsm_memseg_export_publish(pair.e, &id, NULL, 0));
	MUST(rsm_memseg_export_unpublish(pair.e));
	uint64_t start = suite_clock_ms();
	EXPECT(RSMERR_TIMEOUT, rsm_intr_signal_wait(pair.e, 50));
	CHECK(suite_clock_ms() - start >= 49);
	MUST(rsm_memseg_export_publish(pair.e, &id, NULL, 0));
	MUST(peer_connect(&peer, 0, pair.node, id, 0));
	MUST(peer_simple(&peer, PEER_POST, 0, 0));
	MUST(rsm_intr_signal_wait(pair.e, 1000));
}

static void r_processes(void)
{
	struct peer peer;
	struct pair pair;

	peer_start(&peer, NULL);
	pair_open(&pair);
	MUST(peer_connect(&peer, 0, pair.node, pair.id, RSM_PERM_READ));
	uint64_t start = suite_clock_ms();
	for (int round = 0; round < 20; round++) {
		peer_begin(&peer, &(struct peer_request){.op = PEER_WAIT, .handle = 0, .value = -1});
		if (round & 1)
			peer_until_asleep(&peer);
		MUST(rsm_intr_signal_post(pair.e, 0));
		MUST(peer_end(&peer).code);
		MUST(peer_simple(&peer, PEER_POST, 0, 0));
		MUST(rsm_intr_signal_wait(pair.e, 1000));
		MUST(rsm_intr_signal_wait(pair.i, 0)); /* every import handle got one */
	}
	CHECK(suite_clock_ms() - start < 3000); /* woken by the post, not by looking again once a second */
	EXPECT(RSMERR_TIMEOUT, peer_simple(&peer, PEER_WAIT, 0, 0));
}

struct racer {
	pthread_t thread;
	void *handle;
	int timeout, code;
	uint64_t took;
};

static void *race(void *argument)
{
	struct racer *racer = argument;
	uint64_t start = suite_clock_ms();

	racer->code = rsm_intr_signal_wait(racer->handle, racer->timeout);
	racer->took = suite_clock_ms() - start;
	return NULL;
}

static void r_racing_waits(void)
{
	enum { COUNT = 4, TIMEOUT = 400 };
	struct racer racers[COUNT];
	struct pair pair;
	int won = 0;

	/* Each event releases one waiter; the losers keep waiting for the rest of their timeout. */
	pair_open(&pair);
	for (int at = 0; at < COUNT; at++) {
		racers[at] = (struct racer){.handle = pair.e, .timeout = TIMEOUT};
		CHECK(pthread_create(&racers[at].thread, NULL, race, &racers[at]) == 0);
	}
	MUST(rsm_intr_signal_post(pair.i, 0));
	MUST(rsm_intr_signal_post(pair.i, 0));
	for (int at = 0; at < COUNT; at++) {
		CHECK(pthread_join(racers[at].thread, NULL) == 0);
		if (racers[at].code == RSM_SUCCESS)
			won++;
		else {
			EXPECT(RSMERR_TIMEOUT, racers[at].code);
			CHECK(racers[at].took >= TIMEOUT - 1);
		}
	}
	CHECK_EQUAL(2, won);
	EXPECT(RSMERR_TIMEOUT, rsm_intr_signal_wait(pair.e, 0));
}

static void r_abort_wakes_all(void)
{
	enum { COUNT = 4 };
	struct racer racers[COUNT];
	struct pair pair;
	int events = 0;

	pair_open(&pair);
	for (int at = 0; at < COUNT; at++) {
		racers[at] = (struct racer){.handle = pair.i, .timeout = -7}; /* any negative: for ever */
		CHECK(pthread_create(&racers[at].thread, NULL, race, &racers[at]) == 0);
	}
	MUST(rsm_intr_signal_post(pair.e, 0));
	MUST(rsm_memseg_export_destroy(pair.e));
	for (int at = 0; at < COUNT; at++) {
		CHECK(pthread_join(racers[at].thread, NULL) == 0);
		if (racers[at].code == RSM_SUCCESS)
			events++;
		else
			EXPECT(RSMERR_CONN_ABORTED, racers[at].code);
	}
	CHECK_EQUAL(1, events);
}

static void r_killed_exporter(void)
{
	struct peer exporter, importer;

	peer_start(&exporter, NULL);
	peer_start(&importer, NULL);
	rsm_memseg_id_t id = peer_export(&exporter, suite_page(), 0);
	MUST(peer_connect(&importer, 0, pair_node(), id, RSM_PERM_READ));
	peer_begin(&importer, &(struct peer_request){.op = PEER_WAIT, .handle = 0, .value = -1});
	peer_until_asleep(&importer);
	peer_kill(&exporter);
	EXPECT(RSMERR_CONN_ABORTED, peer_end(&importer).code);
}

static void r_many_events(void)
{
	struct pair pair;

	pair_open(&pair);
	for (int at = 0; at < 100000; at++)
		MUST(rsm_intr_signal_post(pair.i, 0));
	for (int at = 0; at < 100000; at++)
		MUST(rsm_intr_signal_wait(pair.e, 0));
	EXPECT(RSMERR_TIMEOUT, rsm_intr_signal_wait(pair.e, 0));
}

struct waiter {
	void *handle;
	_Atomic pid_t thread;
	_Atomic int woken;
};

static void *wait_again_and_again(void *argument)
{
	struct waiter *waiter = argument;

	atomic_store(&waiter->thread, gettid());
	for (int round = 0; round < 4; round++) {
		MUST(rsm_intr_signal_wait(waiter->handle, -1));
		atomic_fetch_add(&waiter->woken, 1);
	}
	return NULL;
}

static bool is_asleep(const struct waiter *waiter)
{
	char path[64], state = 0;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", (int)waiter->thread);
	FILE *file = fopen(path, "re");
	if (!file || fscanf(file, "%*d (%*[^)]) %c", &state) != 1)
		state = 0;
	if (file)
		fclose(file);
	return state == 'S';
}

static void r_wakes_after_unpublish(void)
{
	struct waiter waiter = {0};
	struct pair pair;
	pthread_t thread;
	uint64_t took = 0;

	/* A waiter on the export that slept through unpublish is woken by posts, not by its own look around each second. */
	pair_open(&pair);
	waiter.handle = pair.e;
	CHECK(pthread_create(&thread, NULL, wait_again_and_again, &waiter) == 0);
	MUST(rsm_intr_signal_post(pair.i, 0)); /* the signal memory is there */
	SOON(atomic_load(&waiter.woken) == 1 && is_asleep(&waiter));
	MUST(rsm_memseg_export_unpublish(pair.e));
	pair_publish(&pair);
	pair_connect(&pair, RSM_PERM_RDWR);
	for (int round = 2; round <= 4; round++) {
		SOON(is_asleep(&waiter));
		uint64_t start = suite_clock_ms();
		MUST(rsm_intr_signal_post(pair.i, 0));
		SOON(atomic_load(&waiter.woken) == round);
		took += suite_clock_ms() - start;
	}
	CHECK(pthread_join(thread, NULL) == 0);
	CHECK(took < 700);
}

static const struct suite_case cases[] = {
	{"C66", "one post on I, one wait on E, then TIMEOUT", c66},
	{"C67", "three posts satisfy exactly three waits", c67},
	{"C68", "two posts without accumulation satisfy one wait", c68},
	{"C69", "a post on E reaches each import handle once, and not E", c69},
	{"C70", "wait(100) without event: TIMEOUT, not before 100 ms", c70},
	{"C71", "a handled signal -> INTERRUPTED, also with SA_RESTART", c71},
	{"C72", "unpublish wakes a blocked importer with CONN_ABORTED; post -> CONN_ABORTED", c72},
	{"C73", "post and wait on NULL -> BAD_SEG_HNDL", c73},
	{"R-no-accumulate", "NO_ACCUMULATE is decided per receiver", r_no_accumulate},
	{"R-post-flags", "other flag bits are ignored", r_flags},
	{"R-post-bound", "posts without receivers succeed and are dropped", r_bound},
	{"R-events-survive", "pending events survive unpublish, publish and abort", r_survive},
	{"R-export-wait", "a wait on an export is not disturbed by unpublish", r_export_wait_unpublish},
	{"R-wait-unpublish", "posts wake a waiter that slept through unpublish, at once",
	 r_wakes_after_unpublish},
	{"R-signal-processes", "ping-pong between processes", r_processes},
	{"R-racing-waits", "waiters that lose a race use up their timeout", r_racing_waits},
	{"R-abort-wakes-all", "abort wakes every thread, pending events go first", r_abort_wakes_all},
	{"R-wait-killed", "a killed exporter ends the importer's wait", r_killed_exporter},
	{"R-many-events", "100,000 pending events are counted", r_many_events},
};

SUITE_MAIN(cases)
