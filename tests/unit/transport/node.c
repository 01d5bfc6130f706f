/* SPDX-License-Identifier: BSD-2-Clause */
#include "node.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "rsmapi.h"

struct node node;

static pthread_t thread;
static int listener = -1;
static _Atomic int present = -1; /* socket of the connection that is being served */

static bool take(int socket, void *bytes, size_t length)
{
	if (length > 0 && recv(socket, bytes, length, MSG_WAITALL) != (ssize_t)length)
		return false;
	for (size_t i = 0; i < length && node.cipher != 0; i++)
		((uint8_t *)bytes)[i] ^= node.cipher;
	return true;
}

static bool say(int socket, const void *bytes, size_t length)
{
	static char scratch[NODE_SIZE];
	const char *at = bytes;
	for (size_t i = 0; i < length && node.cipher != 0; i++)
		scratch[i] = (char)(at[i] ^ node.cipher);
	at = node.cipher != 0 ? scratch : at;
	size_t step = node.trickle ? 1 : length;
	for (; length > 0; at += step, length -= step)
		if (send(socket, at, step, MSG_NOSIGNAL) != (ssize_t)step)
			return false;
	return true;
}

static void until_closed(int socket)
{
	char byte;
	while (recv(socket, &byte, 1, MSG_PEEK) > 0 && recv(socket, &byte, 1, 0) > 0)
		;
}

static bool welcome(int socket)
{
	uint8_t bytes[WIRE_HELLO_SIZE];
	if (node.cipher != 0 && (recv(socket, node.identity, sizeof(node.identity), MSG_WAITALL) < 0 ||
				 (uint8_t)node.identity[0] != WIRE_TLS_FIRST_BYTE))
		return false;
	if (!take(socket, bytes, sizeof(bytes)) || wire_hello_unpack(bytes, &node.hello) != 0)
		return false;
	atomic_store(&node.greeted, true);
	struct wire_welcome said = {
		.version = WIRE_DATA_VERSION, .code = node.welcome_code, .order = wire_order_own()};
	if (node.welcome == NODE_WELCOME_VERSION)
		said.version = WIRE_DATA_VERSION + 1;
	wire_welcome_pack(&said, bytes);
	switch (node.welcome) {
	case NODE_WELCOME_NONE:
		until_closed(socket);
		return false;
	case NODE_WELCOME_END:
		return false;
	case NODE_WELCOME_HALF:
		say(socket, bytes, WIRE_WELCOME_SIZE / 2);
		return false;
	case NODE_WELCOME_JUNK:
		say(socket, "HTTP/1.1 400 Bad", WIRE_WELCOME_SIZE);
		return false;
	default:
		return say(socket, bytes, WIRE_WELCOME_SIZE) && node.welcome_code == 0 &&
		       node.welcome == NODE_WELCOME;
	}
}

static bool reply(int socket, const struct wire_request *request, int code, uint64_t length,
		  const void *payload, size_t payload_length)
{
	const struct wire_reply reply = {
		.op = request->op, .code = (uint16_t)code, .sequence = request->sequence, .length = length};
	uint8_t bytes[WIRE_REPLY_SIZE];
	wire_reply_pack(&reply, bytes);
	return say(socket, bytes, sizeof(bytes)) && say(socket, payload, payload_length);
}

