/* SPDX-License-Identifier: BSD-2-Clause */
#include "rsmd/signal.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <rsmapi.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/reason.h"
#include "rsmd/away.h"
#include "rsmd/client.h"
#include "rsmd/export.h"
#include "rsmd/guest.h"
#include "rsmd/metrics.h"
#include "segment/memfd.h"

void rsmd_signals_init(struct rsmd_signals *signals)
{
	*signals = (struct rsmd_signals){.fd = -1, .doorbell = -1};
	pthread_mutex_init(&signals->bell, NULL);
}

int rsmd_signals_open(struct rsmd_signals *signals)
{
	if (signals->fd >= 0)
		return RSM_SUCCESS;
	int code = segment_memfd_create("rsm-signal", SEGMENT_SIGNAL_SIZE, false, 0, &signals->fd);
	if (!code)
		code = rsmd_fd_keep(&signals->fd);
	if (code)
		return code;
	/* Address space only: a page is taken when a slot in it is used. */
	void *memory = mmap(NULL, SEGMENT_SIGNAL_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE,
			    signals->fd, 0);
	if (memory == MAP_FAILED) {
		code = base_refuse_errno(RSMERR_INSUFFICIENT_RESOURCES, errno,
					 "rsmd cannot map signal memory; its limit may be vm.max_map_count");
		base_fd_close(&signals->fd);
		return code;
	}
	signals->memory = memory;
	signals->handed = false;
	atomic_store(&signals->memory[0].connected, 1);
	return RSM_SUCCESS;
}

/* Memory and slots; the doorbell stays. */
static void signals_close(struct rsmd_signals *signals)
{
	if (signals->fd >= 0)
		munmap(signals->memory, SEGMENT_SIGNAL_SIZE);
	base_fd_close(&signals->fd);
	free(signals->slots);
	signals->slots = NULL;
	signals->slot_count = 0;
	signals->lowest = 0;
}

void rsmd_signals_end(struct rsmd_signals *signals)
{
	signals_close(signals);
	base_fd_close(&signals->doorbell);
	pthread_mutex_destroy(&signals->bell);
}

static bool slots_grow(struct rsmd_signals *signals)
{
	uint32_t count = signals->slot_count ? 2 * signals->slot_count : 8;
	struct rsmd_import **slots = realloc(signals->slots, count * sizeof(*slots));
	if (!slots)
		return false;
	memset(slots + signals->slot_count, 0, (count - signals->slot_count) * sizeof(*slots));
	signals->slots = slots;
	signals->slot_count = count;
	return true;
}

int rsmd_signals_take(struct rsmd_signals *signals, struct rsmd_import *import, uint32_t *slot)
{
	uint32_t n = signals->lowest ? signals->lowest : 1;
	while (n < signals->slot_count && signals->slots[n])
		n++;
	if (n >= SEGMENT_SIGNAL_SLOTS)
		return base_refuse(RSMERR_INSUFFICIENT_RESOURCES,
				   "the segment has %u importers, which is the limit", n - 1);
	if (n >= signals->slot_count && !slots_grow(signals))
		return base_refuse(RSMERR_INSUFFICIENT_MEM, "rsmd has no memory for another importer");
	signals->slots[n] = import;
	signals->lowest = n + 1;
	struct segment_signal *line = &signals->memory[n];
	atomic_store(&line->events, 0);
	atomic_store(&line->waiters, 0);
	atomic_store(&line->doorbell, 0);
	atomic_store(&line->connected, 1);
	uint32_t high = atomic_load(&signals->memory[0].high);
	if (n > high)
		atomic_store(&signals->memory[0].high, n);
	*slot = n;
	return RSM_SUCCESS;
}

void rsmd_signals_give(struct rsmd_signals *signals, uint32_t slot)
{
	atomic_store(&signals->memory[slot].connected, 0);
	signals->slots[slot] = NULL;
	if (slot < signals->lowest)
		signals->lowest = slot;
}

