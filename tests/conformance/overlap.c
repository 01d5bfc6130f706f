/* SPDX-License-Identifier: BSD-2-Clause */
/* The same memory behind several exports: wholly, partly, and one of them withdrawn. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <unistd.h>

#include "pair.h"
#include "peer.h"

struct view {
	rsm_memseg_export_handle_t e;
	rsm_memseg_id_t id;
	rsm_memseg_import_handle_t i;
	rsmapi_barrier_t barrier;
	volatile uint8_t *map;
	size_t length;
};

static void view_open(struct view *view, const struct pair *base, size_t first, size_t pages, bool mapped)
{
	struct pair pair = {.controller = base->controller, .node = base->node};
	void *address = NULL;

	memset(view, 0, sizeof(*view));
	view->length = pages * suite_page();
	MUST(rsm_memseg_export_create(base->controller, &view->e, base->memory + first * suite_page(),
				      view->length, RSM_ALLOW_REBIND));
	MUST(rsm_memseg_export_publish(view->e, &view->id, NULL, 0));
	pair.id = view->id;
	view->i = pair_import(&pair, RSM_PERM_RDWR, &view->barrier);
	if (mapped) {
		EXPECT(SUITE_MAP_CODE, rsm_memseg_import_map(view->i, &address, RSM_MAP_NONE, RSM_PERM_RDWR,
							     0, view->length));
		view->map = address;
	}
}

/* Through the map, or without maps by put and get. */
static void view_store(struct view *view, size_t offset, int value)
{
	if (view->map)
		view->map[offset] = (uint8_t)value;
	else
		MUST(pair_put_byte(view->i, (off_t)offset, value));
}

static int view_look(struct view *view, size_t offset)
{
	return view->map ? view->map[offset] : pair_get_byte(view->i, (off_t)offset);
}

/* The same inside a span: what a correct program sees, whatever moved behind the map before. */
static int view_load(struct view *view, size_t offset)
{
	MUST(rsm_memseg_import_open_barrier(&view->barrier));
	int value = view_look(view, offset);
	MUST(rsm_memseg_import_close_barrier(&view->barrier));
	return value;
}

static void base_open(struct pair *base, size_t pages)
{
	memset(base, 0, sizeof(*base));
	base->controller = pair_controller(suite_controller());
	base->node = pair_node();
	base->length = pages * suite_page();
	base->memory = pair_memory(pages, 0);
}

static void withdraw_one(bool destroy)
{
	struct pair base;
	struct view one, two;

	base_open(&base, 3);
	view_open(&one, &base, 0, 3, true);
	view_open(&two, &base, 0, 3, true);
	view_store(&one, 5, 1);
	CHECK_EQUAL(1, view_look(&two, 5));
	MUST(destroy ? rsm_memseg_export_destroy(one.e) : rsm_memseg_export_unpublish(one.e));
	EXPECT(RSMERR_CONN_ABORTED, pair_put_byte(one.i, 6, 0xff));
	if (one.map)
		one.map[6] = 0xff;
	CHECK_BYTES(base.memory + 6, 0, 1);
	MUST(pair_put_byte(two.i, 7, 7)); /* the other one: by put and get ... */
	CHECK_BYTES(base.memory + 7, 7, 1);
	base.memory[8] = 8;
	CHECK_EQUAL(8, pair_get_byte(two.i, 8));
	view_store(&two, 9, 9); /* ... and by its map, after a library call */
	CHECK_BYTES(base.memory + 9, 9, 1);
	base.memory[10] = 10;
	CHECK_EQUAL(10, view_look(&two, 10));
	MUST(rsm_memseg_import_open_barrier(&two.barrier));
	view_store(&two, 11, 11);
	MUST(rsm_memseg_import_close_barrier(&two.barrier));
	CHECK_BYTES(base.memory + 11, 11, 1);
	MUST(rsm_memseg_export_destroy(two.e));
	EXPECT(RSMERR_CONN_ABORTED, pair_put_byte(two.i, 7, 0xff));
	CHECK_BYTES(base.memory + 7, 7, 1);
}

static void r_identical_unpublish(void)
{
	withdraw_one(false);
}

static void r_identical_destroy(void)
{
	withdraw_one(true);
}

