/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The listening socket: made by one rsmd only, whatever starts at the same time; replaced when a dead one
 * left its name behind; given up without losing a client. The lock is flock(2) on the socket's directory
 * (doc/architecture.md).
 */
#ifndef RSMD_LISTEN_H
#define RSMD_LISTEN_H

#include <stdbool.h>
#include <stddef.h>

/* Default socket path of a private or of the node's rsmd. False: too long for a socket. */
bool rsmd_listen_default_path(bool private_daemon, char *path, size_t size);

/*
 * Listens at `path`. lock_fd: the directory's lock, held already by whoever started us, or -1. The socket may
 * also come from the service manager. False: error tells why, for instance that another rsmd serves this path.
 */
bool rsmd_listen_open(const char *path, int lock_fd, char *error, size_t size);

/* Where it listens, "" if that is not known (a socket without a name); `from_outside`: the socket came from systemd. */
const char *rsmd_listen_path(bool *from_outside);

/* Accepts from now on; an idle private daemon ends the loop after its time. */
bool rsmd_listen_start(void);

/* The first client came; the last one went. */
void rsmd_listen_busy(void);
void rsmd_listen_idle(void);

/* Takes the socket's name away if it still is ours. */
void rsmd_listen_close(void);

#endif
