/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * [metrics] listen: GET /metrics by HTTP on a loopback address. libmicrohttpd has a thread of its own for all connections, so
 * that no client of it, however slow or busy, is in the loop's way: the thread asks the loop for a text at most once in
 * FRESH_NS and serves copies. Connections are few and short: who comes when there are many pushes out the oldest.
 */
#include <errno.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "base/clock.h"
#include "base/fd.h"
#include "rsmd/address.h"
#include "rsmd/log.h"
#include "rsmd/loop.h"
#include "rsmd/metrics.h"
#include "rsmd/rsmd.h"
#include "rsmd/thread.h"

#define FRESH_NS    100000000u
#define PATIENCE_S  2     /* for the loop */
#define IDLE_S      5     /* without a byte, then the connection ends */
#define CONNECTIONS 32    /* more than that are not accepted */
#define CROWD       24    /* from here on the oldest goes */
#define MEMORY      16384 /* bytes of one connection, its request included */
#define STACK       (256u << 10)

static struct MHD_Daemon *server;
static struct rsmd_waker *waker;

/* What the two threads share. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t done; /* on the monotonic clock */
static char *text;
static size_t length;
static uint64_t asked_ns; /* 0: nobody asks */
static bool ended;        /* the loop answers no more */

/* The thread of libmicrohttpd alone. */
static struct MHD_Response *present; /* newest text */
static uint64_t present_ns;
static int sockets[CONNECTIONS]; /* of all connections, the oldest first */
static unsigned socket_count;

/* The loop's thread: somebody asks. */
static void on_wake(void *unused)
{
	(void)unused;
	pthread_mutex_lock(&lock);
	uint64_t asked = asked_ns;
	asked_ns = 0;
	pthread_mutex_unlock(&lock);
	if (!asked)
		return;
	rsmd_metrics.loop_latency_ns = base_clock_ns() - asked;
	size_t count;
	char *bytes = rsmd_metrics_collect(&count);
	pthread_mutex_lock(&lock);
	free(text);
	text = bytes;
	length = count;
	pthread_cond_signal(&done);
	pthread_mutex_unlock(&lock);
}

/* A fresh text from the loop, malloc'ed; NULL: it did not answer in time. */
static char *ask(size_t *count)
{
	struct timespec end;
	clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_sec += PATIENCE_S;
	pthread_mutex_lock(&lock);
	free(text); /* one that came too late */
	text = NULL;
	asked_ns = base_clock_ns();
	rsmd_loop_wake(waker);
	while (!text && !ended && !pthread_cond_timedwait(&done, &lock, &end))
		;
	char *bytes = text;
	*count = length;
	text = NULL;
	asked_ns = 0;
	pthread_mutex_unlock(&lock);
	return bytes;
}

static struct MHD_Response *response_of(char *bytes, size_t count, enum MHD_ResponseMemoryMode mode)
{
	struct MHD_Response *response = MHD_create_response_from_buffer(count, bytes, mode);
	if (!response) {
		if (mode == MHD_RESPMEM_MUST_FREE)
			free(bytes);
		return NULL;
	}
	MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close");
	return response;
}

/* The newest text, made anew if it is too old; NULL: the loop does not answer. */
static struct MHD_Response *fresh(void)
{
	uint64_t now = base_clock_ns();
	if (present && now - present_ns < FRESH_NS)
		return present;
	size_t count;
	char *bytes = ask(&count);
	struct MHD_Response *response = bytes ? response_of(bytes, count, MHD_RESPMEM_MUST_FREE) : NULL;
	if (!response)
		return NULL;
	MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE,
				"text/plain; version=0.0.4; charset=utf-8");
	if (present)
		MHD_destroy_response(present); /* connections that still send it keep it */
	present = response;
	present_ns = base_clock_ns();
	return present;
}

static enum MHD_Result answer_plain(struct MHD_Connection *connection, unsigned status, const char *words)
{
	struct MHD_Response *response =
		response_of((char *)(uintptr_t)words, strlen(words), MHD_RESPMEM_PERSISTENT);
	if (!response)
		return MHD_NO;
	if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
		MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, MHD_HTTP_METHOD_GET);
	enum MHD_Result result = MHD_queue_response(connection, status, response);
	MHD_destroy_response(response);
	return result;
}

