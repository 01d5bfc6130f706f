/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * rsm/ext.h - what librsm for Linux offers beyond the Solaris RSMAPI. Prefix rsmx_. Source of all: project.
 * Every function is MT-Safe. None is async-signal-safe.
 */
#ifndef RSM_EXT_H
#define RSM_EXT_H

#include <rsmapi.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif
#ifdef __GNUC__
#pragma GCC visibility push(default)
#endif

/*
 * Text for a code: "page-aligned address or length expected". Never NULL, static, valid for ever. Source: project.
 */
const char *rsmx_strerror(int code);

/* Name of a code: "RSMERR_BAD_MEM_ALIGNMENT"; "RSM_SUCCESS"; "RSMERR_?" for an unknown one. Static. Source: project. */
const char *rsmx_errname(int code);

/*
 * Why the last call of this thread that failed was refused: what was asked, what was found, which limit or rule, what
 * to do. "" when no call of this thread failed yet. The text belongs to the library and lives until this
 * thread's next failing call. A successful call leaves it unchanged. Source: project.
 */
const char *rsmx_last_error(void);

/* States of a handle, rsmx_segment_info_t.state. */
typedef enum {
	RSMX_STATE_BOUND = 1,       /* export: created, not published */
	RSMX_STATE_PUBLISHED = 2,   /* export: published */
	RSMX_STATE_CONNECTED = 3,   /* import: connected */
	RSMX_STATE_MAPPED = 4,      /* import: connected and explicitly mapped */
	RSMX_STATE_ABORTED = 5      /* import: forcibly disconnected */
} rsmx_state_t;

/* The caller sets `size` to sizeof (rsmx_segment_info_t); the library fills what fits. */
typedef struct {
	size_t           size;          /* in: bytes of this structure */
	size_t           length;        /* bytes of the segment */
	rsm_permission_t granted;       /* import: rights of this connection; export: RSM_PERM_RDWR */
	rsmx_state_t     state;
	rsm_node_id_t    node;          /* node that owns the memory */
	rsm_memseg_id_t  segment_id;    /* 0 for an export that is not published */
	int32_t          peer_pid;      /* import: the exporter, on its node; export: this process; 0 unknown */
	uint32_t         peer_uid;      /* import: the exporter's effective uid; export: own */
	uint32_t         importers;     /* import handles connected now, on all nodes; 0: import of another node */
	uint32_t         pending;       /* events that a signal wait would consume now */
} rsmx_segment_info_t;

/*
 * Tells about an export or import handle. Does not ask rsmd; waits only while another thread is in a
 * control call of this library.
 * RSMERR_BAD_SEG_HNDL: NULL, freed or foreign handle. RSMERR_BAD_ADDR: info is NULL, or info->size is too small
 * (less than 16). Source: project.
 */
int rsmx_segment_info(void *memseg, rsmx_segment_info_t *info);

#define RSMX_ALLOC_HUGE 0x1u    /* 2 MiB pages of the hugetlb pool; size must be a multiple */

/*
 * Allocates page-aligned, zeroed memory that is exportable without adoption: exporting it copies nothing, whatever
 * its size. NULL on failure, reason in rsmx_last_error (size 0 or overflow, no memory, no huge pages, no rsmd,
 * unknown flag). A forked child gets a private copy. Freed by rsmx_free. It outlives rsmd: then its next export copies it
 * once. Takes a descriptor. Source: project.
 */
void *rsmx_alloc(size_t size, unsigned flags);

/*
 * Frees memory from rsmx_alloc; `address` is what rsmx_alloc returned, NULL is allowed. In a forked child it frees the
 * child's copy.
 * RSMERR_BAD_ADDR: not such an address, or freed already. RSMERR_SEG_IN_USE: an export segment still covers it.
 * Source: project.
 */
int rsmx_free(void *address);

/* Levels of rsmx_set_log. */
typedef enum { RSMX_LOG_ERROR = 1, RSMX_LOG_WARNING = 2, RSMX_LOG_INFO = 3, RSMX_LOG_DEBUG = 4 } rsmx_log_level_t;

