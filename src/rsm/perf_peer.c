/* SPDX-License-Identifier: BSD-2-Clause */
/* The measuring side's end of the peer process: start it, give it orders, end it. A message is a line of text. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "rsm/perf.h"

extern char **environ;

/* Receives one line; told and PERF_TOLD when the peer is silent or has gone. */
static int receive_line(struct perf_peer *peer, char *line, size_t size)
{
	struct pollfd entry = {.fd = peer->socket, .events = POLLIN};
	int ready;
	do
		ready = poll(&entry, 1, PERF_WAIT_MS);
	while (ready < 0 && errno == EINTR);
	if (ready == 0) {
		tool_fail("the measuring peer (pid %d) did not answer for %d ms", peer->pid, PERF_WAIT_MS);
		return PERF_TOLD;
	}
	ssize_t got = recv(peer->socket, line, size - 1, 0);
	if (got <= 0) { /* it has told its own reason on standard error */
		tool_fail("the measuring peer (pid %d) has ended", peer->pid);
		return PERF_TOLD;
	}
	line[got] = '\0';
	return RSM_SUCCESS;
}

static int expect(struct perf_peer *peer, const char *word)
{
	char line[64];
	int code = receive_line(peer, line, sizeof(line));
	if (code != RSM_SUCCESS)
		return code;
	if (strcmp(line, word) != 0) {
		tool_fail("the measuring peer answered '%s' where '%s' was expected", line, word);
		return PERF_TOLD;
	}
	return RSM_SUCCESS;
}

static int spawn(struct perf_peer *peer, int other, size_t room, int cpu)
{
	char serve[] = "--serve", name[] = "rsm", perf[] = "perf", what[96], self[PATH_MAX];
	/* By its own path, so that the peer, too, is called rsm in lists of processes. */
	ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);
	self[length > 0 ? length : 0] = '\0';
	snprintf(what, sizeof(what), "%d,%d,%zu,%d", other, peer->memory, room, cpu);
	char *arguments[] = {name, perf, serve, what, NULL};
	/* Only these two go to the child; nothing else runs here that could inherit them meanwhile. */
	fcntl(other, F_SETFD, 0);
	fcntl(peer->memory, F_SETFD, 0);
	pid_t pid;
	int error = posix_spawn(&pid, self, NULL, NULL, arguments, environ);
	fcntl(peer->memory, F_SETFD, FD_CLOEXEC);
	if (error) {
		tool_fail_errno(error, "start the measuring peer");
		return PERF_TOLD;
	}
	peer->pid = pid;
	return RSM_SUCCESS;
}

int perf_peer_start(struct perf_peer *peer, size_t room, int cpu)
{
	int sockets[2];
	char line[64];
	peer->memory = memfd_create("rsm-perf", MFD_CLOEXEC);
	if (peer->memory < 0 || ftruncate(peer->memory, (off_t)(PERF_DATA + room)) != 0 ||
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) != 0) {
		tool_fail_errno(errno, "prepare the measuring peer");
		return PERF_TOLD;
	}
	peer->socket = sockets[0];
	int code = spawn(peer, sockets[1], room, cpu);
	close(sockets[1]);
	if (code == RSM_SUCCESS)
		code = receive_line(peer, line, sizeof(line));
	if (code == RSM_SUCCESS && sscanf(line, "segment %u", &peer->id) != 1) {
		tool_fail("the measuring peer answered '%s' where its segment was expected", line);
		return PERF_TOLD;
	}
	return code;
}

int perf_peer_order(struct perf_peer *peer, const char *order, size_t size, rsm_memseg_id_t id)
{
	char line[64];
	int length = snprintf(line, sizeof(line), "%s %zu %u", order, size, id);
	if (send(peer->socket, line, (size_t)length, MSG_NOSIGNAL) != length) {
		tool_fail_errno(errno, "give an order to the measuring peer");
		return PERF_TOLD;
	}
	return expect(peer, "ready");
}

int perf_peer_finish(struct perf_peer *peer)
{
	return expect(peer, "done");
}

int perf_peer_check(const struct perf_peer *peer)
{
	struct pollfd entry = {.fd = peer->socket, .events = POLLIN};
	if (poll(&entry, 1, 0) <= 0)
		return RSM_SUCCESS;
	tool_fail("the measuring peer (pid %d) ended in the middle of a test", peer->pid);
	return PERF_TOLD;
}

void perf_peer_stop(struct perf_peer *peer)
{
	if (peer->socket >= 0)
		close(peer->socket);
	if (peer->memory >= 0)
		close(peer->memory);
	/* It sees the end of the socket within one of its own waits, PERF_WAIT_MS at most. */
	if (peer->pid > 0) {
		while (waitpid(peer->pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	*peer = (struct perf_peer){.socket = -1, .memory = -1};
}
