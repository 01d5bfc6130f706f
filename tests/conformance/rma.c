/* SPDX-License-Identifier: BSD-2-Clause */
/* C49-C55: get and put. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "pair.h"

static void c49(void)
{
	struct pair pair;
	uint8_t byte = 0x12;

	pair_export(&pair, 1);
	pair_publish(&pair);
	pair.i = pair_import(&pair, RSM_PERM_RDWR, NULL);
	EXPECT(RSMERR_BARRIER_UNINITIALIZED, rsm_memseg_import_put(pair.i, 0, &byte, 1));
	EXPECT(RSMERR_BARRIER_UNINITIALIZED, rsm_memseg_import_get(pair.i, 0, &byte, 1));
	EXPECT(RSMERR_BARRIER_UNINITIALIZED, rsm_memseg_import_put8(pair.i, 0, &byte, 1));
	CHECK_BYTES(pair.memory, 0, 1);
	MUST(rsm_memseg_import_set_mode(pair.i, RSM_BARRIER_MODE_EXPLICIT));
	MUST(rsm_memseg_import_put(pair.i, 0, &byte, 1));
	if (suite_is_tcp()) /* outside a span nothing says when it arrives; but a get behind it sees it */
		MUST(rsm_memseg_import_get(pair.i, 0, &byte, 1));
	CHECK_EQUAL(0x12, byte);
	CHECK_BYTES(pair.memory, 0x12, 1);
}

static void c50(void)
{
	struct pair pair;

	pair_open(&pair);
	EXPECT(RSMERR_BAD_ADDR, rsm_memseg_import_put(pair.i, 0, NULL, 1));
	EXPECT(RSMERR_BAD_ADDR, rsm_memseg_import_get(pair.i, 0, NULL, 1));
	EXPECT(RSMERR_BAD_ADDR, rsm_memseg_import_put(pair.i, 0, NULL, 0));
	EXPECT(RSMERR_BAD_ADDR, rsm_memseg_import_put8(pair.i, 0, NULL, 0));
	EXPECT(RSMERR_BAD_ADDR, rsm_memseg_import_put16(pair.i, 0, NULL, 1));
	EXPECT(RSMERR_BAD_ADDR, rsm_memseg_import_put32(pair.i, 0, NULL, 1));
	EXPECT(RSMERR_BAD_ADDR, rsm_memseg_import_put64(pair.i, 0, NULL, 1));
	EXPECT(RSMERR_BAD_ADDR, rsm_memseg_import_get8(pair.i, 0, NULL, 1));
	EXPECT(RSMERR_BAD_ADDR, rsm_memseg_import_get16(pair.i, 0, NULL, 1));
	EXPECT(RSMERR_BAD_ADDR, rsm_memseg_import_get32(pair.i, 0, NULL, 1));
	EXPECT(RSMERR_BAD_ADDR, rsm_memseg_import_get64(pair.i, 0, NULL, 0));
}

static void c51(void)
{
	struct pair pair;
	_Alignas(8) uint8_t data[64] = {0};
	void *odd = data + 1;

	pair_open(&pair);
	EXPECT(RSMERR_BAD_MEM_ALIGNMENT, rsm_memseg_import_put16(pair.i, 1, (uint16_t *)(void *)data, 1));
	EXPECT(RSMERR_BAD_MEM_ALIGNMENT, rsm_memseg_import_put32(pair.i, 3, (uint32_t *)(void *)data, 1));
	EXPECT(RSMERR_BAD_MEM_ALIGNMENT, rsm_memseg_import_put32(pair.i, 2, (uint32_t *)(void *)data, 1));
	EXPECT(RSMERR_BAD_MEM_ALIGNMENT, rsm_memseg_import_put64(pair.i, 4, (uint64_t *)(void *)data, 1));
	EXPECT(RSMERR_BAD_MEM_ALIGNMENT, rsm_memseg_import_put16(pair.i, 0, odd, 1));
	EXPECT(RSMERR_BAD_MEM_ALIGNMENT, rsm_memseg_import_put32(pair.i, 0, odd, 1));
	EXPECT(RSMERR_BAD_MEM_ALIGNMENT, rsm_memseg_import_put64(pair.i, 0, odd, 1));
	EXPECT(RSMERR_BAD_MEM_ALIGNMENT, rsm_memseg_import_get16(pair.i, 1, (uint16_t *)(void *)data, 1));
	EXPECT(RSMERR_BAD_MEM_ALIGNMENT, rsm_memseg_import_get32(pair.i, 0, odd, 0));
	EXPECT(RSMERR_BAD_MEM_ALIGNMENT, rsm_memseg_import_get64(pair.i, 1, (uint64_t *)(void *)data, 0));
	CHECK_BYTES(pair.memory, 0, pair.length);
}

