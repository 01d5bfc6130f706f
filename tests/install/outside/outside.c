/* SPDX-License-Identifier: BSD-2-Clause */
/* A program of somebody else: exports a page, imports it, writes through the one and reads through the other. */
#include <rsmapi.h>
#include <rsm/ext.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MUST(call)                                                                                           \
	do {                                                                                                 \
		int code = (call);                                                                           \
		if (code != RSM_SUCCESS) {                                                                   \
			fprintf(stderr, "%s: %s: %s\n", #call, rsmx_errname(code), rsmx_last_error());       \
			exit(1);                                                                             \
		}                                                                                            \
	} while (0)

int main(void)
{
	char text[] = "through the segment";
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	void *memory = NULL;
	rsmapi_controller_handle_t loopback;
	rsm_topology_t *topology;
	rsm_memseg_export_handle_t exported;
	rsm_memseg_import_handle_t imported;
	rsm_memseg_id_t id = 0;
	rsmapi_barrier_t barrier;

	if (posix_memalign(&memory, page, page))
		return 1;
	MUST(rsm_get_controller((char *)"loopback", &loopback));
	MUST(rsm_get_interconnect_topology(&topology));
	MUST(rsm_memseg_export_create(loopback, &exported, memory, page, 0));
	MUST(rsm_memseg_export_publish(exported, &id, NULL, 0));
	MUST(rsm_memseg_import_connect(loopback, topology->topology_hdr.local_nodeid, id, RSM_PERM_RDWR,
				       &imported));
	MUST(rsm_memseg_import_init_barrier(imported, RSM_BAR_DEFAULT, &barrier));
	MUST(rsm_memseg_import_put(imported, 0, text, sizeof(text)));
	if (strcmp((const char *)memory, text)) {
		fprintf(stderr, "put did not arrive\n");
		return 1;
	}
	MUST(rsm_memseg_import_disconnect(imported));
	MUST(rsm_memseg_export_destroy(exported));
	rsm_free_interconnect_topology(topology);
	MUST(rsm_release_controller(loopback));
	free(memory);
	printf("%s, release %s\n", text, rsmx_version(NULL));
	return 0;
}
