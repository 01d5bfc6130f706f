/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A TLS client with a pre-shared key for test scripts: what comes from stdin goes to the other side, what it sends goes to stdout.
 * peer_bridge ADDRESS PORT IDENTITY KEY, the key in 64 hexadecimal digits. Ends with the other side: 0 after a farewell or an end of
 * file, 1 when it has another key, 2 for any other error.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "wire/tls.h"

#define LIMIT_MS 60000 /* a test that waits as long hangs */

static int connect_to(const char *host, const char *port)
{
	struct sockaddr_in address = {.sin_family = AF_INET};
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	address.sin_port = htons((uint16_t)strtoul(port, NULL, 10));
	inet_pton(AF_INET, host, &address.sin_addr);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)))
		return -1;
	fcntl(fd, F_SETFL, O_NONBLOCK);
	return fd;
}

static int fail(const char *what, int error)
{
	fprintf(stderr, "%s: %s\n", what, strerror(-error));
	return error == -EACCES ? 1 : 2;
}

static int shake(int fd, struct wire_tls *tls)
{
	int error;
	while ((error = wire_tls_handshake(tls)) == -EAGAIN) {
		struct pollfd wait = {fd, wire_tls_wants_write(tls) ? POLLOUT : POLLIN, 0};
		if (poll(&wait, 1, LIMIT_MS) <= 0)
			return -ETIMEDOUT;
	}
	return error;
}

static int send_all(int fd, struct wire_tls *tls, const char *bytes, size_t length)
{
	while (length) {
		ssize_t sent = wire_tls_write(tls, bytes, length);
		struct pollfd wait = {fd, POLLOUT, 0};
		if (sent == -EAGAIN && poll(&wait, 1, LIMIT_MS) <= 0)
			return -ETIMEDOUT;
		if (sent == -EAGAIN)
			continue;
		if (sent < 0)
			return (int)sent;
		bytes += sent;
		length -= (size_t)sent;
	}
	return 0;
}

/* All that is there. 1: the other side has ended it. */
static int receive_all(struct wire_tls *tls)
{
	char bytes[16384];
	ssize_t got;
	while ((got = wire_tls_read(tls, bytes, sizeof(bytes))) > 0)
		if (write(STDOUT_FILENO, bytes, (size_t)got) != got)
			return -EPIPE;
	return got == -EAGAIN ? 0 : got == 0 || got == -ECONNRESET ? 1 : (int)got;
}

static int shuttle(int fd, struct wire_tls *tls)
{
	char bytes[16384];
	struct pollfd wait[2] = {{fd, POLLIN, 0}, {STDIN_FILENO, POLLIN, 0}};
	for (;;) {
		int error = receive_all(tls);
		if (error)
			return error;
		if (poll(wait, 2, LIMIT_MS) <= 0)
			return -ETIMEDOUT;
		if (!wait[1].revents)
			continue;
		ssize_t got = read(STDIN_FILENO, bytes, sizeof(bytes));
		if (got <= 0)
			return 1;
		error = send_all(fd, tls, bytes, (size_t)got);
		if (error)
			return error == -EPIPE || error == -ECONNRESET ? 1 : error;
	}
}

int main(int argc, char **argv)
{
	uint8_t key[WIRE_TLS_KEY_SIZE];
	struct wire_tls *tls = NULL;
	if (argc != 5 || strlen(argv[4]) != 2 * sizeof(key))
		return 2;
	for (size_t i = 0; i < sizeof(key); i++) {
		char digits[3] = {argv[4][2 * i], argv[4][2 * i + 1], '\0'};
		key[i] = (uint8_t)strtoul(digits, NULL, 16);
	}
	int fd = connect_to(argv[1], argv[2]);
	if (fd < 0)
		return fail("connect", -errno);
	int error = wire_tls_client(fd, argv[3], key, &tls);
	if (!error)
		error = shake(fd, tls);
	if (error) {
		wire_tls_close(tls);
		return fail("handshake", error);
	}
	error = shuttle(fd, tls);
	wire_tls_close(tls);
	close(fd);
	return error == 1 ? 0 : fail("stream", error);
}
