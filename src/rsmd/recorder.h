/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The flight recorder: the newest events and log lines, those below the log's level as well, in memory of fixed size. It is
 * told by rsmx_status("events"), and written out when rsmd dies (dump.h). Any thread.
 */
#ifndef RSMD_RECORDER_H
#define RSMD_RECORDER_H

#include <stdbool.h>

#include "rsmd/line.h"

#define RSMD_RECORDS 1024 /* that many are kept */

/* `is_log`: told to root and to rsmd's own user only. */
void rsmd_recorder_add(const struct rsmd_line *line, bool is_log);

/* {"schema":1,"events":[...]}, newest last, to be freed; with the log lines, or without. NULL: no memory. */
char *rsmd_recorder_tell(bool with_log);

/*
 * Writes all records as they are; each waits up to `timeout_ms` for room. Returns as base_fd_write does. Async-signal-safe; in a
 * signal handler one record may be in the making, which is left out.
 */
int rsmd_recorder_write(int fd, int timeout_ms);

#endif
