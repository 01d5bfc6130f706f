/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A picture of results, drawn by gnuplot: latency and bandwidth over size, and the distribution of the samples of tests with one
 * size. gnuplot reads its script from a memfd and writes into a file beside the wanted one, which takes its name when the
 * picture is whole. Text out of the results reaches the script without any character that means something there.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "rsm/perf_plot.h"

#define WIDTH  1000 /* of a picture, in pixels of svg */
#define HEIGHT 540  /* of a panel */
#define TITLE  60

static bool ends_with(const char *text, const char *end)
{
	size_t length = strlen(text), tail = strlen(end);
	return length > tail && strcmp(text + length - tail, end) == 0;
}

/* Before anything is measured: whether the picture can be written there. */
static int check_place(const char *file)
{
	struct stat st;
	const char *slash = strrchr(file, '/');
	int length = slash ? (int)(slash - file) + 1 : 1;
	char directory[PATH_MAX];
	snprintf(directory, sizeof(directory), "%.*s", length, slash ? file : ".");
	int error = access(directory, W_OK | X_OK)                ? errno
		    : stat(file, &st) == 0 && S_ISDIR(st.st_mode) ? EISDIR
								  : 0;
	return error ? tool_fail_errno(error, "write %s", file) : TOOL_OK;
}

int perf_plot_check(const char *file)
{
	if (!ends_with(file, ".svg") && !ends_with(file, ".png")) {
		fprintf(stderr, "rsm perf: --plot draws FILE.svg or FILE.png, '%s' is neither\n", file);
		return TOOL_USAGE;
	}
	if (!perf_plot_find())
		return tool_fail("draw %s: gnuplot is not in PATH; Debian has it in the package "
				 "gnuplot-nox. --json keeps the results, and --from FILE --plot draws "
				 "them later",
				 file);
	return check_place(file);
}

static void put_text(FILE *script, const char *text)
{
	unsigned left = 100;
	for (const char *at = text ? text : ""; *at && left; at++, left--)
		fputc(isalnum((unsigned char)*at) || strchr(" .,:;()/+-", *at) ? *at : ' ', script);
}

static const char *text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));
	return text ? text : "";
}

/* What a series stands in. */
static enum perf_panel panel_of(const json_t *results, const json_t *row)
{
	const char *kind = text_of(row, "kind");
	bool varies = false; /* a batch may have measured one size several times */
	const json_t *other;
	size_t index;
	json_array_foreach(results, index, other)
	{
		varies = varies ||
			 (perf_plot_same(row, other) && perf_plot_size(row) != perf_plot_size(other));
	}
	if (!varies)
		return strcmp(kind, "bandwidth") == 0 ? PERF_PANELS : PERF_PANEL_DISTRIBUTION;
	return strcmp(kind, "bandwidth") == 0 ? PERF_PANEL_BANDWIDTH : PERF_PANEL_LATENCY;
}

double perf_plot_size(const json_t *row)
{
	json_int_t size = json_integer_value(json_object_get(row, "size"));
	return size > 0 ? (double)size : 0;
}

bool perf_plot_same(const json_t *left, const json_t *right)
{
	return strcmp(text_of(left, "test"), text_of(right, "test")) == 0 &&
	       strcmp(text_of(left, "controller"), text_of(right, "controller")) == 0;
}

/* Sorts the tests into panels; a test has one series, and its first row stands for it. */
static void find_series(const json_t *results, struct perf_plot *plot)
{
	const json_t *row;
	size_t index;
	json_array_foreach(results, index, row)
	{
		enum perf_panel panel = panel_of(results, row);
		bool known = panel == PERF_PANELS;
		for (size_t i = 0; !known && i < plot->panels[panel].count; i++)
			known = perf_plot_same(row, plot->panels[panel].rows[i]);
		if (!known && plot->panels[panel].count == PERF_SERIES_MAX)
			fprintf(stderr,
				"rsm: %s is not drawn: a picture has %d curves at most, besides the limits\n",
				text_of(row, "test"), PERF_SERIES_MAX);
		else if (!known)
			plot->panels[panel].rows[plot->panels[panel].count++] = row;
	}
	for (size_t i = 0; i < PERF_PANELS; i++)
		plot->used += plot->panels[i].count > 0;
}

