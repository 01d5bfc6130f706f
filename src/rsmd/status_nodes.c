/* SPDX-License-Identifier: BSD-2-Clause */
/* The paths to other nodes as JSON, for tools. Schema 1: keys are only added. */
#include "rsmd/status.h"

#include "base/clock.h"
#include "rsmd/address.h"
#include "rsmd/peer.h"
#include "rsmd/rsmd.h"

static json_t *path_of(const struct rsmd_peer *peer)
{
	static const char *const states[] = {[RSMD_PEER_DOWN] = "down",
					     [RSMD_PEER_UP] = "up",
					     [RSMD_PEER_ACTIVE] = "active",
					     [RSMD_PEER_LEAVING] = "going down"};
	char address[RSMD_ADDRESS_TEXT];
	rsmd_address_text(&peer->member.address, address);
	double since = rsmd_status_seconds_since(peer->changed_ns);
	bool active = peer->state == RSMD_PEER_ACTIVE && !peer->self;
	json_t *path = json_pack("{s:I, s:o, s:s, s:s, s:s, s:f, s:I, s:I, s:b, s:b}", "node",
				 (json_int_t)peer->member.node, "name", rsmd_status_text(peer->member.name),
				 "controller", peer->member.controller->name, "address", address, "state",
				 states[peer->state], "since_s", since, "guests",
				 (json_int_t)peer->guest_count, "aways", (json_int_t)peer->away_count,
				 "encrypt", peer->encrypt, "self", peer->self);
	json_object_set_new(path, "round_trip_us",
			    active && peer->round_trip_ns ? json_real((double)peer->round_trip_ns / 1000.0)
							  : json_null());
	json_object_set_new(path, "release",
			    peer->release[0] ? rsmd_status_text(peer->release) : json_null());
	json_object_set_new(path, "reason", peer->said[0] ? rsmd_status_text(peer->said) : json_null());
	return path;
}

json_t *rsmd_status_nodes(void)
{
	json_t *list = json_array();
	for (const struct rsmd_peer *peer = rsmd_peers; peer; peer = peer->next)
		json_array_append_new(list, path_of(peer));
	return json_pack("{s:i, s:{s:I, s:o}, s:o}", "schema", 1, "node", "id",
			 (json_int_t)rsmd_server.config.node_id, "name",
			 rsmd_status_text(rsmd_server.config.node_name), "paths", list);
}
