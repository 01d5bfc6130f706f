/* SPDX-License-Identifier: BSD-2-Clause */
/* What is limited: descriptors, segments, bytes, slots of the status table. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <rsmapi.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/reason.h"
#include "rsmd/rsmd.h"
#include "segment/memfd.h"
#include "wire/packet.h"

#define FD_HEADROOM                                                                                          \
	(253 + WIRE_FDS_MAX +                                                                                \
	 16) /* one packet in (the kernel's SCM_MAX_FD), one out, and files that are opened for a moment */
#define FD_REFUSED 16 /* connections that wait to be told that there is no room for them */

static uint64_t fd_limit;
static uint64_t fd_ceiling;

void rsmd_fd_limit_open(void)
{
	struct rlimit limit;
	fd_limit = 1024;
	if (!getrlimit(RLIMIT_NOFILE, &limit)) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
		if (!getrlimit(RLIMIT_NOFILE, &limit))
			fd_limit = limit.rlim_cur;
	}
	fd_ceiling = fd_limit > 2 * FD_HEADROOM ? fd_limit - FD_HEADROOM - FD_REFUSED : fd_limit / 2;
}

/* Since Linux 6.2 the size of the directory tells; before, its entries are counted. 0: not known. */
uint64_t rsmd_fd_count(void)
{
	struct stat status;
	uint64_t count = 0;
	if (!stat("/proc/self/fd", &status) && status.st_size > 0)
		return (uint64_t)status.st_size;
	DIR *directory = opendir("/proc/self/fd");
	if (!directory)
		return 0;
	while (readdir(directory))
		count++;
	closedir(directory);
	return count > 3 ? count - 3 : 0; /* ., .. and the directory itself */
}

uint64_t rsmd_fd_ceiling(void)
{
	return fd_ceiling;
}

int rsmd_fd_last(void)
{
	return (int)(fd_ceiling + FD_REFUSED);
}

/* The starter's limit on file sizes would apply to memory, too, and its signal would end us. */
void rsmd_file_limit_open(void)
{
	struct rlimit limit;
	if (getrlimit(RLIMIT_FSIZE, &limit))
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_FSIZE, &limit);
}

int rsmd_fd_check(int fd)
{
	/* The kernel hands out the lowest number: so many are open at least. */
	if ((uint64_t)fd < fd_ceiling)
		return RSM_SUCCESS;
	return base_refuse(
		RSMERR_INSUFFICIENT_RESOURCES,
		"rsmd has %llu descriptors open, its limit is RLIMIT_NOFILE %llu; raise it, or free segments",
		(unsigned long long)fd_ceiling, (unsigned long long)fd_limit);
}

int rsmd_fd_keep(int *fd)
{
	int code = rsmd_fd_check(*fd);
	if (code)
		base_fd_close(fd);
	return code;
}

int rsmd_fd_spare(int *fd)
{
	if ((uint64_t)*fd < fd_ceiling / 2)
		return RSM_SUCCESS;
	base_fd_close(fd);
	return base_refuse(
		RSMERR_INSUFFICIENT_RESOURCES,
		"rsmd has %llu descriptors open, half of what RLIMIT_NOFILE %llu leaves; the rest is "
		"for what cannot be done without",
		(unsigned long long)fd_ceiling / 2, (unsigned long long)fd_limit);
}

int rsmd_quota_take(uint64_t length)
{
	uint64_t limit = rsmd_server.config.max_exported_bytes;
	uint64_t left = limit > rsmd_server.exported_bytes ? limit - rsmd_server.exported_bytes : 0;
	if (length > INT64_MAX)
		return base_refuse(RSMERR_INSUFFICIENT_MEM, "%llu bytes asked, more than any memory",
				   (unsigned long long)length);
	/* Without a limit it is counted (give takes as much off again) and never refused: nobody can use it up. */
	if (limit && length > left)
		return base_refuse(RSMERR_INSUFFICIENT_MEM,
				   "%llu bytes asked, %llu of %llu left (max-exported-memory = %u percent of "
				   "RAM on this node)",
				   (unsigned long long)length, (unsigned long long)left,
				   (unsigned long long)limit, rsmd_server.config.max_exported_percent);
	rsmd_server.exported_bytes += length;
	return RSM_SUCCESS;
}

void rsmd_quota_give(uint64_t length)
{
	rsmd_server.exported_bytes -= length;
}

int rsmd_segment_take(void)
{
	if (rsmd_server.segments >= rsmd_server.config.max_segments)
		return base_refuse(
			RSMERR_INSUFFICIENT_RESOURCES,
			"%u export and import segments on this node, the limit is max-segments = %u",
			rsmd_server.segments, rsmd_server.config.max_segments);
	rsmd_server.segments++;
	return RSM_SUCCESS;
}

void rsmd_segment_give(void)
{
	rsmd_server.segments--;
}

int rsmd_slots_open(void)
{
	struct rsmd_slots *slots = &rsmd_server.slots;
	int fd;
	slots->count = rsmd_server.config.max_segments + 1;
	slots->fresh = 1;
	size_t length = ((size_t)slots->count * sizeof(struct segment_status) + 4095) & ~(size_t)4095;
	/*
	 * Not sealed by F_SEAL_SEAL yet: the writable map must stand before FUTURE_WRITE forbids more of
	 * them.
	 */
	fd = base_fd_above_stdio(memfd_create("rsm-status", MFD_CLOEXEC | MFD_ALLOW_SEALING));
	if (fd < 0)
		return base_refuse_errno(RSMERR_INSUFFICIENT_RESOURCES, errno, "making the status table");
	slots->table = MAP_FAILED;
	if (!fchmod(fd, 0400) && !ftruncate(fd, (off_t)length))
		slots->table = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (slots->table == MAP_FAILED ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL)) {
		base_fd_close(&fd);
		return base_refuse_errno(RSMERR_INSUFFICIENT_MEM, errno,
					 "making the status table of %zu bytes", length);
	}
	int code = segment_memfd_reopen(fd, false, &slots->fd);
	base_fd_close(&fd);
	slots->spare = calloc(slots->count, sizeof(*slots->spare));
	if (!code && !slots->spare)
		code = base_refuse(RSMERR_INSUFFICIENT_MEM, "no memory for %u slots", slots->count);
	struct segment_status_head *head = (struct segment_status_head *)(void *)slots->table;
	head->magic = SEGMENT_STATUS_MAGIC;
	head->version = SEGMENT_STATUS_VERSION;
	head->slots = slots->count;
	return code;
}

uint32_t rsmd_slot_take(void)
{
	struct rsmd_slots *slots = &rsmd_server.slots;
	/*
	 * The epoch of a used slot stays as it is: a stale import must never find its old generation again.
	 */
	return slots->spare_count ? slots->spare[--slots->spare_count] : slots->fresh++;
}

void rsmd_slot_give(uint32_t slot)
{
	struct rsmd_slots *slots = &rsmd_server.slots;
	slots->spare[slots->spare_count++] = slot;
}
