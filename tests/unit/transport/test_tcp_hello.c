/* SPDX-License-Identifier: BSD-2-Clause */
/* transport/tcp/link.c and secure.c: how a data connection begins, and that nothing is left of one that does not. */
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/reason.h"
#include "link.h"
#include "rsmapi.h"

static struct stub stub;

static unsigned descriptors(void)
{
	unsigned count = 0;
	for (int fd = 0; fd < 256; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

static void test_good(void **state)
{
	(void)state;
	node_start();
	/* A standard descriptor that happens to be free is not taken. */
	int input = fcntl(0, F_DUPFD_CLOEXEC, 10);
	close(0);
	node_connect_well(&stub);
	const int socket = stub.import.link->socket;
	assert_true(socket > 2);
	assert_int_equal(fcntl(socket, F_GETFD), FD_CLOEXEC);
	assert_true((fcntl(socket, F_GETFL) & O_NONBLOCK) != 0);
	node_disconnect(&stub);
	node_stop();
	if (input >= 0)
		assert_int_equal(dup2(input, 0), 0);
	close(input);
}

static void refused(enum node_welcome welcome, uint16_t welcome_code, int expected, const char *reason)
{
	struct transport_layout layout = {.remote.dead_after_ms = 200};
	node_start();
	node.welcome = welcome;
	node.welcome_code = welcome_code;
	const unsigned before = descriptors();
	assert_int_equal(node_connect(&stub, &layout), expected);
	if (strstr(base_reason(), reason) == NULL)
		fail_msg("\"%s\" is not in \"%s\"", reason, base_reason());
	assert_null(stub.import.link);
	node_stop();
	assert_true(descriptors() < before); /* the listener is gone, too */
}

static void test_refused(void **state)
{
	(void)state;
	refused(NODE_WELCOME, RSMERR_PERM_DENIED, RSMERR_PERM_DENIED, "refused");
	refused(NODE_WELCOME, 999, RSMERR_REMOTE_NODE_UNREACHABLE, "999");
	/* Withdrawn, or the other rsmd ended, in the middle of it. */
	refused(NODE_WELCOME, RSMERR_CONN_ABORTED, RSMERR_INTERRUPTED, "withdrawn");
	refused(NODE_WELCOME_END, 0, RSMERR_INTERRUPTED, "withdrawn");
	refused(NODE_WELCOME_HALF, 0, RSMERR_INTERRUPTED, "withdrawn");
	refused(NODE_WELCOME_JUNK, 0, RSMERR_REMOTE_NODE_UNREACHABLE, "no rsmd");
	refused(NODE_WELCOME_VERSION, 0, RSMERR_REMOTE_NODE_UNREACHABLE, "update the library");
	uint64_t start = base_clock_ns();
	refused(NODE_WELCOME_NONE, 0, RSMERR_REMOTE_NODE_UNREACHABLE, "welcome");
	assert_true(base_clock_ns() - start >= 200000000u);
}

static void test_nobody_listens(void **state)
{
	struct transport_layout layout = {0};
	(void)state;
	node_start();
	uint16_t port = node.port;
	node_stop();
	node.port = port;
	assert_int_equal(node_connect(&stub, &layout), RSMERR_REMOTE_NODE_UNREACHABLE);
	assert_non_null(strstr(base_reason(), "refused"));
	assert_null(stub.import.link);
}

/* The segment is withdrawn while the node says nothing. */
static void *withdraw(void *unused)
{
	(void)unused;
	stub_abort(&stub);
	return NULL;
}

static void *connect_it(void *code)
{
	struct transport_layout layout = {.remote.dead_after_ms = 60000};
	*(int *)code = node_connect(&stub, &layout);
	return NULL;
}

static void test_withdrawn(void **state)
{
	pthread_t thread, other;
	int code = 0;
	(void)state;
	node_start();
	node.welcome = NODE_WELCOME_NONE;
	assert_int_equal(pthread_create(&thread, NULL, connect_it, &code), 0);
	/* The hello has come: the import is made. */
	while (!atomic_load(&node.greeted))
		sched_yield();
	assert_int_equal(pthread_create(&other, NULL, withdraw, NULL), 0);
	pthread_join(other, NULL);
	pthread_join(thread, NULL);
	assert_int_equal(code, RSMERR_INTERRUPTED);
	node_stop();
}

/* No module beside this program: a refusal with a reason, before anything is sent. */
static void test_no_tls(void **state)
{
	struct transport_layout layout = {.remote.encrypt = true};
	(void)state;
	node_start();
	assert_int_equal(node_connect(&stub, &layout), RSMERR_INSUFFICIENT_RESOURCES);
	assert_non_null(strstr(base_reason(), "librsm-tls.so.2"));
	assert_null(stub.import.link);
	assert_int_equal(node.hello.version, 0);
	node_stop();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),           cmocka_unit_test(test_refused),
		cmocka_unit_test(test_nobody_listens), cmocka_unit_test(test_withdrawn),
		cmocka_unit_test(test_no_tls),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
