/* SPDX-License-Identifier: BSD-2-Clause */
/* rsmd/data: what a data connection may do, answers, order, and every way to break the protocol. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <rsmapi.h>

#include "base/clock.h"
#include "guest.h"

#define LENGTH ((size_t)1 << 20)
#define BIG    ((size_t)64 << 20)

/* Puts with gets between them; both now and then answered. */
static void order_ask(struct guest *guest, uint64_t from, uint64_t to)
{
	for (uint64_t i = from; i < to; i++) {
		uint64_t value = i + 1;
		guest_put(guest, i % 100 == 0 ? GUEST_FULL : 0, i * 8, &value, 8);
		if (i % 10 == 0)
			guest_request(guest, WIRE_OP_GET, GUEST_FULL, 8, i * 8, 8);
	}
}

static void order_hear(struct guest *guest, uint64_t from, uint64_t to, uint32_t *sequence)
{
	uint64_t value;
	for (uint64_t i = from; i < to; i++) {
		if (i % 100 == 0)
			guest_answered(guest, WIRE_OP_PUT, *sequence, 0);
		++*sequence;
		if (i % 10 == 0) {
			guest_answered(guest, WIRE_OP_GET, (*sequence)++, 8);
			assert_true(guest_receive(guest, &value, 8));
			assert_int_equal(value, i + 1);
		}
	}
}

/* All ops in one piece: performed and answered in their order. */
static void test_order(void **state)
{
	struct guest_export export;
	struct guest guest;
	(void)state;
	guest_export_open(&export, LENGTH, true);
	for (int way = GUEST_TCP; way <= GUEST_TLS; way++) {
		guest_open(&guest, &export, way, RSM_PERM_RDWR, NULL, false);
		uint32_t sequence = 0;
		for (uint64_t first = 0; first < 5000; first += 500) {
			order_ask(&guest, first, first + 500);
			order_hear(&guest, first, first + 500, &sequence);
		}
		guest_request(&guest, WIRE_OP_FENCE, GUEST_FULL, 0, 0, 0);
		guest_answered(&guest, WIRE_OP_FENCE, sequence, 0);
		for (uint64_t i = 0; i < 5000; i++)
			assert_memory_equal(export.memory + i * 8, &(uint64_t){i + 1}, 8);
		assert_int_equal(atomic_load(&guest.grant->counted->puts), 5000);
		assert_int_equal(atomic_load(&guest.grant->counted->bytes_put), 40000);
		assert_int_equal(atomic_load(&guest.grant->counted->gets), 500);
		guest_close(&guest);
		memset(export.memory, 0, LENGTH);
	}
	guest_export_close(&export);
}

/* Every length around the sizes where the way of the bytes changes, at odd offsets. */
static void test_lengths(void **state)
{
	static const size_t lengths[] = {0,     1,     7,     8,     4095,  4096,   16383,  16384,
					 16385, 65511, 65512, 65513, 65536, 131071, 262144, LENGTH - 3};
	struct guest_export export;
	struct guest guest;
	unsigned char *bytes = malloc(LENGTH);
	(void)state;
	assert_non_null(bytes);
	guest_export_open(&export, LENGTH, true);
	for (int way = GUEST_TCP; way <= GUEST_TLS; way++) {
		guest_open(&guest, &export, way, RSM_PERM_RDWR, NULL, false);
		for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
			memset(export.memory, 0xee, LENGTH);
			guest_pattern(bytes, lengths[i], 0, (unsigned)i);
			guest_put(&guest, 0, 1, bytes, lengths[i]);
			guest_put(&guest, 0, 1, bytes, lengths[i]); /* in a row */
			uint32_t sequence = guest.sequence;
			guest_request(&guest, WIRE_OP_GET, GUEST_FULL, 0, 1, lengths[i]);
			guest_answered(&guest, WIRE_OP_GET, sequence, lengths[i]);
			memset(bytes, 0, LENGTH);
			assert_true(guest_receive(&guest, bytes, lengths[i]));
			assert_true(guest_is_pattern(bytes, lengths[i], 0, (unsigned)i));
			assert_true(guest_is_pattern(export.memory + 1, lengths[i], 0, (unsigned)i));
			assert_int_equal(export.memory[0], 0xee);
			assert_int_equal(export.memory[1 + lengths[i]], 0xee);
			guest_fence(&guest);
		}
		guest_close(&guest);
	}
	free(bytes);
	guest_export_close(&export);
}

