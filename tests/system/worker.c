/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A process of a node that does what a script tells it, one line of standard input at a time, and answers each by one
 * line that begins with the code. It never decides anything itself: what is right is in the scripts.
 *
 *     export LENGTH ID             create and publish; -> code id
 *     unpublish | publish ID       of that export
 *     post | wait                  to its importers, and for one of their signals
 *     byte OFFSET                  of the exported memory
 *     sum OFFSET LENGTH            -> 0 and a checksum of exported memory
 *     connect SLOT NODE ID BLOCK   an import with a barrier; -> code ms
 *     disconnect SLOT
 *     once CALL SLOT               -> code ms
 *     until CALL SLOT              again and again until it fails or a line comes; "+" when it is under way, then
 *                                  -> code count longest-ms nanoseconds-of-the-end
 *     sweep FROM TO                put and get through each import of the range; -> number of successes
 *
 * CALLs: put get putv close order stream post wait poll connect; fetch: a get of all of it; traffic: a hundred times a put of 1000
 * bytes and a get of 8, then a post.
 */
#include <poll.h>
#include <rsm/ext.h>
#include <rsmapi.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#define SLOTS 256
#define BLOCK 4096 /* bytes that one call moves; each slot has a block of the segment for its own */

struct import {
	rsm_memseg_import_handle_t handle;
	rsmapi_barrier_t barrier;
	struct pollfd fd;
	rsm_node_id_t node;
	rsm_memseg_id_t id;
	off_t at; /* of its block */
};

static struct {
	rsmapi_controller_handle_t controller;
	rsm_memseg_export_handle_t export;
	uint8_t *memory;
	struct import imports[SLOTS];
	uint8_t bytes[BLOCK];
	uint8_t *whole; /* room for fetch */
	uint64_t round;
} self;

static uint64_t now_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* ---- calls ---- */

static int put(struct import *to)
{
	memset(self.bytes, (int)++self.round, sizeof(self.bytes));
	return rsm_memseg_import_put(to->handle, to->at, self.bytes, BLOCK);
}

static int get(struct import *to)
{
	return rsm_memseg_import_get(to->handle, to->at, self.bytes, BLOCK);
}

static int fetch(struct import *to)
{
	rsmx_segment_info_t info = {.size = sizeof(info)};
	int code = rsmx_segment_info(to->handle, &info);

	if (code == RSM_SUCCESS && !self.whole)
		self.whole = malloc(info.length);
	return code ? code : rsm_memseg_import_get(to->handle, 0, self.whole, info.length);
}

static int putv(struct import *to)
{
	rsm_iovec_t entries[2] = {{.io_type = RSM_VA_TYPE,
				   .local.vaddr = (caddr_t)self.bytes,
				   .remote_offset = (size_t)to->at,
				   .transfer_length = BLOCK / 2},
				  {.io_type = RSM_VA_TYPE,
				   .local.vaddr = (caddr_t)self.bytes,
				   .remote_offset = (size_t)to->at + BLOCK / 2,
				   .transfer_length = BLOCK / 2}};
	rsm_scat_gath_t io = {.io_request_count = 2, .remote_handle = to->handle, .iovec = entries};

	memset(self.bytes, (int)++self.round, sizeof(self.bytes));
	return rsm_memseg_import_putv(&io);
}

/* The closing barrier is what tells; what the puts inside say is not looked at. */
static int span(struct import *to, bool order)
{
	rsm_memseg_import_set_mode(to->handle, RSM_BARRIER_MODE_EXPLICIT);
	int code = rsm_memseg_import_open_barrier(&to->barrier);

	if (code != RSM_SUCCESS)
		return code;
	for (int at = 0; at < 8; at++)
		put(to);
	get(to);
	if (order)
		code = rsm_memseg_import_order_barrier(&to->barrier);
	int closed = rsm_memseg_import_close_barrier(&to->barrier);
	return code ? code : closed;
}

/* Puts without a pause, so that there are always some on their way. */
static int stream(struct import *to)
{
	rsm_memseg_import_set_mode(to->handle, RSM_BARRIER_MODE_EXPLICIT);
	return put(to);
}

