/* SPDX-License-Identifier: BSD-2-Clause */
/* rsm_get_interconnect_topology: one heap block that the caller frees. */
#include <stdio.h>
#include <stdlib.h>

#include "lib/lib.h"

static size_t connections_size(const Wire__Controller *controller)
{
	return sizeof(rsm_connections_hdr_t) + controller->n_peers * sizeof(rsm_remote_cntlr_t);
}

static void connections_fill(rsm_connections_t *to, const Wire__Controller *from)
{
	snprintf(to->hdr.cntlr_name, sizeof to->hdr.cntlr_name, "%s", from->name);
	to->hdr.local_hwaddr = from->hwaddr;
	to->hdr.remote_cntlr_count = (int)from->n_peers;
	for (size_t i = 0; i < from->n_peers; i++) {
		const Wire__Peer *peer = from->peers[i];
		rsm_remote_cntlr_t *remote = &to->remote_cntlr[i];
		remote->remote_nodeid = peer->node_id;
		snprintf(remote->remote_cntlrname, sizeof remote->remote_cntlrname, "%s", peer->controller);
		remote->remote_hwaddr = peer->hwaddr;
		remote->connection_state = peer->state;
	}
}

static int topology_build(const Wire__TopologyReply *answer, rsm_topology_t **topology_data)
{
	size_t size = sizeof(rsm_topology_hdr_t) + answer->n_controllers * sizeof(rsm_connections_t *);
	for (size_t i = 0; i < answer->n_controllers; i++)
		size += connections_size(answer->controllers[i]);
	rsm_topology_t *topology = calloc(1, size < sizeof *topology ? sizeof *topology : size);
	if (topology == NULL)
		return base_refuse(RSMERR_INSUFFICIENT_MEM, "no memory for a topology of %zu bytes", size);
	topology->topology_hdr.local_nodeid = answer->node_id;
	topology->topology_hdr.local_cntlr_count = (uint_t)answer->n_controllers;
	char *at = (char *)&topology->connections[answer->n_controllers];
	for (size_t i = 0; i < answer->n_controllers; i++) {
		topology->connections[i] = (rsm_connections_t *)(void *)at;
		connections_fill(topology->connections[i], answer->controllers[i]);
		at += connections_size(answer->controllers[i]);
	}
	*topology_data = topology;
	return RSM_SUCCESS;
}

int rsm_get_interconnect_topology(rsm_topology_t **topology_data)
{
	if (topology_data == NULL)
		return base_refuse(RSMERR_BAD_TOPOLOGY_PTR, "no place to put the topology (NULL)");
	*topology_data = NULL;
	lib_lock();
	struct lib_reply reply = {0};
	int code = lib_daemon_open();
	if (code == RSM_SUCCESS) {
		Wire__Topology message = WIRE__TOPOLOGY__INIT;
		code = lib_daemon_call(WIRE__REQUEST__BODY_TOPOLOGY, &message, -1, &reply);
	}
	if (code == RSM_SUCCESS)
		code = reply.message->body_case == WIRE__REPLY__BODY_TOPOLOGY
			       ? topology_build(reply.message->topology, topology_data)
			       : base_refuse(RSMERR_INTERNAL_ERROR,
					     "rsmd answered something else than a topology");
	lib_reply_clear(&reply);
	lib_unlock();
	return code;
}

void rsm_free_interconnect_topology(rsm_topology_t *topology_data)
{
	free(topology_data);
}
