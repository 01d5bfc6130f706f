/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * get and put between nodes. Implicit mode: one exchange, request and answer, and the answer says that the data is in the exporter's
 * memory. Explicit mode: inside a span small puts are copied and wait, larger ones are sent from where they lie, gets
 * are asked for and answered later; outside a span puts are sent at once and gets waited for.
 */
#include "transport/tcp/tcp.h"

#include "base/reason.h"
#include "rsmapi.h"

/* What an exchange has come to. An abort counts, whatever else happened. */
static int finish(struct transport_import *import, const struct tcp_outcome *outcome)
{
	struct tcp_link *link = import->link;
	if (tcp_unlikely(transport_is_aborted(import))) {
		tcp_leave(import);
		return tcp_refuse_aborted(import);
	}
	int code = outcome->code;
	if (tcp_unlikely(code != RSM_SUCCESS))
		code = base_refuse(code, "the segment's node could not do it: %s", link->text);
	tcp_leave(import);
	return code;
}

/* Sends what is gathered and this request, and waits for all answers. */
static int exchange(struct transport_import *import, const struct wire_request *request, void *local)
{
	struct tcp_link *link = import->link;
	struct tcp_batch batch;
	struct tcp_outcome outcome = {0};
	struct tcp_answer answer = {.op = (uint8_t)request->op, .outcome = &outcome};
	const bool is_get = request->op == WIRE_OP_GET;
	if (is_get) {
		answer.target = local;
		answer.length = request->length;
	}
	tcp_batch_begin(link, &batch);
	answer.sequence = tcp_batch_add(link, &batch, *request, is_get ? NULL : local);
	tcp_answer_push(link, &answer);
	int code = tcp_send(import, &batch);
	if (code == RSM_SUCCESS)
		code = tcp_await(import, 0);
	if (code == RSM_SUCCESS)
		return finish(import, &outcome);
	tcp_leave(import);
	return code;
}

/* A put without an answer, from where it lies, behind what is gathered. */
static int send_put(struct transport_import *import, const struct wire_request *request, const void *source)
{
	struct tcp_batch batch;
	tcp_batch_begin(import->link, &batch);
	tcp_batch_add(import->link, &batch, *request, source);
	return tcp_send(import, &batch);
}

/* Room for one more get on the way: answers are taken until there is. */
static int gets_make_room(struct transport_import *import, uint64_t length)
{
	struct tcp_link *link = import->link;
	if (tcp_answers_room(link) <= TCP_BATCH)
		tcp_answers_grow(link);
	while (tcp_answers_room(link) <= TCP_BATCH ||
	       (link->count > 0 && length + link->gets > TCP_GETS_MAX)) {
		int code = tcp_flush(import);
		if (code == RSM_SUCCESS)
			code = tcp_await(import, link->count / 2);
		if (code != RSM_SUCCESS)
			return code;
	}
	return RSM_SUCCESS;
}

/* Asked for now, filled by the time the span closes. */
static int ask_get(struct transport_import *import, struct wire_request *request, void *target)
{
	struct tcp_link *link = import->link;
	int code = gets_make_room(import, request->length);
	if (code == RSM_SUCCESS && link->gathered + WIRE_REQUEST_SIZE > TCP_GATHER)
		code = tcp_flush(import);
	if (code != RSM_SUCCESS)
		return code;
	const struct tcp_answer answer = {
		.op = WIRE_OP_GET, .sequence = link->sequence, .target = target, .length = request->length};
	request->sequence = link->sequence++;
	wire_request_pack(request, link->gather + link->gathered);
	link->gathered += WIRE_REQUEST_SIZE;
	tcp_answer_push(link, &answer);
	link->gets_unsent += request->length;
	return link->gets_unsent >= TCP_GETS_UNSENT ? tcp_flush(import) : RSM_SUCCESS;
}

static int get(struct transport_import *import, uint64_t offset, void *target, uint64_t length,
	       unsigned width)
{
	struct wire_request request = {.op = WIRE_OP_GET,
				       .flags = WIRE_FLAG_ANSWER,
				       .width = (uint8_t)width,
				       .offset = offset,
				       .length = length};
	int code = tcp_enter(import);
	if (tcp_unlikely(code != RSM_SUCCESS))
		return code;
	if (tcp_unlikely(length == 0)) {
		tcp_leave(import);
		return RSM_SUCCESS;
	}
	struct tcp_link *link = import->link;
	if (atomic_load_explicit(&import->implicit, memory_order_relaxed) || link->spans == 0 ||
	    !tcp_gather_ready(link))
		return exchange(import, &request, target);
	code = ask_get(import, &request, target);
	tcp_leave(import);
	return code;
}

static __attribute__((noinline)) int put_sent(struct transport_import *import, uint64_t offset,
					      const void *source, size_t length, unsigned width,
					      bool implicit)
{
	const struct wire_request request = {.op = WIRE_OP_PUT,
					     .flags = implicit ? WIRE_FLAG_ANSWER : 0,
					     .width = (uint8_t)width,
					     .offset = offset,
					     .length = length};
	if (implicit)
		return exchange(import, &request, (void *)(uintptr_t)source);
	int code = send_put(import, &request, source);
	tcp_leave(import);
	return code;
}

static inline __attribute__((always_inline)) int put(struct transport_import *import, uint64_t offset,
						     const void *source, size_t length, unsigned width)
{
	int code = tcp_enter(import);
	if (tcp_unlikely(code != RSM_SUCCESS))
		return code;
	if (tcp_unlikely(length == 0)) {
		tcp_leave(import);
		return RSM_SUCCESS;
	}
	struct tcp_link *link = import->link;
	const bool implicit = atomic_load_explicit(&import->implicit, memory_order_relaxed);
	if (implicit || link->spans == 0 || length > TCP_SMALL || !tcp_gather_ready(link))
		return put_sent(import, offset, source, length, width, implicit);
	if (link->gathered + WIRE_REQUEST_SIZE + length > TCP_GATHER)
		code = tcp_flush(import);
	if (code == RSM_SUCCESS)
		tcp_gather_put(link, offset, source, length, width);
	tcp_leave(import);
	return code;
}

int tcp_get(struct transport_import *import, uint64_t offset, void *target, size_t length)
{
	return get(import, offset, target, length, 0);
}

int tcp_get_items(struct transport_import *import, uint64_t offset, void *target, size_t count,
		  unsigned width)
{
	return get(import, offset, target, (uint64_t)count * width, width);
}

int tcp_put(struct transport_import *import, uint64_t offset, const void *source, size_t length)
{
	return put(import, offset, source, length, 0);
}

int tcp_put_items(struct transport_import *import, uint64_t offset, const void *source, size_t count,
		  unsigned width)
{
	return put(import, offset, source, count * width, width);
}
