/* SPDX-License-Identifier: BSD-2-Clause */
/* transport/local/rma.c and map.c: spans (begin, order, settle), and following memory that moved. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/reason.h"
#include "rsmapi.h"
#include "stub.h"

static size_t page(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

static void test_healthy(void **state)
{
	struct stub stub;
	int fd;

	(void)state;
	stub_connect(&stub, page(), 0, RSM_PERM_RDWR, &fd);
	uint64_t span = local_begin(&stub.import);
	assert_int_equal(local_order(&stub.import), RSM_SUCCESS);
	assert_int_equal(local_order(&stub.import), RSM_SUCCESS);
	assert_int_equal(local_settle(&stub.import, span), RSM_SUCCESS);
	assert_int_equal(stub.locks, 0);
	stub_disconnect(&stub);
}

static void test_abort(void **state)
{
	struct stub stub;
	int fd;

	(void)state;
	stub_connect(&stub, page(), 0, RSM_PERM_RDWR, &fd);
	uint64_t span = local_begin(&stub.import);
	stub_abort(&stub);
	assert_int_equal(local_order(&stub.import), RSMERR_CONN_ABORTED);
	assert_int_equal(local_settle(&stub.import, span), RSMERR_CONN_ABORTED);
	/* A span that begins after the abort does not heal it. */
	span = local_begin(&stub.import);
	assert_int_equal(local_settle(&stub.import, span), RSMERR_CONN_ABORTED);
	assert_int_equal(stub.fetches, 0);
	stub_disconnect(&stub);
}

/* Aborted and moved at once: the abort counts. */
static void test_abort_and_move(void **state)
{
	struct stub stub;
	int fd;
	uint64_t word = 1;

	(void)state;
	stub_connect(&stub, page(), 0xaa, RSM_PERM_RDWR, &fd);
	stub_move(&stub);
	stub_abort(&stub);
	assert_int_equal(local_put(&stub.import, 0, &word, 8), RSMERR_CONN_ABORTED);
	assert_int_equal(stub.fetches, 0);
	stub_disconnect(&stub);
}

/* What was stored in the span may have gone to the old memory: the closing barrier says so, the next span is well. */
static void test_move_in_span(void **state)
{
	struct stub stub;
	int old;

	(void)state;
	stub_connect(&stub, page(), 0xaa, RSM_PERM_RDWR, &old);
	uint64_t span = local_begin(&stub.import);
	stub_layout(&stub, stub_memory(page(), 0xbb), 0, page());
	stub_move(&stub);
	assert_int_equal(local_settle(&stub.import, span), RSMERR_BARRIER_FAILURE);
	assert_int_equal(stub.fetches, 1);
	assert_int_equal(stub.import.map[0], 0xbb);
	span = local_begin(&stub.import);
	assert_int_equal(local_settle(&stub.import, span), RSM_SUCCESS);
	assert_int_equal(stub.fetches, 1);
	stub_disconnect(&stub);
}

/* The same although an access inside the span has followed the memory already. */
static void test_move_in_span_followed(void **state)
{
	struct stub stub;
	int old;
	unsigned char byte = 0;

	(void)state;
	stub_connect(&stub, page(), 0xaa, RSM_PERM_RDWR, &old);
	uint64_t span = local_begin(&stub.import);
	stub_layout(&stub, stub_memory(page(), 0xbb), 0, page());
	stub_move(&stub);
	assert_int_equal(local_order(&stub.import), RSM_SUCCESS);
	assert_int_equal(local_get(&stub.import, 0, &byte, 1), RSM_SUCCESS);
	assert_int_equal(byte, 0xbb);
	assert_int_equal(local_settle(&stub.import, span), RSMERR_BARRIER_FAILURE);
	stub_disconnect(&stub);
}

static void test_move_before_span(void **state)
{
	struct stub stub;
	int old;

	(void)state;
	stub_connect(&stub, page(), 0xaa, RSM_PERM_RDWR, &old);
	stub_layout(&stub, stub_memory(page(), 0xbb), 0, page());
	stub_move(&stub);
	uint64_t span = local_begin(&stub.import);
	assert_int_equal(stub.import.map[0], 0xbb);
	assert_int_equal(local_settle(&stub.import, span), RSM_SUCCESS);
	stub_disconnect(&stub);
}

static void test_move_before_put(void **state)
{
	const uint64_t word = 0x1111111111111111u;
	struct stub stub;
	int old;

	(void)state;
	stub_connect(&stub, page(), 0xaa, RSM_PERM_RDWR, &old);
	unsigned char *place = stub.import.map;
	int kept = dup(old), fresh = stub_memory(page(), 0xbb);
	stub_layout(&stub, fresh, 0, page());
	stub_move(&stub);
	for (int again = 0; again < 2; again++)
		assert_int_equal(local_put(&stub.import, 0, &word, 8), RSM_SUCCESS);
	assert_int_equal(stub.fetches, 1);
	assert_ptr_equal(stub.import.map, place);
	assert_true(stub_is_all(fresh, 0, 8, 0x11));
	assert_true(stub_is_all(fresh, 8, page() - 8, 0xbb));
	assert_true(stub_is_all(kept, 0, page(), 0xaa));
	close(kept);
	stub_disconnect(&stub);
}

