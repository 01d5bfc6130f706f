/* SPDX-License-Identifier: BSD-2-Clause */
/* C10-C20: create, rebind, destroy, and their check orders. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "pair.h"

static rsm_memseg_export_handle_t never(void)
{
	static char storage[64];
	return (rsm_memseg_export_handle_t)(void *)storage;
}

static uint8_t *map_pages(size_t pages, int protection)
{
	void *memory = mmap(NULL, pages * suite_page(), protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(memory != MAP_FAILED);
	return memory;
}

static void c10(void)
{
	rsm_memseg_export_handle_t e = never();
	void *memory = pair_memory(1, 0);

	EXPECT(RSMERR_BAD_CTLR_HNDL, rsm_memseg_export_create(NULL, &e, memory, suite_page(), 0));
	EXPECT(RSMERR_BAD_SEG_HNDL,
	       rsm_memseg_export_create(pair_controller(suite_controller()), NULL, memory, suite_page(), 0));
	EXPECT(RSMERR_BAD_CTLR_HNDL, rsm_memseg_export_create(NULL, NULL, NULL, 0, 0));
}

static void c11(void)
{
	rsm_memseg_export_handle_t e = never();
	rsmapi_controller_handle_t c = pair_controller(suite_controller());

	EXPECT(RSMERR_BAD_ADDR, rsm_memseg_export_create(c, &e, NULL, suite_page(), 0));
	CHECK(e == NULL);
	EXPECT(RSMERR_BAD_ADDR, rsm_memseg_export_create(c, &e, NULL, 0, 0));
}

static void c12(void)
{
	rsm_memseg_export_handle_t e = never();
	rsmapi_controller_handle_t c = pair_controller(suite_controller());
	uint8_t *memory = pair_memory(2, 0);

	EXPECT(RSMERR_BAD_LENGTH, rsm_memseg_export_create(c, &e, memory, 0, 0));
	CHECK(e == NULL);
	EXPECT(RSMERR_BAD_LENGTH, rsm_memseg_export_create(c, &e, memory + 1, 0, 0));
}

static void c13(void)
{
	rsm_memseg_export_handle_t e = never();
	rsmapi_controller_handle_t c = pair_controller(suite_controller());
	uint8_t *memory = pair_memory(3, 0);
	size_t page = suite_page();

	EXPECT(RSMERR_BAD_MEM_ALIGNMENT, rsm_memseg_export_create(c, &e, memory + 1, page, 0));
	EXPECT(RSMERR_BAD_MEM_ALIGNMENT, rsm_memseg_export_create(c, &e, memory + page - 1, page, 0));
	EXPECT(RSMERR_BAD_MEM_ALIGNMENT, rsm_memseg_export_create(c, &e, memory, page + 1, 0));
	EXPECT(RSMERR_BAD_MEM_ALIGNMENT, rsm_memseg_export_create(c, &e, memory, page - 1, 0));
	CHECK(e == NULL);
}

static void c14(void)
{
	rsm_memseg_export_handle_t e = never();
	rsmapi_controller_handle_t c = pair_controller(suite_controller());
	uint8_t *memory = map_pages(4, PROT_READ | PROT_WRITE);
	size_t page = suite_page();

	CHECK(munmap(memory + page, page) == 0);
	EXPECT(RSMERR_BAD_ADDR, rsm_memseg_export_create(c, &e, memory + page, page, 0));
	CHECK(mprotect(memory + 3 * page, page, PROT_READ) == 0);
	EXPECT(RSMERR_PERM_DENIED, rsm_memseg_export_create(c, &e, memory + 3 * page, page, 0));
	CHECK(e == NULL);
}

static void c15(void)
{
	size_t pages = 700; /* more than one of any chunk size below 2 MiB */
	rsm_memseg_export_handle_t e;
	rsmapi_controller_handle_t c = pair_controller(suite_controller());
	uint8_t *memory = pair_memory(pages, 0), *copy = malloc(pages * suite_page());

	CHECK(copy != NULL);
	for (size_t at = 0; at < pages * suite_page(); at++)
		memory[at] = (uint8_t)(at * 31 + at / 4096);
	memcpy(copy, memory, pages * suite_page());
	MUST(rsm_memseg_export_create(c, &e, memory, pages * suite_page(), 0));
	CHECK(memcmp(copy, memory, pages * suite_page()) == 0);
	memory[77] = copy[77] = 1; /* the application goes on using it */
	MUST(rsm_memseg_export_destroy(e));
	CHECK(memcmp(copy, memory, pages * suite_page()) == 0);
	memory[78] = 2;
	free(memory);
	free(copy);
}

