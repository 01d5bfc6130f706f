/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The daemon's JSON as text for people: scalars as "key  value" lines, objects and lists of objects under a
 * heading. The keys are the daemon's own, so what a later daemon adds is shown too.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "rsm/tool.h"

int tool_status_load(const char *what, rsm_memseg_id_t id, char **text, json_t **tree)
{
	int code = rsmx_status(what, id, text);
	if (code != RSM_SUCCESS && id)
		return tool_fail_code(code, "show segment 0x%x", id);
	if (code != RSM_SUCCESS)
		return tool_fail_code(code, "ask rsmd for %s", what);
	base_text_clean(*text, strlen(*text) + 1, *text); /* some show it as it is */
	json_error_t error;
	*tree = json_loads(*text, 0, &error);
	if (!*tree) {
		free(*text);
		*text = NULL;
		return tool_fail("ask rsmd for %s: its answer is not JSON: %s", what, error.text);
	}
	return TOOL_OK;
}

/* Whether the number under this key counts bytes. */
static bool is_bytes(const char *key)
{
	return strstr(key, "bytes") || strcmp(key, "length") == 0 || strstr(key, "memory");
}

/* Keys that people would not use. Their values are times. */
static const char *const ages[][2] = {{"uptime_s", "up for"}, {"published_s", "published for"}};

static bool is_age(const char *key)
{
	for (size_t i = 0; i < sizeof(ages) / sizeof(ages[0]); i++)
		if (strcmp(key, ages[i][0]) == 0)
			return true;
	return false;
}

void tool_render_value(char *text, size_t size, const char *key, const json_t *value)
{
	if (json_is_string(value)) {
		base_text_clean(text, size, json_string_value(value)); /* names come from other users */
	} else if (json_is_integer(value)) {
		json_int_t number = json_integer_value(value);
		if (strcmp(key, "max_exported_bytes") == 0 && number == 0)
			snprintf(text, size, "no limit");
		else if (is_bytes(key) && number > 0)
			tool_format_size(text, size, (uint64_t)number);
		else
			snprintf(text, size, "%" JSON_INTEGER_FORMAT, number);
	} else if (json_is_number(value) && is_age(key)) {
		tool_format_age(text, size, json_number_value(value));
	} else if (json_is_real(value)) {
		snprintf(text, size, "%.3f", json_real_value(value));
	} else if (json_is_boolean(value)) {
		snprintf(text, size, "%s", json_is_true(value) ? "yes" : "no");
	} else {
		snprintf(text, size, "-");
	}
}

static void readable_key(char *text, size_t size, const char *key)
{
	snprintf(text, size, "%s", key);
	for (size_t i = 0; i < sizeof(ages) / sizeof(ages[0]); i++)
		if (strcmp(key, ages[i][0]) == 0)
			snprintf(text, size, "%s", ages[i][1]);
	for (char *at = text; *at; at++)
		*at = *at == '_' ? ' ' : *at;
}

static void render_scalars(const json_t *object)
{
	const char *key;
	const json_t *value;
	char name[40], text[256];
	void *place = json_object_iter((json_t *)(uintptr_t)object);
	for (; place; place = json_object_iter_next((json_t *)(uintptr_t)object, place)) {
		key = json_object_iter_key(place);
		value = json_object_iter_value(place);
		if (json_is_object(value) || json_is_array(value) || strcmp(key, "schema") == 0)
			continue;
		readable_key(name, sizeof(name), key);
		tool_render_value(text, sizeof(text), key, value);
		printf("%-22s %.*s\n", name, TOOL_TABLE_WIDTH - 23, text);
	}
}

/* A list of objects; the first one's scalars are the columns. */
static void render_list(const json_t *list)
{
	struct tool_table table = {0};
	const char *keys[TOOL_TABLE_COLUMNS] = {0};
	json_t *first = json_array_get(list, 0);
	for (void *at = json_object_iter(first); at; at = json_object_iter_next(first, at)) {
		json_t *value = json_object_iter_value(at);
		if (json_is_object(value) || json_is_array(value) || table.columns == TOOL_TABLE_COLUMNS)
			continue;
		keys[table.columns] = json_object_iter_key(at);
		tool_table_column(&table, json_object_iter_key(at), json_is_number(value));
	}
	for (size_t i = 0; i < json_array_size(list); i++) {
		char(*row)[TOOL_TABLE_CELL] = tool_table_row(&table);
		for (size_t column = 0; row && column < table.columns && keys[column]; column++)
			tool_render_value(row[column], TOOL_TABLE_CELL, keys[column],
					  json_object_get(json_array_get(list, i), keys[column]));
	}
	tool_table_print(&table);
	tool_table_clear(&table);
}

void tool_render_object(const json_t *object)
{
	char title[40];
	json_t *tree = (json_t *)(uintptr_t)object; /* iteration is not const in jansson */
	render_scalars(object);
	for (void *at = json_object_iter(tree); at; at = json_object_iter_next(tree, at)) {
		json_t *value = json_object_iter_value(at);
		bool list = json_is_array(value) && json_is_object(json_array_get(value, 0));
		if (!json_is_object(value) && !list)
			continue;
		readable_key(title, sizeof(title), json_object_iter_key(at));
		putchar('\n');
		tool_heading(title);
		if (list)
			render_list(value);
		else
			render_scalars(value);
	}
}
