/* SPDX-License-Identifier: BSD-2-Clause */
/* rsm/top_model, rsm/top_cell: rates of successive readings, sums, order, filter, texts. The readings are made up here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "rsm/top.h"

#define SECOND 1000000000u

static struct top_model model;

static int clear(void **state)
{
	(void)state;
	top_model_clear(&model);
	return 0;
}

static rsmx_counter_t row(uint64_t id, rsm_node_id_t node, rsm_memseg_id_t segment, uint64_t puts)
{
	rsmx_counter_t made = {.id = id,
			       .node = node,
			       .segment_id = segment,
			       .importer = 8,
			       .pid = (int32_t)(100 + id),
			       .length = 4096,
			       .puts = puts,
			       .bytes_put = puts * 8};
	strcpy(made.program, "worker");
	return made;
}

static void update(const rsmx_counter_t *rows, size_t count, uint64_t now)
{
	assert_true(top_model_update(&model, rows, count, now));
}

static size_t view(bool connections, enum top_column sort, bool reverse, const char *filter)
{
	struct top_view wanted = {.connections = connections, .sort = sort, .reverse = reverse};
	strcpy(wanted.filter, filter);
	return top_model_view(&model, &wanted);
}

static void near_to(double value, double expected)
{
	if (value < expected * 0.999 || value > expected * 1.001)
		fail_msg("%f is not %f", value, expected);
}

static void test_rates(void **state)
{
	(void)state;
	rsmx_counter_t rows[] = {row(2, 7, 0x400000, 100), row(1, 7, 0x400001, 5)};
	rows[0].gets = 10;
	rows[0].bytes_got = 1000;
	rows[0].posts = 4;
	rows[0].latency_ns = 250;
	update(rows, 2, SECOND);
	assert_int_equal(view(true, TOP_SEGMENT, false, ""), 2);
	assert_true(model.shown[0]->rates[TOP_PUT] == 0); /* one reading tells no rate */
	assert_int_equal(model.shown[0]->puts, 100);

	rows[0].puts += 50;
	rows[0].bytes_put += 5000;
	rows[0].gets += 20;
	rows[0].bytes_got += 100;
	rows[0].posts += 1;
	rows[0].failures = 3;
	update(rows, 2, SECOND + SECOND / 2);
	assert_int_equal(view(true, TOP_SEGMENT, false, ""), 2);
	const struct top_line *line = model.shown[0];
	assert_int_equal(line->id, 2);
	near_to(model.interval_s, 0.5);
	near_to(line->rates[TOP_PUT], 100);
	near_to(line->rates[TOP_IN], 10000);
	near_to(line->rates[TOP_GET], 40);
	near_to(line->rates[TOP_OUT], 200);
	near_to(line->rates[TOP_SIGNALS], 2);
	near_to(line->rates[TOP_FAILURES], 6);
	near_to(line->rates[TOP_LATENCY], 250);
	near_to(line->history[TOP_HISTORY - 1], 10200);
	assert_true(line->history[TOP_HISTORY - 2] == 0);
	assert_true(model.shown[1]->rates[TOP_PUT] == 0); /* it did nothing meanwhile */
	near_to(model.totals.rates[TOP_PUT], 100);
	assert_int_equal(model.totals.connections, 2);
	assert_int_equal(model.totals.failures, 3);
}

/* Any process may say anything of itself: a sum does not begin anew. */
static void test_sums_end_at_the_top(void **state)
{
	(void)state;
	rsmx_counter_t rows[] = {row(1, 7, 0x400000, 10), row(2, 7, 0x400000, 20)};
	rows[0].puts = rows[0].bytes_put = rows[1].gets = UINT64_MAX;
	rows[1].bytes_put = UINT64_MAX - 1;
	update(rows, 2, SECOND);
	assert_int_equal(view(false, TOP_SEGMENT, false, ""), 1);
	assert_true(model.shown[0]->puts == UINT64_MAX);
	assert_true(model.shown[0]->bytes_put == UINT64_MAX);
	assert_true(model.totals.puts == UINT64_MAX && model.totals.gets == UINT64_MAX);
}

