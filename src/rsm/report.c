/* SPDX-License-Identifier: BSD-2-Clause */
/* How the tool tells errors, and which exit code goes with which cause. */
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "rsm/tool.h"

int tool_help(const struct tool_command *command)
{
	fputs(command->help, stdout);
	return TOOL_OK;
}

/* Names and reasons in it may be anybody's, and reach a terminal. */
__attribute__((format(printf, 1, 0))) static void print_list(const char *format, va_list arguments)
{
	char *text;
	int length = vasprintf(&text, format, arguments);
	if (length < 0)
		return;
	base_text_clean(text, (size_t)length + 1, text);
	fputs(text, stderr);
	free(text);
}

__attribute__((format(printf, 1, 2))) static void print(const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	print_list(format, arguments);
	va_end(arguments);
}

int tool_usage(const struct tool_command *command, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	fprintf(stderr, "rsm %s: ", command->name);
	print_list(format, arguments);
	fprintf(stderr, "; see `rsm %s --help`\n", command->name);
	va_end(arguments);
	return TOOL_USAGE;
}

static int unknown_option(const struct tool_command *command, const char *word, const struct option *options)
{
	char name[64];
	size_t count = 0;
	while (options[count].name)
		count++;
	snprintf(name, sizeof(name), "%.*s", (int)strcspn(word + 2, "="), word + 2);
	const char *nearest = tool_nearest(name, options, sizeof(*options), count);
	return tool_usage(command, "option '--%s' is unknown%s%s%s", name, nearest ? ", perhaps '--" : "",
			  nearest ? nearest : "", nearest ? "'" : "");
}

/* getopt has moved on from a long option, but not from a letter among others: that one is known from optopt. */
int tool_usage_option(const struct tool_command *command, int option, char **argv,
		      const struct option *options)
{
	const char *word = argv[optind - 1];
	bool is_long = strncmp(word, "--", 2) == 0;
	for (const struct option *known = options; known->name; known++)
		if (optopt && known->val == optopt && option == '?' && is_long && strchr(word, '='))
			return tool_usage(command, "option '--%s' takes no argument", known->name);
	if (option == ':' && is_long)
		return tool_usage(command, "option '%s' lacks its argument", word);
	if (option == ':')
		return tool_usage(command, "option '-%c' lacks its argument", optopt);
	return optopt ? tool_usage(command, "option '-%c' is unknown", optopt)
		      : unknown_option(command, word, options);
}

__attribute__((format(printf, 1, 0))) static void begin(const char *format, va_list arguments)
{
	tool_progress_clear();
	fputs("rsm: ", stderr);
	print_list(format, arguments);
}

int tool_fail(const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	begin(format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
	return TOOL_FAILED;
}

int tool_fail_errno(int error, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	begin(format, arguments);
	va_end(arguments);
	fprintf(stderr, ": %s\n", strerror(error));
	return TOOL_FAILED;
}

static int exit_of_code(int code)
{
	switch (code) {
	case RSMERR_CTLR_NOT_PRESENT:
		return TOOL_NO_DAEMON;
	case RSMERR_PERM_DENIED:
	case RSMERR_BAD_PERMS:
	case RSMERR_SEG_NOT_PUBLISHED_TO_NODE:
		return TOOL_REFUSED;
	case RSMERR_TIMEOUT:
	case RSMERR_REMOTE_NODE_UNREACHABLE:
		return TOOL_TIMED_OUT;
	default:
		return TOOL_FAILED;
	}
}

int tool_fail_code(int code, const char *format, ...)
{
	const char *reason = rsmx_last_error();
	va_list arguments;
	va_start(arguments, format);
	begin(format, arguments);
	va_end(arguments);
	print(": %s (%s)", *reason ? reason : rsmx_strerror(code), rsmx_errname(code));
	fputc('\n', stderr);
	return exit_of_code(code);
}
