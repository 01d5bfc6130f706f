/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Events by poll(2): rsm_memseg_get_pollfd, release, and rsm_intr_signal_wait_pollfd.
 *
 * The descriptor ("doorbell") is one end of a stream socket pair whose other end rsmd holds: such a socket reports POLLRDNORM,
 * which an eventfd does not, and rsmd can hang it up when an import is aborted. It exists only once somebody asked
 * for it; who makes the count leave 0 rings rsmd, who makes it 0 drains it.
 */
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "lib/lib.h"

static struct lib_signal *with_doorbell; /* list, under lib_lock */

static int pollfd_open(struct lib_signal *signal)
{
	int code = lib_daemon_check(signal->session);
	if (code != RSM_SUCCESS)
		return code;
	Wire__Pollfd message = WIRE__POLLFD__INIT;
	message.handle_id = signal->id;
	struct lib_reply reply = {0};
	code = lib_daemon_call(WIRE__REQUEST__BODY_POLLFD, &message, -1, &reply);
	if (code != RSM_SUCCESS)
		return code;
	int fd = base_fd_above_stdio(wire_packet_take(&reply.packet, 0));
	lib_reply_clear(&reply);
	if (fd < 0)
		return base_refuse(RSMERR_INSUFFICIENT_RESOURCES,
				   "no descriptor came for polling; is RLIMIT_NOFILE reached?");
	atomic_store(&signal->doorbell, fd);
	signal->next = with_doorbell;
	with_doorbell = signal;
	return RSM_SUCCESS;
}

void lib_pollfd_close(struct lib_signal *signal)
{
	int fd = atomic_exchange(&signal->doorbell, -1);
	if (fd < 0)
		return;
	base_fd_close(&fd);
	struct lib_signal **place = &with_doorbell;
	while (*place != NULL && *place != signal)
		place = &(*place)->next;
	if (*place != NULL)
		*place = signal->next;
}

void lib_pollfd_drain(struct lib_signal *signal)
{
	char bytes[64];
	int fd = atomic_load(&signal->doorbell);
	while (fd >= 0 && recv(fd, bytes, sizeof bytes, MSG_DONTWAIT) > 0)
		;
}

int rsm_memseg_get_pollfd(void *memseg, struct pollfd *poll_fd)
{
	struct lib_signal *signal = lib_signal_find(memseg);
	if (signal == NULL)
		return lib_refuse_handle("segment", memseg, RSMERR_BAD_SEG_HNDL);
	if (poll_fd == NULL)
		return base_refuse(RSMERR_BAD_ADDR, "no place to put the descriptor (NULL)");
	int code = lib_signal_ready(signal);
	if (code != RSM_SUCCESS)
		return code;
	lib_lock();
	if (atomic_load(&signal->doorbell) < 0)
		code = pollfd_open(signal);
	if (code == RSM_SUCCESS) {
		signal->pollfd_references++;
		poll_fd->fd = atomic_load(&signal->doorbell);
		poll_fd->events = POLLRDNORM;
	}
	lib_unlock();
	return code;
}

int rsm_memseg_release_pollfd(void *memseg)
{
	struct lib_signal *signal = lib_signal_find(memseg);
	if (signal == NULL)
		return lib_refuse_handle("segment", memseg, RSMERR_BAD_SEG_HNDL);
	lib_lock();
	if (signal->pollfd_references > 0)
		signal->pollfd_references--;
	lib_unlock();
	return RSM_SUCCESS;
}

/* The segment that a descriptor now belongs to, with references; else it is an ordinary descriptor. */
static struct lib_signal *signal_of(int fd)
{
	struct lib_signal *signal;
	lib_lock();
	for (signal = with_doorbell; signal != NULL; signal = signal->next)
		if (atomic_load(&signal->doorbell) == fd && signal->pollfd_references > 0)
			break;
	lib_unlock();
	return signal;
}

/* Consumes for every ready entry of a segment; returns how many entries have something to report. */
static int consume_ready(struct pollfd fds[], nfds_t nfds)
{
	int count = 0;
	for (nfds_t i = 0; i < nfds; i++) {
		struct lib_signal *signal = fds[i].revents == 0 ? NULL : signal_of(fds[i].fd);
		if (signal != NULL) {
			if (lib_signal_consume(signal))
				fds[i].revents = POLLRDNORM;
			else if (!lib_signal_is_aborted(signal)) /* hung up also when rsmd is gone */
				fds[i].revents &= POLLHUP;
			else
				fds[i].revents = POLLHUP;
		}
		count += fds[i].revents != 0;
	}
	return count;
}

static int poll_refuse(int error, nfds_t nfds)
{
	switch (error) {
	case EINTR:
		return base_refuse(RSMERR_INTERRUPTED, "a signal handler ran during the wait");
	case EFAULT:
		return base_refuse(RSMERR_BAD_ADDR, "the array of descriptors is not readable and writable");
	case EINVAL:
		return base_refuse(RSMERR_BAD_ARGS_ERRORS,
				   "%lu entries are more than RLIMIT_NOFILE allows to poll",
				   (unsigned long)nfds);
	default:
		return base_refuse_errno(RSMERR_INSUFFICIENT_MEM, error, "poll failed");
	}
}

int rsm_intr_signal_wait_pollfd(struct pollfd fds[], nfds_t nfds, int timeout, int *numfdsp)
{
	const uint64_t end = timeout < 0 ? UINT64_MAX : base_clock_ns() + (uint64_t)timeout * 1000000u;
	int left = timeout, count = 0;
	if (numfdsp != NULL)
		*numfdsp = 0;
	for (;;) {
		int ready = poll(fds, nfds, left);
		if (ready < 0)
			return poll_refuse(errno, nfds);
		count = ready == 0 ? 0 : consume_ready(fds, nfds);
		if (count > 0)
			break;
		/* Another waiter was faster, or it was nothing: the rest of the time is still ours. */
		uint64_t now = base_clock_ns();
		if (timeout >= 0 && now >= end)
			return base_refuse(RSMERR_TIMEOUT, "no descriptor became ready within %d ms",
					   timeout);
		if (timeout >= 0)
			left = (int)((end - now + 999999u) / 1000000u);
	}
	if (numfdsp != NULL)
		*numfdsp = count;
	return RSM_SUCCESS;
}
