/* SPDX-License-Identifier: BSD-2-Clause */
/* Sealed memfds: made and counted by rsmd, checked by whoever receives one. No state but the probe's answer. */
#include "segment/memfd.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <rsmapi.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/reason.h"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U /* Linux 6.3 */
#endif

#define MEMFD_LINK_MAX 32 /* "/proc/self/fd/" and a number */

/* What an exhausted system says by errno, as the API's two codes for it. */
static int memfd_code(int error)
{
	switch (error) {
	case EMFILE:
	case ENFILE:
		return RSMERR_INSUFFICIENT_RESOURCES;
	default:
		return RSMERR_INSUFFICIENT_MEM;
	}
}

static int memfd_open_anew(int fd, int flags)
{
	char link[MEMFD_LINK_MAX];
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	/* O_NONBLOCK: somebody's lease on a file makes this fail, and not wait for the lease to be broken. */
	return base_fd_above_stdio(open(link, flags | O_CLOEXEC | O_NONBLOCK));
}

/* Kernels before 6.3 do not know NOEXEC_SEAL; there the mode is all that keeps the memory from being executed. */
static int memfd_new(const char *name, bool huge)
{
	unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING | (huge ? MFD_HUGETLB : 0);
	int fd = memfd_create(name, flags | MFD_NOEXEC_SEAL);
	if (fd < 0 && errno == EINVAL)
		fd = memfd_create(name, flags);
	return fd;
}

static int memfd_prepare(int fd, uint64_t length, unsigned final_seals)
{
	/* 0600: a descriptor opened read-only could be opened anew for writing otherwise. */
	if (fchmod(fd, 0600) != 0)
		return base_refuse_errno(RSMERR_INSUFFICIENT_RESOURCES, errno,
					 "cannot set the mode of a memfd");
	if (length > INT64_MAX)
		return base_refuse(RSMERR_INSUFFICIENT_MEM,
				   "memory of %" PRIu64 " bytes was asked for; the kernel's"
				   " limit is %" PRId64,
				   length, INT64_MAX);
	if (ftruncate(fd, (off_t)length) != 0)
		return base_refuse_errno(RSMERR_INSUFFICIENT_MEM, errno,
					 "cannot size a memfd to %" PRIu64
					 " bytes (limits: RLIMIT_FSIZE; huge pages come in whole pages)",
					 length);
	if (fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL | (int)final_seals) != 0)
		return base_refuse_errno(RSMERR_INSUFFICIENT_RESOURCES, errno, "cannot seal a memfd");
	return RSM_SUCCESS;
}

int segment_memfd_create(const char *name, uint64_t length, bool huge, unsigned final_seals, int *fd)
{
	*fd = -1;
	int made = memfd_new(name, huge);
	if (made < 0)
		return base_refuse_errno(memfd_code(errno), errno, "cannot make a memfd%s",
					 huge ? " of huge pages" : "");
	int code = memfd_prepare(made, length, final_seals);
	if (code == RSM_SUCCESS) {
		/* A file from memfd_create is not in the kernel's count of writers, one from open is. */
		*fd = memfd_open_anew(made, O_RDWR);
		if (*fd < 0)
			code = base_refuse_errno(
				RSMERR_INSUFFICIENT_RESOURCES, errno,
				"cannot open a memfd through /proc/self/fd (is /proc mounted?"
				" limit: RLIMIT_NOFILE)");
	}
	base_fd_close(&made);
	return code;
}

int segment_memfd_reopen(int fd, bool writable, int *copy)
{
	*copy = memfd_open_anew(fd, writable ? O_RDWR : O_RDONLY);
	if (*copy < 0)
		return base_refuse_errno(
			RSMERR_INSUFFICIENT_RESOURCES, errno,
			"cannot open memory anew for %s through /proc/self/fd (limit: RLIMIT_NOFILE)",
			writable ? "reading and writing" : "reading");
	return RSM_SUCCESS;
}

/*
 * The lease is given back at once. Whoever opens the file in between makes the kernel signal its holder: SIGURG,
 * which does nothing by default, instead of SIGIO, which kills.
 */
static bool memfd_lease(int fd)
{
	if (fcntl(fd, F_SETSIG, SIGURG) != 0 || fcntl(fd, F_SETLEASE, F_WRLCK) != 0)
		return false;
	fcntl(fd, F_SETLEASE, F_UNLCK);
	return true;
}

static bool memfd_can_tell;

static void memfd_probe(void)
{
	int fd, other;
	if (segment_memfd_create("rsm-probe", 4096, false, 0, &fd) != RSM_SUCCESS)
		return;
	if (segment_memfd_reopen(fd, false, &other) == RSM_SUCCESS) {
		bool refused = !memfd_lease(fd);
		base_fd_close(&other);
		memfd_can_tell = refused && memfd_lease(fd);
	}
	base_fd_close(&fd);
}

bool segment_memfd_can_tell(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	pthread_once(&once, memfd_probe);
	return memfd_can_tell;
}

bool segment_memfd_is_sole(int fd)
{
	return segment_memfd_can_tell() && memfd_lease(fd);
}

void segment_memfd_punch(int fd, uint64_t offset, uint64_t length)
{
	if (offset <= INT64_MAX && length <= INT64_MAX - offset)
		(void)fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)length);
}

static int memfd_verify_mode(int fd, bool writable)
{
	int flags = fcntl(fd, F_GETFL);
	if (flags < 0)
		return base_refuse_errno(RSMERR_BAD_ADDR, errno,
					 "the descriptor of the memory cannot be asked");
	if (flags & O_PATH || (flags & O_ACCMODE) == O_WRONLY || (writable && (flags & O_ACCMODE) != O_RDWR))
		return base_refuse(RSMERR_BAD_ADDR, "the descriptor of the memory is not open for %s",
				   writable ? "reading and writing" : "reading");
	return RSM_SUCCESS;
}

static int memfd_verify_seals(int fd, bool writable, bool sealed)
{
	int seals = fcntl(fd, F_GET_SEALS);
	int wanted = F_SEAL_SHRINK | F_SEAL_GROW;
	if (sealed && (seals < 0 || (seals & wanted) != wanted))
		return base_refuse(RSMERR_BAD_ADDR, "the memory is not sealed against shrinking and growing");
	if (writable && seals >= 0 && seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE))
		return base_refuse(RSMERR_BAD_ADDR, "the memory is sealed against writing");
	return RSM_SUCCESS;
}

int segment_memfd_verify(int fd, uint64_t length, bool writable, bool sealed)
{
	struct stat st;
	if (fstat(fd, &st) != 0)
		return base_refuse_errno(RSMERR_BAD_ADDR, errno,
					 "the descriptor of the memory cannot be asked");
	if (!S_ISREG(st.st_mode))
		return base_refuse(RSMERR_BAD_ADDR,
				   "the descriptor is not of memory: neither memfd nor regular file"
				   " (file type %#o)",
				   (unsigned)(st.st_mode & S_IFMT));
	int code = memfd_verify_mode(fd, writable);
	if (code != RSM_SUCCESS)
		return code;
	if (st.st_size < 0 || (uint64_t)st.st_size < length)
		return base_refuse(RSMERR_BAD_ADDR,
				   "the memory has %" PRId64 " bytes, %" PRIu64 " are needed",
				   (int64_t)st.st_size, length);
	return memfd_verify_seals(fd, writable, sealed);
}
