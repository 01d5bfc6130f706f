/* SPDX-License-Identifier: BSD-2-Clause */
/* C78-C83: putv, getv, local memory handles. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "pair.h"

static rsm_iovec_t entry(void *local, size_t remote, size_t length)
{
	rsm_iovec_t one;

	memset(&one, 0, sizeof(one));
	one.io_type = RSM_VA_TYPE;
	one.local.vaddr = local;
	one.remote_offset = remote;
	one.transfer_length = length;
	return one;
}

static rsm_scat_gath_t vector(rsm_memseg_import_handle_t handle, rsm_iovec_t *entries, ulong_t count)
{
	rsm_scat_gath_t io;

	memset(&io, 0, sizeof(io));
	io.local_nodeid = 4711; /* never read */
	io.io_request_count = count;
	io.io_residual_count = 99;
	io.remote_handle = handle;
	io.iovec = entries;
	return io;
}

static void c78(void)
{
	struct pair pair;
	uint8_t data[8] = {0};
	rsm_iovec_t entries[17];

	pair_open(&pair);
	for (int at = 0; at < 17; at++)
		entries[at] = entry(data, 0, 8);
	EXPECT(RSMERR_BAD_SGIO, rsm_memseg_import_putv(NULL));
	EXPECT(RSMERR_BAD_SGIO, rsm_memseg_import_getv(NULL));
	rsm_scat_gath_t io = vector(pair.i, entries, 0);
	EXPECT(RSMERR_BAD_SGIO, rsm_memseg_import_putv(&io));
	io = vector(pair.i, entries, 17);
	EXPECT(RSMERR_BAD_SGIO, rsm_memseg_import_putv(&io));
	EXPECT(RSMERR_BAD_SGIO, rsm_memseg_import_getv(&io));
	CHECK_EQUAL(17, io.io_residual_count); /* all, when nothing was begun */
	io = vector(NULL, entries, 17);
	EXPECT(RSMERR_BAD_SEG_HNDL, rsm_memseg_import_putv(&io)); /* the handle comes first */
	io = vector((rsm_memseg_import_handle_t)(void *)pair.e, entries, 1);
	EXPECT(RSMERR_BAD_SEG_HNDL, rsm_memseg_import_getv(&io));
	CHECK_EQUAL(1, io.io_residual_count);
}

static void c79(void)
{
	struct pair pair;
	uint8_t data[16][64];
	rsm_iovec_t entries[16];

	pair_open(&pair);
	for (int at = 0; at < 16; at++) {
		memset(data[at], at + 1, 64);
		entries[at] = entry(data[at], (size_t)at * 32, 64);
	}
	rsm_scat_gath_t io = vector(pair.i, entries, 16);
	MUST(rsm_memseg_import_putv(&io));
	CHECK_EQUAL(0, io.io_residual_count);
	CHECK_EQUAL(16, io.io_request_count);
	for (int at = 0; at < 16; at++)
		CHECK_BYTES(pair.memory + at * 32, at + 1, 32);
	CHECK_BYTES(pair.memory + 15 * 32, 16, 64);
	uint8_t back[16][64] = {{0}};
	for (int at = 0; at < 16; at++)
		entries[at].local.vaddr = (caddr_t)back[at];
	MUST(rsm_memseg_import_getv(&io));
	CHECK_BYTES(back[3], 4, 32);
	CHECK_BYTES(back[3] + 32, 5, 32);
}

static void c80(void)
{
	struct pair pair;
	uint8_t data[5][8];
	rsm_iovec_t entries[5];

	pair_open(&pair);
	for (int at = 0; at < 5; at++) {
		memset(data[at], at + 1, 8);
		entries[at] = entry(data[at], (size_t)at * 8, 8);
	}
	entries[2].remote_offset = pair.length - 7;
	rsm_scat_gath_t io = vector(pair.i, entries, 5);
	EXPECT(RSMERR_BAD_OFFSET, rsm_memseg_import_putv(&io));
	CHECK_EQUAL(3, io.io_residual_count);
	CHECK_BYTES(pair.memory, 1, 8);
	CHECK_BYTES(pair.memory + 8, 2, 8);
	CHECK_BYTES(pair.memory + 16, 0, pair.length - 16);
	memset(data, 0, sizeof(data));
	EXPECT(RSMERR_BAD_OFFSET, rsm_memseg_import_getv(&io));
	CHECK_EQUAL(3, io.io_residual_count);
	CHECK_BYTES(data[0], 1, 8);
	CHECK_BYTES(data[1], 2, 8);
	entries[2].remote_offset = SIZE_MAX - 3; /* the sum overflows */
	EXPECT(RSMERR_BAD_OFFSET, rsm_memseg_import_putv(&io));
	entries[2] = entry(data[2], 8, SIZE_MAX);
	EXPECT(RSMERR_BAD_OFFSET, rsm_memseg_import_putv(&io));
}

