/* SPDX-License-Identifier: BSD-2-Clause */
/* lib/connect.c and what follows from it: segments of another node, with a fake rsmd and a scripted node. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/reason.h"
#include "fake.h"
#include "lib/lib.h"
#include "node.h"
#include "rsm/ext.h"
#include "rsmapi.h"

#define IMPORT     4711u
#define SLOT       5u /* of the status table */
#define SIGNAL     9u /* slot in the signal memory */
#define DEAD_AFTER 200u

/* What the fake does. */
static struct {
	int signals; /* descriptor */
	struct segment_signal *memory;
	unsigned pendings; /* results that say "pending" before the true one */
	bool hangs_up;     /* when asked for the result */
	bool no_event;     /* the test posts it itself */
	uint32_t code;     /* refuses, if not 0 */
	bool no_remote;
	uint64_t length;
	uint32_t granted;
	struct sockaddr_in6 address;
	size_t address_length, secret_length;
	uint32_t dead_after_ms;
	_Atomic unsigned results;
	_Atomic bool is_pending;
	_Atomic uint64_t disconnected;
} away;

static void event(void)
{
	segment_signal_post(&away.memory[SIGNAL], 1, false);
}

static void pending_reply(int socket, const Wire__Request *request, const int *signals)
{
	Wire__Reply reply;
	Wire__ConnectReply connect;
	wire__reply__init(&reply);
	wire__connect_reply__init(&connect);
	reply.body_case = WIRE__REPLY__BODY_CONNECT;
	reply.connect = &connect;
	connect.pending = true;
	connect.import_id = IMPORT;
	connect.status_slot = SLOT;
	connect.signal_slot = SIGNAL;
	connect.epoch = atomic_load(&fake_status()[SLOT].epoch);
	fake_reply(socket, request, &reply, signals, signals != NULL);
}

static void result_reply(int socket, const Wire__Request *request)
{
	uint8_t secret[64];
	Wire__Reply reply;
	Wire__ConnectReply connect;
	Wire__Remote remote;
	wire__reply__init(&reply);
	wire__connect_reply__init(&connect);
	wire__remote__init(&remote);
	memset(secret, 0x77, sizeof(secret));
	remote.address = (ProtobufCBinaryData){away.address_length, (uint8_t *)&away.address};
	remote.ticket_id = 3;
	remote.ticket_secret = (ProtobufCBinaryData){away.secret_length, secret};
	remote.dead_after_ms = away.dead_after_ms;
	connect.import_id = IMPORT;
	connect.length = away.length;
	connect.granted = away.granted;
	connect.exporter_pid = 1; /* of another node: says nothing about ours */
	connect.exporter_uid = 12345;
	connect.remote = away.no_remote ? NULL : &remote;
	reply.body_case = WIRE__REPLY__BODY_CONNECT;
	reply.connect = &connect;
	reply.code = away.code;
	reply.reason = fake_text("as the test wants");
	if (away.code != 0)
		reply.body_case = WIRE__REPLY__BODY__NOT_SET;
	fake_reply(socket, request, &reply, NULL, 0);
}

static void hello(int socket, const Wire__Request *request)
{
	Wire__Controller tcp;
	Wire__Controller *controllers[] = {&tcp};
	Wire__HelloReply reply;
	wire__controller__init(&tcp);
	tcp.name = fake_text("tcp0");
	tcp.type = fake_text("tcp");
	fake_hello_fill(&reply);
	reply.controllers = controllers;
	reply.n_controllers = 1;
	int table = fake_table();
	fake_hello_send(socket, request, &reply, &table, 1);
	base_fd_close(&table);
}

static bool answer(int socket, const Wire__Request *request, struct wire_packet *packet)
{
	(void)packet;
	switch (request->body_case) {
	case WIRE__REQUEST__BODY_HELLO:
		hello(socket, request);
		return true;
	case WIRE__REQUEST__BODY_CONNECT:
		pending_reply(socket, request, &away.signals);
		if (!away.no_event)
			event();
		atomic_store(&away.is_pending, true);
		return true;
	case WIRE__REQUEST__BODY_CONNECT_RESULT:
		FAKE_MUST(request->connect_result->import_id == IMPORT);
		if (away.hangs_up)
			return false;
		if (atomic_fetch_add(&away.results, 1) < away.pendings) {
			pending_reply(socket, request, NULL);
			event();
		} else {
			result_reply(socket, request);
		}
		return true;
	case WIRE__REQUEST__BODY_DISCONNECT:
		atomic_store(&away.disconnected, request->disconnect->import_id);
		return true;
	default:
		fake_reply_empty(socket, request);
		return true;
	}
}

