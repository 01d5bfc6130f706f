/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An rsmd of our own, on a private socket in a directory of its own, so that the run neither depends on what
 * the machine serves nor disturbs it. It ends with the bench, however that ends. For two hosts there are two.
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

struct bench_daemon bench_daemon = {.pid = -1};

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

static bool write_config(const struct bench_daemon *daemon, const char *text)
{
	ssize_t length = (ssize_t)strlen(text);
	int fd = open(daemon->config, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0 || write(fd, text, (size_t)length) != length)
		return bench_problem("%s: %s", daemon->config, strerror(errno));
	close(fd);
	return true;
}

static bool make_directory(struct bench_daemon *daemon)
{
	snprintf(daemon->directory, sizeof(daemon->directory), "/tmp/rsm-bench-XXXXXX");
	if (!mkdtemp(daemon->directory)) {
		daemon->directory[0] = '\0';
		return bench_problem("directory in /tmp: %s", strerror(errno));
	}
	snprintf(daemon->socket, sizeof(daemon->socket), "%s/rsmd.sock", daemon->directory);
	snprintf(daemon->config, sizeof(daemon->config), "%s/rsmd.conf", daemon->directory);
	snprintf(daemon->log, sizeof(daemon->log), "%s/rsmd.log", daemon->directory);
	return true;
}

/* Whether somebody listens yet. */
static bool answers(const struct bench_daemon *daemon)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	bool yes;

	memcpy(address.sun_path, daemon->socket, sizeof(daemon->socket));
	yes = fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0;
	if (fd >= 0)
		close(fd);
	return yes;
}

/* Whether rsmd has ended; if so it is reaped. */
static bool ended(const struct bench_daemon *daemon)
{
	return waitpid(daemon->pid, NULL, WNOHANG) == daemon->pid;
}

/* Its log's beginning, which is all of it as a rule. */
void bench_daemon_tell(const struct bench_daemon *daemon)
{
	char text[4096];
	int fd = open(daemon->log, O_RDONLY | O_CLOEXEC);
	ssize_t got = fd < 0 ? 0 : read(fd, text, sizeof(text));

	if (got > 0)
		fwrite(text, 1, (size_t)got, stderr);
	if (fd >= 0)
		close(fd);
}

bool bench_daemon_start(struct bench_daemon *daemon, const char *config, int core)
{
	char role[] = "--role-daemon", name[] = "bench";
	char *arguments[] = {name, role, daemon->socket, daemon->config, daemon->log, NULL};
	uint64_t deadline = base_clock_ns() + WAIT_NS;
	int error;

	if (!make_directory(daemon) || !write_config(daemon, config))
		return false;
	error = posix_spawn(&daemon->pid, bench_program(), NULL, NULL, arguments, environ);
	if (error)
		return bench_problem("start of rsmd: %s", strerror(error));
	while (!answers(daemon)) {
		if (ended(daemon)) {
			daemon->pid = -1;
			bench_daemon_tell(daemon);
			return bench_problem("rsmd ended instead of listening at %s", daemon->socket);
		}
		if (base_clock_ns() > deadline)
			return bench_problem("rsmd does not listen at %s", daemon->socket);
		nanosleep(&pause_between, NULL);
	}
	return bench_pin_threads(daemon->pid, core);
}

static void remove_directory(const struct bench_daemon *daemon)
{
	if (!daemon->directory[0])
		return;
	unlink(daemon->config);
	unlink(daemon->log);
	unlink(daemon->socket);
	rmdir(daemon->directory);
}

void bench_daemon_stop(struct bench_daemon *daemon)
{
	uint64_t deadline = base_clock_ns() + WAIT_NS;

	if (daemon->pid > 0) {
		kill(daemon->pid, SIGTERM);
		while (!ended(daemon)) {
			if (base_clock_ns() > deadline) {
				bench_problem("rsmd does not leave after SIGTERM");
				kill(daemon->pid, SIGKILL);
				waitpid(daemon->pid, NULL, 0);
				break;
			}
			nanosleep(&pause_between, NULL);
		}
		daemon->pid = -1;
	}
	remove_directory(daemon);
}

void bench_daemon_abandon(const struct bench_daemon *daemon)
{
	if (daemon->pid > 0)
		kill(daemon->pid, SIGKILL);
	remove_directory(daemon);
}

/* A file of rsmd's /proc directory, as text. */
static bool read_proc(const struct bench_daemon *daemon, const char *file, char *text, size_t size)
{
	char path[64];
	ssize_t got;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)daemon->pid, file);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	got = fd < 0 ? -1 : read(fd, text, size - 1);
	if (fd >= 0)
		close(fd);
	if (got <= 0)
		return bench_problem("%s: %s", path, strerror(errno));
	text[got] = '\0';
	return true;
}

double bench_daemon_rss(const struct bench_daemon *daemon)
{
	char text[4096];
	const char *line;

	if (!read_proc(daemon, "status", text, sizeof(text)))
		return -1;
	line = strstr(text, "VmRSS:");
	return line ? strtod(line + strlen("VmRSS:"), NULL) : -1;
}

/* Once its loop sleeps ('S' in status): after a request it spins for a moment. */
double bench_daemon_cpu_ms(const struct bench_daemon *daemon)
{
	uint64_t deadline = base_clock_ns() + WAIT_NS;
	struct timespec used;
	char text[4096];
	clockid_t clock;

	do {
		if (!read_proc(daemon, "status", text, sizeof(text)))
			return -1;
		if (base_clock_ns() > deadline)
			return bench_problem("rsmd never sleeps"), -1;
	} while (!strstr(text, "State:\tS"));
	int error = clock_getcpuclockid(daemon->pid, &clock);
	if (error || clock_gettime(clock, &used))
		return bench_problem("rsmd's CPU time: %s", strerror(error ? error : errno)), -1;
	return (double)used.tv_sec * 1e3 + (double)used.tv_nsec / 1e6;
}

bool bench_daemon_rows(void)
{
	const struct timespec span = {.tv_sec = IDLE_SECONDS};
	struct bench_row idle = {.name = "idle rsmd, 10 s, a client and a segment",
				 .unit = "ms",
				 .kind = BENCH_VALUE_MOST,
				 .goal = 0};
	double before = bench_daemon_cpu_ms(&bench_daemon), after;

	clock_nanosleep(CLOCK_MONOTONIC, 0, &span, NULL);
	after = bench_daemon_cpu_ms(&bench_daemon);
	if (before < 0 || after < 0)
		return false;
	idle.ours = after - before;
	bench_row_add(&idle);
	return true;
}
