/* SPDX-License-Identifier: BSD-2-Clause */
/* rsm perf: options, which tests at which sizes, the order of things. The tests are in perf_*.c. */
#include <errno.h>
#include <getopt.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "rsm/perf.h"

#define SIZES_MAX 32
#define ROUNDS    4 /* of --compare: librsm and the raw limit take turns, so that both see the same machine */
#define ROOM_UNIT ((size_t)8192)

const char cmd_perf_help[] =
	"Usage: rsm perf [OPTION]... [[NODE:]ID]\n"
	"\n"
	"Measures latency, rate and bandwidth. Without an address it starts a peer process of its own and "
	"measures against\n"
	"that; with one, against that segment: get and connect always, put only with --write. The segment "
	"may be "
	"another\n"
	"node's, such as one of `rsm export` there: its process takes no part. Tests through a map are left "
	"out "
	"then, for\n"
	"they need a peer of their own.\n"
	"\n"
	"  -t, --tests NAME[,..]  only these; --list shows all\n"
	"  -s, --sizes SIZE[,..]  for the tests that take sizes\n"
	"  -n, --count N          operations of one row, instead of a time\n"
	"  -D, --duration SECONDS time of one row, default 0.2\n"
	"  -c, --cpus CPU,CPU     where this process and its peer run; default the first two allowed\n"
	"  -C, --compare          run the raw limit (memcpy, store and fence, futex) in turns, print the "
	"ratio\n"
	"  -w, --write            allow puts to a segment that was named (its contents are put back)\n"
	"      --controller NAME  default: one that leads to NODE\n"
	"  -l, --list             list the tests\n"
	"  -j, --json             as JSON, \"schema\": 1\n"
	"  -h, --help             this text\n"
	"\n"
	"Times are per operation, means of batches of at least 2 us after a warm-up; speed is taken from the "
	"median.\n"
	"RATIO is librsm's median time over the raw one: 1.00 is the limit, smaller is better.\n"
	"\n"
	"Example:\n"
	"  rsm perf --compare -t put-bw,get-bw -s 4k,64k,1M\n"
	"  rsm perf 2:0x400000\n";

struct perf_options {
	size_t sizes[SIZES_MAX], size_count;
	const char *tests, *address, *controller;
	struct perf_budget budget;
	int cpus[2]; /* -1: not pinned */
	bool compare, write, json;
	bool far; /* as in struct perf_run */
};

static const struct {
	const struct perf_test *tests;
	const size_t *count;
} groups[] = {{perf_rma_tests, &perf_rma_count},
	      {perf_net_tests, &perf_net_count},
	      {perf_signal_tests, &perf_signal_count},
	      {perf_control_tests, &perf_control_count}};

/* Test number `index` over all groups; NULL behind the last. */
static const struct perf_test *test_at(size_t index)
{
	for (size_t group = 0; group < sizeof(groups) / sizeof(groups[0]); group++) {
		if (index < *groups[group].count)
			return &groups[group].tests[index];
		index -= *groups[group].count;
	}
	return NULL;
}

static int list_tests(void)
{
	const struct perf_test *test;
	for (size_t i = 0; (test = test_at(i)); i++)
		printf("%-12s  %s\n", test->name, test->title);
	return TOOL_OK;
}

/* Whether `name` is one of the comma-separated words. */
static bool is_named(const char *list, const char *name, size_t length)
{
	for (const char *at = list; at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL) {
		if (strcspn(at, ",") == length && strncmp(at, name, length) == 0)
			return true;
	}
	return false;
}

static int check_names(const struct tool_command *command, const char *list)
{
	for (const char *at = list; at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL) {
		size_t length = strcspn(at, ","), i = 0;
		while (test_at(i) &&
		       (strlen(test_at(i)->name) != length || strncmp(test_at(i)->name, at, length) != 0))
			i++;
		if (!test_at(i))
			return tool_usage(command, "there is no test '%.*s'; --list shows all", (int)length,
					  at);
	}
	return TOOL_OK;
}

static int parse_sizes(const struct tool_command *command, const char *text, struct perf_options *options)
{
	char word[32];
	for (const char *at = text; at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL) {
		uint64_t size;
		size_t length = strcspn(at, ",");
		snprintf(word, sizeof(word), "%.*s", (int)(length < sizeof(word) ? length : sizeof(word) - 1),
			 at);
		if (!tool_parse_size(word, &size) || size == 0 || size > SIZE_MAX / 4)
			return tool_usage(command, "'%s' is not a size such as 64k", word);
		if (options->size_count == SIZES_MAX)
			return tool_usage(command, "more than %d sizes", SIZES_MAX);
		options->sizes[options->size_count++] = (size_t)size;
	}
	return TOOL_OK;
}

