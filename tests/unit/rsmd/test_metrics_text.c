/* SPDX-License-Identifier: BSD-2-Clause */
/* rsmd/metrics_text: the form of families and samples, what is escaped, and numbers of every size. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "rsmd/metrics_text.h"

static struct rsmd_metrics_text text;

/* What was written is exactly that. */
static void written(const char *expected)
{
	size_t length;
	char *bytes = rsmd_metrics_take(&text, &length);
	assert_non_null(bytes);
	assert_int_equal(length, strlen(bytes));
	assert_string_equal(bytes, expected);
	assert_null(text.bytes);
	free(bytes);
}

static void test_form(void **state)
{
	(void)state;
	rsmd_metrics_gauge(&text, "rsm_a", "What it is.");
	rsmd_metrics_count(&text, NULL, 7);
	rsmd_metrics_counter(&text, "rsm_b_total", "Counts.");
	rsmd_metrics_count(&text, (struct rsmd_metrics_label[]){{"node", "2"}, {0}}, 1);
	rsmd_metrics_count(&text, (struct rsmd_metrics_label[]){{"node", "3"}, {"controller", "tcp0"}, {0}},
			   2);
	rsmd_metrics_count(&text, (struct rsmd_metrics_label[]){{0}}, 3);
	written("# HELP rsm_a What it is.\n# TYPE rsm_a gauge\nrsm_a 7\n"
		"# HELP rsm_b_total Counts.\n# TYPE rsm_b_total counter\nrsm_b_total{node=\"2\"} 1\n"
		"rsm_b_total{node=\"3\",controller=\"tcp0\"} 2\nrsm_b_total 3\n");
}

static void test_numbers(void **state)
{
	(void)state;
	text.family = "n";
	rsmd_metrics_count(&text, NULL, 0);
	rsmd_metrics_count(&text, NULL, UINT64_MAX);
	rsmd_metrics_real(&text, NULL, 0.5);
	rsmd_metrics_real(&text, NULL, 1795580052.521);
	rsmd_metrics_real(&text, NULL, 1e-9);
	rsmd_metrics_real(&text, NULL, NAN);
	rsmd_metrics_real(&text, NULL, INFINITY);
	rsmd_metrics_real(&text, NULL, -INFINITY);
	written("n 0\nn 18446744073709551615\nn 0.5\nn 1795580052.521\nn 1e-09\nn NaN\nn +Inf\nn -Inf\n");
}

/* The value of a label as it is written. */
static void value(const char *given, const char *expected)
{
	char line[512];
	text.family = "m";
	rsmd_metrics_count(&text, (struct rsmd_metrics_label[]){{"l", given}, {0}}, 1);
	snprintf(line, sizeof(line), "m{l=\"%s\"} 1\n", expected);
	written(line);
}

static void test_escapes(void **state)
{
	(void)state;
	value("", "");
	value("a\\b", "a\\\\b");
	value("a\nb", "a\\nb");
	value("say \"no\"", "say \\\"no\\\"");
	value("\"} 9\nrsm_evil 1", "\\\"} 9\\nrsm_evil 1");
	rsmd_metrics_gauge(&text, "m", "back\\slash, new\nline, \"quote\"");
	written("# HELP m back\\\\slash, new\\nline, \"quote\"\n# TYPE m gauge\n");
}

static void test_utf8(void **state)
{
	(void)state;
	value("K\xc3\xb6ln \xe2\x82\xac \xf0\x9f\x90\x8c", "K\xc3\xb6ln \xe2\x82\xac \xf0\x9f\x90\x8c");
	value("\xff\xfe", "??");
	value("a\tb\xc2\x9b", "a?b??"); /* control characters: it is shown on terminals, too */
	value("\x80x", "?x");
	value("\xc0\xaf", "??");           /* a long form of '/' */
	value("\xe0\x80\xaf", "???");      /* and another */
	value("\xed\xa0\x80", "???");      /* a surrogate */
	value("\xf4\x90\x80\x80", "????"); /* behind the last character */
	value("cut \xe2\x82", "cut ??");   /* the end in the middle of one */
	value("cut \xe2\"", "cut ?\\\"");  /* a quote in the middle of one */
	value("\xf0\x9f\x90\n", "???\\n");
}

static void test_long(void **state)
{
	(void)state;
	char name[5000];
	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	text.family = "m";
	for (int i = 0; i < 100; i++)
		rsmd_metrics_count(&text, (struct rsmd_metrics_label[]){{"l", name}, {0}}, 1);
	size_t length;
	char *bytes = rsmd_metrics_take(&text, &length);
	assert_non_null(bytes);
	assert_int_equal(length, 100 * (strlen(name) + strlen("m{l=\"\"} 1\n")));
	assert_int_equal(strlen(bytes), length);
	free(bytes);
}

/* A text for which there was no memory is none. */
static void test_failed(void **state)
{
	(void)state;
	size_t length = 1;
	rsmd_metrics_gauge(&text, "m", "h");
	text.failed = true;
	rsmd_metrics_count(&text, NULL, 1);
	assert_null(rsmd_metrics_take(&text, &length));
	assert_int_equal(length, 0);
	rsmd_metrics_gauge(&text, "m", "h");
	written("# HELP m h\n# TYPE m gauge\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_form), cmocka_unit_test(test_numbers), cmocka_unit_test(test_escapes),
		cmocka_unit_test(test_utf8), cmocka_unit_test(test_long),    cmocka_unit_test(test_failed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
