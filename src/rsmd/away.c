/* SPDX-License-Identifier: BSD-2-Clause */
#include "rsmd/away.h"

#include <inttypes.h>
#include <rsmapi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <utlist.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/reason.h"
#include "rsmd/event.h"
#include "rsmd/export.h"
#include "rsmd/metrics.h"

static struct rsmd_signals *signals_of(const struct rsmd_away *away)
{
	return &away->import.owner->away_signals;
}

static struct segment_status *status_of(const struct rsmd_away *away)
{
	return &rsmd_server.slots.table[away->slot];
}

static void ask(struct rsmd_away *away)
{
	Wire__PeerConnect asked;
	wire__peer_connect__init(&asked);
	struct rsmd_client *client = away->import.owner;
	asked.away_id = away->import.id;
	asked.segment_id = away->import.segment_id;
	asked.permission = away->permission;
	asked.uid = client->identity.uid;
	asked.gid = client->identity.gid;
	asked.groups = client->groups;
	asked.n_groups = client->identity.group_count;
	asked.pid = client->pid;
	asked.program = client->program;
	away->state = RSMD_AWAY_ASKED;
	rsmd_peer_send(away->peer, WIRE__PEER_MESSAGE__BODY_CONNECT, &asked);
}

/* The client learns by an event that there is something to fetch. */
static void tell(struct rsmd_away *away)
{
	segment_signal_post(&signals_of(away)->memory[away->import.signal_slot], 1, false);
	rsmd_signals_ring(signals_of(away), away->import.signal_slot, away->import.doorbell);
}

static void refuse(struct rsmd_away *away, int code, const char *reason)
{
	rsmd_event_import(away->import.told ? RSMD_EVENT_ABORT : RSMD_EVENT_REFUSE, &away->import, code,
			  reason);
	away->state = RSMD_AWAY_REFUSED;
	away->code = code;
	free(away->reason);
	away->reason = strdup(reason);
	explicit_bzero(&away->ticket, sizeof(away->ticket));
	tell(away);
}

/* In the order of a withdrawal: the data path sees the new generation first, then waiters wake up and see it, too. */
static void abort_connected(struct rsmd_away *away, int code, const char *reason)
{
	rsmd_event_import(RSMD_EVENT_ABORT, &away->import, code, reason);
	struct segment_status *status = status_of(away);
	uint64_t epoch = atomic_load(&status->epoch);
	away->state = RSMD_AWAY_ABORTED;
	atomic_store_explicit(&status->epoch,
			      SEGMENT_EPOCH(SEGMENT_EPOCH_GENERATION(epoch) + 1, SEGMENT_EPOCH_LAYOUT(epoch)),
			      memory_order_release);
	rsmd_signals_abort(signals_of(away), away->import.signal_slot);
	if (away->import.doorbell >= 0)
		shutdown(away->import.doorbell, SHUT_RDWR);
}

/* One that the client has not fetched it never knew: that connect fails with `code`. */
static void lose(struct rsmd_away *away, enum rsmd_metrics_cause cause, int code, const char *reason)
{
	if (away->state == RSMD_AWAY_GRANTED && away->fetched) {
		abort_connected(away, code, reason);
		rsmd_metrics.aborts[cause]++;
	} else if (away->state == RSMD_AWAY_GRANTED || away->state == RSMD_AWAY_ASKED) {
		refuse(away, code, reason); /* telling a second time does no harm */
	}
}

static struct rsmd_away *away_find(const struct rsmd_peer *peer, uint64_t id)
{
	struct rsmd_import *import;
	HASH_FIND(hh, rsmd_server.imports, &id, sizeof(id), import);
	return import && import->away && import->away->peer == peer ? import->away : NULL;
}

static void disconnect(struct rsmd_peer *peer, uint64_t guest_id)
{
	Wire__PeerDisconnect said;
	wire__peer_disconnect__init(&said);
	said.guest_id = guest_id;
	if (peer->state == RSMD_PEER_ACTIVE)
		rsmd_peer_send(peer, WIRE__PEER_MESSAGE__BODY_DISCONNECT, &said);
}

/* The generation stays as the slot's last user left it. A layout that was moving then would never come to rest. */
static void status_open(const struct rsmd_away *away)
{
	struct segment_status *status = status_of(away);
	uint64_t epoch = atomic_load(&status->epoch);
	atomic_store(&status->importers, 1);
	if (SEGMENT_EPOCH_IS_MOVING(epoch))
		atomic_store(&status->epoch,
			     SEGMENT_EPOCH(SEGMENT_EPOCH_GENERATION(epoch), SEGMENT_EPOCH_LAYOUT(epoch) + 1));
}

