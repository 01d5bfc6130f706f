/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * wire/frame: what is packed comes back the same, has the bytes that doc/protocol.md draws, and nothing that a stranger can
 * write into a frame passes that should not.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <sys/rsm/rsm_common.h>

#include "wire/frame.h"

#define TWO_63 ((uint64_t)1 << 63)

static struct wire_hello hello_example(void)
{
	struct wire_hello hello = {
		.version = WIRE_DATA_VERSION, .order = WIRE_BIG_ENDIAN, .ticket.id = 0x0102030405060708u};
	for (size_t i = 0; i < WIRE_SECRET_SIZE; i++)
		hello.ticket.secret[i] = (uint8_t)(0xa0 + i);
	return hello;
}

static void test_own_order(void **state)
{
	const uint16_t one = 1;
	uint8_t first;
	(void)state;
	memcpy(&first, &one, 1);
	assert_int_equal(wire_order_own(), first == 1 ? WIRE_LITTLE_ENDIAN : WIRE_BIG_ENDIAN);
}

static void test_hello(void **state)
{
	static const uint8_t head[16] = {'R', 'S', 'M', 'd', 1, 0, 2, 0, 8, 7, 6, 5, 4, 3, 2, 1};
	static const uint8_t tail[16];
	struct wire_hello hello = hello_example(), back;
	uint8_t bytes[WIRE_HELLO_SIZE];
	(void)state;
	memset(bytes, 0xff, sizeof(bytes));
	wire_hello_pack(&hello, bytes);
	assert_memory_equal(bytes, head, sizeof(head));
	assert_memory_equal(bytes + 16, hello.ticket.secret, WIRE_SECRET_SIZE);
	assert_memory_equal(bytes + 48, tail, sizeof(tail));
	assert_int_not_equal(bytes[0], WIRE_TLS_FIRST_BYTE);
	assert_int_equal(wire_hello_unpack(bytes, &back), 0);
	assert_int_equal(back.version, hello.version);
	assert_int_equal(back.order, hello.order);
	assert_true(back.ticket.id == hello.ticket.id);
	assert_memory_equal(back.ticket.secret, hello.ticket.secret, WIRE_SECRET_SIZE);
}

/* Each bit of a frame is either of a field that may have it, or refused. */
static void test_hello_bits(void **state)
{
	struct wire_hello hello = hello_example(), back;
	(void)state;
	hello.order = WIRE_LITTLE_ENDIAN;
	for (size_t bit = 0; bit < WIRE_HELLO_SIZE * 8; bit++) {
		uint8_t bytes[WIRE_HELLO_SIZE];
		wire_hello_pack(&hello, bytes);
		bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
		bool version = bit / 8 == 4 || bit / 8 == 5, ticket = bit / 8 >= 8 && bit / 8 < 48;
		assert_int_equal(wire_hello_unpack(bytes, &back), version  ? -EPROTONOSUPPORT
								  : ticket ? 0
									   : -EPROTO);
	}
}

static void test_hello_of_another_version(void **state)
{
	struct wire_hello hello = hello_example(), back;
	uint8_t bytes[WIRE_HELLO_SIZE];
	(void)state;
	hello.version = 0xfffe;
	wire_hello_pack(&hello, bytes);
	bytes[6] = 77; /* whatever that version means by it */
	bytes[63] = 1;
	assert_int_equal(wire_hello_unpack(bytes, &back), -EPROTONOSUPPORT);
	assert_int_equal(back.version, 0xfffe);
	assert_true(back.order == WIRE_LITTLE_ENDIAN || back.order == WIRE_BIG_ENDIAN);
	bytes[0] = WIRE_TLS_FIRST_BYTE;
	assert_int_equal(wire_hello_unpack(bytes, &back), -EPROTO);
}

static void test_orders(void **state)
{
	struct wire_hello hello = hello_example(), back;
	uint8_t bytes[WIRE_HELLO_SIZE];
	(void)state;
	wire_hello_pack(&hello, bytes);
	for (unsigned order = 0; order < 256; order++) {
		bytes[6] = (uint8_t)order;
		assert_int_equal(wire_hello_unpack(bytes, &back), order == 1 || order == 2 ? 0 : -EPROTO);
		if (order == 1 || order == 2)
			assert_int_equal(back.order, order);
	}
}

