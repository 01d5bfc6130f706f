/* SPDX-License-Identifier: BSD-2-Clause */
/* transport/tcp: what arrives, in which order, with how many exchanges. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/reason.h"
#include "link.h"
#include "rsmapi.h"

#define KIB(n) ((size_t)(n) << 10)

static struct stub stub;
static struct transport_import *const import = &stub.import;
static const struct transport_ops *const ops = &transport_tcp_ops;

static int setup(void **state)
{
	(void)state;
	node_start();
	node_connect_well(&stub);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	if (import->link != NULL)
		node_disconnect(&stub);
	node_stop();
	return 0;
}

static void explicit(void)
{
	atomic_store(&import->implicit, false);
}

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

static const size_t lengths[] = {0,
				 1,
				 8,
				 4095,
				 4096,
				 4097,
				 KIB(16),
				 KIB(16) + 1,
				 KIB(64) - 24,
				 KIB(64),
				 KIB(300),
				 KIB(4 << 10),
				 KIB(9 << 10) + 5};

/* `spans`: inside a span, where everything may wait until it is closed. */
static void sizes(bool spans)
{
	unsigned char *source = memory(NODE_SIZE), *target = memory(NODE_SIZE);
	for (size_t i = 0; i < sizeof(lengths) / sizeof(*lengths); i++) {
		uint64_t span = spans ? ops->begin(import) : 0;
		pattern(source, lengths[i], (uint32_t)i);
		memset(target, 0xee, lengths[i] + 1);
		assert_int_equal(ops->put(import, 7, source, lengths[i]), RSM_SUCCESS);
		assert_int_equal(ops->get(import, 7, target, lengths[i]), RSM_SUCCESS);
		if (spans)
			assert_int_equal(ops->settle(import, span), RSM_SUCCESS);
		assert_memory_equal(target, source, lengths[i]);
		assert_int_equal(target[lengths[i]], 0xee);
		assert_memory_equal(node.memory + 7, source, lengths[i]);
	}
	free(source);
	free(target);
}

static void test_sizes_implicit(void **state)
{
	(void)state;
	sizes(false);
	assert_int_equal(atomic_load(&node.answered_puts), atomic_load(&node.puts));
	assert_int_equal(atomic_load(&node.fences), 0);
}

static void test_sizes_explicit(void **state)
{
	(void)state;
	explicit();
	sizes(false);
	assert_int_equal(atomic_load(&node.answered_puts), 0);
}

static void test_sizes_span(void **state)
{
	(void)state;
	explicit();
	sizes(true);
	assert_int_equal(atomic_load(&node.answered_puts), 0);
}

static void test_trickle(void **state)
{
	(void)state;
	node.trickle = true;
	unsigned char source[5000], target[5000];
	pattern(source, sizeof(source), 1);
	assert_int_equal(ops->put(import, 0, source, sizeof(source)), RSM_SUCCESS);
	assert_int_equal(ops->get(import, 0, target, sizeof(target)), RSM_SUCCESS);
	assert_memory_equal(source, target, sizeof(target));
}

static void test_items(void **state)
{
	(void)state;
	const uint64_t source[3] = {1, 2, UINT64_MAX};
	uint64_t target[3] = {0};
	assert_int_equal(ops->put_items(import, 16, source, 3, 8), RSM_SUCCESS);
	assert_int_equal(ops->get_items(import, 16, target, 6, 4), RSM_SUCCESS);
	assert_memory_equal(source, target, sizeof(target));
	assert_int_equal(node.hello.order, wire_order_own());
	assert_int_equal(node.hello.ticket.id, 0x1234567890abcdefu);
	assert_int_equal(node.hello.ticket.secret[31], 0x5a);
}

