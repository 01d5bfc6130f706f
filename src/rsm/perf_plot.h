/* SPDX-License-Identifier: BSD-2-Clause */
/* Inside of `rsm perf --plot`: perf_plot.c has the order of things, perf_panel.c the curves, perf_gnuplot.c the program. */
#ifndef RSM_PERF_PLOT_H
#define RSM_PERF_PLOT_H

#include <stdio.h>

#include "rsm/perf.h"

#define PERF_SERIES_MAX 8 /* as many as there are colours */

enum perf_panel { PERF_PANEL_LATENCY, PERF_PANEL_BANDWIDTH, PERF_PANEL_DISTRIBUTION, PERF_PANELS };

struct perf_plot {
	const json_t *results;
	struct {
		size_t count;
		const json_t *rows[PERF_SERIES_MAX]; /* the first of each series; borrowed */
	} panels[PERF_PANELS];
	size_t used; /* panels that have a series */
};

/* Whether two rows belong to the same series. */
bool perf_plot_same(const json_t *left, const json_t *right);
double perf_plot_size(const json_t *row); /* bytes, 0: none */
/* put_text: writes text that may be anything so that it means nothing to gnuplot. */
void perf_plot_panel(FILE *script, const struct perf_plot *plot, enum perf_panel panel,
		     void (*put_text)(FILE *script, const char *text));

/* Where gnuplot is, by PATH; NULL: nowhere. Good until the next call. */
const char *perf_plot_find(void);
/* Runs it on a script, its output into a file. */
int perf_plot_run(int script, int output, const char *file);

#endif
