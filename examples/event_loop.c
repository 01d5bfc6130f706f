/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Segments in an event loop: one epoll waits for signals of a segment, a timer and standard input at once.
 *
 *     event_loop serve 0x400200 EVENTS        (ends after so many, or at the end of standard input,
 *                                              where that can be watched)
 *     event_loop post [NODE:]0x400200 EVENTS
 *
 * The descriptor says only that events are there; rsm_intr_signal_wait with timeout 0 takes them, one each.
 */
#include <errno.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "example.h"

static bool watch(int loop, int fd)
{
	struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
	return epoll_ctl(loop, EPOLL_CTL_ADD, fd, &event) == 0;
}

/* Files and /dev/null cannot be watched, and who reads from the terminal in the background is stopped. */
static void watch_input(int loop)
{
	if (isatty(STDIN_FILENO) && tcgetpgrp(STDIN_FILENO) != getpgrp())
		puts("standard input is not watched: this runs in the background");
	else if (!watch(loop, STDIN_FILENO))
		printf("standard input is not watched: %s\n", strerror(errno));
}

static int serve(const char *id, unsigned long wanted)
{
	rsm_memseg_export_handle_t segment;
	uint64_t *counter = example_export((rsm_memseg_id_t)strtoul(id, NULL, 0), 4096, &segment);
	struct pollfd doorbell;
	MUST(rsm_memseg_get_pollfd(segment, &doorbell));
	int loop = epoll_create1(EPOLL_CLOEXEC), timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
	struct itimerspec second = {{1, 0}, {1, 0}};
	if (loop < 0 || timer < 0 || timerfd_settime(timer, 0, &second, NULL) != 0) {
		perror("epoll, timerfd");
		return 1;
	}
	if (!watch(loop, doorbell.fd) || !watch(loop, timer)) {
		perror("epoll_ctl");
		return 1;
	}
	watch_input(loop);
	puts("ready");
	for (unsigned long taken = 0; taken < wanted;) {
		struct epoll_event event;
		char input[256];
		uint64_t seconds;
		if (epoll_wait(loop, &event, 1, -1) != 1)
			continue; /* a signal handler ran */
		if (event.data.fd == doorbell.fd) {
			while (rsm_intr_signal_wait(segment, 0) == RSM_SUCCESS)
				taken++;
			printf("%lu events, the counter in memory is %llu\n", taken,
			       (unsigned long long)*counter);
		} else if (event.data.fd == timer && read(timer, &seconds, sizeof(seconds)) > 0) {
			printf("tick\n");
		} else if (event.data.fd == STDIN_FILENO && read(STDIN_FILENO, input, sizeof(input)) <= 0) {
			break;
		}
	}
	MUST(rsm_memseg_release_pollfd(segment));
	MUST(rsm_memseg_export_destroy(segment));
	return 0;
}

static int post(const char *name, unsigned long events)
{
	rsm_memseg_import_handle_t import;
	rsmapi_barrier_t barrier;
	MUST(example_await(name, RSM_PERM_WRITE, &import, &barrier));
	for (uint64_t n = 1; n <= events; n++) {
		MUST(rsm_memseg_import_put64(import, 0, &n, 1)); /* seen by whoever takes the event */
		int code = rsm_intr_signal_post(import, 0);
		/* The server ends with its last event, between nodes perhaps before the post is answered. */
		if (code != RSMERR_CONN_ABORTED || n < events)
			MUST(code);
	}
	MUST(rsm_memseg_import_disconnect(import));
	return 0;
}

int main(int argc, char **argv)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc == 4 && !strcmp(argv[1], "serve"))
		return serve(argv[2], strtoul(argv[3], NULL, 10));
	if (argc == 4 && !strcmp(argv[1], "post"))
		return post(argv[2], strtoul(argv[3], NULL, 10));
	fprintf(stderr, "usage: event_loop serve ID EVENTS | post [NODE:]ID EVENTS\n");
	return 2;
}
