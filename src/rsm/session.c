/* SPDX-License-Identifier: BSD-2-Clause */
/* Controller, local node and one import: what every command that touches data begins with. */
#include <string.h>

#include "rsm/tool.h"

static int open_controller(struct tool_session *session, const char *name)
{
	char copy[MAXNAMELEN + 1];
	size_t length = strnlen(name, MAXNAMELEN);
	memcpy(copy, name, length);
	copy[length] = '\0';
	session->controller = NULL;
	int code = rsm_get_controller(copy, &session->controller);
	if (code == RSM_SUCCESS)
		return TOOL_OK;
	tool_fail_code(code, "controller %s", copy);
	return TOOL_FAILED; /* not "no daemon", which the same code means for loopback */
}

int tool_session_open(struct tool_session *session, const char *name)
{
	char loopback[] = "loopback";
	memset(session, 0, sizeof(*session));
	/* Loopback first, even when another is wanted: if it is missing, it is the daemon that is missing. */
	int code = rsm_get_controller(loopback, &session->loopback);
	if (code != RSM_SUCCESS)
		return tool_fail_code(code, "talk to rsmd");
	session->controller = session->loopback;
	session->named = name != NULL;
	if (name && open_controller(session, name) != TOOL_OK)
		return TOOL_FAILED;
	rsm_topology_t *topology;
	code = rsm_get_interconnect_topology(&topology);
	if (code != RSM_SUCCESS)
		return tool_fail_code(code, "ask for the local node");
	session->node = topology->topology_hdr.local_nodeid;
	rsm_free_interconnect_topology(topology);
	return TOOL_OK;
}

/* Exchanges loopback for a controller that leads to the node. */
static int take_route(struct tool_session *session, rsm_node_id_t node)
{
	rsm_topology_t *topology;
	struct tool_route route;
	int code = rsm_get_interconnect_topology(&topology);
	if (code != RSM_SUCCESS)
		return tool_fail_code(code, "find a way to node %u", node);
	bool found = tool_route_find(topology, node, NULL, &route);
	rsm_free_interconnect_topology(topology);
	if (!found)
		return tool_route_none(session->node, node);
	return open_controller(session, route.controller);
}

int tool_session_connect(struct tool_session *session, const struct tool_address *address,
			 rsm_permission_t permission)
{
	rsm_node_id_t node = address->local ? session->node : address->node;
	if (!session->named && node != session->node) {
		int result = take_route(session, node);
		if (result != TOOL_OK)
			return result;
	}
	int code = rsm_memseg_import_connect(session->controller, node, address->id, permission,
					     &session->import);
	if (code != RSM_SUCCESS) {
		int result = tool_fail_code(code, "connect to %u:0x%x", node, address->id);
		/* loopback says the same of another node as of a missing daemon */
		return result == TOOL_NO_DAEMON && node != session->node ? TOOL_TIMED_OUT : result;
	}
	rsmx_segment_info_t info = {.size = sizeof(info)};
	code = rsmx_segment_info(session->import, &info);
	if (code == RSM_SUCCESS)
		code = rsm_memseg_import_init_barrier(session->import, RSM_BARRIER_SEGMENT,
						      &session->barrier);
	if (code != RSM_SUCCESS)
		return tool_fail_code(code, "use %u:0x%x", node, address->id);
	session->length = info.length;
	return TOOL_OK;
}

void tool_session_close(struct tool_session *session)
{
	if (session->barrier.seg)
		rsm_memseg_import_destroy_barrier(&session->barrier);
	if (session->import)
		rsm_memseg_import_disconnect(session->import);
	if (session->controller && session->controller != session->loopback)
		rsm_release_controller(session->controller);
	if (session->loopback)
		rsm_release_controller(session->loopback);
	memset(session, 0, sizeof(*session));
}
