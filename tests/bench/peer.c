/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The exporting process: this program started again in another role. It takes orders over a socket, one
 * answer each, and leaves when the socket hangs up. Descriptors at start: 3 the socket, 4 the raw shared
 * page.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

#define PEER_SOCKET 3
#define PEER_SHARED 4

struct order {
	uint32_t verb;
	uint32_t id;
	uint64_t argument;
};

extern char **environ;

/* The measuring side. */

bool bench_peer_start(struct bench_peer *peer, int core)
{
	return bench_peer_start_on(peer, core, "loopback");
}

bool bench_peer_start_on(struct bench_peer *peer, int core, const char *controller)
{
	char number[16], through[32], role[] = "--role-peer", name[] = "bench";
	char *arguments[] = {name, role, number, through, NULL};
	posix_spawn_file_actions_t actions;
	int pair[2], theirs, error;

	snprintf(number, sizeof(number), "%d", core);
	snprintf(through, sizeof(through), "%s", controller);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
		return bench_problem("socket for a peer: %s", strerror(errno));
	/* Above the numbers that the peer gets, so that one move does not overwrite the other's source. */
	theirs = fcntl(pair[1], F_DUPFD_CLOEXEC, BENCH_FD_ABOVE);
	close(pair[1]);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, theirs, PEER_SOCKET);
	posix_spawn_file_actions_adddup2(&actions, bench_shared_fd, PEER_SHARED);
	error = posix_spawn(&peer->pid, bench_program(), &actions, NULL, arguments, environ);
	posix_spawn_file_actions_destroy(&actions);
	close(theirs);
	peer->socket = pair[0];
	if (error) {
		close(pair[0]);
		return bench_problem("start of a peer: %s", strerror(error));
	}
	return true;
}

void bench_peer_end(struct bench_peer *peer)
{
	close(peer->socket);
	waitpid(peer->pid, NULL, 0);
}

bool bench_peer_tell(const struct bench_peer *peer, enum bench_verb verb, uint32_t id, uint64_t argument)
{
	struct order order = {.verb = verb, .id = id, .argument = argument};

	return send(peer->socket, &order, sizeof(order), MSG_NOSIGNAL) == (ssize_t)sizeof(order) ||
	       bench_problem("order to a peer: %s", strerror(errno));
}

bool bench_peer_answer(const struct bench_peer *peer)
{
	char ok = 0;
	ssize_t got;

	do {
		got = recv(peer->socket, &ok, sizeof(ok), 0);
	} while (got < 0 && errno == EINTR);
	return (got == 1 && ok) || bench_problem("the peer %s", got == 1 ? "could not do it" : "has gone");
}

bool bench_peer_ask(const struct bench_peer *peer, enum bench_verb verb, uint32_t id, uint64_t argument)
{
	return bench_peer_tell(peer, verb, id, argument) && bench_peer_answer(peer);
}

/* The exporting side. */

static bool export_at(void *memory, size_t length, rsm_memseg_id_t id, rsm_memseg_export_handle_t *handle)
{
	rsmapi_controller_handle_t controller;
	rsm_node_id_t node;
	int code;

	if (!bench_controller(&controller, &node))
		return false;
	code = rsm_memseg_export_create(controller, handle, memory, length, 0);
	if (code)
		return bench_refused("rsm_memseg_export_create", code);
	code = rsm_memseg_export_publish(*handle, &id, NULL, 0);
	return code == RSM_SUCCESS || bench_refused("rsm_memseg_export_publish", code);
}

static bool export_one(size_t length)
{
	rsm_memseg_export_handle_t handle;
	void *memory = bench_memory(length);

	if (!memory || !export_at(memory, length, BENCH_SEGMENT, &handle))
		return false;
	memset(memory, 0, length);
	bench_mapped = memory;
	bench_signal_handle = handle;
	return true;
}

static bool export_many(uint32_t first, uint64_t count)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	rsm_memseg_export_handle_t handle;
	char *memory = bench_memory(count * page);

	if (!memory)
		return false;
	for (uint64_t i = 0; i < count; i++) {
		if (!export_at(memory + i * page, page, first + (uint32_t)i, &handle))
			return false;
	}
	return true;
}

static bool obey(const struct order *order)
{
	uint32_t turns = (uint32_t)order->argument;

	switch ((enum bench_verb)order->verb) {
	case BENCH_EXPORT:
		return export_one(order->argument);
	case BENCH_EXPORT_MANY:
		return export_many(order->id, order->argument);
	case BENCH_PIN:
		return bench_pin(0, (int)order->argument);
	case BENCH_PONG_DATA:
		return bench_pong(&bench_ball_data, turns);
	case BENCH_PONG_FUTEX:
		return bench_pong(&bench_ball_futex, turns);
	case BENCH_PONG_LINES:
		return bench_pong(&bench_ball_lines, turns);
	case BENCH_PONG_POLL:
		return bench_pong(&bench_ball_poll, turns);
	case BENCH_PONG_SIGNAL:
		return bench_pong(&bench_ball_signal, turns);
	case BENCH_PONG_SOCKET:
		return bench_raw_reply(PEER_SOCKET, order->argument);
	}
	return false;
}

int bench_peer_role(int core, const char *controller)
{
	struct order order;

	bench_controller_name = controller;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (!bench_pin(0, core) || !bench_shared_map(PEER_SHARED))
		return 1;
	while (recv(PEER_SOCKET, &order, sizeof(order), 0) == (ssize_t)sizeof(order)) {
		char ok = obey(&order);

		if (send(PEER_SOCKET, &ok, sizeof(ok), MSG_NOSIGNAL) != 1)
			return 1;
	}
	return 0;
}
