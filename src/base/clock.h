/* SPDX-License-Identifier: BSD-2-Clause */
/* Time in nanoseconds; but for the time of day it never goes back. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline uint64_t base_clock_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* The same, counting the time that the machine slept: what a right between nodes is measured by. */
static inline uint64_t base_clock_boot_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_BOOTTIME, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* The time of day, for people and other programs; it may be set back. */
static inline uint64_t base_clock_real_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* What is left until `end`, for poll: whole milliseconds, rounded up, 0 when it is over. */
static inline int base_clock_ms_until(uint64_t end)
{
	uint64_t now = base_clock_ns();
	return now >= end ? 0 : (int)((end - now + 999999u) / 1000000u);
}

#endif
