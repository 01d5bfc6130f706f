/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How `rsm perf` measures. A test is an operation that is run `count` times at a stretch; a stretch (batch)
 * lasts long enough that reading the clock (25 to 50 ns) does not count. Every batch gives one sample: its mean
 * per operation.
 *
 * The other end is this program again, as `rsm perf --serve`: it exports a segment and echoes. Page 0 of the
 * segment holds the words below, the data begins at PERF_DATA.
 */
#ifndef RSM_PERF_H
#define RSM_PERF_H

#include <stdatomic.h>

#include "rsm/perf_statistics.h"
#include "rsm/tool.h"

#define PERF_DATA     ((size_t)4096)
#define PERF_ECHO_MAX ((size_t)1 << 20) /* bytes of an echoed message; both directions fit the data */
#define PERF_WAIT_MS  5000              /* a peer that is silent for so long has failed */
#define PERF_SPINS    65536u            /* looks at memory between two looks at the other process */

/* Page 0 of the peer's segment, and of the memory that the raw tests share with the peer. */
struct perf_words {
	_Alignas(128) _Atomic uint32_t stop; /* 1: leave the echo loop */
	_Alignas(128) _Atomic uint32_t ping; /* raw futex words */
	_Alignas(128) _Atomic uint32_t pong;
	_Alignas(128) _Atomic uint64_t asked; /* operations of the peer, of tests with both ways */
	_Alignas(128) _Atomic uint64_t done;
};

struct perf_peer {
	int socket; /* -1: no peer */
	int memory; /* memfd that the raw tests share with it */
	int pid;
	rsm_memseg_id_t id;
};

struct perf_run {
	struct tool_session session;
	struct perf_peer peer;
	unsigned char *raw; /* map of peer.memory, NULL without --compare */
	size_t raw_length;
	unsigned char *local; /* this side's buffer */
	size_t room;          /* bytes of data that a test may touch, here and there */
	size_t base;          /* offset of the data in the segment */
	unsigned char *map;   /* during a map test */
	void *page;           /* during publish, and that the peer writes to in tests with both ways */
	rsm_memseg_export_handle_t segment;
	uint32_t turn; /* of the echo */
	struct tool_address address;
	bool far;                        /* the segment is another node's, or reached as if it were */
	char controller[MAXNAMELEN + 1]; /* that leads to the segment */
	struct tool_progress progress;
	uint64_t progress_done, progress_step; /* of PERF_PROGRESS_ROW for each row; of one measurement */
};

enum perf_kind { PERF_TIME, PERF_RATE, PERF_BANDWIDTH };

struct perf_test {
	const char *name, *title;
	enum perf_kind kind;
	unsigned parts; /* 2: an operation is a round trip, half of it is reported */
	unsigned ways;  /* 2: both sides move bytes at the same time; of tests about bandwidth */
	unsigned
		think; /* ns that each side computes before it hands over (perf_think); taken off the result */
	unsigned shortest; /* ns of a batch at least, 0: BATCH_NS */
	bool sized;  /* takes sizes; the default ones are all of the run if it is about bandwidth, else 8 */
	bool writes; /* changes the segment's data */
	bool peer;   /* the other side takes part */
	bool spins;  /* both sides spin: makes no sense on one CPU */
	bool far;    /* about another node only */
	unsigned window; /* to another node: operations of a batch at least, as a stream needs several */
	/* After a failure nothing more of the run is called. begin and end may be NULL. */
	int (*begin)(struct perf_run *run, size_t size);
	int (*run)(struct perf_run *run, size_t size, uint64_t count);
	int (*end)(struct perf_run *run, size_t size);
	const struct perf_test *raw; /* the limit, may be NULL */
};

/*
 * So long that a waiter which spins before it sleeps is asleep when its event comes: a wake-up is what is measured then.
 */
#define PERF_THINK_NS 60000u

/* Functions of a test return RSM_SUCCESS, an RSMERR code with the library's reason, or this: the error is told. */
#define PERF_TOLD 255

/* Computes for PERF_THINK_NS. Both processes. */
void perf_think(void);

/* perf_measure.c */
struct perf_samples {
	double *values; /* owned */
	size_t count, capacity;
	uint64_t operations;
};

struct perf_budget {
	uint64_t nanoseconds; /* of one row */
	uint64_t operations;  /* of one row, 0: as many as fit the time */
	uint64_t warm_up;     /* ns before the first sample of each stretch of a row */
};

int perf_measure(struct perf_run *run, const struct perf_test *test, size_t size, struct perf_budget budget,
		 struct perf_samples *samples);
/* Sorts the samples. */
void perf_samples_summarize(struct perf_samples *samples, struct perf_result *result);
/* begin and end of tests that are in explicit mode meanwhile. */
int perf_begin_explicit(struct perf_run *run, size_t size);
int perf_end_explicit(struct perf_run *run, size_t size);
void perf_samples_clear(struct perf_samples *samples);

/* perf_peer.c: the measuring side. Functions that fail tell so. */
int perf_peer_start(struct perf_peer *peer, size_t room, int cpu);
int perf_peer_order(struct perf_peer *peer, const char *order, size_t size,
		    rsm_memseg_id_t id);           /* waits until the peer is ready */
int perf_peer_finish(struct perf_peer *peer);      /* waits until it left its loop */
int perf_peer_check(const struct perf_peer *peer); /* whether it is still there */
void perf_peer_stop(struct perf_peer *peer);

