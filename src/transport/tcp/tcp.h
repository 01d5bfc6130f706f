/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The transport between nodes: one TCP connection for each import, to the rsmd that owns the segment (doc/protocol.md 4). Private
 * to this folder.
 *
 * Everything of a link is under its mutex, which a call holds until it is done: threads that share an import take turns, and a reply
 * always belongs to the thread that waits. The mutex is taken without lib_lock; lib_lock may be taken under it, never the other
 * way round.
 *
 * System calls: a put that is gathered: none. An implicit put or get, a post, a vector, a fence: one sendmsg, one recvmsg for
 * the answer, and what the spin before it costs (recvmsg that find nothing; then poll).
 */
#ifndef TRANSPORT_TCP_H
#define TRANSPORT_TCP_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/uio.h>

#include "transport/transport.h"
#include "wire/tls.h"

#define TCP_SMALL       4096u  /* bytes; a longer put is not copied but sent from where it lies */
#define TCP_COPIED      64u    /* bytes; up to here a payload goes out in one piece with its header */
#define TCP_GATHER      65536u /* bytes of requests that wait inside a span */
#define TCP_READ_AHEAD  16384u /* bytes that one receive may take of answers to come */
#define TCP_RECORD      16384u /* bytes of one TLS record */
#define TCP_VECTOR      16u    /* entries of one vector (RSM_MAX_SGIOREQS) */
#define TCP_BATCH       (TCP_VECTOR + 1u) /* requests of one exchange: a vector and its post */
#define TCP_ANSWERS_FEW 64u   /* answers that may be awaited at once: without explicit gets, a power of 2 */
#define TCP_ANSWERS_MAX 1024u /* the same with them */
#define TCP_GETS_MAX    (4u << 20)  /* bytes that explicit gets may have asked for, unless it is one get */
#define TCP_GETS_UNSENT (64u << 10) /* bytes that gathered gets may ask for before they are sent */
#define TCP_SPIN_NS     50000u      /* about what a wake-up costs; peers answer within it on a good network */
#define TCP_SPIN_SKIP   63u         /* waits without a spin after spins that did not help */
#define TCP_SLICE_MS    100         /* longest sleep before the status word is looked at again */
#define TCP_STALL_NS    120000000000u /* a connection on which nothing moves for so long counts as lost */
#define TCP_SILENCE_NS  60000000000u  /* how long a lost connection waits for rsmd to say so, at least */

#define tcp_unlikely(condition) __builtin_expect(!!(condition), 0)

/* What became of one exchange; on the stack of who waits for it. */
struct tcp_outcome {
	int code;      /* of the first request that was refused, in the words of rsmapi.h */
	unsigned done; /* requests of the vector that succeeded before that */
};

/* An answer that is awaited. Answers come in the order of their requests. */
struct tcp_answer {
	void *target;                /* GET: where the payload goes */
	uint64_t length;             /* GET: bytes */
	struct tcp_outcome *outcome; /* NULL: nobody waits for this one alone */
	uint32_t sequence;
	uint8_t op;
	uint8_t index; /* of the request in its vector */
};

enum tcp_health {
	TCP_WELL,
	TCP_SILENT, /* the network failed: told to nobody before the other node must have fenced (doc/protocol.md 6) */
	TCP_LOST, /* ended for good */
};

struct tcp_link {
	pthread_mutex_t lock;
	int socket;
	unsigned forks; /* of the process that opened it: differs in a forked child */
	bool can_spin;  /* more than one processor: who answers runs while we look */
	uint8_t spin_skip, spin_backoff;
	enum tcp_health health;
	int error;       /* errno of what ended it, or 0 */
	const char *why; /* text of what ended it */
	uint32_t dead_after_ms;
	struct wire_tls *tls;  /* NULL: plain */
	unsigned char *record; /* TLS: small pieces are put together here */

	/* requests */
	uint32_t sequence;     /* of the next one */
	unsigned spans;        /* open */
	bool unfenced;         /* puts without an answer since the last fence */
	uint64_t failures;     /* refused requests so far: what spans compare */
	unsigned char *gather; /* TCP_GATHER bytes, or NULL: not needed yet */
	size_t gathered;
	uint64_t gets_unsent; /* bytes that gathered gets ask for */

	/* answers: a ring */
	struct tcp_answer *answers, few[TCP_ANSWERS_FEW];
	uint32_t capacity, first, count;
	uint64_t gets; /* bytes that awaited answers will bring */

	/* the reply that is being received */
	bool in_payload;
	struct wire_reply reply;
	unsigned char *target;
	uint64_t left;                      /* bytes of its payload */
	char text[WIRE_REPLY_TEXT_MAX + 1]; /* the reason of the last refusal */
	size_t begin, end;                  /* of what lies ahead */

	/* waiting */
	uint64_t moved, moved_seen; /* bytes in both directions */
	uint64_t quiet_ns;          /* since when nothing moves, or 0 */
	uint64_t orphaned_ns; /* since when there is no rsmd to tell of an abort and nothing moves, or 0 */

	unsigned char ahead[TCP_READ_AHEAD]; /* last: the one member that is not cleared at the start */
};

extern _Atomic unsigned tcp_forks;

/* Not told before rsmd would have told: twice the time after which a node is dead is beyond every fence. */
static inline uint64_t tcp_silence_ns(const struct tcp_link *link)
{
	const uint64_t twice = (uint64_t)link->dead_after_ms * 2000000u;
	return twice > TCP_SILENCE_NS ? twice : TCP_SILENCE_NS;
}

