/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * wire/tls: only who has the key gets in, and who does not cannot tell a wrong key from an unknown name; bytes arrive in order
 * through full buffers; each way to end is told from the others.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "pair.h"

static void test_handshake(void **state)
{
	struct pair pair;
	char text[100];
	(void)state;
	pair_open(&pair, PAIR_NAME, pair_key, false);
	assert_string_equal(wire_tls_identity(pair.client), PAIR_NAME);
	assert_string_equal(wire_tls_identity(pair.server), "");
	assert_int_equal(wire_tls_read(pair.client, text, sizeof(text)), -EAGAIN);
	assert_int_equal(wire_tls_write(pair.client, "early", 5), -EAGAIN);
	assert_int_equal(wire_tls_handshake(pair.server), -EAGAIN);
	assert_false(wire_tls_wants_write(pair.server));
	pair_handshake(&pair);
	assert_int_equal(pair.client_result, 0);
	assert_int_equal(pair.server_result, 0);
	assert_int_equal(pair.lookups, 1);
	assert_string_equal(wire_tls_identity(pair.server), PAIR_NAME);
	assert_int_equal(wire_tls_handshake(pair.client), 0);

	assert_int_equal(wire_tls_read(pair.server, text, sizeof(text)), -EAGAIN);
	assert_int_equal(wire_tls_write(pair.client, "there", 5), 5);
	assert_int_equal(wire_tls_read(pair.server, text, 2), 2);
	assert_int_equal(wire_tls_pending(pair.server), 3);
	assert_int_equal(wire_tls_read(pair.server, text + 2, sizeof(text) - 2), 3);
	assert_memory_equal(text, "there", 5);
	assert_int_equal(wire_tls_pending(pair.server), 0);
	assert_int_equal(wire_tls_write(pair.server, "back", 4), 4);
	assert_int_equal(wire_tls_read(pair.client, text, sizeof(text)), 4);
	assert_memory_equal(text, "back", 4);
	assert_int_equal(wire_tls_write(pair.client, text, 0), 0);
	assert_int_equal(wire_tls_read(pair.server, text, sizeof(text)), -EAGAIN);
	pair_close(&pair);
}

static void test_nothing_is_readable_outside(void **state)
{
	struct pair pair;
	char seen[200], text[] = "this is a secret that nobody sees";
	(void)state;
	pair_connect(&pair, false);
	assert_int_equal(wire_tls_write(pair.client, text, sizeof(text)), sizeof(text));
	ssize_t length = recv(pair.sockets[1], seen, sizeof(seen), MSG_PEEK);
	assert_true(length > (ssize_t)sizeof(text));
	assert_null(memmem(seen, (size_t)length, "secret", 6));
	pair_close(&pair);
}

static void assert_closed(struct wire_tls *tls, int error)
{
	char byte;
	assert_int_equal(wire_tls_handshake(tls), error);
	assert_int_equal(wire_tls_read(tls, &byte, 1), error);
	assert_int_equal(wire_tls_write(tls, "x", 1), error);
	assert_false(wire_tls_wants_write(tls));
}

static void refused(const char *identity, const uint8_t *key)
{
	struct pair pair;
	pair_open(&pair, identity, key, false);
	pair_handshake(&pair);
	assert_int_equal(pair.client_result, -EACCES);
	assert_int_equal(pair.server_result, -EACCES);
	assert_int_equal(pair.lookups, 1);
	assert_string_equal(pair.asked, identity);
	assert_string_equal(wire_tls_identity(pair.server), "");
	assert_closed(pair.client, -EACCES);
	assert_closed(pair.server, -EACCES);
	pair_close(&pair);
}

static void test_wrong_key(void **state)
{
	(void)state;
	refused(PAIR_NAME, pair_other_key);
}

static void test_unknown_identity(void **state)
{
	(void)state;
	refused("rsm-node-2", pair_key);
	refused("rsm-node-11", pair_key);
	refused("x", pair_other_key);
	refused("rsm-node-123456789012345678901234567890123456789012345678901234", pair_key);
}

