/* SPDX-License-Identifier: BSD-2-Clause */
#include "rsmd/guest.h"

#include <rsmapi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <utlist.h>

#include "base/clock.h"
#include "base/reason.h"
#include "base/text.h"
#include "rsmd/counters.h"
#include "rsmd/data.h"
#include "rsmd/event.h"
#include "rsmd/export.h"
#include "rsmd/log.h"
#include "rsmd/loop.h"
#include "rsmd/metrics.h"

#define TICKET_NS   10000000000u
#define STREAM_ROOM 65536u /* bytes that may wait in the stream before events are added up */

static struct rsmd_guest *tickets; /* by id, not yet used; the oldest is the first */
static struct rsmd_timer *ticket_timer;

static void ticket_end(struct rsmd_guest *guest)
{
	if (guest->claimed)
		return;
	guest->claimed = true;
	HASH_DELETE(hh_ticket, tickets, guest);
	explicit_bzero(guest->ticket.secret, sizeof(guest->ticket.secret));
}

static uint64_t read_count(const _Atomic uint64_t *counter)
{
	return atomic_load_explicit(counter, memory_order_relaxed);
}

void rsmd_guest_count(const struct rsmd_guest *guest, struct rsmd_peer_counts *counts)
{
	const struct segment_counters_cell *counted = guest->grant->counted;
	counts->puts += read_count(&counted->puts);
	counts->gets += read_count(&counted->gets);
	counts->posts += read_count(&counted->posts);
	counts->bytes_in += read_count(&counted->bytes_put);
	counts->bytes_out += read_count(&counted->bytes_got);
}

/* If nobody told of an abort before, it is an ordinary disconnect. */
static void guest_free(struct rsmd_guest *guest)
{
	struct rsmd_import *import = &guest->import;
	rsmd_event_import(RSMD_EVENT_DISCONNECT, import, 0, NULL);
	struct rsmd_export *export = import->export;
	rsmd_grant_ref(guest->grant);
	rsmd_grant_close(guest->grant); /* the fence */
	rsmd_guest_count(guest, &guest->peer->counts);
	rsmd_counters_guest_end(guest);
	rsmd_grant_unref(guest->grant);
	rsmd_target_close(export);
	ticket_end(guest);
	rsmd_signals_give(&export->signals, import->signal_slot);
	rsmd_import_count(export, -1);
	HASH_DEL(rsmd_server.imports, import);
	DL_DELETE(guest->peer->guests, guest);
	guest->peer->guest_count--;
	rsmd_segment_give();
	free(guest);
}

/* Fences, tells the other node, frees. */
static void guest_end(struct rsmd_guest *guest, int code, const char *reason)
{
	Wire__PeerAborted said;
	wire__peer_aborted__init(&said);
	struct rsmd_peer *peer = guest->peer;
	char text[BASE_REASON_MAX]; /* the message wants one that may be written */
	snprintf(text, sizeof(text), "%s", reason);
	said.away_id = guest->away_id;
	said.code = (uint32_t)code;
	said.reason = text;
	guest_free(guest);
	rsmd_peer_send(peer, WIRE__PEER_MESSAGE__BODY_ABORTED, &said);
}

void rsmd_guest_abort(struct rsmd_guest *guest, int code, const char *reason)
{
	rsmd_event_import(RSMD_EVENT_ABORT, &guest->import, code, reason);
	guest_end(guest, code, reason);
}

void rsmd_guests_lose(struct rsmd_peer *peer)
{
	rsmd_metrics.aborts[RSMD_METRICS_PATH_LOST] += peer->guest_count;
	while (peer->guests) {
		rsmd_event_import(RSMD_EVENT_ABORT, &peer->guests->import, RSMERR_REMOTE_NODE_UNREACHABLE,
				  "the path to the importer's node was lost");
		guest_free(peer->guests);
	}
	peer->events_wait = false;
}

