/* SPDX-License-Identifier: BSD-2-Clause */
/* rsmd is killed: local data and signals live on, control calls give a code, a new rsmd serves new processes. */
#include <poll.h>
#include <rsm/ext.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon.h"
#include "pair.h"
#include "peer.h"

static struct daemon node;

/* A node of the case's own: the runner was told to start none. */
static void node_open(void)
{
	CHECK(daemon_prepare(&node, DAEMON_CONFIG("")) && daemon_start(&node));
	CHECK(setenv("RSM_SOCKET", node.socket, 1) == 0);
}

static void node_kill(void)
{
	CHECK(kill(node.pid, SIGKILL) == 0);
	CHECK_EQUAL(256 + SIGKILL, daemon_wait(node.pid, SUITE_PROMPT));
}

/* After a kill the socket's name is there until the next rsmd replaces it. */
static void node_close(bool running)
{
	if (running)
		CHECK(daemon_stop(&node));
	else
		unlink(node.socket);
	CHECK(daemon_remove(&node));
}

static void data_lives(void)
{
	struct peer peer;
	struct pair pair;

	node_open();
	peer_start(&peer, NULL);
	pair_open(&pair);
	MUST(peer_connect(&peer, 0, pair.node, pair.id, RSM_PERM_RDWR));
	MUST(peer_simple(&peer, PEER_INIT, 0, 0));
	MUST(peer_map(&peer, 0, RSM_PERM_RDWR, pair.length));
	MUST(peer_put(&peer, 0, 0, 1));
	MUST(peer_simple(&peer, PEER_POST, 0, 0)); /* the signal memory is there */
	MUST(rsm_intr_signal_wait(pair.e, 1000));
	MUST(peer_simple(&peer, PEER_OPEN, 0, 0));
	node_kill();
	peer_store(&peer, 0, 1, 0x11);
	CHECK_BYTES(pair.memory + 1, 0x11, 1);
	MUST(peer_simple(&peer, PEER_CLOSE, 0, 0));
	MUST(peer_put(&peer, 0, 2, 0x22));
	CHECK_BYTES(pair.memory + 2, 0x22, 1);
	MUST(pair_put_byte(pair.i, 3, 0x33));
	CHECK_EQUAL(0x33, peer_load(&peer, 0, 3));
	MUST(peer_simple(&peer, PEER_POST, 0, 0));
	MUST(rsm_intr_signal_wait(pair.e, 1000));
	MUST(rsm_intr_signal_post(pair.e, 0));
	MUST(peer_simple(&peer, PEER_WAIT, 0, 1000));
	peer_stop(&peer);
	node_close(false);
}

static void control_fails(void)
{
	struct pair pair;
	rsm_memseg_export_handle_t e;
	rsm_memseg_import_handle_t i;
	rsm_topology_t *topology;
	uint8_t *memory;

	node_open();
	pair_open(&pair);
	memset(pair.memory, 0x44, pair.length);
	memory = pair_memory(1, 0x55);
	node_kill();
	EXPECT(RSMERR_CTLR_NOT_PRESENT,
	       rsm_memseg_export_create(pair.controller, &e, memory, suite_page(), 0));
	CHECK(e == NULL);
	CHECK_BYTES(memory, 0x55, suite_page());
	EXPECT(RSMERR_CTLR_NOT_PRESENT,
	       rsm_memseg_import_connect(pair.controller, pair.node, pair.id, RSM_PERM_READ, &i));
	EXPECT(RSMERR_CTLR_NOT_PRESENT, rsm_memseg_export_republish(pair.e, NULL, 0));
	CHECK(rsm_get_interconnect_topology(&topology) != RSMERR_INTERNAL_ERROR);
	/* What was there can be given back, and nothing is lost. */
	int code = rsm_memseg_import_disconnect(pair.i);
	CHECK(code == RSM_SUCCESS || code == RSMERR_CTLR_NOT_PRESENT);
	code = rsm_memseg_export_destroy(pair.e);
	CHECK(code == RSM_SUCCESS || code == RSMERR_CTLR_NOT_PRESENT);
	CHECK_BYTES(pair.memory, 0x44, pair.length);
	memset(pair.memory, 0x45, pair.length);
	node_close(false);
}

