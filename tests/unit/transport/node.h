/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Another node's rsmd of a few lines, in a thread of the test: it listens on 127.0.0.1, speaks wire/frame.h, and performs
 * requests on memory of its own, or misbehaves as the test says. One connection at a time.
 */
#ifndef UNIT_TRANSPORT_NODE_H
#define UNIT_TRANSPORT_NODE_H

#include <semaphore.h>
#include <stdatomic.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/frame.h"

#define NODE_SIZE ((size_t)12 << 20) /* of the segment */

/* What it does to the request number `fault_at` (from 0), after it was received whole. */
enum node_fault {
	NODE_WELL,
	NODE_SILENT,       /* no answer, and nothing is read any more */
	NODE_END,          /* hangs up instead of an answer */
	NODE_HALF_HEADER,  /* hangs up after half of the answer's header */
	NODE_HALF_PAYLOAD, /* hangs up after half of the payload */
	NODE_SEQUENCE,     /* answers with another sequence number */
	NODE_OP,           /* answers to another op */
	NODE_SHORT,        /* says that the payload is one byte shorter */
	NODE_LONG,         /* or longer */
	NODE_JUNK,         /* answers by bytes that are no reply */
	NODE_TWICE,        /* answers twice */
	NODE_REFUSE,       /* refuses by BARRIER_FAILURE and a reason */
	NODE_REFUSE_ODD, /* refuses by a code that does not exist, with a reason full of control characters */
	NODE_REFUSE_LONG, /* refuses with a reason longer than allowed */
};

enum node_welcome {
	NODE_WELCOME,
	NODE_WELCOME_NONE, /* says nothing */
	NODE_WELCOME_END,  /* hangs up */
	NODE_WELCOME_HALF, /* hangs up after half of it */
	NODE_WELCOME_JUNK,
	NODE_WELCOME_VERSION, /* of another version */
};

struct node {
	enum node_welcome welcome;
	uint16_t welcome_code;
	enum node_fault fault;
	unsigned fault_at;
	bool trickle;                   /* answers byte by byte */
	uint8_t cipher;                 /* what tls_stub.c makes of each byte; 0: plain */
	char identity[WIRE_HELLO_SIZE]; /* that the client named by TLS */
	_Atomic bool hold;              /* reads nothing before `go` is posted, once */
	_Atomic bool hold_answer;       /* the same between a request and its answer */
	sem_t go;

	struct wire_hello hello; /* heard */
	_Atomic bool greeted;    /* and all of it */
	unsigned char *memory;
	_Atomic unsigned requests, puts, answered_puts, gets, posts, fences;
	_Atomic unsigned last_post_flags;
	_Atomic bool is_silent; /* NODE_SILENT has come */
	uint16_t port;
};
extern struct node node;

void node_start(void);
void node_stop(void);

/* Waits until the node has seen so many requests. */
void node_await(const _Atomic unsigned *counter, unsigned value);

#endif