static void test_big(void **state)
{
	struct guest_export export;
	struct guest guest;
	unsigned char *bytes = malloc(BIG);
	(void)state;
	assert_non_null(bytes);
	guest_export_open(&export, BIG, true);
	for (int way = GUEST_TCP; way <= GUEST_TLS; way++) {
		guest_open(&guest, &export, way, RSM_PERM_RDWR, NULL, false);
		guest_pattern(bytes, BIG, 0, (unsigned)way);
		guest_put(&guest, GUEST_FULL, 0, bytes, BIG);
		guest_answered(&guest, WIRE_OP_PUT, 0, 0);
		assert_memory_equal(export.memory, bytes, BIG);
		guest_request(&guest, WIRE_OP_GET, GUEST_FULL, 0, 0, BIG);
		guest_answered(&guest, WIRE_OP_GET, 1, BIG);
		memset(bytes, 0, BIG);
		assert_true(guest_receive(&guest, bytes, BIG));
		assert_memory_equal(export.memory, bytes, BIG);
		guest_close(&guest);
	}
	free(bytes);
	guest_export_close(&export);
}

/* A frame comes as it likes. */
static void test_byte_by_byte(void **state)
{
	struct guest_export export;
	struct guest guest;
	unsigned char bytes[3 * 24 + 40 + 24];
	const struct wire_request requests[] = {
		{WIRE_OP_PUT, 0, 0, 0, 5, 16},
		{WIRE_OP_PUT, GUEST_FULL, 8, 1, 64, 24},
		{WIRE_OP_GET, GUEST_FULL, 4, 2, 64, 24},
		{WIRE_OP_FENCE, GUEST_FULL, 0, 3, 0, 0},
	};
	(void)state;
	wire_request_pack(&requests[0], bytes);
	memcpy(bytes + 24, "0123456789abcdef", 16);
	wire_request_pack(&requests[1], bytes + 40);
	memcpy(bytes + 64, "ABCDEFGHIJKLMNOPQRSTUVWX", 24);
	wire_request_pack(&requests[2], bytes + 88);
	wire_request_pack(&requests[3], bytes + 112);
	guest_export_open(&export, LENGTH, true);
	/* Each way to cut it in pieces of the same size. */
	for (size_t piece = 1; piece < 40; piece++) {
		guest_open(&guest, &export, GUEST_TCP, RSM_PERM_RDWR, NULL, false);
		memset(export.memory, 0, 128);
		for (size_t at = 0; at < sizeof(bytes); at += piece)
			guest_send(&guest, bytes + at,
				   at + piece > sizeof(bytes) ? sizeof(bytes) - at : piece);
		char back[24];
		guest_answered(&guest, WIRE_OP_PUT, 1, 0);
		guest_answered(&guest, WIRE_OP_GET, 2, 24);
		assert_true(guest_receive(&guest, back, 24));
		assert_memory_equal(back, "ABCDEFGHIJKLMNOPQRSTUVWX", 24);
		guest_answered(&guest, WIRE_OP_FENCE, 3, 0);
		assert_memory_equal(export.memory + 5, "0123456789abcdef", 16);
		guest_close(&guest);
	}
	guest_export_close(&export);
}

