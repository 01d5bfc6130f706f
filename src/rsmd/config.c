/* SPDX-License-Identifier: BSD-2-Clause */
#include "rsmd/config.h"

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

/* One reading of a file. inih goes on after an error; the first one counts. */
struct reader {
	struct rsmd_config *config;
	char problem[256]; /* "" while all is well */
};

struct key {
	const char *name;
	bool (*set)(struct reader *reader, const char *value);
};

__attribute__((format(printf, 2, 3))) static bool wrong(struct reader *reader, const char *format, ...)
{
	va_list arguments;
	if (reader->problem[0])
		return false;
	va_start(arguments, format);
	vsnprintf(reader->problem, sizeof(reader->problem), format, arguments);
	va_end(arguments);
	return false;
}

/* Digits only (strtoull alone takes signs and blanks); *end is what follows them. */
static bool parse_number(const char *text, int base, uint64_t *number, const char **end)
{
	char *stop;
	if (!isdigit((unsigned char)text[0]))
		return false;
	errno = 0;
	*number = strtoull(text, &stop, base);
	*end = stop;
	return errno == 0;
}

static bool parse_bounded(struct reader *reader, const char *key, const char *value, uint64_t low,
			  uint64_t high, uint32_t *result)
{
	uint64_t number;
	const char *end;
	if (!parse_number(value, 10, &number, &end) || *end || number < low || number > high)
		return wrong(reader, "%s = %.64s: a number from %llu to %llu is expected", key, value,
			     (unsigned long long)low, (unsigned long long)high);
	*result = (uint32_t)number;
	return true;
}

static bool set_id(struct reader *reader, const char *value)
{
	return parse_bounded(reader, "id", value, 0, UINT32_MAX, &reader->config->node_id);
}

static bool set_name(struct reader *reader, const char *value)
{
	if (!value[0] || strlen(value) >= RSMD_NAME_MAX)
		return wrong(reader, "name = %.80s: 1 to %d characters are expected", value,
			     RSMD_NAME_MAX - 1);
	strcpy(reader->config->node_name, value);
	return true;
}

static bool set_max_segments(struct reader *reader, const char *value)
{
	return parse_bounded(reader, "max-segments", value, 1, 65535, &reader->config->max_segments);
}

static bool set_max_exported(struct reader *reader, const char *value)
{
	struct rsmd_config *config = reader->config;
	if (!parse_bounded(reader, "max-exported-memory", value, 0, 100, &config->max_exported_percent))
		return false;
	struct sysinfo info;
	uint64_t pages = sysinfo(&info) ? 0 : (uint64_t)info.totalram * info.mem_unit / 4096;
	config->max_exported_bytes = pages * config->max_exported_percent / 100 * 4096;
	return true;
}

static bool set_socket_mode(struct reader *reader, const char *value)
{
	uint64_t mode;
	const char *end;
	if (!parse_number(value, 8, &mode, &end) || *end || mode > 0777)
		return wrong(reader, "socket-mode = %.64s: an octal mode from 0 to 0777 is expected", value);
	reader->config->socket_mode = (mode_t)mode;
	return true;
}

static bool set_idle_exit(struct reader *reader, const char *value)
{
	static const struct {
		const char *unit;
		uint64_t ms;
	} units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}};
	uint64_t number;
	const char *end;
	if (parse_number(value, 10, &number, &end) && number <= UINT32_MAX)
		for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
			if (!strcmp(end, units[i].unit)) {
				reader->config->idle_exit_ms = number * units[i].ms;
				return true;
			}
	return wrong(reader, "idle-exit = %.64s: a number with the unit ms, s, m or h is expected, as in 30s",
		     value);
}

static bool set_userfaultfd(struct reader *reader, const char *value)
{
	if (strcmp(value, "yes") && strcmp(value, "no"))
		return wrong(reader, "userfaultfd = %.64s: yes or no is expected", value);
	reader->config->userfaultfd = !strcmp(value, "yes");
	return true;
}

