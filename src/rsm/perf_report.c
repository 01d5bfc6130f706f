/* SPDX-License-Identifier: BSD-2-Clause */
/* The table and the JSON of `rsm perf`. Lines of the table appear as they are measured. */
#include <stdio.h>
#include <string.h>

#include "rsm/perf.h"

static void format_time(char *text, size_t size, double nanoseconds)
{
	if (nanoseconds < 1e3)
		snprintf(text, size, "%.1f ns", nanoseconds);
	else if (nanoseconds < 1e6)
		snprintf(text, size, "%.2f us", nanoseconds / 1e3);
	else
		snprintf(text, size, "%.2f ms", nanoseconds / 1e6);
}

/* 10^9 per second is 1 per ns. */
static void format_speed(char *text, size_t size, const struct perf_line *line,
			 const struct perf_result *result)
{
	double bytes = line->test->kind == PERF_BANDWIDTH ? (double)line->size : 1;
	const char *unit = line->test->kind == PERF_BANDWIDTH ? "B/s" : "/s";
	double speed = bytes / result->median;
	if (line->test->kind == PERF_TIME)
		snprintf(text, size, "-");
	else if (speed >= 1)
		snprintf(text, size, "%.2f G%s", speed, unit);
	else
		snprintf(text, size, "%.1f M%s", speed * 1e3, unit);
}

void perf_report_begin(struct perf_report *report)
{
	char line[TOOL_TABLE_WIDTH + 1];
	if (report->json) {
		report->lines = json_array();
		return;
	}
	int used = snprintf(line, sizeof(line), "%-12s %7s %9s %8s %8s %8s %8s %10s", "TEST", "SIZE", "COUNT",
			    "MIN", "MEDIAN", "P99", "MAX", "SPEED");
	if (report->compare)
		snprintf(line + used, sizeof(line) - (size_t)used, " %9s %6s", "RAW", "RATIO");
	tool_heading(line);
	fflush(stdout);
}

static void add_json(struct perf_report *report, const struct perf_line *line)
{
	const struct perf_result *result = &line->result;
	json_t *entry = json_pack("{s:s, s:I, s:f, s:f, s:f, s:f}", "test", line->test->name, "operations",
				  (json_int_t)result->operations, "min_ns", result->minimum, "median_ns",
				  result->median, "p99_ns", result->p99, "max_ns", result->maximum);
	if (line->size)
		json_object_set_new(entry, "size", json_integer((json_int_t)line->size));
	if (line->test->kind == PERF_BANDWIDTH)
		json_object_set_new(entry, "bytes_per_second",
				    json_real((double)line->size / result->median * 1e9));
	if (line->test->kind == PERF_RATE)
		json_object_set_new(entry, "operations_per_second", json_real(1e9 / result->median));
	if (line->has_raw) {
		json_object_set_new(entry, "raw", json_string(line->test->raw->name));
		json_object_set_new(entry, "raw_median_ns", json_real(line->raw.median));
		json_object_set_new(entry, "ratio", json_real(result->median / line->raw.median));
	}
	json_array_append_new(report->lines, entry);
}

void perf_report_line(struct perf_report *report, const struct perf_line *line)
{
	char size[16] = "-", minimum[16], median[16], p99[16], maximum[16], speed[24], raw[24] = "-";
	if (report->json) {
		add_json(report, line);
		return;
	}
	if (line->size)
		tool_format_size(size, sizeof(size), line->size);
	format_time(minimum, sizeof(minimum), line->result.minimum);
	format_time(median, sizeof(median), line->result.median);
	format_time(p99, sizeof(p99), line->result.p99);
	format_time(maximum, sizeof(maximum), line->result.maximum);
	format_speed(speed, sizeof(speed), line, &line->result);
	printf("%-12s %7s %9ju %8s %8s %8s %8s %10s", line->test->name, size,
	       (uintmax_t)line->result.operations, minimum, median, p99, maximum, speed);
	if (report->compare && line->has_raw) {
		if (line->test->kind == PERF_TIME)
			format_time(raw, sizeof(raw), line->raw.median);
		else
			format_speed(raw, sizeof(raw), line, &line->raw);
		printf(" %10s %5.2f", raw, line->result.median / line->raw.median);
	}
	putchar('\n');
	fflush(stdout);
}

int perf_report_end(struct perf_report *report, const char *target)
{
	if (!report->json)
		return TOOL_OK;
	json_t *tree = json_pack("{s:i, s:s, s:s, s:o}", "schema", 1, "library", rsmx_version(NULL), "target",
				 target, "results", report->lines);
	report->lines = NULL;
	if (!tree || json_dumpf(tree, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(6)) != 0)
		return tool_fail("print the results as JSON: out of memory");
	putchar('\n');
	json_decref(tree);
	return TOOL_OK;
}
