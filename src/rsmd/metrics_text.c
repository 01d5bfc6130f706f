/* SPDX-License-Identifier: BSD-2-Clause */
#include "rsmd/metrics_text.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

/* Bytes of the UTF-8 character at `at`: 1 to 4; 0: it is none. Long forms, surrogates and what lies behind U+10FFFF are none. */
static size_t utf8_length(const unsigned char *at)
{
	static const struct {
		unsigned char first, last, second_first, second_last;
		size_t length;
	} forms[] = {
		{0x01, 0x7f, 0, 0, 1},       {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3},
		{0xe1, 0xec, 0x80, 0xbf, 3}, {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
		{0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4},
	};
	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		if (at[0] < forms[i].first || at[0] > forms[i].last)
			continue;
		if (forms[i].length > 1 && (at[1] < forms[i].second_first || at[1] > forms[i].second_last))
			return 0;
		for (size_t n = 2; n < forms[i].length; n++)
			if ((at[n] & 0xc0) != 0x80)
				return 0;
		return forms[i].length;
	}
	return 0;
}

/* In a label's value the quote is escaped as well, in a help text it is not. */
static void add_escaped(struct rsmd_metrics_text *text, const char *value, bool quote)
{
	const unsigned char *at = (const unsigned char *)value;
	while (*at) {
		size_t length = utf8_length(at);
		if (*at == '\\')
			add_text(text, "\\\\");
		else if (*at == '\n')
			add_text(text, "\\n");
		else if (*at == '"' && quote)
			add_text(text, "\\\"");
		else if (length)
			add(text, (const char *)at, length);
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
