/* SPDX-License-Identifier: BSD-2-Clause */
/* From a test to samples. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "rsm/perf.h"

#define BATCH_NS    2000u   /* shortest stretch that is timed: the clock is 2 % of it at most */
#define SAMPLES_MAX 200000u /* a longer budget makes longer batches */
#define SAMPLES_MIN 3u

static bool add_sample(struct perf_samples *samples, double value)
{
	if (samples->count == samples->capacity) {
		size_t capacity = samples->capacity ? samples->capacity * 2 : 1024;
		double *values = reallocarray(samples->values, capacity, sizeof(*values));
		if (!values)
			return false;
		samples->values = values;
		samples->capacity = capacity;
	}
	samples->values[samples->count++] = value;
	return true;
}

/*
 * Runs until a stretch is long enough twice, for once may be somebody else's doing; four times where a short batch would
 * measure something else. What it ran before that is a first warm-up.
 */
static int find_batch(struct perf_run *run, const struct perf_test *test, size_t size, uint64_t shortest,
		      uint64_t *batch)
{
	unsigned long_enough = 0;
	int code = test->run(run, size, 1);
	*batch = run->far && test->window ? test->window : 1;
	while (code == RSM_SUCCESS) {
		uint64_t start = base_clock_ns();
		code = test->run(run, size, *batch);
		long_enough = base_clock_ns() - start >= shortest ? long_enough + 1 : 0;
		if (long_enough == (test->shortest ? 4 : 2))
			break;
		*batch *= long_enough ? 1 : 2;
	}
	return code;
}

static int warm_up(struct perf_run *run, const struct perf_test *test, size_t size, uint64_t batch,
		   uint64_t nanoseconds)
{
	int code = RSM_SUCCESS;
	for (uint64_t begin = base_clock_ns(); code == RSM_SUCCESS && base_clock_ns() - begin < nanoseconds;)
		code = test->run(run, size, batch);
	return code;
}

static void show_progress(struct perf_run *run, const struct perf_test *test, double part)
{
	double steps = (part < 1 ? part : 1) * run->progress_step;
	tool_progress_steps(&run->progress, run->progress_done + (uint64_t)steps, test->name);
}

static int sample(struct perf_run *run, const struct perf_test *test, size_t size, struct perf_budget budget,
		  struct perf_samples *samples)
{
	uint64_t shortest = budget.nanoseconds / SAMPLES_MAX, batch, done = 0;
	uint64_t least = test->shortest ? test->shortest : BATCH_NS;
	int code = find_batch(run, test, size, shortest > least ? shortest : least, &batch);
	if (code != RSM_SUCCESS)
		return code;
	if (budget.operations && batch > budget.operations)
		batch = budget.operations;
	code = warm_up(run, test, size, batch, budget.warm_up);
	if (code != RSM_SUCCESS)
		return code;
	uint64_t begin = base_clock_ns(), now = begin;
	for (size_t taken = 0;; taken++) {
		if (budget.operations ? done >= budget.operations
				      : taken >= SAMPLES_MIN && now - begin >= budget.nanoseconds)
			return RSM_SUCCESS;
		uint64_t start = base_clock_ns();
		code = test->run(run, size, batch);
		now = base_clock_ns();
		if (code != RSM_SUCCESS)
			return code;
		if (!add_sample(samples, (double)(now - start) / (double)batch / test->parts - test->think)) {
			tool_fail("measure %s: out of memory for samples", test->name);
			return PERF_TOLD;
		}
		done += batch;
		samples->operations += batch;
		if (run->progress.terminal) /* between samples, ten times a second */
			show_progress(run, test,
				      budget.operations ? (double)done / (double)budget.operations
							: (double)(now - begin) / (double)budget.nanoseconds);
	}
}

int perf_measure(struct perf_run *run, const struct perf_test *test, size_t size, struct perf_budget budget,
		 struct perf_samples *samples)
{
	int code = test->begin ? test->begin(run, size) : RSM_SUCCESS;
	if (code == RSM_SUCCESS)
		code = sample(run, test, size, budget, samples);
	if (code == RSM_SUCCESS && test->end)
		code = test->end(run, size);
	return code;
}

void perf_samples_summarize(struct perf_samples *samples, struct perf_result *result)
{
	perf_statistics_sort(samples->values, samples->count);
	perf_statistics_summarize(samples->values, samples->count, result);
	result->operations = samples->operations;
}

void perf_samples_clear(struct perf_samples *samples)
{
	free(samples->values);
	memset(samples, 0, sizeof(*samples));
}

int perf_begin_explicit(struct perf_run *run, size_t size)
{
	(void)size;
	return rsm_memseg_import_set_mode(run->session.import, RSM_BARRIER_MODE_EXPLICIT);
}

int perf_end_explicit(struct perf_run *run, size_t size)
{
	(void)size;
	return rsm_memseg_import_set_mode(run->session.import, RSM_BARRIER_MODE_IMPLICIT);
}
