/* SPDX-License-Identifier: BSD-2-Clause */
/* Import segments: connect and disconnect (rsmapi.md 3.4), and where their memory is. */
#include <stdlib.h>

#include "base/fd.h"
#include "lib/lib.h"
#include "segment/memfd.h"

#define LENGTH_MAX ((uint64_t)1 << 56) /* bytes; no segment can be as long */

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
	if (from->length == 0 || from->length > LENGTH_MAX || from->offset > LENGTH_MAX)
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

/* Turns rsmd's answer into a layout, which owns the memory's descriptors from here on, also on error. */
static int layout_take(const Wire__ConnectReply *answer, struct wire_packet *packet,
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
		total += extent->length; /* at most 32 times LENGTH_MAX: no overflow */
	}
	if (answer->length > LENGTH_MAX || (answer->granted != 0 && total != answer->length))
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
		code = layout_take(reply.message->connect, &reply.packet, layout);
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

/* What rsmd granted becomes an import: signals and memory are mapped here, nothing is left for the first access. */
static int import_attach(struct lib_import *import, struct lib_reply *reply)
{
	const Wire__ConnectReply *answer = reply->message->connect;
	if (reply->message->body_case != WIRE__REPLY__BODY_CONNECT || answer->status_slot == 0 ||
	    answer->status_slot >= lib_daemon.status_slots || answer->signal_slot == 0 ||
	    answer->signal_slot >= SEGMENT_SIGNAL_SLOTS)
		return base_refuse(RSMERR_INTERNAL_ERROR, "rsmd answered something else than a connection");
	import->signal.id = answer->import_id;
	import->signal.session = lib_daemon.session;
	import->signal.slot = answer->signal_slot;
	import->signal.status = &lib_daemon.status[answer->status_slot];
	import->signal.generation = SEGMENT_EPOCH_GENERATION(answer->epoch);
	import->signal.exporter = answer->exporter_pid;
	import->exporter_pid = answer->exporter_pid;
	import->exporter_uid = answer->exporter_uid;
	import->transport.ops = &transport_local_ops;
	import->transport.status = import->signal.status;
	import->transport.generation = import->signal.generation;
	import->transport.length = answer->length;
	import->transport.granted = answer->granted;
	atomic_store(&import->transport.implicit, true);
	struct transport_layout layout;
	int code = layout_take(answer, &reply->packet, &layout);
	int signals = wire_packet_take(&reply->packet, layout.fd_count);
	if (code == RSM_SUCCESS && signals < 0)
		code = base_refuse(
			RSMERR_INSUFFICIENT_RESOURCES,
			"the descriptor of the segment's signals did not arrive; is RLIMIT_NOFILE reached?");
	if (code == RSM_SUCCESS)
		code = lib_signal_map(&import->signal, signals);
	if (code == RSM_SUCCESS)
		code = import->transport.ops->attach(&import->transport, &layout);
	if (code != RSM_SUCCESS)
		lib_signal_unmap(&import->signal);
	base_fd_close(&signals);
	transport_layout_clear(&layout);
	return code;
}

static void import_tell_disconnect(uint64_t id, uint32_t session)
{
	if (session != lib_daemon.session)
		return;
	Wire__Disconnect message = WIRE__DISCONNECT__INIT;
	message.import_id = id;
	lib_daemon_tell(WIRE__REQUEST__BODY_DISCONNECT, &message);
}

static int import_ask(struct lib_import *import, rsm_permission_t perm)
{
	Wire__Connect connect;
	wire__connect__init(&connect);
	connect.controller = import->controller->name;
	connect.node_id = import->node;
	connect.segment_id = import->segment_id;
	connect.permission = perm;
	struct lib_reply reply = {0};
	int code = lib_daemon_call(WIRE__REQUEST__BODY_CONNECT, &connect, -1, &reply);
	if (code != RSM_SUCCESS)
		return code;
	code = import_attach(import, &reply);
	if (code != RSM_SUCCESS && reply.message->body_case == WIRE__REPLY__BODY_CONNECT)
		import_tell_disconnect(reply.message->connect->import_id, lib_daemon.session);
	lib_reply_clear(&reply);
	return code;
}

/* Check order: table of rsm_memseg_import_connect. */
static int import_connect(rsmapi_controller_handle_t controller, rsm_node_id_t node_id,
			  rsm_memseg_id_t segment_id, rsm_permission_t perm,
			  rsm_memseg_import_handle_t *im_memseg)
{
	struct lib_controller *c = lib_controller_find(controller);
	if (c == NULL)
		return lib_refuse_handle("controller", controller, RSMERR_BAD_CTLR_HNDL);
	if (im_memseg == NULL)
		return base_refuse(RSMERR_BAD_SEG_HNDL, "no place to put the import handle (NULL)");
	*im_memseg = NULL;
	if ((perm & ~(rsm_permission_t)RSM_PERM_RDWR) != 0)
		return base_refuse(RSMERR_PERM_DENIED,
				   "0%o is not a permission to ask for; use RSM_PERM_READ, _WRITE or _RDWR",
				   perm);
	void *taken;
	int code = lib_handle_take(&taken);
	if (code != RSM_SUCCESS)
		return code;
	struct lib_import_slot *slot = taken;
	struct lib_import *import = &slot->import;
	import->controller = c;
	import->creator = atomic_load(&lib_pid);
	import->node = node_id;
	import->segment_id = segment_id;
	atomic_store(&import->signal.doorbell, -1);
	code = lib_daemon_open();
	if (code == RSM_SUCCESS)
		code = import_ask(import, perm);
	if (code != RSM_SUCCESS) {
		lib_handle_free(slot);
		return code;
	}
	c->references++;
	*im_memseg = lib_handle_publish(slot, LIB_HANDLE_IMPORT);
	return RSM_SUCCESS;
}

int rsm_memseg_import_connect(rsmapi_controller_handle_t controller, rsm_node_id_t node_id,
			      rsm_memseg_id_t segment_id, rsm_permission_t perm,
			      rsm_memseg_import_handle_t *im_memseg)
{
	lib_lock();
	int code = import_connect(controller, node_id, segment_id, perm, im_memseg);
	lib_unlock();
	return code;
}

static void import_free(struct lib_import *import)
{
	if (import->creator == atomic_load(&lib_pid))
		import_tell_disconnect(import->signal.id, import->signal.session);
	lib_pollfd_close(&import->signal);
	lib_signal_unmap(&import->signal);
	import->transport.ops->detach(&import->transport);
	lib_controller_release(import->controller);
	lib_handle_free((char *)import - offsetof(struct lib_import_slot, import));
}

int rsm_memseg_import_disconnect(rsm_memseg_import_handle_t im_memseg)
{
	int code = RSM_SUCCESS;
	lib_lock();
	struct lib_import *import = lib_import_find(im_memseg);
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
