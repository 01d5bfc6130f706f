/* SPDX-License-Identifier: BSD-2-Clause */
#include "rsmd/recorder.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"

struct record {
	_Atomic uint32_t length; /* 0: none, or just being written */
	bool is_log;
	char text[RSMD_LINE_MAX];
};

static pthread_mutex_t lock =
	PTHREAD_MUTEX_INITIALIZER; /* not taken by who writes them out: a handler cannot wait */
static struct record records[RSMD_RECORDS];
static _Atomic uint64_t count; /* of all that ever were; the next one goes to count % RSMD_RECORDS */

void rsmd_recorder_add(const struct rsmd_line *line, bool is_log)
{
	pthread_mutex_lock(&lock);
	uint64_t number = atomic_load_explicit(&count, memory_order_relaxed);
	struct record *record = &records[number % RSMD_RECORDS];
	atomic_store(&record->length, 0);
	record->is_log = is_log;
	memcpy(record->text, line->text, line->length);
	atomic_store(&record->length, (uint32_t)line->length);
	atomic_store(&count, number + 1);
	pthread_mutex_unlock(&lock);
}

/* Number of the oldest. */
static uint64_t oldest(uint64_t end)
{
	return end > RSMD_RECORDS ? end - RSMD_RECORDS : 0;
}

/* All of them in one text, or NULL. Under the lock. */
static char *tell(bool with_log)
{
	static const char head[] = "{\"schema\":1,\"events\":[", tail[] = "]}";
	uint64_t end = atomic_load(&count);
	size_t size = sizeof(head) + sizeof(tail);
	for (uint64_t n = oldest(end); n < end; n++)
		size += records[n % RSMD_RECORDS].length;
	char *text = malloc(size), *to = text;
	if (!text)
		return NULL;
	to = mempcpy(to, head, sizeof(head) - 1);
	bool any = false;
	for (uint64_t n = oldest(end); n < end; n++) {
		const struct record *record = &records[n % RSMD_RECORDS];
		if (record->is_log && !with_log)
			continue;
		if (any)
			*to++ = ',';
		any = true;
		to = mempcpy(to, record->text, record->length - 1); /* not the newline */
	}
	memcpy(to, tail, sizeof(tail));
	return text;
}

char *rsmd_recorder_tell(bool with_log)
{
	pthread_mutex_lock(&lock);
	char *text = tell(with_log);
	pthread_mutex_unlock(&lock);
	return text;
}

int rsmd_recorder_write(int fd, int timeout_ms)
{
	uint64_t end = atomic_load(&count);
	for (uint64_t n = oldest(end); n < end; n++) {
		const struct record *record = &records[n % RSMD_RECORDS];
		int error = base_fd_write(fd, record->text, atomic_load(&record->length), timeout_ms);
		if (error)
			return error;
	}
	return 0;
}