/* A client of the other byte order. */
static void test_swap(void **state)
{
	struct guest_export export;
	struct guest guest;
	char back[8];
	(void)state;
	guest_export_open(&export, LENGTH, true);
	guest_open(&guest, &export, GUEST_TCP, RSM_PERM_RDWR, NULL, true);
	guest_request(&guest, WIRE_OP_PUT, 0, 4, 8, 8);
	guest_send(&guest, "abcdefgh", 8);
	guest_put(&guest, 0, 16, "abcdefgh", 8); /* bytes are not turned */
	guest_request(&guest, WIRE_OP_GET, GUEST_FULL, 2, 16, 8);
	guest_answered(&guest, WIRE_OP_GET, 2, 8);
	assert_true(guest_receive(&guest, back, 8));
	assert_memory_equal(back, "badcfehg", 8);
	assert_memory_equal(export.memory + 8, "dcbahgfeabcdefgh", 16);
	/* Many items, through the buffer in pieces. */
	unsigned char *many = malloc(400000);
	guest_pattern(many, 400000, 0, 1);
	guest_request(&guest, WIRE_OP_PUT, 0, 8, 0, 400000);
	guest_send(&guest, many, 400000);
	guest_request(&guest, WIRE_OP_GET, GUEST_FULL, 8, 0, 400000);
	guest_answered(&guest, WIRE_OP_GET, 4, 400000);
	memset(many, 0, 400000);
	assert_true(guest_receive(&guest, many, 400000));
	assert_true(guest_is_pattern(many, 400000, 0, 1));
	assert_int_equal(export.memory[0], many[7]);
	free(many);
	guest_close(&guest);
	guest_export_close(&export);
}

/* Sends one request, raw; the connection ends with a reason, and nothing was written. */
static void breaks(struct guest_export *export, uint32_t granted, const void *bytes, size_t length)
{
	struct guest guest;
	char byte;
	guest_open(&guest, export, GUEST_TCP, granted, NULL, false);
	guest_send(&guest, bytes, length);
	assert_false(guest_receive(&guest, &byte, 1));
	assert_non_null(guest_ended(&guest));
	guest_close(&guest);
	for (size_t i = 0; i < export->export.length; i++)
		if (export->memory[i])
			fail_msg("byte %zu was written", i);
}

static void breaks_request(struct guest_export *export, uint32_t granted, struct wire_request request)
{
	unsigned char bytes[WIRE_REQUEST_SIZE + 16];
	memset(bytes, 'x', sizeof(bytes));
	wire_request_pack(&request, bytes);
	breaks(export, granted, bytes, sizeof(bytes));
}

static void test_offences(void **state)
{
	const uint64_t end = 4096;
	const struct wire_request good = {WIRE_OP_PUT, GUEST_FULL, 0, 0, 0, 16};
	static const struct {
		size_t at;
		uint8_t value;
	} spoilt[] = {{0, 0}, {0, 5},  {0, 255}, {1, 4},     {1, 3},
		      {2, 3}, {2, 16}, {3, 1},   {15, 0x80}, {23, 0x80}};
	struct guest_export export;
	(void)state;
	guest_export_open(&export, (size_t)end, true);
	/* Bounds, at all edges. */
	const uint64_t ranges[][2] = {{end - 15, 16},
				      {end, 1},
				      {end + 1, 0},
				      {0, end + 1},
				      {1, end},
				      {UINT64_MAX, 1},
				      {UINT64_MAX - 15, 16},
				      {16, UINT64_MAX - 15},
				      {(uint64_t)1 << 63, 16},
				      {0, (uint64_t)1 << 62}};
	for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
		struct wire_request request = good;
		request.offset = ranges[i][0];
		request.length = ranges[i][1];
		breaks_request(&export, RSM_PERM_RDWR, request);
		request.op = WIRE_OP_GET;
		breaks_request(&export, RSM_PERM_RDWR, request);
	}
	/* Sequence: skipped, and from the end. */
	breaks_request(&export, RSM_PERM_RDWR, (struct wire_request){WIRE_OP_PUT, 0, 0, 1, 0, 16});
	breaks_request(&export, RSM_PERM_RDWR, (struct wire_request){WIRE_OP_PUT, 0, 0, UINT32_MAX, 0, 16});
	/* Rights. */
	breaks_request(&export, RSM_PERM_READ, good);
	breaks_request(&export, RSM_PERM_NONE, good);
	breaks_request(&export, RSM_PERM_WRITE, (struct wire_request){WIRE_OP_GET, GUEST_FULL, 0, 0, 0, 16});
	/* Items. */
	breaks_request(&export, RSM_PERM_RDWR, (struct wire_request){WIRE_OP_PUT, GUEST_FULL, 8, 0, 4, 8});
	breaks_request(&export, RSM_PERM_RDWR, (struct wire_request){WIRE_OP_PUT, GUEST_FULL, 8, 0, 8, 12});
	/* A GET without an answer, a POST with a range. */
	breaks_request(&export, RSM_PERM_RDWR, (struct wire_request){WIRE_OP_GET, 0, 0, 0, 0, 16});
	breaks_request(&export, RSM_PERM_RDWR, (struct wire_request){WIRE_OP_POST, GUEST_FULL, 0, 0, 8, 0});
	/* Single bytes. */
	for (size_t i = 0; i < sizeof(spoilt) / sizeof(spoilt[0]); i++) {
		unsigned char bytes[WIRE_REQUEST_SIZE];
		wire_request_pack(&good, bytes);
		bytes[spoilt[i].at] = spoilt[i].value;
		breaks(&export, RSM_PERM_RDWR, bytes, sizeof(bytes));
	}
	guest_export_close(&export);
}

