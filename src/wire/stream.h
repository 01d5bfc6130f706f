/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Messages over a TLS stream between two daemons: four bytes of length (little-endian), then that many bytes of a
 * Wire__PeerMessage. Non-blocking: what the socket does not take at once is queued, bounded by WIRE_STREAM_QUEUE_MAX.
 * One thread. Errors are negative errnos, as in tls.h.
 */
#ifndef WIRE_STREAM_H
#define WIRE_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/tls.h"

#define WIRE_STREAM_MESSAGE_MAX (1u << 20) /* bytes of one message */
#define WIRE_STREAM_QUEUE_MAX   (8u << 20) /* bytes that wait to be sent */

struct wire_stream;

/* Takes over `tls`, whose handshake is done or not: the stream goes on with it. NULL: no memory (tls stays the caller's). */
struct wire_stream *wire_stream_open(struct wire_tls *tls);
void wire_stream_close(struct wire_stream *stream); /* NULL is ignored */

/* 0 once the handshake is done, -EAGAIN, or an error. */
int wire_stream_handshake(struct wire_stream *stream);

/* Queues a copy and sends what the socket takes. -ENOBUFS: the queue is full, -EMSGSIZE: too long; nothing was queued. */
int wire_stream_send(struct wire_stream *stream, const uint8_t *message, size_t length);

/* Sends what is queued. 0: all gone, -EAGAIN: some waits for room. */
int wire_stream_flush(struct wire_stream *stream);
size_t wire_stream_queued(const struct wire_stream *stream); /* bytes */

/*
 * The next whole message: *message points into the stream, valid until the next call. -EAGAIN: none yet. 0 with *message
 * NULL: farewell. -EPROTO: longer than `limit`, or a farewell in the midst of it. Repeated until -EAGAIN: what is decrypted
 * already does not make the socket readable.
 */
int wire_stream_receive(struct wire_stream *stream, size_t limit, const uint8_t **message, size_t *length);

/* What to wait for besides readable. */
bool wire_stream_wants_write(const struct wire_stream *stream);

#endif
