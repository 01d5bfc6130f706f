/* SPDX-License-Identifier: BSD-2-Clause */
/* Where rsmd is looked for: its sockets, and the program that is started where nobody listens. Any thread. */
#ifndef BASE_PLACE_H
#define BASE_PLACE_H

#include <stdbool.h>
#include <stddef.h>

#define BASE_PLACE_SYSTEM_SOCKET "/run/rsm/rsmd.sock"

/* The directory of this user's private socket, rsmd.sock; it need not exist. False: longer than `size`. */
bool base_place_private(char *directory, size_t size);

/*
 * rsmd: beside the library's prefix, in the build tree, in PATH. `library` is any address inside librsm. False: nowhere.
 */
bool base_place_program(const void *library, char *program, size_t size);

#endif
