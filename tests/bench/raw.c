/* SPDX-License-Identifier: BSD-2-Clause */
/* The raw limits: what plain memory, futexes and sockets give two processes that use no library. */
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "bench.h"

struct bench_turns *bench_shared;
struct bench_turns *bench_mapped;
int bench_shared_fd = -1;

/* Keeps the compiler from merging or dropping what a loop does to memory. */
#define compiler_fence() __asm__ volatile("" ::: "memory")

/* A full fence, as cheap as the processor has it. */
static inline void full_fence(void)
{
#if defined(__x86_64__)
	__asm__ volatile("lock; addl $0, -4(%%rsp)" ::: "memory", "cc");
#else
	atomic_thread_fence(memory_order_seq_cst);
#endif
}

void *bench_memfd(size_t length)
{
	int fd = memfd_create("bench", MFD_CLOEXEC);
	void *memory = MAP_FAILED;

	if (fd >= 0 && ftruncate(fd, (off_t)length) == 0)
		memory = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0);
	if (memory == MAP_FAILED)
		bench_problem("memfd of %zu bytes: %s", length, strerror(errno));
	if (fd >= 0)
		close(fd);
	return memory == MAP_FAILED ? NULL : memory;
}

bool bench_shared_map(int fd)
{
	bench_shared = mmap(NULL, sizeof(*bench_shared), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (bench_shared == MAP_FAILED)
		return bench_problem("raw shared page: %s", strerror(errno));
	bench_shared_fd = fd;
	return true;
}

bool bench_shared_make(void)
{
	int low = memfd_create("bench-shared", MFD_CLOEXEC);
	int fd = fcntl(low, F_DUPFD_CLOEXEC, BENCH_FD_ABOVE);

	if (low >= 0)
		close(low);
	if (fd < 0 || ftruncate(fd, sizeof(*bench_shared)) != 0)
		return bench_problem("raw shared page: %s", strerror(errno));
	return bench_shared_map(fd);
}

double bench_raw_lock_add(unsigned long count)
{
	volatile uint64_t *word = (volatile uint64_t *)bench_shared;
	uint64_t start = base_clock_ns();

	for (unsigned long i = 0; i < count; i++) {
		*word = i;
		full_fence();
	}
	return (double)(base_clock_ns() - start) / (double)count;
}

double bench_raw_mfence(unsigned long count)
{
	volatile uint64_t *word = (volatile uint64_t *)bench_shared;
	uint64_t start = base_clock_ns();

	for (unsigned long i = 0; i < count; i++) {
		*word = i;
#if defined(__x86_64__)
		__asm__ volatile("mfence" ::: "memory");
#else
		full_fence();
#endif
	}
	return (double)(base_clock_ns() - start) / (double)count;
}

double bench_raw_copy(void *to, const void *from, size_t length, size_t piece, unsigned window,
		      unsigned long count)
{
	uint64_t start = base_clock_ns();

	for (unsigned long i = 0; i < count; i++) {
		for (size_t done = 0; done < length; done += piece) {
			memcpy((char *)to + done, (const char *)from + done, piece);
			compiler_fence();
		}
		if (window != 0 && (i + 1) % window == 0)
			full_fence();
	}
	return (double)(base_clock_ns() - start) / (double)count;
}

/* Taking turns: each side writes its own line and waits for the other's. */

static bool flag_post(struct bench_turns *turns, unsigned own, uint32_t turn)
{
	turns->turn[own].data = turn;
	atomic_store_explicit(&turns->turn[own].flag, turn, memory_order_release);
	return true;
}

static bool flag_wait(struct bench_turns *turns, unsigned own, uint32_t turn)
{
	while (atomic_load_explicit(&turns->turn[!own].flag, memory_order_acquire) != turn)
		;
	return turns->turn[!own].data == turn || bench_problem("a flag came before its data");
}

static bool lines_post(unsigned own, uint32_t turn)
{
	return flag_post(bench_shared, own, turn);
}

static bool lines_wait(unsigned own, uint32_t turn)
{
	return flag_wait(bench_shared, own, turn);
}

static bool data_post(unsigned own, uint32_t turn)
{
	return flag_post(bench_mapped, own, turn);
}

static bool data_wait(unsigned own, uint32_t turn)
{
	return flag_wait(bench_mapped, own, turn);
}

void bench_think(void)
{
	uint64_t start = base_clock_ns();

	while (bench_shared->think > 0 && base_clock_ns() - start < bench_shared->think)
		;
}

static bool futex_post(unsigned own, uint32_t turn)
{
	_Atomic uint32_t *flag = &bench_shared->turn[own].flag;

	bench_think();
	atomic_store(flag, turn);
	syscall(SYS_futex, flag, FUTEX_WAKE, 1, NULL, NULL, 0);
	return true;
}

static bool futex_wait(unsigned own, uint32_t turn)
{
	_Atomic uint32_t *flag = &bench_shared->turn[!own].flag;
	uint32_t seen;

	while ((seen = atomic_load(flag)) != turn)
		syscall(SYS_futex, flag, FUTEX_WAIT, seen, NULL, NULL, 0);
	return true;
}

const struct bench_ball bench_ball_lines = {lines_post, lines_wait};
const struct bench_ball bench_ball_data = {data_post, data_wait};
const struct bench_ball bench_ball_futex = {futex_post, futex_wait};

uint32_t bench_turns_all(uint32_t turns)
{
	return turns + turns / 10 + 1;
}

double bench_ping(const struct bench_ball *ball, uint32_t turns)
{
	uint32_t all = bench_turns_all(turns);
	uint64_t start = 0;

	for (uint32_t turn = 1; turn <= all; turn++) {
		if (turn == all - turns + 1)
			start = base_clock_ns();
		if (!ball->post(0, turn) || !ball->wait(0, turn))
			return -1;
	}
	return (double)(base_clock_ns() - start) / turns / 2;
}

bool bench_pong(const struct bench_ball *ball, uint32_t turns)
{
	uint32_t all = bench_turns_all(turns);

	for (uint32_t turn = 1; turn <= all; turn++) {
		if (!ball->wait(1, turn) || !ball->post(1, turn))
			return false;
	}
	return true;
}

/* A message of one byte, with a descriptor beside it unless fd is -1. */
static bool send_byte(int socket, int fd)
{
	char byte = 1;
	struct iovec part = {.iov_base = &byte, .iov_len = 1};
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {0};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
	struct cmsghdr *header;

	if (fd >= 0) {
		message.msg_control = control;
		message.msg_controllen = sizeof(control);
		header = CMSG_FIRSTHDR(&message);
		header->cmsg_level = SOL_SOCKET;
		header->cmsg_type = SCM_RIGHTS;
		header->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(header), &fd, sizeof(fd));
	}
	return sendmsg(socket, &message, MSG_NOSIGNAL) == 1 ||
	       bench_problem("raw socket, send: %s", strerror(errno));
}

