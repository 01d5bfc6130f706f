/* SPDX-License-Identifier: BSD-2-Clause */
/* C31-C41: connect, rights, disconnect. */
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "pair.h"
#include "peer.h"

static void c31(void)
{
	struct pair pair;
	rsm_memseg_import_handle_t i;

	pair_open(&pair);
	EXPECT(RSMERR_BAD_CTLR_HNDL, rsm_memseg_import_connect(NULL, pair.node, pair.id, RSM_PERM_RDWR, &i));
	EXPECT(RSMERR_BAD_CTLR_HNDL, rsm_memseg_import_connect(NULL, pair.node, pair.id, 0100, NULL));
}

static void c32(void)
{
	static const rsm_permission_t wrong[] = {0100, 0700, 0604, 01000, 0x80000000u};
	struct pair pair;
	rsm_memseg_import_handle_t i;

	pair_open(&pair);
	for (size_t at = 0; at < sizeof(wrong) / sizeof(wrong[0]); at++)
		EXPECT(RSMERR_PERM_DENIED,
		       rsm_memseg_import_connect(pair.controller, pair.node, pair.id, wrong[at], &i));
	CHECK(i == NULL);
}

static void c33(void)
{
	struct pair pair;
	rsm_memseg_import_handle_t i;

	pair_open(&pair);
	EXPECT(RSMERR_SEG_NOT_PUBLISHED,
	       rsm_memseg_import_connect(pair.controller, pair.node, 0x7abcdef0, RSM_PERM_READ, &i));
	CHECK(i == NULL);
	EXPECT(RSMERR_SEG_NOT_PUBLISHED,
	       rsm_memseg_import_connect(pair.controller, pair.node, 0, RSM_PERM_READ, &i));
	EXPECT(RSMERR_SEG_NOT_PUBLISHED,
	       rsm_memseg_import_connect(pair.controller, pair.node, 1, RSM_PERM_READ, &i));
}

static void c34(void)
{
	rsm_memseg_import_handle_t i;

	EXPECT(RSMERR_CTLR_NOT_PRESENT,
	       rsm_memseg_import_connect(pair_controller("loopback"), pair_node() + 1, 0x400000,
					 RSM_PERM_READ, &i));
	CHECK(i == NULL);
}

static void c35(void)
{
	rsmapi_controller_handle_t c = pair_controller("shm0");
	rsm_node_id_t node = pair_node();
	rsmapi_access_entry_t acl = {node + 1, 0666};
	rsm_memseg_export_handle_t e;
	rsm_memseg_import_handle_t i;
	rsm_memseg_id_t id = 0;

	MUST(rsm_memseg_export_create(c, &e, pair_memory(1, 0), suite_page(), 0));
	MUST(rsm_memseg_export_publish(e, &id, &acl, 1));
	EXPECT(RSMERR_SEG_NOT_PUBLISHED_TO_NODE, rsm_memseg_import_connect(c, node, id, RSM_PERM_READ, &i));
	EXPECT(RSMERR_SEG_NOT_PUBLISHED_TO_NODE,
	       rsm_memseg_import_connect(pair_controller("loopback"), node, id, RSM_PERM_READ, &i));
	CHECK(i == NULL);
}

static void c36(void)
{
	struct peer exporter, importer;
	rsm_memseg_id_t id = 0;
	int value;

	peer_start_unprivileged(&exporter);
	peer_start_unprivileged(&importer);
	rsm_node_id_t node = pair_node();
	rsmapi_access_entry_t acl = {node, 0400};
	MUST(peer_create(&exporter, suite_page()));
	MUST(peer_publish(&exporter, &id, &acl, 1));
	EXPECT(RSMERR_PERM_DENIED, peer_connect(&importer, 0, node, id, RSM_PERM_RDWR));
	CHECK(strlen(importer.reason) > 0);
	EXPECT(RSMERR_PERM_DENIED, peer_connect(&importer, 0, node, id, RSM_PERM_WRITE));
	MUST(peer_connect(&importer, 0, node, id, RSM_PERM_READ));
	MUST(peer_simple(&importer, PEER_INIT, 0, 0));
	MUST(peer_get(&importer, 0, 0, &value));
}

