/* SPDX-License-Identifier: BSD-2-Clause */
#include "rsmd/event.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/probe.h"
#include "base/text.h"
#include "rsmd/away.h"
#include "rsmd/export.h"
#include "rsmd/guest.h"
#include "rsmd/log.h"
#include "rsmd/recorder.h"
#include "rsmd/watch.h"

/* Keys of an event. A text that is missing, and a segment 0, are left out. */
enum {
	NODE = 1u << 0,
	SEGMENT = 1u << 1,
	PROCESS = 1u << 2, /* pid, uid, program */
	IMPORTER = 1u << 3,
	LENGTH = 1u << 4,
	ACCESS = 1u << 5,
	CONTROLLER = 1u << 6,
	CODE = 1u << 7,
	REASON = 1u << 8,
	OTHER = 1u << 9, /* name, release */
};

static const struct {
	const char *name, *text;
	enum rsmd_log_level level;
	unsigned keys;
} kinds[RSMD_EVENT_KINDS] = {
	[RSMD_EVENT_CLIENT] = {"client", "client came", RSMD_LOG_DEBUG, PROCESS},
	[RSMD_EVENT_CLIENT_GONE] = {"client-gone", "client gone", RSMD_LOG_DEBUG, PROCESS},
	[RSMD_EVENT_PUBLISH] = {"publish", "segment published", RSMD_LOG_DEBUG,
				NODE | SEGMENT | PROCESS | LENGTH | ACCESS | CONTROLLER},
	[RSMD_EVENT_REPUBLISH] = {"republish", "segment republished", RSMD_LOG_DEBUG,
				  NODE | SEGMENT | PROCESS | LENGTH | ACCESS | CONTROLLER},
	[RSMD_EVENT_UNPUBLISH] = {"unpublish", "segment withdrawn", RSMD_LOG_DEBUG,
				  NODE | SEGMENT | PROCESS | LENGTH | CONTROLLER},
	[RSMD_EVENT_CONNECT] = {"connect", "connection made", RSMD_LOG_DEBUG,
				NODE | SEGMENT | PROCESS | IMPORTER | LENGTH | ACCESS | CONTROLLER},
	[RSMD_EVENT_REFUSE] = {"refuse", "refused", RSMD_LOG_DEBUG,
			       NODE | SEGMENT | PROCESS | IMPORTER | ACCESS | CONTROLLER | CODE | REASON},
	[RSMD_EVENT_DISCONNECT] = {"disconnect", "connection ended", RSMD_LOG_DEBUG,
				   NODE | SEGMENT | PROCESS | IMPORTER | CONTROLLER},
	[RSMD_EVENT_ABORT] = {"abort", "connection aborted", RSMD_LOG_DEBUG,
			      NODE | SEGMENT | PROCESS | IMPORTER | CONTROLLER | CODE | REASON},
	[RSMD_EVENT_NODE_UP] = {"node-up", "node up", RSMD_LOG_INFO, NODE | CONTROLLER | OTHER},
	[RSMD_EVENT_NODE_DOWN] = {"node-down", "node down", RSMD_LOG_WARNING,
				  NODE | CONTROLLER | OTHER | REASON},
};

/* ---- its two forms ---- */

static void text_number(struct rsmd_line *line, struct rsmd_line *log, const char *key, uint64_t value)
{
	rsmd_line_number(line, key, value);
	rsmd_line_add(log, " %s=%" PRIu64, key, value);
}

/* A word in the log stands as it is, so that a double click takes it; anything else in quotes. */
static void text(struct rsmd_line *line, struct rsmd_line *log, const char *key, const char *value)
{
	char clean[RSMD_LINE_MAX];
	if (!value || !*value)
		return;
	size_t length = base_text_clean(clean, sizeof(clean), value);
	rsmd_line_text(line, key, clean);
	if (strcspn(clean, " \"\\=") == length) {
		rsmd_line_add(log, " %s=%s", key, clean);
	} else {
		rsmd_line_add(log, " %s=", key);
		rsmd_line_quote(log, clean);
	}
}

static void octal(struct rsmd_line *line, struct rsmd_line *log, const char *key, uint32_t value)
{
	char digits[16];
	snprintf(digits, sizeof(digits), "%04" PRIo32, value);
	text(line, log, key, digits);
}

static void form(const struct rsmd_event *event, uint64_t seq, struct rsmd_line *line, struct rsmd_line *log)
{
	unsigned keys = kinds[event->kind].keys;
	char hex[16];
	rsmd_line_begin(line);
	rsmd_line_number(line, "schema", 1);
	rsmd_line_number(line, "seq", seq);
	rsmd_line_time(line, "time", base_clock_real_ns());
	rsmd_line_text(line, "event", kinds[event->kind].name);
	log->length = 0;
	rsmd_line_add(log, "%s event=%s", kinds[event->kind].text, kinds[event->kind].name);
	if (event->at_door)
		keys &= ~(unsigned)(NODE | IMPORTER | ACCESS);
	if (keys & NODE)
		text_number(line, log, "node", event->node);
	snprintf(hex, sizeof(hex), "0x%" PRIx32, event->segment);
	if (keys & SEGMENT && event->segment)
		text(line, log, "segment", hex);
	if (keys & PROCESS) {
		text_number(line, log, "pid", event->pid > 0 ? (uint64_t)event->pid : 0);
		text_number(line, log, "uid", event->uid);
		text(line, log, "program", event->program);
	}
	if (keys & IMPORTER)
		text_number(line, log, "importer", event->importer);
	if (keys & LENGTH)
		text_number(line, log, "length", event->length);
	if (keys & ACCESS)
		octal(line, log, "access", event->access);
	if (keys & CONTROLLER)
		text(line, log, "controller", event->controller);
	if (keys & OTHER) {
		text(line, log, "name", event->name);
		text(line, log, "release", event->release);
	}
	if (keys & CODE && event->code)
		text_number(line, log, "code", (uint64_t)event->code);
	if (keys & REASON) /* the last one: it may be cut */
		text(line, log, "reason", event->reason);
	rsmd_line_end(line);
}

