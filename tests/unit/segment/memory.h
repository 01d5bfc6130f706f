/* SPDX-License-Identifier: BSD-2-Clause */
/* Memory for the tests of src/segment: sources, patterns, and what smaps says of them. */
#ifndef TESTS_SEGMENT_MEMORY_H
#define TESTS_SEGMENT_MEMORY_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <cmocka.h>

#include "segment/adopt.h"
#include "segment/memfd.h"
#include "segment/range.h"

#define MEMORY_PAGE ((size_t)4096)
#define MEMORY_MIB  ((size_t)1 << 20)

/* Sanitizers make mlock do nothing and need more address space than any limit leaves. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define MEMORY_SANITIZED 1
#else
#define MEMORY_SANITIZED 0
#endif

/* fork, with the signals that cmocka turns into failures back at their default in the child. */
pid_t memory_fork(void);

/* Private anonymous memory, 4 MiB-aligned, untouched, NORESERVE. */
unsigned char *memory_map(size_t length);

/* A sealed memfd as rsmd makes it. */
int memory_memfd(size_t length);

/* Every 8 bytes of the pages get a value of their address and `seed`; checked by the second. */
void memory_fill(void *address, size_t length, uint64_t seed);
bool memory_has(const void *address, size_t length, uint64_t seed);
bool memory_is_zero(const void *address, size_t length);

/* Adopts the whole range, mapping by mapping, at `offset` on. Returns the first code that is not success. */
int memory_adopt(void *address, size_t length, int fd, uint64_t offset, const struct segment_guard *guard);

/* Bytes that a memfd holds. */
uint64_t memory_held(int fd);

/* Mappings of the range, and whether smaps shows `flag` ("lo") for the one at `address`. */
size_t memory_mappings(const void *address, size_t length);
bool memory_flag(const void *address, const char *flag);

#endif