static void c37(void)
{
	struct peer exporter, importer;
	rsm_memseg_id_t id = 0;

	peer_start_unprivileged(&exporter);
	peer_start_unprivileged(&importer);
	MUST(peer_simple(&exporter, PEER_UMASK, 0, 022));
	id = peer_export(&exporter, suite_page(), 0);
	MUST(peer_connect(&importer, 0, pair_node(), id, RSM_PERM_RDWR));
	MUST(peer_simple(&importer, PEER_INIT, 0, 0));
	MUST(peer_put(&importer, 0, 1, 0x42));
	CHECK_EQUAL(0x42, peer_load(&exporter, PEER_EXPORT, 1));
}

static void c38(void)
{
	struct pair pair;
	rsmapi_barrier_t barrier;

	pair_open(&pair);
	rsm_memseg_import_handle_t second = pair_import(&pair, RSM_PERM_RDWR, &barrier);
	CHECK(second != pair.i);
	MUST(pair_put_byte(pair.i, 0, 1));
	CHECK_EQUAL(1, pair_get_byte(second, 0));
	MUST(rsm_memseg_import_disconnect(pair.i));
	MUST(pair_put_byte(second, 0, 2)); /* the other one goes on */
	CHECK_BYTES(pair.memory, 2, 1);
}

static void c39(void)
{
	struct pair pair;
	rsm_barrier_mode_t mode = RSM_BARRIER_MODE_EXPLICIT;

	pair_open(&pair);
	MUST(rsm_memseg_import_get_mode(pair.i, &mode));
	CHECK_EQUAL(RSM_BARRIER_MODE_IMPLICIT, mode);
}

static void c40(void)
{
	struct peer exporter, importer;
	struct peer_request republish = {.op = PEER_REPUBLISH, .acl_count = 1};

	peer_start_unprivileged(&exporter);
	peer_start_unprivileged(&importer);
	rsm_memseg_id_t id = peer_export(&exporter, suite_page(), 0);
	rsm_node_id_t node = pair_node();
	MUST(peer_connect(&importer, 0, node, id, RSM_PERM_RDWR));
	MUST(peer_simple(&importer, PEER_INIT, 0, 0));
	republish.acl[0] = (rsmapi_access_entry_t){node, 0};
	MUST(peer_ask(&exporter, &republish).code);
	MUST(peer_put(&importer, 0, 7, 0x77));
	CHECK_EQUAL(0x77, peer_load(&exporter, PEER_EXPORT, 7));
	EXPECT(RSMERR_PERM_DENIED, peer_connect(&importer, 1, node, id, RSM_PERM_RDWR));
	EXPECT(RSMERR_PERM_DENIED, peer_connect(&importer, 1, node, id, RSM_PERM_READ));
}

static void c41(void)
{
	struct pair pair;
	void *address = NULL;

	pair_open(&pair);
	EXPECT(SUITE_MAP_CODE,
	       rsm_memseg_import_map(pair.i, &address, RSM_MAP_NONE, RSM_PERM_RDWR, 0, pair.length));
	if (suite_can_map()) {
		EXPECT(RSMERR_SEG_STILL_MAPPED, rsm_memseg_import_disconnect(pair.i));
		MUST(rsm_memseg_import_unmap(pair.i));
	}
	MUST(rsm_memseg_import_disconnect(pair.i));
	pair_connect(&pair, RSM_PERM_RDWR);
	MUST(pair_put_byte(pair.i, 0, 1));
	MUST(rsm_memseg_import_disconnect(pair.i));
}

static void r_connect_order(void)
{
	struct pair pair;
	char storage;
	rsm_memseg_import_handle_t i = (rsm_memseg_import_handle_t)(void *)&storage;

	pair_open(&pair);
	EXPECT(RSMERR_BAD_SEG_HNDL,
	       rsm_memseg_import_connect(pair.controller, pair.node, pair.id, 0100, NULL));
	EXPECT(RSMERR_PERM_DENIED, rsm_memseg_import_connect(pair.controller, pair.node + 1, 1, 0100, &i));
	CHECK(i == NULL);
	EXPECT(suite_is_loopback() ? RSMERR_CTLR_NOT_PRESENT : RSMERR_REMOTE_NODE_UNREACHABLE,
	       rsm_memseg_import_connect(pair.controller, pair.node + 1, 1, RSM_PERM_READ, &i));
}

