/* SPDX-License-Identifier: BSD-2-Clause */
/* userfaultfd as adoption uses it: probing for the best kind that is allowed, and the four requests. */
#include "segment/guard.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"

#ifndef UFFD_FEATURE_WP_UNPOPULATED
#define UFFD_FEATURE_WP_UNPOPULATED (1 << 13) /* Linux 6.4 */
#endif

#define GUARD_NEEDED                                                                                         \
	(UFFD_FEATURE_PAGEFAULT_FLAG_WP | UFFD_FEATURE_WP_HUGETLBFS_SHMEM | UFFD_FEATURE_MISSING_SHMEM |     \
	 UFFD_FEATURE_MISSING_HUGETLBFS)

/* One way to a userfaultfd: the device if there is one, else the system call with `flags`. */
static int guard_new(int device, int flags)
{
	int fd = device >= 0 ? ioctl(device, USERFAULTFD_IOC_NEW, O_CLOEXEC)
			     : (int)syscall(SYS_userfaultfd, O_CLOEXEC | flags);
	return base_fd_above_stdio(fd);
}

/*
 * The features are agreed on once per userfaultfd, and asking for one that is not there fails: so a first one is asked
 * what there is, and a second one is used.
 */
static bool guard_try(struct segment_guard *guard, int device, int flags, enum segment_guard_kind kind)
{
	struct uffdio_api api = {.api = UFFD_API};
	int fd = guard_new(device, flags);
	bool able =
		fd >= 0 && ioctl(fd, UFFDIO_API, &api) == 0 && (api.features & GUARD_NEEDED) == GUARD_NEEDED;
	base_fd_close(&fd);
	if (!able)
		return false;
	uint64_t wanted = GUARD_NEEDED | (api.features & UFFD_FEATURE_WP_UNPOPULATED);
	api = (struct uffdio_api){.api = UFFD_API, .features = wanted};
	fd = guard_new(device, flags);
	if (fd < 0 || ioctl(fd, UFFDIO_API, &api) != 0) {
		base_fd_close(&fd);
		return false;
	}
	*guard = (struct segment_guard){.fd = fd, .kind = kind, .features = wanted};
	return true;
}

void segment_guard_open(struct segment_guard *guard, int device)
{
	if (device >= 0 && guard_try(guard, device, 0, SEGMENT_GUARD_FULL))
		return;
	if (guard_try(guard, -1, 0, SEGMENT_GUARD_FULL))
		return;
	if (guard_try(guard, -1, UFFD_USER_MODE_ONLY, SEGMENT_GUARD_USER))
		return;
	*guard = (struct segment_guard){.fd = -1, .kind = SEGMENT_GUARD_NONE};
}

void segment_guard_close(struct segment_guard *guard)
{
	base_fd_close(&guard->fd);
	guard->kind = SEGMENT_GUARD_NONE;
}

bool segment_guard_covers_absent(const struct segment_guard *guard)
{
	return guard->features & UFFD_FEATURE_WP_UNPOPULATED;
}

int segment_guard_trap(const struct segment_guard *guard, uintptr_t start, size_t length, unsigned traps)
{
	if (guard->fd < 0)
		return 0;
	struct uffdio_register request = {
		.range = {.start = start, .len = length},
		.mode = (traps & SEGMENT_TRAP_ABSENT ? UFFDIO_REGISTER_MODE_MISSING : 0) |
			(traps & SEGMENT_TRAP_WRITE ? UFFDIO_REGISTER_MODE_WP : 0),
	};
	return ioctl(guard->fd, UFFDIO_REGISTER, &request) == 0 ? 0 : errno;
}

int segment_guard_protect(const struct segment_guard *guard, uintptr_t start, size_t length)
{
	if (guard->fd < 0)
		return 0;
	struct uffdio_writeprotect request = {
		.range = {.start = start, .len = length},
		.mode = UFFDIO_WRITEPROTECT_MODE_WP,
	};
	return ioctl(guard->fd, UFFDIO_WRITEPROTECT, &request) == 0 ? 0 : errno;
}

void segment_guard_wake(const struct segment_guard *guard, uintptr_t start, size_t length)
{
	struct uffdio_range request = {.start = start, .len = length};
	if (guard->fd >= 0)
		(void)ioctl(guard->fd, UFFDIO_WAKE, &request);
}

void segment_guard_release(const struct segment_guard *guard, uintptr_t start, size_t length)
{
	struct uffdio_range request = {.start = start, .len = length};
	if (guard->fd < 0)
		return;
	(void)ioctl(guard->fd, UFFDIO_UNREGISTER, &request);
	/* Unregistering wakes too, unless nothing was registered any more. */
	segment_guard_wake(guard, start, length);
}