/* What the server answers is of the same size and kind, whether the name or the key is wrong. */
static void test_refusals_look_the_same(void **state)
{
	static const struct {
		const char *identity;
		const uint8_t *key;
	} cases[] = {{PAIR_NAME, pair_other_key}, {"rsm-node-9", pair_key}};
	char answers[2][200] = {{0}};
	ssize_t lengths[2];
	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct pair pair;
		pair_open(&pair, cases[i].identity, cases[i].key, false);
		assert_int_equal(wire_tls_handshake(pair.client), -EAGAIN);
		assert_int_equal(wire_tls_handshake(pair.server), -EACCES);
		lengths[i] = recv(pair.sockets[0], answers[i], sizeof(answers[i]), MSG_DONTWAIT);
		assert_int_equal(lengths[i], 7); /* one alert */
		pair_close(&pair);
	}
	assert_int_equal(lengths[0], lengths[1]);
	assert_memory_equal(answers[0], answers[1], sizeof(answers[0]));
}

static void test_bad_arguments(void **state)
{
	char name[WIRE_TLS_IDENTITY_MAX + 1];
	struct wire_tls *tls;
	(void)state;
	memset(name, 'n', sizeof(name));
	name[WIRE_TLS_IDENTITY_MAX] = '\0';
	assert_int_equal(wire_tls_client(-1, name, pair_key, &tls), -EINVAL);
	assert_null(tls);
	assert_int_equal(wire_tls_client(-1, "", pair_key, &tls), -EINVAL);
	name[WIRE_TLS_IDENTITY_MAX - 1] = '\0';
	assert_int_equal(wire_tls_client(-1, name, pair_key, &tls), 0);
	assert_int_equal(wire_tls_handshake(tls), -EBADF);
	wire_tls_close(tls);
	wire_tls_close(NULL);
}

/* Whatever else comes ends the handshake on both sides, never with success. */
static void strange_bytes(const uint8_t *bytes, size_t length, bool to_server)
{
	struct pair pair;
	pair_open(&pair, PAIR_NAME, pair_key, false);
	assert_int_equal(send(pair.sockets[to_server ? 0 : 1], bytes, length, 0), length);
	shutdown(pair.sockets[to_server ? 0 : 1], SHUT_WR);
	struct wire_tls *tls = to_server ? pair.server : pair.client;
	int error = -EAGAIN;
	for (int i = 0; i < 100 && error == -EAGAIN; i++)
		error = wire_tls_handshake(tls);
	assert_true(error == -EPROTO || error == -ECONNRESET || error == -EACCES);
	assert_closed(tls, error);
	pair_close(&pair);
}

static void test_strange_bytes(void **state)
{
	static const uint8_t plain[] = "GET / HTTP/1.0\r\n\r\n";
	static const uint8_t empty_record[] = {0x16, 3, 1, 0, 0, 0x16, 3, 1, 0, 0};
	static const uint8_t huge_record[] = {0x16, 3, 1, 0xff, 0xff, 1, 2, 3};
	static const uint8_t huge_message[] = {0x16, 3, 1, 0, 8, 1, 0xff, 0xff, 0xff, 3, 3, 0, 0};
	static const uint8_t alert[] = {0x15, 3, 3, 0, 2, 2, 40};
	static const uint8_t data[] = {0x17, 3, 3, 0, 4, 1, 2, 3, 4};
	uint8_t random[512];
	uint32_t seed = 12345;
	(void)state;
	for (int to_server = 0; to_server < 2; to_server++) {
		strange_bytes(plain, sizeof(plain), to_server);
		strange_bytes(plain, 0, to_server);
		strange_bytes(empty_record, sizeof(empty_record), to_server);
		strange_bytes(huge_record, sizeof(huge_record), to_server);
		strange_bytes(huge_message, sizeof(huge_message), to_server);
		strange_bytes(alert, sizeof(alert), to_server);
		strange_bytes(data, sizeof(data), to_server);
		for (int i = 0; i < 200; i++) {
			for (size_t at = 0; at < sizeof(random); at++) {
				seed = seed * 1664525 + 1013904223;
				random[at] = (uint8_t)(seed >> 24);
			}
			if (i % 2)
				memcpy(random, (uint8_t[]){0x16, 3, 1, 1, 0xfb, 1, 0, 1, 0xf7, 3, 3}, 11);
			strange_bytes(random, sizeof(random), to_server);
		}
	}
}

