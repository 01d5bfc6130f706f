/* SPDX-License-Identifier: BSD-2-Clause */
#include "rsmd/export.h"

#include <inttypes.h>
#include <limits.h>
#include <linux/futex.h>
#include <rsmapi.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <utlist.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/reason.h"
#include "rsmd/event.h"
#include "rsmd/import.h"
#include "rsmd/metrics.h"
#include "rsmd/target.h"
#include "segment/extent.h"
#include "segment/memfd.h"

#define PAGE      4096u
#define HUGE_PAGE (2u << 20)

struct rsmd_export *rsmd_export_find(const struct rsmd_client *client, uint64_t id)
{
	struct rsmd_export *export;
	HASH_FIND(hh, rsmd_server.exports, &id, sizeof(id), export);
	if (export && export->owner == client)
		return export;
	base_refuse(RSMERR_BAD_SEG_HNDL, "segment %" PRIu64 " is not one of this process", id);
	return NULL;
}

struct rsmd_export *rsmd_export_published(uint32_t segment_id)
{
	struct rsmd_export *export;
	HASH_FIND(hh_published, rsmd_server.published, &segment_id, sizeof(segment_id), export);
	return export;
}

int rsmd_export_missing(uint32_t segment_id)
{
	uint32_t here = rsmd_server.config.node_id;
	if (rsmd_server.private_daemon)
		return base_refuse(
			RSMERR_SEG_NOT_PUBLISHED,
			"segment 0x%x is not published on node %u; this is the private daemon of uid "
			"%u, other users' segments need the system's rsmd",
			segment_id, here, geteuid());
	return base_refuse(RSMERR_SEG_NOT_PUBLISHED, "segment 0x%x is not published on node %u", segment_id,
			   here);
}

struct segment_status *rsmd_export_status(const struct rsmd_export *export)
{
	return &rsmd_server.slots.table[export->slot];
}

