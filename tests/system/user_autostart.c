/* SPDX-License-Identifier: BSD-2-Clause */
/* Nothing configured, nothing started: the first of many processes starts rsmd, exactly once, and it leaves again. */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "peer.h"
#include "suite.h"

#define PROCESSES 20

static char home[] = "/tmp/rsm-test-XXXXXX";
static char config[64];

static void home_open(void)
{
	if (access("/run/rsm/rsmd.sock", F_OK) == 0)
		suite_skip("a system rsmd serves this machine");
	CHECK(mkdtemp(home) != NULL);
	snprintf(config, sizeof(config), "%s/rsmd.conf", home);
	FILE *file = fopen(config, "we");
	CHECK(file && fputs("[node]\nidle-exit = 300ms\n[controller shm0]\ntype = local\n", file) >= 0 &&
	      fclose(file) == 0);
	CHECK(unsetenv("RSM_SOCKET") == 0 && setenv("HOME", home, 1) == 0 &&
	      setenv("XDG_RUNTIME_DIR", home, 1) == 0 && setenv("RSM_CONFIG", config, 1) == 0);
}

/* The daemon has left and taken its socket with it; the directory it needed may stay. */
static void home_close(void)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/rsm/rsmd.sock", home);
	SOON(access(path, F_OK) != 0);
	SOON(rmdir(strncat(strcpy(path, home), "/rsm", 5)) == 0);
	CHECK(unlink(config) == 0 && rmdir(home) == 0);
}

/* Processes whose command line names our directory. */
static int daemons(void)
{
	DIR *directory = opendir("/proc");
	int count = 0;

	CHECK(directory != NULL);
	for (struct dirent *entry; (entry = readdir(directory));) {
		char path[300], line[1024];
		snprintf(path, sizeof(path), "/proc/%s/cmdline", entry->d_name);
		int fd = open(path, O_RDONLY | O_CLOEXEC);
		ssize_t length = fd < 0 ? 0 : read(fd, line, sizeof(line) - 1);
		if (fd >= 0)
			close(fd);
		if (length > 0)
			count += memmem(line, (size_t)length, home, strlen(home)) != NULL;
	}
	closedir(directory);
	return count;
}

static void all_at_once(void)
{
	struct peer peers[PROCESSES];
	int64_t daemon = 0;

	home_open();
	for (int at = 0; at < PROCESSES; at++)
		peer_start(&peers[at], NULL);
	for (int at = 0; at < PROCESSES; at++)
		peer_begin(&peers[at], &(struct peer_request){.op = PEER_CREATE, .length = suite_page()});
	for (int at = 0; at < PROCESSES; at++) {
		struct peer_reply reply = peer_end(&peers[at]);
		if (reply.code)
			suite_fail(__FILE__, __LINE__, "process %d: code %d: %s", at, reply.code,
				   reply.reason);
	}
	for (int at = 0; at < PROCESSES; at++) {
		struct peer_reply reply = peer_ask(&peers[at], &(struct peer_request){.op = PEER_STATUS});
		MUST(reply.code);
		CHECK(at == 0 || reply.value == daemon);
		daemon = reply.value;
		rsm_memseg_id_t id = 0;
		MUST(peer_publish(&peers[at], &id, NULL, 0));
		MUST(peer_connect(&peers[(at + 1) % PROCESSES], 0, 1, id, RSM_PERM_RDWR));
	}
	SOON(daemons() == 1);
	for (int at = 0; at < PROCESSES; at++)
		peer_stop(&peers[at]);
	SOON(daemons() == 0);
	home_close();
}

static void after_a_crash(void)
{
	struct peer first, second;

	/* A killed rsmd leaves its socket behind, on which nobody listens: the next process starts another. */
	home_open();
	peer_start(&first, NULL);
	peer_start(&second, NULL);
	struct peer_reply reply = peer_ask(&first, &(struct peer_request){.op = PEER_STATUS});
	MUST(reply.code);
	CHECK(kill((pid_t)reply.value, SIGKILL) == 0);
	SOON(daemons() == 0);
	peer_export(&second, suite_page(), 0);
	SOON(daemons() == 1);
	peer_stop(&first);
	peer_stop(&second);
	SOON(daemons() == 0);
	home_close();
}

static void survives_its_starter(void)
{
	struct peer starter, other;

	home_open();
	peer_start(&starter, NULL);
	peer_start(&other, NULL);
	peer_export(&starter, suite_page(), 0);
	peer_export(&other, suite_page(), 0x400001);
	peer_kill(&starter);
	MUST(peer_connect(&other, 0, 1, 0x400001, RSM_PERM_RDWR));
	MUST(peer_simple(&other, PEER_INIT, 0, 0));
	MUST(peer_put(&other, 0, 0, 1));
	peer_stop(&other);
	SOON(daemons() == 0);
	home_close();
}

static const struct suite_case cases[] = {
	{"S-autostart-many", "20 processes at once start exactly one rsmd, which leaves when idle",
	 all_at_once},
	{"S-autostart-crash", "after a crash of rsmd the next process starts another", after_a_crash},
	{"S-autostart-starter", "rsmd outlives the process that started it", survives_its_starter},
};

SUITE_MAIN(cases)
