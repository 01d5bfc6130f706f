/* SPDX-License-Identifier: BSD-2-Clause */
/* The rows: how they are measured in rounds, judged and printed. */
#include <jansson.h>
#include <math.h>
#include <rsm/ext.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include "bench.h"

#define ROWS_MAX   64
#define ROUNDS_MAX 32
#define BUSY       0.5 /* a load average that spoils figures on two cores */

static struct bench_row rows[ROWS_MAX];
static unsigned row_count;

static int order(const void *left, const void *right)
{
	double a = *(const double *)left, b = *(const double *)right;

	return (a > b) - (a < b);
}

double bench_median(double *values, unsigned count)
{
	qsort(values, count, sizeof(*values), order);
	return count % 2 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

void bench_row_add(const struct bench_row *row)
{
	if (row_count < ROWS_MAX)
		rows[row_count++] = *row;
	else
		bench_problem("more than %d rows: raise ROWS_MAX", ROWS_MAX);
}

bool bench_compare(struct bench_row row, bench_probe raw, bench_probe ours, void *context, unsigned rounds)
{
	double limits[ROUNDS_MAX], figures[ROUNDS_MAX];
	double limit, figure;

	rounds = rounds < ROUNDS_MAX ? rounds : ROUNDS_MAX;
	for (unsigned i = 0; i <= rounds; i++) {
		limit = raw ? raw(context) : 0;
		figure = ours(context);
		if (limit < 0 || figure < 0)
			return false;
		if (i > 0) {
			limits[i - 1] = limit;
			figures[i - 1] = figure;
		}
	}
	row.raw = bench_median(limits, rounds);
	row.ours = bench_median(figures, rounds);
	bench_row_add(&row);
	return true;
}

/* Rounded as it is printed, so that the verdict agrees with what the reader sees. */
static double row_ratio(const struct bench_row *row)
{
	return row->limit && row->raw > 0 ? round(row->ours / row->raw * 100) / 100 : NAN;
}

static bool row_is_ok(const struct bench_row *row)
{
	double goal = round(row->goal * 100) / 100;

	switch (row->kind) {
	case BENCH_RATIO_MOST:
		return row_ratio(row) <= goal;
	case BENCH_RATIO_LEAST:
		return row_ratio(row) >= goal;
	case BENCH_VALUE_MOST:
		return round(row->ours * 100) / 100 <= goal;
	}
	return false;
}

static void print_figure(char *text, size_t size, const struct bench_row *row, double value)
{
	snprintf(text, size, "%.*f %s", value >= 1000 ? 0 : value >= 100 ? 1 : 2, value, row->unit);
}

void bench_report_table(FILE *out)
{
	char raw[24], ours[24], ratio[12], goal[32];
	struct utsname system;

	fprintf(out, "%-39s %12s %12s %6s %-20s %s\n", "one host", "raw limit", "librsm", "ratio", " goal",
		"verdict");
	for (unsigned i = 0; i < row_count; i++) {
		const struct bench_row *row = &rows[i];
		bool bounds_value = row->kind == BENCH_VALUE_MOST;

		snprintf(raw, sizeof(raw), "-");
		snprintf(ratio, sizeof(ratio), "-");
		if (row->limit) {
			print_figure(raw, sizeof(raw), row, row->raw);
			snprintf(ratio, sizeof(ratio), "%.2f", row_ratio(row));
		}
		print_figure(ours, sizeof(ours), row, row->ours);
		snprintf(goal, sizeof(goal), "%s %.*f%s%s%s%s%s",
			 row->kind == BENCH_RATIO_LEAST ? ">=" : "<=",
			 bounds_value ? row->goal != floor(row->goal) : 2, row->goal,
			 bounds_value ? " " : "x", bounds_value ? row->unit : "", row->note ? " (" : "",
			 row->note ? row->note : "", row->note ? ")" : "");
		fprintf(out, "%-39s %12s %12s %6s  %-19s %s\n", row->name, raw, ours, ratio, goal,
			row_is_ok(row) ? "ok" : "short");
	}
	if (uname(&system) == 0)
		fprintf(out, "librsm %s, %s %s, cores %d and %d, load average before: %.2f\n",
			rsmx_version(NULL), system.sysname, system.release, bench_core[0], bench_core[1],
			bench_load);
	if (bench_load > BUSY)
		fputs("The machine was busy: the figures are off.\n", out);
}

bool bench_report_json(FILE *out)
{
	static const char *const kinds[] = {"ratio at most", "ratio at least", "value at most"};
	json_t *list = json_array();
	json_t *report = json_pack("{s:i,s:s,s:f,s:o}", "schema", 1, "release", rsmx_version(NULL), "load",
				   bench_load, "rows", list);
	bool written;

	for (unsigned i = 0; i < row_count; i++) {
		const struct bench_row *row = &rows[i];
		json_t *entry = json_pack("{s:s,s:s,s:f,s:f,s:s,s:b}", "name", row->name, "unit", row->unit,
					  "librsm", row->ours, "goal", row->goal, "goal_bounds",
					  kinds[row->kind], "ok", row_is_ok(row));

		if (row->limit) {
			json_object_set_new(entry, "limit", json_string(row->limit));
			json_object_set_new(entry, "raw", json_real(row->raw));
			json_object_set_new(entry, "ratio", json_real(row_ratio(row)));
		}
		json_array_append_new(list, entry);
	}
	written = report && json_dumpf(report, out, JSON_INDENT(2) | JSON_REAL_PRECISION(6)) == 0;
	json_decref(report);
	fputc('\n', out);
	return written && fflush(out) == 0;
}
