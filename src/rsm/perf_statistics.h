/* SPDX-License-Identifier: BSD-2-Clause */
/* Arithmetic on samples. Pure: nothing here measures, allocates or prints. */
#ifndef RSM_PERF_STATISTICS_H
#define RSM_PERF_STATISTICS_H

#include <stddef.h>
#include <stdint.h>

#define PERF_PARTS   100000u /* 100 % as perf_percentile counts it */
#define PERF_BUCKETS 21      /* of a histogram at most */

struct perf_result {
	double minimum, average, median, p99, p999, maximum; /* ns per operation */
	uint64_t operations;
	size_t samples;
};

/*
 * Buckets whose bounds grow by the same factor from the minimum to p99, one from there to p99.9, and one for what is above, so
 * that a rare long sample does not squeeze the others into one bucket. Bucket i has the samples above bounds[i] and up to
 * bounds[i + 1]; the first one has the minimum, too.
 */
struct perf_histogram {
	size_t count;
	double bounds[PERF_BUCKETS + 1];
	uint64_t counts[PERF_BUCKETS];
};

void perf_statistics_sort(double *values, size_t count);
/* Nearest rank: the smallest of the sorted values that `parts` of PERF_PARTS are not above. 0 for no values. */
double perf_percentile(const double *sorted, size_t count, unsigned parts);
/* All but the operations, which samples do not tell. */
void perf_statistics_summarize(const double *sorted, size_t count, struct perf_result *result);
void perf_histogram_fill(struct perf_histogram *histogram, const double *sorted, size_t count);
/* The bucket that has the value; one of the ends for what is beyond them. */
size_t perf_histogram_find(const struct perf_histogram *histogram, double value);

#endif
