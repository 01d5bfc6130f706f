/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Two nodes on this machine. As root: two network namespaces joined by a veth pair, so that every byte passes two network
 * devices; they vanish with the processes in them. Else two addresses of the loopback device. The importing process and node
 * 1 have the first core; node 2, the exporter and the raw server the second one.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

#define PORT     7600u
#define RAW_PORT 7601u

struct bench_hosts bench_hosts = {
	.near_net = -1, .far_net = -1, .daemon = {{.pid = -1}, {.pid = -1}}, .exporter = {.socket = -1}};

/* Whether a shell command in a namespace (-1: this one) succeeds. */
static bool shell_in(int net, const char *command)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		if (net < 0 || setns(net, CLONE_NEWNET) == 0)
			execl("/bin/sh", "sh", "-c", command, (char *)NULL);
		_exit(127);
	}
	return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

/* The new namespace becomes this process's. */
static int make_namespace(void)
{
	return unshare(CLONE_NEWNET) == 0 ? open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC) : -1;
}

static bool join_namespaces(void)
{
	char far[320];
	bool joined;
	int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);

	/* Made there with its other end here. */
	snprintf(far, sizeof(far),
		 "exec 1>&2; ip link set lo up && ip link add rsm2 type veth peer name rsm1 netns %d && "
		 "ip address add %s/24 dev rsm2 && ip link set rsm2 up",
		 (int)getpid(), bench_hosts.address[1]);
	bench_hosts.far_net = make_namespace();
	bench_hosts.near_net = bench_hosts.far_net < 0 ? -1 : make_namespace();
	joined = bench_hosts.near_net >= 0 && shell_in(bench_hosts.far_net, far) &&
		 shell_in(-1, "exec 1>&2; ip link set lo up && ip address add 10.77.0.1/24 dev rsm1 && "
			      "ip link set rsm1 up");
	if (!joined && home >= 0 && setns(home, CLONE_NEWNET) != 0)
		bench_problem("setns: %s", strerror(errno));
	if (home >= 0)
		close(home);
	return joined;
}

/* A port that nobody uses at this moment; 0: none. */
static unsigned free_port(const char *address)
{
	struct sockaddr_in name = {.sin_family = AF_INET};
	socklen_t length = sizeof(name);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	unsigned port = 0;

	inet_pton(AF_INET, address, &name.sin_addr);
	if (fd >= 0 && bind(fd, (struct sockaddr *)&name, sizeof(name)) == 0 &&
	    getsockname(fd, (struct sockaddr *)&name, &length) == 0)
		port = ntohs(name.sin_port);
	if (fd >= 0)
		close(fd);
	return port;
}

static bool choose_places(void)
{
	strcpy(bench_hosts.address[0], "10.77.0.1");
	strcpy(bench_hosts.address[1], "10.77.0.2");
	bench_hosts.port[0] = bench_hosts.port[1] = PORT;
	bench_hosts.raw_port = RAW_PORT;
	bench_hosts.namespaces = geteuid() == 0 && join_namespaces();
	if (bench_hosts.namespaces) {
		bench_report_hosts("two hosts (namespaces, veth)");
		return true;
	}
	bench_report_hosts("two virtual nodes (loopback device)");
	for (unsigned i = 0; i < 2; i++) {
		snprintf(bench_hosts.address[i], sizeof(bench_hosts.address[i]), "127.0.0.%u", i + 2);
		bench_hosts.port[i] = free_port(bench_hosts.address[i]);
	}
	bench_hosts.raw_port = free_port(bench_hosts.address[1]);
	return (bench_hosts.port[0] && bench_hosts.port[1] && bench_hosts.raw_port) ||
	       bench_problem("no free port at 127.0.0.2 and 127.0.0.3");
}

/* For what starts from here on. */
static bool go(bool far)
{
	int net = far ? bench_hosts.far_net : bench_hosts.near_net;

	return !bench_hosts.namespaces || setns(net, CLONE_NEWNET) == 0 ||
	       bench_problem("setns: %s", strerror(errno));
}

