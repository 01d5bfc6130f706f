/* SPDX-License-Identifier: BSD-2-Clause */
#include "rsmd/import.h"

#include <inttypes.h>
#include <rsmapi.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <utlist.h>

#include "base/fd.h"
#include "base/reason.h"
#include "rsmd/away.h"
#include "rsmd/event.h"
#include "rsmd/export.h"
#include "rsmd/guest.h"
#include "rsmd/metrics.h"
#include "segment/memfd.h"

struct rsmd_import *rsmd_import_find(const struct rsmd_client *client, uint64_t id)
{
	struct rsmd_import *import;
	HASH_FIND(hh, rsmd_server.imports, &id, sizeof(id), import);
	if (import && import->owner == client)
		return import;
	base_refuse(RSMERR_BAD_SEG_HNDL, "import %" PRIu64 " is not one of this process", id);
	return NULL;
}

void rsmd_import_count(struct rsmd_export *export, int32_t by)
{
	export->importers += (uint32_t)by;
	atomic_store(&rsmd_export_status(export)->importers, export->importers);
}

void rsmd_import_abort(struct rsmd_import *import)
{
	static const char reason[] = "the exporter withdrew the segment";
	struct rsmd_export *export = import->export;
	if (import->guest) {
		rsmd_guest_abort(import->guest, RSMERR_CONN_ABORTED, reason);
		return;
	}
	rsmd_event_import(RSMD_EVENT_ABORT, import, RSMERR_CONN_ABORTED, reason);
	rsmd_signals_abort(&export->signals, import->signal_slot);
	rsmd_signals_give(&export->signals, import->signal_slot);
	if (import->doorbell >= 0)
		shutdown(import->doorbell, SHUT_RDWR);
	rsmd_import_count(export, -1);
	import->export = NULL;
}

void rsmd_import_end(struct rsmd_import *import)
{
	if (import->away) {
		rsmd_away_end(import->away);
		return;
	}
	rsmd_event_import(RSMD_EVENT_DISCONNECT, import, 0, NULL);
	if (import->export) {
		rsmd_signals_give(&import->export->signals, import->signal_slot);
		rsmd_import_count(import->export, -1);
	}
	base_fd_close(&import->doorbell);
	HASH_DEL(rsmd_server.imports, import);
	DL_DELETE(import->owner->imports, import);
	import->owner->import_count--;
	rsmd_segment_give();
	free(import);
}
bool rsmd_segment_measures(uint32_t segment_id)
{
	return segment_id == 0;
}

bool rsmd_request_measures(const struct rsmd_client *client, const Wire__Request *request)
{
	if (request->body_case == WIRE__REQUEST__BODY_CONNECT)
		return rsmd_segment_measures(request->connect->segment_id);
	if (request->body_case != WIRE__REQUEST__BODY_CONNECT_RESULT)
		return false;
	const struct rsmd_import *import = rsmd_import_find(client, request->connect_result->import_id);
	return import && rsmd_segment_measures(import->segment_id);
}

/* Of this node, and still through the network. What other controllers export is reached as on any controller of one node. */
static bool loops(const struct rsmd_controller *controller, const Wire__Connect *asked)
{
	const struct rsmd_export *export = rsmd_export_published(asked->segment_id);
	return controller->loop && (!export || export->controller == controller);
}

/* The controller that was asked for, if the node can be reached through it; and whether that takes the network. */
static int route(const Wire__Connect *asked, const struct rsmd_controller **found, bool *away)
{
	uint32_t here = rsmd_server.config.node_id;
	const struct rsmd_controller *controller =
		rsmd_config_controller(&rsmd_server.config, asked->controller);
	if (!controller)
		return base_refuse(RSMERR_CTLR_NOT_PRESENT, "this node has no controller %.64s",
				   asked->controller);
	if (asked->node_id != here && controller == &rsmd_server.config.controllers[0])
		return base_refuse(RSMERR_CTLR_NOT_PRESENT,
				   "node %u was asked through loopback, which reaches this node only, %u",
				   asked->node_id, here);
	*away = controller->address_length && (asked->node_id != here || loops(controller, asked));
	if (asked->node_id != here && !*away)
		return base_refuse(
			RSMERR_REMOTE_NODE_UNREACHABLE,
			"node %u has no path from controller %s of node %u, which is of type %s; only "
			"tcp reaches other nodes",
			asked->node_id, controller->name, here, controller->type);
	*found = controller;
	return RSM_SUCCESS;
}

