/* SPDX-License-Identifier: BSD-2-Clause */
/* rsm: looks at segments, moves data from the shell, measures. This file is the table of subcommands. */
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "rsm/tool.h"

static const struct tool_command commands[] = {
	{"status", "this node: daemon, limits, counts, clients", cmd_status_help, cmd_status},
	{"ls", "the published segments", cmd_ls_help, cmd_ls},
	{"show", "one segment with its importers", cmd_show_help, cmd_show},
	{"nodes", "the other nodes and the paths to them", cmd_nodes_help, cmd_nodes},
	{"watch", "what happens on this node, as it happens", cmd_watch_help, cmd_watch},
	{"topo", "controllers of this node and where they lead", cmd_topo_help, cmd_topo},
	{"ping", "round trips to the daemon of another node", cmd_ping_help, cmd_ping},
	{"export", "publish a file's contents until interrupted", cmd_export_help, cmd_export},
	{"get", "copy from a segment to standard output", cmd_get_help, cmd_get},
	{"put", "copy standard input into a segment", cmd_put_help, cmd_put},
	{"signal", "post signals to an exporter, or wait for its", cmd_signal_help, cmd_signal},
	{"top", "a live view of segments and connections", cmd_top_help, cmd_top},
	{"perf", "measure latency, rate and bandwidth", cmd_perf_help, cmd_perf},
	{"doctor", "what is not as it should be here, and what to do", cmd_doctor_help, cmd_doctor},
	{"config", "the daemon's settings and where they came from", cmd_config_help, cmd_config},
	{"keygen", "make the key of a cluster of nodes", cmd_keygen_help, cmd_keygen},
	{"version", "releases of the library and of the daemon", cmd_version_help, cmd_version},
};

static void help(FILE *stream)
{
	fputs("Usage: rsm COMMAND [OPTION]...\n"
	      "       rsm help [COMMAND]\n"
	      "       rsm --version\n"
	      "\n"
	      "Looks at remote shared memory segments, moves data to and from them, measures.\n"
	      "\n",
	      stream);
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		fprintf(stream, "  %-8s  %s\n", commands[i].name, commands[i].summary);
	fputs("\n"
	      "A segment is named NODE:ID, or ID alone on the local node: 1:0x400000. A controller that\n"
	      "leads to the node is found, or named by --controller. Sizes take k, M, G, T or KiB, MiB, "
	      "GiB,\n"
	      "TiB, all powers of two.\n"
	      "`rsm COMMAND --help` tells more, with an example.\n"
	      "\n"
	      "Exit status: 0 fine, 1 failed, 2 wrong usage, 3 no daemon, 4 refused by the access list,\n"
	      "5 timed out or node not reachable.\n"
	      "Environment: RSM_SOCKET names the daemon's socket; NO_COLOR turns colours off.\n",
	      stream);
}

/* Output that could not be written (a full disk) must not end as success. */
static int flushed(int result)
{
	if (fflush(stdout) != 0 || ferror(stdout)) {
		if (result == TOOL_OK)
			return tool_fail("standard output cannot be written");
	}
	return result;
}

int main(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : NULL;
	bool helps =
		name && (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0);
	if (helps && argc == 2) {
		help(stdout);
		return flushed(TOOL_OK);
	}
	name = helps ? argv[2] : name;
	if (name && (strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0)) {
		puts("rsm " RSM_RELEASE);
		return flushed(TOOL_OK);
	}
	if (!name) {
		help(stderr);
		return TOOL_USAGE;
	}
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (strcmp(name, commands[i].name) != 0)
			continue;
		if (helps)
			return flushed(tool_help(&commands[i]));
		opterr = 0; /* the commands word their own messages */
		return flushed(commands[i].run(&commands[i], argc - 1, argv + 1));
	}
	const char *nearest =
		tool_nearest(name, commands, sizeof(commands[0]), sizeof(commands) / sizeof(commands[0]));
	fprintf(stderr, "rsm: unknown command '%s'%s%s%s; `rsm --help` lists them\n", name,
		nearest ? ", perhaps '" : "", nearest ? nearest : "", nearest ? "'" : "");
	return TOOL_USAGE;
}
