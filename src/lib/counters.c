/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The view of a node's counters (rsm/ext.h). It maps the table of each process with imports, read-only, and reads them without a word
 * to anybody; rsmd says which tables there are, and by a word in the status table when there are others. All under lib_lock.
 *
 * A table is its process's to write. Nothing in it is used but to be copied: what bounds an index is rsmd's word, or ours. Its
 * rows are as many as the process had imports: a page that nobody wrote takes memory once it is read.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/fd.h"
#include "lib/lib.h"
#include "rsm/ext.h"
#include "segment/memfd.h"

#define ROWS_MAX (1u << 24) /* what rsmd may say of one table */
#define TRIES    4          /* to read a row whose import changes meanwhile */

struct table {
	uint64_t id;     /* rsmd's */
	uint32_t serial; /* this view's, never used again */
	bool is_guests;
	int32_t pid;
	uint32_t uid;
	char program[64];
	uint32_t rows;
	const struct segment_counters *map; /* NULL: not there yet */
};

struct rsmx_counters {
	uint32_t session; /* conversation that the tables are of; 0: none */
	uint32_t changes; /* the word when they were listed */
	uint32_t last_serial;
	struct table *tables;
	size_t count;
};

/* ---- which tables there are ---- */

static void table_close(struct table *table)
{
	if (table->map != NULL)
		munmap((void *)(uintptr_t)table->map, SEGMENT_COUNTERS_SIZE(table->rows));
	table->map = NULL;
}

static void tables_close(struct table *tables, size_t count)
{
	for (size_t i = 0; i < count; i++)
		table_close(&tables[i]);
	free(tables);
}

static uint32_t changes_now(void)
{
	const struct segment_status_head *head = (const void *)lib_daemon.status;
	return atomic_load_explicit(&head->changes, memory_order_acquire);
}

static int ask(uint64_t *ids, size_t count, struct lib_reply *reply)
{
	Wire__Counters message = WIRE__COUNTERS__INIT;
	message.tables = ids;
	message.n_tables = count;
	int code = lib_daemon_call(WIRE__REQUEST__BODY_COUNTERS, &message, -1, reply);
	if (code == RSM_SUCCESS && reply->message->body_case != WIRE__REPLY__BODY_COUNTERS) {
		lib_reply_clear(reply);
		code = base_refuse(RSMERR_INTERNAL_ERROR, "rsmd answered something else than counters");
	}
	return code;
}

static uint32_t rows_of(const Wire__CountersTable *said)
{
	return said->rows < ROWS_MAX ? said->rows : ROWS_MAX;
}

/* One that is known keeps its serial, and its map unless it has more rows now. */
static void table_take(rsmx_counters_t *counters, const Wire__CountersTable *said, struct table *table)
{
	for (size_t i = 0; i < counters->count; i++)
		if (counters->tables[i].id == said->id) {
			*table = counters->tables[i];
			counters->tables[i].map = NULL;
			if (table->rows != rows_of(said))
				table_close(table);
			table->rows = rows_of(said);
			return;
		}
	*table = (struct table){.id = said->id,
				.serial = ++counters->last_serial,
				.is_guests = said->guests,
				.pid = said->pid,
				.uid = said->uid,
				.rows = rows_of(said)};
	strncpy(table->program, said->program, sizeof table->program - 1);
}

static int tables_list(rsmx_counters_t *counters)
{
	struct lib_reply reply = {0};
	int code = ask(NULL, 0, &reply);
	if (code != RSM_SUCCESS)
		return code;
	const Wire__CountersReply *said = reply.message->counters;
	struct table *tables = calloc(said->n_tables + 1, sizeof *tables);
	if (tables != NULL) {
		for (size_t i = 0; i < said->n_tables; i++)
			table_take(counters, said->tables[i], &tables[i]);
		tables_close(counters->tables, counters->count);
		counters->tables = tables;
		counters->count = said->n_tables;
		counters->changes = said->changes;
	} else {
		code = base_refuse(RSMERR_INSUFFICIENT_MEM, "no memory for a list of counters");
	}
	lib_reply_clear(&reply);
	return code;
}

