/* SPDX-License-Identifier: BSD-2-Clause */
#include "rsmd/access.h"

#include <rsmapi.h>

#include "base/reason.h"

enum kind { KIND_OWNER, KIND_GROUP, KIND_OTHER };

static const char *const kind_names[] = {"owner", "group", "other"};

int rsmd_access_check_list(const struct rsmd_acl_entry *entries, size_t count, bool loopback,
			   uint32_t local_node)
{
	if (count > RSMD_ACL_MAX)
		return base_refuse(RSMERR_BAD_ACL, "access list with %zu entries; the limit is %d", count,
				   RSMD_ACL_MAX);
	for (size_t i = 0; i < count; i++)
		if (entries[i].permission & ~0666u)
			return base_refuse(RSMERR_BAD_ACL,
					   "entry %zu of the access list has permission 0%o; only bits of "
					   "0666 are allowed",
					   i, entries[i].permission);
	if (!loopback || !count)
		return RSM_SUCCESS;
	if (count > 1)
		return base_refuse(
			RSMERR_BAD_ACL,
			"access list with %zu entries; on loopback only the local node, %u, can be listed",
			count, local_node);
	if (entries[0].node != local_node)
		return base_refuse(
			RSMERR_BAD_ACL,
			"the access list names node %u; on loopback only the local node, %u, can be listed",
			entries[0].node, local_node);
	return RSM_SUCCESS;
}

static bool bits_for_node(const struct rsmd_acl *acl, uint32_t node, uint32_t *bits)
{
	if (!acl->count) {
		*bits = acl->default_permission;
		return true;
	}
	for (size_t i = 0; i < acl->count; i++)
		if (acl->entries[i].node == node) {
			*bits = acl->entries[i].permission;
			return true;
		}
	return false;
}

static enum kind kind_of(uid_t owner, gid_t group, const struct rsmd_identity *who)
{
	if (who->uid == owner)
		return KIND_OWNER;
	if (who->gid == group)
		return KIND_GROUP;
	for (size_t i = 0; i < who->group_count; i++)
		if (who->groups[i] == group)
			return KIND_GROUP;
	return KIND_OTHER;
}

int rsmd_access_decide(const struct rsmd_acl *acl, uid_t owner, gid_t group, const struct rsmd_identity *who,
		       uint32_t wanted, bool privileged)
{
	uint32_t bits;
	if (!bits_for_node(acl, who->node, &bits))
		return base_refuse(RSMERR_SEG_NOT_PUBLISHED_TO_NODE,
				   "node %u is not in the segment's access list of %zu entries", who->node,
				   acl->count);
	enum kind kind = kind_of(owner, group, who);
	uint32_t digit = bits >> (6 - 3 * (unsigned)kind) & 06; /* classes exclude each other, as for files */
	uint32_t asked = wanted >> 6 & 06;
	if ((asked & ~digit) == 0 || privileged)
		return RSM_SUCCESS;
	return base_refuse(RSMERR_PERM_DENIED,
			   "uid %u, gid %u counts as %s of the segment (exporter uid %u, gid %u); permission "
			   "0%03o gives "
			   "it %u, asked was %u (4 read, 2 write)",
			   who->uid, who->gid, kind_names[kind], owner, group, bits, digit, asked);
}

uint32_t rsmd_access_of_node(const struct rsmd_acl *acl, uint32_t node)
{
	for (size_t i = 0; i < acl->count; i++)
		if (acl->entries[i].node == node)
			return acl->entries[i].permission;
	return acl->count ? 0 : acl->default_permission;
}
