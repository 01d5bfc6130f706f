/* SPDX-License-Identifier: BSD-2-Clause */
/* lib/daemon.c against a fake rsmd that answers well, badly, or not at all. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fd.h"
#include "base/reason.h"
#include "fake.h"
#include "lib/lib.h"
#include "segment/memfd.h"

static int daemon_open(void)
{
	lib_lock();
	int code = lib_daemon_open();
	lib_unlock();
	return code;
}

static int call(Wire__Request__BodyCase body_case, void *body, int fd, struct lib_reply *reply)
{
	lib_lock();
	int code = lib_daemon_call(body_case, body, fd, reply);
	lib_unlock();
	return code;
}

static int ask_topology(struct lib_reply *reply)
{
	Wire__Topology topology = WIRE__TOPOLOGY__INIT;
	return call(WIRE__REQUEST__BODY_TOPOLOGY, &topology, -1, reply);
}

static bool is_hello(const Wire__Request *request)
{
	return request->body_case == WIRE__REQUEST__BODY_HELLO;
}

/* No conversation, and none of its descriptors left. */
static void expect_closed(unsigned descriptors_before)
{
	assert_int_equal(lib_daemon.socket, -1);
	assert_int_equal(lib_daemon.userfaultfd_device, -1);
	fake_stop();
	assert_int_equal(fake_descriptors(), descriptors_before);
}

/* A fake whose Hello must be answered by `code`, after so many attempts. */
static void expect_no_hello(fake_answer answer, int code, unsigned attempts)
{
	unsigned before = fake_descriptors();
	uint32_t session = lib_daemon.session;
	fake_start(answer);
	assert_int_equal(daemon_open(), code);
	assert_true(base_reason()[0] != '\0');
	assert_int_equal(fake_conversations(), attempts);
	assert_int_equal(lib_daemon.session, session + attempts);
	expect_closed(before);
}

/* ---- Hello ---- */

static bool hello_in_full(int socket, const Wire__Request *request, struct wire_packet *packet)
{
	(void)packet;
	FAKE_MUST(is_hello(request) && request->hello->version == WIRE_VERSION);
	FAKE_MUST(request->hello->program[0] != '\0');
	Wire__HelloReply hello;
	Wire__Controller loopback, other;
	Wire__Controller *controllers[] = {&loopback, &other};
	char name[300];
	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0'; /* longer than the library keeps */
	fake_hello_fill(&hello);
	hello.release = name;
	hello.has_userfaultfd = true;
	hello.controllers = controllers;
	hello.n_controllers = 2;
	wire__controller__init(&loopback);
	wire__controller__init(&other);
	loopback.name = loopback.type = fake_text("loopback");
	other.name = name;
	int fds[] = {fake_table(), open("/dev/null", O_RDWR | O_CLOEXEC)};
	fake_hello_send(socket, request, &hello, fds, 2);
	base_fd_close(&fds[0]);
	base_fd_close(&fds[1]);
	return true;
}

static void test_hello(void **state)
{
	unsigned before = fake_descriptors();
	struct stat st;

	(void)state;
	fake_start(hello_in_full);
	uint32_t session = lib_daemon.session;
	assert_int_equal(daemon_open(), RSM_SUCCESS);
	assert_int_equal(daemon_open(), RSM_SUCCESS);
	assert_int_equal(fake_conversations(), 1);
	assert_int_equal(fake_requests(), 1);
	assert_int_equal(lib_daemon.session, session);
	assert_int_equal(lib_daemon.node_id, 3);
	assert_int_equal(lib_daemon.max_segments, 100);
	assert_int_equal(lib_daemon.max_exported_bytes, 1 << 20);
	assert_int_equal(lib_daemon.status_slots, FAKE_SLOTS);
	assert_int_equal(strlen(lib_daemon.release), sizeof(lib_daemon.release) - 1);
	assert_int_equal(lib_daemon.controller_count, 2);
	assert_string_equal(lib_daemon.controllers[0].name, "loopback");
	assert_true(lib_daemon.controllers[0].loopback);
	assert_int_equal(strlen(lib_daemon.controllers[1].name), sizeof(lib_daemon.controllers[1].name) - 1);
	assert_false(lib_daemon.controllers[1].loopback);
	assert_int_equal(fstat(lib_daemon.userfaultfd_device, &st), 0);
	assert_true(S_ISCHR(st.st_mode));
	/* The table is the fake's own memory. */
	atomic_store(&fake_status()[5].epoch, 55);
	assert_int_equal(atomic_load(&lib_daemon.status[5].epoch), 55);
	lib_lock();
	lib_daemon_close();
	lib_unlock();
	assert_int_equal(lib_daemon.session, session + 1);
	/* Imports may outlive rsmd: their status stays where it is. */
	assert_int_equal(atomic_load(&lib_daemon.status[5].epoch), 55);
	expect_closed(before);
}