static void c81(void)
{
	struct pair pair;
	uint8_t data[8] = {1};
	rsm_iovec_t one = entry(data, 0, 8);

	pair_open(&pair);
	rsm_scat_gath_t io = vector(pair.i, &one, 1);
	io.flags = RSM_IMPLICIT_SIGPOST;
	MUST(rsm_memseg_import_putv(&io));
	CHECK_EQUAL(RSM_IMPLICIT_SIGPOST, io.flags);
	MUST(rsm_intr_signal_wait(pair.e, 0));
	EXPECT(RSMERR_TIMEOUT, rsm_intr_signal_wait(pair.e, 0));
	one.remote_offset = pair.length;
	EXPECT(RSMERR_BAD_OFFSET, rsm_memseg_import_putv(&io));
	EXPECT(RSMERR_TIMEOUT, rsm_intr_signal_wait(pair.e, 0));
	one.remote_offset = 0;
	MUST(rsm_memseg_import_getv(&io)); /* for getv too */
	MUST(rsm_intr_signal_wait(pair.e, 0));
	io.flags = RSM_IMPLICIT_SIGPOST | RSM_SIGPOST_NO_ACCUMULATE;
	MUST(rsm_memseg_import_putv(&io));
	MUST(rsm_memseg_import_putv(&io));
	CHECK_EQUAL(RSM_IMPLICIT_SIGPOST | RSM_SIGPOST_NO_ACCUMULATE, io.flags);
	MUST(rsm_intr_signal_wait(pair.e, 0));
	EXPECT(RSMERR_TIMEOUT, rsm_intr_signal_wait(pair.e, 0));
	io.flags = RSM_SIGPOST_NO_ACCUMULATE; /* alone it does nothing */
	MUST(rsm_memseg_import_putv(&io));
	EXPECT(RSMERR_TIMEOUT, rsm_intr_signal_wait(pair.e, 0));
}

static void c82(void)
{
	rsmapi_controller_handle_t c = pair_controller(suite_controller());
	rsm_localmemory_handle_t local = NULL;
	caddr_t memory = (caddr_t)pair_memory(1, 0);

	EXPECT(RSMERR_BAD_ADDR, rsm_create_localmemory_handle(c, &local, memory + 1, 16));
	EXPECT(RSMERR_BAD_ADDR, rsm_create_localmemory_handle(NULL, NULL, memory + 1, 0)); /* checked first */
	EXPECT(RSMERR_BAD_CTLR_HNDL, rsm_create_localmemory_handle(NULL, NULL, memory, 0));
	EXPECT(RSMERR_BAD_LOCALMEM_HNDL, rsm_create_localmemory_handle(c, NULL, memory, 16));
	EXPECT(RSMERR_BAD_LOCALMEM_HNDL, rsm_create_localmemory_handle(c, NULL, memory, 0));
	EXPECT(RSMERR_BAD_LENGTH, rsm_create_localmemory_handle(c, &local, memory, 0));
	EXPECT(RSMERR_BAD_LENGTH, rsm_create_localmemory_handle(c, &local, NULL, 0));
	EXPECT(RSMERR_BAD_ADDR, rsm_create_localmemory_handle(c, &local, NULL, 16));
	EXPECT(RSMERR_BAD_LOCALMEM_HNDL, rsm_free_localmemory_handle(c, NULL));
	EXPECT(RSMERR_BAD_CTLR_HNDL, rsm_free_localmemory_handle(NULL, NULL));
	EXPECT(RSMERR_BAD_LOCALMEM_HNDL,
	       rsm_free_localmemory_handle(c, (rsm_localmemory_handle_t)(void *)memory));
	MUST(rsm_create_localmemory_handle(c, &local, memory, 100)); /* no page multiple */
	MUST(rsm_free_localmemory_handle(c, local));
	EXPECT(RSMERR_BAD_LOCALMEM_HNDL, rsm_free_localmemory_handle(c, local));
}

