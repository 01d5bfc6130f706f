/* SPDX-License-Identifier: BSD-2-Clause */
#include "segment/view.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <unistd.h>

#define HUGE_ALIGN ((size_t)2 << 20)

static size_t page_ceil(uint64_t length)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);
	return ((size_t)length + page - 1) / page * page;
}

/* System V memory has no descriptor: attach it anywhere, move the piece, drop the rest (memory.md 3). */
static int place_sysv(const struct segment_extent *extent, uint64_t skip, size_t length, void *at,
		      int protection)
{
	struct shmid_ds info;
	bool writable = (protection & PROT_WRITE) != 0;
	if (shmctl(extent->shmid, IPC_STAT, &info) != 0)
		return errno;
	unsigned char *whole = shmat(extent->shmid, NULL, writable ? 0 : SHM_RDONLY);
	if (whole == (void *)-1)
		return errno;
	size_t size = page_ceil(info.shm_segsz);
	uint64_t start = extent->offset + skip;
	int error = 0;
	if (start > size || length > size - start)
		error = ERANGE;
	else if (mremap(whole + start, length, length, MREMAP_MAYMOVE | MREMAP_FIXED, at) == MAP_FAILED)
		error = errno;
	if (error != 0) {
		shmdt(whole);
		return error;
	}
	if (start > 0)
		munmap(whole, start);
	if (start + length < size)
		munmap(whole + start + length, size - start - length);
	return mprotect(at, length, protection) == 0 ? 0 : errno;
}

static int place(const struct segment_extent *extent, uint64_t skip, size_t length, void *at, int protection)
{
	if (extent->shmid >= 0)
		return place_sysv(extent, skip, length, at, protection);
	void *result = mmap(at, length, protection, MAP_SHARED | MAP_FIXED, extent->fd,
			    (off_t)(extent->offset + skip));
	return result == MAP_FAILED ? errno : 0;
}

int segment_view_place(const struct segment_extent *extents, size_t count, uint64_t offset, size_t length,
		       unsigned char *at, int protection)
{
	uint64_t start = 0, end = offset + length;
	for (size_t i = 0; i < count && start < end; i++) {
		const struct segment_extent *extent = &extents[i];
		uint64_t from = start < offset ? offset : start;
		uint64_t to = start + extent->length < end ? start + extent->length : end;
		if (from < to) {
			int error = place(extent, from - start, (size_t)(to - from), at + (from - offset),
					  protection);
			if (error != 0)
				return error;
		}
		start += extent->length;
	}
	return start >= end ? 0 : ERANGE;
}

int segment_view_blank(void *at, size_t length, int protection)
{
	const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE;
	return mmap(at, length, protection, flags, -1, 0) == MAP_FAILED ? errno : 0;
}

bool segment_view_is_huge(const struct segment_extent *extents, size_t count)
{
	struct stat st;
	for (size_t i = 0; i < count; i++)
		if (extents[i].fd >= 0 && fstat(extents[i].fd, &st) == 0 &&
		    st.st_blksize >= (blksize_t)HUGE_ALIGN)
			return true;
	return false;
}

void *segment_view_reserve(size_t length, bool huge)
{
	size_t extra = huge || length >= HUGE_ALIGN ? HUGE_ALIGN : 0;
	unsigned char *all =
		mmap(NULL, length + extra, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (all == MAP_FAILED)
		return NULL;
	if (extra == 0)
		return all;
	size_t front = (HUGE_ALIGN - (uintptr_t)all % HUGE_ALIGN) % HUGE_ALIGN;
	if (front > 0)
		munmap(all, front);
	if (extra > front)
		munmap(all + front + length, extra - front);
	return all + front;
}
