/* SPDX-License-Identifier: BSD-2-Clause */
/* rsmx_alloc and rsmx_free: memory that is an object from the start, so that exporting it copies nothing. */
#include <search.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/lib.h"
#include "lib/object.h"
#include "rsm/ext.h"

#define HUGE_PAGE ((size_t)2 << 20)

/* What rsmx_alloc returned and rsmx_free has not taken back; in a forked child too, where no object stands behind it. */
struct allocation {
	uintptr_t start;
	size_t length; /* bytes */
};

static void *allocations; /* tree, by start */

static int compare_allocations(const void *a, const void *b)
{
	const struct allocation *left = a, *right = b;
	return left->start < right->start ? -1 : left->start > right->start;
}

/* Maps an object anywhere and enters both in their trees; false leaves everything as it was. */
static bool allocation_map(struct lib_object *object, struct allocation *allocation)
{
	void *memory = mmap(NULL, object->length, PROT_READ | PROT_WRITE, MAP_SHARED, object->fd, 0);
	if (memory == MAP_FAILED)
		return false;
	allocation->start = object->start = (uintptr_t)memory;
	allocation->length = object->length;
	object->allocation = true;
	struct allocation **node = tsearch(allocation, &allocations, compare_allocations);
	if (node != NULL && lib_object_enter(object))
		return true;
	if (node != NULL)
		tdelete(allocation, &allocations, compare_allocations);
	munmap(memory, object->length);
	object->length = 0; /* stands nowhere */
	return false;
}

static int allocate(size_t length, bool huge, void **address)
{
	struct allocation *allocation = malloc(sizeof *allocation);
	if (allocation == NULL)
		return base_refuse(RSMERR_INSUFFICIENT_MEM, "no memory to describe an allocation");
	struct lib_object *object = NULL;
	int code = lib_object_create(length, huge, &object);
	if (object != NULL && allocation_map(object, allocation)) {
		*address = (void *)object->start;
		return RSM_SUCCESS;
	}
	free(allocation);
	if (object == NULL)
		return code;
	lib_object_discard(object);
	return huge ? base_refuse(RSMERR_INSUFFICIENT_MEM,
				  "%zu bytes of huge pages are not free; see vm.nr_hugepages", length)
		    : base_refuse(RSMERR_INSUFFICIENT_MEM, "no address space for %zu bytes", length);
}

static int allocation_free(void *address)
{
	const struct allocation key = {.start = (uintptr_t)address};
	struct allocation *const *node = tfind(&key, &allocations, compare_allocations);
	if (node == NULL)
		return base_refuse(RSMERR_BAD_ADDR,
				   "%p is not what rsmx_alloc returned, or was freed already", address);
	struct allocation *allocation = *node;
	const uintptr_t start = allocation->start, end = start + allocation->length;
	struct lib_object *object;
	for (uintptr_t at = start; (object = lib_object_first(at, end)) != NULL;
	     at = object->start + object->length)
		if (object->references > 0)
			return base_refuse(
				RSMERR_SEG_IN_USE,
				"an export segment still covers memory at %p; destroy it before rsmx_free",
				address);
	munmap(address, allocation->length);
	while ((object = lib_object_first(start, end)) != NULL)
		lib_object_discard(object);
	tdelete(allocation, &allocations, compare_allocations);
	free(allocation);
	return RSM_SUCCESS;
}

void *rsmx_alloc(size_t size, unsigned flags)
{
	const size_t page = (flags & RSMX_ALLOC_HUGE) != 0 ? HUGE_PAGE : (size_t)sysconf(_SC_PAGESIZE);
	void *address = NULL;
	if ((flags & ~RSMX_ALLOC_HUGE) != 0) {
		base_refuse(RSMERR_BAD_ARGS_ERRORS, "unknown flags 0x%x", flags & ~RSMX_ALLOC_HUGE);
		return NULL;
	}
	if (size == 0 || size > SIZE_MAX / 2 || (page == HUGE_PAGE && size % page != 0)) {
		base_refuse(RSMERR_BAD_LENGTH,
			    "%zu bytes cannot be allocated; with RSMX_ALLOC_HUGE the size must be a multiple "
			    "of 2 MiB",
			    size);
		return NULL;
	}
	lib_lock();
	if (lib_daemon_open() == RSM_SUCCESS &&
	    allocate((size + page - 1) / page * page, page == HUGE_PAGE, &address) != RSM_SUCCESS)
		address = NULL;
	lib_unlock();
	return address;
}

int rsmx_free(void *address)
{
	if (address == NULL)
		return RSM_SUCCESS;
	lib_lock();
	int code = allocation_free(address);
	lib_unlock();
	return code;
}
