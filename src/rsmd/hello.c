/* SPDX-License-Identifier: BSD-2-Clause */
/* First and last words of a control stream: who is there, whether both can talk, and why one leaves. */
#include <rsmapi.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "base/clock.h"
#include "base/reason.h"
#include "base/text.h"
#include "rsmd/away.h"
#include "rsmd/event.h"
#include "rsmd/loop.h"
#include "rsmd/peer_stream.h"
#include "rsmd/rsmd.h"

#define DEAD_AFTER_MAX_MS 3600000u

static uint64_t own_incarnation(void)
{
	static uint64_t incarnation;
	while (!incarnation)
		if (getrandom(&incarnation, sizeof(incarnation), 0) != sizeof(incarnation))
			incarnation = base_clock_boot_ns();
	return incarnation;
}

uint64_t rsmd_hello_own_dead_after_ns(void)
{
	return rsmd_server.config.dead_after_ms * 1000000u;
}

void rsmd_hello_send(struct rsmd_peer *peer)
{
	static char release[] = RSM_RELEASE; /* the message wants one that may be written */
	const struct rsmd_controller *controller = peer->member.controller;
	Wire__PeerHello hello;
	wire__peer_hello__init(&hello);
	char name[RSMD_NAME_MAX];
	strcpy(name, controller->name);
	hello.version = WIRE_PEER_VERSION;
	hello.node_id = rsmd_server.config.node_id;
	hello.node_name = rsmd_server.config.node_name;
	hello.controller = name;
	hello.release = release;
	hello.incarnation = own_incarnation();
	hello.dead_after_ms = (uint32_t)rsmd_server.config.dead_after_ms;
	hello.encrypt = controller->encrypt;
	hello.hwaddr = (uint64_t)(controller - rsmd_server.config.controllers);
	peer->hello_ns = base_clock_boot_ns();
	rsmd_peer_send(peer, WIRE__PEER_MESSAGE__BODY_HELLO, &hello);
}

static void refuse(struct rsmd_peer *peer, int code)
{
	Wire__PeerBye bye;
	wire__peer_bye__init(&bye);
	char reason[BASE_REASON_MAX];
	snprintf(reason, sizeof(reason), "%s", base_reason());
	bye.code = (uint32_t)code;
	bye.reason = reason;
	rsmd_peer_send(peer, WIRE__PEER_MESSAGE__BODY_BYE, &bye);
	rsmd_peer_break(peer, "%s", reason);
}

static int judge(const struct rsmd_peer *peer, const Wire__PeerHello *said)
{
	uint32_t here = rsmd_server.config.node_id, there = peer->member.node;
	if (said->version != WIRE_PEER_VERSION)
		return base_refuse(
			RSMERR_BAD_LIBRARY_VERSION,
			"rsmd %s of node %u speaks version %u of the protocol between nodes, rsmd %.31s "
			"of node %u version %u; node %u is older: install the same release on both",
			RSM_RELEASE, here, WIRE_PEER_VERSION, said->release, there, said->version,
			said->version < WIRE_PEER_VERSION ? there : here);
	if (said->node_id != there)
		return base_refuse(
			RSMERR_BAD_CONF,
			"node %u is configured at this address of %s, but node %u answers; correct the "
			"[peer] section or the id of that node",
			there, peer->member.controller->name, said->node_id);
	if (strlen(said->controller) >= sizeof(peer->controller) || !said->controller[0])
		return base_refuse(RSMERR_BAD_CONF, "node %u says no usable name of its controller", there);
	return RSM_SUCCESS;
}

void rsmd_hello_received(struct rsmd_peer *peer, const Wire__PeerHello *said)
{
	if (peer->state != RSMD_PEER_UP) {
		rsmd_peer_break(peer, "it said hello twice");
		return;
	}
	int code = judge(peer, said);
	if (code) {
		refuse(peer, code);
		return;
	}
	uint64_t theirs = said->dead_after_ms < DEAD_AFTER_MAX_MS ? said->dead_after_ms : DEAD_AFTER_MAX_MS;
	uint64_t own = rsmd_hello_own_dead_after_ns();
	/* Its rsmd fenced when it gave the old stream up, or died: in both cases what is left of that stream is over. */
	bool same = peer->incarnation == said->incarnation;
	peer->silent = false;
	rsmd_aways_lose(peer, same ? "its node gave the path up" : "the rsmd of its node was started anew");
	peer->incarnation = said->incarnation;
	strcpy(peer->controller, said->controller);
	base_text_clean(peer->release, sizeof(peer->release), said->release);
	if (!peer->member.name[0])
		base_text_clean(peer->member.name, sizeof(peer->member.name), said->node_name);
	peer->hwaddr = said->hwaddr;
	peer->encrypt = said->encrypt;
	peer->dead_after_ns = theirs * 1000000u > own ? theirs * 1000000u : own;
	peer->said[0] = '\0';
	rsmd_peer_set_state(peer, RSMD_PEER_ACTIVE);
	rsmd_event_peer(RSMD_EVENT_NODE_UP, peer, NULL);
	rsmd_beat_start(peer);
	rsmd_aways_ask(peer);
}

void rsmd_hello_bye(struct rsmd_peer *peer, const Wire__PeerBye *said)
{
	char reason[200];
	base_text_clean(reason, sizeof(reason), said->reason);
	/* A refusal before hello ends no path: its aways wait no longer than for one that is silent. */
	if (peer->state == RSMD_PEER_ACTIVE)
		rsmd_peer_set_state(peer, RSMD_PEER_LEAVING);
	if (said->code)
		rsmd_peer_break(peer, "it refuses: %s", reason);
	else
		rsmd_peer_break(peer, "its rsmd ends");
}
