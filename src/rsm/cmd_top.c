/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * rsm top: rates of segments and connections, from the counters that librsm shares: reading them asks the daemon for nothing
 * as long as the same processes have connections. Which segments nobody imports only the daemon knows: where segments are
 * shown it is asked with each reading.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "rsm/top.h"

const char cmd_top_help[] =
	"Usage: rsm top [OPTION]...\n"
	"\n"
	"Shows the connections of this node, or its segments, and what moves: put and get calls, bytes\n"
	"into (IN) and out of (OUT) the segment, the recent time of one call, signals, and calls that\n"
	"failed (their number so far). With --batch, or without a terminal, it prints tables instead.\n"
	"\n"
	"  -s, --sort COLUMN    by this one; numbers from the largest, names from the smallest; default in\n"
	"  -r, --reverse        the other way round\n"
	"  -S, --segments       a line for each segment, also one that nobody imports, instead of each\n"
	"                       connection\n"
	"  -f, --filter TEXT    only segments whose name (NODE:ID) has TEXT in it; the line all sums those\n"
	"  -i, --interval SECONDS\n"
	"  -d, --delay SECONDS  between two readings, default 1; both are the same\n"
	"  -b, --batch          print tables\n"
	"  -n, --count N        with --batch: so many; default: until interrupted\n"
	"  -j, --json           with --batch: each reading as one line of JSON, \"schema\": 1\n"
	"  -h, --help           this text\n"
	"\n"
	"Columns to sort by: segment importer put get in out latency signals failures\n"
	"Keys: q quit, < and > (or s) choose the column, r reverse, v segments or connections, p pause,\n"
	"/ filter by a part of the segment's name, arrows and page keys scroll.\n"
	"\n"
	"Example:\n"
	"  rsm top --segments --sort out\n"
	"  rsm top --batch -n 1 --json | jq '.lines[] | select(.failures > 0)'\n";

static bool grow(struct top *top, size_t count)
{
	size_t capacity = count + count / 4 + 16;
	rsmx_counter_t *rows = reallocarray(top->rows, capacity, sizeof(*rows));
	if (!rows)
		return false;
	top->rows = rows;
	top->capacity = capacity;
	return true;
}

static int read_published(struct top *top)
{
	char *text;
	size_t count = 0;
	json_t *segment;
	int code = rsmx_status("segments", 0, &text);
	if (code != RSM_SUCCESS)
		return code;
	json_t *tree = json_loads(text, 0, NULL), *segments = json_object_get(tree, "segments");
	struct top_line *published = calloc(json_array_size(segments) + 1, sizeof(*published));
	json_array_foreach(segments, count, segment)
	{
		if (!published)
			break;
		published[count].node = (rsm_node_id_t)json_integer_value(json_object_get(segment, "node"));
		published[count].segment =
			(rsm_memseg_id_t)json_integer_value(json_object_get(segment, "id"));
		published[count].length = (uint64_t)json_integer_value(json_object_get(segment, "length"));
	}
	if (!published || !top_model_publish(&top->model, published, count))
		code = RSMERR_INSUFFICIENT_MEM;
	free(published);
	json_decref(tree);
	free(text);
	return code;
}

/* A view whose daemon is gone is given up; the next reading opens another one. */
int top_read(struct top *top)
{
	size_t count = 0;
	int code = top->counters ? RSM_SUCCESS : rsmx_counters_open(&top->counters);
	for (int attempt = 0; code == RSM_SUCCESS && attempt < 8; attempt++) {
		count = top->capacity;
		code = rsmx_counters_read(top->counters, top->rows, sizeof(*top->rows), &count);
		if (code != RSM_SUCCESS || count <= top->capacity)
			break;
		if (!grow(top, count))
			code = RSMERR_INSUFFICIENT_MEM;
	}
	if (code != RSM_SUCCESS) {
		if (top->counters)
			rsmx_counters_close(top->counters);
		top->counters = NULL;
		return code;
	}
	count = count < top->capacity ? count : top->capacity;
	if (!top_model_update(&top->model, top->rows, count, base_clock_ns()))
		return RSMERR_INSUFFICIENT_MEM;
	return top->view.connections ? RSM_SUCCESS : read_published(top);
}