/* The first two CPUs that this process may use; one CPU: nothing is pinned. */
static void choose_cpus(int cpus[2])
{
	cpu_set_t set;
	int found = 0;
	cpus[0] = cpus[1] = -1;
	if (sched_getaffinity(0, sizeof(set), &set) != 0 || CPU_COUNT(&set) < 2)
		return;
	for (int cpu = 0; cpu < CPU_SETSIZE && found < 2; cpu++) {
		if (CPU_ISSET(cpu, &set))
			cpus[found++] = cpu;
	}
}

static int parse_cpus(const struct tool_command *command, const char *text, int cpus[2])
{
	char tail;
	if (sscanf(text, "%d,%d%c", &cpus[0], &cpus[1], &tail) != 2 || cpus[0] < 0 || cpus[1] < 0 ||
	    cpus[0] >= CPU_SETSIZE || cpus[1] >= CPU_SETSIZE)
		return tool_usage(command, "'%s' is not a pair of CPUs such as 0,1", text);
	return TOOL_OK;
}

static size_t sizes_of(const struct perf_options *options, const struct perf_test *test, const size_t **sizes)
{
	static const size_t word[] = {8};
	static const size_t all[] = {8, 64, 512, 4096, 65536, (size_t)1 << 20, (size_t)64 << 20};
	static const size_t streams[] = {65536, (size_t)1 << 20};
	if (test->sized && options->size_count) {
		*sizes = options->sizes;
		return options->size_count;
	}
	if (test->kind != PERF_BANDWIDTH) {
		*sizes = word;
		return 1;
	}
	*sizes = options->far ? streams : all;
	return options->far ? sizeof(streams) / sizeof(streams[0]) : sizeof(all) / sizeof(all[0]);
}

/* Which tests run; why one that was named does not is said on standard error. */
static bool is_wanted(const struct perf_options *options, const struct perf_test *test)
{
	const char *why = NULL;
	if (options->tests && !is_named(options->tests, test->name, strlen(test->name)))
		return false;
	if (options->address && test->peer)
		why = "it needs a peer of its own, so no address";
	else if (options->address && test->writes && !options->write)
		why = "it writes to the segment: --write allows that";
	else if (test->far && !options->far)
		why = "it is about a segment of another node";
	else if (test->spins && options->cpus[0] == options->cpus[1])
		why = "both sides spin and need a CPU each";
	if (why && options->tests)
		fprintf(stderr, "rsm: %s left out: %s\n", test->name, why);
	return !why;
}

static bool is_possible(const struct perf_run *run, const struct perf_options *options,
			const struct perf_test *test, size_t size)
{
	bool echo = test->peer && test->sized; /* its last word is the flag */
	if (size <= run->room && (!echo || (size % 4 == 0 && size >= 8 && size <= PERF_ECHO_MAX)))
		return true;
	if (options->size_count) /* a default size that does not fit was not asked for */
		fprintf(stderr, "rsm: %s left out for %zu bytes: %s\n", test->name, size,
			echo ? "messages have 8 bytes to 1 MiB, a multiple of 4" : "the segment is smaller");
	return false;
}

/* Bytes of data that the peer must offer for what is asked. */
static size_t room_needed(const struct perf_options *options)
{
	size_t room = ROOM_UNIT;
	const struct perf_test *test;
	for (size_t i = 0; (test = test_at(i)); i++) {
		const size_t *sizes;
		size_t count = is_wanted(options, test) ? sizes_of(options, test, &sizes) : 0;
		size_t window = count && options->far && !test->sized ? test->window * sizeof(uint64_t) : 0;
		room = window > room ? window : room;
		for (size_t k = 0; k < count; k++) {
			bool echo = test->peer && sizes[k] <= PERF_ECHO_MAX;
			size_t need = echo ? 2 * sizes[k] : test->peer ? 0 : sizes[k];
			room = need > room ? need : room;
		}
	}
	return (room + ROOM_UNIT - 1) / ROOM_UNIT * ROOM_UNIT;
}

