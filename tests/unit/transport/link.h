/* SPDX-License-Identifier: BSD-2-Clause */
/* A stub whose segment is the node's (node.h). */
#ifndef UNIT_TRANSPORT_LINK_H
#define UNIT_TRANSPORT_LINK_H

#include "node.h"
#include "stub.h"
#include "transport/tcp/tcp.h"

/* Attaches; `layout` is filled but for encrypt and dead_after_ms (0: 2000). */
int node_connect(struct stub *stub, struct transport_layout *layout);
void node_connect_well(struct stub *stub);
void node_disconnect(struct stub *stub);

#endif
