/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * bench [--json] [--only GROUP]: measures the library beside its raw limits and prints a table. Exit status:
 * 0 however fast or slow, 1 when a figure could not be measured, 2 for bad usage.
 */
#include <dirent.h>
#include <errno.h>
#include <getopt.h>
#include <rsm/ext.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bench.h"

/* A run takes about two minutes; one that hangs ends here. */
#define WATCHDOG_SECONDS 600

int bench_core[2];
double bench_load;
const char *bench_controller_name = "loopback";
static bool failed;

bool bench_problem(const char *format, ...)
{
	va_list arguments;

	failed = true;
	fputs("bench: ", stderr);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
	return false;
}

bool bench_refused(const char *call, int code)
{
	return bench_problem("%s: %s: %s", call, rsmx_errname(code), rsmx_last_error());
}

char *bench_program(void)
{
	static char path[4096];
	ssize_t length = readlink("/proc/self/exe", path, sizeof(path) - 1);

	path[length > 0 ? length : 0] = '\0';
	return path;
}

bool bench_pin(pid_t pid, int core)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(core, &set);
	return sched_setaffinity(pid, sizeof(set), &set) == 0 ||
	       bench_problem("cannot run on core %d: %s", core, strerror(errno));
}

bool bench_pin_threads(pid_t pid, int core)
{
	char path[64];
	struct dirent *entry;
	bool ok = true;
	DIR *tasks;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	tasks = opendir(path);
	if (!tasks)
		return bench_problem("%s: %s", path, strerror(errno));
	while ((entry = readdir(tasks))) {
		if (entry->d_name[0] != '.')
			ok &= bench_pin((pid_t)strtol(entry->d_name, NULL, 10), core);
	}
	closedir(tasks);
	return ok;
}

/* The first two cores that this process may use. */
static bool choose_cores(void)
{
	cpu_set_t set;
	int found = 0;

	if (sched_getaffinity(0, sizeof(set), &set) != 0)
		return bench_problem("sched_getaffinity: %s", strerror(errno));
	for (int core = 0; core < CPU_SETSIZE && found < 2; core++) {
		if (CPU_ISSET(core, &set))
			bench_core[found++] = core;
	}
	return found == 2 || bench_problem("two cores are needed, this process may use %d", found);
}

void *bench_memory(size_t length)
{
	void *memory = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED) {
		bench_problem("mmap of %zu bytes: %s", length, strerror(errno));
		return NULL;
	}
	memset(memory, 1, length);
	return memory;
}

bool bench_controller(rsmapi_controller_handle_t *controller, rsm_node_id_t *node)
{
	static rsmapi_controller_handle_t loopback;
	static rsm_node_id_t local;
	rsm_topology_t *topology;
	char name[32];
	int code;

	snprintf(name, sizeof(name), "%s", bench_controller_name);
	*controller = NULL;
	*node = 0;
	if (!loopback) {
		code = rsm_get_interconnect_topology(&topology);
		if (code)
			return bench_refused("rsm_get_interconnect_topology", code);
		local = topology->topology_hdr.local_nodeid;
		rsm_free_interconnect_topology(topology);
		code = rsm_get_controller(name, &loopback);
		if (code)
			return bench_refused("rsm_get_controller", code);
	}
	*controller = loopback;
	*node = local;
	return true;
}

bool bench_connect(rsm_memseg_id_t id, rsm_memseg_import_handle_t *handle, rsmapi_barrier_t *barrier)
{
	rsmapi_controller_handle_t controller;
	rsm_node_id_t node;
	int code;

	if (!bench_controller(&controller, &node))
		return false;
	code = rsm_memseg_import_connect(controller, node, id, RSM_PERM_RDWR, handle);
	if (code)
		return bench_refused("rsm_memseg_import_connect", code);
	code = rsm_memseg_import_init_barrier(*handle, RSM_BARRIER_SEGMENT, barrier);
	return code == RSM_SUCCESS || bench_refused("rsm_memseg_import_init_barrier", code);
}

static void abandon(int number)
{
	static const char hung[] = "bench: ended by the watchdog: something hangs\n";

	if (number == SIGALRM)
		(void)!write(STDERR_FILENO, hung, sizeof(hung) - 1);
	bench_net_abandon();
	bench_daemon_abandon(&bench_daemon);
	_exit(1);
}

