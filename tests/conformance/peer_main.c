/* SPDX-License-Identifier: BSD-2-Clause */
/* The peer program: takes requests from its socket until end of file. One thread. */
#include "peer.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <rsm/ext.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define HELD_MAX 64

struct import {
	rsm_memseg_import_handle_t handle;
	rsmapi_barrier_t barrier;
	uint8_t *map;
	size_t mapped;
};

static struct {
	int socket;
	char *controller_name;
	rsmapi_controller_handle_t controller;
	uint8_t *memory;
	size_t length;
	rsm_memseg_export_handle_t export;
	struct import imports[PEER_IMPORTS + 1];
	struct {
		uint8_t *address;
		size_t length;
	} held[HELD_MAX];
	size_t held_count;
} self;

/* As the other user from the first instruction on: a program that changed its user may not look into its /proc. */
static int become(char **argv, const char *who)
{
	unsigned uid, gid;
	int group;
	char same[] = "same";

	if (sscanf(who, "%u:%u:%d", &uid, &gid, &group) != 3)
		return 2;
	gid_t groups[1] = {(gid_t)group};
	if (setgroups(group < 0 ? 0 : 1, groups) || setresgid(gid, gid, gid) || setresuid(uid, uid, uid))
		return 3;
	argv[4] = same;
	execv("/proc/self/exe", argv);
	return 4;
}

static int controller_ready(void)
{
	return self.controller ? RSM_SUCCESS : rsm_get_controller(self.controller_name, &self.controller);
}

static int create(const struct peer_request *request)
{
	void *memory;
	int code = controller_ready();

	if (code)
		return code;
	if (posix_memalign(&memory, (size_t)sysconf(_SC_PAGESIZE), request->length))
		return RSMERR_INSUFFICIENT_MEM;
	memset(memory, 0, request->length);
	self.memory = memory;
	self.length = request->length;
	return rsm_memseg_export_create(self.controller, &self.export, memory, request->length,
					(uint_t)request->value);
}

static int publish(const struct peer_request *request, struct peer_reply *reply)
{
	rsmapi_access_entry_t acl[2];
	rsm_memseg_id_t id = request->id;

	memcpy(acl, request->acl, sizeof(acl));
	if (request->op == PEER_REPUBLISH)
		return rsm_memseg_export_republish(self.export, acl, request->acl_count);
	int code = rsm_memseg_export_publish(self.export, &id, request->acl_count ? acl : NULL,
					     request->acl_count);
	reply->value = id;
	return code;
}

/* The old memory stays, unused. */
static int rebind(const struct peer_request *request)
{
	void *memory;

	if (posix_memalign(&memory, (size_t)sysconf(_SC_PAGESIZE), self.length))
		return RSMERR_INSUFFICIENT_MEM;
	memset(memory, (int)request->value, self.length);
	int code = rsm_memseg_export_rebind(self.export, memory, 0, self.length);
	if (code == RSM_SUCCESS)
		self.memory = memory;
	return code;
}

static int transfer(const struct peer_request *request, struct peer_reply *reply)
{
	uint8_t data[PEER_DATA];
	rsm_memseg_import_handle_t handle = self.imports[request->handle].handle;

	if (request->op == PEER_PUT) {
		memset(data, (int)request->value, sizeof(data));
		return rsm_memseg_import_put(handle, request->offset, data,
					     request->length < PEER_DATA ? request->length : PEER_DATA);
	}
	int code = rsm_memseg_import_get8(handle, request->offset, data, 1);
	reply->value = code ? -1 : data[0];
	return code;
}

static int map(const struct peer_request *request, struct import *import)
{
	void *address = NULL;
	int code = rsm_memseg_import_map(import->handle, &address, RSM_MAP_NONE,
					 (rsm_permission_t)request->value, 0, request->length);
	if (code == RSM_SUCCESS) {
		import->map = address;
		import->mapped = request->length;
	}
	return code;
}

static void keep(void *address, size_t length)
{
	if (address != MAP_FAILED && self.held_count < HELD_MAX) {
		self.held[self.held_count].address = address;
		self.held[self.held_count++].length = length;
	}
}

/* A memfd of the library's; files that the process inherited from whoever started the test are not its prey. */
static size_t memfd_size(int fd, char *path, size_t size)
{
	char target[64];
	struct stat info;

	snprintf(path, size, "/proc/self/fd/%d", fd);
	ssize_t length = readlink(path, target, sizeof(target) - 1);
	if (length < 7 || strncmp(target, "/memfd:", 7) != 0 || fstat(fd, &info))
		return 0;
	return (size_t)info.st_size;
}

/*
 * What a hostile importer can do while it is connected: a second map of what the library mapped for it (mremap from
 * size 0 duplicates a shared map), and maps of every memory descriptor the process holds, also reopened for writing.
 */
