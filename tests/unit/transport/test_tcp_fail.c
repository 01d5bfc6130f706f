/* SPDX-License-Identifier: BSD-2-Clause */
/* transport/tcp: how links fail, and that every wait ends by the right code and not before its time. */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/reason.h"
#include "link.h"
#include "rsmapi.h"

static struct stub stub;
static struct transport_import *const import = &stub.import;
static const struct transport_ops *const ops = &transport_tcp_ops;

static void begin(enum node_fault fault, unsigned at)
{
	node_start();
	node.fault = fault;
	node.fault_at = at;
	atomic_store(&stub_is_orphaned, false);
	node_connect_well(&stub);
}

static void end(void)
{
	sem_post(&node.go);
	node_disconnect(&stub);
	node_stop();
}

/* A link that ended stays so, for every call, and touches nothing any more. */
static void expect_lost(void)
{
	unsigned char bytes[8] = {0};
	struct transport_vector entry = {0, bytes, 8};
	size_t done = 9;
	void *target = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_int_equal(ops->put(import, 0, bytes, 8), RSMERR_CONN_ABORTED);
	assert_int_equal(ops->get(import, 0, target, 4096), RSMERR_CONN_ABORTED);
	assert_int_equal(ops->post(import, 0), RSMERR_CONN_ABORTED);
	assert_int_equal(ops->order(import), RSMERR_CONN_ABORTED);
	assert_int_equal(ops->putv(import, &entry, 1, -1, &done), RSMERR_CONN_ABORTED);
	assert_int_equal(done, 0);
	assert_int_equal(ops->settle(import, ops->begin(import)), RSMERR_CONN_ABORTED);
	assert_int_equal(import->link->spans, 0);
	assert_int_equal(import->link->count, 0);
	assert_true(strlen(base_reason()) > 0);
	munmap(target, 4096);
}

/* Every way in which an answer can be wrong, at a put, a get, a post and a fence. */
static void test_faults(void **state)
{
	(void)state;
	for (int fault = NODE_END; fault <= NODE_JUNK; fault++)
		for (int op = 0; op < 4; op++) {
			unsigned char bytes[5000] = {0};
			int code = 0;
			if (op != 1 && (fault == NODE_HALF_PAYLOAD || fault == NODE_SHORT))
				continue; /* there is no payload */
			begin((enum node_fault)fault, op == 3 ? 1 : 0);
			if (op == 0)
				code = ops->put(import, 0, bytes, sizeof(bytes));
			if (op == 1)
				code = ops->get(import, 0, bytes, sizeof(bytes));
			if (op == 2)
				code = ops->post(import, 0);
			if (op == 3) {
				atomic_store(&import->implicit, false);
				assert_int_equal(ops->put(import, 0, bytes, 8), RSM_SUCCESS);
				code = ops->order(import);
			}
			if (code != RSMERR_CONN_ABORTED)
				fail_msg("fault %d, op %d: code %d", fault, op, code);
			expect_lost();
			end();
		}
}

/* An answer too many is seen at once, or when the next one is looked for. */
static void test_twice(void **state)
{
	unsigned char byte = 0;
	(void)state;
	begin(NODE_TWICE, 0);
	ops->put(import, 0, &byte, 1);
	assert_int_equal(ops->put(import, 0, &byte, 1), RSMERR_CONN_ABORTED);
	expect_lost();
	end();
}

static void test_refusals_odd(void **state)
{
	unsigned char byte = 0;
	(void)state;
	begin(NODE_REFUSE_ODD, 0);
	assert_int_equal(ops->put(import, 0, &byte, 1), RSMERR_BARRIER_FAILURE);
	assert_null(strchr(base_reason(), '\a'));
	assert_null(strchr(base_reason(), '\x9b'));
	assert_non_null(strstr(base_reason(), "????"));
	assert_int_equal(ops->put(import, 0, &byte, 1), RSM_SUCCESS);
	end();
	begin(NODE_REFUSE_LONG, 0);
	assert_int_equal(ops->put(import, 0, &byte, 1), RSMERR_CONN_ABORTED);
	expect_lost();
	end();
}

