/* SPDX-License-Identifier: BSD-2-Clause */
/* rsm config: the settings of the daemon that runs and where each came from; whether a file is valid. */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rsm/tool.h"

const char cmd_config_help[] =
	"Usage: rsm config [show | path] [--json]\n"
	"       rsm config check [--json] [FILE]\n"
	"\n"
	"show (the default) prints the settings of the daemon that runs, and where each came from: file\n"
	"and line, or default. No secret is among them. check has rsmd look at FILE (default: the file\n"
	"that it would read) with its drop-ins and its key file, without a running daemon. path prints\n"
	"the files that the daemon read.\n"
	"\n"
	"  -j, --json  as JSON, \"schema\": 1\n"
	"  -h, --help  this text\n"
	"\n"
	"Exit status of check: 0 valid, 1 not.\n"
	"\n"
	"Example:\n"
	"  rsm config check rsmd.conf.new && sudo mv rsmd.conf.new /etc/rsm/rsmd.conf\n"
	"  rsm config --json | jq '.settings[] | select(.origin != \"default\")'\n";

static const char *text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));
	return text ? text : "-";
}

/* As in the file: sections, and their keys below them. */
static void print_settings(const json_t *settings)
{
	char value[256], section[128] = "", now[128], heading[136];
	for (size_t i = 0; i < json_array_size(settings); i++) {
		const json_t *setting = json_array_get(settings, i);
		tool_render_value(now, sizeof(now), "section", json_object_get(setting, "section"));
		tool_render_value(value, sizeof(value), "value", json_object_get(setting, "value"));
		if (strcmp(section, now) != 0) {
			snprintf(heading, sizeof(heading), "[%s]", now);
			if (*section)
				putchar('\n');
			tool_heading(heading);
			strcpy(section, now);
		}
		bool unused = json_is_true(json_object_get(setting, "unused"));
		printf("%-20s %-28s %s%s\n", text_of(setting, "key"), value, text_of(setting, "origin"),
		       unused ? "  (unused: the daemon is private)" : "");
	}
}

static int show(bool as_json)
{
	char *text;
	json_t *tree;
	int result = tool_status_load("config", 0, &text, &tree);
	if (result != TOOL_OK)
		return result;
	if (as_json)
		puts(text);
	else
		print_settings(json_object_get(tree, "settings"));
	json_decref(tree);
	free(text);
	return TOOL_OK;
}

static int print_json(json_t *tree)
{
	if (!tree || json_dumpf(tree, stdout, JSON_COMPACT | JSON_ENSURE_ASCII) != 0)
		return tool_fail("print the files as JSON: out of memory");
	putchar('\n');
	json_decref(tree);
	return TOOL_OK;
}

static int path(bool as_json)
{
	char *text;
	json_t *tree;
	int result = tool_status_load("config", 0, &text, &tree);
	if (result != TOOL_OK)
		return result;
	json_t *files = json_object_get(tree, "files");
	if (as_json)
		result = print_json(json_pack("{s:i, s:O}", "schema", 1, "files", files));
	for (size_t i = 0; !as_json && i < json_array_size(files); i++)
		puts(json_string_value(json_array_get(files, i)));
	if (!as_json && json_array_size(files) == 0)
		fputs("rsm: the daemon read no file: every setting is the default\n", stderr);
	json_decref(tree);
	free(text);
	return result;
}

static int print_checked(int status, const char *output)
{
	char complaint[1024];
	json_t *files = json_array();
	tool_program_checked(output, files, complaint, sizeof(complaint));
	json_t *said = *complaint ? json_string(complaint) : json_null();
	int result = print_json(json_pack("{s:i, s:b, s:o, s:o}", "schema", 1, "valid", status == 0, "files",
					  files, "said", said ? said : json_string("?")));
	return result == TOOL_OK ? status : result;
}

/* rsmd itself tells what it read, and what is wrong. */
static int check(char *file, bool as_json)
{
	char output[16384], program[PATH_MAX], option[] = "--config", checked[] = "--check",
					       absolute[PATH_MAX];
	if (!tool_program_find(program, sizeof(program)))
		return tool_fail("check a configuration: no rsmd was found (beside the library or in PATH)");
	if (file && !realpath(file, absolute))
		return tool_fail_errno(errno, "check %s", file);
	char *arguments[] = {program, checked, file ? option : NULL, file ? absolute : NULL, NULL};
	fflush(stdout);
	int status = tool_program_run(arguments, as_json ? output : NULL, sizeof(output));
	if (status < 0)
		return tool_fail_errno(errno, "run %s", program);
	return as_json ? print_checked(status, output) : status;
}

int cmd_config(const struct tool_command *command, int argc, char **argv)
{
	static const struct option options[] = {
		{"json", no_argument, NULL, 'j'}, {"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0}};
	bool as_json = false;
	for (int option; (option = getopt_long(argc, argv, ":jh", options, NULL)) != -1;) {
		if (option == 'h')
			return tool_help(command);
		if (option != 'j')
			return tool_usage_option(command, option, argv, options);
		as_json = true;
	}
	const char *what = optind < argc ? argv[optind] : "show";
	bool checks = strcmp(what, "check") == 0, paths = strcmp(what, "path") == 0;
	if (!checks && !paths && strcmp(what, "show") != 0)
		return tool_usage(command, "'%s' is neither show, check nor path", what);
	if (argc - optind > (checks ? 2 : 1))
		return tool_usage(command, "no further argument expected, found '%s'", argv[argc - 1]);
	if (checks)
		return check(optind + 1 < argc ? argv[optind + 1] : NULL, as_json);
	return paths ? path(as_json) : show(as_json);
}
