/* SPDX-License-Identifier: BSD-2-Clause */
/* Descriptors of the library and of rsmd: close-on-exec, never 0, 1 or 2. Any thread. */
#ifndef BASE_FD_H
#define BASE_FD_H

/* Moves a descriptor above 2 if it is below; -1 stays -1. Returns the descriptor that the caller now owns. */
int base_fd_above_stdio(int fd);

/* Closes *fd if it is not -1 and sets it to -1. Keeps errno. */
void base_fd_close(int *fd);

#endif
