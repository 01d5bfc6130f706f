/* SPDX-License-Identifier: BSD-2-Clause */
/* Beats: how long the peer's processes may touch our memory, and when the peer counts as silent (doc/protocol.md 6). */
#include <inttypes.h>

#include "base/clock.h"
#include "rsmd/loop.h"
#include "rsmd/peer_stream.h"

#define BEATS 8u /* in `dead-after` */

static uint64_t lease_ns(const struct rsmd_peer *peer)
{
	return peer->dead_after_ns / 4 * 3;
}

static void send_beat(struct rsmd_peer *peer)
{
	Wire__PeerBeat beat;
	wire__peer_beat__init(&beat);
	uint64_t now = base_clock_boot_ns();
	beat.time_ns = now;
	beat.echo_ns = peer->heard_time_ns;
	beat.held_ns = now - peer->heard_ns;
	rsmd_peer_send(peer, WIRE__PEER_MESSAGE__BODY_BEAT, &beat);
	rsmd_loop_timer_start(peer->timer, peer->dead_after_ns / BEATS / 1000000u);
}

void rsmd_beat_start(struct rsmd_peer *peer)
{
	/* Whoever becomes a guest has heard our hello, so his node counts its silence from there, or later. */
	peer->heard_ns = base_clock_boot_ns();
	peer->heard_time_ns = 0;
	peer->round_trip_ns = 0;
	atomic_store(&peer->lease, peer->hello_ns + lease_ns(peer));
	send_beat(peer);
}

void rsmd_beat_tick(struct rsmd_peer *peer)
{
	uint64_t now = base_clock_boot_ns();
	if (now > peer->heard_ns + peer->dead_after_ns)
		rsmd_peer_end(peer, true,
			      "no beat for dead-after: the node, or the network to it, is silent");
	else if (now > atomic_load(&peer->lease))
		rsmd_peer_end(peer, false, "no beat came back for 3/4 of dead-after: the network is silent");
	else
		send_beat(peer);
}

void rsmd_beat_received(struct rsmd_peer *peer, const Wire__PeerBeat *said)
{
	uint64_t now = base_clock_boot_ns();
	peer->heard_ns = now;
	peer->heard_time_ns = said->time_ns;
	if (!said->echo_ns)
		return;
	/* A time that we cannot have sent would stretch the lease. */
	if (said->echo_ns > now || said->echo_ns < peer->hello_ns) {
		rsmd_peer_break(peer, "it echoes a beat that was never sent");
		return;
	}
	uint64_t lease = said->echo_ns + lease_ns(peer);
	if (lease > atomic_load(&peer->lease))
		atomic_store(&peer->lease, lease);
	if (said->held_ns <= now - said->echo_ns)
		peer->round_trip_ns = now - said->echo_ns - said->held_ns;
}
