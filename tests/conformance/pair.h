/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What most cases start from: c, L, E and I of the conformance statements, all in the case's own process. Everything
 * fails the case when it does not work.
 */
#ifndef CONFORMANCE_PAIR_H
#define CONFORMANCE_PAIR_H

#include "suite.h"

struct pair {
	rsmapi_controller_handle_t controller;
	rsm_node_id_t node;
	uint8_t *memory; /* page-aligned, freed by nobody: the case's process ends */
	size_t length;   /* bytes */
	rsm_memseg_export_handle_t e;
	rsm_memseg_id_t id;
	rsm_memseg_import_handle_t i;
	rsmapi_barrier_t barrier;
};

rsmapi_controller_handle_t pair_controller(const char *name);
rsm_node_id_t pair_node(void);

/* Page-aligned heap memory of this many pages, every byte set. */
uint8_t *pair_memory(size_t pages, int value);

/* Steps of pair_open: create (zeroed memory, RSM_ALLOW_REBIND), publish (no list, id chosen by the system), connect. */
void pair_export(struct pair *pair, size_t pages);
void pair_publish(struct pair *pair);
void pair_connect(struct pair *pair, rsm_permission_t permission);

/* One published page, connected RDWR, barrier initialised. */
void pair_open(struct pair *pair);
void pair_open_pages(struct pair *pair, size_t pages);

/* One more import of the same segment; with a barrier when `barrier` is given. */
rsm_memseg_import_handle_t pair_import(const struct pair *pair, rsm_permission_t permission,
				       rsmapi_barrier_t *barrier);

/*
 * What the exporter has posted is with the importers when this returns: through a network it comes after the post, and
 * the answer to a further connect comes behind it.
 */
void pair_settle(const struct pair *pair);

/* Disconnects, destroys, releases: all must succeed. */
void pair_close(struct pair *pair);

/* rsm_memseg_import_get / _put of a few bytes, for one-line checks. */
int pair_put_byte(rsm_memseg_import_handle_t import, off_t offset, int value);
int pair_get_byte(rsm_memseg_import_handle_t import, off_t offset);

#endif