/* Wakes importers that sleep until the memory has moved. The futex is the word's low half: byte order matters. */
static void epoch_wake(struct segment_status *status)
{
	syscall(SYS_futex, SEGMENT_EPOCH_FUTEX(&status->epoch), FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

RSMD_HANDLER(rsmd_export_create)
{
	const Wire__ExportCreate *asked = request->export_create;
	(void)packet;
	if (!asked->length)
		return base_refuse(RSMERR_BAD_LENGTH, "a segment of 0 bytes was asked");
	if (asked->length % PAGE)
		return base_refuse(RSMERR_BAD_MEM_ALIGNMENT,
				   "a segment of %" PRIu64 " bytes was asked; whole pages are expected",
				   asked->length);
	int code = rsmd_segment_take();
	if (code)
		return code;
	const struct rsmd_controller *controller =
		rsmd_config_controller(&rsmd_server.config, asked->controller);
	if (!controller)
		code = base_refuse(RSMERR_CTLR_NOT_PRESENT, "this node has no controller %.64s",
				   asked->controller);
	if (!code)
		code = rsmd_quota_take(asked->length);
	if (code) {
		rsmd_segment_give();
		return code;
	}
	struct rsmd_export *export = calloc(1, sizeof(*export));
	if (export) {
		export->id = ++rsmd_server.last_id;
		HASH_ADD(hh, rsmd_server.exports, id, sizeof(export->id), export);
	}
	if (!export || !export->hh.tbl) {
		free(export);
		rsmd_quota_give(asked->length);
		rsmd_segment_give();
		return base_refuse(RSMERR_INSUFFICIENT_MEM, "rsmd has no memory for another segment");
	}
	export->owner = client;
	export->controller = controller;
	export->length = asked->length;
	export->address = asked->address;
	export->umask = asked->umask;
	export->slot = rsmd_slot_take();
	rsmd_signals_init(&export->signals);
	DL_APPEND(client->exports, export);
	client->export_count++;
	wire__export_reply__init(&answer->body.export);
	answer->body.export.export_id = export->id;
	answer->body.export.status_slot = export->slot;
	answer->reply.body_case = WIRE__REPLY__BODY_EXPORT_;
	answer->reply.export_ = &answer->body.export;
	return RSM_SUCCESS;
}

static void extents_drop(struct rsmd_extent *extents, size_t count)
{
	for (size_t i = 0; i < count; i++)
		rsmd_object_unuse(extents[i].object);
	free(extents);
}

/* One extent of a request: the object is this client's, and the piece lies inside it. */
static int extent_check(const struct rsmd_client *client, const Wire__Extent *said,
			struct rsmd_extent *extent)
{
	struct rsmd_object *object = rsmd_object_find(client, said->object_id);
	if (!object)
		return RSMERR_BAD_ADDR;
	uint64_t unit = object->huge ? HUGE_PAGE : PAGE;
	if (!said->length || said->length % unit || said->offset % unit)
		return base_refuse(RSMERR_BAD_ADDR,
				   "piece of 0x%" PRIx64 " bytes at 0x%" PRIx64 " of object %" PRIu64
				   "; multiples of %" PRIu64 " are expected",
				   said->length, said->offset, object->id, unit);
	if (said->offset < object->start || said->offset > object->end ||
	    said->length > object->end - said->offset)
		return base_refuse(RSMERR_BAD_ADDR,
				   "piece of 0x%" PRIx64 " bytes at 0x%" PRIx64 " of object %" PRIu64
				   ", of which [0x%" PRIx64 ", 0x%" PRIx64 ") may be used",
				   said->length, said->offset, object->id, object->start, object->end);
	*extent = (struct rsmd_extent){object, said->offset, said->length};
	return RSM_SUCCESS;
}

/*
 * The layout half of the epoch word: odd while the pages move (hold), a new even number when they are where the
 * layout says. Importers look at it before and after every access, and sleep on it while it is odd.
 */
static void layout_change(struct rsmd_export *export, bool is_moving)
{
	struct segment_status *status = rsmd_export_status(export);
	uint64_t epoch = atomic_load(&status->epoch);
	uint32_t layout = SEGMENT_EPOCH_LAYOUT(epoch) | 1;
	atomic_store(&status->epoch,
		     SEGMENT_EPOCH(SEGMENT_EPOCH_GENERATION(epoch), is_moving ? layout : layout + 1));
	if (!is_moving && export->importers > 0)
		epoch_wake(status);
}

RSMD_HANDLER(rsmd_export_layout)
{
	const Wire__ExportLayout *asked = request->export_layout;
	struct rsmd_extent checked[SEGMENT_EXTENTS_MAX] = {0};
	struct rsmd_export *export = rsmd_export_find(client, asked->export_id);
	(void)packet;
	(void)answer;
	if (!export)
		return RSMERR_BAD_SEG_HNDL;
	if (asked->hold) {
		layout_change(export, true);
		rsmd_target_hold(export);
		return RSM_SUCCESS;
	}
	if (!asked->n_extents || asked->n_extents > SEGMENT_EXTENTS_MAX)
		return base_refuse(RSMERR_INSUFFICIENT_RESOURCES,
				   "a segment of %zu pieces of memory; 1 to %d are possible",
				   asked->n_extents, SEGMENT_EXTENTS_MAX);
	uint64_t left = export->length;
	for (size_t i = 0; i < asked->n_extents; i++) {
		int code = extent_check(client, asked->extents[i], &checked[i]);
		if (code)
			return code;
		if (checked[i].length > left)
			return base_refuse(RSMERR_BAD_ADDR,
					   "the pieces add up to more than the segment's 0x%" PRIx64 " bytes",
					   export->length);
		left -= checked[i].length;
	}
	if (left)
		return base_refuse(RSMERR_BAD_ADDR,
				   "the pieces leave 0x%" PRIx64 " of the segment's 0x%" PRIx64
				   " bytes without memory",
				   left, export->length);
	struct rsmd_extent *extents = malloc(asked->n_extents * sizeof(*extents));
	if (!extents)
		return base_refuse(RSMERR_INSUFFICIENT_MEM, "rsmd has no memory for a layout");
	memcpy(extents, checked, asked->n_extents * sizeof(*extents));
	for (size_t i = 0; i < asked->n_extents; i++)
		rsmd_object_use(extents[i].object);
	struct rsmd_extent *old = export->extents;
	size_t old_count = export->extent_count;
	export->extents = extents;
	export->extent_count = asked->n_extents;
	/* Importers must know before the old object can be punched: they would read zeros and believe them. */
	rsmd_target_move(export);
	layout_change(export, false);
	extents_drop(old, old_count);
	return RSM_SUCCESS;
}

/*
 * Ends a publication. The order matters: no new connect finds it, the data path sees the new generation, then
 * waiters wake up and see it too.
 */
static void withdraw(struct rsmd_export *export, enum rsmd_metrics_cause cause)
{
	if (!export->segment_id)
		return;
	HASH_DELETE(hh_published, rsmd_server.published, export);
	rsmd_metrics.withdrawals[cause]++;
	rsmd_metrics.aborts[cause] += export->importers;
	struct segment_status *status = rsmd_export_status(export);
	uint64_t epoch = atomic_load(&status->epoch);
	atomic_store_explicit(&status->epoch,
			      SEGMENT_EPOCH(SEGMENT_EPOCH_GENERATION(epoch) + 1, SEGMENT_EPOCH_LAYOUT(epoch)),
			      memory_order_release);
	epoch_wake(status);
	rsmd_event_export(RSMD_EVENT_UNPUBLISH, export);
	export->segment_id = 0;
	free(export->acl.entries);
	memset(&export->acl, 0, sizeof(export->acl));
	for (uint32_t n = 1; n < export->signals.slot_count; n++)
		if (export->signals.slots[n])
			rsmd_import_abort(export->signals.slots[n]);
}

/* Lists the sealed objects that importers of this export may still reach. */
static void list_exposed(struct rsmd_export *export, struct rsmd_answer *answer)
{
	Wire__Withdrawn *body = &answer->body.withdrawn;
	wire__withdrawn__init(body);
	body->exposed_objects = answer->ids;
	for (size_t i = 0; export->exposed && i < export->extent_count; i++) {
		const struct rsmd_object *object = export->extents[i].object;
		bool listed = false;
		for (size_t j = 0; j < body->n_exposed_objects; j++)
			listed |= answer->ids[j] == object->id;
		/*
		 * The lease shows every open file, but not pages that a process has pinned (a pipe, io_uring): among
		 * processes of one user that is no loss, who could trace each other; others held it for ever.
		 */
		if (!listed && object->kind == WIRE__OBJECT_KIND__OBJECT_SEALED &&
		    (object->foreign || !segment_memfd_is_sole(object->fd)))
			answer->ids[body->n_exposed_objects++] = object->id;
	}
	/* Stays set while something is listed: a move that fails must not be forgotten. */
	export->exposed = body->n_exposed_objects > 0;
	answer->reply.body_case = WIRE__REPLY__BODY_WITHDRAWN;
	answer->reply.withdrawn = body;
}

static void export_free(struct rsmd_export *export)
{
	extents_drop(export->extents, export->extent_count);
	rsmd_signals_end(&export->signals);
	rsmd_slot_give(export->slot);
	rsmd_quota_give(export->length);
	rsmd_segment_give();
	HASH_DEL(rsmd_server.exports, export);
	DL_DELETE(export->owner->exports, export);
	export->owner->export_count--;
	free(export);
}

void rsmd_export_end(struct rsmd_export *export)
{
	withdraw(export, RSMD_METRICS_EXPORTER_GONE);
	export_free(export);
}

RSMD_HANDLER(rsmd_export_destroy)
{
	(void)packet;
	struct rsmd_export *export = rsmd_export_find(client, request->export_destroy->export_id);
	if (!export)
		return RSMERR_BAD_SEG_HNDL;
	withdraw(export, RSMD_METRICS_WITHDRAWN);
	list_exposed(export, answer);
	export_free(export);
	return RSM_SUCCESS;
}

RSMD_HANDLER(rsmd_export_unpublish)
{
	(void)packet;
	bool fresh;
	struct rsmd_export *export = rsmd_export_find(client, request->unpublish->export_id);
	if (!export)
		return RSMERR_BAD_SEG_HNDL;
	if (!export->segment_id)
		return base_refuse(RSMERR_SEG_NOT_PUBLISHED, "the segment is not published");
	withdraw(export, RSMD_METRICS_WITHDRAWN);
	list_exposed(export, answer);
	/*
	 * Without room for new signal memory the old one stays: late events of former importers are the
	 * price.
	 */
	if (!rsmd_signals_renew(&export->signals, &fresh) && fresh) {
		answer->body.withdrawn.fresh_signals = true;
		rsmd_answer_add_fd(answer, export->signals.fd, false);
	}
	return RSM_SUCCESS;
}

RSMD_HANDLER(rsmd_export_reserve)
{
	(void)packet;
	(void)answer;
	int code = rsmd_quota_take(request->reserve->length);
	if (!code)
		client->reserved += request->reserve->length;
	return code;
}

RSMD_HANDLER(rsmd_export_unreserve)
{
	(void)packet;
	(void)answer;
	uint64_t length = request->unreserve->length;
	if (length > client->reserved)
		return RSMD_VIOLATION;
	client->reserved -= length;
	rsmd_quota_give(length);
	return RSM_SUCCESS;
}
