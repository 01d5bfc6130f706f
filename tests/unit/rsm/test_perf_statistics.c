/* SPDX-License-Identifier: BSD-2-Clause */
/* rsm/perf_statistics: percentiles by nearest rank; a histogram that counts every sample once, whatever they are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "rsm/perf_statistics.h"

#define COUNT 10000

static double values[COUNT];

static void no_values(void **state)
{
	struct perf_result result = {.operations = 7};
	struct perf_histogram histogram;
	(void)state;
	perf_statistics_sort(values, 0);
	perf_statistics_summarize(values, 0, &result);
	assert_true(result.minimum == 0 && result.average == 0 && result.maximum == 0);
	assert_int_equal(result.samples, 0);
	assert_int_equal(result.operations, 7);
	perf_histogram_fill(&histogram, values, 0);
	assert_int_equal(histogram.count, 0);
}

static void percentiles_are_samples(void **state)
{
	(void)state;
	double few[] = {4, 1, 3, 2};
	perf_statistics_sort(few, 4);
	assert_true(perf_percentile(few, 4, 0) == 1);
	assert_true(perf_percentile(few, 4, 25000) == 1);
	assert_true(perf_percentile(few, 4, 25001) == 2);
	assert_true(perf_percentile(few, 4, 50000) == 2);
	assert_true(perf_percentile(few, 4, 99000) == 4);
	assert_true(perf_percentile(few, 4, PERF_PARTS) == 4);
	assert_true(perf_percentile(few, 1, 50000) == 1);
}

static void summary_of_many(void **state)
{
	struct perf_result result;
	(void)state;
	for (size_t i = 0; i < COUNT; i++)
		values[i] = (double)(COUNT - i); /* 10000 down to 1 */
	perf_statistics_sort(values, COUNT);
	perf_statistics_summarize(values, COUNT, &result);
	assert_true(result.minimum == 1);
	assert_true(result.median == 5000);
	assert_true(result.average == 5000.5);
	assert_true(result.p99 == 9900);
	assert_true(result.p999 == 9990);
	assert_true(result.maximum == 10000);
	assert_int_equal(result.samples, COUNT);
}

/* Counts add up, bounds rise from the minimum to the maximum, each bucket has what is within its bounds. */
static void check_histogram(size_t count)
{
	struct perf_histogram histogram;
	uint64_t sum = 0;
	perf_statistics_sort(values, count);
	perf_histogram_fill(&histogram, values, count);
	assert_in_range(histogram.count, 1, PERF_BUCKETS);
	assert_true(histogram.bounds[0] == values[0]);
	assert_true(histogram.bounds[histogram.count] == values[count - 1]);
	for (size_t i = 0; i < histogram.count; i++) {
		uint64_t within = 0;
		assert_true(histogram.bounds[i] < histogram.bounds[i + 1] || histogram.count == 1);
		for (size_t k = 0; k < count; k++)
			within += (values[k] > histogram.bounds[i] ||
				   (i == 0 && values[k] == histogram.bounds[0])) &&
				  values[k] <= histogram.bounds[i + 1];
		assert_int_equal(histogram.counts[i], within);
		sum += histogram.counts[i];
	}
	assert_int_equal(sum, count);
}

static void histogram_counts_all(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT; i++)
		values[i] = 8 + (double)(i % 100) / 10;
	values[17] = 1e9; /* one that was interrupted */
	check_histogram(COUNT);
	for (size_t i = 0; i < COUNT; i++)
		values[i] = 5;
	check_histogram(COUNT);
	check_histogram(1);
	values[0] = 4;
	check_histogram(2);
}

/* A pause that is taken off may leave nothing, or less. */
static void histogram_below_zero(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT; i++)
		values[i] = (double)i - 20;
	check_histogram(COUNT);
	for (size_t i = 0; i < 100; i++)
		values[i] = -(double)i;
	check_histogram(100);
}

static void histogram_is_logarithmic(void **state)
{
	struct perf_histogram histogram;
	(void)state;
	for (size_t i = 0; i < COUNT; i++)
		values[i] = (double)(i + 1);
	perf_histogram_fill(&histogram, values, COUNT);
	assert_int_equal(histogram.count, PERF_BUCKETS);
	double factor = histogram.bounds[1] / histogram.bounds[0];
	for (size_t i = 1; i < PERF_BUCKETS - 2; i++) {
		double other = histogram.bounds[i + 1] / histogram.bounds[i];
		assert_true(other > factor * 0.999 && other < factor * 1.001);
	}
	assert_true(histogram.bounds[PERF_BUCKETS - 2] == 9900);
	assert_true(histogram.bounds[PERF_BUCKETS - 1] == 9990);
	assert_int_equal(perf_histogram_find(&histogram, 9900), PERF_BUCKETS - 3);
	assert_int_equal(perf_histogram_find(&histogram, 1e12), PERF_BUCKETS - 1);
	assert_int_equal(perf_histogram_find(&histogram, 0), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_values),
		cmocka_unit_test(percentiles_are_samples),
		cmocka_unit_test(summary_of_many),
		cmocka_unit_test(histogram_counts_all),
		cmocka_unit_test(histogram_below_zero),
		cmocka_unit_test(histogram_is_logarithmic),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