static bool wrong_version(int socket, const Wire__Request *request, struct wire_packet *packet)
{
	Wire__HelloReply hello;
	(void)packet;
	fake_hello_fill(&hello);
	hello.version = WIRE_VERSION + 6;
	int table = fake_table();
	fake_hello_send(socket, request, &hello, &table, 1);
	base_fd_close(&table);
	return true;
}

static void test_wrong_version(void **state)
{
	(void)state;
	expect_no_hello(wrong_version, RSMERR_BAD_LIBRARY_VERSION, 1);
	assert_non_null(strstr(base_reason(), "9.8.7"));
	assert_non_null(strstr(base_reason(), RSM_RELEASE));
}

static bool refuse(int socket, const Wire__Request *request, struct wire_packet *packet)
{
	Wire__Reply reply;
	wire__reply__init(&reply);
	(void)packet;
	reply.code = RSMERR_INSUFFICIENT_RESOURCES;
	reply.reason = fake_text("too many clients %s%n");
	fake_reply(socket, request, &reply, NULL, 0);
	return true;
}

static void test_refused(void **state)
{
	(void)state;
	expect_no_hello(refuse, RSMERR_INSUFFICIENT_RESOURCES, 1);
	assert_string_equal(base_reason(), "too many clients %s%n");
}

static bool empty_answer(int socket, const Wire__Request *request, struct wire_packet *packet)
{
	(void)packet;
	fake_reply_empty(socket, request);
	return true;
}

static void test_hello_without_body(void **state)
{
	(void)state;
	expect_no_hello(empty_answer, RSMERR_BAD_LIBRARY_VERSION, 1);
}

/* ---- what ends a conversation; the library tries three times ---- */

static bool garbage_body(int socket, const Wire__Request *request, struct wire_packet *packet)
{
	(void)packet;
	(void)request;
	fake_send_body(socket, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 11);
	return true;
}

static bool garbage_packet(int socket, const Wire__Request *request, struct wire_packet *packet)
{
	(void)packet;
	(void)request;
	fake_send_raw(socket, "HTTP/1.1 400 Bad Request\r\n\r\n", 28);
	return true;
}

static bool short_packet(int socket, const Wire__Request *request, struct wire_packet *packet)
{
	(void)packet;
	(void)request;
	fake_send_raw(socket, "R", 1);
	return true;
}

/* A frame that announces more than comes with it. */
static bool cut_packet(int socket, const Wire__Request *request, struct wire_packet *packet)
{
	const uint32_t frame[] = {0x314d5352u, 400, 0};
	(void)packet;
	(void)request;
	fake_send_raw(socket, frame, sizeof(frame));
	return true;
}

/* A frame whose body is in a memfd that does not come, and larger than any answer. */
static bool huge_packet(int socket, const Wire__Request *request, struct wire_packet *packet)
{
	const uint32_t frame[] = {0x314d5352u, UINT32_MAX};
	(void)packet;
	(void)request;
	fake_send_raw(socket, frame, sizeof(frame));
	return true;
}

