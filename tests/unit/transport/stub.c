/* SPDX-License-Identifier: BSD-2-Clause */
#include "stub.h"

#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fd.h"
#include "base/reason.h"
#include "rsmapi.h"

int stub_memory(size_t length, unsigned char fill)
{
	int fd = memfd_create("stub", MFD_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)length), 0);
	unsigned char *map = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_ptr_not_equal(map, MAP_FAILED);
	memset(map, fill, length);
	munmap(map, length);
	return fd;
}

void stub_layout_add(struct stub *stub, int fd, uint64_t offset, uint64_t length)
{
	struct transport_layout *layout = &stub->layout;
	layout->extents[layout->count++] =
		(struct segment_extent){.fd = fd, .shmid = -1, .offset = offset, .length = length};
	layout->fds[layout->fd_count++] = fd;
}

void stub_layout(struct stub *stub, int fd, uint64_t offset, uint64_t length)
{
	transport_layout_clear(&stub->layout);
	stub_layout_add(stub, fd, offset, length);
}

void stub_connect(struct stub *stub, size_t length, unsigned char fill, uint32_t granted, int *fd)
{
	memset(stub, 0, sizeof(*stub));
	atomic_store(&stub->status.epoch, SEGMENT_EPOCH(7, 2));
	stub->import.ops = &transport_local_ops;
	stub->import.status = &stub->status;
	stub->import.length = length;
	stub->import.granted = granted;
	stub->import.generation = 7;
	atomic_store(&stub->import.implicit, true);
	stub->layout.epoch = SEGMENT_EPOCH(7, 2);
	*fd = stub_memory(length, fill);
	stub_layout(stub, *fd, 0, length);
	assert_int_equal(local_attach(&stub->import, &stub->layout), RSM_SUCCESS);
}

void stub_disconnect(struct stub *stub)
{
	if (stub->import.window != NULL)
		local_unmap(&stub->import);
	local_detach(&stub->import);
	transport_layout_clear(&stub->layout);
	assert_false(stub->locked);
}

static void wake(struct stub *stub)
{
	syscall(SYS_futex, SEGMENT_EPOCH_FUTEX(&stub->status.epoch), FUTEX_WAKE, INT32_MAX, NULL, NULL, 0);
}

void stub_move(struct stub *stub)
{
	stub->layout.epoch = atomic_fetch_add(&stub->status.epoch, 2) + 2;
}

void stub_move_begin(struct stub *stub)
{
	atomic_fetch_add(&stub->status.epoch, 1);
}

void stub_move_end(struct stub *stub)
{
	stub->layout.epoch = atomic_load(&stub->status.epoch) + 1; /* before anybody may fetch it */
	atomic_fetch_add(&stub->status.epoch, 1);
	wake(stub);
}

void stub_abort(struct stub *stub)
{
	atomic_fetch_add(&stub->status.epoch, SEGMENT_EPOCH(1, 0));
	wake(stub);
}

void stub_await_sleep(const _Atomic pid_t *thread)
{
	char path[64], text[256], state = 'R';
	while (state != 'S') {
		snprintf(path, sizeof(path), "/proc/self/task/%d/stat", atomic_load(thread));
		int fd = open(path, O_RDONLY | O_CLOEXEC);
		sched_yield();
		if (fd < 0)
			continue; /* it has not told its id yet */
		ssize_t length = read(fd, text, sizeof(text) - 1);
		close(fd);
		assert_true(length > 0);
		text[length] = '\0';
		state = strrchr(text, ')')[2];
	}
}

unsigned char stub_byte(int fd, uint64_t offset)
{
	unsigned char byte;
	assert_int_equal(pread(fd, &byte, 1, (off_t)offset), 1);
	return byte;
}

bool stub_is_all(int fd, uint64_t offset, size_t length, unsigned char value)
{
	unsigned char *bytes = malloc(length);
	assert_non_null(bytes);
	assert_int_equal(pread(fd, bytes, length, (off_t)offset), length);
	bool same = bytes[0] == value && memcmp(bytes, bytes + 1, length - 1) == 0;
	free(bytes);
	return same;
}

bool stub_can_read(const void *address)
{
	int ends[2];
	assert_int_equal(pipe(ends), 0);
	bool can = write(ends[1], address, 1) == 1;
	close(ends[0]);
	close(ends[1]);
	return can;
}

bool stub_can_write(void *address)
{
	int zero = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	assert_true(zero >= 0);
	bool can = read(zero, address, 1) == 1;
	close(zero);
	return can;
}

bool stub_is_mapped(const void *address)
{
	return msync((void *)(uintptr_t)address, 1, MS_ASYNC) == 0;
}

unsigned stub_address_space(void)
{
	char text[256];
	int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	ssize_t length = read(fd, text, sizeof(text) - 1);
	close(fd);
	assert_true(length > 0);
	text[length] = '\0';
	return (unsigned)strtoul(text, NULL, 10);
}

/* ---- what the library provides ---- */

_Atomic bool stub_is_orphaned;

int transport_layout_fetch(struct transport_import *import, struct transport_layout *layout)
{
	struct stub *stub = (struct stub *)import;
	stub->fetches++;
	if (stub->fetch_code != RSM_SUCCESS) {
		memset(layout, 0x55, sizeof(*layout)); /* nothing in it may be used */
		return base_refuse(stub->fetch_code, "as the test wants");
	}
	*layout = stub->layout;
	for (size_t i = 0; i < layout->fd_count; i++) {
		layout->fds[i] = fcntl(stub->layout.fds[i], F_DUPFD_CLOEXEC, 3);
		layout->extents[i].fd = layout->fds[i];
	}
	return RSM_SUCCESS;
}

void transport_layout_clear(struct transport_layout *layout)
{
	for (size_t i = 0; i < layout->fd_count; i++)
		base_fd_close(&layout->fds[i]);
	layout->fd_count = layout->count = 0;
}

void transport_lock(struct transport_import *import)
{
	struct stub *stub = (struct stub *)import;
	assert_false(stub->locked);
	stub->locked = true;
	stub->locks++;
}

void transport_unlock(struct transport_import *import)
{
	struct stub *stub = (struct stub *)import;
	assert_true(stub->locked);
	stub->locked = false;
}

_Atomic unsigned stub_failures;

void transport_failed(struct transport_import *import)
{
	(void)import;
	atomic_fetch_add(&stub_failures, 1);
}

bool transport_is_orphaned(struct transport_import *import)
{
	(void)import;
	return stub_is_orphaned;
}