static void print_table(struct top *top)
{
	size_t count = top_model_view(&top->model, &top->view);
	struct tool_table table = {0};
	for (int i = 0; i < TOP_COLUMNS; i++)
		tool_table_column(&table, top_titles[i], i > TOP_IMPORTER);
	for (size_t n = 0; n <= count; n++) {
		const struct top_line *line = n < count ? top->model.shown[n] : &top->model.sum;
		char(*row)[TOOL_TABLE_CELL] = tool_table_row(&table);
		for (int i = 0; row && i < TOP_COLUMNS; i++)
			top_cell_format(line, (enum top_column)i, row[i],
					i == TOP_IMPORTER ? 21 : TOOL_TABLE_CELL);
		if (row && n == count)
			strcpy(row[0], "all");
	}
	tool_table_print(&table);
	tool_table_clear(&table);
}

static json_t *json_of(const struct top_line *line)
{
	json_t *said = json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:f, s:f, s:f, s:f, s:f, s:f}",
				 "connections", (json_int_t)line->connections, "puts",
				 tool_json_count(line->puts), "gets", tool_json_count(line->gets),
				 "bytes_put", tool_json_count(line->bytes_put), "bytes_got",
				 tool_json_count(line->bytes_got), "posts", tool_json_count(line->posts),
				 "failures", tool_json_count(line->failures), "puts_per_s",
				 line->rates[TOP_PUT], "gets_per_s", line->rates[TOP_GET], "bytes_put_per_s",
				 line->rates[TOP_IN], "bytes_got_per_s", line->rates[TOP_OUT], "posts_per_s",
				 line->rates[TOP_SIGNALS], "failures_per_s", line->rates[TOP_FAILURES]);
	json_object_set_new(said, "latency_ns",
			    line->rates[TOP_LATENCY] > 0 ? json_real(line->rates[TOP_LATENCY]) : json_null());
	return said;
}

/* Who has the connection is told where a line is one. */
static json_t *json_of_shown(const struct top_line *line, bool connection)
{
	char hex[16];
	json_t *said = json_of(line);
	snprintf(hex, sizeof(hex), "0x%x", line->segment);
	json_object_set_new(said, "node", json_integer(line->node));
	json_object_set_new(said, "id", json_integer(line->segment));
	json_object_set_new(said, "id_hex", json_string(hex));
	json_object_set_new(said, "length", json_integer(tool_json_count(line->length)));
	if (!connection)
		return said;
	json_t *program = json_string(line->program);
	json_object_set_new(said, "importer", json_integer(line->importer));
	json_object_set_new(said, "pid", json_integer(line->pid));
	json_object_set_new(said, "uid", json_integer(line->uid));
	json_object_set_new(said, "program", program ? program : json_string("?"));
	return said;
}

static int print_json(struct top *top)
{
	size_t count = top_model_view(&top->model, &top->view);
	json_t *lines = json_array();
	for (size_t i = 0; i < count; i++)
		json_array_append_new(lines, json_of_shown(top->model.shown[i], top->view.connections));
	json_t *tree = json_pack("{s:i, s:s, s:f, s:o, s:o}", "schema", 1, "view",
				 top->view.connections ? "connections" : "segments", "interval_s",
				 top->model.interval_s, "totals", json_of(&top->model.sum), "lines", lines);
	if (!tree || json_dumpf(tree, stdout, JSON_COMPACT | JSON_ENSURE_ASCII | JSON_REAL_PRECISION(9)) != 0)
		return tool_fail("print the counters as JSON: out of memory");
	putchar('\n');
	json_decref(tree);
	return TOOL_OK;
}

