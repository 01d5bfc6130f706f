/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The node's state as JSON, for tools: one function for each thing that rsmx_status can ask. Schema 1: keys are only
 * added. Every client may ask, so nothing that is secret is told. Loop's thread. The caller owns what is returned; NULL: no
 * memory.
 */
#ifndef RSMD_STATUS_H
#define RSMD_STATUS_H

#include <jansson.h>
#include <stdint.h>
#include <sys/types.h>

struct rsmd_export;

json_t *rsmd_status_node(void);     /* "status" */
json_t *rsmd_status_nodes(void);    /* this node and its paths to others */
json_t *rsmd_status_config(void);   /* the settings, and where each came from */
json_t *rsmd_status_health(void);   /* what this daemon may and has, for `rsm doctor` */
json_t *rsmd_status_segments(void); /* all that are published */
json_t *rsmd_status_segment(const struct rsmd_export *export, uid_t asker);

/* Parts of them. What a client, a file or another node calls itself need not be UTF-8. */
json_t *rsmd_status_text(const char *bytes);
json_t *rsmd_status_octal(uint32_t mode);
double rsmd_status_seconds_since(uint64_t ns);

#endif
