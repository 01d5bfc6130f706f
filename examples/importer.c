/* SPDX-License-Identifier: BSD-2-Clause */
/* Writes to the segment of exporter.c and signals. */
#include <rsmapi.h>

int main(void)
{
	rsmapi_controller_handle_t controller;
	rsm_memseg_import_handle_t segment;
	rsm_topology_t *topology;
	rsmapi_barrier_t barrier;
	char text[] = "hello";

	if (rsm_get_controller("loopback", &controller) || rsm_get_interconnect_topology(&topology) ||
	    rsm_memseg_import_connect(controller, topology->topology_hdr.local_nodeid, 0x400000,
				      RSM_PERM_WRITE, &segment) ||
	    rsm_memseg_import_init_barrier(segment, RSM_BAR_DEFAULT, &barrier) ||
	    rsm_memseg_import_put(segment, 0, text, sizeof text) || rsm_intr_signal_post(segment, 0))
		return 1;
	rsm_free_interconnect_topology(topology);
	return rsm_memseg_import_disconnect(segment);
}
