/* SPDX-License-Identifier: BSD-2-Clause */
/* rsm nodes: the paths to other nodes as rsmd knows them, once or for as long as somebody watches. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "rsm/tool.h"

#define LOOK_NS    200000000u  /* between two questions of --watch */
#define REDRAW_NS  1000000000u /* on a terminal, so that times go on */
#define NAME_WIDTH 16          /* columns of a name in the table; a name may have 63 bytes */

const char cmd_nodes_help[] =
	"Usage: rsm nodes [--json] [--watch]\n"
	"\n"
	"Lists the paths to other nodes. A path is one node through one controller: down (no connection),\n"
	"up (it has to say who it is), active (in use), going down.\n"
	"\n"
	"  SINCE    how long it has been so      GUESTS  imports of our segments by that node's processes\n"
	"  TRIP     round trip of a heartbeat    AWAYS   imports of its segments by processes of this node\n"
	"  RELEASE  of rsmd at the other end     TLS     whether data is encrypted on its way there\n"
	"\n"
	"  -w, --watch  until interrupted: again whenever a state changes; on a terminal every second\n"
	"  -j, --json   as JSON, \"schema\": 1; with --watch one line for each change\n"
	"  -h, --help   this text\n"
	"\n"
	"Example:\n"
	"  rsm nodes --json | jq '.paths[] | select(.state != \"active\")'\n";

/* 0: no heartbeat was answered yet. */
static void format_trip(char *text, size_t size, const json_t *microseconds)
{
	double trip = json_number_value(microseconds);
	if (!(trip > 0))
		snprintf(text, size, "-");
	else if (trip < 10000)
		snprintf(text, size, "%.0f us", trip);
	else
		snprintf(text, size, "%.0f ms", trip / 1000);
}

static void fill_row(char (*row)[TOOL_TABLE_CELL], const json_t *path)
{
	static const char *const keys[] = {"node",    "name",          "controller", "state",
					   "since_s", "round_trip_us", "guests",     "aways",
					   "release", "encrypt",       "address"};
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		const json_t *value = json_object_get(path, keys[i]);
		if (strcmp(keys[i], "since_s") == 0 && json_is_number(value))
			tool_format_age(row[i], TOOL_TABLE_CELL, json_number_value(value));
		else if (strcmp(keys[i], "round_trip_us") == 0)
			format_trip(row[i], TOOL_TABLE_CELL, value);
		else
			tool_render_value(row[i], TOOL_TABLE_CELL, keys[i], value);
		if (row[i][0] == '\0')
			strcpy(row[i], "-");
	}
	if (strlen(row[1]) > NAME_WIDTH)
		strcpy(row[1] + NAME_WIDTH - 2, "..");
}

/* Why paths are as they are, where rsmd knows: what the other node refused, what the network said. */
static void print_reasons(const json_t *paths)
{
	char reason[512], name[64];
	for (size_t i = 0; i < json_array_size(paths); i++) {
		const json_t *path = json_array_get(paths, i), *text = json_object_get(path, "reason");
		if (!json_is_string(text) || json_string_length(text) == 0)
			continue;
		tool_render_value(reason, sizeof(reason), "reason", text);
		tool_render_value(name, sizeof(name), "controller", json_object_get(path, "controller"));
		printf("node %" JSON_INTEGER_FORMAT " through %s: %s\n",
		       json_integer_value(json_object_get(path, "node")), name, reason);
	}
}

