/* SPDX-License-Identifier: BSD-2-Clause */
#include "rsmd/serve.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "base/clock.h"
#include "rsmd/signal.h"

#define RECEIVES    8    /* of one turn, if there are only small pieces */
#define POST_COST   4096 /* what takes as long as to move so many bytes: wakes others up */
#define KERNEL_COST 2048 /* the kernel copies */
#define MOVE_NS     60000000000u
#define BULK        32768 /* bytes of a large put that are received at a time, where so many come */

static enum rsmd_serve_wait offence(struct rsmd_serve *serve, const char *why)
{
	serve->why = why;
	return RSMD_SERVE_END;
}

/* The lease is looked at before each access: a turn may be interrupted for any time, by a machine that sleeps for instance. */
static bool is_late(struct rsmd_serve *serve)
{
	const struct rsmd_grant *grant = serve->grant;
	if (grant->lease && base_clock_boot_ns() >= atomic_load(grant->lease))
		serve->late = true;
	return serve->late;
}

/* Remembered until a reply can tell. The first one counts. */
static void fail(struct rsmd_serve *serve, int error)
{
	serve->failed = true;
	if (serve->is_failing)
		return;
	serve->is_failing = true;
	rsmd_serve_count(&serve->grant->counted->failures, 1);
	serve->error = error;
	serve->culprit = serve->request;
}

/* Answers what is answered behind earlier puts: they, too, must have succeeded. */
static void answer(struct rsmd_serve *serve, struct rsmd_serve_buffers *buffers)
{
	if (serve->is_failing)
		rsmd_serve_refuse(serve, buffers, &serve->culprit, serve->error);
	else
		rsmd_serve_reply(serve, buffers, 0);
	serve->is_failing = false;
}

/* No event tells of data that did not arrive. */
static void post(struct rsmd_serve *serve)
{
	struct rsmd_grant *grant = serve->grant;
	if (serve->is_failing || is_late(serve))
		return;
	bool single = serve->request.flags & WIRE_FLAG_NO_ACCUMULATE;
	if (segment_signal_post(&grant->signals->memory[0], 1, single))
		rsmd_signals_ring_exporter(grant->signals);
	rsmd_serve_count(&grant->counted->posts, 1);
}

static void charge(struct rsmd_serve_buffers *buffers, size_t bytes)
{
	buffers->budget -= bytes < buffers->budget ? bytes : buffers->budget;
}

/* A whole header is there. Nothing of it is used before it is checked. */
static enum rsmd_serve_wait begin(struct rsmd_serve *serve, struct rsmd_serve_buffers *buffers,
				  const uint8_t *head)
{
	const struct rsmd_grant *grant = serve->grant;
	struct wire_request *request = &serve->request;
	if (wire_request_unpack(head, request))
		return offence(serve, "bytes that are no request");
	const char *wrong = wire_request_check(request, grant->granted, grant->length, serve->sequence);
	if (wrong)
		return offence(serve, wrong);
	serve->sequence++;
	serve->done = 0;
	if (!grant->view.safe)
		charge(buffers, KERNEL_COST);
	switch (request->op) {
	case WIRE_OP_PUT:
		serve->phase = SERVE_PUT;
		serve->failed = false;
		serve->item_length = 0;
		serve->large = request->length >= RSMD_SERVE_LARGE && !request->width;
		return RSMD_SERVE_MORE;
	case WIRE_OP_GET:
		serve->phase = SERVE_GET;
		serve->answered = false;
		serve->large = false;
		return RSMD_SERVE_MORE;
	case WIRE_OP_POST:
		post(serve);
		charge(buffers, POST_COST);
		break;
	case WIRE_OP_FENCE:
		break;
	}
	answer(serve, buffers);
	return RSMD_SERVE_MORE;
}