static int table_map(struct table *table, int fd)
{
	const size_t size = SEGMENT_COUNTERS_SIZE(table->rows);
	if (fd < 0)
		return base_refuse(RSMERR_INSUFFICIENT_RESOURCES,
				   "the descriptor of a process's counters did not arrive; is RLIMIT_NOFILE "
				   "reached?");
	int code = segment_memfd_verify(fd, size, false, true);
	if (code != RSM_SUCCESS)
		return code;
	void *map = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		return base_refuse_errno(RSMERR_INSUFFICIENT_RESOURCES, errno,
					 "cannot map %zu bytes of a process's counters", size);
	table->map = map;
	return RSM_SUCCESS;
}

/* The maps of up to WIRE_FDS_MAX tables, from `at` on. Those that rsmd does not send have gone. */
static int tables_map_some(rsmx_counters_t *counters, size_t *at)
{
	uint64_t ids[WIRE_FDS_MAX];
	size_t wanted[WIRE_FDS_MAX], count = 0;
	for (; *at < counters->count && count < WIRE_FDS_MAX; ++*at)
		if (counters->tables[*at].map == NULL) {
			wanted[count] = *at;
			ids[count++] = counters->tables[*at].id;
		}
	if (count == 0)
		return RSM_SUCCESS;
	struct lib_reply reply = {0};
	int code = ask(ids, count, &reply);
	if (code != RSM_SUCCESS)
		return code;
	const Wire__CountersReply *said = reply.message->counters;
	size_t next = 0;
	for (size_t i = 0; i < said->n_tables && code == RSM_SUCCESS; i++) {
		while (next < count && ids[next] != said->tables[i]->id)
			next++;
		if (next == count)
			break; /* nothing that was asked for */
		int fd = wire_packet_take(&reply.packet, i);
		code = table_map(&counters->tables[wanted[next]], fd);
		base_fd_close(&fd);
	}
	lib_reply_clear(&reply);
	return code;
}

static int tables_follow(rsmx_counters_t *counters)
{
	int code = lib_daemon_open();
	if (code != RSM_SUCCESS)
		return code;
	if ((lib_daemon.features & WIRE_FEATURE_COUNTERS) == 0)
		return base_refuse(
			RSMERR_BAD_LIBRARY_VERSION,
			"rsmd (release %s) has no counters, this library (release %s) wants to read "
			"them; update rsmd",
			lib_daemon.release, RSM_RELEASE);
	if (counters->session == lib_daemon.session && counters->changes == changes_now())
		return RSM_SUCCESS;
	if (counters->session != lib_daemon.session) {
		tables_close(counters->tables, counters->count);
		counters->tables = NULL;
		counters->count = 0;
	}
	counters->session = 0; /* until all is there */
	const uint32_t session = lib_daemon.session;
	code = tables_list(counters);
	for (size_t at = 0; code == RSM_SUCCESS && at < counters->count;)
		code = tables_map_some(counters, &at);
	if (code == RSM_SUCCESS)
		counters->session = session;
	return code;
}

/* ---- what is in them ---- */

static uint64_t load(const _Atomic uint64_t *word)
{
	return atomic_load_explicit(word, memory_order_relaxed);
}

static void cell_add(const struct segment_counters_cell *cell, rsmx_counter_t *sum)
{
	sum->puts += load(&cell->puts);
	sum->gets += load(&cell->gets);
	sum->bytes_put += load(&cell->bytes_put);
	sum->bytes_got += load(&cell->bytes_got);
	sum->posts += load(&cell->posts);
	sum->spans += load(&cell->spans);
	sum->failures += load(&cell->failures);
}

