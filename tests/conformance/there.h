/* SPDX-License-Identifier: BSD-2-Clause */
/* The other one of two nodes (run_with_rsmd --pair), and an exporter that lives there. The case is on node 1. */
#ifndef CONFORMANCE_THERE_H
#define CONFORMANCE_THERE_H

#include "pair.h"
#include "peer.h"

#define THERE_SILENCE 3000 /* milliseconds: dead-after of both nodes */

const char *there_socket(void);
rsm_node_id_t there_node(void);
pid_t there_rsmd(void);

/* A process on the other node. */
void there_start(struct peer *peer, const struct peer_user *user);

/*
 * An exporter there with one import of it in `pair`, RDWR, barrier initialised. What pair has of an export stays empty: the
 * memory is the peer's, by peer_load and peer_store.
 */
void there_open(struct peer *exporter, struct pair *pair, size_t pages);

/* Every byte of the exporter's memory from `offset` on. */
void there_expect(struct peer *exporter, size_t offset, const void *bytes, size_t length);

/* SIGUSR1 comes every 20 ms from now on, handled. */
void there_interrupt(void);

#endif
