/* SPDX-License-Identifier: BSD-2-Clause */
#include "rsmd/maps.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <rsmapi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/reason.h"

static int refuse(const struct rsmd_client *client, uint64_t address, uint64_t length, const char *found)
{
	return base_refuse(RSMERR_BAD_ADDR, "[0x%" PRIx64 ", +0x%" PRIx64 ") of pid %d: %s", address, length,
			   (int)client->pid, found);
}

/*
 * /proc/PID of the client. After the exec of a set-uid program, while a relative keeps the socket, it would
 * be another user's memory: then the directory belongs to another user, and that is refused.
 */
static int open_process(const struct rsmd_client *client, int *process)
{
	char path[32];
	struct stat owner;
	if (client->pid <= 0 || !rsmd_client_is_alive(client))
		return base_refuse(RSMERR_BAD_ADDR,
				   "rsmd cannot see the process, so it cannot look at its maps");
	snprintf(path, sizeof(path), "/proc/%d", (int)client->pid);
	*process = base_fd_above_stdio(open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	if (*process < 0)
		return base_refuse_errno(RSMERR_BAD_ADDR, errno, "opening %s", path);
	if (!fstat(*process, &owner) && owner.st_uid == client->identity.uid && rsmd_client_is_alive(client))
		return RSM_SUCCESS;
	base_fd_close(process);
	return base_refuse(RSMERR_BAD_ADDR, "%s does not belong to uid %u", path, client->identity.uid);
}

/*
 * The device of System V memory, learnt from a piece of our own: a file of another file system may have such a name and
 * any inode number. 0 if there is none to learn from: then nothing is System V.
 */
static dev_t sysv_device(void)
{
	static dev_t device;
	static bool known;
	if (known)
		return device;
	known = true;
	int id = shmget(IPC_PRIVATE, (size_t)sysconf(_SC_PAGESIZE), IPC_CREAT | 0600);
	void *at = id < 0 ? (void *)-1 : shmat(id, NULL, 0);
	FILE *maps = at == (void *)-1 ? NULL : fopen("/proc/self/maps", "re");
	char *line = NULL;
	size_t room = 0;
	while (maps && getline(&line, &room, maps) > 0) {
		unsigned long start;
		unsigned major_number, minor_number;
		if (sscanf(line, "%lx-%*x %*s %*x %x:%x", &start, &major_number, &minor_number) == 3 &&
		    start == (unsigned long)(uintptr_t)at)
			device = makedev(major_number, minor_number);
	}
	free(line);
	if (maps)
		fclose(maps);
	if (at != (void *)-1)
		shmdt(at);
	if (id >= 0)
		shmctl(id, IPC_RMID, NULL);
	return device;
}

/* One line of maps. False: it is not one. */
static bool parse_line(const char *line, struct rsmd_mapping *mapping, char rights[5])
{
	unsigned major_number, minor_number;
	int path = 0;
	if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s %" SCNx64 " %x:%x %" SCNu64 " %n", &mapping->start,
		   &mapping->end, rights, &mapping->offset, &major_number, &minor_number, &mapping->inode,
		   &path) < 7)
		return false;
	mapping->device = makedev(major_number, minor_number);
	mapping->sysv = path && !strncmp(line + path, "/SYSV", 5) && mapping->device == sysv_device();
	return true;
}

/* Walks the mappings that cover the range; `mapping` becomes what they have in common. */
static int walk(const struct rsmd_client *client, FILE *maps, uint64_t address, uint64_t length,
		struct rsmd_mapping *mapping)
{
	char *line = NULL, rights[5];
	size_t room = 0;
	uint64_t covered = address, end = address + length;
	int code = RSM_SUCCESS;
	/* Whole lines only: the client chooses the path at a line's end, the rest of a cut line would be its own words. */
	while (code == RSM_SUCCESS && covered < end && getline(&line, &room, maps) > 0) {
		struct rsmd_mapping one;
		if (!parse_line(line, &one, rights) || one.end <= covered)
			continue;
		if (one.start > covered)
			break;
		one.offset += covered - one.start;
		if (strcmp(rights, "rw-s") != 0)
			code = refuse(client, address, length, "not mapped shared, readable and writable");
		else if (covered == address)
			*mapping = one;
		else if (one.device != mapping->device || one.inode != mapping->inode ||
			 one.offset != mapping->offset + (covered - address))
			code = refuse(client, address, length,
				      "more than one object; export the parts one by one");
		covered = one.end;
	}
	free(line);
	if (code != RSM_SUCCESS)
		return code;
	return covered < end ? refuse(client, address, length, "not mapped completely") : RSM_SUCCESS;
}

int rsmd_maps_find(const struct rsmd_client *client, uint64_t address, uint64_t length,
		   struct rsmd_mapping *mapping, int *process)
{
	if (!length || address + length < address)
		return refuse(client, address, length, "not a range");
	int code = open_process(client, process);
	if (code)
		return code;
	int fd = openat(*process, "maps", O_RDONLY | O_CLOEXEC);
	FILE *maps = fd < 0 ? NULL : fdopen(fd, "r");
	if (maps) {
		code = walk(client, maps, address, length, mapping);
		fclose(maps);
	} else {
		code = base_refuse_errno(RSMERR_BAD_ADDR, errno, "rsmd may not read the maps of pid %d",
					 (int)client->pid);
		base_fd_close(&fd);
	}
	if (!code && !rsmd_client_is_alive(client))
		code = refuse(client, address, length, "the process ended");
	if (code)
		base_fd_close(process);
	return code;
}

int rsmd_maps_open(int process, uid_t uid, const struct rsmd_mapping *mapping, int *fd)
{
	char path[64];
	struct stat found;
	snprintf(path, sizeof(path), "map_files/%" PRIx64 "-%" PRIx64, mapping->start, mapping->end);
	/* The link's mode is how the client itself has the file open. */
	if (fstatat(process, path, &found, AT_SYMLINK_NOFOLLOW) || !(found.st_mode & S_IRUSR) ||
	    !(found.st_mode & S_IWUSR))
		return base_refuse(RSMERR_BAD_ADDR,
				   "the process does not have the mapped file open for reading and writing");
	*fd = base_fd_above_stdio(openat(process, path, O_RDWR | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
	if (*fd < 0)
		return base_refuse_errno(RSMERR_BAD_ADDR, errno,
					 "rsmd cannot open the shared memory through map_files (it needs "
					 "CAP_CHECKPOINT_RESTORE); "
					 "keep its descriptor open, or use rsmx_alloc");
	/*
	 * The client may have mapped something else meanwhile, even a file that it may only read. What counts
	 * is that this file is the one it was seen to have mapped writable. And it must be its own: a descriptor gives
	 * more than a mapping does (all of the file, truncation), which is another owner's to give.
	 */
	if (!fstat(*fd, &found) && found.st_dev == mapping->device && found.st_ino == mapping->inode &&
	    S_ISREG(found.st_mode) && found.st_uid == uid)
		return RSM_SUCCESS;
	base_fd_close(fd);
	return base_refuse(RSMERR_BAD_ADDR,
			   "the mapping changed while it was opened, or is not a file in memory of uid %u",
			   uid);
}
