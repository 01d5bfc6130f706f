/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The data path on one host: copy, fence, compare one word. No system call, no lock, no allocation, no store to memory
 * that threads share, besides the data.
 *
 * The word is compared before the copy, so that an aborted connection moves nothing. In implicit mode it is compared again
 * after it, behind a full fence for writes (they must be out before the word is read): an unchanged word
 * says that the data reached, or came from, the exporter's memory. Explicit mode leaves that to the closing barrier.
 */
#include "transport/local/local.h"

#include <string.h>

#include "base/reason.h"
#include "rsmapi.h"

#define likely(condition) __builtin_expect(!!(condition), 1)

/*
 * One memcpy of some hundred KiB leaves the caches; pieces that fit the second level are faster. Very large
 * copies are better left whole: then memcpy goes around the caches.
 */
#define PIECE       ((size_t)128 << 10)
#define PIECES_FROM ((size_t)256 << 10)
#define PIECES_TO   ((size_t)8 << 20)

static __attribute__((noinline)) void copy_long(unsigned char *to, const unsigned char *from, size_t length)
{
	for (; length > PIECE; length -= PIECE, to += PIECE, from += PIECE)
		memcpy(to, from, PIECE);
	memcpy(to, from, length);
}

static inline void copy(unsigned char *to, const unsigned char *from, size_t length)
{
	if (length == 8)
		memcpy(to, from, 8); /* one move: the commonest size does not pay for a call */
	else if (length < PIECES_FROM || length > PIECES_TO)
		memcpy(to, from, length);
	else
		copy_long(to, from, length);
}

/* Items of `width` bytes, each by one access. */
static inline void copy_items(volatile unsigned char *to, const volatile unsigned char *from, size_t count,
			      unsigned width)
{
	switch (width) {
	case 1:
		for (size_t i = 0; i < count; i++)
			to[i] = from[i];
		break;
	case 2:
		for (size_t i = 0; i < count; i++)
			((volatile uint16_t *)to)[i] = ((const volatile uint16_t *)from)[i];
		break;
	case 4:
		for (size_t i = 0; i < count; i++)
			((volatile uint32_t *)to)[i] = ((const volatile uint32_t *)from)[i];
		break;
	default:
		for (size_t i = 0; i < count; i++)
			((volatile uint64_t *)to)[i] = ((const volatile uint64_t *)from)[i];
	}
}

static inline uint64_t word(const struct transport_import *import)
{
	return atomic_load_explicit(&import->status->epoch, memory_order_acquire);
}

enum direction { GET, PUT };

static inline __attribute__((always_inline)) void move(unsigned char *remote, enum direction direction,
						       void *local, size_t count, unsigned width)
{
	unsigned char *to = direction == PUT ? remote : local, *from = direction == PUT ? local : remote;
	if (width == 0)
		copy(to, from, count);
	else
		copy_items(to, from, count, width);
}

/*
 * The one shape of all calls; every caller passes constants for direction and, but for items, width (0: bytes). False: the
 * memory is another, or was when the copy ended.
 */
static inline __attribute__((always_inline)) bool transfer_once(const struct transport_import *import,
								enum direction direction, uint64_t offset,
								void *local, size_t count, unsigned width)
{
	const uint64_t epoch = atomic_load_explicit(&import->epoch, memory_order_relaxed);
	if (!likely(word(import) == epoch))
		return false;
	move(import->map + offset, direction, local, count, width);
	if (!atomic_load_explicit(&import->implicit, memory_order_relaxed))
		return true;
	if (direction == PUT)
		atomic_thread_fence(memory_order_seq_cst);
	else
		atomic_thread_fence(memory_order_acquire);
	return likely(word(import) == epoch);
}

/* After one that was in vain. It goes round again only when the memory moved under the copy. Out of the way of the others. */
static __attribute__((noinline, cold)) int transfer_again(struct transport_import *import,
							  enum direction direction, uint64_t offset,
							  void *local, size_t count, unsigned width)
{
	do {
		int code = local_resume(import);
		if (code != RSM_SUCCESS) {
			transport_failed(import);
			return code;
		}
	} while (!transfer_once(import, direction, offset, local, count, width));
	return RSM_SUCCESS;
}

static inline __attribute__((always_inline)) int transfer(struct transport_import *import,
							  enum direction direction, uint64_t offset,
							  void *local, size_t count, unsigned width)
{
	if (likely(transfer_once(import, direction, offset, local, count, width)))
		return RSM_SUCCESS;
	return transfer_again(import, direction, offset, local, count, width);
}

/* What calls memcpy saves registers; the commonest size does not. */
static __attribute__((noinline)) int get_long(struct transport_import *import, uint64_t offset, void *target,
					      size_t length)
{
	return transfer(import, GET, offset, target, length, 0);
}

static __attribute__((noinline)) int put_long(struct transport_import *import, uint64_t offset, void *source,
					      size_t length)
{
	return transfer(import, PUT, offset, source, length, 0);
}

int local_get(struct transport_import *import, uint64_t offset, void *target, size_t length)
{
	return length == 8 ? transfer(import, GET, offset, target, 8, 0)
			   : get_long(import, offset, target, length);
}

int local_get_items(struct transport_import *import, uint64_t offset, void *target, size_t count,
		    unsigned width)
{
	return transfer(import, GET, offset, target, count, width);
}

int local_put(struct transport_import *import, uint64_t offset, const void *source, size_t length)
{
	void *from = (void *)(uintptr_t)source;
	return length == 8 ? transfer(import, PUT, offset, from, 8, 0)
			   : put_long(import, offset, from, length);
}

int local_put_items(struct transport_import *import, uint64_t offset, const void *source, size_t count,
		    unsigned width)
{
	return transfer(import, PUT, offset, (void *)(uintptr_t)source, count, width);
}

uint64_t local_begin(struct transport_import *import)
{
	/* Memory that moved is followed here, so that the span's loads and stores go to the right place from its start. */
	if (word(import) != atomic_load(&import->epoch) && !transport_is_aborted(import))
		local_resume(
			import); /* if that fails, so will settle: the span keeps an epoch that is not the word */
	return atomic_load(&import->epoch);
}

int local_order(struct transport_import *import)
{
	atomic_thread_fence(memory_order_seq_cst);
	return likely(word(import) == atomic_load(&import->epoch)) ? RSM_SUCCESS : local_resume(import);
}

int local_settle(struct transport_import *import, uint64_t span)
{
	atomic_thread_fence(memory_order_seq_cst);
	if (likely(word(import) == span))
		return RSM_SUCCESS;
	int code = local_resume(import);
	if (code != RSM_SUCCESS)
		return code;
	return base_refuse(RSMERR_BARRIER_FAILURE,
			   "the exporter's memory moved during the span (another export over it was "
			   "withdrawn); the map follows it now, do the accesses again");
}
