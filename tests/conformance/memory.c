/* SPDX-License-Identifier: BSD-2-Clause */
/* Every kind of memory: contents, coherence, revocation, return; and what adoption must not change. */
#include <fcntl.h>
#include <malloc.h>
#include <rsm/ext.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <time.h>
#include <unistd.h>

#include "memory_kinds.h"
#include "pair.h"
#include "peer.h"

static uint8_t *volatile exported; /* remembered, so that a leak checker finds it */

static void fill(uint8_t *memory, size_t length)
{
	for (size_t at = 0; at < length; at += 8) {
		uint64_t word = (at + 1) * 0x9e3779b97f4a7c15ull;
		memcpy(memory + at, &word, 8);
	}
}

static void expect_filled(const uint8_t *memory, size_t from, size_t length)
{
	for (size_t at = from; at < length; at += 8) {
		uint64_t word = (at + 1) * 0x9e3779b97f4a7c15ull;
		if (memcmp(memory + at, &word, 8) != 0)
			suite_fail(__FILE__, __LINE__, "contents changed at byte %zu", at);
	}
}

/* By the importer's map, or without maps by put and get. */
static void store(struct peer *peer, int64_t offset, int value)
{
	if (suite_can_map())
		peer_store(peer, 0, offset, value);
	else
		MUST(peer_put(peer, 0, offset, value));
}

static int load(struct peer *peer, int64_t offset)
{
	int value = -1;

	if (suite_can_map())
		return peer_load(peer, 0, offset);
	MUST(peer_get(peer, 0, offset, &value));
	return value;
}

/*
 * The whole life of an export over this memory, with an importer in another process that gets, puts and maps.
 * Bytes 0..63 are written by the case, the rest must never change. Stores of the withdrawn importer through its
 * map must not arrive whatever the kind, once its library has noticed.
 */
static void live(memory_make *make, size_t length)
{
	struct peer peer;
	struct pair pair = {.length = length};
	int value = 0;

	peer_start(&peer, NULL);
	exported = pair.memory = make(length);
	CHECK(((uintptr_t)pair.memory & (suite_page() - 1)) == 0);
	fill(pair.memory, length);
	pair.controller = pair_controller(suite_controller());
	pair.node = pair_node();
	MUST(rsm_memseg_export_create(pair.controller, &pair.e, pair.memory, length, 0));
	expect_filled(pair.memory, 0, length);
	for (int round = 0; round < 2; round++) { /* withdrawn and published again */
		pair_publish(&pair);
		MUST(peer_connect(&peer, 0, pair.node, pair.id, RSM_PERM_RDWR));
		MUST(peer_simple(&peer, PEER_INIT, 0, 0));
		MUST(peer_get(&peer, 0, (int64_t)length - 1, &value));
		CHECK_EQUAL(pair.memory[length - 1], value);
		MUST(peer_put(&peer, 0, 5, 0x51 + round));
		CHECK_BYTES(pair.memory + 5, 0x51 + round, 1);
		EXPECT(SUITE_MAP_CODE, peer_map(&peer, 0, RSM_PERM_RDWR, length));
		store(&peer, 6, 0x61 + round);
		CHECK_BYTES(pair.memory + 6, 0x61 + round, 1);
		pair.memory[7] = (uint8_t)(0x71 + round);
		CHECK_EQUAL(0x71 + round, load(&peer, 7));
		CHECK_EQUAL(pair.memory[length / 2], load(&peer, (int64_t)length / 2));
		MUST(rsm_memseg_export_unpublish(pair.e));
		EXPECT(RSMERR_CONN_ABORTED, peer_put(&peer, 0, 5, 0xff));
		if (suite_can_map())
			peer_store(&peer, 0, 6, 0xff); /* after the library noticed: into trash */
		CHECK_BYTES(pair.memory + 5, 0x51 + round, 1);
		CHECK_BYTES(pair.memory + 6, 0x61 + round, 1);
		if (suite_can_map())
			MUST(peer_simple(&peer, PEER_UNMAP, 0, 0));
		MUST(peer_simple(&peer, PEER_DISCONNECT, 0, 0));
	}
	expect_filled(pair.memory, 64, length);
	MUST(rsm_memseg_export_destroy(pair.e));
	expect_filled(pair.memory, 64, length);
	CHECK_BYTES(pair.memory + 5, 0x52, 1);
	pair.memory[8] = 0x88;
	MUST(rsm_memseg_export_create(pair.controller, &pair.e, pair.memory, length, 0)); /* and once more */
	expect_filled(pair.memory, 64, length);
	MUST(rsm_memseg_export_destroy(pair.e));
	CHECK_BYTES(pair.memory + 8, 0x88, 1);
}

