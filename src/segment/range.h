/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What stands at a range of this process's addresses: its mappings as /proc/self/maps and smaps tell them, and
 * which pages are populated. Read when memory is exported, never on the data path. Any thread.
 */
#ifndef SEGMENT_RANGE_H
#define SEGMENT_RANGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum segment_range_kind {
	SEGMENT_RANGE_ANONYMOUS,        /* private anonymous: heap, stack, mmap; also .bss */
	SEGMENT_RANGE_PRIVATE_FILE,     /* private mapping of a file, .data */
	SEGMENT_RANGE_HUGE,             /* private hugetlb */
	SEGMENT_RANGE_SHARED_ANONYMOUS, /* MAP_SHARED | MAP_ANONYMOUS */
	SEGMENT_RANGE_SHARED_FILE,      /* memfd, tmpfs or disk file, mapped shared; shared hugetlb */
	SEGMENT_RANGE_SYSV,             /* System V; inode is the shmid */
	SEGMENT_RANGE_OTHER             /* [vdso], [stack] guard, device memory: cannot be exported */
};

struct segment_range {
	uintptr_t start, end; /* clipped to the range that was asked for */
	enum segment_range_kind kind;
	int protection;  /* PROT_READ, PROT_WRITE, PROT_EXEC */
	uint64_t offset; /* in the file, of `start` (after clipping) */
	dev_t device;
	ino_t inode;
	size_t page_size;     /* 4096, or the hugetlb page size */
	bool locked;          /* VmFlags lo */
	bool dont_dump;       /* VmFlags dd */
	bool dont_fork;       /* VmFlags dc */
	bool huge_advised;    /* VmFlags hg */
	bool no_huge_advised; /* VmFlags nh */
	char path[256];       /* as maps prints it, cut */
};

/*
 * Lists the mappings of [address, address+length), in order, into a malloc'ed array that the caller frees.
 * BAD_ADDR when a part is not mapped, PERM_DENIED when a part is not both readable and writable (the first
 * unmapped part wins over any protection), INSUFFICIENT_MEM, INSUFFICIENT_RESOURCES.
 */
int segment_range_list(const void *address, size_t length, struct segment_range **list, size_t *count);

/*
 * The same without judging: gaps are left out, protections are as they are. For memory whose owner may have done
 * anything to it since it was exported.
 */
int segment_range_collect(const void *address, size_t length, struct segment_range **list, size_t *count);

/*
 * A descriptor for the file behind a shared mapping, without help: an own descriptor with the same dev:inode and
 * access mode (duplicated), or the path opened again and compared. -1 when there is none. Caller owns it.
 */
int segment_range_descriptor(const struct segment_range *range);

/*
 * Whether another process is seen to map the same object (dev:inode in some readable /proc/PID/maps, or a page of
 * it mapped elsewhere). Used before memory is adopted by copy that relatives might share.
 */
bool segment_range_is_shared_with_others(const struct segment_range *range);

/*
 * Calls `each` for every run of populated pages in [address, address+length), in order; a non-zero result stops
 * and is returned. Allocates nothing. PAGEMAP_SCAN, or the pagemap where the kernel has no such call.
 */
int segment_range_populated(const void *address, size_t length,
			    int (*each)(void *context, uintptr_t start, size_t length), void *context);

#endif
