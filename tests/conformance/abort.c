/* SPDX-License-Identifier: BSD-2-Clause */
/* C61-C65: forced disconnect, and revocation against importers that do not cooperate. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "pair.h"
#include "peer.h"

static void c61(void)
{
	struct pair pair;

	pair_open(&pair);
	MUST(rsm_memseg_import_open_barrier(&pair.barrier));
	MUST(rsm_memseg_export_unpublish(pair.e));
	EXPECT(RSMERR_CONN_ABORTED, rsm_memseg_import_close_barrier(&pair.barrier));
	MUST(rsm_memseg_import_open_barrier(&pair.barrier)); /* open succeeds on an aborted connection */
	EXPECT(RSMERR_CONN_ABORTED, rsm_memseg_import_order_barrier(&pair.barrier));
	EXPECT(RSMERR_CONN_ABORTED, rsm_memseg_import_close_barrier(&pair.barrier));
}

static void c62(void)
{
	struct pair pair;
	uint64_t word = 1;

	pair_open(&pair);
	MUST(pair_put_byte(pair.i, 0, 1));
	rsm_memseg_import_handle_t fresh = pair_import(&pair, RSM_PERM_RDWR, &(rsmapi_barrier_t){0});
	MUST(rsm_memseg_export_unpublish(pair.e));
	EXPECT(RSMERR_CONN_ABORTED, pair_put_byte(pair.i, 0, 2));
	EXPECT(RSMERR_CONN_ABORTED, rsm_memseg_import_get64(pair.i, 0, &word, 1));
	EXPECT(RSMERR_CONN_ABORTED, pair_put_byte(fresh, 0, 2)); /* never used before */
	EXPECT(RSMERR_CONN_ABORTED, rsm_memseg_import_put(pair.i, 0, &word, 0));
	rsm_memseg_id_t id = 0x400042;
	MUST(rsm_memseg_export_publish(pair.e, &id, NULL, 0));
	EXPECT(RSMERR_CONN_ABORTED, pair_put_byte(pair.i, 0, 2));
	EXPECT(RSMERR_CONN_ABORTED, pair_put_byte(fresh, 0, 2));
	CHECK_BYTES(pair.memory, 1, 1);
}

static void r_result_untouched(void)
{
	struct pair pair;
	uint64_t words[4] = {7, 7, 7, 7};

	pair_open(&pair);
	CHECK_EQUAL(0, pair_get_byte(pair.i, 0)); /* the map exists */
	MUST(rsm_memseg_export_unpublish(pair.e));
	EXPECT(RSMERR_CONN_ABORTED, rsm_memseg_import_get64(pair.i, 0, words, 4));
	EXPECT(RSMERR_CONN_ABORTED, rsm_memseg_import_get(pair.i, 0, words, sizeof(words)));
	for (int at = 0; at < 4; at++)
		CHECK_EQUAL(7, words[at]);
}

static void c62_same_id(void)
{
	struct pair pair, other;
	rsm_memseg_id_t id = 0x400043;

	pair_export(&pair, 1);
	MUST(rsm_memseg_export_publish(pair.e, &id, NULL, 0));
	pair.id = id;
	pair_connect(&pair, RSM_PERM_RDWR);
	MUST(rsm_memseg_export_unpublish(pair.e));
	MUST(rsm_memseg_export_publish(pair.e, &id, NULL, 0));
	EXPECT(RSMERR_CONN_ABORTED, pair_put_byte(pair.i, 0, 2));
	MUST(rsm_memseg_export_unpublish(pair.e));
	pair_export(&other,
		    1); /* another segment under the id neither receives events nor data of the old handle */
	MUST(rsm_memseg_export_publish(other.e, &id, NULL, 0));
	EXPECT(RSMERR_CONN_ABORTED, pair_put_byte(pair.i, 0, 2));
	EXPECT(RSMERR_CONN_ABORTED, rsm_intr_signal_post(pair.i, 0));
	EXPECT(RSMERR_TIMEOUT, rsm_intr_signal_wait(other.e, 0));
	EXPECT(RSMERR_TIMEOUT, rsm_intr_signal_wait(pair.e, 0));
	CHECK_BYTES(other.memory, 0, 1);
	pair.id = id;
	pair_connect(&pair, RSM_PERM_RDWR); /* a new handle works */
	MUST(pair_put_byte(pair.i, 0, 3));
	CHECK_BYTES(other.memory, 3, 1);
}

