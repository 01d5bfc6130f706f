/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * rsm_memseg_import_connect(3rsm). A segment of this node: rsmd answers at once, with the memory. A segment of
 * another node takes three steps (doc/protocol.md 3): rsmd says "pending"; the caller sleeps on the import's slot until the other
 * node has answered; then it opens the data connection. The lock is let go while it sleeps and connects, and nobody
 * knows the handle before all is done.
 */
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <string.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/probe.h"
#include "lib/count.h"
#include "lib/import.h"

#define PENDING_NS     30000000000u /* how long another node's answer is waited for; rsmd gives up before */
#define DEAD_AFTER_MAX 3600000u     /* ms */

/* What rsmd granted becomes an import: its slots. */
static int slots_take(struct lib_import *import, const struct lib_reply *reply)
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
	import->transport.ops = answer->pending ? &transport_tcp_ops : &transport_local_ops;
	import->transport.status = import->signal.status;
	import->transport.generation = import->signal.generation;
	atomic_store(&import->transport.implicit, true);
	return RSM_SUCCESS;
}

/* What it is connected to: known at once on one host, else when the other node has answered. */
static void segment_take(struct lib_import *import, const Wire__ConnectReply *answer)
{
	import->signal.exporter = lib_import_is_away(import) ? 0 : answer->exporter_pid;
	import->exporter_pid = answer->exporter_pid;
	import->exporter_uid = answer->exporter_uid;
	import->transport.length = answer->length;
	import->transport.granted = answer->granted;
}

static int signals_map(struct lib_import *import, struct wire_packet *packet, size_t index)
{
	int signals = wire_packet_take(packet, index);
	int code = signals < 0 ? base_refuse(RSMERR_INSUFFICIENT_RESOURCES,
					     "the descriptor of the segment's signals did not arrive; is "
					     "RLIMIT_NOFILE reached?")
			       : lib_signal_map(&import->signal, signals);
	base_fd_close(&signals);
	return code;
}

/* Signals and memory of a segment of this node are mapped here, nothing is left for the first access. */
static int attach_here(struct lib_import *import, struct lib_reply *reply)
{
	const Wire__ConnectReply *answer = reply->message->connect;
	struct transport_layout layout;
	segment_take(import, answer);
	int code = lib_import_layout_take(answer, &reply->packet, &layout);
	if (code == RSM_SUCCESS)
		code = signals_map(import, &reply->packet, layout.fd_count);
	if (code == RSM_SUCCESS)
		code = import->transport.ops->attach(&import->transport, &layout);
	if (code != RSM_SUCCESS)
		lib_signal_unmap(&import->signal);
	transport_layout_clear(&layout);
	return code;
}

/* ---- segments of other nodes ---- */

static int remote_take(const Wire__Remote *from, struct transport_remote *to)
{
	const size_t length = from->address.len;
	*to = (struct transport_remote){.encrypt = from->encrypt, .dead_after_ms = from->dead_after_ms};
	sa_family_t family = AF_UNSPEC;
	if (length >= sizeof family && length <= sizeof to->address)
		memcpy(&to->address, from->address.data, length);
	family = to->address.ss_family;
	if (!(family == AF_INET && length == sizeof(struct sockaddr_in)) &&
	    !(family == AF_INET6 && length == sizeof(struct sockaddr_in6)))
		return base_refuse(RSMERR_INTERNAL_ERROR, "rsmd gave an address of %zu bytes and family %d",
				   length, family);
	if (from->ticket_secret.len != WIRE_SECRET_SIZE || to->dead_after_ms == 0 ||
	    to->dead_after_ms > DEAD_AFTER_MAX)
		return base_refuse(RSMERR_INTERNAL_ERROR,
				   "rsmd gave a ticket of %zu bytes, and counts nodes as dead after %u ms",
				   from->ticket_secret.len, to->dead_after_ms);
	to->address_length = (socklen_t)length;
	to->ticket.id = from->ticket_id;
	memcpy(to->ticket.secret, from->ticket_secret.data, WIRE_SECRET_SIZE);
	return RSM_SUCCESS;
}

