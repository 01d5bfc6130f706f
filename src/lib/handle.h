/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Handles: what an application holds. A handle is the address of a slot in one reserved area, with the slot's kind and
 * use count in the low bits. So any value at all can be checked without touching memory that is not ours, a
 * freed handle is told from the next one in the same slot, and the check costs two compares.
 *
 * Slots are taken and freed under lib_lock; lookups take no lock. Freeing a handle that another thread uses is the
 * application's error, but never worse than a wrong answer: slots stay readable for ever.
 */
#ifndef LIB_HANDLE_H
#define LIB_HANDLE_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

enum lib_handle_kind {
	LIB_HANDLE_CONTROLLER = 0,
	LIB_HANDLE_EXPORT = 1,
	LIB_HANDLE_IMPORT = 2,
	LIB_HANDLE_LOCALMEM = 3
};

#define LIB_HANDLE_SLOT  256u       /* bytes of a slot; a handle's low 8 bits are kind and use count */
#define LIB_HANDLE_SLOTS (1u << 18) /* four times the default of max-segments */
#define LIB_HANDLE_KIND  3u

/* First member of everything that lives in a slot. */
struct lib_handle {
	_Atomic uintptr_t tag; /* the handle's value while in use, 0 while free */
	uint32_t next;         /* free list: index + 1 */
	uint32_t uses;
};

/* The reserved area. `committed` grows; what lies below it is readable. */
struct lib_handle_area {
	uintptr_t base;
	_Atomic size_t committed; /* bytes */
};
extern struct lib_handle_area lib_handle_area;

/* Takes a slot, zeroed but for its head. INSUFFICIENT_RESOURCES, INSUFFICIENT_MEM. Under lib_lock. */
int lib_handle_take(void **slot);

/* The value to give to the application. From this call on lookups find it. */
void *lib_handle_publish(void *slot, enum lib_handle_kind kind);

/* Gives a slot back, published or not. Under lib_lock. */
void lib_handle_free(void *slot);

/* The slot behind a value from the application, or NULL if it is not a handle of this kind in use. */
static inline void *lib_handle_find(const void *value, enum lib_handle_kind kind)
{
	uintptr_t tag = (uintptr_t)value;
	uintptr_t slot = tag & ~(uintptr_t)(LIB_HANDLE_SLOT - 1);
	if (slot - lib_handle_area.base >=
		    atomic_load_explicit(&lib_handle_area.committed, memory_order_acquire) ||
	    (tag & LIB_HANDLE_KIND) != (uintptr_t)kind)
		return NULL;
	struct lib_handle *head = (struct lib_handle *)slot;
	return atomic_load_explicit(&head->tag, memory_order_acquire) == tag ? head : NULL;
}

#endif