static int hold(struct import *import)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), mapped = (import->mapped + page - 1) / page * page;
	char path[64];

	if (import->map)
		keep(mremap(import->map, 0, mapped, MREMAP_MAYMOVE), mapped);
	for (int fd = 3; fd < 256; fd++) {
		size_t size = memfd_size(fd, path, sizeof(path));
		if (size == 0)
			continue;
		keep(mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), size);
		int again = open(path, O_RDWR | O_CLOEXEC);
		if (again >= 0) {
			keep(mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, again, 0), size);
			close(again);
		}
	}
	return self.held_count < HELD_MAX ? RSM_SUCCESS : RSMERR_INSUFFICIENT_RESOURCES;
}

static int64_t held_store(int value)
{
	int64_t written = 0;

	for (size_t at = 0; at < self.held_count; at++) {
		volatile uint8_t *bytes = self.held[at].address;
		for (size_t byte = 0; byte < self.held[at].length; byte += 64, written++)
			bytes[byte] = (uint8_t)value;
	}
	return written;
}

static int status(struct peer_reply *reply)
{
	char *json = NULL;
	int code = controller_ready();

	if (code == RSM_SUCCESS)
		code = rsmx_status("status", 0, &json);
	const char *pid = code ? NULL : strstr(json, "\"pid\":"); /* the daemon's comes before its clients' */
	reply->value = pid ? atoi(pid + 6) : -1;
	free(json);
	return code;
}

static int perform_import(const struct peer_request *request, struct peer_reply *reply, struct import *import)
{
	void *either = request->handle == PEER_EXPORT ? (void *)self.export : (void *)import->handle;
	volatile uint8_t *memory = request->handle == PEER_EXPORT ? self.memory : import->map;
	struct pollfd fd;
	int code;

	switch (request->op) {
	case PEER_CONNECT:
		code = controller_ready();
		return code ? code
			    : rsm_memseg_import_connect(self.controller, request->node, request->id,
							(rsm_permission_t)request->value, &import->handle);
	case PEER_INIT:
		return rsm_memseg_import_init_barrier(import->handle, RSM_BAR_DEFAULT, &import->barrier);
	case PEER_OPEN:
		return rsm_memseg_import_open_barrier(&import->barrier);
	case PEER_CLOSE:
		return rsm_memseg_import_close_barrier(&import->barrier);
	case PEER_PUT:
	case PEER_GET:
		return transfer(request, reply);
	case PEER_MAP:
		return map(request, import);
	case PEER_UNMAP:
		import->map = NULL;
		return rsm_memseg_import_unmap(import->handle);
	case PEER_DISCONNECT:
		return rsm_memseg_import_disconnect(import->handle);
	case PEER_POST:
		return rsm_intr_signal_post(either, (uint_t)request->value);
	case PEER_WAIT:
		return rsm_intr_signal_wait(either, (int)request->value);
	case PEER_POLLFD:
		return rsm_memseg_get_pollfd(either, &fd);
	case PEER_STORE:
		memory[request->offset] = (uint8_t)request->value;
		return RSM_SUCCESS;
	case PEER_LOAD:
		reply->value = memory[request->offset];
		return RSM_SUCCESS;
	case PEER_HOLD:
		return hold(import);
	default:
		return RSMERR_BAD_ARGS_ERRORS;
	}
}

static int perform(const struct peer_request *request, struct peer_reply *reply)
{
	switch (request->op) {
	case PEER_UMASK:
		umask((mode_t)request->value);
		return RSM_SUCCESS;
	case PEER_CREATE:
		return create(request);
	case PEER_PUBLISH:
	case PEER_REPUBLISH:
		return publish(request, reply);
	case PEER_REBIND:
		return rebind(request);
	case PEER_UNPUBLISH:
		return rsm_memseg_export_unpublish(self.export);
	case PEER_DESTROY:
		return rsm_memseg_export_destroy(self.export);
	case PEER_HELD_STORE:
		reply->value = held_store((int)request->value);
		return RSM_SUCCESS;
	case PEER_STATUS:
		return status(reply);
	case PEER_EXEC:
		dup2(self.socket, 0);
		execl("/bin/cat", "cat", (char *)NULL);
		_exit(127);
	case PEER_EXIT:
		_exit((int)request->value);
	default:
		return perform_import(request, reply, &self.imports[request->handle]);
	}
}

/* argv: program, PEER_ARGUMENT, descriptor, controller, "same" or uid:gid:group */
int peer_main(int argc, char **argv)
{
	struct peer_request request;

	if (argc != 5)
		return 2;
	if (isdigit((unsigned char)argv[4][0]))
		return become(argv, argv[4]);
	self.socket = atoi(argv[2]);
	if (fcntl(self.socket, F_SETFD, FD_CLOEXEC))
		return 5;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	self.controller_name = argv[3];
	while (recv(self.socket, &request, sizeof(request), 0) == (ssize_t)sizeof(request)) {
		struct peer_reply reply = {0};
		if (request.handle > PEER_EXPORT ||
		    send(self.socket, &reply, sizeof(reply), MSG_NOSIGNAL) < 0)
			return 6;
		reply.code = perform(&request, &reply);
		if (reply.code)
			strncpy(reply.reason, rsmx_last_error(), sizeof(reply.reason) - 1);
		if (send(self.socket, &reply, sizeof(reply), MSG_NOSIGNAL) < 0)
			return 0;
	}
	return 0;
}
