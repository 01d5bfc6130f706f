/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the parts of `rsm top` share: the model makes rates of successive readings of the counters (pure, no clock, no
 * terminal), the screen shows it and takes keys, the command reads. One thread.
 */
#ifndef RSM_TOP_H
#define RSM_TOP_H

#include "rsm/tool.h"

#define TOP_HISTORY 16 /* readings that a line remembers */
#define TOP_FILTER  32 /* bytes of a filter with its NUL */

enum top_column {
	TOP_SEGMENT,
	TOP_IMPORTER,
	TOP_PUT,
	TOP_GET,
	TOP_IN, /* bytes per second into the segment: put */
	TOP_OUT,
	TOP_LATENCY,
	TOP_SIGNALS,
	TOP_FAILURES,
	TOP_COLUMNS
};

/* One connection, or all of a segment, or all. Rates are per second. */
struct top_line {
	uint64_t id; /* of the connection; of a segment its node and number */
	rsm_node_id_t node;
	rsm_memseg_id_t segment;
	uint64_t length;

	rsm_node_id_t importer; /* of a connection: who has it */
	int32_t pid;
	uint32_t uid;
	char program[64];
	size_t connections; /* 1; of a segment, or of all, how many */

	uint64_t puts, gets, bytes_put, bytes_got, posts, failures; /* since each connection began */
	double rates[TOP_COLUMNS]; /* PUT, GET, IN, OUT, SIGNALS and FAILURES; LATENCY in ns, 0: not known */
	double history[TOP_HISTORY]; /* IN + OUT, oldest first */
};

struct top_model {
	struct top_line *connections, *segments; /* by id; owned */
	size_t connection_count, segment_count;
	size_t idle_count;      /* of the segments: those that nobody imports */
	struct top_line totals; /* of all connections */
	struct top_line sum;    /* of what the newest view shows; without a history */
	uint64_t read_ns;
	double interval_s;             /* between the last two readings; 0: there was one only, rates are 0 */
	const struct top_line **shown; /* the newest answer of top_model_view; owned */
};

struct top_view {
	bool connections; /* else segments */
	enum top_column sort;
	bool reverse;
	char filter[TOP_FILTER]; /* part of a segment's name; "" for all */
};

/* top_model.c. update: a reading that was taken at `now_ns`. False: no memory, the model stays as it was. */
bool top_model_update(struct top_model *model, const rsmx_counter_t *rows, size_t count, uint64_t now_ns);
/* Published segments, by node and segment, which nobody imports perhaps: those that have no line get one. False: no memory. */
bool top_model_publish(struct top_model *model, const struct top_line *published, size_t count);
/* What is to be shown, in its order; valid until the next call of either. Returns how many. */
size_t top_model_view(struct top_model *model, const struct top_view *view);
void top_model_clear(struct top_model *model);

/* top_cell.c: names and texts of columns. */
extern const char *const top_titles[TOP_COLUMNS];
bool top_column_parse(const char *name, enum top_column *column);
void top_cell_format(const struct top_line *line, enum top_column column, char *text, size_t size);
/* The history as TOP_HISTORY characters, 1 to 8 units high; 0: nothing moved. */
void top_history_scale(const struct top_line *line, unsigned char heights[TOP_HISTORY]);

/* cmd_top.c: takes a reading into the model. RSM_SUCCESS or a code with the library's reason. */
struct top {
	struct top_model model;
	struct top_view view;
	rsmx_counters_t *counters; /* NULL: not opened, or the daemon is gone */
	rsmx_counter_t *rows;      /* owned */
	size_t capacity;
	uint64_t interval_ns;
	json_t *node; /* id and name of this node; owned */
};

int top_read(struct top *top);

/* top_screen.c: until q. Exit code. The terminal is as before in every case. */
int top_screen_run(struct top *top);

#endif
