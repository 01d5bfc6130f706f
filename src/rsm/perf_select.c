/* SPDX-License-Identifier: BSD-2-Clause */
/* Which tests of `rsm perf` run, and at which sizes. */
#include <stdio.h>
#include <string.h>

#include "rsm/perf.h"

#define ROOM_UNIT ((size_t)8192)

static const struct {
	const struct perf_test *tests;
	const size_t *count;
} groups[] = {{perf_rma_tests, &perf_rma_count},
	      {perf_net_tests, &perf_net_count},
	      {perf_both_tests, &perf_both_count},
	      {perf_signal_tests, &perf_signal_count},
	      {perf_control_tests, &perf_control_count}};

const struct perf_test *perf_select_at(size_t index)
{
	for (size_t group = 0; group < sizeof(groups) / sizeof(groups[0]); group++) {
		if (index < *groups[group].count)
			return &groups[group].tests[index];
		index -= *groups[group].count;
	}
	return NULL;
}

bool perf_select_exists(const char *name, size_t length)
{
	const struct perf_test *test;
	for (size_t i = 0; (test = perf_select_at(i)); i++) {
		if (strlen(test->name) == length && strncmp(test->name, name, length) == 0)
			return true;
	}
	return false;
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

size_t perf_select_sizes(const struct perf_options *options, const struct perf_test *test,
			 const size_t **sizes)
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

bool perf_select_test(const struct perf_options *options, const struct perf_test *test, bool tell)
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
	if (why && options->tests && tell)
		fprintf(stderr, "rsm: %s left out: %s\n", test->name, why);
	return !why;
}

bool perf_select_size(const struct perf_run *run, const struct perf_options *options,
		      const struct perf_test *test, size_t size, bool tell)
{
	bool echo = test->peer && test->sized; /* its last word is the flag */
	if (size <= run->room && (!echo || (size % 4 == 0 && size >= 8 && size <= PERF_ECHO_MAX)))
		return true;
	/* A default size that does not fit was not asked for. */
	if (tell && options->size_count && !options->all)
		fprintf(stderr, "rsm: %s left out for %zu bytes: %s\n", test->name, size,
			echo ? "messages have 8 bytes to 1 MiB, a multiple of 4" : "the segment is smaller");
	return false;
}

size_t perf_select_room(const struct perf_options *options)
{
	size_t room = ROOM_UNIT;
	const struct perf_test *test;
	for (size_t i = 0; (test = perf_select_at(i)); i++) {
		const size_t *sizes;
		size_t count =
			perf_select_test(options, test, false) ? perf_select_sizes(options, test, &sizes) : 0;
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

size_t perf_select_rows(const struct perf_run *run, const struct perf_options *options)
{
	const struct perf_test *test;
	size_t rows = 0;
	for (size_t i = 0; (test = perf_select_at(i)); i++) {
		const size_t *sizes;
		size_t count =
			perf_select_test(options, test, false) ? perf_select_sizes(options, test, &sizes) : 0;
		for (size_t k = 0; k < count; k++)
			rows += perf_select_size(run, options, test, sizes[k], false);
	}
	return rows;
}