/* The checks of rsm_memseg_import_connect(3rsm) on this node, in its order; *found is the segment. */
static int admit(struct rsmd_client *client, const Wire__Connect *asked, struct rsmd_export **found)
{
	struct rsmd_export *export = rsmd_export_published(asked->segment_id);
	if (!export)
		return rsmd_export_missing(asked->segment_id);
	const struct rsmd_identity *owner = &export->owner->identity;
	int code = rsmd_access_decide(&export->acl, owner->uid, owner->gid, &client->identity,
				      asked->permission, false);
	if (code == RSMERR_PERM_DENIED && rsmd_client_is_privileged(client))
		code = RSM_SUCCESS;
	*found = export;
	return code;
}

/*
 * Puts the layout into the answer, with a descriptor of its own per object: one that was opened for this
 * importer alone, with the granted access. Without any right there is nothing to map and nothing is sent.
 */
static int answer_layout(struct rsmd_import *import, struct rsmd_answer *answer)
{
	struct rsmd_export *export = import->export;
	Wire__ConnectReply *body = &answer->body.connect;
	bool writable = import->granted & RSM_PERM_WRITE;
	wire__connect_reply__init(body);
	body->extents = answer->extent_list;
	for (size_t i = 0; import->granted && i < export->extent_count; i++) {
		const struct rsmd_extent *extent = &export->extents[i];
		Wire__Extent *said = &answer->extents[i];
		wire__extent__init(said);
		said->object_id = extent->object->id;
		said->offset = extent->offset;
		said->length = extent->length;
		said->kind = extent->object->kind;
		said->shmid = extent->object->shmid < 0 ? 0 : (uint32_t)extent->object->shmid;
		size_t same = 0;
		while (same < i && export->extents[same].object != extent->object)
			same++;
		if (same < i) {
			said->fd_index = answer->extents[same].fd_index;
		} else {
			int fd, code = rsmd_object_open_for(extent->object, import->owner, writable, &fd);
			if (code)
				return code;
			said->fd_index = (uint32_t)answer->fd_count;
			if (fd >= 0)
				rsmd_answer_add_fd(answer, fd, true);
		}
		answer->extent_list[body->n_extents++] = said;
	}
	export->exposed |= body->n_extents > 0;
	body->import_id = import->id;
	body->length = export->length;
	body->granted = import->granted;
	body->status_slot = export->slot;
	body->epoch = atomic_load(&rsmd_export_status(export)->epoch);
	body->signal_slot = import->signal_slot;
	body->exporter_pid = export->owner->pid;
	body->exporter_uid = export->owner->identity.uid;
	body->controller_index = (uint32_t)(export->controller - rsmd_server.config.controllers);
	answer->reply.body_case = WIRE__REPLY__BODY_CONNECT;
	answer->reply.connect = body;
	return RSM_SUCCESS;
}

static int answer_signals(const struct rsmd_export *export, struct rsmd_answer *answer)
{
	int fd;
	int code = segment_memfd_reopen(export->signals.fd, true, &fd);
	if (!code)
		rsmd_answer_add_fd(answer, fd, true);
	return code;
}

