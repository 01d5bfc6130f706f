/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An rsmd of a few lines, in a thread of the test: it listens on a socket of its own, which RSM_SOCKET names, and
 * answers as the test says, also what no rsmd would. One conversation at a time.
 */
#ifndef UNIT_LIB_FAKE_H
#define UNIT_LIB_FAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "segment/status.h"
#include "wire/packet.h"
#include "wire/rsm.pb-c.h"

#define FAKE_SLOTS 64u /* of the status table */

/*
 * Answers one request, which lies in `packet` with its descriptors. False: hangs up. Runs in the fake's thread,
 * where cmocka's assertions do not work: FAKE_MUST does.
 */
typedef bool (*fake_answer)(int socket, const Wire__Request *request, struct wire_packet *packet);

#define FAKE_MUST(condition) ((condition) ? (void)0 : fake_die(__FILE__, __LINE__, #condition))
void fake_die(const char *file, int line, const char *what) __attribute__((noreturn));

void fake_start(fake_answer answer);

/* For the strings of messages, which are not const and only read. */
static inline char *fake_text(const char *text)
{
	return (char *)(uintptr_t)text;
}

/* Ends the library's conversation too. */
void fake_stop(void);

/* Conversations and requests since fake_start. */
unsigned fake_conversations(void);
unsigned fake_requests(void);

/* The status table of the present fake, writable. */
struct segment_status *fake_status(void);

/* Sends an answer with the request's id. The descriptors stay the caller's. */
void fake_reply(int socket, const Wire__Request *request, Wire__Reply *reply, const int *fds,
		size_t fd_count);
void fake_reply_empty(int socket, const Wire__Request *request);

/* Sends these bytes as the body of a packet, or as a packet as they are. */
void fake_send_body(int socket, const void *bytes, size_t length);
void fake_send_raw(int socket, const void *bytes, size_t length);

/* A good answer to Hello: fills `hello` for changes, sends it. */
void fake_hello_fill(Wire__HelloReply *hello);
void fake_hello_send(int socket, const Wire__Request *request, Wire__HelloReply *hello, const int *fds,
		     size_t fd_count);

/* WIRE_FEATURE_ bits that fake_hello tells of; 0: an rsmd of release 2.0. */
extern _Atomic uint64_t fake_features;

/* The same in one; true. */
bool fake_hello(int socket, const Wire__Request *request);

/* A descriptor of the status table as clients get it; the caller's. */
int fake_table(void);

/* A sealed memfd, the caller's. */
int fake_memory(size_t length, unsigned char fill);

/* Waits until the thread that called fake_start sleeps in the kernel. */
void fake_await_sleep(void);

/* Descriptors that this process has open. */
unsigned fake_descriptors(void);

#endif