#define KIND(name, length)                                                                                   \
	static void kind_##name(void)                                                                        \
	{                                                                                                    \
		live(memory_##name, length);                                                                 \
	}

#define PAGES(count) ((count)*suite_page())
#define HUGE         ((size_t)2 << 20)

KIND(valloc, PAGES(9))
KIND(posix_memalign, PAGES(1300))
KIND(brk, PAGES(20))
KIND(anonymous, PAGES(2500))
KIND(private_file, PAGES(5))
KIND(shared_anonymous, PAGES(5))
KIND(memfd_open, PAGES(5))
KIND(memfd_closed, PAGES(5))
KIND(tmpfs_file, PAGES(5))
KIND(tmpfs_deleted, PAGES(5))
KIND(disk_file, PAGES(5))
KIND(disk_deleted, PAGES(5))
KIND(system_v, PAGES(5))
KIND(huge_private, HUGE)
KIND(huge_shared, HUGE)
KIND(huge_memfd, HUGE)
KIND(rsmx, PAGES(300))
KIND(rsmx_huge, HUGE)
KIND(bss, PAGES(3))
KIND(data, PAGES(3))
KIND(several_vmas, PAGES(5))

static void r_heap_lives(void)
{
	rsmapi_controller_handle_t c = pair_controller(suite_controller());
	rsm_memseg_export_handle_t e;

	/* free, realloc and trim of memory that is or was behind an export, with the allocator's chunks beside it. */
	uint8_t *memory = memory_brk(PAGES(8));
	MUST(rsm_memseg_export_create(c, &e, memory, PAGES(8), 0));
	for (int at = 0; at < 2000; at++) {
		char *other = malloc((size_t)(at * 37 % 9000 + 1));
		CHECK(other != NULL);
		memset(other, at, (size_t)(at * 37 % 9000 + 1));
		if (at % 3)
			free(other);
	}
	MUST(rsm_memseg_export_destroy(e));
	free(memory);
	malloc_trim(0);
	memory = memory_brk(PAGES(8));
	MUST(rsm_memseg_export_create(c, &e, memory, PAGES(8), 0));
	free(memory); /* while exported */
	malloc_trim(0);
	uint8_t *zero = calloc(1, PAGES(8));
	CHECK_BYTES(zero, 0, PAGES(8));
	MUST(rsm_memseg_export_destroy(e));
	CHECK_BYTES(zero, 0, PAGES(8));
}

static void r_untouched(void)
{
	size_t length = (size_t)256 << 20, pages = length / suite_page(), resident = 0;
	rsmapi_controller_handle_t c = pair_controller(suite_controller());
	rsm_memseg_export_handle_t e;
	uint8_t *memory = memory_anonymous(length), *seen = malloc(pages);

	CHECK(seen != NULL);
	memory[length / 2] = 1;
	MUST(rsm_memseg_export_create(c, &e, memory, length, 0));
	CHECK(mincore(memory, length, seen) == 0);
	for (size_t at = 0; at < pages; at++)
		resident += seen[at] & 1;
	free(seen);
	CHECK(resident < 1100); /* at most the chunk that has the one touched page */
	CHECK_BYTES(memory + length / 2, 1, 1);
	MUST(rsm_memseg_export_destroy(e));
	CHECK_BYTES(memory + length / 2, 1, 1);
}

static bool has_flag(const void *address, const char *flag)
{
	FILE *file = fopen("/proc/self/smaps", "re");
	char line[512];
	bool inside = false, found = false;
	unsigned long from, to;

	CHECK(file != NULL);
	while (fgets(line, sizeof(line), file)) {
		if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
			inside = from <= (uintptr_t)address && (uintptr_t)address < to;
		else if (inside && strncmp(line, "VmFlags:", 8) == 0)
			found = strstr(line, flag) != NULL;
	}
	fclose(file);
	return found;
}

static void r_attributes(void)
{
	rsmapi_controller_handle_t c = pair_controller(suite_controller());
	rsm_memseg_export_handle_t e;
	uint8_t *memory = memory_anonymous(PAGES(4));

	if (SUITE_ASAN || SUITE_TSAN)
		suite_skip("sanitizers make mlock do nothing");
	memset(memory, 1, PAGES(4));
	CHECK(mlock(memory, PAGES(4)) == 0 && madvise(memory, PAGES(4), MADV_DONTDUMP) == 0);
	CHECK(has_flag(memory, " lo ") && has_flag(memory, " dd "));
	MUST(rsm_memseg_export_create(c, &e, memory, PAGES(4), 0));
	CHECK(has_flag(memory, " lo ") && has_flag(memory, " dd "));
	MUST(rsm_memseg_export_destroy(e));
	CHECK(has_flag(memory, " lo ") && has_flag(memory, " dd "));
	CHECK_BYTES(memory, 1, PAGES(4));
}

static void r_no_locked_memory(void)
{
	struct rlimit none = {0, 0};
	struct pair pair;

	CHECK(setrlimit(RLIMIT_MEMLOCK, &none) == 0); /* no reason to refuse */
	pair_open(&pair);
	MUST(pair_put_byte(pair.i, 0, 1));
}

static void r_private_afterwards(void)
{
	struct peer peer;
	struct pair pair;

	/* After destroy the memory is private again: nothing of it is shared with whoever had it. */
	peer_start(&peer, NULL);
	pair_export(&pair, 3);
	memset(pair.memory, 0x11, pair.length);
	MUST(rsm_memseg_export_destroy(pair.e));
	pid_t child = fork();
	CHECK(child >= 0);
	if (child == 0) {
		memset(pair.memory, 0x22, pair.length);
		_exit(0);
	}
	CHECK_EQUAL(0, suite_join(child));
	CHECK_BYTES(pair.memory, 0x11, pair.length);
}

static void r_relative(void)
{
	struct pair pair = {.length = PAGES(2)};
	int go[2], done[2];
	char byte = 0;

	/* Shared anonymous memory that a relative uses: either it stays coherent, or create refuses it. */
	pair.memory = memory_shared_anonymous(pair.length);
	CHECK(pipe(go) == 0 && pipe(done) == 0);
	pair.memory[0] = 1;
	pid_t child = fork();
	CHECK(child >= 0);
	if (child == 0) {
		pair.memory[1] = 2; /* has touched it */
		if (write(done[1], "x", 1) != 1 || read(go[0], &byte, 1) != 1)
			_exit(1);
		pair.memory[2] = 3;
		_exit(pair.memory[3] == 4 ? 0 : 2);
	}
	CHECK(read(done[0], &byte, 1) == 1);
	pair.controller = pair_controller(suite_controller());
	pair.node = pair_node();
	int code = rsm_memseg_export_create(pair.controller, &pair.e, pair.memory, pair.length, 0);
	if (code != RSM_SUCCESS) {
		EXPECT(RSMERR_BAD_ADDR, code);
		CHECK(strlen(rsmx_last_error()) > 0);
	} else {
		pair_publish(&pair);
		pair_connect(&pair, RSM_PERM_RDWR);
		MUST(pair_put_byte(pair.i, 3, 4));
	}
	pair.memory[3] = 4;
	CHECK(write(go[1], "x", 1) == 1);
	CHECK_EQUAL(0, suite_join(child));
	CHECK_BYTES(pair.memory + 2, 3, 1);
	if (code == RSM_SUCCESS)
		CHECK_EQUAL(3, pair_get_byte(pair.i, 2));
}

static void r_read_only_shared_file(void)
{
	rsmapi_controller_handle_t c = pair_controller(suite_controller());
	rsm_memseg_export_handle_t e;
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	void *memory = mmap(NULL, PAGES(1), PROT_READ, MAP_SHARED, fd, 0);

	CHECK(memory != MAP_FAILED);
	EXPECT(RSMERR_PERM_DENIED, rsm_memseg_export_create(c, &e, memory, PAGES(1), 0));
}

static void r_alloc(void)
{
	rsmapi_controller_handle_t c = pair_controller(suite_controller());
	rsm_memseg_export_handle_t e;

	CHECK(rsmx_alloc(0, 0) == NULL);
	CHECK(strlen(rsmx_last_error()) > 0);
	CHECK(rsmx_alloc(SIZE_MAX - 10, 0) == NULL);
	CHECK(rsmx_alloc(PAGES(1), 0x80) == NULL);
	uint8_t *memory = rsmx_alloc(PAGES(2) + 1, 0);
	CHECK(memory != NULL && ((uintptr_t)memory & (suite_page() - 1)) == 0);
	CHECK_BYTES(memory, 0, PAGES(2) + 1);
	MUST(rsm_memseg_export_create(c, &e, memory + PAGES(1), PAGES(1), 0)); /* a part of it */
	EXPECT(RSMERR_SEG_IN_USE, rsmx_free(memory));
	EXPECT(RSMERR_BAD_ADDR, rsmx_free(memory + PAGES(1)));
	memory[0] = 1;
	MUST(rsm_memseg_export_destroy(e));
	CHECK_BYTES(memory, 1, 1);
	MUST(rsmx_free(memory));
	EXPECT(RSMERR_BAD_ADDR, rsmx_free(memory));
	MUST(rsmx_free(NULL));
}

static void r_protected(void)
{
	struct pair pair;
	size_t page = suite_page();
	char *json = NULL;

	pair_open_pages(&pair, 4);
	memset(pair.memory, 0x5a, pair.length);
	CHECK(mprotect(pair.memory + 2 * page, page, PROT_READ) == 0);
	pair_close(&pair);
	MUST(rsmx_status("status", 0, &json)); /* answered when rsmd has thrown the pages away */
	free(json);
	CHECK_BYTES(pair.memory, 0x5a, pair.length);
	CHECK(mprotect(pair.memory + 2 * page, page, PROT_READ | PROT_WRITE) == 0);
}

static void r_system_v_parts(void)
{
	enum { PAGES = 4 };
	static const struct {
		size_t first, pages;
	} parts[] = {{2, 2}, {0, 2}, {0, PAGES}};
	rsmapi_controller_handle_t c = pair_controller(suite_controller());
	size_t page = suite_page();
	uint8_t *memory = memory_system_v(PAGES * page);

	for (size_t at = 0; at < PAGES; at++)
		memset(memory + at * page, (int)(0x10 + at), page);
	for (size_t at = 0; at < sizeof(parts) / sizeof(parts[0]); at++) {
		struct pair pair = {.controller = c, .node = pair_node()};
		uint8_t *start = memory + parts[at].first * page;
		MUST(rsm_memseg_export_create(c, &pair.e, start, parts[at].pages * page, 0));
		pair_publish(&pair);
		pair_connect(&pair, RSM_PERM_RDWR);
		CHECK_EQUAL(0x10 + parts[at].first, pair_get_byte(pair.i, 0));
		MUST(pair_put_byte(pair.i, (off_t)(parts[at].pages * page) - 1, 0x44));
		CHECK_BYTES(start + parts[at].pages * page - 1, 0x44, 1);
	}
	CHECK(shmdt(memory) == 0);
}

static void r_unmapped(void)
{
	const size_t length = (size_t)128 << 20; /* never touched: costs nothing */
	rsm_memseg_export_handle_t e;
	struct timespec start, end;

	/* All threads wait for the lock meanwhile. Processor time, which a busy machine does not stretch. */
	rsmapi_controller_handle_t c = pair_controller(suite_controller());
	void *memory = memory_anonymous(length);
	MUST(rsm_memseg_export_create(c, &e, memory, length, 0));
	CHECK(munmap(memory, length) == 0);
	CHECK(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &start) == 0);
	MUST(rsm_memseg_export_destroy(e));
	CHECK(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &end) == 0);
	CHECK((end.tv_sec - start.tv_sec) * 1000 + (end.tv_nsec - start.tv_nsec) / 1000000 < 100);
}

