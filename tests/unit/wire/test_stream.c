/* SPDX-License-Identifier: BSD-2-Clause */
/* wire/stream: messages arrive whole and in order, whatever the socket takes at once; queue and length have their bounds. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "pair.h"
#include "wire/stream.h"

#define LIMIT WIRE_STREAM_MESSAGE_MAX

struct streams {
	struct pair pair; /* without its tls: they are the streams' */
	struct wire_tls *client_tls;
	struct wire_stream *client, *server;
};

static void open_streams(struct streams *streams, bool small)
{
	pair_open(&streams->pair, PAIR_NAME, pair_key, small);
	streams->client_tls = streams->pair.client;
	streams->client = wire_stream_open(streams->pair.client);
	streams->server = wire_stream_open(streams->pair.server);
	assert_non_null(streams->client);
	assert_non_null(streams->server);
	streams->pair.client = streams->pair.server = NULL;
}

static void handshake(struct streams *streams)
{
	int client = -EAGAIN, server = -EAGAIN;
	for (int i = 0; i < 1000 && (client || server); i++) {
		client = wire_stream_handshake(streams->client);
		server = wire_stream_handshake(streams->server);
	}
	assert_int_equal(client, 0);
	assert_int_equal(server, 0);
}

static void connect_streams(struct streams *streams, bool small)
{
	open_streams(streams, small);
	handshake(streams);
}

static void close_streams(struct streams *streams)
{
	wire_stream_close(streams->client);
	wire_stream_close(streams->server);
	pair_close(&streams->pair);
}

static uint8_t *pattern(size_t length, size_t salt)
{
	uint8_t *bytes = malloc(length + 1);
	for (size_t i = 0; i < length; i++)
		bytes[i] = (uint8_t)(i * 31 + i / 256 + salt);
	return bytes;
}

/* One message through, flushed as often as it takes. */
static void pass(struct wire_stream *from, struct wire_stream *to, size_t length)
{
	uint8_t *bytes = pattern(length, 1);
	const uint8_t *message;
	size_t found;
	assert_int_equal(wire_stream_send(from, bytes, length), 0);
	int error = -EAGAIN;
	while (error == -EAGAIN) {
		int flushed = wire_stream_flush(from);
		assert_true(flushed == 0 || flushed == -EAGAIN);
		assert_int_equal(wire_stream_queued(from) > 0, flushed == -EAGAIN);
		assert_int_equal(wire_stream_wants_write(from), flushed == -EAGAIN);
		error = wire_stream_receive(to, LIMIT, &message, &found);
	}
	assert_int_equal(error, 0);
	assert_non_null(message);
	assert_int_equal(found, length);
	assert_memory_equal(message, bytes, length);
	assert_int_equal(wire_stream_queued(from), 0);
	assert_int_equal(wire_stream_receive(to, LIMIT, &message, &found), -EAGAIN);
	assert_null(message);
	free(bytes);
}

static void test_messages(void **state)
{
	static const size_t lengths[] = {0,     1,     3,      100,       1023,  1024, 4096, 16379,
					 16380, 16384, 100000, LIMIT - 1, LIMIT, 0,    5};
	(void)state;
	for (int small = 0; small < 2; small++) {
		struct streams streams;
		connect_streams(&streams, small);
		for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
			pass(streams.client, streams.server, lengths[i]);
			pass(streams.server, streams.client, lengths[i]);
		}
		close_streams(&streams);
	}
}

