/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The settings that this daemon runs with, and where each came from, as JSON. Schema 1: keys are only added. There is no
 * secret among them: of the key only the file's name is a setting.
 */
#include "rsmd/status.h"

#include <stdio.h>
#include <string.h>

#include "rsmd/rsmd.h"

/* `unused`: a private daemon has no part in a cluster. */
static void add(json_t *list, const char *section, const char *key, const char *value, const char *origin,
		bool unused)
{
	json_t *said = json_pack("{s:o, s:o, s:o, s:o}", "section", rsmd_status_text(section), "key",
				 rsmd_status_text(key), "value", rsmd_status_text(value), "origin",
				 rsmd_status_text(origin));
	if (said && unused)
		json_object_set_new(said, "unused", json_true());
	json_array_append_new(list, said);
}

static void add_setting(json_t *list, const struct rsmd_config_setting *setting, bool unused)
{
	char origin[512];
	snprintf(origin, sizeof(origin), "%.480s:%d", rsmd_server.config.files[setting->file], setting->line);
	add(list, setting->section, setting->key, setting->value, origin, unused);
}

/* The setting, or the default if there is none. */
static void add_key(json_t *list, const char *section, const char *key, const char *value, bool unused)
{
	const struct rsmd_config_setting *setting = rsmd_config_setting(&rsmd_server.config, section, key);
	if (setting)
		add_setting(list, setting, unused);
	else if (value)
		add(list, section, key, value, "default", unused);
}

static void add_time(json_t *list, const char *section, const char *key, uint64_t ms)
{
	char text[32];
	snprintf(text, sizeof(text), ms % 1000 ? "%llums" : "%llus",
		 (unsigned long long)(ms % 1000 ? ms : ms / 1000));
	add_key(list, section, key, text, false);
}

static void add_number(json_t *list, const char *section, const char *key, uint32_t number)
{
	char text[16];
	snprintf(text, sizeof(text), "%u", number);
	add_key(list, section, key, text, false);
}

static void add_node(json_t *list)
{
	const struct rsmd_config *config = &rsmd_server.config;
	char mode[16];
	snprintf(mode, sizeof(mode), "%04o", (unsigned)config->socket_mode);
	add_number(list, "node", "id", config->node_id);
	add_time(list, "node", "idle-exit", config->idle_exit_ms);
	add_number(list, "node", "max-exported-memory", config->max_exported_percent);
	add_number(list, "node", "max-segments", config->max_segments);
	add_key(list, "node", "name", config->node_name, false);
	add_key(list, "node", "socket-mode", mode, false);
	add_key(list, "node", "userfaultfd", config->userfaultfd ? "yes" : "no", false);
	add_time(list, "cluster", "dead-after", config->dead_after_ms);
	add_key(list, "cluster", "key-file", NULL, false);
	add_time(list, "metrics", "interval", config->metrics_interval_ms);
	add_key(list, "metrics", "listen", NULL, false);
	add_key(list, "metrics", "textfile", NULL, false);
}

static void add_controller(json_t *list, const struct rsmd_controller *controller)
{
	char section[RSMD_NAME_MAX + 16], threads[16];
	snprintf(section, sizeof(section), "controller %s", controller->name);
	snprintf(threads, sizeof(threads), "%u", rsmd_server.config.threads);
	bool tcp = controller->address_length > 0;
	add_key(list, section, "type", NULL, false);
	add_key(list, section, "address", NULL, false);
	add_key(list, section, "encrypt", tcp ? "no" : NULL, false);
	add_key(list, section, "loop", tcp ? "no" : NULL, false);
	add_key(list, section, "port", tcp ? "7600" : NULL, false);
	add_key(list, section, "threads", tcp ? threads : NULL, false);
}

/* Peers as they were written, one pass however many they are; and the controllers that --private left out. */
static void add_rest(json_t *list)
{
	const struct rsmd_config *config = &rsmd_server.config;
	for (size_t i = 0; i < config->setting_count; i++) {
		const struct rsmd_config_setting *setting = &config->settings[i];
		bool peer = !strncmp(setting->section, "peer ", 5);
		bool left_out = !strncmp(setting->section, "controller ", 11) &&
				!rsmd_config_controller(config, setting->section + 11);
		if ((peer || left_out) && !setting->superseded)
			add_setting(list, setting, left_out || rsmd_server.private_daemon);
	}
}

json_t *rsmd_status_config(void)
{
	const struct rsmd_config *config = &rsmd_server.config;
	json_t *files = json_array(), *settings = json_array();
	for (size_t i = 0; i < config->file_count; i++)
		json_array_append_new(files, rsmd_status_text(config->files[i]));
	add_node(settings);
	for (size_t i = 1; i < config->controller_count; i++)
		add_controller(settings, &config->controllers[i]);
	add_rest(settings);
	return json_pack("{s:i, s:o, s:o, s:o}", "schema", 1, "file",
			 config->file_count && !config->drop_ins_only ? rsmd_status_text(config->files[0])
								      : json_null(),
			 "files", files, "settings", settings);
}
