/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a stranger can put into a frame: nothing that passes may be out of bounds, and what passes packs to the same bytes again.
 * The first byte chooses the frame.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <sys/rsm/rsm_common.h>

#include "target.h"
#include "wire/frame.h"

#define SEGMENT_SIZE ((uint64_t)1 << 20)

static void require(bool holds)
{
	if (!holds)
		abort();
}

/* The bytes of one frame of `size`; what is missing is zero. */
static void take(uint8_t *bytes, size_t size, const uint8_t *data, size_t length)
{
	memset(bytes, 0, size);
	memcpy(bytes, data, length < size ? length : size);
}

static void hello(const uint8_t *data, size_t length)
{
	uint8_t bytes[WIRE_HELLO_SIZE], again[WIRE_HELLO_SIZE];
	struct wire_hello hello;
	take(bytes, sizeof(bytes), data, length);
	if (wire_hello_unpack(bytes, &hello) != 0)
		return;
	require(hello.version == WIRE_DATA_VERSION);
	require(bytes[0] != WIRE_TLS_FIRST_BYTE);
	wire_hello_pack(&hello, again);
	require(memcmp(bytes, again, sizeof(bytes)) == 0);
}

static void welcome(const uint8_t *data, size_t length)
{
	uint8_t bytes[WIRE_WELCOME_SIZE], again[WIRE_WELCOME_SIZE];
	struct wire_welcome welcome;
	take(bytes, sizeof(bytes), data, length);
	if (wire_welcome_unpack(bytes, &welcome) != 0)
		return;
	wire_welcome_pack(&welcome, again);
	require(memcmp(bytes, again, sizeof(bytes)) == 0);
}

static void request(const uint8_t *data, size_t length)
{
	uint8_t bytes[WIRE_REQUEST_SIZE], again[WIRE_REQUEST_SIZE];
	struct wire_request request;
	take(bytes, sizeof(bytes), data, length);
	if (wire_request_unpack(bytes, &request) != 0)
		return;
	wire_request_pack(&request, again);
	require(memcmp(bytes, again, sizeof(bytes)) == 0);
	static const uint32_t rights[] = {RSM_PERM_NONE, RSM_PERM_READ, RSM_PERM_WRITE, RSM_PERM_RDWR};
	for (size_t i = 0; i < sizeof(rights) / sizeof(rights[0]); i++) {
		if (wire_request_check(&request, rights[i], SEGMENT_SIZE, request.sequence))
			continue;
		require(request.op != WIRE_OP_PUT || (rights[i] & RSM_PERM_WRITE) != 0);
		require(request.op != WIRE_OP_GET || (rights[i] & RSM_PERM_READ) != 0);
		require(request.offset <= SEGMENT_SIZE && request.length <= SEGMENT_SIZE);
		require(request.offset + request.length <= SEGMENT_SIZE);
		require(request.width == 0 || request.offset % request.width == 0);
		require(request.width == 0 || request.length % request.width == 0);
		require(wire_request_check(&request, rights[i], SEGMENT_SIZE, request.sequence + 1) != NULL);
	}
}

static void reply(const uint8_t *data, size_t length)
{
	uint8_t bytes[WIRE_REPLY_SIZE], again[WIRE_REPLY_SIZE];
	struct wire_reply reply;
	take(bytes, sizeof(bytes), data, length);
	if (wire_reply_unpack(bytes, &reply) != 0)
		return;
	require(reply.code == RSM_SUCCESS ? reply.op == WIRE_OP_GET || reply.length == 0
					  : reply.length <= WIRE_REPLY_TEXT_MAX);
	wire_reply_pack(&reply, again);
	require(memcmp(bytes, again, sizeof(bytes)) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
	static void (*const kinds[])(const uint8_t *data, size_t length) = {hello, welcome, request, reply};
	if (length > 0)
		kinds[data[0] % 4](data + 1, length - 1);
	return 0;
}