static void started_again(void)
{
	struct peer peer;
	struct pair pair, next;
	rsm_memseg_import_handle_t i;

	node_open();
	peer_start(&peer, NULL);
	pair_open(&pair);
	node_kill();
	CHECK(daemon_start(&node)); /* over the stale socket */
	rsm_memseg_id_t id = peer_export(&peer, suite_page(), 0);
	MUST(peer_connect(&peer, 0, pair.node, id, RSM_PERM_RDWR));
	MUST(pair_put_byte(pair.i, 0, 1)); /* what was there before lives on */
	CHECK_BYTES(pair.memory, 1, 1);
	int code = rsm_memseg_import_connect(pair.controller, pair.node, id, RSM_PERM_RDWR, &i);
	CHECK(code == RSM_SUCCESS ||
	      code == RSMERR_CTLR_NOT_PRESENT); /* the first call may tell of the loss ... */
	pair_export(&next, 1);                  /* ... and the old process works with the new rsmd */
	pair_publish(&next);
	pair_connect(&next, RSM_PERM_RDWR);
	MUST(pair_put_byte(next.i, 0, 2));
	CHECK_BYTES(next.memory, 2, 1);
	peer_stop(&peer);
	node_close(true);
}

static void wait_ends(void)
{
	struct peer peer;
	struct pair pair;

	/* An importer that waits when rsmd dies is still woken by its exporter, and still sees its timeout. */
	node_open();
	peer_start(&peer, NULL);
	pair_open(&pair);
	MUST(rsm_intr_signal_post(pair.e, 0)); /* the exporter has its signal memory */
	MUST(peer_connect(&peer, 0, pair.node, pair.id, RSM_PERM_READ));
	peer_begin(&peer, &(struct peer_request){.op = PEER_WAIT, .handle = 0, .value = 2000});
	peer_until_asleep(&peer);
	node_kill();
	MUST(rsm_intr_signal_post(pair.e, 0));
	MUST(peer_end(&peer).code);
	EXPECT(RSMERR_TIMEOUT, peer_simple(&peer, PEER_WAIT, 0, 50));
	peer_stop(&peer);
	node_close(false);
}

static void wait_sees_death(void)
{
	struct peer exporter, importer;

	/* With rsmd gone nobody tells of the exporter's death; a wait without end sees it all the same. */
	node_open();
	peer_start(&exporter, NULL);
	peer_start(&importer, NULL);
	rsm_memseg_id_t id = peer_export(&exporter, suite_page(), 0);
	MUST(peer_connect(&importer, 0, pair_node(), id, RSM_PERM_READ));
	peer_begin(&importer, &(struct peer_request){.op = PEER_WAIT, .handle = 0, .value = -1});
	peer_until_asleep(&importer);
	node_kill();
	peer_kill(&exporter);
	EXPECT(RSMERR_CONN_ABORTED, peer_end(&importer).code);
	peer_stop(&importer);
	node_close(false);
}

static void pollfd_ends(void)
{
	struct pair pair;
	struct pollfd fd = {.fd = -1};
	int count = 0;

	/* The descriptor hangs up with rsmd: told at once, instead of looked at again and again until the timeout. */
	node_open();
	pair_open(&pair);
	MUST(rsm_memseg_get_pollfd(pair.e, &fd));
	node_kill();
	fd.revents = 0;
	MUST(rsm_intr_signal_wait_pollfd(&fd, 1, 2000, &count));
	CHECK_EQUAL(1, count);
	CHECK_EQUAL(POLLHUP, fd.revents);
	node_close(false);
}

static void destroy_revokes(void)
{
	struct pair pair = {0};

	/* Allocated memory stays shared when its export goes; importers of the old rsmd must lose it all the same. */
	node_open();
	pair.controller = pair_controller(suite_controller());
	pair.node = pair_node();
	pair.memory = rsmx_alloc(suite_page(), 0);
	CHECK(pair.memory != NULL);
	pair.memory[0] = 0x5a;
	MUST(rsm_memseg_export_create(pair.controller, &pair.e, pair.memory, suite_page(), 0));
	pair_publish(&pair);
	pair_connect(&pair, RSM_PERM_RDWR);
	CHECK_EQUAL(0x5a, pair_get_byte(pair.i, 0));
	node_kill();
	CHECK(daemon_start(&node));
	MUST(rsm_memseg_export_destroy(pair.e));
	pair_put_byte(pair.i, 0, 0x11); /* nobody tells this import, so success is possible */
	CHECK_BYTES(pair.memory, 0x5a, 1);
	node_close(true);
}

static const struct suite_case cases[] = {
	{"D-rsmd-data", "rsmd killed: maps, puts, barriers and signals live on", data_lives},
	{"D-rsmd-control", "rsmd killed: control calls -> CTLR_NOT_PRESENT, memory is given back",
	 control_fails},
	{"D-rsmd-again", "rsmd killed and started again: new and old processes work", started_again},
	{"D-rsmd-wait", "rsmd killed during a wait: events still wake", wait_ends},
	{"D-rsmd-death", "rsmd and exporter killed during a wait: CONN_ABORTED", wait_sees_death},
	{"D-rsmd-pollfd", "rsmd killed: the descriptor for poll hangs up", pollfd_ends},
	{"D-rsmd-destroy", "rsmd killed and started again: destroy still takes the memory from importers",
	 destroy_revokes},
};

SUITE_MAIN(cases)
