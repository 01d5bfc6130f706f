/* SPDX-License-Identifier: BSD-2-Clause */
/* The table of the same-host transport. */
#include "transport/local/local.h"

const struct transport_ops transport_local_ops = {
	.attach = local_attach,
	.begin = local_begin,
	.detach = local_detach,
	.get = local_get,
	.get_items = local_get_items,
	.map = local_map,
	.order = local_order,
	.put = local_put,
	.put_items = local_put_items,
	.settle = local_settle,
	.unmap = local_unmap,
};
