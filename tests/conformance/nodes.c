/* SPDX-License-Identifier: BSD-2-Clause */
/* Exporter on one node, importer on another: rights and data. */
#include <rsm/ext.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "there.h"

/* ---- who may ---- */

static void expect_rights(struct peer *importer, rsm_memseg_id_t id, rsm_permission_t granted)
{
	static const rsm_permission_t asked[] = {RSM_PERM_READ, RSM_PERM_WRITE, RSM_PERM_RDWR};

	MUST(peer_connect(importer, 0, there_node(), id, 0));
	MUST(peer_simple(importer, PEER_DISCONNECT, 0, 0));
	for (int at = 0; at < 3; at++) {
		bool allowed = (asked[at] & ~granted) == 0;
		EXPECT(allowed ? RSM_SUCCESS : RSMERR_PERM_DENIED,
		       peer_connect(importer, 0, there_node(), id, asked[at]));
		if (allowed)
			MUST(peer_simple(importer, PEER_DISCONNECT, 0, 0));
		else
			CHECK(strlen(importer->reason) > 0);
	}
}

static void rights(void)
{
	static const struct peer_user owner = {65534, 65534, (gid_t)-1}, member = {1234, 1234, 65534},
				      same_group = {1234, 65534, (gid_t)-1},
				      stranger = {1234, 1234, (gid_t)-1};
	struct peer exporter, peers[5];
	struct peer_request republish = {.op = PEER_REPUBLISH, .acl_count = 1};
	rsm_memseg_id_t id = 0;

	there_start(&exporter, &owner);
	peer_start(&peers[0], &owner);
	peer_start(&peers[1], &member);
	peer_start(&peers[2], &same_group);
	peer_start(&peers[3], &stranger);
	peer_start(&peers[4], NULL); /* root, which is nobody in particular on another node */
	rsmapi_access_entry_t acl = {pair_node(), 0624};
	MUST(peer_create(&exporter, suite_page()));
	MUST(peer_publish(&exporter, &id, &acl, 1));
	expect_rights(&peers[0], id, RSM_PERM_RDWR);
	expect_rights(&peers[1], id, RSM_PERM_WRITE);
	expect_rights(&peers[2], id, RSM_PERM_WRITE);
	expect_rights(&peers[3], id, RSM_PERM_READ);
	expect_rights(&peers[4], id, RSM_PERM_READ);
	republish.acl[0] = (rsmapi_access_entry_t){acl.ae_node, 0660};
	MUST(peer_ask(&exporter, &republish).code);
	expect_rights(&peers[3], id, RSM_PERM_NONE);
	expect_rights(&peers[4], id, RSM_PERM_NONE);
	republish.acl[0].ae_permission = 0066; /* the classes exclude each other */
	MUST(peer_ask(&exporter, &republish).code);
	expect_rights(&peers[0], id, RSM_PERM_NONE);
	expect_rights(&peers[1], id, RSM_PERM_RDWR);
	expect_rights(&peers[4], id, RSM_PERM_RDWR);
}

static void access_by_node(void)
{
	struct peer exporter, neighbour;
	rsm_memseg_id_t ids[2] = {0, 0};
	rsm_memseg_import_handle_t i;
	rsmapi_access_entry_t here = {pair_node(), 0666}, there = {there_node(), 0666};

	there_start(&exporter, NULL);
	there_start(&neighbour, NULL);
	rsmapi_controller_handle_t c = pair_controller(suite_controller());
	MUST(peer_create(&exporter, suite_page()));
	MUST(peer_publish(&exporter, &ids[0], &there, 1));
	EXPECT(RSMERR_SEG_NOT_PUBLISHED_TO_NODE,
	       rsm_memseg_import_connect(c, there_node(), ids[0], RSM_PERM_READ, &i));
	CHECK(i == NULL && strlen(rsmx_last_error()) > 0);
	MUST(peer_connect(&neighbour, 0, there_node(), ids[0], RSM_PERM_READ));
	MUST(peer_simple(&exporter, PEER_UNPUBLISH, 0, 0));
	MUST(peer_publish(&exporter, &ids[1], &here, 1));
	EXPECT(RSMERR_SEG_NOT_PUBLISHED_TO_NODE,
	       peer_connect(&neighbour, 1, there_node(), ids[1], RSM_PERM_READ));
	MUST(rsm_memseg_import_connect(c, there_node(), ids[1], RSM_PERM_RDWR, &i));
	EXPECT(RSMERR_SEG_NOT_PUBLISHED,
	       rsm_memseg_import_connect(c, there_node(), ids[0], RSM_PERM_READ, &i));
	EXPECT(RSMERR_SEG_NOT_PUBLISHED, /* names are the owner's: this node has none of that number */
	       rsm_memseg_import_connect(c, pair_node(), ids[1], RSM_PERM_READ, &i));
}

