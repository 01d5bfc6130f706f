/* SPDX-License-Identifier: BSD-2-Clause */
/* An importer is killed at each step: the exporter and other importers go on, nothing of it is left. */
#include <string.h>
#include <sys/socket.h>

#include "node.h"
#include "pair.h"
#include "peer.h"

enum step { CONNECTED, USED, MAPPED, IN_BARRIER, POSTED, WAITING, POLLFD, MANY };

static void advance(struct peer *peer, const struct pair *pair, enum step step)
{
	MUST(peer_connect(peer, 0, pair->node, pair->id, RSM_PERM_RDWR));
	MUST(peer_simple(peer, PEER_INIT, 0, 0));
	if (step >= USED)
		MUST(peer_put(peer, 0, 1, 1));
	if (step >= MAPPED)
		MUST(peer_map(peer, 0, RSM_PERM_RDWR, pair->length));
	if (step >= IN_BARRIER)
		MUST(peer_simple(peer, PEER_OPEN, 0, 0));
	if (step >= POSTED)
		MUST(peer_simple(peer, PEER_POST, 0, 0));
	if (step == WAITING) {
		peer_begin(peer, &(struct peer_request){.op = PEER_WAIT, .handle = 0, .value = -1});
		peer_until_asleep(peer);
	}
	if (step == POLLFD)
		MUST(peer_simple(peer, PEER_POLLFD, 0, 0));
	for (unsigned handle = 1; step == MANY && handle < PEER_IMPORTS; handle++)
		MUST(peer_connect(peer, handle, pair->node, pair->id, RSM_PERM_READ));
}

static void kill_at(enum step step)
{
	struct peer peer;
	struct pair pair;

	peer_start(&peer, NULL);
	pair_open_pages(&pair, 2);
	MUST(pair_put_byte(pair.i, 0, 7));
	MUST(rsm_intr_signal_post(pair.i, 0)); /* both have their signal memory */
	MUST(rsm_intr_signal_wait(pair.e, 1000));
	struct node_counts before = node_counts();
	advance(&peer, &pair, step);
	CHECK_EQUAL(step == MANY ? 1 + PEER_IMPORTS : 2, node_importers(pair.id));
	peer_kill(&peer);
	SOON(node_importers(pair.id) == 1);
	if (step >= POSTED)
		MUST(rsm_intr_signal_wait(pair.e, 1000)); /* what it posted counts */
	EXPECT(RSMERR_TIMEOUT, rsm_intr_signal_wait(pair.e, 0));
	MUST(rsm_intr_signal_post(pair.e, 0));
	MUST(rsm_intr_signal_wait(pair.i, 1000));
	MUST(pair_put_byte(pair.i, 3, 3));
	CHECK_BYTES(pair.memory + 3, 3, 1);
	NODE_UNTIL(&before);
	MUST(rsm_memseg_export_unpublish(pair.e));
	CHECK_BYTES(pair.memory + 3, 3, 1);
	CHECK_BYTES(pair.memory, 7, 1);
	pair_close(&pair);
}

static void putting(void)
{
	struct peer peer;
	struct pair pair;

	/* In the middle of puts: the request is sent and the process killed without waiting for its answer. */
	pair_open(&pair);
	struct node_counts before = node_counts();
	for (int round = 0; round < 20; round++) {
		peer_start(&peer, NULL);
		MUST(peer_connect(&peer, 0, pair.node, pair.id, RSM_PERM_RDWR));
		MUST(peer_simple(&peer, PEER_INIT, 0, 0));
		struct peer_request put = {.op = PEER_PUT, .offset = 64, .length = PEER_DATA, .value = round};
		for (int at = 0; at < 20; at++)
			CHECK(send(peer.socket, &put, sizeof(put), 0) == (ssize_t)sizeof(put));
		peer_kill(&peer);
		CHECK_BYTES(pair.memory, 0, 64);
		CHECK_BYTES(pair.memory + 128, 0, 64);
	}
	NODE_UNTIL(&before);
	pair_close(&pair);
}

static void connecting(void)
{
	struct peer peer;
	struct pair pair;

	/* In the middle of a connect: no import of nobody is left. */
	pair_open(&pair);
	struct node_counts before = node_counts();
	for (int round = 0; round < 20; round++) {
		peer_start(&peer, NULL);
		for (unsigned handle = 0; handle < PEER_IMPORTS; handle++) {
			struct peer_request connect = {.op = PEER_CONNECT,
						       .handle = handle,
						       .node = pair.node,
						       .id = pair.id,
						       .value = RSM_PERM_RDWR};
			CHECK(send(peer.socket, &connect, sizeof(connect), 0) == (ssize_t)sizeof(connect));
		}
		struct peer_reply started;
		CHECK(recv(peer.socket, &started, sizeof(started), 0) == (ssize_t)sizeof(started));
		peer_kill(&peer);
	}
	NODE_UNTIL(&before);
	CHECK_EQUAL(1, node_importers(pair.id));
	pair_close(&pair);
}

#define KILL(name, step)                                                                                     \
	static void name(void)                                                                               \
	{                                                                                                    \
		kill_at(step);                                                                               \
	}

KILL(connected, CONNECTED)
KILL(used, USED)
KILL(mapped, MAPPED)
KILL(in_barrier, IN_BARRIER)
KILL(posted, POSTED)
KILL(waiting, WAITING)
KILL(pollfd, POLLFD)
KILL(many, MANY)

static const struct suite_case cases[] = {
	{"D-importer-connected", "importer killed after connect", connected},
	{"D-importer-used", "importer killed after a put", used},
	{"D-importer-mapped", "importer killed while mapped", mapped},
	{"D-importer-barrier", "importer killed inside a barrier", in_barrier},
	{"D-importer-posted", "importer killed after a post", posted},
	{"D-importer-waiting", "importer killed while it waits", waiting},
	{"D-importer-pollfd", "importer killed with a pollfd", pollfd},
	{"D-importer-many", "importer killed with many handles", many},
	{"D-importer-putting", "importer killed in the middle of puts", putting},
	{"D-importer-connecting", "importer killed in the middle of connects", connecting},
};

SUITE_MAIN(cases)
