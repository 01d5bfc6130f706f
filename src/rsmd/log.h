/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What rsmd tells its operator: one line to stderr each, with a <level> prefix where the journal reads.
 * $RSM_LOG = error, warning, info or debug sets how much (default info); $RSM_LOG_FORMAT = json makes each line an object. Error:
 * somebody must act. Warning: worked around. Info: what happens to the node. Debug: what a client can cause as often as it
 * likes (event.h). Nothing per put, get or signal. The flight recorder gets all of them, whatever the level. Any thread; offences and
 * events the loop's.
 */
#ifndef RSMD_LOG_H
#define RSMD_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "rsmd/line.h"

enum rsmd_log_level { RSMD_LOG_ERROR = 3, RSMD_LOG_WARNING = 4, RSMD_LOG_INFO = 6, RSMD_LOG_DEBUG = 7 };

void rsmd_log_open(void);
void rsmd_log(enum rsmd_log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The lines of one cause, ten a second; the next one tells how many were left out. Begins with zeros. */
struct rsmd_log_budget {
	uint64_t second;
	unsigned count;
};

/* Whether one more line may be written. */
bool rsmd_log_admit(struct rsmd_log_budget *budget);

/* The same for what a stranger can cause: one budget for all. Counts the offence, which has a line at level warning. */
bool rsmd_log_admit_offence(void);
void rsmd_log_offence(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Whether lines of that level are written, and the line of an event in both its forms. The recorder is the caller's affair. */
bool rsmd_log_has(enum rsmd_log_level level);
void rsmd_log_event(enum rsmd_log_level level, const char *text, const struct rsmd_line *line);

#endif
