/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of the library share: the lock, the process, and what lives behind each handle. */
#ifndef LIB_LIB_H
#define LIB_LIB_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/reason.h"
#include "lib/daemon.h"
#include "lib/handle.h"
#include "lib/log.h"
#include "rsmapi.h"
#include "segment/counters.h"
#include "segment/signal.h"
#include "transport/transport.h"

/*
 * One lock for all control state: handles, objects, the conversation. Never taken by get, put, barriers or signals
 * on their fast paths. lib_lock also makes the library ready at its first call (fork handlers, process id).
 */
void lib_lock(void);
void lib_unlock(void);

/* This process's id, kept right across fork, without a system call. */
extern _Atomic pid_t lib_pid;

#define lib_unlikely(condition) __builtin_expect(!!(condition), 0)

/* A controller: shared by all handles to it and by the segments made through it. Under lib_lock. */
struct lib_controller {
	struct lib_controller *next;
	char name[MAXNAMELEN + 1]; /* as rsmd knows it, lower case */
	bool loopback;
	bool between_nodes;  /* tcp: nothing can be mapped */
	unsigned references; /* segments, local memory handles, and the public handle */
	unsigned opened;     /* rsm_get_controller minus rsm_release_controller */
	void *handle;        /* public value, NULL when opened is 0 */
};

struct lib_controller_handle {
	struct lib_handle head;
	struct lib_controller *controller;
};

/* The controller behind a public handle, or NULL. Under lib_lock. */
struct lib_controller *lib_controller_find(rsmapi_controller_handle_t value);
void lib_controller_release(struct lib_controller *controller);

/*
 * Signals of one handle: where its events arrive, where its posts go. `memory` is the segment's signal memory, NULL until
 * first need on the export side. Fields but `memory` and `doorbell` are set once; those two change under lib_lock.
 */
struct lib_signal {
	struct segment_signal *_Atomic memory;
	uint32_t slot;              /* own slot in it */
	_Atomic int doorbell;       /* descriptor for poll, or -1 */
	uint32_t pollfd_references; /* under lib_lock */
	_Atomic bool is_stale; /* rsmd has put other memory in its place that we could not take over yet */
	_Atomic uint16_t spin_skip, spin_backoff; /* signal.c: when a wait spins before it sleeps */
	uint64_t id;                              /* rsmd's id of the handle */
	uint32_t session;                         /* conversation that the id belongs to */
	const struct segment_status *status;      /* import: to see an abort; export: NULL */
	pid_t exporter; /* import: whose death ends a wait when no rsmd is left to tell; 0: of another node */
	uint32_t dead_after_ms;       /* import of another node: how long a wait goes on without rsmd */
	_Atomic uint64_t orphaned_ns; /* the same: since when there is no rsmd, 0: there was one */
	uint32_t generation;          /* import */
	struct lib_signal *next;      /* all signals with a doorbell (pollfd.c), under lib_lock */
};

struct lib_export {
	struct lib_handle head;
	struct lib_controller *controller;
	struct lib_signal signal;
	pid_t creator;
	uintptr_t address;
	size_t length;
	uint32_t flags;
	const struct segment_status *status;
	_Atomic bool published; /* read by post without the lock */
	rsm_memseg_id_t segment_id;
	struct lib_export *previous, *following; /* all exports of this process, under lib_lock */
};

struct lib_import {
	struct transport_import transport; /* behind the head in the slot: see lib_import_slot */
	_Atomic uint32_t barriers;         /* initialised and not destroyed */
	_Atomic uint32_t
		sample; /* count.h: a call is timed when the count before it has none of these bits */
	struct segment_counters_row *counters; /* where it counts: in shared memory, or nowhere; never NULL */
	struct lib_controller *controller;
	struct lib_signal signal;
	pid_t creator;
	rsm_node_id_t node;
	rsm_memseg_id_t segment_id;
	int32_t exporter_pid;
	uint32_t exporter_uid;
};

struct lib_import_slot {
	struct lib_handle head;
	struct lib_import import;
};

struct lib_localmem {
	struct lib_handle head;
	struct lib_controller *controller;
	unsigned char *address;
	size_t length;
};

/* Whether it is connected to a segment of another node. */
static inline bool lib_import_is_away(const struct lib_import *import)
{
	return import->transport.ops == &transport_tcp_ops;
}

_Static_assert(sizeof(struct lib_export) <= LIB_HANDLE_SLOT, "fits a slot");
_Static_assert(sizeof(struct lib_import_slot) <= LIB_HANDLE_SLOT, "fits a slot");

static inline struct lib_export *lib_export_find(const void *value)
{
	return lib_handle_find(value, LIB_HANDLE_EXPORT);
}

static inline struct lib_import *lib_import_find(const void *value)
{
	struct lib_import_slot *slot = lib_handle_find(value, LIB_HANDLE_IMPORT);
	return slot == NULL ? NULL : &slot->import;
}

/* The signals of an export or import handle, or NULL. */
struct lib_signal *lib_signal_find(const void *value);

/* Maps signal memory that rsmd sent; the descriptor stays the caller's. Under lib_lock. */
int lib_signal_map(struct lib_signal *signal, int fd);
void lib_signal_unmap(struct lib_signal *signal);

/* Puts fresh signal memory in the place of the old one, at the same address; sleeping waiters look again. Under lib_lock. */
int lib_signal_replace(struct lib_signal *signal, int fd);

/* Makes sure that an export has its signal memory. Takes lib_lock. */
int lib_signal_ready(struct lib_signal *signal);

/*
 * Sleeps until an event may be there, for a second at the most: 0 when one came, or the handle is aborted, else ETIMEDOUT or EINTR
 * (a signal handler ran). Without lib_lock.
 */
int lib_signal_sleep(struct lib_signal *signal);

/* Takes one event if there is one. Takes lib_lock only where a doorbell exists. */
bool lib_signal_consume(struct lib_signal *signal);

/* Whether this is the signal of an import that was aborted. */
bool lib_signal_is_aborted(const struct lib_signal *signal);

/* pollfd.c: closes the doorbell; empties it. Under lib_lock. */
void lib_pollfd_close(struct lib_signal *signal);
void lib_pollfd_drain(struct lib_signal *signal);

/* Refusals that several files share. */
int lib_refuse_handle(const char *what, const void *value, int code);

#endif