/* Small puts wait, and cost no request before the span ends; the fence is answered behind them. */
static void test_gather(void **state)
{
	(void)state;
	explicit();
	uint64_t span = ops->begin(import);
	for (uint64_t i = 0; i < 100; i++)
		assert_int_equal(ops->put(import, i * 8, &i, 8), RSM_SUCCESS);
	assert_int_equal(import->link->gathered, 100 * (8 + WIRE_REQUEST_SIZE));
	assert_int_equal(import->link->moved, WIRE_HELLO_SIZE + WIRE_WELCOME_SIZE);
	assert_int_equal(ops->settle(import, span), RSM_SUCCESS);
	assert_int_equal(atomic_load(&node.puts), 100);
	assert_int_equal(atomic_load(&node.fences), 1);
	for (uint64_t i = 0; i < 100; i++)
		assert_memory_equal(node.memory + i * 8, &i, 8);
	/* A span without accesses: order costs nothing, its end asks whether the connection is alive. */
	const uint64_t moved = import->link->moved;
	span = ops->begin(import);
	assert_int_equal(ops->order(import), RSM_SUCCESS);
	assert_int_equal(import->link->moved, moved);
	assert_int_equal(ops->settle(import, span), RSM_SUCCESS);
	assert_int_equal(atomic_load(&node.fences), 2);
	/* One that is given up asks nothing. */
	ops->abandon(import, ops->begin(import));
	assert_int_equal(atomic_load(&node.fences), 2);
	assert_int_equal(import->link->spans, 0);
}

/* More than the buffer holds; order sends the rest and the span stays open. */
static void test_gather_full(void **state)
{
	(void)state;
	explicit();
	uint64_t span = ops->begin(import);
	unsigned char bytes[1000];
	for (unsigned i = 0; i < 500; i++) {
		memset(bytes, (int)i, sizeof(bytes));
		assert_int_equal(ops->put(import, i * 1000, bytes, sizeof(bytes)), RSM_SUCCESS);
	}
	assert_int_equal(ops->order(import), RSM_SUCCESS);
	assert_int_equal(atomic_load(&node.puts), 500);
	assert_int_equal(import->link->spans, 1);
	assert_int_equal(node.memory[499 * 1000], 499 & 0xff);
	assert_int_equal(ops->settle(import, span), RSM_SUCCESS);
	assert_int_equal(atomic_load(&node.fences), 2);
	assert_int_equal(import->link->spans, 0);
}

/* Order of small and large puts to the same place. */
static void test_order_of_puts(void **state)
{
	(void)state;
	explicit();
	unsigned char *large = memory(KIB(100)), small = 1;
	memset(large, 2, KIB(100));
	uint64_t span = ops->begin(import);
	assert_int_equal(ops->put(import, 0, &small, 1), RSM_SUCCESS);
	assert_int_equal(ops->put(import, 0, large, KIB(100)), RSM_SUCCESS);
	small = 3;
	assert_int_equal(ops->put(import, 5, &small, 1), RSM_SUCCESS);
	assert_int_equal(ops->settle(import, span), RSM_SUCCESS);
	assert_int_equal(node.memory[0], 2);
	assert_int_equal(node.memory[5], 3);
	free(large);
}

/* Many more gets than may be on the way, small and large ones, answered in order. */
static void test_many_gets(void **state)
{
	(void)state;
	explicit();
	pattern(node.memory, NODE_SIZE, 9);
	unsigned char *target = memory(NODE_SIZE);
	uint64_t span = ops->begin(import);
	for (size_t at = 0; at < KIB(256); at += 64)
		assert_int_equal(ops->get(import, at, target + at, 64), RSM_SUCCESS);
	for (size_t at = KIB(256); at < NODE_SIZE; at += KIB(128)) {
		assert_int_equal(ops->get(import, at, target + at, KIB(128)), RSM_SUCCESS);
		assert_true(import->link->gets <= TCP_GETS_MAX);
	}
	assert_int_equal(ops->settle(import, span), RSM_SUCCESS);
	assert_memory_equal(target, node.memory, NODE_SIZE);
	assert_int_equal(atomic_load(&node.fences), 1);
	free(target);
}

