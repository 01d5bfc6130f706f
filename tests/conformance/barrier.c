/* SPDX-License-Identifier: BSD-2-Clause */
/* C56-C60: barriers and their modes. */
#include <string.h>

#include "pair.h"

static void c56(void)
{
	struct pair pair;
	rsmapi_barrier_t barrier;

	pair_open(&pair);
	EXPECT(RSMERR_BAD_SEG_HNDL, rsm_memseg_import_init_barrier(NULL, RSM_BAR_DEFAULT, &barrier));
	EXPECT(RSMERR_BAD_BARRIER_PTR, rsm_memseg_import_init_barrier(pair.i, RSM_BAR_DEFAULT, NULL));
	EXPECT(RSMERR_BAD_SEG_HNDL, rsm_memseg_import_init_barrier(NULL, RSM_BAR_DEFAULT, NULL));
	EXPECT(RSMERR_BAD_SEG_HNDL, rsm_memseg_import_init_barrier((rsm_memseg_import_handle_t)(void *)pair.e,
								   RSM_BAR_DEFAULT, &barrier));
}

static void c57(void)
{
	rsmapi_barrier_t barrier;

	memset(&barrier, 0, sizeof(barrier));
	EXPECT(RSMERR_BARRIER_UNINITIALIZED, rsm_memseg_import_open_barrier(&barrier));
	EXPECT(RSMERR_BARRIER_UNINITIALIZED, rsm_memseg_import_order_barrier(&barrier));
	EXPECT(RSMERR_BARRIER_UNINITIALIZED, rsm_memseg_import_close_barrier(&barrier));
	EXPECT(RSMERR_BARRIER_UNINITIALIZED, rsm_memseg_import_destroy_barrier(&barrier));
	EXPECT(RSMERR_BAD_BARRIER_PTR, rsm_memseg_import_open_barrier(NULL));
	EXPECT(RSMERR_BAD_BARRIER_PTR, rsm_memseg_import_order_barrier(NULL));
	EXPECT(RSMERR_BAD_BARRIER_PTR, rsm_memseg_import_close_barrier(NULL));
	EXPECT(RSMERR_BAD_BARRIER_PTR, rsm_memseg_import_destroy_barrier(NULL));
}

static void c58(void)
{
	struct pair pair;

	pair_open(&pair);
	EXPECT(RSMERR_BARRIER_NOT_OPENED, rsm_memseg_import_close_barrier(&pair.barrier));
	EXPECT(RSMERR_BARRIER_NOT_OPENED, rsm_memseg_import_order_barrier(&pair.barrier));
	MUST(rsm_memseg_import_open_barrier(&pair.barrier));
	MUST(rsm_memseg_import_close_barrier(&pair.barrier));
	EXPECT(RSMERR_BARRIER_NOT_OPENED, rsm_memseg_import_close_barrier(&pair.barrier));
	MUST(rsm_memseg_export_unpublish(pair.e));
	EXPECT(RSMERR_BARRIER_NOT_OPENED, rsm_memseg_import_close_barrier(&pair.barrier));
}

static void c59(void)
{
	struct pair pair;

	pair_open(&pair);
	MUST(rsm_memseg_import_open_barrier(&pair.barrier));
	MUST(rsm_memseg_import_order_barrier(&pair.barrier));
	MUST(rsm_memseg_import_order_barrier(&pair.barrier));
	MUST(rsm_memseg_import_close_barrier(&pair.barrier));
}

static void c60(void)
{
	struct pair pair;
	rsm_barrier_mode_t mode;

	pair_open(&pair);
	EXPECT(RSMERR_BAD_MODE, rsm_memseg_import_set_mode(pair.i, (rsm_barrier_mode_t)7));
	EXPECT(RSMERR_BAD_SEG_HNDL, rsm_memseg_import_set_mode(NULL, (rsm_barrier_mode_t)7));
	MUST(rsm_memseg_import_get_mode(pair.i, &mode));
	CHECK_EQUAL(RSM_BARRIER_MODE_IMPLICIT, mode);
	MUST(rsm_memseg_import_set_mode(pair.i, RSM_BARRIER_MODE_EXPLICIT));
	MUST(rsm_memseg_import_get_mode(pair.i, &mode));
	CHECK_EQUAL(RSM_BARRIER_MODE_EXPLICIT, mode);
	MUST(rsm_memseg_import_set_mode(pair.i, RSM_BARRIER_MODE_IMPLICIT));
}

