/* SPDX-License-Identifier: BSD-2-Clause */
/* Which pages of a private mapping exist: by PAGEMAP_SCAN (Linux 6.7), else entry by entry. Async-signal-safe. */
#include "segment/populated.h"

#include <errno.h>
#include <fcntl.h>
#include <rsmapi.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/reason.h"
#include "segment/range.h"

/* <linux/fs.h> of Linux 6.7; older headers do not have it. */
struct populated_scan {
	uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages;
	uint64_t category_inverted, category_mask, category_anyof_mask, return_mask;
};

#define POPULATED_SCAN    _IOWR('f', 16, struct populated_scan)
#define POPULATED_PRESENT (1u << 3)
#define POPULATED_SWAPPED (1u << 4)

#define POPULATED_ENTRY_PRESENT (UINT64_C(1) << 63)
#define POPULATED_ENTRY_SWAPPED (UINT64_C(1) << 62)

int segment_pagemap_open(void)
{
	int fd = base_fd_above_stdio(open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC));
	return fd < 0 ? -errno : fd;
}

static ssize_t populated_scan(int pagemap, uintptr_t start, uintptr_t end, uint64_t max_pages,
			      struct segment_run *runs, size_t room, uintptr_t *walked)
{
	struct populated_scan scan = {
		.size = sizeof(scan),
		.start = start,
		.end = end,
		.vec = (uintptr_t)runs,
		.vec_len = room,
		.max_pages = max_pages,
		.category_anyof_mask = POPULATED_PRESENT | POPULATED_SWAPPED,
		.return_mask = POPULATED_PRESENT, /* one category: runs are not cut where it changes */
	};
	int count;
	do
		count = ioctl(pagemap, POPULATED_SCAN, &scan);
	while (count < 0 && errno == EINTR);
	if (count < 0)
		return -errno;
	*walked = (size_t)count < room ? end : scan.walk_end;
	return count;
}

/* The same from the entries, 8 bytes a page. */
static ssize_t populated_read(int pagemap, uintptr_t start, uintptr_t end, struct segment_run *runs,
			      size_t room, uintptr_t *walked)
{
	uint64_t entries[512];
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	size_t count = 0;
	uintptr_t at = start;
	while (at < end) {
		size_t want = (end - at) / page;
		want = want < 512 ? want : 512;
		ssize_t got = pread(pagemap, entries, want * sizeof(*entries),
				    (off_t)(at / page * sizeof(*entries)));
		if (got < (ssize_t)sizeof(*entries))
			return got < 0 ? -errno : -EIO;
		for (size_t i = 0; i < (size_t)got / sizeof(*entries); i++, at += page) {
			if (!(entries[i] & (POPULATED_ENTRY_PRESENT | POPULATED_ENTRY_SWAPPED)))
				continue;
			if (count > 0 && runs[count - 1].end == at) {
				runs[count - 1].end = at + page;
			} else if (count == room) {
				*walked = at;
				return (ssize_t)count;
			} else {
				runs[count++] = (struct segment_run){.start = at, .end = at + page};
			}
		}
	}
	*walked = end;
	return (ssize_t)count;
}

ssize_t segment_pagemap_runs(int pagemap, uintptr_t start, uintptr_t end, struct segment_run *runs,
			     uintptr_t *walked)
{
	ssize_t count = populated_scan(pagemap, start, end, 0, runs, SEGMENT_RUNS_MAX, walked);
	if (count == -ENOTTY)
		count = populated_read(pagemap, start, end, runs, SEGMENT_RUNS_MAX, walked);
	return count;
}

int segment_pagemap_first(int pagemap, uintptr_t start, uintptr_t end, uintptr_t *page)
{
	struct segment_run run = {0};
	uintptr_t walked;
	ssize_t count = populated_scan(pagemap, start, end, 1, &run, 1, &walked);
	if (count == -ENOTTY)
		count = populated_read(pagemap, start, end, &run, 1, &walked);
	*page = count > 0 ? run.start : end;
	return count < 0 ? (int)count : 0;
}

int segment_range_populated(const void *address, size_t length,
			    int (*each)(void *context, uintptr_t start, size_t length), void *context)
{
	struct segment_run runs[SEGMENT_RUNS_MAX] = {0}; /* valgrind does not see the kernel fill it */
	uintptr_t at = (uintptr_t)address, end = at + length;
	int result = RSM_SUCCESS;
	int pagemap = segment_pagemap_open();
	if (pagemap < 0)
		return base_refuse_errno(
			RSMERR_INSUFFICIENT_RESOURCES, -pagemap,
			"cannot open /proc/self/pagemap (is /proc mounted? limit: RLIMIT_NOFILE)");
	while (at < end && result == RSM_SUCCESS) {
		ssize_t count = segment_pagemap_runs(pagemap, at, end, runs, &at);
		if (count < 0)
			result = base_refuse_errno(RSMERR_INSUFFICIENT_RESOURCES, (int)-count,
						   "cannot read the page map of %zu bytes at %p", length,
						   address);
		for (ssize_t i = 0; i < count && result == RSM_SUCCESS; i++)
			result = each(context, runs[i].start, runs[i].end - runs[i].start);
	}
	base_fd_close(&pagemap);
	return result;
}
