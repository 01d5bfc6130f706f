/* SPDX-License-Identifier: BSD-2-Clause */
/* rsmx_counters: what importers did, as another process sees it, to the byte. */
#include <pthread.h>
#include <rsm/ext.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "pair.h"
#include "peer.h"

#define ROWS 64

struct view {
	rsmx_counters_t *counters;
	rsmx_counter_t rows[ROWS];
	size_t count;
};

static void view_read(struct view *view)
{
	view->count = ROWS;
	memset(view->rows, 0x55, sizeof(view->rows));
	MUST(rsmx_counters_read(view->counters, view->rows, sizeof(view->rows[0]), &view->count));
	CHECK(view->count <= ROWS);
}

/* The row of that process's connection to that segment, or NULL; of guests or of others. */
static const rsmx_counter_t *view_find(const struct view *view, pid_t pid, rsm_memseg_id_t id, bool guest)
{
	const rsmx_counter_t *found = NULL;
	for (size_t at = 0; at < view->count; at++) {
		const rsmx_counter_t *row = &view->rows[at];
		if (row->pid != pid || row->segment_id != id ||
		    ((row->flags & RSMX_COUNTER_GUEST) != 0) != guest)
			continue;
		CHECK(found == NULL);
		found = row;
	}
	return found;
}

static const rsmx_counter_t *view_row(struct view *view, pid_t pid, rsm_memseg_id_t id)
{
	view_read(view);
	const rsmx_counter_t *row = view_find(view, pid, id, false);
	CHECK(row != NULL);
	return row;
}

static void expect_numbers(const rsmx_counter_t *row, uint64_t puts, uint64_t bytes_put, uint64_t gets,
			   uint64_t bytes_got)
{
	CHECK_EQUAL(puts, row->puts);
	CHECK_EQUAL(bytes_put, row->bytes_put);
	CHECK_EQUAL(gets, row->gets);
	CHECK_EQUAL(bytes_got, row->bytes_got);
}

/* ---- three processes ---- */

static void importer_work(struct peer *importer)
{
	MUST(peer_simple(importer, PEER_INIT, 0, 0));
	for (int at = 0; at < 10; at++) {
		struct peer_request put = {.op = PEER_PUT, .offset = 64 * at, .value = at, .length = 10};
		MUST(peer_simple(importer, PEER_OPEN, 0, 0));
		MUST(peer_ask(importer, &put).code);
		MUST(peer_simple(importer, PEER_CLOSE, 0, 0));
	}
	for (int at = 0; at < 7; at++)
		MUST(peer_get(importer, 0, 64 * at, &(int){0}));
	for (int at = 0; at < 3; at++)
		MUST(peer_simple(importer, PEER_POST, 0, 0));
}

static void three(void)
{
	struct view view = {0};
	struct peer exporter, importer;

	MUST(rsmx_counters_open(&view.counters));
	view_read(&view);
	CHECK_EQUAL(0, view.count);
	peer_start(&exporter, NULL);
	peer_start_unprivileged(&importer);
	rsm_memseg_id_t id = 0;
	rsmapi_access_entry_t acl = {pair_node(), 0666};
	MUST(peer_create(&exporter, suite_page()));
	MUST(peer_publish(&exporter, &id, &acl, 1));
	MUST(peer_connect(&importer, 0, pair_node(), id, RSM_PERM_RDWR));
	importer_work(&importer);

	const rsmx_counter_t *row = view_row(&view, importer.pid, id);
	expect_numbers(row, 10, 100, 7, 7);
	CHECK_EQUAL(3, row->posts);
	CHECK_EQUAL(10, row->spans);
	CHECK_EQUAL(0, row->failures);
	CHECK(row->latency_ns > 0);
	CHECK_EQUAL(pair_node(), row->node);
	CHECK_EQUAL(pair_node(), row->importer);
	CHECK_EQUAL(suite_page(), row->length);
	CHECK(row->uid == (geteuid() == 0 ? 65534 : geteuid()));
	CHECK(strlen(row->program) > 0);
	uint64_t first = row->id;

	/* The id stays, and is not that of the next connection, which starts at 0. */
	MUST(peer_put(&importer, 0, 0, 1));
	CHECK_EQUAL(first, view_row(&view, importer.pid, id)->id);
	CHECK_EQUAL(11, view_row(&view, importer.pid, id)->puts);
	MUST(peer_simple(&importer, PEER_DISCONNECT, 0, 0));
	view_read(&view);
	CHECK(view_find(&view, importer.pid, id, false) == NULL);
	MUST(peer_connect(&importer, 0, pair_node(), id, RSM_PERM_RDWR));
	row = view_row(&view, importer.pid, id);
	CHECK(row->id != first);
	expect_numbers(row, 0, 0, 0, 0);

	/* An abort: the call that moved nothing failed. */
	MUST(peer_simple(&importer, PEER_INIT, 0, 0));
	MUST(peer_simple(&exporter, PEER_UNPUBLISH, 0, 0));
	SOON(peer_put(&importer, 0, 0, 1) == RSMERR_CONN_ABORTED);
	CHECK(view_row(&view, importer.pid, id)->failures == 1);

	/* A process that dies takes its rows along. */
	peer_kill(&importer);
	SOON((view_read(&view), view_find(&view, importer.pid, id, false) == NULL));
	rsmx_counters_close(view.counters);
}

