/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Stands for the TLS module: names the client, and turns bits round. Like TLS it moves one record at a time, refuses the
 * first attempt of each write, and wants the same bytes at the second.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "wire/frame.h"
#include "wire/tls.h"

#define RECORD 16384u

struct wire_tls {
	int socket;
	char identity[WIRE_TLS_IDENTITY_MAX];
	uint8_t cipher; /* first byte of the key */
	bool refused;
	size_t length; /* of the write that was refused */
	uint64_t sum;
};

static int client(int socket, const char *identity, const uint8_t key[WIRE_TLS_KEY_SIZE],
		  struct wire_tls **tls)
{
	*tls = calloc(1, sizeof(**tls));
	if (*tls == NULL)
		return -ENOMEM;
	(*tls)->socket = socket;
	(*tls)->identity[0] = (char)WIRE_TLS_FIRST_BYTE;
	strncpy((*tls)->identity + 1, identity, sizeof((*tls)->identity) - 2);
	(*tls)->cipher = key[0];
	return 0;
}

static void farewell(struct wire_tls *tls)
{
	free(tls);
}

static int handshake(struct wire_tls *tls)
{
	if (!tls->refused) {
		tls->refused = true;
		return -EAGAIN;
	}
	tls->refused = false;
	return send(tls->socket, tls->identity, sizeof(tls->identity), MSG_NOSIGNAL) > 0 ? 0 : -errno;
}

static size_t waiting(const struct wire_tls *tls)
{
	(void)tls;
	return 0;
}

static ssize_t take(struct wire_tls *tls, void *bytes, size_t length)
{
	ssize_t got = recv(tls->socket, bytes, length < RECORD ? length : RECORD, MSG_DONTWAIT);
	for (ssize_t i = 0; i < got; i++)
		((uint8_t *)bytes)[i] ^= tls->cipher;
	return got < 0 ? -errno : got;
}

static bool wants_write(const struct wire_tls *tls)
{
	return tls->refused;
}

static ssize_t give(struct wire_tls *tls, const void *bytes, size_t length)
{
	uint8_t record[RECORD];
	uint64_t sum = 0;
	size_t part = length < RECORD ? length : RECORD;
	for (size_t i = 0; i < part; i++) {
		record[i] = ((const uint8_t *)bytes)[i] ^ tls->cipher;
		sum = sum * 31 + record[i];
	}
	if (!tls->refused) {
		tls->refused = true;
		tls->length = length;
		tls->sum = sum;
		return -EAGAIN;
	}
	if (tls->length != length || tls->sum != sum)
		abort(); /* not the same bytes */
	ssize_t sent = send(tls->socket, record, part, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (sent < 0)
		return -errno;
	tls->refused = false;
	return sent;
}

extern const struct wire_tls_functions wire_tls_module;
const struct wire_tls_functions wire_tls_module = {.size = sizeof(struct wire_tls_functions),
						   .client = client,
						   .close = farewell,
						   .handshake = handshake,
						   .pending = waiting,
						   .read = take,
						   .wants_write = wants_write,
						   .write = give};
