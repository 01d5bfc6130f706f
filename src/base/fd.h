/* SPDX-License-Identifier: BSD-2-Clause */
/* Descriptors of the library and of rsmd: close-on-exec, never 0, 1 or 2. Any thread. */
#ifndef BASE_FD_H
#define BASE_FD_H

#include <stddef.h>

/* Moves a descriptor above 2 if it is below; -1 stays -1. Returns the descriptor that the caller now owns. */
int base_fd_above_stdio(int fd);

/* Closes *fd if it is not -1 and sets it to -1. Keeps errno. */
void base_fd_close(int *fd);

/*
 * Writes all of it. Before each write, waits up to `timeout_ms` for room; -1: for ever. Returns 0, EAGAIN when there was no room,
 * or what write(2) says. Up to PIPE_BUF bytes go into a pipe whole or not at all, and without waiting any longer, unless others
 * write into it at the same moment. Async-signal-safe.
 */
int base_fd_write(int fd, const void *bytes, size_t length, int timeout_ms);

#endif