static bool wanted(const char *only, const char *group)
{
	return !only || strcmp(only, group) == 0;
}

/* rsmd's memory is looked at before anything is exported, its idle CPU time with something exported. */
static void measure(const char *only)
{
	struct bench_row empty = {.name = "rsmd memory with no segment",
				  .unit = "MiB",
				  .kind = BENCH_VALUE_MOST,
				  .goal = 10,
				  .ours = bench_daemon_rss(&bench_daemon) / 1024};
	struct bench_peer peer;

	if (!bench_shared_make() || !bench_peer_start(&peer, bench_core[1]))
		return;
	if (bench_peer_ask(&peer, BENCH_EXPORT, 0, BENCH_SEGMENT_SIZE)) {
		if (wanted(only, "daemon")) {
			bench_row_add(&empty);
			bench_daemon_rows();
		}
		if (wanted(only, "rma"))
			bench_rma_rows();
		if (wanted(only, "signal"))
			bench_signal_rows(&peer);
		if (wanted(only, "control"))
			bench_control_rows(&peer);
		if (wanted(only, "memory"))
			bench_memory_rows();
		if (wanted(only, "scale"))
			bench_scale_rows();
	}
	bench_peer_end(&peer);
}

static int usage(FILE *out, int status)
{
	fputs("usage: bench [--json] [--only rma|signal|control|memory|scale|daemon|net]\n"
	      "       bench --datapath put-implicit|put-explicit|get-implicit|get-explicit COUNT\n",
	      out);
	return status;
}

static bool known_group(const char *group)
{
	static const char *const groups[] = {"rma", "signal", "control", "memory", "scale", "daemon", "net"};

	for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++) {
		if (strcmp(group, groups[i]) == 0)
			return true;
	}
	return false;
}

static int finish(bool json)
{
	if (json && !bench_report_json(stdout))
		bench_problem("cannot write the report");
	if (!json)
		bench_report_table(stdout);
	return failed ? 1 : 0;
}

/* Everything that is left behind by a run is rsmd and its directory, so only these need the handlers. */
static int run(const char *only, const char *datapath, unsigned long count, bool json)
{
	static const int ends[] = {SIGALRM, SIGHUP, SIGINT, SIGTERM};
	int status = 0;

	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
		signal(ends[i], abandon);
	alarm(WATCHDOG_SECONDS);
	if (getloadavg(&bench_load, 1) != 1)
		bench_load = 0;
	if (!choose_cores() || !bench_report_open())
		return 1;
	if (!datapath && wanted(only, "net"))
		failed |= !bench_net_group();
	if (only && strcmp(only, "net") == 0)
		return finish(json);
	if (bench_daemon_start(&bench_daemon, "[node]\nid = 1\n", bench_core[1]) &&
	    setenv("RSM_SOCKET", bench_daemon.socket, 1) == 0 && bench_pin(0, bench_core[0])) {
		if (datapath)
			status = bench_shared_make() ? bench_datapath(datapath, count) : 1;
		else
			measure(only);
	}
	bench_daemon_stop(&bench_daemon);
	if (datapath)
		return failed ? 1 : status;
	return finish(json);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {{"json", no_argument, NULL, 'j'},
						{"only", required_argument, NULL, 'o'},
						{"datapath", required_argument, NULL, 'd'},
						{"help", no_argument, NULL, 'h'},
						{NULL, 0, NULL, 0}};
	const char *only = NULL, *datapath = NULL;
	bool json = false;
	int option;

	if (argc == 4 && strcmp(argv[1], "--role-peer") == 0)
		return bench_peer_role(atoi(argv[2]), argv[3]);
	if (argc == 5 && strcmp(argv[1], "--role-daemon") == 0)
		return bench_daemon_role(argv[2], argv[3], argv[4]);
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == 'h')
			return usage(stdout, 0);
		else if (option == 'j')
			json = true;
		else if (option == 'o' && known_group(optarg))
			only = optarg;
		else if (option == 'd')
			datapath = optarg;
		else
			return usage(stderr, 2);
	}
	if (argc - optind != (datapath ? 1 : 0))
		return usage(stderr, 2);
	return run(only, datapath, datapath ? strtoul(argv[optind], NULL, 10) : 0, json);
}