/* The import, entered in all tables; from here on rsmd_import_end undoes everything. */
static int import_add(struct rsmd_client *client, struct rsmd_export *export, uint32_t granted,
		      struct rsmd_import **added)
{
	int code = rsmd_signals_open(&export->signals);
	if (code)
		return code;
	struct rsmd_import *import = calloc(1, sizeof(*import));
	if (import) {
		import->id = ++rsmd_server.last_id;
		HASH_ADD(hh, rsmd_server.imports, id, sizeof(import->id), import);
	}
	if (!import || !import->hh.tbl) {
		free(import);
		return base_refuse(RSMERR_INSUFFICIENT_MEM, "rsmd has no memory for another import");
	}
	code = rsmd_signals_take(&export->signals, import, &import->signal_slot);
	if (code) {
		HASH_DEL(rsmd_server.imports, import);
		free(import);
		return code;
	}
	export->signals.handed = true;
	import->owner = client;
	import->export = export;
	import->segment_id = export->segment_id;
	import->granted = granted;
	import->doorbell = -1;
	DL_APPEND(client->imports, import);
	rsmd_counters_imports(&client->counters, ++client->import_count);
	rsmd_import_count(export, 1);
	*added = import;
	return RSM_SUCCESS;
}

/* The rest of a connect to a segment of this node, by shared memory. */
static int connect_here(struct rsmd_client *client, const Wire__Connect *asked, struct rsmd_answer *answer)
{
	struct rsmd_export *export = NULL;
	struct rsmd_import *import = NULL;
	int code = admit(client, asked, &export);
	if (!code)
		code = import_add(client, export, asked->permission, &import);
	if (code)
		return code;
	if (!import || !export) /* cannot be: for the analyzer, who takes a refusal's code for 0 */
		return RSMERR_INTERNAL_ERROR;
	answer->import = import; /* ended by client.c if any of the following, or sending, fails */
	code = answer_layout(import, answer);
	if (!code)
		code = answer_signals(export, answer);
	if (!code)
		rsmd_event_import(RSMD_EVENT_CONNECT, import, 0, NULL);
	return code;
}

static void tell_refused(const struct rsmd_client *client, const Wire__Connect *asked, int code)
{
	rsmd_event(&(struct rsmd_event){.kind = RSMD_EVENT_REFUSE,
					.node = asked->node_id,
					.segment = asked->segment_id,
					.pid = client->pid,
					.uid = client->identity.uid,
					.program = client->program,
					.importer = rsmd_server.config.node_id,
					.access = asked->permission,
					.code = code,
					.reason = base_reason(),
					.controller = asked->controller});
}

static int import_connect(struct rsmd_client *client, const Wire__Connect *asked, struct rsmd_answer *answer)
{
	const struct rsmd_controller *controller = NULL;
	bool away = false;
	if (asked->permission & ~(uint32_t)RSM_PERM_RDWR)
		return base_refuse(RSMERR_PERM_DENIED,
				   "permission 0%o was asked; only read 0400 and write 0200 exist",
				   asked->permission);
	int code = rsmd_segment_take();
	if (code)
		return code;
	code = route(asked, &controller, &away);
	if (!code)
		code = away ? rsmd_away_connect(client, controller, asked, answer)
			    : connect_here(client, asked, answer);
	if (!code && !away) /* what is away is pending: away.c counts it */
		rsmd_metrics_connect(controller);
	/* An import that exists already gives it back with its end. */
	if (code && !answer->import)
		rsmd_segment_give();
	return code;
}

RSMD_HANDLER(rsmd_import_connect)
{
	(void)packet;
	int code = import_connect(client, request->connect, answer);
	if (code)
		tell_refused(client, request->connect, code);
	return code;
}

RSMD_HANDLER(rsmd_import_layout)
{
	(void)packet;
	struct rsmd_import *import = rsmd_import_find(client, request->import_layout->import_id);
	if (!import)
		return RSMERR_BAD_SEG_HNDL;
	if (import->away)
		return base_refuse(RSMERR_BAD_SEG_HNDL,
				   "import %" PRIu64 " is of another node: it has no layout here",
				   import->id);
	if (!import->export)
		return base_refuse(RSMERR_CONN_ABORTED, "the exporter withdrew the segment");
	return answer_layout(import, answer);
}

RSMD_HANDLER(rsmd_import_disconnect)
{
	(void)packet;
	(void)answer;
	struct rsmd_import *import = rsmd_import_find(client, request->disconnect->import_id);
	if (!import)
		return RSMERR_BAD_SEG_HNDL;
	rsmd_import_end(import);
	return RSM_SUCCESS;
}