static int away_add(struct rsmd_away *away, struct rsmd_client *client)
{
	struct rsmd_import *import = &away->import;
	int code = rsmd_signals_open(&client->away_signals);
	if (code)
		return code;
	import->id = ++rsmd_server.last_id;
	HASH_ADD(hh, rsmd_server.imports, id, sizeof(import->id), import);
	if (!import->hh.tbl)
		return base_refuse(RSMERR_INSUFFICIENT_MEM, "rsmd has no memory for another import");
	code = rsmd_signals_take(&client->away_signals, import, &import->signal_slot);
	if (code) {
		HASH_DEL(rsmd_server.imports, import);
		return code;
	}
	import->owner = client;
	import->away = away;
	import->doorbell = -1;
	away->slot = rsmd_slot_take();
	status_open(away);
	DL_APPEND(client->imports, import);
	rsmd_counters_imports(&client->counters, ++client->import_count);
	DL_APPEND(away->peer->aways, away);
	away->peer->away_count++;
	return RSM_SUCCESS;
}

static void answer_fill(const struct rsmd_away *away, struct rsmd_answer *answer)
{
	Wire__ConnectReply *body = &answer->body.connect;
	wire__connect_reply__init(body);
	body->import_id = away->import.id;
	body->status_slot = away->slot;
	body->signal_slot = away->import.signal_slot;
	body->epoch = atomic_load(&status_of(away)->epoch);
	body->controller_index = (uint32_t)(away->peer->member.controller - rsmd_server.config.controllers);
	answer->reply.body_case = WIRE__REPLY__BODY_CONNECT;
	answer->reply.connect = body;
}

static int unreachable(const struct rsmd_peer *peer)
{
	return base_refuse(
		RSMERR_REMOTE_NODE_UNREACHABLE,
		"node %u has not been reached through %s for %llu s%s%s; is its rsmd running, and do both "
		"have the same key-file?",
		peer->member.node, peer->member.controller->name,
		(unsigned long long)((base_clock_boot_ns() - peer->lost_ns) / 1000000000u),
		peer->said[0] ? ": " : "", peer->said);
}

int rsmd_away_connect(struct rsmd_client *client, const struct rsmd_controller *controller,
		      const Wire__Connect *asked, struct rsmd_answer *answer)
{
	struct rsmd_peer *peer = rsmd_peer_find(asked->node_id, controller);
	if (!peer)
		return base_refuse(
			RSMERR_REMOTE_NODE_UNREACHABLE,
			"node %u has no path from controller %s of node %u: there is no [peer %u] with %s "
			"in its configuration",
			asked->node_id, controller->name, rsmd_server.config.node_id, asked->node_id,
			controller->name);
	if (peer->state != RSMD_PEER_ACTIVE && !rsmd_peer_is_awaited(peer))
		return unreachable(peer);
	struct rsmd_away *away = calloc(1, sizeof(*away));
	if (!away)
		return base_refuse(RSMERR_INSUFFICIENT_MEM, "rsmd has no memory for another import");
	away->peer = peer;
	away->import.segment_id = asked->segment_id;
	away->permission = asked->permission;
	int code = away_add(away, client);
	if (code) {
		free(away);
		return code;
	}
	answer->import = &away->import;
	away->state = RSMD_AWAY_WAITING;
	if (peer->state == RSMD_PEER_ACTIVE)
		ask(away);
	answer_fill(away, answer);
	answer->body.connect.pending = true;
	rsmd_answer_add_fd(answer, client->away_signals.fd, false);
	return RSM_SUCCESS;
}

void rsmd_away_end(struct rsmd_away *away)
{
	struct rsmd_import *import = &away->import;
	rsmd_event_import(RSMD_EVENT_DISCONNECT, import, 0, NULL);
	/* Of one that was asked for and not answered yet rsmd_away_connected takes care. */
	if (away->state == RSMD_AWAY_GRANTED)
		disconnect(away->peer, away->guest_id);
	rsmd_signals_give(signals_of(away), import->signal_slot);
	atomic_store(&status_of(away)->importers, 0);
	rsmd_slot_give(away->slot);
	base_fd_close(&import->doorbell);
	HASH_DEL(rsmd_server.imports, import);
	DL_DELETE(import->owner->imports, import);
	import->owner->import_count--;
	DL_DELETE(away->peer->aways, away);
	away->peer->away_count--;
	rsmd_segment_give();
	explicit_bzero(&away->ticket, sizeof(away->ticket));
	free(away->reason);
	free(away);
}