static const struct suite_case cases[] = {
	{"R-memory-valloc", "valloc", kind_valloc},
	{"R-memory-memalign", "posix_memalign, more than one chunk", kind_posix_memalign},
	{"R-memory-brk", "brk heap between other chunks", kind_brk},
	{"R-memory-anonymous", "private anonymous mmap", kind_anonymous},
	{"R-memory-private-file", "private file mmap", kind_private_file},
	{"R-memory-shared-anonymous", "shared anonymous mmap", kind_shared_anonymous},
	{"R-memory-memfd-open", "memfd, descriptor open", kind_memfd_open},
	{"R-memory-memfd-closed", "memfd, descriptor closed", kind_memfd_closed},
	{"R-memory-tmpfs-file", "tmpfs file mapped shared, not open", kind_tmpfs_file},
	{"R-memory-tmpfs-deleted", "deleted tmpfs file mapped shared, open", kind_tmpfs_deleted},
	{"R-memory-disk-file", "disk file mapped shared, not open", kind_disk_file},
	{"R-memory-disk-deleted", "deleted disk file mapped shared, open", kind_disk_deleted},
	{"R-memory-system-v", "System V shared memory", kind_system_v},
	{"R-memory-huge-private", "huge pages, private", kind_huge_private},
	{"R-memory-huge-shared", "huge pages, shared", kind_huge_shared},
	{"R-memory-huge-memfd", "huge page memfd", kind_huge_memfd},
	{"R-memory-rsmx", "rsmx_alloc", kind_rsmx},
	{"R-memory-rsmx-huge", "rsmx_alloc with huge pages", kind_rsmx_huge},
	{"R-memory-bss", "static, zero", kind_bss},
	{"R-memory-data", "static, initialised", kind_data},
	{"R-memory-several-vmas", "one range over several areas", kind_several_vmas},
	{"R-heap-lives", "malloc, free and trim around and on exported heap", r_heap_lives},
	{"R-untouched", "pages never touched cost nothing", r_untouched},
	{"R-memory-attributes", "mlock and MADV_DONTDUMP survive", r_attributes},
	{"R-memory-protected", "destroy returns a page that was made read-only", r_protected},
	{"R-memory-system-v-parts", "parts of a System V segment", r_system_v_parts},
	{"R-memory-unmapped", "destroy of memory that was unmapped costs nothing", r_unmapped},
	{"R-no-mlock", "exports do not need locked memory", r_no_locked_memory},
	{"R-private-afterwards", "after destroy the memory is private", r_private_afterwards},
	{"R-memory-relative", "shared memory of a relative: coherent or refused", r_relative},
	{"R-memory-read-only", "a read-only shared file -> PERM_DENIED", r_read_only_shared_file},
	{"R-alloc", "rsmx_alloc and rsmx_free: arguments, parts, use", r_alloc},
};

SUITE_MAIN(cases)