/* perf_serve.c: the peer. `what`: "SOCKET,MEMORY,ROOM,CPU". */
struct perf_server {
	int socket;
	size_t room;
	unsigned char *shared, *raw;
	rsm_memseg_export_handle_t segment;
	struct tool_session session;
};

int perf_server_say(const struct perf_server *server, const char *line);
/* Whether a loop of the peer has to end: it is told so by the words, or the other side has gone. */
bool perf_server_over(const struct perf_server *server, const struct perf_words *words);
/* perf_both.c: the peer's part. id: where it puts to; 0: the raw limit. */
int perf_both_serve(const struct perf_server *server, rsm_memseg_id_t id, size_t size);
int perf_serve(const char *what);
bool perf_pin(int cpu);

/* The table of tests; raw ones are reached through the others. */
extern const struct perf_test perf_rma_tests[], perf_net_tests[], perf_both_tests[], perf_signal_tests[],
	perf_control_tests[];
extern const size_t perf_rma_count, perf_net_count, perf_both_count, perf_signal_count, perf_control_count;
extern const struct perf_test perf_raw_store, perf_raw_copy_in, perf_raw_copy_out, perf_raw_echo,
	perf_raw_futex;
/* The same through memory, so that the compiler neither inlines nor drops the call. */
extern void *(*volatile perf_raw_memcpy)(void *to, const void *from, size_t size);

/* A message of an echo ends with its turn, the flag: read says which one is there, write copies and sets it last. */
uint32_t perf_echo_read(const unsigned char *message, size_t size);
void perf_echo_write(unsigned char *message, const unsigned char *from, size_t size, uint32_t turn);
long perf_futex(_Atomic uint32_t *word, int operation, uint32_t value, unsigned milliseconds);

/* perf_options.c */
#define PERF_SIZES_MAX 64
#define PERF_LARGEST   ((size_t)64 << 20) /* of --all against a peer of its own */

struct perf_options {
	size_t sizes[PERF_SIZES_MAX], size_count;
	const char *tests, *address, *controller; /* of argv or of a line of the batch */
	const char *batch, *from, *plot, *baseline;
	struct perf_budget budget;
	int cpus[2]; /* -1: not pinned */
	bool all, compare, write, json, histogram, force, list, help;
	bool far;  /* as in struct perf_run */
	bool line; /* of a batch: what concerns all of the run is refused */
};

/* Changes what the words name, leaves the rest. Told and TOOL_USAGE when they are wrong. */
int perf_options_parse(const struct tool_command *command, int argc, char **argv,
		       struct perf_options *options);
/* Powers of two up to `largest`. */
void perf_options_all(struct perf_options *options, size_t largest);

/* perf_batch.c: a file of options, one run per line. */
struct perf_batch {
	struct perf_options *runs;
	size_t count;
	char *text; /* that the options point into */
};

int perf_batch_load(struct perf_batch *batch, const struct tool_command *command,
		    const struct perf_options *common);
void perf_batch_clear(struct perf_batch *batch);

/* perf_select.c: which tests run, at which sizes. */
const struct perf_test *perf_select_at(size_t index); /* NULL behind the last */
bool perf_select_exists(const char *name, size_t length);
/* Why a test that was named does not run is said on standard error. */
bool perf_select_test(const struct perf_options *options, const struct perf_test *test, bool tell);
bool perf_select_size(const struct perf_run *run, const struct perf_options *options,
		      const struct perf_test *test, size_t size, bool tell);
size_t perf_select_sizes(const struct perf_options *options, const struct perf_test *test,
			 const size_t **sizes);
/* Bytes of data that the peer must offer for what is asked. */
size_t perf_select_room(const struct perf_options *options);
size_t perf_select_rows(const struct perf_run *run, const struct perf_options *options);

/*
 * Results are JSON from here on: rows of {"test", "size", "median_ns" ...} in a tree with the facts of the machine. The table, the
 * histogram, the plot and the comparison are views of it, be it fresh or out of a file.
 */
#define PERF_PROGRESS_ROW 1000u

struct perf_line {
	const struct perf_test *test;
	size_t size; /* 0: not sized */
	const char *controller;
	struct perf_samples ours, raw; /* raw is empty without --compare; owned by whoever measures */
};

/* perf_json.c: new references; NULL when memory is short. */
json_t *perf_json_row(struct perf_line *line, bool histogram);
json_t *perf_json_tree(const char *target, json_t *machine); /* takes the reference of `machine` */
json_t *perf_json_machine(void);
int perf_json_load(const char *file, json_t **tree);
int perf_json_print(const json_t *tree);

/* perf_report.c: the table, row by row as they are measured. */
void perf_report_begin(bool compare);
void perf_report_row(const json_t *row, bool compare);
void perf_format_time(char *text, size_t size, double nanoseconds);

/* perf_histogram.c: bars of a row's samples. */
void perf_histogram_print(const json_t *row);

/* perf_plot.c: a picture of a tree, by gnuplot. The check is made before anything is measured. */
int perf_plot_check(const char *file);
int perf_plot(const json_t *tree, const char *file);

/* perf_baseline.c: against an earlier tree. Machines that differ are refused unless forced. */
int perf_baseline_check(const json_t *earlier, const json_t *machine, const char *file, bool force);
/* Adds to the rows what changed; prints it unless `quiet`. */
int perf_baseline_compare(json_t *tree, const json_t *earlier, const char *file, bool quiet);

#endif