/* A frame that comes twice. What came before it is performed. */
static void test_replay(void **state)
{
	struct guest_export export;
	struct guest guest;
	char byte;
	(void)state;
	guest_export_open(&export, LENGTH, true);
	guest_open(&guest, &export, GUEST_TCP, RSM_PERM_RDWR, NULL, false);
	guest_put(&guest, GUEST_FULL, 0, "first", 5);
	guest_answered(&guest, WIRE_OP_PUT, 0, 0);
	guest.sequence = 0;
	guest_put(&guest, GUEST_FULL, 0, "again", 5);
	assert_false(guest_receive(&guest, &byte, 1));
	assert_non_null(strstr(guest_ended(&guest), "sequence"));
	assert_memory_equal(export.memory, "first", 5);
	guest_close(&guest);
	guest_export_close(&export);
}

/* The client goes: in peace, and in the middle of a put. */
static void test_leave(void **state)
{
	struct guest_export export;
	struct guest guest;
	(void)state;
	guest_export_open(&export, LENGTH, true);
	for (int way = GUEST_TCP; way <= GUEST_LOCAL; way++)
		for (int half = 0; half <= 1; half++) {
			guest_open(&guest, &export, way, RSM_PERM_RDWR, NULL, false);
			guest_fence(&guest);
			if (half) {
				guest_request(&guest, WIRE_OP_PUT, 0, 0, 0, 100000);
				guest_send(&guest, export.memory, 50000);
			}
			close(guest.socket);
			guest.socket = -1;
			assert_null(guest_ended(&guest));
			guest_close(&guest);
		}
	guest_export_close(&export);
}

static double seconds_of_fences(struct guest *guest, unsigned count)
{
	uint64_t start = base_clock_ns();
	while (count--)
		guest_fence(guest);
	return (double)(base_clock_ns() - start) / 1e9;
}

/* One asks for much and reads nothing: the other one, on whatever thread, does not notice. */
static void test_slow_reader(void **state)
{
	const unsigned gets = 4000;
	const size_t small = 8000, large = 100000;
	struct guest_export export;
	struct guest slow[2], quick[2];
	unsigned char *bytes = malloc(large);
	(void)state;
	assert_non_null(bytes);
	guest_export_open(&export, LENGTH, true);
	guest_pattern(export.memory, LENGTH, 0, 3);
	for (int i = 0; i < 2; i++) /* on each thread one of both */
		guest_open(&slow[i], &export, GUEST_TCP, RSM_PERM_RDWR, NULL, false);
	for (int i = 0; i < 2; i++)
		guest_open(&quick[i], &export, GUEST_TCP, RSM_PERM_RDWR, NULL, false);
	for (unsigned n = 0; n < gets; n++)
		for (int i = 0; i < 2; i++)
			guest_request(&slow[i], WIRE_OP_GET, GUEST_FULL, 0, n, n % 10 ? small : large);
	for (int i = 0; i < 2; i++)
		assert_true(seconds_of_fences(&quick[i], 2000) < 10);
	for (unsigned n = 0; n < gets; n++)
		for (int i = 0; i < 2; i++) {
			size_t length = n % 10 ? small : large;
			guest_answered(&slow[i], WIRE_OP_GET, n, length);
			assert_true(guest_receive(&slow[i], bytes, length));
			assert_true(guest_is_pattern(bytes, length, n, 3));
		}
	for (int i = 0; i < 2; i++) {
		guest_close(&slow[i]);
		guest_close(&quick[i]);
	}
	free(bytes);
	guest_export_close(&export);
}

