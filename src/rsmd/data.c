/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The pool of data threads. Each has an epoll set of its own and serves its connections one turn after the other. With work at
 * hand it asks without sleeping; after the last activity for SPIN_NS more, first the connection that was active, whose
 * next request is then found without a wake-up; then it sleeps in the kernel for good.
 */
#include "rsmd/data.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <rsmapi.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>
#include <utlist.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/reason.h"
#include "rsmd/loop.h"
#include "rsmd/serve.h"
#include "rsmd/thread.h"

#define SPIN_NS    50000u
#define SPIN_TURNS 16 /* of the hot connection, before others are looked at */
#define EVENTS     64
#define HELD_MS    20 /* how often a connection without a lease looks for a new one */

/* A connection belongs to one thread, which alone touches it; `listed` says in which of its lists it is. */
struct connection {
	struct rsmd_serve serve;
	uint32_t interest; /* epoll's, as it was told */
	int low;           /* SO_RCVLOWAT, as it was told */
	enum { LISTED_NOT, LISTED_READY, LISTED_HELD } listed;
	struct connection *prev, *next;
};

struct thread {
	int epoll, kick;
	atomic_uint connections;
	struct connection *ready; /* utlist: those with work at hand */
	struct connection *held;  /* utlist: those that may not go on */
	uint64_t held_turn;       /* when these had their last turn: others must not keep it from them */
	struct connection *hot;   /* the only one that was active lately, or NULL */
	bool spins;
	uint64_t spin_until;
	struct rsmd_serve_buffers buffers;
};

static struct thread **threads;
static uint32_t thread_count;
static unsigned spinners_max; /* one processor is left for others */
static atomic_uint spinners;

/* What has ended, on its way to the loop's thread. */
static pthread_mutex_t ended_lock = PTHREAD_MUTEX_INITIALIZER;
static struct connection *ended; /* utlist, the oldest first; under the lock */
static struct rsmd_waker *waker;
static void (*on_end)(uint64_t guest_id, const char *why);

void rsmd_data_on_end(void (*function)(uint64_t guest_id, const char *why))
{
	on_end = function;
}

static void connection_free(struct connection *connection)
{
	rsmd_grant_unref(connection->serve.grant);
	free(connection);
}

/* In the loop's thread. */
static void tell_ended(void *context)
{
	struct connection *connection, *next;
	(void)context;
	pthread_mutex_lock(&ended_lock);
	struct connection *list = ended;
	ended = NULL;
	pthread_mutex_unlock(&ended_lock);
	DL_FOREACH_SAFE(list, connection, next)
	{
		/* One whose grant was closed is gone for the loop's thread already. */
		/* cppcheck-suppress uninitvar ; a list element is one that was entered */
		if (!connection->serve.grant->closed && on_end)
			on_end(connection->serve.grant->guest_id, connection->serve.why);
		connection_free(connection);
	}
}

static void unlist(struct thread *thread, struct connection *connection)
{
	if (connection->listed == LISTED_READY)
		DL_DELETE(thread->ready, connection);
	else if (connection->listed == LISTED_HELD)
		/* NOLINTNEXTLINE(clang-analyzer-*): a listed connection is in its list */
		DL_DELETE(thread->held, connection);
	connection->listed = LISTED_NOT;
}

static void connection_end(struct thread *thread, struct connection *connection)
{
	struct rsmd_serve *serve = &connection->serve;
	unlist(thread, connection);
	if (thread->hot == connection)
		thread->hot = NULL;
	rsmd_serve_clear(serve);
	/* From here on rsmd_grant_close does not know the descriptor, whose number may be another's soon. */
	pthread_mutex_lock(&serve->grant->gate);
	serve->grant->socket = -1;
	pthread_mutex_unlock(&serve->grant->gate);
	wire_tls_close(serve->tls);
	base_fd_close(&serve->socket); /* epoll forgets it */
	atomic_fetch_sub(&thread->connections, 1);
	pthread_mutex_lock(&ended_lock);
	DL_APPEND(ended, connection);
	pthread_mutex_unlock(&ended_lock);
	rsmd_loop_wake(waker);
}

/* Tells epoll what the connection waits for. */
static void connection_wait(struct thread *thread, struct connection *connection, uint32_t interest)
{
	struct epoll_event event = {.events = interest, .data.ptr = connection};
	if (connection->interest == interest)
		return;
	connection->interest = interest;
	epoll_ctl(thread->epoll, EPOLL_CTL_MOD, connection->serve.socket, &event);
}

/*
 * In the middle of a large put: epoll reports it when enough has come to be worth a receive. Asking the socket for each piece would
 * only keep it from taking more in.
 */
static void connection_low(struct connection *connection, int low)
{
	if (connection->low == low)
		return;
	connection->low = low;
	setsockopt(connection->serve.socket, SOL_SOCKET, SO_RCVLOWAT, &low, sizeof(low));
}

