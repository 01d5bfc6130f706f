/* SPDX-License-Identifier: BSD-2-Clause */
/* rsm topo: what rsm_get_interconnect_topology says, as a drawing. */
#include <getopt.h>
#include <stdio.h>

#include "rsm/tool.h"

const char cmd_topo_help[] =
	"Usage: rsm topo [--json]\n"
	"\n"
	"Draws this node, its controllers and the nodes that each leads to, as applications see them\n"
	"(rsm_get_interconnect_topology). Only an active path can be used; `rsm nodes` tells more about "
	"each.\n"
	"The controller loopback, which leads to this node itself, is not part of a topology.\n"
	"\n"
	"  -j, --json  as JSON, \"schema\": 1\n"
	"  -h, --help  this text\n"
	"\n"
	"Example:\n"
	"  rsm topo --json | jq -r '.controllers[] | .name'\n";

static void draw_controller(const rsm_connections_t *controller, bool last)
{
	printf("%c-- %s\n", last ? '`' : '|', controller->hdr.cntlr_name);
	for (int k = 0; k < controller->hdr.remote_cntlr_count; k++) {
		const rsm_remote_cntlr_t *remote = &controller->remote_cntlr[k];
		printf("%c   %c-- %s  node %u", last ? ' ' : '|',
		       k + 1 == controller->hdr.remote_cntlr_count ? '`' : '|',
		       tool_route_state(remote->connection_state), remote->remote_nodeid);
		if (remote->remote_cntlrname[0])
			printf(", %.64s there", remote->remote_cntlrname);
		putchar('\n');
	}
}

static void draw(const rsm_topology_t *topology)
{
	uint_t count = topology->topology_hdr.local_cntlr_count;
	bool leads = false;
	char heading[32];
	snprintf(heading, sizeof(heading), "node %u", topology->topology_hdr.local_nodeid);
	tool_heading(heading);
	for (uint_t i = 0; i < count; i++) {
		draw_controller(topology->connections[i], i + 1 == count);
		leads |= topology->connections[i]->hdr.remote_cntlr_count > 0;
	}
	if (count == 0)
		puts("`-- no controller but loopback");
	const char *note = leads ? NULL : tool_private_note();
	if (note)
		puts(note);
}

static json_t *peers(const rsm_connections_t *controller)
{
	json_t *list = json_array();
	for (int k = 0; k < controller->hdr.remote_cntlr_count; k++) {
		const rsm_remote_cntlr_t *remote = &controller->remote_cntlr[k];
		json_array_append_new(list, json_pack("{s:I, s:s, s:I, s:s}", "node",
						      (json_int_t)remote->remote_nodeid, "controller",
						      remote->remote_cntlrname, "hwaddr",
						      (json_int_t)remote->remote_hwaddr, "state",
						      tool_route_state(remote->connection_state)));
	}
	return list;
}

static int print_json(const rsm_topology_t *topology)
{
	json_t *controllers = json_array();
	for (uint_t i = 0; i < topology->topology_hdr.local_cntlr_count; i++) {
		const rsm_connections_t *controller = topology->connections[i];
		json_array_append_new(controllers,
				      json_pack("{s:s, s:I, s:o}", "name", controller->hdr.cntlr_name,
						"hwaddr", (json_int_t)controller->hdr.local_hwaddr, "peers",
						peers(controller)));
	}
	json_t *tree = json_pack("{s:i, s:I, s:o}", "schema", 1, "node",
				 (json_int_t)topology->topology_hdr.local_nodeid, "controllers", controllers);
	if (!tree || json_dumpf(tree, stdout, JSON_COMPACT | JSON_ENSURE_ASCII) != 0)
		return tool_fail("print the topology as JSON: out of memory");
	putchar('\n');
	json_decref(tree);
	return TOOL_OK;
}

int cmd_topo(const struct tool_command *command, int argc, char **argv)
{
	static const struct option options[] = {
		{"json", no_argument, NULL, 'j'}, {"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0}};
	bool as_json = false;
	for (int option; (option = getopt_long(argc, argv, ":jh", options, NULL)) != -1;) {
		if (option == 'h')
			return tool_help(command);
		if (option != 'j')
			return tool_usage_option(command, option, argv, options);
		as_json = true;
	}
	if (optind != argc)
		return tool_usage(command, "no argument expected, found '%s'", argv[optind]);
	rsm_topology_t *topology;
	int code = rsm_get_interconnect_topology(&topology), result = TOOL_OK;
	if (code != RSM_SUCCESS)
		return tool_fail_code(code, "ask for the topology");
	if (as_json)
		result = print_json(topology);
	else
		draw(topology);
	rsm_free_interconnect_topology(topology);
	return result;
}
