/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reads the mappings of a process, one after the other: by the PROCMAP_QUERY call (Linux 6.11), which costs the same
 * however many mappings there are, or from the text of /proc/PID/maps or smaps. Allocates nothing and takes no lock:
 * a forked child uses it. One reader belongs to one thread. Of the room only.
 */
#ifndef SEGMENT_MAPS_H
#define SEGMENT_MAPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define SEGMENT_MAPS_PATH 256 /* bytes kept of a path, with the NUL */

struct segment_mapping {
	uintptr_t start, end;
	int protection; /* PROT_ bits */
	bool shared;
	uint64_t offset; /* in the file, of `start` */
	dev_t device;
	ino_t inode;
	size_t page_size; /* 0: not told (text) */
	char path[SEGMENT_MAPS_PATH];
};

struct segment_maps {
	int fd;
	bool query;        /* PROCMAP_QUERY works */
	bool skip;         /* the rest of a cut line comes next */
	size_t at, filled; /* of the text in `buffer` */
	char buffer[4096];
};

/* Returns 0 or a negative errno. */
int segment_maps_open(struct segment_maps *maps, const char *path);
void segment_maps_close(struct segment_maps *maps);

/*
 * The first mapping that ends above `from`. Successive calls must not go back. 1: found, 0: there is none,
 * negative errno.
 */
int segment_maps_next(struct segment_maps *maps, uintptr_t from, struct segment_mapping *mapping);

/* The next line of the text, without its newline, cut if longer than the buffer; NULL at the end. */
const char *segment_maps_line(struct segment_maps *maps);

/* Whether a line begins a mapping, and what it says then. Without a newline, NUL-terminated. */
bool segment_maps_parse(const char *line, struct segment_mapping *mapping);

#endif