/* What comes through the network is counted by the owner's rsmd as well: here it is the same one. */
static void guests(void)
{
	struct view view = {0};
	struct peer exporter, importer;

	if (!suite_is_tcp())
		suite_skip("guests come through the network");
	MUST(rsmx_counters_open(&view.counters));
	peer_start(&exporter, NULL);
	peer_start(&importer, NULL);
	rsm_memseg_id_t id = peer_export(&exporter, suite_page(), 0);
	MUST(peer_connect(&importer, 0, pair_node(), id, RSM_PERM_RDWR));
	importer_work(&importer);
	view_read(&view);
	const rsmx_counter_t *row = view_find(&view, importer.pid, id, true);
	CHECK(row != NULL);
	expect_numbers(row, 10, 100, 7, 7);
	CHECK_EQUAL(3, row->posts);
	CHECK_EQUAL(0, row->failures);
	CHECK_EQUAL(suite_page(), row->length);
	CHECK_EQUAL(pair_node(), row->importer);
	CHECK_EQUAL(geteuid(), row->uid);
	CHECK(strlen(row->program) > 0);
	MUST(peer_simple(&importer, PEER_DISCONNECT, 0, 0));
	SOON((view_read(&view), view_find(&view, importer.pid, id, true) == NULL));
	rsmx_counters_close(view.counters);
}

/* ---- every call, and threads ---- */

static void vector_put(struct pair *pair, uint8_t *data, size_t bad_offset)
{
	rsm_iovec_t entries[3];
	memset(entries, 0, sizeof(entries));
	for (size_t at = 0; at < 3; at++) {
		entries[at].io_type = RSM_VA_TYPE;
		entries[at].local.vaddr = (caddr_t)data;
		entries[at].remote_offset = at == 2 && bad_offset ? bad_offset : 32 * at;
		entries[at].transfer_length = 16;
	}
	rsm_scat_gath_t io = {.io_request_count = 3, .remote_handle = pair->i, .iovec = entries};
	io.flags = bad_offset ? 0 : RSM_IMPLICIT_SIGPOST;
	EXPECT(bad_offset ? RSMERR_BAD_OFFSET : RSM_SUCCESS, rsm_memseg_import_putv(&io));
	if (!bad_offset)
		MUST(rsm_memseg_import_getv(&io));
}

