/* SPDX-License-Identifier: BSD-2-Clause */
/* The topology as a table of ways: which controller of this node leads to another node. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "rsm/tool.h"

/* rsmapi.h defines a name for the active state only. */
const char *tool_route_state(uint_t state)
{
	static const char *const names[] = {"down", "up", "active", "going down"};
	return state >= 1 && state <= 4 ? names[state - 1] : "unknown";
}

bool tool_route_is(const char *controller, const char *wanted)
{
	size_t length = strlen(wanted);
	if (strcasecmp(controller, wanted) == 0)
		return true;
	bool unit = length > 0 && isdigit((unsigned char)wanted[length - 1]);
	return !unit && strncasecmp(controller, wanted, length) == 0 && strcmp(controller + length, "0") == 0;
}

bool tool_route_find(const rsm_topology_t *topology, rsm_node_id_t node, const char *wanted,
		     struct tool_route *route)
{
	bool found = false;
	for (uint_t i = 0; i < topology->topology_hdr.local_cntlr_count; i++) {
		const rsm_connections_t *controller = topology->connections[i];
		if (wanted && !tool_route_is(controller->hdr.cntlr_name, wanted))
			continue;
		for (int k = 0; k < controller->hdr.remote_cntlr_count; k++) {
			const rsm_remote_cntlr_t *remote = &controller->remote_cntlr[k];
			bool better = !found || (route->state != RSM_CONNECTION_ACTIVE &&
						 remote->connection_state == RSM_CONNECTION_ACTIVE);
			if (remote->remote_nodeid != node || !better)
				continue;
			snprintf(route->controller, sizeof(route->controller), "%.*s", MAXNAMELEN,
				 controller->hdr.cntlr_name);
			route->state = remote->connection_state;
			found = true;
		}
	}
	return found;
}
