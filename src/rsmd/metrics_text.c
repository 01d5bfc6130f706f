/* SPDX-License-Identifier: BSD-2-Clause */
#include "rsmd/metrics_text.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

static void add(struct rsmd_metrics_text *text, const char *bytes, size_t length)
{
	if (text->failed)
		return;
	if (length >= text->size - text->length) { /* one byte is the NUL's */
		size_t size = text->size ? text->size : 4096;
		while (length >= size - text->length)
			size *= 2;
		char *larger = realloc(text->bytes, size);
		if (!larger) {
			text->failed = true;
			return;
		}
		text->bytes = larger;
		text->size = size;
	}
	memcpy(text->bytes + text->length, bytes, length);
	text->length += length;
	text->bytes[text->length] = '\0';
}

static void add_text(struct rsmd_metrics_text *text, const char *string)
{
	add(text, string, strlen(string));
}

/* In a label's value the quote is escaped as well, in a help text it is not. */
static void add_escaped(struct rsmd_metrics_text *text, const char *value, bool quote)
{
	const char *at = value;
	while (*at) {
		size_t length = base_text_character(at);
		if (*at == '\\')
			add_text(text, "\\\\");
		else if (*at == '\n')
			add_text(text, "\\n");
		else if (*at == '"' && quote)
			add_text(text, "\\\"");
		else if (length)
			add(text, at, length);
		else
			add_text(text, "?");
		at += length ? length : 1;
	}
}

static void family(struct rsmd_metrics_text *text, const char *name, const char *type, const char *help)
{
	text->family = name;
	add_text(text, "# HELP ");
	add_text(text, name);
	add_text(text, " ");
	add_escaped(text, help, false);
	add_text(text, "\n# TYPE ");
	add_text(text, name);
	add_text(text, " ");
	add_text(text, type);
	add_text(text, "\n");
}

void rsmd_metrics_counter(struct rsmd_metrics_text *text, const char *name, const char *help)
{
	family(text, name, "counter", help);
}

void rsmd_metrics_gauge(struct rsmd_metrics_text *text, const char *name, const char *help)
{
	family(text, name, "gauge", help);
}

static void sample(struct rsmd_metrics_text *text, const struct rsmd_metrics_label *labels, const char *value)
{
	add_text(text, text->family);
	for (const struct rsmd_metrics_label *label = labels; label && label->name; label++) {
		add_text(text, label == labels ? "{" : ",");
		add_text(text, label->name);
		add_text(text, "=\"");
		add_escaped(text, label->value, true);
		add_text(text, "\"");
	}
	add_text(text, labels && labels->name ? "} " : " ");
	add_text(text, value);
	add_text(text, "\n");
}

void rsmd_metrics_count(struct rsmd_metrics_text *text, const struct rsmd_metrics_label *labels,
			uint64_t value)
{
	char digits[24];
	snprintf(digits, sizeof(digits), "%" PRIu64, value);
	sample(text, labels, digits);
}

void rsmd_metrics_real(struct rsmd_metrics_text *text, const struct rsmd_metrics_label *labels, double value)
{
	char digits[32];
	if (isnan(value))
		snprintf(digits, sizeof(digits), "NaN");
	else if (isinf(value))
		snprintf(digits, sizeof(digits), value < 0 ? "-Inf" : "+Inf");
	else
		snprintf(digits, sizeof(digits), "%.15g", value);
	sample(text, labels, digits);
}

char *rsmd_metrics_take(struct rsmd_metrics_text *text, size_t *length)
{
	char *bytes = text->bytes;
	*length = text->length;
	if (text->failed) {
		free(bytes);
		bytes = NULL;
		*length = 0;
	}
	*text = (struct rsmd_metrics_text){0};
	return bytes;
}
