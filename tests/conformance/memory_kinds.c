/* SPDX-License-Identifier: BSD-2-Clause */
#include "memory_kinds.h"

#include <fcntl.h>
#include <malloc.h>
#include <rsm/ext.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <unistd.h>

#include "suite.h"

#define STATIC_PAGES 16
#define STATIC_SIZE  (STATIC_PAGES * 4096)

static uint8_t bss[STATIC_SIZE] __attribute__((aligned(65536)));
static uint8_t data[STATIC_SIZE] __attribute__((aligned(65536))) = {1, 2, 3};

static uint8_t *mapped(size_t length, int flags, int fd)
{
	void *memory = mmap(NULL, length, PROT_READ | PROT_WRITE, flags, fd, 0);

	if (memory == MAP_FAILED && (flags & MAP_HUGETLB))
		suite_skip("no huge pages in the pool (vm.nr_hugepages)");
	CHECK(memory != MAP_FAILED);
	return memory;
}

uint8_t *memory_valloc(size_t length)
{
	return valloc(length);
}

uint8_t *memory_posix_memalign(size_t length)
{
	void *memory = NULL;
	CHECK(posix_memalign(&memory, 65536, length) == 0);
	return memory;
}

/* From the brk heap, with chunks in use on both sides. */
uint8_t *memory_brk(size_t length)
{
	void *memory = NULL;

	if (SUITE_ASAN || SUITE_TSAN)
		suite_skip("no brk heap under AddressSanitizer");
	mallopt(M_MMAP_THRESHOLD, 32 << 20);
	CHECK(malloc(100) != NULL && posix_memalign(&memory, suite_page(), length) == 0 &&
	      malloc(100) != NULL);
	CHECK((uint8_t *)memory < (uint8_t *)sbrk(0));
	return memory;
}

uint8_t *memory_anonymous(size_t length)
{
	return mapped(length, MAP_PRIVATE | MAP_ANONYMOUS, -1);
}

/* A file without a name. */
static int file(const char *directory, size_t length)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/rsm-test-XXXXXX", directory);
	int fd = mkostemp(path, O_CLOEXEC);
	if (fd < 0)
		suite_skip("cannot make a file in %s", directory);
	unlink(path);
	CHECK(ftruncate(fd, (off_t)length) == 0);
	return fd;
}

uint8_t *memory_private_file(size_t length)
{
	int fd = file("/var/tmp", length);
	uint8_t *memory = mapped(length, MAP_PRIVATE, fd);

	close(fd);
	return memory;
}

uint8_t *memory_shared_anonymous(size_t length)
{
	return mapped(length, MAP_SHARED | MAP_ANONYMOUS, -1);
}

static uint8_t *memfd(size_t length, unsigned flags, bool keep)
{
	int fd = memfd_create("case", MFD_CLOEXEC | flags);

	if (fd < 0 && flags)
		suite_skip("no huge pages");
	CHECK(fd >= 0 && ftruncate(fd, (off_t)length) == 0);
	uint8_t *memory = mapped(length, MAP_SHARED | (flags & MFD_HUGETLB ? MAP_HUGETLB : 0), fd);
	if (!keep)
		close(fd);
	return memory;
}

uint8_t *memory_memfd_open(size_t length)
{
	return memfd(length, 0, true);
}

uint8_t *memory_memfd_closed(size_t length)
{
	return memfd(length, 0, false);
}

/* The file is mapped under its name and open nowhere; the name goes when the case is over. */
static char *kept_name;

static void remove_name(void)
{
	unlink(kept_name);
}

static uint8_t *shared_file(const char *directory, size_t length)
{
	char *path = NULL;

	CHECK(asprintf(&path, "%s/rsm-test-XXXXXX", directory) > 0);
	int fd = mkostemp(path, O_CLOEXEC);
	if (fd < 0)
		suite_skip("cannot make a file in %s", directory);
	kept_name = path;
	atexit(remove_name);
	CHECK(ftruncate(fd, (off_t)length) == 0);
	uint8_t *memory = mapped(length, MAP_SHARED, fd);
	close(fd);
	return memory;
}

uint8_t *memory_tmpfs_file(size_t length)
{
	return shared_file("/dev/shm", length);
}

uint8_t *memory_disk_file(size_t length)
{
	return shared_file("/var/tmp", length);
}

static uint8_t *deleted_file(const char *directory, size_t length)
{
	return mapped(length, MAP_SHARED, file(directory, length)); /* stays open */
}

uint8_t *memory_tmpfs_deleted(size_t length)
{
	return deleted_file("/dev/shm", length);
}

uint8_t *memory_disk_deleted(size_t length)
{
	return deleted_file("/var/tmp", length);
}

uint8_t *memory_system_v(size_t length)
{
	int id = shmget(IPC_PRIVATE, length, IPC_CREAT | 0600);

	CHECK(id >= 0);
	void *memory = shmat(id, NULL, 0);
	CHECK(shmctl(id, IPC_RMID, NULL) == 0); /* gone with its last user, whatever happens to the case */
	CHECK(memory != (void *)-1);
	return memory;
}

uint8_t *memory_huge_private(size_t length)
{
	return mapped(length, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1);
}

uint8_t *memory_huge_shared(size_t length)
{
	return mapped(length, MAP_SHARED | MAP_ANONYMOUS | MAP_HUGETLB, -1);
}

uint8_t *memory_huge_memfd(size_t length)
{
	return memfd(length, MFD_HUGETLB, true);
}

uint8_t *memory_rsmx(size_t length)
{
	uint8_t *memory = rsmx_alloc(length, 0);

	if (!memory)
		suite_fail(__FILE__, __LINE__, "rsmx_alloc: %s", rsmx_last_error());
	return memory;
}

uint8_t *memory_rsmx_huge(size_t length)
{
	uint8_t *memory = rsmx_alloc(length, RSMX_ALLOC_HUGE);

	if (!memory)
		suite_skip("rsmx_alloc: %s", rsmx_last_error());
	return memory;
}

uint8_t *memory_bss(size_t length)
{
	CHECK(length <= sizeof(bss));
	return bss;
}

uint8_t *memory_data(size_t length)
{
	CHECK(length <= sizeof(data));
	return data;
}

/* Three kernel areas under one range: anonymous, private file, anonymous with other attributes. */
uint8_t *memory_several_vmas(size_t length)
{
	size_t page = suite_page();
	uint8_t *memory = mapped(length, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	int fd = file("/var/tmp", page);

	CHECK(length >= 3 * page);
	CHECK(mmap(memory + page, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, fd, 0) !=
	      MAP_FAILED);
	close(fd);
	CHECK(madvise(memory + length - page, page, MADV_DONTDUMP) == 0);
	return memory;
}
