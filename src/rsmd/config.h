/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What rsmd.conf says (doc: packaging/rsmd.conf.example). Read once at start. A key that is not known or a
 * value that is not valid refuses the whole file, with its line: a typing error must not become a default.
 */
#ifndef RSMD_CONFIG_H
#define RSMD_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

#define RSMD_CONTROLLERS_MAX 32 /* without loopback */
#define RSMD_NAME_MAX        64

struct rsmd_controller {
	char name[RSMD_NAME_MAX]; /* lower case, type + unit number: "shm0" */
	char type[RSMD_NAME_MAX]; /* "loopback", "local" or "tcp" */

	/* tcp */
	struct sockaddr_storage address; /* with the port: where other nodes and their processes connect to */
	socklen_t address_length;        /* 0: not tcp */
	bool encrypt;                    /* data connections to this node are TLS */
	bool loop; /* imports of this node's own segments go through the network as well: for tests and measurements */
};

/* Where another node is, by controller. */
struct rsmd_config_path {
	uint32_t controller; /* index into controllers */
	struct sockaddr_storage address;
	socklen_t address_length;
};

struct rsmd_config_peer {
	uint32_t node;
	char name[RSMD_NAME_MAX];       /* "" if it was not given */
	struct rsmd_config_path *paths; /* owned */
	size_t path_count;
};

/* One line of a file that was believed: for `rsm config`, which tells where a value came from. */
struct rsmd_config_setting {
	char *section, *key; /* owned; as rsmd calls them, however they were written */
	char *value;         /* owned; as it was written */
	size_t file;         /* index into files */
	int line;
	bool superseded; /* the same key of the same section is there again, later */
};

struct rsmd_config {
	uint32_t node_id;
	char node_name[RSMD_NAME_MAX];
	uint32_t max_segments;         /* exports + imports, 1..65535 */
	uint32_t max_exported_percent; /* of RAM; 0: no limit */
	uint64_t max_exported_bytes;   /* the same in bytes; 0: no limit */
	mode_t socket_mode;            /* of the socket of a daemon that is not private */
	uint64_t idle_exit_ms;         /* private daemon only; 0: stays */
	bool userfaultfd;
	size_t controller_count; /* at least 1: loopback is the first */
	struct rsmd_controller controllers[1 + RSMD_CONTROLLERS_MAX];

	/* [cluster] */
	char key_file[256];     /* "": none; needed as soon as there is a tcp controller with a peer */
	uint64_t dead_after_ms; /* 3000 */
	uint32_t threads;       /* that serve data connections, 1..64; default 2 */
	struct rsmd_config_peer *peers; /* owned */
	size_t peer_count;

	/* [metrics] */
	char metrics_textfile[256];             /* "": none */
	uint64_t metrics_interval_ms;           /* between two writes of it; 15000 */
	struct sockaddr_storage metrics_listen; /* of loopback; for HTTP */
	socklen_t metrics_listen_length;        /* 0: none */

	/* config_origin.c: what was read, in its order; a later setting of the same key is the one that counts. */
	char **files; /* owned */
	size_t file_count;
	bool drop_ins_only;                   /* the default file does not exist */
	struct rsmd_config_setting *settings; /* owned */
	size_t setting_count;
};

void rsmd_config_defaults(struct rsmd_config *config);

/*
 * Reads `path`, and behind it the files path.d/NAME.conf in the order of their names, over what config holds; a later file
 * may change what an earlier one said of the same controller or peer. A missing file is an error only with
 * `must_exist`. False: error holds "file:line: what is wrong".
 */
bool rsmd_config_read(struct rsmd_config *config, const char *path, bool must_exist, char *error,
		      size_t size);

/*
 * A private daemon serves one user of this host and has no part in a cluster: takes tcp controllers, peers and
 * metrics out. Returns the number of controllers that went.
 */
size_t rsmd_config_make_private(struct rsmd_config *config);

/* Frees what it owns. After a file that was refused there is nothing left. */
void rsmd_config_clear(struct rsmd_config *config);

/* The setting that counts, or NULL: the default does. */
const struct rsmd_config_setting *rsmd_config_setting(const struct rsmd_config *config, const char *section,
						      const char *key);

/* The controller of that name (case does not matter), or NULL. */
const struct rsmd_controller *rsmd_config_controller(const struct rsmd_config *config, const char *name);

#endif