static void put_over(struct rsmd_serve *serve, struct rsmd_serve_buffers *buffers)
{
	serve->phase = SERVE_HEAD;
	rsmd_serve_count(&serve->grant->counted->puts, 1);
	rsmd_serve_count(&serve->grant->counted->bytes_put, serve->request.length);
	if (serve->request.flags & WIRE_FLAG_ANSWER)
		answer(serve, buffers); /* there is room: begin was called where there was */
}

/* `length` bytes of the payload, in whole items. */
static void put_write(struct rsmd_serve *serve, unsigned char *bytes, size_t length)
{
	unsigned width = serve->request.width;
	if (serve->swap && width > 1)
		rsmd_serve_swap(bytes, length, width);
	if (!serve->failed && !is_late(serve)) {
		int error = segment_view_write(&serve->grant->view, serve->request.offset + serve->done,
					       bytes, length, width);
		if (error)
			fail(serve, error);
	}
	serve->done += length;
}

/* Payload that lies in a buffer. Returns how much of it was taken: all, or what belongs to this put. */
static size_t put_take(struct rsmd_serve *serve, unsigned char *bytes, size_t length)
{
	const unsigned width = serve->request.width ? serve->request.width : 1;
	uint64_t left = serve->request.length - serve->done - serve->item_length;
	size_t at = 0, end = left < length ? (size_t)left : length;
	/* An item that came in two parts: it is still moved by one access. */
	while (serve->item_length && at < end) {
		serve->item[serve->item_length++] = bytes[at++];
		if (serve->item_length == width) {
			serve->item_length = 0;
			put_write(serve, serve->item, width);
		}
	}
	size_t whole = (end - at) / width * width;
	if (whole)
		put_write(serve, bytes + at, whole);
	for (at += whole; at < end; at++)
		serve->item[serve->item_length++] = bytes[at];
	return end;
}

/*
 * Performs what the bytes say. *used tells how far that went when it stops: for a turn that is long enough, a socket
 * that is full, or an end. RSMD_SERVE_READ: all are used.
 */
static enum rsmd_serve_wait feed(struct rsmd_serve *serve, struct rsmd_serve_buffers *buffers,
				 unsigned char *bytes, size_t length, size_t *used)
{
	size_t at = 0;
	enum rsmd_serve_wait wait = RSMD_SERVE_MORE;
	while (wait == RSMD_SERVE_MORE) {
		size_t left = length - at;
		if (serve->phase == SERVE_PUT) {
			at += put_take(serve, bytes + at, left);
			if (serve->late)
				break;
			if (serve->done == serve->request.length)
				put_over(serve, buffers);
			else
				wait = RSMD_SERVE_READ;
			continue;
		}
		if (!buffers->budget)
			break;
		if (serve->phase == SERVE_GET) {
			wait = rsmd_serve_get(serve, buffers);
			continue;
		}
		if (!left) {
			wait = RSMD_SERVE_READ;
			break;
		}
		wait = rsmd_serve_room(serve, buffers, RSMD_SERVE_REPLY_ROOM);
		if (wait != RSMD_SERVE_MORE)
			break;
		if (!serve->head_length && left >= WIRE_REQUEST_SIZE) {
			at += WIRE_REQUEST_SIZE;
			wait = begin(serve, buffers, bytes + at - WIRE_REQUEST_SIZE);
			continue;
		}
		size_t piece = WIRE_REQUEST_SIZE - serve->head_length;
		piece = left < piece ? left : piece;
		memcpy(serve->head + serve->head_length, bytes + at, piece);
		serve->head_length += (unsigned)piece;
		at += piece;
		if (serve->head_length == WIRE_REQUEST_SIZE) {
			serve->head_length = 0;
			wait = begin(serve, buffers, serve->head);
		}
	}
	*used = at;
	return serve->late ? offence(serve, "its node fell silent in the middle of a request") : wait;
}

