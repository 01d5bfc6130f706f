/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Rates from successive readings. Connections are found again by their id, which is never used again, so lists by id are
 * merged; a segment is the sum of its connections. A connection that began between two readings counts from zero.
 */
#include <stdlib.h>
#include <string.h>

#include "rsm/top.h"

static int by_id(const void *left, const void *right)
{
	const struct top_line *a = left, *b = right;
	return (a->id > b->id) - (a->id < b->id);
}

/* So that the connections of a segment stand together. */
static int by_segment(const void *left, const void *right)
{
	const struct top_line *a = *(const struct top_line *const *)left,
			      *b = *(const struct top_line *const *)right;
	if (a->node != b->node)
		return a->node > b->node ? 1 : -1;
	if (a->segment != b->segment)
		return a->segment > b->segment ? 1 : -1;
	return by_id(a, b);
}

static void remember(struct top_line *line, const struct top_line *before)
{
	if (before)
		memcpy(line->history, before->history + 1, sizeof(line->history) - sizeof(line->history[0]));
	line->history[TOP_HISTORY - 1] = line->rates[TOP_IN] + line->rates[TOP_OUT];
}

/* Counters only grow; one that did not belongs to a view that began anew, and tells no rate. */
static double rate_of(uint64_t now, uint64_t before, double seconds)
{
	return seconds > 0 && now >= before ? (double)(now - before) / seconds : 0;
}

static void take_row(struct top_line *line, const rsmx_counter_t *row)
{
	memset(line, 0, sizeof(*line));
	line->id = row->id;
	line->node = row->node;
	line->segment = row->segment_id;
	line->length = row->length;
	line->importer = row->importer;
	line->pid = row->pid;
	line->uid = row->uid;
	memcpy(line->program, row->program, sizeof(line->program) - 1);
	line->connections = 1;
	line->puts = row->puts;
	line->gets = row->gets;
	line->bytes_put = row->bytes_put;
	line->bytes_got = row->bytes_got;
	line->posts = row->posts;
	line->failures = row->failures;
	line->rates[TOP_LATENCY] = (double)row->latency_ns;
}

static void set_rates(struct top_line *line, const struct top_line *before, double seconds)
{
	static const struct top_line nothing;
	const struct top_line *from = before ? before : &nothing;
	line->rates[TOP_PUT] = rate_of(line->puts, from->puts, seconds);
	line->rates[TOP_GET] = rate_of(line->gets, from->gets, seconds);
	line->rates[TOP_IN] = rate_of(line->bytes_put, from->bytes_put, seconds);
	line->rates[TOP_OUT] = rate_of(line->bytes_got, from->bytes_got, seconds);
	line->rates[TOP_SIGNALS] = rate_of(line->posts, from->posts, seconds);
	line->rates[TOP_FAILURES] = rate_of(line->failures, from->failures, seconds);
	remember(line, before);
}

/* Latency: the mean by how often each connection moves data; where none does, the mean of those that know one. */
struct latency {
	double weighted, weight, plain;
	size_t known;
};

static void add(uint64_t *sum, uint64_t more)
{
	if (__builtin_add_overflow(*sum, more, sum))
		*sum = UINT64_MAX; /* somebody made it up; from the start again it would look small */
}

static void add_line(struct top_line *sum, const struct top_line *line, struct latency *latency)
{
	static const enum top_column added[] = {TOP_PUT, TOP_GET, TOP_IN, TOP_OUT, TOP_SIGNALS, TOP_FAILURES};
	sum->connections += line->connections;
	add(&sum->puts, line->puts);
	add(&sum->gets, line->gets);
	add(&sum->bytes_put, line->bytes_put);
	add(&sum->bytes_got, line->bytes_got);
	add(&sum->posts, line->posts);
	add(&sum->failures, line->failures);
	for (size_t i = 0; i < sizeof(added) / sizeof(added[0]); i++)
		sum->rates[added[i]] += line->rates[added[i]];
	double known = line->rates[TOP_LATENCY], calls = line->rates[TOP_PUT] + line->rates[TOP_GET];
	if (!(known > 0))
		return;
	latency->weighted += known * calls;
	latency->weight += calls;
	latency->plain += known;
	latency->known++;
}

static void finish_sum(struct top_line *sum, const struct latency *latency, const struct top_line *before)
{
	if (latency->weight > 0)
		sum->rates[TOP_LATENCY] = latency->weighted / latency->weight;
	else if (latency->known)
		sum->rates[TOP_LATENCY] = latency->plain / (double)latency->known;
	remember(sum, before);
}

static const struct top_line *find(const struct top_line *lines, size_t count, uint64_t id)
{
	const struct top_line wanted = {.id = id};
	return count ? bsearch(&wanted, lines, count, sizeof(*lines), by_id) : NULL;
}

static uint64_t segment_id(const struct top_line *line)
{
	return (uint64_t)line->node << 32 | line->segment;
}

/* `sorted`: the connections by segment. Returns how many segments there are. */
static size_t sum_segments(const struct top_model *before, const struct top_line *const *sorted, size_t count,
			   struct top_line *segments)
{
	size_t found = 0;
	for (size_t i = 0; i < count;) {
		struct top_line *sum = &segments[found++];
		struct latency latency = {0};
		memset(sum, 0, sizeof(*sum));
		sum->id = segment_id(sorted[i]);
		sum->node = sorted[i]->node;
		sum->segment = sorted[i]->segment;
		sum->length = sorted[i]->length;
		for (; i < count && sorted[i]->node == sum->node && sorted[i]->segment == sum->segment; i++)
			add_line(sum, sorted[i], &latency);
		finish_sum(sum, &latency, find(before->segments, before->segment_count, sum->id));
	}
	return found;
}