/* False: the connection ends. */
static bool misbehave(int socket, struct wire_request *request, const unsigned char *payload, size_t length)
{
	char text[WIRE_REPLY_TEXT_MAX + 1];
	uint8_t half[WIRE_REPLY_SIZE / 2] = {(uint8_t)request->op};
	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = "\a\xc2\x9b"[i % 3];
	switch (node.fault) {
	case NODE_SILENT:
		atomic_store(&node.is_silent, true);
		sem_wait(&node.go);
		return false;
	case NODE_HALF_HEADER:
		say(socket, half, sizeof(half));
		break;
	case NODE_HALF_PAYLOAD:
		reply(socket, request, 0, length, payload, length / 2);
		break;
	case NODE_SEQUENCE:
		request->sequence++;
		reply(socket, request, 0, length, payload, length);
		break;
	case NODE_OP:
		request->op = request->op == WIRE_OP_PUT ? WIRE_OP_FENCE : WIRE_OP_PUT;
		reply(socket, request, 0, 0, NULL, 0);
		break;
	case NODE_SHORT:
		reply(socket, request, 0, length - 1, payload, length > 0 ? length - 1 : 0);
		break;
	case NODE_LONG:
		reply(socket, request, 0, length + 1, payload, length);
		break;
	case NODE_JUNK:
		say(socket, "HTTP/1.1 400 Bad", WIRE_REPLY_SIZE);
		break;
	case NODE_TWICE:
		reply(socket, request, 0, length, payload, length);
		reply(socket, request, 0, length, payload, length);
		break;
	case NODE_REFUSE:
		return reply(socket, request, RSMERR_BARRIER_FAILURE, 10, "cut short!", 10);
	case NODE_REFUSE_ODD:
		return reply(socket, request, 999, WIRE_REPLY_TEXT_MAX, text, WIRE_REPLY_TEXT_MAX);
	case NODE_REFUSE_LONG:
		reply(socket, request, RSMERR_BARRIER_FAILURE, WIRE_REPLY_TEXT_MAX + 1, text,
		      WIRE_REPLY_TEXT_MAX + 1);
		break;
	default:
		return false;
	}
	if (node.fault == NODE_HALF_HEADER || node.fault == NODE_HALF_PAYLOAD)
		shutdown(socket, SHUT_WR);
	until_closed(socket); /* the other side must end it */
	return false;
}

static void count(const struct wire_request *request)
{
	if (request->op == WIRE_OP_PUT) {
		atomic_fetch_add(&node.puts, 1);
		if ((request->flags & WIRE_FLAG_ANSWER) != 0)
			atomic_fetch_add(&node.answered_puts, 1);
	}
	if (request->op == WIRE_OP_POST) {
		atomic_fetch_add(&node.posts, 1);
		atomic_store(&node.last_post_flags, request->flags);
	}
	if (request->op == WIRE_OP_GET)
		atomic_fetch_add(&node.gets, 1);
	if (request->op == WIRE_OP_FENCE)
		atomic_fetch_add(&node.fences, 1);
}

static bool serve(int socket, uint32_t sequence)
{
	uint8_t head[WIRE_REQUEST_SIZE];
	struct wire_request request;
	if (atomic_exchange(&node.hold, false))
		sem_wait(&node.go);
	if (!take(socket, head, sizeof(head)))
		return false;
	if (wire_request_unpack(head, &request) != 0 ||
	    wire_request_check(&request, RSM_PERM_RDWR, NODE_SIZE, sequence) != NULL)
		abort(); /* the library broke the protocol */
	if (request.op == WIRE_OP_PUT && !take(socket, node.memory + request.offset, request.length))
		return false;
	count(&request);
	if (atomic_exchange(&node.hold_answer, false))
		sem_wait(&node.go);
	const unsigned number = atomic_fetch_add(&node.requests, 1);
	const size_t length = request.op == WIRE_OP_GET ? (size_t)request.length : 0;
	const unsigned char *payload = node.memory + request.offset;
	if (node.fault != NODE_WELL && number == node.fault_at)
		return misbehave(socket, &request, payload, length);
	if (request.op == WIRE_OP_PUT && (request.flags & WIRE_FLAG_ANSWER) == 0)
		return true;
	return reply(socket, &request, 0, length, payload, length);
}

static void *run(void *unused)
{
	(void)unused;
	for (;;) {
		int socket = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		if (socket < 0)
			return NULL;
		const int on = 1;
		setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		atomic_store(&present, socket);
		if (welcome(socket))
			for (uint32_t sequence = 0; serve(socket, sequence); sequence++)
				;
		atomic_store(&present, -1);
		close(socket);
	}
}

void node_start(void)
{
	memset(&node, 0, sizeof(node));
	sem_init(&node.go, 0, 0);
	node.memory = calloc(1, NODE_SIZE);
	assert_non_null(node.memory);
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t length = sizeof(address);
	listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(listener, (struct sockaddr *)&address, length), 0);
	assert_int_equal(listen(listener, 8), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &length), 0);
	node.port = ntohs(address.sin_port);
	assert_int_equal(pthread_create(&thread, NULL, run, NULL), 0);
}

void node_stop(void)
{
	shutdown(listener, SHUT_RDWR);
	pthread_join(thread, NULL);
	close(listener);
	free(node.memory);
	sem_destroy(&node.go);
}

void node_await(const _Atomic unsigned *counter, unsigned value)
{
	while (atomic_load(counter) < value)
		sched_yield();
}