/* A ticket that nobody used has a slot and a segment of the limit. */
static void on_ticket_time(void *context)
{
	uint64_t now = base_clock_ns();
	(void)context;
	while (tickets && tickets->expires_ns <= now)
		rsmd_guest_abort(tickets, RSMERR_CONN_ABORTED,
				 "no data connection came within 10 s of the connect");
	if (tickets)
		rsmd_loop_timer_start(ticket_timer, (tickets->expires_ns - now) / 1000000u + 1);
}

/* Its data connection is closed, broken, or was ended for what it sent. */
static void on_connection_end(uint64_t guest_id, const char *why)
{
	struct rsmd_import *import;
	HASH_FIND(hh, rsmd_server.imports, &guest_id, sizeof(guest_id), import);
	if (!import || !import->guest)
		return; /* it was aborted meanwhile */
	struct rsmd_guest *guest = import->guest;
	if (why)
		rsmd_log_offence("node %u pid %d uid %u program %s: data connection ended: %s",
				 guest->peer->member.node, (int)guest->pid, guest->uid, guest->program, why);
	if (why)
		rsmd_guest_abort(guest, RSMERR_CONN_ABORTED, why);
	else /* its process let go, or is gone: mostly this comes before its node tells */
		guest_end(guest, RSMERR_CONN_ABORTED, "its data connection ended");
}

bool rsmd_guests_open(void)
{
	ticket_timer = rsmd_loop_timer(on_ticket_time, NULL);
	rsmd_data_on_end(on_connection_end);
	return ticket_timer != NULL;
}

/* The checks of rsm_memseg_import_connect(3rsm) for a process of another node; *found is the segment. */
static int admit(const struct rsmd_peer *peer, const Wire__PeerConnect *asked, struct rsmd_export **found)
{
	const struct rsmd_controller *controller = peer->member.controller;
	uint32_t here = rsmd_server.config.node_id;
	if (asked->permission & ~(uint32_t)RSM_PERM_RDWR)
		return base_refuse(RSMERR_PERM_DENIED,
				   "permission 0%o was asked; only read 0400 and write 0200 exist",
				   asked->permission);
	struct rsmd_export *export = rsmd_export_published(asked->segment_id);
	/* What was exported through loopback is this host's own affair. */
	if (!export || export->controller == &rsmd_server.config.controllers[0])
		return base_refuse(RSMERR_SEG_NOT_PUBLISHED,
				   "segment 0x%x is not published on node %u for other nodes (what was "
				   "exported through loopback is not)",
				   asked->segment_id, here);
	if (export->controller != controller)
		return base_refuse(
			RSMERR_REMOTE_NODE_UNREACHABLE,
			"segment 0x%x of node %u is exported through its controller %s, and was asked "
			"for through %s; connect through the other one",
			asked->segment_id, here, export->controller->name, controller->name);
	struct rsmd_identity who = {.node = peer->member.node,
				    .uid = asked->uid,
				    .gid = asked->gid,
				    .groups = asked->groups,
				    .group_count = asked->n_groups};
	const struct rsmd_identity *owner = &export->owner->identity;
	*found = export;
	/* Nobody is privileged across nodes; but a process that comes through our own network is of this node. */
	bool privileged = peer->self && asked->uid == 0;
	return rsmd_access_decide(&export->acl, owner->uid, owner->gid, &who, asked->permission, privileged);
}

/* Memory, a slot that makes posters tell us, and the right to reach both. */
static int attach(struct rsmd_guest *guest, struct rsmd_export *export)
{
	struct rsmd_import *import = &guest->import;
	struct rsmd_signals *signals = &export->signals;
	int code = rsmd_signals_open(signals);
	if (!code)
		code = rsmd_target_open(export);
	if (code)
		return code;
	code = rsmd_signals_take(signals, import, &import->signal_slot);
	if (!code) {
		guest->grant = rsmd_grant_make(export, guest->peer, import->granted, import->id);
		if (guest->grant) {
			rsmd_counters_guest(guest, export);
			atomic_store(&signals->memory[import->signal_slot].doorbell, SEGMENT_SIGNAL_FORWARD);
			return RSM_SUCCESS;
		}
		rsmd_signals_give(signals, import->signal_slot);
		code = base_refuse(RSMERR_INSUFFICIENT_MEM, "rsmd has no memory for another importer");
	}
	rsmd_target_close(export);
	return code;
}

