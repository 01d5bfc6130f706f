/* SPDX-License-Identifier: BSD-2-Clause */
/* Text that others wrote: clients, peers, files. Any thread. */
#ifndef BASE_TEXT_H
#define BASE_TEXT_H

#include <stddef.h>

/* Bytes of the character at `text` if it is well-formed UTF-8 and no control character (C0, DEL, C1), else 0. */
size_t base_text_character(const char *text);

/*
 * Copies, or cleans in its place, what a client, a peer or a file said: control characters, and bytes that are not UTF-8, become '?'. The copy is cut
 * between characters. Returns its length.
 */
size_t base_text_clean(char *to, size_t size, const char *from);

#endif