static const struct key node_keys[] = {
	{"id", set_id},
	{"idle-exit", set_idle_exit},
	{"max-exported-memory", set_max_exported},
	{"max-segments", set_max_segments},
	{"name", set_name},
	{"socket-mode", set_socket_mode},
	{"userfaultfd", set_userfaultfd},
};

/* Type and unit number, as rsm_get_controller takes them: letters, then digits. */
static bool controller_name(struct reader *reader, const char *text, char *name)
{
	size_t letters = 0;
	while (isalpha((unsigned char)text[letters]))
		letters++;
	size_t digits = strspn(text + letters, "0123456789");
	if (!letters || !digits || text[letters + digits] || letters + digits >= RSMD_NAME_MAX)
		return wrong(reader, "[controller %.64s]: a name is letters and a unit number, as in shm0",
			     text);
	if (letters == 8 && !strncasecmp(text, "loopback", 8))
		return wrong(reader, "[controller %.64s]: loopback always exists and cannot be configured",
			     text);
	for (size_t i = 0; i <= letters + digits; i++)
		name[i] = (char)tolower((unsigned char)text[i]);
	return true;
}

static bool set_controller(struct reader *reader, const char *title, const char *key, const char *value)
{
	struct rsmd_config *config = reader->config;
	char name[RSMD_NAME_MAX];
	if (!controller_name(reader, title + strspn(title, " "), name))
		return false;
	if (strcmp(key, "type"))
		return wrong(reader, "unknown key %.64s in [controller %s]: type is known", key, name);
	if (strcmp(value, "local"))
		return wrong(reader, "type = %.64s: not a type of controller of this release; local is known",
			     value);
	if (rsmd_config_controller(config, name))
		return wrong(reader, "controller %s is there twice", name);
	if (config->controller_count == 1 + RSMD_CONTROLLERS_MAX)
		return wrong(reader, "more than %d controllers", RSMD_CONTROLLERS_MAX);
	struct rsmd_controller *controller = &config->controllers[config->controller_count++];
	strcpy(controller->name, name);
	strcpy(controller->type, "local");
	return true;
}

static int on_key(void *context, const char *section, const char *key, const char *value)
{
	struct reader *reader = context;
	if (!strncmp(section, "controller ", 11))
		return set_controller(reader, section + 11, key, value);
	if (strcmp(section, "node"))
		return wrong(reader,
			     "%.64s in unknown section [%.64s]: [node] and [controller NAME] are known", key,
			     section);
	for (size_t i = 0; i < sizeof(node_keys) / sizeof(node_keys[0]); i++)
		if (!strcmp(key, node_keys[i].name))
			return node_keys[i].set(reader, value);
	return wrong(reader, "unknown key %.64s in [node]", key);
}

void rsmd_config_defaults(struct rsmd_config *config)
{
	memset(config, 0, sizeof(*config));
	config->node_id = 1;
	config->max_segments = 65535;
	config->socket_mode = 0666;
	config->idle_exit_ms = 30000;
	config->userfaultfd = true;
	if (gethostname(config->node_name, sizeof(config->node_name) - 1))
		strcpy(config->node_name, "localhost");
	config->controller_count = 1;
	strcpy(config->controllers[0].name, "loopback");
	strcpy(config->controllers[0].type, "loopback");
}

bool rsmd_config_read(struct rsmd_config *config, const char *path, bool must_exist, char *error, size_t size)
{
	struct reader reader = {.config = config};
	FILE *file = fopen(path, "re");
	if (!file) {
		if (errno == ENOENT && !must_exist)
			return true;
		snprintf(error, size, "%s: %s", path, strerror(errno));
		return false;
	}
	int line = ini_parse_file(file, on_key, &reader);
	fclose(file);
	if (!line)
		return true;
	if (line < 0)
		snprintf(error, size, "%s: no memory", path);
	else
		snprintf(error, size, "%s:%d: %s", path, line,
			 reader.problem[0] ? reader.problem : "neither [section] nor key = value");
	return false;
}

const struct rsmd_controller *rsmd_config_controller(const struct rsmd_config *config, const char *name)
{
	for (size_t i = 0; i < config->controller_count; i++)
		if (!strcasecmp(config->controllers[i].name, name))
			return &config->controllers[i];
	return NULL;
}
