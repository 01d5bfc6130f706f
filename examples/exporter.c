/* SPDX-License-Identifier: BSD-2-Clause */
/* Shares two pages, waits until an importer has written and signalled, prints what came. */
#include <rsm/ext.h>
#include <rsmapi.h>
#include <stdio.h>
#include <stdlib.h>

int main(void)
{
	rsmapi_controller_handle_t controller;
	rsm_memseg_export_handle_t segment;
	rsm_memseg_id_t id = 0x400000;
	char *memory = valloc(8192);

	if (rsm_get_controller("loopback", &controller) ||
	    rsm_memseg_export_create(controller, &segment, memory, 8192, 0) ||
	    rsm_memseg_export_publish(segment, &id, NULL, 0) || rsm_intr_signal_wait(segment, -1))
		goto failed;
	puts(memory);
	if (rsm_memseg_export_destroy(segment))
		goto failed;
	free(memory);
	return 0;
failed:
	fprintf(stderr, "exporter: %s\n", rsmx_last_error());
	return 1;
}