static void c52(void)
{
	struct pair pair;
	rsmapi_barrier_t first, second;
	uint64_t data = 5;

	pair_open(&pair);
	rsm_memseg_import_handle_t r = pair_import(&pair, RSM_PERM_READ, &first);
	rsm_memseg_import_handle_t w = pair_import(&pair, RSM_PERM_WRITE, &second);
	EXPECT(RSMERR_PERM_DENIED, rsm_memseg_import_put(r, 0, &data, 8));
	EXPECT(RSMERR_PERM_DENIED, rsm_memseg_import_put64(r, 0, &data, 1));
	EXPECT(RSMERR_PERM_DENIED, rsm_memseg_import_get(w, 0, &data, 8));
	EXPECT(RSMERR_PERM_DENIED, rsm_memseg_import_get64(w, 0, &data, 1));
	pair.memory[0] = 0x0c;
	MUST(rsm_memseg_import_get64(r, 0, &data, 1)); /* never mapped */
	CHECK_EQUAL(0x0c, data);
	data = 0x0d;
	MUST(rsm_memseg_import_put64(w, 8, &data, 1));
	CHECK_BYTES(pair.memory + 8, 0x0d, 1);
}

static void c53(void)
{
	struct pair pair;
	uint64_t data[2] = {1, 2};
	off_t end;

	pair_open(&pair);
	end = (off_t)pair.length;
	EXPECT(RSMERR_BAD_OFFSET, rsm_memseg_import_put(pair.i, end - 7, data, 8));
	EXPECT(RSMERR_BAD_OFFSET, rsm_memseg_import_put(pair.i, -8, data, 8));
	EXPECT(RSMERR_BAD_OFFSET, rsm_memseg_import_put64(pair.i, -8, data, 1));
	EXPECT(RSMERR_BAD_OFFSET, rsm_memseg_import_put64(pair.i, end - 8, data, 2));
	EXPECT(RSMERR_BAD_OFFSET, rsm_memseg_import_get(pair.i, end, data, 1));
	EXPECT(RSMERR_BAD_OFFSET, rsm_memseg_import_get8(pair.i, end + 1, (uint8_t *)data, 0));
	MUST(rsm_memseg_import_put(pair.i, end - 1, data, 1));
	CHECK_BYTES(pair.memory + pair.length - 1, 1, 1);
	CHECK_BYTES(pair.memory, 0, pair.length - 1);
}

static void c54(void)
{
	struct pair pair;
	uint64_t data = ~0ull;

	pair_open(&pair);
	MUST(rsm_memseg_import_put(pair.i, 0, &data, 0));
	MUST(rsm_memseg_import_put(pair.i, (off_t)pair.length, &data, 0)); /* the end itself is in range */
	MUST(rsm_memseg_import_put64(pair.i, 8, &data, 0));
	MUST(rsm_memseg_import_get(pair.i, 0, &data, 0));
	CHECK_BYTES(pair.memory, 0, pair.length);
	CHECK_BYTES(&data, 0xff, 8);
}

static void c55(void)
{
	struct pair pair;
	uint64_t data[3] = {0x1122334455667788ull, 2, 0xfedcba9876543210ull};
	uint8_t read[24];

	pair_open(&pair);
	MUST(rsm_memseg_import_put64(pair.i, 16, data, 3));
	MUST(rsm_memseg_import_get(pair.i, 16, read, sizeof(read)));
	CHECK(memcmp(read, data, sizeof(read)) == 0);
	CHECK(memcmp(pair.memory + 16, data, sizeof(data)) == 0);
}