static void test_welcome(void **state)
{
	static const uint8_t expected[WIRE_WELCOME_SIZE] = {'R', 'S', 'M', 'd', 1, 0, 1, 0, 0xcd, 0xab};
	struct wire_welcome welcome = {
		.version = WIRE_DATA_VERSION, .code = 0xabcd, .order = WIRE_LITTLE_ENDIAN};
	struct wire_welcome back;
	uint8_t bytes[WIRE_WELCOME_SIZE];
	(void)state;
	memset(bytes, 0xff, sizeof(bytes));
	wire_welcome_pack(&welcome, bytes);
	assert_memory_equal(bytes, expected, sizeof(expected));
	assert_int_equal(wire_welcome_unpack(bytes, &back), 0);
	assert_int_equal(back.version, welcome.version);
	assert_int_equal(back.code, welcome.code);
	assert_int_equal(back.order, welcome.order);
	for (size_t bit = 0; bit < WIRE_WELCOME_SIZE * 8; bit++) {
		wire_welcome_pack(&welcome, bytes);
		bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
		bool version = bit / 8 == 4 || bit / 8 == 5, code = bit / 8 == 8 || bit / 8 == 9;
		assert_int_equal(wire_welcome_unpack(bytes, &back), version ? -EPROTONOSUPPORT
								    : code  ? 0
									    : -EPROTO);
		if (version)
			assert_int_equal(back.code, welcome.code);
	}
}

static void request_round_trip(const struct wire_request *request)
{
	struct wire_request back;
	uint8_t bytes[WIRE_REQUEST_SIZE];
	memset(bytes, 0xff, sizeof(bytes));
	wire_request_pack(request, bytes);
	assert_int_equal(wire_request_unpack(bytes, &back), 0);
	assert_int_equal(back.op, request->op);
	assert_int_equal(back.flags, request->flags);
	assert_int_equal(back.width, request->width);
	assert_int_equal(back.sequence, request->sequence);
	assert_true(back.offset == request->offset);
	assert_true(back.length == request->length);
}

static void test_requests(void **state)
{
	static const uint8_t expected[WIRE_REQUEST_SIZE] = {
		2,    1,    8,    0,    0x44, 0x33, 0x22, 0x11, /* op, flags, width, 0, sequence */
		0x08, 0x07, 0x06, 0x05, 0x04, 0x03, 0x02, 0x01, /* offset */
		0x10, 0x32, 0x54, 0x76, 0,    0,    0,    0};
	static const struct wire_request good[] = {
		{WIRE_OP_PUT, 0, 0, 0, 0, 0},
		{WIRE_OP_PUT, WIRE_FLAG_ANSWER, 0, UINT32_MAX, 1, 3},
		{WIRE_OP_PUT, 0, 2, 1, 3, 2}, /* its alignment is the connection's matter */
		{WIRE_OP_PUT, 0, 0, 1, TWO_63 - WIRE_TRANSFER_MAX, WIRE_TRANSFER_MAX},
		{WIRE_OP_PUT, 0, 0, 1, TWO_63, 0},
		{WIRE_OP_PUT, 0, 0, 1, TWO_63 - 1, 1},
		{WIRE_OP_GET, WIRE_FLAG_ANSWER, 8, 0x11223344, 0x0102030405060708u, 0x76543210},
		{WIRE_OP_POST, WIRE_FLAG_ANSWER, 0, 5, 0, 0},
		{WIRE_OP_POST, WIRE_FLAG_ANSWER | WIRE_FLAG_NO_ACCUMULATE, 0, 5, 0, 0},
		{WIRE_OP_FENCE, WIRE_FLAG_ANSWER, 0, 5, 0, 0},
	};
	uint8_t bytes[WIRE_REQUEST_SIZE];
	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		request_round_trip(&good[i]);
	wire_request_pack(&good[6], bytes);
	assert_memory_equal(bytes, expected, sizeof(expected));
}

