/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One control message on a local sequential-packet socket, with the descriptors that travel beside it.
 *
 * A message of up to WIRE_INLINE_MAX bytes is one packet. A longer one (a large access list, a long status
 * answer) travels in a sealed memfd, the packet's first descriptor, and the packet holds only its length; the
 * receiver refuses such a memfd unless it is sealed against shrinking, growing and writing.
 *
 * No function here allocates except wire_packet_receive, which returns the body in a malloc'ed buffer.
 * Any thread; two threads never on the same socket and direction at once.
 */
#ifndef WIRE_PACKET_H
#define WIRE_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WIRE_VERSION       1u
#define WIRE_FEATURE_WATCH 2u          /* of HelloReply.features: rsmd knows Watch */
#define WIRE_FDS_MAX       64          /* descriptors in one packet */
#define WIRE_INLINE_MAX    32768u      /* bytes of a body that travels in the packet itself */
#define WIRE_REQUEST_MAX   (1u << 20)  /* bytes of the largest request body */
#define WIRE_REPLY_MAX     (64u << 20) /* bytes of the largest reply body */

struct wire_packet {
	uint8_t *body;         /* owned by the receiver, freed by wire_packet_clear */
	size_t length;         /* bytes */
	int fds[WIRE_FDS_MAX]; /* owned by the receiver; taken out by setting the place to -1 */
	size_t fd_count;
};

/*
 * Sends body and descriptors (which stay the caller's). Blocks while the socket is full, unless dontwait.
 * Returns 0 or a negative errno: -EAGAIN (dontwait), -EPIPE/-ECONNRESET (the other side is gone),
 * -ETOOMANYREFS, -EMFILE, -ENOMEM, -EMSGSIZE.
 */
int wire_packet_send(int socket, const uint8_t *body, size_t length, const int *fds, size_t fd_count,
		     bool dontwait);

/*
 * Receives one packet. `limit` bounds the body. Returns 0, or a negative errno: -EAGAIN (dontwait and nothing
 * there), -ECONNRESET (end of file), -EPROTO (not a packet of ours: bad frame, too long, unsealed memfd),
 * -EMFILE (descriptors were lost for lack of room), -ENOMEM, -EINTR. On error the packet is empty; only after
 * -EMFILE a body that came in the packet itself is still there, so that the request can be refused by its id.
 */
int wire_packet_receive(int socket, size_t limit, bool dontwait, struct wire_packet *packet);

/* Frees the body and closes every descriptor that is still there. */
void wire_packet_clear(struct wire_packet *packet);

/*
 * Who closes received descriptors that nobody took out; a close of another's may block. Default: close itself. Set
 * before the first packet.
 */
void wire_packet_on_close(void (*close_fd)(int fd));

/* Takes descriptor `index` out of the packet, or -1 when it is not there. The caller owns it. */
int wire_packet_take(struct wire_packet *packet, size_t index);

#endif
