/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Another process that calls librsm on request: a fresh program (this one, executed again), never a fork of a
 * process that has used the library, if wanted under another user. It holds one export and a few imports, does
 * one request at a time and answers with the code. It dies with the case.
 */
#ifndef CONFORMANCE_PEER_H
#define CONFORMANCE_PEER_H

#include <rsmapi.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define PEER_ARGUMENT "--peer"
#define PEER_IMPORTS  8
#define PEER_DATA     64
#define PEER_EXPORT   PEER_IMPORTS /* in place of an import's number: the export */

struct peer {
	pid_t pid;
	int socket;
	char reason[256]; /* of the last refusal */
};

enum peer_op {
	PEER_UMASK,     /* value */
	PEER_CREATE,    /* length, value: flags */
	PEER_PUBLISH,   /* id, acl */
	PEER_REPUBLISH, /* acl */
	PEER_REBIND,    /* value: every byte of the new memory */
	PEER_UNPUBLISH,
	PEER_DESTROY,
	PEER_CONNECT,    /* handle, node, id, value: permission */
	PEER_INIT,       /* handle: init barrier */
	PEER_OPEN,       /* handle: open barrier */
	PEER_CLOSE,      /* handle: close barrier */
	PEER_PUT,        /* handle, offset, length bytes of `value` */
	PEER_GET,        /* handle, offset -> value */
	PEER_MAP,        /* handle, value: permission; the whole of `length` bytes */
	PEER_UNMAP,      /* handle */
	PEER_DISCONNECT, /* handle */
	PEER_POST,       /* handle, value: flags */
	PEER_WAIT,       /* handle, value: timeout */
	PEER_POLLFD,     /* handle */
	PEER_STORE,      /* offset, value: byte through own memory (PEER_EXPORT) or the import's map */
	PEER_LOAD,       /* offset -> value */
	PEER_HOLD,       /* handle: keeps second maps of all it can get at, behind the library's back */
	PEER_HELD_STORE, /* value: writes that byte over everything it keeps; -> number of bytes written */
	PEER_STATUS,     /* -> the process id of its rsmd */
	PEER_EXEC,       /* becomes another program, which lives until the peer is stopped */
	PEER_EXIT        /* value: exit status */
};

struct peer_request {
	enum peer_op op;
	unsigned handle;
	uint32_t node, id;
	int64_t value;
	int64_t offset;
	uint64_t length;
	uint32_t acl_count;
	rsmapi_access_entry_t acl[2];
};

struct peer_reply {
	int code;
	int64_t value; /* PEER_PUBLISH: the id; PEER_GET, PEER_LOAD: the byte; PEER_STATUS: a process id */
	char reason[256];
};

/* Who a peer is. As a plain user only the default (own user) is possible. */
struct peer_user {
	uid_t uid;
	gid_t gid;
	gid_t group; /* a supplementary group, or (gid_t)-1 */
};

/* `user` NULL: as this process. */
void peer_start(struct peer *peer, const struct peer_user *user);

/* The same on another node and with a controller of its own; NULL: as this process. */
void peer_start_at(struct peer *peer, const struct peer_user *user, const char *rsmd, const char *controller);

/* The same under an unprivileged user: uid 65534 when this process is root, else its own. */
void peer_start_unprivileged(struct peer *peer);

/* Sends a request and waits for the answer; fails the case when the peer is dead. */
struct peer_reply peer_ask(struct peer *peer, const struct peer_request *request);

/* The halves of peer_ask, for a peer that is to block meanwhile. begin returns when the peer is about to call. */
void peer_begin(struct peer *peer, const struct peer_request *request);
struct peer_reply peer_end(struct peer *peer);

/* Waits until the peer's process sleeps (after peer_begin: in the call). */
void peer_until_asleep(const struct peer *peer);

/* Kills the process by SIGKILL and waits for its end; stop lets it leave by itself, which must succeed. */
void peer_kill(struct peer *peer);
void peer_stop(struct peer *peer);

/* peer_ask in one line; the return value is the library's code. */
int peer_create(struct peer *peer, size_t length);
int peer_publish(struct peer *peer, rsm_memseg_id_t *id, const rsmapi_access_entry_t *acl, uint32_t count);
int peer_connect(struct peer *peer, unsigned handle, rsm_node_id_t node, rsm_memseg_id_t id,
		 rsm_permission_t perm);
int peer_put(struct peer *peer, unsigned handle, int64_t offset, int value);
int peer_get(struct peer *peer, unsigned handle, int64_t offset, int *value);
int peer_map(struct peer *peer, unsigned handle, rsm_permission_t perm, size_t length);
int peer_load(struct peer *peer, unsigned handle, int64_t offset);
void peer_store(struct peer *peer, unsigned handle, int64_t offset, int value);
int peer_simple(struct peer *peer, enum peer_op op, unsigned handle, int64_t value);

/* Export of `length` bytes, published without list or with one entry. Returns the id; all must succeed. */
rsm_memseg_id_t peer_export(struct peer *peer, size_t length, rsm_memseg_id_t id);

/* main() of the peer program. */
int peer_main(int argc, char **argv);

#endif
