/* SPDX-License-Identifier: BSD-2-Clause */
/* transport/local/map.c: the map of the whole segment, the window, and what an abort and a move make of them. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <unistd.h>

#include <cmocka.h>

#include "rsmapi.h"
#include "stub.h"

#define HUGE ((size_t)2 << 20)

static size_t page(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

/* An import that is not attached yet. */
static void prepare(struct stub *stub, size_t length, uint32_t granted)
{
	int fd;
	stub_connect(stub, page(), 0, RSM_PERM_NONE, &fd);
	stub->import.length = length;
	stub->import.granted = granted;
}

/* ---- attach and detach ---- */

static void test_attach_rights(void **state)
{
	struct stub stub;
	int fd;

	(void)state;
	stub_connect(&stub, page(), 0xaa, RSM_PERM_NONE, &fd);
	assert_null(stub.import.map);
	stub_disconnect(&stub);
	stub_connect(&stub, page(), 0xaa, RSM_PERM_READ, &fd);
	assert_true(stub_can_read(stub.import.map));
	assert_false(stub_can_write(stub.import.map));
	stub_disconnect(&stub);
	stub_connect(&stub, page(), 0xaa, RSM_PERM_WRITE, &fd);
	assert_true(stub_can_write(stub.import.map));
	assert_int_equal(stub_byte(fd, 0), 0);
	stub_disconnect(&stub);
}

static void test_detach(void **state)
{
	struct stub stub;
	int fd;

	(void)state;
	stub_connect(&stub, HUGE + 3 * page(), 0xaa, RSM_PERM_RDWR, &fd);
	unsigned char *map = stub.import.map;
	assert_int_equal((uintptr_t)map % HUGE, 0); /* huge pages may form */
	assert_int_equal(map[HUGE + 3 * page() - 1], 0xaa);
	local_detach(&stub.import);
	assert_null(stub.import.map);
	assert_false(stub_is_mapped(map));
	assert_false(stub_is_mapped(map + HUGE + 2 * page()));
	local_detach(&stub.import); /* nothing there */
	stub_disconnect(&stub);
}

static void attach_refused(struct stub *stub, int code)
{
	unsigned before = stub_address_space();
	assert_int_equal(local_attach(&stub->import, &stub->layout), code);
	assert_int_equal(stub_address_space(), before);
	assert_null(stub->import.map);
	stub_disconnect(stub);
}

static void test_attach_refused(void **state)
{
	struct stub stub;

	(void)state;
	prepare(&stub, 2 * page(), RSM_PERM_RDWR); /* one page too few */
	attach_refused(&stub, RSMERR_INSUFFICIENT_RESOURCES);

	prepare(&stub, page(), RSM_PERM_RDWR); /* no piece at all */
	transport_layout_clear(&stub.layout);
	attach_refused(&stub, RSMERR_INSUFFICIENT_RESOURCES);

	prepare(&stub, page(), RSM_PERM_RDWR); /* in the middle of a page */
	stub.layout.extents[0].offset = 8;
	attach_refused(&stub, RSMERR_INSUFFICIENT_RESOURCES);

	prepare(&stub, page(), RSM_PERM_RDWR); /* beyond what an offset can be */
	stub.layout.extents[0].offset = UINT64_MAX - page() + 1;
	attach_refused(&stub, RSMERR_INSUFFICIENT_RESOURCES);

	prepare(&stub, page(), RSM_PERM_RDWR); /* the system gives read only */
	char path[64];
	snprintf(path, sizeof(path), "/proc/self/fd/%d", stub.layout.fds[0]);
	stub_layout(&stub, open(path, O_RDONLY | O_CLOEXEC), 0, page());
	attach_refused(&stub, RSMERR_PERM_DENIED);
}

/* ---- System V memory ---- */

/* Three pages of 0, 1 and 2, removed when nobody is attached any more. */
static int sysv_memory(void)
{
	int id = shmget(IPC_PRIVATE, 3 * page(), IPC_CREAT | 0600);
	assert_true(id >= 0);
	unsigned char *map = shmat(id, NULL, 0);
	assert_ptr_not_equal(map, (void *)-1);
	for (size_t i = 0; i < 3; i++)
		memset(map + i * page(), (int)i, page());
	shmdt(map);
	return id;
}

static unsigned long sysv_attached(int id)
{
	struct shmid_ds info;
	assert_int_equal(shmctl(id, IPC_STAT, &info), 0);
	return info.shm_nattch;
}

static void sysv_layout(struct stub *stub, int id, uint64_t offset, uint64_t length)
{
	transport_layout_clear(&stub->layout);
	stub->layout.extents[0] =
		(struct segment_extent){.fd = -1, .shmid = id, .offset = offset, .length = length};
	stub->layout.count = 1;
}

