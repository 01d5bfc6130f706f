/* SPDX-License-Identifier: BSD-2-Clause */
/* Runs of populated pages without allocation, for the loop of relocate.c. Of the room only. */
#ifndef SEGMENT_POPULATED_H
#define SEGMENT_POPULATED_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define SEGMENT_RUNS_MAX 512 /* with more of them in one request the kernel may report some twice */

/* As the kernel's struct page_region. */
struct segment_run {
	uint64_t start, end; /* addresses */
	uint64_t categories; /* the kernel's own */
};

/* This process's pagemap, or a negative errno. The caller closes it. */
int segment_pagemap_open(void);

/*
 * Up to SEGMENT_RUNS_MAX runs of [start, end), in order. Returns their number or a negative errno; *walked is where
 * the next call goes on, `end` when all is seen.
 */
ssize_t segment_pagemap_runs(int pagemap, uintptr_t start, uintptr_t end, struct segment_run *runs,
			     uintptr_t *walked);

/* The first populated page of [start, end) into *page, `end` if there is none. Returns 0 or a negative errno. */
int segment_pagemap_first(int pagemap, uintptr_t start, uintptr_t end, uintptr_t *page);

#endif
