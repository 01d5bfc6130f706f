/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * rsm ping: the round trip of a control call through both daemons. It asks for segment 0, which nobody can publish, so the
 * other daemon's "not published" is the answer; no message of its own, and it works with every release that can connect.
 */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "rsm/tool.h"

#define COUNT_MAX 1000000u /* answers that are kept for the median */

const char cmd_ping_help[] =
	"Usage: rsm ping [OPTION]... NODE\n"
	"\n"
	"Measures the round trip through the daemons of this node and of NODE, as a connect makes it,\n"
	"without the connection itself.\n"
	"\n"
	"  -c, --count COUNT       stop after so many; default: when interrupted\n"
	"  -i, --interval SECONDS  between two, default 1\n"
	"      --controller NAME   through this one; default: the first one whose path to NODE is active\n"
	"  -j, --json              at the end, as JSON, \"schema\": 1\n"
	"  -h, --help              this text\n"
	"\n"
	"Exit status: 0 at least one was answered, 5 none was.\n"
	"\n"
	"Example:\n"
	"  rsm ping 2 --count 3 --interval 0.2\n";

struct ping {
	rsm_node_id_t node;
	const char *controller; /* the option */
	uint64_t count, interval_ns;
	bool json;
	struct tool_session session;
	char through[MAXNAMELEN + 1];
	double *answers; /* ns; owned */
	size_t sent, answered, capacity;
};

static volatile sig_atomic_t interrupted;

static void interrupt(int number)
{
	(void)number;
	interrupted = 1;
}

static bool keep(struct ping *ping, double nanoseconds)
{
	if (ping->answered == ping->capacity) {
		size_t capacity = ping->capacity ? ping->capacity * 2 : 64;
		double *answers = reallocarray(ping->answers, capacity, sizeof(*answers));
		if (!answers)
			return false;
		ping->answers = answers;
		ping->capacity = capacity;
	}
	ping->answers[ping->answered++] = nanoseconds;
	return true;
}

/* Returns TOOL_OK also when there was no answer, which is told and counted. */
static int ping_once(struct ping *ping)
{
	rsm_memseg_import_handle_t import = NULL;
	uint64_t start = base_clock_ns();
	int code = rsm_memseg_import_connect(ping->session.controller, ping->node, 0, RSM_PERM_NONE, &import);
	uint64_t trip = base_clock_ns() - start;
	if (code == RSMERR_CTLR_NOT_PRESENT)
		return tool_fail_code(code, "ping %u", ping->node);
	ping->sent++;
	if (code == RSM_SUCCESS) { /* a segment 0 there is not */
		rsm_memseg_import_disconnect(import);
	} else if (code != RSMERR_SEG_NOT_PUBLISHED) {
		if (ping->json)
			return TOOL_OK;
		printf("no answer from node %u: seq=%zu %s (%s)\n", ping->node, ping->sent, rsmx_last_error(),
		       rsmx_errname(code));
		fflush(stdout);
		return TOOL_OK;
	}
	if (!keep(ping, (double)trip))
		return tool_fail("ping %u: out of memory after %zu answers", ping->node, ping->answered);
	if (!ping->json) {
		printf("answer from node %u: seq=%zu time=%.3f ms\n", ping->node, ping->sent,
		       (double)trip / 1e6);
		fflush(stdout);
	}
	return TOOL_OK;
}

static int by_value(const void *left, const void *right)
{
	double a = *(const double *)left, b = *(const double *)right;
	return (a > b) - (a < b);
}

static int report_json(const struct ping *ping)
{
	json_t *tree = json_pack("{s:i, s:I, s:s, s:I, s:I}", "schema", 1, "node", (json_int_t)ping->node,
				 "controller", ping->through, "sent", (json_int_t)ping->sent, "answered",
				 (json_int_t)ping->answered);
	if (tree && ping->answered) {
		json_object_set_new(tree, "min_us", json_real(ping->answers[0] / 1e3));
		json_object_set_new(tree, "median_us", json_real(ping->answers[ping->answered / 2] / 1e3));
		json_object_set_new(tree, "max_us", json_real(ping->answers[ping->answered - 1] / 1e3));
	}
	if (!tree || json_dumpf(tree, stdout, JSON_COMPACT | JSON_REAL_PRECISION(6)) != 0)
		return tool_fail("print the result as JSON: out of memory");
	putchar('\n');
	json_decref(tree);
	return TOOL_OK;
}

