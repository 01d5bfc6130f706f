/* SPDX-License-Identifier: BSD-2-Clause */
/* rsmd: the node's agent. Reads its command line and configuration, then serves until told to stop. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/key.h"
#include "base/reason.h"
#include "rsmd/closer.h"
#include "rsmd/data.h"
#include "rsmd/dump.h"
#include "rsmd/gate.h"
#include "rsmd/guest.h"
#include "rsmd/listen.h"
#include "rsmd/log.h"
#include "rsmd/loop.h"
#include "rsmd/manager.h"
#include "rsmd/metrics.h"
#include "rsmd/peer.h"
#include "rsmd/rsmd.h"
#include "rsmd/start.h"
#include "rsmd/topology.h"
#include "rsmd/unpack.h"
#include "wire/packet.h"

#define CONFIG_DEFAULT "/etc/rsm/rsmd.conf"

struct rsmd_server rsmd_server;

struct options {
	const char *config, *socket;
	int lock_fd;
	bool private_daemon, detach, check;
};

static const char help[] =
	"usage: rsmd [options]\n"
	"The agent of this node for librsm: names, access decisions, liveness. Runs in the foreground.\n"
	"\n"
	"  --config FILE   configuration (default $RSM_CONFIG, else " CONFIG_DEFAULT " if it exists),\n"
	"                  and behind it FILE.d/*.conf\n"
	"  --socket PATH   where to listen (default /run/rsm/rsmd.sock; with --private in the user's\n"
	"                  runtime directory)\n"
	"  --private       serve this user only, and leave when idle\n"
	"  --detach        return when the socket answers, and go on in the background\n"
	"  --lock-fd N     descriptor that holds the lock on the socket's directory\n"
	"  --check         read the configuration and its key file, tell which, and exit: 0 valid, 1 not\n"
	"  --version, --help\n"
	"\n"
	"$RSM_LOG = error, warning, info or debug sets what is written to stderr (default info);\n"
	"$RSM_LOG_FORMAT = json makes it JSON. SIGUSR1 writes the flight recorder to stderr, or to the\n"
	"file that $RSM_DUMP names.\n";

static void read_options(int argc, char **argv, struct options *options)
{
	static const struct option known[] = {{"config", required_argument, NULL, 'c'},
					      {"socket", required_argument, NULL, 's'},
					      {"private", no_argument, NULL, 'p'},
					      {"detach", no_argument, NULL, 'd'},
					      {"lock-fd", required_argument, NULL, 'l'},
					      {"check", no_argument, NULL, 'k'},
					      {"version", no_argument, NULL, 'v'},
					      {"help", no_argument, NULL, 'h'},
					      {NULL, 0, NULL, 0}};
	int option;
	char *end;
	while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
		if (option == 'c') {
			options->config = optarg;
		} else if (option == 's') {
			options->socket = optarg;
		} else if (option == 'p') {
			options->private_daemon = true;
		} else if (option == 'd') {
			options->detach = true;
		} else if (option == 'k') {
			options->check = true;
		} else if (option == 'l') {
			options->lock_fd = (int)strtol(optarg, &end, 10);
			if (*end || options->lock_fd < 3 || fcntl(options->lock_fd, F_GETFD) < 0) {
				fprintf(stderr, "rsmd: --lock-fd %s: not an open descriptor\n", optarg);
				exit(2);
			}
		} else if (option == 'v') {
			puts("rsmd " RSM_RELEASE);
			exit(0);
		} else if (option == 'h') {
			fputs(help, stdout);
			exit(0);
		} else {
			fputs("Try `rsmd --help'.\n", stderr);
			exit(2);
		}
	}
	if (optind < argc) {
		fprintf(stderr, "rsmd: %s: no arguments are expected\nTry `rsmd --help'.\n", argv[optind]);
		exit(2);
	}
}

static bool configure(const struct options *options, char *error, size_t size)
{
	const char *path = options->config ? options->config : getenv("RSM_CONFIG");
	rsmd_config_defaults(&rsmd_server.config);
	return rsmd_config_read(&rsmd_server.config, path ? path : CONFIG_DEFAULT, path != NULL, error, size);
}

/* It serves one user of this host: a port would be taken from the node's own rsmd, and nodes have one rsmd each. */
static void make_private(void)
{
	size_t left_out = rsmd_config_make_private(&rsmd_server.config);
	if (left_out)
		rsmd_log(RSMD_LOG_INFO,
			 "--private: %zu tcp controllers and all peers of the configuration are left out; "
			 "the node's "
			 "rsmd serves them",
			 left_out);
}

