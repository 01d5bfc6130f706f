/* SPDX-License-Identifier: BSD-2-Clause */
/* C42-C48: explicit maps. */
#include <rsm/ext.h>
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "pair.h"
#include "peer.h"

static int map(rsm_memseg_import_handle_t i, void **address, rsm_permission_t permission, off_t offset,
	       size_t length)
{
	return rsm_memseg_import_map(i, address, RSM_MAP_NONE, permission, offset, length);
}

/* Where memory cannot be mapped: a code with a reason, and the handle is as good as before. */
static void expect_refused(struct pair *pair)
{
	void *address = NULL;

	for (int round = 0; round < 2; round++) {
		EXPECT(RSMERR_MAP_FAILED, map(pair->i, &address, RSM_PERM_RDWR, 0, pair->length));
		CHECK(address == NULL);
		CHECK(strlen(rsmx_last_error()) > 0);
		EXPECT(RSMERR_SEG_NOT_MAPPED, rsm_memseg_import_unmap(pair->i));
		MUST(pair_put_byte(pair->i, 7, 0x71 + round));
		CHECK_BYTES(pair->memory + 7, 0x71 + round, 1);
	}
	MUST(rsm_memseg_import_disconnect(pair->i)); /* it is not mapped */
}

static void c42(void)
{
	struct pair pair;
	void *address = NULL;

	pair_open_pages(&pair, 2);
	EXPECT(RSMERR_BAD_ADDR, map(pair.i, NULL, RSM_PERM_READ, 0, pair.length));
	EXPECT(RSMERR_BAD_LENGTH, map(pair.i, &address, RSM_PERM_READ, 0, 0));
	EXPECT(RSMERR_BAD_LENGTH, map(pair.i, &address, RSM_PERM_READ, 0, pair.length + 1));
	EXPECT(RSMERR_BAD_LENGTH,
	       map(pair.i, &address, RSM_PERM_READ, (off_t)suite_page(), suite_page() + 1));
	EXPECT(RSMERR_BAD_LENGTH, map(pair.i, &address, RSM_PERM_READ, (off_t)suite_page(), SIZE_MAX));
	CHECK(address == NULL);
}

static void c43(void)
{
	struct pair pair;
	void *address = NULL;

	pair_open_pages(&pair, 2);
	EXPECT(RSMERR_BAD_MEM_ALIGNMENT, map(pair.i, &address, RSM_PERM_READ, 1, 16));
	EXPECT(RSMERR_BAD_PERMS, map(pair.i, &address, 0700, 0, pair.length));
	EXPECT(RSMERR_BAD_PERMS, map(pair.i, &address, 0007, 0, pair.length));
}

static void c44(void)
{
	struct pair pair;
	void *address = NULL;

	pair_open(&pair);
	rsm_memseg_import_handle_t r = pair_import(&pair, RSM_PERM_READ, NULL);
	EXPECT(RSMERR_BAD_PERMS, map(r, &address, RSM_PERM_WRITE, 0, pair.length));
	EXPECT(RSMERR_BAD_PERMS, map(r, &address, RSM_PERM_RDWR, 0, pair.length));
	rsm_memseg_import_handle_t w = pair_import(&pair, RSM_PERM_WRITE, NULL);
	EXPECT(RSMERR_BAD_PERMS, map(w, &address, RSM_PERM_READ, 0, pair.length));
	EXPECT(RSMERR_BAD_PERMS, map(w, &address, RSM_PERM_RDWR, 0, pair.length));
	EXPECT(SUITE_MAP_CODE, map(r, &address, RSM_PERM_READ, 0, pair.length));
	EXPECT(SUITE_MAP_CODE, map(w, &address, RSM_PERM_WRITE, 0, pair.length));
	if (suite_can_map()) {
		*(volatile uint8_t *)address = 0x3c;
		CHECK_BYTES(pair.memory, 0x3c, 1);
	}
}

