/* SPDX-License-Identifier: BSD-2-Clause */
/* Adoption, return and move of quiet memory: contents, holes, attributes, refusals, undoing. */
#include "memory.h"

#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <rsmapi.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/reason.h"

/* Every test of this file runs with the best guard there is, and with none. */
static struct segment_guard guards[2];

static void round_trip(unsigned char *at, size_t length, const struct segment_guard *guard)
{
	int fd = memory_memfd(length), fresh = memory_memfd(length + MEMORY_PAGE);
	unsigned char *seen = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	memory_fill(at, length, 1);
	assert_int_equal(memory_adopt(at, length, fd, 0, guard), RSM_SUCCESS);
	assert_true(memory_has(at, length, 1));
	memory_fill(at, length, 2);
	assert_true(memory_has(seen, length, 2)); /* it is the same memory */
	assert_int_equal(segment_move(at, length, fd, 0, fresh, MEMORY_PAGE, guard), RSM_SUCCESS);
	assert_true(memory_has(at, length, 2));
	assert_true(memory_is_zero(seen, length)); /* a stale map has an orphan */
	memory_fill(seen, length, 3);
	assert_true(memory_has(at, length, 2));
	assert_int_equal(memory_held(fresh), length);
	assert_int_equal(segment_return(at, length, fresh, MEMORY_PAGE, guard), RSM_SUCCESS);
	assert_true(memory_has(at, length, 2));
	assert_int_equal(memory_held(fresh), 0);
	memory_fill(at, length, 4);
	munmap(seen, length);
	close(fd);
	close(fresh);
}

static void test_every_kind_of_private_memory(void **state)
{
	static unsigned char bss[5 * 4096], data[5 * 4096] = {1};
	unsigned char stack[5 * 4096];
	static const size_t lengths[] = {MEMORY_PAGE, 8 * MEMORY_PAGE, 9 * MEMORY_MIB + 3 * MEMORY_PAGE};
	for (size_t i = 0; i < 3; i++) {
		unsigned char *heap = valloc(lengths[i]), *map = memory_map(lengths[i]);
		round_trip(heap, lengths[i], *state);
		round_trip(map, lengths[i], *state);
		munmap(map, lengths[i]);
		free(heap);
	}
	unsigned char *places[] = {bss, data, stack};
	for (size_t i = 0; i < 3; i++)
		round_trip((unsigned char *)(((uintptr_t)places[i] + 4095) & ~(uintptr_t)4095),
			   4 * MEMORY_PAGE, *state);
}

