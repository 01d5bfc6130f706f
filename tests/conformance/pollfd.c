/* SPDX-License-Identifier: BSD-2-Clause */
/* C74-C77: descriptors for poll and rsm_intr_signal_wait_pollfd. */
#include <pthread.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <unistd.h>

#include "pair.h"
#include "peer.h"

static struct pollfd pollfd_of(void *handle)
{
	struct pollfd fd = {.fd = -1, .events = 0, .revents = 0x55};

	MUST(rsm_memseg_get_pollfd(handle, &fd));
	CHECK(fd.fd >= 3);
	CHECK(fd.events & POLLRDNORM);
	CHECK_EQUAL(0x55, fd.revents); /* not written */
	fd.revents = 0;
	return fd;
}

static void c74(void)
{
	struct pair pair;

	pair_open(&pair);
	struct pollfd fd = pollfd_of(pair.e);
	CHECK_EQUAL(0, poll(&fd, 1, 0));
	MUST(rsm_intr_signal_post(pair.i, 0));
	CHECK_EQUAL(1, poll(&fd, 1, 1000));
	CHECK(fd.revents & POLLRDNORM);
	CHECK_EQUAL(1, poll(&fd, 1, 0));
	MUST(rsm_intr_signal_wait(pair.e, 0)); /* poll consumed nothing */
	CHECK_EQUAL(0, poll(&fd, 1, 0));
}

static void c75(void)
{
	struct pair pair;
	int count = 7;

	pair_open(&pair);
	struct pollfd fd = pollfd_of(pair.e);
	MUST(rsm_intr_signal_post(pair.i, 0));
	MUST(rsm_intr_signal_wait_pollfd(&fd, 1, 1000, &count));
	CHECK_EQUAL(1, count);
	CHECK_EQUAL(POLLRDNORM, fd.revents);
	EXPECT(RSMERR_TIMEOUT, rsm_intr_signal_wait_pollfd(&fd, 1, 0, &count));
	CHECK_EQUAL(0, count);
	MUST(rsm_intr_signal_post(pair.i, 0));
	MUST(rsm_intr_signal_wait_pollfd(&fd, 1, 0, NULL));
}

static void c76(void)
{
	struct pair pair;
	int count = 0, ends[2];

	pair_open(&pair);
	CHECK(pipe(ends) == 0 && write(ends[1], "x", 1) == 1);
	struct pollfd fds[2] = {pollfd_of(pair.e), {.fd = ends[0], .events = POLLIN}};
	fds[0].revents = 0x77;
	MUST(rsm_intr_signal_wait_pollfd(fds, 2, 1000, &count));
	CHECK_EQUAL(1, count);
	CHECK_EQUAL(0, fds[0].revents);
	CHECK_EQUAL(POLLIN, fds[1].revents);
	MUST(rsm_intr_signal_post(pair.i, 0)); /* both */
	MUST(rsm_intr_signal_wait_pollfd(fds, 2, 1000, &count));
	CHECK_EQUAL(2, count);
	CHECK_EQUAL(POLLRDNORM, fds[0].revents);
	EXPECT(RSMERR_TIMEOUT, rsm_intr_signal_wait(pair.e, 0));
}

static void c77(void)
{
	struct pair pair;

	pair_open(&pair);
	pollfd_of(pair.e);
	pollfd_of(pair.i);
	EXPECT(RSMERR_POLLFD_IN_USE, rsm_memseg_export_destroy(pair.e));
	EXPECT(RSMERR_POLLFD_IN_USE, rsm_memseg_import_disconnect(pair.i));
	MUST(pair_put_byte(pair.i, 0, 1)); /* untouched */
	MUST(rsm_memseg_export_unpublish(pair.e));
	EXPECT(RSMERR_POLLFD_IN_USE, rsm_memseg_export_destroy(pair.e));
	MUST(rsm_memseg_release_pollfd(pair.e));
	MUST(rsm_memseg_release_pollfd(pair.e)); /* surplus */
	MUST(rsm_memseg_export_destroy(pair.e));
	MUST(rsm_memseg_release_pollfd(pair.i));
	MUST(rsm_memseg_import_disconnect(pair.i));
}

static void r_arguments(void)
{
	struct pair pair;
	struct pollfd fd;

	pair_open(&pair);
	EXPECT(RSMERR_BAD_SEG_HNDL, rsm_memseg_get_pollfd(NULL, NULL));
	EXPECT(RSMERR_BAD_SEG_HNDL, rsm_memseg_get_pollfd(pair.memory, &fd));
	EXPECT(RSMERR_BAD_ADDR, rsm_memseg_get_pollfd(pair.e, NULL));
	EXPECT(RSMERR_BAD_SEG_HNDL, rsm_memseg_release_pollfd(NULL));
	MUST(rsm_memseg_release_pollfd(pair.i));
	MUST(rsm_memseg_export_destroy(pair.e)); /* a refused get_pollfd counts nothing */
}