static void r_unknown_node(void)
{
	static const rsm_node_id_t nodes[] = {63, 64, 4711, 0xffffffffu};
	rsm_memseg_import_handle_t i;
	rsmapi_controller_handle_t c = pair_controller("shm0");

	for (size_t at = 0; at < sizeof(nodes) / sizeof(nodes[0]); at++)
		EXPECT(RSMERR_REMOTE_NODE_UNREACHABLE,
		       rsm_memseg_import_connect(c, nodes[at], 0x400000, RSM_PERM_READ, &i));
}

static void r_permission_none(void)
{
	struct pair pair;
	void *address = NULL;
	uint8_t byte = 1;

	pair_open(&pair);
	rsm_memseg_import_handle_t i = pair_import(&pair, RSM_PERM_NONE, &pair.barrier);
	EXPECT(RSMERR_PERM_DENIED, rsm_memseg_import_put8(i, 0, &byte, 1));
	EXPECT(RSMERR_PERM_DENIED, rsm_memseg_import_get8(i, 0, &byte, 1));
	EXPECT(RSMERR_BAD_PERMS,
	       rsm_memseg_import_map(i, &address, RSM_MAP_NONE, RSM_PERM_READ, 0, pair.length));
	MUST(rsm_intr_signal_post(i, 0));
	MUST(rsm_intr_signal_wait(pair.e, 1000));
	MUST(rsm_intr_signal_post(pair.e, 0));
	MUST(rsm_intr_signal_wait(i, 1000));
	MUST(rsm_memseg_import_disconnect(i));
}

static void r_any_controller(void)
{
	struct pair pair;
	rsm_memseg_import_handle_t i;
	rsmapi_barrier_t barrier;

	pair_open(&pair);
	MUST(rsm_memseg_import_connect(pair_controller(suite_is_loopback() ? "shm0" : "loopback"), pair.node,
				       pair.id, RSM_PERM_RDWR, &i));
	MUST(rsm_memseg_import_init_barrier(i, RSM_BAR_DEFAULT, &barrier));
	MUST(pair_put_byte(i, 1, 9));
	CHECK_EQUAL(9, pair_get_byte(pair.i, 1));
	struct pair other = {.node = pair.node, .length = suite_page(), .memory = pair_memory(1, 0)};
	other.controller = pair_controller(suite_is_loopback() ? "shm0" : "loopback");
	MUST(rsm_memseg_export_create(other.controller, &other.e, other.memory, other.length, 0));
	pair_publish(&other);
	other.controller = pair.controller; /* and the other way round */
	pair_connect(&other, RSM_PERM_RDWR);
	MUST(pair_put_byte(other.i, 2, 8));
	CHECK_BYTES(other.memory + 2, 8, 1);
}

static void expect_rights(struct peer *importer, rsm_memseg_id_t id, rsm_permission_t granted)
{
	static const rsm_permission_t asked[] = {RSM_PERM_READ, RSM_PERM_WRITE, RSM_PERM_RDWR};
	rsm_node_id_t node = pair_node();

	MUST(peer_connect(importer, 0, node, id, 0));
	MUST(peer_simple(importer, PEER_DISCONNECT, 0, 0));
	for (int at = 0; at < 3; at++) {
		bool allowed = (asked[at] & ~granted) == 0;
		EXPECT(allowed ? RSM_SUCCESS : RSMERR_PERM_DENIED,
		       peer_connect(importer, 0, node, id, asked[at]));
		if (allowed)
			MUST(peer_simple(importer, PEER_DISCONNECT, 0, 0));
	}
}

