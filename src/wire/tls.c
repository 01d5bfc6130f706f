/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The one user of GnuTLS. Its sessions do not share anything here: each has its own credentials, since they hold the key of
 * one client or the lookup of one server.
 */
#include "wire/tls.h"

#include <errno.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/*
 * TLS 1.3 and the pre-shared key together with a fresh exchange, so that a key that is stolen later opens nothing that was
 * recorded. A pre-shared key is bound to SHA-256, so these two are all the suites there are. Nothing else is offered or accepted:
 * no certificates, no older version. (GnuTLS refuses a list without a signature; nothing is ever signed.)
 */
/* clang-format off */
#define PRIORITY "NONE:+VERS-TLS1.3:+AES-128-GCM:+CHACHA20-POLY1305:+AEAD:+ECDHE-PSK:+GROUP-X25519:" \
		 "+SIGN-EDDSA-ED25519"
/* clang-format on */

#define HANDSHAKE_MAX                                                                                        \
	8192 /* bytes of one handshake message of somebody who has not shown a key; ours have some hundred */

struct wire_tls {
	gnutls_session_t session;
	gnutls_psk_client_credentials_t client; /* one of the two */
	gnutls_psk_server_credentials_t server;
	wire_tls_lookup *lookup;
	void *context;
	int socket;       /* the caller's */
	int socket_error; /* errno of the last call that failed, 0: none */
	int error;        /* negative errno that ended the session: every further call returns it */
	bool asked;       /* server: the client has named itself */
	bool done;        /* handshake */
	bool wants_write; /* after -EAGAIN */
	char identity[WIRE_TLS_IDENTITY_MAX];
};

