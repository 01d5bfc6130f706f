/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One data connection being served: a state machine that never blocks (doc/protocol.md 4). A data thread gives it turns,
 * with buffers of the thread's; between turns a connection holds nothing but this struct, unless its client is slow or
 * impatient. serve.c takes requests in, serve_out.c sends what they give. Private to data.c and these two.
 */
#ifndef RSMD_SERVE_H
#define RSMD_SERVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "rsmd/target.h"
#include "wire/frame.h"
#include "wire/tls.h"

#define RSMD_SERVE_BUFFER ((size_t)64 << 10) /* bytes, of what comes and of what goes */
#define RSMD_SERVE_STEP   ((size_t)1 << 20)  /* bytes moved in one turn: how long others wait, and the gate */
#define RSMD_SERVE_LARGE  ((size_t)16 << 10) /* payload from here on goes past the buffers */

/* Of a data thread. */
struct rsmd_serve_buffers {
	size_t budget; /* bytes that this turn may still move */
	bool busy;     /* this turn received or sent something */
	size_t out_length;
	unsigned char in[RSMD_SERVE_BUFFER], out[RSMD_SERVE_BUFFER];
};

/* What a connection waits for after its turn. */
enum rsmd_serve_wait {
	RSMD_SERVE_READ,  /* something to receive */
	RSMD_SERVE_WRITE, /* room to send */
	RSMD_SERVE_MORE,  /* its next turn */
	RSMD_SERVE_HELD,  /* rsmd_data_resume, a new lease, or its end */
	RSMD_SERVE_END,   /* nothing any more; `why` */
};

/* Bytes that could not be sent, or not be looked at yet. */
struct rsmd_serve_rest {
	unsigned char *bytes; /* NULL: none */
	size_t start, end;
};

struct rsmd_serve {
	int socket;
	struct wire_tls *tls; /* or NULL */
	struct rsmd_grant *grant;
	bool swap;
	const char *why; /* it ended by an offence */

	/* what comes */
	uint32_t sequence; /* of the next request */
	unsigned head_length;
	uint8_t head[WIRE_REQUEST_SIZE]; /* the beginning of one */
	bool large;                      /* the last put was, so it is likely that the next one is too */
	struct rsmd_serve_rest received;

	/* the request being performed */
	enum { SERVE_HEAD, SERVE_PUT, SERVE_GET } phase;
	struct wire_request request;
	uint64_t done;        /* bytes of the payload; of a GET that is probed: bytes known to be there */
	bool answered;        /* GET: the reply's header is out, the payload follows */
	bool direct;          /* GET: from the segment to the socket */
	bool failed;          /* PUT: the rest of the payload is thrown away */
	bool late;            /* the lease has passed in the middle of a turn: nothing more is performed */
	unsigned item_length; /* PUT of items: bytes of one that came in two parts */
	uint8_t item[8];

	/* unanswered puts that failed, until somebody can be told */
	bool is_failing;
	int error;
	struct wire_request culprit;

	struct rsmd_serve_rest unsent;
};

/* Gives it a turn. Takes the gate for it, unless the loop's thread wants it. */
enum rsmd_serve_wait rsmd_serve_turn(struct rsmd_serve *serve, struct rsmd_serve_buffers *buffers);

/* How many bytes are worth a receive: 1, or a good part of what a large put still has to bring. */
int rsmd_serve_bulk(const struct rsmd_serve *serve);

/* Frees what it holds, not the struct, the socket, the TLS or the grant. */
void rsmd_serve_clear(struct rsmd_serve *serve);

/* ---- serve_out.c; RSMD_SERVE_MORE means: go on ---- */

/* Whether `length` bytes find room behind what waits to be sent; sends it where they do not. */
enum rsmd_serve_wait rsmd_serve_room(struct rsmd_serve *serve, struct rsmd_serve_buffers *buffers,
				     size_t length);
/* Sends all that waits. What does not go is kept in `unsent`, and RSMD_SERVE_WRITE returned. */
enum rsmd_serve_wait rsmd_serve_flush(struct rsmd_serve *serve, struct rsmd_serve_buffers *buffers);
/* The rest of an earlier turn. Before it is gone nothing is put behind it. */
enum rsmd_serve_wait rsmd_serve_resend(struct rsmd_serve *serve, struct rsmd_serve_buffers *buffers);

/* A reply to the present request, where there is room: success with `length` bytes to follow, or the failure and its text. */
void rsmd_serve_reply(struct rsmd_serve *serve, struct rsmd_serve_buffers *buffers, uint64_t length);
void rsmd_serve_refuse(struct rsmd_serve *serve, struct rsmd_serve_buffers *buffers,
		       const struct wire_request *culprit, int error);
#define RSMD_SERVE_REPLY_ROOM (WIRE_REPLY_SIZE + WIRE_REPLY_TEXT_MAX)

/* A step of the present GET. RSMD_SERVE_MORE: `phase` tells whether it is over. */
enum rsmd_serve_wait rsmd_serve_get(struct rsmd_serve *serve, struct rsmd_serve_buffers *buffers);

/* Turns the bytes of each item round. */
void rsmd_serve_swap(unsigned char *bytes, size_t length, unsigned width);

/* Adds to a counter that only this thread changes. */
static inline void rsmd_serve_count(_Atomic uint64_t *counter, uint64_t more)
{
	atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + more,
			      memory_order_relaxed);
}

#endif
