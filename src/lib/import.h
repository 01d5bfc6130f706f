/* SPDX-License-Identifier: BSD-2-Clause */
/* What connect.c and import.c share. Under lib_lock. */
#ifndef LIB_IMPORT_H
#define LIB_IMPORT_H

#include "lib/lib.h"

#define LIB_IMPORT_LENGTH_MAX ((uint64_t)1 << 56) /* bytes; no segment can be as long */

/* Turns rsmd's answer into a layout, which owns the memory's descriptors from here on, also on error. */
int lib_import_layout_take(const Wire__ConnectReply *answer, struct wire_packet *packet,
			   struct transport_layout *layout);

void lib_import_tell_disconnect(uint64_t id, uint32_t session);

#endif
