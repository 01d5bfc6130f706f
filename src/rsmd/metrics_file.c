/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * [metrics] textfile: the text as a file, for the textfile collector of an agent of the host. A timer of the loop collects and
 * hands over; a thread writes, since a file system may make it wait for any time. While it waits, texts are dropped.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "rsmd/log.h"
#include "rsmd/loop.h"
#include "rsmd/metrics.h"
#include "rsmd/rsmd.h"
#include "rsmd/thread.h"

#define SUFFIX ".tmp"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of `text` and `length` */
static pthread_cond_t more = PTHREAD_COND_INITIALIZER;
static char *text; /* to be written, or NULL */
static size_t length;

static atomic_int outcome;        /* of the newest write: 0 or an errno */
static struct rsmd_waker *report; /* tells the loop, which alone may log */

static struct rsmd_timer *timer; /* the loop's thread */
static uint64_t due_ns;          /* when it should fire; 0: at once */

/*
 * A fresh file beside it, renamed over it: a reader finds the old text or the new one. What lies at the temporary name is
 * removed and never opened, so a link there leads nowhere. 0 or an errno.
 */
static int replace(const char *path, const char *bytes, size_t count)
{
	char temporary[sizeof(rsmd_server.config.metrics_textfile) + sizeof(SUFFIX)];
	snprintf(temporary, sizeof(temporary), "%s" SUFFIX, path);
	if (unlink(temporary) && errno != ENOENT)
		return errno;
	int fd = base_fd_above_stdio(
		open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
	if (fd < 0)
		return errno;
	int error = base_fd_write(fd, bytes, count, -1);
	if (!error && fchmod(fd, 0644)) /* which the umask does not allow at once */
		error = errno;
	if (close(fd) && !error)
		error = errno;
	if (!error && rename(temporary, path))
		error = errno;
	if (error)
		unlink(temporary);
	return error;
}

/* The loop's thread. One line for each change: the file is written again and again. */
static void on_written(void *unused)
{
	static int known;
	(void)unused;
	int error = atomic_load(&outcome);
	const char *path = rsmd_server.config.metrics_textfile;
	if (error && error != known)
		rsmd_log(RSMD_LOG_WARNING, "metrics cannot be written to %s: %s", path, strerror(error));
	else if (!error && known)
		rsmd_log(RSMD_LOG_INFO, "metrics are written to %s again", path);
	known = error;
}

/* A thread of its own. */
static void *writer(void *unused)
{
	for (;;) {
		pthread_mutex_lock(&lock);
		while (!text)
			pthread_cond_wait(&more, &lock);
		char *bytes = text;
		size_t count = length;
		text = NULL;
		pthread_mutex_unlock(&lock);
		int error = replace(rsmd_server.config.metrics_textfile, bytes, count);
		free(bytes);
		if (atomic_exchange(&outcome, error) != error)
			rsmd_loop_wake(report);
	}
	return unused;
}

static void on_time(void *unused)
{
	uint64_t now = base_clock_ns(), interval = rsmd_server.config.metrics_interval_ms;
	(void)unused;
	if (due_ns && now > due_ns)
		rsmd_metrics.loop_latency_ns = now - due_ns;
	due_ns = now + interval * 1000000u;
	rsmd_loop_timer_start(timer, interval);
	size_t count;
	char *bytes = rsmd_metrics_collect(&count);
	pthread_mutex_lock(&lock);
	if (bytes) {
		free(text);
		text = bytes;
		length = count;
		pthread_cond_signal(&more);
	}
	pthread_mutex_unlock(&lock);
}

void rsmd_metrics_file_open(void)
{
	const char *path = rsmd_server.config.metrics_textfile;
	if (!path[0])
		return;
	timer = rsmd_loop_timer(on_time, NULL);
	report = rsmd_loop_waker(on_written, NULL);
	if (timer && report && rsmd_thread_start(writer, NULL))
		rsmd_loop_timer_start(timer, 0);
	else
		rsmd_log(RSMD_LOG_WARNING, "metrics are not written to %s: no memory, or no thread", path);
}
