/* SPDX-License-Identifier: BSD-2-Clause */
#include "published.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fd.h"
#include "lib/lib.h"

struct published published;

static size_t page(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

static void connect_reply(int socket, const Wire__Request *request, size_t fd_count)
{
	Wire__Reply reply;
	wire__reply__init(&reply);
	reply.code = published.code;
	reply.reason = fake_text(published.code != 0 ? "as the test wants" : "");
	if (published.code == 0 && !published.no_body) {
		reply.body_case = WIRE__REPLY__BODY_CONNECT;
		reply.connect = &published.reply;
	}
	fake_reply(socket, request, &reply, published.fds, fd_count);
}

static bool answer(int socket, const Wire__Request *request, struct wire_packet *packet)
{
	(void)packet;
	switch (request->body_case) {
	case WIRE__REQUEST__BODY_HELLO:
		return fake_hello(socket, request);
	case WIRE__REQUEST__BODY_CONNECT:
		connect_reply(socket, request, published.fd_count);
		return true;
	case WIRE__REQUEST__BODY_IMPORT_LAYOUT:
		FAKE_MUST(request->import_layout->import_id == PUBLISHED_IMPORT);
		atomic_fetch_add(&published.layouts, 1);
		if (published.hangs_up)
			return false;
		connect_reply(socket, request, published.fd_count > 0 ? published.fd_count - 1 : 0);
		return true;
	case WIRE__REQUEST__BODY_DISCONNECT:
		atomic_store(&published.disconnected, request->disconnect->import_id);
		return true;
	default:
		if (published.other != NULL)
			return published.other(socket, request, packet);
		fake_reply_empty(socket, request);
		return true;
	}
}

static void close_all(void)
{
	for (size_t i = 0; i < published.fd_count; i++)
		base_fd_close(&published.fds[i]);
	published.fd_count = 0;
}

void published_describe(size_t pages, unsigned char fill)
{
	close_all();
	memset(&published, 0, sizeof(published));
	for (size_t i = 0; i < 40; i++) {
		wire__extent__init(&published.extents[i]);
		published.list[i] = &published.extents[i];
	}
	wire__connect_reply__init(&published.reply);
	published.reply.import_id = PUBLISHED_IMPORT;
	published.reply.length = pages * page();
	published.reply.granted = RSM_PERM_RDWR;
	published.reply.status_slot = PUBLISHED_SLOT;
	published.reply.signal_slot = 1;
	published.reply.epoch = atomic_load(&fake_status()[PUBLISHED_SLOT].epoch);
	published.reply.extents = published.list;
	published.reply.n_extents = 1;
	published.extents[0].length = pages * page();
	published.fds[0] = fake_memory(pages * page(), fill);
	published.fds[1] = fake_memory(SEGMENT_SIGNAL_SIZE, 0);
	published.fd_count = 2;
}

void published_start(size_t pages, unsigned char fill)
{
	fake_start(answer);
	atomic_store(&fake_status()[PUBLISHED_SLOT].epoch, SEGMENT_EPOCH(7, 2));
	published_describe(pages, fill);
}

void published_stop(void)
{
	fake_stop();
	close_all();
}

void published_move(void)
{
	published.reply.epoch = atomic_fetch_add(&fake_status()[PUBLISHED_SLOT].epoch, 2) + 2;
}

void published_abort(void)
{
	atomic_fetch_add(&fake_status()[PUBLISHED_SLOT].epoch, SEGMENT_EPOCH(1, 0));
}

rsmapi_controller_handle_t published_controller(void)
{
	char name[] = "shm0";
	rsmapi_controller_handle_t controller;
	assert_int_equal(rsm_get_controller(name, &controller), RSM_SUCCESS);
	return controller;
}

int published_connect(rsm_memseg_import_handle_t *import)
{
	rsmapi_controller_handle_t controller = published_controller();
	*import = (rsm_memseg_import_handle_t)&published; /* to see that a failure clears it */
	int code = rsm_memseg_import_connect(controller, 3, 0x500000, RSM_PERM_RDWR, import);
	rsm_release_controller(controller);
	return code;
}

void published_settle(void)
{
	Wire__Topology topology = WIRE__TOPOLOGY__INIT;
	lib_lock();
	int code = lib_daemon_call(WIRE__REQUEST__BODY_TOPOLOGY, &topology, -1, NULL);
	lib_unlock();
	assert_int_equal(code, RSM_SUCCESS);
}
