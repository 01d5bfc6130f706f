/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The sealed memfds that stand behind exported memory. They are made by rsmd under its own uid, so that a
 * descriptor opened read-only stays so for other users.
 *
 * All functions return RSM_SUCCESS or an RSMERR code with a reason set (base/reason.h). Any thread.
 */
#ifndef SEGMENT_MEMFD_H
#define SEGMENT_MEMFD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Makes a memfd of `length` bytes, mode 0600, sealed SHRINK|GROW|SEAL (with `final_seals` added, e.g.
 * F_SEAL_FUTURE_WRITE). `*fd` is a file opened anew, read-write and close-on-exec: only files opened that way are
 * counted by segment_memfd_is_sole. INSUFFICIENT_RESOURCES (descriptors), INSUFFICIENT_MEM (size, huge pages).
 */
int segment_memfd_create(const char *name, uint64_t length, bool huge, unsigned final_seals, int *fd);

/* A new open file of the same memory; duplicates of `fd` are not what an importer gets. */
int segment_memfd_reopen(int fd, bool writable, int *copy);

/*
 * Whether nobody but the holders of this one open file (and its duplicates and maps) has the memory open or
 * mapped: the kernel grants a write lease only then. False also where the kernel cannot tell
 * (segment_memfd_can_tell, a probe made once): then what was ever handed out counts as held for ever.
 */
bool segment_memfd_is_sole(int fd);
bool segment_memfd_can_tell(void);

/* Gives the pages of [offset, offset+length) back. Best effort. */
void segment_memfd_punch(int fd, uint64_t offset, uint64_t length);

/*
 * Checks a descriptor that another process sent: a memfd, regular file or shared memory, `length` bytes or more,
 * opened as `writable` says; with `sealed` also SHRINK|GROW. BAD_ADDR otherwise.
 */
int segment_memfd_verify(int fd, uint64_t length, bool writable, bool sealed);

#endif