static void calls(void)
{
	struct view view = {0};
	struct pair pair;
	uint64_t data[32] = {0};

	pair_open(&pair);
	MUST(rsmx_counters_open(&view.counters));
	MUST(rsm_memseg_import_put8(pair.i, 0, (uint8_t *)data, 3));
	MUST(rsm_memseg_import_put16(pair.i, 0, (uint16_t *)data, 3));
	MUST(rsm_memseg_import_put32(pair.i, 0, (uint32_t *)data, 3));
	MUST(rsm_memseg_import_put64(pair.i, 0, data, 3));
	MUST(rsm_memseg_import_get8(pair.i, 0, (uint8_t *)data, 5));
	MUST(rsm_memseg_import_get16(pair.i, 0, (uint16_t *)data, 5));
	MUST(rsm_memseg_import_get32(pair.i, 0, (uint32_t *)data, 5));
	MUST(rsm_memseg_import_get64(pair.i, 0, data, 5));
	MUST(rsm_memseg_import_put(pair.i, 0, data, 200));
	MUST(rsm_memseg_import_get(pair.i, 0, data, 201));
	/* Refused before anything happens: not counted. */
	EXPECT(RSMERR_BAD_OFFSET, rsm_memseg_import_put(pair.i, (off_t)suite_page(), data, 1));
	expect_numbers(view_row(&view, getpid(), pair.id), 5, 3 * 15 + 200, 5, 5 * 15 + 201);
	vector_put(&pair, (uint8_t *)data, 0);
	const rsmx_counter_t *row = view_row(&view, getpid(), pair.id);
	expect_numbers(row, 6, 3 * 15 + 248, 6, 5 * 15 + 249);
	CHECK_EQUAL(2, row->posts);
	/* Of a vector that stops in the middle, what was moved. */
	vector_put(&pair, (uint8_t *)data, suite_page());
	expect_numbers(view_row(&view, getpid(), pair.id), 7, 3 * 15 + 280, 6, 5 * 15 + 249);
	/* Loads and stores are nobody's to count. A second connection has a row of its own. */
	rsm_memseg_import_handle_t other = pair_import(&pair, RSM_PERM_READ, NULL);
	view_read(&view);
	CHECK_EQUAL(2 * (suite_is_tcp() ? 2 : 1), view.count);
	MUST(rsm_memseg_import_disconnect(other));
	rsmx_counters_close(view.counters);
	pair_close(&pair);
}

#define THREADS 8
#define ROUNDS  (SUITE_TSAN ? 2000 : 20000)

static struct pair crowded;

static void *thread_put(void *place)
{
	const off_t offset = (off_t)(uintptr_t)place; /* to each its own, in the segment and here */
	uint64_t data = 0;
	for (int at = 0; at < (suite_is_tcp() ? 200 : ROUNDS); at++) {
		MUST(rsm_memseg_import_put(crowded.i, offset, &data, 3));
		MUST(rsm_memseg_import_get64(crowded.i, offset, &data, 1));
	}
	return NULL;
}

static void threads(void)
{
	struct view view = {0};
	const uint64_t each = suite_is_tcp() ? 200 : ROUNDS;

	pair_open(&crowded);
	MUST(rsmx_counters_open(&view.counters));
	for (uint64_t round = 1; round <= 3; round++) { /* their cells go to the next ones */
		pthread_t thread[THREADS];
		for (int at = 0; at < THREADS; at++)
			CHECK(pthread_create(&thread[at], NULL, thread_put, (void *)(uintptr_t)(64 * at)) ==
			      0);
		for (int at = 0; at < THREADS; at++)
			pthread_join(thread[at], NULL);
		uint64_t all = round * THREADS * each;
		expect_numbers(view_row(&view, getpid(), crowded.id), all, 3 * all, all, 8 * all);
	}
	rsmx_counters_close(view.counters);
	pair_close(&crowded);
}

/* ---- a process's own table ---- */

/* Where this process counts: the map that can be written; and how much memory it takes, whoever touched it. */
static unsigned char *own_table(size_t *length, size_t *resident)
{
	static unsigned char pages[1024];
	FILE *maps = fopen("/proc/self/maps", "re");
	char line[512], access[8];
	unsigned long from = 0, to = 0, start, end;
	*resident = 0;
	CHECK(maps != NULL);
	while (fgets(line, sizeof(line), maps))
		if (sscanf(line, "%lx-%lx %7s", &start, &end, access) == 3 && strstr(line, "rsm-counters") &&
		    access[1] == 'w') {
			from = start;
			to = end;
		}
	fclose(maps);
	*length = to - from;
	CHECK(from != 0 && *length <= sizeof(pages) * suite_page());
	CHECK(mincore((void *)from, *length, pages) == 0);
	for (size_t at = 0; at < *length / suite_page(); at++)
		*resident += (pages[at] & 1u) * suite_page();
	return (unsigned char *)from;
}

