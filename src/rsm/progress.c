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
		.terminal = isatty(STDERR_FILENO),
	};
}

void tool_progress_update(struct tool_progress *progress, uint64_t done)
{
	if (!progress->terminal)
		return;
	uint64_t now = base_clock_ns(), elapsed = now - progress->start;
	if (progress->total <= PROGRESS_LARGE && elapsed <= PROGRESS_LONG)
		return;
	if (progress->shown && now - progress->last < PROGRESS_STEP)
		return;
	progress->shown = line_stands = true;
	progress->last = now;

	char moved[24], total[24], bar[PROGRESS_BAR + 1];
	tool_format_size(moved, sizeof(moved), done);
	double rate = elapsed ? (double)done / (double)elapsed : 0; /* bytes per ns are GB per s */
	if (!progress->total) {
		fprintf(stderr, "\r%s  %.2f GB/s\033[K", moved, rate);
		return;
	}
	double part = (double)done / (double)progress->total;
	size_t filled = (size_t)(part * PROGRESS_BAR);
	memset(bar, '.', PROGRESS_BAR);
	memset(bar, '#', filled > PROGRESS_BAR ? PROGRESS_BAR : filled);
	bar[PROGRESS_BAR] = '\0';
	tool_format_size(total, sizeof(total), progress->total);
	fprintf(stderr, "\r[%s] %3.0f %%  %s of %s  %.2f GB/s\033[K", bar, part * 100, moved, total, rate);
}

void tool_progress_clear(void)
{
	if (line_stands)
		fputs("\r\033[K", stderr);
	line_stands = false;
}
