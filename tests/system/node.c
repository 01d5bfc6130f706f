/* SPDX-License-Identifier: BSD-2-Clause */
#include "node.h"

#include <jansson.h>
#include <poll.h>
#include <rsm/ext.h>
#include <stdlib.h>

#include "daemon.h"
#include "suite.h"

static json_t *ask(const char *what, rsm_memseg_id_t id)
{
	char *text = NULL;

	MUST(rsmx_status(what, id, &text));
	json_t *json = json_loads(text, 0, NULL);
	free(text);
	CHECK(json_is_object(json));
	return json;
}

static int number(json_t *object, const char *key)
{
	json_t *value = json_object_get(object, key);
	CHECK(json_is_integer(value));
	return (int)json_integer_value(value);
}

struct node_counts node_counts(void)
{
	const char *pid = getenv("RSM_TEST_RSMD_PID");
	json_t *status = ask("status", 0), *counts = json_object_get(status, "counts");
	struct node_counts now = {
		.clients = number(counts, "clients"),
		.exports = number(counts, "exports"),
		.published = number(counts, "published"),
		.imports = number(counts, "imports"),
		.objects = number(counts, "objects"),
		.descriptors = pid ? daemon_descriptors(atoi(pid)) : -1,
	};
	json_decref(status);
	return now;
}

void node_until(const char *file, int line, const struct node_counts *before)
{
	struct node_counts now;

	for (uint64_t start = suite_clock_ms();;) {
		now = node_counts();
		if (now.clients == before->clients && now.exports == before->exports &&
		    now.published == before->published && now.imports == before->imports &&
		    now.objects == before->objects && now.descriptors <= before->descriptors)
			return;
		if (suite_clock_ms() - start > SUITE_PROMPT)
			suite_fail(file, line,
				   "left behind: clients %d->%d exports %d->%d published %d->%d imports "
				   "%d->%d objects %d->%d "
				   "descriptors %d->%d",
				   before->clients, now.clients, before->exports, now.exports,
				   before->published, now.published, before->imports, now.imports,
				   before->objects, now.objects, before->descriptors, now.descriptors);
		poll(NULL, 0, 1); /* asked again; nothing depends on how long this takes */
	}
}

int node_importers(rsm_memseg_id_t id)
{
	json_t *all = ask("segment", id);
	int count = number(json_object_get(all, "segment"), "importers");
	json_decref(all);
	return count;
}