/* A handshake that is cut after each of its bytes, or changed in one of them, does not succeed. */
static void test_changed_hello(void **state)
{
	struct pair pair;
	uint8_t hello[2048];
	(void)state;
	pair_open(&pair, PAIR_NAME, pair_key, false);
	assert_int_equal(wire_tls_handshake(pair.client), -EAGAIN);
	ssize_t length = recv(pair.sockets[1], hello, sizeof(hello), MSG_DONTWAIT);
	assert_true(length > 100 && length < (ssize_t)sizeof(hello));
	pair_close(&pair);
	for (ssize_t at = 0; at < length; at++) {
		strange_bytes(hello, (size_t)at, true);
		hello[at] ^= 0x40;
		strange_bytes(hello, (size_t)length, true);
		hello[at] ^= 0x40;
	}
	strange_bytes(hello, (size_t)length,
		      true); /* replayed: the last flight cannot be answered without the key */
}

static void test_changed_record(void **state)
{
	struct pair pair;
	uint8_t record[200];
	char text[100];
	(void)state;
	pair_connect(&pair, false);
	assert_int_equal(wire_tls_write(pair.client, "hello", 5), 5);
	ssize_t length = recv(pair.sockets[1], record, sizeof(record), 0);
	record[length - 1] ^= 1;
	assert_int_equal(send(pair.sockets[0], record, (size_t)length, 0), length);
	assert_int_equal(wire_tls_read(pair.server, text, sizeof(text)), -EPROTO);
	assert_closed(pair.server, -EPROTO);
	pair_close(&pair);
}

static void test_replayed_record(void **state)
{
	struct pair pair;
	uint8_t record[200];
	char text[100];
	(void)state;
	pair_connect(&pair, false);
	assert_int_equal(wire_tls_write(pair.client, "hello", 5), 5);
	ssize_t length = recv(pair.sockets[1], record, sizeof(record), 0);
	for (int i = 0; i < 2; i++)
		assert_int_equal(send(pair.sockets[0], record, (size_t)length, 0), length);
	assert_int_equal(wire_tls_read(pair.server, text, sizeof(text)), 5);
	assert_int_equal(wire_tls_read(pair.server, text, sizeof(text)), -EPROTO);
	pair_close(&pair);
}

static void test_farewell(void **state)
{
	struct pair pair;
	char text[10];
	(void)state;
	pair_connect(&pair, false);
	assert_int_equal(wire_tls_write(pair.client, "last", 4), 4);
	wire_tls_close(pair.client);
	pair.client = NULL;
	assert_int_equal(wire_tls_read(pair.server, text, sizeof(text)), 4);
	assert_int_equal(wire_tls_read(pair.server, text, sizeof(text)), 0);
	assert_int_equal(wire_tls_read(pair.server, text, sizeof(text)), 0);
	close(pair.sockets[0]);
	pair.sockets[0] = -1;
	assert_int_equal(wire_tls_write(pair.server, "x", 1), -EPIPE);
	assert_closed(pair.server, -EPIPE);
	pair_close(&pair);
}

static void test_end_without_farewell(void **state)
{
	struct pair pair;
	char text[10];
	(void)state;
	pair_connect(&pair, false);
	assert_int_equal(wire_tls_write(pair.client, "last", 4), 4);
	shutdown(pair.sockets[0], SHUT_WR);
	assert_int_equal(wire_tls_read(pair.server, text, sizeof(text)), 4);
	assert_int_equal(wire_tls_read(pair.server, text, sizeof(text)), -ECONNRESET);
	assert_closed(pair.server, -ECONNRESET);
	pair_close(&pair);
}

