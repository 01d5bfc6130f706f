/* SPDX-License-Identifier: BSD-2-Clause */
/* C21-C30: publish, republish, unpublish, segment ids. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pair.h"
#include "peer.h"

static int publish_as(const struct pair *pair, rsm_memseg_id_t id)
{
	return rsm_memseg_export_publish(pair->e, &id, NULL, 0);
}

static void c21(void)
{
	struct pair pair;

	pair_export(&pair, 1);
	EXPECT(RSMERR_BAD_SEGID, rsm_memseg_export_publish(pair.e, NULL, NULL, 0));
	EXPECT(RSMERR_BAD_SEGID, rsm_memseg_export_publish(NULL, NULL, NULL, 1));
}

static void c22(void)
{
	struct pair pair;

	pair_export(&pair, 1);
	pair_publish(&pair);
	CHECK(pair.id >= 0x80000000u);
}

static void c23(void)
{
	static const rsm_memseg_id_t ids[] = {1,           0xfffff,     0x100000,   0x1fffff,
					      0x200000,    0x2fffff,    0x300000,   0x3fffff,
					      0x80000000u, 0x80000001u, 0xffffffffu};
	struct pair pair;

	pair_export(&pair, 1);
	for (size_t at = 0; at < sizeof(ids) / sizeof(ids[0]); at++)
		EXPECT(RSMERR_RESERVED_SEGID, publish_as(&pair, ids[at]));
	pair_publish(&pair);
}

static void c24(void)
{
	static const rsm_memseg_id_t ids[] = {0x400000, 0x7fffffff, 0x500000, 0x600000};
	struct pair pair;

	pair_export(&pair, 1);
	for (size_t at = 0; at < sizeof(ids) / sizeof(ids[0]); at++) {
		rsm_memseg_id_t id = ids[at];
		MUST(rsm_memseg_export_publish(pair.e, &id, NULL, 0));
		CHECK_EQUAL(ids[at], id);
		pair.id = id;
		pair_connect(&pair, RSM_PERM_RDWR);
		MUST(rsm_memseg_export_unpublish(pair.e));
		MUST(rsm_memseg_import_disconnect(pair.i));
	}
}

static void c25(void)
{
	struct pair one, two;

	pair_export(&one, 1);
	pair_export(&two, 1);
	MUST(publish_as(&one, 0x400123));
	EXPECT(RSMERR_SEGID_IN_USE, publish_as(&two, 0x400123));
	MUST(rsm_memseg_export_unpublish(one.e));
	MUST(publish_as(&two, 0x400123));
	EXPECT(RSMERR_SEGID_IN_USE, publish_as(&one, 0x400123));
	MUST(rsm_memseg_export_destroy(two.e));
	MUST(publish_as(&one, 0x400123));
}

static void c26(void)
{
	struct pair pair;

	pair_export(&pair, 1);
	pair_publish(&pair);
	EXPECT(RSMERR_SEG_ALREADY_PUBLISHED, rsm_memseg_export_publish(pair.e, &pair.id, NULL, 0));
	EXPECT(RSMERR_SEG_ALREADY_PUBLISHED, publish_as(&pair, 1));
}

static void c27(void)
{
	struct pair pair;
	rsm_memseg_id_t id = 0;

	pair_export(&pair, 1);
	EXPECT(RSMERR_BAD_ACL, rsm_memseg_export_publish(pair.e, &id, NULL, 1));
	CHECK_EQUAL(0, id);
	MUST(rsm_memseg_export_publish(pair.e, &id, NULL, 0));
	EXPECT(RSMERR_BAD_ACL, rsm_memseg_export_republish(pair.e, NULL, 1));
}

static void c28(void)
{
	static const rsm_permission_t wrong[] = {01000, 0777, 0177, 0111, 0001, 0x80000000u};
	struct pair pair;
	rsm_memseg_id_t id = 0;
	rsm_memseg_export_handle_t e;

	pair_export(&pair, 1);
	rsmapi_access_entry_t acl[2] = {{pair.node, 0666}, {pair.node, 0666}};
	for (size_t at = 0; at < sizeof(wrong) / sizeof(wrong[0]); at++) {
		acl[0].ae_permission = wrong[at];
		EXPECT(RSMERR_BAD_ACL, rsm_memseg_export_publish(pair.e, &id, acl, 1));
	}
	acl[0].ae_permission = 0666;
	MUST(rsm_memseg_export_create(pair_controller("loopback"), &e, pair_memory(1, 0), suite_page(), 0));
	EXPECT(RSMERR_BAD_ACL, rsm_memseg_export_publish(e, &id, acl, 2));
	acl[0].ae_node = pair.node + 1;
	EXPECT(RSMERR_BAD_ACL, rsm_memseg_export_publish(e, &id, acl, 1));
	acl[0].ae_node = pair.node;
	MUST(rsm_memseg_export_publish(e, &id, acl, 1));
}

static void c29(void)
{
	struct pair pair;
	rsm_memseg_id_t id = 0x400001;

	pair_export(&pair, 1);
	pid_t child = fork();
	CHECK(child >= 0);
	if (child == 0) {
		EXPECT(RSMERR_NOT_CREATOR, rsm_memseg_export_publish(pair.e, &id, NULL, 0));
		_exit(0);
	}
	CHECK_EQUAL(0, suite_join(child));
	MUST(rsm_memseg_export_publish(pair.e, &id, NULL, 0));
}

static void c30(void)
{
	struct pair pair;

	pair_export(&pair, 1);
	EXPECT(RSMERR_SEG_NOT_PUBLISHED, rsm_memseg_export_unpublish(pair.e));
	EXPECT(RSMERR_SEG_NOT_PUBLISHED, rsm_memseg_export_republish(pair.e, NULL, 0));
	EXPECT(RSMERR_SEG_NOT_PUBLISHED, rsm_memseg_export_republish(pair.e, NULL, 1));
	pair_publish(&pair);
	MUST(rsm_memseg_export_republish(pair.e, NULL, 0));
	MUST(rsm_memseg_export_unpublish(pair.e));
	EXPECT(RSMERR_SEG_NOT_PUBLISHED, rsm_memseg_export_unpublish(pair.e));
}

static void r_publish_order(void)
{
	struct pair pair, other;
	rsm_memseg_id_t id = 1;

	pair_export(&pair, 1);
	pair_export(&other, 1);
	rsmapi_access_entry_t bad = {pair.node, 0777};
	EXPECT(RSMERR_BAD_SEG_HNDL, rsm_memseg_export_publish(NULL, &id, NULL, 1));
	EXPECT(RSMERR_BAD_ACL, rsm_memseg_export_publish(pair.e, &id, NULL, 1));        /* 3 before 5 */
	EXPECT(RSMERR_RESERVED_SEGID, rsm_memseg_export_publish(pair.e, &id, &bad, 1)); /* 5 before 7 */
	MUST(publish_as(&other, 0x400009));
	id = 0x400009;
	EXPECT(RSMERR_BAD_ACL, rsm_memseg_export_publish(pair.e, &id, &bad, 1)); /* 7 before 9 */
	EXPECT(RSMERR_SEGID_IN_USE, rsm_memseg_export_publish(pair.e, &id, NULL, 0));
	id = 1;
	EXPECT(RSMERR_BAD_ACL, rsm_memseg_export_publish(other.e, &id, NULL, 1)); /* 3 before 4 */
	EXPECT(RSMERR_SEG_ALREADY_PUBLISHED, rsm_memseg_export_publish(other.e, &id, &bad, 1));
	CHECK_EQUAL(1, id);
}