static bool wrong_id(int socket, const Wire__Request *request, struct wire_packet *packet)
{
	(void)packet;
	Wire__Request other = *request;
	other.id += 1;
	return fake_hello(socket, &other);
}

static bool hang_up(int socket, const Wire__Request *request, struct wire_packet *packet)
{
	(void)packet;
	(void)socket;
	(void)request;
	return false;
}

static void test_lost_in_hello(void **state)
{
	(void)state;
	expect_no_hello(garbage_body, RSMERR_CTLR_NOT_PRESENT, 3);
	expect_no_hello(garbage_packet, RSMERR_CTLR_NOT_PRESENT, 3);
	expect_no_hello(short_packet, RSMERR_CTLR_NOT_PRESENT, 3);
	expect_no_hello(cut_packet, RSMERR_CTLR_NOT_PRESENT, 3);
	expect_no_hello(huge_packet, RSMERR_CTLR_NOT_PRESENT, 3);
	expect_no_hello(wrong_id, RSMERR_CTLR_NOT_PRESENT, 3);
	expect_no_hello(hang_up, RSMERR_CTLR_NOT_PRESENT, 3);
	assert_non_null(strstr(base_reason(), strerror(ECONNRESET)));
}

/* An idle private rsmd that leaves while we connect: the second attempt finds the next one. */
static bool hang_up_once(int socket, const Wire__Request *request, struct wire_packet *packet)
{
	(void)packet;
	return fake_conversations() > 1 && fake_hello(socket, request);
}

static void test_second_attempt(void **state)
{
	(void)state;
	fake_start(hang_up_once);
	assert_int_equal(daemon_open(), RSM_SUCCESS);
	assert_int_equal(fake_conversations(), 2);
	fake_stop();
}

/* ---- the status table ---- */

static struct {
	uint32_t slots;
	int fd;
} table;

static bool hello_with_table(int socket, const Wire__Request *request, struct wire_packet *packet)
{
	Wire__HelloReply hello;
	(void)packet;
	fake_hello_fill(&hello);
	hello.status_slots = table.slots;
	fake_hello_send(socket, request, &hello, &table.fd, table.fd >= 0);
	return true;
}

/* The descriptor is closed. */
static void expect_bad_table(int fd, uint32_t slots)
{
	unsigned before = fake_descriptors();
	const struct segment_status *status = lib_daemon.status;
	table.fd = fd;
	table.slots = slots;
	fake_start(hello_with_table);
	assert_int_not_equal(daemon_open(), RSM_SUCCESS);
	assert_int_equal(fake_conversations(), 1);
	assert_ptr_equal(lib_daemon.status, status);
	expect_closed(before);
	base_fd_close(&table.fd);
}

static int table_memory(uint32_t magic, uint32_t version)
{
	const struct segment_status_head head = {.magic = magic, .version = version, .slots = FAKE_SLOTS};
	int fd = fake_memory(FAKE_SLOTS * 64, 0);
	assert_int_equal(pwrite(fd, &head, sizeof(head), 0), sizeof(head));
	return fd;
}

static void test_bad_tables(void **state)
{
	int ends[2];

	(void)state;
	expect_bad_table(-1, FAKE_SLOTS); /* it did not come */
	/* Shorter than announced, by one slot and by very much. */
	expect_bad_table(table_memory(SEGMENT_STATUS_MAGIC, SEGMENT_STATUS_VERSION), FAKE_SLOTS + 1);
	expect_bad_table(table_memory(SEGMENT_STATUS_MAGIC, SEGMENT_STATUS_VERSION), UINT32_MAX);
	expect_bad_table(table_memory(SEGMENT_STATUS_MAGIC, SEGMENT_STATUS_VERSION), 0);
	expect_bad_table(table_memory(SEGMENT_STATUS_MAGIC + 1, SEGMENT_STATUS_VERSION), FAKE_SLOTS);
	expect_bad_table(table_memory(SEGMENT_STATUS_MAGIC, SEGMENT_STATUS_VERSION + 1), FAKE_SLOTS);
	/* Whoever could shrink it could kill us by SIGBUS. */
	int unsealed = memfd_create("table", MFD_CLOEXEC);
	assert_int_equal(ftruncate(unsealed, FAKE_SLOTS * 64), 0);
	const struct segment_status_head head = {.magic = SEGMENT_STATUS_MAGIC,
						 .version = SEGMENT_STATUS_VERSION};
	assert_int_equal(pwrite(unsealed, &head, sizeof(head), 0), sizeof(head));
	expect_bad_table(unsealed, FAKE_SLOTS);
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	close(ends[1]);
	expect_bad_table(ends[0], FAKE_SLOTS);
}

