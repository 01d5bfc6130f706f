/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Metrics for operators: what rsmd counts, and the text of all of it (doc/observability.md has the names). Labels are
 * bounded: nodes and controllers of the configuration, kinds of requests, codes; never a segment, a process or a user.
 *
 * Counters are plain numbers that the loop's thread changes where the thing happens. Only what data threads do as well is
 * atomic. What guests move is counted in their grants, and added to their path's numbers when they end.
 */
#ifndef RSMD_METRICS_H
#define RSMD_METRICS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "rsmd/metrics_text.h"
#include "rsmd/rsmd.h"

struct rsmd_counters;

#define RSMD_METRICS_KINDS 64  /* of requests: their numbers in rsm.proto; 0 stands for any beyond */
#define RSMD_METRICS_CODES 128 /* the same for codes */

/* Why an import lost its connection, or a segment its publication. */
enum rsmd_metrics_cause {
	RSMD_METRICS_WITHDRAWN,     /* its owner withdrew it, or destroyed it */
	RSMD_METRICS_EXPORTER_GONE, /* its owner's process has ended */
	RSMD_METRICS_OWNER,         /* the node of the segment said so */
	RSMD_METRICS_PATH_LOST,     /* the path to the other node */
	RSMD_METRICS_CAUSES
};

/* What processes count themselves. */
enum {
	RSMD_METRICS_PUTS,
	RSMD_METRICS_GETS,
	RSMD_METRICS_PUT_BYTES,
	RSMD_METRICS_GOT_BYTES,
	RSMD_METRICS_POSTS,
	RSMD_METRICS_FAILURES,
	RSMD_METRICS_LOCAL
};

/* Of one client's table: what was added already, and when it was looked at. */
struct rsmd_metrics_local {
	uint64_t sums[RSMD_METRICS_LOCAL];
	uint64_t looked_ns;
};

struct rsmd_metrics {
	uint64_t requests[RSMD_METRICS_KINDS];
	uint64_t refusals[RSMD_METRICS_CODES]; /* of requests */
	uint64_t connects[1 + RSMD_CONTROLLERS_MAX];
	uint64_t publications;
	uint64_t withdrawals[RSMD_METRICS_CAUSES];
	uint64_t aborts[RSMD_METRICS_CAUSES];
	uint64_t clients;
	uint64_t offences;
	_Atomic uint64_t doorbells; /* data threads ring, too */
	uint64_t loop_latency_ns;   /* the newest measurement; 0: none yet */
};

/* The loop's thread, but for `doorbells`. */
extern struct rsmd_metrics rsmd_metrics;

static inline void rsmd_metrics_request(unsigned kind)
{
	rsmd_metrics.requests[kind < RSMD_METRICS_KINDS ? kind : 0]++;
}

static inline void rsmd_metrics_refusal(int code)
{
	rsmd_metrics.refusals[code > 0 && code < RSMD_METRICS_CODES ? code : 0]++;
}

static inline void rsmd_metrics_connect(const struct rsmd_controller *controller)
{
	rsmd_metrics.connects[controller - rsmd_server.config.controllers]++;
}

/* All of it as it is now, malloc'ed; NULL: no memory. The loop's thread. */
char *rsmd_metrics_collect(size_t *length);

/* metrics_nodes.c: the families of paths and guests. */
void rsmd_metrics_nodes(struct rsmd_metrics_text *text);

/* metrics_local.c: the families of what this node's processes count themselves. A client comes; it goes, with its table `fd` or -1. */
void rsmd_metrics_locals(struct rsmd_metrics_text *text);
void rsmd_metrics_local_begin(struct rsmd_metrics_local *seen);
void rsmd_metrics_local_look(struct rsmd_metrics_local *seen, const struct rsmd_counters *counters);

/* metrics_process.c: the families of the process. */
void rsmd_metrics_process(struct rsmd_metrics_text *text);

/*
 * What the configuration wants is begun, or a warning says why not: rsmd serves without. close: after the loop has ended.
 */
void rsmd_metrics_open(void);
void rsmd_metrics_close(void);

/*
 * metrics_file.c, and metrics_http.c, which exists only where libmicrohttpd was there when rsmd was built; without it the
 * configuration refuses `listen`.
 */
void rsmd_metrics_file_open(void);
void rsmd_metrics_http_open(void);
void rsmd_metrics_http_close(void);

#endif
