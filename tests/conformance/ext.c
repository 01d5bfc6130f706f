/* SPDX-License-Identifier: BSD-2-Clause */
/* rsm/ext.h beside what other areas use of it. */
#include <rsm/ext.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "pair.h"
#include "peer.h"

static rsmx_segment_info_t info_of(void *handle)
{
	rsmx_segment_info_t info = {.size = sizeof(info)};

	MUST(rsmx_segment_info(handle, &info));
	return info;
}

static void segment_info(void)
{
	struct pair pair;
	void *address = NULL;

	pair_export(&pair, 3);
	rsmx_segment_info_t info = info_of(pair.e);
	CHECK_EQUAL(3 * suite_page(), info.length);
	CHECK_EQUAL(RSMX_STATE_BOUND, info.state);
	CHECK_EQUAL(0, info.segment_id);
	CHECK_EQUAL(RSM_PERM_RDWR, info.granted);
	CHECK_EQUAL(getpid(), info.peer_pid);
	CHECK_EQUAL(pair.node, info.node);
	pair_publish(&pair);
	pair_connect(&pair, RSM_PERM_READ);
	info = info_of(pair.e);
	CHECK_EQUAL(RSMX_STATE_PUBLISHED, info.state);
	CHECK_EQUAL(pair.id, info.segment_id);
	CHECK_EQUAL(1, info.importers);
	MUST(rsm_intr_signal_post(pair.e, 0));
	MUST(rsm_intr_signal_post(pair.e, 0));
	if (suite_is_tcp()) /* posts and withdrawals travel */
		SOON(info_of(pair.i).pending == 2);
	info = info_of(pair.i);
	CHECK_EQUAL(3 * suite_page(), info.length); /* what the Solaris API cannot tell */
	CHECK_EQUAL(RSM_PERM_READ, info.granted);
	CHECK_EQUAL(RSMX_STATE_CONNECTED, info.state);
	CHECK_EQUAL(pair.id, info.segment_id);
	CHECK_EQUAL(geteuid(), info.peer_uid);
	CHECK_EQUAL(2, info.pending);
	EXPECT(SUITE_MAP_CODE,
	       rsm_memseg_import_map(pair.i, &address, RSM_MAP_NONE, RSM_PERM_READ, 0, pair.length));
	CHECK_EQUAL(suite_can_map() ? RSMX_STATE_MAPPED : RSMX_STATE_CONNECTED, info_of(pair.i).state);
	MUST(rsm_memseg_export_unpublish(pair.e));
	if (suite_is_tcp())
		SOON(info_of(pair.i).state == RSMX_STATE_ABORTED);
	CHECK_EQUAL(RSMX_STATE_ABORTED, info_of(pair.i).state);
	CHECK_EQUAL(RSMX_STATE_BOUND, info_of(pair.e).state);
}

static void segment_info_peer(void)
{
	struct peer peer;
	rsm_memseg_import_handle_t i;

	peer_start_unprivileged(&peer);
	rsm_memseg_id_t id = peer_export(&peer, suite_page(), 0);
	MUST(rsm_memseg_import_connect(pair_controller(suite_controller()), pair_node(), id, RSM_PERM_READ,
				       &i));
	rsmx_segment_info_t info = info_of(i);
	CHECK_EQUAL(peer.pid, info.peer_pid);
	CHECK_EQUAL(geteuid() == 0 ? 65534 : geteuid(), info.peer_uid);
}

static void segment_info_arguments(void)
{
	struct pair pair;
	union {
		rsmx_segment_info_t info;
		uint8_t bytes[sizeof(rsmx_segment_info_t)];
	} room;

	pair_open(&pair);
	room.info.size = sizeof(room.info);
	EXPECT(RSMERR_BAD_SEG_HNDL, rsmx_segment_info(NULL, &room.info));
	EXPECT(RSMERR_BAD_SEG_HNDL, rsmx_segment_info(pair.memory, &room.info));
	EXPECT(RSMERR_BAD_ADDR, rsmx_segment_info(pair.e, NULL));
	room.info.size = 15;
	EXPECT(RSMERR_BAD_ADDR, rsmx_segment_info(pair.e, &room.info));
	memset(&room, 0xee, sizeof(room));
	room.info.size = 16; /* an older program's structure: only what fits is written */
	MUST(rsmx_segment_info(pair.e, &room.info));
	CHECK_EQUAL(suite_page(), room.info.length);
	CHECK_BYTES(room.bytes + 16, 0xee, sizeof(room) - 16);
}

