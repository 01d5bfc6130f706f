/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The door to other hosts: a listening socket for each tcp controller. Who comes in has to show the cluster's key (then it is a
 * path's stream) or a ticket (then it is a data connection), see knock.h. The loop's thread.
 */
#ifndef RSMD_GATE_H
#define RSMD_GATE_H

#include <stdbool.h>
#include <stddef.h>

/* Listens on all tcp controllers. False: error tells why, for instance that the address is not one of this host. */
bool rsmd_gate_open(char *error, size_t size);
void rsmd_gate_close(void);

#endif