static void test_strange_requests(void **state)
{
	static const struct wire_request bad[] = {
		{WIRE_OP_GET, 0, 0, 0, 0, 8}, /* without the answer that it is about */
		{WIRE_OP_POST, 0, 0, 0, 0, 0},
		{WIRE_OP_POST, WIRE_FLAG_NO_ACCUMULATE, 0, 0, 0, 0},
		{WIRE_OP_FENCE, 0, 0, 0, 0, 0},
		{WIRE_OP_PUT, WIRE_FLAG_NO_ACCUMULATE, 0, 0, 0, 8},
		{WIRE_OP_GET, WIRE_FLAGS, 0, 0, 0, 8},
		{WIRE_OP_FENCE, WIRE_FLAGS, 0, 0, 0, 0},
		{WIRE_OP_POST, WIRE_FLAG_ANSWER, 0, 0, 1, 0}, /* a range where nothing is moved */
		{WIRE_OP_POST, WIRE_FLAG_ANSWER, 0, 0, 0, 1},
		{WIRE_OP_POST, WIRE_FLAG_ANSWER, 1, 0, 0, 0},
		{WIRE_OP_FENCE, WIRE_FLAG_ANSWER, 0, 0, 1, 0},
		{WIRE_OP_FENCE, WIRE_FLAG_ANSWER, 0, 0, 0, 1},
		{WIRE_OP_FENCE, WIRE_FLAG_ANSWER, 1, 0, 0, 0},
		{WIRE_OP_PUT, 0, 2, 0, 0, 3}, /* no whole items */
		{WIRE_OP_PUT, 0, 4, 0, 0, 6},
		{WIRE_OP_PUT, 0, 8, 0, 0, 4},
		{WIRE_OP_PUT, 0, 0, 0, 0, WIRE_TRANSFER_MAX + 1}, /* too long, too far, or around */
		{WIRE_OP_PUT, 0, 0, 0, 0, TWO_63},
		{WIRE_OP_PUT, 0, 0, 0, 0, UINT64_MAX},
		{WIRE_OP_PUT, 0, 0, 0, 1, UINT64_MAX},
		{WIRE_OP_PUT, 0, 0, 0, UINT64_MAX, UINT64_MAX},
		{WIRE_OP_PUT, 0, 0, 0, UINT64_MAX, 0},
		{WIRE_OP_PUT, 0, 0, 0, UINT64_MAX, 1},
		{WIRE_OP_PUT, 0, 0, 0, TWO_63, 1},
		{WIRE_OP_PUT, 0, 0, 0, TWO_63 + 1, 0},
		{WIRE_OP_PUT, 0, 0, 0, TWO_63 - WIRE_TRANSFER_MAX + 1, WIRE_TRANSFER_MAX},
	};
	struct wire_request back;
	uint8_t bytes[WIRE_REQUEST_SIZE];
	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		wire_request_pack(&bad[i], bytes);
		assert_int_equal(wire_request_unpack(bytes, &back), -EPROTO);
	}
}

/* Every value of the bytes that are no numbers, in each op. */
static void test_request_bytes(void **state)
{
	struct wire_request back;
	(void)state;
	for (unsigned value = 0; value < 256; value++) {
		uint8_t op[WIRE_REQUEST_SIZE] = {(uint8_t)value, WIRE_FLAG_ANSWER};
		assert_int_equal(wire_request_unpack(op, &back), value >= 1 && value <= 4 ? 0 : -EPROTO);
		uint8_t put[WIRE_REQUEST_SIZE] = {WIRE_OP_PUT, (uint8_t)value};
		assert_int_equal(wire_request_unpack(put, &back), value <= 1 ? 0 : -EPROTO);
		uint8_t post[WIRE_REQUEST_SIZE] = {WIRE_OP_POST, (uint8_t)value};
		assert_int_equal(wire_request_unpack(post, &back), value == 1 || value == 3 ? 0 : -EPROTO);
		uint8_t width[WIRE_REQUEST_SIZE] = {WIRE_OP_PUT, 0, (uint8_t)value};
		bool known = value <= 2 || value == 4 || value == 8;
		assert_int_equal(wire_request_unpack(width, &back), known ? 0 : -EPROTO);
		uint8_t zero[WIRE_REQUEST_SIZE] = {WIRE_OP_PUT, 0, 0, (uint8_t)value};
		assert_int_equal(wire_request_unpack(zero, &back), value == 0 ? 0 : -EPROTO);
	}
}

