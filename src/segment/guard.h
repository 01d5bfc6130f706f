/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What relocate.c asks of a guard (adopt.h) for one piece of memory. A fault that a piece traps puts its thread to
 * sleep in the kernel until the piece is woken or released. Without a userfaultfd all of it does nothing. Returns 0 or
 * a positive errno. No allocation, no lock. Of the room only.
 */
#ifndef SEGMENT_GUARD_H
#define SEGMENT_GUARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "segment/adopt.h"

#define SEGMENT_TRAP_ABSENT 1u /* any access to a page that does not exist yet */
#define SEGMENT_TRAP_WRITE  2u /* stores, once segment_guard_protect has been called */

/* EINVAL: a mapping of a kind that cannot be guarded. EBUSY: guarded by somebody else's userfaultfd. */
int segment_guard_trap(const struct segment_guard *guard, uintptr_t start, size_t length, unsigned traps);
int segment_guard_protect(const struct segment_guard *guard, uintptr_t start, size_t length);

/* The piece has another mapping now, which traps nothing: lets everybody who sleeps try again. */
void segment_guard_wake(const struct segment_guard *guard, uintptr_t start, size_t length);

/* The piece stays where it is: traps off, sleepers awake. */
void segment_guard_release(const struct segment_guard *guard, uintptr_t start, size_t length);

/* Whether write protection covers pages that do not exist yet (anonymous memory; shared memory always). */
bool segment_guard_covers_absent(const struct segment_guard *guard);

#endif