/* A rate takes two readings; the first one is not printed. */
static int run_batch(struct top *top, uint64_t count, bool as_json)
{
	const struct timespec rest = {.tv_sec = (time_t)(top->interval_ns / 1000000000u),
				      .tv_nsec = (long)(top->interval_ns % 1000000000u)};
	int result = TOOL_OK;
	tool_ends_take();
	for (uint64_t n = 0; result == TOOL_OK && !tool_ends && !ferror(stdout); n++) {
		int code = top_read(top);
		if (code != RSM_SUCCESS)
			return tool_fail_code(code, "read the counters");
		if (n > 1 && !as_json)
			putchar('\n');
		if (n > 0 && as_json)
			result = print_json(top);
		else if (n > 0)
			print_table(top);
		fflush(stdout);
		if (count && n == count)
			break;
		tool_ends_wait(NULL, &rest);
	}
	return result;
}

static int run(struct top *top, bool batch, uint64_t count, bool as_json)
{
	if (batch || !isatty(STDOUT_FILENO) || !isatty(STDIN_FILENO))
		return run_batch(top, count, as_json);
	char *text;
	json_t *tree;
	int result = tool_status_load("status", 0, &text, &tree);
	if (result != TOOL_OK)
		return result;
	free(text);
	top->node = json_incref(json_object_get(tree, "node"));
	json_decref(tree);
	/* A library or daemon that cannot count is told before the screen is taken. */
	int code = top_read(top);
	result = code == RSM_SUCCESS ? top_screen_run(top) : tool_fail_code(code, "read the counters");
	json_decref(top->node);
	return result;
}

int cmd_top(const struct tool_command *command, int argc, char **argv)
{
	static const struct option options[] = {{"sort", required_argument, NULL, 's'},
						{"reverse", no_argument, NULL, 'r'},
						{"segments", no_argument, NULL, 'S'},
						{"filter", required_argument, NULL, 'f'},
						{"interval", required_argument, NULL, 'i'},
						{"delay", required_argument, NULL, 'd'},
						{"batch", no_argument, NULL, 'b'},
						{"count", required_argument, NULL, 'n'},
						{"json", no_argument, NULL, 'j'},
						{"help", no_argument, NULL, 'h'},
						{NULL, 0, NULL, 0}};
	struct top top = {.view = {.connections = true, .sort = TOP_IN}, .interval_ns = 1000000000};
	bool batch = false, as_json = false;
	uint64_t count = 0;
	for (int option; (option = getopt_long(argc, argv, ":s:rSf:i:d:bn:jh", options, NULL)) != -1;) {
		switch (option) {
		case 's':
			if (!top_column_parse(optarg, &top.view.sort))
				return tool_usage(command, "'%s' is not a column to sort by", optarg);
			break;
		case 'r':
			top.view.reverse = true;
			break;
		case 'S':
			top.view.connections = false;
			break;
		case 'f':
			if (strlen(optarg) >= TOP_FILTER)
				return tool_usage(command, "'%s' is longer than any segment's name", optarg);
			strcpy(top.view.filter, optarg);
			break;
		case 'i':
		case 'd':
			if (!tool_parse_seconds(optarg, &top.interval_ns))
				return tool_usage(command, "'%s' is not a number of seconds up to 3600",
						  optarg);
			break;
		case 'b':
			batch = true;
			break;
		case 'n':
			if (!tool_parse_number(optarg, UINT32_MAX, &count) || count == 0)
				return tool_usage(command, "'%s' is not a count of tables", optarg);
			batch = true;
			break;
		case 'j':
			as_json = batch = true;
			break;
		case 'h':
			return tool_help(command);
		default:
			return tool_usage_option(command, option, argv, options);
		}
	}
	if (optind != argc)
		return tool_usage(command, "no argument expected, found '%s'", argv[optind]);
	int result = run(&top, batch, count, as_json);
	if (top.counters)
		rsmx_counters_close(top.counters);
	top_model_clear(&top.model);
	free(top.rows);
	return result;
}
