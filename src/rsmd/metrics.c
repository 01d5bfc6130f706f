/* SPDX-License-Identifier: BSD-2-Clause */
#include "rsmd/metrics.h"

#include <rsmapi.h>
#include <stdio.h>

#include "base/reason.h"
#include "rsmd/export.h"
#include "rsmd/import.h"
#include "rsmd/object.h"
#include "wire/rsm.pb-c.h"

struct rsmd_metrics rsmd_metrics;

static const char *const causes[RSMD_METRICS_CAUSES] = {
	[RSMD_METRICS_WITHDRAWN] = "withdrawn",
	[RSMD_METRICS_EXPORTER_GONE] = "exporter-gone",
	[RSMD_METRICS_OWNER] = "owner",
	[RSMD_METRICS_PATH_LOST] = "path-lost",
};

static void about_node(struct rsmd_metrics_text *text)
{
	const struct rsmd_config *config = &rsmd_server.config;
	char id[16];
	snprintf(id, sizeof(id), "%u", config->node_id);
	rsmd_metrics_gauge(text, "rsm_build_info", "Release of rsmd. Always 1.");
	rsmd_metrics_count(text, (struct rsmd_metrics_label[]){{"release", RSM_RELEASE}, {0}}, 1);
	rsmd_metrics_gauge(text, "rsm_node_info", "Number and name of this node. Always 1.");
	rsmd_metrics_count(text, (struct rsmd_metrics_label[]){{"id", id}, {"name", config->node_name}, {0}},
			   1);
	rsmd_metrics_gauge(text, "rsm_controller_info",
			   "Controllers of this node and the type of their transport. Always 1.");
	for (size_t i = 0; i < config->controller_count; i++)
		rsmd_metrics_count(text,
				   (struct rsmd_metrics_label[]){{"controller", config->controllers[i].name},
								 {"type", config->controllers[i].type},
								 {0}},
				   1);
}

/* What is in use now, and the limits. */
static void in_use(struct rsmd_metrics_text *text)
{
	const struct {
		const char *name, *help;
		uint64_t value;
	} gauges[] = {
		{"rsm_clients", "Processes that talk to rsmd.", rsmd_server.client_count},
		{"rsm_exports", "Export segments, published or not.", HASH_COUNT(rsmd_server.exports)},
		{"rsm_published_segments", "Segments that can be connected to.",
		 HASH_CNT(hh_published, rsmd_server.published)},
		{"rsm_imports",
		 "Import handles: of processes of this node, and of other nodes' to segments of this one.",
		 HASH_COUNT(rsmd_server.imports)},
		{"rsm_objects", "Memory objects behind exports.", HASH_COUNT(rsmd_server.objects)},
		{"rsm_segments", "Exports and imports as max-segments counts them.", rsmd_server.segments},
		{"rsm_max_segments", "Limit of rsm_segments (max-segments).",
		 rsmd_server.config.max_segments},
		{"rsm_exported_bytes", "Bytes exported or reserved for that.", rsmd_server.exported_bytes},
		{"rsm_max_exported_bytes", "Limit of rsm_exported_bytes (max-exported-memory); 0: none.",
		 rsmd_server.config.max_exported_bytes},
		{"rsm_object_bytes",
		 "Bytes of sealed memory objects; while memory moves, the old and the new one.",
		 rsmd_server.object_bytes},
	};
	for (size_t i = 0; i < sizeof(gauges) / sizeof(gauges[0]); i++) {
		rsmd_metrics_gauge(text, gauges[i].name, gauges[i].help);
		rsmd_metrics_count(text, NULL, gauges[i].value);
	}
}

static void requests(struct rsmd_metrics_text *text)
{
	const ProtobufCMessageDescriptor *request = &wire__request__descriptor;
	rsmd_metrics_counter(text, "rsm_requests_total",
			     "Requests of this node's processes by their kind, as rsm.proto names them.");
	for (unsigned i = 0; i < request->n_fields; i++) {
		const ProtobufCFieldDescriptor *field = &request->fields[i];
		if (field->type == PROTOBUF_C_TYPE_MESSAGE && field->id < RSMD_METRICS_KINDS)
			rsmd_metrics_count(text, (struct rsmd_metrics_label[]){{"kind", field->name}, {0}},
					   rsmd_metrics.requests[field->id]);
	}
	rsmd_metrics_count(text, (struct rsmd_metrics_label[]){{"kind", "unknown"}, {0}},
			   rsmd_metrics.requests[0]);
}

