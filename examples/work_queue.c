/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A shared work queue. The owner exports one lane for each worker and puts jobs there with plain stores; workers,
 * on this node or on others, fetch them by get, answer by put and wake the owner by a signal.
 *
 *     work_queue owner 0x400100 LANES JOBS
 *     work_queue worker [NODE:]0x400100 LANE      (0 to LANES-1, one process each; may start first, die, come back)
 *
 * Each word of a lane has one writer, so no lock and no remote atomic is needed. A worker that does not answer in
 * time loses its job to another one; its late answer carries an old ticket and is ignored.
 */
#include <stdatomic.h>
#include <stddef.h>
#include <time.h>
#include <unistd.h>

#include "example.h"

#define LANES_MAX 64
#define LATE_S    2 /* a worker is given up after so many seconds without an answer */

struct lane {
	_Atomic uint64_t ticket, job;      /* written by the owner */
	_Atomic uint64_t worker;           /* by the worker: its process id, when it takes the lane */
	_Atomic uint64_t answered, result; /* by the worker: the ticket that the result belongs to */
	uint64_t pad[3];
};

/* The job: how many steps does the Collatz sequence of this number take? */
static uint64_t work(uint64_t number)
{
	uint64_t steps = 0;
	for (; number > 1; steps++)
		number = number % 2 ? 3 * number + 1 : number / 2;
	return steps;
}

/* What the owner knows of a lane and does not share. */
struct hand {
	uint64_t ticket, job, worker; /* as handed out; ticket 0: nothing is */
	time_t since;
	uint64_t lost; /* ticket of the job that was given up, 0: none */
};

struct queue {
	struct lane *lanes;
	struct hand hands[LANES_MAX];
	uint64_t next_job, jobs, ticket, finished, sum;
	uint64_t again[LANES_MAX]; /* jobs whose worker was given up */
	unsigned again_count;
};

static void hand_out(struct queue *queue, unsigned n)
{
	struct lane *lane = &queue->lanes[n];
	struct hand *hand = &queue->hands[n];
	uint64_t job;
	if (queue->again_count > 0)
		job = queue->again[--queue->again_count];
	else if (queue->next_job < queue->jobs)
		job = ++queue->next_job;
	else
		return;
	*hand = (struct hand){
		.ticket = ++queue->ticket, .job = job, .worker = lane->worker, .since = time(NULL)};
	lane->job = job;
	lane->ticket = hand->ticket; /* last: whoever sees it sees the job */
}

/* One look at a lane: takes its answer, gives it up, or gives it work. */
static void look_at(struct queue *queue, unsigned n)
{
	struct lane *lane = &queue->lanes[n];
	struct hand *hand = &queue->hands[n];
	if (hand->ticket && lane->answered == hand->ticket) {
		queue->sum += lane->result;
		hand->ticket = 0;
		if (++queue->finished % 1000 == 0)
			printf("%llu jobs are done\n", (unsigned long long)queue->finished);
	} else if (hand->ticket && (lane->worker != hand->worker || time(NULL) > hand->since + LATE_S)) {
		printf("lane %u: worker %llu is gone or late, job %llu goes to another\n", n,
		       (unsigned long long)hand->worker, (unsigned long long)hand->job);
		queue->again[queue->again_count++] = hand->job;
		hand->lost = hand->ticket;
		hand->ticket = 0;
	}
	if (hand->lost && (lane->worker != hand->worker || lane->answered == hand->lost))
		hand->lost = 0; /* somebody else has the lane now, or it was only slow */
	if (!hand->ticket && !hand->lost && lane->worker)
		hand_out(queue, n);
}

static int own(const char *id, unsigned lanes, uint64_t jobs)
{
	rsm_memseg_export_handle_t segment;
	struct queue queue = {.jobs = jobs};
	queue.lanes =
		example_export((rsm_memseg_id_t)strtoul(id, NULL, 0), lanes * sizeof(struct lane), &segment);
	puts("ready");
	while (queue.finished < jobs) {
		uint64_t before = queue.ticket;
		for (unsigned n = 0; n < lanes; n++)
			look_at(&queue, n);
		if (queue.ticket != before)
			MUST(rsm_intr_signal_post(segment, 0)); /* wakes every worker */
		int code = rsm_intr_signal_wait(segment, 100);
		if (code != RSM_SUCCESS && code != RSMERR_TIMEOUT)
			MUST(code);
	}
	printf("%llu jobs, sum %llu\n", (unsigned long long)jobs, (unsigned long long)queue.sum);
	return 0; /* the end of the segment tells the workers */
}

/* The words of one lane, as a worker reaches them. */
static int fetch(rsm_memseg_import_handle_t import, unsigned n, size_t member, uint64_t *word)
{
	return rsm_memseg_import_get64(import, (off_t)(n * sizeof(struct lane) + member), word, 1);
}

static int store(rsm_memseg_import_handle_t import, unsigned n, size_t member, uint64_t word)
{
	return rsm_memseg_import_put64(import, (off_t)(n * sizeof(struct lane) + member), &word, 1);
}

/* Waits for a job that is newer than *ticket and does it. */
static int do_one(rsm_memseg_import_handle_t import, unsigned n, uint64_t *ticket)
{
	uint64_t offered, job;
	int code;
	while ((code = fetch(import, n, offsetof(struct lane, ticket), &offered)) == RSM_SUCCESS &&
	       offered == *ticket) {
		code = rsm_intr_signal_wait(import, 1000);
		if (code != RSM_SUCCESS && code != RSMERR_TIMEOUT)
			return code;
	}
	if (code == RSM_SUCCESS)
		code = fetch(import, n, offsetof(struct lane, job), &job);
	if (code != RSM_SUCCESS)
		return code;
	*ticket = offered;
	code = store(import, n, offsetof(struct lane, result), work(job));
	if (code == RSM_SUCCESS)
		code = store(import, n, offsetof(struct lane, answered), offered);
	return code == RSM_SUCCESS ? rsm_intr_signal_post(import, 0) : code;
}

static int labour(const char *name, unsigned n)
{
	rsm_memseg_import_handle_t import;
	rsmapi_barrier_t barrier;
	uint64_t ticket, done = 0;
	int code;
	MUST(example_await(name, RSM_PERM_RDWR, &import, &barrier));
	/* A job that lies in the lane from an earlier worker is not ours. */
	MUST(fetch(import, n, offsetof(struct lane, ticket), &ticket));
	MUST(store(import, n, offsetof(struct lane, worker), (uint64_t)getpid()));
	MUST(rsm_intr_signal_post(import, 0));
	puts("ready");
	while ((code = do_one(import, n, &ticket)) == RSM_SUCCESS)
		done++;
	if (code != RSMERR_CONN_ABORTED) /* that one means: the owner has ended, there is no more work */
		MUST(code);
	MUST(rsm_memseg_import_disconnect(import));
	printf("lane %u: %llu jobs done\n", n, (unsigned long long)done);
	return 0;
}

int main(int argc, char **argv)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc == 5 && !strcmp(argv[1], "owner") && atoi(argv[3]) > 0 && atoi(argv[3]) <= LANES_MAX)
		return own(argv[2], (unsigned)atoi(argv[3]), strtoull(argv[4], NULL, 10));
	if (argc == 4 && !strcmp(argv[1], "worker"))
		return labour(argv[2], (unsigned)atoi(argv[3]));
	fprintf(stderr, "usage: work_queue owner ID LANES JOBS | worker [NODE:]ID LANE\n");
	return 2;
}
