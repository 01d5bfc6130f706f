/* SPDX-License-Identifier: BSD-2-Clause */
/* Writes to the segment of exporter.c and signals. Waits up to 5 s for it. */
#include <rsm/ext.h>
#include <rsmapi.h>
#include <stdio.h>
#include <unistd.h>

int main(void)
{
	rsmapi_controller_handle_t controller;
	rsm_memseg_import_handle_t segment;
	rsm_topology_t *topology;
	rsmapi_barrier_t barrier;
	char text[] = "hello";
	int code, tries = 500;

	if (rsm_get_controller("loopback", &controller) || rsm_get_interconnect_topology(&topology))
		goto failed;
	do /* the exporter may be a moment later */
		code = rsm_memseg_import_connect(controller, topology->topology_hdr.local_nodeid, 0x400000,
						 RSM_PERM_WRITE, &segment);
	while (code == RSMERR_SEG_NOT_PUBLISHED && --tries > 0 && usleep(10000) == 0);
	rsm_free_interconnect_topology(topology);
	if (code || rsm_memseg_import_init_barrier(segment, RSM_BAR_DEFAULT, &barrier) ||
	    rsm_memseg_import_put(segment, 0, text, sizeof text) || rsm_intr_signal_post(segment, 0) ||
	    rsm_memseg_import_disconnect(segment))
		goto failed;
	return 0;
failed:
	fprintf(stderr, "importer: %s\n", rsmx_last_error());
	return 1;
}
