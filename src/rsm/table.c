/* SPDX-License-Identifier: BSD-2-Clause */
/* Tables of text, at most 100 columns wide. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "rsm/tool.h"

bool tool_terminal(int fd)
{
	const char *term = getenv("TERM");
	return isatty(fd) && !(term && strcmp(term, "dumb") == 0);
}

/* Bold, where a person looks at a terminal and has nothing against it (no-color.org). */
bool tool_coloured(void)
{
	const char *no_color = getenv("NO_COLOR");
	return tool_terminal(STDOUT_FILENO) && !(no_color && *no_color);
}

void tool_heading(const char *text)
{
	printf(tool_coloured() ? "\033[1m%s\033[0m\n" : "%s\n", text);
}

void tool_format_size(char *text, size_t size, uint64_t bytes)
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	size_t unit = 0;
	double value = (double)bytes;
	while (value >= 1024 && unit + 1 < sizeof(units) / sizeof(units[0])) {
		value /= 1024;
		unit++;
	}
	snprintf(text, size, value == (double)(uint64_t)value ? "%.0f %s" : "%.1f %s", value, units[unit]);
}

void tool_format_age(char *text, size_t size, double seconds)
{
	if (seconds < 120)
		snprintf(text, size, "%.0f s", seconds);
	else if (seconds < 7200)
		snprintf(text, size, "%.0f min", seconds / 60);
	else if (seconds < 172800)
		snprintf(text, size, "%.0f h", seconds / 3600);
	else
		snprintf(text, size, "%.0f d", seconds / 86400);
}

void tool_table_column(struct tool_table *table, const char *title, bool right)
{
	if (table->columns == TOOL_TABLE_COLUMNS)
		return;
	table->titles[table->columns] = title;
	table->right[table->columns] = right;
	table->columns++;
}

char (*tool_table_row(struct tool_table *table))[TOOL_TABLE_CELL]
{
	if (table->rows == table->capacity) {
		size_t capacity = table->capacity ? table->capacity * 2 : 32;
		void *cells = reallocarray(table->cells, capacity, table->columns * TOOL_TABLE_CELL);
		if (!cells)
			return NULL;
		table->cells = cells;
		table->capacity = capacity;
	}
	char(*row)[TOOL_TABLE_CELL] = table->cells + table->rows++ * table->columns;
	for (size_t i = 0; i < table->columns; i++)
		row[i][0] = '\0';
	return row;
}

/* One line into `line`; cut where the table must end. */
static void format_line(const struct tool_table *table, const size_t *widths, char (*row)[TOOL_TABLE_CELL],
			char line[TOOL_TABLE_WIDTH + 1])
{
	size_t used = 0;
	line[0] = '\0';
	for (size_t i = 0; i < table->columns && used < TOOL_TABLE_WIDTH; i++) {
		const char *cell = row ? row[i] : table->titles[i];
		int width = table->right[i] ? (int)widths[i] : -(int)widths[i];
		int wrote =
			snprintf(line + used, TOOL_TABLE_WIDTH + 1 - used, i ? "  %*s" : "%*s", width, cell);
		used += wrote > 0 ? (size_t)wrote : 0;
	}
	for (size_t end = strlen(line); end > 0 && line[end - 1] == ' '; end--)
		line[end - 1] = '\0';
}

void tool_table_print(const struct tool_table *table)
{
	size_t widths[TOOL_TABLE_COLUMNS];
	for (size_t i = 0; i < table->columns; i++) {
		widths[i] = strlen(table->titles[i]);
		for (size_t row = 0; row < table->rows; row++) {
			size_t width = strlen(table->cells[row * table->columns + i]);
			widths[i] = width > widths[i] ? width : widths[i];
		}
	}
	char line[TOOL_TABLE_WIDTH + 1];
	format_line(table, widths, NULL, line);
	tool_heading(line);
	for (size_t row = 0; row < table->rows; row++) {
		format_line(table, widths, table->cells + row * table->columns, line);
		puts(line);
	}
}

void tool_table_clear(struct tool_table *table)
{
	free(table->cells);
	memset(table, 0, sizeof(*table));
}
