/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What rsmd tells its operator: one line to stderr each, with a <level> prefix where the journal reads.
 * $RSM_LOG = error, warning, info or debug sets how much (default info). Error: somebody must act. Warning:
 * worked around. Info: one line per life event. Nothing per put, get or signal.
 */
#ifndef RSMD_LOG_H
#define RSMD_LOG_H

enum rsmd_log_level { RSMD_LOG_ERROR = 3, RSMD_LOG_WARNING = 4, RSMD_LOG_INFO = 6, RSMD_LOG_DEBUG = 7 };

void rsmd_log_open(void);
void rsmd_log(enum rsmd_log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The same at level warning for what a hostile client can cause: at most ten lines a second. */
void rsmd_log_offence(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
