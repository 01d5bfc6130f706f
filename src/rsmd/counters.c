/* SPDX-License-Identifier: BSD-2-Clause */
#include "rsmd/counters.h"

#include <rsmapi.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/fd.h"
#include "base/reason.h"
#include "rsmd/client.h"
#include "rsmd/export.h"
#include "rsmd/guest.h"
#include "segment/memfd.h"

#define FIRST_ROWS 12u /* of the first page */

/* Viewers see the word in the table's head and ask again. */
static void changed(void)
{
	struct segment_status_head *head = (struct segment_status_head *)(void *)rsmd_server.slots.table;
	atomic_fetch_add(&head->changes, 1);
}

void rsmd_counters_init(struct rsmd_counters *counters)
{
	counters->fd = -1;
	counters->rows = FIRST_ROWS;
}

void rsmd_counters_end(struct rsmd_counters *counters)
{
	if (counters->fd < 0)
		return;
	base_fd_close(&counters->fd);
	changed();
}

/* In few steps, since each has all viewers ask again. */
void rsmd_counters_imports(struct rsmd_counters *counters, size_t imports)
{
	uint32_t rows = counters->rows;
	while (rows < imports && rows < SEGMENT_COUNTERS_ROWS)
		rows *= 2;
	if (rows == counters->rows)
		return;
	counters->rows = rows < SEGMENT_COUNTERS_ROWS ? rows : SEGMENT_COUNTERS_ROWS;
	if (counters->fd >= 0)
		changed();
}

static int counters_open(struct rsmd_counters *counters, uint32_t rows)
{
	int code = segment_memfd_create("rsm-counters", SEGMENT_COUNTERS_SIZE(rows), false, 0, &counters->fd);
	if (!code)
		code = rsmd_fd_spare(&counters->fd);
	if (code)
		return code;
	counters->id = ++rsmd_server.last_id;
	changed();
	return RSM_SUCCESS;
}

/* ---- guests ---- */

static struct {
	struct rsmd_counters counters;
	struct segment_counters *table; /* NULL: not made yet, or not to be had */
	uint32_t *spare;                /* stack of rows that were given back */
	uint32_t spare_count, fresh, last_id;
} guests = {.counters = {.fd = -1}};

static uint32_t guest_rows(void)
{
	return rsmd_server.config.max_segments;
}

static bool guests_open(void)
{
	const size_t size = SEGMENT_COUNTERS_SIZE(guest_rows());
	if (guests.table)
		return true;
	guests.spare = guests.spare ? guests.spare : calloc(guest_rows(), sizeof(*guests.spare));
	if (!guests.spare || counters_open(&guests.counters, guest_rows()))
		return false;
	void *table = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, guests.counters.fd, 0);
	if (table == MAP_FAILED) {
		rsmd_counters_end(&guests.counters);
		return false;
	}
	guests.table = table;
	atomic_store(&guests.table->version, SEGMENT_COUNTERS_VERSION);
	atomic_store(&guests.table->magic, SEGMENT_COUNTERS_MAGIC);
	return true;
}

static void row_fill(struct segment_counters_row *row, const struct rsmd_guest *guest,
		     const struct rsmd_export *export)
{
	memset(row->cells, 0, sizeof(row->cells));
	atomic_store(&row->node, rsmd_server.config.node_id);
	atomic_store(&row->segment_id, export->segment_id);
	atomic_store(&row->importer, guest->peer->member.node);
	atomic_store(&row->uid, guest->uid);
	atomic_store(&row->pid, guest->pid);
	atomic_store(&row->length, export->length);
	uint64_t words[8] = {0};
	memcpy(words, guest->program, sizeof(words));
	for (size_t i = 0; i < 8; i++)
		atomic_store(&row->program[i], words[i]);
	atomic_store(&row->id, ++guests.last_id ? guests.last_id : ++guests.last_id);
}

void rsmd_counters_guest(struct rsmd_guest *guest, const struct rsmd_export *export)
{
	if (!guests_open() || (!guests.spare_count && guests.fresh == guest_rows()))
		return;
	uint32_t index = guests.spare_count ? guests.spare[--guests.spare_count] : guests.fresh++;
	guest->row = &guests.table->rows[index];
	row_fill(guest->row, guest, export);
	guest->grant->counted = &guest->row->guest;
	if (index >= atomic_load(&guests.table->high))
		atomic_store(&guests.table->high, index + 1);
}