static void test_replies(void **state)
{
	static const uint8_t expected[WIRE_REPLY_SIZE] = {2,    0,    0,    0,    0x44, 0x33, 0x22, 0x11,
							  0x08, 0x07, 0x06, 0x05, 0x04, 0x03, 0x02, 0};
	static const struct wire_reply good[] = {
		{WIRE_OP_GET, RSM_SUCCESS, 0x11223344, 0x02030405060708u},
		{WIRE_OP_GET, RSM_SUCCESS, 0, 0},
		{WIRE_OP_GET, RSM_SUCCESS, 0, WIRE_TRANSFER_MAX},
		{WIRE_OP_PUT, RSM_SUCCESS, UINT32_MAX, 0},
		{WIRE_OP_PUT, RSMERR_CONN_ABORTED, 1, WIRE_REPLY_TEXT_MAX},
		{WIRE_OP_FENCE, UINT16_MAX, 1, 0},
		{WIRE_OP_POST, RSM_SUCCESS, 1, 0},
	};
	static const struct wire_reply bad[] = {
		{WIRE_OP_GET, RSM_SUCCESS, 0, WIRE_TRANSFER_MAX + 1},
		{WIRE_OP_GET, RSM_SUCCESS, 0, UINT64_MAX},
		{WIRE_OP_GET, RSMERR_BAD_ADDR, 0, WIRE_REPLY_TEXT_MAX + 1},
		{WIRE_OP_PUT, RSM_SUCCESS, 0, 1},
		{WIRE_OP_POST, RSM_SUCCESS, 0, 1},
		{WIRE_OP_FENCE, RSM_SUCCESS, 0, TWO_63},
		{WIRE_OP_FENCE, RSMERR_BAD_ADDR, 0, UINT64_MAX},
	};
	struct wire_reply back;
	uint8_t bytes[WIRE_REPLY_SIZE];
	(void)state;
	wire_reply_pack(&good[0], bytes);
	assert_memory_equal(bytes, expected, sizeof(expected));
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		memset(bytes, 0xff, sizeof(bytes));
		wire_reply_pack(&good[i], bytes);
		assert_int_equal(wire_reply_unpack(bytes, &back), 0);
		assert_int_equal(back.op, good[i].op);
		assert_int_equal(back.code, good[i].code);
		assert_int_equal(back.sequence, good[i].sequence);
		assert_true(back.length == good[i].length);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		wire_reply_pack(&bad[i], bytes);
		assert_int_equal(wire_reply_unpack(bytes, &back), -EPROTO);
	}
	for (unsigned value = 0; value < 256; value++) {
		uint8_t op[WIRE_REPLY_SIZE] = {(uint8_t)value}, zero[WIRE_REPLY_SIZE] = {1, (uint8_t)value};
		assert_int_equal(wire_reply_unpack(op, &back), value >= 1 && value <= 4 ? 0 : -EPROTO);
		assert_int_equal(wire_reply_unpack(zero, &back), value == 0 ? 0 : -EPROTO);
	}
}

static bool passes(enum wire_op op, uint32_t granted, uint8_t width, uint64_t offset, uint64_t length,
		   uint64_t size)
{
	struct wire_request request = {op, WIRE_FLAG_ANSWER, width, 7, offset, length};
	return wire_request_check(&request, granted, size, 7) == NULL;
}

