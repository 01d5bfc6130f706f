/* SPDX-License-Identifier: BSD-2-Clause */
/* The side with the smaller number opens the stream: TCP from the controller's own address, then TLS with the cluster's key. */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>

#include "base/fd.h"
#include "rsmd/loop.h"
#include "rsmd/peer_stream.h"
#include "rsmd/rsmd.h"
#include "wire/tls.h"

/* A path is one controller's: what comes from elsewhere could go on while that network is down. */
static int bind_own(int fd, const struct rsmd_controller *controller)
{
	struct sockaddr_storage own = controller->address;
	int on = 1;
	if (own.ss_family == AF_INET)
		((struct sockaddr_in *)&own)->sin_port = 0;
	else
		((struct sockaddr_in6 *)&own)->sin6_port = 0;
	setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
	return bind(fd, (struct sockaddr *)&own, controller->address_length);
}

static bool dial(struct rsmd_peer *peer)
{
	const struct rsmd_member *member = &peer->member;
	int on = 1;
	int fd = base_fd_above_stdio(
		socket(member->address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
	if (fd < 0)
		return false;
	if (rsmd_fd_keep(&fd)) {
		errno = EMFILE;
		return false;
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (bind_own(fd, member->controller) ||
	    (connect(fd, (const struct sockaddr *)&member->address, member->address_length) &&
	     errno != EINPROGRESS)) {
		base_fd_close(&fd);
		return false;
	}
	peer->watch = rsmd_loop_watch(fd, rsmd_peer_ready, peer);
	if (!peer->watch) {
		base_fd_close(&fd);
		errno = ENOMEM;
		return false;
	}
	peer->socket = fd;
	rsmd_loop_wait_for(peer->watch, RSMD_WAIT_WRITE);
	return true;
}

void rsmd_peer_dial(struct rsmd_peer *peer)
{
	char why[128];
	if (dial(peer)) {
		rsmd_loop_timer_start(peer->timer, rsmd_server.config.dead_after_ms);
		return;
	}
	snprintf(why, sizeof(why), "cannot connect: %s", strerror(errno));
	rsmd_peer_end(peer, false, why);
}

bool rsmd_peer_dialled(struct rsmd_peer *peer)
{
	char identity[WIRE_TLS_IDENTITY_MAX];
	int error = 0;
	socklen_t size = sizeof(error);
	struct wire_tls *tls = NULL;
	if (getsockopt(peer->socket, SOL_SOCKET, SO_ERROR, &error, &size))
		error = errno;
	if (error) {
		rsmd_peer_break(peer, "cannot connect: %s", strerror(error));
		return false;
	}
	snprintf(identity, sizeof(identity), "rsm-node-%u", rsmd_server.config.node_id);
	error = wire_tls_client(peer->socket, identity, rsmd_peers_key(), &tls);
	if (!error) {
		peer->stream = wire_stream_open(tls);
		error = peer->stream ? 0 : -ENOMEM;
	}
	if (!error)
		return true;
	wire_tls_close(tls);
	rsmd_peer_break(peer, "TLS cannot begin: %s", strerror(-error));
	return false;
}
