/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Puts existing memory behind a memfd at the same address, takes it back, and moves it from one memfd to another,
 * without losing a store that another thread makes meanwhile.
 *
 * The one loop of all three: write-protect a chunk by userfaultfd, copy it to its new home, map the new home over
 * it, wake the writers. No thread is needed; nothing is allocated and all signals are blocked while a chunk is
 * protected. On error the memory is whole: every page is either at its old or at its new home and says so
 * through the cursor, and the functions roll back what they can.
 *
 * Peak extra memory is one chunk (SEGMENT_CHUNK). Pages that were never touched cost nothing; an untouched range is
 * adopted at a cost that does not depend on its size. VMA attributes (mlock, MADV_DONTDUMP, protection)
 * are put back. All functions return RSM_SUCCESS or an RSMERR code with a reason. Any thread; the caller serialises.
 */
#ifndef SEGMENT_ADOPT_H
#define SEGMENT_ADOPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "segment/range.h"

#define SEGMENT_CHUNK ((size_t)4 << 20)

/*
 * How concurrent writers are kept from losing stores, best first: a userfaultfd made from the descriptor that rsmd
 * passed; userfaultfd(2), full; userfaultfd(2) for user mode only (a system call that writes into a chunk in
 * transit gets EFAULT); nothing (writers must be quiet during the call). Probed at run time.
 */
enum segment_guard_kind { SEGMENT_GUARD_FULL, SEGMENT_GUARD_USER, SEGMENT_GUARD_NONE };

struct segment_guard {
	int fd; /* userfaultfd, or -1 */
	enum segment_guard_kind kind;
	uint64_t features; /* as UFFDIO_API reported them */
};

/* `device`: /dev/userfaultfd as rsmd passed it, or -1; stays the caller's. Never fails: kind tells what came out. */
void segment_guard_open(struct segment_guard *guard, int device);
void segment_guard_close(struct segment_guard *guard);

/*
 * Private memory (anonymous, private file, private hugetlb) -> memfd at `offset`. Also shared anonymous memory and
 * files, for a caller who knows that nobody else has them. Private file mappings cannot be guarded: their
 * writers must be quiet. Huge pages: whole ones only. BAD_ADDR for the rest, and for the stack that the caller runs on.
 */
int segment_adopt(const struct segment_range *range, int fd, uint64_t offset,
		  const struct segment_guard *guard);

/*
 * Memfd -> private anonymous memory with the same contents, at the same address. The memfd's pages are punched.
 * Parts that the application has unmapped or replaced meanwhile are left alone; the same holds for segment_move.
 */
int segment_return(void *address, size_t length, int fd, uint64_t offset, const struct segment_guard *guard);

/* Memfd -> another memfd; stale maps of the old one see an orphan. The old one's pages are punched. */
int segment_move(void *address, size_t length, int from, uint64_t from_offset, int to, uint64_t to_offset,
		 const struct segment_guard *guard);

/*
 * In a forked child, by the atfork handler: replaces the shared pages by private copies of their contents.
 * Async-signal-safe: no allocation, no lock. True when it succeeded.
 */
bool segment_copy_private(void *address, size_t length, int fd, uint64_t offset);

#endif