/* What rsmd says when it cannot tell the layout is passed on; the next access asks again. */
static void test_fetch_fails(void **state)
{
	const uint64_t word = 0x1111111111111111u;
	struct stub stub;
	int old;

	(void)state;
	stub_connect(&stub, page(), 0xaa, RSM_PERM_RDWR, &old);
	int kept = dup(old), fresh = stub_memory(page(), 0xbb);
	stub_layout(&stub, fresh, 0, page());
	stub_move(&stub);
	stub.fetch_code = RSMERR_CTLR_NOT_PRESENT;
	uint64_t span = local_begin(&stub.import);
	assert_int_equal(local_put(&stub.import, 0, &word, 8), RSMERR_CTLR_NOT_PRESENT);
	assert_string_equal(base_reason(), "as the test wants");
	assert_int_equal(local_order(&stub.import), RSMERR_CTLR_NOT_PRESENT);
	assert_int_equal(local_settle(&stub.import, span), RSMERR_CTLR_NOT_PRESENT);
	assert_true(stub_is_all(kept, 0, page(), 0xaa));
	stub.fetch_code = RSM_SUCCESS;
	assert_int_equal(local_put(&stub.import, 0, &word, 8), RSM_SUCCESS);
	assert_true(stub_is_all(fresh, 0, 8, 0x11));
	close(kept);
	stub_disconnect(&stub);
}

/* New memory that cannot be mapped: no access pretends to have worked. */
static void test_remap_fails(void **state)
{
	const uint64_t word = 0x1111111111111111u;
	struct stub stub;
	int old;

	(void)state;
	stub_connect(&stub, page(), 0xaa, RSM_PERM_RDWR, &old);
	int ends[2];
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	close(ends[1]);
	stub_layout(&stub, ends[0], 0, page()); /* a socket has no pages */
	stub_move(&stub);
	assert_int_equal(local_put(&stub.import, 0, &word, 8), RSMERR_BARRIER_FAILURE);
	/* Less memory than the segment has. */
	stub.import.length = 2 * page();
	stub_layout(&stub, stub_memory(page(), 0xbb), 0, page());
	assert_int_equal(local_put(&stub.import, 0, &word, 8), RSMERR_BARRIER_FAILURE);
	stub.import.length = page();
	assert_int_equal(local_put(&stub.import, 0, &word, 8), RSM_SUCCESS);
	stub_disconnect(&stub);
}

/* ---- memory in motion ---- */

struct access {
	struct stub *stub;
	_Atomic pid_t thread;
	int code;
};

static void *put_there(void *argument)
{
	const uint64_t word = 0x1111111111111111u;
	struct access *access = argument;
	atomic_store(&access->thread, gettid());
	access->code = local_put(&access->stub->import, 0, &word, 8);
	return NULL;
}

/* An access meanwhile waits, without the lock, and goes to the new memory; an abort ends the wait. */
static void in_motion(bool aborted)
{
	struct stub stub;
	struct access access = {.stub = &stub, .code = -1};
	pthread_t thread;
	int old;

	stub_connect(&stub, page(), 0xaa, RSM_PERM_RDWR, &old);
	int kept = dup(old), fresh = stub_memory(page(), 0xbb);
	stub_layout(&stub, fresh, 0, page());
	stub_move_begin(&stub);
	assert_int_equal(pthread_create(&thread, NULL, put_there, &access), 0);
	stub_await_sleep(&access.thread);
	assert_false(stub.locked);
	assert_int_equal(stub.fetches, 0);
	if (aborted)
		stub_abort(&stub); /* the move never ends: its exporter is dead */
	else
		stub_move_end(&stub);
	pthread_join(thread, NULL);
	assert_int_equal(access.code, aborted ? RSMERR_CONN_ABORTED : RSM_SUCCESS);
	assert_true(stub_is_all(kept, 0, page(), 0xaa));
	assert_true(stub_is_all(fresh, 0, 8, aborted ? 0xbb : 0x11));
	close(kept);
	stub_disconnect(&stub);
}

static void test_in_motion(void **state)
{
	(void)state;
	in_motion(false);
}

static void test_in_motion_aborted(void **state)
{
	(void)state;
	in_motion(true);
}

/* A layout that was told while the pages moved is not used: the next access asks again. */
static void test_layout_of_motion(void **state)
{
	unsigned char byte = 0;
	struct stub stub;
	int old;

	(void)state;
	stub_connect(&stub, page(), 0xaa, RSM_PERM_RDWR, &old);
	local_detach(&stub.import);
	stub_move_begin(&stub);
	stub.layout.epoch = atomic_load(&stub.status.epoch);
	assert_int_equal(local_attach(&stub.import, &stub.layout), RSM_SUCCESS);
	assert_true(atomic_load(&stub.import.epoch) != atomic_load(&stub.status.epoch));
	stub_layout(&stub, stub_memory(page(), 0xbb), 0, page());
	stub_move_end(&stub);
	assert_int_equal(local_get(&stub.import, 0, &byte, 1), RSM_SUCCESS);
	assert_int_equal(byte, 0xbb);
	stub_disconnect(&stub);
}

/* Another thread was faster: nothing is left to be done. */
static void test_resume_nothing(void **state)
{
	struct stub stub;
	int fd;

	(void)state;
	stub_connect(&stub, page(), 0xaa, RSM_PERM_RDWR, &fd);
	assert_int_equal(local_resume(&stub.import), RSM_SUCCESS);
	assert_int_equal(stub.fetches, 0);
	assert_int_equal(stub.locks, 1);
	stub_disconnect(&stub);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_healthy),
		cmocka_unit_test(test_abort),
		cmocka_unit_test(test_abort_and_move),
		cmocka_unit_test(test_move_in_span),
		cmocka_unit_test(test_move_in_span_followed),
		cmocka_unit_test(test_move_before_span),
		cmocka_unit_test(test_move_before_put),
		cmocka_unit_test(test_fetch_fails),
		cmocka_unit_test(test_remap_fails),
		cmocka_unit_test(test_in_motion),
		cmocka_unit_test(test_in_motion_aborted),
		cmocka_unit_test(test_layout_of_motion),
		cmocka_unit_test(test_resume_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
