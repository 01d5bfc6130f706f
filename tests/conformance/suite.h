/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A table of cases and how it is run: every case in a process of its own, forked from a runner that never calls
 * librsm, with a deadline, so that a crash or a hang fails that case only.
 *
 *     conformance_AREA [--controller NAME] [--list] [C49 ...]
 *
 * The tables of all areas together are the list of what the API promises: C1 to C86, and R-TOPIC where Solaris left something
 * open and a decision had to be taken, as rsm-porting(7) tells. --list prints an area's numbers and statements.
 */
#ifndef CONFORMANCE_SUITE_H
#define CONFORMANCE_SUITE_H

#include <rsmapi.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct suite_case {
	const char *number; /* "C49", or "R-topic" for a decision */
	const char *text;   /* the statement, in short */
	void (*run)(void);
};

#define SUITE_DEADLINE 30   /* seconds for one case */
#define SUITE_PROMPT   3000 /* milliseconds within which a death must be noticed */

/* main() of an area. Also serves as the peer program (peer.h) when called so. */
int suite_run(int argc, char **argv, const struct suite_case *cases, size_t count);
#define SUITE_MAIN(table)                                                                                    \
	int main(int argc, char **argv)                                                                      \
	{                                                                                                    \
		return suite_run(argc, argv, table, sizeof(table) / sizeof((table)[0]));                     \
	}

/* The controller under test: "loopback" unless --controller names another. */
const char *suite_controller(void);
bool suite_is_loopback(void);

/* Data goes through the network: a map is refused with MAP_FAILED, after all the checks that come before it. */
bool suite_is_tcp(void);
bool suite_can_map(void);
#define SUITE_MAP_CODE (suite_can_map() ? RSM_SUCCESS : RSMERR_MAP_FAILED)

/* Ends the case. */
_Noreturn void suite_fail(const char *file, int line, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
_Noreturn void suite_skip(const char *format, ...) __attribute__((format(printf, 1, 2)));

void suite_expect(const char *file, int line, const char *call, int expected, int got);

/* The call must return this code; in words when it does not. */
#define EXPECT(code, call) suite_expect(__FILE__, __LINE__, #call, (code), (call))
#define MUST(call)         EXPECT(RSM_SUCCESS, call)
#define CHECK(condition)   ((condition) ? (void)0 : suite_fail(__FILE__, __LINE__, "not so: %s", #condition))
#define CHECK_EQUAL(expected, got)                                                                           \
	suite_expect_number(__FILE__, __LINE__, #got, (long long)(expected), (long long)(got))
void suite_expect_number(const char *file, int line, const char *what, long long expected, long long got);

/* Every byte of the range has this value. */
#define CHECK_BYTES(address, value, length)                                                                  \
	suite_expect_bytes(__FILE__, __LINE__, #address, (address), (value), (length))
void suite_expect_bytes(const char *file, int line, const char *what, const volatile void *address, int value,
			size_t length);

/* Repeats an expression until it is true; fails after SUITE_PROMPT. */
#define SOON(condition)                                                                                      \
	for (uint64_t suite_start = suite_clock_ms(); !(condition);)                                         \
	suite_again(__FILE__, __LINE__, #condition, suite_start)
void suite_again(const char *file, int line, const char *what, uint64_t start);
uint64_t suite_clock_ms(void);

size_t suite_page(void);

/* Under AddressSanitizer the heap is not the C library's and mlock does nothing. */
#if defined(__SANITIZE_ADDRESS__)
#define SUITE_ASAN 1
#endif
#if defined(__SANITIZE_THREAD__)
#define SUITE_TSAN 1
#endif
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SUITE_ASAN 1
#endif
#if __has_feature(thread_sanitizer)
#define SUITE_TSAN 1
#endif
#endif
#ifndef SUITE_ASAN
#define SUITE_ASAN 0
#endif
#ifndef SUITE_TSAN
#define SUITE_TSAN 0
#endif

/* Waits for a forked child; its exit status, or 256 + signal. */
int suite_join(int pid);

#endif