static void c63(void)
{
	struct pair pair;
	void *address = NULL;

	pair_open(&pair);
	MUST(rsm_memseg_export_unpublish(pair.e));
	if (suite_is_tcp()) /* map sends nothing: the word of it must have come */
		EXPECT(RSMERR_CONN_ABORTED, rsm_intr_signal_wait(pair.i, -1));
	EXPECT(RSMERR_CONN_ABORTED,
	       rsm_memseg_import_map(pair.i, &address, RSM_MAP_NONE, RSM_PERM_RDWR, 0, pair.length));
	CHECK(address == NULL);
}

/* Without a map to observe: get and put are what is left to an old importer, and they move nothing. */
static void c64_without_map(void)
{
	struct pair pair;

	pair_open_pages(&pair, 3);
	memset(pair.memory, 0x11, pair.length);
	uint8_t *bytes = pair_memory(3, 0x22);
	MUST(rsm_memseg_export_unpublish(pair.e));
	EXPECT(RSMERR_CONN_ABORTED, rsm_memseg_import_put(pair.i, 0, bytes, pair.length));
	EXPECT(RSMERR_CONN_ABORTED, rsm_memseg_import_get(pair.i, 0, bytes, pair.length));
	CHECK_BYTES(pair.memory, 0x11, pair.length);
	CHECK_BYTES(bytes, 0x22, pair.length);
	EXPECT(RSMERR_SEG_NOT_MAPPED, rsm_memseg_import_unmap(pair.i));
	MUST(rsm_memseg_import_disconnect(pair.i));
	CHECK_BYTES(pair.memory, 0x11, pair.length);
}

static void c64(void)
{
	struct pair pair;
	void *address = NULL;

	if (!suite_can_map()) {
		c64_without_map();
		return;
	}
	pair_open_pages(&pair, 3);
	memset(pair.memory, 0x11, pair.length);
	MUST(rsm_memseg_import_map(pair.i, &address, RSM_MAP_NONE, RSM_PERM_RDWR, 0, pair.length));
	volatile uint8_t *window = address;
	CHECK_BYTES(window, 0x11, pair.length);
	MUST(rsm_memseg_export_unpublish(pair.e));
	for (size_t at = 0; at < pair.length; at++) {
		(void)window[at];
		window[at] = 0x22;
	}
	CHECK_BYTES(pair.memory, 0x11, pair.length);
	memset(pair.memory, 0x33, pair.length); /* what the exporter writes later stays its own */
	for (size_t at = 0; at < pair.length; at++)
		CHECK(window[at] != 0x33);
	EXPECT(RSMERR_SEG_ALREADY_MAPPED,
	       rsm_memseg_import_map(pair.i, &address, RSM_MAP_NONE, RSM_PERM_RDWR, 0, pair.length));
	EXPECT(RSMERR_SEG_STILL_MAPPED, rsm_memseg_import_disconnect(pair.i));
	MUST(rsm_memseg_import_unmap(pair.i));
	EXPECT(RSMERR_SEG_NOT_MAPPED, rsm_memseg_import_unmap(pair.i));
	MUST(rsm_memseg_import_disconnect(pair.i));
	CHECK_BYTES(pair.memory, 0x33, pair.length);
}

static bool is_aborted(rsmapi_barrier_t *barrier)
{
	MUST(rsm_memseg_import_open_barrier(barrier));
	return rsm_memseg_import_close_barrier(barrier) == RSMERR_CONN_ABORTED;
}

static void c65(void)
{
	struct peer exporter, successor;
	struct pair pair = {.length = 3 * suite_page()};
	void *address = NULL;
	rsm_memseg_id_t id = 0x400065;

	peer_start(&exporter, NULL);
	peer_start(&successor, NULL);
	pair.id = peer_export(&exporter, pair.length, id);
	pair.controller = pair_controller(suite_controller());
	pair.node = pair_node();
	pair_connect(&pair, RSM_PERM_RDWR);
	EXPECT(SUITE_MAP_CODE,
	       rsm_memseg_import_map(pair.i, &address, RSM_MAP_NONE, RSM_PERM_RDWR, 0, pair.length));
	volatile uint8_t *window = address;
	MUST(rsm_memseg_import_open_barrier(&pair.barrier));
	if (window)
		window[1] = 1;
	peer_kill(&exporter);
	SOON(rsm_memseg_import_order_barrier(&pair.barrier) == RSMERR_CONN_ABORTED);
	EXPECT(RSMERR_CONN_ABORTED, rsm_memseg_import_close_barrier(&pair.barrier));
	CHECK(is_aborted(&pair.barrier));
	EXPECT(RSMERR_CONN_ABORTED, pair_put_byte(pair.i, 0, 1));
	for (size_t at = 0; window && at < pair.length; at++)
		window[at] = (uint8_t)(window[at] + 1);
	MUST(peer_create(&successor, pair.length));
	MUST(peer_publish(&successor, &id, NULL, 0));
	CHECK_EQUAL(0, peer_load(&successor, PEER_EXPORT, 1));
	EXPECT(window ? RSM_SUCCESS : RSMERR_SEG_NOT_MAPPED, rsm_memseg_import_unmap(pair.i));
	MUST(rsm_memseg_import_disconnect(pair.i));
}

