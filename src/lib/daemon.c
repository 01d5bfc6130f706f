/* SPDX-License-Identifier: BSD-2-Clause */
/* The conversation with rsmd; see daemon.h. Under lib_lock throughout. */
#include "lib/daemon.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/reason.h"
#include "lib/log.h"
#include "rsmapi.h"
#include "segment/memfd.h"

#define SPIN_NS     50000u       /* how long an answer is awaited without sleeping: about one wake-up */
#define DEADLINE_NS 30000000000u /* an rsmd that is silent for so long counts as gone */
#define PACK_MAX    2048u        /* bytes of a request that needs no heap */

struct lib_daemon lib_daemon = {.socket = -1, .session = 1, .userfaultfd_device = -1};

static uint64_t request_id;

void lib_reply_clear(struct lib_reply *reply)
{
	if (reply->message != NULL)
		wire__reply__free_unpacked(reply->message, NULL);
	wire_packet_clear(&reply->packet);
	reply->message = NULL;
}

void lib_daemon_close(void)
{
	if (lib_daemon.socket < 0)
		return;
	base_fd_close(&lib_daemon.socket);
	base_fd_close(&lib_daemon.userfaultfd_device);
	lib_daemon.session++;
}

int lib_daemon_check(uint32_t session)
{
	if (lib_daemon.socket >= 0 && session == lib_daemon.session)
		return RSM_SUCCESS;
	return base_refuse(RSMERR_CTLR_NOT_PRESENT, "the rsmd that this segment was registered with is gone; "
						    "free the handle and make a new segment");
}

static int daemon_lost(const char *what, int error)
{
	lib_daemon_close();
	lib_log(RSMX_LOG_WARNING, "conversation with rsmd ended: %s: %s", what, strerror(error));
	return base_refuse_errno(RSMERR_CTLR_NOT_PRESENT, error, "conversation with rsmd ended while %s",
				 what);
}

/* Waits until the socket is readable: spins, giving way to rsmd if it shares our core, then sleeps. */
static int receive(struct wire_packet *packet)
{
	const uint64_t start = base_clock_ns();
	for (;;) {
		int error = wire_packet_receive(lib_daemon.socket, WIRE_REPLY_MAX, true, packet);
		if (error != -EAGAIN && error != -EINTR)
			return error;
		uint64_t now = base_clock_ns();
		if (now - start < SPIN_NS) {
			sched_yield();
			continue;
		}
		if (now - start >= DEADLINE_NS)
			return -ETIMEDOUT;
		struct pollfd readable = {.fd = lib_daemon.socket, .events = POLLIN};
		poll(&readable, 1, (int)((DEADLINE_NS - (now - start)) / 1000000u) + 1);
	}
}

/* `fd`: a descriptor to send along, or -1. */
static int send_request(Wire__Request__BodyCase body_case, void *body, int fd)
{
	Wire__Request request = WIRE__REQUEST__INIT;
	request.id = ++request_id;
	request.body_case = body_case;
	request.hello = body; /* the members of the oneof are all pointers to messages */
	size_t length = wire__request__get_packed_size(&request);
	if (length > WIRE_REQUEST_MAX)
		return -EMSGSIZE;
	uint8_t room[PACK_MAX], *packed = length <= sizeof room ? room : malloc(length);
	if (packed == NULL)
		return -ENOMEM;
	wire__request__pack(&request, packed);
	int error = wire_packet_send(lib_daemon.socket, packed, length, &fd, fd >= 0, false);
	if (packed != room)
		free(packed);
	return error;
}

static int take_reply(struct lib_reply *reply)
{
	int error = receive(&reply->packet);
	if (error == -EMFILE && reply->packet.body == NULL)
		return base_refuse_errno(
			RSMERR_INSUFFICIENT_RESOURCES, EMFILE,
			"rsmd's long answer came in a descriptor for which there was no room");
	/* No room for the descriptors: the answer is there without them, and who needs them will say so. */
	if (error != 0 && error != -EMFILE)
		return daemon_lost("waiting for its answer", -error);
	reply->message = wire__reply__unpack(NULL, reply->packet.length, reply->packet.body);
	if (reply->message == NULL || reply->message->id != request_id) {
		lib_reply_clear(reply);
		return daemon_lost("reading its answer", EPROTO);
	}
	int code = (int)reply->message->code;
	if (code != RSM_SUCCESS) {
		base_refuse(code, "%s", reply->message->reason);
		lib_reply_clear(reply);
	}
	return code;
}

int lib_daemon_call(Wire__Request__BodyCase body_case, void *body, int fd, struct lib_reply *reply)
{
	struct lib_reply local = {0};
	if (lib_daemon.socket < 0)
		return base_refuse(RSMERR_CTLR_NOT_PRESENT, "no conversation with rsmd");
	int error = send_request(body_case, body, fd);
	if (error == -ENOMEM)
		return base_refuse(RSMERR_INSUFFICIENT_MEM, "no memory for a request to rsmd");
	if (error == -EMFILE || error == -ENFILE || error == -ETOOMANYREFS || error == -EMSGSIZE)
		return base_refuse_errno(
			RSMERR_INSUFFICIENT_RESOURCES, -error,
			"cannot send this request to rsmd (at most %u bytes; a long one needs a descriptor)",
			WIRE_REQUEST_MAX);
	if (error != 0)
		return daemon_lost("asking it", -error);
	int code = take_reply(&local);
	if (code == RSM_SUCCESS && reply != NULL)
		*reply = local;
	else
		lib_reply_clear(&local);
	return code;
}