/* Connections come and go between readings; the order of the rows means nothing. */
static void test_connections_change(void **state)
{
	(void)state;
	rsmx_counter_t rows[] = {row(1, 7, 0x400000, 1000), row(2, 7, 0x400000, 2000)};
	update(rows, 2, SECOND);
	rsmx_counter_t later[] = {row(3, 7, 0x400000, 30), row(2, 7, 0x400000, 2010)};
	update(later, 2, 2 * SECOND);
	assert_int_equal(view(true, TOP_PUT, false, ""), 2);
	assert_int_equal(model.shown[0]->id, 3); /* new: all that it did was done since */
	near_to(model.shown[0]->rates[TOP_PUT], 30);
	near_to(model.shown[1]->rates[TOP_PUT], 10);
	/* A counter that goes back belongs to another life: no rate. */
	later[1].puts = 5;
	update(later, 2, 3 * SECOND);
	view(true, TOP_PUT, false, "");
	assert_true(model.shown[0]->rates[TOP_PUT] == 0 && model.shown[1]->rates[TOP_PUT] == 0);
	update(NULL, 0, 4 * SECOND);
	assert_int_equal(view(true, TOP_PUT, false, ""), 0);
	assert_int_equal(view(false, TOP_PUT, false, ""), 0);
	assert_int_equal(model.totals.connections, 0);
	update(later, 2, 4 * SECOND); /* no time passed: no division by it */
	assert_true(model.totals.rates[TOP_PUT] == 0);
}

static void test_segments(void **state)
{
	(void)state;
	rsmx_counter_t rows[] = {row(1, 7, 0x400000, 0), row(2, 8, 0x400000, 0), row(3, 7, 0x400000, 0),
				 row(4, 7, 0x500000, 0)};
	update(rows, 4, SECOND);
	rows[0].puts = 30;
	rows[0].latency_ns = 100;
	rows[2].puts = 10;
	rows[2].latency_ns = 500;
	rows[1].latency_ns = 70;
	rows[3].bytes_got = 99;
	update(rows, 4, 2 * SECOND);
	assert_int_equal(view(false, TOP_SEGMENT, false, ""), 3);
	const struct top_line *sum = model.shown[0];
	assert_int_equal(sum->node, 7);
	assert_int_equal(sum->segment, 0x400000);
	assert_int_equal(sum->connections, 2);
	near_to(sum->rates[TOP_PUT], 40);
	near_to(sum->rates[TOP_LATENCY], 200); /* by how often each is used */
	assert_int_equal(model.shown[2]->node, 8);
	near_to(model.shown[2]->rates[TOP_LATENCY], 70);
	near_to(model.shown[1]->history[TOP_HISTORY - 1], 99);
	update(rows, 4, 3 * SECOND);
	view(false, TOP_SEGMENT, false, "");
	near_to(model.shown[1]->history[TOP_HISTORY - 2], 99);
	assert_true(model.shown[1]->history[TOP_HISTORY - 1] == 0);
}

static void test_order_and_filter(void **state)
{
	(void)state;
	rsmx_counter_t rows[] = {row(1, 7, 0x400000, 0), row(2, 7, 0x400001, 0), row(3, 12, 0x7fffffff, 0)};
	rows[2].importer = 1;
	update(rows, 3, SECOND);
	rows[0].puts = 5;
	rows[1].puts = 50;
	rows[2].failures = 1;
	update(rows, 3, 2 * SECOND);
	view(true, TOP_PUT, false, "");
	assert_int_equal(model.shown[0]->id, 2);
	assert_int_equal(model.shown[2]->id, 3);
	view(true, TOP_PUT, true, "");
	assert_int_equal(model.shown[0]->id, 3);
	view(true, TOP_FAILURES, false, "");
	assert_int_equal(model.shown[0]->id, 3);
	assert_int_equal(model.shown[1]->id, 1); /* what is equal, by name */
	view(true, TOP_IMPORTER, false, "");
	assert_int_equal(model.shown[0]->id, 3);
	view(true, TOP_SEGMENT, true, "");
	assert_int_equal(model.shown[0]->id, 3);
	assert_int_equal(view(true, TOP_PUT, false, "7:0x4"), 2);
	assert_int_equal(view(true, TOP_PUT, false, "0x400001"), 1);
	assert_int_equal(view(false, TOP_PUT, false, "12:"), 1);
	assert_int_equal(view(true, TOP_PUT, false, "nothing"), 0);
}

static void cell(struct top_line *line, enum top_column column, const char *expected)
{
	char text[96];
	top_cell_format(line, column, text, sizeof(text));
	assert_string_equal(text, expected);
}