static void probe(const struct rsmd_event *event)
{
	switch (event->kind) {
	case RSMD_EVENT_CLIENT:
		BASE_PROBE2(client, event->pid, event->uid);
		break;
	case RSMD_EVENT_CLIENT_GONE:
		BASE_PROBE2(client_gone, event->pid, event->uid);
		break;
	case RSMD_EVENT_PUBLISH:
	case RSMD_EVENT_REPUBLISH:
		BASE_PROBE3(publish, event->segment, event->length, event->pid);
		break;
	case RSMD_EVENT_UNPUBLISH:
		BASE_PROBE3(unpublish, event->segment, event->length, event->pid);
		break;
	case RSMD_EVENT_CONNECT:
		BASE_PROBE4(connect, event->node, event->segment, event->importer, event->pid);
		break;
	case RSMD_EVENT_REFUSE:
		BASE_PROBE5(refuse, event->node, event->segment, event->importer, event->pid, event->code);
		break;
	case RSMD_EVENT_DISCONNECT:
		BASE_PROBE4(disconnect, event->node, event->segment, event->importer, event->pid);
		break;
	case RSMD_EVENT_ABORT:
		BASE_PROBE5(abort, event->node, event->segment, event->importer, event->pid, event->code);
		break;
	case RSMD_EVENT_NODE_UP:
		BASE_PROBE1(node_up, event->node);
		break;
	case RSMD_EVENT_NODE_DOWN:
		BASE_PROBE1(node_down, event->node);
		break;
	default:
		break;
	}
}

void rsmd_event(const struct rsmd_event *event)
{
	static uint64_t seq;
	struct rsmd_line line, log;
	enum rsmd_log_level level = kinds[event->kind].level;
	if (event->at_door)
		level = RSMD_LOG_WARNING;
	else if (event->kind == RSMD_EVENT_REFUSE && !event->segment)
		return; /* nobody can publish 0: a round trip was measured that way */
	form(event, ++seq, &line, &log);
	probe(event);
	rsmd_recorder_add(&line, false);
	rsmd_watchers_tell(&line, seq);
	if (event->at_door ? rsmd_log_admit_offence() : !event->budget || rsmd_log_admit(event->budget))
		rsmd_log_event(level, log.text, &line);
}

/* ---- of what is at hand ---- */

void rsmd_event_client(enum rsmd_event_kind kind, const struct rsmd_client *client, int code,
		       const char *reason)
{
	rsmd_event(&(struct rsmd_event){.kind = kind,
					.pid = client->pid,
					.uid = client->identity.uid,
					.program = client->program,
					.code = code,
					.reason = reason,
					.at_door = kind == RSMD_EVENT_REFUSE});
}

void rsmd_event_export(enum rsmd_event_kind kind, const struct rsmd_export *export)
{
	rsmd_event(
		&(struct rsmd_event){.kind = kind,
				     .node = rsmd_server.config.node_id,
				     .segment = export->segment_id,
				     .pid = export->owner->pid,
				     .uid = export->owner->identity.uid,
				     .program = export->owner->program,
				     .length = export->length,
				     .access = rsmd_access_of_node(&export->acl, rsmd_server.config.node_id),
				     .controller = export->controller->name});
}

void rsmd_event_import(enum rsmd_event_kind kind, struct rsmd_import *import, int code, const char *reason)
{
	bool is_end = kind == RSMD_EVENT_DISCONNECT || kind == RSMD_EVENT_ABORT;
	uint32_t here = rsmd_server.config.node_id;
	struct rsmd_event event = {.kind = kind,
				   .node = here,
				   .segment = import->segment_id,
				   .importer = here,
				   .access = import->granted,
				   .code = code,
				   .reason = reason};
	if (is_end && !import->told)
		return;
	import->told = kind == RSMD_EVENT_CONNECT;
	if (import->guest) {
		const struct rsmd_guest *guest = import->guest;
		event.pid = guest->pid;
		event.uid = guest->uid;
		event.program = guest->program;
		event.importer = guest->peer->member.node;
		event.controller = guest->peer->member.controller->name;
	} else {
		event.pid = import->owner->pid;
		event.uid = import->owner->identity.uid;
		event.program = import->owner->program;
	}
	if (import->export) {
		event.length = import->export->length;
		event.controller = import->export->controller->name;
	} else if (import->away) {
		event.node = import->away->peer->member.node;
		event.length = import->away->length;
		event.access = import->away->permission;
		event.controller = import->away->peer->member.controller->name;
	}
	rsmd_event(&event);
}

void rsmd_event_peer(enum rsmd_event_kind kind, struct rsmd_peer *peer, const char *reason)
{
	rsmd_event(&(struct rsmd_event){.kind = kind,
					.node = peer->member.node,
					.controller = peer->member.controller->name,
					.name = peer->member.name,
					.release = peer->release,
					.budget = &peer->lines,
					.reason = reason});
}
