/* SPDX-License-Identifier: BSD-2-Clause */
/* What stands at a range of addresses: mappings, their kind, and the attributes that adoption must put back. */
#include "segment/range.h"

#include <errno.h>
#include <inttypes.h>
#include <rsmapi.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/reason.h"
#include "segment/maps.h"

/* From here on reading smaps, which costs per page of the process, is small beside the work itself. */
#define RANGE_LARGE ((size_t)2 << 20)

static bool range_path_begins(const struct segment_mapping *mapping, const char *text)
{
	return strncmp(mapping->path, text, strlen(text)) == 0;
}

static enum segment_range_kind range_kind_private(const struct segment_mapping *mapping)
{
	if (mapping->page_size > (size_t)sysconf(_SC_PAGESIZE) ||
	    range_path_begins(mapping, "/anon_hugepage"))
		return SEGMENT_RANGE_HUGE;
	if (mapping->inode == 0) {
		bool anonymous = mapping->path[0] == '\0' || range_path_begins(mapping, "[heap]") ||
				 range_path_begins(mapping, "[stack") || range_path_begins(mapping, "[anon");
		return anonymous ? SEGMENT_RANGE_ANONYMOUS : SEGMENT_RANGE_OTHER;
	}
	/* A private mapping of /dev/zero is anonymous memory under another name. */
	if (strcmp(mapping->path, "/dev/zero") == 0)
		return SEGMENT_RANGE_ANONYMOUS;
	if (range_path_begins(mapping, "/dev/") && !range_path_begins(mapping, "/dev/shm/") &&
	    !range_path_begins(mapping, "/dev/hugepages/"))
		return SEGMENT_RANGE_OTHER;
	return SEGMENT_RANGE_PRIVATE_FILE;
}

static enum segment_range_kind range_kind_shared(const struct segment_mapping *mapping)
{
	if (strcmp(mapping->path, "/dev/zero (deleted)") == 0)
		return SEGMENT_RANGE_SHARED_ANONYMOUS;
	if (range_path_begins(mapping, "/SYSV") && mapping->path[13] == ' ')
		return SEGMENT_RANGE_SYSV;
	bool device = range_path_begins(mapping, "/dev/") && !range_path_begins(mapping, "/dev/shm/") &&
		      !range_path_begins(mapping, "/dev/hugepages/");
	if (device || mapping->inode == 0 || (mapping->path[0] != '/' && mapping->path[0] != '\0') ||
	    range_path_begins(mapping, "/[aio]") || range_path_begins(mapping, "/dmabuf"))
		return SEGMENT_RANGE_OTHER;
	return SEGMENT_RANGE_SHARED_FILE;
}

static void range_from_mapping(const struct segment_mapping *mapping, uintptr_t start, uintptr_t end,
			       struct segment_range *range)
{
	memset(range, 0, sizeof(*range));
	range->start = mapping->start > start ? mapping->start : start;
	range->end = mapping->end < end ? mapping->end : end;
	range->kind = mapping->shared ? range_kind_shared(mapping) : range_kind_private(mapping);
	range->protection = mapping->protection;
	range->offset = mapping->offset + (range->start - mapping->start);
	range->device = mapping->device;
	range->inode = mapping->inode;
	range->page_size = mapping->page_size ? mapping->page_size : (size_t)sysconf(_SC_PAGESIZE);
	memcpy(range->path, mapping->path, sizeof(range->path));
}

