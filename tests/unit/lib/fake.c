/* SPDX-License-Identifier: BSD-2-Clause */
#include "fake.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fd.h"
#include "lib/lib.h"
#include "segment/memfd.h"

#define TABLE_SIZE (FAKE_SLOTS * sizeof(struct segment_status))

static struct {
	fake_answer answer;
	pthread_t thread;
	pid_t caller; /* thread id of who called fake_start */
	int listener;
	struct sockaddr_un address;
	char directory[64];
	int table;
	struct segment_status *status;
	_Atomic unsigned conversations, requests;
} fake;

void fake_die(const char *file, int line, const char *what)
{
	fprintf(stderr, "%s:%d: %s\n", file, line, what);
	abort();
}

/* ---- its answers ---- */

void fake_send_body(int socket, const void *bytes, size_t length)
{
	FAKE_MUST(wire_packet_send(socket, bytes, length, NULL, 0, false) == 0);
}

void fake_send_raw(int socket, const void *bytes, size_t length)
{
	FAKE_MUST(send(socket, bytes, length, MSG_NOSIGNAL) == (ssize_t)length);
}

void fake_reply(int socket, const Wire__Request *request, Wire__Reply *reply, const int *fds, size_t fd_count)
{
	reply->id = request->id;
	size_t length = wire__reply__get_packed_size(reply);
	uint8_t *body = malloc(length + 1);
	FAKE_MUST(body != NULL);
	wire__reply__pack(reply, body);
	FAKE_MUST(wire_packet_send(socket, body, length, fds, fd_count, false) == 0);
	free(body);
}

void fake_reply_empty(int socket, const Wire__Request *request)
{
	Wire__Reply reply;
	wire__reply__init(&reply);
	fake_reply(socket, request, &reply, NULL, 0);
}

void fake_hello_fill(Wire__HelloReply *hello)
{
	wire__hello_reply__init(hello);
	hello->version = WIRE_VERSION;
	hello->release = fake_text("9.8.7");
	hello->node_id = 3;
	hello->node_name = fake_text("fake");
	hello->max_segments = 100;
	hello->max_exported_bytes = 1 << 20;
	hello->status_slots = FAKE_SLOTS;
	hello->daemon_pid = getpid();
}

void fake_hello_send(int socket, const Wire__Request *request, Wire__HelloReply *hello, const int *fds,
		     size_t fd_count)
{
	Wire__Reply reply;
	wire__reply__init(&reply);
	reply.body_case = WIRE__REPLY__BODY_HELLO;
	reply.hello = hello;
	fake_reply(socket, request, &reply, fds, fd_count);
}

_Atomic uint64_t fake_features;

bool fake_hello(int socket, const Wire__Request *request)
{
	Wire__Controller loopback, shm;
	Wire__Controller *controllers[] = {&loopback, &shm};
	Wire__HelloReply hello;
	wire__controller__init(&loopback);
	wire__controller__init(&shm);
	loopback.name = loopback.type = fake_text("loopback");
	shm.name = fake_text("shm0");
	shm.type = fake_text("local");
	fake_hello_fill(&hello);
	hello.features = atomic_load(&fake_features);
	hello.controllers = controllers;
	hello.n_controllers = 2;
	int table = fake_table();
	fake_hello_send(socket, request, &hello, &table, 1);
	base_fd_close(&table);
	return true;
}

/* ---- its memory ---- */

int fake_memory(size_t length, unsigned char fill)
{
	int fd;
	FAKE_MUST(segment_memfd_create("fake", length, false, 0, &fd) == 0);
	unsigned char *map = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	FAKE_MUST(map != MAP_FAILED);
	if (fill != 0)
		memset(map, fill, length);
	munmap(map, length);
	return fd;
}

int fake_table(void)
{
	int fd;
	FAKE_MUST(segment_memfd_reopen(fake.table, false, &fd) == 0);
	return fd;
}

struct segment_status *fake_status(void)
{
	return fake.status;
}