static uint8_t pattern(size_t at)
{
	return (uint8_t)(at * 31 + at / 256);
}

/* Much more than the sockets hold goes both ways at once, and is whole. */
static void test_full_buffers(void **state)
{
	const size_t total = 1000000;
	struct pair pair;
	uint8_t *source = malloc(total), chunk[30000];
	size_t sent[2] = {0}, received[2] = {0};
	bool waited = false;
	(void)state;
	for (size_t at = 0; at < total; at++)
		source[at] = pattern(at);
	pair_connect(&pair, true);
	struct wire_tls *ends[2] = {pair.client, pair.server};
	while (received[0] < total || received[1] < total) {
		for (int i = 0; i < 2; i++) {
			ssize_t moved = wire_tls_write(ends[i], source + sent[i], total - sent[i]);
			assert_true(moved >= 0 || moved == -EAGAIN);
			if (moved == -EAGAIN)
				assert_true(wire_tls_wants_write(ends[i]));
			waited |= moved == -EAGAIN;
			sent[i] += moved > 0 ? (size_t)moved : 0;
			moved = wire_tls_read(ends[i], chunk, sizeof(chunk));
			assert_true(moved > 0 || moved == -EAGAIN);
			for (ssize_t at = 0; at < moved; at++)
				assert_int_equal(chunk[at], pattern(received[i] + (size_t)at));
			received[i] += moved > 0 ? (size_t)moved : 0;
		}
	}
	assert_true(waited);
	pair_close(&pair);
	free(source);
}

/* The module that the library loads is the same code behind a table, and shows nothing else. */
static void test_module(void **state)
{
	struct pair pair;
	char text[10];
	(void)state;
	void *file = dlopen(TLS_MODULE, RTLD_NOW | RTLD_LOCAL);
	assert_non_null(file);
	const struct wire_tls_functions *module = dlsym(file, "wire_tls_module");
	assert_non_null(module);
	assert_int_equal(module->size, sizeof(*module));
	assert_null(dlsym(file, "wire_tls_client"));
	pair_open(&pair, PAIR_NAME, pair_key, false);
	wire_tls_close(pair.client);
	pair.client = NULL;
	struct wire_tls *client;
	assert_int_equal(module->client(pair.sockets[0], PAIR_NAME, pair_key, &client), 0);
	int error = -EAGAIN;
	for (int i = 0; i < 10 && error == -EAGAIN; i++) {
		error = module->handshake(client);
		wire_tls_handshake(pair.server);
	}
	assert_int_equal(error, 0);
	assert_int_equal(wire_tls_handshake(pair.server), 0);
	assert_int_equal(module->write(client, "abc", 3), 3);
	assert_int_equal(wire_tls_read(pair.server, text, sizeof(text)), 3);
	assert_int_equal(wire_tls_write(pair.server, "abc", 3), 3);
	assert_int_equal(module->read(client, text, 1), 1);
	assert_int_equal(module->pending(client), 2);
	assert_int_equal(module->read(client, text, 2), 2);
	assert_int_equal(module->read(client, text, 2), -EAGAIN);
	assert_false(module->wants_write(client));
	module->close(client);
	assert_int_equal(wire_tls_read(pair.server, text, sizeof(text)), 0);
	pair_close(&pair);
	dlclose(file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_handshake),
		cmocka_unit_test(test_nothing_is_readable_outside),
		cmocka_unit_test(test_wrong_key),
		cmocka_unit_test(test_unknown_identity),
		cmocka_unit_test(test_refusals_look_the_same),
		cmocka_unit_test(test_bad_arguments),
		cmocka_unit_test(test_strange_bytes),
		cmocka_unit_test(test_changed_hello),
		cmocka_unit_test(test_changed_record),
		cmocka_unit_test(test_replayed_record),
		cmocka_unit_test(test_farewell),
		cmocka_unit_test(test_end_without_farewell),
		cmocka_unit_test(test_full_buffers),
		cmocka_unit_test(test_module),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
