/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Requests put together, and spans. Inside a span (and in explicit mode) small puts and the requests of gets wait in the link's
 * buffer until it is full or somebody wants to know; behind them a fence says that all of it was performed.
 */
#include "transport/tcp/tcp.h"

#include <stdlib.h>
#include <string.h>

#include "base/reason.h"
#include "rsmapi.h"

/* What is gathered goes first. */
void tcp_batch_begin(struct tcp_link *link, struct tcp_batch *batch)
{
	batch->pieces[0] = (struct iovec){link->gather, link->gathered};
	batch->count = 1;
	batch->requests = 0;
}

/* Gives the request its sequence number, which is returned. Without ANSWER it is a put that only a fence accounts for. */
uint32_t tcp_batch_add(struct tcp_link *link, struct tcp_batch *batch, struct wire_request request,
		       const void *payload)
{
	unsigned char *head = batch->heads[batch->requests++];
	request.sequence = link->sequence++;
	wire_request_pack(&request, head);
	batch->pieces[batch->count++] = (struct iovec){head, WIRE_REQUEST_SIZE};
	if (payload != NULL && request.length <= TCP_COPIED) {
		memcpy(head + WIRE_REQUEST_SIZE, payload, request.length);
		batch->pieces[batch->count - 1].iov_len += request.length;
	} else if (payload != NULL)
		batch->pieces[batch->count++] =
			(struct iovec){(void *)(uintptr_t)payload, (size_t)request.length};
	if ((request.flags & WIRE_FLAG_ANSWER) == 0)
		link->unfenced = true;
	return request.sequence;
}

bool tcp_gather_ready(struct tcp_link *link)
{
	if (link->gather == NULL)
		link->gather = malloc(TCP_GATHER);
	return link->gather != NULL;
}

void tcp_gather_put(struct tcp_link *link, uint64_t offset, const void *source, size_t length, unsigned width)
{
	const struct wire_request request = {.op = WIRE_OP_PUT,
					     .width = (uint8_t)width,
					     .sequence = link->sequence++,
					     .offset = offset,
					     .length = length};
	unsigned char *at = link->gather + link->gathered;
	wire_request_pack(&request, at);
	memcpy(at + WIRE_REQUEST_SIZE, source, length);
	link->gathered += WIRE_REQUEST_SIZE + length;
	link->unfenced = true;
}

int tcp_flush(struct transport_import *import)
{
	struct tcp_batch batch;
	tcp_batch_begin(import->link, &batch);
	return tcp_send(import, &batch);
}

/*
 * All that was issued is performed, and the answers are here. Without anything under way it costs nothing, unless it has to `prove`
 * that the connection is alive now.
 */
static int complete(struct transport_import *import, bool prove)
{
	struct tcp_link *link = import->link;
	struct tcp_batch batch;
	int code = RSM_SUCCESS;
	tcp_batch_begin(link, &batch);
	link->unfenced |= prove;
	if (link->unfenced) {
		if (tcp_answers_room(link) == 0)
			code = tcp_await(import, link->capacity - 1);
		if (code != RSM_SUCCESS)
			return code;
		const struct wire_request fence = {.op = WIRE_OP_FENCE, .flags = WIRE_FLAG_ANSWER};
		struct tcp_answer answer = {.op = WIRE_OP_FENCE};
		answer.sequence = tcp_batch_add(link, &batch, fence, NULL);
		tcp_answer_push(link, &answer);
	}
	if (link->unfenced || link->gathered > 0)
		code = tcp_send(import, &batch);
	return code == RSM_SUCCESS ? tcp_await(import, 0) : code;
}

/* ---- spans ---- */

uint64_t tcp_begin(struct transport_import *import)
{
	struct tcp_link *link = import->link;
	if (link->forks != atomic_load(&tcp_forks))
		return 0;
	pthread_mutex_lock(&link->lock);
	link->spans++;
	uint64_t span = link->failures;
	pthread_mutex_unlock(&link->lock);
	return span;
}

/* Also on a link that failed, the span has ended. */
static void span_end(struct tcp_link *link)
{
	if (link->forks != atomic_load(&tcp_forks))
		return;
	pthread_mutex_lock(&link->lock);
	if (link->spans > 0)
		link->spans--;
	pthread_mutex_unlock(&link->lock);
}

static int fence_and_compare(struct transport_import *import, bool prove, const uint64_t *span)
{
	struct tcp_link *link = import->link;
	int code = tcp_enter(import);
	if (code != RSM_SUCCESS)
		return code;
	const uint64_t failures = span == NULL ? link->failures : *span;
	code = complete(import, prove);
	if (code == RSM_SUCCESS && transport_is_aborted(import)) {
		tcp_leave(import);
		return tcp_refuse_aborted(import);
	}
	if (code == RSM_SUCCESS && link->failures != failures)
		code = base_refuse(
			RSMERR_BARRIER_FAILURE,
			"the segment's node could not do an access of the span: %s; do the accesses "
			"again",
			link->text);
	tcp_leave(import);
	return code;
}

/* What was asked for must not arrive later: the memory for it may be gone. Nobody hears how it ended. */
void tcp_abandon(struct transport_import *import, uint64_t span)
{
	span_end(import->link);
	fence_and_compare(import, false, &span);
}

int tcp_order(struct transport_import *import)
{
	return fence_and_compare(import, false, NULL);
}

int tcp_settle(struct transport_import *import, uint64_t span)
{
	span_end(import->link);
	return fence_and_compare(import, true, &span);
}