static void hostile(void)
{
	static rsmx_counter_t many[8192];
	static const int fills[] = {0xff, 0x7f, 0x01, 0x80};
	struct peer viewer;
	struct view view = {0};
	struct pair pair;
	size_t length, resident;

	pair_open(&pair);
	MUST(rsmx_counters_open(&view.counters));
	view_read(&view);
	unsigned char *table = own_table(&length, &resident);
	unsigned char head[128];
	memcpy(head, table, sizeof(head));
	memset(table + 8, 0xff, 4); /* rows without end: looking at them would make their pages */
	view_read(&view);
	own_table(&length, &resident);
	CHECK(view.count <= 1u + suite_is_tcp() && resident <= 2 * suite_page());
	for (int at = 0; at < 8; at++) { /* with and without a head that makes sense */
		memset(table, fills[at / 2], length);
		if (at % 2) {
			memcpy(table, head, 8);
		}
		size_t count = 8192;
		MUST(rsmx_counters_read(view.counters, many, sizeof(many[0]), &count));
		CHECK(count <= 12u + suite_is_tcp()); /* of one import: a page; and a guest */
		for (size_t row = 0; row < count; row++) {
			CHECK(memchr(many[row].program, 0, sizeof(many[row].program)) != NULL);
			CHECK(many[row].pid == getpid() && many[row].uid == geteuid());
		}
		CHECK(at % 2 == 0 || count >= 12);
	}
	/* rsmd, and others, go on as before. */
	peer_start(&viewer, NULL);
	rsm_memseg_id_t id = peer_export(&viewer, suite_page(), 0);
	MUST(peer_connect(&viewer, 0, pair_node(), id, RSM_PERM_RDWR));
	memset(table, 0, length);
	CHECK(view_row(&view, viewer.pid, id)->puts == 0);
	rsmx_counters_close(view.counters);
}

/* What a row costs, and that nobody else's handle on the memory allows more than looking. */
static void memory(void)
{
	enum { IMPORTS = 100 };
	struct pair pair;
	size_t length, resident;

	pair_open(&pair);
	own_table(&length, &resident);
	CHECK(resident <= 2 * suite_page());
	for (int at = 1; at < IMPORTS; at++)
		pair_import(&pair, RSM_PERM_RDWR, NULL);
	own_table(&length, &resident);
	CHECK(resident <= IMPORTS * 320 + 128 + suite_page());
}

static void others(void)
{
	enum { EXTRA = 5, OWN = 2047 };
	static rsm_memseg_import_handle_t imports[OWN + EXTRA];
	static rsmx_counter_t rows[OWN + EXTRA];
	struct view view = {0};
	struct pair pair;
	size_t count = OWN + EXTRA;
	uint64_t data = 0;

	if (suite_is_tcp())
		suite_skip("each import of another node is a connection");
	pair_export(&pair, 1);
	pair_publish(&pair);
	MUST(rsmx_counters_open(&view.counters));
	for (int at = 0; at < OWN + EXTRA; at++) {
		imports[at] = pair_import(&pair, RSM_PERM_RDWR, NULL);
		MUST(rsm_memseg_import_set_mode(imports[at], RSM_BARRIER_MODE_EXPLICIT));
		MUST(rsm_memseg_import_put(imports[at], 0, &data, 8));
	}
	MUST(rsmx_counters_read(view.counters, rows, sizeof(rows[0]), &count));
	CHECK_EQUAL(OWN + 1, count);
	for (size_t at = 0; at < OWN; at++)
		CHECK(rows[at].puts == 1 && rows[at].segment_id == pair.id);
	CHECK(rows[OWN].puts == EXTRA && rows[OWN].segment_id == 0 && rows[OWN].node == 0);
	/* A row that was given back is taken again. */
	for (int at = 0; at < OWN + EXTRA; at++)
		MUST(rsm_memseg_import_disconnect(imports[at]));
	view_read(&view);
	CHECK_EQUAL(0, view.count);
	imports[0] = pair_import(&pair, RSM_PERM_RDWR, NULL);
	view_read(&view);
	CHECK_EQUAL(1, view.count);
	CHECK_EQUAL(pair.id, view.rows[0].segment_id);
	rsmx_counters_close(view.counters);
}

