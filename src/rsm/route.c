/* SPDX-License-Identifier: BSD-2-Clause */
/* The topology as a table of ways: which controller of this node leads to another node, or why none does. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
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

const char *tool_private_note(void)
{
	static char note[160];
	char *text;
	if (rsmx_status("status", 0, &text) != RSM_SUCCESS)
		return NULL;
	json_t *status = json_loads(text, 0, NULL);
	bool private = json_is_true(json_object_get(status, "private"));
	snprintf(note, sizeof(note),
		 "a private daemon (pid %" JSON_INTEGER_FORMAT
		 ") answers; it has no part in a cluster: is the "
		 "system's rsmd running (rsm doctor)?",
		 json_integer_value(json_object_get(status, "pid")));
	json_decref(status);
	free(text);
	return private ? note : NULL;
}

int tool_route_none(rsm_node_id_t local, rsm_node_id_t node)
{
	const char *note = tool_private_note();
	tool_fail("no controller of node %u leads to node %u; %s", local, node,
		  note ? note : "`rsm topo` shows which ones lead where");
	return TOOL_TIMED_OUT;
}