static void r_span_over_withdrawal(void)
{
	struct pair base;
	struct view one, two;

	/* A span of the second that was open while the first one was withdrawn: an error, or all of it arrived. */
	base_open(&base, 2);
	view_open(&one, &base, 0, 2, true);
	view_open(&two, &base, 0, 2, true);
	MUST(rsm_memseg_import_open_barrier(&two.barrier));
	view_store(&two, 1, 1);
	MUST(rsm_memseg_export_unpublish(one.e));
	view_store(&two, 2, 2);
	int code = rsm_memseg_import_close_barrier(&two.barrier);
	if (code == RSM_SUCCESS) {
		CHECK_BYTES(base.memory + 1, 1, 1);
		CHECK_BYTES(base.memory + 2, 2, 1);
	} else {
		EXPECT(RSMERR_BARRIER_FAILURE, code);
	}
	MUST(rsm_memseg_import_open_barrier(&two.barrier)); /* redone, it arrives */
	view_store(&two, 1, 0x31);
	view_store(&two, 2, 0x32);
	MUST(rsm_memseg_import_close_barrier(&two.barrier));
	CHECK_BYTES(base.memory + 1, 0x31, 1);
	CHECK_BYTES(base.memory + 2, 0x32, 1);
}

/* `memory`: eight zeroed pages, or NULL for private ones. */
static void partial(uint8_t *memory)
{
	struct pair base;
	struct view views[4];
	size_t page = suite_page();

	base_open(&base, 8);
	if (memory) {
		free(base.memory);
		base.memory = memory;
	}
	view_open(&views[0], &base, 0, 4, true);
	view_open(&views[1], &base, 2, 4, true); /* overlaps the first */
	view_open(&views[2], &base, 3, 1, true); /* inside both */
	view_open(&views[3], &base, 0, 8, true); /* around all */
	base.memory[3 * page + 1] = 0x31;
	CHECK_EQUAL(0x31, view_load(&views[0], 3 * page + 1));
	CHECK_EQUAL(0x31, view_load(&views[1], page + 1));
	CHECK_EQUAL(0x31, view_load(&views[2], 1));
	CHECK_EQUAL(0x31, view_load(&views[3], 3 * page + 1));
	MUST(pair_put_byte(views[2].i, 2, 0x32));
	CHECK_EQUAL(0x32, pair_get_byte(views[0].i, (off_t)(3 * page + 2)));
	EXPECT(RSMERR_BAD_OFFSET, pair_put_byte(views[2].i, (off_t)page, 1));
	MUST(rsm_memseg_export_unpublish(views[0].e));
	EXPECT(RSMERR_CONN_ABORTED, pair_put_byte(views[0].i, 0, 1));
	MUST(pair_put_byte(views[1].i, (off_t)(page + 3), 0x33));
	CHECK_EQUAL(0x33, pair_get_byte(views[2].i, 3));
	CHECK_EQUAL(0x33, pair_get_byte(views[3].i, (off_t)(3 * page + 3)));
	CHECK_BYTES(base.memory + 3 * page + 3, 0x33, 1);
	CHECK_EQUAL(0x33, view_load(&views[2], 3));
	MUST(rsm_memseg_export_destroy(views[3].e));
	MUST(rsm_memseg_export_destroy(views[0].e));
	MUST(pair_put_byte(views[1].i, 4, 0x34));
	CHECK_BYTES(base.memory + 2 * page + 4, 0x34, 1);
	MUST(rsm_memseg_export_destroy(views[1].e));
	MUST(pair_put_byte(views[2].i, 5, 0x35));
	CHECK_BYTES(base.memory + 3 * page + 5, 0x35, 1);
	MUST(rsm_memseg_export_destroy(views[2].e));
	CHECK_BYTES(base.memory + 3 * page + 1, 0x31, 1);
	CHECK_BYTES(base.memory + 3 * page + 5, 0x35, 1);
	if (!memory)
		free(base.memory);
}

static void r_partial(void)
{
	partial(NULL);
}

/* Memory that is exported in place is cut without moving: whoever else shares it goes on sharing it. */
static void r_partial_shared(void)
{
	size_t length = 8 * suite_page();
	int id = shmget(IPC_PRIVATE, length, IPC_CREAT | 0600), fd = memfd_create("overlap", MFD_CLOEXEC);
	CHECK(id >= 0 && fd >= 0 && ftruncate(fd, (off_t)length) == 0);
	uint8_t *attached = shmat(id, NULL, 0), *other = shmat(id, NULL, 0);
	CHECK(attached != (void *)-1 && other != (void *)-1 && shmctl(id, IPC_RMID, NULL) == 0);
	partial(attached);
	CHECK_BYTES(other + 3 * suite_page() + 5, 0x35, 1);
	uint8_t *mapped = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), value = 0;
	CHECK(mapped != MAP_FAILED);
	partial(mapped);
	CHECK(pread(fd, &value, 1, (off_t)(3 * suite_page() + 5)) == 1);
	CHECK_EQUAL(0x35, value);
}