static void r_get_mode(void)
{
	struct pair pair;
	rsm_barrier_mode_t mode;

	pair_open(&pair);
	EXPECT(RSMERR_BAD_ADDR, rsm_memseg_import_get_mode(pair.i, NULL));
	EXPECT(RSMERR_BAD_SEG_HNDL, rsm_memseg_import_get_mode(NULL, NULL));
	EXPECT(RSMERR_BAD_SEG_HNDL,
	       rsm_memseg_import_get_mode((rsm_memseg_import_handle_t)(void *)pair.e, &mode));
}

static void r_types(void)
{
	static const int types[] = {RSM_BARRIER_SEGMENT,
				    RSM_BARRIER_NODE,
				    RSM_BARRIER_SEGMENT_THREAD,
				    RSM_BARRIER_NODE_THREAD,
				    0,
				    0x7777};
	struct pair pair;
	rsmapi_barrier_t barrier;

	CHECK_EQUAL(RSM_BARRIER_SEGMENT, RSM_BAR_DEFAULT);
	pair_open(&pair);
	for (size_t at = 0; at < sizeof(types) / sizeof(types[0]); at++) {
		memset(&barrier, 0xff, sizeof(barrier)); /* need not be zeroed */
		MUST(rsm_memseg_import_init_barrier(pair.i, (rsm_barrier_type_t)types[at], &barrier));
		MUST(rsm_memseg_import_open_barrier(&barrier));
		MUST(rsm_memseg_import_close_barrier(&barrier));
		MUST(rsm_memseg_import_destroy_barrier(&barrier));
	}
}

static void r_reopen(void)
{
	struct pair pair;

	pair_open(&pair);
	MUST(rsm_memseg_import_open_barrier(&pair.barrier));
	MUST(rsm_memseg_import_open_barrier(&pair.barrier)); /* restarts the span; no nesting */
	MUST(rsm_memseg_import_close_barrier(&pair.barrier));
	EXPECT(RSMERR_BARRIER_NOT_OPENED, rsm_memseg_import_close_barrier(&pair.barrier));
}

static void r_several_barriers(void)
{
	struct pair pair;
	rsmapi_barrier_t second;

	pair_open(&pair);
	MUST(rsm_memseg_import_init_barrier(pair.i, RSM_BAR_DEFAULT, &second));
	MUST(rsm_memseg_import_open_barrier(&pair.barrier));
	MUST(rsm_memseg_import_open_barrier(&second));
	MUST(rsm_memseg_import_close_barrier(&pair.barrier));
	MUST(rsm_memseg_import_order_barrier(&second));
	MUST(rsm_memseg_import_close_barrier(&second));
	/* Implicit mode needs one barrier; destroying the other one changes nothing. */
	MUST(rsm_memseg_import_destroy_barrier(&second));
	MUST(pair_put_byte(pair.i, 0, 1));
	MUST(rsm_memseg_import_destroy_barrier(&pair.barrier));
	EXPECT(RSMERR_BARRIER_UNINITIALIZED, pair_put_byte(pair.i, 0, 2));
	MUST(rsm_memseg_import_init_barrier(pair.i, RSM_BAR_DEFAULT, &second));
	MUST(pair_put_byte(pair.i, 0, 3));
}

static void r_destroyed(void)
{
	struct pair pair;

	pair_open(&pair);
	MUST(rsm_memseg_import_open_barrier(&pair.barrier));
	MUST(rsm_memseg_import_destroy_barrier(&pair.barrier)); /* allowed while open */
	CHECK(pair.barrier.seg == NULL);
	EXPECT(RSMERR_BARRIER_UNINITIALIZED, rsm_memseg_import_close_barrier(&pair.barrier));
	EXPECT(RSMERR_BARRIER_UNINITIALIZED, rsm_memseg_import_open_barrier(&pair.barrier));
	EXPECT(RSMERR_BARRIER_UNINITIALIZED, rsm_memseg_import_destroy_barrier(&pair.barrier));
}

static bool is_refused(int code)
{
	return code == RSMERR_BARRIER_UNINITIALIZED || code == RSMERR_BAD_SEG_HNDL;
}

