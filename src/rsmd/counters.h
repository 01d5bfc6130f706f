/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * rsmd's side of counters (segment/counters.h): makes a table for each process that imports, hands it to viewers, and counts for
 * guests in a table of its own. What clients write into theirs only metrics_local.c looks at. The loop's thread.
 *
 * What a table has for who looks at it is bounded by what its process had at rsmd, and not by what stands in it: a page that was
 * never written takes memory as soon as it is read.
 */
#ifndef RSMD_COUNTERS_H
#define RSMD_COUNTERS_H

#include <stddef.h>
#include <stdint.h>

#include "segment/counters.h"

struct rsmd_export;
struct rsmd_guest;

/* Of one client. Made when it asks. */
struct rsmd_counters {
	int fd; /* -1: none */
	uint64_t id;
	uint32_t rows; /* that its imports can have come to use */
};

void rsmd_counters_init(struct rsmd_counters *counters);
void rsmd_counters_end(struct rsmd_counters *counters);

/* The client has so many imports. */
void rsmd_counters_imports(struct rsmd_counters *counters, size_t imports);

/*
 * A row for a guest, to which its grant counts from here on, before anything can be counted; and back, when nothing is counted any
 * more. Where there is no room the grant keeps its own cell, which viewers do not see.
 */
void rsmd_counters_guest(struct rsmd_guest *guest, const struct rsmd_export *export);
void rsmd_counters_guest_end(struct rsmd_guest *guest);

#endif