/* Called when the header is there; a body is not waited for. */
static enum MHD_Result on_request(void *context, struct MHD_Connection *connection, const char *url,
				  const char *method, const char *version, const char *upload,
				  size_t *upload_size, void **state)
{
	(void)context;
	(void)version;
	(void)upload;
	(void)upload_size;
	(void)state;
	if (strcmp(url, "/metrics"))
		return answer_plain(connection, MHD_HTTP_NOT_FOUND, "only /metrics is here\n");
	if (strcmp(method, MHD_HTTP_METHOD_GET))
		return answer_plain(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "only GET is served\n");
	struct MHD_Response *response = fresh();
	if (!response)
		return answer_plain(connection, MHD_HTTP_SERVICE_UNAVAILABLE, "rsmd is busy\n");
	return MHD_queue_response(connection, MHD_HTTP_OK, response);
}

/* Begins and ends of connections. One that is hung up ends in the thread's next turn. */
static void on_connection(void *context, struct MHD_Connection *connection, void **state,
			  enum MHD_ConnectionNotificationCode what)
{
	(void)context;
	(void)state;
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
	if (!info)
		return;
	int fd = info->connect_fd;
	if (what == MHD_CONNECTION_NOTIFY_CLOSED) {
		for (unsigned i = 0; i < socket_count; i++)
			if (sockets[i] == fd) {
				memmove(&sockets[i], &sockets[i + 1], (--socket_count - i) * sizeof(int));
				return;
			}
		return;
	}
	if (fd >= rsmd_fd_last() || socket_count == CONNECTIONS) { /* others need the descriptor more */
		shutdown(fd, SHUT_RDWR);
		return;
	}
	sockets[socket_count++] = fd;
	if (socket_count > CROWD)
		shutdown(sockets[socket_count - CROWD - 1], SHUT_RDWR);
}

static int listen_on(const struct rsmd_config *config)
{
	const struct sockaddr *address = (const struct sockaddr *)&config->metrics_listen;
	int on = 1;
	int fd = base_fd_above_stdio(
		socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
	if (fd < 0)
		return -1;
	if (!setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) &&
	    (address->sa_family != AF_INET6 || !setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on))) &&
	    !bind(fd, address, config->metrics_listen_length) && !listen(fd, CONNECTIONS))
		return fd;
	int error = errno;
	base_fd_close(&fd);
	errno = error;
	return -1;
}

static bool begin(int fd)
{
	sigset_t before;
	rsmd_thread_signals_block(&before);
	server = MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD, 0, NULL, NULL, on_request, NULL,
				  MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT,
				  (unsigned)CONNECTIONS, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_S,
				  MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)MEMORY,
				  MHD_OPTION_THREAD_STACK_SIZE, (size_t)STACK, MHD_OPTION_NOTIFY_CONNECTION,
				  on_connection, NULL, MHD_OPTION_END);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return server != NULL;
}

void rsmd_metrics_http_open(void)
{
	const struct rsmd_config *config = &rsmd_server.config;
	char name[RSMD_ADDRESS_TEXT];
	pthread_condattr_t monotonic;
	if (!config->metrics_listen_length)
		return;
	rsmd_address_text(&config->metrics_listen, name);
	int fd = listen_on(config);
	if (fd < 0) {
		rsmd_log(RSMD_LOG_WARNING, "metrics are not served on %s: %s", name, strerror(errno));
		return;
	}
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&done, &monotonic);
	pthread_condattr_destroy(&monotonic);
	waker = rsmd_loop_waker(on_wake, NULL);
	if (waker && begin(fd))
		return; /* which has the socket */
	rsmd_log(RSMD_LOG_WARNING, "metrics are not served on %s: no memory, or no thread", name);
	base_fd_close(&fd);
}

void rsmd_metrics_http_close(void)
{
	if (!server)
		return;
	pthread_mutex_lock(&lock);
	ended = true;
	pthread_cond_signal(&done);
	pthread_mutex_unlock(&lock);
	MHD_stop_daemon(server);
	if (present)
		MHD_destroy_response(present);
	free(text);
	server = NULL;
	present = NULL;
	text = NULL;
}
