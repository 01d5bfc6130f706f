/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What this node's processes count themselves (segment/counters.h), added up for metrics. Their tables are theirs to write, so
 * nothing found there is more than a number: what was added once is never taken back, a number that fell or that rose faster than
 * any machine could is left out, and sums end at their largest value. The loop's thread.
 */
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "rsmd/client.h"
#include "rsmd/metrics.h"

#define LOOK_NS          1000000000u /* there may be many tables: how long sums are good */
#define ROWS             64u         /* that are read at once */
#define CALLS_PER_SECOND 10000000000u
#define BYTES_PER_SECOND 10000000000000u

static const struct {
	const char *name, *help;
	bool is_bytes;
} families[RSMD_METRICS_LOCAL] = {
	[RSMD_METRICS_PUTS] = {"rsm_local_puts_total", "Puts of this node's processes, as they report them.",
			       false},
	[RSMD_METRICS_GETS] = {"rsm_local_gets_total", "Gets of this node's processes, as they report them.",
			       false},
	[RSMD_METRICS_PUT_BYTES] =
		{"rsm_local_put_bytes_total",
		 "Bytes that this node's processes put into segments of any node, as they report them.",
		 true},
	[RSMD_METRICS_GOT_BYTES] =
		{"rsm_local_got_bytes_total",
		 "Bytes that this node's processes got from segments of any node, as they report them.",
		 true},
	[RSMD_METRICS_POSTS] = {"rsm_local_posts_total",
				"Signals that this node's importing processes posted, as they report them.",
				false},
	[RSMD_METRICS_FAILURES] = {"rsm_local_failures_total",
				   "Data calls and barriers of this node's processes that failed with their "
				   "connection, as they report them.",
				   false},
};

static uint64_t totals[RSMD_METRICS_LOCAL];

static uint64_t word(const _Atomic uint64_t *from)
{
	return atomic_load_explicit(from, memory_order_relaxed);
}

static void add(uint64_t sums[RSMD_METRICS_LOCAL], const struct segment_counters_cell *cell)
{
	sums[RSMD_METRICS_PUTS] += word(&cell->puts);
	sums[RSMD_METRICS_GETS] += word(&cell->gets);
	sums[RSMD_METRICS_PUT_BYTES] += word(&cell->bytes_put);
	sums[RSMD_METRICS_GOT_BYTES] += word(&cell->bytes_got);
	sums[RSMD_METRICS_POSTS] += word(&cell->posts);
	sums[RSMD_METRICS_FAILURES] += word(&cell->failures);
}

static bool read_at(int fd, void *to, size_t length, size_t offset)
{
	return pread(fd, to, length, (off_t)offset) == (ssize_t)length;
}

/*
 * The head, which has the sums of closed imports, is read first: an import that is closed meanwhile is missing rather than there
 * twice, and missing is made up for the next time. Copies: nothing can change between a check and a use.
 */
static bool table_sum(const struct rsmd_counters *counters, uint64_t sums[RSMD_METRICS_LOCAL])
{
	static struct segment_counters_row rows[ROWS];
	struct segment_counters head;
	if (!read_at(counters->fd, &head, sizeof(head), 0))
		return false;
	add(sums, &head.closed);
	uint32_t high = head.high < counters->rows ? head.high : counters->rows;
	for (uint32_t at = 0; at < high; at += ROWS) {
		uint32_t count = high - at < ROWS ? high - at : ROWS;
		if (!read_at(counters->fd, rows, count * sizeof(rows[0]), SEGMENT_COUNTERS_SIZE(at)))
			return false;
		for (uint32_t n = 0; n < count; n++)
			for (uint32_t cell = 0; rows[n].id && cell < SEGMENT_COUNTERS_CELLS; cell++)
				add(sums, &rows[n].cells[cell]);
	}
	return true;
}

/* Whether nothing rose faster than it can have. */
static bool is_possible(const struct rsmd_metrics_local *seen, const uint64_t sums[RSMD_METRICS_LOCAL],
			uint64_t now)
{
	uint64_t seconds = (now - seen->looked_ns) / 1000000000u + 1;
	for (int i = 0; i < RSMD_METRICS_LOCAL; i++) {
		uint64_t most = families[i].is_bytes ? BYTES_PER_SECOND : CALLS_PER_SECOND;
		if (sums[i] > seen->sums[i] && (sums[i] - seen->sums[i]) / most >= seconds)
			return false;
	}
	return true;
}

void rsmd_metrics_local_begin(struct rsmd_metrics_local *seen)
{
	seen->looked_ns = base_clock_ns();
}

void rsmd_metrics_local_look(struct rsmd_metrics_local *seen, const struct rsmd_counters *counters)
{
	uint64_t now = base_clock_ns(), sums[RSMD_METRICS_LOCAL] = {0};
	if (counters->fd < 0 || !table_sum(counters, sums) || !is_possible(seen, sums, now))
		return;
	seen->looked_ns = now;
	for (int i = 0; i < RSMD_METRICS_LOCAL; i++) {
		uint64_t more = sums[i] > seen->sums[i] ? sums[i] - seen->sums[i] : 0;
		seen->sums[i] += more;
		totals[i] = more > UINT64_MAX - totals[i] ? UINT64_MAX : totals[i] + more;
	}
}

void rsmd_metrics_locals(struct rsmd_metrics_text *text)
{
	static uint64_t looked_ns;
	uint64_t now = base_clock_ns();
	if (now - looked_ns >= LOOK_NS) {
		looked_ns = now;
		for (struct rsmd_client *client = rsmd_server.clients; client; client = client->next)
			rsmd_metrics_local_look(&client->local, &client->counters);
	}
	for (int i = 0; i < RSMD_METRICS_LOCAL; i++) {
		rsmd_metrics_counter(text, families[i].name, families[i].help);
		rsmd_metrics_count(text, NULL, totals[i]);
	}
}
