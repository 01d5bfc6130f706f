/* SPDX-License-Identifier: BSD-2-Clause */
/* rsm status, rsm ls, rsm show: what the daemon knows. With --json its own text, unchanged. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "rsm/tool.h"

const char cmd_status_help[] = "Usage: rsm status [--json | --metrics]\n"
			       "\n"
			       "Prints this node, its daemon, the limits, what is in use, and the processes "
			       "that talk to the daemon.\n"
			       "\n"
			       "  -j, --json     as JSON, \"schema\": 1\n"
			       "  -m, --metrics  what the daemon counts, in the text format of Prometheus\n"
			       "  -h, --help     this text\n"
			       "\n"
			       "Example:\n"
			       "  RSM_SOCKET=/run/rsm/rsmd.sock rsm status\n";

const char cmd_ls_help[] =
	"Usage: rsm ls [--json]\n"
	"\n"
	"Lists the published segments of this node: address, size, access (octal owner, group, other),\n"
	"owner's pid and uid, connected import handles, controller and program.\n"
	"\n"
	"  -j, --json  as JSON, \"schema\": 1\n"
	"  -h, --help  this text\n"
	"\n"
	"Example:\n"
	"  rsm ls --json | jq '.segments[] | select(.importers == 0) | .id_hex'\n";

const char cmd_show_help[] =
	"Usage: rsm show [--json] [NODE:]ID\n"
	"\n"
	"Prints all about one segment of this node: owner, access list, importers, the memory behind it.\n"
	"Of a segment of another node: what a connection without any right tells.\n"
	"\n"
	"  -j, --json  as JSON, \"schema\": 1\n"
	"  -h, --help  this text\n"
	"\n"
	"Example:\n"
	"  rsm show 0x400000\n";

/* The options that all three have; as_metrics is NULL where that is none. Returns -1 to go on, else the exit code. */
static int parse(const struct tool_command *command, int argc, char **argv, bool *as_json, bool *as_metrics)
{
	static const struct option options[] = {{"json", no_argument, NULL, 'j'},
						{"metrics", no_argument, NULL, 'm'},
						{"help", no_argument, NULL, 'h'},
						{NULL, 0, NULL, 0}};
	for (int option; (option = getopt_long(argc, argv, ":jmh", options, NULL)) != -1;) {
		if (option == 'h')
			return tool_help(command);
		if (option == 'j')
			*as_json = true;
		else if (option == 'm' && as_metrics)
			*as_metrics = true;
		else
			return tool_usage_option(command, option, argv, options);
	}
	return -1;
}

static void finish(char *text, json_t *tree)
{
	json_decref(tree);
	free(text);
}

static int print_metrics(void)
{
	char *text;
	json_t *tree;
	int result = tool_status_load("metrics", 0, &text, &tree);
	if (result != TOOL_OK)
		return result;
	const char *metrics = json_string_value(json_object_get(tree, "text"));
	fputs(metrics ? metrics : "", stdout);
	finish(text, tree);
	return TOOL_OK;
}

int cmd_status(const struct tool_command *command, int argc, char **argv)
{
	bool as_json = false, as_metrics = false;
	int result = parse(command, argc, argv, &as_json, &as_metrics);
	if (result >= 0)
		return result;
	if (optind != argc)
		return tool_usage(command, "no argument expected, found '%s'", argv[optind]);
	if (as_json && as_metrics)
		return tool_usage(command, "--json and --metrics exclude each other");
	if (as_metrics)
		return print_metrics();
	char *text;
	json_t *tree;
	result = tool_status_load("status", 0, &text, &tree);
	if (result != TOOL_OK)
		return result;
	if (as_json)
		puts(text);
	else
		tool_render_object(tree);
	finish(text, tree);
	return TOOL_OK;
}