typedef void (*rsmx_log_callback_t)(void *context, rsmx_log_level_t level, const char *text);

/*
 * Sets who is told of events inside the library (never on the data path), up to `level`. The library itself
 * prints nothing. NULL turns it off, which is the default. The callback runs on the calling thread, with no lock
 * held, and must not call this library. Source: project.
 */
void rsmx_set_log(rsmx_log_callback_t callback, void *context, rsmx_log_level_t level);

/*
 * Release of the library: "2.1.0". Static. With `daemon` not NULL also that of the rsmd this process talks to ("" when
 * there is no conversation yet; none is started); valid until the conversation ends. Source: project.
 */
const char *rsmx_version(const char **daemon);

/*
 * State of this node as JSON text, for tools: what = "status" (node, limits, clients), "segments" (every published
 * segment), "segment" (one, by id, with its importers), "nodes" (the paths to other nodes), "events" (the newest life
 * events of the node, and for root and rsmd's own user the newest log lines, oldest first), "metrics" (the key "text" holds
 * them in the text format of Prometheus). `*json` is malloc'ed, the caller frees it. The text holds
 * "schema": 1 and only grows. Processes of other users are shown as well.
 * Since 2.1 also "config" (the daemon's settings and the file and line that each came from; no secrets) and "health" (what the
 * daemon may and has: descriptors, socket, key file, heard beats).
 * May start a private rsmd; blocks for one answer of rsmd. RSMERR_BAD_ADDR: what or json NULL, or unknown what.
 * RSMERR_CTLR_NOT_PRESENT: no rsmd answers and none could be started. RSMERR_SEG_NOT_PUBLISHED: no such segment. RSMERR_INSUFFICIENT_MEM. Source: project.
 */
int rsmx_status(const char *what, rsm_memseg_id_t segment_id, char **json);

/*
 * Counters: what the connections of this node carried, read from memory that the importing processes share, without asking or
 * disturbing anybody. Counted is what goes through the library: get, put and their kin, posts, barriers; not loads and stores
 * through a map. Counting is always on.
 */
typedef struct rsmx_counters rsmx_counters_t; /* opaque: a view of the node's counters */

/* rsmx_counter_t.flags: an import by a process of another node, counted by rsmd of this one. */
#define RSMX_COUNTER_GUEST 0x1u

/*
 * One connection: an import by a process. Each number is exact once the importer's threads rest; while they work, numbers of one
 * row may be some calls apart. Numbers only grow, and start at 0 with each connect. A process can write what it likes into its
 * own rows, except for pid, uid and program, which rsmd tells.
 *
 * A process has room for 2047 rows; what its further imports do is added up in one row with node 0 and segment id 0. Where rsmd
 * has no descriptor to spare (half of its RLIMIT_NOFILE is in use), and for processes with an older library, there are no rows.
 * Of guests (RSMX_COUNTER_GUEST) rsmd counts requests as they arrive: small puts in a span one by one, each entry of a vector;
 * spans and latency_ns are 0.
 */
typedef struct {
	int32_t         pid;        /* importing process, on its node; 0 unknown */
	uint32_t        uid;        /* its effective uid */
	rsm_node_id_t   importer;   /* node of the importing process */
	rsm_node_id_t   node;       /* node that owns the segment */
	rsm_memseg_id_t segment_id; /* of the segment */
	uint32_t        flags;      /* RSMX_COUNTER_ */
	uint64_t        id;         /* of the connection; equal in later reads, never used again in this view */
	uint64_t        length;     /* bytes of the segment */
	uint64_t        puts, gets; /* calls that passed the library's checks (items and vectors count once) */
	uint64_t        bytes_put, bytes_got; /* of these calls, also of those that failed; of vectors what was moved */
	uint64_t        posts;      /* of signals, by the importer */
	uint64_t        spans;      /* barrier spans closed */
	uint64_t        failures;   /* data calls and barriers that returned an error of the connection */
	uint64_t        latency_ns; /* recent time of one put or get, smoothed over samples; 0 unknown */
	char            program[64]; /* as in rsmx_status, cut, ends with 0 */
} rsmx_counter_t;

