/* SPDX-License-Identifier: BSD-2-Clause */
/* transport/tcp with a module for TLS: who names himself, and that all data goes through it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "link.h"
#include "rsmapi.h"

#define LENGTH ((size_t)3 << 20)

static void test_secure(void **state)
{
	struct stub stub;
	struct transport_import *const import = &stub.import;
	const struct transport_ops *const ops = &transport_tcp_ops;
	struct transport_layout layout = {.remote.encrypt = true};
	unsigned char *source = malloc(LENGTH), *target = malloc(LENGTH);
	(void)state;
	assert_non_null(source);
	assert_non_null(target);
	for (size_t i = 0; i < LENGTH; i++)
		source[i] = (unsigned char)(i * i >> 7);
	node_start();
	node.cipher = 0x5a; /* the ticket's secret begins with it */
	assert_int_equal(node_connect(&stub, &layout), RSM_SUCCESS);
	assert_string_equal(node.identity + 1, "rsm-ticket-1234567890abcdef");
	assert_int_equal(node.hello.ticket.id, 0x1234567890abcdefu);
	assert_int_equal(ops->put(import, 0, source, 8), RSM_SUCCESS);
	assert_int_equal(ops->put(import, 8, source + 8, LENGTH - 8), RSM_SUCCESS);
	assert_memory_equal(node.memory, source, LENGTH);
	assert_int_equal(ops->get(import, 0, target, LENGTH), RSM_SUCCESS);
	assert_memory_equal(target, source, LENGTH);
	atomic_store(&import->implicit, false);
	memset(target, 0, LENGTH);
	uint64_t span = ops->begin(import);
	for (size_t at = 0; at < LENGTH; at += 1000) {
		size_t length = LENGTH - at < 1000 ? LENGTH - at : 1000;
		assert_int_equal(ops->put(import, at, source + at, length), RSM_SUCCESS);
		assert_int_equal(ops->get(import, at, target + at, length), RSM_SUCCESS);
	}
	assert_int_equal(ops->put(import, LENGTH, source, LENGTH), RSM_SUCCESS);
	assert_int_equal(ops->settle(import, span), RSM_SUCCESS);
	assert_memory_equal(target, source, LENGTH);
	assert_memory_equal(node.memory + LENGTH, source, LENGTH);
	node_disconnect(&stub);
	node_stop();
	free(source);
	free(target);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_secure)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
