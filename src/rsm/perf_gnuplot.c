/* SPDX-License-Identifier: BSD-2-Clause */
/* gnuplot as a program: found by PATH, run without a shell. */
#include <errno.h>
#include <limits.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "rsm/perf_plot.h"

extern char **environ;

const char *perf_plot_find(void)
{
	static char path[PATH_MAX];
	for (const char *at = getenv("PATH"); at && *at; at += *at == ':') {
		size_t length = strcspn(at, ":");
		int wrote = snprintf(path, sizeof(path), "%.*s/gnuplot", (int)length, at);
		if (length && wrote > 0 && (size_t)wrote < sizeof(path) && access(path, X_OK) == 0)
			return path;
		at += length;
	}
	return NULL;
}

int perf_plot_run(int script, int output, const char *file)
{
	const char *path = perf_plot_find();
	char name[] = "gnuplot", *arguments[] = {name, NULL};
	posix_spawn_file_actions_t actions;
	pid_t pid;
	int status = -1;
	setenv("LC_ALL", "C.UTF-8", 1); /* what it draws is UTF-8, and it says so where the locale is not */
	if (!path)
		return tool_fail("draw %s: gnuplot is not in PATH", file);
	int error = posix_spawn_file_actions_init(&actions);
	if (error)
		return tool_fail_errno(error, "draw %s", file);
	error = posix_spawn_file_actions_adddup2(&actions, script, STDIN_FILENO);
	if (!error)
		error = posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
	if (!error)
		error = posix_spawn(&pid, path, &actions, NULL, arguments, environ);
	posix_spawn_file_actions_destroy(&actions);
	if (error)
		return tool_fail_errno(error, "run %s to draw %s", path, file);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		return tool_fail("draw %s: %s failed, what it said is above", file, path);
	return lseek(output, 0, SEEK_CUR) > 0 ? TOOL_OK : tool_fail("draw %s: %s wrote nothing", file, path);
}
