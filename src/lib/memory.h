/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The memory behind this process's exports: which object of rsmd's stands at which address range.
 *
 * Objects are disjoint address ranges, found by address. Every export that uses an object covers all of it: where
 * exports overlap partly, objects are cut at the borders, so that no importer gets a descriptor that reaches
 * beyond its segment. All functions run under lib_lock and return RSM_SUCCESS or a code with a reason.
 */
#ifndef LIB_MEMORY_H
#define LIB_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/lib.h"

/*
 * Puts [address, address+length) behind objects, adopting private memory and sharing what is there already, and
 * counts a reference on each. On error everything is as it was.
 */
int lib_memory_acquire(uintptr_t address, size_t length);

/* Drops the references; what nobody references any more becomes private memory again, contents kept. */
void lib_memory_release(uintptr_t address, size_t length);

/* Tells rsmd which objects stand behind an export. */
int lib_memory_layout(const struct lib_export *export);

/* Moves the pages of these objects, where they lie in the range, to fresh ones that no importer holds. */
int lib_memory_revoke(uintptr_t address, size_t length, const uint64_t *objects, size_t count);

/*
 * The same before lib_memory_release, for those objects only that will stay shared memory after it (other exports or an
 * allocation keep them). `count` LIB_MEMORY_ALL: all such.
 */
#define LIB_MEMORY_ALL SIZE_MAX
void lib_memory_revoke_kept(uintptr_t address, size_t length, const uint64_t *objects, size_t count);

/*
 * Rebind in place: the objects of [from, from+length) get the contents of [to, to+length), stand there from now on, and
 * the old range keeps private copies. `*done` false: not possible in place (shared objects, other kinds).
 */
int lib_memory_rebind(uintptr_t from, uintptr_t to, size_t length, bool *done);

/* In a forked child: private copies of all; the objects are forgotten. */
void lib_memory_forked(void);

/* Whether a fork must wait for the child's copies. */
bool lib_memory_is_empty(void);

#endif