static void test_sysv(void **state)
{
	struct stub stub;
	int id = sysv_memory();

	(void)state;
	for (unsigned first = 0; first < 3; first++)
		for (unsigned pages = 1; pages <= 3 - first; pages++) {
			prepare(&stub, pages * page(), RSM_PERM_RDWR);
			sysv_layout(&stub, id, first * page(), pages * page());
			assert_int_equal(local_attach(&stub.import, &stub.layout), RSM_SUCCESS);
			assert_int_equal(stub.import.map[0], first);
			assert_int_equal(stub.import.map[pages * page() - 1], first + pages - 1);
			assert_true(stub_can_write(stub.import.map + pages * page() - 1));
			stub.import.map[pages * page() - 1] = (unsigned char)(first + pages - 1);
			stub_disconnect(&stub);
			assert_int_equal(sysv_attached(id), 0);
		}
	prepare(&stub, page(), RSM_PERM_READ);
	sysv_layout(&stub, id, page(), page());
	assert_int_equal(local_attach(&stub.import, &stub.layout), RSM_SUCCESS);
	assert_int_equal(stub.import.map[0], 1);
	assert_false(stub_can_write(stub.import.map));
	stub_disconnect(&stub);
	shmctl(id, IPC_RMID, NULL);
}

static void test_sysv_refused(void **state)
{
	struct stub stub;
	int id = sysv_memory();

	(void)state;
	const struct {
		uint64_t offset, length;
	} beyond[] = {{3 * page(), page()}, {2 * page(), 2 * page()}, {UINT64_MAX - page() + 1, page()}};
	for (size_t i = 0; i < sizeof(beyond) / sizeof(*beyond); i++) {
		prepare(&stub, beyond[i].length, RSM_PERM_RDWR);
		sysv_layout(&stub, id, beyond[i].offset, beyond[i].length);
		attach_refused(&stub, RSMERR_INSUFFICIENT_RESOURCES);
		assert_int_equal(sysv_attached(id), 0);
	}
	shmctl(id, IPC_RMID, NULL);
	prepare(&stub, page(), RSM_PERM_RDWR);
	sysv_layout(&stub, id, 0, page());
	attach_refused(&stub, RSMERR_INSUFFICIENT_RESOURCES);
}

/* ---- the window ---- */

static void test_window(void **state)
{
	struct stub stub;
	int fd;
	void *at = NULL;

	(void)state;
	stub_connect(&stub, 4 * page(), 0, RSM_PERM_RDWR, &fd);
	assert_int_equal(pwrite(fd, "2", 1, (off_t)(2 * page())), 1);
	assert_int_equal(pwrite(fd, "3", 1, (off_t)(3 * page())), 1);
	/* A page and a byte: two whole pages. */
	assert_int_equal(local_map(&stub.import, &at, false, PROT_READ | PROT_WRITE, 2 * page(), page() + 1),
			 RSM_SUCCESS);
	unsigned char *window = at;
	assert_ptr_equal(stub.import.window, window);
	assert_int_equal(window[0], '2');
	assert_int_equal(window[page()], '3');
	window[1] = 'x';
	assert_int_equal(stub_byte(fd, 2 * page() + 1), 'x');
	assert_ptr_not_equal(window, stub.import.map + 2 * page());
	local_unmap(&stub.import);
	assert_null(stub.import.window);
	assert_false(stub_is_mapped(window));
	assert_false(stub_is_mapped(window + page()));
	assert_true(stub_can_read(stub.import.map));
	stub_disconnect(&stub);
}