static int ticket_make(struct rsmd_guest *guest)
{
	struct rsmd_guest *other;
	do {
		if (getrandom(&guest->ticket, sizeof(guest->ticket), 0) != sizeof(guest->ticket))
			return base_refuse(RSMERR_INSUFFICIENT_RESOURCES, "rsmd gets no random numbers");
		HASH_FIND(hh_ticket, tickets, &guest->ticket.id, sizeof(guest->ticket.id), other);
	} while (other);
	HASH_ADD(hh_ticket, tickets, ticket.id, sizeof(guest->ticket.id), guest);
	if (!guest->hh_ticket.tbl)
		return base_refuse(RSMERR_INSUFFICIENT_MEM, "rsmd has no memory for another ticket");
	guest->expires_ns = base_clock_ns() + TICKET_NS;
	if (tickets == guest)
		rsmd_loop_timer_start(ticket_timer, TICKET_NS / 1000000u + 1);
	return RSM_SUCCESS;
}

/* Enters it in all tables; guest_free undoes everything from here on. */
static int guest_add(struct rsmd_guest *guest, struct rsmd_export *export)
{
	struct rsmd_import *import = &guest->import;
	int code;
	import->id = ++rsmd_server.last_id;
	HASH_ADD(hh, rsmd_server.imports, id, sizeof(import->id), import);
	if (!import->hh.tbl)
		return base_refuse(RSMERR_INSUFFICIENT_MEM, "rsmd has no memory for another import");
	code = ticket_make(guest);
	if (!code) {
		code = attach(guest, export);
		if (code)
			ticket_end(guest);
	}
	if (code) {
		HASH_DEL(rsmd_server.imports, import);
		return code;
	}
	import->export = export;
	import->segment_id = export->segment_id;
	DL_APPEND(guest->peer->guests, guest);
	guest->peer->guest_count++;
	rsmd_import_count(export, 1);
	return RSM_SUCCESS;
}

static int guest_make(struct rsmd_peer *peer, const Wire__PeerConnect *asked, struct rsmd_guest **made)
{
	struct rsmd_export *export = NULL;
	int code = admit(peer, asked, &export);
	if (code)
		return code;
	code = rsmd_segment_take();
	if (code)
		return code;
	struct rsmd_guest *guest = calloc(1, sizeof(*guest));
	if (!guest) {
		rsmd_segment_give();
		return base_refuse(RSMERR_INSUFFICIENT_MEM, "rsmd has no memory for another import");
	}
	guest->import.guest = guest;
	guest->import.granted = asked->permission;
	guest->import.doorbell = -1;
	guest->peer = peer;
	guest->away_id = asked->away_id;
	guest->uid = asked->uid;
	guest->gid = asked->gid;
	guest->pid = asked->pid;
	base_text_clean(guest->program, sizeof(guest->program), asked->program);
	code = guest_add(guest, export);
	if (code) {
		free(guest);
		rsmd_segment_give();
		return code;
	}
	*made = guest;
	return RSM_SUCCESS;
}

static void tell_refused(const struct rsmd_peer *peer, const Wire__PeerConnect *asked, int code)
{
	rsmd_event(&(struct rsmd_event){.kind = RSMD_EVENT_REFUSE,
					.node = rsmd_server.config.node_id,
					.segment = asked->segment_id,
					.pid = asked->pid,
					.uid = asked->uid,
					.program = asked->program,
					.importer = peer->member.node,
					.access = asked->permission,
					.code = code,
					.reason = base_reason(),
					.controller = peer->member.controller->name});
}

