/* SPDX-License-Identifier: BSD-2-Clause */
/* The families of paths to other nodes, and of what their processes do here. The loop's thread. */
#include <stdio.h>
#include <stdlib.h>

#include "rsmd/guest.h"
#include "rsmd/metrics.h"
#include "rsmd/peer.h"

/* What is told of each path, in the order of `families`. */
struct path {
	uint64_t up, losses, aways, guests, connects, refusals, puts, gets, posts, received, sent;
};
#define FAMILIES (sizeof(struct path) / sizeof(uint64_t))

static const struct {
	const char *name, *help;
	void (*begin)(struct rsmd_metrics_text *text, const char *name, const char *help);
} families[FAMILIES] = {
	{"rsm_path_up", "Whether the path to the other node can be used: 1, or 0.", rsmd_metrics_gauge},
	{"rsm_path_losses_total", "How often the path was lost after it had been up.", rsmd_metrics_counter},
	{"rsm_path_aways", "Imports of the other node's segments by processes of this one.",
	 rsmd_metrics_gauge},
	{"rsm_path_guests", "Imports of this node's segments by processes of the other one.",
	 rsmd_metrics_gauge},
	{"rsm_guest_connects_total", "Connects of the other node's processes that were granted.",
	 rsmd_metrics_counter},
	{"rsm_guest_refusals_total", "Connects of the other node's processes that were refused.",
	 rsmd_metrics_counter},
	{"rsm_guest_puts_total", "Puts of the other node's processes that were served.",
	 rsmd_metrics_counter},
	{"rsm_guest_gets_total", "Gets of the other node's processes that were served.",
	 rsmd_metrics_counter},
	{"rsm_guest_posts_total", "Signals of the other node's processes that were posted here.",
	 rsmd_metrics_counter},
	{"rsm_guest_received_bytes_total", "Bytes that the other node's processes put into segments here.",
	 rsmd_metrics_counter},
	{"rsm_guest_sent_bytes_total", "Bytes that the other node's processes got from segments here.",
	 rsmd_metrics_counter},
};

static struct path path_of(const struct rsmd_peer *peer)
{
	struct rsmd_peer_counts counts = peer->counts;
	for (const struct rsmd_guest *guest = peer->guests; guest; guest = guest->next)
		rsmd_guest_count(guest, &counts);
	return (struct path){
		.up = peer->state == RSMD_PEER_ACTIVE,
		.losses = counts.losses,
		.aways = peer->away_count,
		.guests = peer->guest_count,
		.connects = counts.connects,
		.refusals = counts.refusals,
		.puts = counts.puts,
		.gets = counts.gets,
		.posts = counts.posts,
		.received = counts.bytes_in,
		.sent = counts.bytes_out,
	};
}

struct labels {
	char node[16];
	struct rsmd_metrics_label list[3];
};

static const struct rsmd_metrics_label *labels_of(struct labels *labels, const struct rsmd_peer *peer)
{
	snprintf(labels->node, sizeof(labels->node), "%u", peer->member.node);
	labels->list[0] = (struct rsmd_metrics_label){"node", labels->node};
	labels->list[1] = (struct rsmd_metrics_label){"controller", peer->member.controller->name};
	labels->list[2] = (struct rsmd_metrics_label){0};
	return labels->list;
}

/* Known only while beats are answered. */
static void round_trips(struct rsmd_metrics_text *text)
{
	struct labels labels;
	rsmd_metrics_gauge(text, "rsm_path_round_trip_seconds",
			   "Round trip of the newest beat that was answered; missing while there is none.");
	for (const struct rsmd_peer *peer = rsmd_peers; peer; peer = peer->next)
		if (!peer->self && peer->state == RSMD_PEER_ACTIVE && peer->round_trip_ns)
			rsmd_metrics_real(text, labels_of(&labels, peer), (double)peer->round_trip_ns / 1e9);
}

void rsmd_metrics_nodes(struct rsmd_metrics_text *text)
{
	const struct rsmd_peer *peer;
	struct labels labels;
	size_t count = 0;
	for (peer = rsmd_peers; peer; peer = peer->next)
		count++;
	/* All guests are looked at once, not once for each family. */
	struct path *paths = calloc(count + 1, sizeof(*paths));
	if (!paths) {
		text->failed = true;
		return;
	}
	count = 0;
	for (peer = rsmd_peers; peer; peer = peer->next)
		paths[count++] = path_of(peer);
	for (size_t family = 0; family < FAMILIES; family++) {
		families[family].begin(text, families[family].name, families[family].help);
		count = 0;
		for (peer = rsmd_peers; peer; peer = peer->next)
			rsmd_metrics_count(text, labels_of(&labels, peer),
					   ((const uint64_t *)&paths[count++])[family]);
	}
	free(paths);
	round_trips(text);
}
