/* SPDX-License-Identifier: BSD-2-Clause */
#include "rsmd/topology.h"

#include <rsmapi.h>

static Wire__Controller messages[1 + RSMD_CONTROLLERS_MAX];
static Wire__Controller *list[1 + RSMD_CONTROLLERS_MAX];

void rsmd_topology_open(void)
{
	for (size_t i = 0; i < rsmd_server.config.controller_count; i++) {
		wire__controller__init(&messages[i]);
		messages[i].name = rsmd_server.config.controllers[i].name;
		messages[i].type = rsmd_server.config.controllers[i].type;
		messages[i].hwaddr = i;
		list[i] = &messages[i];
	}
}

void rsmd_topology_list(Wire__Controller ***controllers, size_t *count)
{
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
	body->node_id = rsmd_server.config.node_id;
	body->controllers = list + 1; /* loopback is not part of a topology */
	body->n_controllers = rsmd_server.config.controller_count - 1;
	answer->reply.body_case = WIRE__REPLY__BODY_TOPOLOGY;
	answer->reply.topology = body;
	return RSM_SUCCESS;
}
