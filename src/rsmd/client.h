/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One conversation: who is on the other side (told by the kernel at accept), its requests, its end. A request
 * is answered before the next one of the same client is read; while a client does not read its answers,
 * nothing more is read from it, so that it keeps one answer of memory and disturbs nobody.
 */
#ifndef RSMD_CLIENT_H
#define RSMD_CLIENT_H

#include "rsmd/access.h"
#include "rsmd/counters.h"
#include "rsmd/metrics.h"
#include "rsmd/rsmd.h"
#include "rsmd/signal.h"
#include "segment/extent.h"
#include "wire/packet.h"
#include "wire/rsm.pb-c.h"

struct rsmd_watch;

struct rsmd_client {
	int socket;
	int pidfd;
	struct rsmd_watch *socket_watch;
	struct rsmd_watch *pidfd_watch;
	pid_t pid; /* as rsmd's pid namespace sees it, or 0 */
	struct rsmd_identity identity;
	gid_t *groups; /* what identity.groups points to */
	char program[65];
	bool greeted; /* Hello came */
	int refusal;  /* code and reason of the answer to Hello, when it cannot be served */
	char *refusal_reason;
	uint64_t reserved; /* bytes of quota by Reserve */

	uint8_t *answer; /* one that did not fit into the socket yet, or NULL */
	size_t answer_length;
	int answer_fds[WIRE_FDS_MAX];
	size_t answer_fd_count;
	size_t unread_fds;   /* descriptors in answers that it may not have read yet */
	bool unread_memfd;   /* one of them is a large body */
	const char *offence; /* why it is dropped, when its request was none */

	struct rsmd_object *objects; /* utlists */
	struct rsmd_export *exports;
	struct rsmd_import *imports;
	struct rsmd_signals away_signals; /* of its imports of other nodes' segments */
	struct rsmd_metrics_local local;  /* what metrics have of `counters` */
	struct rsmd_counters counters;    /* of its imports */
	size_t export_count, import_count;
	struct rsmd_client *prev, *next;
};

/*
 * An answer in the making. The handler fills `reply` and what it points to; client.c packs, sends and cleans
 * up.
 */
struct rsmd_answer {
	Wire__Reply reply;
	int fds[WIRE_FDS_MAX];
	bool close_fds[WIRE_FDS_MAX]; /* opened for this answer only */
	size_t fd_count;
	char *text;                 /* freed after sending */
	struct rsmd_import *import; /* taken back when the answer cannot be sent */
	struct rsmd_object *object;
	Wire__Remote remote;
	union {
		Wire__HelloReply hello;
		Wire__ObjectReply object;
		Wire__ExportReply export;
		Wire__PublishReply publish;
		Wire__Withdrawn withdrawn;
		Wire__ConnectReply connect;
		Wire__TopologyReply topology;
		Wire__StatusReply status;
		Wire__CountersReply counters;
	} body;
	uint64_t ids[SEGMENT_EXTENTS_MAX];
	Wire__Extent extents[SEGMENT_EXTENTS_MAX];
	Wire__Extent *extent_list[SEGMENT_EXTENTS_MAX];
};

/* What a handler returns besides codes: this client broke the protocol and is dropped. */
#define RSMD_VIOLATION (-1)

/* Adds a descriptor to the answer; with `once` it is closed after sending. */
void rsmd_answer_add_fd(struct rsmd_answer *answer, int fd, bool once);

/* Takes a new connection. The descriptor is owned here from now on. */
void rsmd_client_accept(int socket);

/* The end of a client: withdraws, disconnects and frees all it had. */
void rsmd_client_drop(struct rsmd_client *client);

/* Whether its process still runs, so that what /proc/PID told was told about it. */
bool rsmd_client_is_alive(const struct rsmd_client *client);

/* Effective uid 0 or CAP_IPC_OWNER: overrides access lists (rsm-porting(7), Privilege). */
bool rsmd_client_is_privileged(const struct rsmd_client *client);

/* Handlers of requests: code, or RSMD_VIOLATION. They are called from the table in client.c only. */
#define RSMD_HANDLER(name)                                                                                   \
	int name(struct rsmd_client *client, const Wire__Request *request, struct wire_packet *packet,       \
		 struct rsmd_answer *answer)

RSMD_HANDLER(rsmd_object_create);
RSMD_HANDLER(rsmd_object_offer);
RSMD_HANDLER(rsmd_object_free);
RSMD_HANDLER(rsmd_export_create);
RSMD_HANDLER(rsmd_export_layout);
RSMD_HANDLER(rsmd_export_destroy);
RSMD_HANDLER(rsmd_export_publish);
RSMD_HANDLER(rsmd_export_unpublish);
RSMD_HANDLER(rsmd_export_reserve);
RSMD_HANDLER(rsmd_export_unreserve);
RSMD_HANDLER(rsmd_away_result);
RSMD_HANDLER(rsmd_import_connect);
RSMD_HANDLER(rsmd_import_layout);
RSMD_HANDLER(rsmd_import_disconnect);
RSMD_HANDLER(rsmd_signal_memory);
RSMD_HANDLER(rsmd_signal_pollfd);
RSMD_HANDLER(rsmd_signal_ring);
RSMD_HANDLER(rsmd_topology_tell);
RSMD_HANDLER(rsmd_status_tell);
RSMD_HANDLER(rsmd_counters_tell);
RSMD_HANDLER(rsmd_watch_open);

#endif
