/* SPDX-License-Identifier: BSD-2-Clause */
#include "wire/stream.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define HEAD_SIZE 4u                 /* bytes of the length before a message */
#define KEPT_MAX  ((size_t)64 << 10) /* bytes of a buffer that stays when it is empty */

struct buffer {
	uint8_t *bytes; /* owned */
	size_t capacity;
};

struct wire_stream {
	struct wire_tls *tls; /* owned */
	bool open;            /* the handshake is done */
	int error;            /* negative errno that ended the stream */

	struct buffer out;
	size_t out_start, out_end; /* what waits to be sent */

	struct buffer in;
	uint8_t head[HEAD_SIZE];
	size_t in_done; /* bytes that have come of head and message */
};

struct wire_stream *wire_stream_open(struct wire_tls *tls)
{
	struct wire_stream *stream = calloc(1, sizeof(*stream));
	if (stream)
		stream->tls = tls;
	return stream;
}

void wire_stream_close(struct wire_stream *stream)
{
	if (!stream)
		return;
	wire_tls_close(stream->tls);
	free(stream->out.bytes);
	free(stream->in.bytes);
	free(stream);
}

/* Room for `size` bytes at least; what is in it stays. */
static bool buffer_reserve(struct buffer *buffer, size_t size)
{
	if (size <= buffer->capacity)
		return true;
	size_t capacity = buffer->capacity ? buffer->capacity : 1024;
	while (capacity < size)
		capacity *= 2;
	uint8_t *bytes = realloc(buffer->bytes, capacity);
	if (!bytes)
		return false;
	buffer->bytes = bytes;
	buffer->capacity = capacity;
	return true;
}

/* One large message must not hold its memory for ever. */
static void buffer_trim(struct buffer *buffer)
{
	if (buffer->capacity <= KEPT_MAX)
		return;
	free(buffer->bytes);
	*buffer = (struct buffer){0};
}

static int ended(struct wire_stream *stream, int error)
{
	if (error != -EAGAIN)
		stream->error = error;
	return error;
}

int wire_stream_handshake(struct wire_stream *stream)
{
	if (stream->error || stream->open)
		return stream->error;
	int error = wire_tls_handshake(stream->tls);
	if (error)
		return ended(stream, error);
	stream->open = true;
	return 0;
}

size_t wire_stream_queued(const struct wire_stream *stream)
{
	return stream->out_end - stream->out_start;
}

/* Room behind the queue, which moves to the front when that is where the room is. */
static bool queue_reserve(struct wire_stream *stream, size_t size)
{
	size_t queued = wire_stream_queued(stream);
	if (stream->out_start > 0 && stream->out_end + size > stream->out.capacity) {
		memmove(stream->out.bytes, stream->out.bytes + stream->out_start, queued);
		stream->out_start = 0;
		stream->out_end = queued;
	}
	return buffer_reserve(&stream->out, stream->out_end + size);
}

int wire_stream_send(struct wire_stream *stream, const uint8_t *message, size_t length)
{
	if (stream->error)
		return stream->error;
	if (length > WIRE_STREAM_MESSAGE_MAX)
		return -EMSGSIZE;
	if (wire_stream_queued(stream) + HEAD_SIZE + length > WIRE_STREAM_QUEUE_MAX)
		return -ENOBUFS;
	if (!queue_reserve(stream, HEAD_SIZE + length))
		return -ENOMEM;
	for (size_t i = 0; i < HEAD_SIZE; i++)
		stream->out.bytes[stream->out_end++] = (uint8_t)(length >> (8 * i));
	if (length > 0)
		memcpy(stream->out.bytes + stream->out_end, message, length);
	stream->out_end += length;
	int error = wire_stream_flush(stream);
	return error == -EAGAIN ? 0 : error;
}

/*
 * tls.h wants the same bytes again after -EAGAIN: they are still at the front of the queue then, whatever was added behind
 * them.
 */
int wire_stream_flush(struct wire_stream *stream)
{
	if (stream->error)
		return stream->error;
	if (!stream->open)
		return wire_stream_queued(stream) ? -EAGAIN : 0;
	while (wire_stream_queued(stream)) {
		ssize_t moved = wire_tls_write(stream->tls, stream->out.bytes + stream->out_start,
					       wire_stream_queued(stream));
		if (moved < 0)
			return ended(stream, (int)moved);
		stream->out_start += (size_t)moved;
	}
	stream->out_start = stream->out_end = 0;
	buffer_trim(&stream->out);
	return 0;
}

static size_t head_length(const struct wire_stream *stream)
{
	size_t length = 0;
	for (size_t i = 0; i < HEAD_SIZE; i++)
		length |= (size_t)stream->head[i] << (8 * i);
	return length;
}

/* Reads until `size` bytes are in `bytes`, of which `done` are there already. 1: they are, 0: farewell, or an error. */
static int fill(struct wire_stream *stream, uint8_t *bytes, size_t done, size_t size)
{
	while (done < size) {
		ssize_t moved = wire_tls_read(stream->tls, bytes + done, size - done);
		if (moved <= 0)
			return (int)moved;
		done += (size_t)moved;
		stream->in_done += (size_t)moved;
	}
	return 1;
}

/* The same for the whole message, first its length. */
static int fill_message(struct wire_stream *stream, size_t limit)
{
	if (stream->in_done < HEAD_SIZE) {
		int found = fill(stream, stream->head, stream->in_done, HEAD_SIZE);
		if (found <= 0)
			return found;
	}
	size_t length = head_length(stream);
	if (length > limit || length > WIRE_STREAM_MESSAGE_MAX)
		return -EPROTO;
	if (!buffer_reserve(&stream->in, length + 1)) /* never NULL: that means farewell */
		return -ENOMEM;
	return fill(stream, stream->in.bytes, stream->in_done - HEAD_SIZE, length);
}

int wire_stream_receive(struct wire_stream *stream, size_t limit, const uint8_t **message, size_t *length)
{
	*message = NULL;
	*length = 0;
	if (stream->error)
		return stream->error;
	if (!stream->open)
		return -EAGAIN;
	if (stream->in_done == 0)
		buffer_trim(&stream->in);
	int found = fill_message(stream, limit);
	if (found < 0)
		return ended(stream, found);
	if (found == 0) /* within a message it is no farewell */
		return stream->in_done == 0 ? 0 : ended(stream, -EPROTO);
	*message = stream->in.bytes;
	*length = head_length(stream);
	stream->in_done = 0;
	return 0;
}

bool wire_stream_wants_write(const struct wire_stream *stream)
{
	if (stream->error)
		return false;
	return wire_tls_wants_write(stream->tls) || (stream->open && wire_stream_queued(stream) > 0);
}
