/* SPDX-License-Identifier: BSD-2-Clause */
#include "guest.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <rsmapi.h>

#include "rsmd/data.h"
#include "rsmd/loop.h"
#include "segment/memfd.h"

#define WAIT_S 20

struct rsmd_server rsmd_server;

static uint64_t last_guest, ended_guest;
static const char *ended_why;

static void on_end(uint64_t guest_id, const char *why)
{
	ended_guest = guest_id;
	ended_why = why;
	rsmd_loop_stop();
}

void guest_begin(void)
{
	static bool begun;
	if (begun)
		return;
	begun = true;
	rsmd_server.slots.table = aligned_alloc(64, sizeof(struct segment_status));
	assert_non_null(rsmd_server.slots.table);
	memset(rsmd_server.slots.table, 0, sizeof(struct segment_status));
	rsmd_fd_limit_open();
	assert_int_equal(rsmd_loop_open(), 0);
	rsmd_data_on_end(on_end);
	assert_int_equal(rsmd_data_open(2), RSM_SUCCESS);
}

void guest_export_open(struct guest_export *export, size_t length, bool sealed)
{
	*export = (struct guest_export){.object = {.shmid = -1, .local = true}};
	if (sealed) {
		assert_int_equal(segment_memfd_create("test", length, false, 0, &export->object.fd),
				 RSM_SUCCESS);
	} else {
		export->object.fd = memfd_create("test", MFD_CLOEXEC);
		assert_int_equal(ftruncate(export->object.fd, (off_t)length), 0);
	}
	export->object.kind = sealed ? WIRE__OBJECT_KIND__OBJECT_SEALED : WIRE__OBJECT_KIND__OBJECT_FILE;
	export->memory = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, export->object.fd, 0);
	assert_ptr_not_equal(export->memory, MAP_FAILED);
	export->export.length = length;
	export->export.extents = calloc(1, sizeof(*export->export.extents));
	assert_non_null(export->export.extents);
	export->export.extents[0] = (struct rsmd_extent){&export->object, 0, length};
	export->export.extent_count = 1;
	rsmd_signals_init(&export->export.signals);
	assert_int_equal(rsmd_signals_open(&export->export.signals), RSM_SUCCESS);
}

void guest_export_close(struct guest_export *export)
{
	assert_null(export->export.target);
	rsmd_signals_end(&export->export.signals);
	munmap(export->memory, export->export.length);
	close(export->object.fd);
	free(export->export.extents);
}

static void tcp_pair(int ends[2])
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t length = sizeof(address);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(listener, (struct sockaddr *)&address, length), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &length), 0);
	ends[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(ends[0], (struct sockaddr *)&address, length), 0);
	ends[1] = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	assert_true(ends[1] >= 0);
	close(listener);
}

static bool lookup(void *context, const char *identity, uint8_t key[WIRE_TLS_KEY_SIZE])
{
	(void)context;
	memset(key, 7, WIRE_TLS_KEY_SIZE);
	return !strcmp(identity, "test");
}

/* Both ends at once, in one thread. */
static struct wire_tls *handshake(int client, int server, struct wire_tls **other)
{
	static const uint8_t key[WIRE_TLS_KEY_SIZE] = {7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
						       7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7};
	struct wire_tls *tls;
	int ours = -EAGAIN, theirs = -EAGAIN;
	assert_int_equal(wire_tls_client(client, "test", key, &tls), 0);
	assert_int_equal(wire_tls_server(server, lookup, NULL, other), 0);
	while (ours == -EAGAIN || theirs == -EAGAIN) {
		if (ours == -EAGAIN)
			ours = wire_tls_handshake(tls);
		if (theirs == -EAGAIN)
			theirs = wire_tls_handshake(*other);
	}
	assert_int_equal(ours, 0);
	assert_int_equal(theirs, 0);
	return tls;
}