static void r_exec(void)
{
	struct peer exporter;
	struct pair pair = {.length = suite_page()};

	peer_start(&exporter, NULL);
	pair.id = peer_export(&exporter, pair.length, 0);
	pair.controller = pair_controller(suite_controller());
	pair.node = pair_node();
	pair_connect(&pair, RSM_PERM_RDWR);
	peer_begin(&exporter, &(struct peer_request){.op = PEER_EXEC});
	SOON(is_aborted(&pair.barrier)); /* the process lives on as another program */
	rsm_memseg_import_handle_t i;
	EXPECT(RSMERR_SEG_NOT_PUBLISHED,
	       rsm_memseg_import_connect(pair.controller, pair.node, pair.id, RSM_PERM_RDWR, &i));
	peer_stop(&exporter);
}

static void r_all_importers(void)
{
	enum { COUNT = 3 };
	struct peer peers[COUNT];
	struct pair pair;

	for (int at = 0; at < COUNT; at++)
		peer_start(&peers[at], NULL);
	pair_open(&pair);
	for (int at = 0; at < COUNT; at++) {
		for (unsigned handle = 0; handle < 2; handle++) {
			MUST(peer_connect(&peers[at], handle, pair.node, pair.id, RSM_PERM_RDWR));
			MUST(peer_simple(&peers[at], PEER_INIT, handle, 0));
			MUST(peer_put(&peers[at], handle, 0, at));
		}
		EXPECT(SUITE_MAP_CODE, peer_map(&peers[at], 0, RSM_PERM_RDWR, pair.length));
	}
	MUST(rsm_memseg_export_unpublish(pair.e));
	for (int at = 0; at < COUNT; at++) { /* all of it is so when unpublish returns */
		EXPECT(RSMERR_CONN_ABORTED, peer_put(&peers[at], 0, 0, 0x99));
		EXPECT(RSMERR_CONN_ABORTED, peer_put(&peers[at], 1, 0, 0x99));
		EXPECT(RSMERR_CONN_ABORTED, peer_simple(&peers[at], PEER_POST, 0, 0));
		if (suite_can_map()) {
			peer_store(&peers[at], 0, 0, 0x99);
			MUST(peer_simple(&peers[at], PEER_UNMAP, 0, 0));
		}
		MUST(peer_simple(&peers[at], PEER_DISCONNECT, 0, 0));
		peer_stop(&peers[at]);
	}
	CHECK_BYTES(pair.memory, COUNT - 1, 1);
}

static int64_t held_store(struct peer *peer, int value)
{
	return peer_ask(peer, &(struct peer_request){.op = PEER_HELD_STORE, .value = value}).value;
}

/* What an importer keeps reaches the memory, or this case shows nothing; through the network it never does. */
static void expect_reach(struct peer *peer, const struct pair *pair, int value)
{
	memset(pair->memory, 0x0e, pair->length);
	int64_t written = held_store(peer, value);
	CHECK(suite_is_tcp() || written >= (int64_t)(pair->length / 64));
	CHECK_BYTES(pair->memory, suite_is_tcp() ? 0x0e : value, 1);
}

