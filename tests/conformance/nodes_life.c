/* SPDX-License-Identifier: BSD-2-Clause */
/* Exporter on one node, importer on another: republish, rebind, withdrawal, death, processes, silence. */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon.h"
#include "there.h"

/* ---- the segment changes ---- */

static void republish(void)
{
	struct peer exporter;
	struct pair pair;
	struct peer_request change = {.op = PEER_REPUBLISH, .acl_count = 1};
	rsm_memseg_import_handle_t i;

	there_open(&exporter, &pair, 1);
	change.acl[0] = (rsmapi_access_entry_t){there_node(), 0666};
	MUST(peer_ask(&exporter, &change).code);
	MUST(pair_put_byte(pair.i, 7, 0x77)); /* who is connected stays so */
	CHECK_EQUAL(0x77, peer_load(&exporter, PEER_EXPORT, 7));
	EXPECT(RSMERR_SEG_NOT_PUBLISHED_TO_NODE,
	       rsm_memseg_import_connect(pair.controller, pair.node, pair.id, RSM_PERM_READ, &i));
	change.acl[0] = (rsmapi_access_entry_t){pair_node(), 0444};
	MUST(peer_ask(&exporter, &change).code);
	EXPECT(RSMERR_PERM_DENIED,
	       rsm_memseg_import_connect(pair.controller, pair.node, pair.id, RSM_PERM_RDWR, &i));
	MUST(rsm_memseg_import_connect(pair.controller, pair.node, pair.id, RSM_PERM_READ, &i));
}

static struct {
	struct pair pair;
	_Atomic bool stop;
	_Atomic unsigned long done;
} busy;

static void *put_on(void *argument)
{
	uint8_t bytes[64];

	(void)argument;
	for (int round = 0; !atomic_load(&busy.stop); round++) {
		memset(bytes, round, sizeof(bytes));
		MUST(rsm_memseg_import_put(busy.pair.i, 128, bytes, sizeof(bytes)));
		MUST(rsm_memseg_import_get(busy.pair.i, 128, bytes, sizeof(bytes)));
		atomic_fetch_add(&busy.done, 1);
	}
	return NULL;
}

static void rebind(void)
{
	struct peer exporter;
	pthread_t thread;

	/* A connected importer notices nothing but the new contents, also one that is in the middle of it. */
	there_open(&exporter, &busy.pair, 300);
	peer_store(&exporter, PEER_EXPORT, 100, 0x11);
	CHECK_EQUAL(0x11, pair_get_byte(busy.pair.i, 100));
	CHECK(pthread_create(&thread, NULL, put_on, NULL) == 0);
	for (int round = 1; round < 20; round++) {
		unsigned long done = atomic_load(&busy.done);
		SOON(atomic_load(&busy.done) > done);
		MUST(peer_simple(&exporter, PEER_REBIND, 0, 0x20 + round));
		CHECK_EQUAL(0x20 + round, pair_get_byte(busy.pair.i, 100));
		CHECK_EQUAL(0x20 + round, pair_get_byte(busy.pair.i, (off_t)busy.pair.length - 1));
	}
	MUST(pair_put_byte(busy.pair.i, 5, 0x55));
	CHECK_EQUAL(0x55, peer_load(&exporter, PEER_EXPORT, 5));
	atomic_store(&busy.stop, true);
	CHECK(pthread_join(thread, NULL) == 0);
}

static void *put_until_aborted(void *argument)
{
	uint8_t bytes[4096];
	int code;

	(void)argument;
	memset(bytes, 0xee, sizeof(bytes));
	do {
		code = rsm_memseg_import_put(busy.pair.i, 0, bytes, sizeof(bytes));
		atomic_fetch_add(&busy.done, 1);
	} while (code == RSM_SUCCESS);
	return (void *)(intptr_t)code;
}

