/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define PATIENCE 10000 /* milliseconds for a start or an end */
#define PORT     7600  /* of node 0; the others follow */

/* What tests have to keep secret. */
static const char KEY[] = "# for tests\n"
			  "rsm-key-1 00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\n";

const char *daemon_program(void)
{
	const char *program = getenv("RSM_TEST_RSMD");
	return program ? program : "rsmd";
}

int daemon_wait(pid_t pid, int milliseconds)
{
	for (int waited = 0; waited <= milliseconds; waited++) {
		int status;
		pid_t got = waitpid(pid, &status, WNOHANG);
		if (got == pid)
			return WIFEXITED(status) ? WEXITSTATUS(status) : 256 + WTERMSIG(status);
		if (got < 0 && errno != EINTR)
			return -1;
		poll(NULL, 0, 1);
	}
	return -1;
}

static bool write_file(const struct daemon *daemon, const char *name, mode_t mode, const char *text)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", daemon->directory, name);
	FILE *file = fopen(path, "we");
	if (!file || fchmod(fileno(file), mode) || fputs(text, file) < 0 || fclose(file))
		return perror(path), false;
	return true;
}

static bool make_directory(struct daemon *daemon)
{
	char path[128];

	memset(daemon, 0, sizeof(*daemon));
	strcpy(daemon->directory, "/tmp/rsm-test-XXXXXX");
	if (!mkdtemp(daemon->directory) || chmod(daemon->directory, 0755))
		return perror(daemon->directory), false;
	snprintf(path, sizeof(path), "%s/run", daemon->directory);
	if (mkdir(path, 0755))
		return perror(path), false;
	snprintf(daemon->socket, sizeof(daemon->socket), "%s/run/rsmd.sock", daemon->directory);
	snprintf(daemon->log, sizeof(daemon->log), "%s/rsmd.log", daemon->directory);
	return true;
}

bool daemon_prepare(struct daemon *daemon, const char *config)
{
	return make_directory(daemon) && write_file(daemon, "rsmd.conf", 0644, config);
}

bool daemon_prepare_tcp(struct daemon *daemon, unsigned node, unsigned nodes, const char *extra)
{
	/* A process id has 22 bits at most, and the whole network is this host's. */
	const unsigned pid = (unsigned)getpid();
	char config[4096], address[16];
	int used;

	if (!make_directory(daemon))
		return false;
	snprintf(address, sizeof(address), "127.%u.%u.%u", 64 + (pid >> 16 & 63), pid >> 8 & 255, pid & 255);
	used = snprintf(config, sizeof(config),
			"[node]\nid = %u\n%s[controller shm0]\ntype = local\n[controller tcp0]\ntype = tcp\n"
			"address = %s\nport = %u\n%s[cluster]\ndead-after = %dms\n",
			node, extra, address, PORT + node, nodes == 1 ? "loop = yes\n" : "",
			DAEMON_DEAD_AFTER);
	if (nodes > 1)
		used += snprintf(config + used, sizeof(config) - (size_t)used, "key-file = %s/cluster.key\n",
				 daemon->directory);
	for (unsigned peer = 1; nodes > 1 && peer <= nodes; peer++) {
		if (peer != node && used < (int)sizeof(config))
			used += snprintf(config + used, sizeof(config) - (size_t)used,
					 "[peer %u]\ntcp0 = %s:%u\n", peer, address, PORT + peer);
	}
	return used < (int)sizeof(config) && write_file(daemon, "cluster.key", 0600, KEY) &&
	       write_file(daemon, "rsmd.conf", 0644, config);
}

static bool answers(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	strncpy(address.sun_path, path, sizeof(address.sun_path) - 1);
	bool connected = fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0;
	if (fd >= 0)
		close(fd);
	return connected;
}

static void print_log(const struct daemon *daemon)
{
	char line[512];
	FILE *file = fopen(daemon->log, "re");

	while (file && fgets(line, sizeof(line), file))
		printf("rsmd| %s", line);
	if (file)
		fclose(file);
}

bool daemon_start(struct daemon *daemon)
{
	char config[128], program[512], socket_option[] = "--socket", config_option[] = "--config";

	snprintf(config, sizeof(config), "%s/rsmd.conf", daemon->directory);
	snprintf(program, sizeof(program), "%s", daemon_program());
	char *arguments[] = {program, socket_option, daemon->socket, config_option, config, NULL};
	fflush(stdout);
	daemon->pid = fork();
	if (daemon->pid == 0) {
		int log = open(daemon->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
		dup2(log, 2);
		prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that is killed leaves no daemon */
		setpgid(0, 0); /* a signal from the terminal is for the test, which then ends the daemon */
		execvp(program, arguments);
		_exit(127);
	}
	for (int waited = 0; daemon->pid > 0 && waited < PATIENCE; waited++) {
		if (answers(daemon->socket))
			return true;
		if (daemon_wait(daemon->pid, 1) >= 0)
			break;
	}
	printf("FAIL %s does not answer at %s\n", program, daemon->socket);
	print_log(daemon);
	return false;
}

bool daemon_stop(struct daemon *daemon)
{
	int status = daemon_wait(daemon->pid, 0);

	if (status >= 0) {
		printf("FAIL rsmd did not survive the test: status %d\n", status);
	} else {
		kill(daemon->pid, SIGTERM);
		status = daemon_wait(daemon->pid, PATIENCE);
		if (status < 0) {
			printf("FAIL rsmd does not end on SIGTERM\n");
			kill(daemon->pid, SIGKILL);
			daemon_wait(daemon->pid, PATIENCE);
		} else if (status > 0) {
			printf("FAIL rsmd ended with status %d\n", status);
		} else {
			return true;
		}
	}
	print_log(daemon);
	return false;
}

bool daemon_remove(struct daemon *daemon)
{
	char path[512];
	bool clean = true;

	snprintf(path, sizeof(path), "%s/run", daemon->directory);
	DIR *directory = opendir(path);
	for (struct dirent *entry; directory && (entry = readdir(directory));) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		printf("FAIL rsmd left %s/%s behind\n", path, entry->d_name);
		clean = false;
		unlinkat(dirfd(directory), entry->d_name, 0);
	}
	if (directory)
		closedir(directory);
	rmdir(path);
	snprintf(path, sizeof(path), "%s/rsmd.conf", daemon->directory);
	unlink(path);
	snprintf(path, sizeof(path), "%s/cluster.key", daemon->directory);
	unlink(path);
	unlink(daemon->log);
	if (rmdir(daemon->directory)) {
		printf("FAIL something was left in %s\n", daemon->directory);
		clean = false;
	}
	return clean;
}

int daemon_descriptors(pid_t pid)
{
	char path[64];
	int count = 0;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	DIR *directory = opendir(path);
	if (!directory)
		return -1;
	while (readdir(directory))
		count++;
	closedir(directory);
	return count - 2;
}
