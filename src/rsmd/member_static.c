/* SPDX-License-Identifier: BSD-2-Clause */
#include "rsmd/member.h"

#include <string.h>

#include "rsmd/rsmd.h"

/* All that the configuration names are members for good; who of them is alive the beats of each path tell. */
static bool open_static(bool (*joined)(const struct rsmd_member *member), void (*left)(uint32_t node))
{
	const struct rsmd_config *config = &rsmd_server.config;
	(void)left;
	for (size_t i = 0; i < config->peer_count; i++)
		for (size_t j = 0; j < config->peers[i].path_count; j++) {
			const struct rsmd_config_path *path = &config->peers[i].paths[j];
			struct rsmd_member member = {
				.node = config->peers[i].node,
				.controller = &config->controllers[path->controller],
				.address = path->address,
				.address_length = path->address_length,
			};
			strcpy(member.name, config->peers[i].name);
			if (!joined(&member))
				return false;
		}
	return true;
}

const struct rsmd_member_source rsmd_member_static = {"static", open_static};
