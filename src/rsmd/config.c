/* SPDX-License-Identifier: BSD-2-Clause */
#include "rsmd/config_reader.h"

#include "base/text.h"

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

#define LINE_LENGTH    1024 /* characters */
#define SECTION_LENGTH 48   /* inih cuts what is longer than 49 */

/* The library's buffer for a line: a variable where the distribution made it one (Debian did), else 200 for ever. */
extern int ini_max_line __attribute__((weak));

bool rsmd_config_wrong(struct rsmd_config_reader *reader, const char *format, ...)
{
	va_list arguments;
	if (reader->problem[0])
		return false;
	if (reader->continues)
		snprintf(reader->problem, sizeof(reader->problem),
			 "the line begins with a blank, so it continues the value of %s; ", reader->key);
	size_t used = strlen(reader->problem);
	va_start(arguments, format);
	vsnprintf(reader->problem + used, sizeof(reader->problem) - used, format, arguments);
	va_end(arguments);
	reader->problem_place = reader->place;
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

bool rsmd_config_name(struct rsmd_config_reader *reader, const char *value, char name[RSMD_NAME_MAX])
{
	char clean[RSMD_NAME_MAX];
	if (!base_text_clean(clean, sizeof(clean), value) || strcmp(clean, value) != 0)
		return rsmd_config_wrong(
			reader, "name = %s: 1 to %d bytes of UTF-8 without control characters are expected",
			clean, RSMD_NAME_MAX - 1);
	strcpy(name, clean);
	return true;
}

static bool set_id(struct rsmd_config_reader *reader, const char *value)
{
	return rsmd_config_bounded(reader, "id", value, 0, UINT32_MAX, &reader->config->node_id);
}

static bool set_name(struct rsmd_config_reader *reader, const char *value)
{
	return rsmd_config_name(reader, value, reader->config->node_name);
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

static bool on_setting(struct rsmd_config_reader *reader, const char *section, const char *key,
		       const char *value)
{
	bool begins = strcmp(section, reader->section) != 0;
	if (strlen(section) > SECTION_LENGTH)
		return rsmd_config_wrong(reader, "[%s...]: a section's name has at most %d characters",
					 section, SECTION_LENGTH);
	strcpy(reader->section, section);
	if (!*section)
		return rsmd_config_wrong(reader, "%.64s stands before any [section]", key);
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

static int on_key(void *context, const char *section, const char *key, const char *value)
{
	struct rsmd_config_reader *reader = context;
	reader->continues = reader->blank && reader->key[0] && !strcmp(key, reader->key);
	snprintf(reader->key, sizeof(reader->key), "%s", key);
	return on_setting(reader, section, key, value) && rsmd_config_note(reader, section, key, value);
}

/* A source of lines for inih, which does not tell their numbers. */
struct lines {
	FILE *file;
	struct rsmd_config_reader *reader;
};

/* The line is not all there: there is more of it than the buffer holds, or a byte 0 hides the rest. */
static bool is_cut(const char *text, FILE *file)
{
	int next = strchr(text, '\n') ? EOF : getc(file);
	return ungetc(next, file) != EOF;
}

/* The rest of a line that was cut must not become a line: reading ends there. */
static char *next_line(char *text, int size, void *context)
{
	struct lines *lines = context;
	struct rsmd_config_reader *reader = lines->reader;
	reader->place.line++;
	reader->continues = false;
	if (!fgets(text, size, lines->file))
		return NULL;
	reader->blank = isspace((unsigned char)text[0]);
	if (text[strspn(text, " \t")] == '[')
		reader->key[0] = '\0';
	if (!is_cut(text, lines->file))
		return text;
	rsmd_config_wrong(reader, "a line has at most %d characters, and no byte 0",
			  size - 3); /* CR, LF, 0 */
	return NULL;
}

/* For people, by default what they call this host: any bytes may be in there. */
static void default_name(char name[RSMD_NAME_MAX])
{
	char host[RSMD_NAME_MAX];
	if (gethostname(host, sizeof(host) - 1))
		host[0] = '\0';
	host[sizeof(host) - 1] = '\0';
	base_text_clean(name, RSMD_NAME_MAX, host[0] ? host : "localhost");
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
	default_name(config->node_name);
	config->controller_count = 1;
	strcpy(config->controllers[0].name, "loopback");
	strcpy(config->controllers[0].type, "loopback");
}

/* One file. 0, or the line of the first error, or -1: no memory. */
static int read_file(struct rsmd_config_reader *reader, size_t n, FILE *file)
{
	struct lines lines = {file, reader};
	reader->place = (struct rsmd_config_place){.file = n};
	reader->section[0] = reader->key[0] = '\0';
	if (&ini_max_line)
		ini_max_line = LINE_LENGTH + 3;
	int line = ini_parse_stream(next_line, &lines, on_key, reader);
	return (ferror(file) || reader->problem[0]) && !line ? reader->place.line : line;
}

/* All files, and then the whole of them. */
static bool read_files(struct rsmd_config_reader *reader, char *error, size_t size)
{
	struct rsmd_config *config = reader->config;
	int line = 0;
	for (size_t n = 0; n < config->file_count && !line; n++) {
		FILE *file = fopen(config->files[n], "re");
		if (!file) {
			snprintf(error, size, "%s: %s", config->files[n], strerror(errno));
			return false;
		}
		line = read_file(reader, n, file);
		fclose(file);
	}
	if (!line && rsmd_config_resolve(reader))
		return true;
	const struct rsmd_config_place *at = reader->problem[0] ? &reader->problem_place : &reader->place;
	if (line < 0)
		snprintf(error, size, "%s: no memory", config->files[at->file]);
	else
		snprintf(error, size, "%s:%d: %s", config->files[at->file],
			 reader->problem[0] ? at->line : line,
			 reader->problem[0] ? reader->problem : "neither [section] nor key = value");
	return false;
}

bool rsmd_config_read(struct rsmd_config *config, const char *path, bool must_exist, char *error, size_t size)
{
	struct rsmd_config_reader reader = {.config = config};
	bool done =
		rsmd_config_files(config, path, must_exist, error, size) && read_files(&reader, error, size);
	free(reader.peers);
	free(reader.paths);
	if (!done)
		rsmd_config_clear(config);
	return done;
}

void rsmd_config_clear(struct rsmd_config *config)
{
	for (size_t i = 0; i < config->peer_count; i++)
		free(config->peers[i].paths);
	free(config->peers);
	config->peers = NULL;
	config->peer_count = 0;
	rsmd_config_forget(config);
}

const struct rsmd_controller *rsmd_config_controller(const struct rsmd_config *config, const char *name)
{
	for (size_t i = 0; i < config->controller_count; i++)
		if (!strcasecmp(config->controllers[i].name, name))
			return &config->controllers[i];
	return NULL;
}
