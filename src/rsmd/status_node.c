/* SPDX-License-Identifier: BSD-2-Clause */
/* This node, its limits and its clients. */
#include <unistd.h>

#include "rsmd/address.h"
#include "rsmd/client.h"
#include "rsmd/export.h"
#include "rsmd/import.h"
#include "rsmd/status.h"

static json_t *clients(void)
{
	json_t *list = json_array();
	for (struct rsmd_client *client = rsmd_server.clients; client; client = client->next)
		json_array_append_new(list, json_pack("{s:i, s:I, s:o, s:I, s:I}", "pid", (int)client->pid,
						      "uid", (json_int_t)client->identity.uid, "program",
						      rsmd_status_text(client->program), "exports",
						      (json_int_t)client->export_count, "imports",
						      (json_int_t)client->import_count));
	return list;
}

static json_t *controllers(void)
{
	const struct rsmd_config *config = &rsmd_server.config;
	json_t *list = json_array();
	for (size_t i = 0; i < config->controller_count; i++) {
		const struct rsmd_controller *controller = &config->controllers[i];
		json_t *said = json_pack("{s:s, s:s}", "name", controller->name, "type", controller->type);
		if (controller->address_length) {
			char address[RSMD_ADDRESS_TEXT];
			rsmd_address_text(&controller->address, address);
			json_object_set_new(said, "address", json_string(address));
			json_object_set_new(said, "encrypt", json_boolean(controller->encrypt));
			json_object_set_new(said, "loop", json_boolean(controller->loop));
		}
		json_array_append_new(list, said);
	}
	return list;
}

json_t *rsmd_status_node(void)
{
	const struct rsmd_config *config = &rsmd_server.config;
	json_t *limits = json_pack("{s:I, s:I}", "max_segments", (json_int_t)config->max_segments,
				   "max_exported_bytes", (json_int_t)config->max_exported_bytes);
	json_t *counts = json_pack(
		"{s:I, s:I, s:I, s:I, s:I, s:I}", "clients", (json_int_t)rsmd_server.client_count, "exports",
		(json_int_t)HASH_COUNT(rsmd_server.exports), "published",
		(json_int_t)HASH_CNT(hh_published, rsmd_server.published), "imports",
		(json_int_t)HASH_COUNT(rsmd_server.imports), "objects",
		(json_int_t)HASH_COUNT(rsmd_server.objects), "bytes", (json_int_t)rsmd_server.exported_bytes);
	return json_pack("{s:i, s:{s:I, s:o}, s:s, s:i, s:b, s:f, s:o, s:o, s:o, s:o}", "schema", 1, "node",
			 "id", (json_int_t)config->node_id, "name", rsmd_status_text(config->node_name),
			 "release", RSM_RELEASE, "pid", (int)getpid(), "private", rsmd_server.private_daemon,
			 "uptime_s", rsmd_status_seconds_since(rsmd_server.started_ns), "limits", limits,
			 "counts", counts, "controllers", controllers(), "clients", clients());
}
