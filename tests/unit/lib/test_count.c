/* SPDX-License-Identifier: BSD-2-Clause */
/* lib/count.c: threads and their cells, rows, and every way in which there is no table to be had. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fd.h"
#include "lib/count.h"
#include "published.h"

#define OWN_CELLS (SEGMENT_COUNTERS_CELLS - 1)

/* Other releases read it. */
static void test_layout(void **state)
{
	(void)state;
	assert_int_equal(offsetof(struct segment_counters, rows), 128);
	assert_int_equal(offsetof(struct segment_counters_row, id), 16);
	assert_int_equal(offsetof(struct segment_counters_row, segment_id), 24);
	assert_int_equal(offsetof(struct segment_counters_row, length), 40);
	assert_int_equal(offsetof(struct segment_counters_row, latency_ns), 48);
	assert_int_equal(offsetof(struct segment_counters_row, cells), 64);
	assert_int_equal(offsetof(struct segment_counters_row, program), 128);
	assert_int_equal(offsetof(struct segment_counters_cell, bytes_put), 16);
	assert_int_equal(offsetof(struct segment_counters_cell, failures), 48);
	/* The row's zeros stand where puts and gets of a cell stand. */
	assert_int_equal(offsetof(struct segment_counters_row, zero), 0);
	assert_int_equal(offsetof(struct segment_counters_cell, gets), 8);
}

/* ---- threads ---- */

static struct segment_counters_row row;
static struct lib_import import = {.counters = &row, .sample = LIB_COUNT_SAMPLE - 1};

/* As a put does. */
static void count_put(uint64_t bytes)
{
	if (!lib_count_quickly(&import, true, bytes))
		lib_count_transfer(&import, true, bytes);
}

static pthread_barrier_t all_there;

/* Each of the first threads has a cell of its own while all are there; what it is called with comes back as its cell. */
static void *thread_hold(void *cell)
{
	count_put(1);
	atomic_store((_Atomic uint32_t *)cell, lib_count_thread);
	pthread_barrier_wait(&all_there);
	for (int i = 0; i < 5000; i++) {
		count_put(3);
		lib_count_signal(&import);
		lib_count_span(&import, i % 10 == 0 ? RSMERR_CONN_ABORTED : RSM_SUCCESS);
	}
	return NULL;
}

static void threads_run(_Atomic uint32_t *cells, size_t count)
{
	pthread_t threads[8];
	assert_int_equal(pthread_barrier_init(&all_there, NULL, (unsigned)count), 0);
	for (size_t i = 0; i < count; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, thread_hold, &cells[i]), 0);
	for (size_t i = 0; i < count; i++)
		pthread_join(threads[i], NULL);
	pthread_barrier_destroy(&all_there);
}

static unsigned cells_own(const _Atomic uint32_t *cells, size_t count)
{
	unsigned own = 0;
	for (size_t i = 0; i < count; i++) {
		own += cells[i] != 0;
		for (size_t other = 0; other < i; other++)
			assert_true(cells[i] == 0 || cells[i] != cells[other]);
	}
	return own;
}

static uint64_t sum(size_t offset)
{
	uint64_t total = 0;
	for (size_t i = 0; i < SEGMENT_COUNTERS_CELLS; i++)
		total += atomic_load((_Atomic uint64_t *)(void *)((char *)&row.cells[i] + offset));
	return total;
}
#define SUM(name) sum(offsetof(struct segment_counters_cell, name))

static void test_threads(void **state)
{
	(void)state;
	_Atomic uint32_t cells[8] = {0};
	for (uint64_t round = 1; round <= 4; round++) { /* what threads leave behind is taken again */
		threads_run(cells, 8);
		assert_int_equal(cells_own(cells, 8), OWN_CELLS);
		assert_int_equal(SUM(puts), round * 8 * 5001);
		assert_int_equal(SUM(bytes_put), round * 8 * (5000 * 3 + 1));
		assert_int_equal(SUM(posts), round * 8 * 5000);
		assert_int_equal(SUM(spans), round * 8 * 5000);
		assert_int_equal(SUM(failures), round * 8 * 500);
	}
	assert_int_equal(SUM(gets), 0);
	assert_true(row.zero[0] == 0 && row.zero[1] == 0);
	/* Among few threads all have their own. */
	threads_run(cells, OWN_CELLS);
	assert_int_equal(cells_own(cells, OWN_CELLS), OWN_CELLS);
}

