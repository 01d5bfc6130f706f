/* SPDX-License-Identifier: BSD-2-Clause */
#include "rsmd/identity.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <rsmapi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/reason.h"

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77 /* Linux 6.5 */
#endif

static int read_groups(struct rsmd_client *client)
{
	socklen_t size = 0;
	/* The first call tells how much room is needed; a process may have 65536 groups. */
	if (!getsockopt(client->socket, SOL_SOCKET, SO_PEERGROUPS, NULL, &size) || errno != ERANGE)
		return RSM_SUCCESS;
	client->groups = malloc(size);
	if (!client->groups)
		return base_refuse(RSMERR_INSUFFICIENT_MEM, "no memory for %u bytes of group ids", size);
	if (getsockopt(client->socket, SOL_SOCKET, SO_PEERGROUPS, client->groups, &size))
		return RSM_SUCCESS;
	client->identity.groups = client->groups;
	client->identity.group_count = size / sizeof(gid_t);
	return RSM_SUCCESS;
}

static int open_pidfd(struct rsmd_client *client)
{
	socklen_t size = sizeof(client->pidfd);
	if (getsockopt(client->socket, SOL_SOCKET, SO_PEERPIDFD, &client->pidfd, &size)) {
		client->pidfd = -1;
		if (client->pid > 0)
			client->pidfd = (int)syscall(SYS_pidfd_open, client->pid, 0);
		if (client->pidfd < 0) {
			/*
			 * Without one, as in another pid namespace, the end of the socket is the only sign of
			 * death.
			 */
			if (errno == EMFILE || errno == ENFILE || errno == ENOMEM)
				return base_refuse_errno(RSMERR_INSUFFICIENT_RESOURCES, errno,
							 "opening a pidfd");
			return RSM_SUCCESS;
		}
	}
	client->pidfd = base_fd_above_stdio(client->pidfd);
	return rsmd_fd_keep(&client->pidfd);
}

int rsmd_identity_read(struct rsmd_client *client)
{
	struct ucred peer;
	socklen_t size = sizeof(peer);
	if (getsockopt(client->socket, SOL_SOCKET, SO_PEERCRED, &peer, &size))
		return base_refuse_errno(RSMERR_INTERNAL_ERROR, errno, "asking for the peer's identity");
	client->pid = peer.pid;
	client->identity.node = rsmd_server.config.node_id;
	client->identity.uid = peer.uid;
	client->identity.gid = peer.gid;
	int code = read_groups(client);
	return code ? code : open_pidfd(client);
}

/* Whether that process and we are in one user namespace: only there a capability means what it says. */
static bool same_user_namespace(int process)
{
	struct stat theirs, ours;
	return !fstatat(process, "ns/user", &theirs, 0) && !stat("/proc/self/ns/user", &ours) &&
	       theirs.st_dev == ours.st_dev && theirs.st_ino == ours.st_ino;
}

/*
 * The process id may meanwhile be another program's, even one with more rights (set-uid): its /proc directory belongs to
 * the connected user only while that is not so. Through one descriptor, so that all is asked of the same process.
 */
bool rsmd_identity_owns_ipc(pid_t pid, uid_t uid)
{
	char path[32], line[128];
	struct stat owner;
	unsigned long long capabilities = 0;
	snprintf(path, sizeof(path), "/proc/%d", (int)pid);
	int process = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (process < 0)
		return false;
	bool trusted = same_user_namespace(process) && !fstat(process, &owner) && owner.st_uid == uid;
	int fd = openat(process, "status", O_RDONLY | O_CLOEXEC);
	FILE *file = fd < 0 ? NULL : fdopen(fd, "r");
	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "CapEff: %llx", &capabilities) == 1)
			break;
	if (file)
		fclose(file);
	else
		base_fd_close(&fd);
	trusted = trusted && !fstat(process, &owner) && owner.st_uid == uid;
	base_fd_close(&process);
	return trusted && capabilities >> CAP_IPC_OWNER & 1;
}
