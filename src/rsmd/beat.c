/* SPDX-License-Identifier: BSD-2-Clause */
/* Beats: how long the peer's processes may touch our memory, and when the peer counts as silent (doc/protocol.md 6). */
#include <inttypes.h>
#include <time.h>

#include "base/clock.h"
#include "rsmd/loop.h"
#include "rsmd/peer_stream.h"

#define BEATS 8u /* in `dead-after` */

static uint64_t lease_ns(const struct rsmd_peer *peer)
{
	return peer->dead_after_ns / 4 * 3;
}

/* To the next beat, or to the moment at which something ends, whichever comes first. */
static void timer_set(struct rsmd_peer *peer, uint64_t now)
{
	uint64_t next = peer->dead_after_ns / BEATS, lease = atomic_load(&peer->lease),
		 silent = peer->heard_ns + peer->dead_after_ns;
	uint64_t end = (lease < silent ? lease : silent) + 1;
	if (end < now + next)
		next = end > now ? end - now : 0;
	rsmd_loop_timer_start(peer->timer, (next + 999999u) / 1000000u);
}

static uint64_t wall_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void send_beat(struct rsmd_peer *peer)
{
	Wire__PeerBeat beat;
	wire__peer_beat__init(&beat);
	uint64_t now = base_clock_boot_ns();
	beat.time_ns = now;
	beat.echo_ns = peer->heard_time_ns;
	beat.seen_ns = peer->seen_time_ns;
	beat.held_ns = now - peer->seen_ns;
	beat.wall_ns = wall_ns();
	rsmd_peer_send(peer, WIRE__PEER_MESSAGE__BODY_BEAT, &beat);
	timer_set(peer, now);
}

void rsmd_beat_start(struct rsmd_peer *peer)
{
	/* Whoever becomes a guest has heard our hello, so his node counts its silence from there, or later. */
	peer->heard_ns = peer->seen_ns = base_clock_boot_ns();
	peer->heard_time_ns = peer->seen_time_ns = 0;
	peer->arrived_ns = peer->heard_ns;
	peer->round_trip_ns = 0;
	peer->clock_known = false;
	atomic_store(&peer->lease, peer->hello_ns + lease_ns(peer));
	send_beat(peer);
}

static bool is_overdue(const struct rsmd_peer *peer, uint64_t now)
{
	return now > peer->heard_ns + peer->dead_after_ns || now > atomic_load(&peer->lease);
}

void rsmd_beat_tick(struct rsmd_peer *peer)
{
	uint64_t now = base_clock_boot_ns();
	/* After a stop of our own the beats may lie in the socket: timers come before it. */
	if (is_overdue(peer, now)) {
		rsmd_peer_ready(peer);
		if (peer->state != RSMD_PEER_ACTIVE || peer->broken)
			return;
	}
	if (now > peer->heard_ns + peer->dead_after_ns)
		rsmd_peer_end(peer, true,
			      "no beat for dead-after: the node, or the network to it, is silent");
	else if (now > atomic_load(&peer->lease))
		rsmd_peer_end(peer, false, "no beat came back for 3/4 of dead-after: the network is silent");
	else
		send_beat(peer);
}

/* False: it claims what cannot be, and would stretch the lease with it. */
static bool is_true(const struct rsmd_peer *peer, uint64_t claimed, uint64_t now)
{
	return !claimed || (claimed <= now && claimed >= peer->hello_ns);
}

void rsmd_beat_received(struct rsmd_peer *peer, const Wire__PeerBeat *said)
{
	uint64_t now = base_clock_boot_ns(), seen = said->seen_ns ? said->seen_ns : said->echo_ns;
	if (!is_true(peer, said->echo_ns, now) || !is_true(peer, seen, now)) {
		rsmd_peer_break(peer, "it echoes a beat that was never sent");
		return;
	}
	peer->seen_ns = now;
	peer->seen_time_ns = said->time_ns;
	if (seen > peer->arrived_ns)
		peer->arrived_ns = seen;
	/*
	 * While ours do not arrive, theirs do not count: a network that fails in this direction only must not hold the
	 * owner's lease, and with it our patience, up by what still comes from there.
	 */
	if (now - peer->arrived_ns <= peer->dead_after_ns / 4) {
		peer->heard_ns = now;
		peer->heard_time_ns = said->time_ns;
	}
	if (!said->echo_ns)
		return;
	uint64_t lease = said->echo_ns + lease_ns(peer);
	if (lease > atomic_load(&peer->lease))
		atomic_store(&peer->lease, lease);
	if (said->held_ns > now - seen)
		return;
	peer->round_trip_ns = now - seen - said->held_ns;
	/* For `rsm doctor` only; whatever it claims, nothing is decided by it. Older releases do not tell. */
	peer->clock_known = said->wall_ns != 0;
	peer->clock_ahead_ns = (int64_t)(said->wall_ns + peer->round_trip_ns / 2 - wall_ns());
}
