/* SPDX-License-Identifier: BSD-2-Clause */
#include "segment/view.h"

#include <errno.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <unistd.h>

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#endif

#define ZFS_SUPER_MAGIC 0x2fc12fc1u /* of a module: not in the kernel's header */

#define HUGE_ALIGN ((size_t)2 << 20)

/*
 * What is in a segment is its users' affair: two importers that write the same bytes through one process of ours race in the program
 * that they are, and not here. The thread sanitizer is told so.
 */
#if defined(__SANITIZE_THREAD__)
void AnnotateIgnoreReadsBegin(const char *file, int line);
void AnnotateIgnoreReadsEnd(const char *file, int line);
void AnnotateIgnoreWritesBegin(const char *file, int line);
void AnnotateIgnoreWritesEnd(const char *file, int line);
#define USERS_MEMORY(statement)                                                                              \
	do {                                                                                                 \
		AnnotateIgnoreReadsBegin(__FILE__, __LINE__);                                                \
		AnnotateIgnoreWritesBegin(__FILE__, __LINE__);                                               \
		statement;                                                                                   \
		AnnotateIgnoreWritesEnd(__FILE__, __LINE__);                                                 \
		AnnotateIgnoreReadsEnd(__FILE__, __LINE__);                                                  \
	} while (0)
#else
#define USERS_MEMORY(statement) statement
#endif

static size_t page_ceil(uint64_t length)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);
	return ((size_t)length + page - 1) / page * page;
}

/* System V memory has no descriptor: attach it anywhere, move the piece, drop the rest. */
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

bool segment_view_is_local(int fd)
{
	static const uint32_t local[] = {TMPFS_MAGIC,      HUGETLBFS_MAGIC,
					 RAMFS_MAGIC,      EXT4_SUPER_MAGIC /* ext2 and ext3, too */,
					 XFS_SUPER_MAGIC,  BTRFS_SUPER_MAGIC,
					 F2FS_SUPER_MAGIC, ZFS_SUPER_MAGIC};
	struct statfs of;
	if (fstatfs(fd, &of) != 0)
		return false;
	for (size_t i = 0; i < sizeof(local) / sizeof(local[0]); i++)
		if ((uint32_t)of.f_type == local[i])
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

int segment_view_open(struct segment_view *view, const struct segment_extent *extents, size_t count,
		      uint64_t length, bool sealed)
{
	const bool huge = segment_view_is_huge(extents, count);
	*view = (struct segment_view){0};
	if (length == 0 || length > SIZE_MAX / 2)
		return EINVAL;
	unsigned char *base = segment_view_reserve((size_t)length, huge);
	if (base == NULL)
		return errno;
	int error = segment_view_place(extents, count, 0, (size_t)length, base, PROT_READ | PROT_WRITE);
	if (error != 0) {
		munmap(base, (size_t)length);
		return error;
	}
	/* The pool of huge pages may be empty at the first access, which is a signal as well. */
	*view = (struct segment_view){.base = base, .length = length, .safe = sealed && !huge};
	return 0;
}

void segment_view_close(struct segment_view *view)
{
	if (view->base != NULL)
		munmap(view->base, (size_t)view->length);
	*view = (struct segment_view){0};
}

/* Items of `width` bytes: each by one access on the segment's side, which is aligned; the other side need not be. */
static void write_items(unsigned char *to, const unsigned char *from, size_t length, unsigned width)
{
	uint16_t half;
	uint32_t word;
	uint64_t twice;
	for (size_t at = 0; at < length; at += width)
		switch (width) {
		case 1:
			*(volatile unsigned char *)(to + at) = from[at];
			break;
		case 2:
			memcpy(&half, from + at, sizeof(half));
			*(volatile uint16_t *)(void *)(to + at) = half;
			break;
		case 4:
			memcpy(&word, from + at, sizeof(word));
			*(volatile uint32_t *)(void *)(to + at) = word;
			break;
		default:
			memcpy(&twice, from + at, sizeof(twice));
			*(volatile uint64_t *)(void *)(to + at) = twice;
		}
}

static void read_items(unsigned char *to, const unsigned char *from, size_t length, unsigned width)
{
	uint16_t half;
	uint32_t word;
	uint64_t twice;
	for (size_t at = 0; at < length; at += width)
		switch (width) {
		case 1:
			to[at] = *(const volatile unsigned char *)(from + at);
			break;
		case 2:
			half = *(const volatile uint16_t *)(const void *)(from + at);
			memcpy(to + at, &half, sizeof(half));
			break;
		case 4:
			word = *(const volatile uint32_t *)(const void *)(from + at);
			memcpy(to + at, &word, sizeof(word));
			break;
		default:
			twice = *(const volatile uint64_t *)(const void *)(from + at);
			memcpy(to + at, &twice, sizeof(twice));
		}
}

/* The kernel copies, and says EFAULT where we would get SIGBUS. */
static int kernel_copy(bool writes, unsigned char *segment, unsigned char *local, size_t length)
{
	while (length > 0) {
		struct iovec inside = {segment, length}, outside = {local, length};
		ssize_t done = writes ? process_vm_writev(getpid(), &outside, 1, &inside, 1, 0)
				      : process_vm_readv(getpid(), &outside, 1, &inside, 1, 0);
		if (done <= 0)
			return done < 0 ? errno : EFAULT;
		segment += done;
		local += done;
		length -= (size_t)done;
	}
	return 0;
}

static bool is_inside(const struct segment_view *view, uint64_t offset, size_t length)
{
	return view->base != NULL && offset <= view->length && length <= view->length - offset;
}

int segment_view_write(const struct segment_view *view, uint64_t offset, const void *from, size_t length,
		       unsigned width)
{
	if (!is_inside(view, offset, length))
		return EFAULT;
	if (!view->safe)
		return kernel_copy(true, view->base + offset, (unsigned char *)(uintptr_t)from, length);
	if (width == 0)
		USERS_MEMORY(memcpy(view->base + offset, from, length));
	else
		USERS_MEMORY(write_items(view->base + offset, from, length, width));
	return 0;
}

int segment_view_read(const struct segment_view *view, uint64_t offset, void *to, size_t length,
		      unsigned width)
{
	if (!is_inside(view, offset, length))
		return EFAULT;
	if (!view->safe)
		return kernel_copy(false, view->base + offset, to, length);
	if (width == 0)
		USERS_MEMORY(memcpy(to, view->base + offset, length));
	else
		USERS_MEMORY(read_items(to, view->base + offset, length, width));
	return 0;
}

int segment_view_probe(const struct segment_view *view, uint64_t offset, size_t length)
{
	const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	if (!is_inside(view, offset, length))
		return EFAULT;
	if (view->safe || length == 0)
		return 0;
	uint64_t start = offset / page * page;
	if (madvise(view->base + start, (size_t)(offset - start) + length, MADV_POPULATE_READ) == 0)
		return 0;
	/* Kernels before 5.14 do not know it. Memory that turns out to be missing is then found at the access. */
	return errno == EINVAL || errno == EINTR || errno == EAGAIN ? 0 : EFAULT;
}
