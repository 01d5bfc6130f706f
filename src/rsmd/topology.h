/* SPDX-License-Identifier: BSD-2-Clause */
/* The node's controllers as messages, made once from the configuration, with the states of the paths as they are now. */
#ifndef RSMD_TOPOLOGY_H
#define RSMD_TOPOLOGY_H

#include "rsmd/client.h"

/* False: no memory. */
bool rsmd_topology_open(void);

/* All controllers, loopback first. Owned here, lives as long as the daemon. */
void rsmd_topology_list(Wire__Controller ***controllers, size_t *count);

#endif