static void r_republish_order(void)
{
	struct pair pair;

	pair_export(&pair, 1);
	rsmapi_access_entry_t bad = {pair.node, 0777}, none = {pair.node, 0};
	EXPECT(RSMERR_BAD_SEG_HNDL, rsm_memseg_export_republish(NULL, NULL, 1));
	EXPECT(RSMERR_BAD_SEG_HNDL, rsm_memseg_export_unpublish(NULL));
	EXPECT(RSMERR_SEG_NOT_PUBLISHED, rsm_memseg_export_republish(pair.e, &bad, 1));
	pair_publish(&pair);
	EXPECT(RSMERR_BAD_ACL, rsm_memseg_export_republish(pair.e, &bad, 1));
	pair_connect(&pair, RSM_PERM_RDWR); /* an error keeps the old list */
	MUST(rsm_memseg_export_republish(pair.e, &none, 1));
	MUST(rsm_memseg_export_republish(pair.e, &none, 0)); /* length 0 with a list: everybody again */
	MUST(pair_put_byte(pair.i, 0, 3));
	pair_connect(&pair, RSM_PERM_RDWR);
}

static void r_same_variable(void)
{
	struct pair pair;

	pair_export(&pair, 1);
	pair_publish(&pair);
	rsm_memseg_id_t first = pair.id;
	MUST(rsm_memseg_export_unpublish(pair.e));
	EXPECT(RSMERR_RESERVED_SEGID, rsm_memseg_export_publish(pair.e, &pair.id, NULL, 0));
	pair_publish(&pair);
	CHECK(pair.id != first); /* not reused at once */
}