static int report(struct ping *ping)
{
	if (ping->answered)
		qsort(ping->answers, ping->answered, sizeof(*ping->answers), by_value);
	if (ping->json) {
		int result = report_json(ping);
		if (result != TOOL_OK)
			return result;
	} else {
		printf("--- node %u through %s ---\n%zu sent, %zu answered, %.0f%% lost\n", ping->node,
		       ping->through, ping->sent, ping->answered,
		       ping->sent ? 100.0 * (double)(ping->sent - ping->answered) / (double)ping->sent : 0);
		if (ping->answered)
			printf("round trip min/median/max = %.3f/%.3f/%.3f ms\n", ping->answers[0] / 1e6,
			       ping->answers[ping->answered / 2] / 1e6,
			       ping->answers[ping->answered - 1] / 1e6);
	}
	return ping->answered ? TOOL_OK : TOOL_TIMED_OUT;
}

/* Which controller the question goes through. This node is asked through loopback unless another one is named. */
static int open_session(struct ping *ping)
{
	rsm_topology_t *topology;
	struct tool_route route = {.controller = "loopback", .state = RSM_CONNECTION_ACTIVE};
	int code = rsm_get_interconnect_topology(&topology);
	if (code != RSM_SUCCESS)
		return tool_fail_code(code, "ping %u", ping->node);
	rsm_node_id_t local = topology->topology_hdr.local_nodeid;
	bool own = ping->node == local && (!ping->controller || tool_route_is("loopback", ping->controller));
	bool found = own || tool_route_find(topology, ping->node, ping->controller, &route);
	rsm_free_interconnect_topology(topology);
	if (!found && ping->controller) {
		tool_fail("ping %u: controller %s of node %u does not lead there; `rsm topo` shows what does",
			  ping->node, ping->controller, local);
		return TOOL_TIMED_OUT;
	}
	if (!found)
		return tool_route_none(local, ping->node);
	snprintf(ping->through, sizeof(ping->through), "%s", route.controller);
	return tool_session_open(&ping->session, own ? NULL : route.controller);
}

static int run(struct ping *ping)
{
	struct sigaction action = {.sa_handler = interrupt};
	struct timespec rest = {.tv_sec = (time_t)(ping->interval_ns / 1000000000u),
				.tv_nsec = (long)(ping->interval_ns % 1000000000u)};
	int result = open_session(ping);
	if (result != TOOL_OK)
		return result;
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	if (!ping->json)
		printf("PING node %u through %s\n", ping->node, ping->through);
	while (result == TOOL_OK && !interrupted) {
		result = ping_once(ping);
		if (ping->sent == ping->count || ping->answered == COUNT_MAX)
			break;
		if (result == TOOL_OK && !interrupted)
			nanosleep(&rest, NULL);
	}
	return result == TOOL_OK ? report(ping) : result;
}

int cmd_ping(const struct tool_command *command, int argc, char **argv)
{
	static const struct option options[] = {{"count", required_argument, NULL, 'c'},
						{"interval", required_argument, NULL, 'i'},
						{"controller", required_argument, NULL, 'C'},
						{"json", no_argument, NULL, 'j'},
						{"help", no_argument, NULL, 'h'},
						{NULL, 0, NULL, 0}};
	struct ping ping = {.interval_ns = 1000000000};
	uint64_t node;
	for (int option; (option = getopt_long(argc, argv, ":c:i:jh", options, NULL)) != -1;) {
		switch (option) {
		case 'c':
			if (!tool_parse_number(optarg, COUNT_MAX, &ping.count) || ping.count == 0)
				return tool_usage(command, "'%s' is not a count up to %u", optarg, COUNT_MAX);
			break;
		case 'i':
			if (!tool_parse_seconds(optarg, &ping.interval_ns))
				return tool_usage(command, "'%s' is not a number of seconds up to 3600",
						  optarg);
			break;
		case 'C':
			ping.controller = optarg;
			break;
		case 'j':
			ping.json = true;
			break;
		case 'h':
			return tool_help(command);
		default:
			return tool_usage_option(command, option, argv, options);
		}
	}
	if (optind + 1 != argc)
		return tool_usage(command, "one node expected");
	if (!tool_parse_number(argv[optind], UINT32_MAX, &node))
		return tool_usage(command, "'%s' is not the number of a node", argv[optind]);
	ping.node = (rsm_node_id_t)node;
	int result = run(&ping);
	tool_session_close(&ping.session);
	free(ping.answers);
	return result;
}