static void print_segments(const json_t *segments)
{
	static const struct {
		const char *title, *key;
		bool right;
	} columns[] = {
		{"SIZE", "length", true},         {"ACCESS", "permissions", true},
		{"PID", "owner_pid", true},       {"UID", "owner_uid", true},
		{"IMPORTERS", "importers", true}, {"CONTROLLER", "controller", false},
		{"PROGRAM", "program", false},
	};
	const size_t count = sizeof(columns) / sizeof(columns[0]);
	struct tool_table table = {0};
	tool_table_column(&table, "SEGMENT", false);
	for (size_t i = 0; i < count; i++)
		tool_table_column(&table, columns[i].title, columns[i].right);
	for (size_t i = 0; i < json_array_size(segments); i++) {
		const json_t *segment = json_array_get(segments, i);
		char(*row)[TOOL_TABLE_CELL] = tool_table_row(&table);
		if (!row)
			break;
		snprintf(row[0], TOOL_TABLE_CELL, "%u:0x%x",
			 (unsigned)json_integer_value(json_object_get(segment, "node")),
			 (unsigned)json_integer_value(json_object_get(segment, "id")));
		for (size_t column = 0; column < count; column++)
			tool_render_value(row[column + 1], TOOL_TABLE_CELL, columns[column].key,
					  json_object_get(segment, columns[column].key));
	}
	tool_table_print(&table);
	tool_table_clear(&table);
}

int cmd_ls(const struct tool_command *command, int argc, char **argv)
{
	bool as_json = false;
	int result = parse(command, argc, argv, &as_json, NULL);
	if (result >= 0)
		return result;
	if (optind != argc)
		return tool_usage(command, "no argument expected, found '%s'", argv[optind]);
	char *text;
	json_t *tree;
	result = tool_status_load("segments", 0, &text, &tree);
	if (result != TOOL_OK)
		return result;
	if (as_json)
		puts(text);
	else
		print_segments(json_object_get(tree, "segments"));
	const char *note =
		as_json || json_array_size(json_object_get(tree, "segments")) ? NULL : tool_private_note();
	fflush(stdout); /* the table first */
	if (note)
		fprintf(stderr, "rsm: %s\n", note);
	finish(text, tree);
	return TOOL_OK;
}

static int is_here(const struct tool_address *address, bool *here)
{
	struct tool_session session;
	int result = tool_session_open(&session, NULL);
	*here = address->node == session.node;
	tool_session_close(&session);
	return result;
}

/* A segment of another node: its daemon shows nothing to strangers, but a connection without any right tells some. */
static int show_far(const struct tool_address *address, bool as_json)
{
	struct tool_session session;
	rsmx_segment_info_t info = {.size = sizeof(info)};
	char hex[16];
	int result = tool_session_open(&session, NULL);
	if (result == TOOL_OK)
		result = tool_session_connect(&session, address, RSM_PERM_NONE);
	if (result != TOOL_OK) {
		tool_session_close(&session);
		return result;
	}
	int code = rsmx_segment_info(session.import, &info);
	tool_session_close(&session);
	if (code != RSM_SUCCESS)
		return tool_fail_code(code, "show %u:0x%x", address->node, address->id);
	snprintf(hex, sizeof(hex), "0x%x", address->id);
	json_t *tree = json_pack("{s:i, s:{s:I, s:s, s:I, s:I, s:I, s:I}}", "schema", 1, "segment", "id",
				 (json_int_t)address->id, "id_hex", hex, "node", (json_int_t)address->node,
				 "length", tool_json_count(info.length), "owner_pid",
				 (json_int_t)info.peer_pid, "owner_uid", (json_int_t)info.peer_uid);
	if (as_json)
		json_dumpf(tree, stdout, JSON_COMPACT);
	else
		tool_render_object(json_object_get(tree, "segment"));
	if (!as_json)
		printf("%-22s %s\n", "access list", "known on its node only");
	if (as_json)
		putchar('\n');
	json_decref(tree);
	return TOOL_OK;
}

int cmd_show(const struct tool_command *command, int argc, char **argv)
{
	bool as_json = false;
	int result = parse(command, argc, argv, &as_json, NULL);
	if (result >= 0)
		return result;
	struct tool_address address;
	if (optind + 1 != argc)
		return tool_usage(command, "one segment expected");
	if (!tool_parse_address(argv[optind], &address) || address.id == 0)
		return tool_usage(command, "'%s' is not a segment such as 0x400000", argv[optind]);
	bool here = true;
	if (!address.local) {
		result = is_here(&address, &here);
		if (result != TOOL_OK)
			return result;
	}
	if (!here)
		return show_far(&address, as_json);
	char *text;
	json_t *tree;
	result = tool_status_load("segment", address.id, &text, &tree);
	if (result != TOOL_OK)
		return result;
	if (as_json)
		puts(text);
	else
		tool_render_object(json_object_get(tree, "segment"));
	finish(text, tree);
	return TOOL_OK;
}