/* The node hangs up in the middle of pipelined gets: what came is there, and the span says that it is not all. */
static void test_end_in_span(void **state)
{
	unsigned char target[64 * 100] = {0};
	(void)state;
	begin(NODE_HALF_PAYLOAD, 50);
	atomic_store(&import->implicit, false);
	memset(node.memory, 0x11, sizeof(target));
	uint64_t span = ops->begin(import);
	for (size_t i = 0; i < 100; i++)
		assert_int_equal(ops->get(import, i * 64, target + i * 64, 64), RSM_SUCCESS);
	assert_int_equal(ops->settle(import, span), RSMERR_CONN_ABORTED);
	assert_int_equal(target[64 * 50 - 1], 0x11);
	assert_int_equal(target[64 * 51], 0);
	expect_lost();
	end();
}

/* ---- waits ---- */

static void *abort_when_silent(void *unused)
{
	(void)unused;
	while (!atomic_load(&node.is_silent))
		sched_yield();
	stub_abort(&stub);
	return NULL;
}

static void test_abort_in_wait(void **state)
{
	pthread_t thread;
	unsigned char byte = 0;
	(void)state;
	begin(NODE_SILENT, 0);
	assert_int_equal(pthread_create(&thread, NULL, abort_when_silent, NULL), 0);
	assert_int_equal(ops->put(import, 0, &byte, 1), RSMERR_CONN_ABORTED);
	pthread_join(thread, NULL);
	expect_lost();
	end();
}

static void *abort_then_answer(void *caller)
{
	while (atomic_load(&node.hold_answer))
		sched_yield();
	stub_await_sleep(caller);
	stub_abort(&stub);
	sem_post(&node.go);
	return NULL;
}

/* An event that was counted cannot be taken back: its post succeeds, also if its taker has withdrawn the segment since. */
static void test_abort_behind_answer(void **state)
{
	static const int codes[] = {RSM_SUCCESS, RSM_SUCCESS, RSMERR_CONN_ABORTED};
	(void)state;
	for (int op = 0; op < 3; op++) {
		pthread_t thread;
		_Atomic pid_t caller = gettid();
		unsigned char byte = 0;
		struct transport_vector entry = {0, &byte, 1};
		size_t done = 9;
		begin(NODE_WELL, 0);
		atomic_store(&node.hold_answer, true);
		assert_int_equal(pthread_create(&thread, NULL, abort_then_answer, &caller), 0);
		int code = op == 0   ? ops->post(import, 0)
			   : op == 1 ? ops->putv(import, &entry, 1, 0, &done)
				     : ops->putv(import, &entry, 1, -1, &done);
		pthread_join(thread, NULL);
		if (code != codes[op])
			fail_msg("op %d: code %d", op, code);
		expect_lost();
		end();
	}
}

/* The same while the socket takes no more. */
static void test_abort_in_send(void **state)
{
	pthread_t thread;
	unsigned char *bytes = calloc(1, NODE_SIZE);
	(void)state;
	begin(NODE_SILENT, 0);
	atomic_store(&import->implicit, false);
	assert_int_equal(pthread_create(&thread, NULL, abort_when_silent, NULL), 0);
	int code = RSM_SUCCESS;
	while (code == RSM_SUCCESS)
		code = ops->put(import, 0, bytes, NODE_SIZE);
	assert_int_equal(code, RSMERR_CONN_ABORTED);
	pthread_join(thread, NULL);
	end();
	free(bytes);
}

/* An abort moves nothing, before and after, and drops gets that were asked for. */
static void test_abort_before(void **state)
{
	unsigned char bytes[8] = {0};
	(void)state;
	begin(NODE_WELL, 0);
	atomic_store(&import->implicit, false);
	uint64_t span = ops->begin(import);
	assert_int_equal(ops->put(import, 0, "12345678", 8), RSM_SUCCESS);
	assert_int_equal(ops->get(import, 0, bytes, 8), RSM_SUCCESS);
	stub_abort(&stub);
	assert_int_equal(ops->settle(import, span), RSMERR_CONN_ABORTED);
	expect_lost();
	end();
	assert_int_equal(atomic_load(&node.puts), 0);
}

/* Silence alone is waited out; with rsmd gone too, for dead-after. */
static void test_orphaned(void **state)
{
	struct transport_layout layout = {.remote.dead_after_ms = 300};
	unsigned char byte = 0;
	(void)state;
	node_start();
	node.fault = NODE_SILENT;
	assert_int_equal(node_connect(&stub, &layout), RSM_SUCCESS);
	atomic_store(&stub_is_orphaned, true);
	uint64_t start = base_clock_ns();
	assert_int_equal(ops->put(import, 0, &byte, 1), RSMERR_CONN_ABORTED);
	assert_true(base_clock_ns() - start >= 300000000u);
	assert_non_null(strstr(base_reason(), "rsmd is gone"));
	expect_lost();
	end();
}