static void r_classes(void)
{
	static const struct peer_user owner = {65534, 65534, (gid_t)-1}, member = {1234, 1234, 65534},
				      same_group = {1234, 65534, (gid_t)-1},
				      stranger = {1234, 1234, (gid_t)-1},
				      owner_elsewhere = {65534, 1234, (gid_t)-1};
	struct peer exporter, peers[5];
	rsm_memseg_id_t id = 0;
	struct peer_request republish = {.op = PEER_REPUBLISH, .acl_count = 1};

	peer_start(&exporter, &owner);
	peer_start(&peers[0], &owner);
	peer_start(&peers[1], &member);
	peer_start(&peers[2], &same_group);
	peer_start(&peers[3], &stranger);
	peer_start(&peers[4], &owner_elsewhere);
	rsmapi_access_entry_t acl = {pair_node(), 0624};
	MUST(peer_create(&exporter, suite_page()));
	MUST(peer_publish(&exporter, &id, &acl, 1));
	expect_rights(&peers[0], id, RSM_PERM_RDWR);
	expect_rights(&peers[1], id, RSM_PERM_WRITE);
	expect_rights(&peers[2], id, RSM_PERM_WRITE);
	expect_rights(&peers[3], id, RSM_PERM_READ);
	expect_rights(&peers[4], id, RSM_PERM_RDWR);
	republish.acl[0] = (rsmapi_access_entry_t){acl.ae_node, 0066}; /* the classes exclude each other */
	MUST(peer_ask(&exporter, &republish).code);
	expect_rights(&peers[0], id, RSM_PERM_NONE);
	expect_rights(&peers[1], id, RSM_PERM_RDWR);
	republish.acl[0].ae_permission = 0606;
	MUST(peer_ask(&exporter, &republish).code);
	expect_rights(&peers[2], id, RSM_PERM_NONE);
	expect_rights(&peers[3], id, RSM_PERM_RDWR);
}

static void r_root_override(void)
{
	static const struct peer_user owner = {65534, 65534, (gid_t)-1};
	struct peer exporter, root;
	rsm_memseg_id_t id = 0;

	peer_start(&exporter, &owner);
	peer_start(&root, NULL);
	rsmapi_access_entry_t acl = {pair_node(), 0};
	MUST(peer_create(&exporter, suite_page()));
	MUST(peer_publish(&exporter, &id, &acl, 1));
	expect_rights(&root, id, RSM_PERM_RDWR);
}

static void r_other_user(void)
{
	static const struct peer_user owner = {65534, 65534, (gid_t)-1}, stranger = {1234, 1234, (gid_t)-1};
	struct peer exporter, importer;
	rsm_memseg_id_t id = 0;
	int value;

	peer_start(&exporter, &owner);
	peer_start(&importer, &stranger);
	rsmapi_access_entry_t acl = {pair_node(), 0606};
	MUST(peer_create(&exporter, suite_page()));
	MUST(peer_publish(&exporter, &id, &acl, 1));
	MUST(peer_connect(&importer, 0, acl.ae_node, id, RSM_PERM_RDWR));
	MUST(peer_simple(&importer, PEER_INIT, 0, 0));
	MUST(peer_put(&importer, 0, 3, 0x31));
	CHECK_EQUAL(0x31, peer_load(&exporter, PEER_EXPORT, 3));
	EXPECT(SUITE_MAP_CODE, peer_map(&importer, 0, RSM_PERM_RDWR, suite_page()));
	peer_store(&exporter, PEER_EXPORT, 4, 0x41);
	if (suite_can_map())
		CHECK_EQUAL(0x41, peer_load(&importer, 0, 4));
	MUST(peer_get(&importer, 0, 4, &value));
	CHECK_EQUAL(0x41, value);
	MUST(peer_simple(&importer, PEER_POST, 0, 0));
	MUST(peer_simple(&exporter, PEER_WAIT, PEER_EXPORT, 1000));
	MUST(peer_get(&importer, 0, 3, &value));
	CHECK_EQUAL(0x31, value);
}

static void r_republish_removed_node(void)
{
	struct pair pair;
	rsm_memseg_import_handle_t i;

	pair_export(&pair, 1);
	if (suite_is_loopback())
		suite_skip("a loopback list can only name the local node");
	pair_publish(&pair);
	pair_connect(&pair, RSM_PERM_RDWR);
	rsmapi_access_entry_t acl = {pair.node + 1, 0666};
	MUST(rsm_memseg_export_republish(pair.e, &acl, 1));
	MUST(pair_put_byte(pair.i, 0, 5));
	EXPECT(RSMERR_SEG_NOT_PUBLISHED_TO_NODE,
	       rsm_memseg_import_connect(pair.controller, pair.node, pair.id, RSM_PERM_RDWR, &i));
	MUST(rsm_memseg_import_disconnect(pair.i));
	EXPECT(RSMERR_SEG_NOT_PUBLISHED_TO_NODE,
	       rsm_memseg_import_connect(pair.controller, pair.node, pair.id, RSM_PERM_RDWR, &i));
}

