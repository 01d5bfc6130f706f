/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A log that survives its writer. The primary appends records and puts each to its replicas; a record counts once a majority
 * (the primary included) holds it. A replica that was away is brought up to date by what it lacks. When the primary dies, the
 * replica that was started with the others' names takes over.
 *
 *     replicated_log replica 0x400401 [[NODE:]ID...]        (with names: takes over when the primary is gone)
 *     replicated_log primary RECORDS [NODE:]ID...           (one name for each replica)
 *
 * The barrier is what makes a put a promise: a span that closes without error is in the replica's memory, whole. After an
 * error nothing is assumed: the connection is made anew and the replica's own count says from where to go on. Taking over begins
 * with unpublish, which fences: whatever an old primary still sends cannot land.
 */
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <unistd.h>

#include "example.h"

#define RECORDS_MAX  65536u
#define REPLICAS_MAX 8
#define PAUSE_US     50000
#define LOOK_MS      50

struct record {
	uint64_t number;
	char text[56];
};

struct log {
	_Atomic uint64_t count; /* records that are there whole */
	uint64_t pad[7];
	struct record records[RECORDS_MAX];
};

struct replica {
	const char *name;
	bool connected;
	rsm_memseg_import_handle_t import;
	rsmapi_barrier_t barrier;
	uint64_t held; /* records that it is known to have */
};

static struct replica replicas[REPLICAS_MAX];
static unsigned replica_count;

static void lose(struct replica *replica)
{
	printf("replica %s is away after record %llu: %s\n", replica->name, (unsigned long long)replica->held,
	       rsmx_last_error());
	rsm_memseg_import_disconnect(replica->import);
	replica->connected = false;
}

static bool join(struct replica *replica, const struct log *log)
{
	if (replica->connected)
		return true;
	if (example_connect(replica->name, RSM_PERM_RDWR, &replica->import, &replica->barrier) != RSM_SUCCESS)
		return false;
	replica->connected = true;
	MUST(rsm_memseg_import_set_mode(replica->import, RSM_BARRIER_MODE_EXPLICIT));
	int code = rsm_memseg_import_get64(replica->import, 0, &replica->held, 1);
	if (code == RSM_SUCCESS && replica->held > log->count)
		replica->held = 0; /* it knows a longer history than this one: ours counts, from the start */
	if (code != RSM_SUCCESS)
		lose(replica);
	else
		printf("replica %s joined with %llu records\n", replica->name,
		       (unsigned long long)replica->held);
	return replica->connected;
}

/* Records first, then their count, in one span: either both promises hold at its end, or neither is relied on. */
static int send_missing(struct replica *replica, struct log *log)
{
	uint64_t count = log->count, first = replica->held;
	off_t offset = (off_t)(offsetof(struct log, records) + first * sizeof(struct record));
	int code = rsm_memseg_import_open_barrier(&replica->barrier);
	if (code == RSM_SUCCESS)
		code = rsm_memseg_import_put(replica->import, offset, &log->records[first],
					     (count - first) * sizeof(struct record));
	if (code == RSM_SUCCESS)
		code = rsm_memseg_import_order_barrier(&replica->barrier);
	if (code == RSM_SUCCESS)
		code = rsm_memseg_import_put64(replica->import, 0, &count, 1);
	int closed = rsm_memseg_import_close_barrier(&replica->barrier);
	if (code == RSM_SUCCESS && closed == RSM_SUCCESS)
		replica->held = count;
	return code ? code : closed;
}

static void bring_up_to_date(struct replica *replica, struct log *log)
{
	if (!join(replica, log) || replica->held == log->count)
		return;
	if (send_missing(replica, log) != RSM_SUCCESS ||
	    rsm_intr_signal_post(replica->import, RSM_SIGPOST_NO_ACCUMULATE) != RSM_SUCCESS)
		lose(replica);
}

/* The record is appended here; returns when a majority has it. */
static void append(struct log *log, const char *text)
{
	struct record *record = &log->records[log->count];
	record->number = log->count + 1;
	snprintf(record->text, sizeof(record->text), "%s", text);
	log->count++;
	for (;; usleep(PAUSE_US)) {
		unsigned holders = 1;
		for (unsigned n = 0; n < replica_count; n++) {
			bring_up_to_date(&replicas[n], log);
			holders += replicas[n].connected && replicas[n].held == log->count;
		}
		if (2 * holders > replica_count + 1)
			return;
	}
}

static uint64_t checksum(const struct log *log)
{
	uint64_t sum = 0;
	for (uint64_t n = 0; n < log->count; n++)
		for (size_t k = 0; k < sizeof(log->records[n].text); k++)
			sum = sum * 31 + (unsigned char)log->records[n].text[k];
	return sum;
}

static void lead(struct log *log, uint64_t records, char **names)
{
	uint64_t end = log->count + records;
	for (; *names && replica_count < REPLICAS_MAX; names++)
		replicas[replica_count++].name = *names;
	while (log->count < end && log->count < RECORDS_MAX) {
		char text[sizeof(log->records[0].text)];
		snprintf(text, sizeof(text), "written by %ld as %llu", (long)getpid(),
			 (unsigned long long)log->count + 1);
		append(log, text);
		if (log->count % 1000 == 0)
			printf("%llu records are held by a majority\n", (unsigned long long)log->count);
	}
	for (unsigned n = 0; n < replica_count; n++) /* one last time, for those who joined late */
		bring_up_to_date(&replicas[n], log);
	for (unsigned n = 0; n < replica_count; n++)
		if (replicas[n].connected)
			rsm_memseg_import_disconnect(replicas[n].import);
	printf("%llu records, checksum %llx\n", (unsigned long long)log->count,
	       (unsigned long long)checksum(log));
}

/* Returns when a primary has written something, and there was none for so many looks in a row. */
static void follow(rsm_memseg_export_handle_t segment, const struct log *log, unsigned patience)
{
	rsmx_segment_info_t info = {.size = sizeof(info)};
	for (unsigned alone = 0; alone <= patience;) {
		int code = rsm_intr_signal_wait(segment, LOOK_MS);
		if (code != RSM_SUCCESS && code != RSMERR_TIMEOUT)
			MUST(code);
		MUST(rsmx_segment_info(segment, &info));
		alone = log->count > 0 && info.importers == 0 ? alone + 1 : 0;
	}
}

static int replicate(const char *id, char **names)
{
	rsm_memseg_export_handle_t segment;
	struct log *log = example_export((rsm_memseg_id_t)strtoul(id, NULL, 0), sizeof(struct log), &segment);
	puts("ready");
	follow(segment, log, *names ? 0 : 3000 / LOOK_MS); /* the others leave the heir time to come */
	MUST(rsm_memseg_export_unpublish(segment));        /* from here on no other primary can write here */
	if (log->count > RECORDS_MAX)
		return 1; /* others wrote it: look before it is used */
	printf("the primary is gone after record %llu\n", (unsigned long long)log->count);
	if (*names)
		lead(log, 1000, names);
	else
		printf("%llu records, checksum %llx\n", (unsigned long long)log->count,
		       (unsigned long long)checksum(log));
	return 0;
}

int main(int argc, char **argv)
{
	static struct log log;
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc >= 3 && !strcmp(argv[1], "replica"))
		return replicate(argv[2], argv + 3);
	if (argc >= 4 && !strcmp(argv[1], "primary")) {
		lead(&log, strtoull(argv[2], NULL, 10), argv + 3);
		return 0;
	}
	fprintf(stderr, "usage: replicated_log replica ID [[NODE:]ID...] | primary RECORDS [NODE:]ID...\n");
	return 2;
}