static void test_exclusive_shared_memory_is_adopted_whole(void **state)
{
	unsigned char *at =
		mmap(NULL, 8 * MEMORY_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int fd = memory_memfd(8 * MEMORY_PAGE);
	memory_fill(at, 8 * MEMORY_PAGE, 5);
	madvise(at, 8 * MEMORY_PAGE, MADV_DONTNEED); /* leaves the page table, stays in the object */
	assert_int_equal(memory_adopt(at, 8 * MEMORY_PAGE, fd, 0, *state), RSM_SUCCESS);
	assert_true(memory_has(at, 8 * MEMORY_PAGE, 5));
	munmap(at, 8 * MEMORY_PAGE);
	close(fd);
}

/* Pages of a private file mapping that were never touched have the file's contents. */
static void test_private_file_is_adopted_whole(void **state)
{
	int file = memfd_create("file", MFD_CLOEXEC), fd = memory_memfd(4 * MEMORY_PAGE);
	uint64_t words[4 * 512];
	memory_fill(words, sizeof(words), 6);
	assert_int_equal(write(file, words, sizeof(words)), sizeof(words));
	unsigned char *at = mmap(NULL, sizeof(words), PROT_READ | PROT_WRITE, MAP_PRIVATE, file, 0);
	assert_int_equal(memory_adopt(at, sizeof(words), fd, 0, *state), RSM_SUCCESS);
	assert_true(memory_has(at, sizeof(words), 6));
	assert_int_equal(segment_return(at, sizeof(words), fd, 0, *state), RSM_SUCCESS);
	assert_true(memory_has(at, sizeof(words), 6));
	at[0] ^= 0xff;
	assert_int_equal(pread(file, words, 8, 0), 8);
	assert_true(memory_has(words, 8, 6)); /* the file was not written */
	munmap(at, sizeof(words));
	close(file);
	close(fd);
}

/* Sparse memory: exactly the touched pages are in the memfd, and after the return exactly they are in memory. */
static void test_holes_stay_holes(void **state)
{
	size_t length = 40 * MEMORY_MIB;
	unsigned char *at = memory_map(length);
	int fd = memory_memfd(length), fresh = memory_memfd(length);
	madvise(at, length, MADV_NOHUGEPAGE);
	/* dense and sparse chunks, holes of many sizes, and the very last page */
	size_t touched = 0, page = 3, last = length / MEMORY_PAGE - 1;
	for (size_t step = 1; page < last; page += step, step = step * 3 % 2003 + 1, touched++)
		memory_fill(at + page * MEMORY_PAGE, MEMORY_PAGE, page);
	memory_fill(at + last * MEMORY_PAGE, MEMORY_PAGE, last);
	touched++;
	assert_int_equal(memory_adopt(at, length, fd, 0, *state), RSM_SUCCESS);
	assert_int_equal(memory_held(fd), touched * MEMORY_PAGE);
	assert_int_equal(memory_mappings(at, length), 1);
	assert_int_equal(segment_move(at, length, fd, 0, fresh, 0, *state), RSM_SUCCESS);
	assert_int_equal(memory_held(fd), 0);
	assert_int_equal(memory_held(fresh), touched * MEMORY_PAGE);
	assert_int_equal(segment_return(at, length, fresh, 0, *state), RSM_SUCCESS);
	assert_int_equal(memory_mappings(at, length), 1);
	page = 3;
	for (size_t step = 1; page < last; page += step, step = step * 3 % 2003 + 1)
		assert_true(memory_has(at + page * MEMORY_PAGE, MEMORY_PAGE, page));
	assert_true(memory_has(at + last * MEMORY_PAGE, MEMORY_PAGE, last));
	assert_true(memory_is_zero(at, 3 * MEMORY_PAGE));
	munmap(at, length);
	close(fd);
	close(fresh);
}

/* System calls that a child makes for all three, as a tracer counts them. */
static size_t count_system_calls(size_t length, const struct segment_guard *guard)
{
	size_t count = 0;
	int status;
	pid_t child = memory_fork();
	if (child == 0) {
		struct segment_guard own;
		segment_guard_open(&own, -1);
		unsigned char *at = memory_map(length);
		int fd = memory_memfd(length), fresh = memory_memfd(length);
		const struct segment_guard *use = guard->fd < 0 ? guard : &own;
		if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0 || raise(SIGSTOP) != 0)
			_exit(77);
		_exit(memory_adopt(at, length, fd, 0, use) != RSM_SUCCESS ||
		      segment_move(at, length, fd, 0, fresh, 0, use) != RSM_SUCCESS ||
		      segment_return(at, length, fresh, 0, use) != RSM_SUCCESS || memory_held(fd) != 0 ||
		      memory_held(fresh) != 0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	while (WIFSTOPPED(status)) {
		count++;
		assert_int_equal(ptrace(PTRACE_SYSCALL, child, NULL, NULL), 0);
		assert_int_equal(waitpid(child, &status, 0), child);
	}
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	return count;
}

static void test_untouched_memory_costs_the_same_at_any_size(void **state)
{
	/* 4 MiB and more: both are read about in smaps */
	size_t small = count_system_calls(4 * MEMORY_MIB, *state);
	size_t large = count_system_calls(16384 * MEMORY_MIB, *state);
	assert_in_range(large, small - 8, small + 8);
}

static void test_mappings_of_one_range_keep_what_they_are(void **state)
{
	size_t part = 2 * MEMORY_MIB, length = 4 * part;
	unsigned char *at = memory_map(length);
	int fd = memory_memfd(length), fresh = memory_memfd(length);
	memory_fill(at, length, 7);
	madvise(at + part, part, MADV_DONTDUMP);
	assert_int_equal(mlock(at + 2 * part, MEMORY_PAGE), 0);
	mprotect(at + 3 * part, part, PROT_READ | PROT_WRITE | PROT_EXEC);
	for (int step = 0; step < 4; step++) {
		if (step == 1)
			assert_int_equal(memory_adopt(at, length, fd, 0, *state), RSM_SUCCESS);
		if (step == 2)
			assert_int_equal(segment_move(at, length, fd, 0, fresh, 0, *state), RSM_SUCCESS);
		if (step == 3)
			assert_int_equal(segment_return(at, length, fresh, 0, *state), RSM_SUCCESS);
		assert_true(memory_flag(at + part, "dd"));
		assert_false(memory_flag(at, "dd") || memory_flag(at + 2 * part, "dd"));
		assert_true(MEMORY_SANITIZED || memory_flag(at + 2 * part, "lo"));
		assert_false(memory_flag(at + 2 * part + MEMORY_PAGE, "lo"));
		assert_true(memory_flag(at + 3 * part, "ex"));
		assert_false(memory_flag(at, "ex"));
		assert_int_equal(memory_mappings(at, length), MEMORY_SANITIZED ? 4 : 5);
	}
	assert_true(memory_has(at, length, 7));
	munmap(at, length);
	close(fd);
	close(fresh);
}

/* A program that changed its exported memory's protection, or unmapped a part and put other memory there. */
static void test_only_what_still_is_the_memfd_is_taken_back(void **state)
{
	size_t part = 4 * MEMORY_PAGE;
	unsigned char *at = memory_map(4 * part);
	int fd = memory_memfd(4 * part), fresh = memory_memfd(4 * part);
	memory_fill(at, 4 * part, 8);
	assert_int_equal(memory_adopt(at, 4 * part, fd, 0, *state), RSM_SUCCESS);
	munmap(at + part, part);
	mprotect(at + 2 * part, part, PROT_NONE);
	assert_true(mmap(at + part, MEMORY_PAGE, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == at + part);
	memory_fill(at + part, MEMORY_PAGE, 9);
	assert_int_equal(segment_move(at, 4 * part, fd, 0, fresh, 0, *state), RSM_SUCCESS);
	assert_int_equal(segment_return(at, 4 * part, fresh, 0, *state), RSM_SUCCESS);
	assert_true(memory_has(at + part, MEMORY_PAGE, 9));
	assert_int_equal(memory_mappings(at, 4 * part), 4);
	assert_int_equal(memory_mappings(at + part + MEMORY_PAGE, part - MEMORY_PAGE), 0);
	struct segment_range *list;
	size_t count;
	assert_int_equal(segment_range_collect(at + 2 * part, part, &list, &count), RSM_SUCCESS);
	assert_int_equal(list[0].protection, PROT_NONE);
	free(list);
	mprotect(at + 2 * part, part, PROT_READ | PROT_WRITE);
	unsigned char *whole = memory_map(4 * part);
	memory_fill(whole, 4 * part, 8);
	assert_memory_equal(at, whole, part);
	assert_memory_equal(at + 2 * part, whole + 2 * part, 2 * part);
	munmap(whole, 4 * part);
	munmap(at, 4 * part);
	close(fd);
	close(fresh);
}

static void test_a_part_goes_back_alone(void **state)
{
	size_t part = 3 * MEMORY_MIB;
	unsigned char *at = memory_map(3 * part);
	int fd = memory_memfd(3 * part);
	memory_fill(at, 3 * part, 1);
	assert_int_equal(memory_adopt(at, 3 * part, fd, 0, *state), RSM_SUCCESS);
	assert_int_equal(segment_return(at + part, part, fd, part, *state), RSM_SUCCESS);
	assert_true(memory_has(at, 3 * part, 1));
	assert_int_equal(memory_held(fd), 2 * part);
	assert_int_equal(segment_return(at, 3 * part, fd, 0, *state), RSM_SUCCESS);
	assert_true(memory_has(at, 3 * part, 1));
	assert_int_equal(memory_held(fd), 0);
	munmap(at, 3 * part);
	close(fd);
}

static void test_refuses_what_cannot_be_replaced(void **state)
{
	int fd = memory_memfd(16 * MEMORY_PAGE);
	int shmid = shmget(IPC_PRIVATE, MEMORY_PAGE, 0600);
	void *sysv = shmat(shmid, NULL, 0);
	shmctl(shmid, IPC_RMID, NULL);
	assert_int_equal(memory_adopt(sysv, MEMORY_PAGE, fd, 0, *state), RSMERR_BAD_ADDR);
	shmdt(sysv);
	close(fd);
}

struct own_stack {
	unsigned char *stack;
	size_t length;
	int fd, code;
	const struct segment_guard *guard;
	char reason[BASE_REASON_MAX];
};

static void *adopt_own_stack(void *context)
{
	struct own_stack *own = context;
	own->code = memory_adopt(own->stack, own->length, own->fd, 0, own->guard);
	strcpy(own->reason, base_reason());
	return NULL;
}

/* A thread that put its own stack in transit would wait for itself. */
static void test_refuses_the_stack_in_use(void **state)
{
	struct own_stack own = {.length = MEMORY_MIB, .guard = *state};
	pthread_attr_t attributes;
	pthread_t thread;
	own.stack = memory_map(own.length);
	own.fd = memory_memfd(own.length);
	assert_int_equal(pthread_attr_init(&attributes), 0);
	assert_int_equal(pthread_attr_setstack(&attributes, own.stack, own.length), 0);
	assert_int_equal(pthread_create(&thread, &attributes, adopt_own_stack, &own), 0);
	pthread_join(thread, NULL);
	pthread_attr_destroy(&attributes);
	assert_int_equal(own.code, RSMERR_BAD_ADDR);
	assert_non_null(strstr(own.reason, "stack"));
	munmap(own.stack, own.length);
	close(own.fd);
}

/*
 * A memfd that is too small lets the copy fail in the middle (EPERM by its seals): what was adopted goes back.
 */
static void test_a_failed_adoption_is_undone(void **state)
{
	size_t length = 12 * MEMORY_MIB;
	unsigned char *at = memory_map(length);
	int fd = memory_memfd(length / 2);
	memory_fill(at, length, 1);
	assert_int_not_equal(memory_adopt(at, length, fd, 0, *state), RSM_SUCCESS);
	assert_true(memory_has(at, length, 1));
	memory_fill(at, length, 2);
	struct segment_range *list;
	size_t count;
	assert_int_equal(segment_range_list(at, length, &list, &count), RSM_SUCCESS);
	for (size_t i = 0; i < count; i++)
		assert_int_equal(list[i].kind, SEGMENT_RANGE_ANONYMOUS);
	assert_int_equal(memory_held(fd), 0);
	free(list);
	munmap(at, length);
	close(fd);
}

static void test_a_failed_move_is_undone(void **state)
{
	size_t length = 12 * MEMORY_MIB;
	unsigned char *at = memory_map(length);
	int fd = memory_memfd(length), small = memory_memfd(length / 2);
	memory_fill(at, length, 1);
	assert_int_equal(memory_adopt(at, length, fd, 0, *state), RSM_SUCCESS);
	assert_int_not_equal(segment_move(at, length, fd, 0, small, 0, *state), RSM_SUCCESS);
	assert_true(memory_has(at, length, 1));
	assert_int_equal(memory_held(fd), length);
	assert_int_equal(memory_held(small), 0);
	munmap(at, length);
	close(fd);
	close(small);
}

/* Without address space for a stage the memory stays what it is, and says so. */
static void test_a_failed_return_changes_nothing(void **state)
{
	if (MEMORY_SANITIZED)
		skip();
	size_t length = 64 * MEMORY_MIB;
	unsigned char *at = memory_map(length);
	int fd = memory_memfd(length);
	memory_fill(at, 8 * MEMORY_MIB, 1);
	assert_int_equal(memory_adopt(at, length, fd, 0, *state), RSM_SUCCESS);
	int status;
	pid_t child = memory_fork();
	if (child == 0) {
		struct rlimit limit = {32 * MEMORY_MIB, 32 * MEMORY_MIB};
		setrlimit(RLIMIT_AS, &limit);
		int code = segment_return(at, length, fd, 0, &guards[1]);
		_exit(code != RSMERR_INSUFFICIENT_MEM || !memory_has(at, 8 * MEMORY_MIB, 1));
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	assert_int_equal(memory_held(fd), 8 * MEMORY_MIB);
	munmap(at, length);
	close(fd);
}

/* RLIMIT_FSIZE binds pwrite to a memfd, by a signal too: neither may reach the program. */
static void test_file_size_limit_does_not_matter(void **state)
{
	size_t length = 9 * MEMORY_MIB;
	unsigned char *at = memory_map(length);
	int fd = memory_memfd(length);
	memory_fill(at, length, 3);
	struct rlimit before, limit;
	getrlimit(RLIMIT_FSIZE, &before);
	limit = before;
	limit.rlim_cur = 5 * MEMORY_MIB + 100;
	setrlimit(RLIMIT_FSIZE, &limit); /* SIGXFSZ would kill the test */
	assert_int_equal(memory_adopt(at, length, fd, 0, *state), RSM_SUCCESS);
	setrlimit(RLIMIT_FSIZE, &before);
	assert_true(memory_has(at, length, 3));
	assert_int_equal(memory_held(fd), length);
	munmap(at, length);
	close(fd);
}

static void test_foreign_userfaultfd_is_refused(void **state)
{
	const struct segment_guard *guard = *state;
	if (guard->kind == SEGMENT_GUARD_NONE)
		skip();
	unsigned char *at = memory_map(MEMORY_PAGE);
	int fd = memory_memfd(MEMORY_PAGE);
	struct segment_guard other;
	segment_guard_open(&other, -1);
	at[0] = 1;
	struct uffdio_register request = {.range = {.start = (uintptr_t)at, .len = MEMORY_PAGE},
					  .mode = UFFDIO_REGISTER_MODE_WP};
	assert_int_equal(ioctl(other.fd, UFFDIO_REGISTER, &request), 0);
	assert_int_equal(memory_adopt(at, MEMORY_PAGE, fd, 0, guard), RSMERR_BAD_ADDR);
	assert_int_equal(at[0], 1);
	segment_guard_close(&other);
	munmap(at, MEMORY_PAGE);
	close(fd);
}

/* The child gets the value of the moment, and neither sees the other's stores from then on. */
static void test_forked_child_gets_its_own_copy(void **state)
{
	size_t length = 12 * MEMORY_MIB;
	unsigned char *at = memory_map(length);
	int fd = memory_memfd(length), there[2], done[2], status;
	memory_fill(at, 5 * MEMORY_MIB, 1);
	assert_int_equal(memory_adopt(at, length, fd, 0, *state), RSM_SUCCESS);
	mprotect(at + 8 * MEMORY_MIB, MEMORY_PAGE, PROT_READ);
	assert_int_equal(pipe(there) | pipe(done), 0);
	pid_t child = memory_fork();
	if (child == 0) {
		char byte = 0;
		close(done[1]);
		bool good = segment_copy_private(at, length, fd, 0);
		good = write(there[1], &byte, 1) == 1 && good;
		good = read(done[0], &byte, 1) == 1 && good;
		good = memory_has(at, 5 * MEMORY_MIB, 1) && good;
		memory_fill(at, 4 * MEMORY_MIB, 3);
		good = memory_is_zero(at + 5 * MEMORY_MIB, 7 * MEMORY_MIB) && good;
		_exit(!(good && memory_flag(at + 8 * MEMORY_MIB, "mr") &&
			!memory_flag(at + 8 * MEMORY_MIB, "wr")));
	}
	char byte;
	close(there[1]);
	assert_int_equal(read(there[0], &byte, 1), 1);
	assert_true(memory_has(at, 5 * MEMORY_MIB, 1));
	memory_fill(at, 5 * MEMORY_MIB, 2);
	assert_int_equal(write(done[1], &byte, 1), 1);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	assert_true(memory_has(at, 5 * MEMORY_MIB, 2));
	assert_int_equal(memory_held(fd), 5 * MEMORY_MIB);
	munmap(at, length);
	close(fd);
	close(there[0]);
	close(done[0]);
	close(done[1]);
}

static void test_signals_and_cancellation_are_as_before(void **state)
{
	unsigned char *at = memory_map(8 * MEMORY_MIB);
	int fd = memory_memfd(8 * MEMORY_MIB), cancel;
	sigset_t before, after;
	memory_fill(at, 8 * MEMORY_MIB, 1);
	pthread_sigmask(SIG_SETMASK, NULL, &before);
	assert_int_equal(memory_adopt(at, 8 * MEMORY_MIB, fd, 0, *state), RSM_SUCCESS);
	pthread_sigmask(SIG_SETMASK, NULL, &after);
	for (int number = 1; number < 32; number++)
		assert_int_equal(sigismember(&before, number), sigismember(&after, number));
	pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &cancel);
	assert_int_equal(cancel, PTHREAD_CANCEL_ENABLE);
	munmap(at, 8 * MEMORY_MIB);
	close(fd);
}

#define BOTH(test)                                                                                           \
	{#test " guarded", test, NULL, NULL, &guards[0]},                                                    \
	{                                                                                                    \
#test " unguarded", test, NULL, NULL, &guards[1]                                             \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(test_every_kind_of_private_memory),
		BOTH(test_exclusive_shared_memory_is_adopted_whole),
		BOTH(test_private_file_is_adopted_whole),
		BOTH(test_holes_stay_holes),
		BOTH(test_untouched_memory_costs_the_same_at_any_size),
		BOTH(test_mappings_of_one_range_keep_what_they_are),
		BOTH(test_only_what_still_is_the_memfd_is_taken_back),
		BOTH(test_a_part_goes_back_alone),
		BOTH(test_refuses_what_cannot_be_replaced),
		BOTH(test_refuses_the_stack_in_use),
		BOTH(test_a_failed_adoption_is_undone),
		BOTH(test_a_failed_move_is_undone),
		BOTH(test_a_failed_return_changes_nothing),
		BOTH(test_file_size_limit_does_not_matter),
		BOTH(test_foreign_userfaultfd_is_refused),
		BOTH(test_forked_child_gets_its_own_copy),
		BOTH(test_signals_and_cancellation_are_as_before),
	};
	segment_guard_open(&guards[0], -1);
	guards[1] = (struct segment_guard){.fd = -1, .kind = SEGMENT_GUARD_NONE};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	segment_guard_close(&guards[0]);
	return failed;
}
