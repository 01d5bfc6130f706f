/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * rsmd/target: what the loop's thread may rely on. When a grant is closed or held nothing of its guest moves any more; moved
 * memory is found again; without a lease nothing is touched; an event wakes the exporter.
 */
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <rsmapi.h>

#include "base/clock.h"
#include "guest.h"
#include "rsmd/peer.h"
#include "segment/memfd.h"

#define LENGTH ((size_t)1 << 20)

/* A client that does not stop to put, small and large, until its connection ends. Each put has another byte. */
struct flood {
	struct guest *guest;
	size_t length;
	_Atomic uint64_t puts;
};

static bool flood_send(int socket, const void *bytes, size_t length)
{
	const char *from = bytes;
	while (length) {
		ssize_t sent = send(socket, from, length, MSG_NOSIGNAL);
		if (sent <= 0)
			return false;
		from += sent;
		length -= (size_t)sent;
	}
	return true;
}

static void *flood_run(void *context)
{
	struct flood *flood = context;
	unsigned char *bytes = malloc(WIRE_REQUEST_SIZE + flood->length);
	for (uint32_t n = 0;; n++) {
		const struct wire_request request = {WIRE_OP_PUT, 0, 0, n, n % 64, flood->length};
		wire_request_pack(&request, bytes);
		memset(bytes + WIRE_REQUEST_SIZE, (int)n, flood->length);
		if (!flood_send(flood->guest->socket, bytes, WIRE_REQUEST_SIZE + flood->length))
			break;
		atomic_store(&flood->puts, n);
	}
	free(bytes);
	return NULL;
}

static uint64_t checksum(const unsigned char *bytes)
{
	uint64_t sum = 0, word;
	for (size_t at = 0; at < LENGTH; at += 8) {
		memcpy(&word, bytes + at, 8);
		sum = (sum << 1 | sum >> 63) ^ word;
	}
	return sum;
}

/* Until the guest's puts have been seen in memory for a while. */
static void wait_for_puts(const struct guest *guest, uint64_t count)
{
	uint64_t end = base_clock_ns() + 20000000000u, start = atomic_load(&guest->grant->counted->puts);
	while (atomic_load(&guest->grant->counted->puts) < start + count)
		assert_true(base_clock_ns() < end);
}

static void test_close_fences(void **state)
{
	static const size_t lengths[] = {8, 1000, 65536, LENGTH - 64};
	struct guest_export export;
	struct guest guest;
	pthread_t thread;
	(void)state;
	guest_export_open(&export, LENGTH, true);
	for (int round = 0; round < 40; round++) {
		struct flood flood = {.guest = &guest, .length = lengths[round % 4]};
		guest_open(&guest, &export, GUEST_TCP, RSM_PERM_RDWR, NULL, false);
		struct rsmd_grant *grant = guest.grant;
		rsmd_grant_ref(grant);
		assert_int_equal(pthread_create(&thread, NULL, flood_run, &flood), 0);
		wait_for_puts(&guest, (unsigned)round % 7 + 2);
		rsmd_grant_close(grant);
		uint64_t sum = checksum(export.memory), puts = atomic_load(&grant->counted->puts);
		/* The client goes on, until it learns of it. */
		pthread_join(thread, NULL);
		assert_int_equal(checksum(export.memory), sum);
		assert_int_equal(atomic_load(&grant->counted->puts), puts);
		rsmd_target_close(&export.export);
		assert_null(export.export.target);
		rsmd_grant_unref(grant);
		close(guest.socket);
	}
	guest_export_close(&export);
}

