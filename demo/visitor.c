/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * demo_visitor CONTROLLER NODE ID LENGTH SHA256: the importer on another node. Reads all by get, verifies the checksum, changes
 * two regions by put inside a barrier, signals, and then waits inside another barrier for the exporter's end.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "step.h"

static void change(rsm_memseg_import_handle_t import, rsmapi_barrier_t *barrier, size_t length)
{
	unsigned char first[DEMO_REGION], last[DEMO_REGION];
	for (size_t i = 0; i < DEMO_REGION; i++) {
		first[i] = demo_byte(i);
		last[i] = demo_byte(i + 1);
	}
	demo_need(rsm_memseg_import_set_mode(import, RSM_BARRIER_MODE_EXPLICIT),
		  "rsm_memseg_import_set_mode");
	demo_need(rsm_memseg_import_open_barrier(barrier), "rsm_memseg_import_open_barrier");
	demo_need(rsm_memseg_import_put(import, 0, first, DEMO_REGION), "rsm_memseg_import_put");
	demo_need(rsm_memseg_import_put(import, (off_t)(length - DEMO_REGION), last, DEMO_REGION),
		  "rsm_memseg_import_put");
	demo_need(rsm_memseg_import_close_barrier(barrier), "rsm_memseg_import_close_barrier");
	demo_step("changed two regions of %zu bytes by put, inside a barrier", DEMO_REGION);
}

/* cluster.sh kills the exporter meanwhile. */
static void outlive(rsm_memseg_import_handle_t import, rsmapi_barrier_t *barrier)
{
	unsigned char byte = 1;
	demo_need(rsm_memseg_import_open_barrier(barrier), "rsm_memseg_import_open_barrier");
	demo_need(rsm_memseg_import_put(import, 0, &byte, 1), "rsm_memseg_import_put");
	demo_tell("inside");
	int code = rsm_intr_signal_wait(import, DEMO_TIMEOUT_MS);
	if (code != RSMERR_CONN_ABORTED)
		demo_fail("the wait ended with %s where RSMERR_CONN_ABORTED was due", rsmx_errname(code));
	demo_restart();
	code = rsm_memseg_import_close_barrier(barrier);
	if (code != RSMERR_CONN_ABORTED)
		demo_fail("the barrier closed with %s where RSMERR_CONN_ABORTED was due", rsmx_errname(code));
	demo_step("woken; its open barrier reports RSMERR_CONN_ABORTED");
	demo_step("  reason: %s", rsmx_last_error());
}

int main(int argc, char **argv)
{
	char digest[65];
	rsmapi_controller_handle_t controller;
	rsm_memseg_import_handle_t import;
	rsmapi_barrier_t barrier;

	demo_begin("importer");
	if (argc != 6)
		demo_fail("usage: demo_visitor CONTROLLER NODE ID LENGTH SHA256");
	rsm_node_id_t node = (rsm_node_id_t)strtoul(argv[2], NULL, 10);
	rsm_memseg_id_t id = (rsm_memseg_id_t)strtoul(argv[3], NULL, 10);
	size_t length = strtoull(argv[4], NULL, 10);
	unsigned char *memory = calloc(1, length);
	if (!memory || length < 2 * DEMO_REGION)
		demo_fail("memory for %zu bytes: %s", length, strerror(errno));

	demo_need(rsm_get_controller(argv[1], &controller), "rsm_get_controller");
	demo_restart();
	demo_need(rsm_memseg_import_connect(controller, node, id, RSM_PERM_RDWR, &import),
		  "rsm_memseg_import_connect");
	demo_need(rsm_memseg_import_init_barrier(import, RSM_BARRIER_SEGMENT, &barrier),
		  "rsm_memseg_import_init_barrier");
	demo_step("connected to %u:0x%x through %s, with read and write right", node, id, argv[1]);

	demo_need(rsm_memseg_import_get(import, 0, memory, length), "rsm_memseg_import_get");
	demo_step("read %.1f MiB by get; the exporter took no part", (double)length / 1048576);

	demo_checksum(memory, length, digest);
	if (strcmp(digest, argv[5]) != 0)
		demo_fail("SHA-256 of what was read is %s, that of the file %s", digest, argv[5]);
	demo_step("SHA-256 of what was read is the file's: %.16s...", digest);

	change(import, &barrier, length);
	demo_need(rsm_intr_signal_post(import, 0), "rsm_intr_signal_post");
	demo_step("signalled the exporter");

	demo_need(rsm_intr_signal_wait(import, DEMO_TIMEOUT_MS), "rsm_intr_signal_wait");
	demo_restart();
	outlive(import, &barrier);

	demo_need(rsm_memseg_import_destroy_barrier(&barrier), "rsm_memseg_import_destroy_barrier");
	demo_need(rsm_memseg_import_disconnect(import), "rsm_memseg_import_disconnect");
	demo_need(rsm_release_controller(controller), "rsm_release_controller");
	free(memory);
	return 0;
}
