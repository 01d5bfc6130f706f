/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The event loop, single-threaded: descriptors to watch, one-shot timers, signals that end it. Before it
 * blocks it keeps asking for up to 50 us after the last activity, so that requests in a row cost no wake-up;
 * with nothing to do it sleeps in the kernel for good.
 */
#ifndef RSMD_LOOP_H
#define RSMD_LOOP_H

#include <stdbool.h>
#include <stdint.h>

struct rsmd_watch;
struct rsmd_timer;

/*
 * 0 or -1 (no memory, no descriptors). From here on SIGTERM and SIGINT end rsmd_loop_run, and SIGHUP does where standard
 * error is a terminal; elsewhere a line of the log says that it changes nothing.
 */
int rsmd_loop_open(void);
void rsmd_loop_run(void);
void rsmd_loop_stop(void);

/* A request was handled: more of them may follow at once. */
void rsmd_loop_active(void);

/*
 * Calls ready(context) while the descriptor is readable (or hung up). NULL when there is no memory. The
 * descriptor must be unwatched before it is closed; unwatching inside `ready` is allowed. NULL is ignored by
 * unwatch.
 */
struct rsmd_watch *rsmd_loop_watch(int fd, void (*ready)(void *context), void *context);
void rsmd_loop_unwatch(struct rsmd_watch *watch);

/* What `ready` waits for from now on: room to write (or a hang-up), something to read, either, or nothing. */
enum rsmd_wait { RSMD_WAIT_READ, RSMD_WAIT_WRITE, RSMD_WAIT_BOTH, RSMD_WAIT_NOTHING };
void rsmd_loop_wait_for(struct rsmd_watch *watch, enum rsmd_wait what);

/*
 * A timer that lives as long as the loop. start: fires once after that time, again only after another start.
 */
struct rsmd_timer *rsmd_loop_timer(void (*fire)(void *context), void *context);
void rsmd_loop_timer_start(struct rsmd_timer *timer, uint64_t milliseconds);
void rsmd_loop_timer_stop(struct rsmd_timer *timer);

/*
 * Lets other threads call the loop: rsmd_loop_wake may be called from any thread and makes the loop call wake(context)
 * soon, once for any number of calls before. Lives as long as the loop.
 */
struct rsmd_waker;
struct rsmd_waker *rsmd_loop_waker(void (*wake)(void *context), void *context);
void rsmd_loop_wake(struct rsmd_waker *waker);

#endif
