/* SPDX-License-Identifier: BSD-2-Clause */
/* lib/counters.c: what a viewer makes of the answers of an rsmd, also of those that no rsmd gives. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fd.h"
#include "fake.h"
#include "lib/lib.h"
#include "rsm/ext.h"

#define ROWS 40u

/* The fake's tables: the id of number n is 100 + n. */
static struct {
	size_t count;  /* that it tells of */
	uint32_t rows; /* that it says each has */
	int fds[70];   /* -1: comes and goes between two questions */
	struct segment_counters *maps[70];
	bool no_body, no_fds, stranger; /* of the second question's answer */
	_Atomic unsigned lists, descriptors;
} node;

static void tables_tell(int socket, const Wire__Request *request)
{
	const Wire__Counters *asked = request->counters;
	Wire__CountersTable tables[70], *list[70];
	Wire__CountersReply body;
	Wire__Reply reply;
	int fds[70];
	wire__reply__init(&reply);
	wire__counters_reply__init(&body);
	struct segment_status_head *head = (struct segment_status_head *)(void *)fake_status();
	body.changes = atomic_load(&head->changes);
	body.tables = list;
	size_t count = asked->n_tables == 0 ? node.count : asked->n_tables, fd_count = 0;
	FAKE_MUST(asked->n_tables <= WIRE_FDS_MAX && !asked->own);
	atomic_fetch_add(asked->n_tables == 0 ? &node.lists : &node.descriptors, 1);
	for (size_t i = 0; i < count; i++) {
		uint64_t id = asked->n_tables == 0 ? 100 + i : asked->tables[i];
		FAKE_MUST(id >= 100 && id < 100 + node.count);
		if (asked->n_tables != 0 && node.fds[id - 100] < 0)
			continue;
		wire__counters_table__init(&tables[body.n_tables]);
		tables[body.n_tables].id = id + (asked->n_tables != 0 && node.stranger ? 1000 : 0);
		tables[body.n_tables].rows = node.rows;
		tables[body.n_tables].pid = (int32_t)id;
		tables[body.n_tables].program = fake_text("someone");
		list[body.n_tables] = &tables[body.n_tables];
		body.n_tables++;
		if (asked->n_tables != 0 && !node.no_fds)
			fds[fd_count++] = node.fds[id - 100];
	}
	reply.body_case = node.no_body ? WIRE__REPLY__BODY__NOT_SET : WIRE__REPLY__BODY_COUNTERS;
	if (!node.no_body)
		reply.counters = &body;
	fake_reply(socket, request, &reply, fds, fd_count);
}

static bool answer(int socket, const Wire__Request *request, struct wire_packet *packet)
{
	(void)packet;
	if (request->body_case == WIRE__REQUEST__BODY_HELLO)
		return fake_hello(socket, request);
	FAKE_MUST(request->body_case == WIRE__REQUEST__BODY_COUNTERS);
	tables_tell(socket, request);
	return true;
}

static void table_fill(size_t number, uint32_t rows)
{
	const size_t size = SEGMENT_COUNTERS_SIZE(ROWS);
	node.fds[number] = fake_memory(size, 0);
	struct segment_counters *map =
		mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, node.fds[number], 0);
	assert_ptr_not_equal(map, MAP_FAILED);
	node.maps[number] = map;
	atomic_store(&map->magic, SEGMENT_COUNTERS_MAGIC);
	atomic_store(&map->version, SEGMENT_COUNTERS_VERSION);
	atomic_store(&map->high, rows);
	for (uint32_t i = 0; i < rows; i++) {
		atomic_store(&map->rows[i].id, i + 1);
		atomic_store(&map->rows[i].cells[i % SEGMENT_COUNTERS_CELLS].puts, number);
	}
}

static void node_start(size_t count)
{
	memset(&node, 0, sizeof(node));
	node.count = count;
	node.rows = ROWS;
	for (size_t i = 0; i < count; i++)
		table_fill(i, 1);
	atomic_store(&fake_features, WIRE_FEATURE_COUNTERS);
	fake_start(answer);
}

static void node_stop(void)
{
	fake_stop();
	for (size_t i = 0; i < 70; i++) {
		if (node.maps[i] == NULL)
			continue;
		munmap(node.maps[i], SEGMENT_COUNTERS_SIZE(ROWS));
		base_fd_close(&node.fds[i]);
	}
}

static void node_change(void)
{
	atomic_fetch_add(&((struct segment_status_head *)(void *)fake_status())->changes, 1);
}

static rsmx_counters_t *opened(void)
{
	rsmx_counters_t *counters = NULL;
	assert_int_equal(rsmx_counters_open(&counters), RSM_SUCCESS);
	return counters;
}

static rsmx_counter_t rows[200];

