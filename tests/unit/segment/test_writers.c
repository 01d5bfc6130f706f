/* SPDX-License-Identifier: BSD-2-Clause */
/* No store is lost that other threads make while their memory goes to its new home, with every guard there is. */
#include "memory.h"

#include <fcntl.h>
#include <pthread.h>
#include <rsmapi.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define WRITERS 3
#define LENGTH  (6 * MEMORY_MIB)
#define SLOTS   (LENGTH / sizeof(uint64_t) / WRITERS)

struct writer {
	pthread_t thread;
	uint64_t *slots; /* its own, WRITERS apart; all pages are everybody's */
	size_t number;
	uint64_t counts[SLOTS]; /* what each slot must have in the end */
	atomic_size_t rounds;
	atomic_bool stop;
};

static struct writer writers[WRITERS];

/* Walks over its slots with steps that reach many pages soon, one increment each. */
static void *write_slots(void *context)
{
	struct writer *writer = context;
	size_t slot = writer->number * 1000;
	while (!atomic_load_explicit(&writer->stop, memory_order_relaxed)) {
		for (int i = 0; i < 64; i++) {
			slot = (slot + 7919) % SLOTS;
			uint64_t *at = &writer->slots[slot * WRITERS + writer->number];
			__atomic_fetch_add(at, 1, __ATOMIC_RELAXED);
			writer->counts[slot]++;
		}
		atomic_fetch_add_explicit(&writer->rounds, 1, memory_order_relaxed);
	}
	return NULL;
}

static void start_writers(void *memory)
{
	for (size_t i = 0; i < WRITERS; i++) {
		memset(writers[i].counts, 0, sizeof(writers[i].counts));
		writers[i].slots = memory;
		writers[i].number = i;
		atomic_store(&writers[i].stop, false);
		atomic_store(&writers[i].rounds, 0);
		assert_int_equal(pthread_create(&writers[i].thread, NULL, write_slots, &writers[i]), 0);
	}
}

/* Until every writer has got on: so that the next step meets them at work, however few processors there are. */
static void wait_for_writers(void)
{
	for (size_t i = 0; i < WRITERS; i++) {
		size_t before = atomic_load(&writers[i].rounds);
		while (atomic_load(&writers[i].rounds) < before + 5)
			sched_yield();
	}
}

static size_t stop_and_count_lost(void)
{
	size_t lost = 0;
	for (size_t i = 0; i < WRITERS; i++)
		atomic_store(&writers[i].stop, true);
	for (size_t i = 0; i < WRITERS; i++)
		pthread_join(writers[i].thread, NULL);
	for (size_t i = 0; i < WRITERS; i++)
		for (size_t slot = 0; slot < SLOTS; slot++)
			lost += writers[i].slots[slot * WRITERS + i] != writers[i].counts[slot];
	return lost;
}

/* Stores lost over some rounds of adopt, move and return; `touched`: the memory is populated before. */
static size_t lost_stores(const struct segment_guard *guard, bool touched, size_t rounds)
{
	unsigned char *at = memory_map(LENGTH);
	madvise(at, LENGTH, MADV_NOHUGEPAGE);
	if (touched)
		memset(at, 0, LENGTH);
	start_writers(at);
	for (size_t i = 0; i < rounds; i++) {
		int fd = memory_memfd(LENGTH), fresh = memory_memfd(LENGTH);
		assert_int_equal(memory_adopt(at, LENGTH, fd, 0, guard), RSM_SUCCESS);
		wait_for_writers();
		assert_int_equal(segment_move(at, LENGTH, fd, 0, fresh, 0, guard), RSM_SUCCESS);
		wait_for_writers();
		assert_int_equal(segment_return(at, LENGTH, fresh, 0, guard), RSM_SUCCESS);
		wait_for_writers();
		close(fd);
		close(fresh);
	}
	size_t lost = stop_and_count_lost();
	munmap(at, LENGTH);
	return lost;
}

static void test_nothing_is_lost(void **state)
{
	struct segment_guard *guard = *state;
	if (guard->fd < 0)
		skip();
	assert_int_equal(lost_stores(guard, true, 20), 0);
}

/* Pages come into being while they are adopted. */
static void test_nothing_is_lost_of_sparse_memory(void **state)
{
	struct segment_guard *guard = *state;
	if (guard->fd < 0)
		skip();
	for (int i = 0; i < 10; i++)
		assert_int_equal(lost_stores(guard, false, 1), 0);
}

/* Shows that the test above can fail: without a guard stores do get lost. */
static void test_without_guard_stores_are_lost(void **state)
{
	(void)state;
	struct segment_guard none = {.fd = -1, .kind = SEGMENT_GUARD_NONE};
	size_t lost = 0;
	for (int i = 0; i < 200 && lost == 0; i++)
		lost = lost_stores(&none, true, 5);
	assert_true(lost > 0);
}

/* A failed adoption is undone under the writers' feet. */
static void test_nothing_is_lost_by_undoing(void **state)
{
	struct segment_guard *guard = *state;
	if (guard->fd < 0)
		skip();
	unsigned char *at = memory_map(LENGTH);
	memset(at, 0, LENGTH);
	start_writers(at);
	for (int i = 0; i < 20; i++) {
		int fd = memory_memfd(4 * MEMORY_MIB);
		assert_int_not_equal(memory_adopt(at, LENGTH, fd, 0, guard), RSM_SUCCESS);
		wait_for_writers();
		close(fd);
	}
	assert_int_equal(stop_and_count_lost(), 0);
	munmap(at, LENGTH);
}

/* `old`: as on a kernel before 6.4, where protection leaves out pages that do not exist; they stay trapped. */
static struct segment_guard best, old, device;

int main(void)
{
	int file = open("/dev/userfaultfd", O_RDWR | O_CLOEXEC);
	segment_guard_open(&best, -1);
	segment_guard_open(&old, -1);
	old.features = 0;
	device = (struct segment_guard){.fd = -1};
	if (file >= 0)
		segment_guard_open(&device, file);
	const struct CMUnitTest tests[] = {
		{"nothing is lost, best guard", test_nothing_is_lost, NULL, NULL, &best},
		{"nothing is lost, device", test_nothing_is_lost, NULL, NULL, &device},
		{"nothing is lost, old kernel", test_nothing_is_lost, NULL, NULL, &old},
		{"nothing is lost of sparse memory, best guard", test_nothing_is_lost_of_sparse_memory, NULL,
		 NULL, &best},
		{"nothing is lost of sparse memory, old kernel", test_nothing_is_lost_of_sparse_memory, NULL,
		 NULL, &old},
		{"nothing is lost by undoing", test_nothing_is_lost_by_undoing, NULL, NULL, &best},
		cmocka_unit_test(test_without_guard_stores_are_lost),
	};
	if (file >= 0)
		close(file);
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	segment_guard_close(&best);
	segment_guard_close(&old);
	segment_guard_close(&device);
	return failed;
}
