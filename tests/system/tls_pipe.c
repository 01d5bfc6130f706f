/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Standard input and output through TLS, for scripts: tls_pipe ADDRESS PORT IDENTITY KEY (64 hexadecimal digits). Writes "+" when
 * the handshake is done, or "-" and the error's number; ends when either side does.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <signal.h>
#include <unistd.h>

#include "wire/tls.h"

static int connect_to(const char *address, const char *port)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	inet_pton(AF_INET, address, &to.sin_addr);
	return fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0 ? fd : -1;
}

static void await(int socket, const struct wire_tls *tls)
{
	struct pollfd fd = {.fd = socket,
			    .events = (short)(wire_tls_wants_write(tls) ? POLLIN | POLLOUT : POLLIN)};
	poll(&fd, 1, -1);
}

static int push(int socket, struct wire_tls *tls, const char *bytes, size_t length)
{
	while (length > 0) {
		ssize_t sent = wire_tls_write(tls, bytes, length);
		if (sent == -EAGAIN) {
			await(socket, tls);
			continue;
		}
		if (sent < 0)
			return (int)sent;
		bytes += sent;
		length -= (size_t)sent;
	}
	return 0;
}

static int relay(int socket, struct wire_tls *tls)
{
	static char bytes[65536];

	for (;;) {
		struct pollfd fds[2] = {{.fd = 0, .events = POLLIN}, {.fd = socket, .events = POLLIN}};
		ssize_t got = wire_tls_read(tls, bytes, sizeof(bytes));
		if (got > 0) {
			if (write(1, bytes, (size_t)got) != got)
				return 0;
			continue;
		}
		if (got != -EAGAIN)
			return 0;
		poll(fds, 2, -1);
		if (fds[0].revents == 0)
			continue;
		got = read(0, bytes, sizeof(bytes));
		if (got <= 0 || push(socket, tls, bytes, (size_t)got) < 0)
			return 0;
	}
}

int main(int argc, char **argv)
{
	uint8_t key[WIRE_TLS_KEY_SIZE];
	struct wire_tls *tls;
	int code;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGPIPE, SIG_IGN);
	if (argc != 5 || strlen(argv[4]) != 2 * sizeof(key))
		return 2;
	for (size_t at = 0; at < sizeof(key); at++)
		sscanf(argv[4] + 2 * at, "%2hhx", &key[at]);
	int fd = connect_to(argv[1], argv[2]);
	if (fd < 0 || wire_tls_client(fd, argv[3], key, &tls))
		return 3;
	while ((code = wire_tls_handshake(tls)) == -EAGAIN)
		await(fd, tls);
	if (code) {
		printf("-%d\n", -code);
		return 1;
	}
	(void)!write(1, "+", 1);
	relay(fd, tls);
	wire_tls_close(tls);
	close(fd);
	return 0;
}