static void c45(void)
{
	struct pair pair;
	void *address = NULL, *other = NULL;

	pair_open(&pair);
	MUST(pair_put_byte(pair.i, 0, 1)); /* implicit maps are invisible */
	EXPECT(RSMERR_SEG_NOT_MAPPED, rsm_memseg_import_unmap(pair.i));
	if (!suite_can_map()) {
		expect_refused(&pair);
		return;
	}
	MUST(map(pair.i, &address, RSM_PERM_RDWR, 0, pair.length));
	EXPECT(RSMERR_SEG_ALREADY_MAPPED, map(pair.i, &other, RSM_PERM_RDWR, 0, pair.length));
	CHECK(other == NULL);
	MUST(rsm_memseg_import_unmap(pair.i));
	MUST(map(pair.i, &address, RSM_PERM_RDWR, 0, pair.length));
}

static void c46(void)
{
	struct pair pair;
	size_t page = suite_page();
	uint8_t *place = mmap(NULL, 4 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	void *address;

	CHECK(place != MAP_FAILED && munmap(place, 4 * page) == 0);
	pair_open(&pair);
	address = place + page + 1;
	EXPECT(RSMERR_BAD_MEM_ALIGNMENT,
	       rsm_memseg_import_map(pair.i, &address, RSM_MAP_FIXED, RSM_PERM_RDWR, 0, pair.length));
	address = place + page;
	EXPECT(SUITE_MAP_CODE,
	       rsm_memseg_import_map(pair.i, &address, RSM_MAP_FIXED, RSM_PERM_RDWR, 0, pair.length));
	CHECK(address == place + page);
	if (!suite_can_map())
		return;
	place[page] = 0x66;
	CHECK_BYTES(pair.memory, 0x66, 1);
}

static void c47(void)
{
	struct pair pair;

	pair_open(&pair);
	EXPECT(RSMERR_SEG_NOT_MAPPED, rsm_memseg_import_unmap(pair.i));
	EXPECT(RSMERR_BAD_SEG_HNDL, rsm_memseg_import_unmap(NULL));
}

static void c48(void)
{
	struct peer peer;
	size_t length = 4 * suite_page();
	void *address = NULL;
	rsmapi_barrier_t barrier;
	rsm_memseg_import_handle_t i;

	peer_start(&peer, NULL);
	rsm_memseg_id_t id = peer_export(&peer, length, 0);
	MUST(rsm_memseg_import_connect(pair_controller(suite_controller()), pair_node(), id, RSM_PERM_RDWR,
				       &i));
	MUST(rsm_memseg_import_init_barrier(i, RSM_BAR_DEFAULT, &barrier));
	EXPECT(SUITE_MAP_CODE, map(i, &address, RSM_PERM_RDWR, 0, length));
	if (!suite_can_map()) /* what close promises of stores, it promises of puts of explicit mode */
		MUST(rsm_memseg_import_set_mode(i, RSM_BARRIER_MODE_EXPLICIT));
	for (size_t at = 0; at < length; at += 1000) {
		MUST(rsm_memseg_import_open_barrier(&barrier));
		if (suite_can_map())
			((volatile uint8_t *)address)[at] = (uint8_t)(at + 1);
		else
			MUST(pair_put_byte(i, (off_t)at, (int)(at + 1)));
		MUST(rsm_memseg_import_close_barrier(&barrier));
		CHECK_EQUAL((uint8_t)(at + 1), peer_load(&peer, PEER_EXPORT, (int64_t)at));
	}
	peer_store(&peer, PEER_EXPORT, 3, 0x5e); /* and the other way round */
	if (suite_can_map())
		CHECK_BYTES((uint8_t *)address + 3, 0x5e, 1);
	CHECK_EQUAL(0x5e, pair_get_byte(i, 3));
}

static void r_map_order(void)
{
	struct pair pair;
	size_t page = suite_page();
	void *address = NULL;

	pair_open_pages(&pair, 2);
	rsm_memseg_import_handle_t r = pair_import(&pair, RSM_PERM_READ, NULL);
	EXPECT(RSMERR_BAD_SEG_HNDL, map(NULL, NULL, 0700, -1, 0));
	EXPECT(RSMERR_BAD_ADDR, map(r, NULL, 0700, -1, 0));
	EXPECT(RSMERR_BAD_PERMS, map(r, &address, 0700, -1, 0));
	EXPECT(RSMERR_BAD_LENGTH, map(r, &address, RSM_PERM_RDWR, -1, 0));
	EXPECT(RSMERR_BAD_OFFSET, map(r, &address, RSM_PERM_RDWR, -1, page));
	EXPECT(RSMERR_BAD_OFFSET, map(r, &address, RSM_PERM_READ, -(off_t)page, page));
	EXPECT(RSMERR_BAD_LENGTH, map(r, &address, RSM_PERM_RDWR, 1, 2 * page));
	EXPECT(RSMERR_BAD_LENGTH, map(r, &address, RSM_PERM_READ, (off_t)(2 * page), 1));
	EXPECT(RSMERR_BAD_MEM_ALIGNMENT, map(r, &address, RSM_PERM_RDWR, 1, page));
	address = (void *)(uintptr_t)1;
	EXPECT(RSMERR_BAD_MEM_ALIGNMENT,
	       rsm_memseg_import_map(r, &address, RSM_MAP_FIXED, RSM_PERM_RDWR, 0, page));
	EXPECT(RSMERR_BAD_PERMS, map(r, &address, RSM_PERM_RDWR, 0, page));
	EXPECT(SUITE_MAP_CODE, map(r, &address, RSM_PERM_READ, 0, page));
	if (suite_can_map()) {
		EXPECT(RSMERR_SEG_ALREADY_MAPPED, map(r, &address, 0700, -1, 0));
		EXPECT(RSMERR_BAD_ADDR, map(r, NULL, 0700, -1, 0));
		MUST(rsm_memseg_import_unmap(r));
	}
	MUST(rsm_memseg_export_unpublish(pair.e));
	EXPECT(RSMERR_BAD_MEM_ALIGNMENT, map(r, &address, RSM_PERM_RDWR, 1, page));
	if (suite_is_tcp()) /* the news are on their way */
		SOON(map(r, &address, RSM_PERM_RDWR, 0, page) == RSMERR_CONN_ABORTED);
	EXPECT(RSMERR_CONN_ABORTED, map(r, &address, RSM_PERM_RDWR, 0, page));
	EXPECT(RSMERR_BAD_SEG_HNDL,
	       map((rsm_memseg_import_handle_t)(void *)pair.e, &address, RSM_PERM_READ, 0, page));
}

static void r_map_fixed_replaces(void)
{
	struct pair pair;
	size_t page = suite_page();
	uint8_t *place = mmap(NULL, 4 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	void *address = place + page;

	CHECK(place != MAP_FAILED);
	memset(place, 0xaa, 4 * page);
	pair_open_pages(&pair, 2);
	memset(pair.memory, 0xbb, pair.length);
	EXPECT(SUITE_MAP_CODE,
	       rsm_memseg_import_map(pair.i, &address, RSM_MAP_FIXED, RSM_PERM_RDWR, 0, pair.length));
	if (!suite_can_map()) { /* a refused map replaces nothing */
		CHECK_BYTES(place, 0xaa, 4 * page);
		return;
	}
	CHECK_BYTES(place, 0xaa, page);
	CHECK_BYTES(place + page, 0xbb, 2 * page);
	CHECK_BYTES(place + 3 * page, 0xaa, page);
	MUST(rsm_memseg_import_unmap(pair.i));
	CHECK_BYTES(place + 3 * page, 0xaa, page);
}

static void r_map_hint_ignored(void)
{
	struct pair pair;
	void *address = (void *)(uintptr_t)0x123; /* uninitialised in many programs */

	pair_open(&pair);
	EXPECT(SUITE_MAP_CODE, map(pair.i, &address, RSM_PERM_RDWR, 0, pair.length));
	if (!suite_can_map()) {
		CHECK(address == (void *)(uintptr_t)0x123); /* untouched, and no reason to refuse otherwise */
		return;
	}
	CHECK(address != (void *)(uintptr_t)0x123 && ((uintptr_t)address & (suite_page() - 1)) == 0);
	MUST(rsm_memseg_import_unmap(pair.i));
	address = pair.memory; /* must not be replaced */
	MUST(rsm_memseg_import_map(pair.i, &address, RSM_MAP_RESERVED, RSM_PERM_RDWR, 0, pair.length));
	CHECK(address != pair.memory);
}

static sigjmp_buf fault_return;

static void fault(int number)
{
	(void)number;
	siglongjmp(fault_return, 1);
}

static bool store_faults(volatile uint8_t *address)
{
	struct sigaction action = {.sa_handler = fault};

	sigaction(SIGSEGV, &action, NULL);
	sigaction(SIGBUS, &action, NULL);
	if (sigsetjmp(fault_return, 1))
		return true;
	*address = 1;
	return false;
}

static bool load_faults(const volatile uint8_t *address)
{
	struct sigaction action = {.sa_handler = fault};

	sigaction(SIGSEGV, &action, NULL);
	if (sigsetjmp(fault_return, 1))
		return true;
	(void)*address;
	return false;
}

static void r_map_read_only(void)
{
	struct pair pair;
	void *address = NULL;

	pair_open(&pair);
	if (!suite_can_map()) {
		EXPECT(RSMERR_MAP_FAILED, map(pair.i, &address, RSM_PERM_READ, 0, pair.length));
		EXPECT(RSMERR_MAP_FAILED, map(pair.i, &address, RSM_PERM_NONE, 0, pair.length));
		return;
	}
	MUST(map(pair.i, &address, RSM_PERM_READ, 0, pair.length)); /* less than the connection's right */
	CHECK(!load_faults(address));
	CHECK(store_faults(address));
	MUST(rsm_memseg_import_unmap(pair.i));
	MUST(map(pair.i, &address, RSM_PERM_NONE, 0, pair.length));
	CHECK(load_faults(address));
	CHECK(store_faults(address));
	CHECK_BYTES(pair.memory, 0, pair.length);
}

static void r_map_read_only_other_user(void)
{
	static const struct peer_user owner = {65534, 65534, (gid_t)-1}, stranger = {1234, 1234, (gid_t)-1};
	struct peer exporter, importer;
	rsm_memseg_id_t id = 0;

	/* The right to read gives no writable map or descriptor by any way that a hostile importer has. */
	peer_start(&exporter, &owner);
	peer_start(&importer, &stranger);
	rsmapi_access_entry_t acl = {pair_node(), 0604};
	MUST(peer_create(&exporter, suite_page()));
	MUST(peer_publish(&exporter, &id, &acl, 1));
	MUST(peer_connect(&importer, 0, acl.ae_node, id, RSM_PERM_READ));
	MUST(peer_simple(&importer, PEER_HOLD, 0, 0));
	EXPECT(SUITE_MAP_CODE, peer_map(&importer, 0, RSM_PERM_READ, suite_page()));
	peer_ask(&importer, &(struct peer_request){.op = PEER_HELD_STORE, .value = 0xcc});
	for (int at = 0; at < 4096; at += 64)
		CHECK_EQUAL(0, peer_load(&exporter, PEER_EXPORT, at));
}

static void r_map_window(void)
{
	struct pair pair;
	void *address = NULL;
	size_t page = suite_page();

	pair_open_pages(&pair, 4);
	for (size_t at = 0; at < 4; at++)
		memset(pair.memory + at * page, (int)(0x10 + at), page);
	EXPECT(SUITE_MAP_CODE,
	       map(pair.i, &address, RSM_PERM_RDWR, (off_t)page, page + 100)); /* no page multiple */
	if (suite_can_map()) {
		CHECK_BYTES(address, 0x11, page);
		CHECK_BYTES((uint8_t *)address + page, 0x12, 100);
	}
	/* get and put reach the whole segment all the same. */
	CHECK_EQUAL(0x10, pair_get_byte(pair.i, 0));
	MUST(pair_put_byte(pair.i, (off_t)(4 * page - 1), 0x44));
	CHECK_BYTES(pair.memory + 4 * page - 1, 0x44, 1);
}

static void r_map_several(void)
{
	enum { COUNT = 20 };
	struct pair pair;
	void *address[COUNT];

	pair_open(&pair);
	for (int at = 0; at < COUNT; at++)
		EXPECT(SUITE_MAP_CODE, map(pair_import(&pair, RSM_PERM_RDWR, NULL), &address[at],
					   RSM_PERM_RDWR, 0, pair.length));
	if (!suite_can_map()) {
		expect_refused(&pair);
		return;
	}
	for (int at = 0; at < COUNT; at++) {
		((volatile uint8_t *)address[at])[at] = (uint8_t)(at + 1);
		CHECK_BYTES(pair.memory + at, at + 1, 1);
		CHECK_BYTES((uint8_t *)address[(at + 1) % COUNT] + at, at + 1, 1);
	}
}

static void r_map_fixed_reserved(void)
{
	struct pair pair;
	void *address, *wanted;

	pair_open(&pair);
	wanted = address = pair_memory(1, 1);
	EXPECT(SUITE_MAP_CODE,
	       rsm_memseg_import_map(pair.i, &address, (rsm_attribute_t)(RSM_MAP_FIXED | RSM_MAP_RESERVED),
				     RSM_PERM_RDWR, 0, pair.length));
	CHECK(address == wanted);
	if (!suite_can_map()) {
		CHECK_BYTES(wanted, 1, pair.length);
		return;
	}
	((volatile uint8_t *)address)[3] = 3;
	CHECK_BYTES(pair.memory + 3, 3, 1);
}

static const struct suite_case cases[] = {
	{"C42", "map without address, of length 0, beyond the segment", c42},
	{"C43", "map at offset 1 -> BAD_MEM_ALIGNMENT; perm 0700 -> BAD_PERMS", c43},
	{"C44", "map with a right that the connection lacks -> BAD_PERMS", c44},
	{"C45", "second map -> SEG_ALREADY_MAPPED; map after a put succeeds", c45},
	{"C46", "map FIXED returns that address; misaligned -> BAD_MEM_ALIGNMENT", c46},
	{"C47", "unmap of an unmapped handle -> SEG_NOT_MAPPED", c47},
	{"C48", "a mapped store is visible to the exporter after close_barrier", c48},
	{"R-map-order", "map: the first matching check decides", r_map_order},
	{"R-map-fixed", "map FIXED replaces what is there and nothing beside it", r_map_fixed_replaces},
	{"R-map-fixed-reserved", "map FIXED together with RESERVED is FIXED", r_map_fixed_reserved},
	{"R-map-hint", "MAP_NONE and MAP_RESERVED ignore the address on input", r_map_hint_ignored},
	{"R-map-read-only", "a read-only map cannot be written, a map without rights not touched",
	 r_map_read_only},
	{"R-map-read-only-user", "a reader of another user gets no writable way in",
	 r_map_read_only_other_user},
	{"R-map-window", "a map of a part; get and put reach the whole segment", r_map_window},
	{"R-map-several", "many handles, a map each, all coherent", r_map_several},
};

SUITE_MAIN(cases)