static int answer_granted(struct rsmd_away *away, struct rsmd_answer *answer)
{
	Wire__Remote *remote = &answer->remote;
	struct rsmd_peer *peer = away->peer;
	answer_fill(away, answer);
	answer->body.connect.length = away->length;
	answer->body.connect.granted = away->import.granted;
	answer->body.connect.exporter_pid = away->exporter_pid;
	answer->body.connect.exporter_uid = away->exporter_uid;
	wire__remote__init(remote);
	remote->address.data = (uint8_t *)&peer->member.address;
	remote->address.len = peer->member.address_length;
	remote->ticket_id = away->ticket.id;
	remote->ticket_secret.data = away->ticket.secret;
	remote->ticket_secret.len = sizeof(away->ticket.secret);
	remote->encrypt = peer->encrypt;
	remote->dead_after_ms = (uint32_t)(peer->dead_after_ns / 1000000u);
	answer->body.connect.remote = remote;
	answer->import = &away->import;
	away->fetched = true;
	rsmd_metrics_connect(peer->member.controller);
	return RSM_SUCCESS;
}

RSMD_HANDLER(rsmd_away_result)
{
	(void)packet;
	struct rsmd_import *import = rsmd_import_find(client, request->connect_result->import_id);
	struct rsmd_away *away = import ? import->away : NULL;
	if (!import)
		return RSMERR_BAD_SEG_HNDL;
	if (!away || away->fetched)
		return base_refuse(RSMERR_BAD_SEG_HNDL, "import %" PRIu64 " has no outcome to be fetched",
				   import->id);
	if (away->state == RSMD_AWAY_GRANTED)
		return answer_granted(away, answer);
	if (away->state == RSMD_AWAY_REFUSED) {
		int code = base_refuse(away->code, "%s", away->reason ? away->reason : "");
		rsmd_away_end(away);
		return code;
	}
	answer_fill(away, answer);
	answer->body.connect.pending = true;
	return RSM_SUCCESS;
}

void rsmd_away_connected(struct rsmd_peer *peer, const Wire__PeerConnected *said)
{
	struct rsmd_away *away = away_find(peer, said->away_id);
	if (!away || away->state != RSMD_AWAY_ASKED) {
		if (!said->code) /* the client has gone */
			disconnect(peer, said->guest_id);
		return;
	}
	if (said->code) {
		refuse(away, said->code < 256 ? (int)said->code : RSMERR_INTERNAL_ERROR, said->reason);
		return;
	}
	if (said->ticket_secret.len != sizeof(away->ticket.secret) || !said->length ||
	    said->granted != away->permission) {
		rsmd_peer_break(peer, "an answer to a connect without ticket, length or right");
		return;
	}
	away->state = RSMD_AWAY_GRANTED;
	away->guest_id = said->guest_id;
	away->length = said->length;
	away->import.granted = said->granted;
	away->exporter_pid = said->exporter_pid;
	away->exporter_uid = said->exporter_uid;
	away->ticket.id = said->ticket_id;
	memcpy(away->ticket.secret, said->ticket_secret.data, sizeof(away->ticket.secret));
	rsmd_event_import(RSMD_EVENT_CONNECT, &away->import, 0, NULL);
	tell(away);
}

void rsmd_away_aborted(struct rsmd_peer *peer, const Wire__PeerAborted *said)
{
	struct rsmd_away *away = away_find(peer, said->away_id);
	if (away)
		lose(away, RSMD_METRICS_OWNER, RSMERR_SEG_NOT_PUBLISHED, said->reason);
}

void rsmd_away_signalled(struct rsmd_peer *peer, const Wire__PeerSignal *said)
{
	struct rsmd_away *away = away_find(peer, said->away_id);
	if (!away || away->state != RSMD_AWAY_GRANTED)
		return;
	struct rsmd_signals *signals = signals_of(away);
	struct segment_signal *slot = &signals->memory[away->import.signal_slot];
	if (said->single)
		segment_signal_post(slot, 1, true);
	segment_signal_post(slot, said->count, false);
	rsmd_signals_ring(signals, away->import.signal_slot, away->import.doorbell);
}

void rsmd_aways_ask(struct rsmd_peer *peer)
{
	for (struct rsmd_away *away = peer->aways; away; away = away->next)
		if (away->state == RSMD_AWAY_WAITING)
			ask(away);
}

void rsmd_aways_lose(struct rsmd_peer *peer, const char *reason)
{
	char text[BASE_REASON_MAX];
	snprintf(text, sizeof(text), "the path to node %u through %s was lost: %s", peer->member.node,
		 peer->member.controller->name, reason);
	for (struct rsmd_away *away = peer->aways; away; away = away->next)
		lose(away, RSMD_METRICS_PATH_LOST, RSMERR_REMOTE_NODE_UNREACHABLE, text);
}

void rsmd_aways_expire(struct rsmd_peer *peer)
{
	char text[BASE_REASON_MAX];
	unreachable(peer);
	snprintf(text, sizeof(text), "%s", base_reason());
	for (struct rsmd_away *away = peer->aways; away; away = away->next)
		if (away->state == RSMD_AWAY_WAITING)
			refuse(away, RSMERR_REMOTE_NODE_UNREACHABLE, text);
}
