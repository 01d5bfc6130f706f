/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What travels on a data connection: one hello in each direction, then requests with their payload one way and
 * replies the other, each in order (doc/protocol.md 4). Everything is little-endian and of fixed size. These functions
 * only turn bytes into structs and back and judge them: no input or output, no allocation, any thread. Nothing that comes
 * out of unpack may be used before its check.
 */
#ifndef WIRE_FRAME_H
#define WIRE_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WIRE_DATA_VERSION   1u
#define WIRE_HELLO_SIZE     64u /* bytes, client to server */
#define WIRE_WELCOME_SIZE   16u /* bytes, server to client */
#define WIRE_REQUEST_SIZE   24u
#define WIRE_REPLY_SIZE     16u
#define WIRE_SECRET_SIZE    32u
#define WIRE_REPLY_TEXT_MAX 256u                /* bytes of the reason behind a reply that refuses */
#define WIRE_TRANSFER_MAX   ((uint64_t)1 << 56) /* bytes of one request: more than any segment */
#define WIRE_TLS_FIRST_BYTE 0x16u               /* what a TLS connection begins with; a hello never does */

/* The one-time right to open one data connection (granted through the control streams). */
struct wire_ticket {
	uint64_t id;
	uint8_t secret[WIRE_SECRET_SIZE];
};

enum wire_order { WIRE_LITTLE_ENDIAN = 1, WIRE_BIG_ENDIAN = 2 };
enum wire_order wire_order_own(void);

struct wire_hello {
	uint16_t version;
	enum wire_order order; /* of the items of get_items and put_items */
	struct wire_ticket ticket;
};

struct wire_welcome {
	uint16_t version;
	uint16_t code; /* RSM_SUCCESS, or an RSMERR code and the connection ends */
	enum wire_order order;
};

enum wire_op {
	WIRE_OP_PUT = 1,   /* payload follows the request */
	WIRE_OP_GET = 2,   /* payload follows the reply */
	WIRE_OP_POST = 3,  /* one event for the exporter, behind all earlier puts of this connection */
	WIRE_OP_FENCE = 4, /* answered when all earlier requests are performed */
};
/* An answer to PUT, POST or FENCE is a refusal also when an unanswered PUT before it failed; a POST then posts nothing. */

#define WIRE_FLAG_ANSWER        0x01u /* a reply is wanted; GET, POST and FENCE always have it set */
#define WIRE_FLAG_NO_ACCUMULATE 0x02u /* POST only */
#define WIRE_FLAGS              0x03u

struct wire_request {
	enum wire_op op;
	uint8_t flags;
	uint8_t width;     /* 0: bytes; 1, 2, 4, 8: items, each moved by one access */
	uint32_t sequence; /* 0, 1, 2...: checked, so that a lost or doubled frame ends the connection */
	uint64_t offset;   /* bytes, in the segment */
	uint64_t length;   /* bytes of the payload */
};

struct wire_reply {
	enum wire_op op;
	uint16_t code;     /* RSM_SUCCESS, or an RSMERR code; the reason is the payload then */
	uint32_t sequence; /* of the request */
	uint64_t length;   /* bytes that follow: of a GET that succeeded, or of a reason */
};

void wire_hello_pack(const struct wire_hello *hello, uint8_t bytes[WIRE_HELLO_SIZE]);
void wire_welcome_pack(const struct wire_welcome *welcome, uint8_t bytes[WIRE_WELCOME_SIZE]);
void wire_request_pack(const struct wire_request *request, uint8_t bytes[WIRE_REQUEST_SIZE]);
void wire_reply_pack(const struct wire_reply *reply, uint8_t bytes[WIRE_REPLY_SIZE]);

/*
 * 0, or -EPROTO when the bytes cannot be such a frame whatever the connection is: magic, unknown op, flags or width, bits that
 * must be 0 (also offset, length and width of an op that moves nothing), a length that is no multiple of the width, offset +
 * length beyond 2^63. Of hello and welcome -EPROTONOSUPPORT for another version, with the struct filled: version and code
 * keep their places, the rest may mean something else.
 */
int wire_hello_unpack(const uint8_t bytes[WIRE_HELLO_SIZE], struct wire_hello *hello);
int wire_welcome_unpack(const uint8_t bytes[WIRE_WELCOME_SIZE], struct wire_welcome *welcome);
int wire_request_unpack(const uint8_t bytes[WIRE_REQUEST_SIZE], struct wire_request *request);
int wire_reply_unpack(const uint8_t bytes[WIRE_REPLY_SIZE], struct wire_reply *reply);

/*
 * Judges a request against its connection: its right (`granted`, RSM_PERM_ bits), the segment's `size`, the expected sequence,
 * alignment of offset to width; without overflow. NULL when it may be performed, else what is wrong with it, for the log.
 */
const char *wire_request_check(const struct wire_request *request, uint32_t granted, uint64_t size,
			       uint32_t sequence);

#endif
