/* SPDX-License-Identifier: BSD-2-Clause */
/* Runs rsmd, the one that the library would start, for what only it can tell: whether a configuration is valid. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/place.h"
#include "rsm/tool.h"

bool tool_program_find(char *path, size_t size)
{
	/* dlsym, since the address of a function of another object may be a stub in this one. */
	return base_place_program(dlsym(RTLD_DEFAULT, "rsmx_version"), path, size);
}

/* What comes through the pipe, as much as fits; the rest is read and dropped, so that the writer ends. */
static void collect(int fd, char *output, size_t size)
{
	char surplus[256] = "";
	size_t used = 0;
	for (;;) {
		bool room = used + 1 < size;
		ssize_t got =
			read(fd, room ? output + used : surplus, room ? size - 1 - used : sizeof(surplus));
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			break;
		used += room ? (size_t)got : 0;
	}
	output[used] = '\0';
}

int tool_program_run(char *const *arguments, char *output, size_t size)
{
	extern char **environ;
	int ends[2] = {-1, -1}, status = 0;
	pid_t child;
	posix_spawn_file_actions_t actions;
	if (output && pipe2(ends, O_CLOEXEC))
		return -1;
	posix_spawn_file_actions_init(&actions);
	if (output) {
		posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
		posix_spawn_file_actions_adddup2(&actions, ends[1], STDERR_FILENO);
	}
	int error = posix_spawn(&child, arguments[0], &actions, NULL, arguments, environ);
	posix_spawn_file_actions_destroy(&actions);
	base_fd_close(&ends[1]);
	if (!error && output)
		collect(ends[0], output, size);
	base_fd_close(&ends[0]);
	if (!error)
		while (waitpid(child, &status, 0) < 0 && errno == EINTR)
			;
	errno = error;
	return error ? -1 : WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

void tool_program_checked(const char *output, json_t *files, char *complaint, size_t size)
{
	snprintf(complaint, size, "%s", "");
	for (const char *line = output; *line; line += strcspn(line, "\n"), line += *line == '\n') {
		int length = (int)strcspn(line, "\n");
		if (strncmp(line, "read ", 5) == 0)
			json_array_append_new(files, json_stringn(line + 5, (size_t)length - 5));
		else if (strncmp(line, "rsmd: ", 6) == 0 && !*complaint)
			snprintf(complaint, size, "%.*s", length - 6, line + 6);
	}
}
