/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a client has mapped, read from its /proc/PID by an rsmd that may: never taken from the client's word.
 */
#ifndef RSMD_MAPS_H
#define RSMD_MAPS_H

#include "rsmd/client.h"

struct rsmd_mapping {
	uint64_t start, end; /* of the first mapping of the range */
	uint64_t offset;     /* in the file, of the range's first byte */
	uint64_t device, inode;
	bool sysv; /* inode is the shmid */
};

/*
 * The one shared writable object that the client maps at [address, address+length), by one mapping or several
 * without a gap. BAD_ADDR when it is anything else; `process` is a descriptor of /proc/PID that the caller
 * closes, checked to belong to the client's user.
 */
int rsmd_maps_find(const struct rsmd_client *client, uint64_t address, uint64_t length,
		   struct rsmd_mapping *mapping, int *process);

/* Opens the mapped file read-write through map_files; makes sure that it is that file and uid's. Needs privilege. */
int rsmd_maps_open(int process, uid_t uid, const struct rsmd_mapping *mapping, int *fd);

#endif