static void r_system_ids(void)
{
	enum { COUNT = 32 };
	struct pair pairs[COUNT];

	for (int at = 0; at < COUNT; at++) {
		pair_export(&pairs[at], 1);
		pair_publish(&pairs[at]);
		CHECK(pairs[at].id >= 0x80000000u);
		for (int other = 0; other < at; other++)
			CHECK(pairs[other].id != pairs[at].id);
	}
}

static void r_id_node_wide(void)
{
	struct pair pair;
	struct peer peer;
	rsm_memseg_export_handle_t e;
	rsm_memseg_id_t id = 0x400777;

	peer_start(&peer, NULL);
	pair_export(&pair, 1);
	MUST(publish_as(&pair, id));
	MUST(rsm_memseg_export_create(pair_controller(suite_is_loopback() ? "shm0" : "loopback"), &e,
				      pair_memory(1, 0), suite_page(), 0));
	EXPECT(RSMERR_SEGID_IN_USE, rsm_memseg_export_publish(e, &id, NULL, 0));
	MUST(peer_create(&peer, suite_page()));
	EXPECT(RSMERR_SEGID_IN_USE, peer_publish(&peer, &id, NULL, 0));
	MUST(rsm_memseg_export_unpublish(pair.e));
	MUST(peer_publish(&peer, &id, NULL, 0));
	EXPECT(RSMERR_SEGID_IN_USE, publish_as(&pair, id));
	peer_stop(&peer);
	SOON(publish_as(&pair, id) == RSM_SUCCESS); /* the peer's end frees it */
}

static void r_acl_unknown_nodes(void)
{
	enum { COUNT = 60 };
	rsmapi_access_entry_t acl[COUNT];
	rsm_memseg_export_handle_t e;
	rsm_memseg_import_handle_t i;
	rsm_memseg_id_t id = 0;
	rsmapi_controller_handle_t c = pair_controller("shm0");
	rsm_node_id_t node = pair_node();

	MUST(rsm_memseg_export_create(c, &e, pair_memory(1, 0), suite_page(), 0));
	for (rsm_node_id_t at = 0; at < COUNT; at++)
		acl[at] = (rsmapi_access_entry_t){node + COUNT - 1 - at, 0666}; /* the local node last */
	MUST(rsm_memseg_export_publish(e, &id, acl, COUNT));
	MUST(rsm_memseg_import_connect(c, node, id, RSM_PERM_RDWR, &i));
	MUST(rsm_memseg_export_republish(e, acl, COUNT - 1));
	EXPECT(RSMERR_SEG_NOT_PUBLISHED_TO_NODE, rsm_memseg_import_connect(c, node, id, RSM_PERM_RDWR, &i));
}

