/* SPDX-License-Identifier: BSD-2-Clause */
/* How the tool tells errors, and which exit code goes with which cause. */
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "rsm/tool.h"

int tool_help(const struct tool_command *command)
{
	fputs(command->help, stdout);
	return TOOL_OK;
}

int tool_usage(const struct tool_command *command, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	fprintf(stderr, "rsm %s: ", command->name);
	vfprintf(stderr, format, arguments);
	fprintf(stderr, "; see `rsm %s --help`\n", command->name);
	va_end(arguments);
	return TOOL_USAGE;
}

int tool_usage_option(const struct tool_command *command, char **argv)
{
	return tool_usage(command, "option '%s' is unknown or lacks its argument", argv[optind - 1]);
}

int tool_fail(const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	tool_progress_clear();
	fputs("rsm: ", stderr);
	vfprintf(stderr, format, arguments);
	fputc('\n', stderr);
	va_end(arguments);
	return TOOL_FAILED;
}

int tool_fail_errno(int error, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	tool_progress_clear();
	fputs("rsm: ", stderr);
	vfprintf(stderr, format, arguments);
	fprintf(stderr, ": %s\n", strerror(error));
	va_end(arguments);
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
	tool_progress_clear();
	fputs("rsm: ", stderr);
	vfprintf(stderr, format, arguments);
	fprintf(stderr, ": %s (%s)\n", *reason ? reason : rsmx_strerror(code), rsmx_errname(code));
	va_end(arguments);
	return exit_of_code(code);
}
