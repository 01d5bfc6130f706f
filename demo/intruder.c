/* SPDX-License-Identifier: BSD-2-Clause */
/* demo_intruder NODE ID [CONTROLLER]: may read, asks for more, and must be refused with a reason. */
#include <stdlib.h>

#include "step.h"

int main(int argc, char **argv)
{
	char loopback[] = "loopback", *name = argc == 4 ? argv[3] : loopback;
	rsmapi_controller_handle_t controller;
	rsm_memseg_import_handle_t import;

	demo_begin("intruder");
	if (argc != 3 && argc != 4)
		demo_fail("usage: demo_intruder NODE ID [CONTROLLER]");
	rsm_node_id_t node = (rsm_node_id_t)strtoul(argv[1], NULL, 10);
	rsm_memseg_id_t id = (rsm_memseg_id_t)strtoul(argv[2], NULL, 10);

	demo_need(rsm_get_controller(name, &controller), "rsm_get_controller");
	/* Proof that it is the right that is refused, and not the process. */
	demo_need(rsm_memseg_import_connect(controller, node, id, RSM_PERM_READ, &import), "connect to read");
	demo_need(rsm_memseg_import_disconnect(import), "rsm_memseg_import_disconnect");
	demo_restart();
	int code = rsm_memseg_import_connect(controller, node, id, RSM_PERM_RDWR, &import);
	if (code != RSMERR_PERM_DENIED)
		demo_fail("asked for a right that is not granted and got %s", rsmx_errname(code));
	demo_step("asks to write and is refused: RSMERR_PERM_DENIED");
	demo_step("  reason: %s", rsmx_last_error());
	return 0;
}