static void r_references(void)
{
	struct pair pair;

	pair_export(&pair, 1); /* before publish */
	struct pollfd first = pollfd_of(pair.e), second = pollfd_of(pair.e);
	CHECK_EQUAL(first.fd, second.fd);
	MUST(rsm_memseg_release_pollfd(pair.e));
	EXPECT(RSMERR_POLLFD_IN_USE, rsm_memseg_export_destroy(pair.e));
	pair_publish(&pair);
	pair_connect(&pair, RSM_PERM_RDWR);
	MUST(rsm_intr_signal_post(pair.i, 0));
	CHECK_EQUAL(1, poll(&first, 1, 1000));
	MUST(rsm_memseg_release_pollfd(pair.e));
	MUST(rsm_memseg_export_destroy(pair.e));
}

static void r_pending_before(void)
{
	struct pair pair;

	pair_open(&pair);
	MUST(rsm_intr_signal_post(pair.i, 0));
	MUST(rsm_intr_signal_post(pair.e, 0));
	struct pollfd fds[2] = {pollfd_of(pair.e), pollfd_of(pair.i)}; /* events from before the descriptor */
	CHECK(fds[0].fd != fds[1].fd);
	CHECK_EQUAL(2, poll(fds, 2, 1000));
	MUST(rsm_intr_signal_wait(pair.e, 0));
	MUST(rsm_intr_signal_wait(pair.i, 0));
	CHECK_EQUAL(0, poll(fds, 2, 0));
}

static void r_counts(void)
{
	struct pair pair;
	int count = 0;

	pair_open(&pair);
	struct pollfd fds[2] = {pollfd_of(pair.e), pollfd_of(pair.e)};
	for (int at = 0; at < 3; at++)
		MUST(rsm_intr_signal_post(pair.i, 0));
	MUST(rsm_intr_signal_wait_pollfd(fds, 1, 0, &count)); /* one event per entry and call */
	CHECK_EQUAL(1, poll(fds, 1, 0));
	MUST(rsm_intr_signal_wait_pollfd(fds, 2, 0, &count)); /* listed twice: two */
	CHECK_EQUAL(2, count);
	EXPECT(RSMERR_TIMEOUT, rsm_intr_signal_wait(pair.e, 0));
	CHECK_EQUAL(0, poll(fds, 1, 0));
	MUST(rsm_intr_signal_post(pair.i, 0));
	MUST(rsm_intr_signal_wait_pollfd(fds, 2, 0, &count)); /* twice, but one event only */
	CHECK_EQUAL(1, count);
	CHECK_EQUAL(POLLRDNORM, fds[0].revents);
	CHECK_EQUAL(0, fds[1].revents);
}

static void r_select_epoll(void)
{
	struct pair pair;
	struct timeval none = {0, 0}, second = {1, 0};
	struct epoll_event event = {.events = EPOLLRDNORM};
	fd_set set;

	pair_open(&pair);
	struct pollfd fd = pollfd_of(pair.i);
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	CHECK(epoll >= 0 && epoll_ctl(epoll, EPOLL_CTL_ADD, fd.fd, &event) == 0);
	FD_ZERO(&set);
	FD_SET(fd.fd, &set);
	CHECK_EQUAL(0, select(fd.fd + 1, &set, NULL, NULL, &none));
	CHECK_EQUAL(0, epoll_wait(epoll, &event, 1, 0));
	for (int round = 0; round < 10; round++) {
		MUST(rsm_intr_signal_post(pair.e, 0));
		CHECK_EQUAL(1, epoll_wait(epoll, &event, 1, 1000));
		FD_SET(fd.fd, &set);
		CHECK_EQUAL(1, select(fd.fd + 1, &set, NULL, NULL, &second));
		MUST(rsm_intr_signal_wait(pair.i, 0));
		CHECK_EQUAL(0, epoll_wait(epoll, &event, 1, 0));
	}
}

static void r_other_process(void)
{
	struct peer peer;
	struct pair pair;
	int count;

	peer_start(&peer, NULL);
	pair_open(&pair);
	struct pollfd fd = pollfd_of(pair.e);
	MUST(peer_connect(&peer, 0, pair.node, pair.id, RSM_PERM_NONE));
	for (int round = 0; round < 50; round++) {
		MUST(peer_simple(&peer, PEER_POST, 0, 0));
		MUST(rsm_intr_signal_wait_pollfd(&fd, 1, 2000, &count));
		CHECK_EQUAL(POLLRDNORM, fd.revents);
		EXPECT(RSMERR_TIMEOUT, rsm_intr_signal_wait_pollfd(&fd, 1, 0, &count));
	}
}