/*
 * Opens a view. `*counters` is freed by rsmx_counters_close. A view may be used by several threads, one after the other.
 * May start a private rsmd; blocks for an answer of rsmd. RSMERR_BAD_ADDR: counters is NULL. RSMERR_CTLR_NOT_PRESENT: no rsmd
 * answers and none could be started. RSMERR_BAD_LIBRARY_VERSION: rsmd is older than 2.1 and has no counters.
 * RSMERR_INSUFFICIENT_MEM. Source: project.
 */
int rsmx_counters_open(rsmx_counters_t **counters);

/*
 * Reads all connections: those of the processes of this node, of all users, and those of other nodes to segments of this
 * node. Fills up to `*count` rows; `*count` becomes the number that exist, which may be more. `row_size` is
 * sizeof (rsmx_counter_t), the distance of the rows in bytes; of a smaller one its first bytes are filled. `rows` may be NULL when
 * `*count` is 0.
 * Asks rsmd, and blocks for its answers, only when processes with connections came or went or have twice as many, or rsmd was started anew; else it
 * makes one system call. In a forked child the view goes on with a conversation of the child's own.
 * RSMERR_BAD_ADDR: counters, count, or rows is NULL. RSMERR_BAD_LENGTH: row_size is less than 64 or no multiple of 8.
 * RSMERR_CTLR_NOT_PRESENT, RSMERR_BAD_LIBRARY_VERSION: as above. RSMERR_INSUFFICIENT_RESOURCES: no descriptor or address space to
 * look at a process that came (limit: RLIMIT_NOFILE); no row is filled, and the next read tries again. RSMERR_INSUFFICIENT_MEM.
 * After an error `*count` is unchanged. Source: project.
 */
int rsmx_counters_read(rsmx_counters_t *counters, rsmx_counter_t *rows, size_t row_size, size_t *count);

/* Frees a view; NULL is allowed. Does not ask rsmd. Source: project. */
void rsmx_counters_close(rsmx_counters_t *counters);

/*
 * Gives a descriptor on which the life events of this node arrive from now on: clients that come and go, segments that are published,
 * replaced and withdrawn, connections that are made, refused, ended and aborted, paths to other nodes. Each is a
 * line of JSON, at most 1000 bytes with its newline, in one piece:
 *     {"schema":1,"seq":7,"time":1700000000.123456,"event":"publish","node":1,"segment":"0x400000","pid":4711,...}
 * doc/observability.md lists the events and their keys; both only grow. `seq` counts the events of this rsmd; `time` is in
 * seconds since 1970. Events of all users are told, as rsmx_status does.
 *
 * *fd is the reading end of a pipe, close-on-exec; the caller owns it, waits by poll(2) (POLLIN) and ends it by close(2). Reading
 * blocks unless the caller sets O_NONBLOCK, which concerns nobody else. One read may return several lines, or a part of one. A
 * reader that is slow delays nobody: what does not fit into the pipe (64 KiB) is lost, and "lost" with its "count" says so
 * before the next line. End of file: rsmd, or this process's conversation with it, has ended. A forked child may read
 * it, but the events are the parent's: they end with it.
 *
 * May start a private rsmd; blocks for one answer of rsmd. On failure *fd is -1. RSMERR_BAD_ADDR: fd is NULL.
 * RSMERR_CTLR_NOT_PRESENT: no rsmd answers and none could be started. RSMERR_BAD_LIBRARY_VERSION: an rsmd older than 2.1.0.
 * RSMERR_INSUFFICIENT_RESOURCES: this process has 8 such descriptors, or the node 64 (16 of these are kept for root and
 * rsmd's own user), or there is no descriptor left. RSMERR_INSUFFICIENT_MEM. Source: project. Since 2.1.0.
 */
int rsmx_watch(int *fd);

#ifdef __GNUC__
#pragma GCC visibility pop
#endif
#ifdef __cplusplus
}
#endif

#endif
