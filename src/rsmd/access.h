/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Who may connect to a segment with which right (rsm_memseg_export_publish(3rsm)). A pure decision: no table, no
 * socket, no clock, no file. The only thing it leaves behind is the reason of a refusal.
 */
#ifndef RSMD_ACCESS_H
#define RSMD_ACCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define RSMD_ACL_MAX 65535

struct rsmd_acl_entry {
	uint32_t node;
	uint32_t permission; /* octal owner/group/other, bits of 0666 */
};

struct rsmd_acl {
	struct rsmd_acl_entry *entries; /* owned; NULL when count is 0 */
	size_t count;                   /* 0: every node, with default_permission */
	uint32_t default_permission;    /* read and write bits of 0777 & ~umask */
};

/* The one who asks, as the kernel told it. */
struct rsmd_identity {
	uint32_t node;
	uid_t uid;
	gid_t gid;
	const gid_t *groups;
	size_t group_count;
};

/*
 * BAD_ACL when an entry cannot stand in a list: bits outside 0666; on loopback more than the one local node.
 */
int rsmd_access_check_list(const struct rsmd_acl_entry *entries, size_t count, bool loopback,
			   uint32_t local_node);

/*
 * RSM_SUCCESS when every bit of `wanted` (of 0600) is granted to `who`; SEG_NOT_PUBLISHED_TO_NODE when no
 * entry names the node; PERM_DENIED otherwise, unless `privileged` (uid 0 or CAP_IPC_OWNER). First matching
 * entry wins.
 */
int rsmd_access_decide(const struct rsmd_acl *acl, uid_t owner, gid_t group, const struct rsmd_identity *who,
		       uint32_t wanted, bool privileged);

/* What the list grants to that node: the default bits, or its first entry for it. */
uint32_t rsmd_access_of_node(const struct rsmd_acl *acl, uint32_t node);

#endif
