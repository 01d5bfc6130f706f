/* SPDX-License-Identifier: BSD-2-Clause */
/* What rsmd says of the node under test, and what it holds. Fails the case when it cannot be asked. */
#ifndef SYSTEM_NODE_H
#define SYSTEM_NODE_H

#include <rsmapi.h>

struct node_counts {
	int clients, exports, published, imports, objects;
	int descriptors; /* open in rsmd; -1 when they cannot be seen */
};

struct node_counts node_counts(void);

/* Until rsmd has again what it had at `before`: nothing of the dead is left. */
void node_until(const char *file, int line, const struct node_counts *before);
#define NODE_UNTIL(before) node_until(__FILE__, __LINE__, before)

/* Import handles connected to a published segment. */
int node_importers(rsm_memseg_id_t id);

#endif
