/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Writes metrics in the text format of Prometheus (version 0.0.4): a family's HELP and TYPE lines, then its samples. Knows no
 * rsmd; any thread, one at a time. A text for which there was no memory stays failed, and nothing more is added to it.
 */
#ifndef RSMD_METRICS_TEXT_H
#define RSMD_METRICS_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rsmd_metrics_text {
	char *bytes; /* malloc'ed; NUL behind them, once something was added */
	size_t length, size;
	const char *family; /* of the samples that follow */
	bool failed;
};

struct rsmd_metrics_label {
	const char *name;
	const char *value; /* any bytes: what is not UTF-8 becomes '?' */
};

/* A new family. A counter's name ends in _total; a gauge's does not. `name` stays as long as its samples are added. */
void rsmd_metrics_counter(struct rsmd_metrics_text *text, const char *name, const char *help);
void rsmd_metrics_gauge(struct rsmd_metrics_text *text, const char *name, const char *help);

/* A sample of the present family. `labels` ends with one whose name is NULL; NULL: no labels. */
void rsmd_metrics_count(struct rsmd_metrics_text *text, const struct rsmd_metrics_label *labels,
			uint64_t value);
void rsmd_metrics_real(struct rsmd_metrics_text *text, const struct rsmd_metrics_label *labels, double value);

/* The text, malloc'ed and the caller's, and its length; NULL when memory ran out. The struct is empty afterwards. */
char *rsmd_metrics_take(struct rsmd_metrics_text *text, size_t *length);

#endif