static void wake(struct segment_signal *line)
{
	syscall(SYS_futex, &line->events, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

void rsmd_signals_abort(struct rsmd_signals *signals, uint32_t slot)
{
	atomic_fetch_or(&signals->memory[slot].events, SEGMENT_SIGNAL_ABORTED);
	wake(&signals->memory[slot]);
}

int rsmd_signals_renew(struct rsmd_signals *signals, bool *fresh)
{
	*fresh = false;
	if (signals->fd < 0 || !signals->handed)
		return RSM_SUCCESS;
	if (segment_memfd_is_sole(signals->fd)) {
		signals->handed = false;
		return RSM_SUCCESS;
	}
	struct rsmd_signals renewed = {.fd = -1};
	int code = rsmd_signals_open(&renewed);
	if (code)
		return code;
	struct segment_signal *old = &signals->memory[0];
	/* Who has the old memory mapped takes its events along, and may be consuming them right now. */
	if (!signals->given)
		atomic_store(&renewed.memory[0].events, atomic_load(&old->events) & SEGMENT_SIGNAL_COUNT);
	atomic_store(&renewed.memory[0].doorbell, atomic_load(&old->doorbell));
	signals_close(signals);
	signals->fd = renewed.fd;
	signals->memory = renewed.memory;
	signals->handed = false;
	*fresh = true;
	return RSM_SUCCESS;
}

void rsmd_signals_ring(struct rsmd_signals *signals, uint32_t slot, int doorbell)
{
	if (doorbell < 0 || signals->fd < 0)
		return;
	if (!(atomic_load(&signals->memory[slot].events) & SEGMENT_SIGNAL_COUNT))
		return;
	send(doorbell, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL); /* full is as good: it is readable then */
	atomic_fetch_add_explicit(&rsmd_metrics.doorbells, 1, memory_order_relaxed);
}

void rsmd_signals_ring_exporter(struct rsmd_signals *signals)
{
	pthread_mutex_lock(&signals->bell);
	rsmd_signals_ring(signals, 0, signals->doorbell);
	pthread_mutex_unlock(&signals->bell);
}

RSMD_HANDLER(rsmd_signal_memory)
{
	(void)packet;
	struct rsmd_export *export = rsmd_export_find(client, request->signals->export_id);
	if (!export)
		return RSMERR_BAD_SEG_HNDL;
	int code = rsmd_signals_open(&export->signals);
	/* A duplicate, so that segment_memfd_is_sole does not count the exporter. */
	if (!code)
		rsmd_answer_add_fd(answer, export->signals.fd, false);
	export->signals.given |= !code;
	return code;
}

/* A pair of sockets; the second end goes to the client with the answer. `bell` guards the doorbell, where it has one. */
static int doorbell_make(int *doorbell, pthread_mutex_t *bell, struct rsmd_answer *answer)
{
	int ends[2];
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends))
		return base_refuse_errno(RSMERR_INSUFFICIENT_RESOURCES, errno,
					 "making a descriptor for poll");
	int code = rsmd_fd_keep(&ends[0]);
	if (code) {
		base_fd_close(&ends[1]);
		return code;
	}
	if (bell)
		pthread_mutex_lock(bell);
	base_fd_close(doorbell);
	*doorbell = ends[0];
	if (bell)
		pthread_mutex_unlock(bell);
	rsmd_answer_add_fd(answer, ends[1], true);
	return RSM_SUCCESS;
}

/* The memory of a handle's slot: of its segment, or of its client for an import of another node's. NULL: aborted. */
static struct rsmd_signals *signals_of(const struct rsmd_import *import, struct rsmd_export *export)
{
	if (!import)
		return &export->signals;
	if (import->away)
		return rsmd_away_is_aborted(import->away) ? NULL : &import->owner->away_signals;
	return import->export ? &import->export->signals : NULL;
}

RSMD_HANDLER(rsmd_signal_pollfd)
{
	(void)packet;
	uint64_t id = request->pollfd->handle_id;
	struct rsmd_import *import = rsmd_import_find(client, id);
	struct rsmd_export *export = import ? NULL : rsmd_export_find(client, id);
	if (!import && !export)
		return RSMERR_BAD_SEG_HNDL;
	struct rsmd_signals *signals = signals_of(import, export);
	uint32_t slot = import ? import->signal_slot : 0;
	int code = signals ? rsmd_signals_open(signals) : RSM_SUCCESS;
	if (code)
		return code;
	if (import)
		code = doorbell_make(&import->doorbell, NULL, answer);
	else
		code = doorbell_make(&export->signals.doorbell, &export->signals.bell, answer);
	if (code)
		return code;
	if (!signals) { /* aborted import */
		shutdown(import->doorbell, SHUT_RDWR);
		return RSM_SUCCESS;
	}
	atomic_store(&signals->memory[slot].doorbell, 1);
	if (import)
		rsmd_signals_ring(signals, slot, import->doorbell);
	else
		rsmd_signals_ring_exporter(signals);
	return RSM_SUCCESS;
}

RSMD_HANDLER(rsmd_signal_ring)
{
	(void)packet;
	(void)answer;
	const Wire__Ring *asked = request->ring;
	struct rsmd_import *import = rsmd_import_find(client, asked->handle_id);
	struct rsmd_export *export = import ? NULL : rsmd_export_find(client, asked->handle_id);
	if (!import && !export)
		return RSMERR_BAD_SEG_HNDL;
	struct rsmd_signals *signals = signals_of(import, export);
	if (!signals)
		return base_refuse(RSMERR_CONN_ABORTED, "the exporter withdrew the segment");
	if (import && asked->self) {
		rsmd_signals_ring(signals, import->signal_slot, import->doorbell);
	} else if (import && import->away) {
		return RSM_SUCCESS; /* posts to another node go through its data connection */
	} else if (import || asked->self) {
		rsmd_signals_ring_exporter(signals);
	} else {
		for (uint32_t n = 1; n < signals->slot_count; n++)
			if (signals->slots[n])
				rsmd_signals_ring(signals, n, signals->slots[n]->doorbell);
		rsmd_guests_signal(export, asked->flags);
	}
	return RSM_SUCCESS;
}