static void status(void)
{
	struct pair pair;
	char *json = NULL;

	pair_open(&pair);
	EXPECT(RSMERR_BAD_ADDR, rsmx_status(NULL, 0, &json));
	EXPECT(RSMERR_BAD_ADDR, rsmx_status("status", 0, NULL));
	EXPECT(RSMERR_BAD_ADDR, rsmx_status("nothing", 0, &json));
	EXPECT(RSMERR_SEG_NOT_PUBLISHED, rsmx_status("segment", 0x7abcdef1, &json));
	CHECK(json == NULL);
	MUST(rsmx_status("status", 0, &json));
	CHECK(strstr(json, "\"schema\":1") != NULL);
	free(json);
	MUST(rsmx_status("segments", 0, &json));
	free(json);
	MUST(rsmx_status("segment", pair.id, &json));
	CHECK(strstr(json, "\"imports\":[{") != NULL);
	free(json);
}

static void long_question(void)
{
	enum { LONG = 3 << 20 };
	struct pair pair;
	char *question = malloc(LONG), *json = NULL;

	/* What is too long for the conversation is refused, and the conversation goes on. */
	CHECK(question != NULL);
	pair_open(&pair);
	memset(question, 'x', LONG);
	question[LONG - 1] = '\0';
	EXPECT(RSMERR_INSUFFICIENT_RESOURCES, rsmx_status(question, 0, &json));
	question[200000] = '\0';
	EXPECT(RSMERR_BAD_ADDR, rsmx_status(question, 0, &json));
	CHECK(json == NULL);
	MUST(rsm_memseg_export_republish(pair.e, NULL, 0));
	MUST(pair_put_byte(pair.i, 0, 1));
	CHECK_BYTES(pair.memory, 1, 1);
	free(question);
}

static void last_error(void)
{
	struct pair pair;
	rsmapi_controller_handle_t none;
	char missing[] = "rsm-no-such", refusal[256];

	/* Each refusal has a text of its own, also the one of a poll for events. */
	pair_open(&pair);
	EXPECT(RSMERR_CTLR_NOT_PRESENT, rsm_get_controller(missing, &none));
	snprintf(refusal, sizeof(refusal), "%s", rsmx_last_error());
	CHECK(strstr(refusal, missing) != NULL);
	EXPECT(RSMERR_TIMEOUT, rsm_intr_signal_wait(pair.e, 0));
	CHECK(strcmp(rsmx_last_error(), refusal) != 0);
	CHECK(strstr(rsmx_last_error(), "event") != NULL);
}

static void large_status(void)
{
	enum { COUNT = 600 };
	rsm_memseg_export_handle_t e;
	rsmapi_controller_handle_t c = pair_controller(suite_controller());
	char *json = NULL;
	int found = 0;

	for (int at = 0; at < COUNT; at++) { /* an answer beyond what one packet holds */
		rsm_memseg_id_t id = 0;
		MUST(rsm_memseg_export_create(c, &e, pair_memory(1, 0), suite_page(), 0));
		MUST(rsm_memseg_export_publish(e, &id, NULL, 0));
	}
	MUST(rsmx_status("segments", 0, &json));
	for (const char *at = json; (at = strstr(at, "\"id_hex\"")); at++)
		found++;
	CHECK(found >= COUNT);
	free(json);
}

static void version(void)
{
	const char *daemon = NULL;

	CHECK(strcmp(rsmx_version(NULL), RSM_RELEASE) == 0);
	CHECK(strcmp(rsmx_version(&daemon), RSM_RELEASE) == 0 && strcmp(daemon, "") == 0);
	pair_controller(suite_controller());
	rsmx_version(&daemon);
	CHECK(strcmp(daemon, RSM_RELEASE) == 0);
}

static const struct suite_case cases[] = {
	{"X-segment-info", "rsmx_segment_info through the states of a segment", segment_info},
	{"X-segment-info-peer", "rsmx_segment_info names the exporter", segment_info_peer},
	{"X-segment-info-arguments", "rsmx_segment_info: arguments, older structures",
	 segment_info_arguments},
	{"X-status", "rsmx_status: arguments and answers", status},
	{"X-status-large", "rsmx_status of 600 segments", large_status},
	{"X-status-long", "a request that is too long is refused; the next ones work", long_question},
	{"X-last-error", "a poll for events does not keep the text of an older refusal", last_error},
	{"X-version", "rsmx_version, before and after the conversation begins", version},
};

SUITE_MAIN(cases)
