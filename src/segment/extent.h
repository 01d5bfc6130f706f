/* SPDX-License-Identifier: BSD-2-Clause */
/* One contiguous piece of the memory behind a segment, as the importing side maps it. */
#ifndef SEGMENT_EXTENT_H
#define SEGMENT_EXTENT_H

#include <stddef.h>
#include <stdint.h>

#define SEGMENT_EXTENTS_MAX 32 /* pieces of one segment */

struct segment_extent {
	int fd;          /* to be mapped, or -1 for System V */
	int shmid;       /* System V segment, or -1 */
	uint64_t offset; /* bytes, into the descriptor or the System V segment */
	uint64_t length; /* bytes */
};

#endif