static void r_acl_too_long(void)
{
	size_t count = 65536;
	rsmapi_access_entry_t *acl = calloc(count, sizeof(*acl));
	struct pair pair;
	rsm_memseg_id_t id = 0;

	CHECK(acl != NULL);
	pair_export(&pair, 1);
	for (size_t at = 0; at < count; at++)
		acl[at] = (rsmapi_access_entry_t){pair.node, 0666};
	EXPECT(RSMERR_BAD_ACL, rsm_memseg_export_publish(pair.e, &id, acl, (uint_t)count));
	free(acl);
}

static void r_umask_at_create(void)
{
	struct peer exporter, importer;
	rsm_memseg_id_t id = 0;

	peer_start_unprivileged(&exporter);
	peer_start_unprivileged(&importer);
	MUST(peer_simple(&exporter, PEER_UMASK, 0, 0277)); /* the owner may read only */
	MUST(peer_create(&exporter, suite_page()));
	MUST(peer_simple(&exporter, PEER_UMASK, 0, 0));
	MUST(peer_publish(&exporter, &id, NULL, 0));
	rsm_node_id_t node = pair_node();
	EXPECT(RSMERR_PERM_DENIED, peer_connect(&importer, 0, node, id, RSM_PERM_RDWR));
	EXPECT(RSMERR_PERM_DENIED, peer_connect(&importer, 0, node, id, RSM_PERM_WRITE));
	MUST(peer_connect(&importer, 0, node, id, RSM_PERM_READ));
}

static void r_acl_first_match(void)
{
	struct peer exporter, importer;
	rsm_memseg_id_t id = 0;

	if (suite_is_loopback())
		suite_skip("the loopback controller takes one entry at most");
	peer_start_unprivileged(&exporter);
	peer_start_unprivileged(&importer);
	rsm_node_id_t node = pair_node();
	rsmapi_access_entry_t acl[2] = {{node, 0400}, {node, 0666}};
	MUST(peer_create(&exporter, suite_page()));
	MUST(peer_publish(&exporter, &id, acl, 2));
	EXPECT(RSMERR_PERM_DENIED, peer_connect(&importer, 0, node, id, RSM_PERM_RDWR));
	MUST(peer_connect(&importer, 0, node, id, RSM_PERM_READ));
}

static const struct suite_case cases[] = {
	{"C21", "publish without segment_id -> BAD_SEGID, whatever the handle", c21},
	{"C22", "publish with id 0 chooses one from 0x80000000 up", c22},
	{"C23", "publish in reserved ranges -> RESERVED_SEGID", c23},
	{"C24", "publish at the ends of the application's range", c24},
	{"C25", "publish under an id in use -> SEGID_IN_USE until it is withdrawn", c25},
	{"C26", "publish twice -> SEG_ALREADY_PUBLISHED", c26},
	{"C27", "publish with NULL list and length 1 -> BAD_ACL", c27},
	{"C28", "publish with bits outside 0666, loopback lists -> BAD_ACL", c28},
	{"C29", "publish from a forked child -> NOT_CREATOR", c29},
	{"C30", "unpublish or republish while not published -> SEG_NOT_PUBLISHED", c30},
	{"R-publish-order", "publish: the first matching check decides", r_publish_order},
	{"R-republish-order", "republish: check order; an error keeps the list; length 0", r_republish_order},
	{"R-id-variable", "a system-chosen id published again -> RESERVED_SEGID", r_same_variable},
	{"R-system-ids", "system-chosen ids differ", r_system_ids},
	{"R-id-node-wide", "ids are unique across controllers and processes", r_id_node_wide},
	{"R-acl-unknown-nodes", "unknown nodes in a list; node left out -> SEG_NOT_PUBLISHED_TO_NODE",
	 r_acl_unknown_nodes},
	{"R-acl-too-long", "a list of 65536 entries -> BAD_ACL", r_acl_too_long},
	{"R-umask", "the umask at create decides, not that at publish", r_umask_at_create},
	{"R-acl-first-match", "the first entry of a node wins", r_acl_first_match},
};

SUITE_MAIN(cases)