/* A forked child has the cells of the threads that are not there. */
static void test_fork(void **state)
{
	(void)state;
	lib_lock(); /* fork handlers */
	lib_unlock();
	pthread_t threads[OWN_CELLS];
	_Atomic uint32_t cells[OWN_CELLS] = {0};
	assert_int_equal(pthread_barrier_init(&all_there, NULL, OWN_CELLS + 1), 0);
	for (size_t i = 0; i < OWN_CELLS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, thread_hold, &cells[i]), 0);
	while (SUM(puts) == 0 || cells[0] == 0 || cells[1] == 0 || cells[2] == 0)
		sched_yield();
	pid_t child = fork();
	if (child == 0) {
		count_put(1);
		_exit(lib_count_thread != 0 ? 0 : 1);
	}
	pthread_barrier_wait(&all_there);
	for (size_t i = 0; i < OWN_CELLS; i++)
		pthread_join(threads[i], NULL);
	pthread_barrier_destroy(&all_there);
	int status;
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

static unsigned timed_of(unsigned calls)
{
	unsigned timed = 0;
	for (unsigned i = 0; i < calls; i++)
		if (!lib_count_quickly(&import, true, 8))
			timed += lib_count_transfer(&import, true, 8);
	return timed;
}

/* A round trip between nodes is timed each time; what is gathered or pipelined there, and anything on one host, now and then. */
static void test_sample_of_modes(void **state)
{
	(void)state;
	const struct transport_ops *here = import.transport.ops;
	import.transport.ops = &transport_tcp_ops;
	atomic_store(&import.transport.implicit, true);
	lib_count_mode(&import);
	assert_int_equal(timed_of(100), 100);
	atomic_store(&import.transport.implicit, false);
	lib_count_mode(&import);
	assert_in_range(timed_of(2 * LIB_COUNT_SAMPLE), 1, 2);
	import.transport.ops = here;
	atomic_store(&import.transport.implicit, true);
	lib_count_mode(&import);
	assert_in_range(timed_of(2 * LIB_COUNT_SAMPLE), 1, 2);
}

/* The first call, and every so many, are to be timed. */
static void test_sample(void **state)
{
	(void)state;
	memset(&row, 0, sizeof(row));
	unsigned timed = 0;
	for (unsigned i = 0; i < 3 * LIB_COUNT_SAMPLE; i++)
		if (!lib_count_quickly(&import, false, 8))
			timed += lib_count_transfer(&import, false, 8);
	assert_int_equal(timed, 3);
	assert_int_equal(SUM(gets), 3 * LIB_COUNT_SAMPLE);
	lib_count_latency(&import, 1000);
	assert_int_equal(atomic_load(&row.latency_ns), 1000);
	for (int i = 0; i < 100; i++)
		lib_count_latency(&import, 2000);
	assert_in_range(atomic_load(&row.latency_ns), 1950, 2000);
	for (int i = 0; i < 200; i++)
		lib_count_latency(&import, 0);
	assert_in_range(atomic_load(&row.latency_ns), 1, 10); /* 0 says that it is not known */
}

/* ---- rows ---- */

/* What the fake does when it is asked for the table. */
static enum { GOOD, REFUSES, NOTHING, SHORT, UNSEALED } kind;
static _Atomic unsigned asked;

static bool answer(int socket, const Wire__Request *request, struct wire_packet *packet)
{
	(void)packet;
	if (request->body_case != WIRE__REQUEST__BODY_COUNTERS) {
		fake_reply_empty(socket, request);
		return true;
	}
	FAKE_MUST(request->counters->own);
	atomic_fetch_add(&asked, 1);
	Wire__Reply reply;
	wire__reply__init(&reply);
	reply.code = kind == REFUSES ? RSMERR_INSUFFICIENT_RESOURCES : RSM_SUCCESS;
	const size_t size = SEGMENT_COUNTERS_SIZE(SEGMENT_COUNTERS_ROWS);
	int fd = kind == UNSEALED ? memfd_create("bare", MFD_CLOEXEC)
				  : fake_memory(kind == SHORT ? size - 4096 : size, 0);
	FAKE_MUST(kind != UNSEALED || ftruncate(fd, (off_t)size) == 0);
	fake_reply(socket, request, &reply, &fd, kind == REFUSES || kind == NOTHING ? 0 : 1);
	base_fd_close(&fd);
	return true;
}

