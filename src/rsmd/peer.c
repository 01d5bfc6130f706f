/* SPDX-License-Identifier: BSD-2-Clause */
/* The life of a path: dialled or accepted, active, lost, dialled again. */
#include "rsmd/peer.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/key.h"
#include "base/reason.h"
#include "rsmd/away.h"
#include "rsmd/event.h"
#include "rsmd/guest.h"
#include "rsmd/log.h"
#include "rsmd/loop.h"
#include "rsmd/peer_stream.h"
#include "rsmd/rsmd.h"

#define RETRY_FIRST_MS 100u
#define RETRY_LAST_MS  1000u
#define STEADY_NS      1000000000u /* a path that lived as long is dialled again at once */

struct rsmd_peer *rsmd_peers;

static uint8_t key[BASE_KEY_SIZE];
static struct rsmd_waker *turn;

const uint8_t *rsmd_peers_key(void)
{
	return key;
}

struct rsmd_peer *rsmd_peer_find(uint32_t node, const struct rsmd_controller *controller)
{
	struct rsmd_peer *peer;
	DL_FOREACH(rsmd_peers, peer)
	if (peer->member.node == node && peer->member.controller == controller)
		return peer;
	return NULL;
}

void rsmd_peer_set_state(struct rsmd_peer *peer, enum rsmd_peer_state state)
{
	if (peer->state != state &&
	    state != RSMD_PEER_LEAVING) /* which is the end of being active, for a moment */
		peer->changed_ns = base_clock_ns();
	peer->state = state;
}

void rsmd_peer_report(struct rsmd_peer *peer, const char *why)
{
	bool told = strcmp(peer->said, why) != 0 && rsmd_log_admit(&peer->lines);
	snprintf(peer->said, sizeof(peer->said), "%s", why);
	rsmd_log(told ? RSMD_LOG_WARNING : RSMD_LOG_DEBUG, "node %u (%s) through %s: %s", peer->member.node,
		 peer->member.name[0] ? peer->member.name : "no name yet", peer->member.controller->name,
		 why);
}

void rsmd_peer_break(struct rsmd_peer *peer, const char *format, ...)
{
	va_list arguments;
	if (peer->broken)
		return;
	peer->broken = true;
	va_start(arguments, format);
	vsnprintf(peer->fault, sizeof(peer->fault), format, arguments);
	va_end(arguments);
	rsmd_peer_turn();
}

void rsmd_peer_turn(void)
{
	rsmd_loop_wake(turn);
}

static void on_turn(void *context)
{
	struct rsmd_peer *peer;
	(void)context;
	DL_FOREACH(rsmd_peers, peer)
	{
		/* cppcheck-suppress uninitvar ; a list element is one that was entered */
		if (peer->notes)
			rsmd_peer_deliver(peer);
		if (peer->again) {
			peer->again = false;
			rsmd_peer_ready(peer);
		}
		if (peer->broken)
			rsmd_peer_end(peer, peer->state == RSMD_PEER_LEAVING, peer->fault);
	}
}

/* Whether this node opens the stream. */
static bool dials(const struct rsmd_peer *peer)
{
	return rsmd_server.config.node_id < peer->member.node;
}

/* Doubling, and a quarter more or less, so that many nodes do not come at the same moment. */
static void dial_later(struct rsmd_peer *peer)
{
	uint32_t wait = peer->retry_ms;
	rsmd_loop_timer_start(peer->timer, wait - wait / 4 + (uint32_t)random() % (wait / 2 + 1));
	peer->retry_ms = !wait ? RETRY_FIRST_MS : 2 * wait > RETRY_LAST_MS ? RETRY_LAST_MS : 2 * wait;
}

static void stream_close(struct rsmd_peer *peer)
{
	wire_stream_close(peer->stream);
	peer->stream = NULL;
	rsmd_loop_unwatch(peer->watch);
	peer->watch = NULL;
	base_fd_close(&peer->socket);
	peer->again = peer->broken = false;
}

/* What waits for the path: for its return, or for the moment when the other side has fenced for certain. */
static void on_away_time(void *context)
{
	struct rsmd_peer *peer = context;
	uint64_t now = base_clock_boot_ns();
	uint64_t fenced = peer->heard_ns + peer->dead_after_ns,
		 given_up = peer->lost_ns + rsmd_hello_own_dead_after_ns();
	if (peer->silent && now >= fenced) {
		peer->silent = false;
		rsmd_aways_lose(peer, "its node, or the network to it, is silent");
	}
	if (peer->state == RSMD_PEER_ACTIVE)
		return;
	if (now >= given_up)
		rsmd_aways_expire(peer);
	uint64_t next = peer->silent && fenced < given_up ? fenced : given_up;
	if (peer->silent || now < given_up)
		rsmd_loop_timer_start(peer->away_timer, (next > now ? next - now : 0) / 1000000u + 1);
}