static void c16(void)
{
	struct pair pair;
	rsm_memseg_export_handle_t second = NULL;
	rsm_memseg_import_handle_t i;
	rsmapi_barrier_t barrier;
	rsm_memseg_id_t id = 0;

	pair_open(&pair);
	MUST(rsm_memseg_export_create(pair.controller, &second, pair.memory, pair.length, 0));
	CHECK(second != pair.e);
	MUST(rsm_memseg_export_publish(second, &id, NULL, 0));
	CHECK(id != pair.id);
	MUST(rsm_memseg_import_connect(pair.controller, pair.node, id, RSM_PERM_RDWR, &i));
	MUST(rsm_memseg_import_init_barrier(i, RSM_BAR_DEFAULT, &barrier));
	MUST(pair_put_byte(i, 9, 0x99));
	CHECK_BYTES(pair.memory + 9, 0x99, 1);
	CHECK_EQUAL(0x99, pair_get_byte(pair.i, 9));
}

static void c17(void)
{
	rsm_memseg_export_handle_t e;
	rsmapi_controller_handle_t c = pair_controller(suite_controller());
	uint8_t *memory = pair_memory(2, 0);

	MUST(rsm_memseg_export_create(c, &e, memory, suite_page(), 0));
	EXPECT(RSMERR_REBIND_NOT_ALLOWED,
	       rsm_memseg_export_rebind(e, memory + suite_page(), 0, suite_page()));
}

static void c18(void)
{
	struct pair pair;
	uint8_t *memory = pair_memory(3, 0);

	pair_open(&pair);
	EXPECT(RSMERR_BAD_LENGTH, rsm_memseg_export_rebind(pair.e, memory, 0, 2 * suite_page()));
	EXPECT(RSMERR_BAD_LENGTH, rsm_memseg_export_rebind(pair.e, memory, 0, 0));
	EXPECT(RSMERR_BAD_ADDR, rsm_memseg_export_rebind(pair.e, NULL, 0, suite_page()));
	EXPECT(RSMERR_BAD_ADDR, rsm_memseg_export_rebind(pair.e, memory + 8, 0, suite_page()));
}

static void c19(void)
{
	struct pair pair;
	uint8_t *memory = pair_memory(1, 0xee);

	pair_open(&pair);
	memset(pair.memory, 0x11, pair.length);
	CHECK_EQUAL(0x11, pair_get_byte(pair.i, 100));
	MUST(rsm_memseg_export_rebind(pair.e, memory, 12345, pair.length));
	uint8_t *read = pair_memory(1, 0);
	MUST(rsm_memseg_import_get(pair.i, 0, read, pair.length));
	CHECK_BYTES(read, 0xee, pair.length);
	MUST(pair_put_byte(pair.i, 3, 0x33)); /* lands in the new range only */
	CHECK_BYTES(memory + 3, 0x33, 1);
	CHECK_BYTES(pair.memory, 0x11, pair.length);
}

static void c20(void)
{
	struct pair pair;

	pair_open(&pair);
	MUST(pair_put_byte(pair.i, 0, 1));
	MUST(rsm_memseg_export_destroy(pair.e));
	EXPECT(RSMERR_CONN_ABORTED, pair_put_byte(pair.i, 0, 2));
	CHECK_BYTES(pair.memory, 1, 1);
	MUST(rsm_memseg_import_disconnect(pair.i));
}

