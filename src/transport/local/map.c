/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Maps of the exporter's memory: the whole segment for get and put, made at connect, and the window of
 * rsm_memseg_import_map. Both are made of extents. Everything here runs under the import's lock.
 */
#include "transport/local/local.h"

#include <errno.h>
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/reason.h"
#include "rsmapi.h"
#include "segment/view.h"

#define MOVE_NS 60000000000u /* how long memory may be in motion before an access gives up */

static size_t page_ceil(uint64_t length)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);
	return ((size_t)length + page - 1) / page * page;
}

static bool is_denied(int error)
{
	return error == EACCES || error == EPERM;
}

static int refuse_map(int code, int error, const struct transport_import *import)
{
	if (is_denied(error))
		return base_refuse_errno(
			code, error,
			"the system refuses to map the segment (for System V memory its own permissions "
			"apply too)");
	return base_refuse_errno(
		code, error, "cannot map a segment of %llu bytes; is vm.max_map_count or RLIMIT_AS reached?",
		(unsigned long long)import->length);
}

static int granted_protection(const struct transport_import *import)
{
	/* CPUs cannot write without reading; a write-only right is enforced by the calls. */
	return (import->granted & RSM_PERM_WRITE) != 0 ? PROT_READ | PROT_WRITE : PROT_READ;
}

/* The maps show the layout of this epoch. One of memory in motion is never equal to the word, so that nobody uses it. */
static void epoch_take(struct transport_import *import, uint64_t epoch)
{
	atomic_store_explicit(&import->epoch, SEGMENT_EPOCH_IS_MOVING(epoch) ? epoch - 1 : epoch,
			      memory_order_release);
}

int local_attach(struct transport_import *import, const struct transport_layout *layout)
{
	epoch_take(import, layout->epoch);
	if (import->granted == RSM_PERM_NONE)
		return RSM_SUCCESS; /* such a connection only signals */
	size_t length = page_ceil(import->length);
	unsigned char *map =
		segment_view_reserve(length, segment_view_is_huge(layout->extents, layout->count));
	if (map == NULL)
		return refuse_map(RSMERR_INSUFFICIENT_RESOURCES, errno, import);
	int error = segment_view_place(layout->extents, layout->count, 0, length, map,
				       granted_protection(import));
	if (error != 0) {
		munmap(map, length);
		return refuse_map(is_denied(error) ? RSMERR_PERM_DENIED : RSMERR_INSUFFICIENT_RESOURCES,
				  error, import);
	}
	import->map = map;
	return RSM_SUCCESS;
}

void local_detach(struct transport_import *import)
{
	if (import->map != NULL)
		munmap(import->map, page_ceil(import->length));
	import->map = NULL;
}

int local_map(struct transport_import *import, void **address, bool fixed, int protection, uint64_t offset,
	      size_t length)
{
	struct transport_layout layout;
	if (fixed && *address == NULL) /* NULL says that there is no window */
		return base_refuse(RSMERR_MAP_FAILED, "a segment cannot be mapped at address 0");
	int code = transport_layout_fetch(import, &layout);
	if (code != RSM_SUCCESS)
		return code;
	size_t whole = page_ceil(length);
	unsigned char *at =
		fixed ? *address
		      : segment_view_reserve(whole, segment_view_is_huge(layout.extents, layout.count));
	int error = at == NULL ? ENOMEM : 0;
	if (error == 0)
		error = protection == PROT_NONE ? segment_view_blank(at, whole, PROT_NONE)
						: segment_view_place(layout.extents, layout.count, offset,
								     whole, at, protection);
	transport_layout_clear(&layout);
	if (error != 0) {
		/* Some pieces may be there: none stays. A fixed range was given up for the map and stays reserved. */
		if (at != NULL && fixed)
			segment_view_blank(at, whole, PROT_NONE);
		else if (at != NULL)
			munmap(at, whole);
		return refuse_map(error == ENOMEM ? RSMERR_INSUFFICIENT_RESOURCES : RSMERR_MAP_FAILED, error,
				  import);
	}
	import->window = at;
	import->window_length = whole;
	import->window_offset = offset;
	import->window_protection = protection;
	*address = at;
	return RSM_SUCCESS;
}

