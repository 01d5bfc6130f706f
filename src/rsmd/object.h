/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Memory objects: what stands behind exported pages. A sealed memfd that rsmd made, or memory of the client's
 * own that is shared already: a descriptor, a file found through its /proc/PID/map_files, a System V segment.
 */
#ifndef RSMD_OBJECT_H
#define RSMD_OBJECT_H

#include "rsmd/client.h"

struct rsmd_object {
	uint64_t id;
	struct rsmd_client *owner;
	Wire__ObjectKind kind;
	int fd;                          /* read-write; -1 for System V */
	int shmid;                       /* System V, or -1 */
	uint64_t start, end;             /* offsets that extents may name */
	uint32_t uses;                   /* extents of layouts that name it */
	bool huge;                       /* offsets are multiples of 2 MiB */
	bool local;                      /* no access waits for a server: memory, or a file of a local disk */
	bool freed;                      /* goes with its last use */
	bool foreign;                    /* another user had it: pages may be pinned, which no lease shows */
	struct rsmd_object *prev, *next; /* of the same owner */
	UT_hash_handle hh;
};

/* The client's object of that id, or NULL with a reason: nobody names another's object. */
struct rsmd_object *rsmd_object_find(const struct rsmd_client *client, uint64_t id);

/* A layout names it, or no longer does; unuse may free it. */
void rsmd_object_use(struct rsmd_object *object);
void rsmd_object_unuse(struct rsmd_object *object);

/* Closes and frees it without giving its pages back: who still maps them keeps an orphan. */
void rsmd_object_forget(struct rsmd_object *object);

/*
 * A descriptor for an importer: a file opened anew with the granted access. PERM_DENIED for memory that
 * cannot be sealed and the process of another user, which would keep write access after withdrawal.
 */
int rsmd_object_open_for(struct rsmd_object *object, const struct rsmd_client *importer, bool writable,
			 int *fd);

#endif