static void r_rma_order(void)
{
	struct pair pair;
	_Alignas(8) uint8_t data[16] = {0};
	void *odd = data + 1;
	uint64_t *even = (uint64_t *)(void *)data;

	pair_export(&pair, 1);
	pair_publish(&pair);
	rsm_memseg_import_handle_t r = pair_import(&pair, RSM_PERM_READ, NULL);
	EXPECT(RSMERR_BAD_SEG_HNDL, rsm_memseg_import_put64(NULL, 3, NULL, 1));
	EXPECT(RSMERR_BAD_SEG_HNDL,
	       rsm_memseg_import_put64((rsm_memseg_import_handle_t)(void *)pair.e, 3, NULL, 1));
	EXPECT(RSMERR_BAD_ADDR, rsm_memseg_import_put64(r, 3, NULL, 1));
	EXPECT(RSMERR_BAD_MEM_ALIGNMENT, rsm_memseg_import_put64(r, -8, odd, 1));
	EXPECT(RSMERR_BAD_MEM_ALIGNMENT, rsm_memseg_import_put64(r, -3, even, 1));
	EXPECT(RSMERR_PERM_DENIED, rsm_memseg_import_put64(r, -8, even, 1));
	EXPECT(RSMERR_BAD_OFFSET, rsm_memseg_import_get64(r, -8, even, 1)); /* 6 before 7 */
	EXPECT(RSMERR_BARRIER_UNINITIALIZED, rsm_memseg_import_get64(r, 0, even, 0));
	MUST(rsm_memseg_export_unpublish(pair.e));
	EXPECT(RSMERR_BARRIER_UNINITIALIZED, rsm_memseg_import_get64(r, 0, even, 1)); /* 7 before 8 */
	MUST(rsm_memseg_import_set_mode(r, RSM_BARRIER_MODE_EXPLICIT));
	EXPECT(RSMERR_CONN_ABORTED, rsm_memseg_import_get64(r, 0, even, 1));
	EXPECT(RSMERR_BAD_OFFSET, rsm_memseg_import_get64(r, (off_t)pair.length, even, 1));
}

static void r_rma_overflow(void)
{
	struct pair pair;
	uint64_t data[2] = {0, 0};
	off_t last = (off_t)(INT64_MAX - 7);

	pair_open(&pair);
	EXPECT(RSMERR_BAD_OFFSET, rsm_memseg_import_put64(pair.i, 0, data, ULONG_MAX));
	EXPECT(RSMERR_BAD_OFFSET,
	       rsm_memseg_import_put64(pair.i, 8, data, ULONG_MAX / 8 + 1)); /* wraps to 0 bytes */
	EXPECT(RSMERR_BAD_OFFSET, rsm_memseg_import_put64(pair.i, 8, data, ULONG_MAX / 8));
	EXPECT(RSMERR_BAD_OFFSET, rsm_memseg_import_put16(pair.i, 8, (uint16_t *)data, ULONG_MAX / 2 + 2));
	EXPECT(RSMERR_BAD_OFFSET, rsm_memseg_import_put(pair.i, 8, data, SIZE_MAX));
	EXPECT(RSMERR_BAD_OFFSET, rsm_memseg_import_put(pair.i, 8, data, SIZE_MAX - 7));
	EXPECT(RSMERR_BAD_OFFSET, rsm_memseg_import_get64(pair.i, last & ~7, data, 1));
	EXPECT(RSMERR_BAD_OFFSET, rsm_memseg_import_get(pair.i, INT64_MAX, data, 1));
	EXPECT(RSMERR_BAD_OFFSET, rsm_memseg_import_get(pair.i, INT64_MIN, data, 1));
}