void local_unmap(struct transport_import *import)
{
	munmap(import->window, import->window_length);
	import->window = NULL;
}

/* New memory in the place of the old: other threads that copy meanwhile notice by the epoch and do it again. */
static int remap(struct transport_import *import)
{
	struct transport_layout layout;
	const uint64_t before = atomic_load(&import->status->epoch);
	int code = transport_layout_fetch(import, &layout);
	if (code != RSM_SUCCESS)
		return code;
	/* Else the caller would come back for ever. */
	if (layout.epoch != before && atomic_load(&import->status->epoch) == before) {
		transport_layout_clear(&layout);
		return base_refuse(RSMERR_BARRIER_FAILURE, "rsmd describes another layout than it announces");
	}
	int error = 0;
	if (import->map != NULL)
		error = segment_view_place(layout.extents, layout.count, 0, page_ceil(import->length),
					   import->map, granted_protection(import));
	if (error == 0 && import->window != NULL && import->window_protection != PROT_NONE)
		error = segment_view_place(layout.extents, layout.count, import->window_offset,
					   import->window_length, import->window, import->window_protection);
	transport_layout_clear(&layout);
	if (error != 0)
		return refuse_map(RSMERR_BARRIER_FAILURE, error, import);
	epoch_take(import, layout.epoch);
	return RSM_SUCCESS;
}

/*
 * What an aborted import still maps becomes trash: stores vanish, loads see zeros, nothing faults (rsm(7), WITHDRAWAL). The
 * exporter has moved away already where it can; for memory that cannot move (files, System V) this is the cut.
 */
static void trash(struct transport_import *import)
{
	if (import->is_trash)
		return;
	bool whole = import->map == NULL ||
		     segment_view_blank(import->map, page_ceil(import->length), PROT_READ | PROT_WRITE) == 0;
	if (import->window != NULL)
		whole &= segment_view_blank(import->window, import->window_length,
					    import->window_protection) == 0;
	import->is_trash = whole; /* else it is tried again at the next call */
}

/* Sleeps, without the lock, while the exporter moves the memory. False: it takes longer than MOVE_NS. */
static bool wait_until_moved(const struct transport_import *import)
{
	const struct timespec slice = {.tv_sec = 1};
	const uint64_t end = base_clock_ns() + MOVE_NS;
	for (;;) {
		uint64_t now = atomic_load_explicit(&import->status->epoch, memory_order_acquire);
		if (!SEGMENT_EPOCH_IS_MOVING(now) || SEGMENT_EPOCH_GENERATION(now) != import->generation)
			return true;
		if (base_clock_ns() >= end)
			return false;
		/* The exporter's death raises the generation and wakes us as well. */
		syscall(SYS_futex, SEGMENT_EPOCH_FUTEX(&import->status->epoch), FUTEX_WAIT,
			SEGMENT_EPOCH_LAYOUT(now), &slice, NULL, 0);
	}
}

int local_resume(struct transport_import *import)
{
	int code = RSM_SUCCESS;
	if (!wait_until_moved(import))
		return base_refuse(RSMERR_BARRIER_FAILURE,
				   "the exporter has been moving the segment's memory for %u s",
				   (unsigned)(MOVE_NS / 1000000000u));
	transport_lock(import);
	uint64_t now = atomic_load_explicit(&import->status->epoch, memory_order_acquire);
	if (SEGMENT_EPOCH_GENERATION(now) != import->generation) {
		trash(import);
		code = base_refuse(RSMERR_CONN_ABORTED,
				   "the exporter has withdrawn the segment; connect again to go on");
	} else if (now != atomic_load(&import->epoch)) {
		code = remap(import);
	}
	transport_unlock(import);
	return code;
}
