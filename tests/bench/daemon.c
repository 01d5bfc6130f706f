/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An rsmd of our own, on a private socket in a directory of its own, so that the run neither depends on what
 * the machine serves nor disturbs it. It ends with the bench, however that ends.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "bench.h"

#define WAIT_NS      5000000000u /* for rsmd to start or to leave */
#define IDLE_SECONDS 10

extern char **environ;

static const struct timespec pause_between = {.tv_nsec = 1000000};

pid_t bench_daemon_pid = -1;
static char directory[64], socket_path[96], config_path[96], log_path[96];

int bench_daemon_role(const char *socket, const char *config, const char *log)
{
	int fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (fd >= 0)
		dup2(fd, STDERR_FILENO);
	execl(BENCH_RSMD, "rsmd", "--config", config, "--socket", socket, (char *)NULL);
	fprintf(stderr, "bench: %s: %s\n", BENCH_RSMD, strerror(errno));
	return 1;
}

static bool make_directory(void)
{
	static const char text[] = "[node]\nid = 1\n";
	int fd;

	snprintf(directory, sizeof(directory), "/tmp/rsm-bench-XXXXXX");
	if (!mkdtemp(directory))
		return bench_problem("%s: %s", directory, strerror(errno));
	snprintf(socket_path, sizeof(socket_path), "%s/rsmd.sock", directory);
	snprintf(config_path, sizeof(config_path), "%s/rsmd.conf", directory);
	snprintf(log_path, sizeof(log_path), "%s/rsmd.log", directory);
	fd = open(config_path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || write(fd, text, sizeof(text) - 1) != (ssize_t)sizeof(text) - 1)
		return bench_problem("%s: %s", config_path, strerror(errno));
	close(fd);
	return setenv("RSM_SOCKET", socket_path, 1) == 0;
}

/* Whether somebody listens yet. */
static bool answers(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	bool yes;

	memcpy(address.sun_path, socket_path, sizeof(socket_path));
	yes = fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0;
	if (fd >= 0)
		close(fd);
	return yes;
}

/* Whether rsmd has ended; if so it is reaped. */
static bool ended(void)
{
	return waitpid(bench_daemon_pid, NULL, WNOHANG) == bench_daemon_pid;
}

/* What rsmd had to say before it ended. */
static void show_log(void)
{
	char text[4096];
	int fd = open(log_path, O_RDONLY | O_CLOEXEC);
	ssize_t got = fd < 0 ? 0 : read(fd, text, sizeof(text));

	if (got > 0)
		fwrite(text, 1, (size_t)got, stderr);
	if (fd >= 0)
		close(fd);
}

bool bench_daemon_start(void)
{
	char role[] = "--role-daemon", name[] = "bench";
	char *arguments[] = {name, role, socket_path, config_path, log_path, NULL};
	uint64_t deadline = base_clock_ns() + WAIT_NS;
	int error;

	if (!make_directory())
		return false;
	error = posix_spawn(&bench_daemon_pid, bench_program(), NULL, NULL, arguments, environ);
	if (error)
		return bench_problem("start of rsmd: %s", strerror(error));
	while (!answers()) {
		if (ended()) {
			bench_daemon_pid = -1;
			show_log();
			return bench_problem("rsmd ended instead of listening at %s", socket_path);
		}
		if (base_clock_ns() > deadline)
			return bench_problem("rsmd does not listen at %s", socket_path);
		nanosleep(&pause_between, NULL);
	}
	return bench_pin(bench_daemon_pid, bench_core[1]);
}

static void remove_directory(void)
{
	unlink(config_path);
	unlink(log_path);
	unlink(socket_path);
	rmdir(directory);
}

void bench_daemon_stop(void)
{
	uint64_t deadline = base_clock_ns() + WAIT_NS;

	if (bench_daemon_pid > 0) {
		kill(bench_daemon_pid, SIGTERM);
		while (!ended()) {
			if (base_clock_ns() > deadline) {
				bench_problem("rsmd does not leave after SIGTERM");
				kill(bench_daemon_pid, SIGKILL);
				waitpid(bench_daemon_pid, NULL, 0);
				break;
			}
			nanosleep(&pause_between, NULL);
		}
		bench_daemon_pid = -1;
	}
	remove_directory();
}

void bench_daemon_abandon(void)
{
	if (bench_daemon_pid > 0)
		kill(bench_daemon_pid, SIGKILL);
	remove_directory();
}

/* A file of rsmd's /proc directory, as text. */
static bool read_proc(const char *file, char *text, size_t size)
{
	char path[64];
	ssize_t got;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)bench_daemon_pid, file);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	got = fd < 0 ? -1 : read(fd, text, size - 1);
	if (fd >= 0)
		close(fd);
	if (got <= 0)
		return bench_problem("%s: %s", path, strerror(errno));
	text[got] = '\0';
	return true;
}

double bench_daemon_rss(void)
{
	char text[4096];
	const char *line;

	if (!read_proc("status", text, sizeof(text)))
		return -1;
	line = strstr(text, "VmRSS:");
	return line ? strtod(line + strlen("VmRSS:"), NULL) : -1;
}

/*
 * utime + stime, the 14th and 15th field, once rsmd sleeps ('S', the 3rd): after a request it spins for a moment.
 * The name before them may hold anything but ends at the last ')'.
 */
static double ticks_asleep(void)
{
	uint64_t deadline = base_clock_ns() + WAIT_NS;
	unsigned long user, system;
	const char *fields;
	char text[1024], state;

	do {
		if (!read_proc("stat", text, sizeof(text)))
			return -1;
		fields = strrchr(text, ')');
		if (!fields || sscanf(fields + 1, " %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu",
				      &state, &user, &system) != 3)
			return bench_problem("cannot read rsmd's CPU ticks"), -1;
	} while (state != 'S' && base_clock_ns() < deadline);
	return state == 'S' ? (double)(user + system) : (bench_problem("rsmd never sleeps"), -1);
}

bool bench_daemon_rows(void)
{
	const struct timespec span = {.tv_sec = IDLE_SECONDS};
	struct bench_row idle = {.name = "idle rsmd, 10 s, a client and a segment",
				 .unit = "ticks",
				 .kind = BENCH_VALUE_MOST,
				 .goal = 0};
	double before = ticks_asleep(), after;

	clock_nanosleep(CLOCK_MONOTONIC, 0, &span, NULL);
	after = ticks_asleep();
	if (before < 0 || after < 0)
		return false;
	idle.ours = after - before;
	bench_row_add(&idle);
	return true;
}
