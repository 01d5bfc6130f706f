/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <inttypes.h>
#include <rsmapi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "rsmd/serve.h"

static ssize_t send_plain(int socket, const unsigned char *bytes, size_t length)
{
	ssize_t sent;
	do
		sent = send(socket, bytes, length, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	return sent < 0 ? -errno : sent;
}

/* Sends `length` bytes and `more` behind them as far as it goes. Bytes, or a negative errno. */
static ssize_t send_some(const struct rsmd_serve *serve, const unsigned char *bytes, size_t length,
			 unsigned char *more, size_t more_length)
{
	if (serve->tls)
		return wire_tls_write(serve->tls, bytes, length);
	if (!more_length)
		return send_plain(serve->socket, bytes, length);
	struct iovec parts[2] = {{(unsigned char *)(uintptr_t)bytes, length}, {more, more_length}};
	const struct msghdr message = {.msg_iov = length ? parts : parts + 1, .msg_iovlen = length ? 2 : 1};
	ssize_t sent;
	do
		sent = sendmsg(serve->socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	return sent < 0 ? -errno : sent;
}

/* What is left of the output buffer belongs to the connection from here on: the buffer is the thread's. */
static enum rsmd_serve_wait keep_unsent(struct rsmd_serve *serve, struct rsmd_serve_buffers *buffers,
					size_t sent)
{
	size_t left = buffers->out_length - sent;
	buffers->out_length = 0;
	if (!left)
		return RSMD_SERVE_WRITE;
	unsigned char *copy = malloc(left);
	if (!copy)
		return RSMD_SERVE_END;
	memcpy(copy, buffers->out + sent, left);
	serve->unsent = (struct rsmd_serve_rest){copy, 0, left};
	/* cppcheck-suppress memleak ; the connection has it */
	return RSMD_SERVE_WRITE;
}

enum rsmd_serve_wait rsmd_serve_resend(struct rsmd_serve *serve, struct rsmd_serve_buffers *buffers)
{
	struct rsmd_serve_rest *rest = &serve->unsent;
	while (rest->bytes && rest->start < rest->end) {
		ssize_t sent = send_some(serve, rest->bytes + rest->start, rest->end - rest->start, NULL, 0);
		if (sent == -EAGAIN)
			return RSMD_SERVE_WRITE;
		if (sent < 0)
			return RSMD_SERVE_END;
		rest->start += (size_t)sent;
		buffers->busy = true;
	}
	free(rest->bytes);
	*rest = (struct rsmd_serve_rest){0};
	return RSMD_SERVE_MORE;
}

enum rsmd_serve_wait rsmd_serve_flush(struct rsmd_serve *serve, struct rsmd_serve_buffers *buffers)
{
	size_t sent = 0;
	while (sent < buffers->out_length) {
		ssize_t now = send_some(serve, buffers->out + sent, buffers->out_length - sent, NULL, 0);
		if (now == -EAGAIN)
			return keep_unsent(serve, buffers, sent);
		if (now < 0)
			return RSMD_SERVE_END;
		sent += (size_t)now;
		buffers->busy = true;
	}
	buffers->out_length = 0;
	return RSMD_SERVE_MORE;
}

enum rsmd_serve_wait rsmd_serve_room(struct rsmd_serve *serve, struct rsmd_serve_buffers *buffers,
				     size_t length)
{
	if (sizeof(buffers->out) - buffers->out_length >= length)
		return RSMD_SERVE_MORE;
	return rsmd_serve_flush(serve, buffers);
}

static void reply_put(const struct rsmd_serve *serve, struct rsmd_serve_buffers *buffers, int code,
		      uint64_t length)
{
	const struct wire_reply reply = {.op = serve->request.op,
					 .code = (uint16_t)code,
					 .sequence = serve->request.sequence,
					 .length = length};
	wire_reply_pack(&reply, buffers->out + buffers->out_length);
	buffers->out_length += WIRE_REPLY_SIZE;
}

void rsmd_serve_reply(struct rsmd_serve *serve, struct rsmd_serve_buffers *buffers, uint64_t length)
{
	reply_put(serve, buffers, RSM_SUCCESS, length);
}

void rsmd_serve_refuse(struct rsmd_serve *serve, struct rsmd_serve_buffers *buffers,
		       const struct wire_request *culprit, int error)
{
	char text[WIRE_REPLY_TEXT_MAX + 1];
	int length = snprintf(text, sizeof(text),
			      "%s of %" PRIu64 " bytes at offset 0x%" PRIx64
			      " failed on the exporter's node (%s): the exporter's file or shared memory is "
			      "shorter than the segment, or has no room left",
			      culprit->op == WIRE_OP_PUT ? "put" : "get", culprit->length, culprit->offset,
			      strerrordesc_np(error));
	size_t size = length < 0 ? 0 : length < (int)sizeof(text) ? (size_t)length : sizeof(text) - 1;
	reply_put(serve, buffers, RSMERR_BARRIER_FAILURE, size);
	memcpy(buffers->out + buffers->out_length, text, size);
	buffers->out_length += size;
}

void rsmd_serve_swap(unsigned char *bytes, size_t length, unsigned width)
{
	for (size_t at = 0; at < length; at += width)
		for (unsigned low = 0, high = width - 1; low < high; low++, high--) {
			unsigned char byte = bytes[at + low];
			bytes[at + low] = bytes[at + high];
			bytes[at + high] = byte;
		}
}

static enum rsmd_serve_wait get_over(struct rsmd_serve *serve)
{
	serve->phase = SERVE_HEAD;
	rsmd_serve_count(&serve->grant->counted->gets, 1);
	rsmd_serve_count(&serve->grant->counted->bytes_got, serve->request.length);
	return RSMD_SERVE_MORE;
}

/* One that fits the buffer whole: a failure is known before its reply begins. */
static enum rsmd_serve_wait get_small(struct rsmd_serve *serve, struct rsmd_serve_buffers *buffers)
{
	const struct wire_request *request = &serve->request;
	size_t length = (size_t)request->length, start = buffers->out_length;
	unsigned char *payload = buffers->out + start + WIRE_REPLY_SIZE;
	int error = segment_view_read(&serve->grant->view, request->offset, payload, length, request->width);
	if (error) {
		rsmd_serve_refuse(serve, buffers, request, error);
		serve->phase = SERVE_HEAD;
		return RSMD_SERVE_MORE;
	}
	if (serve->swap && request->width > 1)
		rsmd_serve_swap(payload, length, request->width);
	rsmd_serve_reply(serve, buffers, length);
	buffers->out_length = start + WIRE_REPLY_SIZE + length;
	buffers->budget -= length < buffers->budget ? length : buffers->budget;
	return get_over(serve);
}

/*
 * Whether the whole range is there is looked at, step by step, before the reply's header says so. Afterwards nothing but the
 * connection's end could tell.
 */
static enum rsmd_serve_wait get_announce(struct rsmd_serve *serve, struct rsmd_serve_buffers *buffers)
{
	const struct wire_request *request = &serve->request;
	const struct segment_view *view = &serve->grant->view;
	while (!view->safe && serve->done < request->length) {
		uint64_t left = request->length - serve->done;
		size_t step = left < RSMD_SERVE_STEP ? (size_t)left : RSMD_SERVE_STEP;
		int error = segment_view_probe(view, request->offset + serve->done, step);
		if (error) {
			rsmd_serve_refuse(serve, buffers, request, error);
			serve->phase = SERVE_HEAD;
			return RSMD_SERVE_MORE;
		}
		serve->done += step;
		buffers->budget -= step < buffers->budget ? step : buffers->budget;
		if (!buffers->budget)
			return RSMD_SERVE_MORE;
	}
	rsmd_serve_reply(serve, buffers, request->length);
	serve->done = 0;
	serve->answered = true;
	serve->direct = !serve->tls && !request->width;
	return RSMD_SERVE_MORE;
}

/* Through the buffer: items, and what is to be encrypted. */
static enum rsmd_serve_wait get_copy(struct rsmd_serve *serve, struct rsmd_serve_buffers *buffers)
{
	const struct wire_request *request = &serve->request;
	while (serve->done < request->length && buffers->budget) {
		uint64_t left = request->length - serve->done;
		size_t piece = RSMD_SERVE_LARGE; /* whole items */
		piece = left < piece ? (size_t)left : piece;
		enum rsmd_serve_wait wait = rsmd_serve_room(serve, buffers, piece);
		if (wait != RSMD_SERVE_MORE)
			return wait;
		unsigned char *to = buffers->out + buffers->out_length;
		if (segment_view_read(&serve->grant->view, request->offset + serve->done, to, piece,
				      request->width))
			return RSMD_SERVE_END;
		if (serve->swap && request->width > 1)
			rsmd_serve_swap(to, piece, request->width);
		buffers->out_length += piece;
		serve->done += piece;
		buffers->budget -= piece < buffers->budget ? piece : buffers->budget;
	}
	return serve->done == request->length ? get_over(serve) : RSMD_SERVE_MORE;
}

/* From the segment to the socket, behind the replies that wait. */
static enum rsmd_serve_wait get_direct(struct rsmd_serve *serve, struct rsmd_serve_buffers *buffers)
{
	const struct wire_request *request = &serve->request;
	const struct segment_view *view = &serve->grant->view;
	size_t waiting = 0; /* bytes of the output buffer that are sent already */
	while (serve->done < request->length && buffers->budget) {
		uint64_t left = request->length - serve->done;
		size_t piece = left < buffers->budget ? (size_t)left : buffers->budget;
		if (!view->base) /* the memory was lost in a move */
			return RSMD_SERVE_END;
		ssize_t sent = send_some(serve, buffers->out + waiting, buffers->out_length - waiting,
					 view->base + request->offset + serve->done, piece);
		if (sent == -EAGAIN)
			return keep_unsent(serve, buffers, waiting);
		if (sent < 0)
			return RSMD_SERVE_END;
		buffers->busy = true;
		size_t replies = buffers->out_length - waiting;
		replies = (size_t)sent < replies ? (size_t)sent : replies;
		waiting += replies;
		serve->done += (size_t)sent - replies;
		buffers->budget -= (size_t)sent - replies;
		if (waiting == buffers->out_length)
			waiting = buffers->out_length = 0;
	}
	return serve->done == request->length ? get_over(serve) : RSMD_SERVE_MORE;
}

enum rsmd_serve_wait rsmd_serve_get(struct rsmd_serve *serve, struct rsmd_serve_buffers *buffers)
{
	bool small = serve->request.length <= RSMD_SERVE_LARGE;
	if (!serve->answered) {
		enum rsmd_serve_wait wait =
			rsmd_serve_room(serve, buffers,
					small ? RSMD_SERVE_REPLY_ROOM + (size_t)serve->request.length
					      : RSMD_SERVE_REPLY_ROOM);
		if (wait != RSMD_SERVE_MORE)
			return wait;
		if (small)
			return get_small(serve, buffers);
		return get_announce(serve, buffers);
	}
	return serve->direct ? get_direct(serve, buffers) : get_copy(serve, buffers);
}
