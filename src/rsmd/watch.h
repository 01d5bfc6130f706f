/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Watchers: readers of the node's events (event.h). Each has a pipe, into which every event's line is written whole or not at all; the
 * kernel's buffer is the only queue, so a reader that is slow loses lines and learns how many. A reader may enlarge it, up to
 * /proc/sys/fs/pipe-max-size: not looked at, since a look at each line would bound some MiB only afterwards. A watcher ends when
 * its reader closes the pipe or its client goes. The loop's thread, which is never delayed.
 */
#ifndef RSMD_WATCH_H
#define RSMD_WATCH_H

#include <stddef.h>

#include "rsmd/line.h"

struct rsmd_client;

/* Writes the line of event `seq` to every watcher. */
void rsmd_watchers_tell(const struct rsmd_line *line, uint64_t seq);

/* The client goes, and its watchers with it. */
void rsmd_watchers_end(const struct rsmd_client *client);

#endif