static void r_create_order(void)
{
	rsm_memseg_export_handle_t e = never();
	rsmapi_controller_handle_t c = pair_controller(suite_controller());
	uint8_t *memory = map_pages(4, PROT_READ | PROT_WRITE);
	size_t page = suite_page();

	EXPECT(RSMERR_BAD_SEG_HNDL, rsm_memseg_export_create(c, NULL, NULL, 0, 0));
	CHECK(mprotect(memory, page, PROT_READ) == 0);
	CHECK(munmap(memory + 2 * page, page) == 0);
	/* Read-only page before a hole: the hole decides. */
	EXPECT(RSMERR_BAD_ADDR, rsm_memseg_export_create(c, &e, memory, 4 * page, 0));
	EXPECT(RSMERR_PERM_DENIED, rsm_memseg_export_create(c, &e, memory, 2 * page, 0));
	EXPECT(RSMERR_BAD_MEM_ALIGNMENT, rsm_memseg_export_create(c, &e, memory + 2 * page, page + 8, 0));
	CHECK(mprotect(memory, page, PROT_NONE) == 0);
	EXPECT(RSMERR_PERM_DENIED, rsm_memseg_export_create(c, &e, memory, page, 0));
	CHECK(mprotect(memory, page, PROT_WRITE) == 0);
	EXPECT(RSMERR_PERM_DENIED, rsm_memseg_export_create(c, &e, memory, page, 0));
	CHECK(e == NULL);
	memory[page] = 7; /* a refused range stays the application's */
	MUST(rsm_memseg_export_create(c, &e, memory + page, page, 0x80)); /* unknown flags are ignored */
	CHECK_BYTES(memory + page, 7, 1);
}

static void r_create_overflow(void)
{
	rsm_memseg_export_handle_t e = never();
	rsmapi_controller_handle_t c = pair_controller(suite_controller());
	uint8_t *memory = pair_memory(1, 0);
	size_t page = suite_page();

	EXPECT(RSMERR_BAD_ADDR, rsm_memseg_export_create(c, &e, memory, SIZE_MAX - page + 1, 0));
	EXPECT(RSMERR_BAD_ADDR,
	       rsm_memseg_export_create(c, &e, (void *)(UINTPTR_MAX - page + 1), page, 0)); /* ends at 0 */
	CHECK(e == NULL);
}

static void r_bad_handles(void)
{
	struct pair pair;
	rsm_memseg_id_t id = 0;

	pair_open(&pair);
	rsm_memseg_export_handle_t wrong = (rsm_memseg_export_handle_t)(void *)pair.i;
	EXPECT(RSMERR_BAD_SEG_HNDL, rsm_memseg_export_destroy(NULL));
	EXPECT(RSMERR_BAD_SEG_HNDL, rsm_memseg_export_destroy(wrong));
	EXPECT(RSMERR_BAD_SEG_HNDL, rsm_memseg_export_publish(wrong, &id, NULL, 0));
	EXPECT(RSMERR_BAD_SEG_HNDL, rsm_memseg_export_unpublish(wrong));
	EXPECT(RSMERR_BAD_SEG_HNDL, rsm_memseg_export_republish(wrong, NULL, 0));
	EXPECT(RSMERR_BAD_SEG_HNDL, rsm_memseg_export_rebind(wrong, pair.memory, 0, pair.length));
	EXPECT(RSMERR_BAD_SEG_HNDL, rsm_memseg_export_rebind(NULL, NULL, 0, 0));
	EXPECT(RSMERR_BAD_SEG_HNDL, rsm_memseg_export_destroy(never()));
	MUST(pair_put_byte(pair.i, 0, 1)); /* unharmed */
	MUST(rsm_memseg_export_destroy(pair.e));
	EXPECT(RSMERR_BAD_SEG_HNDL, rsm_memseg_export_destroy(pair.e));
	EXPECT(RSMERR_BAD_SEG_HNDL, rsm_memseg_export_publish(pair.e, &id, NULL, 0));
	EXPECT(RSMERR_BAD_SEG_HNDL, rsm_memseg_export_unpublish(pair.e));
	EXPECT(RSMERR_BAD_SEG_HNDL, rsm_intr_signal_post(pair.e, 0));
}

