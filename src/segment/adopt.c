/* SPDX-License-Identifier: BSD-2-Clause */
/* Adoption, return and move: what each of them may touch, in which order, and how it is undone. */
#include "segment/adopt.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <rsmapi.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/reason.h"
#include "segment/guard.h"
#include "segment/maps.h"
#include "segment/relocate.h"

static const struct segment_guard adopt_no_guard = {.fd = -1, .kind = SEGMENT_GUARD_NONE};

static size_t adopt_system_page(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

/* The page size of a memfd's file system. Async-signal-safe. */
static size_t adopt_page_size(int fd)
{
	struct statfs fs;
	bool huge = fstatfs(fd, &fs) == 0 && fs.f_type == HUGETLBFS_MAGIC && fs.f_bsize > 0;
	return huge ? (size_t)fs.f_bsize : adopt_system_page();
}

static struct segment_home adopt_home(int fd, uint64_t offset)
{
	return (struct segment_home){.fd = fd, .offset = offset, .page_size = adopt_page_size(fd)};
}

/* The code and reason of an errno that stopped a relocation. */
static int adopt_refuse(int error, const char *what, const void *address, size_t length)
{
	switch (error) {
	case EMFILE:
	case ENFILE:
		return base_refuse_errno(RSMERR_INSUFFICIENT_RESOURCES, error,
					 "cannot %s %zu bytes at %p (limit: RLIMIT_NOFILE)", what, length,
					 address);
	case EBUSY:
		return base_refuse(RSMERR_BAD_ADDR,
				   "cannot %s %zu bytes at %p: the program has them under a"
				   " userfaultfd of its own",
				   what, length, address);
	case EFAULT:
	case EINVAL:
		return base_refuse_errno(RSMERR_BAD_ADDR, error,
					 "cannot %s %zu bytes at %p: not memory that can be"
					 " copied and mapped anew",
					 what, length, address);
	default:
		return base_refuse_errno(
			RSMERR_INSUFFICIENT_MEM, error,
			"cannot %s %zu bytes at %p (limits: memory"
			" and cgroup, huge pages, RLIMIT_AS, RLIMIT_MEMLOCK, vm.max_map_count)",
			what, length, address);
	}
}

/*
 * Fresh private memory of the whole length, so that what is moved out of it piece by piece becomes one mapping again.
 * Costs address space only.
 */
static unsigned char *adopt_stage(size_t length, size_t page_size, const struct segment_range *like)
{
	int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
	if (page_size > adopt_system_page())
		flags |= MAP_HUGETLB | __builtin_ctzl(page_size) << MAP_HUGE_SHIFT;
	void *stage = mmap(NULL, length, PROT_READ | PROT_WRITE, flags, -1, 0);
	if (stage == MAP_FAILED)
		return NULL;
	segment_relocate_advise(like, stage, length);
	return stage;
}

/* What is left of a stage. Where pieces were moved out another thread's mapping may be by now: not touched. */
static void adopt_unstage(const struct segment_relocation *r)
{
	if (r->stage && r->cursor < r->end)
		munmap(r->stage + (r->cursor - r->start), r->end - r->cursor);
}

/* Moves what arrived at its new home back to the old one. Best effort: failing it leaves the memory whole. */
static void adopt_undo(const struct segment_relocation *done)
{
	struct segment_relocation back = *done;
	back.end = done->cursor;
	back.from = done->to;
	back.to = done->from;
	back.stage = NULL;
	back.dense = back.from.fd >= 0 && back.from.page_size > adopt_system_page();
	if (back.start == back.end)
		return;
	if (back.to.fd < 0) {
		back.stage = adopt_stage(back.end - back.start, back.to.page_size, back.like);
		if (!back.stage)
			return;
	}
	(void)segment_relocate(&back);
	adopt_unstage(&back);
}

static int adopt_check_kind(const struct segment_range *range)
{
	if (range->kind == SEGMENT_RANGE_OTHER || range->kind == SEGMENT_RANGE_SYSV)
		return base_refuse(RSMERR_BAD_ADDR,
				   "the memory at %#" PRIxPTR " (%s) cannot be replaced by a copy",
				   range->start, range->path[0] ? range->path : "no name");
	/* Our own stack or errno under protection would stop this thread for ever. */
	uintptr_t frame = (uintptr_t)__builtin_frame_address(0), error = (uintptr_t)&errno;
	if ((frame >= range->start && frame < range->end) || (error >= range->start && error < range->end))
		return base_refuse(RSMERR_BAD_ADDR,
				   "the range [%#" PRIxPTR ", %#" PRIxPTR ") holds the stack in use by"
				   " the calling thread",
				   range->start, range->end);
	return RSM_SUCCESS;
}

static int adopt_check_pages(const struct segment_relocation *r)
{
	size_t page = r->from.page_size > r->to.page_size ? r->from.page_size : r->to.page_size;
	if (r->start % page || r->end % page || r->to.offset % r->to.page_size)
		return base_refuse(RSMERR_BAD_ADDR,
				   "the range [%#" PRIxPTR ", %#" PRIxPTR ") is not made of whole pages"
				   " of %zu bytes",
				   r->start, r->end, page);
	return RSM_SUCCESS;
}

/* Only of anonymous memory does the page map say all: pages of a file that are not there have contents. */
static bool adopt_is_dense(const struct segment_range *range)
{
	bool anonymous =
		range->kind == SEGMENT_RANGE_ANONYMOUS ||
		(range->kind == SEGMENT_RANGE_HUGE && strncmp(range->path, "/anon_hugepage", 14) == 0);
	return !anonymous;
}

int segment_adopt(const struct segment_range *range, int fd, uint64_t offset,
		  const struct segment_guard *guard)
{
	struct segment_relocation r = {
		.start = range->start,
		.end = range->end,
		.from = {.fd = -1, .page_size = range->page_size},
		.to = adopt_home(fd, offset),
		.dense = adopt_is_dense(range),
		.like = range,
		.guard = guard,
	};
	int code = adopt_check_kind(range);
	if (code == RSM_SUCCESS)
		code = adopt_check_pages(&r);
	if (code != RSM_SUCCESS)
		return code;
	int error = segment_relocate(&r);
	if (error == 0)
		return RSM_SUCCESS;
	adopt_undo(&r);
	return adopt_refuse(error, "adopt", (void *)range->start, range->end - range->start);
}

/* Whether the mapping still is the memfd's, at its place: the application may have put other memory there. */
static bool adopt_is_of(const struct segment_range *range, const struct stat *st, uintptr_t start,
			uint64_t offset)
{
	return range->device == st->st_dev && range->inode == st->st_ino &&
	       range->offset == offset + (range->start - start);
}

/* The mappings of the memfd in the range as relocations, unfinished ones. malloc'ed, the caller frees both. */
static int adopt_plan(void *address, size_t length, const struct segment_relocation *common,
		      struct segment_range **ranges, struct segment_relocation **plan, size_t *count)
{
	struct stat st;
	size_t found;
	*count = 0;
	*plan = NULL;
	*ranges = NULL;
	if (fstat(common->from.fd, &st) != 0)
		return base_refuse_errno(RSMERR_BAD_ADDR, errno, "the descriptor behind %p cannot be asked",
					 address);
	int code = segment_range_collect(address, length, ranges, &found);
	if (code != RSM_SUCCESS)
		return code;
	*plan = calloc(found ? found : 1, sizeof(**plan));
	if (!*plan)
		return base_refuse(RSMERR_INSUFFICIENT_MEM, "no memory for the plan of %zu mappings", found);
	for (size_t i = 0; i < found; i++) {
		struct segment_range *range = &(*ranges)[i];
		if (!adopt_is_of(range, &st, (uintptr_t)address, common->from.offset))
			continue;
		struct segment_relocation *r = &(*plan)[(*count)++];
		uint64_t skip = range->start - (uintptr_t)address;
		*r = *common;
		r->start = r->cursor = range->start;
		r->end = range->end;
		r->from.offset += skip;
		r->to.offset += skip;
		r->like = range;
	}
	return RSM_SUCCESS;
}

/* Runs the plan; on error what was done is undone, last first. */
static int adopt_run(struct segment_relocation *plan, size_t count)
{
	int error = 0;
	size_t done = 0;
	while (done < count && error == 0)
		error = segment_relocate(&plan[done++]);
	if (error != 0)
		while (done-- > 0)
			adopt_undo(&plan[done]);
	return error;
}

int segment_move(void *address, size_t length, int from, uint64_t from_offset, int to, uint64_t to_offset,
		 const struct segment_guard *guard)
{
	struct segment_relocation common = {
		.from = adopt_home(from, from_offset), .to = adopt_home(to, to_offset), .guard = guard};
	struct segment_range *ranges;
	struct segment_relocation *plan;
	size_t count;
	common.dense = common.from.page_size > adopt_system_page();
	int code = adopt_plan(address, length, &common, &ranges, &plan, &count);
	for (size_t i = 0; i < count && code == RSM_SUCCESS; i++)
		code = adopt_check_pages(&plan[i]);
	if (code == RSM_SUCCESS) {
		int error = adopt_run(plan, count);
		if (error != 0)
			code = adopt_refuse(error, "move", address, length);
	}
	free(plan);
	free(ranges);
	return code;
}

/* One stage for all: gaps of the plan are given back at once, the rest as its pieces are done. */
static bool adopt_stage_plan(uintptr_t address, size_t length, struct segment_relocation *plan, size_t count)
{
	unsigned char *stage = adopt_stage(length, plan[0].from.page_size, &(struct segment_range){0});
	if (!stage)
		return false;
	uintptr_t used = address;
	for (size_t i = 0; i < count; used = plan[i++].end) {
		if (used < plan[i].start)
			munmap(stage + (used - address), plan[i].start - used);
		plan[i].stage = stage + (plan[i].start - address);
		segment_relocate_advise(plan[i].like, plan[i].stage, plan[i].end - plan[i].start);
	}
	if (used < address + length)
		munmap(stage + (used - address), address + length - used);
	return true;
}

int segment_return(void *address, size_t length, int fd, uint64_t offset, const struct segment_guard *guard)
{
	struct segment_relocation common = {.from = adopt_home(fd, offset), .to = {.fd = -1}, .guard = guard};
	struct segment_range *ranges;
	struct segment_relocation *plan;
	size_t count;
	common.to.page_size = common.from.page_size;
	common.dense = common.from.page_size > adopt_system_page();
	int code = adopt_plan(address, length, &common, &ranges, &plan, &count);
	if (code == RSM_SUCCESS && count > 0) {
		int error = adopt_stage_plan((uintptr_t)address, length, plan, count) ? 0 : ENOMEM;
		if (error == 0) {
			error = adopt_run(plan, count);
			for (size_t i = 0; i < count; i++)
				adopt_unstage(&plan[i]);
		}
		if (error != 0)
			code = adopt_refuse(error, "return", address, length);
	}
	free(plan);
	free(ranges);
	return code;
}

/* One mapping of the parent's memory becomes the child's own. */
static bool adopt_copy_mapping(const struct segment_range *range, int fd)
{
	struct segment_relocation r = {
		.start = range->start,
		.end = range->end,
		.from = adopt_home(fd, range->offset),
		.to = {.fd = -1, .page_size = range->page_size},
		.dense = range->page_size > adopt_system_page(),
		.keep = true,
		.like = range,
		.guard = &adopt_no_guard,
	};
	r.stage = adopt_stage(r.end - r.start, range->page_size, range);
	if (!r.stage)
		return false;
	int error = segment_relocate(&r);
	adopt_unstage(&r);
	return error == 0;
}

bool segment_copy_private(void *address, size_t length, int fd, uint64_t offset)
{
	struct segment_maps maps;
	struct segment_mapping mapping;
	struct stat st;
	uintptr_t start = (uintptr_t)address, end = start + length;
	if (end < start || fstat(fd, &st) != 0 || segment_maps_open(&maps, "/proc/self/maps") < 0)
		return false;
	int found = 1;
	bool whole = true;
	for (uintptr_t at = start; at < end && whole; at = mapping.end) {
		found = segment_maps_next(&maps, at, &mapping);
		if (found <= 0 || mapping.start >= end)
			break;
		struct segment_range range = {
			.start = mapping.start > start ? mapping.start : start,
			.end = mapping.end < end ? mapping.end : end,
			.protection = mapping.protection,
			.device = mapping.device,
			.inode = mapping.inode,
			.page_size = adopt_page_size(fd),
		};
		range.offset = mapping.offset + (range.start - mapping.start);
		if (adopt_is_of(&range, &st, start, offset))
			whole = adopt_copy_mapping(&range, fd);
	}
	segment_maps_close(&maps);
	return whole && found >= 0;
}