static void print_paths(const json_t *tree)
{
	static const struct {
		const char *title;
		bool right;
	} columns[] = {{"NODE", true},     {"NAME", false}, {"CONTROLLER", false}, {"STATE", false},
		       {"SINCE", true},    {"TRIP", true},  {"GUESTS", true},      {"AWAYS", true},
		       {"RELEASE", false}, {"TLS", false},  {"ADDRESS", false}};
	const json_t *paths = json_object_get(tree, "paths"), *node = json_object_get(tree, "node");
	struct tool_table table = {0};
	char name[TOOL_TABLE_CELL];
	tool_render_value(name, sizeof(name), "name", json_object_get(node, "name"));
	printf("This is node %" JSON_INTEGER_FORMAT " (%s).\n",
	       json_integer_value(json_object_get(node, "id")), name);
	if (json_array_size(paths) == 0) {
		const char *note = tool_private_note();
		printf("It has no path to another node: %s\n", note ? note : "rsmd.conf names none.");
		return;
	}
	putchar('\n');
	for (size_t i = 0; i < sizeof(columns) / sizeof(columns[0]); i++)
		tool_table_column(&table, columns[i].title, columns[i].right);
	for (size_t i = 0; i < json_array_size(paths); i++) {
		char(*row)[TOOL_TABLE_CELL] = tool_table_row(&table);
		if (!row)
			break;
		fill_row(row, json_array_get(paths, i));
	}
	tool_table_print(&table);
	tool_table_clear(&table);
	print_reasons(paths);
}

/* What has to differ for a change to be told: not the times and counts, which always do. Owned by the caller. */
static char *summary(const json_t *tree)
{
	static const char *const keys[] = {"node", "controller", "state", "release", "address"};
	const json_t *paths = json_object_get(tree, "paths");
	json_t *list = json_array();
	for (size_t i = 0; i < json_array_size(paths); i++) {
		for (size_t k = 0; k < sizeof(keys) / sizeof(keys[0]); k++) {
			json_t *value = json_object_get(json_array_get(paths, i), keys[k]);
			json_array_append(list, value ? value : json_null());
		}
	}
	char *text = json_dumps(list, JSON_COMPACT);
	json_decref(list);
	return text;
}

static void show(const char *text, const json_t *tree, bool as_json, bool clear)
{
	if (clear)
		fputs("\033[H\033[2J", stdout);
	if (as_json)
		puts(text);
	else
		print_paths(tree);
	fflush(stdout);
}

/* Shows what is loaded now. `*shown` is the summary of what was shown last, `*shown_ns` when. */
static int look(bool as_json, bool watch, char **shown, uint64_t *shown_ns)
{
	bool terminal = watch && !as_json && tool_terminal(STDOUT_FILENO);
	char *text;
	json_t *tree;
	int result = tool_status_load("nodes", 0, &text, &tree);
	if (result != TOOL_OK)
		return result;
	char *now = summary(tree);
	bool changed = !*shown || !now || strcmp(*shown, now) != 0;
	if (changed || (terminal && base_clock_ns() - *shown_ns >= REDRAW_NS)) {
		if (*shown && !terminal && !as_json)
			putchar('\n');
		show(text, tree, as_json, terminal);
		*shown_ns = base_clock_ns();
	}
	free(*shown);
	*shown = now;
	json_decref(tree);
	free(text);
	return TOOL_OK;
}

static int run(bool as_json, bool watch)
{
	const struct timespec rest = {.tv_nsec = LOOK_NS};
	char *shown = NULL;
	uint64_t shown_ns = 0;
	if (watch)
		tool_ends_take();
	int result = look(as_json, watch, &shown, &shown_ns);
	while (watch && result == TOOL_OK && !ferror(stdout) && tool_ends_wait(NULL, &rest) == 0)
		result = look(as_json, watch, &shown, &shown_ns);
	free(shown);
	return result;
}

int cmd_nodes(const struct tool_command *command, int argc, char **argv)
{
	static const struct option options[] = {{"json", no_argument, NULL, 'j'},
						{"watch", no_argument, NULL, 'w'},
						{"help", no_argument, NULL, 'h'},
						{NULL, 0, NULL, 0}};
	bool as_json = false, watch = false;
	for (int option; (option = getopt_long(argc, argv, ":jwh", options, NULL)) != -1;) {
		if (option == 'h')
			return tool_help(command);
		if (option == 'j')
			as_json = true;
		else if (option == 'w')
			watch = true;
		else
			return tool_usage_option(command, option, argv, options);
	}
	if (optind != argc)
		return tool_usage(command, "no argument expected, found '%s'", argv[optind]);
	return run(as_json, watch);
}
