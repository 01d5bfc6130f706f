/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The one loop behind adoption, return and move: the pages of one mapping go to a new home, piece by piece, at the
 * same address. Of the room only. Allocates nothing and takes no lock; async-signal-safe without a guard.
 *
 * A piece is either a hole of any size, of which nothing is copied, or a chunk of at most SEGMENT_CHUNK. While it is
 * in transit its stores are trapped (guard.h), all signals of this thread are blocked and the thread cannot be
 * cancelled: another thread may hold any lock while it sleeps on the piece.
 */
#ifndef SEGMENT_RELOCATE_H
#define SEGMENT_RELOCATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "segment/adopt.h"
#include "segment/populated.h"

/* Where pages live: a memfd, or, with fd -1, private memory. */
struct segment_home {
	int fd;
	uint64_t offset;  /* in the memfd, of the relocation's start */
	size_t page_size; /* of the hugetlb memfd or mapping, else the system's */
};

struct segment_relocation {
	uintptr_t start, end; /* whole pages of both homes, in one mapping */
	struct segment_home from, to;
	bool dense; /* pages that are not there have contents too: all is copied */
	bool keep;  /* the old home keeps its pages (a forked child must not punch the parent's) */
	unsigned char *
		stage; /* to private memory: what `start` comes from, mapped read-write, as long as the range */
	const struct segment_range
		*like; /* protection and attributes of the mapping, which the new one gets */
	const struct segment_guard *guard;

	struct segment_run data; /* own use: the run of data of the old home that was found last */
	uintptr_t cursor; /* out: everything below it is at its new home, everything else at the old one */
};

/* Returns 0 or a positive errno; `cursor` is valid in any case. */
int segment_relocate(struct segment_relocation *relocation);

/* madvise attributes of a mapping (not mlock) put on [start, start+length). */
void segment_relocate_advise(const struct segment_range *like, void *start, size_t length);

#endif
