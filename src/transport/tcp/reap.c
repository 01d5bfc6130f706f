/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Answers. One receive takes what there is: the rest of a payload straight to where it belongs, and what follows ahead of
 * time. The other node's rsmd is not believed: a reply that is not the awaited one, or of another length, ends the link.
 */
#include "transport/tcp/tcp.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "rsmapi.h"

#define BROKEN "the segment's node broke the protocol of data connections; connect again to go on"

uint32_t tcp_answers_room(const struct tcp_link *link)
{
	return link->capacity - link->count;
}

void tcp_answer_push(struct tcp_link *link, const struct tcp_answer *answer)
{
	link->answers[(link->first + link->count) & (link->capacity - 1)] = *answer;
	link->count++;
	link->gets += answer->length;
}

/* Without memory the ring stays small, which only makes more exchanges of it. */
void tcp_answers_grow(struct tcp_link *link)
{
	if (link->capacity == TCP_ANSWERS_MAX)
		return;
	struct tcp_answer *wide = malloc(TCP_ANSWERS_MAX * sizeof *wide);
	if (wide == NULL)
		return;
	for (uint32_t i = 0; i < link->count; i++)
		wide[i] = link->answers[(link->first + i) & (link->capacity - 1)];
	link->answers = wide;
	link->capacity = TCP_ANSWERS_MAX;
	link->first = 0;
}

/*
 * What an op that was refused is called in rsmapi.h: a peer's code is not passed on as it comes. BARRIER_FAILURE for a post
 * tells that an earlier put failed, so that there is no event.
 */
static int code_of(uint16_t code, enum wire_op op)
{
	if (code == RSMERR_CONN_ABORTED || code == RSMERR_BARRIER_FAILURE)
		return code;
	return op == WIRE_OP_POST ? RSMERR_REMOTE_NODE_UNREACHABLE : RSMERR_BARRIER_FAILURE;
}

/* A reason is shown to people: no control characters of a stranger's. */
static void text_clean(struct tcp_link *link)
{
	link->text[link->reply.length] = '\0';
	base_text_clean(link->text, sizeof link->text, link->text);
}

static void reply_end(struct tcp_link *link)
{
	const struct tcp_answer *answer = &link->answers[link->first];
	const bool refused = link->reply.code != RSM_SUCCESS;
	if (refused) {
		text_clean(link);
		link->failures++;
	}
	struct tcp_outcome *outcome = answer->outcome;
	if (outcome != NULL && outcome->code == RSM_SUCCESS) {
		if (refused)
			outcome->code = code_of(link->reply.code, link->reply.op);
		outcome->done = answer->index + !refused; /* entries without bytes before it are done, too */
	}
	if (answer->op == WIRE_OP_FENCE || answer->op == WIRE_OP_POST)
		link->unfenced = false; /* the mutex is held since it was sent: no put came behind it */
	link->gets -= answer->length;
	link->first = (link->first + 1) & (link->capacity - 1);
	link->count--;
	link->in_payload = false;
}

/* A whole header lies ahead. */
static int reply_begin(struct tcp_link *link)
{
	const struct tcp_answer *answer = &link->answers[link->first];
	struct wire_reply *reply = &link->reply;
	if (wire_reply_unpack(link->ahead + link->begin, reply) != 0 ||
	    reply->op != (enum wire_op)answer->op || reply->sequence != answer->sequence)
		return -EPROTO;
	if (reply->code == RSM_SUCCESS ? reply->length != answer->length
				       : reply->length > WIRE_REPLY_TEXT_MAX)
		return -EPROTO;
	link->begin += WIRE_REPLY_SIZE;
	link->target = reply->code == RSM_SUCCESS ? answer->target : (unsigned char *)link->text;
	link->left = reply->length;
	link->in_payload = true;
	return 0;
}

/* Works off what lies ahead. 0, or -EPROTO. */
static int digest(struct tcp_link *link)
{
	while (link->count > 0) {
		size_t there = link->end - link->begin;
		if (!link->in_payload) {
			if (there < WIRE_REPLY_SIZE)
				return 0;
			if (reply_begin(link) != 0)
				return -EPROTO;
			there -= WIRE_REPLY_SIZE;
		}
		size_t part = link->left < there ? (size_t)link->left : there;
		if (part > 0) {
			memcpy(link->target, link->ahead + link->begin, part);
			link->target += part;
			link->begin += part;
			link->left -= part;
		}
		if (link->left > 0)
			return 0;
		reply_end(link);
	}
	return link->begin == link->end ? 0 : -EPROTO; /* an answer to nothing */
}

/* One receive. Bytes, 0 at the end, or a negative errno. */
static ssize_t fill(struct tcp_link *link)
{
	struct iovec pieces[2];
	int count = 0;
	const bool direct = link->in_payload && link->left > 0; /* nothing lies ahead then */
	if (direct)
		pieces[count++] = (struct iovec){link->target, (size_t)link->left};
	/* The rest of a header moves to the front; there is always room then. */
	memmove(link->ahead, link->ahead + link->begin, link->end - link->begin);
	link->end -= link->begin;
	link->begin = 0;
	pieces[count++] = (struct iovec){link->ahead + link->end, TCP_READ_AHEAD - link->end};
	ssize_t got = tcp_read(link, pieces, count);
	if (got <= 0)
		return got;
	size_t straight = 0;
	if (direct) {
		straight = (uint64_t)got < link->left ? (size_t)got : (size_t)link->left;
		link->target += straight;
		link->left -= straight;
	}
	link->end += (size_t)got - straight;
	return got;
}

static int fill_judged(struct tcp_link *link, const char **why)
{
	ssize_t got = fill(link);
	if (got > 0)
		return 0;
	*why = got == 0 ? "the segment's node closed the connection; connect again to go on"
			: "receiving from the segment's node failed";
	return got == 0 ? -ENODATA : (int)got;
}

static int digest_judged(struct tcp_link *link, const char **why)
{
	*why = BROKEN;
	return digest(link);
}

int tcp_reap(struct tcp_link *link, uint32_t keep, const char **why)
{
	for (;;) {
		int error = digest_judged(link, why);
		if (error != 0 || link->count <= keep)
			return error;
		error = fill_judged(link, why);
		if (error != 0)
			return error;
	}
}

int tcp_reap_present(struct tcp_link *link, const char **why)
{
	for (;;) {
		int error = digest_judged(link, why);
		if (error == 0)
			error = fill_judged(link, why);
		if (error != 0)
			return error;
	}
}