static void r_inside_hostile(void)
{
	struct peer peer;
	struct pair base;
	struct view all, part;
	size_t page = suite_page();

	/* An importer of one page gets no descriptor or map that reaches beyond it. */
	peer_start(&peer, NULL);
	base_open(&base, 4);
	view_open(&all, &base, 0, 4, false);
	view_open(&part, &base, 1, 1, false);
	MUST(peer_connect(&peer, 0, base.node, part.id, RSM_PERM_RDWR));
	MUST(peer_simple(&peer, PEER_HOLD, 0, 0));
	EXPECT(SUITE_MAP_CODE, peer_map(&peer, 0, RSM_PERM_RDWR, page));
	MUST(peer_simple(&peer, PEER_HOLD, 0, 0));
	peer_ask(&peer, &(struct peer_request){.op = PEER_HELD_STORE, .value = 0x44});
	CHECK_BYTES(base.memory, 0, page);
	CHECK_BYTES(base.memory + page, suite_can_map() ? 0x44 : 0, 1);
	CHECK_BYTES(base.memory + 2 * page, 0, 2 * page);
}

static void r_same_twice_rebind(void)
{
	struct pair base;
	struct view one, two;
	uint8_t *other = pair_memory(2, 0x77);

	/* Rebinding one of two exports leaves the other one with the old memory. */
	base_open(&base, 2);
	view_open(&one, &base, 0, 2, false);
	view_open(&two, &base, 0, 2, false);
	MUST(rsm_memseg_export_rebind(one.e, other, 0, one.length));
	CHECK_EQUAL(0x77, pair_get_byte(one.i, 3));
	CHECK_EQUAL(0, pair_get_byte(two.i, 3));
	MUST(pair_put_byte(two.i, 3, 3));
	MUST(pair_put_byte(one.i, 3, 4));
	CHECK_BYTES(base.memory + 3, 3, 1);
	CHECK_BYTES(other + 3, 4, 1);
	MUST(rsm_memseg_export_rebind(one.e, base.memory, 0, one.length)); /* onto memory that is exported */
	CHECK_EQUAL(3, pair_get_byte(one.i, 3));
	MUST(pair_put_byte(one.i, 5, 5));
	CHECK_EQUAL(5, pair_get_byte(two.i, 5));
}

static void r_many(void)
{
	enum { COUNT = 16 };
	struct pair base;
	struct view views[COUNT];

	base_open(&base, 1);
	for (int at = 0; at < COUNT; at++)
		view_open(&views[at], &base, 0, 1, at & 1);
	for (int at = 0; at < COUNT; at++) {
		MUST(pair_put_byte(views[at].i, at, at + 1));
		for (int other = at; other < COUNT; other++)
			CHECK_EQUAL(at + 1, pair_get_byte(views[other].i, at));
		MUST(rsm_memseg_export_destroy(views[at].e));
	}
	for (int at = 0; at < COUNT; at++)
		CHECK_BYTES(base.memory + at, at + 1, 1);
}

/* What two threads do to `target` while another export over the same memory comes and goes. */
static struct moving {
	struct pair base;
	struct view target;
	_Atomic unsigned long puts, gets;
	_Atomic bool stop;
} moving;

static void *put_and_look(void *argument)
{
	size_t pages = moving.base.length / suite_page();

	(void)argument;
	for (uint64_t round = 1; !atomic_load(&moving.stop); round++) {
		size_t at = (round * 7) % pages * suite_page() + 64;
		MUST(rsm_memseg_import_put64(moving.target.i, (off_t)at, &round, 1));
		CHECK_EQUAL(round, *(volatile uint64_t *)(void *)(moving.base.memory + at));
		atomic_fetch_add(&moving.puts, 1);
	}
	return NULL;
}

static void *get_constant(void *argument)
{
	size_t pages = moving.base.length / suite_page();
	uint8_t bytes[64];

	(void)argument;
	for (size_t round = 1; !atomic_load(&moving.stop); round++) {
		MUST(rsm_memseg_import_get(moving.target.i, (off_t)(round * 7 % pages * suite_page()), bytes,
					   sizeof(bytes)));
		CHECK_BYTES(bytes, 0x5a, sizeof(bytes));
		atomic_fetch_add(&moving.gets, 1);
	}
	return NULL;
}

