/* SPDX-License-Identifier: BSD-2-Clause */
#include "memory.h"

#include <rsmapi.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

pid_t memory_fork(void)
{
	static const int signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT};
	pid_t child = fork();
	assert_int_not_equal(child, -1);
	for (size_t i = 0; child == 0 && i < sizeof(signals) / sizeof(signals[0]); i++)
		signal(signals[i], SIG_DFL);
	return child;
}

unsigned char *memory_map(size_t length)
{
	size_t slack = 4 * MEMORY_MIB;
	unsigned char *address = mmap(NULL, length + slack, PROT_READ | PROT_WRITE,
				      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	assert_true(address != MAP_FAILED);
	size_t skip = (slack - (uintptr_t)address % slack) % slack;
	if (skip)
		munmap(address, skip);
	munmap(address + skip + length, slack - skip);
	return address + skip;
}

int memory_memfd(size_t length)
{
	int fd;
	assert_int_equal(segment_memfd_create("test", length, false, 0, &fd), RSM_SUCCESS);
	return fd;
}

void memory_fill(void *address, size_t length, uint64_t seed)
{
	uint64_t *words = address;
	for (size_t i = 0; i < length / sizeof(*words); i++)
		words[i] = (seed << 48) ^ (i * 0x9e3779b97f4a7c15u) ^ 1;
}

bool memory_has(const void *address, size_t length, uint64_t seed)
{
	const uint64_t *words = address;
	for (size_t i = 0; i < length / sizeof(*words); i++)
		if (words[i] != ((seed << 48) ^ (i * 0x9e3779b97f4a7c15u) ^ 1))
			return false;
	return true;
}

bool memory_is_zero(const void *address, size_t length)
{
	const uint64_t *words = address;
	for (size_t i = 0; i < length / sizeof(*words); i++)
		if (words[i])
			return false;
	return true;
}

int memory_adopt(void *address, size_t length, int fd, uint64_t offset, const struct segment_guard *guard)
{
	struct segment_range *list;
	size_t count;
	int code = segment_range_list(address, length, &list, &count);
	for (size_t i = 0; i < count && code == RSM_SUCCESS; i++) {
		code = segment_adopt(&list[i], fd, offset, guard);
		offset += list[i].end - list[i].start;
	}
	free(list);
	return code;
}

uint64_t memory_held(int fd)
{
	struct stat st;
	assert_int_equal(fstat(fd, &st), 0);
	return (uint64_t)st.st_blocks * 512;
}

size_t memory_mappings(const void *address, size_t length)
{
	struct segment_range *list;
	size_t count;
	assert_int_equal(segment_range_collect(address, length, &list, &count), RSM_SUCCESS);
	free(list);
	return count;
}

bool memory_flag(const void *address, const char *flag)
{
	char line[8192], wanted[8];
	bool here = false, found = false;
	FILE *file = fopen("/proc/self/smaps", "re");
	assert_non_null(file);
	snprintf(wanted, sizeof(wanted), " %s", flag);
	while (fgets(line, sizeof(line), file)) {
		unsigned long start, end;
		if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
			here = start <= (uintptr_t)address && (uintptr_t)address < end;
		else if (here && strncmp(line, "VmFlags:", 8) == 0)
			found = strstr(line, wanted) != NULL;
	}
	fclose(file);
	return found;
}