/* The mappings of [start, end) into a growing array, gaps left out. `queried`: by the call that is cheap. */
static int range_collect(uintptr_t start, uintptr_t end, struct segment_range **list, size_t *count,
			 bool *queried)
{
	struct segment_maps maps;
	struct segment_mapping mapping;
	size_t room = 0;
	int found = segment_maps_open(&maps, "/proc/self/maps");
	if (found < 0)
		return base_refuse_errno(
			RSMERR_INSUFFICIENT_RESOURCES, -found,
			"cannot read /proc/self/maps (is /proc mounted? limit: RLIMIT_NOFILE)");
	for (uintptr_t at = start; at < end; at = mapping.end) {
		found = segment_maps_next(&maps, at, &mapping);
		if (found <= 0 || mapping.start >= end)
			break;
		if (*count == room) {
			room = room ? room * 2 : 4;
			struct segment_range *larger = reallocarray(*list, room, sizeof(**list));
			if (!larger) {
				found = -ENOMEM;
				break;
			}
			*list = larger;
		}
		range_from_mapping(&mapping, start, end, &(*list)[(*count)++]);
	}
	*queried = maps.query;
	segment_maps_close(&maps);
	if (found < 0)
		return base_refuse_errno(RSMERR_INSUFFICIENT_MEM, -found,
					 "cannot list the mappings of the range");
	return RSM_SUCCESS;
}

static bool range_has_flag(const char *flags, const char *name)
{
	for (; *flags; flags++)
		if (flags[0] == ' ' && flags[1] == name[0] && flags[2] == name[1])
			return true;
	return false;
}

static void range_take_line(struct segment_range *range, const char *line)
{
	if (strncmp(line, "KernelPageSize:", 15) == 0) {
		size_t kilobytes = strtoul(line + 15, NULL, 10);
		range->page_size = kilobytes ? kilobytes * 1024 : range->page_size;
		if (range->kind == SEGMENT_RANGE_PRIVATE_FILE &&
		    range->page_size > (size_t)sysconf(_SC_PAGESIZE))
			range->kind = SEGMENT_RANGE_HUGE;
	} else if (strncmp(line, "VmFlags:", 8) == 0) {
		range->locked = range_has_flag(line, "lo");
		range->dont_dump = range_has_flag(line, "dd");
		range->dont_fork = range_has_flag(line, "dc");
		range->huge_advised = range_has_flag(line, "hg");
		range->no_huge_advised = range_has_flag(line, "nh");
	}
}

/* Page sizes and attributes as smaps tells them. What cannot be read stays as it is: nothing depends on it. */
static void range_read_smaps(struct segment_range *list, size_t count)
{
	struct segment_maps maps;
	struct segment_mapping mapping;
	struct segment_range *range = NULL;
	const char *line;
	size_t next = 0;
	if (segment_maps_open(&maps, "/proc/self/smaps") < 0)
		return;
	while ((line = segment_maps_line(&maps))) {
		if (segment_maps_parse(line, &mapping)) {
			while (next < count && list[next].end <= mapping.start)
				next++;
			if (next == count)
				break;
			bool within = mapping.start <= list[next].start && list[next].start < mapping.end;
			range = within ? &list[next] : NULL;
		} else if (range) {
			range_take_line(range, line);
		}
	}
	segment_maps_close(&maps);
}

/* VmLck of /proc/self/status: whether anything at all is locked. True when it cannot be read. */
static bool range_process_locks(void)
{
	struct segment_maps maps;
	const char *line;
	bool locks = true;
	if (segment_maps_open(&maps, "/proc/self/status") < 0)
		return true;
	while ((line = segment_maps_line(&maps)))
		if (strncmp(line, "VmLck:", 6) == 0) {
			locks = strtoul(line + 6, NULL, 10) != 0;
			break;
		}
	segment_maps_close(&maps);
	return locks;
}

/*
 * Whether the page at `at` has an attribute that `clear` clears: then clearing it on one page alone cuts the mapping
 * in two, which the kernel tells cheaply. It is set again at once. A mapping of one page gives no answer: "maybe".
 */
static bool range_may_have(struct segment_maps *maps, uintptr_t at, size_t page, int clear, int set)
{
	struct segment_mapping before, after;
	if (segment_maps_next(maps, at, &before) <= 0 || before.end - before.start <= page)
		return true;
	if (madvise((void *)at, page, clear) != 0 || segment_maps_next(maps, at, &after) <= 0)
		return true;
	if (before.start == after.start && before.end == after.end)
		return false;
	(void)madvise((void *)at, page, set);
	return true;
}