static void sum_all(struct top_model *model, const struct top_line *before)
{
	struct latency latency = {0};
	memset(&model->totals, 0, sizeof(model->totals));
	for (size_t i = 0; i < model->connection_count; i++)
		add_line(&model->totals, &model->connections[i], &latency);
	finish_sum(&model->totals, &latency, before);
}

bool top_model_update(struct top_model *model, const rsmx_counter_t *rows, size_t count, uint64_t now_ns)
{
	size_t room = count ? count : 1;
	struct top_line *connections = calloc(room, sizeof(*connections)),
			*segments = calloc(room, sizeof(*segments));
	const struct top_line **shown = calloc(room, sizeof(const struct top_line *));
	if (!connections || !segments || !shown) {
		free(connections);
		free(segments);
		free(shown);
		return false;
	}
	double seconds =
		model->read_ns && now_ns > model->read_ns ? (double)(now_ns - model->read_ns) / 1e9 : 0;
	for (size_t i = 0; i < count; i++)
		take_row(&connections[i], &rows[i]);
	qsort(connections, count, sizeof(*connections), by_id);
	for (size_t i = 0; i < count; i++) {
		set_rates(&connections[i],
			  find(model->connections, model->connection_count, connections[i].id), seconds);
		shown[i] = &connections[i];
	}
	qsort(shown, count, sizeof(const struct top_line *), by_segment);
	size_t segment_count = sum_segments(model, shown, count, segments);
	const struct top_line totals = model->totals;
	top_model_clear(model);
	*model = (struct top_model){.connections = connections,
				    .segments = segments,
				    .connection_count = count,
				    .segment_count = segment_count,
				    .read_ns = now_ns,
				    .interval_s = seconds,
				    .shown = shown};
	sum_all(model, &totals);
	return true;
}

bool top_model_publish(struct top_model *model, const struct top_line *published, size_t count)
{
	size_t most = model->segment_count + count, known = model->segment_count;
	size_t room = most > model->connection_count ? most : model->connection_count;
	if (count == 0)
		return true;
	struct top_line *segments = reallocarray(model->segments, most, sizeof(*segments));
	model->segments = segments ? segments : model->segments;
	const struct top_line **shown = reallocarray(model->shown, room, sizeof(const struct top_line *));
	model->shown = shown ? shown : model->shown;
	if (!segments || !shown)
		return false;
	for (size_t i = 0; i < count; i++) {
		uint64_t id = segment_id(&published[i]);
		if (find(segments, known, id))
			continue;
		segments[model->segment_count++] = (struct top_line){.id = id,
								     .node = published[i].node,
								     .segment = published[i].segment,
								     .length = published[i].length};
	}
	model->idle_count = model->segment_count - known;
	qsort(segments, model->segment_count, sizeof(*segments), by_id);
	return true;
}

static int by_name(const struct top_line *a, const struct top_line *b)
{
	return by_segment(&a, &b);
}

static int by_importer(const struct top_line *a, const struct top_line *b)
{
	if (a->importer != b->importer)
		return a->importer > b->importer ? 1 : -1;
	if (a->pid != b->pid)
		return a->pid > b->pid ? 1 : -1;
	return a->connections != b->connections ? (a->connections < b->connections ? 1 : -1) : 0;
}

/* Names from small to large, numbers from large to small; what is equal, by name. */
static int compare(const void *left, const void *right, void *context)
{
	const struct top_line *a = *(const struct top_line *const *)left,
			      *b = *(const struct top_line *const *)right;
	const struct top_view *view = context;
	int order;
	if (view->sort == TOP_SEGMENT)
		order = by_name(a, b);
	else if (view->sort == TOP_IMPORTER)
		order = by_importer(a, b);
	else if (view->sort == TOP_FAILURES)
		order = (a->failures < b->failures) - (a->failures > b->failures);
	else
		order = (a->rates[view->sort] < b->rates[view->sort]) -
			(a->rates[view->sort] > b->rates[view->sort]);
	if (order == 0 && view->sort != TOP_SEGMENT)
		return by_name(a, b);
	return view->reverse ? -order : order;
}

size_t top_model_view(struct top_model *model, const struct top_view *view)
{
	const struct top_line *lines = view->connections ? model->connections : model->segments;
	size_t count = view->connections ? model->connection_count : model->segment_count, found = 0;
	struct latency latency = {0};
	char name[32];
	memset(&model->sum, 0, sizeof(model->sum));
	for (size_t i = 0; i < count; i++) {
		top_cell_format(&lines[i], TOP_SEGMENT, name, sizeof(name));
		if (!strstr(name, view->filter))
			continue;
		model->shown[found++] = &lines[i];
		add_line(&model->sum, &lines[i], &latency);
	}
	finish_sum(&model->sum, &latency, NULL);
	struct top_view order = *view;
	if (found)
		qsort_r(model->shown, found, sizeof(const struct top_line *), compare, &order);
	return found;
}

void top_model_clear(struct top_model *model)
{
	free(model->connections);
	free(model->segments);
	free(model->shown);
	memset(model, 0, sizeof(*model));
}
