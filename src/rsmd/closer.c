/* SPDX-License-Identifier: BSD-2-Clause */
#include "rsmd/closer.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <utlist.h>

#include "base/fd.h"
#include "rsmd/thread.h"
#include "segment/memfd.h"

#define THREADS_MAX 32

struct job {
	int fd;
	uint64_t length; /* bytes to give back before */
	struct job *prev, *next;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of all that follows */
static pthread_cond_t more = PTHREAD_COND_INITIALIZER;
static struct job *jobs;   /* utlist, the oldest first */
static unsigned job_count; /* in the list */
static unsigned threads, idle;

static void job_do(int fd, uint64_t length)
{
	if (length)
		segment_memfd_punch(fd, 0, length);
	base_fd_close(&fd);
}

static void *closer(void *unused)
{
	pthread_mutex_lock(&lock);
	for (;;) {
		idle++;
		while (!jobs)
			pthread_cond_wait(&more, &lock);
		idle--;
		struct job *job = jobs;
		DL_DELETE(jobs, job);
		job_count--;
		pthread_mutex_unlock(&lock);
		job_do(job->fd, job->length);
		free(job);
		pthread_mutex_lock(&lock);
	}
	return unused;
}

/* False: there is neither memory nor a thread for it. */
static bool hand_over(int fd, uint64_t length)
{
	struct job *job = malloc(sizeof(*job));
	if (!job)
		return false;
	*job = (struct job){.fd = fd, .length = length};
	pthread_mutex_lock(&lock);
	/* A woken thread is idle until it runs; so that the threads suffice, each job counts. */
	if (job_count >= idle && threads < THREADS_MAX && rsmd_thread_start(closer, NULL))
		threads++;
	bool taken = threads > 0;
	if (taken) {
		DL_APPEND(jobs, job);
		job_count++;
		pthread_cond_signal(&more);
	}
	pthread_mutex_unlock(&lock);
	if (!taken)
		free(job);
	return taken;
}

void rsmd_closer_close(int fd)
{
	rsmd_closer_empty(fd, 0);
}

void rsmd_closer_empty(int fd, uint64_t length)
{
	int saved = errno;
	if (fd >= 0 && !hand_over(fd, length))
		job_do(fd, length);
	errno = saved;
}
