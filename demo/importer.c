/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * demo_importer NODE ID LENGTH SHA256: connects, maps, verifies the checksum, changes two regions inside a
 * barrier, signals, and then waits inside another barrier for the exporter's end.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "step.h"

static void change(rsm_memseg_import_handle_t import, rsmapi_barrier_t *barrier, unsigned char *map,
		   size_t length)
{
	unsigned char region[DEMO_REGION];
	for (size_t i = 0; i < DEMO_REGION; i++)
		region[i] = demo_byte(i);
	demo_need(rsm_memseg_import_open_barrier(barrier), "rsm_memseg_import_open_barrier");
	demo_need(rsm_memseg_import_put(import, 0, region, DEMO_REGION), "rsm_memseg_import_put");
	for (size_t i = 0; i < DEMO_REGION; i++)
		map[length - DEMO_REGION + i] = demo_byte(i + 1);
	demo_need(rsm_memseg_import_close_barrier(barrier), "rsm_memseg_import_close_barrier");
	demo_step("changed %zu bytes by put and %zu by mapped stores, inside a barrier", DEMO_REGION,
		  DEMO_REGION);
}

/* Stores go on until the barrier tells; run.sh kills the exporter meanwhile. */
static void outlive(rsm_memseg_import_handle_t import, rsmapi_barrier_t *barrier, unsigned char *map)
{
	demo_need(rsm_memseg_import_open_barrier(barrier), "rsm_memseg_import_open_barrier");
	map[0] = 1;
	demo_tell("inside");
	int code = rsm_intr_signal_wait(import, DEMO_TIMEOUT_MS);
	if (code != RSMERR_CONN_ABORTED)
		demo_fail("the wait ended with %s where RSMERR_CONN_ABORTED was due", rsmx_errname(code));
	demo_restart();
	map[0] = 2; /* no fault: it goes nowhere */
	code = rsm_memseg_import_close_barrier(barrier);
	if (code != RSMERR_CONN_ABORTED)
		demo_fail("the barrier closed with %s where RSMERR_CONN_ABORTED was due", rsmx_errname(code));
	demo_step("its open barrier reports RSMERR_CONN_ABORTED; its map is still safe to touch");
}

int main(int argc, char **argv)
{
	char loopback[] = "loopback", digest[65];
	rsmapi_controller_handle_t controller;
	rsm_memseg_import_handle_t import;
	rsmapi_barrier_t barrier;
	void *address = NULL;

	demo_begin("importer");
	if (argc != 5)
		demo_fail("usage: demo_importer NODE ID LENGTH SHA256");
	rsm_node_id_t node = (rsm_node_id_t)strtoul(argv[1], NULL, 10);
	rsm_memseg_id_t id = (rsm_memseg_id_t)strtoul(argv[2], NULL, 10);
	size_t length = strtoull(argv[3], NULL, 10);

	demo_need(rsm_get_controller(loopback, &controller), "rsm_get_controller");
	demo_need(rsm_memseg_import_connect(controller, node, id, RSM_PERM_RDWR, &import),
		  "rsm_memseg_import_connect");
	demo_need(rsm_memseg_import_init_barrier(import, RSM_BARRIER_SEGMENT, &barrier),
		  "rsm_memseg_import_init_barrier");
	demo_step("connected to %u:0x%x with read and write right", node, id);

	demo_need(rsm_memseg_import_map(import, &address, RSM_MAP_NONE, RSM_PERM_RDWR, 0, length),
		  "rsm_memseg_import_map");
	demo_step("mapped %.1f MiB", (double)length / 1048576);

	demo_checksum(address, length, digest);
	if (strcmp(digest, argv[4]) != 0)
		demo_fail("SHA-256 of the mapped memory is %s, that of the file %s", digest, argv[4]);
	demo_step("SHA-256 of the mapped memory is the file's: %.16s...", digest);

	change(import, &barrier, address, length);
	demo_need(rsm_intr_signal_post(import, 0), "rsm_intr_signal_post");
	demo_step("signalled the exporter");

	demo_need(rsm_intr_signal_wait(import, DEMO_TIMEOUT_MS), "rsm_intr_signal_wait");
	outlive(import, &barrier, address);

	demo_need(rsm_memseg_import_unmap(import), "rsm_memseg_import_unmap");
	demo_need(rsm_memseg_import_destroy_barrier(&barrier), "rsm_memseg_import_destroy_barrier");
	demo_need(rsm_memseg_import_disconnect(import), "rsm_memseg_import_disconnect");
	demo_need(rsm_release_controller(controller), "rsm_release_controller");
	return 0;
}
