/* SPDX-License-Identifier: BSD-2-Clause */
/* The table of `rsm perf`: rows appear as they are measured, so the columns have fixed widths, 98 together. */
#include <stdio.h>
#include <string.h>

#include "rsm/perf.h"

#define COLUMNS "%-12s %7s %8s %6s %7s %6s %6s %6s %6s %9s"

/* Three digits that count, and a unit: at most 7 columns for the values 0.001 to 999 before it. */
static void format_three(char *text, size_t size, double value, const char *unit)
{
	snprintf(text, size, "%.*f%s", value < 9.995 ? 2 : value < 99.95 ? 1 : 0, value, unit);
}

void perf_format_time(char *text, size_t size, double nanoseconds)
{
	static const char *const units[] = {"ns", "us", "ms", "s"};
	size_t unit = 0;
	while (nanoseconds >= 999.5 && unit + 1 < sizeof(units) / sizeof(units[0])) {
		nanoseconds /= 1e3;
		unit++;
	}
	format_three(text, size, nanoseconds, units[unit]);
}

static void format_speed(char *text, size_t size, double speed, const char *unit)
{
	static const char *const prefixes[] = {"", "k", "M", "G", "T"};
	char whole[16];
	size_t prefix = 0;
	while (speed >= 999.5 && prefix + 1 < sizeof(prefixes) / sizeof(prefixes[0])) {
		speed /= 1e3;
		prefix++;
	}
	snprintf(whole, sizeof(whole), " %s%s", prefixes[prefix], unit);
	format_three(text, size, speed, whole);
}

/* The time under a key; a dash where an older file has none. */
static void time_cell(char *text, size_t size, const json_t *row, const char *key)
{
	const json_t *value = json_object_get(row, key);
	if (json_is_number(value))
		perf_format_time(text, size, json_number_value(value));
	else
		snprintf(text, size, "-");
}

/* The speed that goes with a median: the row's own one, or the raw limit's. */
static void speed_cell(char *text, size_t size, const json_t *row, double median)
{
	double bytes = json_number_value(json_object_get(row, "bytes_per_second"));
	double operations = json_number_value(json_object_get(row, "operations_per_second"));
	double scale = json_number_value(json_object_get(row, "median_ns")) / median;
	if (bytes > 0)
		format_speed(text, size, bytes * scale, "B/s");
	else if (operations > 0)
		format_speed(text, size, operations * scale, "/s");
	else
		snprintf(text, size, "-");
}

void perf_report_begin(bool compare)
{
	char line[TOOL_TABLE_WIDTH + 1];
	int used = snprintf(line, sizeof(line), COLUMNS, "TEST", "SIZE", "COUNT", "MIN", "AVERAGE", "MEDIAN",
			    "P99", "P99.9", "MAX", "SPEED");
	if (compare)
		snprintf(line + used, sizeof(line) - (size_t)used, " %9s %5s", "RAW", "RATIO");
	tool_heading(line);
	fflush(stdout);
}

void perf_report_row(const json_t *row, bool compare)
{
	static const char *const keys[] = {"min_ns", "average_ns", "median_ns",
					   "p99_ns", "p999_ns",    "max_ns"};
	char name[32], size[24] = "-", count[24], times[6][16], speed[24], raw[24] = "-",
		       line[TOOL_TABLE_WIDTH + 1];
	json_int_t bytes = json_integer_value(json_object_get(row, "size"));
	json_int_t operations = json_integer_value(json_object_get(row, "operations"));
	double median = json_number_value(json_object_get(row, "median_ns"));
	double raw_median = json_number_value(json_object_get(row, "raw_median_ns"));
	tool_render_value(name, sizeof(name), "test", json_object_get(row, "test"));
	if (bytes > 0)
		tool_format_size(size, sizeof(size), (uint64_t)bytes);
	snprintf(count, sizeof(count), operations < 100000000 ? "%.0f" : "%.0fM",
		 operations < 100000000 ? (double)operations : (double)operations / 1e6);
	for (size_t i = 0; i < 6; i++)
		time_cell(times[i], sizeof(times[i]), row, keys[i]);
	speed_cell(speed, sizeof(speed), row, median);
	int used = snprintf(line, sizeof(line), COLUMNS, name, size, count, times[0], times[1], times[2],
			    times[3], times[4], times[5], speed);
	if (compare && raw_median > 0 && used < TOOL_TABLE_WIDTH) {
		speed_cell(raw, sizeof(raw), row, raw_median);
		if (strcmp(raw, "-") == 0)
			perf_format_time(raw, sizeof(raw), raw_median);
		snprintf(line + used, sizeof(line) - (size_t)used, " %9s %5.2f", raw, median / raw_median);
	}
	tool_progress_clear();
	puts(line);
	fflush(stdout);
}
