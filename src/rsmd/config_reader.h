/* SPDX-License-Identifier: BSD-2-Clause */
/* One reading of rsmd.conf, shared by the files that know its sections. */
#ifndef RSMD_CONFIG_READER_H
#define RSMD_CONFIG_READER_H

#include "rsmd/config.h"

/* Where something stands. */
struct rsmd_config_place {
	size_t file; /* index into the configuration's files */
	int line;
};

/* A path that a peer section names: its controller may come later in the file. */
struct rsmd_config_named {
	size_t peer;
	char controller[RSMD_NAME_MAX];
	struct sockaddr_storage address;
	socklen_t address_length;
	struct rsmd_config_place place;
};

/* inih goes on after an error; the first one counts. */
struct rsmd_config_reader {
	struct rsmd_config *config;
	char problem[256];              /* "" while all is well */
	struct rsmd_config_place place; /* that is being read */
	struct rsmd_config_place problem_place;
	char section[RSMD_NAME_MAX + 32]; /* of the key before */
	char key[64];                     /* the one before, "" at the beginning of a section */
	bool blank, continues;            /* the line begins with a blank, and so goes on with a value */

	struct rsmd_config_place
		controllers[1 + RSMD_CONTROLLERS_MAX];  /* where each begins, in the last file */
	uint16_t ports[1 + RSMD_CONTROLLERS_MAX];       /* 0: not given */
	uint32_t threads[1 + RSMD_CONTROLLERS_MAX];     /* 0: not given */
	const char *tcp_only[1 + RSMD_CONTROLLERS_MAX]; /* a key that only tcp controllers have, or NULL */
	struct rsmd_config_place *peers;                /* as controllers; owned */
	struct rsmd_config_named *paths;                /* owned */
	size_t path_count;
};

struct rsmd_config_key {
	const char *name;
	bool (*set)(struct rsmd_config_reader *reader, const char *value);
};

/* Notes a problem of the present line; always false. */
bool rsmd_config_wrong(struct rsmd_config_reader *reader, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Digits only (strtoull alone takes signs and blanks); *end is what follows them. */
bool rsmd_config_number(const char *text, int base, uint64_t *number, const char **end);
bool rsmd_config_bounded(struct rsmd_config_reader *reader, const char *key, const char *value, uint64_t low,
			 uint64_t high, uint32_t *result);
bool rsmd_config_time(struct rsmd_config_reader *reader, const char *key, const char *value, uint64_t *ms);
bool rsmd_config_name(struct rsmd_config_reader *reader, const char *value, char name[RSMD_NAME_MAX]);
bool rsmd_config_yes(struct rsmd_config_reader *reader, const char *key, const char *value, bool *result);

/* config_metrics.c: section [metrics]. */
bool rsmd_config_metrics(struct rsmd_config_reader *reader, const char *key, const char *value);

/* config_cluster.c: sections [cluster], [controller NAME] and [peer N]; `title` is what follows the first word. */
bool rsmd_config_cluster(struct rsmd_config_reader *reader, const char *key, const char *value);
bool rsmd_config_on_controller(struct rsmd_config_reader *reader, const char *title, bool begins,
			       const char *key, const char *value);
bool rsmd_config_on_peer(struct rsmd_config_reader *reader, const char *title, bool begins, const char *key,
			 const char *value);

/*
 * config_origin.c. The files to read: `path`, if it is there or must be, and what lies in path.d. False: no memory, or path.d
 * cannot be read, and the error says so. A setting that was believed is noted; false: no memory.
 */
bool rsmd_config_files(struct rsmd_config *config, const char *path, bool must_exist, char *error,
		       size_t size);
bool rsmd_config_note(struct rsmd_config_reader *reader, const char *section, const char *key,
		      const char *value);
void rsmd_config_forget(struct rsmd_config *config);

/* After the last line: finds the controllers that peers name, and what is missing. */
bool rsmd_config_resolve(struct rsmd_config_reader *reader);

#endif
