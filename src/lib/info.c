/* SPDX-License-Identifier: BSD-2-Clause */
/* What the library tells about codes, handles, itself and the node (rsm/ext.h). */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/lib.h"
#include "rsm/ext.h"

const char *rsmx_strerror(int code)
{
	return base_code_text(code);
}

const char *rsmx_errname(int code)
{
	return base_code_name(code);
}

const char *rsmx_last_error(void)
{
	return base_reason();
}

const char *rsmx_version(const char **daemon)
{
	lib_lock();
	if (daemon != NULL)
		*daemon = lib_daemon.socket >= 0 ? lib_daemon.release : "";
	lib_unlock();
	return RSM_RELEASE;
}

static uint32_t pending(const struct lib_signal *signal)
{
	const struct segment_signal *memory = atomic_load(&signal->memory);
	return memory == NULL ? 0 : atomic_load(&memory[signal->slot].events) & SEGMENT_SIGNAL_COUNT;
}

static void import_info(struct lib_import *import, rsmx_segment_info_t *info)
{
	info->length = import->transport.length;
	info->granted = import->transport.granted;
	info->state = transport_is_aborted(&import->transport) ? RSMX_STATE_ABORTED
		      : import->transport.window != NULL       ? RSMX_STATE_MAPPED
							       : RSMX_STATE_CONNECTED;
	info->node = import->node;
	info->segment_id = import->segment_id;
	info->peer_pid = import->exporter_pid;
	info->peer_uid = import->exporter_uid;
	/* Of another node's segment only that node knows. */
	info->importers = info->state == RSMX_STATE_ABORTED || lib_import_is_away(import)
				  ? 0
				  : atomic_load(&import->transport.status->importers);
	info->pending = pending(&import->signal);
}

static void export_info(const struct lib_export *export, rsmx_segment_info_t *info)
{
	info->length = export->length;
	info->granted = RSM_PERM_RDWR;
	info->state = export->published ? RSMX_STATE_PUBLISHED : RSMX_STATE_BOUND;
	info->node = lib_daemon.node_id;
	info->segment_id = export->segment_id;
	info->peer_pid = export->creator;
	info->peer_uid = geteuid();
	info->importers = atomic_load(&export->status->importers);
	info->pending = pending(&export->signal);
}

int rsmx_segment_info(void *memseg, rsmx_segment_info_t *info)
{
	rsmx_segment_info_t full = {0};
	int code = RSM_SUCCESS;
	lib_lock();
	struct lib_import *import = lib_import_find(memseg);
	struct lib_export *export = lib_export_find(memseg);
	if (import != NULL)
		import_info(import, &full);
	else if (export != NULL)
		export_info(export, &full);
	else
		code = lib_refuse_handle("segment", memseg, RSMERR_BAD_SEG_HNDL);
	lib_unlock();
	if (code != RSM_SUCCESS)
		return code;
	if (info == NULL || info->size < 16)
		return base_refuse(RSMERR_BAD_ADDR,
				   "info is NULL, or its size is not set to sizeof (rsmx_segment_info_t)");
	size_t size = info->size < sizeof full ? info->size : sizeof full;
	full.size = info->size;
	memcpy(info, &full, size);
	return RSM_SUCCESS;
}

int rsmx_status(const char *what, rsm_memseg_id_t segment_id, char **json)
{
	if (what == NULL || json == NULL)
		return base_refuse(RSMERR_BAD_ADDR, "what or json is NULL");
	lib_lock();
	struct lib_reply reply = {0};
	int code = lib_daemon_open();
	if (code == RSM_SUCCESS) {
		Wire__Status message;
		wire__status__init(&message);
		message.what = (char *)(uintptr_t)what;
		message.segment_id = segment_id;
		code = lib_daemon_call(WIRE__REQUEST__BODY_STATUS, &message, -1, &reply);
	}
	if (code == RSM_SUCCESS) {
		*json = reply.message->body_case == WIRE__REPLY__BODY_STATUS
				? strdup(reply.message->status->json)
				: NULL;
		if (*json == NULL)
			code = base_refuse(RSMERR_INSUFFICIENT_MEM, "no memory for the node's state");
	}
	lib_reply_clear(&reply);
	lib_unlock();
	return code;
}