static void unpublish(void)
{
	struct peer exporter;
	pthread_t thread;
	void *code;
	rsm_memseg_import_handle_t i;

	there_open(&exporter, &busy.pair, 1);
	for (int round = 0; round < 20; round++) {
		atomic_store(&busy.done, 0);
		CHECK(pthread_create(&thread, NULL, put_until_aborted, NULL) == 0);
		SOON(atomic_load(&busy.done) > 3);
		MUST(peer_simple(&exporter, PEER_UNPUBLISH, 0, 0));
		peer_store(&exporter, PEER_EXPORT, 9, 0x31 + round); /* nothing comes behind it */
		CHECK(pthread_join(thread, &code) == 0);
		CHECK_EQUAL(RSMERR_CONN_ABORTED, (intptr_t)code);
		MUST(rsm_memseg_import_open_barrier(&busy.pair.barrier));
		EXPECT(RSMERR_CONN_ABORTED, rsm_memseg_import_order_barrier(&busy.pair.barrier));
		EXPECT(RSMERR_CONN_ABORTED, rsm_memseg_import_close_barrier(&busy.pair.barrier));
		EXPECT(RSMERR_CONN_ABORTED, rsm_intr_signal_post(busy.pair.i, 0));
		EXPECT(RSMERR_CONN_ABORTED, rsm_intr_signal_wait(busy.pair.i, -1));
		CHECK_EQUAL(0x31 + round, peer_load(&exporter, PEER_EXPORT, 9));
		EXPECT(RSMERR_SEG_NOT_PUBLISHED, rsm_memseg_import_connect(busy.pair.controller, there_node(),
									   busy.pair.id, RSM_PERM_READ, &i));
		busy.pair.id = 0x400100 + (rsm_memseg_id_t)(round & 1); /* the old handle stays dead */
		MUST(peer_publish(&exporter, &busy.pair.id, NULL, 0));
		EXPECT(RSMERR_CONN_ABORTED, pair_put_byte(busy.pair.i, 9, 1));
		MUST(rsm_memseg_import_disconnect(busy.pair.i));
		pair_connect(&busy.pair, RSM_PERM_RDWR);
		CHECK_EQUAL(0x31 + round, pair_get_byte(busy.pair.i, 9));
	}
}

static void killed_exporter(void)
{
	struct peer exporter, successor;
	struct pair pair;

	there_start(&successor, NULL);
	there_open(&exporter, &pair, 1);
	MUST(pair_put_byte(pair.i, 0, 1));
	peer_kill(&exporter);
	EXPECT(RSMERR_CONN_ABORTED, rsm_intr_signal_wait(pair.i, SUITE_PROMPT));
	EXPECT(RSMERR_CONN_ABORTED, pair_put_byte(pair.i, 0, 2));
	MUST(rsm_memseg_import_open_barrier(&pair.barrier));
	EXPECT(RSMERR_CONN_ABORTED, rsm_memseg_import_close_barrier(&pair.barrier));
	MUST(rsm_memseg_import_disconnect(pair.i));
	pair.id = peer_export(&successor, suite_page(), 0x400200);
	pair_connect(&pair, RSM_PERM_RDWR);
	MUST(pair_put_byte(pair.i, 0, 3));
	CHECK_EQUAL(3, peer_load(&successor, PEER_EXPORT, 0));
}

/* ---- processes ---- */

static void other_direction(void)
{
	struct peer importer;
	struct pair pair;
	int value;

	/* The node that was dialled imports from the one that dialled. */
	there_start(&importer, NULL);
	pair_export(&pair, 2);
	pair_publish(&pair);
	MUST(peer_connect(&importer, 0, pair.node, pair.id, RSM_PERM_RDWR));
	MUST(peer_simple(&importer, PEER_INIT, 0, 0));
	MUST(peer_put(&importer, 0, 77, 0x77));
	CHECK_BYTES(pair.memory + 77, 0x77, 1);
	pair.memory[78] = 0x78;
	MUST(peer_get(&importer, 0, 78, &value));
	CHECK_EQUAL(0x78, value);
	EXPECT(RSMERR_MAP_FAILED, peer_map(&importer, 0, RSM_PERM_RDWR, pair.length));
	CHECK(strlen(importer.reason) > 0);
	MUST(rsm_memseg_export_unpublish(pair.e));
	memset(pair.memory, 0x11, pair.length);
	SOON(peer_put(&importer, 0, 77, 0x99) == RSMERR_CONN_ABORTED);
	CHECK_BYTES(pair.memory, 0x11, pair.length);
	MUST(peer_simple(&importer, PEER_DISCONNECT, 0, 0));
	pair_publish(&pair);
	MUST(peer_connect(&importer, 0, pair.node, pair.id, RSM_PERM_RDWR));
	MUST(peer_simple(&importer, PEER_INIT, 0, 0));
	peer_kill(&importer);
	MUST(rsm_memseg_export_destroy(pair.e));
	CHECK_BYTES(pair.memory, 0x11, pair.length);
}

static void connect_again(void)
{
	struct peer exporter;
	struct pair pair;

	there_open(&exporter, &pair, 1);
	int before = daemon_descriptors(getpid());
	for (int round = 0; round < 300; round++) {
		rsm_memseg_import_handle_t i = pair_import(&pair, RSM_PERM_RDWR, &(rsmapi_barrier_t){0});
		MUST(pair_put_byte(i, 3, round));
		MUST(rsm_memseg_import_disconnect(i));
	}
	CHECK_EQUAL(before, daemon_descriptors(getpid()));
	SOON(daemon_descriptors(there_rsmd()) < 100); /* and so does the owner's rsmd let go */
}

