/* SPDX-License-Identifier: BSD-2-Clause */
/* Posting into a slot of signal memory: the library does it on one host, rsmd for other nodes. */
#include "segment/signal.h"

#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

bool segment_signal_post(struct segment_signal *slot, uint32_t count, bool no_accumulate)
{
	uint32_t events = atomic_load_explicit(&slot->events, memory_order_relaxed), pending, sum;
	do {
		pending = events & SEGMENT_SIGNAL_COUNT;
		if ((pending > 0 && no_accumulate) || pending == SEGMENT_SIGNAL_COUNT || count == 0)
			return false;
		sum = count > SEGMENT_SIGNAL_COUNT - pending ? SEGMENT_SIGNAL_COUNT : pending + count;
	} while (!atomic_compare_exchange_weak(&slot->events, &events,
					       (events & ~SEGMENT_SIGNAL_COUNT) |
						       sum)); /* a full fence: data before event */
	if (atomic_load(&slot->waiters) != 0 && atomic_exchange(&slot->waiters, 0) != 0)
		syscall(SYS_futex, &slot->events, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
	return pending == 0 && atomic_load_explicit(&slot->doorbell, memory_order_acquire) != 0;
}
