/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * wire/packet: what is sent arrives whole, with its descriptors; what is not a packet is refused and leaks
 * nothing.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "wire/packet.h"

#define MAGIC 0x314d5352u

static int ends[2];

static int setup(void **state)
{
	(void)state;
	return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends);
}

static int teardown(void **state)
{
	(void)state;
	close(ends[0]);
	close(ends[1]);
	return 0;
}

/* How many descriptors are open: a leak shows as a higher next one. */
static int next_fd(void)
{
	int fd = dup(0);
	close(fd);
	return fd;
}

static uint8_t *pattern(size_t length)
{
	uint8_t *body = malloc(length + 1);
	for (size_t i = 0; i < length; i++)
		body[i] = (uint8_t)(i * 31 + i / 256);
	return body;
}

static void round_trip(size_t length)
{
	struct wire_packet packet;
	uint8_t *body = pattern(length);
	int before = next_fd();
	assert_int_equal(wire_packet_send(ends[0], body, length, NULL, 0, false), 0);
	assert_int_equal(wire_packet_receive(ends[1], WIRE_REPLY_MAX, false, &packet), 0);
	assert_int_equal(packet.length, length);
	assert_int_equal(packet.fd_count, 0);
	assert_memory_equal(packet.body, body, length);
	wire_packet_clear(&packet);
	free(body);
	assert_int_equal(next_fd(), before);
}

static void test_bodies_arrive(void **state)
{
	static const size_t lengths[] = {
		0, 1, 100, WIRE_INLINE_MAX - 1, WIRE_INLINE_MAX, WIRE_INLINE_MAX + 1, 5000000};
	(void)state;
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++)
		round_trip(lengths[i]);
}

static void descriptors(size_t length)
{
	struct wire_packet packet;
	int file = memfd_create("test", MFD_CLOEXEC), before = next_fd(), sent[3] = {file, ends[0], file};
	struct stat one, other;
	uint8_t *body = pattern(length);
	assert_int_equal(wire_packet_send(ends[0], body, length, sent, 3, false), 0);
	assert_int_equal(wire_packet_receive(ends[1], WIRE_REPLY_MAX, false, &packet), 0);
	assert_int_equal(packet.fd_count, 3);
	int taken = wire_packet_take(&packet, 2);
	assert_int_equal(wire_packet_take(&packet, 2), -1);
	assert_int_equal(wire_packet_take(&packet, 3), -1);
	assert_true(taken > 2);
	assert_int_equal(fcntl(taken, F_GETFD), FD_CLOEXEC);
	assert_int_equal(fstat(file, &one), 0);
	assert_int_equal(fstat(taken, &other), 0);
	assert_int_equal(one.st_ino, other.st_ino);
	wire_packet_clear(&packet);
	close(taken);
	assert_int_equal(next_fd(), before);
	close(file);
	free(body);
}

static void test_descriptors_arrive(void **state)
{
	(void)state;
	descriptors(10);
	descriptors(WIRE_INLINE_MAX + 10); /* behind the one that carries the body */
}

static void test_limits_of_sending(void **state)
{
	(void)state;
	int many[WIRE_FDS_MAX + 1];
	for (size_t i = 0; i <= WIRE_FDS_MAX; i++)
		many[i] = ends[0];
	assert_int_equal(wire_packet_send(ends[0], NULL, (size_t)WIRE_REPLY_MAX + 1, NULL, 0, true),
			 -EMSGSIZE);
	assert_int_equal(wire_packet_send(ends[0], NULL, 0, many, WIRE_FDS_MAX + 1, true), -EMSGSIZE);
	uint8_t *body = pattern(WIRE_INLINE_MAX + 1);
	assert_int_equal(wire_packet_send(ends[0], body, WIRE_INLINE_MAX + 1, many, WIRE_FDS_MAX, true),
			 -EMSGSIZE);
	free(body);
	struct wire_packet packet;
	assert_int_equal(wire_packet_send(ends[0], NULL, 0, many, WIRE_FDS_MAX, true), 0);
	assert_int_equal(wire_packet_receive(ends[1], 0, true, &packet), 0);
	assert_int_equal(packet.fd_count, WIRE_FDS_MAX);
	wire_packet_clear(&packet);
}

static void test_full_and_gone(void **state)
{
	(void)state;
	struct wire_packet packet;
	uint8_t body[1000] = {0};
	int error = 0;
	assert_int_equal(wire_packet_receive(ends[1], 100, true, &packet), -EAGAIN);
	assert_null(packet.body);
	for (int i = 0; i < 100000 && !error; i++)
		error = wire_packet_send(ends[0], body, sizeof(body), NULL, 0, true);
	assert_int_equal(error, -EAGAIN);
	close(ends[1]);
	error = wire_packet_send(ends[0], body, sizeof(body), NULL, 0, true);
	assert_true(error == -EPIPE || error == -ECONNRESET); /* the latter once, for what it left unread */
	error = wire_packet_receive(ends[0], 100, false, &packet);
	assert_int_equal(error, -ECONNRESET);
	ends[1] = dup(0);
}