static void fork_of_importer(void)
{
	struct peer exporter;
	struct pair pair;

	there_open(&exporter, &pair, 1);
	MUST(pair_put_byte(pair.i, 0, 1));
	pid_t child = fork();
	CHECK(child >= 0);
	if (child == 0) {
		/* The connection is the parent's; what the child does with its copy ends, and reaches nobody. */
		CHECK(pair_put_byte(pair.i, 1, 0x99) != RSM_SUCCESS);
		CHECK(rsm_intr_signal_post(pair.i, 0) != RSM_SUCCESS);
		rsm_memseg_import_disconnect(pair.i);
		pair.controller = pair_controller(suite_controller());
		pair_connect(&pair, RSM_PERM_RDWR); /* one of its own works */
		MUST(pair_put_byte(pair.i, 2, 2));
		exit(0);
	}
	for (int round = 0; waitpid(child, NULL, WNOHANG | WNOWAIT) == 0 && round < 100000; round++)
		MUST(pair_put_byte(pair.i, 0, round));
	CHECK_EQUAL(0, suite_join(child));
	MUST(pair_put_byte(pair.i, 0, 3));
	CHECK_EQUAL(3, peer_load(&exporter, PEER_EXPORT, 0));
	CHECK_EQUAL(0, peer_load(&exporter, PEER_EXPORT, 1));
	CHECK_EQUAL(2, peer_load(&exporter, PEER_EXPORT, 2));
	MUST(rsm_intr_signal_post(pair.i, 0));
	MUST(peer_simple(&exporter, PEER_WAIT, PEER_EXPORT, SUITE_PROMPT));
	EXPECT(RSMERR_TIMEOUT, peer_simple(&exporter, PEER_WAIT, PEER_EXPORT, 0));
}

/* ---- a silent node ---- */

static void interrupted_connect(void)
{
	struct peer exporter;
	struct pair pair;
	rsm_memseg_import_handle_t i = NULL;

	there_open(&exporter, &pair, 1);
	CHECK(kill(there_rsmd(), SIGSTOP) == 0);
	there_interrupt();
	int code = rsm_memseg_import_connect(pair.controller, pair.node, pair.id, RSM_PERM_RDWR, &i);
	CHECK(kill(there_rsmd(), SIGCONT) == 0);
	EXPECT(RSMERR_INTERRUPTED, code);
	CHECK(i == NULL);
}

static void *connect_there(void *argument)
{
	struct pair *pair = argument;
	rsm_memseg_import_handle_t i = NULL;
	uint64_t start = suite_clock_ms();

	int code = rsm_memseg_import_connect(pair->controller, pair->node, pair->id, RSM_PERM_RDWR, &i);
	CHECK(suite_clock_ms() - start < 2 * THERE_SILENCE + 1000);
	atomic_store(&busy.stop, true);
	return (void *)(intptr_t)code;
}

static void others_go_on(void)
{
	struct peer exporter;
	struct pair away, here;
	pthread_t thread;
	void *code;
	uint64_t longest = 0;

	/* A thread that waits for a node that does not answer holds nobody else up. */
	there_open(&exporter, &away, 1);
	pair_open(&here);
	CHECK(kill(there_rsmd(), SIGSTOP) == 0);
	CHECK(pthread_create(&thread, NULL, connect_there, &away) == 0);
	while (!atomic_load(&busy.stop)) {
		uint64_t start = suite_clock_ms();
		rsm_memseg_import_handle_t i = pair_import(&here, RSM_PERM_RDWR, NULL);
		MUST(rsm_memseg_import_disconnect(i));
		MUST(rsm_memseg_export_republish(here.e, NULL, 0));
		uint64_t took = suite_clock_ms() - start;
		longest = took > longest ? took : longest;
	}
	CHECK(kill(there_rsmd(), SIGCONT) == 0);
	CHECK(pthread_join(thread, &code) == 0);
	CHECK_EQUAL(RSMERR_REMOTE_NODE_UNREACHABLE, (intptr_t)code);
	CHECK(longest < 500);
	SOON(rsm_memseg_import_connect(away.controller, away.node, away.id, RSM_PERM_READ, &away.i) ==
	     RSM_SUCCESS);
}

static const struct suite_case cases[] = {
	{"N-republish", "republish: old handles work, new connects see the new list", republish},
	{"N-rebind", "rebind beside puts and gets of another node", rebind},
	{"N-unpublish", "unpublish -> CONN_ABORTED for good, and nothing lands behind it", unpublish},
	{"N-killed", "exporter killed -> CONN_ABORTED; a successor is reached", killed_exporter},
	{"N-direction", "all of it in the other direction", other_direction},
	{"N-connect-again", "300 connects and disconnects leave no descriptor", connect_again},
	{"N-fork", "a fork of an importer disturbs nobody", fork_of_importer},
	{"N-interrupted", "a signal ends a connect to a silent node", interrupted_connect},
	{"N-silent", "a silent node holds up who connects to it, and nobody else", others_go_on},
};

SUITE_MAIN(cases)
