/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Who is in the cluster and where: the membership source behind one interface. `static` takes it from the configuration and leaves
 * it to the heartbeat of each path who is alive (member_static.c); an engine such as corosync can be a second one.
 * The loop's thread.
 */
#ifndef RSMD_MEMBER_H
#define RSMD_MEMBER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "rsmd/config.h"

/* One way to one node: a controller of ours and the node's address on it. */
struct rsmd_member {
	uint32_t node;
	char name[RSMD_NAME_MAX]; /* of the node, may be "" */
	const struct rsmd_controller *controller;
	struct sockaddr_storage address;
	socklen_t address_length;
};

struct rsmd_member_source {
	const char *name;
	/*
	 * Calls joined(member) for each way to each node that there is, now and whenever one comes, and left(node) when the source
	 * knows that a node is gone (never, if only the heartbeat can tell). False: no memory.
	 */
	bool (*open)(bool (*joined)(const struct rsmd_member *member), void (*left)(uint32_t node));
};

extern const struct rsmd_member_source rsmd_member_static;

#endif