/* Never waits, whatever the socket's mode is, and never raises SIGPIPE. */
static ssize_t push(gnutls_transport_ptr_t context, const giovec_t *parts, int count)
{
	struct wire_tls *tls = context;
	struct iovec copies[8];
	int used = 0;
	for (; used < count && used < (int)(sizeof(copies) / sizeof(copies[0])); used++)
		copies[used] =
			(struct iovec){.iov_base = parts[used].iov_base, .iov_len = parts[used].iov_len};
	struct msghdr message = {.msg_iov = copies, .msg_iovlen = (size_t)used};
	ssize_t moved = sendmsg(tls->socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (moved < 0)
		tls->socket_error = errno;
	return moved;
}

static ssize_t pull(gnutls_transport_ptr_t context, void *bytes, size_t length)
{
	struct wire_tls *tls = context;
	ssize_t moved = recv(tls->socket, bytes, length, MSG_DONTWAIT);
	if (moved < 0)
		tls->socket_error = errno;
	return moved;
}

/* "There may be something": pull does not wait, so nobody has to ask before. */
static int pull_timeout(gnutls_transport_ptr_t context, unsigned int milliseconds)
{
	(void)context;
	(void)milliseconds;
	return 1;
}

/* GnuTLS's alerts that a side sends which finds that the other one has another key. */
static bool is_about_key(gnutls_alert_description_t alert)
{
	return alert == GNUTLS_A_ILLEGAL_PARAMETER || alert == GNUTLS_A_DECRYPT_ERROR ||
	       alert == GNUTLS_A_BAD_RECORD_MAC || alert == GNUTLS_A_UNKNOWN_PSK_IDENTITY;
}

/* Who fails before the handshake is done, but behind the point where the key is used, has not the key. */
static int handshake_error(const struct wire_tls *tls, int found)
{
	if (tls->server)
		return tls->asked ? -EACCES : -EPROTO;
	if (found == GNUTLS_E_FATAL_ALERT_RECEIVED)
		return is_about_key(gnutls_alert_get(tls->session)) ? -EACCES : -EPROTO;
	return found == GNUTLS_E_DECRYPTION_FAILED || found == GNUTLS_E_ERROR_IN_FINISHED_PACKET ? -EACCES
												 : -EPROTO;
}

/* A negative errno for GnuTLS's error; all but "again" end the session. */
static int fail(struct wire_tls *tls, int found)
{
	switch (found) {
	case GNUTLS_E_AGAIN:
		tls->wants_write = gnutls_record_get_direction(tls->session) == 1;
		return -EAGAIN;
	case GNUTLS_E_PREMATURE_TERMINATION:
		tls->error = -ECONNRESET;
		break;
	case GNUTLS_E_PULL_ERROR:
	case GNUTLS_E_PUSH_ERROR:
		tls->error = tls->socket_error ? -tls->socket_error : -ECONNRESET;
		break;
	case GNUTLS_E_MEMORY_ERROR:
		tls->error = -ENOMEM;
		break;
	default:
		tls->error = tls->done ? -EPROTO : handshake_error(tls, found);
	}
	tls->wants_write = false;
	return tls->error;
}

/*
 * GnuTLS asks for the key of `name`. Who is not known gets a random one, so that the handshake fails as it does for a wrong key:
 * nobody learns which names there are.
 */
static int find_key(gnutls_session_t session, const gnutls_datum_t *name, gnutls_datum_t *key)
{
	struct wire_tls *tls = gnutls_session_get_ptr(session);
	char identity[WIRE_TLS_IDENTITY_MAX] = "";
	tls->asked = true;
	key->size = WIRE_TLS_KEY_SIZE;
	key->data = gnutls_malloc(WIRE_TLS_KEY_SIZE);
	if (!key->data || gnutls_rnd(GNUTLS_RND_KEY, key->data, WIRE_TLS_KEY_SIZE) < 0)
		return -1;
	if (name->size == 0 || name->size >= sizeof(identity) || memchr(name->data, 0, name->size))
		return 0;
	memcpy(identity, name->data, name->size);
	uint8_t found[WIRE_TLS_KEY_SIZE];
	if (tls->lookup(tls->context, identity, found))
		memcpy(key->data, found, sizeof(found));
	explicit_bzero(found, sizeof(found));
	return 0;
}

/* What client and server have alike. */
static int open_session(int socket, unsigned role, struct wire_tls **made)
{
	struct wire_tls *tls = calloc(1, sizeof(*tls));
	if (!tls)
		return -ENOMEM;
	tls->socket = socket;
	/* Tickets would be keys that outlive the stream; nobody resumes one. */
	if (gnutls_init(&tls->session, role | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL | GNUTLS_NO_TICKETS |
					       GNUTLS_NO_AUTO_SEND_TICKET) < 0) {
		free(tls);
		return -ENOMEM;
	}
	gnutls_session_set_ptr(tls->session, tls);
	gnutls_transport_set_ptr(tls->session, tls);
	gnutls_transport_set_vec_push_function(tls->session, push);
	gnutls_transport_set_pull_function(tls->session, pull);
	gnutls_transport_set_pull_timeout_function(tls->session, pull_timeout);
	gnutls_handshake_set_max_packet_length(tls->session, HANDSHAKE_MAX);
	*made = tls;
	/* Only a system that forbids these suites refuses it. */
	return gnutls_priority_set_direct(tls->session, PRIORITY, NULL) < 0 ? -EPROTO : 0;
}

static int set_client(struct wire_tls *tls, const char *identity, const uint8_t key[WIRE_TLS_KEY_SIZE])
{
	uint8_t copy[WIRE_TLS_KEY_SIZE];
	size_t length = strlen(identity);
	if (length == 0 || length >= sizeof(tls->identity))
		return -EINVAL;
	memcpy(tls->identity, identity, length + 1);
	memcpy(copy, key, sizeof(copy)); /* GnuTLS's datum is not const */
	gnutls_datum_t name = {.data = (unsigned char *)tls->identity, .size = (unsigned)length};
	gnutls_datum_t secret = {.data = copy, .size = sizeof(copy)};
	int found = gnutls_psk_allocate_client_credentials(&tls->client);
	if (found >= 0)
		found = gnutls_psk_set_client_credentials2(tls->client, &name, &secret, GNUTLS_PSK_KEY_RAW);
	if (found >= 0)
		found = gnutls_credentials_set(tls->session, GNUTLS_CRD_PSK, tls->client);
	explicit_bzero(copy, sizeof(copy));
	return found < 0 ? -ENOMEM : 0;
}

int wire_tls_client(int socket, const char *identity, const uint8_t key[WIRE_TLS_KEY_SIZE],
		    struct wire_tls **tls)
{
	struct wire_tls *made = NULL;
	int error = open_session(socket, GNUTLS_CLIENT, &made);
	if (!error)
		error = set_client(made, identity, key);
	if (error) {
		wire_tls_close(made);
		made = NULL;
	}
	*tls = made;
	return error;
}

static int set_server(struct wire_tls *tls, wire_tls_lookup *lookup, void *context)
{
	tls->lookup = lookup;
	tls->context = context;
	if (gnutls_psk_allocate_server_credentials(&tls->server) < 0)
		return -ENOMEM;
	gnutls_psk_set_server_credentials_function2(tls->server, find_key);
	return gnutls_credentials_set(tls->session, GNUTLS_CRD_PSK, tls->server) < 0 ? -ENOMEM : 0;
}

int wire_tls_server(int socket, wire_tls_lookup *lookup, void *context, struct wire_tls **tls)
{
	struct wire_tls *made = NULL;
	int error = open_session(socket, GNUTLS_SERVER, &made);
	if (!error)
		error = set_server(made, lookup, context);
	if (error) {
		wire_tls_close(made);
		made = NULL;
	}
	*tls = made;
	return error;
}

/* The handshake is done: by the key, and by nothing else? The server learns from GnuTLS whose key it was. */
static int check_peer(struct wire_tls *tls)
{
	gnutls_datum_t name;
	if (gnutls_auth_get_type(tls->session) != GNUTLS_CRD_PSK)
		return -EPROTO;
	if (!tls->server)
		return 0;
	if (gnutls_psk_server_get_username2(tls->session, &name) < 0 || name.size >= sizeof(tls->identity))
		return -EPROTO;
	memcpy(tls->identity, name.data, name.size);
	tls->identity[name.size] = '\0';
	return 0;
}

int wire_tls_handshake(struct wire_tls *tls)
{
	if (tls->error || tls->done)
		return tls->error;
	int found;
	do
		found = gnutls_handshake(tls->session);
	while (found == GNUTLS_E_INTERRUPTED);
	if (found == GNUTLS_E_SUCCESS) {
		tls->error = check_peer(tls);
		tls->done = !tls->error;
		tls->wants_write = false;
		return tls->error;
	}
	int error = fail(tls, found);
	if (error == -EACCES || error == -EPROTO)
		gnutls_alert_send_appropriate(tls->session, found); /* if there is room: courtesy only */
	return error;
}

bool wire_tls_wants_write(const struct wire_tls *tls)
{
	return tls->wants_write;
}

const char *wire_tls_identity(const struct wire_tls *tls)
{
	return tls->identity;
}

/* Common end of read and write. */
static ssize_t moved(struct wire_tls *tls, ssize_t found)
{
	if (found < 0)
		return fail(tls, (int)found);
	tls->wants_write = false;
	return found;
}

ssize_t wire_tls_read(struct wire_tls *tls, void *bytes, size_t length)
{
	if (tls->error || !tls->done)
		return tls->error ? tls->error : -EAGAIN;
	if (length == 0)
		return -EINVAL; /* 0 would mean farewell */
	ssize_t found;
	do
		found = gnutls_record_recv(tls->session, bytes, length);
	while (found == GNUTLS_E_INTERRUPTED);
	return moved(tls, found);
}

ssize_t wire_tls_write(struct wire_tls *tls, const void *bytes, size_t length)
{
	if (tls->error || !tls->done)
		return tls->error ? tls->error : -EAGAIN;
	if (length == 0)
		return 0;
	ssize_t found;
	do
		found = gnutls_record_send(tls->session, bytes, length);
	while (found == GNUTLS_E_INTERRUPTED);
	return moved(tls, found);
}

size_t wire_tls_pending(const struct wire_tls *tls)
{
	return gnutls_record_check_pending(tls->session);
}

void wire_tls_close(struct wire_tls *tls)
{
	if (!tls)
		return;
	if (tls->done && !tls->error)
		gnutls_bye(tls->session, GNUTLS_SHUT_WR);
	gnutls_deinit(tls->session);
	if (tls->client)
		gnutls_psk_free_client_credentials(tls->client);
	if (tls->server)
		gnutls_psk_free_server_credentials(tls->server);
	free(tls);
}

__attribute__((visibility("default"))) const struct wire_tls_functions wire_tls_module = {
	.size = sizeof(wire_tls_module),
	.client = wire_tls_client,
	.close = wire_tls_close,
	.handshake = wire_tls_handshake,
	.pending = wire_tls_pending,
	.read = wire_tls_read,
	.wants_write = wire_tls_wants_write,
	.write = wire_tls_write,
};
