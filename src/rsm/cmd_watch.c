/* SPDX-License-Identifier: BSD-2-Clause */
/* rsm watch: the node's life events as they happen, a line each. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"
#include "rsm/tool.h"

#define LINES_MAX 65536u /* bytes that are read at once; a line is much shorter */

const char cmd_watch_help[] =
	"Usage: rsm watch [OPTION]... [EVENT]...\n"
	"\n"
	"Prints what happens on this node from now on, a line each, until interrupted: clients,\n"
	"publications, connections, paths to other nodes. With EVENT (several, or separated by commas)\n"
	"these only:\n"
	"  client client-gone publish republish unpublish connect refuse disconnect abort node-up node-down\n"
	"When more happens than can be printed, \"lost\" tells how much is missing.\n"
	"\n"
	"  -c, --count COUNT      end after so many events\n"
	"  -t, --timeout SECONDS  end after this time\n"
	"  -j, --json             each as an object of JSON, \"schema\": 1\n"
	"  -h, --help             this text\n"
	"\n"
	"Exit status: 0 interrupted, or COUNT events or SECONDS are over; 3 the daemon has gone; 5\n"
	"SECONDS are over before COUNT events.\n"
	"\n"
	"Example:\n"
	"  rsm watch publish,unpublish\n"
	"  rsm watch --json abort | jq -r '\"\\(.segment) \\(.program) \\(.reason)\"'\n";

static const char *const kinds[] = {"client", "client-gone", "publish", "republish", "unpublish", "connect",
				    "refuse", "disconnect",  "abort",   "node-up",   "node-down"};
#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

struct watch {
	bool wanted[KINDS]; /* all, when none was named */
	bool all, json, colour;
	uint64_t count, timeout_ns; /* 0: no limit */
	uint64_t seen;
	size_t length;
	char lines[LINES_MAX + 1];
};

/* ---- a line for people ---- */

static const char *colour_of(const char *event)
{
	static const struct {
		const char *event, *code;
	} colours[] = {{"publish", "32"}, {"connect", "32"}, {"node-up", "32"},  {"refuse", "33"},
		       {"lost", "33"},    {"abort", "31"},   {"node-down", "31"}};
	for (size_t i = 0; i < sizeof(colours) / sizeof(colours[0]); i++)
		if (strcmp(event, colours[i].event) == 0)
			return colours[i].code;
	return NULL;
}

static void print_time(double seconds)
{
	time_t whole = (time_t)seconds;
	struct tm local;
	char text[16] = "?";
	if (localtime_r(&whole, &local))
		strftime(text, sizeof(text), "%H:%M:%S", &local);
	printf("%s.%03d", text, (int)((seconds - (double)whole) * 1000));
}

static bool has_column(const char *key)
{
	static const char *const columns[] = {"schema", "seq", "time",    "event",  "node",  "segment",
					      "pid",    "uid", "program", "reason", "access"};
	for (size_t i = 0; i < sizeof(columns) / sizeof(columns[0]); i++)
		if (strcmp(key, columns[i]) == 0)
			return true;
	return false;
}

/* What has no column: whatever keys there are. The reason stands last, as it is a sentence. */
static void print_rest(const json_t *event)
{
	const json_t *node = json_object_get(event, "node");
	const json_t *reason = json_object_get(event, "reason");
	char sentence[1000]; /* as long as a line may be */
	const char *key;
	json_t *value;
	json_object_foreach((json_t *)(uintptr_t)event, key, value)
	{
		char text[TOOL_TABLE_CELL];
		if (has_column(key) || (strcmp(key, "importer") == 0 && json_equal(value, node)))
			continue;
		tool_render_value(text, sizeof(text), key, value);
		if (strcmp(key, "code") == 0)
			snprintf(text, sizeof(text), "%s", rsmx_errname((int)json_integer_value(value)));
		printf("  %s %s", key, text);
	}
	tool_render_value(sentence, sizeof(sentence), "reason", reason);
	if (reason)
		printf("  %s", sentence);
}

static void print_event(const struct watch *watch, const json_t *event, const char *name)
{
	const json_t *node = json_object_get(event, "node");
	const char *colour = watch->colour ? colour_of(name) : NULL;
	char where[64] = "-", segment[24], pid[24], uid[24], access[24], program[TOOL_TABLE_CELL];
	tool_render_value(segment, sizeof(segment), "segment", json_object_get(event, "segment"));
	if (json_object_get(event, "segment"))
		snprintf(where, sizeof(where), "%" JSON_INTEGER_FORMAT ":%s", json_integer_value(node),
			 segment);
	else if (node)
		snprintf(where, sizeof(where), "%" JSON_INTEGER_FORMAT, json_integer_value(node));
	tool_render_value(pid, sizeof(pid), "pid", json_object_get(event, "pid"));
	tool_render_value(uid, sizeof(uid), "uid", json_object_get(event, "uid"));
	tool_render_value(access, sizeof(access), "access", json_object_get(event, "access"));
	tool_render_value(program, sizeof(program), "program", json_object_get(event, "program"));
	print_time(json_number_value(json_object_get(event, "time")));
	if (colour)
		printf("  \033[%sm%-11s\033[0m", colour, name);
	else
		printf("  %-11s", name);
	printf("  %-14s  %7s  %5s  %-6s  %-15s", where, pid, uid, access, program);
	print_rest(event);
	putchar('\n');
}

/* ---- the stream ---- */

