/* SPDX-License-Identifier: BSD-2-Clause */
/* The limits of the node's configuration, and the calls that meet them (rsmd.conf(5)). */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sysinfo.h>

#include <rsm/ext.h>

#include "daemon.h"
#include "pair.h"
#include "peer.h"

static struct daemon node;

static void node_open(const char *config)
{
	CHECK(daemon_prepare(&node, config) && daemon_start(&node));
	CHECK(setenv("RSM_SOCKET", node.socket, 1) == 0);
}

static void node_close(void)
{
	CHECK(daemon_stop(&node) && daemon_remove(&node));
}

static void max_segments(void)
{
	struct pair pair;
	struct peer peer;
	rsmapi_controller_attr_t attr;
	rsm_memseg_export_handle_t e, third;
	rsm_memseg_import_handle_t i;

	node_open(DAEMON_CONFIG("max-segments = 4\n"));
	peer_start(&peer, NULL);
	pair_open(&pair); /* 2: exports and imports count together */
	MUST(rsm_get_controller_attr(pair.controller, &attr));
	CHECK_EQUAL(4, attr.attr_max_export_segments);
	uint8_t *memory = pair_memory(1, 5);
	MUST(rsm_memseg_export_create(pair.controller, &e, memory, suite_page(), 0));
	MUST(peer_connect(&peer, 0, pair.node, pair.id, RSM_PERM_RDWR));
	EXPECT(RSMERR_INSUFFICIENT_RESOURCES,
	       rsm_memseg_export_create(pair.controller, &third, pair_memory(1, 0), suite_page(),
					RSM_CREATE_SEG_DONTWAIT));
	CHECK(third == NULL);
	CHECK(strstr(rsmx_last_error(), "max-segments") != NULL);
	EXPECT(RSMERR_INSUFFICIENT_RESOURCES,
	       rsm_memseg_import_connect(pair.controller, pair.node, pair.id, RSM_PERM_READ, &i));
	/* The connect's checks before the slot, and those behind it. */
	EXPECT(RSMERR_PERM_DENIED, rsm_memseg_import_connect(pair.controller, pair.node, pair.id, 0100, &i));
	EXPECT(RSMERR_INSUFFICIENT_RESOURCES,
	       rsm_memseg_import_connect(pair.controller, pair.node, 0x400000, RSM_PERM_READ, &i));
	MUST(rsm_memseg_export_destroy(e));
	CHECK_BYTES(memory, 5, suite_page());
	MUST(rsm_memseg_import_connect(pair.controller, pair.node, pair.id, RSM_PERM_READ, &i));
	EXPECT(RSMERR_INSUFFICIENT_RESOURCES,
	       rsm_memseg_export_create(pair.controller, &third, pair_memory(1, 0), suite_page(), 0));
	MUST(peer_simple(&peer, PEER_DISCONNECT, 0, 0));
	SOON(rsm_memseg_export_create(pair.controller, &third, memory, suite_page(), 0) == RSM_SUCCESS);
	MUST(rsm_memseg_export_destroy(third));
	MUST(rsm_memseg_import_disconnect(i));
	pair_close(&pair);
	peer_stop(&peer);
	node_close();
}

static void max_memory(void)
{
	struct sysinfo info;
	rsm_memseg_export_handle_t e, f;

	node_open(DAEMON_CONFIG("max-exported-memory = 1\n"));
	CHECK(sysinfo(&info) == 0);
	size_t page = suite_page(), limit = (size_t)info.totalram * info.mem_unit / 100;
	size_t most = limit / page * page, half = most / 2 / page * page + 4 * page;
	uint8_t *memory = mmap(NULL, most + 64 * page, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	CHECK(memory != MAP_FAILED); /* never touched: costs nothing */
	rsmapi_controller_handle_t c = pair_controller(suite_controller());
	EXPECT(RSMERR_INSUFFICIENT_MEM, rsm_memseg_export_create(c, &e, memory, most + 64 * page, 0));
	CHECK(strstr(rsmx_last_error(), "max-exported-memory") != NULL);
	CHECK(munmap(memory + most + 63 * page, page) == 0); /* the limit comes before the address */
	EXPECT(RSMERR_INSUFFICIENT_MEM, rsm_memseg_export_create(c, &e, memory, most + 64 * page, 0));
	MUST(rsm_memseg_export_create(c, &e, memory, half, RSM_ALLOW_REBIND));
	EXPECT(RSMERR_INSUFFICIENT_MEM, rsm_memseg_export_create(c, &f, memory, half, 0));
	/* Old and new range both count during a rebind; the old binding stays. */
	EXPECT(RSMERR_INSUFFICIENT_MEM, rsm_memseg_export_rebind(e, memory + 8 * page, 0, half));
	memory[0] = 1;
	MUST(rsm_memseg_export_destroy(e));
	CHECK_BYTES(memory, 1, 1);
	MUST(rsm_memseg_export_create(c, &f, memory, half, 0));
	MUST(rsm_memseg_export_destroy(f));
	node_close();
}

static void max_segment(void)
{
	rsm_memseg_export_handle_t e;
	rsmapi_controller_attr_t attr;

	/* More than one segment may have, as the attributes say: a matter of length, whatever is free. */
	node_open(DAEMON_CONFIG("max-exported-memory = 1\n"));
	rsmapi_controller_handle_t c = pair_controller("shm0");
	MUST(rsm_get_controller_attr(c, &attr));
	size_t length = attr.attr_max_export_segment_size + suite_page();
	uint8_t *memory = mmap(NULL, length, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	CHECK(memory != MAP_FAILED);
	EXPECT(RSMERR_BAD_LENGTH, rsm_memseg_export_create(c, &e, memory, length, 0));
	CHECK(e == NULL);
	MUST(rsm_memseg_export_create(c, &e, memory, length - suite_page(), 0));
	MUST(rsm_memseg_export_destroy(e));
	node_close();
}

static void max_objects(void)
{
	struct pair pair;
	rsm_memseg_export_handle_t e;
	uint8_t copy[4096];

	/* A cut that finds room for one new object but not for two fails as a whole. */
	node_open(DAEMON_CONFIG("max-segments = 4\n"));
	pair_open_pages(&pair, 4);
	memset(pair.memory, 0x5a, pair.length);
	for (int at = 0; at < 6; at++)
		CHECK(rsmx_alloc(suite_page(), 0) != NULL);
	EXPECT(RSMERR_INSUFFICIENT_RESOURCES,
	       rsm_memseg_export_create(pair.controller, &e, pair.memory + suite_page(), suite_page(), 0));
	for (size_t at = 0; at < 4; at++) {
		MUST(rsm_memseg_import_get(pair.i, (off_t)(at * suite_page()), copy, 4096));
		CHECK_BYTES(copy, 0x5a, 4096);
		MUST(pair_put_byte(pair.i, (off_t)(at * suite_page()), (int)at));
		CHECK_BYTES(pair.memory + at * suite_page(), (int)at, 1);
	}
	pair_close(&pair);
	node_close();
}

static const struct suite_case cases[] = {
	{"S-max-segments", "max-segments -> INSUFFICIENT_RESOURCES from create and connect", max_segments},
	{"S-max-memory", "max-exported-memory -> INSUFFICIENT_MEM from create and rebind", max_memory},
	{"S-max-segment", "more than one segment may have -> BAD_LENGTH", max_segment},
	{"S-max-objects", "too many memory objects -> INSUFFICIENT_RESOURCES, segments live on", max_objects},
};

SUITE_MAIN(cases)
