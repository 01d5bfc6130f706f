/* SPDX-License-Identifier: BSD-2-Clause */
/* Two ends of a socket pair that speak TLS, for the tests of wire/tls and wire/stream. One thread plays both. */
#ifndef PAIR_H
#define PAIR_H

#include <stdbool.h>
#include <stdint.h>

#include "wire/tls.h"

#define PAIR_NAME "rsm-node-1" /* the one client that the server knows, with pair_key */

extern const uint8_t pair_key[WIRE_TLS_KEY_SIZE], pair_other_key[WIRE_TLS_KEY_SIZE];

struct pair {
	int sockets[2]; /* client's, server's; -1: closed */
	struct wire_tls *client, *server;
	int client_result, server_result; /* of the last handshake call */
	unsigned lookups;
	char asked[WIRE_TLS_IDENTITY_MAX]; /* by the last lookup */
};

/* A socket pair with little room if `small`, and both sides' TLS on it. */
void pair_open(struct pair *pair, const char *identity, const uint8_t key[WIRE_TLS_KEY_SIZE], bool small);
void pair_close(struct pair *pair);

/* Until neither side says "again" any more. */
void pair_handshake(struct pair *pair);

/* pair_open and pair_handshake, which must succeed. */
void pair_connect(struct pair *pair, bool small);

#endif