static int tell(int code, const struct perf_test *test, size_t size)
{
	return code == PERF_TOLD ? TOOL_FAILED
				 : tool_fail_code(code, "measure %s with %zu bytes", test->name, size);
}

static int measure_line(struct perf_run *run, const struct perf_options *options, struct perf_line *line)
{
	const struct perf_test *test = line->test;
	struct perf_samples ours = {0}, raw = {0};
	bool compare = options->compare && test->raw;
	struct perf_budget budget = options->budget;
	unsigned rounds = compare ? ROUNDS : 1;
	size_t size = line->size ? line->size : 8;
	int code = RSM_SUCCESS;
	budget.nanoseconds /= rounds;
	budget.operations = (budget.operations + rounds - 1) / rounds;
	for (unsigned round = 0; round < rounds && code == RSM_SUCCESS; round++) {
		if (compare)
			code = perf_measure(run, test->raw, size, budget, &raw);
		if (code == RSM_SUCCESS)
			code = perf_measure(run, test, size, budget, &ours);
	}
	perf_summarize(&ours, &line->result);
	perf_summarize(&raw, &line->raw);
	line->has_raw = compare;
	perf_samples_clear(&ours);
	perf_samples_clear(&raw);
	return code == RSM_SUCCESS ? TOOL_OK : tell(code, test, size);
}

static int measure_all(struct perf_run *run, const struct perf_options *options, struct perf_report *report)
{
	const struct perf_test *test;
	perf_report_begin(report);
	for (size_t i = 0; (test = test_at(i)); i++) {
		const size_t *sizes;
		size_t count = is_wanted(options, test) ? sizes_of(options, test, &sizes) : 0;
		for (size_t k = 0; k < count; k++) {
			struct perf_line line = {.test = test, .size = test->sized ? sizes[k] : 0};
			if (!is_possible(run, options, test, sizes[k]))
				continue;
			int result = measure_line(run, options, &line);
			if (result != TOOL_OK)
				return result;
			perf_report_line(report, &line);
		}
	}
	return TOOL_OK;
}

/* The memory on this side. All of it is touched: page faults are nobody's latency. */
static int prepare_memory(struct perf_run *run, const struct perf_options *options)
{
	run->local = aligned_alloc(4096, (run->room + 4095) / 4096 * 4096);
	if (!run->local)
		return tool_fail_errno(errno, "memory for %zu bytes", run->room);
	memset(run->local, 1, run->room);
	if (options->address && options->write) { /* puts then write what is there already */
		int code = rsm_memseg_import_get(run->session.import, 0, run->local, run->room);
		if (code != RSM_SUCCESS)
			return tool_fail_code(code, "get the contents of %s", options->address);
	}
	if (!options->compare)
		return TOOL_OK;
	run->raw_length = PERF_DATA + run->room;
	int memory = run->peer.memory;
	run->raw = mmap(NULL, run->raw_length, PROT_READ | PROT_WRITE,
			MAP_SHARED | (memory < 0 ? MAP_ANONYMOUS : 0), memory, 0);
	if (run->raw == MAP_FAILED) {
		run->raw = NULL;
		return tool_fail_errno(errno, "map %zu bytes", run->raw_length);
	}
	memcpy(run->raw + PERF_DATA, run->local, run->room); /* so that copying out changes nothing, either */
	return TOOL_OK;
}

/* Whether the segment is reached through a controller that leads to nodes; to this very one if it loops. */
static int find_distance(struct perf_run *run, struct perf_options *options)
{
	rsm_topology_t *topology;
	struct tool_route route;
	rsm_node_id_t node = run->address.local ? run->session.node : run->address.node;
	int code = rsm_get_interconnect_topology(&topology);
	if (code != RSM_SUCCESS)
		return tool_fail_code(code, "find node %u", node);
	bool leads = options->controller && tool_route_find(topology, node, options->controller, &route);
	rsm_free_interconnect_topology(topology);
	run->far = options->far = node != run->session.node || leads;
	if (!options->far || !options->compare)
		return TOOL_OK;
	tool_fail("--compare has the raw limits of this host's memory only; those of the network are in "
		  "`make bench`");
	return TOOL_USAGE;
}