/* A network that failed is not told before its time. */
static void test_silent_error(void **state)
{
	struct transport_layout layout = {.remote.dead_after_ms = 300};
	unsigned char byte = 0;
	(void)state;
	node_start();
	assert_int_equal(node_connect(&stub, &layout), RSM_SUCCESS);
	tcp_lose(import->link, ETIMEDOUT, "as the test wants");
	assert_int_equal(import->link->health, TCP_SILENT);
	assert_int_equal(tcp_silence_ns(import->link), TCP_SILENCE_NS);
	assert_int_equal(tcp_silence_ns(&(struct tcp_link){.dead_after_ms = 3600000}), 7200000000000);
	atomic_store(&stub_is_orphaned, true);
	uint64_t start = base_clock_ns();
	assert_int_equal(ops->put(import, 0, &byte, 1), RSMERR_CONN_ABORTED);
	assert_true(base_clock_ns() - start >= 300000000u);
	start = base_clock_ns();
	expect_lost();
	assert_true(base_clock_ns() - start < 300000000u);
	end();
}

static void on_signal(int number)
{
	(void)number;
}

static void *interrupt(void *argument)
{
	const pthread_t *caller = argument;
	while (!atomic_load(&node.is_silent))
		sched_yield();
	for (int i = 0; i < 100; i++) {
		pthread_kill(*caller, SIGUSR1);
		sched_yield();
	}
	stub_abort(&stub);
	return NULL;
}

/* Signal handlers end no data call. */
static void test_interrupted(void **state)
{
	pthread_t thread, caller = pthread_self();
	unsigned char byte = 0;
	(void)state;
	struct sigaction action = {.sa_handler = on_signal};
	sigaction(SIGUSR1, &action, NULL);
	begin(NODE_SILENT, 0);
	assert_int_equal(pthread_create(&thread, NULL, interrupt, &caller), 0);
	assert_int_equal(ops->put(import, 0, &byte, 1), RSMERR_CONN_ABORTED);
	pthread_join(thread, NULL);
	end();
}

static void *put_once(void *unused)
{
	unsigned char byte = 0;
	(void)unused;
	ops->put(import, 0, &byte, 1);
	return NULL;
}

/* A thread that is cancelled finishes its exchange first: the others go on. */
static void test_cancelled(void **state)
{
	pthread_t thread;
	unsigned char byte = 0;
	(void)state;
	node_start();
	atomic_store(&node.hold, true);
	node_connect_well(&stub);
	assert_int_equal(pthread_create(&thread, NULL, put_once, NULL), 0);
	pthread_cancel(thread);
	sem_post(&node.go);
	pthread_join(thread, NULL);
	assert_int_equal(ops->put(import, 0, &byte, 1), RSM_SUCCESS);
	end();
}

/* The link is the parent's, also while another thread of it held its lock; letting go does not end it. */
static void test_fork(void **state)
{
	unsigned char byte = 0;
	(void)state;
	begin(NODE_WELL, 0);
	pthread_mutex_lock(&import->link->lock);
	pid_t child = fork();
	if (child == 0) {
		transport_tcp_forked();
		int code = ops->put(import, 0, &byte, 1);
		ops->begin(import);
		bool well = code == RSMERR_CONN_ABORTED && ops->order(import) == RSMERR_CONN_ABORTED &&
			    ops->settle(import, 0) == RSMERR_CONN_ABORTED;
		ops->detach(import);
		_exit(well ? 0 : 1);
	}
	pthread_mutex_unlock(&import->link->lock);
	int status;
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	assert_int_equal(ops->put(import, 0, &byte, 1), RSM_SUCCESS);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_faults),        cmocka_unit_test(test_twice),
		cmocka_unit_test(test_refusals_odd),  cmocka_unit_test(test_end_in_span),
		cmocka_unit_test(test_abort_in_wait), cmocka_unit_test(test_abort_behind_answer),
		cmocka_unit_test(test_abort_in_send), cmocka_unit_test(test_abort_before),
		cmocka_unit_test(test_orphaned),      cmocka_unit_test(test_silent_error),
		cmocka_unit_test(test_interrupted),   cmocka_unit_test(test_cancelled),
		cmocka_unit_test(test_fork),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