/*
 * A shared mapping is asked through a second, longer mapping of the same file, which the kernel makes with the same
 * attributes: so one page suffices and the application's own mapping is not touched.
 */
static bool range_shared_may_have(struct segment_maps *maps, const struct segment_range *range)
{
	size_t page = range->page_size;
	void *twin = mremap((void *)range->start, 0, 2 * page, MREMAP_MAYMOVE);
	if (twin == MAP_FAILED)
		return true;
	uintptr_t at = (uintptr_t)twin;
	bool may = range_may_have(maps, at, page, MADV_DODUMP, MADV_DONTDUMP) ||
		   range_may_have(maps, at, page, MADV_DOFORK, MADV_DONTFORK);
	munmap(twin, 2 * page);
	return may;
}

/*
 * A quick no for the many small ranges that have none: smaps costs per page of the whole process, and a process with
 * thousands of segments would pay it for each.
 */
static bool range_needs_smaps(const struct segment_range *list, size_t count)
{
	struct segment_maps maps;
	bool needs = false;
	if (list[count - 1].end - list[0].start >= RANGE_LARGE || count > 4 || range_process_locks() ||
	    segment_maps_open(&maps, "/proc/self/maps") < 0)
		return true;
	for (size_t i = 0; i < count && !needs; i++) {
		const struct segment_range *range = &list[i];
		if (range->kind == SEGMENT_RANGE_SHARED_FILE || range->kind == SEGMENT_RANGE_SHARED_ANONYMOUS)
			needs = range_shared_may_have(&maps, range);
		else if (range->kind <= SEGMENT_RANGE_HUGE)
			needs = range_may_have(&maps, range->start, range->page_size, MADV_DODUMP,
					       MADV_DONTDUMP) ||
				range_may_have(&maps, range->start, range->page_size, MADV_DOFORK,
					       MADV_DONTFORK);
	}
	segment_maps_close(&maps);
	return needs;
}

int segment_range_collect(const void *address, size_t length, struct segment_range **list, size_t *count)
{
	uintptr_t start = (uintptr_t)address;
	bool queried;
	*list = NULL;
	*count = 0;
	if (length > UINTPTR_MAX - start)
		return base_refuse(RSMERR_BAD_ADDR, "%zu bytes at %p reach beyond the address space", length,
				   address);
	int code = range_collect(start, start + length, list, count, &queried);
	if (code == RSM_SUCCESS && *count > 0 && (!queried || range_needs_smaps(*list, *count)))
		range_read_smaps(*list, *count);
	if (code != RSM_SUCCESS) {
		free(*list);
		*list = NULL;
		*count = 0;
	}
	return code;
}

/* Unmapped parts first, then protections, as the manual wants it. */
static int range_check(uintptr_t start, uintptr_t end, const struct segment_range *list, size_t count)
{
	uintptr_t at = start;
	for (size_t i = 0; i < count && list[i].start == at; i++)
		at = list[i].end;
	if (at < end)
		return base_refuse(RSMERR_BAD_ADDR,
				   "the range [%#" PRIxPTR ", %#" PRIxPTR ") is not mapped at %#" PRIxPTR,
				   start, end, at);
	for (size_t i = 0; i < count; i++)
		if ((list[i].protection & (PROT_READ | PROT_WRITE)) != (PROT_READ | PROT_WRITE))
			return base_refuse(RSMERR_PERM_DENIED,
					   "the memory at %#" PRIxPTR " is not both readable and"
					   " writable (mapping %s)",
					   list[i].start, list[i].path[0] ? list[i].path : "anonymous");
	return RSM_SUCCESS;
}

int segment_range_list(const void *address, size_t length, struct segment_range **list, size_t *count)
{
	int code = segment_range_collect(address, length, list, count);
	if (code != RSM_SUCCESS)
		return code;
	code = range_check((uintptr_t)address, (uintptr_t)address + length, *list, *count);
	if (code != RSM_SUCCESS) {
		free(*list);
		*list = NULL;
		*count = 0;
	}
	return code;
}
