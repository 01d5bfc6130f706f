/* SPDX-License-Identifier: BSD-2-Clause */
/* The same-host transport: the importer maps the very pages of the exporter. Private to this folder. */
#ifndef TRANSPORT_LOCAL_H
#define TRANSPORT_LOCAL_H

#include "transport/transport.h"

/* map.c: under the import's lock. */
int local_attach(struct transport_import *import, const struct transport_layout *layout);
void local_detach(struct transport_import *import);
int local_map(struct transport_import *import, void **address, bool fixed, int protection, uint64_t offset,
	      size_t length);
void local_unmap(struct transport_import *import);

/*
 * map.c: what the data path calls when the epoch word differs from the one its map belongs to. Aborted: CONN_ABORTED.
 * Moved: maps the new memory in the place of the old (also under an explicit map) and succeeds. Takes the lock.
 */
int local_resume(struct transport_import *import);

/* rma.c: the data path. */
uint64_t local_begin(struct transport_import *import);
int local_get(struct transport_import *import, uint64_t offset, void *target, size_t length);
int local_get_items(struct transport_import *import, uint64_t offset, void *target, size_t count,
		    unsigned width);
int local_order(struct transport_import *import);
int local_put(struct transport_import *import, uint64_t offset, const void *source, size_t length);
int local_put_items(struct transport_import *import, uint64_t offset, const void *source, size_t count,
		    unsigned width);
int local_settle(struct transport_import *import, uint64_t span);

#endif