static void r_rebind_order(void)
{
	struct pair pair;
	rsm_memseg_export_handle_t fixed;
	size_t page = suite_page();
	uint8_t *memory = map_pages(3, PROT_READ | PROT_WRITE);

	pair_open(&pair);
	memset(pair.memory, 0x21, page);
	MUST(rsm_memseg_export_create(pair.controller, &fixed, pair_memory(1, 0), page, 0));
	EXPECT(RSMERR_BAD_ADDR, rsm_memseg_export_rebind(fixed, NULL, 0, page));
	EXPECT(RSMERR_REBIND_NOT_ALLOWED, rsm_memseg_export_rebind(fixed, memory + 1, 0, 5));
	EXPECT(RSMERR_BAD_LENGTH, rsm_memseg_export_rebind(pair.e, memory + 1, 0, page + 1));
	EXPECT(RSMERR_BAD_LENGTH, rsm_memseg_export_rebind(pair.e, pair.memory, 0, page * 2));
	MUST(rsm_memseg_export_rebind(pair.e, pair.memory, 0, page)); /* same address */
	CHECK(munmap(memory, page) == 0);
	EXPECT(RSMERR_BAD_ADDR, rsm_memseg_export_rebind(pair.e, memory, 0, page));
	CHECK(mprotect(memory + page, page, PROT_READ) == 0);
	EXPECT(RSMERR_PERM_DENIED, rsm_memseg_export_rebind(pair.e, memory + page, 0, page));
	/* The old binding is intact after every refusal. */
	CHECK_EQUAL(0x21, pair_get_byte(pair.i, 17));
	MUST(pair_put_byte(pair.i, 17, 0x22));
	CHECK_BYTES(pair.memory + 17, 0x22, 1);
}

/* The same by get and put, where there are no maps: the handle goes on as if nothing had happened. */
static void rebind_unmapped(void)
{
	struct pair pair;
	size_t pages = 5, page = suite_page();
	uint8_t *memory = pair_memory(pages, 0xa2), *seen = pair_memory(pages, 0);

	pair_open_pages(&pair, pages);
	memset(pair.memory, 0xa1, pair.length);
	for (int round = 0; round < 2; round++) {
		MUST(rsm_memseg_import_get(pair.i, 0, seen, pair.length));
		CHECK_BYTES(seen, 0xa1, pair.length);
		MUST(rsm_memseg_export_rebind(pair.e, memory, 0, pair.length));
		MUST(rsm_memseg_import_get(pair.i, 0, seen, pair.length));
		CHECK_BYTES(seen, 0xa2, pair.length);
		MUST(rsm_memseg_import_open_barrier(&pair.barrier));
		MUST(pair_put_byte(pair.i, (off_t)page + 1, 0x77));
		MUST(rsm_memseg_import_close_barrier(&pair.barrier));
		CHECK_BYTES(memory + page + 1, 0x77, 1);
		CHECK_BYTES(pair.memory, 0xa1, pair.length);
		memory[page + 1] = 0xa2;
		MUST(rsm_memseg_export_rebind(pair.e, pair.memory, 0, pair.length));
	}
	pair_close(&pair);
}

