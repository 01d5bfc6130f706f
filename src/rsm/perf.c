/* SPDX-License-Identifier: BSD-2-Clause */
/* rsm perf: the order of things. What is measured is chosen in perf_select.c, the tests are in perf_*.c. */
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "rsm/perf.h"

#define ROUNDS 4 /* of --compare: librsm and the raw limit take turns, so that both see the same machine */

/* One invocation: one run, or one for each line of a batch, all in one tree of results. */
struct perf_job {
	struct perf_options options;
	struct perf_batch batch;
	json_t *tree, *earlier; /* owned */
	bool compare;           /* in any run */
	bool begun;             /* the table has its headings */
};

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

static int tell(int code, const struct perf_test *test, size_t size)
{
	return code == PERF_TOLD ? TOOL_FAILED
				 : tool_fail_code(code, "measure %s with %zu bytes", test->name, size);
}

static int measure_line(struct perf_run *run, const struct perf_options *options, struct perf_line *line)
{
	const struct perf_test *test = line->test;
	bool compare = options->compare && test->raw;
	struct perf_budget budget = options->budget;
	unsigned rounds = compare ? ROUNDS : 1;
	size_t size = line->size ? line->size : 8;
	int code = RSM_SUCCESS;
	run->progress_step = PERF_PROGRESS_ROW / rounds / (compare ? 2 : 1);
	budget.nanoseconds /= rounds;
	budget.operations = (budget.operations + rounds - 1) / rounds;
	for (unsigned round = 0; round < rounds && code == RSM_SUCCESS; round++) {
		if (compare)
			code = perf_measure(run, test->raw, size, budget, &line->raw);
		run->progress_done += compare ? run->progress_step : 0;
		if (code == RSM_SUCCESS)
			code = perf_measure(run, test, size, budget, &line->ours);
		run->progress_done += run->progress_step;
	}
	return code == RSM_SUCCESS ? TOOL_OK : tell(code, test, size);
}

static int measure_row(struct perf_run *run, const struct perf_options *options, struct perf_line *line,
		       struct perf_job *job)
{
	json_t *row = NULL;
	int result = measure_line(run, options, line);
	if (result == TOOL_OK)
		row = perf_json_row(line, job->options.histogram);
	perf_samples_clear(&line->ours);
	perf_samples_clear(&line->raw);
	if (result != TOOL_OK)
		return result;
	if (json_array_append_new(json_object_get(job->tree, "results"), row) != 0)
		return tool_fail("measure %s: out of memory for its row", line->test->name);
	if (!job->options.json)
		perf_report_row(row, job->compare);
	if (!job->options.json && job->options.histogram)
		perf_histogram_print(row);
	return TOOL_OK;
}

