/* SPDX-License-Identifier: BSD-2-Clause */
/* Which files rsmd.conf consists of, and which line of them each setting came from. */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "rsmd/config_reader.h"

static bool add_file(struct rsmd_config *config, char *path)
{
	char **files = path ? realloc(config->files, (config->file_count + 1) * sizeof(*files)) : NULL;
	if (!files) {
		free(path);
		return false;
	}
	config->files = files;
	files[config->file_count++] = path;
	return true;
}

/* NAME.conf, not hidden: editors and packages leave other names behind. */
static int is_drop_in(const struct dirent *entry)
{
	size_t length = strlen(entry->d_name);
	return entry->d_name[0] != '.' && length > 5 && !strcmp(entry->d_name + length - 5, ".conf");
}

/* By bytes, so that the order is the same in every locale. */
static int by_name(const struct dirent **left, const struct dirent **right)
{
	return strcmp((*left)->d_name, (*right)->d_name);
}

bool rsmd_config_files(struct rsmd_config *config, const char *path, bool must_exist, char *error,
		       size_t size)
{
	char directory[PATH_MAX];
	struct dirent **entries = NULL;
	int length = snprintf(directory, sizeof(directory), "%s.d", path);
	rsmd_config_forget(config);
	config->drop_ins_only = !must_exist && access(path, F_OK) && errno == ENOENT;
	if (!config->drop_ins_only && !add_file(config, strdup(path))) {
		snprintf(error, size, "%s: no memory", path);
		return false;
	}
	if (length < 0 || (size_t)length >= sizeof(directory))
		return true; /* no such directory can exist; the file's own error will tell */
	int count = scandir(directory, &entries, is_drop_in, by_name);
	if (count < 0 && (errno == ENOENT || errno == ENOTDIR))
		return true;
	if (count < 0) {
		snprintf(error, size, "%s: %s", directory, strerror(errno));
		return false;
	}
	bool done = true;
	for (int i = 0; i < count; i++) {
		char *file = NULL;
		if (done && asprintf(&file, "%s/%s", directory, entries[i]->d_name) < 0)
			file = NULL;
		done = done && add_file(config, file);
		free(entries[i]);
	}
	free(entries);
	if (!done)
		snprintf(error, size, "%s: no memory", directory);
	return done;
}

/* The one before, if any: of three the first was marked by the second. */
static void supersede(struct rsmd_config *config, const struct rsmd_config_setting *setting)
{
	for (size_t i = config->setting_count - 1; i-- > 0;) {
		struct rsmd_config_setting *at = &config->settings[i];
		if (at->section && at->key && !strcmp(at->section, setting->section) &&
		    !strcmp(at->key, setting->key)) {
			at->superseded = true;
			return;
		}
	}
}

static void make_lower(char *text)
{
	for (; text && *text; text++)
		*text = (char)tolower((unsigned char)*text);
}

/* Of all ways to write it, the one that names the controller or the peer as they are kept. NULL: no memory. */
static char *section_of(const char *written)
{
	char *section = NULL;
	int length;
	if (!strncmp(written, "controller ", 11))
		length = asprintf(&section, "controller %s", written + 11 + strspn(written + 11, " "));
	else if (!strncmp(written, "peer ", 5))
		length = asprintf(&section, "peer %lu", strtoul(written + 5, NULL, 10));
	else
		length = asprintf(&section, "%s", written);
	if (length < 0)
		return NULL;
	make_lower(section);
	return section;
}

bool rsmd_config_note(struct rsmd_config_reader *reader, const char *section, const char *key,
		      const char *value)
{
	struct rsmd_config *config = reader->config;
	struct rsmd_config_setting *settings =
		realloc(config->settings, (config->setting_count + 1) * sizeof(*settings));
	if (!settings)
		return rsmd_config_wrong(reader, "no memory to note this setting");
	config->settings = settings;
	struct rsmd_config_setting *setting = &settings[config->setting_count++];
	*setting = (struct rsmd_config_setting){.section = section_of(section),
						.key = strdup(key),
						.value = strdup(value),
						.file = reader->place.file,
						.line = reader->place.line};
	make_lower(setting->key); /* it may be a controller's name */
	if (setting->section && setting->key)
		supersede(config, setting);
	return (setting->section && setting->key && setting->value) ||
	       rsmd_config_wrong(reader, "no memory to note this setting");
}

const struct rsmd_config_setting *rsmd_config_setting(const struct rsmd_config *config, const char *section,
						      const char *key)
{
	for (size_t i = config->setting_count; i-- > 0;)
		if (!strcmp(config->settings[i].section, section) && !strcmp(config->settings[i].key, key))
			return &config->settings[i];
	return NULL;
}

void rsmd_config_forget(struct rsmd_config *config)
{
	for (size_t i = 0; i < config->file_count; i++)
		free(config->files[i]);
	for (size_t i = 0; i < config->setting_count; i++) {
		free(config->settings[i].section);
		free(config->settings[i].key);
		free(config->settings[i].value);
	}
	free(config->files);
	free(config->settings);
	config->files = NULL;
	config->settings = NULL;
	config->file_count = config->setting_count = 0;
}