/* The other node's answer, as far as it is there: *is_pending says that it is not. *is_gone: rsmd has forgotten the import. */
static int result_ask(struct lib_import *import, struct transport_remote *remote, bool *is_pending,
		      bool *is_gone)
{
	*is_gone = true;
	int code = lib_daemon_check(import->signal.session);
	if (code != RSM_SUCCESS)
		return code;
	Wire__ConnectResult message = WIRE__CONNECT_RESULT__INIT;
	message.import_id = import->signal.id;
	struct lib_reply reply = {0};
	code = lib_daemon_call(WIRE__REQUEST__BODY_CONNECT_RESULT, &message, -1, &reply);
	if (code != RSM_SUCCESS)
		return code;
	*is_gone = false;
	const Wire__ConnectReply *answer = reply.message->connect;
	const bool is_answer = reply.message->body_case == WIRE__REPLY__BODY_CONNECT;
	*is_pending = is_answer && answer->pending;
	if (*is_pending) {
		code = RSM_SUCCESS;
	} else if (is_answer && answer->remote != NULL && answer->length <= LIB_IMPORT_LENGTH_MAX) {
		segment_take(import, answer);
		code = remote_take(answer->remote, remote);
	} else {
		code = base_refuse(RSMERR_INTERNAL_ERROR, "rsmd answered something else than a connection");
	}
	lib_reply_clear(&reply);
	return code;
}

/*
 * Sleeps, without the lock, until the other node has answered. After each slice rsmd is asked as well: so it is noticed
 * when it is gone.
 */
static int result_await(struct lib_import *import, struct transport_remote *remote, bool *is_gone)
{
	const uint64_t end = base_clock_ns() + PENDING_NS;
	bool consumed = false;
	*is_gone = false;
	for (;;) {
		lib_unlock();
		int error = lib_signal_sleep(&import->signal);
		lib_lock();
		if (error == EINTR)
			return base_refuse(RSMERR_INTERRUPTED, "a signal handler ran during the connect");
		bool is_pending;
		consumed |= lib_signal_consume(&import->signal);
		int code = result_ask(import, remote, &is_pending, is_gone);
		if (code != RSM_SUCCESS)
			return code;
		if (!is_pending) {
			if (!consumed) /* it was quicker than its event */
				lib_signal_consume(&import->signal);
			return RSM_SUCCESS;
		}
		if (lib_signal_is_aborted(&import->signal))
			return base_refuse(RSMERR_INTERRUPTED,
					   "the path to node %u was lost during the connect", import->node);
		if (base_clock_ns() >= end)
			return base_refuse(RSMERR_REMOTE_NODE_UNREACHABLE,
					   "node %u did not answer within %llu s", import->node,
					   (unsigned long long)(PENDING_NS / 1000000000u));
	}
}

/* The lock is held at the beginning and at the end. *is_gone: there is nothing to give back to rsmd. */
static int attach_away(struct lib_import *import, struct lib_reply *reply, bool *is_gone)
{
	struct transport_layout layout = {0};
	*is_gone = false;
	int code = signals_map(import, &reply->packet, 0);
	if (code == RSM_SUCCESS)
		code = result_await(import, &layout.remote, is_gone);
	if (code == RSM_SUCCESS) {
		import->signal.dead_after_ms = layout.remote.dead_after_ms;
		lib_unlock();
		code = import->transport.ops->attach(&import->transport, &layout);
		lib_lock();
	}
	explicit_bzero(&layout.remote.ticket, sizeof layout.remote.ticket);
	if (code != RSM_SUCCESS)
		lib_signal_unmap(&import->signal);
	return code;
}

/* ---- */

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
	const uint32_t session = lib_daemon.session;
	bool is_gone = reply.message->body_case != WIRE__REPLY__BODY_CONNECT;
	code = slots_take(import, &reply);
	if (code == RSM_SUCCESS)
		code = reply.message->connect->pending ? attach_away(import, &reply, &is_gone)
						       : attach_here(import, &reply);
	if (code != RSM_SUCCESS && !is_gone)
		lib_import_tell_disconnect(reply.message->connect->import_id, session);
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
	c->references++; /* others may release it while the lock is let go */
	code = lib_daemon_open();
	if (code == RSM_SUCCESS)
		code = import_ask(import, perm);
	if (code != RSM_SUCCESS) {
		lib_controller_release(c);
		lib_handle_free(slot);
		return code;
	}
	lib_count_open(import);
	*im_memseg = lib_handle_publish(slot, LIB_HANDLE_IMPORT);
	return RSM_SUCCESS;
}

/* No thread is cancelled half-way: nobody else knows yet what it would leave behind. */
int rsm_memseg_import_connect(rsmapi_controller_handle_t controller, rsm_node_id_t node_id,
			      rsm_memseg_id_t segment_id, rsm_permission_t perm,
			      rsm_memseg_import_handle_t *im_memseg)
{
	int state;
	BASE_PROBE3(connect_start, node_id, segment_id, perm);
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
	lib_lock();
	int code = import_connect(controller, node_id, segment_id, perm, im_memseg);
	lib_unlock();
	BASE_PROBE3(connect_done, node_id, segment_id, code);
	pthread_setcancelstate(state, NULL);
	return code;
}
