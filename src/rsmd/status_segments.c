/* SPDX-License-Identifier: BSD-2-Clause */
/* The published segments, and one of them with its importers. */
#include <inttypes.h>
#include <stdio.h>

#include "rsmd/client.h"
#include "rsmd/export.h"
#include "rsmd/guest.h"
#include "rsmd/status.h"

static json_t *acl(const struct rsmd_acl *acl)
{
	if (!acl->count)
		return json_null();
	json_t *list = json_array();
	for (size_t i = 0; i < acl->count; i++)
		json_array_append_new(list,
				      json_pack("{s:I, s:o}", "node", (json_int_t)acl->entries[i].node,
						"permission", rsmd_status_octal(acl->entries[i].permission)));
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
			 "program", rsmd_status_text(owner->program), "acl", acl(&export->acl), "permissions",
			 rsmd_status_octal(rsmd_access_of_node(&export->acl, rsmd_server.config.node_id)),
			 "importers", (json_int_t) export->importers, "published_s",
			 rsmd_status_seconds_since(export->published_ns));
}

json_t *rsmd_status_segments(void)
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
				 rsmd_status_text(guest ? guest->program : owner->program), "granted",
				 rsmd_status_octal(import->granted));
	if (!guest)
		return said;
	const struct segment_counters_cell *counted = guest->grant->counted;
	json_object_set_new(said, "connected", json_boolean(guest->claimed));
	json_object_set_new(said, "puts", json_integer((json_int_t)atomic_load(&counted->puts)));
	json_object_set_new(said, "gets", json_integer((json_int_t)atomic_load(&counted->gets)));
	json_object_set_new(said, "posts", json_integer((json_int_t)atomic_load(&counted->posts)));
	json_object_set_new(said, "bytes_put", json_integer((json_int_t)atomic_load(&counted->bytes_put)));
	json_object_set_new(said, "bytes_got", json_integer((json_int_t)atomic_load(&counted->bytes_got)));
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
json_t *rsmd_status_segment(const struct rsmd_export *export, uid_t asker)
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
