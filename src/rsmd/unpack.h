/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Unpacks requests into one region of memory, used again for each. A request of 1 MiB can hold half a million
 * messages: taken from the heap one by one, and freed so, they would keep the loop busy for long and leave the
 * heap large. Texts are clean (base/text.h). The loop's thread only.
 */
#ifndef RSMD_UNPACK_H
#define RSMD_UNPACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/peer.pb-c.h"
#include "wire/rsm.pb-c.h"

/* Reserves the region. False: no address space for it. */
bool rsmd_unpack_open(void);

/* NULL: not a request, or one that does not fit. It lives until rsmd_unpack_reset, so nothing may point to it then. */
Wire__Request *rsmd_unpack(const uint8_t *body, size_t length);
Wire__PeerMessage *rsmd_unpack_peer(const uint8_t *body, size_t length);
void rsmd_unpack_reset(void);

#endif
