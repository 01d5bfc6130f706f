/* SPDX-License-Identifier: BSD-2-Clause */
#include "rsmd/gate.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "rsmd/address.h"
#include "rsmd/knock.h"
#include "rsmd/log.h"
#include "rsmd/loop.h"
#include "rsmd/rsmd.h"

#define BACKLOG  1024
#define ACCEPTS  64  /* in a row, before requests get their turn */
#define PAUSE_MS 100 /* after accept failed for lack of kernel memory or files */

struct gate {
	int socket;
	const struct rsmd_controller *controller;
	struct rsmd_watch *watch;
};

static struct gate gates[1 + RSMD_CONTROLLERS_MAX];
static size_t gate_count;
static struct rsmd_timer *pause_timer;

/* False: not now, the kernel has no room. */
static bool accept_some(const struct gate *gate)
{
	int on = 1;
	for (int i = 0; i < ACCEPTS; i++) {
		int fd = base_fd_above_stdio(accept4(gate->socket, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK));
		if (fd >= 0) {
			setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
			rsmd_knock(fd, gate->controller);
			rsmd_loop_active(); /* who comes mostly speaks at once */
		} else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
			return false;
		} else if (errno == EAGAIN) {
			return true;
		}
		/* Any other error is that of one connection, which is gone (accept(2)). */
	}
	return true;
}

static void on_connection(void *context)
{
	struct gate *gate = context;
	if (accept_some(gate))
		return;
	/* The connection stays readable: without a pause this would spin. */
	rsmd_log_offence("%s: cannot accept a connection: %s", gate->controller->name, strerror(errno));
	for (size_t i = 0; i < gate_count; i++)
		rsmd_loop_wait_for(gates[i].watch, RSMD_WAIT_NOTHING);
	rsmd_loop_timer_start(pause_timer, PAUSE_MS);
}

static void on_pause_over(void *context)
{
	(void)context;
	for (size_t i = 0; i < gate_count; i++)
		rsmd_loop_wait_for(gates[i].watch, RSMD_WAIT_READ);
}

static bool listen_on(struct gate *gate)
{
	const struct rsmd_controller *controller = gate->controller;
	const struct sockaddr *address = (const struct sockaddr *)&controller->address;
	int on = 1;
	gate->socket = base_fd_above_stdio(
		socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
	if (gate->socket < 0 || setsockopt(gate->socket, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) ||
	    (address->sa_family == AF_INET6 &&
	     setsockopt(gate->socket, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on))) ||
	    bind(gate->socket, address, controller->address_length) || listen(gate->socket, BACKLOG))
		return false;
	gate->watch = rsmd_loop_watch(gate->socket, on_connection, gate);
	errno = ENOMEM;
	return gate->watch != NULL;
}

bool rsmd_gate_open(char *error, size_t size)
{
	const struct rsmd_config *config = &rsmd_server.config;
	pause_timer = rsmd_loop_timer(on_pause_over, NULL);
	if (!pause_timer || !rsmd_knocks_open()) {
		snprintf(error, size, "no memory");
		return false;
	}
	for (size_t i = 1; i < config->controller_count; i++) {
		char name[RSMD_ADDRESS_TEXT];
		struct gate *gate = &gates[gate_count];
		if (!config->controllers[i].address_length)
			continue;
		gate->controller = &config->controllers[i];
		gate_count++;
		if (listen_on(gate))
			continue;
		int cause = errno;
		rsmd_address_text(&gate->controller->address, name);
		snprintf(error, size, "controller %s cannot listen on %s: %s%s", gate->controller->name, name,
			 strerror(cause),
			 cause == EADDRINUSE      ? "; another rsmd may serve it, or choose another port"
			 : cause == EADDRNOTAVAIL ? "; address must be one of this host"
						  : "");
		return false;
	}
	return true;
}

void rsmd_gate_close(void)
{
	for (size_t i = 0; i < gate_count; i++) {
		rsmd_loop_unwatch(gates[i].watch);
		base_fd_close(&gates[i].socket);
	}
	gate_count = 0;
	rsmd_knocks_close();
}