/* Both directions are full at once: the answers of earlier gets are taken while puts are sent. */
static void test_no_deadlock(void **state)
{
	(void)state;
	explicit();
	pattern(node.memory, NODE_SIZE, 3);
	unsigned char *target = memory(KIB(4096)), *source = memory(KIB(8192)), *expected = memory(KIB(4096));
	memcpy(expected, node.memory, KIB(4096));
	pattern(source, KIB(8192), 4);
	uint64_t span = ops->begin(import);
	for (size_t at = 0; at < KIB(4096); at += KIB(64))
		assert_int_equal(ops->get(import, at, target + at, KIB(64)), RSM_SUCCESS);
	assert_int_equal(ops->put(import, KIB(1024), source, KIB(8192)), RSM_SUCCESS);
	assert_int_equal(ops->settle(import, span), RSM_SUCCESS);
	assert_memory_equal(target, expected, KIB(4096));
	assert_memory_equal(node.memory + KIB(1024), source, KIB(8192));
	free(target);
	free(source);
	free(expected);
}

/* A barrier that is destroyed while open: nothing may come into memory that was asked for in it any more. */
static void test_abandon(void **state)
{
	(void)state;
	explicit();
	memset(node.memory, 0x11, 4096);
	unsigned char target[4096] = {0};
	uint64_t span = ops->begin(import);
	assert_int_equal(ops->get(import, 0, target, sizeof(target)), RSM_SUCCESS);
	ops->abandon(import, span);
	assert_int_equal(import->link->count, 0);
	assert_int_equal(import->link->spans, 0);
}

static void test_implicit_behind_gathered(void **state)
{
	(void)state;
	unsigned char one = 1, target[2] = {0};
	explicit();
	uint64_t span = ops->begin(import);
	node.memory[9] = 4;
	assert_int_equal(ops->put(import, 8, &one, 1), RSM_SUCCESS);
	assert_int_equal(ops->get(import, 9, target + 1, 1), RSM_SUCCESS);
	atomic_store(&import->implicit, true);
	assert_int_equal(ops->get(import, 8, target, 1), RSM_SUCCESS);
	assert_int_equal(target[0], 1);
	assert_int_equal(target[1], 4);
	assert_int_equal(ops->settle(import, span), RSM_SUCCESS);
}

static void test_post(void **state)
{
	(void)state;
	const uint64_t word = 77;
	explicit();
	uint64_t span = ops->begin(import);
	assert_int_equal(ops->put(import, 0, &word, 8), RSM_SUCCESS);
	assert_int_equal(ops->post(import, RSM_SIGPOST_NO_ACCUMULATE), RSM_SUCCESS);
	assert_int_equal(atomic_load(&node.posts), 1);
	assert_int_equal(atomic_load(&node.last_post_flags), WIRE_FLAG_ANSWER | WIRE_FLAG_NO_ACCUMULATE);
	assert_memory_equal(node.memory, &word, 8); /* behind the put */
	assert_int_equal(ops->post(import, 0), RSM_SUCCESS);
	assert_int_equal(atomic_load(&node.last_post_flags), WIRE_FLAG_ANSWER);
	assert_int_equal(ops->settle(import, span), RSM_SUCCESS);
}

static void vector_fill(struct transport_vector entries[16], unsigned char *local)
{
	for (size_t i = 0; i < 16; i++)
		entries[i] = (struct transport_vector){i * 100000, local + i * 50000, i == 3 ? 0 : 50000};
}

