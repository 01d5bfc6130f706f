/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Vectors and posts: all requests in one sendmsg, all answers awaited at once. The requests of one vector are performed in
 * their order; after one that the node could not do the others are done all the same, and *done tells of the first. With a
 * post behind it a vector of puts needs one answer only, that of the post, which is refused when a put failed. A post behind
 * gets is an exchange of its own.
 */
#include "transport/tcp/tcp.h"

#include "base/reason.h"
#include "rsmapi.h"

struct call {
	struct transport_import *import;
	struct tcp_batch batch;
	struct tcp_outcome vector, post;
};

static void add(struct call *call, struct wire_request request, void *local, struct tcp_outcome *outcome,
		unsigned index)
{
	struct tcp_link *link = call->import->link;
	const bool is_get = request.op == WIRE_OP_GET, answered = (request.flags & WIRE_FLAG_ANSWER) != 0;
	struct tcp_answer answer = {.op = (uint8_t)request.op, .index = (uint8_t)index, .outcome = outcome};
	if (is_get) {
		answer.target = local;
		answer.length = request.length;
	}
	answer.sequence = tcp_batch_add(link, &call->batch, request, is_get ? NULL : local);
	if (answered)
		tcp_answer_push(link, &answer);
}

static void add_post(struct call *call, unsigned flags)
{
	const bool once = (flags & RSM_SIGPOST_NO_ACCUMULATE) != 0;
	const struct wire_request request = {
		.op = WIRE_OP_POST, .flags = WIRE_FLAG_ANSWER | (once ? WIRE_FLAG_NO_ACCUMULATE : 0)};
	add(call, request, NULL, &call->post, 0);
}

/* Small puts of a vector inside a span wait like single ones. */
static bool is_gatherable(struct tcp_link *link, const struct transport_vector *entries, size_t count)
{
	size_t size = link->gathered;
	if (link->spans == 0)
		return false;
	for (size_t i = 0; i < count; i++) {
		if (entries[i].length > TCP_SMALL)
			return false;
		size += WIRE_REQUEST_SIZE + entries[i].length;
	}
	return size <= TCP_GATHER && tcp_gather_ready(link);
}

static int finish(struct call *call, size_t count, size_t *done)
{
	struct tcp_link *link = call->import->link;
	/* An event that was counted cannot be taken back; who took it may have withdrawn the segment since. */
	const bool counted = call->post.done > 0;
	if (!counted && transport_is_aborted(call->import)) {
		*done = call->vector.done;
		tcp_leave(call->import);
		return tcp_refuse_aborted(call->import);
	}
	*done = call->vector.code == RSM_SUCCESS ? count : call->vector.done;
	int code = call->vector.code != RSM_SUCCESS ? call->vector.code : call->post.code;
	if (code != RSM_SUCCESS)
		code = base_refuse(code, "the segment's node could not do it: %s", link->text);
	tcp_leave(call->import);
	return code;
}

static int run(struct call *call, size_t count, size_t *done, bool waits)
{
	int code = tcp_send(call->import, &call->batch);
	if (code == RSM_SUCCESS && waits)
		code = tcp_await(call->import, 0);
	if (code == RSM_SUCCESS)
		return finish(call, count, done);
	*done = call->vector.done;
	tcp_leave(call->import);
	return code;
}

/* Explicit gets leave room in the ring for one batch (rma.c), so nothing has to be awaited here. */
static int transfer(struct transport_import *import, enum wire_op op, const struct transport_vector *entries,
		    size_t count, int post, size_t *done)
{
	struct call call = {.import = import};
	const bool implicit = atomic_load_explicit(&import->implicit, memory_order_relaxed),
		   answered = op == WIRE_OP_GET || (implicit && post < 0), waits = answered || post >= 0;
	*done = 0;
	int code = tcp_enter(import);
	if (code != RSM_SUCCESS)
		return code;
	if (!waits && is_gatherable(import->link, entries, count)) {
		for (size_t i = 0; i < count; i++)
			if (entries[i].length > 0)
				tcp_gather_put(import->link, entries[i].offset, entries[i].local,
					       entries[i].length, 0);
		*done = count;
		tcp_leave(import);
		return RSM_SUCCESS;
	}
	tcp_batch_begin(import->link, &call.batch);
	for (size_t i = 0; i < count; i++) {
		const struct wire_request request = {.op = op,
						     .flags = answered ? WIRE_FLAG_ANSWER : 0,
						     .offset = entries[i].offset,
						     .length = entries[i].length};
		if (request.length > 0)
			add(&call, request, entries[i].local, &call.vector, (unsigned)i);
	}
	if (post >= 0)
		add_post(&call, (unsigned)post);
	return run(&call, count, done, waits);
}

int tcp_getv(struct transport_import *import, const struct transport_vector *entries, size_t count, int post,
	     size_t *done)
{
	int code = transfer(import, WIRE_OP_GET, entries, count, -1, done);
	/* The node does not hold a post back for a get that failed: it is asked for behind a whole vector only. */
	return code == RSM_SUCCESS && post >= 0 ? tcp_post(import, (unsigned)post) : code;
}

int tcp_putv(struct transport_import *import, const struct transport_vector *entries, size_t count, int post,
	     size_t *done)
{
	int code = transfer(import, WIRE_OP_PUT, entries, count, post, done);
	if (code != RSMERR_BARRIER_FAILURE || post < 0 ||
	    !atomic_load_explicit(&import->implicit, memory_order_relaxed))
		return code;
	/* No event was posted, since some put failed. Which one is asked by doing them again. */
	code = transfer(import, WIRE_OP_PUT, entries, count, -1, done);
	return code == RSM_SUCCESS ? tcp_post(import, (unsigned)post) : code;
}

int tcp_post(struct transport_import *import, unsigned flags)
{
	size_t done;
	struct call call = {.import = import};
	int code = tcp_enter(import);
	if (code != RSM_SUCCESS)
		return code;
	tcp_batch_begin(import->link, &call.batch);
	add_post(&call, flags);
	return run(&call, 0, &done, true);
}