static void r_hangup(void)
{
	struct pair pair;
	int count = 0;

	pair_open(&pair);
	struct pollfd fds[2] = {pollfd_of(pair.i), pollfd_of(pair.e)};
	MUST(rsm_intr_signal_post(pair.e, 0));
	MUST(rsm_memseg_export_unpublish(pair.e));
	MUST(rsm_intr_signal_wait_pollfd(fds, 2, 1000, &count)); /* pending events first */
	CHECK_EQUAL(1, count);
	CHECK(fds[0].revents & POLLRDNORM);
	MUST(rsm_intr_signal_wait_pollfd(fds, 2, 1000, &count));
	CHECK_EQUAL(1, count);
	CHECK_EQUAL(POLLHUP, fds[0].revents);
	CHECK_EQUAL(0, fds[1].revents); /* the export is unaffected */
	CHECK_EQUAL(1, poll(fds, 1, 1000));
	CHECK(fds[0].revents & POLLHUP);
}

static void r_released_is_ordinary(void)
{
	struct pair pair;
	int count = 0;

	pair_open(&pair);
	struct pollfd fd = pollfd_of(pair.e);
	MUST(rsm_memseg_release_pollfd(pair.e));
	MUST(rsm_intr_signal_post(pair.i, 0));
	if (rsm_intr_signal_wait_pollfd(&fd, 1, 1000, &count) == RSM_SUCCESS && !(fd.revents & POLLNVAL))
		CHECK_EQUAL(1, count);         /* reported like any descriptor ... */
	MUST(rsm_intr_signal_wait(pair.e, 0)); /* ... and not consumed */
}

static void r_ordinary(void)
{
	int count = 9, ends[2];

	CHECK(pipe(ends) == 0);
	struct pollfd fds[3] = {{.fd = -1, .events = POLLIN, .revents = 5},
				{.fd = ends[0], .events = POLLIN},
				{.fd = ends[1], .events = POLLOUT}};
	pair_controller(suite_controller());
	MUST(rsm_intr_signal_wait_pollfd(fds, 3, 1000, &count));
	CHECK_EQUAL(1, count);
	CHECK_EQUAL(0, fds[0].revents);
	CHECK_EQUAL(0, fds[1].revents);
	CHECK_EQUAL(POLLOUT, fds[2].revents);
	EXPECT(RSMERR_TIMEOUT, rsm_intr_signal_wait_pollfd(fds, 2, 0, &count));
	CHECK_EQUAL(0, count);
	close(ends[0]);
	MUST(rsm_intr_signal_wait_pollfd(fds, 2, -1, &count));
	CHECK_EQUAL(POLLNVAL, fds[1].revents);
}

static void r_no_entries(void)
{
	struct pollfd fd = {.fd = -1};
	int count = 5;

	uint64_t start = suite_clock_ms();
	EXPECT(RSMERR_TIMEOUT, rsm_intr_signal_wait_pollfd(&fd, 0, 60, &count));
	CHECK(suite_clock_ms() - start >= 59);
	CHECK_EQUAL(0, count);
	EXPECT(RSMERR_TIMEOUT, rsm_intr_signal_wait_pollfd(NULL, 0, 0, NULL));
}

