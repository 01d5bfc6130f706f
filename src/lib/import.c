/* SPDX-License-Identifier: BSD-2-Clause */
/* Import segments: where their memory is, and disconnect. connect.c makes them. */
#include "lib/import.h"

#include <stdlib.h>

#include "base/fd.h"
#include "lib/count.h"
#include "segment/memfd.h"

/* Takes the memory's descriptors, which come first, out of the packet. A missing one is -1. */
static void layout_take_fds(const Wire__ConnectReply *answer, struct wire_packet *packet,
			    struct transport_layout *layout)
{
	size_t count = 0;
	for (size_t i = 0; i < answer->n_extents; i++)
		if (answer->extents[i]->kind != WIRE__OBJECT_KIND__OBJECT_SYSV &&
		    answer->extents[i]->fd_index >= count)
			count = (size_t)answer->extents[i]->fd_index + 1;
	layout->fd_count = count < SEGMENT_EXTENTS_MAX ? count : SEGMENT_EXTENTS_MAX;
	for (size_t i = 0; i < layout->fd_count; i++)
		layout->fds[i] = wire_packet_take(packet, i);
}

/* A piece that its file does not have would be a bus error at the first access: it is looked at before. */
static int extent_take(const Wire__Extent *from, const struct transport_layout *layout,
		       struct segment_extent *to)
{
	const bool sysv = from->kind == WIRE__OBJECT_KIND__OBJECT_SYSV;
	*to = (struct segment_extent){.fd = -1, .shmid = -1, .offset = from->offset, .length = from->length};
	if (from->length == 0 || from->length > LIB_IMPORT_LENGTH_MAX || from->offset > LIB_IMPORT_LENGTH_MAX)
		return base_refuse(RSMERR_INTERNAL_ERROR, "rsmd describes a piece of impossible length");
	if (sysv) {
		to->shmid = (int)from->shmid;
		return RSM_SUCCESS;
	}
	to->fd = from->fd_index < layout->fd_count ? layout->fds[from->fd_index] : -1;
	if (to->fd < 0)
		return base_refuse(
			RSMERR_INSUFFICIENT_RESOURCES,
			"a descriptor of the segment's memory did not arrive; is RLIMIT_NOFILE reached?");
	/* Whether it may be written the map will say. */
	return segment_memfd_verify(to->fd, from->offset + from->length, false,
				    from->kind == WIRE__OBJECT_KIND__OBJECT_SEALED) == RSM_SUCCESS
		       ? RSM_SUCCESS
		       : RSMERR_INTERNAL_ERROR;
}

int lib_import_layout_take(const Wire__ConnectReply *answer, struct wire_packet *packet,
			   struct transport_layout *layout)
{
	*layout = (struct transport_layout){.epoch = answer->epoch};
	layout_take_fds(answer, packet, layout);
	if (answer->n_extents > SEGMENT_EXTENTS_MAX)
		return base_refuse(RSMERR_INTERNAL_ERROR,
				   "rsmd describes a segment of %zu pieces, at most %d are possible",
				   answer->n_extents, SEGMENT_EXTENTS_MAX);
	uint64_t total = 0;
	for (; layout->count < answer->n_extents; layout->count++) {
		struct segment_extent *extent = &layout->extents[layout->count];
		int code = extent_take(answer->extents[layout->count], layout, extent);
		if (code != RSM_SUCCESS)
			return code;
		total += extent->length; /* at most 32 times LIB_IMPORT_LENGTH_MAX: no overflow */
	}
	if (answer->length > LIB_IMPORT_LENGTH_MAX || (answer->granted != 0 && total != answer->length))
		return base_refuse(RSMERR_INTERNAL_ERROR, "rsmd describes %llu bytes of a segment of %llu",
				   (unsigned long long)total, (unsigned long long)answer->length);
	return RSM_SUCCESS;
}

static struct lib_import *import_of(struct transport_import *transport)
{
	return (struct lib_import *)((char *)transport - offsetof(struct lib_import, transport));
}

int transport_layout_fetch(struct transport_import *transport, struct transport_layout *layout)
{
	struct lib_import *import = import_of(transport);
	*layout = (struct transport_layout){0};
	if (import->creator != atomic_load(&lib_pid))
		return base_refuse(RSMERR_CONN_ABORTED,
				   "process %d connected this segment; a forked child connects anew",
				   import->creator);
	int code = lib_daemon_check(import->signal.session);
	if (code != RSM_SUCCESS)
		return code;
	Wire__ImportLayout message = WIRE__IMPORT_LAYOUT__INIT;
	message.import_id = import->signal.id;
	struct lib_reply reply = {0};
	code = lib_daemon_call(WIRE__REQUEST__BODY_IMPORT_LAYOUT, &message, -1, &reply);
	if (code != RSM_SUCCESS)
		return code;
	if (reply.message->body_case == WIRE__REPLY__BODY_CONNECT &&
	    reply.message->connect->length == transport->length)
		code = lib_import_layout_take(reply.message->connect, &reply.packet, layout);
	else
		code = base_refuse(RSMERR_INTERNAL_ERROR, "rsmd answered something else than a layout");
	lib_reply_clear(&reply);
	if (code != RSM_SUCCESS)
		transport_layout_clear(layout);
	return code;
}

void transport_layout_clear(struct transport_layout *layout)
{
	for (size_t i = 0; i < layout->fd_count; i++)
		base_fd_close(&layout->fds[i]);
	layout->fd_count = layout->count = 0;
}

void lib_import_tell_disconnect(uint64_t id, uint32_t session)
{
	if (session != lib_daemon.session)
		return;
	Wire__Disconnect message = WIRE__DISCONNECT__INIT;
	message.import_id = id;
	lib_daemon_tell(WIRE__REQUEST__BODY_DISCONNECT, &message);
}

static void import_free(struct lib_import *import)
{
	if (import->creator == atomic_load(&lib_pid))
		lib_import_tell_disconnect(import->signal.id, import->signal.session);
	lib_count_close(import);
	lib_pollfd_close(&import->signal);
	lib_signal_unmap(&import->signal);
	import->transport.ops->detach(&import->transport);
	lib_controller_release(import->controller);
	lib_handle_free((char *)import - offsetof(struct lib_import_slot, import));
}

int rsm_memseg_import_disconnect(rsm_memseg_import_handle_t im_memseg)
{
	int code = RSM_SUCCESS;
	/* What was put in explicit mode arrives, as it does on one host. Waits for the other node, so without the lock. */
	struct lib_import *import = lib_import_find(im_memseg);
	if (import != NULL && lib_import_is_away(import) && !transport_is_aborted(&import->transport))
		import->transport.ops->order(&import->transport);
	lib_lock();
	import = lib_import_find(im_memseg);
	if (import == NULL)
		code = lib_refuse_handle("import", im_memseg, RSMERR_BAD_SEG_HNDL);
	else if (import->transport.window != NULL)
		code = base_refuse(RSMERR_SEG_STILL_MAPPED,
				   "the segment is mapped at %p; call rsm_memseg_import_unmap",
				   import->transport.window);
	else if (import->signal.pollfd_references > 0)
		code = base_refuse(RSMERR_POLLFD_IN_USE,
				   "%u references to the segment's poll descriptor remain; call "
				   "rsm_memseg_release_pollfd",
				   import->signal.pollfd_references);
	else
		import_free(import);
	lib_unlock();
	return code;
}