/* Those that rsmd itself refuses with are there from the start, so that their first rise is seen; others when they came. */
static void refusals(struct rsmd_metrics_text *text)
{
	static const bool usual[RSMD_METRICS_CODES] = {
		[RSMERR_BAD_LIBRARY_VERSION] = true,
		[RSMERR_CTLR_NOT_PRESENT] = true,
		[RSMERR_BAD_SEG_HNDL] = true,
		[RSMERR_SEG_ALREADY_PUBLISHED] = true,
		[RSMERR_SEG_NOT_PUBLISHED] = true,
		[RSMERR_SEG_NOT_PUBLISHED_TO_NODE] = true,
		[RSMERR_BAD_ADDR] = true,
		[RSMERR_BAD_MEM_ALIGNMENT] = true,
		[RSMERR_BAD_LENGTH] = true,
		[RSMERR_BAD_ACL] = true,
		[RSMERR_RESERVED_SEGID] = true,
		[RSMERR_SEGID_IN_USE] = true,
		[RSMERR_PERM_DENIED] = true,
		[RSMERR_INSUFFICIENT_RESOURCES] = true,
		[RSMERR_INSUFFICIENT_MEM] = true,
		[RSMERR_REMOTE_NODE_UNREACHABLE] = true,
		[RSMERR_CONN_ABORTED] = true,
		[RSMERR_INTERNAL_ERROR] = true,
	};
	rsmd_metrics_counter(text, "rsm_refusals_total",
			     "Requests of this node's processes that were refused, by code.");
	for (int code = 1; code < RSMD_METRICS_CODES; code++)
		if (usual[code] || rsmd_metrics.refusals[code])
			rsmd_metrics_count(text,
					   (struct rsmd_metrics_label[]){{"code", base_code_name(code)}, {0}},
					   rsmd_metrics.refusals[code]);
	rsmd_metrics_count(text, (struct rsmd_metrics_label[]){{"code", "unknown"}, {0}},
			   rsmd_metrics.refusals[0]);
}

static void by_cause(struct rsmd_metrics_text *text, const uint64_t *counts, const char *name,
		     const char *help, int last)
{
	rsmd_metrics_counter(text, name, help);
	for (int cause = 0; cause <= last; cause++)
		rsmd_metrics_count(text, (struct rsmd_metrics_label[]){{"cause", causes[cause]}, {0}},
				   counts[cause]);
}

static void segments(struct rsmd_metrics_text *text)
{
	const struct rsmd_config *config = &rsmd_server.config;
	rsmd_metrics_counter(text, "rsm_publications_total", "Segments published.");
	rsmd_metrics_count(text, NULL, rsmd_metrics.publications);
	by_cause(text, rsmd_metrics.withdrawals, "rsm_withdrawals_total",
		 "Publications that ended: the owner withdrew the segment, or its process ended.",
		 RSMD_METRICS_EXPORTER_GONE);
	rsmd_metrics_counter(text, "rsm_connects_total",
			     "Connects of this node's processes that succeeded, by controller.");
	for (size_t i = 0; i < config->controller_count; i++)
		rsmd_metrics_count(
			text, (struct rsmd_metrics_label[]){{"controller", config->controllers[i].name}, {0}},
			rsmd_metrics.connects[i]);
	by_cause(text, rsmd_metrics.aborts, "rsm_aborts_total",
		 "Imports that lost their connection while they wanted it: the owner withdrew the segment, "
		 "its "
		 "process ended, the "
		 "node of the segment said so, or the path to the other node was lost.",
		 RSMD_METRICS_CAUSES - 1);
}

static void others(struct rsmd_metrics_text *text)
{
	rsmd_metrics_counter(text, "rsm_client_connections_total",
			     "Processes that began to talk to rsmd, those refused included.");
	rsmd_metrics_count(text, NULL, rsmd_metrics.clients);
	rsmd_metrics_counter(text, "rsm_doorbells_rung_total",
			     "How often rsmd made a descriptor for poll readable.");
	rsmd_metrics_count(text, NULL, atomic_load_explicit(&rsmd_metrics.doorbells, memory_order_relaxed));
	rsmd_metrics_counter(
		text, "rsm_offences_total",
		"Clients and connections that were refused or dropped for what came from there; each has a "
		"line in the log, at most 10 a second.");
	rsmd_metrics_count(text, NULL, rsmd_metrics.offences);
}

char *rsmd_metrics_collect(size_t *length)
{
	struct rsmd_metrics_text text = {0};
	about_node(&text);
	rsmd_metrics_process(&text);
	in_use(&text);
	requests(&text);
	refusals(&text);
	segments(&text);
	others(&text);
	rsmd_metrics_locals(&text);
	rsmd_metrics_nodes(&text);
	return rsmd_metrics_take(&text, length);
}

void rsmd_metrics_open(void)
{
	rsmd_metrics_file_open();
#ifdef RSMD_MICROHTTPD
	rsmd_metrics_http_open();
#endif
}

void rsmd_metrics_close(void)
{
#ifdef RSMD_MICROHTTPD
	rsmd_metrics_http_close();
#endif
}
