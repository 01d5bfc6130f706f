/* SPDX-License-Identifier: BSD-2-Clause */
#include "rsmd/unpack.h"

#include <stdalign.h>
#include <sys/mman.h>

#define REGION_SIZE (64u << 20)
#define REGION_KEPT (1u << 20) /* bytes of memory that stay between requests */

static uint8_t *region;
static size_t used;

static void *region_alloc(void *context, size_t size)
{
	(void)context;
	size_t unit = alignof(max_align_t);
	if (size > REGION_SIZE - used)
		return NULL;
	void *piece = region + used;
	used += (size + unit - 1) & ~(unit - 1); /* the region's size is a multiple, too */
	return piece;
}

static void region_free(void *context, void *piece)
{
	(void)context;
	(void)piece; /* with all others, by reset */
}

bool rsmd_unpack_open(void)
{
	void *memory = mmap(NULL, REGION_SIZE, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	region = memory == MAP_FAILED ? NULL : memory;
	return region != NULL;
}

static ProtobufCAllocator allocator = {.alloc = region_alloc, .free = region_free};

Wire__Request *rsmd_unpack(const uint8_t *body, size_t length)
{
	return wire__request__unpack(&allocator, length, body);
}

Wire__PeerMessage *rsmd_unpack_peer(const uint8_t *body, size_t length)
{
	return wire__peer_message__unpack(&allocator, length, body);
}

void rsmd_unpack_reset(void)
{
	if (used > REGION_KEPT)
		madvise(region + REGION_KEPT, REGION_SIZE - REGION_KEPT, MADV_DONTNEED);
	used = 0;
}
