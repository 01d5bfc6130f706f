/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One object: a piece of shared memory of rsmd's and the address range of this process where it stands. Private to the
 * memory_*.c files. Under lib_lock.
 */
#ifndef LIB_OBJECT_H
#define LIB_OBJECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "segment/adopt.h"
#include "segment/range.h"
#include "wire/rsm.pb-c.h"

struct lib_object {
	uintptr_t start;
	size_t length;    /* bytes */
	uint64_t id;      /* rsmd's */
	uint32_t session; /* conversation that the id belongs to */
	int fd;           /* sealed objects: the memfd; else -1 */
	uint64_t offset;  /* bytes, of `start` in the object */
	dev_t device;     /* what /proc/self/maps shows at the range */
	ino_t inode;
	bool sealed; /* made by rsmd: can be moved, and turned back into private memory */
	bool huge;
	bool allocation;     /* part of an rsmx_alloc, which keeps the object alive */
	unsigned references; /* exports that cover it */
};

/* The first object that overlaps [start, end), or NULL. */
struct lib_object *lib_object_first(uintptr_t start, uintptr_t end);

/* Enters an object into the tree; false without memory. Taking it out never fails. */
bool lib_object_enter(struct lib_object *object);
void lib_object_remove(struct lib_object *object);

/* A sealed object of rsmd's, nowhere mapped yet and not entered. NULL with a reason in the code. */
int lib_object_create(size_t length, bool huge, struct lib_object **object);

/* Forgets an object here and at rsmd, which gives the pages back. */
void lib_object_discard(struct lib_object *object);

/* Moves the pages of a sealed object to a fresh one which takes its place here; the old one is discarded. */
int lib_object_move(struct lib_object *object);

/* Cuts a sealed object in two at `address`, which lies inside; both halves get fresh memory. */
int lib_object_cut(struct lib_object *object, uintptr_t address);

/* Turns what still stands at the object's range back into private memory. */
int lib_object_return(struct lib_object *object);

/* Tells rsmd the new layout of every export that covers [start, end). */
int lib_object_relayout(uintptr_t start, uintptr_t end);

/* The guard for writers, as good as rsmd and the kernel allow. */
void lib_object_guard(struct segment_guard *guard);

void lib_object_each(void (*each)(struct lib_object *object));

/* After fork, in the child: forget them all without telling anybody. */
void lib_object_forget_all(void);

#endif
