/* SPDX-License-Identifier: BSD-2-Clause */
/* The node's state as JSON, for tools. Schema 1: keys are only added. */
#include <inttypes.h>
#include <jansson.h>
#include <rsmapi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/reason.h"
#include "rsmd/client.h"
#include "rsmd/export.h"
#include "rsmd/guest.h"
#include "rsmd/knock.h"
#include "rsmd/metrics.h"
#include "rsmd/recorder.h"
#include "rsmd/status_nodes.h"

static double seconds_since(uint64_t ns)
{
	return (double)((base_clock_ns() - ns) / 1000000u) / 1000.0;
}

static json_t *octal(uint32_t permission)
{
	char text[16];
	snprintf(text, sizeof(text), "%04o", permission);
	return json_string(text);
}

/* A name that a client gave need not be UTF-8. */
static json_t *program(const char *name)
{
	json_t *text = json_string(name);
	return text ? text : json_string("?");
}

static json_t *clients(void)
{
	json_t *list = json_array();
	for (struct rsmd_client *client = rsmd_server.clients; client; client = client->next)
		json_array_append_new(list, json_pack("{s:i, s:I, s:o, s:I, s:I}", "pid", (int)client->pid,
						      "uid", (json_int_t)client->identity.uid, "program",
						      program(client->program), "exports",
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

static json_t *tell_status(void)
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
	return json_pack("{s:i, s:{s:I, s:s}, s:s, s:i, s:b, s:f, s:o, s:o, s:o, s:o}", "schema", 1, "node",
			 "id", (json_int_t)config->node_id, "name", config->node_name, "release", RSM_RELEASE,
			 "pid", (int)getpid(), "private", rsmd_server.private_daemon, "uptime_s",
			 seconds_since(rsmd_server.started_ns), "limits", limits, "counts", counts,
			 "controllers", controllers(), "clients", clients());
}

static json_t *acl(const struct rsmd_acl *acl)
{
	if (!acl->count)
		return json_null();
	json_t *list = json_array();
	for (size_t i = 0; i < acl->count; i++)
		json_array_append_new(list, json_pack("{s:I, s:o}", "node", (json_int_t)acl->entries[i].node,
						      "permission", octal(acl->entries[i].permission)));
	return list;
}

static json_t *segment(const struct rsmd_export *export)
{
	const struct rsmd_client *owner = export->owner;
	char hex[16];
	snprintf(hex, sizeof(hex), "0x%" PRIx32, export->segment_id);
	return json_pack("{s:I, s:s, s:I, s:s, s:I, s:i, s:I, s:I, s:o, s:o, s:o, s:I, s:f}", "id",
			 (json_int_t) export->segment_id, "id_hex", hex, "node",
			 (json_int_t)rsmd_server.config.node_id, "controller", export->controller->name,
			 "length", (json_int_t) export->length, "owner_pid", (int)owner->pid, "owner_uid",
			 (json_int_t)owner->identity.uid, "owner_gid", (json_int_t)owner->identity.gid,
			 "program", program(owner->program), "acl", acl(&export->acl), "permissions",
			 octal(rsmd_access_of_node(&export->acl, rsmd_server.config.node_id)), "importers",
			 (json_int_t) export->importers, "published_s", seconds_since(export->published_ns));
}

static json_t *tell_segments(void)
{
	json_t *list = json_array();
	for (const struct rsmd_export *export = rsmd_server.published; export;
	     export = export->hh_published.next)
		json_array_append_new(list, segment(export));
	return json_pack("{s:i, s:o}", "schema", 1, "segments", list);
}

/* The importer: a process of this node, or a guest. */
static json_t *importer(const struct rsmd_import *import)
{
	const struct rsmd_guest *guest = import->guest;
	const struct rsmd_client *owner = import->owner;
	uint32_t node = guest ? guest->peer->member.node : rsmd_server.config.node_id;
	json_t *said = json_pack("{s:I, s:i, s:I, s:o, s:o}", "node", (json_int_t)node, "pid",
				 (int)(guest ? guest->pid : owner->pid), "uid",
				 (json_int_t)(guest ? guest->uid : owner->identity.uid), "program",
				 program(guest ? guest->program : owner->program), "granted",
				 octal(import->granted));
	if (!guest)
		return said;
	const struct rsmd_grant *grant = guest->grant;
	json_object_set_new(said, "connected", json_boolean(guest->claimed));
	json_object_set_new(said, "puts", json_integer((json_int_t)atomic_load(&grant->puts)));
	json_object_set_new(said, "gets", json_integer((json_int_t)atomic_load(&grant->gets)));
	json_object_set_new(said, "posts", json_integer((json_int_t)atomic_load(&grant->posts)));
	json_object_set_new(said, "bytes_in", json_integer((json_int_t)atomic_load(&grant->bytes_in)));
	json_object_set_new(said, "bytes_out", json_integer((json_int_t)atomic_load(&grant->bytes_out)));
	return said;
}

static json_t *imports(const struct rsmd_export *export)
{
	json_t *list = json_array();
	for (uint32_t n = 1; n < export->signals.slot_count; n++)
		if (export->signals.slots[n])
			json_array_append_new(list, importer(export->signals.slots[n]));
	return list;
}

static json_t *extents(const struct rsmd_export *export)
{
	static const char *const kinds[] = {"sealed", "file", "map_files", "sysv"};
	json_t *list = json_array();
	for (size_t i = 0; i < export->extent_count; i++) {
		const struct rsmd_extent *extent = &export->extents[i];
		json_array_append_new(
			list, json_pack("{s:s, s:I, s:I, s:I}", "kind", kinds[extent->object->kind], "object",
					(json_int_t)extent->object->id, "offset", (json_int_t)extent->offset,
					"length", (json_int_t)extent->length));
	}
	return list;
}

/* Where it lies in the exporter's address space concerns those only who could look there anyway. */
static json_t *tell_segment(const struct rsmd_export *export, uid_t asker)
{
	char address[32];
	snprintf(address, sizeof(address), "0x%" PRIx64, export->address);
	json_t *all = json_pack("{s:i, s:o}", "schema", 1, "segment", segment(export));
	json_t *inner = json_object_get(all, "segment");
	if (asker == 0 || asker == export->owner->identity.uid)
		json_object_set_new(inner, "address", json_string(address));
	json_object_set_new(inner, "imports", imports(export));
	json_object_set_new(inner, "extents", extents(export));
	return all;
}

static json_t *tell_metrics(void)
{
	size_t length;
	char *text = rsmd_metrics_collect(&length);
	json_t *told = text ? json_pack("{s:i, s:s%}", "schema", 1, "text", text, length) : NULL;
	free(text);
	return told;
}

static int answer_text(struct rsmd_answer *answer)
{
	if (!answer->text)
		return base_refuse(RSMERR_INSUFFICIENT_MEM, "rsmd has no memory for the answer");
	wire__status_reply__init(&answer->body.status);
	answer->body.status.json = answer->text;
	answer->reply.body_case = WIRE__REPLY__BODY_STATUS;
	answer->reply.status = &answer->body.status;
	return RSM_SUCCESS;
}

RSMD_HANDLER(rsmd_status_tell)
{
	const Wire__Status *asked = request->status;
	uid_t asker = client->identity.uid;
	json_t *told;
	(void)packet;
	if (!strcmp(asked->what, "events")) { /* text already */
		answer->text = rsmd_recorder_tell(asker == 0 || asker == geteuid());
		return answer_text(answer);
	}
	if (!strcmp(asked->what, "status")) {
		told = tell_status();
	} else if (!strcmp(asked->what, "segments")) {
		told = tell_segments();
	} else if (!strcmp(asked->what, "nodes")) {
		told = rsmd_status_nodes();
	} else if (!strcmp(asked->what, "metrics")) {
		told = tell_metrics();
	} else if (!strcmp(asked->what, "segment")) {
		const struct rsmd_export *export = rsmd_export_published(asked->segment_id);
		if (!export)
			return base_refuse(RSMERR_SEG_NOT_PUBLISHED,
					   "segment 0x%x is not published on node %u", asked->segment_id,
					   rsmd_server.config.node_id);
		told = tell_segment(export, asker);
	} else {
		return base_refuse(RSMERR_BAD_ADDR,
				   "status of \"%.64s\" was asked; status, segments, segment, nodes, "
				   "metrics and events are known",
				   asked->what);
	}
	answer->text = told ? json_dumps(told, JSON_COMPACT) : NULL;
	json_decref(told);
	return answer_text(answer);
}
