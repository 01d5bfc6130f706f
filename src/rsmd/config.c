/* SPDX-License-Identifier: BSD-2-Clause */
#include "rsmd/config_reader.h"

#include <ctype.h>
#include <errno.h>
#include <ini.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/sysinfo.h>
#include <unistd.h>

bool rsmd_config_wrong(struct rsmd_config_reader *reader, const char *format, ...)
{
	va_list arguments;
	if (reader->problem[0])
		return false;
	va_start(arguments, format);
	vsnprintf(reader->problem, sizeof(reader->problem), format, arguments);
	va_end(arguments);
	reader->problem_line = reader->line;
	return false;
}

bool rsmd_config_number(const char *text, int base, uint64_t *number, const char **end)
{
	char *stop;
	if (!isdigit((unsigned char)text[0]))
		return false;
	errno = 0;
	*number = strtoull(text, &stop, base);
	*end = stop;
	return errno == 0;
}

bool rsmd_config_bounded(struct rsmd_config_reader *reader, const char *key, const char *value, uint64_t low,
			 uint64_t high, uint32_t *result)
{
	uint64_t number;
	const char *end;
	if (!rsmd_config_number(value, 10, &number, &end) || *end || number < low || number > high)
		return rsmd_config_wrong(reader, "%s = %.64s: a number from %llu to %llu is expected", key,
					 value, (unsigned long long)low, (unsigned long long)high);
	*result = (uint32_t)number;
	return true;
}

bool rsmd_config_time(struct rsmd_config_reader *reader, const char *key, const char *value, uint64_t *ms)
{
	static const struct {
		const char *unit;
		uint64_t ms;
	} units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}};
	uint64_t number;
	const char *end;
	if (rsmd_config_number(value, 10, &number, &end) && number <= UINT32_MAX)
		for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
			if (!strcmp(end, units[i].unit)) {
				*ms = number * units[i].ms;
				return true;
			}
	return rsmd_config_wrong(reader,
				 "%s = %.64s: a number with the unit ms, s, m or h is expected, as in 30s",
				 key, value);
}

bool rsmd_config_yes(struct rsmd_config_reader *reader, const char *key, const char *value, bool *result)
{
	if (strcmp(value, "yes") && strcmp(value, "no"))
		return rsmd_config_wrong(reader, "%s = %.64s: yes or no is expected", key, value);
	*result = !strcmp(value, "yes");
	return true;
}

static bool set_id(struct rsmd_config_reader *reader, const char *value)
{
	return rsmd_config_bounded(reader, "id", value, 0, UINT32_MAX, &reader->config->node_id);
}

static bool set_name(struct rsmd_config_reader *reader, const char *value)
{
	if (!value[0] || strlen(value) >= RSMD_NAME_MAX)
		return rsmd_config_wrong(reader, "name = %.80s: 1 to %d characters are expected", value,
					 RSMD_NAME_MAX - 1);
	strcpy(reader->config->node_name, value);
	return true;
}

static bool set_max_segments(struct rsmd_config_reader *reader, const char *value)
{
	return rsmd_config_bounded(reader, "max-segments", value, 1, 65535, &reader->config->max_segments);
}

static bool set_max_exported(struct rsmd_config_reader *reader, const char *value)
{
	struct rsmd_config *config = reader->config;
	if (!rsmd_config_bounded(reader, "max-exported-memory", value, 0, 100, &config->max_exported_percent))
		return false;
	struct sysinfo info;
	uint64_t pages = sysinfo(&info) ? 0 : (uint64_t)info.totalram * info.mem_unit / 4096;
	config->max_exported_bytes = pages * config->max_exported_percent / 100 * 4096;
	return true;
}

static bool set_socket_mode(struct rsmd_config_reader *reader, const char *value)
{
	uint64_t mode;
	const char *end;
	if (!rsmd_config_number(value, 8, &mode, &end) || *end || mode > 0777)
		return rsmd_config_wrong(
			reader, "socket-mode = %.64s: an octal mode from 0 to 0777 is expected", value);
	reader->config->socket_mode = (mode_t)mode;
	return true;
}

static bool set_idle_exit(struct rsmd_config_reader *reader, const char *value)
{
	return rsmd_config_time(reader, "idle-exit", value, &reader->config->idle_exit_ms);
}