static void row_copy(const struct table *table, const struct segment_counters_row *row, rsmx_counter_t *copy)
{
	*copy = (rsmx_counter_t){
		.node = atomic_load_explicit(&row->node, memory_order_relaxed),
		.segment_id = atomic_load_explicit(&row->segment_id, memory_order_relaxed),
		.length = load(&row->length),
		.latency_ns = load(&row->latency_ns),
	};
	if (table->is_guests) {
		uint64_t words[8];
		copy->flags = RSMX_COUNTER_GUEST;
		copy->importer = atomic_load_explicit(&row->importer, memory_order_relaxed);
		copy->pid = atomic_load_explicit(&row->pid, memory_order_relaxed);
		copy->uid = atomic_load_explicit(&row->uid, memory_order_relaxed);
		cell_add(&row->guest, copy);
		for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
			words[i] = load(&row->program[i]);
		memcpy(copy->program, words, sizeof copy->program - 1);
		return;
	}
	copy->importer = lib_daemon.node_id;
	copy->pid = table->pid;
	copy->uid = table->uid;
	memcpy(copy->program, table->program, sizeof copy->program);
	for (size_t i = 0; i < SEGMENT_COUNTERS_CELLS; i++)
		cell_add(&row->cells[i], copy);
}

/* False: free, or in other hands each time. */
static bool row_read(const struct table *table, uint32_t index, rsmx_counter_t *copy)
{
	const struct segment_counters_row *row = &table->map->rows[index];
	for (int i = 0; i < TRIES; i++) {
		uint32_t id = atomic_load_explicit(&row->id, memory_order_acquire);
		if (id == 0)
			return false;
		row_copy(table, row, copy);
		atomic_thread_fence(memory_order_acquire);
		if (atomic_load_explicit(&row->id, memory_order_relaxed) == id) {
			copy->id = (uint64_t)table->serial << 32 | id;
			return true;
		}
	}
	return false;
}

/* How many rows are worth a look; 0: another layout, or nothing at all. */
static uint32_t table_high(const struct table *table)
{
	if (table->map == NULL ||
	    atomic_load_explicit(&table->map->magic, memory_order_acquire) != SEGMENT_COUNTERS_MAGIC ||
	    atomic_load_explicit(&table->map->version, memory_order_relaxed) != SEGMENT_COUNTERS_VERSION)
		return 0;
	uint32_t high = atomic_load_explicit(&table->map->high, memory_order_acquire);
	return high < table->rows ? high : table->rows;
}

static size_t tables_read(const rsmx_counters_t *counters, unsigned char *rows, size_t row_size, size_t room)
{
	size_t found = 0;
	const size_t size = row_size < sizeof(rsmx_counter_t) ? row_size : sizeof(rsmx_counter_t);
	for (size_t i = 0; i < counters->count; i++) {
		const struct table *table = &counters->tables[i];
		const uint32_t high = table_high(table);
		for (uint32_t index = 0; index < high; index++) {
			rsmx_counter_t copy;
			if (!row_read(table, index, &copy))
				continue;
			if (found < room)
				memcpy(rows + found * row_size, &copy, size);
			found++;
		}
	}
	return found;
}

/* ---- */

int rsmx_counters_open(rsmx_counters_t **counters)
{
	if (counters == NULL)
		return base_refuse(RSMERR_BAD_ADDR, "no place to put the view (NULL)");
	*counters = NULL;
	rsmx_counters_t *made = calloc(1, sizeof *made);
	if (made == NULL)
		return base_refuse(RSMERR_INSUFFICIENT_MEM, "no memory for a view of counters");
	lib_lock();
	int code = tables_follow(made);
	lib_unlock();
	if (code == RSM_SUCCESS)
		*counters = made;
	else
		rsmx_counters_close(made);
	return code;
}

int rsmx_counters_read(rsmx_counters_t *counters, rsmx_counter_t *rows, size_t row_size, size_t *count)
{
	if (counters == NULL || count == NULL || (rows == NULL && *count > 0))
		return base_refuse(RSMERR_BAD_ADDR, "counters, rows or count is NULL");
	if (row_size < 64 || row_size % 8 != 0)
		return base_refuse(RSMERR_BAD_LENGTH,
				   "rows of %zu bytes; give sizeof (rsmx_counter_t), which is %zu", row_size,
				   sizeof(rsmx_counter_t));
	lib_lock();
	int code = tables_follow(counters);
	if (code == RSM_SUCCESS)
		*count = tables_read(counters, (unsigned char *)rows, row_size, *count);
	lib_unlock();
	return code;
}

void rsmx_counters_close(rsmx_counters_t *counters)
{
	if (counters == NULL)
		return;
	tables_close(counters->tables, counters->count);
	free(counters);
}