static void r_rebind_mapped(void)
{
	struct pair pair;
	void *address;
	size_t pages = 5, page = suite_page();
	uint8_t *memory = pair_memory(pages, 0xa2);

	if (!suite_can_map()) {
		rebind_unmapped();
		return;
	}
	pair_open_pages(&pair, pages);
	memset(pair.memory, 0xa1, pair.length);
	MUST(rsm_memseg_import_map(pair.i, &address, RSM_MAP_NONE, RSM_PERM_RDWR, 0, pair.length));
	volatile uint8_t *window = address;
	CHECK_BYTES(window, 0xa1, pair.length);
	MUST(rsm_memseg_export_rebind(pair.e, memory, 0, pair.length));
	CHECK_BYTES(window, 0xa2,
		    pair.length); /* invisible to a mapped importer: same address, new contents */
	MUST(rsm_memseg_import_open_barrier(&pair.barrier));
	window[page + 1] = 0x77;
	MUST(rsm_memseg_import_close_barrier(&pair.barrier));
	CHECK_BYTES(memory + page + 1, 0x77, 1);
	CHECK_BYTES(pair.memory, 0xa1, pair.length);
	pair.memory[0] = 0x55; /* the old range is private again */
	CHECK_BYTES(window, 0xa2, 1);
	MUST(rsm_memseg_export_rebind(pair.e, pair.memory, 0, pair.length)); /* and back */
	CHECK_BYTES(window, 0x55, 1);
	CHECK_BYTES(memory + page + 1, 0x77, 1);
	MUST(rsm_memseg_import_unmap(pair.i));
	pair_close(&pair);
	CHECK_BYTES(pair.memory, 0x55, 1);
	CHECK_BYTES(pair.memory + 1, 0xa1, pair.length - 1);
	CHECK_BYTES(memory, 0xa2, page);
	free(memory);
	free(pair.memory);
}

static void r_rebind_unpublished(void)
{
	struct pair pair;
	uint8_t *memory = pair_memory(2, 0x42);

	pair_export(&pair, 2);
	MUST(rsm_memseg_export_rebind(pair.e, memory, 0, pair.length));
	pair_publish(&pair);
	pair_connect(&pair, RSM_PERM_READ);
	CHECK_EQUAL(0x42, pair_get_byte(pair.i, (off_t)suite_page()));
	MUST(rsm_memseg_export_unpublish(pair.e));
	MUST(rsm_memseg_export_rebind(pair.e, pair.memory, 0, pair.length));
	MUST(rsm_memseg_import_disconnect(pair.i));
	pair_publish(&pair);
	pair_connect(&pair, RSM_PERM_READ);
	CHECK_EQUAL(0, pair_get_byte(pair.i, (off_t)suite_page()));
}

static const struct suite_case cases[] = {
	{"C10", "export_create without controller, without result pointer", c10},
	{"C11", "export_create at NULL -> BAD_ADDR, result NULL", c11},
	{"C12", "export_create of size 0 -> BAD_LENGTH", c12},
	{"C13", "export_create off by one byte -> BAD_MEM_ALIGNMENT", c13},
	{"C14", "export_create over a hole -> BAD_ADDR, over read-only -> PERM_DENIED", c14},
	{"C15", "contents and addresses survive create and destroy", c15},
	{"C16", "the same memory exported and published twice", c16},
	{"C17", "rebind without RSM_ALLOW_REBIND -> REBIND_NOT_ALLOWED", c17},
	{"C18", "rebind with another size, NULL or misaligned address", c18},
	{"C19", "a get after rebind sees the new range", c19},
	{"C20", "destroy of a published segment with an importer", c20},
	{"R-create-order", "export_create: the first matching check decides", r_create_order},
	{"R-create-overflow", "export_create of ranges that wrap -> BAD_ADDR", r_create_overflow},
	{"R-export-handles", "freed, foreign and NULL export handles -> BAD_SEG_HNDL", r_bad_handles},
	{"R-rebind-order", "rebind: the first matching check decides; an error keeps the binding",
	 r_rebind_order},
	{"R-rebind-mapped", "rebind is invisible to a mapped importer", r_rebind_mapped},
	{"R-rebind-unpublished", "rebind while not published", r_rebind_unpublished},
};

SUITE_MAIN(cases)
