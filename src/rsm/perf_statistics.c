/* SPDX-License-Identifier: BSD-2-Clause */
#include "rsm/perf_statistics.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SMALLEST                                                                                             \
	0.1 /* ns: what the logarithm is taken of at least; a pause taken off may leave less than nothing */

static int by_value(const void *left, const void *right)
{
	double a = *(const double *)left, b = *(const double *)right;
	return (a > b) - (a < b);
}

void perf_statistics_sort(double *values, size_t count)
{
	if (count)
		qsort(values, count, sizeof(*values), by_value);
}

double perf_percentile(const double *sorted, size_t count, unsigned parts)
{
	if (count == 0)
		return 0;
	uint64_t rank = ((uint64_t)count * parts + PERF_PARTS - 1) / PERF_PARTS; /* from 1 */
	rank = rank < 1 ? 1 : rank > count ? count : rank;
	return sorted[rank - 1];
}

void perf_statistics_summarize(const double *sorted, size_t count, struct perf_result *result)
{
	double sum = 0;
	for (size_t i = 0; i < count; i++)
		sum += sorted[i];
	result->samples = count;
	result->minimum = perf_percentile(sorted, count, 0);
	result->average = count ? sum / (double)count : 0;
	result->median = perf_percentile(sorted, count, 50000);
	result->p99 = perf_percentile(sorted, count, 99000);
	result->p999 = perf_percentile(sorted, count, 99900);
	result->maximum = perf_percentile(sorted, count, PERF_PARTS);
}

/* Ends the last bucket, and begins none that could have nothing. */
static void add_bound(struct perf_histogram *histogram, double bound)
{
	if (histogram->count == 0 || bound > histogram->bounds[histogram->count])
		histogram->bounds[++histogram->count] = bound;
}

void perf_histogram_fill(struct perf_histogram *histogram, const double *sorted, size_t count)
{
	memset(histogram, 0, sizeof(*histogram));
	if (count == 0)
		return;
	const unsigned regular = PERF_BUCKETS - 2;
	double p99 = perf_percentile(sorted, count, 99000);
	double from = sorted[0] > SMALLEST ? sorted[0] : SMALLEST;
	histogram->bounds[0] = sorted[0];
	for (unsigned i = 1; i < regular && p99 > from; i++)
		add_bound(histogram, from * pow(p99 / from, (double)i / regular));
	add_bound(histogram, p99);
	add_bound(histogram, perf_percentile(sorted, count, 99900));
	add_bound(histogram, sorted[count - 1]);
	for (size_t i = 0; i < count; i++)
		histogram->counts[perf_histogram_find(histogram, sorted[i])]++;
}

size_t perf_histogram_find(const struct perf_histogram *histogram, double value)
{
	size_t bucket = 0;
	while (bucket + 1 < histogram->count && value > histogram->bounds[bucket + 1])
		bucket++;
	return bucket;
}