/* A hostile importer has second maps of everything, and of all descriptors it ever held. */
static void hostile(bool destroy, size_t pages)
{
	struct peer peer;
	struct pair pair;
	rsmapi_barrier_t barrier;
	size_t page = suite_page();

	peer_start(&peer, NULL);
	pair_export(&pair, pages);
	pair_publish(&pair);
	MUST(peer_connect(&peer, 0, pair.node, pair.id, RSM_PERM_RDWR));
	MUST(peer_simple(&peer, PEER_HOLD, 0, 0)); /* before the library closes a descriptor */
	EXPECT(SUITE_MAP_CODE, peer_map(&peer, 0, RSM_PERM_RDWR, pair.length));
	MUST(peer_simple(&peer, PEER_HOLD, 0, 0));
	expect_reach(&peer, &pair, 0x0f);
	memset(pair.memory, 0x11, pair.length);
	MUST(destroy ? rsm_memseg_export_destroy(pair.e) : rsm_memseg_export_unpublish(pair.e));
	held_store(&peer, 0x66);
	CHECK_BYTES(pair.memory, 0x11, pair.length);
	memset(pair.memory, 0x12, pair.length);
	if (!destroy) {
		pair_publish(&pair);
		rsm_memseg_import_handle_t i = pair_import(&pair, RSM_PERM_RDWR, &barrier);
		held_store(&peer, 0x67);
		CHECK_EQUAL(0x12, pair_get_byte(i, (off_t)(pages / 2 * page)));
		MUST(pair_put_byte(i, 1, 0x13));
		CHECK_BYTES(pair.memory + 1, 0x13, 1);
		MUST(rsm_intr_signal_post(i, 0)); /* the spoilt signal memory is not used any more */
		MUST(rsm_intr_signal_wait(pair.e, 1000));
		EXPECT(RSMERR_TIMEOUT, rsm_intr_signal_wait(pair.e, 0));
		MUST(rsm_memseg_export_destroy(pair.e));
		held_store(&peer, 0x68);
		CHECK_BYTES(pair.memory + 2, 0x12, pair.length - 2);
	}
}

static void r_hostile_unpublish(void)
{
	hostile(false, 3);
}

static void r_hostile_destroy(void)
{
	hostile(true, 3);
}

static void r_hostile_large(void)
{
	hostile(false, 2100); /* more than two chunks of the move */
}

static void r_hostile_gone(void)
{
	struct peer peer;
	struct pair pair;

	/* It disconnected properly before unpublish, and still keeps its maps. */
	peer_start(&peer, NULL);
	pair_export(&pair, 2);
	pair_publish(&pair);
	MUST(peer_connect(&peer, 0, pair.node, pair.id, RSM_PERM_RDWR));
	EXPECT(SUITE_MAP_CODE, peer_map(&peer, 0, RSM_PERM_RDWR, pair.length));
	MUST(peer_simple(&peer, PEER_HOLD, 0, 0));
	if (suite_can_map())
		MUST(peer_simple(&peer, PEER_UNMAP, 0, 0));
	MUST(peer_simple(&peer, PEER_DISCONNECT, 0, 0));
	expect_reach(&peer, &pair, 0x31);
	MUST(rsm_memseg_export_unpublish(pair.e));
	memset(pair.memory, 0x32, pair.length);
	CHECK(held_store(&peer, 0x33) > 0 || suite_is_tcp());
	CHECK_BYTES(pair.memory, 0x32, pair.length);
}

static void r_importer_error(void)
{
	struct peer peer;
	struct pair pair;

	peer_start(&peer, NULL);
	pair_open(&pair);
	MUST(peer_connect(&peer, 0, pair.node, pair.id, RSM_PERM_RDWR));
	peer_kill(&peer); /* one importer's death is nobody else's abort */
	MUST(pair_put_byte(pair.i, 0, 1));
	CHECK(!is_aborted(&pair.barrier));
	CHECK_BYTES(pair.memory, 1, 1);
}

static const struct suite_case cases[] = {
	{"C61", "unpublish inside a barrier: close -> CONN_ABORTED", c61},
	{"C62", "put after unpublish -> CONN_ABORTED, for ever", c62},
	{"R-abort-result", "get on an aborted connection leaves the result alone", r_result_untouched},
	{"R-abort-same-id", "and also when the same id is published again, by the same or another segment",
	 c62_same_id},
	{"C63", "map after unpublish -> CONN_ABORTED", c63},
	{"C64", "an old map neither faults nor reaches the exporter's memory", c64},
	{"C65", "exporter killed: C61 and C64 in bounded time, its id is free", c65},
	{"R-exec", "exec of the exporter aborts its importers", r_exec},
	{"R-all-importers", "all importers are aborted when unpublish returns", r_all_importers},
	{"R-hostile-unpublish", "an importer with maps of its own is shut out by unpublish",
	 r_hostile_unpublish},
	{"R-hostile-destroy", "an importer with maps of its own is shut out by destroy", r_hostile_destroy},
	{"R-hostile-large", "the same over several chunks", r_hostile_large},
	{"R-hostile-gone", "an importer that disconnected and kept a map is shut out by unpublish",
	 r_hostile_gone},
	{"R-importer-death", "one importer's death aborts nobody else", r_importer_error},
};

SUITE_MAIN(cases)