/* Sent before the handshake is done, and many in one record: nothing is lost or doubled. */
static void test_many(void **state)
{
	struct streams streams;
	const uint8_t *message;
	size_t length;
	(void)state;
	open_streams(&streams, false);
	for (uint32_t i = 0; i < 1000; i++)
		assert_int_equal(wire_stream_send(streams.client, (uint8_t *)&i, sizeof(i)), 0);
	assert_int_equal(wire_stream_queued(streams.client), 8000);
	assert_int_equal(wire_stream_flush(streams.client), -EAGAIN);
	assert_false(wire_stream_wants_write(streams.client)); /* first the other side's turn */
	assert_int_equal(wire_stream_receive(streams.server, LIMIT, &message, &length), -EAGAIN);
	handshake(&streams);
	assert_true(wire_stream_wants_write(streams.client));
	assert_int_equal(wire_stream_flush(streams.client), 0);
	for (uint32_t i = 0; i < 1000; i++) {
		assert_int_equal(wire_stream_receive(streams.server, 4, &message, &length), 0);
		assert_int_equal(length, sizeof(i));
		assert_memory_equal(message, &i, sizeof(i));
	}
	assert_int_equal(wire_stream_receive(streams.server, 4, &message, &length), -EAGAIN);
	close_streams(&streams);
}

static void test_queue_is_bounded(void **state)
{
	struct streams streams;
	const size_t size = 100000;
	uint8_t *bytes = pattern(WIRE_STREAM_MESSAGE_MAX, 2);
	const uint8_t *message;
	size_t length, sent = 0, received = 0;
	int error;
	(void)state;
	connect_streams(&streams, true);
	while ((error = wire_stream_send(streams.client, bytes + sent, size)) == 0)
		sent++;
	assert_int_equal(error, -ENOBUFS);
	size_t queued = wire_stream_queued(streams.client);
	assert_true(queued <= WIRE_STREAM_QUEUE_MAX && queued > WIRE_STREAM_QUEUE_MAX - size - 4);
	assert_int_equal(wire_stream_send(streams.client, bytes, WIRE_STREAM_QUEUE_MAX - queued - 3),
			 -ENOBUFS);
	assert_int_equal(wire_stream_queued(streams.client), queued);
	assert_int_equal(wire_stream_send(streams.client, bytes, WIRE_STREAM_QUEUE_MAX - queued - 4), 0);
	assert_int_equal(wire_stream_send(streams.client, NULL, 0), -ENOBUFS);
	assert_true(wire_stream_wants_write(streams.client));
	/* What was accepted arrives. */
	while (received < sent) {
		wire_stream_flush(streams.client);
		error = wire_stream_receive(streams.server, LIMIT, &message, &length);
		if (error == -EAGAIN)
			continue;
		assert_int_equal(error, 0);
		assert_int_equal(length, size);
		assert_memory_equal(message, bytes + received, size);
		received++;
	}
	assert_int_equal(wire_stream_send(streams.client, bytes, size), 0);
	free(bytes);
	close_streams(&streams);
}

static void test_too_long(void **state)
{
	struct streams streams;
	uint8_t *bytes = pattern(WIRE_STREAM_MESSAGE_MAX + 1, 3);
	const uint8_t *message;
	size_t length;
	(void)state;
	connect_streams(&streams, false);
	assert_int_equal(wire_stream_send(streams.client, bytes, WIRE_STREAM_MESSAGE_MAX + 1), -EMSGSIZE);
	assert_int_equal(wire_stream_send(streams.client, bytes, SIZE_MAX), -EMSGSIZE);
	assert_int_equal(wire_stream_queued(streams.client), 0);
	assert_int_equal(wire_stream_send(streams.client, bytes, 100), 0);
	assert_int_equal(wire_stream_send(streams.client, bytes, 101), 0);
	assert_int_equal(wire_stream_receive(streams.server, 100, &message, &length), 0);
	assert_int_equal(wire_stream_receive(streams.server, 100, &message, &length), -EPROTO);
	assert_null(message);
	assert_int_equal(wire_stream_receive(streams.server, LIMIT, &message, &length), -EPROTO);
	assert_int_equal(wire_stream_send(streams.server, bytes, 1), -EPROTO);
	assert_int_equal(wire_stream_flush(streams.server), -EPROTO);
	assert_false(wire_stream_wants_write(streams.server));
	free(bytes);
	close_streams(&streams);
}

