/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What changed since an earlier run. Figures of two machines say nothing about each other, so those are refused. Times move from
 * hour to hour on one machine, too: the ratio to the raw limit, measured in the same run, is the better witness.
 */
#include <stdio.h>
#include <string.h>

#include "rsm/perf.h"

static void fact_text(char *text, size_t size, const json_t *machine, const char *key)
{
	const json_t *value = json_object_get(machine, key);
	if (value)
		tool_render_value(text, size, key, value);
	else
		snprintf(text, size, "unknown");
}

int perf_baseline_check(const json_t *earlier, const json_t *machine, const char *file, bool force)
{
	static const char *const facts[] = {"cpu", "cores", "architecture", "kernel"};
	const json_t *there = json_object_get(earlier, "machine");
	for (size_t i = 0; i < sizeof(facts) / sizeof(facts[0]) && !force; i++) {
		char then[256], now[256];
		fact_text(then, sizeof(then), there, facts[i]);
		fact_text(now, sizeof(now), machine, facts[i]);
		if (strcmp(then, now) != 0)
			return tool_fail(
				"compare with %s: its %s was %s, this one is %s, and times of different "
				"machines say nothing about each other; --force compares all the same",
				file, facts[i], then, now);
	}
	return TOOL_OK;
}

static bool same_text(const json_t *left, const json_t *right, const char *key)
{
	const char *a = json_string_value(json_object_get(left, key));
	const char *b = json_string_value(json_object_get(right, key));
	return !a || !b ||
	       strcmp(a, b) == 0; /* a key that an older release did not write does not part them */
}

static const json_t *find_row(const json_t *earlier, const json_t *row)
{
	const json_t *other;
	size_t index;
	json_array_foreach(json_object_get(earlier, "results"), index, other)
	{
		if (same_text(other, row, "test") && same_text(other, row, "controller") &&
		    json_integer_value(json_object_get(other, "size")) ==
			    json_integer_value(json_object_get(row, "size")))
			return other;
	}
	return NULL;
}

/* The value then, now, and by how much it changed, into three cells and the row. False: not in both. */
static bool compare_key(json_t *row, const json_t *other, const char *key, const char *result, bool is_time,
			char (*cells)[TOOL_TABLE_CELL])
{
	double then = json_number_value(json_object_get(other, key));
	double now = json_number_value(json_object_get(row, key));
	for (size_t i = 0; i < 3; i++)
		snprintf(cells[i], TOOL_TABLE_CELL, "-");
	if (!(then > 0) || !(now > 0))
		return false;
	for (size_t i = 0; i < 2; i++) {
		if (is_time)
			perf_format_time(cells[i], TOOL_TABLE_CELL, i ? now : then);
		else
			snprintf(cells[i], TOOL_TABLE_CELL, "%.2f", i ? now : then);
	}
	snprintf(cells[2], TOOL_TABLE_CELL, "%+.1f %%", (now / then - 1) * 100);
	json_object_set_new(row, result, json_real(now / then));
	return true;
}

int perf_baseline_compare(json_t *tree, const json_t *earlier, const char *file, bool quiet)
{
	struct tool_table table = {0};
	json_t *row;
	size_t index;
	static const char *const titles[] = {"RATIO THEN", "NOW", "CHANGE", "MEDIAN THEN", "NOW", "CHANGE"};
	tool_table_column(&table, "TEST", false);
	tool_table_column(&table, "SIZE", true);
	for (size_t i = 0; i < sizeof(titles) / sizeof(titles[0]); i++)
		tool_table_column(&table, titles[i], true);
	json_array_foreach(json_object_get(tree, "results"), index, row)
	{
		const json_t *other = find_row(earlier, row);
		char(*cells)[TOOL_TABLE_CELL] = other ? tool_table_row(&table) : NULL;
		json_int_t size = json_integer_value(json_object_get(row, "size"));
		if (!cells)
			continue;
		tool_render_value(cells[0], TOOL_TABLE_CELL, "test", json_object_get(row, "test"));
		snprintf(cells[1], TOOL_TABLE_CELL, "-");
		if (size > 0)
			tool_format_size(cells[1], TOOL_TABLE_CELL, (uint64_t)size);
		compare_key(row, other, "ratio", "ratio_change", false, cells + 2);
		compare_key(row, other, "median_ns", "median_change", true, cells + 5);
	}
	bool found = table.rows > 0;
	char date[32];
	fact_text(date, sizeof(date), earlier, "date");
	if (found && !quiet) {
		printf("\nAgainst %s of %s; a ratio or a time that fell is better:\n", file, date);
		tool_table_print(&table);
	}
	tool_table_clear(&table);
	return found ? TOOL_OK
		     : tool_fail("compare with %s: it has no test at a size that was measured now", file);
}
