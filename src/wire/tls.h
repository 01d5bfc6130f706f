/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * TLS 1.3 with a pre-shared key over a connected, non-blocking stream socket. The one file behind this that includes GnuTLS is
 * tls.c; rsmd links it, librsm loads it as a module when an encrypting controller is first used (transport/tcp/secure.c).
 * Nothing blocks. One thread at a time per object; different objects on different threads.
 *
 * Functions return 0 or a negative errno: -EAGAIN (not now; wire_tls_wants_write tells what to wait for), -EACCES (the other
 * side has not the key), -EPROTO (not TLS, or broken), -ECONNRESET (gone without a farewell), -ENOMEM, or what the socket
 * said (-EPIPE, -ETIMEDOUT, -EHOSTUNREACH...). All but -EAGAIN are final: every further call says the same.
 */
#ifndef WIRE_TLS_H
#define WIRE_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define WIRE_TLS_KEY_SIZE     32u
#define WIRE_TLS_IDENTITY_MAX 64u /* with the NUL */

struct wire_tls;

/* Looks up the key of a client by the identity that it claims; false: unknown. Called inside handshake. */
typedef bool wire_tls_lookup(void *context, const char *identity, uint8_t key[WIRE_TLS_KEY_SIZE]);

/* The socket stays the caller's. client: who we are and what we know. server: who may come. */
int wire_tls_client(int socket, const char *identity, const uint8_t key[WIRE_TLS_KEY_SIZE],
		    struct wire_tls **tls);
int wire_tls_server(int socket, wire_tls_lookup *lookup, void *context, struct wire_tls **tls);

/* Repeated until it returns 0. Both sides know then that the other one has the key. */
int wire_tls_handshake(struct wire_tls *tls);
bool wire_tls_wants_write(const struct wire_tls *tls); /* whether the last -EAGAIN was about writing */

/* The identity that the client proved (server side; "" before), or its own. */
const char *wire_tls_identity(const struct wire_tls *tls);

/*
 * Bytes moved (> 0), 0: the other side said farewell (read only), or a negative errno. -EAGAIN before the handshake is done. After
 * a write's -EAGAIN the next write must begin with the same bytes and be at least as long: they are on their way.
 */
ssize_t wire_tls_read(struct wire_tls *tls, void *bytes, size_t length);
ssize_t wire_tls_write(struct wire_tls *tls, const void *bytes, size_t length);

/* Decrypted bytes that wait inside: poll(2) does not show them. */
size_t wire_tls_pending(const struct wire_tls *tls);

/* Says farewell if that does not block, and frees it. NULL is ignored. */
void wire_tls_close(struct wire_tls *tls);

/* The same as a table, for who loads the module: its one symbol is wire_tls_module. */
struct wire_tls_functions {
	size_t size; /* of this struct, as the module knows it */
	int (*client)(int socket, const char *identity, const uint8_t key[WIRE_TLS_KEY_SIZE],
		      struct wire_tls **tls);
	void (*close)(struct wire_tls *tls);
	int (*handshake)(struct wire_tls *tls);
	size_t (*pending)(const struct wire_tls *tls);
	ssize_t (*read)(struct wire_tls *tls, void *bytes, size_t length);
	bool (*wants_write)(const struct wire_tls *tls);
	ssize_t (*write)(struct wire_tls *tls, const void *bytes, size_t length);
};
extern const struct wire_tls_functions wire_tls_module;

#endif
