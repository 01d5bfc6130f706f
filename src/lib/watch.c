/* SPDX-License-Identifier: BSD-2-Clause */
/* rsmx_watch: rsmd makes the stream and writes to it; the library only passes its reading end on. */
#include <rsm/ext.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "lib/lib.h"

/* What came must be a stream to read: the caller will wait on it. */
static int take(struct lib_reply *reply, int *fd)
{
	struct stat file;
	int taken =
		reply->packet.fd_count == 0 ? -1 : base_fd_above_stdio(wire_packet_take(&reply->packet, 0));
	if (taken < 0)
		return base_refuse(RSMERR_INSUFFICIENT_RESOURCES,
				   "no descriptor came for the events; is RLIMIT_NOFILE reached?");
	if (fstat(taken, &file) != 0 || !S_ISFIFO(file.st_mode)) {
		base_fd_close(&taken);
		return base_refuse(RSMERR_INTERNAL_ERROR, "rsmd gave something else than a stream of events");
	}
	*fd = taken;
	return RSM_SUCCESS;
}

int rsmx_watch(int *fd)
{
	if (fd == NULL)
		return base_refuse(RSMERR_BAD_ADDR, "no place to put the descriptor (NULL)");
	*fd = -1;
	lib_lock();
	struct lib_reply reply = {0};
	int code = lib_daemon_open();
	/* An older rsmd would take the question for an offence, and drop this process with all its segments. */
	if (code == RSM_SUCCESS && (lib_daemon.features & WIRE_FEATURE_WATCH) == 0)
		code = base_refuse(RSMERR_BAD_LIBRARY_VERSION,
				   "rsmd %s does not tell events, release 2.1.0 and later do; update rsmd",
				   lib_daemon.release);
	if (code == RSM_SUCCESS) {
		Wire__Watch message = WIRE__WATCH__INIT;
		code = lib_daemon_call(WIRE__REQUEST__BODY_WATCH, &message, -1, &reply);
	}
	if (code == RSM_SUCCESS)
		code = take(&reply, fd);
	lib_reply_clear(&reply);
	lib_unlock();
	return code;
}