static void test_table_version_is_told(void **state)
{
	(void)state;
	table.fd = table_memory(SEGMENT_STATUS_MAGIC, 9);
	table.slots = FAKE_SLOTS;
	expect_no_hello(hello_with_table, RSMERR_BAD_LIBRARY_VERSION, 1);
	assert_non_null(strstr(base_reason(), "version 9"));
	base_fd_close(&table.fd);
}

/* A userfaultfd that was promised and did not come: writers are guarded less well, that is all. */
static bool hello_without_userfaultfd(int socket, const Wire__Request *request, struct wire_packet *packet)
{
	Wire__HelloReply hello;
	(void)packet;
	fake_hello_fill(&hello);
	hello.has_userfaultfd = true;
	int fd = fake_table();
	fake_hello_send(socket, request, &hello, &fd, 1);
	base_fd_close(&fd);
	return true;
}

static void test_no_userfaultfd(void **state)
{
	unsigned before = fake_descriptors();

	(void)state;
	fake_start(hello_without_userfaultfd);
	assert_int_equal(daemon_open(), RSM_SUCCESS);
	assert_int_equal(lib_daemon.userfaultfd_device, -1);
	lib_lock();
	lib_daemon_close();
	lib_unlock();
	expect_closed(before);
}

/* ---- a conversation under way ---- */

static fake_answer later; /* after Hello */

static bool hello_then(int socket, const Wire__Request *request, struct wire_packet *packet)
{
	return is_hello(request) ? fake_hello(socket, request) : later(socket, request, packet);
}

static void expect_lost(fake_answer answer)
{
	unsigned before = fake_descriptors();
	struct lib_reply reply = {0};
	later = answer;
	fake_start(hello_then);
	assert_int_equal(daemon_open(), RSM_SUCCESS);
	uint32_t session = lib_daemon.session;
	assert_int_equal(lib_daemon_check(session), RSM_SUCCESS);
	assert_int_equal(ask_topology(&reply), RSMERR_CTLR_NOT_PRESENT);
	assert_null(reply.message);
	assert_int_equal(fake_conversations(),
			 1); /* what was registered is gone: no silent new conversation */
	assert_int_equal(lib_daemon.socket, -1);
	assert_int_equal(lib_daemon_check(session), RSMERR_CTLR_NOT_PRESENT);
	assert_int_equal(ask_topology(NULL), RSMERR_CTLR_NOT_PRESENT);
	/* What was registered in the old one stays lost in the next one. */
	assert_int_equal(daemon_open(), RSM_SUCCESS);
	assert_int_equal(lib_daemon_check(session), RSMERR_CTLR_NOT_PRESENT);
	assert_int_equal(lib_daemon_check(lib_daemon.session), RSM_SUCCESS);
	lib_lock();
	lib_daemon_close();
	lib_unlock();
	expect_closed(before);
}

static void test_lost(void **state)
{
	(void)state;
	expect_lost(hang_up);
	expect_lost(garbage_body);
	expect_lost(garbage_packet);
	expect_lost(cut_packet);
	expect_lost(wrong_id);
}

/* The answer to each request, and one that nobody asked for. */
static bool answer_twice(int socket, const Wire__Request *request, struct wire_packet *packet)
{
	(void)packet;
	fake_reply_empty(socket, request);
	fake_reply_empty(socket, request);
	return true;
}

