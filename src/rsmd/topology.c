/* SPDX-License-Identifier: BSD-2-Clause */
#include "rsmd/topology.h"

#include <rsmapi.h>
#include <stdlib.h>

#include "rsmd/peer.h"

static Wire__Controller messages[1 + RSMD_CONTROLLERS_MAX];
static Wire__Controller *list[1 + RSMD_CONTROLLERS_MAX];

/* Room for the peers that the configuration names on a controller. */
static bool peers_open(Wire__Controller *message, size_t controller)
{
	const struct rsmd_config *config = &rsmd_server.config;
	size_t count = 0;
	for (size_t i = 0; i < config->peer_count; i++)
		for (size_t j = 0; j < config->peers[i].path_count; j++)
			count += config->peers[i].paths[j].controller == controller;
	if (!count)
		return true;
	Wire__Peer *peers = calloc(count, sizeof(*peers));
	message->peers = calloc(count, sizeof(*message->peers));
	if (!peers || !message->peers) {
		free(peers);
		return false; /* the daemon ends */
	}
	for (size_t i = 0; i < count; i++) {
		wire__peer__init(&peers[i]);
		message->peers[i] = &peers[i];
	}
	return true;
}

bool rsmd_topology_open(void)
{
	for (size_t i = 0; i < rsmd_server.config.controller_count; i++) {
		wire__controller__init(&messages[i]);
		messages[i].name = rsmd_server.config.controllers[i].name;
		messages[i].type = rsmd_server.config.controllers[i].type;
		messages[i].hwaddr = i;
		list[i] = &messages[i];
		if (!peers_open(&messages[i], i))
			return false;
	}
	return true;
}

/* What the paths know now. Until a node has told the name of its controller it is taken to be the same as ours. */
static void peers_fill(void)
{
	for (size_t i = 0; i < rsmd_server.config.controller_count; i++)
		messages[i].n_peers = 0;
	for (struct rsmd_peer *peer = rsmd_peers; peer; peer = peer->next) {
		Wire__Controller *message =
			&messages[peer->member.controller - rsmd_server.config.controllers];
		if (peer->self)
			continue;
		Wire__Peer *said = message->peers[message->n_peers++];
		said->node_id = peer->member.node;
		said->controller = peer->controller[0] ? peer->controller : message->name;
		said->hwaddr = peer->hwaddr;
		said->state = peer->state;
	}
}

void rsmd_topology_list(Wire__Controller ***controllers, size_t *count)
{
	peers_fill();
	*controllers = list;
	*count = rsmd_server.config.controller_count;
}

RSMD_HANDLER(rsmd_topology_tell)
{
	(void)client;
	(void)request;
	(void)packet;
	Wire__TopologyReply *body = &answer->body.topology;
	wire__topology_reply__init(body);
	peers_fill();
	body->node_id = rsmd_server.config.node_id;
	body->controllers = list + 1; /* loopback is not part of a topology */
	body->n_controllers = rsmd_server.config.controller_count - 1;
	answer->reply.body_case = WIRE__REPLY__BODY_TOPOLOGY;
	answer->reply.topology = body;
	return RSM_SUCCESS;
}
