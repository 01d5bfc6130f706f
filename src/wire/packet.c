/* SPDX-License-Identifier: BSD-2-Clause */
#include "wire/packet.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/fd.h"

#define FRAME_MAGIC 0x314d5352u /* "RSM1" */
#define FDS_TAKEN   253         /* the kernel's SCM_MAX_FD: as many can come */
#define BODY_SEALS  (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

/* Before every body. Both sides are on one host, so the order of bytes is the machine's own. */
struct frame {
	uint32_t magic;
	uint32_t length; /* bytes of the body; more than WIRE_INLINE_MAX: it is in the first descriptor */
};

union control {
	struct cmsghdr align;
	char space[CMSG_SPACE(WIRE_FDS_MAX * sizeof(int))];
};

/* A sealed memfd that holds the body, or a negative errno. */
static int body_to_memfd(const uint8_t *body, size_t length)
{
	int fd = base_fd_above_stdio(memfd_create("rsm-message", MFD_CLOEXEC | MFD_ALLOW_SEALING));
	if (fd < 0)
		return -errno;
	int error = -base_fd_write(fd, body, length, -1);
	if (!error && fcntl(fd, F_ADD_SEALS, BODY_SEALS | F_SEAL_SEAL) < 0)
		error = -errno;
	if (!error)
		return fd;
	base_fd_close(&fd);
	return error;
}

static int body_from_memfd(int fd, size_t length, uint8_t **body)
{
	struct stat stat;
	int seals = fcntl(fd, F_GET_SEALS);
	if (seals < 0 || (seals & BODY_SEALS) != BODY_SEALS)
		return -EPROTO;
	if (fstat(fd, &stat) < 0 || stat.st_size < 0 || (uint64_t)stat.st_size < length)
		return -EPROTO;
	uint8_t *buffer = malloc(length);
	if (!buffer)
		return -ENOMEM;
	for (size_t done = 0; done < length;) {
		ssize_t part = pread(fd, buffer + done, length - done, (off_t)done);
		if (part < 0 && errno == EINTR)
			continue;
		if (part <= 0) {
			free(buffer);
			return -EPROTO;
		}
		done += (size_t)part;
	}
	*body = buffer;
	return 0;
}

int wire_packet_send(int socket, const uint8_t *body, size_t length, const int *fds, size_t fd_count,
		     bool dontwait)
{
	bool inside = length <= WIRE_INLINE_MAX;
	if (length > WIRE_REPLY_MAX || fd_count > WIRE_FDS_MAX - (inside ? 0u : 1u))
		return -EMSGSIZE;

	int memfd = -1;
	if (!inside) {
		memfd = body_to_memfd(body, length);
		if (memfd < 0)
			return memfd;
	}

	int all[WIRE_FDS_MAX];
	size_t count = 0;
	if (memfd >= 0)
		all[count++] = memfd;
	for (size_t i = 0; i < fd_count; i++)
		all[count++] = fds[i];

	struct frame frame = {.magic = FRAME_MAGIC, .length = (uint32_t)length};
	union {
		const uint8_t *in;
		void *out;
	} unconst = {.in = body}; /* sendmsg only reads */
	struct iovec parts[2] = {{.iov_base = &frame, .iov_len = sizeof(frame)},
				 {.iov_base = unconst.out, .iov_len = inside ? length : 0}};
	union control control;
	struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
	if (count) {
		memset(&control, 0, sizeof(control));
		message.msg_control = &control;
		message.msg_controllen = CMSG_SPACE(count * sizeof(int));
		struct cmsghdr *header = CMSG_FIRSTHDR(&message);
		header->cmsg_level = SOL_SOCKET;
		header->cmsg_type = SCM_RIGHTS;
		header->cmsg_len = CMSG_LEN(count * sizeof(int));
		memcpy(CMSG_DATA(header), all, count * sizeof(int));
	}

	ssize_t sent;
	do
		sent = sendmsg(socket, &message, MSG_NOSIGNAL | (dontwait ? MSG_DONTWAIT : 0));
	while (sent < 0 && errno == EINTR);
	int error = sent < 0 ? -errno : 0;
	base_fd_close(&memfd);
	return error;
}

/* Room for all that can come: what has none the kernel closes itself, at once, which may take long. */
union control_in {
	struct cmsghdr align;
	char space[CMSG_SPACE(FDS_TAKEN * sizeof(int))];
};