static bool answer_and_leave(int socket, const Wire__Request *request, struct wire_packet *packet)
{
	(void)packet;
	fake_reply_empty(socket, request);
	return false;
}

/* rsmd went between two calls: the next new object finds the next rsmd at once. */
static void test_gone_between_calls(void **state)
{
	const fake_answer ends[] = {answer_and_leave, answer_twice};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		later = ends[i];
		fake_start(hello_then);
		assert_int_equal(daemon_open(), RSM_SUCCESS);
		uint32_t session = lib_daemon.session;
		assert_int_equal(ask_topology(NULL), RSM_SUCCESS);
		struct pollfd end = {.fd = lib_daemon.socket, .events = POLLIN};
		assert_int_equal(poll(&end, 1, 10000), 1);
		assert_int_equal(daemon_open(), RSM_SUCCESS);
		assert_int_equal(fake_conversations(), 2);
		assert_int_equal(lib_daemon.session, session + 1);
		assert_int_equal(lib_daemon_check(session), RSMERR_CTLR_NOT_PRESENT);
		fake_stop();
	}
}

static bool hang_up_late(int socket, const Wire__Request *request, struct wire_packet *packet)
{
	(void)packet;
	(void)socket;
	(void)request;
	fake_await_sleep();
	return false;
}

static bool answer_late(int socket, const Wire__Request *request, struct wire_packet *packet)
{
	fake_await_sleep();
	return empty_answer(socket, request, packet);
}

/* A silent rsmd: the library sleeps, and wakes by the end of the conversation or by the answer. */
static void test_silent(void **state)
{
	(void)state;
	expect_lost(hang_up_late);
	later = answer_late;
	fake_start(hello_then);
	assert_int_equal(daemon_open(), RSM_SUCCESS);
	assert_int_equal(ask_topology(NULL), RSM_SUCCESS);
	fake_stop();
}

static void test_refusal_goes_on(void **state)
{
	struct lib_reply reply = {0};

	(void)state;
	later = refuse;
	fake_start(hello_then);
	assert_int_equal(daemon_open(), RSM_SUCCESS);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(ask_topology(&reply), RSMERR_INSUFFICIENT_RESOURCES);
		assert_string_equal(base_reason(), "too many clients %s%n");
		assert_null(reply.message);
		assert_int_equal(reply.packet.fd_count, 0);
	}
	assert_int_equal(fake_conversations(), 1);
	fake_stop();
}

static void test_no_conversation(void **state)
{
	Wire__Disconnect message = WIRE__DISCONNECT__INIT;

	(void)state;
	assert_int_equal(ask_topology(NULL), RSMERR_CTLR_NOT_PRESENT);
	lib_lock();
	lib_daemon_tell(WIRE__REQUEST__BODY_DISCONNECT, &message);
	uint32_t session = lib_daemon.session;
	lib_daemon_close();
	assert_int_equal(lib_daemon.session, session);
	lib_unlock();
}

static _Atomic uint64_t told;

static bool listen_only(int socket, const Wire__Request *request, struct wire_packet *packet)
{
	if (request->body_case != WIRE__REQUEST__BODY_DISCONNECT)
		return empty_answer(socket, request, packet);
	atomic_store(&told, request->disconnect->import_id);
	return true;
}

/* One way: no answer is awaited, and the next answer is not taken for it. */
static void test_tell(void **state)
{
	Wire__Disconnect message = WIRE__DISCONNECT__INIT;

	(void)state;
	later = listen_only;
	fake_start(hello_then);
	assert_int_equal(daemon_open(), RSM_SUCCESS);
	for (message.import_id = 1; message.import_id <= 3; message.import_id++) {
		lib_lock();
		lib_daemon_tell(WIRE__REQUEST__BODY_DISCONNECT, &message);
		lib_unlock();
		assert_int_equal(ask_topology(NULL), RSM_SUCCESS);
		assert_int_equal(atomic_load(&told), message.import_id);
	}
	fake_stop();
}

