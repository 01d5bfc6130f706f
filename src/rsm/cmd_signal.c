/* SPDX-License-Identifier: BSD-2-Clause */
/* rsm signal: posts events to the exporter of a segment, or waits for those that it posts. */
#include <getopt.h>
#include <limits.h>
#include <stdio.h>

#include "base/clock.h"
#include "rsm/tool.h"

const char cmd_signal_help[] =
	"Usage: rsm signal [OPTION]... [NODE:]ID\n"
	"\n"
	"Posts a signal to the exporter of a segment, or waits for one that the exporter posts to its\n"
	"importers. It takes no right on the memory. Without --count one; what is posted while nobody\n"
	"waits is counted, not lost.\n"
	"\n"
	"  -n, --count COUNT      so many\n"
	"  -1, --no-accumulate    post only where none is waiting already\n"
	"  -w, --wait             wait for the exporter's signals instead\n"
	"  -t, --timeout SECONDS  with --wait: at most so long for all of them; default: for ever\n"
	"  -c, --controller NAME  default: one that leads to NODE\n"
	"  -j, --json             print what was done as JSON, \"schema\": 1\n"
	"  -h, --help             this text\n"
	"\n"
	"Exit status: 0 done, 5 --timeout passed, or the node cannot be reached.\n"
	"\n"
	"Example:\n"
	"  rsm signal 0x400000\n"
	"  rsm signal --wait --timeout 10 2:0x400000 && echo ready\n";

struct signal_options {
	const char *address_text, *controller;
	struct tool_address address;
	uint64_t count, timeout_ns; /* 0: for ever */
	bool wait, json;
	uint_t flags;
};

/* `*done` counts. Every wait is one call of the library, with what is left of the time. */
static int wait_for(const struct signal_options *options, struct tool_session *session, uint64_t *done)
{
	uint64_t end = options->timeout_ns ? base_clock_ns() + options->timeout_ns : 0;
	while (*done < options->count) {
		uint64_t now = base_clock_ns();
		int timeout = -1;
		if (end)
			timeout = now < end ? (int)((end - now + 999999) / 1000000) : 0;
		int code = rsm_intr_signal_wait(session->import, timeout);
		if (code == RSMERR_INTERRUPTED)
			continue;
		if (code != RSM_SUCCESS)
			return tool_fail_code(code, "wait for signal %ju of %ju from %s",
					      (uintmax_t)(*done + 1), (uintmax_t)options->count,
					      options->address_text);
		++*done;
	}
	return TOOL_OK;
}

static int post(const struct signal_options *options, struct tool_session *session, uint64_t *done)
{
	while (*done < options->count) {
		int code = rsm_intr_signal_post(session->import, options->flags);
		if (code != RSM_SUCCESS)
			return tool_fail_code(code, "signal the exporter of %s", options->address_text);
		++*done;
	}
	return TOOL_OK;
}

static int run(const struct signal_options *options)
{
	struct tool_session session;
	uint64_t done = 0;
	int result = tool_session_open(&session, options->controller);
	rsm_node_id_t node = options->address.local ? session.node : options->address.node;
	if (result == TOOL_OK)
		result = tool_session_connect(&session, &options->address, RSM_PERM_NONE);
	if (result == TOOL_OK)
		result = options->wait ? wait_for(options, &session, &done) : post(options, &session, &done);
	tool_session_close(&session);
	if (options->json && (result == TOOL_OK || done))
		printf("{\"schema\": 1, \"node\": %u, \"id\": %u, \"id_hex\": \"0x%x\", \"%s\": %ju}\n", node,
		       options->address.id, options->address.id, options->wait ? "waited" : "posted",
		       (uintmax_t)done);
	return result;
}

int cmd_signal(const struct tool_command *command, int argc, char **argv)
{
	static const struct option long_options[] = {{"count", required_argument, NULL, 'n'},
						     {"no-accumulate", no_argument, NULL, '1'},
						     {"wait", no_argument, NULL, 'w'},
						     {"timeout", required_argument, NULL, 't'},
						     {"controller", required_argument, NULL, 'c'},
						     {"json", no_argument, NULL, 'j'},
						     {"help", no_argument, NULL, 'h'},
						     {NULL, 0, NULL, 0}};
	struct signal_options options = {.count = 1};
	for (int option; (option = getopt_long(argc, argv, ":n:1wt:c:jh", long_options, NULL)) != -1;) {
		switch (option) {
		case 'n':
			if (!tool_parse_number(optarg, UINT32_MAX, &options.count) || options.count == 0)
				return tool_usage(command, "'%s' is not a count of signals", optarg);
			break;
		case '1':
			options.flags = RSM_SIGPOST_NO_ACCUMULATE;
			break;
		case 'w':
			options.wait = true;
			break;
		case 't':
			if (!tool_parse_seconds(optarg, &options.timeout_ns))
				return tool_usage(command, "'%s' is not a number of seconds up to 3600",
						  optarg);
			break;
		case 'c':
			options.controller = optarg;
			break;
		case 'j':
			options.json = true;
			break;
		case 'h':
			return tool_help(command);
		default:
			return tool_usage_option(command, option, argv, long_options);
		}
	}
	if (optind + 1 != argc)
		return tool_usage(command, "one segment expected");
	options.address_text = argv[optind];
	if (!tool_parse_address(argv[optind], &options.address))
		return tool_usage(command, "'%s' is not a segment such as 1:0x400000", argv[optind]);
	if (options.timeout_ns && !options.wait)
		return tool_usage(command, "--timeout goes with --wait only");
	if (options.flags && options.wait)
		return tool_usage(command, "--no-accumulate goes with posting only");
	return run(&options);
}
