/* SPDX-License-Identifier: BSD-2-Clause */
#include "link.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "rsmapi.h"

int node_connect(struct stub *stub, struct transport_layout *layout)
{
	memset(stub, 0, sizeof(*stub));
	atomic_store(&stub->status.epoch, SEGMENT_EPOCH(7, 2));
	stub->import.ops = &transport_tcp_ops;
	stub->import.status = &stub->status;
	stub->import.generation = 7;
	stub->import.length = NODE_SIZE;
	stub->import.granted = RSM_PERM_RDWR;
	atomic_store(&stub->import.implicit, true);
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_port = htons(node.port),
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	memcpy(&layout->remote.address, &address, sizeof(address));
	layout->remote.address_length = sizeof(address);
	layout->remote.ticket.id = 0x1234567890abcdefu;
	memset(layout->remote.ticket.secret, 0x5a, WIRE_SECRET_SIZE);
	if (layout->remote.dead_after_ms == 0)
		layout->remote.dead_after_ms = 2000;
	return stub->import.ops->attach(&stub->import, layout);
}

void node_connect_well(struct stub *stub)
{
	struct transport_layout layout = {0};
	assert_int_equal(node_connect(stub, &layout), RSM_SUCCESS);
}

void node_disconnect(struct stub *stub)
{
	stub->import.ops->detach(&stub->import);
	assert_null(stub->import.link);
}
