/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Runs a command with a node of its own: RSM_SOCKET names the socket of an rsmd that is started for this run, and
 * RSM_TEST_RSMD_PID its process. Afterwards rsmd must have survived and leave nothing behind, nor may the command
 * leave a process.
 *
 *     run_with_rsmd [--uid UID] [--no-rsmd] RSMD COMMAND [ARGUMENT...]
 *
 * --uid runs all of it as that unprivileged user; 77 (skipped) when this process is not root or that user cannot
 * reach the programs. --no-rsmd starts none and only watches over what is left.
 */
#include <errno.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "conformance/daemon.h"

#define SKIPPED 77

struct options {
	long uid; /* -1: as we are */
	bool no_rsmd;
	char **command; /* rsmd, then the command */
};

static void usage(const char *program)
{
	fprintf(stderr, "usage: %s [--uid UID] [--no-rsmd] RSMD COMMAND [ARGUMENT...]\n", program);
	exit(2);
}

static struct options read_options(int argc, char **argv)
{
	struct options options = {.uid = -1};
	int at = 1;

	for (; at < argc && strncmp(argv[at], "--", 2) == 0; at++) {
		if (strcmp(argv[at], "--uid") == 0 && at + 1 < argc)
			options.uid = strtol(argv[++at], NULL, 10);
		else if (strcmp(argv[at], "--no-rsmd") == 0)
			options.no_rsmd = true;
		else
			usage(argv[0]);
	}
	if (argc - at < 2)
		usage(argv[0]);
	options.command = argv + at;
	return options;
}

static bool can_run(char **programs)
{
	return access(programs[0], X_OK) == 0 && access(programs[1], X_OK) == 0;
}

/* For good, before anything else: the command, rsmd and all they start are that user's. */
static void become(uid_t uid, char **programs)
{
	if (geteuid() != 0) {
		printf("skip: needs root, to act as uid %u\n", (unsigned)uid);
		exit(SKIPPED);
	}
	if (setgroups(0, NULL) || setresgid((gid_t)uid, (gid_t)uid, (gid_t)uid) || setresuid(uid, uid, uid)) {
		perror("setresuid");
		exit(1);
	}
	if (!can_run(programs)) {
		printf("skip: uid %u cannot run %s\n", (unsigned)uid, programs[1]);
		exit(SKIPPED);
	}
}

static int run(char **command)
{
	int status;

	fflush(stdout);
	pid_t pid = fork();
	if (pid == 0) {
		execv(command[0], command);
		perror(command[0]);
		_exit(127);
	}
	while (waitpid(pid, &status, 0) < 0) {
		if (errno != EINTR)
			return 1;
	}
	if (WIFSIGNALED(status)) {
		printf("FAIL %s was killed by signal %d\n", command[0], WTERMSIG(status));
		return 1;
	}
	return WEXITSTATUS(status);
}

/* Orphans come to us. All that is still there is killed and, unless it was about to end, reported. */
static bool reap(pid_t except)
{
	char path[64], list[1024] = "";
	bool clean = true;

	snprintf(path, sizeof(path), "/proc/self/task/%d/children", (int)getpid());
	FILE *file = fopen(path, "re");
	if (!file || !fgets(list, sizeof(list), file))
		list[0] = '\0';
	if (file)
		fclose(file);
	char *rest = list;
	for (char *word; (word = strtok_r(rest, " \n", &rest));) {
		pid_t pid = (pid_t)strtol(word, NULL, 10);
		if (pid == except || pid <= 0 || daemon_wait(pid, 2000) >= 0)
			continue;
		printf("FAIL process %d was left behind\n", (int)pid);
		clean = false;
		kill(pid, SIGKILL);
		daemon_wait(pid, 2000);
	}
	return clean;
}

int main(int argc, char **argv)
{
	struct options options = read_options(argc, argv);
	struct daemon daemon = {.pid = -1};
	char pid[16];

	if (options.uid >= 0)
		become((uid_t)options.uid, options.command);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	setenv("RSM_TEST_RSMD", options.command[0], 1);
	if (!options.no_rsmd) {
		if (!daemon_prepare(&daemon, DAEMON_CONFIG("max-segments = 65535\n")) ||
		    !daemon_start(&daemon))
			return 1;
		setenv("RSM_SOCKET", daemon.socket, 1);
		snprintf(pid, sizeof(pid), "%d", (int)daemon.pid);
		setenv("RSM_TEST_RSMD_PID", pid, 1);
	}
	int status = run(options.command + 1);
	if (!reap(daemon.pid))
		status = 1;
	if (!options.no_rsmd) {
		if (!daemon_stop(&daemon) && status != 1)
			status = 1;
		if (!daemon_remove(&daemon))
			status = 1;
	}
	return status;
}
