/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The service manager that started rsmd, such as systemd: it may pass the listening socket (LISTEN_FDS), and wants to be told
 * of readiness, of the end, and that the loop still runs (NOTIFY_SOCKET, WATCHDOG_USEC). Where there is none, or rsmd was
 * built without libsystemd, all of this does nothing. The loop's thread.
 */
#ifndef RSMD_MANAGER_H
#define RSMD_MANAGER_H

#include <stdbool.h>
#include <stddef.h>

/*
 * The listening socket that was passed, or -1 in *fd: none was. False: something else was passed, error tells what. The
 * descriptor is the caller's, its name in the file system stays the manager's.
 */
bool rsmd_manager_socket(int *fd, char *error, size_t size);

/* Ready: from now on the loop sends a sign of life and a line of status as often as the manager asked for. */
void rsmd_manager_ready(void);

/* Stops: no client is served any more. Nothing if the manager was never told of readiness. */
void rsmd_manager_stopping(void);

#endif