static void table_make(void)
{
	fake.table = fake_memory(TABLE_SIZE, 0);
	fake.status = mmap(NULL, TABLE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fake.table, 0);
	FAKE_MUST(fake.status != MAP_FAILED);
	struct segment_status_head *head = (struct segment_status_head *)fake.status;
	*head = (struct segment_status_head){
		.magic = SEGMENT_STATUS_MAGIC, .version = SEGMENT_STATUS_VERSION, .slots = FAKE_SLOTS};
}

/* ---- its thread ---- */

static void converse(int socket)
{
	for (bool go_on = true; go_on;) {
		struct wire_packet packet = {0};
		if (wire_packet_receive(socket, WIRE_REQUEST_MAX, false, &packet) != 0)
			return;
		Wire__Request *request = wire__request__unpack(NULL, packet.length, packet.body);
		FAKE_MUST(request != NULL);
		atomic_fetch_add(&fake.requests, 1);
		go_on = fake.answer(socket, request, &packet);
		wire__request__free_unpacked(request, NULL);
		wire_packet_clear(&packet);
	}
}

static void *serve(void *unused)
{
	(void)unused;
	for (;;) {
		int socket = accept4(fake.listener, NULL, NULL, SOCK_CLOEXEC);
		if (socket < 0)
			return NULL;
		atomic_fetch_add(&fake.conversations, 1);
		converse(socket);
		close(socket);
	}
}

void fake_start(fake_answer answer)
{
	fake.answer = answer;
	fake.caller = gettid();
	atomic_store(&fake.conversations, 0);
	atomic_store(&fake.requests, 0);
	table_make();
	strcpy(fake.directory, "/tmp/rsm-unit-XXXXXX");
	FAKE_MUST(mkdtemp(fake.directory) != NULL);
	fake.address = (struct sockaddr_un){.sun_family = AF_UNIX};
	snprintf(fake.address.sun_path, sizeof(fake.address.sun_path), "%s/sock", fake.directory);
	fake.listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	FAKE_MUST(fake.listener >= 0);
	FAKE_MUST(bind(fake.listener, (struct sockaddr *)&fake.address, sizeof(fake.address)) == 0);
	FAKE_MUST(listen(fake.listener, 8) == 0);
	FAKE_MUST(setenv("RSM_SOCKET", fake.address.sun_path, 1) == 0);
	FAKE_MUST(pthread_create(&fake.thread, NULL, serve, NULL) == 0);
}

void fake_stop(void)
{
	lib_lock();
	lib_daemon_close();
	lib_unlock();
	shutdown(fake.listener, SHUT_RDWR); /* ends accept */
	pthread_join(fake.thread, NULL);
	base_fd_close(&fake.listener);
	unlink(fake.address.sun_path);
	rmdir(fake.directory);
	munmap(fake.status, TABLE_SIZE);
	base_fd_close(&fake.table);
}

unsigned fake_conversations(void)
{
	return atomic_load(&fake.conversations);
}

unsigned fake_requests(void)
{
	return atomic_load(&fake.requests);
}

/* ---- what the kernel tells of us ---- */

void fake_await_sleep(void)
{
	char path[64], text[256], state = 'R';
	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", fake.caller);
	while (state != 'S') {
		int fd = open(path, O_RDONLY | O_CLOEXEC);
		FAKE_MUST(fd >= 0);
		ssize_t length = read(fd, text, sizeof(text) - 1);
		close(fd);
		FAKE_MUST(length > 0);
		text[length] = '\0';
		const char *name_end = strrchr(text, ')');
		FAKE_MUST(name_end != NULL && name_end[1] != '\0');
		state = name_end[2];
		sched_yield();
	}
}

unsigned fake_descriptors(void)
{
	unsigned count = 0;
	DIR *directory = opendir("/proc/self/fd");
	FAKE_MUST(directory != NULL);
	while (readdir(directory) != NULL)
		count++;
	closedir(directory);
	return count;
}
