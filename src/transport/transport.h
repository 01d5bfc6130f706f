/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a transport is. A controller is an instance of a transport; an import handle gets its transport's table at
 * connect, and every data call goes through it: rsm_memseg_import_put -> ops->put, two stations.
 *
 * The library has checked handle, pointers, alignment, right, bounds and barrier before it calls: a transport does
 * not check them again. It reports what only it can know: abort, unreachable, failure.
 * Unless a slot says otherwise: called on the application's thread, any number of threads at once, must not
 * allocate or make a system call where the memory is mapped, and blocks only while that memory is being moved; returns RSM_SUCCESS or an RSMERR code with a
 * reason. The conformance suite runs over every transport.
 */
#ifndef TRANSPORT_TRANSPORT_H
#define TRANSPORT_TRANSPORT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sys/socket.h>

#include "segment/extent.h"
#include "segment/status.h"
#include "wire/frame.h"

struct transport_import;

/* One entry of a vector, already checked and resolved to a local address. */
struct transport_vector {
	uint64_t offset; /* bytes, in the segment */
	void *local;
	size_t length; /* bytes */
};

/* Where the data connection of an import goes, for a transport between nodes. */
struct transport_remote {
	struct sockaddr_storage address; /* of the owner node's rsmd */
	socklen_t address_length;
	struct wire_ticket ticket; /* good for one connection */
	bool encrypt;
	uint32_t dead_after_ms; /* a silent node counts as dead after this time */
};

/* Where the memory behind an import is now. Filled by the library for the transport. */
struct transport_layout {
	uint64_t epoch; /* the epoch word that this layout belongs to */
	size_t count;
	struct segment_extent extents[SEGMENT_EXTENTS_MAX];
	size_t fd_count;
	int fds[SEGMENT_EXTENTS_MAX];   /* owned; extents name them, several may name one */
	struct transport_remote remote; /* between nodes: this instead of extents */
};

struct transport_ops {
	/*
	 * A span for which begin returned `span` is given up without settle: its barrier is opened again, or destroyed. NULL:
	 * spans need no end.
	 */
	void (*abandon)(struct transport_import *import, uint64_t span);

	/* Starts a span: what a later settle compares with. Every begin is followed by one settle or abandon. */
	uint64_t (*begin)(struct transport_import *import);

	/*
	 * First call on an import, which nobody else knows yet: makes the memory reachable with the rights in
	 * import->granted. System calls allowed. Same host: under the import's lock. Between nodes: without it, and may block until
	 * the other node counts as dead. The descriptors stay the library's.
	 */
	int (*attach)(struct transport_import *import, const struct transport_layout *layout);

	/* Last call on an import; releases all it holds. No other call runs or follows. */
	void (*detach)(struct transport_import *import);

	/*
	 * get: `length` bytes at `offset` to `target`. get_items: `count` items of `width` bytes (1, 2, 4, 8), each by
	 * one access. Implicit mode: complete and checked on return. Explicit: initiated.
	 */
	int (*get)(struct transport_import *import, uint64_t offset, void *target, size_t length);
	int (*get_items)(struct transport_import *import, uint64_t offset, void *target, size_t count,
			 unsigned width);

	/*
	 * Entries in their order, in one exchange; *done says how many are complete when it fails. `post` >= 0: behind the last
	 * entry one event for the exporter, with these flags. Implicit mode: complete on return. NULL: the library makes one call
	 * for each entry, and posts itself.
	 */
	int (*getv)(struct transport_import *import, const struct transport_vector *entries, size_t count,
		    int post, size_t *done);

	/*
	 * Maps [offset, offset+length) at *address (fixed) or anywhere, with the PROT_ bits given. System calls allowed.
	 * Called under the import's lock, at most once before unmap. `length` is rounded up to pages by the transport.
	 */
	int (*map)(struct transport_import *import, void **address, bool fixed, int protection,
		   uint64_t offset, size_t length);

	/* order: earlier writes are performed before later ones; reports an abort. */
	int (*order)(struct transport_import *import);

	/* One event for the exporter, behind all earlier puts. NULL: the library posts through signal memory. */
	int (*post)(struct transport_import *import, unsigned flags);

	int (*put)(struct transport_import *import, uint64_t offset, const void *source, size_t length);
	int (*put_items)(struct transport_import *import, uint64_t offset, const void *source, size_t count,
			 unsigned width);
	int (*putv)(struct transport_import *import, const struct transport_vector *entries, size_t count,
		    int post, size_t *done);

	/*
	 * Ends the span for which begin returned `span`: everything issued since is complete, or an error says that it
	 * may not be. May block on a network.
	 */
	int (*settle)(struct transport_import *import, uint64_t span);

	/* Explicit map gone. System calls allowed; under the import's lock. */
	void (*unmap)(struct transport_import *import);
};

/*
 * What a transport needs of one import: embedded at the start of the library's import, so that a data call touches one
 * cache line. `implicit` and `epoch` are written under the import's lock and read without it.
 */
struct transport_import {
	const struct transport_ops *ops;
	const struct segment_status *status; /* this segment's line of the status table, read-only */
	_Atomic uint64_t epoch;              /* the epoch word that `map` belongs to */
	union {
		unsigned char *map;    /* local: the whole segment; stays at its address until detach */
		struct tcp_link *link; /* tcp: the data connection; owned by the transport */
	};
	uint64_t length;       /* bytes */
	uint32_t granted;      /* RSM_PERM_ bits */
	_Atomic bool implicit; /* barrier mode */

	/* cold */
	uint32_t generation;  /* of the epoch at connect: differs from status -> aborted for good */
	void *window;         /* explicit map, or NULL */
	size_t window_length; /* bytes, whole pages */
	uint64_t window_offset;
	int window_protection;
	bool is_trash; /* aborted, and the maps no longer show the exporter's memory */
};

/*
 * Provided by the library. transport_layout_fetch asks where the memory is now and fills `layout`, whose descriptors
 * transport_layout_clear closes; under the import's lock, which transport_lock takes.
 */
int transport_layout_fetch(struct transport_import *import, struct transport_layout *layout);
void transport_layout_clear(struct transport_layout *layout);
void transport_lock(struct transport_import *import);
void transport_unlock(struct transport_import *import);

/*
 * Provided by the library, any thread, without the import's lock: whether the rsmd of this node that would tell of an
 * abort is gone, so that who waits has to count by himself.
 */
bool transport_is_orphaned(struct transport_import *import);

/*
 * Provided by the library, any thread, without the import's lock: a get or put of this import fails, where the memory is mapped.
 * Of other failures the library learns by the code; behind these calls it does nothing any more.
 */
void transport_failed(struct transport_import *import);

/* The one check that is made by reading memory: whether the connection still is what it was. */
static inline bool transport_is_aborted(const struct transport_import *import)
{
	uint64_t now = atomic_load_explicit(&import->status->epoch, memory_order_acquire);
	return SEGMENT_EPOCH_GENERATION(now) != import->generation;
}

extern const struct transport_ops transport_local_ops;
extern const struct transport_ops transport_tcp_ops;

/* Called in the child of a fork: connections that the parent opened are the parent's. */
void transport_tcp_forked(void);

#endif
