/* SPDX-License-Identifier: BSD-2-Clause */
/* The rows: how they are measured in rounds, judged and printed. */
#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <rsm/ext.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/utsname.h>

#include "bench.h"

#define ROWS_MAX   64
#define ROUNDS_MAX 32
#define BUSY       0.5 /* a load average that spoils figures on two cores */

/* Strings are constants of the program, at the same addresses in a forked child. */
static struct {
	struct bench_row rows[ROWS_MAX];
	unsigned count;
	const char *hosts;
} * report;

bool bench_report_open(void)
{
	report = mmap(NULL, sizeof(*report), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	return report != MAP_FAILED || bench_problem("memory for the report: %s", strerror(errno));
}

void bench_report_hosts(const char *hosts)
{
	report->hosts = hosts;
}

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
	if (report->count < ROWS_MAX)
		report->rows[report->count++] = *row;
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
	case BENCH_VALUE_LEAST:
		return round(row->ours * 100) / 100 >= goal;
	case BENCH_EXCESS_MOST:
		return round((row->ours - row->raw) * 100) / 100 <= goal;
	}
	return false;
}

static void print_figure(char *text, size_t size, const struct bench_row *row, double value)
{
	snprintf(text, size, "%.*f %s", value >= 1000 ? 0 : value >= 100 ? 1 : 2, value, row->unit);
}

/* "<= 1.10x (note)", "<= 60 us", "<= limit + 100 us". */
static void print_goal(char *text, size_t size, const struct bench_row *row)
{
	bool least = row->kind == BENCH_RATIO_LEAST || row->kind == BENCH_VALUE_LEAST;
	bool ratio = row->kind == BENCH_RATIO_LEAST || row->kind == BENCH_RATIO_MOST;

	snprintf(text, size, "%s %s%.*f%s%s%s%s%s",
		 least ? ">=" : "<=", row->kind == BENCH_EXCESS_MOST ? "limit + " : "",
		 ratio ? 2 : row->goal != floor(row->goal), row->goal, ratio ? "x" : " ",
		 ratio ? "" : row->unit, row->note ? " (" : "", row->note ? row->note : "",
		 row->note ? ")" : "");
}

static void print_row(FILE *out, const struct bench_row *row)
{
	char raw[24] = "-", ours[24], ratio[12] = "-", goal[40];

	if (row->limit) {
		print_figure(raw, sizeof(raw), row, row->raw);
		snprintf(ratio, sizeof(ratio), "%.2f", row_ratio(row));
	}
	print_figure(ours, sizeof(ours), row, row->ours);
	print_goal(goal, sizeof(goal), row);
	fprintf(out, "%-39s %12s %12s %6s  %-19s %s\n", row->name, raw, ours, ratio, goal,
		row_is_ok(row) ? "ok" : "short");
}

static void print_table(FILE *out, const char *title, bool far)
{
	bool any = false;

	for (unsigned i = 0; i < report->count; i++) {
		if (report->rows[i].far != far)
			continue;
		if (!any)
			fprintf(out, "%-39s %12s %12s %6s %-20s %s\n", title, "raw limit", "librsm", "ratio",
				" goal", "verdict");
		any = true;
		print_row(out, &report->rows[i]);
	}
}

void bench_report_table(FILE *out)
{
	struct utsname system;

	print_table(out, "one host", false);
	if (report->hosts)
		print_table(out, report->hosts, true);
	fputs("Ratio: rows in units of time or memory are times the raw limit (goal <=: smaller is better),\n"
	      "rows in units per second are parts of the raw speed (goal >=: larger is better).\n",
	      out);
	if (uname(&system) == 0)
		fprintf(out, "librsm %s, %s %s, cores %d and %d, load average before: %.2f\n",
			rsmx_version(NULL), system.sysname, system.release, bench_core[0], bench_core[1],
			bench_load);
	if (bench_load > BUSY)
		fputs("The machine was busy: the figures are off.\n", out);
}

bool bench_report_json(FILE *out)
{
	static const char *const kinds[] = {"ratio at most", "ratio at least", "value at most",
					    "value at least", "excess over the limit at most"};
	json_t *list = json_array();
	json_t *tree = json_pack("{s:i,s:s,s:f,s:o}", "schema", 1, "release", rsmx_version(NULL), "load",
				 bench_load, "rows", list);
	bool written;

	if (report->hosts)
		json_object_set_new(tree, "hosts", json_string(report->hosts));
	for (unsigned i = 0; i < report->count; i++) {
		const struct bench_row *row = &report->rows[i];
		json_t *entry = json_pack("{s:s,s:i,s:s,s:f,s:f,s:s,s:b}", "name", row->name, "hosts",
					  row->far ? 2 : 1, "unit", row->unit, "librsm", row->ours, "goal",
					  row->goal, "goal_bounds", kinds[row->kind], "ok", row_is_ok(row));

		if (row->limit) {
			json_object_set_new(entry, "limit", json_string(row->limit));
			json_object_set_new(entry, "raw", json_real(row->raw));
			json_object_set_new(entry, "ratio", json_real(row_ratio(row)));
		}
		json_array_append_new(list, entry);
	}
	written = tree && json_dumpf(tree, out, JSON_INDENT(2) | JSON_REAL_PRECISION(6)) == 0;
	json_decref(tree);
	fputc('\n', out);
	return written && fflush(out) == 0;
}