/* Bytes of a put that go from the socket to the segment without a stop in between; 0: it is not worth it, or not possible. */
static size_t direct_length(const struct rsmd_serve *serve, const struct rsmd_serve_buffers *buffers)
{
	if (serve->phase != SERVE_PUT || serve->request.width || serve->failed || serve->tls ||
	    !serve->grant->view.base)
		return 0;
	uint64_t left = serve->request.length - serve->done;
	if (left < RSMD_SERVE_LARGE / 4)
		return 0;
	return left < buffers->budget ? (size_t)left : buffers->budget;
}

/*
 * One receive: payload to where it belongs and what follows it into the buffer. Where large puts come in a row that is a
 * header only, so that the next payload goes past the buffer too. *direct and *buffered get what came; *full tells that
 * there may be more. 0 bytes: the end. Or a negative errno.
 */
static ssize_t receive(struct rsmd_serve *serve, struct rsmd_serve_buffers *buffers, size_t *direct,
		       size_t *buffered, bool *full)
{
	size_t want = direct_length(serve, buffers), behind = sizeof(buffers->in);
	const uint64_t left = serve->phase == SERVE_PUT ? serve->request.length - serve->done : 0;
	if (want)
		behind = want == left ? WIRE_REQUEST_SIZE : 0;
	else if (serve->large && left + WIRE_REQUEST_SIZE - serve->head_length < behind)
		behind = (size_t)left + WIRE_REQUEST_SIZE - serve->head_length;
	ssize_t got;
	if (serve->tls) {
		got = wire_tls_read(serve->tls, buffers->in, sizeof(buffers->in));
		*full = got > 0;
	} else if (!want) {
		got = recv(serve->socket, buffers->in, behind, MSG_DONTWAIT);
		*full = got == (ssize_t)behind;
	} else {
		struct iovec parts[2] = {
			{serve->grant->view.base + serve->request.offset + serve->done, want},
			{buffers->in, behind}};
		struct msghdr message = {.msg_iov = parts, .msg_iovlen = behind ? 2 : 1};
		got = recvmsg(serve->socket, &message, MSG_DONTWAIT);
		*full = got == (ssize_t)(want + behind);
	}
	*direct = got > 0 ? ((size_t)got < want ? (size_t)got : want) : 0;
	*buffered = got > 0 ? (size_t)got - *direct : 0;
	return got < 0 && !serve->tls ? -errno : got;
}

/* Keeps what a turn could not look at for the next one. */
static enum rsmd_serve_wait keep_received(struct rsmd_serve *serve, const unsigned char *bytes, size_t length,
					  enum rsmd_serve_wait wait)
{
	if (!length || wait == RSMD_SERVE_END)
		return wait;
	unsigned char *copy = malloc(length);
	if (!copy)
		return RSMD_SERVE_END;
	memcpy(copy, bytes, length);
	serve->received = (struct rsmd_serve_rest){copy, 0, length};
	/* cppcheck-suppress memleak ; the connection has it */
	return wait;
}

/* What an earlier turn received. */
static enum rsmd_serve_wait feed_rest(struct rsmd_serve *serve, struct rsmd_serve_buffers *buffers)
{
	struct rsmd_serve_rest *rest = &serve->received;
	size_t used;
	enum rsmd_serve_wait wait =
		feed(serve, buffers, rest->bytes + rest->start, rest->end - rest->start, &used);
	rest->start += used;
	if (rest->start == rest->end) {
		free(rest->bytes);
		*rest = (struct rsmd_serve_rest){0};
	}
	return wait;
}