void lib_daemon_tell(Wire__Request__BodyCase body_case, void *body)
{
	if (lib_daemon.socket < 0)
		return;
	int error = send_request(body_case, body, -1);
	if (error != 0 && error != -ENOMEM)
		daemon_lost("telling it", -error);
}

static int table_map(int fd, uint32_t slots)
{
	size_t length = (size_t)slots * sizeof(struct segment_status);
	int code = segment_memfd_verify(fd, length, false, true);
	if (code != RSM_SUCCESS)
		return code;
	void *table = mmap(NULL, length, PROT_READ, MAP_SHARED, fd, 0);
	if (table == MAP_FAILED)
		return base_refuse_errno(RSMERR_INSUFFICIENT_MEM, errno, "cannot map rsmd's status table");
	const struct segment_status_head *head = table;
	if (head->magic != SEGMENT_STATUS_MAGIC) {
		munmap(table, length);
		return base_refuse(RSMERR_BAD_LIBRARY_VERSION, "what rsmd sent is no status table");
	}
	if (head->version != SEGMENT_STATUS_VERSION) {
		uint32_t version = head->version;
		munmap(table, length);
		return base_refuse(
			RSMERR_BAD_LIBRARY_VERSION,
			"rsmd's status table has version %u, this library knows %u; update the older one",
			version, SEGMENT_STATUS_VERSION);
	}
	lib_daemon.status = table;
	lib_daemon.status_slots = slots;
	return RSM_SUCCESS;
}

static int controllers_copy(const Wire__HelloReply *hello)
{
	struct lib_daemon_controller *list = calloc(hello->n_controllers, sizeof *list);
	if (list == NULL && hello->n_controllers > 0)
		return base_refuse(RSMERR_INSUFFICIENT_MEM, "no memory for the list of controllers");
	for (size_t i = 0; i < hello->n_controllers; i++) {
		snprintf(list[i].name, sizeof list[i].name, "%s", hello->controllers[i]->name);
		list[i].loopback = strcmp(hello->controllers[i]->type, "loopback") == 0;
		list[i].between_nodes = strcmp(hello->controllers[i]->type, "tcp") == 0;
	}
	free(lib_daemon.controllers);
	lib_daemon.controllers = list;
	lib_daemon.controller_count = hello->n_controllers;
	return RSM_SUCCESS;
}

static int hello_take(const Wire__HelloReply *hello, struct wire_packet *packet)
{
	if (hello->version != WIRE_VERSION)
		return base_refuse(RSMERR_BAD_LIBRARY_VERSION,
				   "this library (release %s) speaks protocol %u, rsmd (release %s) speaks "
				   "%u; update the "
				   "older one",
				   RSM_RELEASE, WIRE_VERSION, hello->release, hello->version);
	int table = wire_packet_take(packet, 0);
	int code = table < 0 ? base_refuse(RSMERR_INSUFFICIENT_RESOURCES,
					   "rsmd's status table did not arrive; is RLIMIT_NOFILE reached?")
			     : table_map(table, hello->status_slots);
	base_fd_close(&table);
	if (code == RSM_SUCCESS)
		code = controllers_copy(hello);
	if (code != RSM_SUCCESS)
		return code;
	if (hello->has_userfaultfd)
		lib_daemon.userfaultfd_device = base_fd_above_stdio(wire_packet_take(packet, 1));
	lib_daemon.features = hello->features;
	lib_daemon.node_id = hello->node_id;
	lib_daemon.max_segments = hello->max_segments;
	lib_daemon.max_exported_bytes = hello->max_exported_bytes;
	snprintf(lib_daemon.release, sizeof lib_daemon.release, "%s", hello->release);
	return RSM_SUCCESS;
}

/* Between calls rsmd says nothing: a socket that has something to tell tells that rsmd is gone. */
static bool daemon_is_gone(void)
{
	struct pollfd silent = {.fd = lib_daemon.socket, .events = POLLIN};
	return poll(&silent, 1, 0) > 0;
}

bool lib_daemon_is_there(uint32_t session)
{
	return lib_daemon.socket >= 0 && lib_daemon.session == session && !daemon_is_gone();
}

int lib_daemon_open(void)
{
	if (lib_daemon.socket >= 0 && daemon_is_gone())
		lib_daemon_close();
	/* An idle private rsmd may leave between our connect and our first word: then once more. */
	for (int attempt = 0; attempt < 3; attempt++) {
		if (lib_daemon.socket >= 0)
			return RSM_SUCCESS;
		lib_daemon.socket = lib_start_connect();
		if (lib_daemon.socket < 0)
			return RSMERR_CTLR_NOT_PRESENT;
		Wire__Hello hello;
		wire__hello__init(&hello);
		hello.version = WIRE_VERSION;
		hello.program = program_invocation_short_name;
		struct lib_reply reply = {0};
		int code = lib_daemon_call(WIRE__REQUEST__BODY_HELLO, &hello, -1, &reply);
		if (reply.message != NULL) {
			code = reply.message->body_case == WIRE__REPLY__BODY_HELLO
				       ? hello_take(reply.message->hello, &reply.packet)
				       : base_refuse(RSMERR_BAD_LIBRARY_VERSION,
						     "rsmd answers in an unknown way");
			lib_reply_clear(&reply);
			if (code == RSM_SUCCESS)
				return RSM_SUCCESS;
		}
		if (lib_daemon.socket >= 0) { /* it is there and refuses us */
			lib_daemon_close();
			return code;
		}
	}
	return RSMERR_CTLR_NOT_PRESENT;
}
