/* SPDX-License-Identifier: BSD-2-Clause */
/* Who is at the other end of a local socket, asked of the kernel. */
#ifndef RSMD_IDENTITY_H
#define RSMD_IDENTITY_H

#include "rsmd/client.h"

/*
 * Fills pid, identity, groups and pidfd of a client whose socket is set. INSUFFICIENT_RESOURCES or
 * INSUFFICIENT_MEM; what was filled is freed by the caller.
 */
int rsmd_identity_read(struct rsmd_client *client);

/* Whether the process has CAP_IPC_OWNER now. */
bool rsmd_identity_owns_ipc(pid_t pid, uid_t uid);

#endif