static struct lib_import *connected(rsm_memseg_import_handle_t *handle)
{
	assert_int_equal(published_connect(handle), RSM_SUCCESS);
	struct lib_import *found = lib_import_find(*handle);
	assert_non_null(found);
	return found;
}

static void expect_works(rsm_memseg_import_handle_t handle)
{
	uint64_t value = 0x1122334455667788;
	assert_int_equal(rsm_memseg_import_set_mode(handle, RSM_BARRIER_MODE_EXPLICIT), RSM_SUCCESS);
	assert_int_equal(rsm_memseg_import_put64(handle, 8, &value, 1), RSM_SUCCESS);
	value = 0;
	assert_int_equal(rsm_memseg_import_get(handle, 8, &value, 8), RSM_SUCCESS);
	assert_int_equal(value, 0x1122334455667788);
}

/* No word about counters to an rsmd that does not know them; asked once where it refuses or sends what is none. */
static void test_none(void **state)
{
	(void)state;
	for (int i = -1; i <= UNSEALED; i++) {
		kind = i < 0 ? GOOD : i;
		if (kind == GOOD && i == 0)
			continue;
		atomic_store(&asked, 0);
		atomic_store(&fake_features, i < 0 ? 0 : WIRE_FEATURE_COUNTERS);
		published_start(1, 0x11);
		published.other = answer;
		rsm_memseg_import_handle_t one, two;
		assert_ptr_equal(connected(&one)->counters, &lib_count_nowhere);
		assert_ptr_equal(connected(&two)->counters, &lib_count_nowhere);
		expect_works(one);
		assert_int_equal(atomic_load(&asked), i < 0 ? 0 : 1);
		assert_int_equal(rsm_memseg_import_disconnect(one), RSM_SUCCESS);
		assert_int_equal(rsm_memseg_import_disconnect(two), RSM_SUCCESS);
		published_stop();
	}
}

/* Rows are taken again, and those of an rsmd that has gone are left alone. */
static void test_rows(void **state)
{
	(void)state;
	rsm_memseg_import_handle_t one, two, old;
	kind = GOOD;
	atomic_store(&asked, 0);
	atomic_store(&fake_features, WIRE_FEATURE_COUNTERS);
	published_start(1, 0x11);
	published.other = answer;
	struct segment_counters_row *first = connected(&one)->counters;
	struct segment_counters_row *second = connected(&two)->counters;
	assert_ptr_equal(second, first + 1);
	assert_int_equal(atomic_load(&first->id), 1);
	assert_int_equal(atomic_load(&first->segment_id), 0x500000);
	assert_int_equal(atomic_load(&first->length), (uint64_t)sysconf(_SC_PAGESIZE));
	expect_works(one);
	uint64_t puts = atomic_load(&first->cells[0].puts) + atomic_load(&first->cells[1].puts) +
			atomic_load(&first->cells[2].puts);
	assert_int_equal(puts, 1);
	assert_int_equal(rsm_memseg_import_disconnect(one), RSM_SUCCESS);
	assert_int_equal(atomic_load(&first->id), 0);
	assert_ptr_equal(connected(&old)->counters, first);
	assert_int_equal(atomic_load(&first->id), 3);
	assert_int_equal(atomic_load(&first->cells[0].puts), 0);
	published_stop();

	published_start(1, 0x22);
	published.other = answer;
	struct segment_counters_row *fresh = connected(&one)->counters;
	assert_true(fresh != first && fresh != second);
	expect_works(old); /* its memory is there still, and it counts where it did */
	assert_int_equal(atomic_load(&first->id), 3);
	assert_int_equal(rsm_memseg_import_disconnect(old), RSM_SUCCESS);
	struct segment_counters_row *next = connected(&old)->counters;
	assert_ptr_equal(next, fresh + 1);
	assert_int_equal(rsm_memseg_import_disconnect(one), RSM_SUCCESS);
	assert_int_equal(rsm_memseg_import_disconnect(two), RSM_SUCCESS);
	assert_int_equal(rsm_memseg_import_disconnect(old), RSM_SUCCESS);
	published_stop();
	assert_int_equal(atomic_load(&asked), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_layout),
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_fork),
		cmocka_unit_test(test_sample),
		cmocka_unit_test(test_sample_of_modes),
		cmocka_unit_test(test_none),
		cmocka_unit_test(test_rows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