/* Sends a frame as a stranger would. */
static void send_frame(uint32_t magic, uint32_t length, size_t follow, const int *fds, size_t fd_count)
{
	uint32_t head[2] = {magic, length};
	uint8_t *bytes = calloc(1, sizeof(head) + follow);
	char control[CMSG_SPACE(200 * sizeof(int))] = {0};
	memcpy(bytes, head, sizeof(head));
	struct iovec part = {.iov_base = bytes, .iov_len = sizeof(head) + follow};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
	if (fd_count) {
		message.msg_control = control;
		message.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
		struct cmsghdr *header = CMSG_FIRSTHDR(&message);
		header->cmsg_level = SOL_SOCKET;
		header->cmsg_type = SCM_RIGHTS;
		header->cmsg_len = CMSG_LEN(fd_count * sizeof(int));
		memcpy(CMSG_DATA(header), fds, fd_count * sizeof(int));
	}
	assert_true(sendmsg(ends[0], &message, 0) > 0);
	free(bytes);
}

static void refused(int expected)
{
	struct wire_packet packet;
	assert_int_equal(wire_packet_receive(ends[1], WIRE_REQUEST_MAX, true, &packet), expected);
	assert_null(packet.body);
	assert_int_equal(packet.fd_count, 0);
	assert_int_equal(packet.length, 0);
}

static void test_strange_frames(void **state)
{
	(void)state;
	int before = next_fd();
	assert_int_equal(send(ends[0], "abc", 3, 0), 3);
	refused(-EPROTO);
	send_frame(MAGIC + 1, 4, 4, NULL, 0);
	refused(-EPROTO);
	send_frame(MAGIC, 4, 3, NULL, 0);
	refused(-EPROTO);
	send_frame(MAGIC, 4, 5, NULL, 0);
	refused(-EPROTO);
	send_frame(MAGIC, 100, 100000, NULL, 0);
	refused(-EPROTO);
	send_frame(MAGIC, UINT32_MAX, 0, NULL, 0);
	refused(-EPROTO);
	send_frame(MAGIC, WIRE_REQUEST_MAX + 1, 0, &ends[0], 1);
	refused(-EPROTO);
	send_frame(MAGIC, WIRE_INLINE_MAX + 1, 0, NULL, 0);
	refused(-EPROTO);
	assert_int_equal(next_fd(), before);
}

/* The body in a descriptor: only a memfd that nobody can change any more is believed. */
static void test_strange_bodies(void **state)
{
	const int whole = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
	static const int missing[] = {F_SEAL_SHRINK, F_SEAL_GROW, F_SEAL_WRITE};
	const uint32_t length = WIRE_INLINE_MAX + 100;
	int before = next_fd(), null = open("/dev/null", O_RDWR), pipes[2];
	(void)state;
	send_frame(MAGIC, length, 0, &null, 1);
	refused(-EPROTO);
	assert_int_equal(pipe(pipes), 0);
	send_frame(MAGIC, length, 0, pipes, 1);
	refused(-EPROTO);
	close(pipes[0]);
	close(pipes[1]);
	for (int i = 0; i < 4; i++) {
		int file = memfd_create("test", MFD_ALLOW_SEALING);
		assert_int_equal(ftruncate(file, i < 3 ? (off_t)length : (off_t)length - 1), 0);
		assert_int_equal(fcntl(file, F_ADD_SEALS, i < 3 ? whole & ~missing[i] : whole), 0);
		send_frame(MAGIC, length, 0, &file, 1);
		refused(-EPROTO);
		close(file);
	}
	close(null);
	assert_int_equal(next_fd(), before);
}

static void test_too_many_descriptors(void **state)
{
	int many[WIRE_FDS_MAX + 10];
	int before = next_fd();
	(void)state;
	for (size_t i = 0; i < WIRE_FDS_MAX + 10; i++)
		many[i] = ends[0];
	send_frame(MAGIC, 1, 1, many, WIRE_FDS_MAX + 10);
	refused(-EPROTO);
	assert_int_equal(next_fd(), before);
}

static void test_no_room_for_descriptors(void **state)
{
	struct wire_packet packet;
	struct rlimit saved, low;
	int before = next_fd(), fds[4] = {0, 0, 0, 0};
	(void)state;
	send_frame(MAGIC, 3, 3, fds, 4);
	getrlimit(RLIMIT_NOFILE, &saved);
	low = saved;
	low.rlim_cur = (rlim_t)before + 2;
	setrlimit(RLIMIT_NOFILE, &low);
	int error = wire_packet_receive(ends[1], WIRE_REQUEST_MAX, true, &packet);
	setrlimit(RLIMIT_NOFILE, &saved);
	assert_int_equal(error, -EMFILE);
	assert_int_equal(packet.fd_count, 0);
	assert_int_equal(packet.length, 3); /* the request can still be refused by its id */
	assert_non_null(packet.body);
	wire_packet_clear(&packet);
	assert_int_equal(next_fd(), before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_bodies_arrive, setup, teardown),
		cmocka_unit_test_setup_teardown(test_descriptors_arrive, setup, teardown),
		cmocka_unit_test_setup_teardown(test_limits_of_sending, setup, teardown),
		cmocka_unit_test_setup_teardown(test_full_and_gone, setup, teardown),
		cmocka_unit_test_setup_teardown(test_strange_frames, setup, teardown),
		cmocka_unit_test_setup_teardown(test_strange_bodies, setup, teardown),
		cmocka_unit_test_setup_teardown(test_too_many_descriptors, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_room_for_descriptors, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
