/* SPDX-License-Identifier: BSD-2-Clause */
#include "wire/frame.h"

#include <errno.h>
#include <string.h>

#include <sys/rsm/rsm_common.h>

#define OFFSET_LIMIT                                                                                         \
	((uint64_t)1 << 63) /* no range ends behind it, so that sums of what passed cannot overflow */

static const uint8_t magic[4] = {'R', 'S', 'M', 'd'};

enum wire_order wire_order_own(void)
{
	return __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? WIRE_LITTLE_ENDIAN : WIRE_BIG_ENDIAN;
}

/* `size` bytes, the lowest first. */
static void put_number(uint8_t *bytes, size_t size, uint64_t value)
{
	for (size_t i = 0; i < size; i++)
		bytes[i] = (uint8_t)(value >> (8 * i));
}

static uint64_t get_number(const uint8_t *bytes, size_t size)
{
	uint64_t value = 0;
	for (size_t i = 0; i < size; i++)
		value |= (uint64_t)bytes[i] << (8 * i);
	return value;
}

static bool is_zero(const uint8_t *bytes, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (bytes[i] != 0)
			return false;
	return true;
}

static bool is_order(uint8_t byte)
{
	return byte == WIRE_LITTLE_ENDIAN || byte == WIRE_BIG_ENDIAN;
}

static bool is_op(uint8_t byte)
{
	return byte >= WIRE_OP_PUT && byte <= WIRE_OP_FENCE;
}

static bool is_width(uint8_t byte)
{
	return byte == 0 || byte == 1 || byte == 2 || byte == 4 || byte == 8;
}

/* What hello and welcome begin with. */
static void start_pack(uint8_t *bytes, size_t size, uint16_t version, enum wire_order order)
{
	memset(bytes, 0, size);
	memcpy(bytes, magic, sizeof(magic));
	put_number(bytes + 4, 2, version);
	bytes[6] = (uint8_t)order;
}

/* 0, -EPROTO, or -EPROTONOSUPPORT: nothing but the places of magic, version and code is promised of other versions. */
static int start_check(const uint8_t *bytes)
{
	if (memcmp(bytes, magic, sizeof(magic)) != 0)
		return -EPROTO;
	if (get_number(bytes + 4, 2) != WIRE_DATA_VERSION)
		return -EPROTONOSUPPORT;
	return is_order(bytes[6]) && bytes[7] == 0 ? 0 : -EPROTO;
}

static enum wire_order order_of(const uint8_t *bytes)
{
	return bytes[6] == WIRE_BIG_ENDIAN ? WIRE_BIG_ENDIAN : WIRE_LITTLE_ENDIAN;
}

void wire_hello_pack(const struct wire_hello *hello, uint8_t bytes[WIRE_HELLO_SIZE])
{
	start_pack(bytes, WIRE_HELLO_SIZE, hello->version, hello->order);
	put_number(bytes + 8, 8, hello->ticket.id);
	memcpy(bytes + 16, hello->ticket.secret, WIRE_SECRET_SIZE);
}

int wire_hello_unpack(const uint8_t bytes[WIRE_HELLO_SIZE], struct wire_hello *hello)
{
	int error = start_check(bytes);
	hello->version = (uint16_t)get_number(bytes + 4, 2);
	hello->order = order_of(bytes);
	hello->ticket.id = get_number(bytes + 8, 8);
	memcpy(hello->ticket.secret, bytes + 16, WIRE_SECRET_SIZE);
	if (!error && !is_zero(bytes + 48, WIRE_HELLO_SIZE - 48))
		error = -EPROTO;
	return error;
}

void wire_welcome_pack(const struct wire_welcome *welcome, uint8_t bytes[WIRE_WELCOME_SIZE])
{
	start_pack(bytes, WIRE_WELCOME_SIZE, welcome->version, welcome->order);
	put_number(bytes + 8, 2, welcome->code);
}

int wire_welcome_unpack(const uint8_t bytes[WIRE_WELCOME_SIZE], struct wire_welcome *welcome)
{
	int error = start_check(bytes);
	welcome->version = (uint16_t)get_number(bytes + 4, 2);
	welcome->order = order_of(bytes);
	welcome->code = (uint16_t)get_number(bytes + 8, 2);
	if (!error && !is_zero(bytes + 10, WIRE_WELCOME_SIZE - 10))
		error = -EPROTO;
	return error;
}