static size_t read_all(rsmx_counters_t *counters)
{
	size_t count = 200;
	assert_int_equal(rsmx_counters_read(counters, rows, sizeof(rows[0]), &count), RSM_SUCCESS);
	return count;
}

/* More tables than one packet has descriptors. Nobody is asked while none comes or goes. */
static void test_many(void **state)
{
	(void)state;
	node_start(70);
	unsigned before = fake_descriptors();
	rsmx_counters_t *counters = opened();
	for (int i = 0; i < 10; i++)
		assert_int_equal(read_all(counters), 70);
	assert_int_equal(atomic_load(&node.lists), 1);
	assert_int_equal(atomic_load(&node.descriptors), 2);
	assert_int_equal(fake_descriptors(), before + 2); /* both ends of the conversation */
	for (size_t i = 0; i < 70; i++)
		assert_true(rows[i].puts == i && rows[i].pid == (int32_t)(100 + i));
	uint64_t id = rows[3].id;
	/* One more: it alone is asked for. One gone between the questions is no error. */
	node.count = 69;
	node_change();
	assert_int_equal(read_all(counters), 69);
	assert_int_equal(atomic_load(&node.descriptors), 2);
	assert_int_equal(rows[3].id, id);
	node.count = 70;
	int fd = node.fds[69];
	node.fds[69] = -1;
	node_change();
	assert_int_equal(read_all(counters), 69);
	node.fds[69] = fd;
	node_change();
	assert_int_equal(read_all(counters), 70);
	assert_int_equal(atomic_load(&node.lists), 4);
	rsmx_counters_close(counters);
	node_stop();
}

/* Numbers of rows that no table has: what rsmd says is the bound, and the memory must have as many. */
static void test_absurd_tables(void **state)
{
	(void)state;
	node_start(1);
	rsmx_counters_t *counters = opened();
	atomic_store(&node.maps[0]->high, UINT32_MAX);
	assert_int_equal(read_all(counters), 1);
	for (uint32_t i = 0; i < ROWS; i++)
		atomic_store(&node.maps[0]->rows[i].id, UINT32_MAX - i);
	assert_int_equal(read_all(counters), ROWS);
	atomic_store(&node.maps[0]->version, 2);
	assert_int_equal(read_all(counters), 0);
	atomic_store(&node.maps[0]->version, SEGMENT_COUNTERS_VERSION);
	rsmx_counters_close(counters);
	counters = NULL;
	for (uint32_t more = ROWS + 1; more > ROWS; more = more > UINT32_MAX / 3 ? 0 : more * 3) {
		node.rows = more;
		assert_int_equal(rsmx_counters_open(&counters), RSMERR_BAD_ADDR);
		assert_null(counters);
	}
	node_stop();
}

static void test_absurd_answers(void **state)
{
	(void)state;
	node_start(3);
	rsmx_counters_t *counters = NULL;
	node.no_fds = true;
	assert_int_equal(rsmx_counters_open(&counters), RSMERR_INSUFFICIENT_RESOURCES);
	node.no_fds = false;
	node.stranger = true; /* what was not asked for is nothing */
	counters = opened();
	assert_int_equal(read_all(counters), 0);
	rsmx_counters_close(counters);
	node.stranger = false;
	node.no_body = true;
	assert_int_equal(rsmx_counters_open(&counters), RSMERR_INTERNAL_ERROR);
	node.no_body = false;
	counters = opened();
	assert_int_equal(read_all(counters), 3);
	rsmx_counters_close(counters);
	node_stop();
}

/* An rsmd of release 2.0 hears no word that it does not know. A new one after it: the view goes on. */
static void test_old(void **state)
{
	(void)state;
	rsmx_counters_t *counters = NULL, *other = NULL;
	size_t count = 200;
	node_start(2);
	counters = opened();
	assert_int_equal(read_all(counters), 2);
	uint64_t id = rows[1].id;
	node_stop();
	node_start(0);
	atomic_store(&fake_features, 0);
	assert_int_equal(rsmx_counters_open(&other), RSMERR_BAD_LIBRARY_VERSION);
	assert_int_equal(rsmx_counters_read(counters, rows, sizeof(rows[0]), &count),
			 RSMERR_BAD_LIBRARY_VERSION);
	assert_int_equal(count, 200);
	assert_int_equal(fake_requests(), 1); /* Hello */
	node_stop();
	node_start(2);
	assert_int_equal(read_all(counters), 2);
	assert_true(rows[0].id != id && rows[1].id != id); /* the same numbers of rsmd, other processes */
	rsmx_counters_close(counters);
	node_stop();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_absurd_tables),
		cmocka_unit_test(test_absurd_answers),
		cmocka_unit_test(test_old),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