static void test_cells(void **state)
{
	static const struct {
		double value;
		const char *text;
	} numbers[] = {{0, "0"},         {0.25, "0.25"},   {17, "17"},      {17.3, "17.3"},
		       {999, "999"},     {999.7, "1.00k"}, {1234, "1.23k"}, {45600, "45.6k"},
		       {456000, "456k"}, {1e9, "1.00G"},   {5e20, "500E"}};
	static const struct {
		double value;
		const char *text;
	} latencies[] = {{0, "-"}, {85, "85 ns"}, {1500, "1.5 us"}, {250000, "250 us"}, {3e9, "3.0 s"}};
	struct top_line line = {
		.id = 1, .node = 7, .segment = 0x400000, .importer = 8, .pid = 99, .connections = 1};
	enum top_column column;
	(void)state;
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		line.rates[TOP_PUT] = numbers[i].value;
		cell(&line, TOP_PUT, numbers[i].text);
	}
	for (size_t i = 0; i < sizeof(latencies) / sizeof(latencies[0]); i++) {
		line.rates[TOP_LATENCY] = latencies[i].value;
		cell(&line, TOP_LATENCY, latencies[i].text);
	}
	cell(&line, TOP_SEGMENT, "7:0x400000");
	cell(&(struct top_line){.id = 2}, TOP_SEGMENT, "(others)");
	strcpy(line.program, "a\033[31mb");
	cell(&line, TOP_IMPORTER, "8:99 a?[31mb");
	line.pid = 0;
	cell(&line, TOP_IMPORTER, "8:? a?[31mb");
	line.program[0] = '\0';
	line.connections = 3;
	cell(&line, TOP_IMPORTER, "3 importers");
	assert_true(top_column_parse("LATENCY", &column) && column == TOP_LATENCY);
	assert_false(top_column_parse("late", &column));
}

static void test_history(void **state)
{
	unsigned char heights[TOP_HISTORY];
	struct top_line line = {0};
	(void)state;
	top_history_scale(&line, heights);
	for (size_t i = 0; i < TOP_HISTORY; i++)
		assert_int_equal(heights[i], 0);
	line.history[0] = 1000;
	line.history[1] = 500;
	line.history[2] = 0.001;
	top_history_scale(&line, heights);
	assert_int_equal(heights[0], 8);
	assert_int_equal(heights[1], 4);
	assert_int_equal(heights[2], 1);
	assert_int_equal(heights[3], 0);
}

/* Published segments get a line where they have none; sums are those of what is shown. */
static void test_published(void **state)
{
	(void)state;
	const struct top_line published[] = {{.node = 7, .segment = 0x300000, .length = 8192},
					     {.node = 7, .segment = 0x400000, .length = 4096},
					     {.node = 7, .segment = 0x500000, .length = 4096}};
	rsmx_counter_t rows[] = {row(1, 7, 0x400000, 100), row(2, 8, 0x400000, 11)};
	update(rows, 2, SECOND);
	assert_true(top_model_publish(&model, published, 3));
	assert_int_equal(view(false, TOP_SEGMENT, false, ""), 4);
	assert_int_equal(model.idle_count, 2);
	assert_int_equal(model.shown[0]->segment, 0x300000);
	assert_int_equal(model.shown[0]->connections, 0);
	assert_int_equal(model.shown[0]->length, 8192);
	assert_int_equal(model.shown[1]->connections, 1);
	assert_int_equal(model.shown[1]->puts, 100);
	assert_int_equal(model.sum.puts, 111);
	assert_int_equal(view(true, TOP_SEGMENT, false, ""), 2);
	assert_int_equal(view(false, TOP_SEGMENT, false, "8:"), 1);
	assert_int_equal(model.sum.puts, 11);
	assert_int_equal(model.totals.puts, 111);
	assert_int_equal(view(false, TOP_SEGMENT, false, "nothing"), 0);
	assert_int_equal(model.sum.connections, 0);
	update(rows, 2, 2 * SECOND); /* until it is told again */
	assert_int_equal(model.idle_count, 0);
	update(rows, 0, 3 * SECOND);
	assert_true(top_model_publish(&model, published, 3));
	assert_int_equal(view(false, TOP_SEGMENT, false, ""), 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_rates, clear),
		cmocka_unit_test_teardown(test_published, clear),
		cmocka_unit_test_teardown(test_sums_end_at_the_top, clear),
		cmocka_unit_test_teardown(test_connections_change, clear),
		cmocka_unit_test_teardown(test_segments, clear),
		cmocka_unit_test_teardown(test_order_and_filter, clear),
		cmocka_unit_test(test_cells),
		cmocka_unit_test(test_history),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
