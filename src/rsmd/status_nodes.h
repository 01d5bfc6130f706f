/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef RSMD_STATUS_NODES_H
#define RSMD_STATUS_NODES_H

#include <jansson.h>

/* This node and its paths. NULL: no memory. */
json_t *rsmd_status_nodes(void);

#endif