static void test_vectors(void **state)
{
	struct transport_vector entries[16];
	size_t done = 99;
	unsigned char *source = memory(800000), *target = memory(800000);
	(void)state;
	pattern(source, 800000, 2);
	memcpy(target + 150000, source + 150000, 50000); /* entry 3 is empty */
	for (int implicit = 0; implicit < 2; implicit++) {
		atomic_store(&import->implicit, implicit == 1);
		vector_fill(entries, source);
		assert_int_equal(ops->putv(import, entries, 16, implicit == 1 ? 0 : -1, &done), RSM_SUCCESS);
		assert_int_equal(done, 16);
		vector_fill(entries, target);
		done = 0;
		assert_int_equal(ops->getv(import, entries, 16, -1, &done), RSM_SUCCESS);
		assert_int_equal(done, 16);
		assert_memory_equal(source, target, 800000);
		memset(target, 0, 150000);
	}
	assert_int_equal(atomic_load(&node.answered_puts), 0); /* the post's answer says it */
	assert_int_equal(atomic_load(&node.posts), 1);
	free(source);
	free(target);
}

/* The post is refused: a put failed. The vector is done again to tell which; this time it succeeds, and so does the post. */
static void test_vector_post_refused(void **state)
{
	unsigned char bytes[16] = {7, 7, 7};
	struct transport_vector entries[2] = {{0, bytes, 8}, {8, bytes + 8, 8}};
	size_t done = 99;
	(void)state;
	node.fault = NODE_REFUSE;
	node.fault_at = 2;
	assert_int_equal(ops->putv(import, entries, 2, 0, &done), RSM_SUCCESS);
	assert_int_equal(done, 2);
	assert_int_equal(atomic_load(&node.puts), 4);
	assert_int_equal(atomic_load(&node.answered_puts), 2);
	assert_int_equal(atomic_load(&node.requests), 6);
	/* In explicit mode only the post's result is told. */
	explicit();
	node.fault_at = 6 + 2;
	assert_int_equal(ops->putv(import, entries, 2, 0, &done), RSMERR_BARRIER_FAILURE);
	assert_int_equal(done, 2);
	assert_int_equal(atomic_load(&node.requests), 9);
}

static void test_vector_gathered(void **state)
{
	unsigned char bytes[64];
	struct transport_vector entries[2] = {{0, bytes, 32}, {64, bytes + 32, 32}};
	size_t done;
	(void)state;
	memset(bytes, 5, sizeof(bytes));
	explicit();
	uint64_t span = ops->begin(import);
	assert_int_equal(ops->putv(import, entries, 2, -1, &done), RSM_SUCCESS);
	assert_int_equal(done, 2);
	assert_int_equal(import->link->gathered, 64 + 2 * WIRE_REQUEST_SIZE);
	assert_int_equal(ops->settle(import, span), RSM_SUCCESS);
	assert_int_equal(node.memory[95], 5);
}

/* A refusal of entry 2 of a vector: two are done, the reason is the node's. */
static void test_vector_refused(void **state)
{
	unsigned char bytes[64] = {0};
	struct transport_vector entries[4];
	size_t done = 99;
	(void)state;
	for (size_t i = 0; i < 4; i++)
		entries[i] = (struct transport_vector){i * 8, bytes + i * 8, 8};
	node.fault = NODE_REFUSE;
	node.fault_at = 2;
	assert_int_equal(ops->putv(import, entries, 4, -1, &done), RSMERR_BARRIER_FAILURE);
	assert_int_equal(done, 2);
	assert_non_null(strstr(base_reason(), "cut short!"));
	node.fault_at = 4 + 1;
	assert_int_equal(ops->getv(import, entries, 4, -1, &done), RSMERR_BARRIER_FAILURE);
	assert_int_equal(done, 1);
	assert_int_equal(ops->getv(import, entries, 4, -1, &done), RSM_SUCCESS);
	/* Entries without bytes before it count as done. */
	entries[0].length = entries[1].length = 0;
	node.fault_at = 4 + 4 + 4;
	assert_int_equal(ops->putv(import, entries, 4, -1, &done), RSMERR_BARRIER_FAILURE);
	assert_int_equal(done, 2);
}

