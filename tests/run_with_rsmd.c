/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Runs a command with a node of its own: RSM_SOCKET names the socket of an rsmd that is started for this run, and
 * RSM_TEST_RSMD_PID its process. Afterwards rsmd must have survived and leave nothing behind, nor may the command
 * leave a process.
 *
 *     run_with_rsmd [--uid UID] [--no-rsmd | --tcp | --pair] RSMD COMMAND [ARGUMENT...]
 *
 * --tcp gives the node a controller tcp0 through which it reaches its own segments. --pair starts two nodes, 1 and 2, joined by
 * tcp0: RSM_SOCKET is the first one's; the second one's is in RSM_TEST_PEER_SOCKET, its number in RSM_TEST_PEER_NODE, its process in
 * RSM_TEST_PEER_RSMD_PID.
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
	bool no_rsmd, tcp, pair;
	char **command; /* rsmd, then the command */
};

static void usage(const char *program)
{
	fprintf(stderr, "usage: %s [--uid UID] [--no-rsmd | --tcp | --pair] RSMD COMMAND [ARGUMENT...]\n",
		program);
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
		else if (strcmp(argv[at], "--tcp") == 0)
			options.tcp = true;
		else if (strcmp(argv[at], "--pair") == 0)
			options.pair = true;
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

static bool is_node(const struct daemon *nodes, unsigned count, pid_t pid)
{
	for (unsigned at = 0; at < count; at++) {
		if (nodes[at].pid == pid)
			return true;
	}
	return false;
}

/* Orphans come to us. All that is still there is killed and, unless it was about to end, reported. */
static bool reap(const struct daemon *nodes, unsigned count)
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
		if (is_node(nodes, count, pid) || pid <= 0 || daemon_wait(pid, 2000) >= 0)
			continue;
		printf("FAIL process %d was left behind\n", (int)pid);
		clean = false;
		kill(pid, SIGKILL);
		daemon_wait(pid, 2000);
	}
	return clean;
}

static bool start(struct daemon *daemon, unsigned node, const struct options *options)
{
	static const char extra[] = "max-segments = 65535\n";
	bool prepared = options->tcp || options->pair
				? daemon_prepare_tcp(daemon, node + 1, options->pair ? 2 : 1, extra)
				: daemon_prepare(daemon, DAEMON_CONFIG("max-segments = 65535\n"));

	return prepared && daemon_start(daemon);
}

static void announce(const struct daemon *nodes, unsigned count)
{
	char pid[16];

	if (count > 0) {
		setenv("RSM_SOCKET", nodes[0].socket, 1);
		snprintf(pid, sizeof(pid), "%d", (int)nodes[0].pid);
		setenv("RSM_TEST_RSMD_PID", pid, 1);
	}
	if (count > 1) {
		setenv("RSM_TEST_PEER_SOCKET", nodes[1].socket, 1);
		setenv("RSM_TEST_PEER_NODE", "2", 1);
		snprintf(pid, sizeof(pid), "%d", (int)nodes[1].pid);
		setenv("RSM_TEST_PEER_RSMD_PID", pid, 1);
	}
}

int main(int argc, char **argv)
{
	struct options options = read_options(argc, argv);
	struct daemon nodes[2] = {{.pid = -1}, {.pid = -1}};
	const unsigned count = options.no_rsmd ? 0 : options.pair ? 2 : 1;
	unsigned started = 0;
	int status = 1;

	if (options.uid >= 0)
		become((uid_t)options.uid, options.command);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	setenv("RSM_TEST_RSMD", options.command[0], 1);
	while (started < count && start(&nodes[started], started, &options))
		started++;
	if (started == count) {
		announce(nodes, count);
		status = run(options.command + 1);
		if (!reap(nodes, count))
			status = 1;
	}
	for (unsigned at = 0; at < started; at++) {
		if (!daemon_stop(&nodes[at]))
			status = 1;
		if (!daemon_remove(&nodes[at]))
			status = 1;
	}
	return status;
}
