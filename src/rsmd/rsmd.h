/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The state of the daemon, one per process, touched by the loop's thread only. Who owns what: a client owns
 * its objects, exports and imports; they are found here by id. Ids are never used twice.
 */
#ifndef RSMD_RSMD_H
#define RSMD_RSMD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* No memory for a table is an answer to one client, not the end of the daemon: the adder looks at hh.tbl. */
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "rsmd/config.h"
#include "segment/status.h"

struct rsmd_client;
struct rsmd_export;
struct rsmd_import;
struct rsmd_object;

/* The status table (segment/status.h): mapped read-write here, handed out read-only. */
struct rsmd_slots {
	struct segment_status *table;
	int fd;          /* read-only, the one that clients get */
	uint32_t count;  /* with slot 0, the head */
	uint32_t fresh;  /* lowest slot that was never used */
	uint32_t *spare; /* stack of slots that were given back */
	uint32_t spare_count;
};

struct rsmd_server {
	struct rsmd_config config;
	bool private_daemon;
	uint64_t started_ns;
	int userfaultfd; /* /dev/userfaultfd, or -1 */
	struct rsmd_slots slots;

	struct rsmd_client *clients; /* utlist */
	size_t client_count;
	struct rsmd_object *objects;   /* by id */
	struct rsmd_export *exports;   /* by id */
	struct rsmd_export *published; /* by segment id */
	struct rsmd_import *imports;   /* by id */

	uint64_t last_id;         /* of objects, exports and imports */
	uint32_t next_segment_id; /* candidate for the next system-chosen one */
	uint32_t segments;        /* exports + imports, against config.max_segments */
	uint64_t exported_bytes;  /* exports and reservations, against config.max_exported_bytes */
	uint64_t object_bytes;    /* sealed objects, against twice that limit: a move has old and new */
};

extern struct rsmd_server rsmd_server;

/*
 * Descriptors that stay open for long are taken only while this many remain free, so that receiving a request
 * and answering it never fails for lack of them. INSUFFICIENT_RESOURCES otherwise; keep closes the descriptor
 * then.
 */
void rsmd_fd_limit_open(void);
void rsmd_file_limit_open(void);
int rsmd_fd_check(int fd);
uint64_t rsmd_fd_count(void);   /* that are open, 0: not known; not for often */
uint64_t rsmd_fd_ceiling(void); /* the number from which on it refuses */
int rsmd_fd_last(void);         /* a connection with this number or above is closed without a word */
int rsmd_fd_keep(int *fd);
/* The same for what can be done without: while half of them remain free. */
int rsmd_fd_spare(int *fd);

/* Takes `length` bytes from the quota; INSUFFICIENT_MEM names the limit. */
int rsmd_quota_take(uint64_t length);
void rsmd_quota_give(uint64_t length);

/* One segment of max-segments; INSUFFICIENT_RESOURCES names the limit. */
int rsmd_segment_take(void);
void rsmd_segment_give(void);

/* Status table. open: RSM_SUCCESS or a code with reason. take never fails while a segment could be taken. */
int rsmd_slots_open(void);
uint32_t rsmd_slot_take(void);
void rsmd_slot_give(uint32_t slot);

#endif