/* Spins until a message is there. `*fd` is -1 when no descriptor came. */
static bool receive_byte(int socket, int *fd)
{
	char byte;
	struct iovec part = {.iov_base = &byte, .iov_len = 1};
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
	struct msghdr message;
	struct cmsghdr *header;
	ssize_t got;

	do {
		message = (struct msghdr){.msg_iov = &part,
					  .msg_iovlen = 1,
					  .msg_control = control,
					  .msg_controllen = sizeof(control)};
		got = recvmsg(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	} while (got < 0 && (errno == EAGAIN || errno == EINTR));
	if (got != 1)
		return bench_problem("raw socket, receive: %s",
				     got == 0 ? "the peer has gone" : strerror(errno));
	*fd = -1;
	header = CMSG_FIRSTHDR(&message);
	if (header && header->cmsg_type == SCM_RIGHTS && header->cmsg_len == CMSG_LEN(sizeof(int)))
		memcpy(fd, CMSG_DATA(header), sizeof(*fd));
	return true;
}

bool bench_raw_request(int socket, bool map)
{
	volatile uint64_t value;
	uint64_t *page;
	int fd;

	if (!send_byte(socket, -1) || !receive_byte(socket, &fd))
		return false;
	if (fd < 0)
		return bench_problem("raw socket: a reply without its descriptor");
	if (map) {
		page = mmap(NULL, sizeof(*bench_shared), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		if (page == MAP_FAILED)
			return bench_problem("raw socket, map: %s", strerror(errno));
		value = *page;
		(void)value;
		munmap(page, sizeof(*bench_shared));
	}
	close(fd);
	return true;
}

bool bench_raw_reply(int socket, uint64_t count)
{
	int fd;

	for (uint64_t i = 0; i < count; i++) {
		if (!receive_byte(socket, &fd) || !send_byte(socket, bench_shared_fd))
			return false;
	}
	return true;
}