static void test_bounds(void **state)
{
	static const uint64_t huge[] = {TWO_63 - 1, TWO_63, TWO_63 + 1, UINT64_MAX - 1, UINT64_MAX};
	const uint64_t size = 8192;
	(void)state;
	for (int op = WIRE_OP_PUT; op <= WIRE_OP_GET; op++) {
		assert_true(passes(op, RSM_PERM_RDWR, 0, 0, 0, size));
		assert_true(passes(op, RSM_PERM_RDWR, 0, 0, size, size));
		assert_true(passes(op, RSM_PERM_RDWR, 0, size - 1, 1, size));
		assert_true(passes(op, RSM_PERM_RDWR, 0, size, 0, size));
		assert_false(passes(op, RSM_PERM_RDWR, 0, size, 1, size));
		assert_false(passes(op, RSM_PERM_RDWR, 0, size + 1, 0, size));
		assert_false(passes(op, RSM_PERM_RDWR, 0, 0, size + 1, size));
		assert_false(passes(op, RSM_PERM_RDWR, 0, 1, size, size));
		assert_false(passes(op, RSM_PERM_RDWR, 0, 0, 1, 0));
		for (size_t i = 0; i < sizeof(huge) / sizeof(huge[0]); i++) {
			assert_false(passes(op, RSM_PERM_RDWR, 0, huge[i], 0, size));
			assert_false(passes(op, RSM_PERM_RDWR, 0, huge[i], 1, size));
			assert_false(passes(op, RSM_PERM_RDWR, 0, huge[i], huge[i], size));
			assert_false(passes(op, RSM_PERM_RDWR, 0, 0, huge[i], size));
			assert_false(passes(op, RSM_PERM_RDWR, 0, 1, huge[i], size));
			assert_false(passes(op, RSM_PERM_RDWR, 0, size, huge[i], size));
			assert_false(passes(op, RSM_PERM_RDWR, 0, UINT64_MAX - size, huge[i], size));
		}
	}
}

static void test_alignment(void **state)
{
	static const uint8_t widths[] = {1, 2, 4, 8};
	(void)state;
	for (size_t i = 0; i < sizeof(widths); i++)
		for (uint64_t offset = 0; offset < 17; offset++)
			assert_int_equal(
				passes(WIRE_OP_PUT, RSM_PERM_WRITE, widths[i], offset, widths[i], 64),
				offset % widths[i] == 0);
	assert_true(passes(WIRE_OP_PUT, RSM_PERM_WRITE, 0, 3, 5, 64));
}

static void test_rights(void **state)
{
	static const uint32_t rights[] = {RSM_PERM_NONE, RSM_PERM_READ, RSM_PERM_WRITE, RSM_PERM_RDWR};
	(void)state;
	for (size_t i = 0; i < 4; i++) {
		assert_int_equal(passes(WIRE_OP_PUT, rights[i], 0, 0, 1, 64), i >= 2);
		assert_int_equal(passes(WIRE_OP_GET, rights[i], 0, 0, 1, 64), i % 2 == 1);
		assert_true(passes(WIRE_OP_POST, rights[i], 0, 0, 0, 64));
		assert_true(passes(WIRE_OP_FENCE, rights[i], 0, 0, 0, 64));
	}
	assert_false(passes(WIRE_OP_PUT, ~(uint32_t)RSM_PERM_WRITE, 0, 0, 1, 64));
}

static void test_sequence(void **state)
{
	struct wire_request request = {WIRE_OP_FENCE, WIRE_FLAG_ANSWER, 0, UINT32_MAX, 0, 0};
	(void)state;
	assert_null(wire_request_check(&request, 0, 0, UINT32_MAX));
	assert_non_null(wire_request_check(&request, 0, 0, UINT32_MAX - 1));
	uint32_t next = UINT32_MAX;
	next++;
	assert_non_null(wire_request_check(&request, 0, 0, next));
	request.sequence = 0;
	assert_null(wire_request_check(&request, 0, 0, next));
	request.sequence = 1;
	assert_non_null(wire_request_check(&request, 0, 0, next)); /* one is lost */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_own_order),     cmocka_unit_test(test_hello),
		cmocka_unit_test(test_hello_bits),    cmocka_unit_test(test_hello_of_another_version),
		cmocka_unit_test(test_orders),        cmocka_unit_test(test_welcome),
		cmocka_unit_test(test_requests),      cmocka_unit_test(test_strange_requests),
		cmocka_unit_test(test_request_bytes), cmocka_unit_test(test_replies),
		cmocka_unit_test(test_bounds),        cmocka_unit_test(test_alignment),
		cmocka_unit_test(test_rights),        cmocka_unit_test(test_sequence),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