static bool make_key(void)
{
	static const char digits[] = "0123456789abcdef";
	unsigned char key[32];
	char text[80] = "rsm-key-1 ";
	size_t length = strlen(text);
	int fd;

	snprintf(bench_hosts.key, sizeof(bench_hosts.key), "/tmp/rsm-bench-key-XXXXXX");
	fd = mkostemp(bench_hosts.key, O_CLOEXEC);
	if (fd < 0 || getrandom(key, sizeof(key), 0) != (ssize_t)sizeof(key)) {
		bench_hosts.key[0] = '\0';
		return bench_problem("key file in /tmp: %s", strerror(errno));
	}
	for (size_t i = 0; i < sizeof(key); i++) {
		text[length++] = digits[key[i] >> 4];
		text[length++] = digits[key[i] & 15];
	}
	text[length++] = '\n';
	bool written = write(fd, text, length) == (ssize_t)length;
	close(fd);
	return written || bench_problem("%s: %s", bench_hosts.key, strerror(errno));
}

/* `own`: 0 or 1; node numbers are one more. */
static bool start_daemon(unsigned own)
{
	char config[512];
	unsigned other = 1 - own;

	snprintf(config, sizeof(config),
		 "[node]\nid = %u\n[cluster]\nkey-file = %s\ndead-after = 3s\n[controller tcp0]\ntype = "
		 "tcp\naddress = %s\n"
		 "port = %u\n[peer %u]\ntcp0 = %s:%u\n",
		 own + 1, bench_hosts.key, bench_hosts.address[own], bench_hosts.port[own], other + 1,
		 bench_hosts.address[other], bench_hosts.port[other]);
	return go(own == 1) && bench_daemon_start(&bench_hosts.daemon[own], config, bench_core[own]) &&
	       go(false);
}

/* It exports, and then takes no part: everything works while it is stopped. */
static bool start_exporter(void)
{
	struct bench_peer *exporter = &bench_hosts.exporter;

	return bench_shared_make() && setenv("RSM_SOCKET", bench_hosts.daemon[1].socket, 1) == 0 &&
	       bench_peer_start_on(exporter, bench_core[1], "tcp0") &&
	       bench_peer_ask(exporter, BENCH_EXPORT, 0, BENCH_SEGMENT_SIZE) &&
	       kill(exporter->pid, SIGSTOP) == 0 &&
	       setenv("RSM_SOCKET", bench_hosts.daemon[0].socket, 1) == 0;
}

static bool start_raw(void)
{
	char byte;
	int ready[2];
	bool ended;

	if (!go(true) || pipe2(ready, O_CLOEXEC) != 0)
		return bench_problem("raw TCP server: %s", strerror(errno));
	bench_hosts.raw = fork();
	if (bench_hosts.raw == 0) {
		signal(SIGTERM, SIG_DFL);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(ready[0]);
		bench_pin(0, bench_core[1]);
		bench_tcp_serve(bench_hosts.address[1], bench_hosts.raw_port, ready[1]);
	}
	close(ready[1]);
	ended = read(ready[0], &byte, 1) == 0;
	close(ready[0]);
	return go(false) && bench_hosts.raw > 0 && ended &&
	       bench_tcp_connect(bench_hosts.address[1], bench_hosts.raw_port);
}

bool bench_hosts_open(void)
{
	return choose_places() && make_key() && start_daemon(1) && start_daemon(0) && start_exporter() &&
	       start_raw();
}

void bench_hosts_close(void)
{
	/* First the raw server: as a fork it holds our end of the exporter's socket, too. */
	if (bench_hosts.raw > 0) {
		kill(bench_hosts.raw, SIGKILL);
		waitpid(bench_hosts.raw, NULL, 0);
	}
	if (bench_hosts.exporter.pid > 0) {
		kill(bench_hosts.exporter.pid, SIGCONT);
		bench_peer_end(&bench_hosts.exporter);
	}
	bench_daemon_stop(&bench_hosts.daemon[0]);
	bench_daemon_stop(&bench_hosts.daemon[1]);
	if (bench_hosts.key[0])
		unlink(bench_hosts.key);
}

void bench_hosts_abandon(void)
{
	bench_daemon_abandon(&bench_hosts.daemon[0]);
	bench_daemon_abandon(&bench_hosts.daemon[1]);
	if (bench_hosts.key[0])
		unlink(bench_hosts.key);
}