/* A length that a stranger with the key writes: nothing is allocated for it. */
static void test_lying_length(void **state)
{
	static const uint8_t heads[][4] = {
		{0xff, 0xff, 0xff, 0xff}, {0, 0, 0, 0x80}, {1, 0, 0x10, 0}, {0xff, 0xff, 0xff, 0x7f}};
	(void)state;
	for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
		struct streams streams;
		const uint8_t *message;
		size_t length;
		connect_streams(&streams, false);
		assert_int_equal(wire_tls_write(streams.client_tls, heads[i], 4), 4);
		assert_int_equal(wire_stream_receive(streams.server, SIZE_MAX, &message, &length), -EPROTO);
		close_streams(&streams);
	}
}

static void test_farewell(void **state)
{
	struct streams streams;
	const uint8_t *message;
	size_t length;
	(void)state;
	connect_streams(&streams, false);
	assert_int_equal(wire_stream_send(streams.client, (const uint8_t *)"last", 4), 0);
	wire_stream_close(streams.client);
	streams.client = NULL;
	assert_int_equal(wire_stream_receive(streams.server, LIMIT, &message, &length), 0);
	assert_int_equal(length, 4);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(wire_stream_receive(streams.server, LIMIT, &message, &length), 0);
		assert_null(message);
	}
	wire_stream_close(NULL);
	close_streams(&streams);
}

/* The stream ends within a message: after each of its bytes, politely or not. */
static void test_cut(void **state)
{
	static const uint8_t whole[] = {3, 0, 0, 0, 'a', 'b', 'c'};
	(void)state;
	for (size_t cut = 1; cut < sizeof(whole); cut++) {
		for (int polite = 0; polite < 2; polite++) {
			struct streams streams;
			const uint8_t *message;
			size_t length;
			int expected = polite ? -EPROTO : -ECONNRESET;
			connect_streams(&streams, false);
			assert_int_equal(wire_tls_write(streams.client_tls, whole, cut), cut);
			assert_int_equal(wire_stream_receive(streams.server, LIMIT, &message, &length),
					 -EAGAIN);
			if (!polite)
				shutdown(streams.pair.sockets[0], SHUT_WR);
			wire_stream_close(streams.client);
			streams.client = NULL;
			for (int i = 0; i < 2; i++) {
				assert_int_equal(
					wire_stream_receive(streams.server, LIMIT, &message, &length),
					expected);
				assert_null(message);
			}
			close_streams(&streams);
		}
	}
}

static void test_other_side_gone(void **state)
{
	struct streams streams;
	uint8_t bytes[1000] = {0};
	(void)state;
	connect_streams(&streams, false);
	wire_stream_close(streams.server);
	streams.server = NULL;
	close(streams.pair.sockets[1]);
	streams.pair.sockets[1] = -1;
	assert_int_equal(wire_stream_send(streams.client, bytes, sizeof(bytes)), -EPIPE);
	assert_int_equal(wire_stream_flush(streams.client), -EPIPE);
	close_streams(&streams);
}

static void test_wrong_key(void **state)
{
	struct pair pair;
	(void)state;
	pair_open(&pair, PAIR_NAME, pair_other_key, false);
	struct wire_stream *client = wire_stream_open(pair.client), *server = wire_stream_open(pair.server);
	pair.client = pair.server = NULL;
	assert_int_equal(wire_stream_send(client, (const uint8_t *)"secret", 6), 0);
	assert_int_equal(wire_stream_handshake(client), -EAGAIN);
	assert_int_equal(wire_stream_handshake(server), -EACCES);
	assert_int_equal(wire_stream_handshake(client), -EACCES);
	assert_int_equal(wire_stream_flush(client), -EACCES);
	assert_int_equal(wire_stream_send(client, (const uint8_t *)"x", 1), -EACCES);
	wire_stream_close(client);
	wire_stream_close(server);
	pair_close(&pair);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_messages),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_queue_is_bounded),
		cmocka_unit_test(test_too_long),
		cmocka_unit_test(test_lying_length),
		cmocka_unit_test(test_farewell),
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_other_side_gone),
		cmocka_unit_test(test_wrong_key),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