void wire_request_pack(const struct wire_request *request, uint8_t bytes[WIRE_REQUEST_SIZE])
{
	bytes[0] = (uint8_t)request->op;
	bytes[1] = request->flags;
	bytes[2] = request->width;
	bytes[3] = 0;
	put_number(bytes + 4, 4, request->sequence);
	put_number(bytes + 8, 8, request->offset);
	put_number(bytes + 16, 8, request->length);
}

/* Which flags an op may and must have. */
static bool flags_fit(enum wire_op op, uint8_t flags)
{
	if ((flags & ~WIRE_FLAGS) != 0)
		return false;
	if ((flags & WIRE_FLAG_NO_ACCUMULATE) != 0 && op != WIRE_OP_POST)
		return false;
	return (flags & WIRE_FLAG_ANSWER) != 0 || op == WIRE_OP_PUT;
}

/* A range without overflow and in whole items; none at all where nothing is moved. */
static bool range_fits(const struct wire_request *request)
{
	if (request->op != WIRE_OP_PUT && request->op != WIRE_OP_GET)
		return request->width == 0 && request->offset == 0 && request->length == 0;
	if (request->length > WIRE_TRANSFER_MAX || request->offset > OFFSET_LIMIT - request->length)
		return false;
	return request->width == 0 || request->length % request->width == 0;
}

int wire_request_unpack(const uint8_t bytes[WIRE_REQUEST_SIZE], struct wire_request *request)
{
	if (!is_op(bytes[0]) || !is_width(bytes[2]) || bytes[3] != 0)
		return -EPROTO;
	request->op = (enum wire_op)bytes[0];
	request->flags = bytes[1];
	request->width = bytes[2];
	request->sequence = (uint32_t)get_number(bytes + 4, 4);
	request->offset = get_number(bytes + 8, 8);
	request->length = get_number(bytes + 16, 8);
	return flags_fit(request->op, request->flags) && range_fits(request) ? 0 : -EPROTO;
}

void wire_reply_pack(const struct wire_reply *reply, uint8_t bytes[WIRE_REPLY_SIZE])
{
	bytes[0] = (uint8_t)reply->op;
	bytes[1] = 0;
	put_number(bytes + 2, 2, reply->code);
	put_number(bytes + 4, 4, reply->sequence);
	put_number(bytes + 8, 8, reply->length);
}

int wire_reply_unpack(const uint8_t bytes[WIRE_REPLY_SIZE], struct wire_reply *reply)
{
	if (!is_op(bytes[0]) || bytes[1] != 0)
		return -EPROTO;
	reply->op = (enum wire_op)bytes[0];
	reply->code = (uint16_t)get_number(bytes + 2, 2);
	reply->sequence = (uint32_t)get_number(bytes + 4, 4);
	reply->length = get_number(bytes + 8, 8);
	uint64_t limit = reply->code != RSM_SUCCESS ? WIRE_REPLY_TEXT_MAX
			 : reply->op == WIRE_OP_GET ? WIRE_TRANSFER_MAX
						    : 0;
	return reply->length <= limit ? 0 : -EPROTO;
}

/* What moves nothing needs no right: a connection without any may still signal. */
static uint32_t right_needed(enum wire_op op)
{
	return op == WIRE_OP_PUT ? RSM_PERM_WRITE : op == WIRE_OP_GET ? RSM_PERM_READ : RSM_PERM_NONE;
}

const char *wire_request_check(const struct wire_request *request, uint32_t granted, uint64_t size,
			       uint32_t sequence)
{
	uint32_t needed = right_needed(request->op);
	if (request->sequence != sequence)
		return "sequence number is not the next one";
	if ((granted & needed) != needed)
		return request->op == WIRE_OP_PUT ? "put without the right to write"
						  : "get without the right to read";
	if (request->width != 0 && request->offset % request->width != 0)
		return "offset is not aligned to the items' width";
	if (request->length > size || request->offset > size - request->length)
		return "range outside the segment";
	return NULL;
}