static int prepare(struct perf_run *run, struct perf_options *options)
{
	int result = tool_session_open(&run->session, options->controller);
	if (result == TOOL_OK && options->address)
		result = find_distance(run, options);
	if (result != TOOL_OK)
		return result;
	rsm_permission_t permission = options->address && !options->write ? RSM_PERM_READ : RSM_PERM_RDWR;
	run->base = options->address ? 0 : PERF_DATA;
	if (!options->address) {
		size_t room = room_needed(options);
		if (perf_peer_start(&run->peer, room, options->cpus[1]) != RSM_SUCCESS)
			return TOOL_FAILED;
		run->address = (struct tool_address){.local = true, .id = run->peer.id};
	}
	result = tool_session_connect(&run->session, &run->address, permission);
	if (result != TOOL_OK)
		return result;
	size_t needed = room_needed(options), there = run->session.length - run->base;
	run->room = options->address && there < needed ? there : needed;
	return prepare_memory(run, options);
}

static int run_perf(struct perf_options *options, struct perf_run *run)
{
	struct perf_report report = {.json = options->json, .compare = options->compare};
	if (options->cpus[0] >= 0 && !perf_pin(options->cpus[0]))
		return tool_fail_errno(errno, "run on CPU %d", options->cpus[0]);
	int result = prepare(run, options);
	if (result == TOOL_OK)
		result = measure_all(run, options, &report);
	if (result == TOOL_OK)
		result = perf_report_end(&report, options->address ? options->address : "own peer");
	json_decref(report.lines);
	/* The connection first, so that the peer's segment is withdrawn with nobody on it. */
	if (run->map)
		rsm_memseg_import_unmap(run->session.import);
	tool_session_close(&run->session);
	perf_peer_stop(&run->peer);
	if (run->raw)
		munmap(run->raw, run->raw_length);
	free(run->local);
	return result;
}

static const struct option long_options[] = {
	{"tests", required_argument, NULL, 't'}, {"sizes", required_argument, NULL, 's'},
	{"count", required_argument, NULL, 'n'}, {"duration", required_argument, NULL, 'D'},
	{"cpus", required_argument, NULL, 'c'},  {"compare", no_argument, NULL, 'C'},
	{"write", no_argument, NULL, 'w'},       {"controller", required_argument, NULL, 'o'},
	{"list", no_argument, NULL, 'l'},        {"json", no_argument, NULL, 'j'},
	{"help", no_argument, NULL, 'h'},        {NULL, 0, NULL, 0}};

/* Options with an argument. */
static int set_option(const struct tool_command *command, int option, struct perf_options *options)
{
	switch (option) {
	case 't':
		options->tests = optarg;
		return check_names(command, optarg);
	case 's':
		return parse_sizes(command, optarg, options);
	case 'o':
		options->controller = optarg;
		return TOOL_OK;
	case 'n':
		if (!tool_parse_number(optarg, UINT64_MAX / 2, &options->budget.operations) ||
		    options->budget.operations == 0)
			return tool_usage(command, "'%s' is not a count", optarg);
		return TOOL_OK;
	case 'D':
		if (!tool_parse_seconds(optarg, &options->budget.nanoseconds))
			return tool_usage(command, "'%s' is not a number of seconds up to 3600", optarg);
		return TOOL_OK;
	default:
		return parse_cpus(command, optarg, options->cpus);
	}
}

int cmd_perf(const struct tool_command *command, int argc, char **argv)
{
	struct perf_options options = {.budget.nanoseconds = 200000000};
	struct perf_run run = {.peer = {.socket = -1, .memory = -1}};
	if (argc == 3 && strcmp(argv[1], "--serve") == 0)
		return perf_serve(argv[2]);
	choose_cpus(options.cpus);
	for (int option; (option = getopt_long(argc, argv, "t:s:n:D:c:Cwljh", long_options, NULL)) != -1;) {
		int result = TOOL_OK;
		switch (option) {
		case 'C':
			options.compare = true;
			break;
		case 'w':
			options.write = true;
			break;
		case 'l':
			return list_tests();
		case 'j':
			options.json = true;
			break;
		case 'h':
			return tool_help(command);
		case '?':
			return tool_usage_option(command, argv);
		default:
			result = set_option(command, option, &options);
		}
		if (result != TOOL_OK)
			return result;
	}
	if (optind + 1 < argc)
		return tool_usage(command, "one segment expected, found '%s'", argv[optind + 1]);
	options.address = argv[optind];
	if (options.address && !tool_parse_address(options.address, &run.address))
		return tool_usage(command, "'%s' is not a segment such as 1:0x400000", options.address);
	if (options.controller && !options.address)
		return tool_usage(command, "--controller needs a segment to lead to");
	return run_perf(&options, &run);
}
