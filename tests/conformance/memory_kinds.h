/* SPDX-License-Identifier: BSD-2-Clause */
/* Every kind of memory that can be exported, as a table of makers. */
#ifndef CONFORMANCE_MEMORY_KINDS_H
#define CONFORMANCE_MEMORY_KINDS_H

#include <stddef.h>
#include <stdint.h>

/* `length` bytes (page multiple; huge: 2 MiB multiple), page-aligned, read-write; skips the case if there are none. */
typedef uint8_t *memory_make(size_t length);

memory_make memory_valloc, memory_posix_memalign, memory_brk, memory_anonymous, memory_private_file,
	memory_shared_anonymous, memory_memfd_open, memory_memfd_closed, memory_tmpfs_file,
	memory_tmpfs_deleted, memory_disk_file, memory_disk_deleted, memory_system_v, memory_huge_private,
	memory_huge_shared, memory_huge_memfd, memory_rsmx, memory_rsmx_huge, memory_bss, memory_data,
	memory_several_vmas;

#endif