static int measure_all(struct perf_run *run, const struct perf_options *options, struct perf_job *job)
{
	const struct perf_test *test;
	tool_progress_begin(&run->progress, perf_select_rows(run, options) * PERF_PROGRESS_ROW);
	for (size_t i = 0; (test = perf_select_at(i)); i++) {
		const size_t *sizes;
		size_t count =
			perf_select_test(options, test, true) ? perf_select_sizes(options, test, &sizes) : 0;
		for (size_t k = 0; k < count; k++) {
			struct perf_line line = {.test = test,
						 .size = test->sized ? sizes[k] : 0,
						 .controller = run->controller};
			if (!perf_select_size(run, options, test, sizes[k], true))
				continue;
			int result = measure_row(run, options, &line, job);
			if (result != TOOL_OK)
				return result;
		}
	}
	tool_progress_clear();
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

/*
 * Which controller leads to the segment, and whether it leads to nodes: to this very one if it loops. The choice is that of
 * tool_session_connect.
 */
static int find_distance(struct perf_run *run, struct perf_options *options)
{
	rsm_topology_t *topology;
	struct tool_route route;
	rsm_node_id_t node = run->address.local ? run->session.node : run->address.node;
	snprintf(run->controller, sizeof(run->controller), "loopback");
	int code = rsm_get_interconnect_topology(&topology);
	if (code != RSM_SUCCESS)
		return tool_fail_code(code, "find node %u", node);
	bool away = node != run->session.node;
	bool leads =
		(options->controller || away) && tool_route_find(topology, node, options->controller, &route);
	rsm_free_interconnect_topology(topology);
	if (leads)
		snprintf(run->controller, sizeof(run->controller), "%s", route.controller);
	run->far = options->far = away || leads;
	if (!options->far || !options->compare)
		return TOOL_OK;
	tool_fail("--compare has the raw limits of this host's memory only; those of the network are in "
		  "`make bench`");
	return TOOL_USAGE;
}

/* The sizes that --all stands for, now that the segment's length is known. */
static void find_room(struct perf_run *run, struct perf_options *options)
{
	size_t there = run->session.length - run->base;
	if (options->all && options->address)
		perf_options_all(options, there);
	size_t needed = perf_select_room(options);
	run->room = options->address && there < needed ? there : needed;
}

static int prepare(struct perf_run *run, struct perf_options *options)
{
	int result = tool_session_open(&run->session, options->controller);
	if (result == TOOL_OK)
		result = find_distance(run, options);
	if (result != TOOL_OK)
		return result;
	rsm_permission_t permission = options->address && !options->write ? RSM_PERM_READ : RSM_PERM_RDWR;
	run->base = options->address ? 0 : PERF_DATA;
	if (!options->address) {
		if (perf_peer_start(&run->peer, perf_select_room(options), options->cpus[1]) != RSM_SUCCESS)
			return TOOL_FAILED;
		run->address = (struct tool_address){.local = true, .id = run->peer.id};
	}
	result = tool_session_connect(&run->session, &run->address, permission);
	if (result != TOOL_OK)
		return result;
	find_room(run, options);
	return prepare_memory(run, options);
}

static int run_perf(struct perf_options *options, struct perf_job *job)
{
	struct perf_run run = {.peer = {.socket = -1, .memory = -1}, .address.local = true};
	if (options->address)
		tool_parse_address(options->address, &run.address); /* checked before */
	if (options->cpus[0] >= 0 && !perf_pin(options->cpus[0]))
		return tool_fail_errno(errno, "run on CPU %d", options->cpus[0]);
	int result = prepare(&run, options);
	if (result == TOOL_OK && !job->begun && !job->options.json)
		perf_report_begin(job->compare);
	job->begun = true;
	if (result == TOOL_OK)
		result = measure_all(&run, options, job);
	/* The connection first, so that the peer's segment is withdrawn with nobody on it. */
	if (run.map)
		rsm_memseg_import_unmap(run.session.import);
	tool_session_close(&run.session);
	perf_peer_stop(&run.peer);
	if (run.raw)
		munmap(run.raw, run.raw_length);
	free(run.local);
	return result;
}

static void show_rows(const json_t *tree, const struct perf_options *options)
{
	const json_t *row;
	size_t index;
	bool compare = false;
	json_array_foreach(json_object_get(tree, "results"), index, row) compare =
		compare || json_object_get(row, "raw_median_ns");
	perf_report_begin(compare);
	json_array_foreach(json_object_get(tree, "results"), index, row)
	{
		perf_report_row(row, compare);
		if (options->histogram)
			perf_histogram_print(row);
	}
}

/* The runs, with their rows on standard output as they come. */
static int measure(struct perf_job *job)
{
	struct perf_options *options = &job->options;
	int result = TOOL_OK;
	char *status = NULL;
	size_t count = options->batch ? job->batch.count : 1;
	for (size_t i = 0; i < count; i++)
		job->compare =
			job->compare || (options->batch ? job->batch.runs[i].compare : options->compare);
	json_t *machine = perf_json_machine();
	if (job->earlier)
		result = perf_baseline_check(job->earlier, machine, options->baseline, options->force);
	if (result != TOOL_OK) {
		json_decref(machine);
		return result;
	}
	/* The first question opens the conversation, so that the daemon's release is known. */
	int code = rsmx_status("status", 0, &status);
	free(status);
	if (code == RSM_SUCCESS)
		job->tree = perf_json_tree(options->address ? options->address : "own peer", machine);
	else
		json_decref(machine);
	if (code != RSM_SUCCESS)
		return tool_fail_code(code, "talk to rsmd");
	if (!job->tree)
		return tool_fail("out of memory for results");
	for (size_t i = 0; i < count && result == TOOL_OK; i++)
		result = run_perf(options->batch ? &job->batch.runs[i] : options, job);
	if (result == TOOL_OK && json_array_size(json_object_get(job->tree, "results")) == 0)
		result = tool_fail("nothing was measured: what was asked for was left out");
	return result;
}

static int load(struct perf_job *job)
{
	struct perf_options *options = &job->options;
	int result = perf_json_load(options->from, &job->tree);
	if (result == TOOL_OK && job->earlier)
		result = perf_baseline_check(job->earlier, json_object_get(job->tree, "machine"),
					     options->baseline, options->force);
	if (result == TOOL_OK && !options->json)
		show_rows(job->tree, options);
	return result;
}

static int run_job(struct perf_job *job, const struct tool_command *command)
{
	struct perf_options *options = &job->options;
	int result = TOOL_OK;
	if (options->plot)
		result = perf_plot_check(options->plot);
	if (result == TOOL_OK && options->baseline)
		result = perf_json_load(options->baseline, &job->earlier);
	if (result == TOOL_OK && options->batch)
		result = perf_batch_load(&job->batch, command, options);
	if (result == TOOL_OK)
		result = options->from ? load(job) : measure(job);
	if (result == TOOL_OK && job->earlier)
		result = perf_baseline_compare(job->tree, job->earlier, options->baseline, options->json);
	if (result == TOOL_OK && options->json)
		result = perf_json_print(job->tree);
	if (result == TOOL_OK && options->plot)
		result = perf_plot(job->tree, options->plot);
	return result;
}

static int list_tests(bool as_json)
{
	const struct perf_test *test;
	json_t *tests = json_array();
	for (size_t i = 0; (test = perf_select_at(i)); i++) {
		json_array_append_new(tests,
				      json_pack("{s:s, s:s}", "test", test->name, "title", test->title));
		if (!as_json)
			printf("%-12s  %s\n", test->name, test->title);
	}
	json_t *tree = json_pack("{s:i, s:o}", "schema", 1, "tests", tests);
	int result = as_json ? perf_json_print(tree) : TOOL_OK;
	json_decref(tree);
	return result;
}

int cmd_perf(const struct tool_command *command, int argc, char **argv)
{
	struct perf_job job = {.options.budget.nanoseconds = 200000000};
	struct tool_address address;
	if (argc == 3 && strcmp(argv[1], "--serve") == 0)
		return perf_serve(argv[2]);
	choose_cpus(job.options.cpus);
	int result = perf_options_parse(command, argc, argv, &job.options);
	if (result != TOOL_OK)
		return result;
	if (job.options.help)
		return tool_help(command);
	if (job.options.list)
		return list_tests(job.options.json);
	if (job.options.address && !tool_parse_address(job.options.address, &address))
		return tool_usage(command, "'%s' is not a segment such as 1:0x400000", job.options.address);
	result = run_job(&job, command);
	perf_batch_clear(&job.batch);
	json_decref(job.tree);
	json_decref(job.earlier);
	return result;
}