static bool set_userfaultfd(struct rsmd_config_reader *reader, const char *value)
{
	return rsmd_config_yes(reader, "userfaultfd", value, &reader->config->userfaultfd);
}

static const struct rsmd_config_key node_keys[] = {
	{"id", set_id},
	{"idle-exit", set_idle_exit},
	{"max-exported-memory", set_max_exported},
	{"max-segments", set_max_segments},
	{"name", set_name},
	{"socket-mode", set_socket_mode},
	{"userfaultfd", set_userfaultfd},
};

static bool on_node(struct rsmd_config_reader *reader, const char *key, const char *value)
{
	for (size_t i = 0; i < sizeof(node_keys) / sizeof(node_keys[0]); i++)
		if (!strcmp(key, node_keys[i].name))
			return node_keys[i].set(reader, value);
	return rsmd_config_wrong(reader, "unknown key %.64s in [node]", key);
}

static int on_key(void *context, const char *section, const char *key, const char *value)
{
	struct rsmd_config_reader *reader = context;
	bool begins = strcmp(section, reader->section) != 0;
	reader->section[0] = '\0';
	strncat(reader->section, section, sizeof(reader->section) - 1);
	if (!strncmp(section, "controller ", 11))
		return rsmd_config_on_controller(reader, section + 11, begins, key, value);
	if (!strncmp(section, "peer ", 5))
		return rsmd_config_on_peer(reader, section + 5, begins, key, value);
	if (!strcmp(section, "cluster"))
		return rsmd_config_cluster(reader, key, value);
	if (!strcmp(section, "metrics"))
		return rsmd_config_metrics(reader, key, value);
	if (!strcmp(section, "node"))
		return on_node(reader, key, value);
	return rsmd_config_wrong(
		reader,
		"%.64s in unknown section [%.64s]: [node], [cluster], [controller NAME], [peer "
		"NUMBER] and [metrics] are known",
		key, section);
}

/* A source of lines for inih, which does not tell their numbers. */
struct lines {
	FILE *file;
	struct rsmd_config_reader *reader;
};

static char *next_line(char *text, int size, void *context)
{
	struct lines *lines = context;
	lines->reader->line++;
	return fgets(text, size, lines->file);
}

void rsmd_config_defaults(struct rsmd_config *config)
{
	memset(config, 0, sizeof(*config));
	config->node_id = 1;
	config->max_segments = 65535;
	config->socket_mode = 0666;
	config->idle_exit_ms = 30000;
	config->userfaultfd = true;
	config->dead_after_ms = 3000;
	config->threads = 2;
	config->metrics_interval_ms = 15000;
	if (gethostname(config->node_name, sizeof(config->node_name) - 1))
		strcpy(config->node_name, "localhost");
	config->controller_count = 1;
	strcpy(config->controllers[0].name, "loopback");
	strcpy(config->controllers[0].type, "loopback");
}

bool rsmd_config_read(struct rsmd_config *config, const char *path, bool must_exist, char *error, size_t size)
{
	struct rsmd_config_reader reader = {.config = config};
	struct lines lines = {fopen(path, "re"), &reader};
	if (!lines.file) {
		if (errno == ENOENT && !must_exist)
			return true;
		snprintf(error, size, "%s: %s", path, strerror(errno));
		return false;
	}
	int line = ini_parse_stream(next_line, &lines, on_key, &reader);
	fclose(lines.file);
	if (!line && !rsmd_config_resolve(&reader))
		line = reader.problem_line;
	free(reader.peer_lines);
	free(reader.paths);
	if (!line)
		return true;
	rsmd_config_clear(config);
	if (line < 0)
		snprintf(error, size, "%s: no memory", path);
	else
		snprintf(error, size, "%s:%d: %s", path, line,
			 reader.problem[0] ? reader.problem : "neither [section] nor key = value");
	return false;
}

void rsmd_config_clear(struct rsmd_config *config)
{
	for (size_t i = 0; i < config->peer_count; i++)
		free(config->peers[i].paths);
	free(config->peers);
	config->peers = NULL;
	config->peer_count = 0;
}

const struct rsmd_controller *rsmd_config_controller(const struct rsmd_config *config, const char *name)
{
	for (size_t i = 0; i < config->controller_count; i++)
		if (!strcasecmp(config->controllers[i].name, name))
			return &config->controllers[i];
	return NULL;
}