/* The machine and the releases, under the title. */
static void put_facts(FILE *script, const json_t *tree)
{
	const json_t *machine = json_object_get(tree, "machine");
	json_int_t cores = json_integer_value(json_object_get(machine, "cores"));
	char date[11]; /* of the day */
	put_text(script, text_of(machine, "cpu"));
	if (cores > 0)
		fprintf(script, ", %" JSON_INTEGER_FORMAT " cores", cores);
	fputs(", Linux ", script);
	put_text(script, text_of(machine, "kernel"));
	fputs(", librsm ", script);
	put_text(script, text_of(tree, "library"));
	fputs(", against ", script);
	put_text(script, text_of(tree, "target"));
	fputs(", ", script);
	snprintf(date, sizeof(date), "%s", text_of(tree, "date"));
	put_text(script, date);
}

static void put_head(FILE *script, const json_t *tree, const struct perf_plot *plot, bool svg)
{
	double scale = svg ? 1 : 1.5;
	fputs("set encoding utf8\n", script);
	fprintf(script, "set terminal %s size %.0f,%.0f enhanced font '%s' background rgb 'white'\n",
		svg ? "svg" : "pngcairo", WIDTH * scale, ((double)plot->used * HEIGHT + TITLE) * scale,
		svg ? "sans-serif,14" : "sans,15");
	fprintf(script, "set multiplot layout %zu,1 title \"{/:Bold rsm perf}\\n{/*0.8 ", plot->used);
	put_facts(script, tree);
	fputs("}\"\n"
	      "set border 3 lc rgb '#555555'\n"
	      "set tics nomirror\n"
	      "set grid xtics ytics lt 1 lc rgb '#e0e0e0' lw 1\n"
	      "set key below Left reverse samplen 3 maxcols 4 spacing 1.2\n"
	      "set lmargin 10\nset rmargin 3\n",
	      script);
}

/* The finished picture takes the name; readable by whom the umask allows, as files usually are. */
static int keep(const char *temporary, int fd, const char *file)
{
	mode_t mask = umask(0);
	umask(mask);
	if (fchmod(fd, 0666 & ~mask) == 0 && rename(temporary, file) == 0)
		return TOOL_OK;
	int error = errno;
	unlink(temporary);
	return tool_fail_errno(error, "write %s", file);
}

static int draw(int script, const char *file)
{
	char *temporary;
	if (asprintf(&temporary, "%s.XXXXXX", file) < 0)
		return tool_fail("draw %s: out of memory", file);
	int fd = mkostemp(temporary, O_CLOEXEC), result;
	if (fd < 0) {
		result = tool_fail_errno(errno, "write %s", file);
	} else {
		result = perf_plot_run(script, fd, file);
		if (result == TOOL_OK)
			result = keep(temporary, fd, file);
		else
			unlink(temporary);
		close(fd);
	}
	free(temporary);
	return result;
}

int perf_plot(const json_t *tree, const char *file)
{
	struct perf_plot plot = {.results = json_object_get(tree, "results")};
	find_series(plot.results, &plot);
	if (plot.used == 0)
		return tool_fail(
			"draw %s: there is no curve in bandwidth at one size; name more by --sizes or --all",
			file);
	int memory = memfd_create("rsm-plot", MFD_CLOEXEC);
	int copy = memory < 0 ? -1 : dup(memory);
	FILE *script = copy < 0 ? NULL : fdopen(copy, "w");
	if (!script) {
		int error = errno;
		if (copy >= 0)
			close(copy);
		if (memory >= 0)
			close(memory);
		return tool_fail_errno(error, "draw %s", file);
	}
	put_head(script, tree, &plot, ends_with(file, ".svg"));
	for (size_t i = 0; i < PERF_PANELS; i++) {
		if (plot.panels[i].count)
			perf_plot_panel(script, &plot, (enum perf_panel)i, put_text);
	}
	fputs("unset multiplot\n", script);
	bool whole = fclose(script) == 0;
	int result = whole && lseek(memory, 0, SEEK_SET) == 0 ? draw(memory, file)
							      : tool_fail_errno(errno, "draw %s", file);
	close(memory);
	return result;
}