static void r_dangling(void)
{
	struct pair pair;

	pair_open(&pair);
	MUST(rsm_memseg_import_open_barrier(&pair.barrier));
	MUST(rsm_memseg_import_disconnect(pair.i));
	CHECK(is_refused(rsm_memseg_import_order_barrier(&pair.barrier)));
	CHECK(is_refused(rsm_memseg_import_close_barrier(&pair.barrier)));
	CHECK(is_refused(rsm_memseg_import_open_barrier(&pair.barrier)));
	/* A new handle, perhaps at the same place, does not bring the old barrier to life. */
	rsm_memseg_import_handle_t i = pair_import(&pair, RSM_PERM_RDWR, NULL);
	CHECK(is_refused(rsm_memseg_import_open_barrier(&pair.barrier)));
	CHECK(is_refused(rsm_memseg_import_destroy_barrier(&pair.barrier)));
	EXPECT(RSMERR_BARRIER_UNINITIALIZED, pair_put_byte(i, 0, 1));
}

static void r_garbage(void)
{
	rsmapi_barrier_t barrier;

	memset(&barrier, 0x5a, sizeof(barrier));
	CHECK(is_refused(rsm_memseg_import_open_barrier(&barrier)));
	CHECK(is_refused(rsm_memseg_import_close_barrier(&barrier)));
	CHECK(is_refused(rsm_memseg_import_destroy_barrier(&barrier)));
}

static void r_explicit_abort(void)
{
	struct pair pair;

	pair_open(&pair);
	MUST(rsm_memseg_import_set_mode(pair.i, RSM_BARRIER_MODE_EXPLICIT));
	MUST(rsm_memseg_import_open_barrier(&pair.barrier));
	MUST(pair_put_byte(pair.i, 0, 1));
	MUST(rsm_memseg_import_close_barrier(&pair.barrier));
	CHECK_BYTES(pair.memory, 1, 1);
	MUST(rsm_memseg_import_open_barrier(&pair.barrier));
	MUST(rsm_memseg_export_unpublish(pair.e));
	if (suite_can_map())
		EXPECT(RSMERR_CONN_ABORTED, pair_put_byte(pair.i, 0, 2));
	else /* an importer of another node learns of it a moment later */
		SOON(pair_put_byte(pair.i, 0, 2) == RSMERR_CONN_ABORTED);
	EXPECT(RSMERR_CONN_ABORTED, rsm_memseg_import_order_barrier(&pair.barrier)); /* stays open */
	EXPECT(RSMERR_CONN_ABORTED, rsm_memseg_import_close_barrier(&pair.barrier));
	EXPECT(RSMERR_BARRIER_NOT_OPENED, rsm_memseg_import_close_barrier(&pair.barrier));
	CHECK_BYTES(pair.memory, 1, 1);
}

static void r_put_leaves_barrier(void)
{
	struct pair pair;
	rsmapi_barrier_t before;

	pair_open(&pair);
	memcpy(&before, &pair.barrier, sizeof(before));
	MUST(pair_put_byte(pair.i, 0, 1));
	MUST(rsm_memseg_export_unpublish(pair.e));
	EXPECT(RSMERR_CONN_ABORTED, pair_put_byte(pair.i, 0, 1));
	CHECK(before.seg == pair.barrier.seg && before.gnum == pair.barrier.gnum &&
	      before.privdata == pair.barrier.privdata);
}

static const struct suite_case cases[] = {
	{"C56", "init_barrier with NULL handle, NULL barrier", c56},
	{"C57", "zeroed barrier -> BARRIER_UNINITIALIZED, NULL -> BAD_BARRIER_PTR", c57},
	{"C58", "close without open and a second close -> BARRIER_NOT_OPENED", c58},
	{"C59", "open, order, order, close on a healthy connection", c59},
	{"C60", "set_mode(7) -> BAD_MODE", c60},
	{"R-get-mode", "get_mode without result pointer -> BAD_ADDR", r_get_mode},
	{"R-barrier-types", "the type is ignored; memory need not be zeroed", r_types},
	{"R-barrier-reopen", "open of an open barrier restarts the span", r_reopen},
	{"R-barrier-several", "several barriers of one handle are independent", r_several_barriers},
	{"R-barrier-destroyed", "destroy while open; then BARRIER_UNINITIALIZED", r_destroyed},
	{"R-barrier-dangling", "a barrier that outlives its handle is refused", r_dangling},
	{"R-barrier-garbage", "a barrier of garbage is refused", r_garbage},
	{"R-barrier-explicit", "explicit mode: abort is reported by put, order and close", r_explicit_abort},
	{"R-barrier-untouched", "implicit put does not write the application's barrier",
	 r_put_leaves_barrier},
};

SUITE_MAIN(cases)
