/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A key-value cache in exported memory. Readers, on this node or on others, find entries by get alone: the owner takes no
 * part, it may compute, be stopped by a debugger or be busy writing.
 *
 *     kv_cache owner 0x400300                 (reads "set KEY VALUE" lines from standard input)
 *     kv_cache read [NODE:]0x400300 KEY...
 *
 * Each entry carries a version that is odd while the owner changes it. A reader takes an entry whole and believes it
 * when the version before and after is the same and even; else it reads again.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <unistd.h>

#include "example.h"

#define ENTRIES 1024
#define PROBES  16 /* places after its own where a key may lie */
#define TRIES   1000

struct entry {
	_Atomic uint64_t version; /* 0: never used; odd: being changed */
	char key[24];
	char value[96];
};

static unsigned place_of(const char *key)
{
	uint64_t hash = 14695981039346656037u; /* FNV-1a */
	for (; *key; key++)
		hash = (hash ^ (unsigned char)*key) * 1099511628211u;
	return (unsigned)(hash % ENTRIES);
}

static bool set(struct entry *table, const char *key, const char *value)
{
	for (unsigned n = 0; n < PROBES; n++) {
		struct entry *entry = &table[(place_of(key) + n) % ENTRIES];
		if (entry->version && strcmp(entry->key, key) != 0)
			continue;
		entry->version++;
		atomic_thread_fence(memory_order_seq_cst);
		snprintf(entry->key, sizeof(entry->key), "%s", key);
		snprintf(entry->value, sizeof(entry->value), "%s", value);
		entry->version++;
		return true;
	}
	return false;
}

static int own(const char *id)
{
	rsm_memseg_export_handle_t segment;
	struct entry *table = example_export((rsm_memseg_id_t)strtoul(id, NULL, 0),
					     ENTRIES * sizeof(struct entry), &segment);
	char line[256], key[24], value[96];
	puts("ready");
	while (fgets(line, sizeof(line), stdin)) {
		if (sscanf(line, "set %23s %95[^\n]", key, value) != 2)
			puts("? set KEY VALUE");
		else
			puts(set(table, key, value) ? "ok" : "full");
	}
	return rsm_memseg_export_destroy(segment);
}

/* Takes one entry as it was at one moment. False: it kept changing. */
static bool take(rsm_memseg_import_handle_t import, unsigned place, struct entry *entry)
{
	off_t offset = (off_t)(place * sizeof(*entry));
	for (unsigned tries = 0; tries < TRIES; tries++) {
		uint64_t before, after;
		MUST(rsm_memseg_import_get64(import, offset, &before, 1));
		MUST(rsm_memseg_import_get(import, offset, entry, sizeof(*entry)));
		MUST(rsm_memseg_import_get64(import, offset, &after, 1));
		if (before == after && before % 2 == 0)
			return true;
	}
	return false;
}

static bool look_up(rsm_memseg_import_handle_t import, const char *key, struct entry *entry)
{
	for (unsigned n = 0; n < PROBES; n++) {
		if (!take(import, (place_of(key) + n) % ENTRIES, entry))
			return false;
		if (entry->version == 0)
			return false;
		/* Memory of another process: its texts need not end. */
		entry->key[sizeof(entry->key) - 1] = entry->value[sizeof(entry->value) - 1] = '\0';
		if (strcmp(entry->key, key) == 0)
			return true;
	}
	return false;
}

static int look_up_all(const char *name, char **keys)
{
	rsm_memseg_import_handle_t import;
	rsmapi_barrier_t barrier;
	struct entry entry;
	int result = 0;
	MUST(example_connect(name, RSM_PERM_READ, &import, &barrier));
	for (; *keys; keys++) {
		if (look_up(import, *keys, &entry)) {
			printf("%s = %s\n", *keys, entry.value);
		} else {
			printf("%s is not there\n", *keys);
			result = 1;
		}
	}
	MUST(rsm_memseg_import_disconnect(import));
	return result;
}

int main(int argc, char **argv)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc == 3 && !strcmp(argv[1], "owner"))
		return own(argv[2]);
	if (argc >= 4 && !strcmp(argv[1], "read"))
		return look_up_all(argv[2], argv + 3);
	fprintf(stderr, "usage: kv_cache owner ID | read [NODE:]ID KEY...\n");
	return 2;
}