void rsmd_guest_connect(struct rsmd_peer *peer, const Wire__PeerConnect *asked)
{
	Wire__PeerConnected answer;
	wire__peer_connected__init(&answer);
	char reason[BASE_REASON_MAX];
	struct rsmd_guest *guest = NULL;
	answer.away_id = asked->away_id;
	answer.code = (uint32_t)guest_make(peer, asked, &guest);
	if (!answer.code)
		peer->counts.connects++;
	else if (!rsmd_segment_measures(asked->segment_id))
		peer->counts.refusals++;
	if (answer.code) {
		tell_refused(peer, asked, (int)answer.code);
		snprintf(reason, sizeof(reason), "%s", base_reason());
		answer.reason = reason;
	} else if (guest) {
		rsmd_event_import(RSMD_EVENT_CONNECT, &guest->import, 0, NULL);
		const struct rsmd_export *export = guest->import.export;
		answer.guest_id = guest->import.id;
		answer.length = export->length;
		answer.granted = guest->import.granted;
		answer.exporter_pid = export->owner->pid;
		answer.exporter_uid = export->owner->identity.uid;
		answer.ticket_id = guest->ticket.id;
		answer.ticket_secret.data = guest->ticket.secret;
		answer.ticket_secret.len = sizeof(guest->ticket.secret);
	}
	rsmd_peer_send(peer, WIRE__PEER_MESSAGE__BODY_CONNECTED, &answer);
}

void rsmd_guest_disconnect(struct rsmd_peer *peer, const Wire__PeerDisconnect *said)
{
	struct rsmd_import *import;
	HASH_FIND(hh, rsmd_server.imports, &said->guest_id, sizeof(said->guest_id), import);
	if (import && import->guest && import->guest->peer == peer) /* it may just have been aborted */
		guest_free(import->guest);
}

static struct rsmd_guest *ticket_find(uint64_t id)
{
	struct rsmd_guest *guest;
	HASH_FIND(hh_ticket, tickets, &id, sizeof(id), guest);
	return guest && guest->expires_ns > base_clock_ns() ? guest : NULL;
}

const uint8_t *rsmd_guest_secret(uint64_t ticket_id)
{
	const struct rsmd_guest *guest = ticket_find(ticket_id);
	return guest ? guest->ticket.secret : NULL;
}

struct rsmd_guest *rsmd_guest_claim(const struct wire_ticket *ticket)
{
	struct rsmd_guest *guest = ticket_find(ticket->id);
	uint8_t difference = 0;
	/* Always all bytes: the time must not tell how many are right. */
	for (size_t i = 0; guest && i < sizeof(ticket->secret); i++)
		difference |= (uint8_t)(ticket->secret[i] ^ guest->ticket.secret[i]);
	if (!guest || difference)
		return NULL;
	ticket_end(guest);
	return guest;
}

/* Sends what is pending for one guest, if the stream has room. */
static void events_send(struct rsmd_guest *guest)
{
	Wire__PeerSignal said;
	wire__peer_signal__init(&said);
	struct rsmd_peer *peer = guest->peer;
	if (!guest->single && !guest->events)
		return;
	if (peer->stream && wire_stream_queued(peer->stream) > STREAM_ROOM) {
		peer->events_wait = true;
		return;
	}
	said.away_id = guest->away_id;
	said.count = guest->events;
	said.single = guest->single;
	guest->single = false;
	guest->events = 0;
	rsmd_peer_send(peer, WIRE__PEER_MESSAGE__BODY_SIGNAL, &said);
}

void rsmd_guests_signal(struct rsmd_export *export, uint32_t flags)
{
	struct rsmd_signals *signals = &export->signals;
	for (uint32_t n = 1; n < signals->slot_count; n++) {
		struct rsmd_guest *guest = signals->slots[n] ? signals->slots[n]->guest : NULL;
		if (!guest)
			continue;
		if (!(flags & RSM_SIGPOST_NO_ACCUMULATE))
			guest->events += guest->events < SEGMENT_SIGNAL_COUNT;
		else if (!guest->events) /* behind others it would not count */
			guest->single = true;
		events_send(guest);
	}
}

void rsmd_guests_flush(struct rsmd_peer *peer)
{
	if (!peer->events_wait)
		return;
	peer->events_wait = false;
	for (struct rsmd_guest *guest = peer->guests; guest; guest = guest->next)
		events_send(guest);
}