static void test_window_fixed(void **state)
{
	struct stub stub;
	int fd;

	(void)state;
	stub_connect(&stub, 2 * page(), 0xaa, RSM_PERM_RDWR, &fd);
	unsigned char *area =
		mmap(NULL, 3 * page(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(area, MAP_FAILED);
	void *at = area + page();
	assert_int_equal(local_map(&stub.import, &at, true, PROT_READ, page(), page()), RSM_SUCCESS);
	assert_ptr_equal(at, area + page());
	assert_int_equal(area[page()], 0xaa);
	assert_int_equal(area[page() - 1], 0);
	assert_int_equal(area[2 * page()], 0);
	assert_false(stub_can_write(area + page()));
	stub_disconnect(&stub);
	munmap(area, 3 * page());
}

static void test_window_inaccessible(void **state)
{
	struct stub stub;
	int fd;
	void *at = NULL;

	(void)state;
	/* A connection without rights is not told of any memory. */
	stub_connect(&stub, page(), 0xaa, RSM_PERM_NONE, &fd);
	transport_layout_clear(&stub.layout);
	assert_int_equal(local_map(&stub.import, &at, false, PROT_NONE, 0, page()), RSM_SUCCESS);
	assert_true(stub_is_mapped(at));
	assert_false(stub_can_read(at));
	/* It stays so when the memory moves. */
	stub_move(&stub);
	assert_int_equal(local_resume(&stub.import), RSM_SUCCESS);
	assert_false(stub_can_read(at));
	stub_disconnect(&stub);
}

static void test_window_refused(void **state)
{
	struct stub stub;
	int fd;
	void *at = NULL;

	(void)state;
	stub_connect(&stub, page(), 0xaa, RSM_PERM_RDWR, &fd);
	stub.fetch_code = RSMERR_CONN_ABORTED;
	assert_int_equal(local_map(&stub.import, &at, false, PROT_READ, 0, page()), RSMERR_CONN_ABORTED);
	stub.fetch_code = RSM_SUCCESS;
	stub.layout.extents[0].offset = 8;
	assert_int_equal(local_map(&stub.import, &at, false, PROT_READ, 0, page()), RSMERR_MAP_FAILED);
	assert_null(stub.import.window);
	assert_null(at);
	/* Nothing can stand at address 0, also for root: NULL says that there is no window. */
	stub.layout.extents[0].offset = 0;
	assert_int_equal(local_map(&stub.import, &at, true, PROT_READ, 0, page()), RSMERR_MAP_FAILED);
	assert_null(stub.import.window);
	stub_disconnect(&stub);
}

/* The rights were checked before: what the system refuses is no matter of the connection's rights. */
static void test_window_denied(void **state)
{
	struct stub stub;
	int fd;
	char path[64];
	void *at = NULL;

	(void)state;
	stub_connect(&stub, page(), 0xaa, RSM_PERM_RDWR, &fd);
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	stub_layout(&stub, open(path, O_RDONLY | O_CLOEXEC), 0, page());
	assert_int_equal(local_map(&stub.import, &at, false, PROT_READ | PROT_WRITE, 0, page()),
			 RSMERR_MAP_FAILED);
	assert_null(stub.import.window);
	stub_disconnect(&stub);
}

/* Both maps follow, at their addresses, the window from its own offset and with its own rights. */
static void test_move(void **state)
{
	struct stub stub;
	int fd;
	void *at = NULL;

	(void)state;
	stub_connect(&stub, 3 * page(), 0xaa, RSM_PERM_RDWR, &fd);
	assert_int_equal(local_map(&stub.import, &at, false, PROT_READ, page(), 2 * page()), RSM_SUCCESS);
	unsigned char *map = stub.import.map, *window = at;
	stub_layout(&stub, stub_memory(page(), 0xb0), 0, page());
	stub_layout_add(&stub, stub_memory(page(), 0xb1), 0, page());
	stub_layout_add(&stub, stub_memory(page(), 0xb2), 0, page());
	stub_move(&stub);
	assert_int_equal(window[0], 0xaa); /* nobody has called the library yet */
	assert_int_equal(local_resume(&stub.import), RSM_SUCCESS);
	assert_ptr_equal(stub.import.map, map);
	assert_ptr_equal(stub.import.window, window);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(map[i * page()], 0xb0 + i);
	assert_int_equal(window[0], 0xb1);
	assert_int_equal(window[page()], 0xb2);
	assert_false(stub_can_write(window));
	assert_true(stub_can_write(map));
	stub_disconnect(&stub);
}

/* Stores vanish, loads see zeros, nothing faults (rsm(7), WITHDRAWAL). */
static void test_abort(void **state)
{
	struct stub stub;
	int fd;
	void *at = NULL;

	(void)state;
	stub_connect(&stub, 2 * page(), 0xaa, RSM_PERM_RDWR, &fd);
	assert_int_equal(local_map(&stub.import, &at, false, PROT_READ | PROT_WRITE, 0, 2 * page()),
			 RSM_SUCCESS);
	unsigned char *map = stub.import.map, *window = at;
	stub_abort(&stub);
	assert_int_equal(local_resume(&stub.import), RSMERR_CONN_ABORTED);
	assert_int_equal(map[0], 0);
	assert_int_equal(window[page()], 0);
	map[0] = window[page()] = 0x11;
	assert_true(stub_is_all(fd, 0, 2 * page(), 0xaa));
	/* The trash is made once: what the process stored there is not wiped by the next call. */
	assert_int_equal(local_resume(&stub.import), RSMERR_CONN_ABORTED);
	assert_int_equal(map[0], 0x11);
	local_unmap(&stub.import);
	assert_false(stub_is_mapped(window));
	stub_disconnect(&stub);
	assert_false(stub_is_mapped(map));
}

/* An abort of a connection that only signals, or maps nothing explicitly. */
static void test_abort_without_maps(void **state)
{
	struct stub stub;
	int fd;

	(void)state;
	stub_connect(&stub, page(), 0xaa, RSM_PERM_NONE, &fd);
	stub_abort(&stub);
	assert_int_equal(local_resume(&stub.import), RSMERR_CONN_ABORTED);
	assert_null(stub.import.map);
	stub_disconnect(&stub);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_attach_rights),  cmocka_unit_test(test_detach),
		cmocka_unit_test(test_attach_refused), cmocka_unit_test(test_sysv),
		cmocka_unit_test(test_sysv_refused),   cmocka_unit_test(test_window),
		cmocka_unit_test(test_window_fixed),   cmocka_unit_test(test_window_inaccessible),
		cmocka_unit_test(test_window_refused), cmocka_unit_test(test_move),
		cmocka_unit_test(test_abort),          cmocka_unit_test(test_abort_without_maps),
		cmocka_unit_test(test_window_denied),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