static void r_bad_array(void)
{
	void *hidden = mmap(NULL, suite_page(), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int count = 5;

	EXPECT(RSMERR_BAD_ADDR, rsm_intr_signal_wait_pollfd(NULL, 1, 0, &count));
	CHECK_EQUAL(0, count);
	EXPECT(RSMERR_BAD_ADDR, rsm_intr_signal_wait_pollfd(hidden, 2, 0, &count));
}

static void r_bad_count(void)
{
	struct pollfd fd = {.fd = -1};
	struct rlimit limit = {64, 64};
	int count = 5;

	if (SUITE_ASAN || SUITE_TSAN)
		suite_skip("the sanitizer looks at the array before poll does");
	CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
	EXPECT(RSMERR_BAD_ARGS_ERRORS, rsm_intr_signal_wait_pollfd(&fd, ~(nfds_t)0, 0, &count));
	EXPECT(RSMERR_BAD_ARGS_ERRORS, rsm_intr_signal_wait_pollfd(&fd, 100000, 0, &count));
	CHECK_EQUAL(0, count);
}

static void *poll_once(void *argument)
{
	struct pollfd fd = *(struct pollfd *)argument;
	uint64_t start = suite_clock_ms();
	int count;

	intptr_t code = rsm_intr_signal_wait_pollfd(&fd, 1, 400, &count);
	if (code == RSMERR_TIMEOUT && suite_clock_ms() - start < 399)
		code = -1; /* gave up early */
	return (void *)code;
}

static void r_racing(void)
{
	enum { COUNT = 4 };
	pthread_t threads[COUNT];
	struct pair pair;
	int won = 0;

	pair_open(&pair);
	struct pollfd fd = pollfd_of(pair.e);
	for (int at = 0; at < COUNT; at++)
		CHECK(pthread_create(&threads[at], NULL, poll_once, &fd) == 0);
	for (int at = 0; at < 2; at++)
		MUST(rsm_intr_signal_post(pair.i, 0));
	for (int at = 0; at < COUNT; at++) {
		void *code;
		CHECK(pthread_join(threads[at], &code) == 0);
		won += (intptr_t)code == RSM_SUCCESS;
		CHECK((intptr_t)code == RSM_SUCCESS || (intptr_t)code == RSMERR_TIMEOUT);
	}
	CHECK_EQUAL(2, won);
}

static void r_mixed_waits(void)
{
	struct pair pair;
	int count;

	/* wait and wait_pollfd in turn: the descriptor never says more or less than the counter. */
	pair_open(&pair);
	struct pollfd fd = pollfd_of(pair.e);
	for (int round = 0; round < 200; round++) {
		for (int at = 0; at <= round % 3; at++)
			MUST(rsm_intr_signal_post(pair.i, 0));
		for (int at = 0; at <= round % 3; at++) {
			CHECK_EQUAL(1, poll(&fd, 1, 1000));
			if ((round + at) & 1)
				MUST(rsm_intr_signal_wait(pair.e, 0));
			else
				MUST(rsm_intr_signal_wait_pollfd(&fd, 1, 0, &count));
		}
		CHECK_EQUAL(0, poll(&fd, 1, 0));
	}
}

static void r_spurious(void)
{
	struct pair pair;

	/* Consumed before poll was asked: the descriptor becomes quiet, if need be after one wait that finds nothing. */
	pair_open(&pair);
	struct pollfd fd = pollfd_of(pair.e);
	for (int round = 0; round < 300; round++) {
		MUST(rsm_intr_signal_post(pair.i, 0));
		MUST(rsm_intr_signal_wait(pair.e, 0));
	}
	while (poll(&fd, 1, 50) == 1)
		EXPECT(RSMERR_TIMEOUT, rsm_intr_signal_wait(pair.e, 0));
	MUST(rsm_intr_signal_post(pair.i, 0));
	CHECK_EQUAL(1, poll(&fd, 1, 1000));
}

static const struct suite_case cases[] = {
	{"C74", "get_pollfd: fd, POLLRDNORM; poll is ready twice in a row", c74},
	{"C75", "wait_pollfd consumes one event, then TIMEOUT", c75},
	{"C76", "wait_pollfd over a segment and a pipe", c76},
	{"C77", "destroy with a pollfd reference -> POLLFD_IN_USE; unpublish succeeds", c77},
	{"R-pollfd-arguments", "get_pollfd and release_pollfd: check order", r_arguments},
	{"R-pollfd-references", "the same descriptor each time, counted, before publish too", r_references},
	{"R-pollfd-pending", "events from before get_pollfd make it ready", r_pending_before},
	{"R-pollfd-counts", "one event per entry and call; listed twice takes two", r_counts},
	{"R-pollfd-select-epoll", "select and epoll, level-triggered", r_select_epoll},
	{"R-pollfd-process", "posts of another process", r_other_process},
	{"R-pollfd-hangup", "an aborted import without events -> POLLHUP, counted", r_hangup},
	{"R-pollfd-released", "a released descriptor is an ordinary one", r_released_is_ordinary},
	{"R-pollfd-ordinary", "ordinary descriptors behave as in poll", r_ordinary},
	{"R-pollfd-empty", "no entries: sleeps, then TIMEOUT", r_no_entries},
	{"R-pollfd-array", "an unreadable array -> BAD_ADDR", r_bad_array},
	{"R-pollfd-nfds", "a bad number of entries -> BAD_ARGS_ERRORS", r_bad_count},
	{"R-pollfd-racing", "waiters that lose a race use up their timeout", r_racing},
	{"R-pollfd-quiet", "events consumed by wait leave the descriptor quiet", r_spurious},
	{"R-pollfd-mixed", "wait and wait_pollfd in turn", r_mixed_waits},
};

SUITE_MAIN(cases)