static int traffic(struct import *to)
{
	int code = RSM_SUCCESS;

	for (int n = 0; n < 100 && code == RSM_SUCCESS; n++) {
		code = rsm_memseg_import_put(to->handle, to->at, self.bytes, 1000);
		if (code == RSM_SUCCESS)
			code = rsm_memseg_import_get(to->handle, to->at, self.bytes, 8);
	}
	return code ? code : rsm_intr_signal_post(to->handle, 0);
}

static int wait_poll(struct import *to)
{
	int code = RSM_SUCCESS;

	if (to->fd.fd <= 0)
		code = rsm_memseg_get_pollfd(to->handle, &to->fd);
	struct pollfd fd = to->fd;
	fd.revents = 0;
	if (code == RSM_SUCCESS)
		code = rsm_intr_signal_wait_pollfd(&fd, 1, -1, NULL);
	return code == RSM_SUCCESS && (fd.revents & POLLHUP) ? RSMERR_CONN_ABORTED : code;
}

static int connect_once(struct import *to)
{
	rsm_memseg_import_handle_t handle;
	int code = rsm_memseg_import_connect(self.controller, to->node, to->id, RSM_PERM_RDWR, &handle);

	return code ? code : rsm_memseg_import_disconnect(handle);
}

static int call(const char *name, struct import *to)
{
	if (strcmp(name, "put") == 0)
		return put(to);
	if (strcmp(name, "get") == 0)
		return get(to);
	if (strcmp(name, "fetch") == 0)
		return fetch(to);
	if (strcmp(name, "putv") == 0)
		return putv(to);
	if (strcmp(name, "close") == 0 || strcmp(name, "order") == 0)
		return span(to, name[0] == 'o');
	if (strcmp(name, "stream") == 0)
		return stream(to);
	if (strcmp(name, "traffic") == 0)
		return traffic(to);
	if (strcmp(name, "post") == 0)
		return rsm_intr_signal_post(to->handle, 0);
	if (strcmp(name, "wait") == 0)
		return rsm_intr_signal_wait(to->handle, -1);
	if (strcmp(name, "poll") == 0)
		return wait_poll(to);
	return strcmp(name, "connect") == 0 ? connect_once(to) : -1;
}

static bool sleeps(const char *name)
{
	return strcmp(name, "wait") == 0 || strcmp(name, "poll") == 0;
}

static bool line_waits(void)
{
	return poll(&(struct pollfd){.fd = 0, .events = POLLIN}, 1, 0) == 1;
}

static void until(const char *name, struct import *to)
{
	uint64_t count = 0, longest = 0, end = 0;
	int code;

	if (sleeps(name))
		printf("+\n");
	do {
		uint64_t start = now_ns();
		code = call(name, to);
		end = now_ns();
		longest = end - start > longest ? end - start : longest;
		if (count++ == 0 && code == RSM_SUCCESS && !sleeps(name))
			printf("+\n");
	} while (code == RSM_SUCCESS && !line_waits());
	printf("%d %llu %llu %llu %s\n", code, (unsigned long long)count,
	       (unsigned long long)(longest / 1000000u), (unsigned long long)end, rsmx_last_error());
}

/* ---- lines ---- */

static int export(size_t length, rsm_memseg_id_t *id)
{
	void *memory = NULL;

	if (posix_memalign(&memory, (size_t)sysconf(_SC_PAGESIZE), length))
		return RSMERR_INSUFFICIENT_MEM;
	memset(memory, 0, length);
	self.memory = memory;
	int code = rsm_memseg_export_create(self.controller, &self.export, memory, length, RSM_ALLOW_REBIND);
	return code ? code : rsm_memseg_export_publish(self.export, id, NULL, 0);
}

static int connect_slot(struct import *to)
{
	int code = rsm_memseg_import_connect(self.controller, to->node, to->id, RSM_PERM_RDWR, &to->handle);
	return code ? code : rsm_memseg_import_init_barrier(to->handle, RSM_BAR_DEFAULT, &to->barrier);
}

