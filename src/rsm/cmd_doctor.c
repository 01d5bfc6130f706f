/* SPDX-License-Identifier: BSD-2-Clause */
/* rsm doctor: what of this host, the daemon and the cluster is as it should be, and what to do where it is not. */
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rsm/doctor.h"

const char cmd_doctor_help[] =
	"Usage: rsm doctor [--json] [--dump]\n"
	"\n"
	"Looks at the limits of this process and of the daemon, userfaultfd, memory, the socket, the\n"
	"configuration, the key file, the paths to other nodes and this host, and says what was found and\n"
	"what to do about it:\n"
	"\n"
	"  ok       as it should be        warning  works now, but not well or not for long\n"
	"  note     good to know           problem  something does not work\n"
	"\n"
	"Run it as the user that the programs run as. It changes nothing; like any program it starts a\n"
	"private daemon where none runs.\n"
	"\n"
	"  -d, --dump  for a bug report: also all that the daemon tells of itself, with the flight\n"
	"              recorder (its newest events); there are no secrets and no contents of memory in it\n"
	"  -j, --json  as JSON, \"schema\": 1\n"
	"  -h, --help  this text\n"
	"\n"
	"Exit status: 0 no problem (there may be warnings), 1 a problem.\n"
	"\n"
	"Example:\n"
	"  rsm doctor --json | jq '.checks[] | select(.level == \"problem\")'\n"
	"  rsm doctor --dump > report.txt\n";

static const char *const levels[DOCTOR_LEVELS] = {"ok", "note", "warning", "problem"};

void doctor_say(struct doctor *doctor, enum doctor_level level, const char *topic, const char *format, ...)
{
	char found[1024];
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(found, sizeof(found), format, arguments);
	va_end(arguments);
	json_t *text = json_string(found); /* NULL where it is not UTF-8 */
	json_array_append_new(doctor->checks,
			      json_pack("{s:s, s:s, s:o, s:n}", "level", levels[level], "topic", topic,
					"found", text ? text : json_string("?"), "do"));
	doctor->counts[level]++;
}

void doctor_advise(struct doctor *doctor, const char *format, ...)
{
	char advice[1024];
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(advice, sizeof(advice), format, arguments);
	va_end(arguments);
	json_t *last = json_array_get(doctor->checks, json_array_size(doctor->checks) - 1);
	json_object_set_new(last, "do", json_string(advice));
}

bool doctor_read_line(const char *path, char *line, size_t size)
{
	FILE *file = fopen(path, "re");
	bool done = file && fgets(line, (int)size, file);
	if (file)
		fclose(file);
	if (done)
		line[strcspn(line, "\n")] = '\0';
	return done;
}

int64_t doctor_read_number(const char *path, int64_t missing)
{
	char line[64], *end;
	if (!doctor_read_line(path, line, sizeof(line)))
		return missing;
	errno = 0;
	int64_t number = strtoll(line, &end, 10);
	return errno || end == line ? missing : number;
}

static const json_t *find(const json_t *tree, const char *path)
{
	char key[64];
	while (tree && *path) {
		size_t length = strcspn(path, ".");
		snprintf(key, sizeof(key), "%.*s", (int)length, path);
		tree = json_object_get(tree, key);
		path += length + (path[length] == '.');
	}
	return tree;
}

int64_t doctor_number(const json_t *tree, const char *path, int64_t missing)
{
	const json_t *value = find(tree, path);
	return json_is_number(value) ? (int64_t)json_number_value(value)
				     : (json_is_boolean(value) ? json_is_true(value) : missing);
}

const char *doctor_text(const json_t *tree, const char *path)
{
	const char *text = json_string_value(find(tree, path));
	return text ? text : "";
}

int cmd_doctor(const struct tool_command *command, int argc, char **argv)
{
	static const struct option options[] = {{"dump", no_argument, NULL, 'd'},
						{"json", no_argument, NULL, 'j'},
						{"help", no_argument, NULL, 'h'},
						{NULL, 0, NULL, 0}};
	bool as_json = false, dump = false;
	for (int option; (option = getopt_long(argc, argv, ":djh", options, NULL)) != -1;) {
		if (option == 'h')
			return tool_help(command);
		if (option == 'd')
			dump = true;
		else if (option == 'j')
			as_json = true;
		else
			return tool_usage_option(command, option, argv, options);
	}
	if (optind != argc)
		return tool_usage(command, "no argument expected, found '%s'", argv[optind]);
	struct doctor doctor = {.checks = json_array()};
	doctor_host(&doctor);
	doctor_memory(&doctor);
	doctor_daemon(&doctor);
	doctor_processors(&doctor);
	doctor_cluster(&doctor);
	doctor_place(&doctor);
	int result = doctor_report(&doctor, as_json, dump);
	json_decref(doctor.checks);
	json_decref(doctor.status);
	json_decref(doctor.health);
	json_decref(doctor.config);
	json_decref(doctor.nodes);
	return result != TOOL_OK ? result : doctor.counts[DOCTOR_PROBLEM] ? TOOL_FAILED : TOOL_OK;
}