static bool is_wanted(const struct watch *watch, const char *name)
{
	bool known = false;
	for (size_t i = 0; i < KINDS; i++) {
		if (strcmp(name, kinds[i]) != 0)
			continue;
		known = true;
		if (watch->wanted[i])
			return true;
	}
	return watch->all || (!known && strcmp(name, "lost") == 0);
}

static void take_line(struct watch *watch, char *line)
{
	base_text_clean(line, strlen(line) + 1, line);
	json_t *event = json_loads(line, 0, NULL);
	const char *name = json_string_value(json_object_get(event, "event"));
	if (name && is_wanted(watch, name)) {
		watch->seen += strcmp(name, "lost") != 0;
		if (watch->json)
			puts(line);
		else
			print_event(watch, event, name);
	}
	json_decref(event);
}

static bool is_over(const struct watch *watch)
{
	return watch->count > 0 && watch->seen >= watch->count;
}

static void take_lines(struct watch *watch)
{
	char *start = watch->lines, *end;
	watch->lines[watch->length] = '\0';
	while (!is_over(watch) && (end = strchr(start, '\n')) != NULL) {
		*end = '\0';
		take_line(watch, start);
		start = end + 1;
	}
	watch->length -= (size_t)(start - watch->lines);
	memmove(watch->lines, start, watch->length);
}

/* Waits for more. False: the end, with the exit status. */
static bool await(const struct watch *watch, int fd, uint64_t until, int *result)
{
	uint64_t now = base_clock_ns();
	uint64_t left = until > now ? until - now : 0;
	struct timespec limit = {.tv_sec = (time_t)(left / 1000000000u),
				 .tv_nsec = (long)(left % 1000000000u)};
	struct pollfd stream = {.fd = fd, .events = POLLIN};
	int ready = tool_ends_wait(&stream, watch->timeout_ns ? &limit : NULL);
	*result = TOOL_OK;
	if (ready == 0 && watch->count > 0) {
		*result = TOOL_TIMED_OUT;
		fprintf(stderr, "rsm: %" PRIu64 " of %" PRIu64 " events came in time\n", watch->seen,
			watch->count);
	} else if (ready < 0 && errno != EINTR) {
		*result = tool_fail_errno(errno, "wait for events");
	}
	return ready > 0;
}

static int follow(struct watch *watch, int fd)
{
	uint64_t until = base_clock_ns() + watch->timeout_ns;
	int result;
	while (!is_over(watch) && await(watch, fd, until, &result)) {
		ssize_t got = read(fd, watch->lines + watch->length, LINES_MAX - watch->length);
		if (got <= 0) {
			fflush(stdout);
			tool_fail("the daemon has gone, and its events with it");
			return TOOL_NO_DAEMON;
		}
		watch->length += (size_t)got;
		take_lines(watch);
		if (fflush(stdout) != 0)
			return tool_fail_errno(errno, "standard output cannot be written");
	}
	return is_over(watch) ? TOOL_OK : result;
}

static int run(struct watch *watch)
{
	int fd;
	tool_ends_take();
	int code = rsmx_watch(&fd);
	if (code != RSM_SUCCESS)
		return tool_fail_code(code, "watch the node's events");
	if (!watch->json)
		tool_heading("TIME          EVENT        SEGMENT             PID    UID  ACCESS  PROGRAM");
	fflush(stdout);
	int result = follow(watch, fd);
	close(fd);
	return result;
}

/* One argument: names, separated by commas. */
static bool take_names(struct watch *watch, char *names)
{
	char *rest = NULL;
	bool any = false;
	for (char *name = strtok_r(names, ",", &rest); name; name = strtok_r(NULL, ",", &rest)) {
		size_t i = 0;
		while (i < KINDS && strcmp(name, kinds[i]) != 0)
			i++;
		if (i == KINDS)
			return false;
		watch->wanted[i] = any = true;
	}
	return any;
}

static int parse(const struct tool_command *command, int argc, char **argv, struct watch *watch)
{
	static const struct option options[] = {{"count", required_argument, NULL, 'c'},
						{"timeout", required_argument, NULL, 't'},
						{"json", no_argument, NULL, 'j'},
						{"help", no_argument, NULL, 'h'},
						{NULL, 0, NULL, 0}};
	for (int option; (option = getopt_long(argc, argv, ":c:t:jh", options, NULL)) != -1;) {
		if (option == 'h')
			return tool_help(command);
		if (option == 'j')
			watch->json = true;
		else if (option == 'c' &&
			 (!tool_parse_number(optarg, UINT64_MAX, &watch->count) || !watch->count))
			return tool_usage(command, "'%s' is not a number of events", optarg);
		else if (option == 't' && !tool_parse_seconds(optarg, &watch->timeout_ns))
			return tool_usage(command, "'%s' is not a time in seconds", optarg);
		else if (option == '?' || option == ':')
			return tool_usage_option(command, option, argv, options);
	}
	watch->all = optind == argc;
	for (int i = optind; i < argc; i++) {
		char names[256];
		snprintf(names, sizeof(names), "%s", argv[i]);
		if (!take_names(watch, names))
			return tool_usage(command, "'%s' names no event", argv[i]);
	}
	return -1;
}

int cmd_watch(const struct tool_command *command, int argc, char **argv)
{
	static struct watch watch; /* large */
	int result = parse(command, argc, argv, &watch);
	if (result >= 0)
		return result;
	watch.colour = tool_coloured();
	return run(&watch);
}
