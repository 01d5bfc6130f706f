/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

int base_fd_above_stdio(int fd)
{
	if (fd < 0 || fd > 2)
		return fd;
	int moved = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	base_fd_close(&fd);
	return moved;
}

void base_fd_close(int *fd)
{
	if (*fd < 0)
		return;
	int saved = errno;
	close(*fd);
	errno = saved;
	*fd = -1;
}

int base_fd_write(int fd, const void *bytes, size_t length, int timeout_ms)
{
	const char *from = bytes;
	while (length) {
		struct pollfd room = {.fd = fd, .events = POLLOUT};
		int ready = poll(&room, 1, timeout_ms);
		if (!ready)
			return EAGAIN;
		ssize_t written = ready < 0 ? -1 : write(fd, from, length);
		if (written < 0 && errno != EINTR)
			return errno;
		if (written > 0) {
			from += written;
			length -= (size_t)written;
		}
	}
	return 0;
}
