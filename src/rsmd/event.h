/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Life events of the node: clients, publications, connections, paths to other nodes. One call for each, which writes the log's
 * line, fills the flight recorder, tells the watchers (watch.h) and passes a static probe. doc/observability.md has every key.
 * The loop's thread.
 */
#ifndef RSMD_EVENT_H
#define RSMD_EVENT_H

#include <stdbool.h>
#include <stdint.h>

struct rsmd_client;
struct rsmd_export;
struct rsmd_import;
struct rsmd_log_budget;
struct rsmd_peer;

enum rsmd_event_kind {
	RSMD_EVENT_CLIENT,
	RSMD_EVENT_CLIENT_GONE,
	RSMD_EVENT_PUBLISH,
	RSMD_EVENT_REPUBLISH,
	RSMD_EVENT_UNPUBLISH,
	RSMD_EVENT_CONNECT,
	RSMD_EVENT_REFUSE,
	RSMD_EVENT_DISCONNECT,
	RSMD_EVENT_ABORT,
	RSMD_EVENT_NODE_UP,
	RSMD_EVENT_NODE_DOWN,
	RSMD_EVENT_KINDS,
};

/* What an event is about. Texts are read before the call returns; which keys a kind has is event.c's table. */
struct rsmd_event {
	enum rsmd_event_kind kind;
	uint32_t node;    /* that owns the segment; node-up and node-down: the other one */
	uint32_t segment; /* 0: none */
	int32_t pid;      /* client, exporter or importer */
	uint32_t uid;
	const char *program; /* or NULL */
	uint32_t importer;   /* node of the importer */
	uint64_t length;
	uint32_t access; /* octal: of a publication what this node gets; else what was asked or granted */
	int code;        /* why: RSMERR code and text, or 0 and NULL */
	const char *reason;
	const char *controller;         /* or NULL */
	const char *name;               /* of the other node, or NULL */
	const char *release;            /* of its rsmd, or NULL */
	bool at_door;                   /* REFUSE: of a client altogether, not of a connect */
	struct rsmd_log_budget *budget; /* of its lines in the log, or NULL: there may be any number */
};

void rsmd_event(const struct rsmd_event *event);

/* The same for what is at hand. `code` and `reason`: 0 and NULL where there are none. A client's REFUSE is one at the door. */
void rsmd_event_client(enum rsmd_event_kind kind, const struct rsmd_client *client, int code,
		       const char *reason);
void rsmd_event_export(enum rsmd_event_kind kind, const struct rsmd_export *export);
/* DISCONNECT and ABORT only of one that was told as connected, and once. `segment`, `length`: of its segment, as far as known. */
void rsmd_event_import(enum rsmd_event_kind kind, struct rsmd_import *import, int code, const char *reason);
void rsmd_event_peer(enum rsmd_event_kind kind, struct rsmd_peer *peer, const char *reason);

#endif