static void fork_apart(void)
{
	struct view view = {0};
	struct pair pair;

	pair_open(&pair);
	MUST(rsmx_counters_open(&view.counters));
	MUST(pair_put_byte(pair.i, 0, 1));
	CHECK_EQUAL(1, view_row(&view, getpid(), pair.id)->puts);
	pid_t child = fork();
	if (child == 0) { /* the handle is none of the child's; whatever it does counts nowhere */
		uint8_t byte = 2;
		rsm_memseg_import_put(pair.i, 0, &byte, 1);
		rsm_memseg_import_get(pair.i, 0, &byte, 1);
		view_read(&view); /* the view goes on */
		bool seen = view_find(&view, getppid(), pair.id, false) != NULL;
		_exit(seen ? 0 : 3);
	}
	CHECK_EQUAL(0, suite_join(child));
	const rsmx_counter_t *row = view_row(&view, getpid(), pair.id);
	expect_numbers(row, 1, 1, 0, 0);
	MUST(pair_put_byte(pair.i, 0, 1));
	CHECK_EQUAL(2, view_row(&view, getpid(), pair.id)->puts);
	rsmx_counters_close(view.counters);
}

static void arguments(void)
{
	struct view view = {0};
	struct pair pair;
	size_t count = 1;
	struct {
		unsigned char row[64], guard[64];
	} small[2];

	EXPECT(RSMERR_BAD_ADDR, rsmx_counters_open(NULL));
	MUST(rsmx_counters_open(&view.counters));
	EXPECT(RSMERR_BAD_ADDR, rsmx_counters_read(NULL, view.rows, sizeof(view.rows[0]), &count));
	EXPECT(RSMERR_BAD_ADDR, rsmx_counters_read(view.counters, view.rows, sizeof(view.rows[0]), NULL));
	EXPECT(RSMERR_BAD_ADDR, rsmx_counters_read(view.counters, NULL, sizeof(view.rows[0]), &count));
	EXPECT(RSMERR_BAD_LENGTH, rsmx_counters_read(view.counters, view.rows, 56, &count));
	EXPECT(RSMERR_BAD_LENGTH, rsmx_counters_read(view.counters, view.rows, 68, &count));
	CHECK_EQUAL(1, count);
	pair_open(&pair);
	/* An older, shorter row: its bytes and no more. The count is of those that exist. */
	memset(small, 0x77, sizeof(small));
	MUST(rsmx_counters_read(view.counters, (rsmx_counter_t *)(void *)&small[0], 64, &count));
	CHECK_EQUAL(suite_is_tcp() ? 2 : 1, count);
	CHECK_BYTES(small[0].guard, 0x77, 64);
	count = 0;
	MUST(rsmx_counters_read(view.counters, NULL, sizeof(view.rows[0]), &count));
	CHECK_EQUAL(suite_is_tcp() ? 2 : 1, count);
	/* A later, longer one: what this library does not know stays as it was. */
	static struct {
		rsmx_counter_t row;
		uint64_t later;
	} large[4];
	large[0].later = 4711;
	count = 4;
	MUST(rsmx_counters_read(view.counters, &large[0].row, sizeof(large[0]), &count));
	CHECK(large[0].later == 4711 && large[0].row.pid == getpid());
	rsmx_counters_close(view.counters);
	rsmx_counters_close(NULL);
}

static const struct suite_case cases[] = {
	{"X-counters", "a third process sees every put, get, byte, span and post, the abort, and the end",
	 three},
	{"X-counters-guests", "rows of importers of other nodes", guests},
	{"X-counters-calls", "items, vectors, refused calls, two connections", calls},
	{"X-counters-threads", "8 threads on one import, and 16 after them", threads},
	{"X-counters-hostile", "a process that writes nonsense into its table", hostile},
	{"X-counters-memory", "320 bytes for an import, and the pages they lie in", memory},
	{"X-counters-others", "imports that find no row share one", others},
	{"X-counters-fork", "a child does not count for its parent", fork_apart},
	{"X-counters-arguments", "rsmx_counters: arguments, shorter and longer rows", arguments},
};

SUITE_MAIN(cases)