void rsmd_counters_guest_end(struct rsmd_guest *guest)
{
	if (!guest->row)
		return;
	atomic_store(&guest->row->id, 0);
	guests.spare[guests.spare_count++] = (uint32_t)(guest->row - guests.table->rows);
	guest->row = NULL;
}

/* ---- the answer ---- */

static int tell_own(struct rsmd_client *client, struct rsmd_answer *answer)
{
	int code = RSM_SUCCESS;
	if (!client->import_count)
		return base_refuse(RSMERR_BAD_SEG_HNDL, "a process without imports has nothing to count");
	if (client->counters.fd < 0)
		code = counters_open(&client->counters, SEGMENT_COUNTERS_ROWS);
	if (!code)
		rsmd_answer_add_fd(answer, client->counters.fd, false);
	return code;
}

/* One block, which client.c frees with the answer: the list, and what it points to. */
struct told {
	Wire__CountersTable **list, *tables;
};

static bool told_open(struct told *told, size_t room, struct rsmd_answer *answer)
{
	told->list = calloc(room + 1, sizeof(*told->list) + sizeof(*told->tables));
	answer->text = (char *)told->list;
	told->tables = (Wire__CountersTable *)(told->list + room + 1);
	return told->list != NULL;
}

/* Of a client, or with NULL the guests'. */
static void tell_table(struct told *told, struct rsmd_client *client, Wire__CountersReply *body)
{
	Wire__CountersTable *said = &told->tables[body->n_tables];
	wire__counters_table__init(said);
	said->id = client ? client->counters.id : guests.counters.id;
	said->rows = client ? client->counters.rows : guest_rows();
	said->guests = !client;
	if (client) {
		said->pid = client->pid;
		said->uid = client->identity.uid;
		said->program = client->program;
	}
	told->list[body->n_tables++] = said;
}

static int tell_all(struct told *told, Wire__CountersReply *body)
{
	for (struct rsmd_client *client = rsmd_server.clients; client; client = client->next)
		if (client->counters.fd >= 0)
			tell_table(told, client, body);
	if (guests.table)
		tell_table(told, NULL, body);
	return RSM_SUCCESS;
}

/* One that is asked for, with a descriptor that can only be read. It may have gone meanwhile, which is no error. */
static int tell_one(struct told *told, uint64_t id, Wire__CountersReply *body, struct rsmd_answer *answer)
{
	struct rsmd_client *client = rsmd_server.clients;
	while (client && (client->counters.fd < 0 || client->counters.id != id))
		client = client->next;
	if (!client && (!guests.table || guests.counters.id != id))
		return RSM_SUCCESS;
	int fd;
	int code = segment_memfd_reopen(client ? client->counters.fd : guests.counters.fd, false, &fd);
	if (code)
		return code;
	rsmd_answer_add_fd(answer, fd, true);
	tell_table(told, client, body);
	return RSM_SUCCESS;
}

RSMD_HANDLER(rsmd_counters_tell)
{
	const Wire__Counters *asked = request->counters;
	Wire__CountersReply *body = &answer->body.counters;
	struct told told;
	(void)packet;
	if (asked->own)
		return tell_own(client, answer);
	if (asked->n_tables > WIRE_FDS_MAX)
		return RSMD_VIOLATION;
	if (!told_open(&told, asked->n_tables ? asked->n_tables : rsmd_server.client_count + 1, answer))
		return base_refuse(RSMERR_INSUFFICIENT_MEM, "rsmd has no memory for the answer");
	wire__counters_reply__init(body);
	struct segment_status_head *head = (struct segment_status_head *)(void *)rsmd_server.slots.table;
	body->changes = atomic_load(&head->changes);
	body->tables = told.list;
	int code = asked->n_tables ? RSM_SUCCESS : tell_all(&told, body);
	for (size_t i = 0; i < asked->n_tables && !code; i++)
		code = tell_one(&told, asked->tables[i], body, answer);
	answer->reply.body_case = WIRE__REPLY__BODY_COUNTERS;
	answer->reply.counters = body;
	return code;
}
