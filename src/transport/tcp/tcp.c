/* SPDX-License-Identifier: BSD-2-Clause */
/* The table of the transport between nodes, and what a fork means to it. */
#include "transport/tcp/tcp.h"

#include "base/reason.h"
#include "rsmapi.h"

_Atomic unsigned tcp_forks;

/* Async-signal-safe: it runs in the child of a fork, whose other threads are gone with what they had locked. */
void transport_tcp_forked(void)
{
	atomic_fetch_add(&tcp_forks, 1);
}

int tcp_map(struct transport_import *import, void **address, bool fixed, int protection, uint64_t offset,
	    size_t length)
{
	(void)import, (void)address, (void)fixed, (void)protection, (void)offset, (void)length;
	return base_refuse(RSMERR_MAP_FAILED,
			   "the segment is on another node, whose memory cannot be mapped here; use "
			   "rsm_memseg_import_get and rsm_memseg_import_put (the controller's "
			   "attr_max_import_map_size is 0)");
}

/* unmap: there never is a map. */
const struct transport_ops transport_tcp_ops = {
	.abandon = tcp_abandon,
	.attach = tcp_attach,
	.begin = tcp_begin,
	.detach = tcp_detach,
	.get = tcp_get,
	.get_items = tcp_get_items,
	.getv = tcp_getv,
	.map = tcp_map,
	.order = tcp_order,
	.post = tcp_post,
	.put = tcp_put,
	.put_items = tcp_put_items,
	.putv = tcp_putv,
	.settle = tcp_settle,
};