void rsmd_peer_end(struct rsmd_peer *peer, bool gone, const char *why)
{
	bool was_active = peer->state == RSMD_PEER_ACTIVE || peer->state == RSMD_PEER_LEAVING;
	bool steady = was_active && base_clock_ns() - peer->changed_ns > STEADY_NS;
	char reason[sizeof(peer->fault)]; /* `why` may be peer->fault */
	snprintf(reason, sizeof(reason), "%s", why);
	if (!peer->self)
		atomic_store(&peer->lease, 0);
	rsmd_guests_lose(peer);
	peer->counts.losses += was_active;
	if (was_active)
		rsmd_event_peer(RSMD_EVENT_NODE_DOWN, peer, reason);
	else
		rsmd_peer_report(peer, reason);
	if (peer->self) { /* no memory: there is no stream to end */
		peer->broken = false;
		rsmd_aways_lose(peer, reason);
		return;
	}
	stream_close(peer);
	rsmd_peer_set_state(peer, RSMD_PEER_DOWN);
	uint64_t now = base_clock_boot_ns();
	if (was_active) {
		peer->lost_ns = now;
		peer->silent = !gone && now < peer->heard_ns + peer->dead_after_ns;
		if (!peer->silent)
			rsmd_aways_lose(peer, reason);
	}
	rsmd_loop_timer_start(peer->away_timer, 0);
	if (steady)
		peer->retry_ms = 0;
	if (dials(peer))
		dial_later(peer);
	else
		rsmd_loop_timer_stop(peer->timer);
}

bool rsmd_peer_is_awaited(struct rsmd_peer *peer)
{
	if (base_clock_boot_ns() >= peer->lost_ns + rsmd_hello_own_dead_after_ns())
		return false;
	on_away_time(peer);
	return true;
}

static void on_time(void *context)
{
	struct rsmd_peer *peer = context;
	if (peer->broken)
		return;
	if (peer->state == RSMD_PEER_ACTIVE)
		rsmd_beat_tick(peer);
	else if (peer->socket >= 0)
		rsmd_peer_end(peer, false,
			      peer->state == RSMD_PEER_UP ? "no hello within dead-after"
							  : "no connection within dead-after");
	else
		rsmd_peer_dial(peer);
}

void rsmd_peer_accept(struct rsmd_peer *peer, int socket, struct wire_stream *stream)
{
	if (peer->socket >= 0)
		rsmd_peer_end(peer, false, "its rsmd opened another stream");
	peer->watch = rsmd_loop_watch(socket, rsmd_peer_ready, peer);
	if (!peer->watch) {
		wire_stream_close(stream);
		base_fd_close(&socket);
		rsmd_peer_report(peer, "no memory for a stream");
		return;
	}
	peer->socket = socket;
	peer->stream = stream;
	/* What TLS has read already does not make the socket readable. */
	peer->again = true;
	rsmd_peer_turn();
}

static bool joined(const struct rsmd_member *member)
{
	struct rsmd_peer *peer = calloc(1, sizeof(*peer));
	if (!peer)
		return false;
	peer->timer = rsmd_loop_timer(on_time, peer);
	peer->away_timer = rsmd_loop_timer(on_away_time, peer);
	peer->member = *member;
	peer->self = member->node == rsmd_server.config.node_id;
	peer->socket = -1;
	peer->lost_ns = base_clock_boot_ns();
	peer->dead_after_ns = rsmd_hello_own_dead_after_ns();
	peer->changed_ns = base_clock_ns();
	peer->state = peer->self ? RSMD_PEER_ACTIVE : RSMD_PEER_DOWN;
	if (peer->self) {
		atomic_store(&peer->lease, UINT64_MAX);
		strcpy(peer->controller, member->controller->name);
		strcpy(peer->release, RSM_RELEASE);
		peer->hwaddr = (uint64_t)(member->controller - rsmd_server.config.controllers);
		peer->encrypt = member->controller->encrypt;
	}
	DL_APPEND(rsmd_peers, peer);
	if (!peer->timer || !peer->away_timer)
		return false; /* the daemon ends */
	if (!peer->self && dials(peer))
		rsmd_loop_timer_start(peer->timer, 0);
	return true;
}

/* Only a source that knows more than heartbeats calls it. */
static void left(uint32_t node)
{
	struct rsmd_peer *peer;
	DL_FOREACH(rsmd_peers, peer)
	if (peer->member.node == node && peer->state != RSMD_PEER_DOWN)
		rsmd_peer_break(peer, "it left the cluster");
}

/* The paths of `loop = yes` controllers to this very node. */
static bool open_self(void)
{
	const struct rsmd_config *config = &rsmd_server.config;
	for (size_t i = 1; i < config->controller_count; i++) {
		struct rsmd_member self = {.node = config->node_id, .controller = &config->controllers[i]};
		if (!config->controllers[i].loop)
			continue;
		strcpy(self.name, config->node_name);
		self.address = config->controllers[i].address;
		self.address_length = config->controllers[i].address_length;
		if (!joined(&self))
			return false;
	}
	return true;
}

bool rsmd_peers_open(char *error, size_t size)
{
	const struct rsmd_config *config = &rsmd_server.config;
	if (config->peer_count && base_key_read(config->key_file, key)) {
		snprintf(error, size, "%s", base_reason());
		return false;
	}
	turn = rsmd_loop_waker(on_turn, NULL);
	if (turn && open_self() && rsmd_member_static.open(joined, left))
		return true;
	snprintf(error, size, "no memory for the paths to other nodes");
	return false;
}

void rsmd_peers_close(void)
{
	Wire__PeerBye bye;
	wire__peer_bye__init(&bye);
	static char reason[] = "rsmd ends";
	struct rsmd_peer *peer;
	bye.reason = reason;
	DL_FOREACH(rsmd_peers, peer)
	{
		/* cppcheck-suppress uninitvar ; the same */
		if (!peer->self)
			atomic_store(&peer->lease, 0);
		rsmd_guests_lose(peer);
		if (peer->self || peer->socket < 0)
			continue;
		rsmd_peer_send(peer, WIRE__PEER_MESSAGE__BODY_BYE, &bye);
		/* Our processes learn of the end by their data connections, once that side has fenced. */
		stream_close(peer);
		rsmd_peer_set_state(peer, RSMD_PEER_DOWN);
	}
}