/* A slow reader of encrypted answers: what was begun is sent on. */
static void test_slow_reader_encrypted(void **state)
{
	struct guest_export export;
	struct guest guest;
	unsigned char *bytes = malloc(LENGTH);
	(void)state;
	assert_non_null(bytes);
	guest_export_open(&export, LENGTH, true);
	guest_pattern(export.memory, LENGTH, 0, 4);
	guest_open(&guest, &export, GUEST_TLS, RSM_PERM_RDWR, NULL, false);
	for (unsigned n = 0; n < 40; n++)
		guest_request(&guest, WIRE_OP_GET, GUEST_FULL, 0, n, LENGTH - 100);
	for (unsigned n = 0; n < 40; n++) {
		guest_answered(&guest, WIRE_OP_GET, n, LENGTH - 100);
		assert_true(guest_receive(&guest, bytes, LENGTH - 100));
		assert_true(guest_is_pattern(bytes, LENGTH - 100, n, 4));
	}
	guest_close(&guest);
	free(bytes);
	guest_export_close(&export);
}

/* The exporter has cut its file short: failures are told, and the connection goes on. */
static void test_cut_short(void **state)
{
	const size_t length = 300000;
	struct guest_export export;
	struct guest guest;
	unsigned char *bytes = calloc(1, length);
	(void)state;
	assert_non_null(bytes);
	guest_export_open(&export, LENGTH, false);
	for (int way = GUEST_TCP; way <= GUEST_TLS; way++) {
		assert_int_equal(ftruncate(export.object.fd, LENGTH), 0);
		guest_open(&guest, &export, way, RSM_PERM_RDWR, NULL, false);
		guest_put(&guest, 0, 0, bytes, length);
		guest_fence(&guest);
		assert_int_equal(ftruncate(export.object.fd, 65536), 0);
		uint32_t first = guest.sequence;
		guest_put(&guest, 0, 70000, "12345678", 8); /* small */
		guest_put(&guest, 0, 0, "87654321", 8);
		guest_put(&guest, 0, 60000, bytes, length); /* large, half there */
		guest_put(&guest, 0, 70000, bytes, length);
		guest_request(&guest, WIRE_OP_FENCE, GUEST_FULL, 0, 0, 0);
		assert_non_null(strstr(guest_refused(&guest, WIRE_OP_FENCE, first + 4), "0x11170"));
		guest_fence(&guest); /* told once */
		first = guest.sequence;
		guest_put(&guest, GUEST_FULL, 70000, "12345678", 8);
		guest_refused(&guest, WIRE_OP_PUT, first);
		guest_request(&guest, WIRE_OP_GET, GUEST_FULL, 8, 70000, 8);
		guest_refused(&guest, WIRE_OP_GET, first + 1);
		guest_request(&guest, WIRE_OP_GET, GUEST_FULL, 0, 1, length);
		assert_non_null(strstr(guest_refused(&guest, WIRE_OP_GET, first + 2), "get of 300000 bytes"));
		/* No event for data that did not arrive. */
		guest_put(&guest, 0, 70000, "12345678", 8);
		guest_request(&guest, WIRE_OP_POST, GUEST_FULL, 0, 0, 0);
		guest_refused(&guest, WIRE_OP_POST, first + 4);
		assert_int_equal(atomic_load(&export.export.signals.memory[0].events), 0);
		/* What is there still works. */
		guest_request(&guest, WIRE_OP_GET, GUEST_FULL, 0, 0, 50000);
		guest_answered(&guest, WIRE_OP_GET, first + 5, 50000);
		assert_true(guest_receive(&guest, bytes, 50000));
		assert_memory_equal(bytes, "87654321", 8);
		memset(bytes, 0, 8);
		guest_fence(&guest);
		guest_close(&guest);
	}
	free(bytes);
	guest_export_close(&export);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order),       cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_big),         cmocka_unit_test(test_byte_by_byte),
		cmocka_unit_test(test_swap),        cmocka_unit_test(test_offences),
		cmocka_unit_test(test_replay),      cmocka_unit_test(test_leave),
		cmocka_unit_test(test_slow_reader), cmocka_unit_test(test_slow_reader_encrypted),
		cmocka_unit_test(test_cut_short),
	};
	guest_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