/* A turn. False: the connection is no more. */
static bool connection_turn(struct thread *thread, struct connection *connection)
{
	enum rsmd_serve_wait wait = rsmd_serve_turn(&connection->serve, &thread->buffers);
	bool ready = wait == RSMD_SERVE_MORE, held = wait == RSMD_SERVE_HELD;
	if (wait == RSMD_SERVE_END) {
		connection_end(thread, connection);
		return false;
	}
	if (!(ready && connection->listed == LISTED_READY) && !(held && connection->listed == LISTED_HELD)) {
		unlist(thread, connection);
		if (ready)
			DL_APPEND(thread->ready, connection);
		if (held)
			DL_APPEND(thread->held, connection);
		connection->listed = ready ? LISTED_READY : held ? LISTED_HELD : LISTED_NOT;
	}
	if (wait == RSMD_SERVE_READ) {
		connection_low(connection, rsmd_serve_bulk(&connection->serve));
		connection_wait(thread, connection, EPOLLIN);
	} else if (wait == RSMD_SERVE_WRITE)
		connection_wait(thread, connection, EPOLLOUT);
	else if (held)
		connection_wait(thread, connection, 0); /* its end is told all the same */
	return true;
}

/* A turn for each one that was in the list before. */
static void list_turn(struct thread *thread, struct connection *list)
{
	struct connection *connection, *next;
	struct connection *last = list ? list->prev : NULL;
	for (connection = list; connection; connection = next) {
		next = connection == last ? NULL : connection->next;
		connection_turn(thread, connection);
	}
}

static void thread_kicked(struct thread *thread)
{
	uint64_t count;
	if (read(thread->kick, &count, sizeof(count)) > 0)
		list_turn(thread, thread->held);
}

/* Handles what epoll reports; *only is the connection, if it was one alone. */
static void events_handle(struct thread *thread, const struct epoll_event *events, int count)
{
	struct connection *only = NULL;
	bool kicked = false;
	for (int i = 0; i < count; i++) {
		struct connection *connection = events[i].data.ptr;
		if (!connection) {
			kicked = true; /* last: it may end connections that have events behind it here */
			continue;
		}
		if (connection->listed == LISTED_READY)
			continue; /* gets its turn from the list */
		bool hung_up = events[i].events & (EPOLLERR | EPOLLHUP);
		if (hung_up && connection->listed == LISTED_HELD) { /* it may not look at the socket */
			connection_end(thread, connection);
			continue;
		}
		only = connection_turn(thread, connection) ? connection : NULL;
	}
	if (count == 1 && only)
		thread->hot = only;
	else if (count > 1)
		thread->hot = NULL;
	if (kicked)
		thread_kicked(thread);
}

/* Spinning is for as many threads as leave a processor free. */
static void spin_set(struct thread *thread, bool on)
{
	if (thread->spins == on)
		return;
	if (!on) {
		atomic_fetch_sub(&spinners, 1);
	} else if (atomic_fetch_add(&spinners, 1) >= spinners_max) {
		atomic_fetch_sub(&spinners, 1);
		return;
	}
	thread->spins = on;
}

/* The hot connection is asked directly: its next request is seen without epoll. */
static void hot_turns(struct thread *thread)
{
	size_t moved = 0;
	for (unsigned i = 0; i < SPIN_TURNS && moved < RSMD_SERVE_STEP; i++) {
		if (!thread->hot || thread->hot->listed != LISTED_NOT || thread->hot->interest != EPOLLIN ||
		    thread->hot->low > 1)
			return;
		if (!connection_turn(thread, thread->hot) || !thread->buffers.busy)
			continue;
		thread->spin_until = base_clock_ns() + SPIN_NS;
		moved += RSMD_SERVE_STEP - thread->buffers.budget;
	}
}

static void thread_round(struct thread *thread)
{
	struct epoll_event events[EVENTS];
	int timeout = thread->ready || thread->spins ? 0 : thread->held ? HELD_MS : -1;
	int count = epoll_wait(thread->epoll, events, EVENTS, timeout);
	if (count > 0)
		events_handle(thread, events, count);
	list_turn(thread, thread->ready);
	uint64_t now = base_clock_ns();
	if (thread->held && now - thread->held_turn >= HELD_MS * 1000000u) {
		thread->held_turn = now;
		list_turn(thread, thread->held);
	}
	if (count > 0 || thread->ready) {
		thread->spin_until = now + SPIN_NS;
		spin_set(thread, true);
	} else if (now >= thread->spin_until) {
		spin_set(thread, false);
	}
	if (thread->spins)
		hot_turns(thread);
}

static void *thread_run(void *context)
{
	struct thread *thread = context;
	for (;;)
		thread_round(thread);
	return NULL;
}

