/* SPDX-License-Identifier: BSD-2-Clause */
/* The panels of a plot as a script for gnuplot: axes with units, a line for librsm and a dashed one for the raw limit. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "rsm/perf_plot.h"

/* Colours that people with any kind of colour vision tell apart (Okabe and Ito). */
static const char *const colours[] = {"#0072B2", "#D55E00", "#009E73", "#CC79A7",
				      "#E69F00", "#56B4E9", "#000000", "#F0E442"};
#define COLOURS (sizeof(colours) / sizeof(colours[0]))

struct range {
	double low, high;
};

static double number(const json_t *row, const char *key)
{
	return json_number_value(json_object_get(row, key));
}

static void widen(struct range *range, double value)
{
	if (!(value > 0))
		return;
	range->low = range->low > 0 && range->low < value ? range->low : value;
	range->high = range->high > value ? range->high : value;
}

static void put_point(FILE *script, double x, double y, struct range *xs, struct range *ys)
{
	if (!(y > 0))
		return;
	fprintf(script, "%.9g %.9g\n", x, y);
	widen(xs, x);
	widen(ys, y);
}

static int by_size(const void *left, const void *right)
{
	double a = perf_plot_size(*(const json_t *const *)left),
	       b = perf_plot_size(*(const json_t *const *)right);
	return (a > b) - (a < b);
}

/* Medians, or the bandwidth that goes with them, over size. */
static void put_sizes(FILE *script, const struct perf_plot *plot, const json_t *first, bool bandwidth,
		      bool raw, struct range *xs, struct range *ys)
{
	const json_t *rows[256] = {NULL}, *row;
	size_t count = 0, index;
	json_array_foreach(plot->results, index, row)
	{
		if (count < sizeof(rows) / sizeof(rows[0]) && perf_plot_same(first, row))
			rows[count++] = row;
	}
	qsort(rows, count, sizeof(rows[0]), by_size); /* a file may have them in any order */
	for (size_t i = 0; i < count; i++) {
		double median = number(rows[i], raw ? "raw_median_ns" : "median_ns");
		double size = perf_plot_size(rows[i]);
		double total =
			number(rows[i], "bytes_per_second") * number(rows[i], "median_ns"); /* of both ways */
		if (size > 0 && median > 0)
			put_point(script, size, bandwidth ? total / median / 1e9 : median, xs, ys);
	}
}

/* Percentiles on an axis where 90, 99, 99.9 % are equally far apart; the longest sample is where its rank is. */
static void put_distribution(FILE *script, const json_t *row, bool raw, struct range *xs, struct range *ys)
{
	json_t *points = json_object_get(row, raw ? "raw_distribution_ns" : "distribution_ns");
	double samples = number(row, raw ? "raw_samples" : "samples");
	for (void *at = json_object_iter(points); at; at = json_object_iter_next(points, at)) {
		double percent = strtod(json_object_iter_key(at), NULL);
		double x = percent < 100 ? -log10(1 - percent / 100) : log10(samples > 1 ? samples : 1);
		put_point(script, x, json_number_value(json_object_iter_value(at)), xs, ys);
	}
}

static void put_size_axis(FILE *script, struct range range)
{
	char label[24];
	const char *separator = "";
	int low = (int)floor(log2(range.low)), high = (int)ceil(log2(range.high));
	int step = (high - low) / 10 + 1;
	fputs("set logscale x 2\nset xtics (", script);
	for (int power = (low + step - 1) / step * step; power <= high; power += step) {
		tool_format_size(label, sizeof(label), (uint64_t)1 << power);
		fprintf(script, "%s'%s' %.0f", separator, label, ldexp(1, power));
		separator = ", ";
	}
	fprintf(script, ") rotate by 0 font ',11'\nset xrange [%.9g:%.9g]\nset xlabel 'size'\n",
		ldexp(0.97, low), ldexp(1.05, high));
}

static void put_percent_axis(FILE *script, struct range range)
{
	static const char *const names[] = {"0", "90", "99", "99.9", "99.99", "99.999"};
	int high = (int)ceil(range.high);
	high = high < 1 ? 1 : high > 5 ? 5 : high;
	fputs("unset logscale x\nset xtics (", script);
	for (int i = 0; i <= high; i++)
		fprintf(script, "'%s %%%%' %d, ", names[i], i);
	fprintf(script, "'50 %%%%' %.6f)\nset xrange [0:%d.1]\nset xlabel 'of the samples take at most'\n",
		log10(2), high);
}

