/* SPDX-License-Identifier: BSD-2-Clause */
/* Names of columns, and what stands in them: at most eight characters for a number. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "rsm/top.h"

const char *const top_titles[TOP_COLUMNS] = {"SEGMENT", "IMPORTER", "PUT/s",     "GET/s",   "IN B/s",
					     "OUT B/s", "LATENCY",  "SIGNALS/s", "FAILURES"};

static const char *const names[TOP_COLUMNS] = {"segment", "importer", "put",     "get",     "in",
					       "out",     "latency",  "signals", "failures"};

bool top_column_parse(const char *name, enum top_column *column)
{
	for (int i = 0; i < TOP_COLUMNS; i++)
		if (strcasecmp(name, names[i]) == 0) {
			*column = (enum top_column)i;
			return true;
		}
	return false;
}

/* Three figures and a unit: 0, 0.25, 17, 1.23k, 45.6M. */
static void format_number(double value, char *text, size_t size)
{
	static const char *const units[] = {"", "k", "M", "G", "T", "P", "E"};
	size_t unit = 0;
	while (value >= 999.5 && unit + 1 < sizeof(units) / sizeof(units[0])) {
		value /= 1000;
		unit++;
	}
	bool whole = unit == 0 && value == (double)(uint64_t)value;
	int places = whole || value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
	snprintf(text, size, "%.*f%s", places, value, units[unit]);
}

static void format_latency(double ns, char *text, size_t size)
{
	static const char *const units[] = {"ns", "us", "ms", "s"};
	size_t unit = 0;
	while (ns >= 999.5 && unit + 1 < sizeof(units) / sizeof(units[0])) {
		ns /= 1000;
		unit++;
	}
	if (ns > 0)
		snprintf(text, size, "%.*f %s", unit == 0 || ns >= 99.95 ? 0 : 1, ns, units[unit]);
	else
		snprintf(text, size, "-");
}

static void format_importer(const struct top_line *line, char *text, size_t size)
{
	if (line->connections != 1 || !line->id || (!line->pid && !line->program[0]))
		snprintf(text, size, "%zu importer%s", line->connections, line->connections == 1 ? "" : "s");
	else if (line->pid)
		snprintf(text, size, "%u:%d %s", line->importer, line->pid, line->program);
	else
		snprintf(text, size, "%u:? %s", line->importer, line->program);
	for (char *at = text; *at; at++) /* programs name themselves; a column counts bytes: ASCII only */
		*at = (unsigned char)*at < ' ' || (unsigned char)*at >= 0x7f ? '?' : *at;
}

void top_cell_format(const struct top_line *line, enum top_column column, char *text, size_t size)
{
	switch (column) {
	case TOP_SEGMENT:
		/* What a process has beyond its room for counters is one row, which names no segment (rsm/ext.h). */
		if (!line->node && !line->segment)
			snprintf(text, size, "(others)");
		else
			snprintf(text, size, "%u:0x%x", line->node, line->segment);
		break;
	case TOP_IMPORTER:
		format_importer(line, text, size);
		break;
	case TOP_LATENCY:
		format_latency(line->rates[TOP_LATENCY], text, size);
		break;
	case TOP_FAILURES:
		format_number((double)line->failures, text, size);
		break;
	default:
		format_number(line->rates[column], text, size);
	}
}

void top_history_scale(const struct top_line *line, unsigned char heights[TOP_HISTORY])
{
	double most = 0;
	for (size_t i = 0; i < TOP_HISTORY; i++)
		most = line->history[i] > most ? line->history[i] : most;
	for (size_t i = 0; i < TOP_HISTORY; i++)
		heights[i] = line->history[i] > 0 ? (unsigned char)(1 + 7 * line->history[i] / most) : 0;
}