static bool thread_add(void)
{
	struct epoll_event event = {.events = EPOLLIN};
	struct thread *thread = calloc(1, sizeof(*thread));
	if (!thread)
		return false;
	thread->epoll = epoll_create1(EPOLL_CLOEXEC);
	thread->kick = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (thread->epoll < 0 || thread->kick < 0 ||
	    epoll_ctl(thread->epoll, EPOLL_CTL_ADD, thread->kick, &event) ||
	    !rsmd_thread_start(thread_run, thread)) {
		base_fd_close(&thread->epoll);
		base_fd_close(&thread->kick);
		free(thread);
		return false;
	}
	threads[thread_count++] = thread;
	return true;
}

int rsmd_data_open(uint32_t count)
{
	cpu_set_t processors;
	if (!sched_getaffinity(0, sizeof(processors), &processors))
		spinners_max = (unsigned)CPU_COUNT(&processors) - 1;
	waker = rsmd_loop_waker(tell_ended, NULL);
	threads = calloc(count, sizeof(struct thread *));
	if (!waker || !threads)
		return base_refuse(RSMERR_INSUFFICIENT_MEM, "rsmd has no memory for data threads");
	while (thread_count < count && thread_add())
		;
	if (!thread_count)
		return base_refuse_errno(RSMERR_INSUFFICIENT_RESOURCES, errno,
					 "rsmd cannot start one of %u data threads", count);
	return RSM_SUCCESS; /* fewer serve as well */
}

static struct thread *least_loaded(void)
{
	struct thread *best = threads[0];
	for (uint32_t i = 1; i < thread_count; i++)
		if (atomic_load(&threads[i]->connections) < atomic_load(&best->connections))
			best = threads[i];
	return best;
}

/* The welcome is said here: to wake the thread for it would make every connect wait for that. What does not go it sends first. */
static bool welcome(struct rsmd_serve *serve)
{
	const struct wire_welcome hello = {
		.version = WIRE_DATA_VERSION, .code = RSM_SUCCESS, .order = wire_order_own()};
	uint8_t bytes[WIRE_WELCOME_SIZE];
	wire_welcome_pack(&hello, bytes);
	ssize_t sent = serve->tls ? wire_tls_write(serve->tls, bytes, sizeof(bytes))
				  : send(serve->socket, bytes, sizeof(bytes), MSG_DONTWAIT | MSG_NOSIGNAL);
	size_t gone = sent > 0 ? (size_t)sent : 0;
	if (gone == sizeof(bytes))
		return true;
	serve->unsent.bytes = malloc(sizeof(bytes)); /* an error is seen again when the thread sends it */
	if (!serve->unsent.bytes)
		return false;
	memcpy(serve->unsent.bytes, bytes, sizeof(bytes));
	serve->unsent.start = gone;
	serve->unsent.end = sizeof(bytes);
	return true;
}

static bool connection_start(struct connection *connection)
{
	struct thread *thread = least_loaded();
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
	int socket = connection->serve.socket;
	/* Decrypted bytes that wait inside TLS do not make the socket readable: the first turn comes at once. */
	if (connection->serve.unsent.bytes || connection->serve.tls)
		event.events = EPOLLOUT;
	struct rsmd_grant *grant = connection->serve.grant;
	connection->interest = event.events;
	atomic_fetch_add(&thread->connections, 1);
	/* Nobody else uses the gate yet, but the thread does at once. */
	pthread_mutex_lock(&grant->gate);
	grant->socket = socket;
	bool added = !epoll_ctl(thread->epoll, EPOLL_CTL_ADD, socket, &event);
	if (!added)
		grant->socket = -1;
	pthread_mutex_unlock(&grant->gate);
	if (!added)
		atomic_fetch_sub(&thread->connections, 1);
	return added;
}

bool rsmd_data_serve(int socket, struct wire_tls *tls, struct rsmd_grant *grant, bool swap)
{
	struct connection *connection = thread_count ? calloc(1, sizeof(*connection)) : NULL;
	const int on = 1;
	setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)); /* fails where it means nothing */
	if (connection) {
		connection->serve =
			(struct rsmd_serve){.socket = socket, .tls = tls, .grant = grant, .swap = swap};
		connection->low = 1;
		if (welcome(&connection->serve) && connection_start(connection))
			/* NOLINTNEXTLINE(clang-analyzer-*): epoll has it */
			return true;
		rsmd_serve_clear(&connection->serve);
		free(connection);
	}
	wire_tls_close(tls);
	close(socket);
	rsmd_grant_unref(grant);
	return false;
}

void rsmd_data_resume(void)
{
	const uint64_t one = 1;
	for (uint32_t i = 0; i < thread_count; i++)
		if (write(threads[i]->kick, &one, sizeof(one)) < 0)
			continue; /* full: it is kicked already */
}