void guest_open(struct guest *guest, struct guest_export *export, enum guest_way way, uint32_t granted,
		struct rsmd_peer *peer, bool swap)
{
	const struct timeval limit = {.tv_sec = WAIT_S};
	struct wire_tls *server = NULL;
	struct wire_welcome welcome;
	uint8_t bytes[WIRE_WELCOME_SIZE];
	int ends[2];
	*guest = (struct guest){.export = export};
	if (way == GUEST_LOCAL)
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	else
		tcp_pair(ends);
	guest->socket = ends[0];
	setsockopt(ends[0], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	setsockopt(ends[0], SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	if (way == GUEST_TLS)
		guest->tls = handshake(ends[0], ends[1], &server);
	assert_int_equal(rsmd_target_open(&export->export), RSM_SUCCESS);
	guest->grant = rsmd_grant_make(&export->export, peer, granted, ++last_guest);
	assert_non_null(guest->grant);
	rsmd_grant_ref(guest->grant);
	assert_true(rsmd_data_serve(ends[1], server, guest->grant, swap));
	assert_true(guest_receive(guest, bytes, sizeof(bytes)));
	assert_int_equal(wire_welcome_unpack(bytes, &welcome), 0);
	assert_int_equal(welcome.code, RSM_SUCCESS);
}

void guest_close(struct guest *guest)
{
	rsmd_grant_close(guest->grant);
	rsmd_target_close(&guest->export->export);
	wire_tls_close(guest->tls);
	if (guest->socket >= 0)
		close(guest->socket);
}

const char *guest_ended(struct guest *guest)
{
	while (ended_guest != guest->grant->guest_id)
		rsmd_loop_run();
	return ended_why;
}

static void wait_for(const struct guest *guest, short what)
{
	struct pollfd poller = {.fd = guest->socket, .events = what};
	assert_int_equal(poll(&poller, 1, WAIT_S * 1000), 1);
}

void guest_send(struct guest *guest, const void *bytes, size_t length)
{
	const unsigned char *from = bytes;
	while (length) {
		ssize_t sent = guest->tls ? wire_tls_write(guest->tls, from, length)
					  : send(guest->socket, from, length, MSG_NOSIGNAL);
		if (guest->tls && sent == -EAGAIN) {
			wait_for(guest, POLLOUT);
			continue;
		}
		assert_true(sent > 0);
		from += sent;
		length -= (size_t)sent;
	}
}

bool guest_receive(struct guest *guest, void *bytes, size_t length)
{
	unsigned char *to = bytes;
	while (length) {
		ssize_t got = guest->tls ? wire_tls_read(guest->tls, to, length)
					 : recv(guest->socket, to, length, 0);
		if (guest->tls && got == -EAGAIN) {
			wait_for(guest, POLLIN);
			continue;
		}
		if (got < 0 && errno == EAGAIN)
			fail_msg("no answer within %d s", WAIT_S);
		if (got <= 0)
			return false;
		to += got;
		length -= (size_t)got;
	}
	return true;
}

void guest_request(struct guest *guest, enum wire_op op, unsigned flags, unsigned width, uint64_t offset,
		   uint64_t length)
{
	uint8_t head[WIRE_REQUEST_SIZE];
	const struct wire_request request = {op,     (uint8_t)flags, (uint8_t)width, guest->sequence++,
					     offset, length};
	wire_request_pack(&request, head);
	guest_send(guest, head, sizeof(head));
}

void guest_put(struct guest *guest, unsigned flags, uint64_t offset, const void *bytes, size_t length)
{
	guest_request(guest, WIRE_OP_PUT, flags, 0, offset, length);
	guest_send(guest, bytes, length);
}

static void reply_of(struct guest *guest, struct wire_reply *reply, enum wire_op op, uint32_t sequence)
{
	uint8_t head[WIRE_REPLY_SIZE];
	assert_true(guest_receive(guest, head, sizeof(head)));
	assert_int_equal(wire_reply_unpack(head, reply), 0);
	assert_int_equal(reply->op, op);
	assert_int_equal(reply->sequence, sequence);
}

void guest_answered(struct guest *guest, enum wire_op op, uint32_t sequence, uint64_t length)
{
	struct wire_reply reply;
	reply_of(guest, &reply, op, sequence);
	assert_int_equal(reply.code, RSM_SUCCESS);
	assert_int_equal(reply.length, length);
}

const char *guest_refused(struct guest *guest, enum wire_op op, uint32_t sequence)
{
	static char text[WIRE_REPLY_TEXT_MAX + 1];
	struct wire_reply reply;
	reply_of(guest, &reply, op, sequence);
	assert_int_equal(reply.code, RSMERR_BARRIER_FAILURE);
	assert_in_range(reply.length, 1, WIRE_REPLY_TEXT_MAX);
	assert_true(guest_receive(guest, text, reply.length));
	text[reply.length] = '\0';
	return text;
}

void guest_fence(struct guest *guest)
{
	uint32_t sequence = guest->sequence;
	guest_request(guest, WIRE_OP_FENCE, GUEST_FULL, 0, 0, 0);
	guest_answered(guest, WIRE_OP_FENCE, sequence, 0);
}

static unsigned char byte_at(uint64_t offset, unsigned seed)
{
	return (unsigned char)((offset * 2654435761u >> 16) + offset + seed);
}

void guest_pattern(unsigned char *bytes, size_t length, uint64_t offset, unsigned seed)
{
	for (size_t i = 0; i < length; i++)
		bytes[i] = byte_at(offset + i, seed);
}

bool guest_is_pattern(const unsigned char *bytes, size_t length, uint64_t offset, unsigned seed)
{
	for (size_t i = 0; i < length; i++)
		if (bytes[i] != byte_at(offset + i, seed))
			return false;
	return true;
}
