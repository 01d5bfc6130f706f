/* SPDX-License-Identifier: BSD-2-Clause */
/* Export segments: created, given memory, published under an id, withdrawn. Ids are unique on this node. */
#ifndef RSMD_EXPORT_H
#define RSMD_EXPORT_H

#include "rsmd/access.h"
#include "rsmd/client.h"
#include "rsmd/object.h"
#include "rsmd/signal.h"

struct rsmd_target;

struct rsmd_extent {
	struct rsmd_object *object;
	uint64_t offset, length; /* bytes, in the object */
};

struct rsmd_export {
	uint64_t id;
	struct rsmd_client *owner; /* its uid and gid are the exporter's */
	const struct rsmd_controller *controller;
	uint64_t length, address;
	uint32_t umask;
	uint32_t slot;       /* in the status table */
	uint32_t segment_id; /* 0: not published */
	uint32_t importers;  /* connected handles */
	uint64_t published_ns;
	struct rsmd_acl acl;         /* while published */
	struct rsmd_extent *extents; /* NULL: no memory yet */
	size_t extent_count;
	bool exposed; /* an importer may hold memory that this export gave out */
	struct rsmd_signals signals;
	struct rsmd_target *target;      /* its memory as guests reach it; NULL: no guest */
	struct rsmd_export *prev, *next; /* of the same owner */
	UT_hash_handle hh, hh_published;
};

/* The client's own export of that id, or NULL with a reason. */
struct rsmd_export *rsmd_export_find(const struct rsmd_client *client, uint64_t id);

/* The published segment of that id on this node, or NULL. */
struct rsmd_export *rsmd_export_published(uint32_t segment_id);
int rsmd_export_missing(uint32_t segment_id); /* the refusal when there is none */

/* Its line of the status table. */
struct segment_status *rsmd_export_status(const struct rsmd_export *export);

/* Withdraws it and frees all it has. */
void rsmd_export_end(struct rsmd_export *export);

#endif
