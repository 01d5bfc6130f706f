/* SPDX-License-Identifier: BSD-2-Clause */
#include "rsmd/loop.h"

#include <sched.h>
#include <stdlib.h>
#include <unistd.h>
#include <uv.h>

#include "base/clock.h"
#include "rsmd/log.h"

#define SPIN_NS 50000u

struct rsmd_watch {
	uv_poll_t poll; /* first: the handle's address is the watch's */
	void (*ready)(void *context);
	void *context;
};

struct rsmd_timer {
	uv_timer_t timer;
	void (*fire)(void *context);
	void *context;
};

static uv_loop_t loop;
static uv_idle_t spin; /* while it runs, the loop asks the kernel without blocking */
static uv_signal_t ends[2], hangup;
static uint64_t last_active;
static bool can_spin; /* with one processor spinning only keeps the client from running */

static void on_spin(uv_idle_t *handle)
{
	if (base_clock_ns() - last_active > SPIN_NS)
		uv_idle_stop(handle);
}

static void on_end(uv_signal_t *handle, int signal)
{
	(void)signal;
	uv_stop(handle->loop);
}

/* Closing a terminal ends what was started there. A service does not die of it: the signal asks others to read anew. */
static void on_hangup(uv_signal_t *handle, int signal)
{
	(void)handle;
	(void)signal;
	rsmd_log(RSMD_LOG_WARNING, "SIGHUP changes nothing: the configuration is read at start only");
}

int rsmd_loop_open(void)
{
	static const int signals[2] = {SIGTERM, SIGINT};
	cpu_set_t processors;
	can_spin = sched_getaffinity(0, sizeof(processors), &processors) == 0 && CPU_COUNT(&processors) > 1;
	if (uv_loop_init(&loop) || uv_idle_init(&loop, &spin))
		return -1;
	for (int i = 0; i < 2; i++)
		if (uv_signal_init(&loop, &ends[i]) || uv_signal_start(&ends[i], on_end, signals[i]))
			return -1;
	if (uv_signal_init(&loop, &hangup) ||
	    uv_signal_start(&hangup, isatty(STDERR_FILENO) ? on_end : on_hangup, SIGHUP))
		return -1;
	return 0;
}

void rsmd_loop_run(void)
{
	uv_run(&loop, UV_RUN_DEFAULT);
}

void rsmd_loop_stop(void)
{
	uv_stop(&loop);
}

void rsmd_loop_active(void)
{
	if (!can_spin)
		return;
	last_active = base_clock_ns();
	uv_idle_start(&spin, on_spin);
}

static void on_ready(uv_poll_t *poll, int status, int events)
{
	(void)status; /* an error is seen again by the read or write that follows */
	(void)events;
	struct rsmd_watch *watch = (struct rsmd_watch *)poll;
	watch->ready(watch->context);
}

static void on_closed(uv_handle_t *handle)
{
	free(handle);
}

struct rsmd_watch *rsmd_loop_watch(int fd, void (*ready)(void *context), void *context)
{
	struct rsmd_watch *watch = calloc(1, sizeof(*watch));
	if (!watch)
		return NULL;
	watch->ready = ready;
	watch->context = context;
	if (uv_poll_init(&loop, &watch->poll, fd)) {
		free(watch);
		return NULL;
	}
	if (uv_poll_start(&watch->poll, UV_READABLE, on_ready)) {
		rsmd_loop_unwatch(watch);
		return NULL;
	}
	return watch;
}

void rsmd_loop_unwatch(struct rsmd_watch *watch)
{
	if (watch)
		uv_close((uv_handle_t *)&watch->poll, on_closed);
}

void rsmd_loop_wait_for(struct rsmd_watch *watch, enum rsmd_wait what)
{
	static const int events[] = {
		[RSMD_WAIT_READ] = UV_READABLE,
		[RSMD_WAIT_WRITE] = UV_WRITABLE,
		[RSMD_WAIT_BOTH] = UV_READABLE | UV_WRITABLE,
	};
	if (what == RSMD_WAIT_NOTHING)
		uv_poll_stop(&watch->poll);
	else
		uv_poll_start(&watch->poll, events[what], on_ready);
}

static void on_fire(uv_timer_t *handle)
{
	struct rsmd_timer *timer = (struct rsmd_timer *)handle;
	timer->fire(timer->context);
}

struct rsmd_timer *rsmd_loop_timer(void (*fire)(void *context), void *context)
{
	struct rsmd_timer *timer = calloc(1, sizeof(*timer));
	if (!timer)
		return NULL;
	timer->fire = fire;
	timer->context = context;
	uv_timer_init(&loop, &timer->timer);
	return timer;
}

void rsmd_loop_timer_start(struct rsmd_timer *timer, uint64_t milliseconds)
{
	uv_update_time(&loop);
	uv_timer_start(&timer->timer, on_fire, milliseconds, 0);
}

void rsmd_loop_timer_stop(struct rsmd_timer *timer)
{
	uv_timer_stop(&timer->timer);
}

struct rsmd_waker {
	uv_async_t async;
	void (*wake)(void *context);
	void *context;
};

static void on_wake(uv_async_t *handle)
{
	struct rsmd_waker *waker = (struct rsmd_waker *)handle;
	waker->wake(waker->context);
}

struct rsmd_waker *rsmd_loop_waker(void (*wake)(void *context), void *context)
{
	struct rsmd_waker *waker = calloc(1, sizeof(*waker));
	if (!waker)
		return NULL;
	waker->wake = wake;
	waker->context = context;
	if (uv_async_init(&loop, &waker->async, on_wake)) {
		free(waker);
		return NULL;
	}
	return waker;
}

void rsmd_loop_wake(struct rsmd_waker *waker)
{
	uv_async_send(&waker->async);
}
