/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the network gives two processes that use no library: one TCP connection without delay, no frames. The client tells
 * the server by the same connection what comes next.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "bench.h"

#define PIECE ((size_t)1 << 20) /* bytes of one receive at most */
#define ECHO  ((size_t)8)       /* the answer behind a stream */

static char *buffer;
static int connection = -1;

static bool is_passing(int error)
{
	return error == EAGAIN || error == EINTR;
}

static bool receive(size_t length, bool spin)
{
	while (length) {
		ssize_t got =
			recv(connection, buffer, length < PIECE ? length : PIECE, spin ? MSG_DONTWAIT : 0);

		if (got > 0)
			length -= (size_t)got;
		else if (got == 0 || !is_passing(errno))
			return false;
	}
	return true;
}

static bool transmit(const void *from, size_t length, bool spin)
{
	const char *at = from;

	while (length) {
		ssize_t sent = send(connection, at, length, (spin ? MSG_DONTWAIT : 0) | MSG_NOSIGNAL);

		if (sent > 0) {
			at += sent;
			length -= (size_t)sent;
		} else if (!is_passing(errno)) {
			return false;
		}
	}
	return true;
}

static bool stream_out(const struct bench_tcp_order *order)
{
	for (uint64_t i = 0; i < order->count; i++) {
		if (!transmit(buffer, order->size, order->spin))
			return false;
	}
	return true;
}

static bool obey(const struct bench_tcp_order *order)
{
	bool ok = true;

	switch (order->op) {
	case BENCH_TCP_ECHO:
		for (uint64_t i = 0; ok && i < order->count; i++)
			ok = receive(order->size, order->spin) && transmit(buffer, order->size, order->spin);
		return ok;
	case BENCH_TCP_PUT:
		return receive(order->size * order->count, order->spin) &&
		       transmit(buffer, ECHO, order->spin);
	case BENCH_TCP_GET:
		return stream_out(order) && receive(ECHO, order->spin);
	default:
		return false;
	}
}

static bool prepare(const char *address, unsigned port, struct sockaddr_in *name)
{
	int one = 1;

	*name = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	buffer = bench_memory(PIECE);
	connection = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	return buffer && connection >= 0 && inet_pton(AF_INET, address, &name->sin_addr) == 1 &&
	       setsockopt(connection, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) == 0 &&
	       setsockopt(connection, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) == 0;
}

_Noreturn void bench_tcp_serve(const char *address, unsigned port, int ready)
{
	struct bench_tcp_order order;
	struct sockaddr_in name;
	int one = 1, listener;

	if (!prepare(address, port, &name) || bind(connection, (struct sockaddr *)&name, sizeof(name)) != 0 ||
	    listen(connection, 1) != 0) {
		bench_problem("raw TCP server at %s:%u: %s", address, port, strerror(errno));
		_exit(1);
	}
	close(ready);
	listener = connection;
	connection = accept(listener, NULL, NULL);
	if (connection < 0 || setsockopt(connection, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) != 0)
		_exit(1);
	do {
		if (!receive(sizeof(order), false))
			_exit(0);
		memcpy(&order, buffer, sizeof(order));
	} while (order.op && obey(&order));
	_exit(0);
}

bool bench_tcp_connect(const char *address, unsigned port)
{
	struct sockaddr_in name;

	return (prepare(address, port, &name) &&
		connect(connection, (struct sockaddr *)&name, sizeof(name)) == 0) ||
	       bench_problem("raw TCP connection to %s:%u: %s", address, port, strerror(errno));
}

void bench_tcp_think(uint32_t nanoseconds)
{
	uint64_t end = base_clock_ns() + nanoseconds;

	while (base_clock_ns() < end)
		;
}

/* The time of the operations alone, without what was computed between them. */
static double echo(const struct bench_tcp_order *order)
{
	uint64_t spent = 0, start = base_clock_ns();

	for (uint64_t i = 0; i < order->count; i++) {
		if (order->think) {
			bench_tcp_think(order->think);
			start = base_clock_ns();
		}
		if (!transmit(buffer, order->size, order->spin) || !receive(order->size, order->spin))
			return -1;
		if (order->think)
			spent += base_clock_ns() - start;
	}
	return (double)(order->think ? spent : base_clock_ns() - start);
}

double bench_tcp_run(struct bench_tcp_order order)
{
	bool ok = transmit(&order, sizeof(order), false);
	uint64_t start = base_clock_ns();
	double ns = 0;

	switch (order.op) {
	case BENCH_TCP_ECHO:
		ns = ok ? echo(&order) : -1;
		ok &= ns >= 0;
		break;
	case BENCH_TCP_PUT:
		ok = ok && stream_out(&order) && receive(ECHO, order.spin);
		break;
	default:
		ok = ok && receive(order.size * order.count, order.spin) &&
		     transmit(buffer, ECHO, order.spin);
	}
	if (!ok)
		return bench_problem("raw TCP connection: %s", strerror(errno)), -1;
	return order.op == BENCH_TCP_ECHO ? ns : (double)(base_clock_ns() - start);
}