static void other_controllers(void)
{
	struct peer hidden, elsewhere;
	rsm_memseg_import_handle_t i;

	peer_start_at(&hidden, NULL, there_socket(), "loopback");
	peer_start_at(&elsewhere, NULL, there_socket(), "shm0");
	rsm_memseg_id_t id = peer_export(&hidden, suite_page(), 0);
	rsmapi_controller_handle_t c = pair_controller(suite_controller());
	EXPECT(RSMERR_SEG_NOT_PUBLISHED, rsm_memseg_import_connect(c, there_node(), id, RSM_PERM_READ, &i));
	id = peer_export(&elsewhere, suite_page(), 0);
	EXPECT(RSMERR_REMOTE_NODE_UNREACHABLE,
	       rsm_memseg_import_connect(c, there_node(), id, RSM_PERM_READ, &i));
	EXPECT(RSMERR_CTLR_NOT_PRESENT,
	       rsm_memseg_import_connect(pair_controller("loopback"), there_node(), id, RSM_PERM_READ, &i));
	EXPECT(RSMERR_REMOTE_NODE_UNREACHABLE,
	       rsm_memseg_import_connect(pair_controller("shm0"), there_node(), id, RSM_PERM_READ, &i));
	uint64_t start = suite_clock_ms();
	EXPECT(RSMERR_REMOTE_NODE_UNREACHABLE,
	       rsm_memseg_import_connect(c, 4711, id, RSM_PERM_READ, &i)); /* of no configuration */
	CHECK(i == NULL && suite_clock_ms() - start < 500);
}

static void topology(void)
{
	rsm_topology_t *all = NULL;
	const rsm_remote_cntlr_t *path = NULL;

	MUST(rsm_get_interconnect_topology(&all));
	for (uint_t at = 0; at < all->topology_hdr.local_cntlr_count; at++) {
		const rsm_connections_t *connection = all->connections[at];
		if (strcmp(connection->hdr.cntlr_name, suite_controller()) != 0)
			continue;
		CHECK_EQUAL(1, connection->hdr.remote_cntlr_count);
		path = &connection->remote_cntlr[0];
	}
	CHECK(path != NULL);
	CHECK_EQUAL(there_node(), path->remote_nodeid);
	rsm_free_interconnect_topology(all);
	struct peer exporter;
	struct pair pair;
	there_open(&exporter, &pair, 1); /* works: so the path is active */
	MUST(rsm_get_interconnect_topology(&all));
	for (uint_t at = 0; at < all->topology_hdr.local_cntlr_count; at++) {
		const rsm_connections_t *connection = all->connections[at];
		for (int to = 0; to < connection->hdr.remote_cntlr_count; to++) {
			CHECK_EQUAL(RSM_CONNECTION_ACTIVE, connection->remote_cntlr[to].connection_state);
			CHECK(strcmp(connection->remote_cntlr[to].remote_cntlrname, suite_controller()) == 0);
		}
	}
	rsm_free_interconnect_topology(all);
}

static void segment_info(void)
{
	struct peer exporter;
	struct pair pair;
	rsmx_segment_info_t info = {.size = sizeof(info)};

	there_open(&exporter, &pair, 3);
	MUST(rsmx_segment_info(pair.i, &info));
	CHECK_EQUAL(3 * suite_page(), info.length);
	CHECK_EQUAL(RSM_PERM_RDWR, info.granted);
	CHECK_EQUAL(RSMX_STATE_CONNECTED, info.state);
	CHECK_EQUAL(pair.id, info.segment_id);
	CHECK_EQUAL(there_node(), info.node);
	CHECK_EQUAL(exporter.pid, info.peer_pid);
	CHECK_EQUAL(geteuid(), info.peer_uid);
}

/* ---- data ---- */

