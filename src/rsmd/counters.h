/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * rsmd's side of counters (segment/counters.h): makes a table for each process that imports, hands it to viewers, and counts for
 * guests in a table of its own. What clients write into theirs only metrics_local.c looks at. The loop's thread.
 */
#ifndef RSMD_COUNTERS_H
#define RSMD_COUNTERS_H

#include <stdint.h>

#include "segment/counters.h"

struct rsmd_export;
struct rsmd_guest;

/* Of one client. Made when it asks. */
struct rsmd_counters {
	int fd; /* -1: none */
	uint64_t id;
};

void rsmd_counters_init(struct rsmd_counters *counters);
void rsmd_counters_end(struct rsmd_counters *counters);

/*
 * A row for a guest, to which its grant counts from here on, before anything can be counted; and back, when nothing is counted any
 * more. Where there is no room the grant keeps its own cell, which viewers do not see.
 */
void rsmd_counters_guest(struct rsmd_guest *guest, const struct rsmd_export *export);
void rsmd_counters_guest_end(struct rsmd_guest *guest);

#endif
