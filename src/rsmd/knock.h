/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Accepted connections that have not shown yet who they are. Each has `dead-after` for it; how many may wait is bounded, the
 * oldest goes first. The loop's thread.
 */
#ifndef RSMD_KNOCK_H
#define RSMD_KNOCK_H

#include <stdbool.h>
#include <sys/socket.h>

#include "rsmd/config.h"

bool rsmd_knocks_open(void);
void rsmd_knocks_close(void);

/* Takes over an accepted socket. */
void rsmd_knock(int socket, const struct rsmd_controller *controller);

#endif
