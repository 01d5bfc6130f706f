/* SPDX-License-Identifier: BSD-2-Clause */
#include "pair.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "base/fd.h"

#define ROUNDS_MAX 1000 /* a handshake has three flights; small buffers cut them */

const uint8_t pair_key[WIRE_TLS_KEY_SIZE] = {1, 2, 3, 4};
const uint8_t pair_other_key[WIRE_TLS_KEY_SIZE] = {1, 2, 3, 5};

static bool lookup(void *context, const char *identity, uint8_t key[WIRE_TLS_KEY_SIZE])
{
	struct pair *pair = context;
	pair->lookups++;
	strncpy(pair->asked, identity, sizeof(pair->asked) - 1);
	if (strcmp(identity, PAIR_NAME) != 0)
		return false;
	memcpy(key, pair_key, WIRE_TLS_KEY_SIZE);
	return true;
}

void pair_open(struct pair *pair, const char *identity, const uint8_t key[WIRE_TLS_KEY_SIZE], bool small)
{
	int size = 1; /* the kernel makes the least of it */
	*pair = (struct pair){0};
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair->sockets), 0);
	for (int i = 0; i < 2 && small; i++)
		setsockopt(pair->sockets[i], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	assert_int_equal(wire_tls_client(pair->sockets[0], identity, key, &pair->client), 0);
	assert_int_equal(wire_tls_server(pair->sockets[1], lookup, pair, &pair->server), 0);
}

void pair_close(struct pair *pair)
{
	wire_tls_close(pair->client);
	wire_tls_close(pair->server);
	base_fd_close(&pair->sockets[0]);
	base_fd_close(&pair->sockets[1]);
}

void pair_handshake(struct pair *pair)
{
	pair->client_result = pair->server_result = -EAGAIN;
	for (int i = 0; i < ROUNDS_MAX; i++) {
		if (pair->client_result == -EAGAIN)
			pair->client_result = wire_tls_handshake(pair->client);
		if (pair->server_result == -EAGAIN)
			pair->server_result = wire_tls_handshake(pair->server);
		if (pair->client_result != -EAGAIN && pair->server_result != -EAGAIN)
			return;
	}
	fail_msg("handshake does not end: client %d, server %d", pair->client_result, pair->server_result);
}

void pair_connect(struct pair *pair, bool small)
{
	pair_open(pair, PAIR_NAME, pair_key, small);
	pair_handshake(pair);
	assert_int_equal(pair->client_result, 0);
	assert_int_equal(pair->server_result, 0);
}