/* The exporter gets other memory, with the same contents. */
static int move(struct guest_export *export)
{
	int fd;
	assert_int_equal(segment_memfd_create("moved", LENGTH, false, 0, &fd), RSM_SUCCESS);
	unsigned char *memory = mmap(NULL, LENGTH, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_ptr_not_equal(memory, MAP_FAILED);
	memcpy(memory, export->memory, LENGTH);
	int old = export->object.fd;
	export->object.fd = fd;
	munmap(export->memory, LENGTH);
	export->memory = memory;
	return old;
}

static void test_hold_and_move(void **state)
{
	struct guest_export export;
	struct guest guest, other;
	pthread_t thread;
	(void)state;
	guest_export_open(&export, LENGTH, true);
	struct flood flood = {.guest = &guest, .length = 1000};
	guest_open(&other, &export, GUEST_TCP, RSM_PERM_RDWR, NULL, false);
	guest_open(&guest, &export, GUEST_TCP, RSM_PERM_RDWR, NULL, false);
	assert_int_equal(pthread_create(&thread, NULL, flood_run, &flood), 0);
	for (uint64_t round = 1; round <= 50; round++) {
		wait_for_puts(&guest, 20);
		rsmd_target_hold(&export.export);
		uint64_t sum = checksum(export.memory);
		/* Sent into the hold: waits. */
		guest_put(&other, 0, 2000, &round, 8);
		guest_request(&other, WIRE_OP_FENCE, GUEST_FULL, 0, 0, 0);
		struct pollfd poller = {.fd = other.socket, .events = POLLIN};
		assert_int_equal(poll(&poller, 1, 1), 0);
		assert_int_equal(checksum(export.memory), sum);
		int old = move(&export);
		rsmd_target_move(&export.export);
		guest_answered(&other, WIRE_OP_FENCE, other.sequence - 1, 0);
		assert_memory_equal(export.memory + 2000, &round, 8);
		uint64_t value;
		assert_int_equal(pread(old, &value, 8, 2000), 8);
		assert_int_equal(value, round - 1);
		close(old);
	}
	wait_for_puts(&guest, 20);
	shutdown(guest.socket, SHUT_RDWR);
	pthread_join(thread, NULL);
	guest_close(&guest);
	guest_close(&other);
	guest_export_close(&export);
}

/* The new memory cannot be mapped: the guests' connections end, the export lives on. */
static void test_move_fails(void **state)
{
	struct guest_export export;
	struct guest guest;
	char byte;
	(void)state;
	guest_export_open(&export, LENGTH, true);
	guest_open(&guest, &export, GUEST_TCP, RSM_PERM_RDWR, NULL, false);
	guest_fence(&guest);
	rsmd_target_hold(&export.export);
	export.export.extents[0].length -= 4096;
	rsmd_target_move(&export.export);
	assert_false(guest_receive(&guest, &byte, 1));
	assert_null(guest_ended(&guest));
	export.export.extents[0].length += 4096;
	struct guest next;
	guest_open(&next, &export, GUEST_TCP, RSM_PERM_RDWR, NULL, false);
	guest_put(&next, GUEST_FULL, 0, "next", 4);
	guest_answered(&next, WIRE_OP_PUT, 0, 0);
	assert_memory_equal(export.memory, "next", 4);
	guest_close(&next);
	guest_close(&guest);
	guest_export_close(&export);
}

/* Two guests, one map; the last one takes it along. Closing one does not disturb the other. */
static void test_shared(void **state)
{
	struct guest_export export;
	struct guest first, second;
	(void)state;
	guest_export_open(&export, LENGTH, true);
	guest_open(&first, &export, GUEST_TCP, RSM_PERM_RDWR, NULL, false);
	guest_open(&second, &export, GUEST_LOCAL, RSM_PERM_RDWR, NULL, false);
	assert_ptr_equal(first.grant->view.base, second.grant->view.base);
	guest_put(&first, 0, 0, "1", 1);
	guest_fence(&first);
	guest_close(&first);
	guest_put(&second, 0, 1, "2", 1);
	guest_fence(&second);
	assert_memory_equal(export.memory, "12", 2);
	assert_non_null(export.export.target);
	guest_close(&second);
	guest_export_close(&export);
}

static void test_lease(void **state)
{
	static struct rsmd_peer peer;
	struct guest_export export;
	struct guest guest;
	(void)state;
	guest_export_open(&export, LENGTH, true);
	atomic_store(&peer.lease, base_clock_boot_ns() + 3600000000000u);
	guest_open(&guest, &export, GUEST_TCP, RSM_PERM_RDWR, &peer, false);
	for (int round = 1; round <= 5; round++) {
		guest_put(&guest, 0, 0, &round, sizeof(round));
		guest_fence(&guest);
		atomic_store(&peer.lease, round % 2 ? 0 : base_clock_boot_ns());
		guest_put(&guest, 0, 0, "xxxxxxxx", 8);
		guest_request(&guest, WIRE_OP_FENCE, GUEST_FULL, 0, 0, 0);
		struct pollfd poller = {.fd = guest.socket, .events = POLLIN};
		assert_int_equal(poll(&poller, 1, 50), 0);
		assert_memory_equal(export.memory, &round, sizeof(round));
		/* A beat came after all. */
		atomic_store(&peer.lease, base_clock_boot_ns() + 3600000000000u);
		guest_answered(&guest, WIRE_OP_FENCE, guest.sequence - 1, 0);
		assert_memory_equal(export.memory, "xxxxxxxx", 8);
	}
	/* Ended without a lease, and by a client that dies without one. */
	atomic_store(&peer.lease, 0);
	guest_put(&guest, 0, 0, "yyyyyyyy", 8);
	guest_close(&guest);
	assert_memory_equal(export.memory, "xxxxxxxx", 8);
	guest_open(&guest, &export, GUEST_LOCAL, RSM_PERM_RDWR, NULL, false);
	guest_close(&guest);
	guest_export_close(&export);
}

struct waiter {
	struct segment_signal *slot;
	atomic_bool asleep;
};

static void *waiter_run(void *context)
{
	struct waiter *waiter = context;
	const struct timespec limit = {.tv_sec = 20};
	while (!(atomic_load(&waiter->slot->events) & SEGMENT_SIGNAL_COUNT)) {
		atomic_store(&waiter->slot->waiters, 1);
		atomic_store(&waiter->asleep, true);
		if (syscall(SYS_futex, &waiter->slot->events, FUTEX_WAIT, 0, &limit, NULL, 0) &&
		    errno == ETIMEDOUT)
			return NULL;
	}
	return waiter;
}

static void test_post(void **state)
{
	struct guest_export export;
	struct guest guest;
	(void)state;
	guest_export_open(&export, LENGTH, true);
	struct segment_signal *slot = &export.export.signals.memory[0];
	guest_open(&guest, &export, GUEST_TCP, RSM_PERM_NONE, NULL, false);
	/* A sleeper wakes. */
	struct waiter waiter = {.slot = slot};
	pthread_t thread;
	void *woken;
	assert_int_equal(pthread_create(&thread, NULL, waiter_run, &waiter), 0);
	while (!atomic_load(&waiter.asleep))
		;
	guest_request(&guest, WIRE_OP_POST, GUEST_FULL, 0, 0, 0);
	guest_answered(&guest, WIRE_OP_POST, 0, 0);
	pthread_join(thread, &woken);
	assert_non_null(woken);
	assert_int_equal(atomic_load(&slot->events), 1);
	/* Counted, or not. */
	guest_request(&guest, WIRE_OP_POST, GUEST_FULL, 0, 0, 0);
	guest_request(&guest, WIRE_OP_POST, GUEST_FULL | WIRE_FLAG_NO_ACCUMULATE, 0, 0, 0);
	guest_answered(&guest, WIRE_OP_POST, 1, 0);
	guest_answered(&guest, WIRE_OP_POST, 2, 0);
	assert_int_equal(atomic_load(&slot->events), 2);
	/* The descriptor for poll is readable when the answer comes; and only once for many. */
	int ends[2];
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
	atomic_store(&slot->events, 0);
	pthread_mutex_lock(&export.export.signals.bell);
	export.export.signals.doorbell = ends[0];
	pthread_mutex_unlock(&export.export.signals.bell);
	atomic_store(&slot->doorbell, 1);
	for (unsigned n = 3; n < 10; n++)
		guest_request(&guest, WIRE_OP_POST, GUEST_FULL, 0, 0, 0);
	char bytes[16];
	guest_answered(&guest, WIRE_OP_POST, 3, 0);
	assert_int_equal(recv(ends[1], bytes, sizeof(bytes), 0), 1);
	for (unsigned n = 4; n < 10; n++)
		guest_answered(&guest, WIRE_OP_POST, n, 0);
	assert_int_equal(recv(ends[1], bytes, sizeof(bytes), 0), -1);
	assert_int_equal(atomic_load(&slot->events), 7);
	assert_int_equal(atomic_load(&guest.grant->counted->posts), 10);
	close(ends[1]);
	guest_close(&guest);
	guest_export_close(&export);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_close_fences), cmocka_unit_test(test_hold_and_move),
		cmocka_unit_test(test_move_fails),   cmocka_unit_test(test_shared),
		cmocka_unit_test(test_lease),        cmocka_unit_test(test_post),
	};
	guest_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