#define WIDTH(bits, value)                                                                                   \
	do {                                                                                                 \
		uint##bits##_t out[5] = {value, 2, 3, 4, 5}, in[5] = {0};                                    \
		MUST(rsm_memseg_import_put##bits(pair.i, bits * 4, out, 5));                                 \
		CHECK(memcmp(pair.memory + bits * 4, out, sizeof(out)) == 0);                                \
		CHECK_BYTES(pair.memory + bits * 4 + sizeof(out), 0, 8);                                     \
		MUST(rsm_memseg_import_get##bits(pair.i, bits * 4, in, 5));                                  \
		CHECK(memcmp(in, out, sizeof(out)) == 0);                                                    \
	} while (0)

static void r_widths(void)
{
	struct pair pair;

	pair_open(&pair);
	WIDTH(8, 0x81);
	WIDTH(16, 0x8123);
	WIDTH(32, 0x81234567u);
	WIDTH(64, 0x8123456789abcdefull);
}

static void r_unaligned(void)
{
	struct pair pair;
	uint8_t source[600], target[600];

	pair_open(&pair);
	for (size_t at = 0; at < sizeof(source); at++)
		source[at] = (uint8_t)(at * 7 + 1);
	for (size_t shift = 0; shift < 17; shift++) {
		for (size_t length = 1; length < 300; length += 13) {
			memset(pair.memory, 0, 1024);
			MUST(rsm_memseg_import_put(pair.i, (off_t)(100 + shift), source + shift, length));
			CHECK_BYTES(pair.memory, 0, 100 + shift);
			CHECK(memcmp(pair.memory + 100 + shift, source + shift, length) == 0);
			CHECK_BYTES(pair.memory + 100 + shift + length, 0, 300);
			memset(target, 0xee, sizeof(target));
			MUST(rsm_memseg_import_get(pair.i, (off_t)(100 + shift), target + 1, length));
			CHECK(memcmp(target + 1, source + shift, length) == 0);
			CHECK_BYTES(target + 1 + length, 0xee, 1);
		}
	}
}

static void r_large(void)
{
	size_t pages = 4096;
	struct pair pair;

	pair_open_pages(&pair, pages);
	uint8_t *source = pair_memory(pages, 0), *target = pair_memory(pages, 0);
	for (size_t at = 0; at < pair.length; at += 8) {
		uint64_t word = at * 0x9e3779b97f4a7c15ull;
		memcpy(source + at, &word, 8);
	}
	MUST(rsm_memseg_import_put(pair.i, 0, source, pair.length));
	CHECK(memcmp(source, pair.memory, pair.length) == 0);
	MUST(rsm_memseg_import_get64(pair.i, 0, (uint64_t *)(void *)target, pair.length / 8));
	CHECK(memcmp(source, target, pair.length) == 0);
}

static void r_while_mapped(void)
{
	struct pair pair;
	void *address = NULL;

	pair_open(&pair);
	EXPECT(SUITE_MAP_CODE, rsm_memseg_import_map(pair.i, &address, RSM_MAP_NONE, RSM_PERM_RDWR, 0, 8));
	MUST(pair_put_byte(pair.i, 4, 4));
	if (suite_can_map()) {
		CHECK_BYTES((uint8_t *)address + 4, 4, 1);
		MUST(rsm_memseg_import_unmap(pair.i));
	}
	MUST(pair_put_byte(pair.i, 5, 5));
	CHECK_BYTES(pair.memory + 5, 5, 1);
}

static const struct suite_case cases[] = {
	{"C49", "put on a handle without barrier -> BARRIER_UNINITIALIZED; in explicit mode it succeeds",
	 c49},
	{"C50", "get and put without data pointer -> BAD_ADDR", c50},
	{"C51", "odd offset or data pointer -> BAD_MEM_ALIGNMENT", c51},
	{"C52", "put without WRITE, get without READ -> PERM_DENIED; get READ unmapped succeeds", c52},
	{"C53", "past the end or before the start -> BAD_OFFSET; the last byte succeeds", c53},
	{"C54", "put of length 0 succeeds and changes nothing", c54},
	{"C55", "put64 of 3 items, get of 24 bytes", c55},
	{"R-rma-order", "get and put: the first matching check decides", r_rma_order},
	{"R-rma-overflow", "counts and offsets that overflow -> BAD_OFFSET", r_rma_overflow},
	{"R-widths", "each width moves exactly its items", r_widths},
	{"R-unaligned", "raw get and put at any alignment and length", r_unaligned},
	{"R-large", "16 MiB by put and get64", r_large},
	{"R-rma-mapped", "put beside an explicit map and after it", r_while_mapped},
};

SUITE_MAIN(cases)