static void c83(void)
{
	struct pair pair;
	rsm_localmemory_handle_t local = NULL;
	uint8_t *memory = pair_memory(1, 0x3a);
	rsm_iovec_t entries[2] = {{0}};

	pair_open(&pair);
	memory[10] = 0x10;
	MUST(rsm_create_localmemory_handle(pair.controller, &local, (caddr_t)memory, 100));
	entries[0].io_type = RSM_HANDLE_TYPE;
	entries[0].local.handle = local;
	entries[0].local_offset = 10;
	entries[0].transfer_length = 90;
	entries[1] = entry(memory, 200, 90);
	entries[1].local_offset = 10; /* for VA entries too */
	rsm_scat_gath_t io = vector(pair.i, entries, 2);
	MUST(rsm_memseg_import_putv(&io));
	CHECK(memcmp(pair.memory, pair.memory + 200, 90) == 0);
	CHECK_BYTES(pair.memory, 0x10, 1);
	CHECK_BYTES(pair.memory + 1, 0x3a, 89);
	entries[0].transfer_length = 91;
	EXPECT(RSMERR_BAD_LENGTH, rsm_memseg_import_putv(&io));
	CHECK_EQUAL(2, io.io_residual_count);
	entries[0].local_offset = SIZE_MAX - 20;
	entries[0].transfer_length = 30; /* the sum overflows */
	EXPECT(RSMERR_BAD_LENGTH, rsm_memseg_import_putv(&io));
	entries[0].local_offset = 101;
	entries[0].transfer_length = 0;
	EXPECT(RSMERR_BAD_LENGTH, rsm_memseg_import_putv(&io));
	entries[0].local_offset = 0;
	MUST(rsm_free_localmemory_handle(pair.controller, local));
	EXPECT(RSMERR_BAD_SGIO, rsm_memseg_import_putv(&io)); /* a freed handle */
}

static void r_vector_order(void)
{
	struct pair pair;
	uint8_t data[8] = {0};
	rsm_iovec_t entries[2];

	pair_open(&pair);
	rsm_memseg_import_handle_t r = pair_import(&pair, RSM_PERM_READ, NULL);
	rsm_scat_gath_t io = vector(r, NULL, 2);
	EXPECT(RSMERR_BAD_SGIO, rsm_memseg_import_putv(&io));
	CHECK_EQUAL(2, io.io_residual_count);
	entries[0] = entry(NULL, pair.length + 1, 8);
	entries[1] = entry(data, 0, 8);
	entries[1].io_type = 0;
	io = vector(r, entries, 2);
	EXPECT(RSMERR_BAD_SGIO, rsm_memseg_import_putv(&io)); /* every type before the right */
	entries[1].io_type = RSM_HANDLE_TYPE;
	entries[1].local.handle = NULL;
	EXPECT(RSMERR_BAD_SGIO, rsm_memseg_import_putv(&io));
	entries[1] = entry(data, 0, 8);
	EXPECT(RSMERR_PERM_DENIED, rsm_memseg_import_putv(&io)); /* the right before any entry */
	CHECK_EQUAL(2, io.io_residual_count);
	EXPECT(RSMERR_BAD_ADDR, rsm_memseg_import_getv(&io));
	CHECK_EQUAL(2, io.io_residual_count);
	entries[0] = entry(data, pair.length + 1, 8);
	EXPECT(RSMERR_BAD_OFFSET, rsm_memseg_import_getv(&io));
	rsm_memseg_import_handle_t w = pair_import(&pair, RSM_PERM_WRITE, NULL);
	io.remote_handle = w;
	EXPECT(RSMERR_PERM_DENIED, rsm_memseg_import_getv(&io));
	EXPECT(RSMERR_BAD_OFFSET, rsm_memseg_import_putv(&io));
}

static void r_vector_zero(void)
{
	struct pair pair;
	uint8_t data[8] = {9};
	rsm_iovec_t entries[3];

	/* An entry of no bytes is complete, whatever its address. */
	pair_open(&pair);
	entries[0] = entry(NULL, 0, 0);
	entries[1] = entry(data, pair.length, 0);
	entries[2] = entry(data, 3, 1);
	rsm_scat_gath_t io = vector(pair.i, entries, 3);
	MUST(rsm_memseg_import_putv(&io));
	CHECK_EQUAL(0, io.io_residual_count);
	CHECK_BYTES(pair.memory + 3, 9, 1);
	entries[1].remote_offset = pair.length + 1;
	EXPECT(RSMERR_BAD_OFFSET, rsm_memseg_import_putv(&io));
	CHECK_EQUAL(2, io.io_residual_count);
}

