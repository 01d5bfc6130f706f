/* SPDX-License-Identifier: BSD-2-Clause */
/* rsm version */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "rsm/tool.h"

const char cmd_version_help[] =
	"Usage: rsm version [--json]\n"
	"\n"
	"Prints the releases of the library and of the daemon that this user talks to. Starts a private\n"
	"daemon if there is none; `rsm --version` touches nothing.\n"
	"\n"
	"  -j, --json  as JSON, \"schema\": 1\n"
	"  -h, --help  this text\n"
	"\n"
	"Example:\n"
	"  rsm version --json | python3 -m json.tool\n";

int cmd_version(const struct tool_command *command, int argc, char **argv)
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
	if (optind != argc)
		return tool_usage(command, "no argument expected, found '%s'", argv[optind]);

	/* The first question opens the conversation; a missing daemon is told after the library's release. */
	char *text = NULL;
	int code = rsmx_status("status", 0, &text);
	free(text);
	const char *daemon = "";
	const char *library = rsmx_version(&daemon);
	if (as_json) {
		json_t *tree = json_pack("{s:i, s:s, s:s?}", "schema", 1, "library", library, "daemon",
					 code == RSM_SUCCESS ? daemon : NULL);
		if (!tree)
			return tool_fail("print the releases: out of memory");
		json_dumpf(tree, stdout, JSON_INDENT(2));
		putchar('\n');
		json_decref(tree);
	} else {
		printf("library  %s\n", library);
		if (code == RSM_SUCCESS)
			printf("daemon   %s\n", daemon);
	}
	fflush(stdout);
	return code == RSM_SUCCESS ? TOOL_OK : tool_fail_code(code, "ask rsmd for its release");
}