static void r_moving(void)
{
	pthread_t putter, getter;
	struct view other;

	/* The memory moves because of the other one. Success of a put or get is the truth all the while. */
	base_open(&moving.base, 2048);
	memset(moving.base.memory, 0x5a, moving.base.length);
	view_open(&moving.target, &moving.base, 0, 2048, false);
	view_open(&other, &moving.base, 0, 2048, false);
	CHECK(pthread_create(&putter, NULL, put_and_look, NULL) == 0);
	CHECK(pthread_create(&getter, NULL, get_constant, NULL) == 0);
	for (int round = 0; round < 6; round++) {
		unsigned long puts = atomic_load(&moving.puts), gets = atomic_load(&moving.gets);
		SOON(atomic_load(&moving.puts) > puts && atomic_load(&moving.gets) > gets);
		MUST(rsm_memseg_export_unpublish(other.e)); /* its importer holds the pages: they move */
		MUST(rsm_memseg_import_disconnect(other.i));
		MUST(rsm_memseg_export_destroy(other.e));
		view_open(&other, &moving.base, 0, 2048, false);
	}
	atomic_store(&moving.stop, true);
	CHECK(pthread_join(putter, NULL) == 0 && pthread_join(getter, NULL) == 0);
}

static void r_cuts(void)
{
	enum { SMALL = 20, PAGES = 4 * SMALL };
	static uint8_t copy[PAGES * 65536];
	struct pair base;
	struct view all;
	rsm_memseg_export_handle_t e;
	size_t page = suite_page();
	int refused = 0;

	/* Each small one cuts the large one's memory; one cut too many is refused, and the large one lives on. */
	base_open(&base, PAGES);
	memset(base.memory, 0x5a, base.length);
	view_open(&all, &base, 0, PAGES, false);
	for (size_t at = 0; at < SMALL; at++) {
		int code = rsm_memseg_export_create(base.controller, &e, base.memory + (4 * at + 1) * page,
						    page, 0);
		if (code != RSM_SUCCESS) {
			EXPECT(RSMERR_INSUFFICIENT_RESOURCES, code);
			CHECK(e == NULL);
			refused++;
		}
		MUST(rsm_memseg_import_get(all.i, 0, copy, base.length));
		CHECK_BYTES(copy, 0x5a, base.length);
		MUST(pair_put_byte(all.i, (off_t)base.length - 1, (int)at));
		CHECK_BYTES(base.memory + base.length - 1, (int)at, 1);
		base.memory[base.length - 1] = 0x5a;
	}
	CHECK(refused > 0 && refused < SMALL);
}

static void r_rebound_map(void)
{
	struct pair base;
	struct view one;
	struct pair two;
	uint8_t *other = pair_memory(1, 0x77);

	/* A map from before the rebind must not keep the old memory, which is still exported by another. */
	base_open(&base, 1);
	base.memory[0] = 0x5a;
	view_open(&one, &base, 0, 1, true);
	two = base;
	MUST(rsm_memseg_export_create(two.controller, &two.e, two.memory, two.length, 0));
	MUST(rsm_memseg_export_rebind(one.e, other, 0, one.length));
	MUST(rsm_memseg_export_unpublish(one.e));
	MUST(rsm_memseg_export_destroy(one.e));
	pair_publish(&two);
	MUST(rsm_memseg_export_unpublish(two.e));
	if (one.map)
		one.map[0] = 0x11;
	else
		EXPECT(RSMERR_CONN_ABORTED, pair_put_byte(one.i, 0, 0x11));
	CHECK_BYTES(base.memory, 0x5a, 1);
	CHECK_BYTES(other, 0x77, 1);
}

static const struct suite_case cases[] = {
	{"R-identical-unpublish", "one of two exports of a range unpublished, the other goes on",
	 r_identical_unpublish},
	{"R-identical-destroy", "one of two exports of a range destroyed, the other goes on",
	 r_identical_destroy},
	{"R-identical-span", "a span of the other one over the withdrawal", r_span_over_withdrawal},
	{"R-partial", "partly overlapping exports", r_partial},
	{"R-partial-shared", "partly overlapping exports of System V memory and a memfd", r_partial_shared},
	{"R-partial-hostile", "an importer of a part cannot reach beyond it", r_inside_hostile},
	{"R-identical-rebind", "rebind away from and onto exported memory", r_same_twice_rebind},
	{"R-identical-many", "sixteen exports of one page", r_many},
	{"R-identical-moving", "puts and gets while another export of the range comes and goes", r_moving},
	{"R-identical-map", "a map from before a rebind does not keep memory of another export",
	 r_rebound_map},
	{"R-partial-cuts", "a cut too many is refused and harms nobody", r_cuts},
};

SUITE_MAIN(cases)
