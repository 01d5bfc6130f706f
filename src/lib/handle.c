/* SPDX-License-Identifier: BSD-2-Clause */
/* The area of handles; see handle.h. All functions here run under lib_lock. */
#include "lib/handle.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "base/reason.h"
#include "rsmapi.h"

#define COMMIT_STEP ((size_t)64 << 10) /* bytes made readable at a time, so that mlockall() costs little */
#define AREA_SIZE   ((size_t)LIB_HANDLE_SLOTS * LIB_HANDLE_SLOT)

struct lib_handle_area lib_handle_area;

/* Freed slots queue up here and are used again last, so that a stale handle stays detectable for long. */
static uint32_t free_first, free_last; /* index + 1, 0: none */
static uint32_t slots_used;            /* slots handed out so far, from the start of the area */

static struct lib_handle *slot_at(uint32_t index)
{
	return (struct lib_handle *)(lib_handle_area.base + (size_t)index * LIB_HANDLE_SLOT);
}

static int area_grow(void)
{
	if (lib_handle_area.base == 0) {
		void *area =
			mmap(NULL, AREA_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (area == MAP_FAILED)
			return errno;
		lib_handle_area.base = (uintptr_t)area;
	}
	size_t committed = atomic_load_explicit(&lib_handle_area.committed, memory_order_relaxed);
	if (mprotect((void *)(lib_handle_area.base + committed), COMMIT_STEP, PROT_READ | PROT_WRITE) != 0)
		return errno;
	atomic_store_explicit(&lib_handle_area.committed, committed + COMMIT_STEP, memory_order_release);
	return 0;
}

static int slot_new(struct lib_handle **slot)
{
	if (slots_used == LIB_HANDLE_SLOTS)
		return base_refuse(RSMERR_INSUFFICIENT_RESOURCES,
				   "this process has %u handles, the most that it can have",
				   LIB_HANDLE_SLOTS);
	if ((size_t)(slots_used + 1) * LIB_HANDLE_SLOT > atomic_load(&lib_handle_area.committed)) {
		int error = area_grow();
		if (error != 0)
			return base_refuse_errno(RSMERR_INSUFFICIENT_MEM, error,
						 "no memory for another handle");
	}
	*slot = slot_at(slots_used++);
	return RSM_SUCCESS;
}

int lib_handle_take(void **taken)
{
	struct lib_handle *slot = NULL;
	/* A fresh slot while the area is small, then the one that has been free for the longest time. */
	if (free_first != 0 && slots_used >= 64) {
		slot = slot_at(free_first - 1);
		free_first = slot->next;
		if (free_first == 0)
			free_last = 0;
		memset(slot + 1, 0, LIB_HANDLE_SLOT - sizeof *slot);
	} else {
		int code = slot_new(&slot);
		if (code != RSM_SUCCESS)
			return code;
	}
	*taken = slot;
	return RSM_SUCCESS;
}

void *lib_handle_publish(void *taken, enum lib_handle_kind kind)
{
	struct lib_handle *slot = taken;
	uintptr_t uses = slot->uses++ & (LIB_HANDLE_SLOT / 4 - 1);
	uintptr_t tag = (uintptr_t)slot | uses << 2 | (uintptr_t)kind;
	atomic_store_explicit(&slot->tag, tag, memory_order_release);
	return (void *)tag;
}

void lib_handle_free(void *taken)
{
	struct lib_handle *slot = taken;
	uint32_t index = (uint32_t)(((uintptr_t)slot - lib_handle_area.base) / LIB_HANDLE_SLOT);
	atomic_store_explicit(&slot->tag, 0, memory_order_release);
	slot->next = 0;
	if (free_last != 0)
		slot_at(free_last - 1)->next = index + 1;
	else
		free_first = index + 1;
	free_last = index + 1;
}
