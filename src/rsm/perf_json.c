/* SPDX-License-Identifier: BSD-2-Clause */
/* Results as JSON, with the facts of the machine that they are worth nothing without. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "rsm/perf.h"

static const struct {
	const char *name;
	unsigned parts;
} points[] = {{"0", 0},         {"1", 1000},      {"5", 5000},      {"10", 10000},     {"20", 20000},
	      {"25", 25000},    {"30", 30000},    {"40", 40000},    {"50", 50000},     {"60", 60000},
	      {"70", 70000},    {"75", 75000},    {"80", 80000},    {"90", 90000},     {"95", 95000},
	      {"98", 98000},    {"99", 99000},    {"99.5", 99500},  {"99.8", 99800},   {"99.9", 99900},
	      {"99.95", 99950}, {"99.98", 99980}, {"99.99", 99990}, {"99.995", 99995}, {"100", 100000}};

/* Of {"50": ns}; points that are no sample of their own are left out. */
static json_t *distribution(const struct perf_samples *samples)
{
	json_t *object = json_object();
	for (size_t i = 0; i < sizeof(points) / sizeof(points[0]); i++) {
		unsigned parts = points[i].parts;
		if (parts < PERF_PARTS && (uint64_t)samples->count * (PERF_PARTS - parts) < PERF_PARTS)
			continue;
		json_object_set_new(object, points[i].name,
				    json_real(perf_percentile(samples->values, samples->count, parts)));
	}
	return object;
}

static json_t *histogram_of(const struct perf_samples *samples)
{
	struct perf_histogram histogram;
	json_t *list = json_array();
	perf_histogram_fill(&histogram, samples->values, samples->count);
	for (size_t i = 0; i < histogram.count; i++)
		json_array_append_new(list, json_pack("{s:f, s:f, s:I}", "from_ns", histogram.bounds[i],
						      "to_ns", histogram.bounds[i + 1], "count",
						      (json_int_t)histogram.counts[i]));
	return list;
}

static void set_result(json_t *row, const char *prefix, const struct perf_result *result)
{
	const struct {
		const char *name;
		double value;
	} times[] = {{"min_ns", result->minimum}, {"median_ns", result->median},   {"p99_ns", result->p99},
		     {"max_ns", result->maximum}, {"average_ns", result->average}, {"p999_ns", result->p999}};
	char key[32];
	for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
		snprintf(key, sizeof(key), "%s%s", prefix, times[i].name);
		json_object_set_new(row, key, json_real(times[i].value));
	}
	snprintf(key, sizeof(key), "%soperations", prefix);
	json_object_set_new(row, key, json_integer((json_int_t)result->operations));
	snprintf(key, sizeof(key), "%ssamples", prefix);
	json_object_set_new(row, key, json_integer((json_int_t)result->samples));
}

json_t *perf_json_row(struct perf_line *line, bool histogram)
{
	static const char *const kinds[] = {"time", "rate", "bandwidth"};
	const struct perf_test *test = line->test;
	struct perf_result ours = {0}, raw = {0};
	json_t *row = json_pack("{s:s, s:s, s:s}", "test", test->name, "kind", kinds[test->kind],
				"controller", line->controller);
	if (!row)
		return NULL;
	perf_samples_summarize(&line->ours, &ours);
	if (line->size)
		json_object_set_new(row, "size", json_integer((json_int_t)line->size));
	set_result(row, "", &ours);
	if (test->kind == PERF_BANDWIDTH)
		json_object_set_new(row, "bytes_per_second",
				    json_real((double)line->size * test->ways / ours.median * 1e9));
	if (test->kind == PERF_RATE)
		json_object_set_new(row, "operations_per_second", json_real(1e9 / ours.median));
	if (line->raw.count) {
		perf_samples_summarize(&line->raw, &raw);
		json_object_set_new(row, "raw", json_string(test->raw->name));
		set_result(row, "raw_", &raw);
		json_object_set_new(row, "ratio", json_real(ours.median / raw.median));
		json_object_set_new(row, "raw_distribution_ns", distribution(&line->raw));
	}
	json_object_set_new(row, "distribution_ns", distribution(&line->ours));
	if (histogram)
		json_object_set_new(row, "histogram", histogram_of(&line->ours));
	return row;
}

/* The processor's name for people; the architecture where the kernel tells none. */
static void find_processor(char *text, size_t size, const char *architecture)
{
	char line[256];
	FILE *file = fopen("/proc/cpuinfo", "re");
	snprintf(text, size, "%s", architecture);
	while (file && fgets(line, sizeof(line), file)) {
		const char *value = strchr(line, ':');
		if (strncmp(line, "model name", 10) != 0 || !value)
			continue;
		value += strspn(value, ": \t");
		snprintf(text, size, "%.*s", (int)strcspn(value, "\n"), value);
		break;
	}
	if (file)
		fclose(file);
}

json_t *perf_json_machine(void)
{
	struct utsname name;
	char processor[128];
	if (uname(&name) != 0)
		memset(&name, 0, sizeof(name));
	find_processor(processor, sizeof(processor), name.machine);
	return json_pack("{s:s, s:i, s:s, s:s}", "cpu", processor, "cores",
			 (int)sysconf(_SC_NPROCESSORS_ONLN), "architecture", name.machine, "kernel",
			 name.release);
}

json_t *perf_json_tree(const char *target, json_t *machine)
{
	const char *daemon = NULL, *library = rsmx_version(&daemon);
	double load[3] = {0};
	char date[32] = "";
	time_t now = time(NULL);
	struct tm utc;
	if (gmtime_r(&now, &utc))
		strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%SZ", &utc);
	if (getloadavg(load, 3) < 0)
		memset(load, 0, sizeof(load));
	return json_pack("{s:i, s:s, s:s?, s:s, s:s, s:[f,f,f], s:o, s:[]}", "schema", 1, "library", library,
			 "daemon", daemon && *daemon ? daemon : NULL, "target", target, "date", date, "load",
			 load[0], load[1], load[2], "machine", machine, "results");
}

int perf_json_load(const char *file, json_t **tree)
{
	json_error_t error;
	*tree = strcmp(file, "-") == 0 ? json_loadf(stdin, JSON_REJECT_DUPLICATES, &error)
				       : json_load_file(file, JSON_REJECT_DUPLICATES, &error);
	if (!*tree)
		return tool_fail("read %s: %s (line %d)", file, error.text, error.line);
	const json_t *results = json_object_get(*tree, "results"), *row;
	bool fits = json_integer_value(json_object_get(*tree, "schema")) == 1 && json_array_size(results) > 0;
	size_t index;
	json_array_foreach(results, index, row) fits = fits && json_is_string(json_object_get(row, "test")) &&
						       json_is_number(json_object_get(row, "median_ns"));
	if (fits)
		return TOOL_OK;
	json_decref(*tree);
	*tree = NULL;
	return tool_fail("read %s: this is not what `rsm perf --json` writes (schema 1, with results)", file);
}

int perf_json_print(const json_t *tree)
{
	if (json_dumpf(tree, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(6)) != 0)
		return tool_fail("print the results as JSON: out of memory");
	putchar('\n');
	return TOOL_OK;
}