static void r_disconnect_handles(void)
{
	struct pair pair;

	pair_open(&pair);
	EXPECT(RSMERR_BAD_SEG_HNDL, rsm_memseg_import_disconnect(NULL));
	EXPECT(RSMERR_BAD_SEG_HNDL, rsm_memseg_import_disconnect((rsm_memseg_import_handle_t)(void *)pair.e));
	EXPECT(RSMERR_BAD_SEG_HNDL,
	       rsm_memseg_import_disconnect((rsm_memseg_import_handle_t)(void *)pair.memory));
	MUST(rsm_memseg_import_disconnect(pair.i));
	EXPECT(RSMERR_BAD_SEG_HNDL, rsm_memseg_import_disconnect(pair.i));
	EXPECT(RSMERR_BAD_SEG_HNDL, pair_put_byte(pair.i, 0, 1));
	EXPECT(RSMERR_BAD_SEG_HNDL, rsm_intr_signal_post(pair.i, 0));
	EXPECT(RSMERR_BAD_SEG_HNDL, rsm_intr_signal_wait(pair.i, 0));
	EXPECT(RSMERR_BAD_SEG_HNDL, rsm_memseg_import_unmap(pair.i));
}

static void r_descriptor_exhaustion(void)
{
	struct pair pair;
	struct rlimit limit;
	rsm_memseg_export_handle_t e;
	rsm_memseg_import_handle_t i;
	int code = RSM_SUCCESS, connects = 0;

	pair_open(&pair);
	CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
	limit.rlim_cur = 3;
	CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
	EXPECT(RSMERR_INSUFFICIENT_RESOURCES,
	       rsm_memseg_export_create(pair.controller, &e, pair_memory(1, 0), suite_page(), 0));
	for (; code == RSM_SUCCESS && connects < 100; connects++)
		code = rsm_memseg_import_connect(pair.controller, pair.node, pair.id, RSM_PERM_RDWR, &i);
	EXPECT(RSMERR_INSUFFICIENT_RESOURCES, code);
	limit.rlim_cur = limit.rlim_max;
	CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
	MUST(pair_put_byte(pair.i, 0, 1)); /* nothing else suffered */
	pair_connect(&pair, RSM_PERM_RDWR);
	MUST(pair_put_byte(pair.i, 0, 2));
	CHECK_BYTES(pair.memory, 2, 1);
}

static const struct suite_case cases[] = {
	{"C31", "connect without controller -> BAD_CTLR_HNDL", c31},
	{"C32", "connect with bits outside 0600 -> PERM_DENIED", c32},
	{"C33", "connect to an unpublished id -> SEG_NOT_PUBLISHED", c33},
	{"C34", "connect through loopback to another node -> CTLR_NOT_PRESENT", c34},
	{"C35", "a list of other nodes only -> SEG_NOT_PUBLISHED_TO_NODE", c35},
	{"C36", "list (L, 0400): unprivileged RDWR -> PERM_DENIED, READ succeeds", c36},
	{"C37", "no list, umask 022: the same user connects RDWR", c37},
	{"C38", "two connects give two working handles", c38},
	{"C39", "a fresh import handle is in implicit mode", c39},
	{"C40", "republish with (L, 0): old handle works, new unprivileged connect -> PERM_DENIED", c40},
	{"C41", "disconnect while mapped -> SEG_STILL_MAPPED; after puts it succeeds", c41},
	{"R-connect-order", "connect: the first matching check decides", r_connect_order},
	{"R-unknown-node", "connect to an unknown node -> REMOTE_NODE_UNREACHABLE", r_unknown_node},
	{"R-permission-none", "a connection without rights can signal only", r_permission_none},
	{"R-any-controller", "on one node any controller connects", r_any_controller},
	{"R-classes", "owner, group and other digits exclude each other", r_classes},
	{"R-root-override", "uid 0 may connect whatever the list says", r_root_override},
	{"R-other-user", "data, map and signals between two users", r_other_user},
	{"R-republish-node", "a node removed by republish -> SEG_NOT_PUBLISHED_TO_NODE, old handle works",
	 r_republish_removed_node},
	{"R-disconnect-handles", "freed, foreign and NULL import handles -> BAD_SEG_HNDL",
	 r_disconnect_handles},
	{"R-descriptors-out", "no descriptors left -> INSUFFICIENT_RESOURCES, nothing else suffers",
	 r_descriptor_exhaustion},
};

SUITE_MAIN(cases)
