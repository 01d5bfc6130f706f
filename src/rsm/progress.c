/* SPDX-License-Identifier: BSD-2-Clause */
/* The line that moves while a long transfer runs. Standard error only, and only when it is a terminal. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "rsm/tool.h"

#define PROGRESS_LARGE ((uint64_t)64 << 20) /* bytes: shown from the beginning */
#define PROGRESS_LONG  1000000000u          /* ns: shown from then on */
#define PROGRESS_STEP  100000000u           /* ns between two updates */
#define PROGRESS_BAR   30                   /* columns */

static bool line_stands; /* on the terminal, not ended by a newline */

void tool_progress_begin(struct tool_progress *progress, uint64_t total)
{
	*progress = (struct tool_progress){
		.total = total,
		.start = base_clock_ns(),
		.terminal = tool_terminal(STDERR_FILENO),
	};
}

/* Whether the line is to be drawn now. */
static bool is_due(struct tool_progress *progress, bool large)
{
	uint64_t now = base_clock_ns(), elapsed = now - progress->start;
	if (!progress->terminal || (!large && elapsed <= PROGRESS_LONG))
		return false;
	if (progress->shown && now - progress->last < PROGRESS_STEP)
		return false;
	progress->shown = line_stands = true;
	progress->last = now;
	return true;
}

static void draw_bar(double part)
{
	char bar[PROGRESS_BAR + 1];
	size_t filled = (size_t)(part * PROGRESS_BAR);
	memset(bar, '.', PROGRESS_BAR);
	memset(bar, '#', filled > PROGRESS_BAR ? PROGRESS_BAR : filled);
	bar[PROGRESS_BAR] = '\0';
	fprintf(stderr, "\r[%s] %3.0f %%", bar, part * 100);
}

void tool_progress_update(struct tool_progress *progress, uint64_t done)
{
	char moved[24], total[24];
	if (!is_due(progress, progress->total > PROGRESS_LARGE))
		return;
	uint64_t elapsed = progress->last - progress->start;
	tool_format_size(moved, sizeof(moved), done);
	double rate = elapsed ? (double)done / (double)elapsed : 0; /* bytes per ns are GB per s */
	if (!progress->total) {
		fprintf(stderr, "\r%s  %.2f GB/s\033[K", moved, rate);
		return;
	}
	draw_bar((double)done / (double)progress->total);
	tool_format_size(total, sizeof(total), progress->total);
	fprintf(stderr, "  %s of %s  %.2f GB/s\033[K", moved, total, rate);
}

void tool_progress_steps(struct tool_progress *progress, uint64_t done, const char *what)
{
	if (!progress->total || !is_due(progress, false))
		return;
	draw_bar((double)done / (double)progress->total);
	fprintf(stderr, "  %s\033[K", what);
}

void tool_progress_clear(void)
{
	if (line_stands)
		fputs("\r\033[K", stderr);
	line_stands = false;
}
