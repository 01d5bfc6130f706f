/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The one conversation of this process with rsmd. Opened by the first control call, which starts a private rsmd if
 * nobody listens (start.c); never used by the data path. All functions run under lib_lock unless they say
 * otherwise. When rsmd is gone the conversation ends; what was registered through it answers
 * CTLR_NOT_PRESENT (its `session` differs), and the next new object opens a new one.
 */
#ifndef LIB_DAEMON_H
#define LIB_DAEMON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "segment/status.h"
#include "wire/rsm.pb-c.h"
#include "wire/packet.h"

struct lib_daemon {
	int socket;       /* -1: no conversation */
	uint32_t session; /* of the present or next conversation; 0 is never used */
	uint32_t node_id;
	uint64_t max_segments;
	uint64_t max_exported_bytes;
	const struct segment_status
		*status; /* the table, read-only, never unmapped: imports may outlive rsmd */
	uint32_t status_slots;
	int userfaultfd_device; /* /dev/userfaultfd as rsmd opened it, or -1 */
	uint64_t features;      /* WIRE_FEATURE_*: what this rsmd knows beyond release 2.0 */
	char release[32];
	size_t controller_count;
	struct lib_daemon_controller {
		char name[256];
		bool loopback;
		bool between_nodes; /* type tcp */
	} * controllers;
};
extern struct lib_daemon lib_daemon;

/* An answer: the message and the descriptors beside it. Cleared by lib_reply_clear. */
struct lib_reply {
	Wire__Reply *message;
	struct wire_packet packet;
};

/* Makes sure that there is a conversation. CTLR_NOT_PRESENT with a reason when rsmd cannot be had. */
int lib_daemon_open(void);

/* Ends the conversation; rsmd withdraws all that was registered through it. */
void lib_daemon_close(void);

/* Whether the rsmd of that conversation still is there, without asking it. */
bool lib_daemon_is_there(uint32_t session);

/* OK if the conversation in which something was registered still goes on, else CTLR_NOT_PRESENT. */
int lib_daemon_check(uint32_t session);

/*
 * Asks and waits for the answer. `body` is one of the fields of Wire__Request's oneof, chosen by `body_case`.
 * A refusal by rsmd is returned as its code, with its reason recorded here; reply is empty then.
 * `fd` travels along (it stays the caller's), or -1. `reply` may be NULL where only the code matters.
 */
int lib_daemon_call(Wire__Request__BodyCase body_case, void *body, int fd, struct lib_reply *reply);

/* Sends a one-way message. Nothing to be done on failure: then rsmd is gone and has forgotten us. */
void lib_daemon_tell(Wire__Request__BodyCase body_case, void *body);

void lib_reply_clear(struct lib_reply *reply);

/* start.c: connects to rsmd, starting a private one if need be. A socket, or -1 with the reason recorded. */
int lib_start_connect(void);

#endif