static void close_here(int fd)
{
	base_fd_close(&fd);
}

static void (*close_received)(int fd) = close_here;

void wire_packet_on_close(void (*close_fd)(int fd))
{
	close_received = close_fd;
}

/* Takes over the descriptors of a received message. -EMFILE: some are lost; -EPROTO: more than allowed. */
static int take_fds(struct msghdr *message, struct wire_packet *packet)
{
	bool lost = false, many = false;
	for (struct cmsghdr *header = CMSG_FIRSTHDR(message); header; header = CMSG_NXTHDR(message, header)) {
		if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS)
			continue;
		size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < count; i++) {
			int fd;
			memcpy(&fd, CMSG_DATA(header) + i * sizeof(int), sizeof(int));
			if (packet->fd_count == WIRE_FDS_MAX) {
				close_received(fd);
				many = true;
				continue;
			}
			fd = base_fd_above_stdio(fd);
			lost |= fd < 0;
			packet->fds[packet->fd_count++] = fd;
		}
	}
	if (many)
		return -EPROTO;
	return lost || message->msg_flags & MSG_CTRUNC ? -EMFILE : 0;
}

static void close_fds(struct wire_packet *packet)
{
	for (size_t i = 0; i < packet->fd_count; i++)
		if (packet->fds[i] >= 0)
			close_received(packet->fds[i]);
	packet->fd_count = 0;
}

/* The body travels in the first descriptor: reads it and takes that descriptor away. */
static int unwrap(struct wire_packet *packet, size_t length)
{
	free(packet->body);
	packet->body = NULL;
	if (!packet->fd_count)
		return -EPROTO;
	int error = body_from_memfd(packet->fds[0], length, &packet->body);
	if (packet->fds[0] >= 0)
		close_received(packet->fds[0]);
	packet->fd_count--;
	memmove(packet->fds, packet->fds + 1, packet->fd_count * sizeof(int));
	return error;
}

static int check(const struct frame *frame, size_t received, size_t limit, const struct msghdr *message)
{
	if (message->msg_flags & MSG_TRUNC || received < sizeof(*frame) || frame->magic != FRAME_MAGIC)
		return -EPROTO;
	if (frame->length > limit)
		return -EPROTO;
	size_t inside = frame->length <= WIRE_INLINE_MAX ? frame->length : 0;
	return received - sizeof(*frame) == inside ? 0 : -EPROTO;
}

int wire_packet_receive(int socket, size_t limit, bool dontwait, struct wire_packet *packet)
{
	packet->length = 0;
	packet->fd_count = 0;
	packet->body = malloc(WIRE_INLINE_MAX);
	if (!packet->body)
		return -ENOMEM;

	struct frame frame = {0};
	struct iovec parts[2] = {{.iov_base = &frame, .iov_len = sizeof(frame)},
				 {.iov_base = packet->body, .iov_len = WIRE_INLINE_MAX}};
	union control_in control;
	struct msghdr message = {.msg_iov = parts,
				 .msg_iovlen = 2,
				 .msg_control = &control,
				 .msg_controllen = sizeof(control)};
	ssize_t received = recvmsg(socket, &message, MSG_CMSG_CLOEXEC | (dontwait ? MSG_DONTWAIT : 0));
	int error = received < 0 ? -errno : received == 0 ? -ECONNRESET : 0;
	if (received >= 0) { /* an empty message looks like the end and may carry descriptors all the same */
		int lost = take_fds(&message, packet);
		if (!error)
			error = check(&frame, (size_t)received, limit, &message);
		if (!error)
			error = lost;
	}
	bool inside = frame.length <= WIRE_INLINE_MAX;
	if (!error && !inside)
		error = unwrap(packet, frame.length);
	if (!error || (error == -EMFILE && inside))
		packet->length = frame.length;
	if (error == -EMFILE && inside)
		close_fds(packet);
	else if (error)
		wire_packet_clear(packet);
	return error;
}

void wire_packet_clear(struct wire_packet *packet)
{
	free(packet->body);
	packet->body = NULL;
	packet->length = 0;
	close_fds(packet);
}

int wire_packet_take(struct wire_packet *packet, size_t index)
{
	if (index >= packet->fd_count)
		return -1;
	int fd = packet->fds[index];
	packet->fds[index] = -1;
	return fd;
}
