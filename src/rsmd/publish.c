/* SPDX-License-Identifier: BSD-2-Clause */
/* Publication of an export: its id and its access list (rsm_memseg_export_publish(3rsm)). */
#include <rsmapi.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/reason.h"
#include "rsmd/event.h"
#include "rsmd/export.h"
#include "rsmd/metrics.h"

/* Copies and checks the list of a request. */
static int acl_read(const struct rsmd_export *export, const Wire__Publish *asked, struct rsmd_acl *acl)
{
	*acl = (struct rsmd_acl){.default_permission = 0777 & ~export->umask & 0666};
	if (!asked->n_acl)
		return RSM_SUCCESS;
	if (asked->n_acl > RSMD_ACL_MAX)
		return base_refuse(RSMERR_BAD_ACL, "access list with %zu entries; the limit is %d",
				   asked->n_acl, RSMD_ACL_MAX);
	acl->entries = malloc(asked->n_acl * sizeof(*acl->entries));
	if (!acl->entries)
		return base_refuse(RSMERR_INSUFFICIENT_MEM,
				   "rsmd has no memory for an access list of %zu entries", asked->n_acl);
	acl->count = asked->n_acl;
	for (size_t i = 0; i < acl->count; i++)
		acl->entries[i] = (struct rsmd_acl_entry){asked->acl[i]->node_id, asked->acl[i]->permission};
	bool loopback = export->controller == &rsmd_server.config.controllers[0];
	int code = rsmd_access_check_list(acl->entries, acl->count, loopback, rsmd_server.config.node_id);
	if (code)
		free(acl->entries);
	return code;
}

/*
 * The next free id of the system's range: ascending, and wrapping so that an id does not come back at once.
 */
static int system_id(uint32_t *segment_id)
{
	for (uint32_t tries = 0; tries <= rsmd_server.config.max_segments; tries++) {
		uint32_t id = rsmd_server.next_segment_id | RSM_USER_APP_ID_BASE;
		rsmd_server.next_segment_id = id + 1;
		if (!rsmd_export_published(id)) {
			*segment_id = id;
			return RSM_SUCCESS;
		}
	}
	return base_refuse(RSMERR_INSUFFICIENT_RESOURCES, "no system-chosen segment id is free");
}

/* The id that the segment gets: the one that was asked, or one of the system's. */
static int choose_id(uint32_t asked, uint32_t *segment_id)
{
	if (!asked)
		return system_id(segment_id);
	const struct rsmd_export *other = rsmd_export_published(asked);
	if (other)
		return base_refuse(RSMERR_SEGID_IN_USE, "segment id 0x%x is published by pid %d", asked,
				   (int)other->owner->pid);
	*segment_id = asked;
	return RSM_SUCCESS;
}

static void answer_id(const struct rsmd_export *export, struct rsmd_answer *answer)
{
	wire__publish_reply__init(&answer->body.publish);
	answer->body.publish.segment_id = export->segment_id;
	answer->reply.body_case = WIRE__REPLY__BODY_PUBLISH;
	answer->reply.publish = &answer->body.publish;
}

static int republish(struct rsmd_export *export, const Wire__Publish *asked, struct rsmd_answer *answer)
{
	struct rsmd_acl acl;
	if (!export->segment_id)
		return base_refuse(RSMERR_SEG_NOT_PUBLISHED, "the segment is not published");
	int code = acl_read(export, asked, &acl);
	if (code)
		return code;
	free(export->acl.entries);
	export->acl = acl;
	rsmd_event_export(RSMD_EVENT_REPUBLISH, export);
	answer_id(export, answer);
	return RSM_SUCCESS;
}

static int publish(struct rsmd_export *export, const Wire__Publish *asked, struct rsmd_answer *answer)
{
	struct rsmd_acl acl;
	uint32_t id = asked->segment_id, chosen = 0;
	if (export->segment_id)
		return base_refuse(RSMERR_SEG_ALREADY_PUBLISHED, "the segment is published as 0x%x",
				   export->segment_id);
	if ((id && id <= RSM_DLPI_ID_END) || id >= RSM_USER_APP_ID_BASE)
		return base_refuse(
			RSMERR_RESERVED_SEGID,
			"segment id 0x%x is reserved; 0x%x to 0x%x may be chosen, 0 lets the system choose",
			id, RSM_DLPI_ID_END + 1, RSM_USER_APP_ID_BASE - 1);
	int code = acl_read(export, asked, &acl);
	if (code)
		return code;
	code = choose_id(id, &chosen);
	if (!code && !export->extents)
		code = base_refuse(RSMERR_BAD_ADDR, "the segment has no memory yet");
	if (!code) {
		export->segment_id = chosen;
		HASH_ADD(hh_published, rsmd_server.published, segment_id, sizeof(export->segment_id), export);
		if (!export->hh_published.tbl) {
			export->segment_id = 0;
			code = base_refuse(RSMERR_INSUFFICIENT_MEM,
					   "rsmd has no memory for another publication");
		}
	}
	if (code) {
		free(acl.entries);
		return code;
	}
	export->acl = acl;
	export->published_ns = base_clock_ns();
	rsmd_metrics.publications++;
	rsmd_event_export(RSMD_EVENT_PUBLISH, export);
	answer_id(export, answer);
	return RSM_SUCCESS;
}

RSMD_HANDLER(rsmd_export_publish)
{
	const Wire__Publish *asked = request->publish;
	struct rsmd_export *export = rsmd_export_find(client, asked->export_id);
	(void)packet;
	if (!export)
		return RSMERR_BAD_SEG_HNDL;
	return asked->republish ? republish(export, asked, answer) : publish(export, asked, answer);
}
