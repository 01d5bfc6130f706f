/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The cluster's key file: comment lines that begin with '#', then one line "rsm-key-1 " and 64 hexadecimal digits, and
 * nothing behind it.
 * All functions return RSM_SUCCESS or an RSMERR code with a reason. Any thread.
 */
#ifndef BASE_KEY_H
#define BASE_KEY_H

#include <stddef.h>
#include <stdint.h>

#define BASE_KEY_SIZE 32u

/* BAD_CONF: missing, malformed, or readable or writable for others than its owner (and a group that only reads). */
int base_key_read(const char *path, uint8_t key[BASE_KEY_SIZE]);

/* The text of a fresh key file, from getrandom(2); `size` >= 256. */
int base_key_make(char *text, size_t size);

#endif
