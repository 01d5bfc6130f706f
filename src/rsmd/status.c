/* SPDX-License-Identifier: BSD-2-Clause */
#include "rsmd/status.h"

#include <rsmapi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/reason.h"
#include "rsmd/client.h"
#include "rsmd/export.h"
#include "rsmd/metrics.h"
#include "rsmd/recorder.h"

double rsmd_status_seconds_since(uint64_t ns)
{
	return (double)((base_clock_ns() - ns) / 1000000u) / 1000.0;
}

json_t *rsmd_status_octal(uint32_t mode)
{
	char text[16];
	snprintf(text, sizeof(text), "%04o", mode);
	return json_string(text);
}

json_t *rsmd_status_text(const char *bytes)
{
	json_t *text = json_string(bytes);
	return text ? text : json_string("?");
}

static json_t *metrics(void)
{
	size_t length;
	char *text = rsmd_metrics_collect(&length);
	json_t *told = text ? json_pack("{s:i, s:s%}", "schema", 1, "text", text, length) : NULL;
	free(text);
	return told;
}

/* What can be asked by its name alone; "segment" and "events" depend on more. */
static const struct teller {
	const char *what;
	json_t *(*tell)(void);
} tellers[] = {
	{"status", rsmd_status_node},   {"segments", rsmd_status_segments}, {"nodes", rsmd_status_nodes},
	{"config", rsmd_status_config}, {"health", rsmd_status_health},     {"metrics", metrics},
};

static const struct teller *teller_of(const char *what)
{
	for (size_t i = 0; i < sizeof(tellers) / sizeof(tellers[0]); i++)
		if (!strcmp(tellers[i].what, what))
			return &tellers[i];
	return NULL;
}

static int refuse_unknown(const char *what)
{
	char known[256] = "segment, events";
	for (size_t i = 0; i < sizeof(tellers) / sizeof(tellers[0]); i++) {
		size_t used = strlen(known);
		snprintf(known + used, sizeof(known) - used, ", %s", tellers[i].what);
	}
	return base_refuse(RSMERR_BAD_ADDR, "status of \"%.64s\" was asked; known are %s", what, known);
}

RSMD_HANDLER(rsmd_status_tell)
{
	const char *what = request->status->what;
	uid_t asker = client->identity.uid;
	json_t *told = NULL;
	(void)packet;
	if (!strcmp(what, "events")) { /* text already */
		answer->text = rsmd_recorder_tell(asker == 0 || asker == geteuid());
	} else if (!strcmp(what, "segment")) {
		uint32_t id = request->status->segment_id;
		const struct rsmd_export *export = rsmd_export_published(id);
		if (!export)
			return rsmd_export_missing(id);
		told = rsmd_status_segment(export, asker);
	} else {
		const struct teller *teller = teller_of(what);
		if (!teller)
			return refuse_unknown(what);
		told = teller->tell();
	}
	if (told)
		answer->text = json_dumps(told, JSON_COMPACT);
	json_decref(told);
	if (!answer->text)
		return base_refuse(RSMERR_INSUFFICIENT_MEM, "rsmd has no memory for the answer");
	wire__status_reply__init(&answer->body.status);
	answer->body.status.json = answer->text;
	answer->reply.body_case = WIRE__REPLY__BODY_STATUS;
	answer->reply.status = &answer->body.status;
	return RSM_SUCCESS;
}
