/* SPDX-License-Identifier: BSD-2-Clause */
/* The case's side of a peer. The peer program itself is in peer_main.c. */
#include "peer.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "suite.h"

extern char **environ;

void peer_start(struct peer *peer, const struct peer_user *user)
{
	peer_start_at(peer, user, NULL, NULL);
}

/* A variable of the environment for as long as the program is started. The case has no threads then. */
static int spawn(pid_t *pid, char **arguments, const char *rsmd)
{
	const char *now = getenv("RSM_SOCKET");
	char before[256] = "";

	if (!rsmd)
		return posix_spawn(pid, arguments[0], NULL, NULL, arguments, environ);
	snprintf(before, sizeof(before), "%s", now ? now : "");
	setenv("RSM_SOCKET", rsmd, 1);
	int error = posix_spawn(pid, arguments[0], NULL, NULL, arguments, environ);
	setenv("RSM_SOCKET", before, 1);
	return error;
}

void peer_start_at(struct peer *peer, const struct peer_user *user, const char *rsmd, const char *controller)
{
	int ends[2];
	char end[16], who[64] = "same", name[MAXNAMELEN];
	char program[] = "/proc/self/exe", argument[] = PEER_ARGUMENT;
	char *arguments[] = {program, argument, end, name, who, NULL};

	if (user && geteuid() != 0)
		suite_skip("needs root, to act as uid %u", (unsigned)user->uid);
	if (user)
		snprintf(who, sizeof(who), "%u:%u:%d", (unsigned)user->uid, (unsigned)user->gid,
			 (int)user->group);
	snprintf(name, sizeof(name), "%s", controller ? controller : suite_controller());
	memset(peer, 0, sizeof(*peer));
	CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0);
	snprintf(end, sizeof(end), "%d", ends[1]);
	CHECK(fcntl(ends[1], F_SETFD, 0) == 0);
	CHECK(spawn(&peer->pid, arguments, rsmd) == 0);
	close(ends[1]);
	peer->socket = ends[0];
}

void peer_start_unprivileged(struct peer *peer)
{
	static const struct peer_user nobody = {65534, 65534, (gid_t)-1};
	peer_start(peer, geteuid() == 0 ? &nobody : NULL);
}

static void receive(struct peer *peer, struct peer_reply *reply)
{
	if (recv(peer->socket, reply, sizeof(*reply), 0) != (ssize_t)sizeof(*reply))
		suite_fail(__FILE__, __LINE__, "peer %d is gone, status %d", (int)peer->pid,
			   suite_join(peer->pid));
}

void peer_begin(struct peer *peer, const struct peer_request *request)
{
	struct peer_reply started;

	CHECK(send(peer->socket, request, sizeof(*request), MSG_NOSIGNAL) == (ssize_t)sizeof(*request));
	receive(peer, &started);
}

struct peer_reply peer_end(struct peer *peer)
{
	struct peer_reply reply;

	receive(peer, &reply);
	memcpy(peer->reason, reply.reason, sizeof(peer->reason));
	return reply;
}

struct peer_reply peer_ask(struct peer *peer, const struct peer_request *request)
{
	peer_begin(peer, request);
	return peer_end(peer);
}

static char state_of(pid_t pid)
{
	char path[64], line[512];

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	FILE *file = fopen(path, "re");
	CHECK(file != NULL);
	CHECK(fgets(line, sizeof(line), file) != NULL);
	fclose(file);
	const char *end = strrchr(line, ')');
	CHECK(end != NULL);
	return end[2];
}

void peer_until_asleep(const struct peer *peer)
{
	SOON(state_of(peer->pid) == 'S');
}

void peer_kill(struct peer *peer)
{
	CHECK(kill(peer->pid, SIGKILL) == 0);
	CHECK_EQUAL(256 + SIGKILL, suite_join(peer->pid));
	close(peer->socket);
}

void peer_stop(struct peer *peer)
{
	close(peer->socket);
	CHECK_EQUAL(0, suite_join(peer->pid));
}

int peer_simple(struct peer *peer, enum peer_op op, unsigned handle, int64_t value)
{
	return peer_ask(peer, &(struct peer_request){.op = op, .handle = handle, .value = value}).code;
}

int peer_create(struct peer *peer, size_t length)
{
	return peer_ask(peer, &(struct peer_request){.op = PEER_CREATE, .length = length}).code;
}

int peer_publish(struct peer *peer, rsm_memseg_id_t *id, const rsmapi_access_entry_t *acl, uint32_t count)
{
	struct peer_request request = {.op = PEER_PUBLISH, .id = *id, .acl_count = count};

	if (count)
		memcpy(request.acl, acl, count * sizeof(*acl));
	struct peer_reply reply = peer_ask(peer, &request);
	if (reply.code == RSM_SUCCESS)
		*id = (rsm_memseg_id_t)reply.value;
	return reply.code;
}

int peer_connect(struct peer *peer, unsigned handle, rsm_node_id_t node, rsm_memseg_id_t id,
		 rsm_permission_t perm)
{
	return peer_ask(peer,
			&(struct peer_request){
				.op = PEER_CONNECT, .handle = handle, .node = node, .id = id, .value = perm})
		.code;
}

int peer_put(struct peer *peer, unsigned handle, int64_t offset, int value)
{
	return peer_ask(peer, &(struct peer_request){.op = PEER_PUT,
						     .handle = handle,
						     .offset = offset,
						     .length = 1,
						     .value = value})
		.code;
}

int peer_get(struct peer *peer, unsigned handle, int64_t offset, int *value)
{
	struct peer_reply reply =
		peer_ask(peer, &(struct peer_request){.op = PEER_GET, .handle = handle, .offset = offset});
	*value = (int)reply.value;
	return reply.code;
}

int peer_map(struct peer *peer, unsigned handle, rsm_permission_t perm, size_t length)
{
	return peer_ask(peer,
			&(struct peer_request){
				.op = PEER_MAP, .handle = handle, .value = perm, .length = length})
		.code;
}

int peer_load(struct peer *peer, unsigned handle, int64_t offset)
{
	return (int)peer_ask(peer,
			     &(struct peer_request){.op = PEER_LOAD, .handle = handle, .offset = offset})
		.value;
}

void peer_store(struct peer *peer, unsigned handle, int64_t offset, int value)
{
	MUST(peer_ask(peer,
		      &(struct peer_request){
			      .op = PEER_STORE, .handle = handle, .offset = offset, .value = value})
		     .code);
}

rsm_memseg_id_t peer_export(struct peer *peer, size_t length, rsm_memseg_id_t id)
{
	int code = peer_create(peer, length);
	if (code == RSM_SUCCESS)
		code = peer_publish(peer, &id, NULL, 0);
	if (code != RSM_SUCCESS)
		suite_fail(__FILE__, __LINE__, "peer's export of %zu bytes: code %d: %s", length, code,
			   peer->reason);
	return id;
}