static void r_vector_no_barrier(void)
{
	struct pair pair;
	uint8_t data[8] = {5};
	rsm_iovec_t one = entry(data, 1, 7);

	pair_open(&pair);
	rsm_memseg_import_handle_t i = pair_import(&pair, RSM_PERM_RDWR, NULL);
	rsm_scat_gath_t io = vector(i, &one, 1);
	MUST(rsm_memseg_import_putv(&io)); /* implicit mode, odd offset, no barrier */
	MUST(rsm_memseg_import_set_mode(i, RSM_BARRIER_MODE_EXPLICIT));
	one.local.vaddr = (caddr_t)data + 1;
	MUST(rsm_memseg_import_putv(&io));
	if (suite_is_tcp()) /* outside a span nothing says when it arrives; but a get behind it sees it */
		MUST(rsm_memseg_import_get(i, 0, data, 1));
	CHECK_BYTES(pair.memory, 0, 4);
}

static void r_vector_aborted(void)
{
	struct pair pair;
	uint8_t data[8] = {5};
	rsm_iovec_t entries[2];

	pair_open(&pair);
	entries[0] = entry(data, 0, 8);
	entries[1] = entry(data, 8, 8);
	rsm_scat_gath_t io = vector(pair.i, entries, 2);
	io.flags = RSM_IMPLICIT_SIGPOST;
	MUST(rsm_memseg_export_unpublish(pair.e));
	EXPECT(RSMERR_CONN_ABORTED, rsm_memseg_import_putv(&io));
	CHECK_EQUAL(2, io.io_residual_count);
	EXPECT(RSMERR_CONN_ABORTED, rsm_memseg_import_getv(&io));
	CHECK_EQUAL(2, io.io_residual_count);
	MUST(rsm_memseg_import_set_mode(pair.i, RSM_BARRIER_MODE_EXPLICIT));
	EXPECT(RSMERR_CONN_ABORTED, rsm_memseg_import_putv(&io));
	entries[0].remote_offset = pair.length;
	EXPECT(RSMERR_BAD_OFFSET, rsm_memseg_import_putv(&io)); /* before the abort in the check order */
	CHECK_BYTES(pair.memory, 0, pair.length);
	EXPECT(RSMERR_TIMEOUT, rsm_intr_signal_wait(pair.e, 0));
}

static void r_localmemory_access(void)
{
	rsmapi_controller_handle_t c = pair_controller(suite_controller());
	rsm_localmemory_handle_t local = NULL;
	size_t page = suite_page();
	uint8_t *memory = mmap(NULL, 3 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK(memory != MAP_FAILED && munmap(memory + 2 * page, page) == 0);
	CHECK(mprotect(memory + page, page, PROT_NONE) == 0);
	EXPECT(RSMERR_BAD_ADDR, rsm_create_localmemory_handle(c, &local, (caddr_t)memory + 2 * page, 1));
	EXPECT(RSMERR_PERM_DENIED, rsm_create_localmemory_handle(c, &local, (caddr_t)memory + page, 1));
	EXPECT(RSMERR_PERM_DENIED, rsm_create_localmemory_handle(c, &local, (caddr_t)memory, page + 1));
	EXPECT(RSMERR_BAD_ADDR, rsm_create_localmemory_handle(c, &local, (caddr_t)memory, SIZE_MAX));
	CHECK(local == NULL);
	MUST(rsm_create_localmemory_handle(c, &local, (caddr_t)memory, page));
}

static const struct suite_case cases[] = {
	{"C78", "putv: NULL, counts 0 and 17 -> BAD_SGIO; NULL handle -> BAD_SEG_HNDL", c78},
	{"C79", "16 entries, residual 0, the last one wins", c79},
	{"C80", "entry 2 of 5 out of range -> BAD_OFFSET, residual 3", c80},
	{"C81", "implicit post: one event on success, none on failure, flags unchanged", c81},
	{"C82", "local memory handles: check order", c82},
	{"C83", "handle and VA entries transfer the same; beyond the handle -> BAD_LENGTH", c83},
	{"R-vector-order", "putv and getv: the first matching check decides", r_vector_order},
	{"R-vector-zero", "entries of no bytes are complete", r_vector_zero},
	{"R-vector-no-barrier", "no barrier needed, no alignment", r_vector_no_barrier},
	{"R-vector-aborted", "an aborted connection -> CONN_ABORTED, residual, no event", r_vector_aborted},
	{"R-localmemory-access", "local memory that is not mapped or not accessible", r_localmemory_access},
};

SUITE_MAIN(cases)
