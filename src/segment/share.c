/* SPDX-License-Identifier: BSD-2-Clause */
/* Memory that is shared already: a descriptor for it, and who else has it. Called at export, on the caller's thread. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "segment/maps.h"
#include "segment/range.h"

#define SHARE_PAGEMAP_EXCLUSIVE (UINT64_C(1) << 56)
#define SHARE_PAGEMAP_PRESENT   (UINT64_C(1) << 63)

/* Maps give the device of the file system, stat may give another one (btrfs, overlayfs): then a trial map decides. */
static bool share_is_same_mapped(int fd, const struct segment_range *range)
{
	struct segment_maps maps;
	struct segment_mapping mapping;
	bool same = false;
	void *trial = mmap(NULL, range->page_size, PROT_READ, MAP_SHARED, fd, 0);
	if (trial == MAP_FAILED)
		return false;
	if (segment_maps_open(&maps, "/proc/self/maps") == 0) {
		same = segment_maps_next(&maps, (uintptr_t)trial, &mapping) > 0 &&
		       mapping.start <= (uintptr_t)trial && mapping.device == range->device &&
		       mapping.inode == range->inode;
		segment_maps_close(&maps);
	}
	munmap(trial, range->page_size);
	return same;
}

/* Whether fd is of the range's file and may be mapped as the range is. */
static bool share_matches(int fd, const struct segment_range *range)
{
	struct stat st;
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_ino != range->inode)
		return false;
	int flags = fcntl(fd, F_GETFL);
	int wanted = range->protection & PROT_WRITE ? O_RDWR : O_RDONLY;
	if (flags < 0 || flags & O_PATH || ((flags & O_ACCMODE) != wanted && (flags & O_ACCMODE) != O_RDWR))
		return false;
	return st.st_dev == range->device || share_is_same_mapped(fd, range);
}

static int share_own_descriptor(const struct segment_range *range)
{
	DIR *directory = opendir("/proc/self/fd");
	if (!directory)
		return -1;
	int found = -1;
	const struct dirent *entry;
	while (found < 0 && (entry = readdir(directory))) {
		char *end;
		long fd = strtol(entry->d_name, &end, 10);
		if (*end == '\0' && end != entry->d_name && share_matches((int)fd, range))
			found = fcntl((int)fd, F_DUPFD_CLOEXEC, 3);
	}
	closedir(directory);
	return found;
}

/* O_PATH first: opening by name must not touch a device or block on a pipe that has taken the file's place. */
static int share_by_path(const struct segment_range *range)
{
	struct stat st;
	if (range->path[0] != '/')
		return -1;
	int place = base_fd_above_stdio(open(range->path, O_PATH | O_CLOEXEC));
	int fd = -1;
	if (place >= 0 && fstat(place, &st) == 0 && S_ISREG(st.st_mode) && st.st_ino == range->inode) {
		char link[32];
		snprintf(link, sizeof(link), "/proc/self/fd/%d", place);
		fd = base_fd_above_stdio(open(link, (range->protection & PROT_WRITE ? O_RDWR : O_RDONLY) |
							    O_CLOEXEC | O_NONBLOCK));
	}
	base_fd_close(&place);
	if (fd >= 0 && !share_matches(fd, range))
		base_fd_close(&fd);
	return fd;
}

int segment_range_descriptor(const struct segment_range *range)
{
	if (range->kind != SEGMENT_RANGE_SHARED_FILE)
		return -1;
	int fd = share_own_descriptor(range);
	return fd >= 0 ? fd : share_by_path(range);
}

/* A page of the range that is present and not exclusive is mapped by somebody else too, or twice by us. */
static bool share_page_elsewhere(const struct segment_range *range)
{
	uint64_t entries[512];
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	int fd = base_fd_above_stdio(open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC));
	bool elsewhere = fd < 0; /* not known: the careful answer */
	for (uintptr_t at = range->start; at < range->end && !elsewhere;) {
		size_t want = (range->end - at) / page;
		want = want < 512 ? want : 512;
		ssize_t got =
			pread(fd, entries, want * sizeof(*entries), (off_t)(at / page * sizeof(*entries)));
		if (got < (ssize_t)sizeof(*entries)) {
			elsewhere = true;
			break;
		}
		size_t count = (size_t)got / sizeof(*entries);
		for (size_t i = 0; i < count; i++)
			elsewhere |= (entries[i] & SHARE_PAGEMAP_PRESENT) &&
				     !(entries[i] & SHARE_PAGEMAP_EXCLUSIVE);
		at += count * page;
	}
	base_fd_close(&fd);
	return elsewhere;
}

/* Whether the process maps a part of the range's object; for ourselves: at another place than the range. */
static bool share_process_maps(const char *path, const struct segment_range *range, bool self)
{
	struct segment_maps maps;
	struct segment_mapping mapping;
	uint64_t length = range->end - range->start;
	bool found = false;
	if (segment_maps_open(&maps, path) < 0)
		return false; /* gone, or not ours to look at */
	for (uintptr_t at = 0; !found && segment_maps_next(&maps, at, &mapping) > 0; at = mapping.end) {
		if (mapping.device != range->device || mapping.inode != range->inode)
			continue;
		bool overlaps = mapping.offset < range->offset + length &&
				range->offset < mapping.offset + (mapping.end - mapping.start);
		bool own = self && mapping.start <= range->start && range->start < mapping.end;
		found = overlaps && !own;
	}
	segment_maps_close(&maps);
	return found;
}

bool segment_range_is_shared_with_others(const struct segment_range *range)
{
	if (share_page_elsewhere(range) || share_process_maps("/proc/self/maps", range, true))
		return true;
	DIR *directory = opendir("/proc");
	if (!directory)
		return true; /* not known: the careful answer */
	bool found = false;
	const struct dirent *entry;
	while (!found && (entry = readdir(directory))) {
		char *end;
		char path[48];
		long pid = strtol(entry->d_name, &end, 10);
		if (*end != '\0' || pid <= 0 || pid == getpid())
			continue;
		snprintf(path, sizeof(path), "/proc/%ld/maps", pid);
		found = share_process_maps(path, range, false);
	}
	closedir(directory);
	return found;
}