#define WIDTH(bits, value)                                                                                   \
	do {                                                                                                 \
		uint##bits##_t out[5] = {value, 2, 3, 4, 5}, in[5] = {0};                                    \
		MUST(rsm_memseg_import_put##bits(pair.i, bits * 4, out, 5));                                 \
		there_expect(&exporter, bits * 4, out, sizeof(out));                                         \
		there_expect(&exporter, bits * 4 + sizeof(out), &(uint64_t){0}, 8);                          \
		MUST(rsm_memseg_import_get##bits(pair.i, bits * 4, in, 5));                                  \
		CHECK(memcmp(in, out, sizeof(out)) == 0);                                                    \
	} while (0)

static void widths(void)
{
	struct peer exporter;
	struct pair pair;

	there_open(&exporter, &pair, 1);
	WIDTH(8, 0x81);
	WIDTH(16, 0x8123);
	WIDTH(32, 0x81234567u);
	WIDTH(64, 0x8123456789abcdefull);
}

static void edges(void)
{
	struct peer exporter;
	struct pair pair;
	uint64_t data[2] = {~0ull, ~0ull};

	there_open(&exporter, &pair, 1);
	off_t end = (off_t)pair.length;
	EXPECT(RSMERR_BAD_OFFSET, rsm_memseg_import_put(pair.i, end - 7, data, 8));
	EXPECT(RSMERR_BAD_OFFSET, rsm_memseg_import_put64(pair.i, end - 8, data, 2));
	EXPECT(RSMERR_BAD_OFFSET, rsm_memseg_import_get(pair.i, -1, data, 1));
	EXPECT(RSMERR_BAD_MEM_ALIGNMENT, rsm_memseg_import_get64(pair.i, 4, data, 1));
	MUST(rsm_memseg_import_put(pair.i, end, data, 0));
	CHECK_EQUAL(0, peer_load(&exporter, PEER_EXPORT, end - 1));
	MUST(rsm_memseg_import_put(pair.i, end - 1, data, 1));
	CHECK_EQUAL(0xff, peer_load(&exporter, PEER_EXPORT, end - 1));
	rsm_memseg_import_handle_t r = pair_import(&pair, RSM_PERM_READ, &(rsmapi_barrier_t){0});
	EXPECT(RSMERR_PERM_DENIED, pair_put_byte(r, 0, 1));
	CHECK_EQUAL(0xff, pair_get_byte(r, end - 1));
	rsm_memseg_import_handle_t w = pair_import(&pair, RSM_PERM_WRITE, &(rsmapi_barrier_t){0});
	EXPECT(RSMERR_PERM_DENIED, rsm_memseg_import_get(w, 0, data, 1));
	MUST(pair_put_byte(w, 0, 5));
	CHECK_EQUAL(5, peer_load(&exporter, PEER_EXPORT, 0));
}

static void large(void)
{
	enum { PAGES = 4096 };
	struct peer exporter;
	struct pair pair;
	uint8_t *source = pair_memory(PAGES, 0), *target = pair_memory(PAGES, 0);

	there_open(&exporter, &pair, PAGES);
	for (size_t at = 0; at < pair.length; at += 8) {
		uint64_t word = at * 0x9e3779b97f4a7c15ull;
		memcpy(source + at, &word, 8);
	}
	MUST(rsm_memseg_import_put(pair.i, 0, source, pair.length));
	there_expect(&exporter, pair.length - 8, source + pair.length - 8, 8);
	MUST(rsm_memseg_import_get64(pair.i, 0, (uint64_t *)(void *)target, pair.length / 8));
	CHECK(memcmp(source, target, pair.length) == 0);
}

static void vectors(void)
{
	struct peer exporter;
	struct pair pair;
	uint8_t data[16][64], back[16][64] = {{0}};
	rsm_iovec_t entries[16] = {{0}};

	there_open(&exporter, &pair, 1);
	rsm_scat_gath_t io = {.io_request_count = 16, .remote_handle = pair.i, .iovec = entries};
	for (int at = 0; at < 16; at++) {
		memset(data[at], at + 1, 64);
		entries[at] = (rsm_iovec_t){.io_type = RSM_VA_TYPE,
					    .local.vaddr = (caddr_t)data[at],
					    .remote_offset = (size_t)at * 32,
					    .transfer_length = 64};
	}
	MUST(rsm_memseg_import_putv(&io));
	CHECK_EQUAL(0, io.io_residual_count);
	there_expect(&exporter, 0, data[0], 32); /* entries overlap: the later one wins */
	there_expect(&exporter, 15 * 32, data[15], 64);
	for (int at = 0; at < 16; at++)
		entries[at].local.vaddr = (caddr_t)back[at];
	MUST(rsm_memseg_import_getv(&io));
	CHECK_BYTES(back[3], 4, 32);
	CHECK_BYTES(back[3] + 32, 5, 32);
	for (int at = 0; at < 16; at++)
		entries[at].local.vaddr = (caddr_t)data[at];
	memset(data, 0x77, sizeof(data));
	entries[2].remote_offset = pair.length - 63;
	EXPECT(RSMERR_BAD_OFFSET, rsm_memseg_import_putv(&io));
	CHECK_EQUAL(14, io.io_residual_count);
	there_expect(&exporter, 32, data[0], 64);
	CHECK_EQUAL(4, peer_load(&exporter, PEER_EXPORT, 3 * 32 + 16));
}

static void explicit_mode(void)
{
	enum { WORDS = 200 };
	struct peer exporter;
	struct pair pair;
	uint64_t out[WORDS], in[WORDS] = {0};

	there_open(&exporter, &pair, 1);
	MUST(rsm_memseg_import_set_mode(pair.i, RSM_BARRIER_MODE_EXPLICIT));
	MUST(rsm_memseg_import_open_barrier(&pair.barrier));
	for (size_t at = 0; at < WORDS; at++) { /* put, and asked for at once: behind it */
		out[at] = at * 0x0123456789abcdefull + 1;
		MUST(rsm_memseg_import_put64(pair.i, (off_t)at * 8, &out[at], 1));
		MUST(rsm_memseg_import_get64(pair.i, (off_t)at * 8, &in[at], 1));
	}
	MUST(rsm_memseg_import_order_barrier(&pair.barrier));
	CHECK_EQUAL((uint8_t)out[7], peer_load(&exporter, PEER_EXPORT, 56)); /* order waits here */
	MUST(pair_put_byte(pair.i, WORDS * 8, 0x42));
	MUST(rsm_memseg_import_close_barrier(&pair.barrier));
	CHECK(memcmp(in, out, sizeof(in)) == 0);
	there_expect(&exporter, 0, out, sizeof(out));
	CHECK_EQUAL(0x42, peer_load(&exporter, PEER_EXPORT, WORDS * 8));
	MUST(rsm_memseg_import_get64(pair.i, 8, in, 1)); /* outside a span it is complete on return */
	CHECK_EQUAL(out[1], in[0]);
}

static void stopped_exporter(void)
{
	struct peer exporter;
	struct pair pair;

	/* One-sided is one-sided: the exporting process takes no part. */
	there_open(&exporter, &pair, 4);
	CHECK(kill(exporter.pid, SIGSTOP) == 0);
	for (int round = 0; round < 500; round++) {
		MUST(pair_put_byte(pair.i, round, round));
		CHECK_EQUAL((uint8_t)round, pair_get_byte(pair.i, round));
	}
	MUST(rsm_memseg_import_open_barrier(&pair.barrier));
	MUST(rsm_memseg_import_close_barrier(&pair.barrier));
	MUST(rsm_intr_signal_post(pair.i, 0));
	MUST(rsm_memseg_import_disconnect(pair.i));
	pair_connect(&pair, RSM_PERM_RDWR);
	CHECK_EQUAL(7, pair_get_byte(pair.i, 7));
	CHECK(kill(exporter.pid, SIGCONT) == 0);
	MUST(peer_simple(&exporter, PEER_WAIT, PEER_EXPORT, SUITE_PROMPT));
	CHECK_EQUAL(9, peer_load(&exporter, PEER_EXPORT, 9));
}

static const struct suite_case cases[] = {
	{"N-rights", "owner, group and other digits for users of another node; root is nobody there", rights},
	{"N-access-node", "access lists by node -> SEG_NOT_PUBLISHED_TO_NODE", access_by_node},
	{"N-controllers", "loopback is invisible, another controller or node is not reached",
	 other_controllers},
	{"N-topology", "the path is in the topology, active", topology},
	{"N-segment-info", "rsmx_segment_info tells of the other node's process", segment_info},
	{"N-widths", "each width moves exactly its items", widths},
	{"N-edges", "bounds, alignment and rights of get and put", edges},
	{"N-large", "16 MiB by put and get64", large},
	{"N-vectors", "16 entries in their order; residual", vectors},
	{"N-explicit", "explicit mode: puts and gets are complete at order and close", explicit_mode},
	{"N-stopped", "a stopped exporter does not hold up get, put, post and connect", stopped_exporter},
};

SUITE_MAIN(cases)