/* A tic at each decade with a name such as 100 ns, and at 2 and 5 times it where there are few. */
static void put_time_axis(FILE *script, struct range range)
{
	static const char *const units[] = {"ns", "µs", "ms", "s"};
	static const int parts[] = {1, 2, 5};
	int low = (int)floor(log10(range.low)), high = (int)ceil(log10(range.high));
	const char *separator = "";
	low = low < 0 ? 0 : low;
	high = high <= low ? low + 1 : high;
	fputs("set logscale y 10\nset ytics (", script);
	for (int power = low; power <= high && power < 12; power++) {
		for (size_t i = 0; i < (high - low > 3 || power == high ? 1u : 3u); i++) {
			double value = parts[i] * pow(10, power % 3);
			fprintf(script, "%s'%.0f %s' %g", separator, value, units[power / 3],
				parts[i] * pow(10, power));
			separator = ", ";
		}
	}
	fprintf(script, ")\nset yrange [%.9g:%.9g]\nset ylabel 'time of one operation'\n",
		0.98 * pow(10, low), 1.02 * pow(10, high));
}

static void put_bandwidth_axis(FILE *script)
{
	fputs("unset logscale y\nset ytics auto\nset yrange [0:*]\nset ylabel 'GB/s'\n", script);
}

static void put_data(FILE *script, const struct perf_plot *plot, enum perf_panel panel, size_t index,
		     bool raw, struct range *xs, struct range *ys)
{
	const json_t *row = plot->panels[panel].rows[index];
	fprintf(script, "$%s%d_%zu << end_of_data\n", raw ? "raw" : "ours", (int)panel, index);
	if (panel == PERF_PANEL_DISTRIBUTION)
		put_distribution(script, row, raw, xs, ys);
	else
		put_sizes(script, plot, row, panel == PERF_PANEL_BANDWIDTH, raw, xs, ys);
	fputs("end_of_data\n", script);
}

static void put_curve(FILE *script, const struct perf_plot *plot, enum perf_panel panel, size_t index,
		      bool raw, void (*put_text)(FILE *script, const char *text))
{
	const json_t *row = plot->panels[panel].rows[index];
	const char *controller = json_string_value(json_object_get(row, "controller"));
	bool lines = panel == PERF_PANEL_DISTRIBUTION;
	fprintf(script, "$%s%d_%zu using 1:2 with %s lc rgb '%s' ", raw ? "raw" : "ours", (int)panel, index,
		lines ? "lines" : "linespoints", colours[index % COLOURS]);
	fprintf(script, raw ? "dt (8,6) lw 1.5 " : "lw 2.5 ");
	if (!lines)
		fprintf(script, "pt %d ps 0.6 ", raw ? 6 : 7);
	fputs("title '", script);
	put_text(script, json_string_value(json_object_get(row, raw ? "raw" : "test")));
	if (!raw && lines && perf_plot_size(row) > 0) {
		char size[24];
		tool_format_size(size, sizeof(size), (uint64_t)perf_plot_size(row));
		fprintf(script, ", %s", size);
	}
	if (!raw && controller && strcmp(controller, "loopback") != 0) {
		fputs(", ", script);
		put_text(script, controller);
	}
	fputs("'", script);
}

void perf_plot_panel(FILE *script, const struct perf_plot *plot, enum perf_panel panel,
		     void (*put_text)(FILE *script, const char *text))
{
	static const char *const titles[] = {"Latency over size (median)", "Bandwidth over size",
					     "Distribution of the latency"};
	struct range xs = {0}, ys = {0};
	const char *separator = "plot ";
	for (size_t i = 0; i < plot->panels[panel].count; i++) {
		put_data(script, plot, panel, i, false, &xs, &ys);
		if (json_object_get(plot->panels[panel].rows[i], "raw"))
			put_data(script, plot, panel, i, true, &xs, &ys);
	}
	if (!(xs.high > 0)) /* a file may have anything but points */
		xs = (struct range){1, 10};
	if (!(ys.high > 0))
		ys = (struct range){1, 10};
	fprintf(script, "set title '{/*1.1 %s}'\n", titles[panel]);
	if (panel == PERF_PANEL_DISTRIBUTION)
		put_percent_axis(script, xs);
	else
		put_size_axis(script, xs);
	if (panel == PERF_PANEL_BANDWIDTH)
		put_bandwidth_axis(script);
	else
		put_time_axis(script, ys);
	for (size_t i = 0; i < plot->panels[panel].count; i++) {
		fputs(separator, script);
		put_curve(script, plot, panel, i, false, put_text);
		separator = ", \\\n     ";
		if (!json_object_get(plot->panels[panel].rows[i], "raw"))
			continue;
		fputs(separator, script);
		put_curve(script, plot, panel, i, true, put_text);
	}
	fputc('\n', script);
}
