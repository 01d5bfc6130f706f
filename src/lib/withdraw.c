/* SPDX-License-Identifier: BSD-2-Clause */
/* Withdrawing a segment from its importers; see withdraw.h. */
#include "lib/withdraw.h"

#include "base/fd.h"
#include "lib/memory.h"

/*
 * rsmd has aborted every importer and says what they may still hold, which the kernel told it. Those objects' pages
 * move to fresh ones now, and events go on in fresh signal memory.
 */
static int importers_revoke(struct lib_export *export, struct lib_reply *reply)
{
	if (reply->message->body_case != WIRE__REPLY__BODY_WITHDRAWN)
		return RSM_SUCCESS;
	const Wire__Withdrawn *withdrawn = reply->message->withdrawn;
	int code = lib_memory_revoke(export->address, export->length, withdrawn->exposed_objects,
				     withdrawn->n_exposed_objects);
	if (withdrawn->fresh_signals) {
		int fd = wire_packet_take(&reply->packet, 0);
		if (fd < 0 || lib_signal_replace(&export->signal, fd) != RSM_SUCCESS)
			atomic_store(&export->signal.is_stale, true); /* the next use asks for it again */
		base_fd_close(&fd);
	}
	return code;
}

int lib_withdraw_unpublish(struct lib_export *export)
{
	Wire__Unpublish unpublish = WIRE__UNPUBLISH__INIT;
	unpublish.export_id = export->signal.id;
	struct lib_reply reply = {0};
	int code = lib_daemon_call(WIRE__REQUEST__BODY_UNPUBLISH, &unpublish, -1, &reply);
	if (code != RSM_SUCCESS)
		return code;
	export->published = false;
	export->segment_id = 0;
	code = importers_revoke(export, &reply);
	lib_reply_clear(&reply);
	return code;
}

/* False: rsmd did not answer, so it is gone or the conversation has ended. */
static bool destroy_ask(struct lib_export *export)
{
	Wire__ExportDestroy destroy = WIRE__EXPORT_DESTROY__INIT;
	destroy.export_id = export->signal.id;
	struct lib_reply reply = {0};
	if (lib_daemon_check(export->signal.session) != RSM_SUCCESS ||
	    lib_daemon_call(WIRE__REQUEST__BODY_EXPORT_DESTROY, &destroy, -1, &reply) != RSM_SUCCESS)
		return false;
	export->signal.session = 0; /* rsmd knows it no more: no layout to be told */
	if (reply.message->body_case == WIRE__REPLY__BODY_WITHDRAWN)
		lib_memory_revoke_kept(export->address, export->length,
				       reply.message->withdrawn->exposed_objects,
				       reply.message->withdrawn->n_exposed_objects);
	lib_reply_clear(&reply);
	return true;
}

void lib_withdraw_destroy(struct lib_export *export)
{
	/* An rsmd that is gone cannot say who holds what: all that stays shared moves, if a new one can be had. */
	if (!destroy_ask(export) && lib_daemon_open() == RSM_SUCCESS)
		lib_memory_revoke_kept(export->address, export->length, NULL, LIB_MEMORY_ALL);
}
