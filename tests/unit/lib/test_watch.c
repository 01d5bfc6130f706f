/* SPDX-License-Identifier: BSD-2-Clause */
/* lib/watch.c: what an rsmd may answer, an old one and one that is not to be believed. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <rsm/ext.h>

#include "base/fd.h"
#include "fake.h"

enum answer { STREAM, NOTHING, FILE_OF_ANOTHER_KIND, REFUSAL };

static bool knows_watch;
static enum answer answer;

static bool answer_hello(int socket, const Wire__Request *request)
{
	Wire__HelloReply hello;
	fake_hello_fill(&hello);
	hello.features = knows_watch ? WIRE_FEATURE_WATCH : 0;
	int table = fake_table();
	fake_hello_send(socket, request, &hello, &table, 1);
	base_fd_close(&table);
	return true;
}

static bool answer_watch(int socket, const Wire__Request *request, struct wire_packet *packet)
{
	(void)packet;
	if (request->body_case == WIRE__REQUEST__BODY_HELLO)
		return answer_hello(socket, request);
	FAKE_MUST(request->body_case == WIRE__REQUEST__BODY_WATCH);
	FAKE_MUST(knows_watch);
	Wire__Reply reply;
	int ends[2] = {-1, -1}, other = -1;
	wire__reply__init(&reply);
	if (answer == REFUSAL) {
		reply.code = RSMERR_INSUFFICIENT_RESOURCES;
		reply.reason = fake_text("too many");
	} else if (answer == STREAM) {
		FAKE_MUST(pipe2(ends, O_CLOEXEC) == 0);
		FAKE_MUST(write(ends[1], "{}\n", 3) == 3);
	} else if (answer == FILE_OF_ANOTHER_KIND) {
		other = fake_memory(4096, 0);
	}
	int fd = answer == STREAM ? ends[0] : other;
	fake_reply(socket, request, &reply, &fd, fd >= 0);
	base_fd_close(&ends[0]);
	base_fd_close(&ends[1]);
	base_fd_close(&other);
	return true;
}

static void test_stream(void **state)
{
	char text[8] = "";
	int fd = -1;
	(void)state;
	knows_watch = true;
	answer = STREAM;
	fake_start(answer_watch);
	assert_int_equal(rsmx_watch(&fd), RSM_SUCCESS);
	assert_true(fd > 2);
	assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	assert_int_equal(read(fd, text, sizeof(text)), 3);
	assert_int_equal(read(fd, text, sizeof(text)), 0); /* and its end */
	base_fd_close(&fd);
	fake_stop();
}

static void test_refused(void **state)
{
	static const struct {
		enum answer answer;
		int code;
		const char *reason;
	} cases[] = {{REFUSAL, RSMERR_INSUFFICIENT_RESOURCES, "too many"},
		     {NOTHING, RSMERR_INSUFFICIENT_RESOURCES, "RLIMIT_NOFILE"},
		     {FILE_OF_ANOTHER_KIND, RSMERR_INTERNAL_ERROR, "something else"}};
	(void)state;
	knows_watch = true;
	fake_start(answer_watch);
	assert_int_equal(rsmx_watch(NULL), RSMERR_BAD_ADDR);
	assert_int_equal(fake_conversations(), 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int fd = 7;
		answer = cases[i].answer;
		assert_int_equal(rsmx_watch(&fd), cases[i].code);
		assert_int_equal(fd, -1);
		assert_non_null(strstr(rsmx_last_error(), cases[i].reason));
	}
	assert_int_equal(fake_conversations(), 1);
	fake_stop();
}

/* One of release 2.0 would drop the process for a question that it does not know: it is not asked. */
static void test_old(void **state)
{
	int fd = 7;
	(void)state;
	knows_watch = false;
	fake_start(answer_watch);
	assert_int_equal(rsmx_watch(&fd), RSMERR_BAD_LIBRARY_VERSION);
	assert_int_equal(fd, -1);
	assert_non_null(strstr(rsmx_last_error(), "rsmd 9.8.7"));
	assert_int_equal(fake_requests(), 1);
	fake_stop();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stream),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_old),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
