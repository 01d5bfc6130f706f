/* SPDX-License-Identifier: BSD-2-Clause */
#include "rsmd/target.h"

#include <inttypes.h>
#include <rsmapi.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <utlist.h>

#include "base/clock.h"
#include "base/reason.h"
#include "rsmd/data.h"
#include "rsmd/export.h"
#include "rsmd/log.h"
#include "rsmd/peer.h"

/* One for each export that guests reach; the loop's thread. */
struct rsmd_target {
	struct segment_view view;
	uint32_t uses;
	struct rsmd_grant *grants; /* utlist */
};

/* The export's extents as they are now. RSM_SUCCESS or a code with reason. */
static int target_map(const struct rsmd_export *export, struct segment_view *view)
{
	struct segment_extent extents[SEGMENT_EXTENTS_MAX];
	bool sealed = true;
	if (!export->extents || export->extent_count > SEGMENT_EXTENTS_MAX)
		return base_refuse(RSMERR_INSUFFICIENT_RESOURCES, "segment 0x%x has no memory yet",
				   export->segment_id);
	for (size_t i = 0; i < export->extent_count; i++) {
		const struct rsmd_extent *extent = &export->extents[i];
		/* A data thread would wait in it under the gate, and then the loop for the fence. */
		if (!extent->object->local)
			return base_refuse(
				RSMERR_INSUFFICIENT_RESOURCES,
				"segment 0x%x has a piece of a file whose file system is none of this host's "
				"memory or disks (tmpfs, hugetlbfs, ext, XFS, Btrfs, F2FS, ZFS); rsmd serves "
				"other nodes "
				"from those only: export private memory or memory of rsmx_alloc",
				export->segment_id);
		extents[i] = (struct segment_extent){.fd = extent->object->fd,
						     .shmid = extent->object->shmid,
						     .offset = extent->offset,
						     .length = extent->length};
		sealed &= extent->object->kind == WIRE__OBJECT_KIND__OBJECT_SEALED;
	}
	int error = segment_view_open(view, extents, export->extent_count, export->length, sealed);
	if (error)
		return base_refuse_errno(
			RSMERR_INSUFFICIENT_RESOURCES, error,
			"rsmd cannot map segment 0x%x of %" PRIu64
			" bytes for another node; is vm.max_map_count or the address space used up?",
			export->segment_id, export->length);
	return RSM_SUCCESS;
}

int rsmd_target_open(struct rsmd_export *export)
{
	struct rsmd_target *target = export->target ? export->target : calloc(1, sizeof(*target));
	if (!target)
		return base_refuse(RSMERR_INSUFFICIENT_MEM, "rsmd has no memory for another guest");
	int code = target->view.base ? RSM_SUCCESS : target_map(export, &target->view);
	if (code) {
		if (!export->target)
			free(target);
		return code;
	}
	target->uses++;
	export->target = target;
	return RSM_SUCCESS;
}

void rsmd_target_close(struct rsmd_export *export)
{
	struct rsmd_target *target = export->target;
	if (!target || --target->uses)
		return;
	while (target->grants) /* there is none, if everybody keeps to the order */
		/* NOLINTNEXTLINE(clang-analyzer-*): closing a grant takes it out of the list */
		rsmd_grant_close(target->grants);
	segment_view_close(&target->view);
	free(target);
	export->target = NULL;
}

/* Takes the gate from the data thread, which lets go after its present step. */
static void gate_take(struct rsmd_grant *grant)
{
	atomic_store(&grant->wanted, true);
	pthread_mutex_lock(&grant->gate);
}

static void gate_give(struct rsmd_grant *grant)
{
	pthread_mutex_unlock(&grant->gate);
	atomic_store(&grant->wanted, false);
}

/* Its thread sees the end of the connection, wherever it waits, and closes it. */
static void grant_hang_up(const struct rsmd_grant *grant)
{
	if (grant->socket >= 0)
		shutdown(grant->socket, SHUT_RDWR);
}

void rsmd_target_hold(struct rsmd_export *export)
{
	struct rsmd_grant *grant;
	if (!export->target)
		return;
	DL_FOREACH(export->target->grants, grant)
	{
		/* cppcheck-suppress uninitvar ; a list element is one that was entered */
		gate_take(grant);
		grant->held = true;
		grant->held_ns = base_clock_ns();
		grant->view = (struct segment_view){0};
		gate_give(grant);
	}
}

void rsmd_target_move(struct rsmd_export *export)
{
	struct rsmd_target *target = export->target;
	struct segment_view fresh = {0};
	struct rsmd_grant *grant;
	if (!target)
		return;
	int code = target_map(export, &fresh);
	if (code) /* a client can make it happen as often as it likes */
		rsmd_log_offence("segment 0x%x is lost for other nodes: %s", export->segment_id,
				 base_reason());
	DL_FOREACH(target->grants, grant)
	{
		/* cppcheck-suppress uninitvar ; the same */
		gate_take(grant);
		grant->view = fresh;
		grant->held = false;
		if (code)
			grant_hang_up(grant);
		gate_give(grant);
	}
	segment_view_close(&target->view);
	target->view = fresh;
	rsmd_data_resume();
}

struct rsmd_grant *rsmd_grant_make(struct rsmd_export *export, struct rsmd_peer *peer, uint32_t granted,
				   uint64_t guest_id)
{
	struct rsmd_grant *grant = calloc(1, sizeof(*grant));
	if (!grant)
		return NULL;
	if (pthread_mutex_init(&grant->gate, NULL)) {
		free(grant);
		return NULL;
	}
	/* A guest may come while the memory moves. */
	grant->held = SEGMENT_EPOCH_IS_MOVING(atomic_load(&rsmd_export_status(export)->epoch));
	grant->held_ns = base_clock_ns();
	if (!grant->held)
		grant->view = export->target->view;
	grant->socket = -1;
	grant->counted = &grant->own;
	grant->granted = granted;
	grant->length = export->length;
	grant->signals = &export->signals;
	grant->lease = peer && !peer->self ? &peer->lease : NULL;
	grant->guest_id = guest_id;
	grant->target = export->target;
	atomic_init(&grant->references, 1);
	DL_APPEND(export->target->grants, grant);
	return grant;
}

void rsmd_grant_close(struct rsmd_grant *grant)
{
	DL_DELETE(grant->target->grants, grant);
	grant->target = NULL;
	gate_take(grant);
	grant->closed = true;
	grant->view = (struct segment_view){0};
	grant->signals = NULL;
	grant->lease = NULL;
	grant_hang_up(grant);
	gate_give(grant);
	rsmd_grant_unref(grant);
}

void rsmd_grant_ref(struct rsmd_grant *grant)
{
	atomic_fetch_add(&grant->references, 1);
}

void rsmd_grant_unref(struct rsmd_grant *grant)
{
	if (atomic_fetch_sub(&grant->references, 1) != 1)
		return;
	pthread_mutex_destroy(&grant->gate);
	free(grant);
}
