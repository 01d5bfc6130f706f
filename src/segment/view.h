/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A segment's memory in this process: its extents mapped one behind the other. Used by the importing library (transport/local)
 * and by rsmd for the data connections. No function here takes a lock; errors are positive errnos.
 */
#ifndef SEGMENT_VIEW_H
#define SEGMENT_VIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "segment/extent.h"

struct segment_view {
	unsigned char *base; /* NULL: not mapped */
	uint64_t length;     /* bytes, whole pages */
	bool safe;           /* no access to it can fault: every extent is sealed memory of small pages */
};

/* Address space of `length` bytes, aligned for huge pages where they are used or may form. NULL: errno tells why. */
void *segment_view_reserve(size_t length, bool huge);

/* Maps [offset, offset+length) of the extents at `at`, where the address space is ours already. 0 or a positive errno. */
int segment_view_place(const struct segment_extent *extents, size_t count, uint64_t offset, size_t length,
		       unsigned char *at, int protection);

/* Whether one of the extents has huge pages. */
bool segment_view_is_huge(const struct segment_extent *extents, size_t count);

/*
 * Whether an access to the file never waits for a server or another process: memory, or a local disk's file system. Those
 * that lie on others (FUSE, NFS, also overlayfs, which any user can put on top of FUSE) do not count. May itself wait for
 * such a server, as fstat(2) does.
 */
bool segment_view_is_local(int fd);

/* Private zeros in the place of whatever is there. */
int segment_view_blank(void *at, size_t length, int protection);

/* Reserves and places all of it, readable and writable. `sealed`: all extents are memory of rsmd's own making. */
int segment_view_open(struct segment_view *view, const struct segment_extent *extents, size_t count,
		      uint64_t length, bool sealed);
void segment_view_close(struct segment_view *view);

/*
 * Copies between a view and other memory: 0 or EFAULT. Memory that its owner may cut short (a view that is not safe) is
 * touched by the kernel only, so that no access ends the process. `width` 0: bytes; else items, each by one access where the
 * view is safe.
 */
int segment_view_write(const struct segment_view *view, uint64_t offset, const void *from, size_t length,
		       unsigned width);
int segment_view_read(const struct segment_view *view, uint64_t offset, void *to, size_t length,
		      unsigned width);

/*
 * Whether all of it can be read just now: 0 or EFAULT. For who must know before he begins; its owner may still cut it
 * short afterwards.
 */
int segment_view_probe(const struct segment_view *view, uint64_t offset, size_t length);

#endif