static bool many_descriptors(int socket, const Wire__Request *request, struct wire_packet *packet)
{
	Wire__Reply reply;
	wire__reply__init(&reply);
	(void)packet;
	int fds[40];
	for (int i = 0; i < 40; i++)
		fds[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
	fake_reply(socket, request, &reply, fds, 40);
	for (int i = 0; i < 40; i++)
		close(fds[i]);
	return true;
}

/* What nobody asked for is closed. */
static void test_surplus_descriptors(void **state)
{
	struct lib_reply reply = {0};

	(void)state;
	/* The fake closes its own after it has sent them: one more answer and they are gone. */
	later = empty_answer;
	fake_start(hello_then);
	assert_int_equal(daemon_open(), RSM_SUCCESS);
	assert_int_equal(ask_topology(NULL), RSM_SUCCESS);
	later = many_descriptors;
	unsigned before = fake_descriptors();
	assert_int_equal(ask_topology(NULL), RSM_SUCCESS);
	assert_int_equal(ask_topology(&reply), RSM_SUCCESS);
	assert_int_equal(reply.packet.fd_count, 40);
	lib_reply_clear(&reply);
	later = empty_answer;
	assert_int_equal(ask_topology(NULL), RSM_SUCCESS);
	assert_int_equal(fake_descriptors(), before);
	fake_stop();
}

/* Says the request's text back, and what the first descriptor holds. */
static bool echo(int socket, const Wire__Request *request, struct wire_packet *packet)
{
	Wire__Reply reply;
	wire__reply__init(&reply);
	Wire__StatusReply status;
	wire__status_reply__init(&status);
	int fd = wire_packet_take(packet, 0);
	status.json = request->status->what;
	if (fd >= 0)
		FAKE_MUST(pread(fd, status.json, 1, 0) == 1);
	base_fd_close(&fd);
	reply.body_case = WIRE__REPLY__BODY_STATUS;
	reply.status = &status;
	fake_reply(socket, request, &reply, NULL, 0);
	return true;
}

/* Lengths around what fits the stack (2 KiB) and the packet (32 KiB), and beyond, both ways. */
static void test_lengths(void **state)
{
	const size_t lengths[] = {1, 2030, 2040, 2048, 2049, 32750, 32760, 32768, 32769, 500000};

	(void)state;
	later = echo;
	fake_start(hello_then);
	assert_int_equal(daemon_open(), RSM_SUCCESS);
	for (size_t i = 0; i < sizeof(lengths) / sizeof(*lengths); i++) {
		Wire__Status status;
		struct lib_reply reply = {0};
		wire__status__init(&status);
		char *text = malloc(lengths[i] + 1);
		assert_non_null(text);
		memset(text, 'a' + (int)i, lengths[i]);
		text[lengths[i]] = '\0';
		status.what = text;
		int fd = fake_memory(4096, '!');
		assert_int_equal(call(WIRE__REQUEST__BODY_STATUS, &status, fd, &reply), RSM_SUCCESS);
		assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC); /* it stays ours */
		base_fd_close(&fd);
		text[0] = '!';
		assert_int_equal(reply.message->body_case, WIRE__REPLY__BODY_STATUS);
		assert_string_equal(reply.message->status->json, text);
		lib_reply_clear(&reply);
		lib_reply_clear(&reply);
		free(text);
	}
	fake_stop();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hello),
		cmocka_unit_test(test_wrong_version),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_hello_without_body),
		cmocka_unit_test(test_lost_in_hello),
		cmocka_unit_test(test_second_attempt),
		cmocka_unit_test(test_bad_tables),
		cmocka_unit_test(test_table_version_is_told),
		cmocka_unit_test(test_no_userfaultfd),
		cmocka_unit_test(test_lost),
		cmocka_unit_test(test_gone_between_calls),
		cmocka_unit_test(test_silent),
		cmocka_unit_test(test_refusal_goes_on),
		cmocka_unit_test(test_no_conversation),
		cmocka_unit_test(test_tell),
		cmocka_unit_test(test_surplus_descriptors),
		cmocka_unit_test(test_lengths),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