/* RSMD_SERVE_READ: the socket has no more. */
static enum rsmd_serve_wait take_in(struct rsmd_serve *serve, struct rsmd_serve_buffers *buffers)
{
	enum rsmd_serve_wait wait = RSMD_SERVE_MORE;
	/* What was begun goes on first, without new bytes. */
	if (serve->received.bytes || serve->phase == SERVE_GET)
		wait = serve->received.bytes ? feed_rest(serve, buffers)
					     : feed(serve, buffers, buffers->in, 0, &(size_t){0});
	if (wait == RSMD_SERVE_MORE && !buffers->budget)
		return wait;
	if (wait != RSMD_SERVE_MORE && wait != RSMD_SERVE_READ)
		return wait;
	for (unsigned i = 0; i < RECEIVES && buffers->budget; i++) {
		size_t direct, buffered, used;
		if (is_late(serve)) { /* what is in the socket stays there: there may be a new one */
			serve->late = false;
			return RSMD_SERVE_MORE;
		}
		bool full;
		ssize_t got = receive(serve, buffers, &direct, &buffered, &full);
		if (got == -EFAULT) { /* memory that is not there: the payload has nowhere to go */
			fail(serve, EFAULT);
			continue;
		}
		if (got == -EINTR)
			continue;
		if (got == -EPROTO)
			return offence(serve, "encrypted bytes that are broken");
		if (got <= 0)
			return got == -EAGAIN ? RSMD_SERVE_READ : RSMD_SERVE_END;
		buffers->busy = true;
		serve->done += direct;
		charge(buffers, direct + buffered);
		wait = feed(serve, buffers, buffers->in, buffered, &used);
		wait = keep_received(serve, buffers->in + used, buffered - used, wait);
		if (wait != RSMD_SERVE_READ)
			return wait;
		if (!full)
			return RSMD_SERVE_READ;
	}
	return RSMD_SERVE_MORE;
}

/* Under the gate, with a grant that may be used. */
static enum rsmd_serve_wait step(struct rsmd_serve *serve, struct rsmd_serve_buffers *buffers)
{
	buffers->budget = RSMD_SERVE_STEP;
	buffers->out_length = 0;
	enum rsmd_serve_wait wait = rsmd_serve_resend(serve, buffers);
	if (wait != RSMD_SERVE_MORE)
		return wait;
	wait = take_in(serve, buffers);
	if (wait == RSMD_SERVE_END || !buffers->out_length)
		return wait;
	enum rsmd_serve_wait sent = rsmd_serve_flush(serve, buffers);
	return sent == RSMD_SERVE_MORE ? wait : sent;
}

/* Whether the grant lets its guest do anything just now. RSMD_SERVE_MORE: yes. */
static enum rsmd_serve_wait judge(struct rsmd_serve *serve)
{
	const struct rsmd_grant *grant = serve->grant;
	if (grant->closed)
		return RSMD_SERVE_END;
	if (grant->held) /* no longer than importers on the exporter's node wait */
		return base_clock_ns() - grant->held_ns < MOVE_NS ? RSMD_SERVE_HELD : RSMD_SERVE_END;
	if (is_late(serve)) {
		serve->late = false;
		return RSMD_SERVE_HELD;
	}
	return RSMD_SERVE_MORE;
}

enum rsmd_serve_wait rsmd_serve_turn(struct rsmd_serve *serve, struct rsmd_serve_buffers *buffers)
{
	struct rsmd_grant *grant = serve->grant;
	buffers->busy = false;
	if (atomic_load(&grant->wanted))
		return RSMD_SERVE_MORE;
	pthread_mutex_lock(&grant->gate);
	enum rsmd_serve_wait wait = judge(serve);
	if (wait == RSMD_SERVE_MORE)
		wait = step(serve, buffers);
	pthread_mutex_unlock(&grant->gate);
	return wait;
}

int rsmd_serve_bulk(const struct rsmd_serve *serve)
{
	if (serve->phase != SERVE_PUT || !serve->large || serve->tls)
		return 1;
	uint64_t left = serve->request.length - serve->done;
	return left < BULK ? 1 : BULK;
}

void rsmd_serve_clear(struct rsmd_serve *serve)
{
	free(serve->received.bytes);
	free(serve->unsent.bytes);
	serve->received = serve->unsent = (struct rsmd_serve_rest){0};
}