static int start(void **state)
{
	(void)state;
	node_start();
	fake_start(answer);
	memset(&away, 0, sizeof(away));
	atomic_store(&fake_status()[SLOT].epoch, SEGMENT_EPOCH(7, 2));
	away.signals = fake_memory(SEGMENT_SIGNAL_SIZE, 0);
	away.memory = mmap(NULL, SEGMENT_SIGNAL_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, away.signals, 0);
	assert_ptr_not_equal(away.memory, MAP_FAILED);
	const struct sockaddr_in address = {.sin_family = AF_INET,
					    .sin_port = htons(node.port),
					    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	memcpy(&away.address, &address, sizeof(address));
	away.address_length = sizeof(address);
	away.secret_length = WIRE_SECRET_SIZE;
	away.dead_after_ms = DEAD_AFTER;
	away.length = NODE_SIZE;
	away.granted = RSM_PERM_RDWR;
	return 0;
}

static int stop(void **state)
{
	(void)state;
	fake_stop();
	node_stop();
	munmap(away.memory, SEGMENT_SIGNAL_SIZE);
	base_fd_close(&away.signals);
	return 0;
}

static int connect_away(rsm_memseg_import_handle_t *import)
{
	char name[] = "tcp0";
	rsmapi_controller_handle_t controller;
	int code = rsm_get_controller(name, &controller);
	if (code != RSM_SUCCESS)
		return code;
	*import = (rsm_memseg_import_handle_t)&away;
	code = rsm_memseg_import_connect(controller, 4, 0x500000, RSM_PERM_RDWR, import);
	rsm_release_controller(controller);
	return code;
}

/* Returns when the fake has worked off all that was sent. */
static void settle(void)
{
	rsm_topology_t *topology;
	rsm_get_interconnect_topology(&topology); /* the fake's answer is none */
}

static void test_good(void **state)
{
	rsm_memseg_import_handle_t import;
	rsmapi_barrier_t barrier;
	rsmx_segment_info_t info = {.size = sizeof(info)};
	uint64_t word = 42, back = 0;
	void *address = NULL;
	(void)state;
	assert_int_equal(connect_away(&import), RSM_SUCCESS);
	assert_int_equal(atomic_load(&away.memory[SIGNAL].events), 0); /* taken */
	assert_int_equal(node.hello.ticket.id, 3);
	assert_int_equal(rsm_memseg_import_put(import, 8, &word, 8), RSMERR_BARRIER_UNINITIALIZED);
	assert_int_equal(rsm_memseg_import_init_barrier(import, RSM_BAR_DEFAULT, &barrier), RSM_SUCCESS);
	assert_int_equal(rsm_memseg_import_put(import, 8, &word, 8), RSM_SUCCESS);
	assert_int_equal(rsm_memseg_import_get64(import, 8, &back, 1), RSM_SUCCESS);
	assert_int_equal(back, 42);
	assert_int_equal(rsm_memseg_import_put(import, (off_t)NODE_SIZE - 4, &word, 8), RSMERR_BAD_OFFSET);
	assert_int_equal(rsm_memseg_import_map(import, &address, RSM_MAP_NONE, RSM_PERM_READ, 0, 4096),
			 RSMERR_MAP_FAILED);
	assert_int_equal(rsmx_segment_info(import, &info), RSM_SUCCESS);
	assert_int_equal(info.node, 4);
	assert_int_equal(info.peer_pid, 1);
	assert_int_equal(info.peer_uid, 12345);
	assert_int_equal(info.importers, 0);
	assert_int_equal(info.state, RSMX_STATE_CONNECTED);
	assert_int_equal(rsm_intr_signal_post(import, 0), RSM_SUCCESS);
	assert_int_equal(atomic_load(&node.posts), 1);
	event();
	assert_int_equal(rsm_intr_signal_wait(import, 1000), RSM_SUCCESS);
	assert_int_equal(rsm_intr_signal_wait(import, 0), RSMERR_TIMEOUT);
	assert_int_equal(rsm_memseg_import_disconnect(import), RSM_SUCCESS);
	settle();
	assert_int_equal(atomic_load(&away.disconnected), IMPORT);
}

static void test_attributes(void **state)
{
	char name[] = "TCP";
	rsmapi_controller_handle_t controller;
	rsmapi_controller_attr_t attr;
	(void)state;
	assert_int_equal(rsm_get_controller(name, &controller), RSM_SUCCESS);
	assert_int_equal(rsm_get_controller_attr(controller, &attr), RSM_SUCCESS);
	assert_int_equal(attr.attr_direct_access_sizes, 0);
	assert_int_equal(attr.attr_atomic_sizes, 0xf);
	assert_int_equal(attr.attr_max_import_map_size, 0);
	assert_int_equal(attr.attr_tot_import_map_size, 0);
	rsm_release_controller(controller);
}

/* Puts of explicit mode that nobody closed a span over arrive before the connection ends. */
static void test_disconnect_flushes(void **state)
{
	rsm_memseg_import_handle_t import;
	rsmapi_barrier_t barrier;
	(void)state;
	assert_int_equal(connect_away(&import), RSM_SUCCESS);
	rsm_memseg_import_init_barrier(import, RSM_BAR_DEFAULT, &barrier);
	rsm_memseg_import_set_mode(import, RSM_BARRIER_MODE_EXPLICIT);
	rsm_memseg_import_open_barrier(&barrier);
	char text[] = "gathered";
	assert_int_equal(rsm_memseg_import_put(import, 0, text, 8), RSM_SUCCESS);
	assert_int_equal(rsm_memseg_import_disconnect(import), RSM_SUCCESS);
	assert_memory_equal(node.memory, "gathered", 8);
}

/* A barrier that is opened anew, initialised anew or destroyed ends its span. */
static void test_spans_end(void **state)
{
	rsm_memseg_import_handle_t import;
	rsmapi_barrier_t barrier;
	(void)state;
	assert_int_equal(connect_away(&import), RSM_SUCCESS);
	rsm_memseg_import_init_barrier(import, RSM_BAR_DEFAULT, &barrier);
	rsm_memseg_import_set_mode(import, RSM_BARRIER_MODE_EXPLICIT);
	for (int i = 0; i < 3; i++) {
		uint64_t word = (uint64_t)i + 1;
		assert_int_equal(rsm_memseg_import_open_barrier(&barrier), RSM_SUCCESS);
		assert_int_equal(rsm_memseg_import_open_barrier(&barrier), RSM_SUCCESS);
		if (i == 0) {
			assert_int_equal(rsm_memseg_import_close_barrier(&barrier), RSM_SUCCESS);
		} else if (i == 1) {
			rsm_memseg_import_init_barrier(import, RSM_BAR_DEFAULT, &barrier);
		} else {
			assert_int_equal(rsm_memseg_import_destroy_barrier(&barrier), RSM_SUCCESS);
		}
		/* No span is open: the put is sent at once. */
		unsigned puts = atomic_load(&node.puts);
		assert_int_equal(rsm_memseg_import_put(import, 0, &word, 8), RSM_SUCCESS);
		node_await(&node.puts, puts + 1);
	}
	assert_int_equal(rsm_memseg_import_disconnect(import), RSM_SUCCESS);
}

static rsm_iovec_t entry(void *local, size_t remote, size_t length)
{
	return (rsm_iovec_t){.io_type = RSM_VA_TYPE,
			     .local.vaddr = local,
			     .remote_offset = remote,
			     .transfer_length = length};
}

/* One exchange, with the residual of single calls: entry 2 is refused, two are done, none of the rest, no post. */
static void test_vectors(void **state)
{
	rsm_memseg_import_handle_t import;
	char bytes[] = "abcdefghijkl";
	(void)state;
	assert_int_equal(connect_away(&import), RSM_SUCCESS);
	rsm_iovec_t list[4] = {entry(bytes, 0, 3), entry(bytes + 3, 10, 3), entry(bytes + 6, NODE_SIZE, 3),
			       entry(bytes + 9, 20, 3)};
	rsm_scat_gath_t sg = {
		.io_request_count = 4, .remote_handle = import, .iovec = list, .flags = RSM_IMPLICIT_SIGPOST};
	assert_int_equal(rsm_memseg_import_putv(&sg), RSMERR_BAD_OFFSET);
	assert_int_equal(sg.io_residual_count, 2);
	assert_non_null(strstr(base_reason(), "entry 2"));
	assert_memory_equal(node.memory + 10, "def", 3);
	assert_int_equal(node.memory[20], 0);
	assert_int_equal(atomic_load(&node.posts), 0);
	list[0].remote_offset = NODE_SIZE;
	assert_int_equal(rsm_memseg_import_putv(&sg), RSMERR_BAD_OFFSET);
	assert_int_equal(sg.io_residual_count, 4);
	list[0].remote_offset = 0;
	list[2].remote_offset = 30;
	assert_int_equal(rsm_memseg_import_putv(&sg), RSM_SUCCESS);
	assert_int_equal(sg.io_residual_count, 0);
	assert_int_equal(atomic_load(&node.posts), 1);
	memset(bytes, 0, sizeof(bytes));
	assert_int_equal(rsm_memseg_import_getv(&sg), RSM_SUCCESS);
	assert_string_equal(bytes, "abcdefghijkl");
	assert_int_equal(rsm_memseg_import_disconnect(import), RSM_SUCCESS);
}

/* "pending" again, after an event that was not the one. */
static void test_pending_again(void **state)
{
	rsm_memseg_import_handle_t import;
	(void)state;
	away.pendings = 3;
	assert_int_equal(connect_away(&import), RSM_SUCCESS);
	assert_int_equal(atomic_load(&away.results), 4);
	assert_int_equal(rsm_memseg_import_disconnect(import), RSM_SUCCESS);
}

static void *connect_thread(void *code)
{
	rsm_memseg_import_handle_t import;
	*(int *)code = connect_away(&import);
	if (*(int *)code == RSM_SUCCESS)
		*(int *)code = rsm_memseg_import_disconnect(import);
	return NULL;
}

/* While one thread waits for another node the others are served, and may end the controller and fork. */
static void test_others_go_on(void **state)
{
	pthread_t thread;
	int code = -1, status;
	(void)state;
	away.no_event = true;
	assert_int_equal(pthread_create(&thread, NULL, connect_thread, &code), 0);
	while (!atomic_load(&away.is_pending))
		sched_yield();
	for (int i = 0; i < 10; i++)
		settle();
	pid_t child = fork();
	if (child == 0)
		_exit(rsmx_segment_info(NULL, NULL) == RSMERR_BAD_SEG_HNDL ? 0 : 1);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	event();
	pthread_join(thread, NULL);
	assert_int_equal(code, RSM_SUCCESS);
}

/* A thread that is cancelled connects first. */
static void test_cancelled(void **state)
{
	pthread_t thread;
	int code = -1;
	(void)state;
	away.no_event = true;
	assert_int_equal(pthread_create(&thread, NULL, connect_thread, &code), 0);
	while (!atomic_load(&away.is_pending))
		sched_yield();
	pthread_cancel(thread);
	event();
	pthread_join(thread, NULL);
	rsmapi_controller_handle_t controller;
	char name[] = "tcp0";
	assert_int_equal(rsm_get_controller(name, &controller), RSM_SUCCESS); /* the lock is free */
	rsm_release_controller(controller);
}

static _Atomic int handled;

static void on_signal(int number)
{
	(void)number;
	atomic_fetch_add(&handled, 1);
}

static _Atomic bool over;

static void *interrupt(void *argument)
{
	const pthread_t *caller = argument;
	while (!atomic_load(&away.is_pending))
		sched_yield();
	while (!atomic_load(&over)) {
		pthread_kill(*caller, SIGUSR1);
		sched_yield();
	}
	return NULL;
}

static void test_interrupted(void **state)
{
	pthread_t thread, caller = pthread_self();
	rsm_memseg_import_handle_t import;
	(void)state;
	struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
	sigaction(SIGUSR1, &action, NULL);
	away.no_event = true;
	away.pendings = 1000;
	atomic_store(&over, false);
	assert_int_equal(pthread_create(&thread, NULL, interrupt, &caller), 0);
	int code = connect_away(&import);
	atomic_store(&over, true);
	pthread_join(thread, NULL);
	assert_int_equal(code, RSMERR_INTERRUPTED);
	assert_null(import);
	settle();
	assert_int_equal(atomic_load(&away.disconnected), IMPORT);
}

/* ---- refusals ---- */

static void expect_refused(int expected, uint64_t disconnected)
{
	rsm_memseg_import_handle_t import;
	rsm_topology_t *topology;
	rsm_get_interconnect_topology(&topology); /* the conversation is there */
	const unsigned before = fake_descriptors();
	assert_int_equal(connect_away(&import), expected);
	assert_null(import);
	assert_true(strlen(base_reason()) > 0);
	settle();
	assert_int_equal(atomic_load(&away.disconnected), disconnected);
	/* The node may just be letting go of its end. */
	while (fake_descriptors() > before)
		sched_yield();
}

static void test_refused(void **state)
{
	(void)state;
	away.code = RSMERR_SEG_NOT_PUBLISHED;
	expect_refused(RSMERR_SEG_NOT_PUBLISHED, 0); /* rsmd has forgotten it already */
}

static void test_refused_by_node(void **state)
{
	(void)state;
	node.welcome_code = RSMERR_PERM_DENIED;
	expect_refused(RSMERR_PERM_DENIED, IMPORT);
}

static void test_silent_node(void **state)
{
	(void)state;
	node.welcome = NODE_WELCOME_NONE;
	expect_refused(RSMERR_REMOTE_NODE_UNREACHABLE, IMPORT);
}

static void test_absurd(void **state)
{
	(void)state;
	for (int row = 0; row < 10; row++) {
		start(NULL);
		switch (row) {
		case 0:
			away.address_length = 0;
			break;
		case 1:
			away.address_length = 1;
			break;
		case 2:
			away.address_length = sizeof(struct sockaddr_in) + 1;
			break;
		case 3:
			away.address.sin6_family = AF_UNIX;
			break;
		case 4:
			away.address.sin6_family = AF_INET6;
			break;
		case 5:
			away.secret_length = WIRE_SECRET_SIZE - 1;
			break;
		case 6:
			away.secret_length = 64;
			break;
		case 7:
			away.dead_after_ms = 0;
			break;
		case 8:
			away.length = UINT64_MAX;
			break;
		default:
			away.no_remote = true;
		}
		expect_refused(RSMERR_INTERNAL_ERROR, IMPORT);
		stop(NULL);
	}
}

/* rsmd goes while the other node is waited for. */
static void test_hang_up(void **state)
{
	rsm_memseg_import_handle_t import;
	(void)state;
	away.hangs_up = true;
	assert_int_equal(connect_away(&import), RSMERR_CTLR_NOT_PRESENT);
	assert_null(import);
}

/* The path is lost and rsmd still says "pending". */
static void test_aborted_pending(void **state)
{
	pthread_t thread;
	int code = -1;
	(void)state;
	away.pendings = 1000;
	away.no_event = true;
	assert_int_equal(pthread_create(&thread, NULL, connect_thread, &code), 0);
	while (!atomic_load(&away.is_pending))
		sched_yield();
	atomic_fetch_add(&fake_status()[SLOT].epoch, SEGMENT_EPOCH(1, 0));
	event();
	pthread_join(thread, NULL);
	assert_int_equal(code, RSMERR_INTERRUPTED);
}

/* ---- later ---- */

/* rsmd is gone: a wait goes on for dead-after, whatever process has the exporter's number here. */
static void test_wait_orphaned(void **state)
{
	rsm_memseg_import_handle_t import;
	(void)state;
	assert_int_equal(connect_away(&import), RSM_SUCCESS);
	lib_lock();
	lib_daemon_close();
	lib_unlock();
	const uint64_t begin = base_clock_ns();
	assert_int_equal(rsm_intr_signal_wait(import, 10000), RSMERR_CONN_ABORTED);
	assert_true(base_clock_ns() - begin >= DEAD_AFTER * 1000000u);
	assert_non_null(strstr(base_reason(), "rsmd is gone"));
	assert_int_equal(rsm_memseg_import_disconnect(import), RSM_SUCCESS);
}

/* The child's handle is a copy that it may only give up; the parent's goes on. */
static void test_fork(void **state)
{
	rsm_memseg_import_handle_t import;
	rsmapi_barrier_t barrier;
	uint64_t word = 1;
	int status;
	(void)state;
	assert_int_equal(connect_away(&import), RSM_SUCCESS);
	rsm_memseg_import_init_barrier(import, RSM_BAR_DEFAULT, &barrier);
	pid_t child = fork();
	if (child == 0) {
		bool well = rsm_memseg_import_put(import, 0, &word, 8) == RSMERR_CONN_ABORTED &&
			    rsm_intr_signal_post(import, 0) == RSMERR_CONN_ABORTED &&
			    rsm_memseg_import_disconnect(import) == RSM_SUCCESS;
		_exit(well ? 0 : 1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	assert_int_equal(rsm_memseg_import_put(import, 0, &word, 8), RSM_SUCCESS);
	assert_int_equal(rsm_memseg_import_disconnect(import), RSM_SUCCESS);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_good),
		TEST(test_attributes),
		TEST(test_disconnect_flushes),
		TEST(test_spans_end),
		TEST(test_vectors),
		TEST(test_pending_again),
		TEST(test_others_go_on),
		TEST(test_cancelled),
		TEST(test_interrupted),
		TEST(test_refused),
		TEST(test_refused_by_node),
		TEST(test_silent_node),
		TEST(test_hang_up),
		TEST(test_aborted_pending),
		TEST(test_wait_orphaned),
		TEST(test_fork),
		cmocka_unit_test(test_absurd),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
