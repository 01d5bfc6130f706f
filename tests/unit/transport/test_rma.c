/* SPDX-License-Identifier: BSD-2-Clause */
/* transport/local/rma.c: what is copied, and that nothing else is; and what becomes of it when the connection ends. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "rsmapi.h"
#include "stub.h"

#define KIB(n)  ((size_t)(n) << 10)
#define SEGMENT (KIB(9 << 10)) /* one MiB more than the largest copy that is made in pieces */

static size_t page(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

/* A pattern without a period that a piece could have, so that swapped pieces are seen. */
static void pattern(unsigned char *bytes, size_t length, uint32_t seed)
{
	for (size_t i = 0; i < length; i++) {
		seed = seed * 1664525u + 1013904223u;
		bytes[i] = (unsigned char)(seed >> 24);
	}
}

static unsigned char *memory(size_t length)
{
	unsigned char *bytes = malloc(length);
	assert_non_null(bytes);
	return bytes;
}

/* `remote` is our own view of the exporter's memory, `model` what it must be. */
static void put_and_compare(struct stub *stub, unsigned char *remote, unsigned char *model,
			    const unsigned char *source, uint64_t offset, size_t length)
{
	memset(remote, 0xee, SEGMENT);
	memset(model, 0xee, SEGMENT);
	memcpy(model + offset, source, length);
	assert_int_equal(local_put(&stub->import, offset, source, length), RSM_SUCCESS);
	if (memcmp(remote, model, SEGMENT) != 0)
		fail_msg("put of %zu bytes at %llu", length, (unsigned long long)offset);
}

static void get_and_compare(struct stub *stub, const unsigned char *remote, unsigned char *target,
			    unsigned char *model, uint64_t offset, size_t length)
{
	const size_t border = 64;
	memset(target, 0xee, length + 2 * border);
	memset(model, 0xee, length + 2 * border);
	memcpy(model + border, remote + offset, length);
	assert_int_equal(local_get(&stub->import, offset, target + border, length), RSM_SUCCESS);
	if (memcmp(target, model, length + 2 * border) != 0)
		fail_msg("get of %zu bytes at %llu", length, (unsigned long long)offset);
}

static void sizes(bool implicit)
{
	const size_t lengths[] = {0,
				  1,
				  7,
				  8,
				  9,
				  4095,
				  4096,
				  KIB(128) - 1,
				  KIB(128),
				  KIB(128) + 1,
				  KIB(256) - 1,
				  KIB(256),
				  KIB(256) + 1,
				  KIB(384),
				  KIB(384) + 5,
				  KIB(8 << 10) - 1,
				  KIB(8 << 10),
				  KIB(8 << 10) + 1};
	const uint64_t offsets[] = {0, 3, 4096};
	struct stub stub;
	int fd;

	stub_connect(&stub, SEGMENT, 0, RSM_PERM_RDWR, &fd);
	atomic_store(&stub.import.implicit, implicit);
	unsigned char *remote = mmap(NULL, SEGMENT, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_ptr_not_equal(remote, MAP_FAILED);
	unsigned char *model = memory(SEGMENT), *local = memory(SEGMENT);
	for (size_t i = 0; i < sizeof(lengths) / sizeof(*lengths); i++)
		for (size_t k = 0; k < sizeof(offsets) / sizeof(*offsets); k++) {
			pattern(local, lengths[i], (uint32_t)(i * 10 + k));
			put_and_compare(&stub, remote, model, local, offsets[k], lengths[i]);
			get_and_compare(&stub, remote, local, model, offsets[k], lengths[i]);
		}
	/* The last bytes of the segment. */
	pattern(local, 9, 99);
	put_and_compare(&stub, remote, model, local, SEGMENT - 9, 9);
	get_and_compare(&stub, remote, local, model, SEGMENT - 9, 9);
	assert_int_equal(stub.locks, 0); /* the data path takes none */
	assert_int_equal(stub.fetches, 0);
	free(model);
	free(local);
	munmap(remote, SEGMENT);
	stub_disconnect(&stub);
}

static void test_sizes_implicit(void **state)
{
	(void)state;
	sizes(true);
}

static void test_sizes_explicit(void **state)
{
	(void)state;
	sizes(false);
}

static void test_items(void **state)
{
	const size_t counts[] = {0, 1, 2, 3, 255};
	uint64_t source[256], target[256], model[256];
	struct stub stub;
	int fd;

	(void)state;
	stub_connect(&stub, page(), 0, RSM_PERM_RDWR, &fd);
	pattern((unsigned char *)source, sizeof(source), 5);
	for (unsigned width = 1; width <= 8; width *= 2)
		for (size_t i = 0; i < sizeof(counts) / sizeof(*counts); i++) {
			size_t length = counts[i] * width;
			unsigned char before[4096], after[4096];
			assert_int_equal(pread(fd, before, sizeof(before), 0), sizeof(before));
			memcpy(before + 2 * width, source, length);
			assert_int_equal(local_put_items(&stub.import, 2 * width, source, counts[i], width),
					 RSM_SUCCESS);
			assert_int_equal(pread(fd, after, sizeof(after), 0), sizeof(after));
			assert_memory_equal(before, after, sizeof(after));

			memset(target, 0xee, sizeof(target));
			memset(model, 0xee, sizeof(model));
			memcpy((char *)model + width, source, length);
			assert_int_equal(local_get_items(&stub.import, 2 * width, (char *)target + width,
							 counts[i], width),
					 RSM_SUCCESS);
			assert_memory_equal(target, model, sizeof(model));
		}
	stub_disconnect(&stub);
}

/* A segment of several objects, out of order and from the middle of them. */
static void test_extents(void **state)
{
	const size_t p = page();
	struct stub stub;
	int first;

	(void)state;
	stub_connect(&stub, 4 * p, 0, RSM_PERM_RDWR, &first);
	int second = stub_memory(8 * p, 0);
	stub_layout(&stub, second, 5 * p, p);
	stub_layout_add(&stub, stub_memory(2 * p, 0), 0, 2 * p);
	stub_layout_add(&stub, dup(second), p, p);
	stub_move(&stub);

	unsigned char *source = memory(4 * p), *target = memory(8 * p);
	pattern(source, 4 * p, 1);
	assert_int_equal(local_put(&stub.import, 0, source, 4 * p), RSM_SUCCESS);
	assert_int_equal(pread(second, target, 8 * p, 0), 8 * p);
	assert_memory_equal(target + 5 * p, source, p);
	assert_memory_equal(target + p, source + 3 * p, p);
	assert_true(stub_is_all(second, 0, p, 0));
	assert_true(stub_is_all(second, 2 * p, 3 * p, 0));
	assert_true(stub_is_all(second, 6 * p, 2 * p, 0));
	assert_int_equal(pread(stub.layout.fds[1], target, 2 * p, 0), 2 * p);
	assert_memory_equal(target, source + p, 2 * p);
	assert_int_equal(local_get(&stub.import, p / 2, target, 3 * p), RSM_SUCCESS);
	assert_memory_equal(target, source + p / 2, 3 * p);
	free(source);
	free(target);
	stub_disconnect(&stub);
}

/* An aborted connection moves nothing in either direction, in either mode, now and later. */
static void test_abort_before(void **state)
{
	(void)state;
	for (int implicit = 0; implicit <= 1; implicit++) {
		const uint64_t source = 0x1111111111111111u;
		uint64_t target = 5;
		struct stub stub;
		int fd;
		stub_connect(&stub, page(), 0xaa, RSM_PERM_RDWR, &fd);
		atomic_store(&stub.import.implicit, implicit == 1);
		stub_abort(&stub);
		for (int again = 0; again < 2; again++) {
			assert_int_equal(local_put(&stub.import, 0, &source, 8), RSMERR_CONN_ABORTED);
			assert_int_equal(local_get(&stub.import, 0, &target, 8), RSMERR_CONN_ABORTED);
			assert_int_equal(local_put_items(&stub.import, 0, &source, 2, 4),
					 RSMERR_CONN_ABORTED);
			assert_int_equal(local_get_items(&stub.import, 0, &target, 2, 4),
					 RSMERR_CONN_ABORTED);
			assert_int_equal(local_put(&stub.import, 0, &source, 0), RSMERR_CONN_ABORTED);
		}
		assert_int_equal(target, 5);
		assert_true(stub_is_all(fd, 0, page(), 0xaa));
		assert_int_equal(stub.fetches, 0); /* rsmd is not asked */
		stub_disconnect(&stub);
	}
}

/* ---- while the copy runs: its local page traps, and the handler does to the segment what the test wants ---- */

static struct {
	struct stub *stub;
	void (*event)(struct stub *stub);
	unsigned char *page;
	int times;
} trap;

static void on_trap(int number)
{
	(void)number;
	/* A second fault is not ours: let it kill the test. */
	if (mprotect(trap.page, page(), PROT_READ | PROT_WRITE) != 0 || ++trap.times > 1)
		_exit(99);
	trap.event(trap.stub);
}

static void trap_set(struct stub *stub, void (*event)(struct stub *stub), unsigned char fill)
{
	struct sigaction action = {.sa_handler = on_trap};
	sigaction(SIGSEGV, &action, NULL);
	trap.stub = stub;
	trap.event = event;
	trap.times = 0;
	trap.page = mmap(NULL, page(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(trap.page, MAP_FAILED);
	memset(trap.page, fill, page());
	assert_int_equal(mprotect(trap.page, page(), PROT_NONE), 0);
}

static void trap_end(void)
{
	assert_int_equal(trap.times, 1);
	munmap(trap.page, page());
	signal(SIGSEGV, SIG_DFL);
}

static void test_abort_during_implicit(void **state)
{
	struct stub stub;
	int fd;

	(void)state;
	for (int direction = 0; direction < 2; direction++) {
		stub_connect(&stub, page(), 0xaa, RSM_PERM_RDWR, &fd);
		trap_set(&stub, stub_abort, 0x11);
		int code = direction == 0 ? local_put(&stub.import, 0, trap.page, 256)
					  : local_get(&stub.import, 0, trap.page, 256);
		assert_int_equal(code, RSMERR_CONN_ABORTED);
		trap_end();
		stub_disconnect(&stub);
	}
	stub_connect(&stub, page(), 0xaa, RSM_PERM_RDWR, &fd);
	trap_set(&stub, stub_abort, 0x11);
	assert_int_equal(local_put_items(&stub.import, 0, trap.page, 16, 4), RSMERR_CONN_ABORTED);
	trap_end();
	stub_disconnect(&stub);
}

/* Explicit mode leaves it to the closing barrier. */
static void test_abort_during_explicit(void **state)
{
	struct stub stub;
	int fd;

	(void)state;
	stub_connect(&stub, page(), 0xaa, RSM_PERM_RDWR, &fd);
	atomic_store(&stub.import.implicit, false);
	uint64_t span = local_begin(&stub.import);
	trap_set(&stub, stub_abort, 0x11);
	assert_int_equal(local_put(&stub.import, 0, trap.page, 256), RSM_SUCCESS);
	trap_end();
	assert_int_equal(local_order(&stub.import), RSMERR_CONN_ABORTED);
	assert_int_equal(local_settle(&stub.import, span), RSMERR_CONN_ABORTED);
	stub_disconnect(&stub);
}

/* The memory moves under the copy: it is made again, into the new memory. */
static void test_move_during(void **state)
{
	struct stub stub;
	int old;

	(void)state;
	stub_connect(&stub, page(), 0xaa, RSM_PERM_RDWR, &old);
	int kept = dup(old), fresh = stub_memory(page(), 0xbb);
	stub_layout(&stub, fresh, 0, page());
	trap_set(&stub, stub_move, 0x11);
	assert_int_equal(local_put(&stub.import, 8, trap.page, 256), RSM_SUCCESS);
	trap_end();
	assert_true(stub_is_all(fresh, 8, 256, 0x11));
	assert_int_equal(stub_byte(fresh, 7), 0xbb);
	assert_int_equal(stub_byte(fresh, 264), 0xbb);
	assert_int_equal(stub.fetches, 1);

	stub_layout(&stub, stub_memory(page(), 0xcc), 0, page());
	trap_set(&stub, stub_move, 0x11);
	assert_int_equal(local_get(&stub.import, 0, trap.page, 256), RSM_SUCCESS);
	assert_int_equal(trap.page[0], 0xcc);
	assert_int_equal(trap.page[255], 0xcc);
	trap_end();
	close(kept);
	stub_disconnect(&stub);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sizes_implicit),
		cmocka_unit_test(test_sizes_explicit),
		cmocka_unit_test(test_items),
		cmocka_unit_test(test_extents),
		cmocka_unit_test(test_abort_before),
		cmocka_unit_test(test_abort_during_implicit),
		cmocka_unit_test(test_abort_during_explicit),
		cmocka_unit_test(test_move_during),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
