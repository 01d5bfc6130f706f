/* SPDX-License-Identifier: BSD-2-Clause */
/* publish, republish, unpublish (rsm_memseg_export_publish(3rsm)). */
#include <stdlib.h>

#include "base/probe.h"
#include "lib/lib.h"
#include "lib/withdraw.h"

#define ACL_MAX  65535u    /* entries; the historic limit of 64 is lifted */
#define ID_FIRST 0x400000u /* the smallest id that an application may choose */
#define ID_LAST  0x7fffffffu

static int check_creator(const struct lib_export *export)
{
	if (export->creator == atomic_load(&lib_pid))
		return RSM_SUCCESS;
	return base_refuse(RSMERR_NOT_CREATOR, "process %d created the segment, process %d asks",
			   export->creator, atomic_load(&lib_pid));
}

static int check_list(const struct lib_export *export, const rsmapi_access_entry_t *list, uint_t length)
{
	if (length > ACL_MAX)
		return base_refuse(RSMERR_BAD_ACL, "%u entries in the access list, at most %u are possible",
				   length, ACL_MAX);
	for (uint_t i = 0; i < length; i++)
		if ((list[i].ae_permission & ~0666u) != 0)
			return base_refuse(RSMERR_BAD_ACL,
					   "entry %u of the access list has permission 0%o; only the bits "
					   "of 0666 are allowed",
					   i, list[i].ae_permission);
	if (!export->controller->loopback || length == 0)
		return RSM_SUCCESS;
	if (length > 1 || list[0].ae_node != lib_daemon.node_id)
		return base_refuse(RSMERR_BAD_ACL,
				   "on loopback the access list may have one entry, for this node (%u); "
				   "found %u entries, "
				   "the first for node %u",
				   lib_daemon.node_id, length, list[0].ae_node);
	return RSM_SUCCESS;
}

static int publish_ask(const struct lib_export *export, bool republish, rsm_memseg_id_t *segment_id,
		       Wire__AclEntry **pointers, size_t count)
{
	Wire__Publish publish = WIRE__PUBLISH__INIT;
	publish.export_id = export->signal.id;
	publish.segment_id = *segment_id;
	publish.republish = republish;
	publish.acl = pointers;
	publish.n_acl = count;
	struct lib_reply reply = {0};
	int code = lib_daemon_call(WIRE__REQUEST__BODY_PUBLISH, &publish, -1, &reply);
	if (reply.message != NULL && reply.message->body_case == WIRE__REPLY__BODY_PUBLISH)
		*segment_id = reply.message->publish->segment_id;
	lib_reply_clear(&reply);
	return code;
}

/* Sends the publication; *segment_id is in and out (0: rsmd chooses). */
static int publish_send(const struct lib_export *export, bool republish, rsm_memseg_id_t *segment_id,
			const rsmapi_access_entry_t *list, uint_t length)
{
	if (length == 0)
		return publish_ask(export, republish, segment_id, NULL, 0);
	Wire__AclEntry *entries = malloc(length * sizeof *entries);
	Wire__AclEntry **pointers = malloc(length * sizeof *pointers);
	int code;
	if (entries == NULL || pointers == NULL) {
		code = base_refuse(RSMERR_INSUFFICIENT_MEM, "no memory for an access list of %u entries",
				   length);
	} else {
		for (uint_t i = 0; i < length; i++) {
			wire__acl_entry__init(&entries[i]);
			entries[i].node_id = list[i].ae_node;
			entries[i].permission = list[i].ae_permission;
			pointers[i] = &entries[i];
		}
		code = publish_ask(export, republish, segment_id, pointers, length);
	}
	free(entries);
	free(pointers);
	return code;
}

/* Check order: table of rsm_memseg_export_publish. */
static int export_publish(rsm_memseg_export_handle_t memseg, rsm_memseg_id_t *segment_id,
			  const rsmapi_access_entry_t *list, uint_t length)
{
	if (segment_id == NULL)
		return base_refuse(RSMERR_BAD_SEGID, "no segment id was given (NULL)");
	struct lib_export *export = lib_export_find(memseg);
	if (export == NULL)
		return lib_refuse_handle("export", memseg, RSMERR_BAD_SEG_HNDL);
	if (length > 0 && list == NULL)
		return base_refuse(RSMERR_BAD_ACL, "the access list is NULL but has %u entries", length);
	if (export->published)
		return base_refuse(RSMERR_SEG_ALREADY_PUBLISHED, "the segment is published as 0x%x",
				   export->segment_id);
	rsm_memseg_id_t id = *segment_id;
	if (id != 0 && (id < ID_FIRST || id > ID_LAST))
		return base_refuse(
			RSMERR_RESERVED_SEGID,
			"segment id 0x%x is reserved; applications choose 0x%x to 0x%x, or 0 to be given one",
			id, ID_FIRST, ID_LAST);
	int code = check_creator(export);
	if (code == RSM_SUCCESS)
		code = lib_daemon_check(export->signal.session);
	if (code == RSM_SUCCESS)
		code = check_list(export, list, length);
	if (code == RSM_SUCCESS)
		code = publish_send(export, false, &id, list, length);
	if (code != RSM_SUCCESS)
		return code;
	export->published = true;
	export->segment_id = id;
	*segment_id = id;
	return RSM_SUCCESS;
}

int rsm_memseg_export_publish(rsm_memseg_export_handle_t memseg, rsm_memseg_id_t *segment_id,
			      rsmapi_access_entry_t access_list[], uint_t access_list_length)
{
	BASE_PROBE1(publish_start, memseg);
	lib_lock();
	int code = export_publish(memseg, segment_id, access_list, access_list_length);
	lib_unlock();
	BASE_PROBE2(publish_done, memseg, code);
	return code;
}

static int export_republish(rsm_memseg_export_handle_t memseg, const rsmapi_access_entry_t *list,
			    uint_t length)
{
	struct lib_export *export = lib_export_find(memseg);
	if (export == NULL)
		return lib_refuse_handle("export", memseg, RSMERR_BAD_SEG_HNDL);
	if (!export->published)
		return base_refuse(RSMERR_SEG_NOT_PUBLISHED, "the segment is not published");
	if (length > 0 && list == NULL)
		return base_refuse(RSMERR_BAD_ACL, "the access list is NULL but has %u entries", length);
	int code = check_creator(export);
	if (code == RSM_SUCCESS)
		code = lib_daemon_check(export->signal.session);
	if (code == RSM_SUCCESS)
		code = check_list(export, list, length);
	rsm_memseg_id_t id = export->segment_id;
	return code != RSM_SUCCESS ? code : publish_send(export, true, &id, list, length);
}

int rsm_memseg_export_republish(rsm_memseg_export_handle_t memseg, rsmapi_access_entry_t access_list[],
				uint_t access_list_length)
{
	lib_lock();
	int code = export_republish(memseg, access_list, access_list_length);
	lib_unlock();
	return code;
}

int rsm_memseg_export_unpublish(rsm_memseg_export_handle_t memseg)
{
	int code;
	lib_lock();
	struct lib_export *export = lib_export_find(memseg);
	if (export == NULL)
		code = lib_refuse_handle("export", memseg, RSMERR_BAD_SEG_HNDL);
	else if (!export->published)
		code = base_refuse(RSMERR_SEG_NOT_PUBLISHED, "the segment is not published");
	else if ((code = check_creator(export)) == RSM_SUCCESS &&
		 (code = lib_daemon_check(export->signal.session)) == RSM_SUCCESS)
		code = lib_withdraw_unpublish(export);
	lib_unlock();
	return code;
}