/* No event tells of a vector of gets that failed, and one of a vector that did not. */
static void test_getv_post(void **state)
{
	unsigned char bytes[16];
	struct transport_vector entries[2] = {{0, bytes, 8}, {8, bytes + 8, 8}};
	size_t done = 99;
	(void)state;
	node.fault = NODE_REFUSE;
	node.fault_at = 1;
	assert_int_equal(ops->getv(import, entries, 2, 0, &done), RSMERR_BARRIER_FAILURE);
	assert_int_equal(done, 1);
	assert_int_equal(atomic_load(&node.posts), 0);
	assert_int_equal(ops->getv(import, entries, 2, 0, &done), RSM_SUCCESS);
	assert_int_equal(done, 2);
	assert_int_equal(atomic_load(&node.posts), 1);
}

/* Refusals: of an implicit access at once, of the others by the span's end; the next span is well. */
static void test_refused(void **state)
{
	unsigned char target[16], byte = 0;
	(void)state;
	memset(target, 0xee, sizeof(target));
	node.fault = NODE_REFUSE;
	node.fault_at = 0;
	assert_int_equal(ops->get(import, 0, target, sizeof(target)), RSMERR_BARRIER_FAILURE);
	assert_int_equal(target[0], 0xee);
	explicit();
	node.fault_at = 2; /* the get; the put before it is not answered */
	uint64_t span = ops->begin(import);
	assert_int_equal(ops->put(import, 0, &byte, 1), RSM_SUCCESS);
	assert_int_equal(ops->get(import, 0, target, sizeof(target)), RSM_SUCCESS);
	assert_int_equal(ops->order(import), RSMERR_BARRIER_FAILURE);
	assert_int_equal(ops->settle(import, span), RSMERR_BARRIER_FAILURE);
	assert_int_equal(target[0], 0xee);
	node.fault_at = 6; /* the fence: an unanswered put failed */
	span = ops->begin(import);
	assert_int_equal(ops->put(import, 0, &byte, 1), RSM_SUCCESS);
	assert_int_equal(ops->settle(import, span), RSMERR_BARRIER_FAILURE);
	span = ops->begin(import);
	assert_int_equal(ops->put(import, 0, &byte, 1), RSM_SUCCESS);
	assert_int_equal(ops->settle(import, span), RSM_SUCCESS);
}

static void test_map(void **state)
{
	void *address = NULL;
	(void)state;
	assert_int_equal(ops->map(import, &address, false, 1, 0, 4096), RSMERR_MAP_FAILED);
	assert_non_null(strstr(base_reason(), "rsm_memseg_import_put"));
	assert_null(address);
}

struct hammer {
	uint64_t offset;
	bool failed;
};

static void *hammer(void *argument)
{
	struct hammer *own = argument;
	for (uint64_t i = 1; i <= 300; i++) {
		uint64_t back = 0;
		own->failed |= ops->put(import, own->offset, &i, 8) != 0 ||
			       ops->get(import, own->offset, &back, 8) != 0 || back != i;
	}
	return NULL;
}

static void test_threads(void **state)
{
	pthread_t threads[4];
	struct hammer own[4];
	(void)state;
	for (size_t i = 0; i < 4; i++) {
		own[i] = (struct hammer){.offset = i * 8};
		assert_int_equal(pthread_create(&threads[i], NULL, hammer, &own[i]), 0);
	}
	for (size_t i = 0; i < 4; i++) {
		pthread_join(threads[i], NULL);
		assert_false(own[i].failed);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_sizes_implicit),
		TEST(test_sizes_explicit),
		TEST(test_sizes_span),
		TEST(test_trickle),
		TEST(test_items),
		TEST(test_gather),
		TEST(test_gather_full),
		TEST(test_order_of_puts),
		TEST(test_many_gets),
		TEST(test_no_deadlock),
		TEST(test_abandon),
		TEST(test_implicit_behind_gathered),
		TEST(test_post),
		TEST(test_vectors),
		TEST(test_vector_post_refused),
		TEST(test_vector_gathered),
		TEST(test_vector_refused),
		TEST(test_getv_post),
		TEST(test_refused),
		TEST(test_map),
		TEST(test_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