/* What tcp controllers need; without one there is no thread and no port. */
static bool serve_nodes(char *error, size_t size)
{
	bool any = false;
	for (size_t i = 1; i < rsmd_server.config.controller_count; i++)
		any |= rsmd_server.config.controllers[i].address_length > 0;
	if (!any)
		return true;
	if (rsmd_data_open(rsmd_server.config.threads)) {
		snprintf(error, size, "%s", base_reason());
		return false;
	}
	if (!rsmd_guests_open()) {
		snprintf(error, size, "no memory");
		return false;
	}
	return rsmd_peers_open(error, size) && rsmd_gate_open(error, size);
}

static bool serve(const struct options *options, char *error, size_t size)
{
	char path[256];
	rsmd_server.private_daemon = options->private_daemon;
	rsmd_server.started_ns = base_clock_ns();
	rsmd_fd_limit_open();
	rsmd_file_limit_open();
	if (options->private_daemon)
		make_private();
	wire_packet_on_close(rsmd_closer_close);
	rsmd_server.userfaultfd = -1;
	if (rsmd_server.config.userfaultfd)
		rsmd_server.userfaultfd = open("/dev/userfaultfd", O_RDWR | O_CLOEXEC);
	if (rsmd_loop_open()) {
		snprintf(error, size, "cannot make an event loop: no memory or no descriptors");
		return false;
	}
	if (!rsmd_unpack_open() || !rsmd_topology_open()) {
		snprintf(error, size, "no memory to unpack requests in, or for the topology");
		return false;
	}
	if (rsmd_slots_open()) {
		snprintf(error, size, "%s", base_reason());
		return false;
	}
	if (!options->socket && !rsmd_listen_default_path(options->private_daemon, path, sizeof(path))) {
		snprintf(error, size, "the default path of the socket is too long");
		return false;
	}
	if (!rsmd_listen_open(options->socket ? options->socket : path, options->lock_fd, error, size))
		return false;
	if (!serve_nodes(error, size))
		return false;
	if (!rsmd_listen_start()) {
		snprintf(error, size, "no memory");
		return false;
	}
	rsmd_log(RSMD_LOG_INFO, "release %s, node %u, serves", RSM_RELEASE, rsmd_server.config.node_id);
	rsmd_metrics_open();
	rsmd_start_ready();
	rsmd_loop_run();
	rsmd_manager_stopping();
	rsmd_metrics_close();
	rsmd_gate_close();
	rsmd_peers_close();
	rsmd_listen_close();
	return true;
}

/* --check: the key file, too. Who may not read it cannot say more of it than that. */
static bool check_key(char *error, size_t size)
{
	uint8_t key[BASE_KEY_SIZE];
	const char *path = rsmd_server.config.key_file;
	if (!rsmd_server.config.peer_count)
		return true;
	int code = base_key_read(path, key);
	explicit_bzero(key, sizeof(key));
	if (code && faccessat(AT_FDCWD, path, R_OK, AT_EACCESS) && errno == EACCES) {
		rsmd_log(RSMD_LOG_WARNING,
			 "%s: this user may not read it; check as the user that rsmd runs as", path);
		return true;
	}
	if (code)
		snprintf(error, size, "%s", base_reason());
	return !code;
}

/* --check: what was looked at. */
static void tell_checked(void)
{
	const struct rsmd_config *config = &rsmd_server.config;
	for (size_t i = 0; i < config->file_count; i++)
		printf("read %s\n", config->files[i]);
	puts(config->file_count ? "valid" : "no file: defaults\nvalid");
}

int main(int argc, char **argv)
{
	struct options options = {.lock_fd = -1};
	char error[512];
	rsmd_start_clean();
	rsmd_log_open();
	rsmd_dump_open();
	read_options(argc, argv, &options);
	bool done = configure(&options, error, sizeof(error));
	if (done && options.check) {
		done = check_key(error, sizeof(error));
		if (done)
			tell_checked();
	} else if (done) {
		if (options.detach)
			rsmd_start_detach(options.lock_fd);
		done = serve(&options, error, sizeof(error));
	}
	if (!done)
		rsmd_log(RSMD_LOG_ERROR, "%s", error);
	if (!done && !options.check)
		rsmd_dump_fatal();
	return done ? 0 : 1;
}
