/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the larger examples share: an end with the library's reason where nothing better can be done, memory that is
 * exported, segments by their name on the command line. The environment's CONTROLLER chooses the controller: loopback,
 * the default, for processes of one host, or the one that joins the nodes, such as tcp0.
 */
#ifndef EXAMPLE_H
#define EXAMPLE_H

#include <rsm/ext.h>
#include <rsmapi.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MUST(call) example_must((call), #call)

static inline void example_must(int code, const char *call)
{
	if (code == RSM_SUCCESS)
		return;
	fprintf(stderr, "%s: %s: %s\n", call, rsmx_errname(code), rsmx_last_error());
	exit(1);
}

static inline rsmapi_controller_handle_t example_controller(void)
{
	rsmapi_controller_handle_t controller;
	char loopback[] = "loopback", *name = getenv("CONTROLLER");
	MUST(rsm_get_controller(name ? name : loopback, &controller));
	return controller;
}

/* Zeroed memory of whole pages, published as `id` for everybody whom the umask allows. */
static inline void *example_export(rsm_memseg_id_t id, size_t size, rsm_memseg_export_handle_t *segment)
{
	size = (size + 4095) / 4096 * 4096;
	void *memory = rsmx_alloc(size, 0);
	if (!memory) {
		fprintf(stderr, "rsmx_alloc: %s\n", rsmx_last_error());
		exit(1);
	}
	MUST(rsm_memseg_export_create(example_controller(), segment, memory, size, 0));
	MUST(rsm_memseg_export_publish(*segment, &id, NULL, 0));
	return memory;
}

/* "0x400000" or, of another node, "2:0x400000". */
static inline int example_connect(const char *name, rsm_permission_t permission,
				  rsm_memseg_import_handle_t *import, rsmapi_barrier_t *barrier)
{
	static rsmapi_controller_handle_t controller;
	if (!controller)
		controller = example_controller();
	const char *colon = strchr(name, ':');
	rsm_node_id_t node;
	if (colon) {
		node = (rsm_node_id_t)strtoul(name, NULL, 0);
	} else {
		rsm_topology_t *topology;
		MUST(rsm_get_interconnect_topology(&topology));
		node = topology->topology_hdr.local_nodeid;
		rsm_free_interconnect_topology(topology);
	}
	rsm_memseg_id_t id = (rsm_memseg_id_t)strtoul(colon ? colon + 1 : name, NULL, 0);
	int code = rsm_memseg_import_connect(controller, node, id, permission, import);
	if (code == RSM_SUCCESS)
		MUST(rsm_memseg_import_init_barrier(*import, RSM_BAR_DEFAULT, barrier));
	return code;
}

/* The same for programs that may start before the exporter: waits for it, up to 10 s. */
static inline int example_await(const char *name, rsm_permission_t permission,
				rsm_memseg_import_handle_t *import, rsmapi_barrier_t *barrier)
{
	int code, tries = 1000;
	while ((code = example_connect(name, permission, import, barrier)) == RSMERR_SEG_NOT_PUBLISHED &&
	       --tries > 0)
		usleep(10000);
	return code;
}

#endif