static int disconnect(struct import *from)
{
	if (from->fd.fd > 0)
		rsm_memseg_release_pollfd(from->handle);
	from->fd.fd = 0;
	return rsm_memseg_import_disconnect(from->handle);
}

static uint64_t sum(size_t offset, size_t length)
{
	uint64_t hash = 14695981039346656037u;

	for (size_t at = offset; at < offset + length; at++)
		hash = (hash ^ ((volatile uint8_t *)self.memory)[at]) * 1099511628211u;
	return hash;
}

static int sweep(unsigned from, unsigned to)
{
	int good = 0;

	for (unsigned at = from; at < to && at < SLOTS; at++)
		good += put(&self.imports[at]) == RSM_SUCCESS && get(&self.imports[at]) == RSM_SUCCESS;
	return good;
}

static void answer(int code, uint64_t value)
{
	printf("%d %llu %s\n", code, (unsigned long long)value, code ? rsmx_last_error() : "");
}

static void perform_import(const char *verb, const char *name, const unsigned long *number)
{
	struct import *to = &self.imports[number[0] % SLOTS];
	uint64_t start = now_ns();
	int code;

	if (strcmp(verb, "connect") == 0) {
		to->node = (rsm_node_id_t)number[1];
		to->id = (rsm_memseg_id_t)number[2];
		to->at = (off_t)(number[3] * BLOCK);
		code = connect_slot(to);
	} else if (strcmp(verb, "disconnect") == 0) {
		code = disconnect(to);
	} else if (strcmp(verb, "until") == 0) {
		until(name, to);
		return;
	} else {
		code = call(name, to);
	}
	answer(code, (now_ns() - start) / 1000000u);
}

static void perform(const char *line)
{
	char verb[32] = "", name[32] = "";
	unsigned long number[4] = {0};

	if (sscanf(line, "%31s %31[a-z] %lu", verb, name, &number[0]) < 2)
		sscanf(line, "%31s %lu %lu %lu %lu", verb, &number[0], &number[1], &number[2], &number[3]);
	if (strcmp(verb, "export") == 0 || strcmp(verb, "publish") == 0) {
		rsm_memseg_id_t id = (rsm_memseg_id_t)number[verb[0] == 'e'];
		answer(verb[0] == 'e' ? export(number[0], &id)
				      : rsm_memseg_export_publish(self.export, &id, NULL, 0),
		       id);
	} else if (strcmp(verb, "unpublish") == 0) {
		answer(rsm_memseg_export_unpublish(self.export), 0);
	} else if (strcmp(verb, "post") == 0) {
		answer(rsm_intr_signal_post(self.export, 0), 0);
	} else if (strcmp(verb, "wait") == 0) {
		answer(rsm_intr_signal_wait(self.export, -1), 0);
	} else if (strcmp(verb, "byte") == 0) {
		answer(0, ((volatile uint8_t *)self.memory)[number[0]]);
	} else if (strcmp(verb, "sum") == 0) {
		answer(0, sum(number[0], number[1]));
	} else if (strcmp(verb, "sweep") == 0) {
		answer(0, (uint64_t)sweep((unsigned)number[0], (unsigned)number[1]));
	} else if (strcmp(verb, "stop") != 0) {
		perform_import(verb, name, number);
	}
}

/* Unbuffered, so that line_waits sees what was not read yet. */
static bool read_line(char *line, size_t size)
{
	for (size_t at = 0; at + 1 < size; at++) {
		if (read(0, &line[at], 1) != 1)
			return false;
		if (line[at] == '\n') {
			line[at] = '\0';
			return true;
		}
	}
	return false;
}

int main(int argc, char **argv)
{
	char line[256];

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	setvbuf(stdout, NULL, _IOLBF, 0);
	int code = argc == 2 ? rsm_get_controller(argv[1], &self.controller) : RSMERR_BAD_ADDR;
	answer(code, 0);
	while (code == RSM_SUCCESS && read_line(line, sizeof(line)))
		perform(line);
	return code != RSM_SUCCESS;
}