/* Requests that go out in one sendmsg, behind what is gathered. */
struct tcp_batch {
	struct iovec pieces[1 + 2 * TCP_BATCH];
	int count;
	unsigned requests;
	unsigned char heads[TCP_BATCH][WIRE_REQUEST_SIZE + TCP_COPIED]; /* with what is short */
};

/* tcp.c */
int tcp_map(struct transport_import *import, void **address, bool fixed, int protection, uint64_t offset,
	    size_t length);

/* link.c */
int tcp_attach(struct transport_import *import, const struct transport_layout *layout);
void tcp_detach(struct transport_import *import);

/* secure.c: RSM_SUCCESS or a code with reason. tcp_secure_module: the functions, once loaded. */
int tcp_secure_load(void);
const struct wire_tls_functions *tcp_secure_module(void);

/*
 * io.c: what the socket, or TLS over it, does now. Bytes moved, 0: farewell or end (read only), or a negative errno. What was not
 * written must be the next thing that is written.
 */
ssize_t tcp_read(struct tcp_link *link, const struct iovec *pieces, int count);
ssize_t tcp_write(struct tcp_link *link, const struct iovec *pieces, int count);

/* What poll has to wait for besides `events`. */
short tcp_poll_events(const struct tcp_link *link, short events);

/* io.c: under the mutex. They return RSM_SUCCESS, or CONN_ABORTED once the link is lost, and may wait until then. */
int tcp_send(struct transport_import *import, struct tcp_batch *batch);
int tcp_await(struct transport_import *import, uint32_t keep); /* until at most `keep` answers are awaited */

/* fail.c: the link has failed by `error` (positive errno, or 0: the other side ended it); drops all that waits. */
void tcp_lose(struct tcp_link *link, int error, const char *why);

/* fail.c: what a call on a link that failed returns, as soon as it may be told. */
int tcp_verdict(struct transport_import *import);
int tcp_refuse_aborted(struct transport_import *import);
int tcp_refuse_forked(void);

/*
 * fail.c: waits for `events`, for one slice. RSM_SUCCESS: look again. CONN_ABORTED: no more. Also keeps the time of
 * silence.
 */
int tcp_wait(struct transport_import *import, short events);

/* reap.c: takes the answers that are there. 0: at most `keep` are awaited. -EAGAIN: more have to come. Else what ended it; -ENODATA: the other side. */
int tcp_reap(struct tcp_link *link, uint32_t keep, const char **why);

/* reap.c: the same without an end that is wanted: never 0. Sees an end also when no answer is awaited. */
int tcp_reap_present(struct tcp_link *link, const char **why);

/* reap.c: one more answer is awaited. There is room: see tcp_answers_room. */
void tcp_answer_push(struct tcp_link *link, const struct tcp_answer *answer);
uint32_t tcp_answers_room(const struct tcp_link *link);
void tcp_answers_grow(struct tcp_link *link);

/* gather.c: requests are put together. */
void tcp_batch_begin(struct tcp_link *link, struct tcp_batch *batch);
uint32_t tcp_batch_add(struct tcp_link *link, struct tcp_batch *batch, struct wire_request request,
		       const void *payload);
bool tcp_gather_ready(struct tcp_link *link); /* has its buffer */
void tcp_gather_put(struct tcp_link *link, uint64_t offset, const void *source, size_t length,
		    unsigned width);
int tcp_flush(struct transport_import *import);

uint64_t tcp_begin(struct transport_import *import);
void tcp_abandon(struct transport_import *import, uint64_t span);
int tcp_order(struct transport_import *import);
int tcp_settle(struct transport_import *import, uint64_t span);

/* rma.c: the data path. */
int tcp_get(struct transport_import *import, uint64_t offset, void *target, size_t length);
int tcp_get_items(struct transport_import *import, uint64_t offset, void *target, size_t count,
		  unsigned width);
int tcp_put(struct transport_import *import, uint64_t offset, const void *source, size_t length);
int tcp_put_items(struct transport_import *import, uint64_t offset, const void *source, size_t count,
		  unsigned width);

/* vector.c */
int tcp_getv(struct transport_import *import, const struct transport_vector *entries, size_t count, int post,
	     size_t *done);
int tcp_putv(struct transport_import *import, const struct transport_vector *entries, size_t count, int post,
	     size_t *done);
int tcp_post(struct transport_import *import, unsigned flags);

/*
 * What every call begins with: the mutex is held when it returns RSM_SUCCESS. An abort is seen here, so that an
 * aborted import moves nothing.
 */
static inline __attribute__((always_inline)) int tcp_enter(struct transport_import *import)
{
	struct tcp_link *link = import->link;
	if (tcp_unlikely(link->forks != atomic_load_explicit(&tcp_forks, memory_order_relaxed)))
		return tcp_refuse_forked();
	if (tcp_unlikely(transport_is_aborted(import)))
		return tcp_refuse_aborted(import);
	pthread_mutex_lock(&link->lock);
	if (tcp_unlikely(link->health != TCP_WELL)) {
		int code = tcp_verdict(import);
		pthread_mutex_unlock(&link->lock);
		return code;
	}
	return 0;
}

static inline void tcp_leave(struct transport_import *import)
{
	pthread_mutex_unlock(&import->link->lock);
}

#endif
