/* SPDX-License-Identifier: BSD-2-Clause */
/* A private node for tests: an rsmd with a fresh directory, socket and configuration of its own. */
#ifndef CONFORMANCE_DAEMON_H
#define CONFORMANCE_DAEMON_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* The configuration of every test node without a network; `extra` is more of its [node] section. */
#define DAEMON_CONFIG(extra) "[node]\nid = 1\n" extra "[controller shm0]\ntype = local\n"

#define DAEMON_DEAD_AFTER 3000 /* milliseconds of silence after which a test node counts as dead */

struct daemon {
	pid_t pid;
	char directory[64]; /* /tmp/rsm-test-XXXXXX, readable by other users */
	char socket[96];    /* in it, run/rsmd.sock */
	char log[96];       /* what rsmd wrote to stderr */
};

/* Where rsmd is: $RSM_TEST_RSMD, set by CTest. */
const char *daemon_program(void);

/* These print what went wrong and return false. start returns when the socket answers. */
bool daemon_prepare(struct daemon *daemon, const char *config);
bool daemon_start(struct daemon *daemon);

/*
 * Instead of prepare, for a node with controller tcp0 at an address of 127.0.0.0/8 that is this process's own. One of
 * `nodes` with the numbers from 1: each has a path to all others, and the same key. A single one reaches its own segments
 * through the network.
 */
bool daemon_prepare_tcp(struct daemon *daemon, unsigned node, unsigned nodes, const char *extra);

/* Ends it by SIGTERM and checks: it was still alive, leaves with 0 in time, and leaves nothing in its directory. */
bool daemon_stop(struct daemon *daemon);

/* Removes the directory; says what else was found in it. */
bool daemon_remove(struct daemon *daemon);

/* Open descriptors of a process of the same user, -1 when they cannot be read. */
int daemon_descriptors(pid_t pid);

/* Waits for a child's end at most this long; its status in suite_join's form, or -1. */
int daemon_wait(pid_t pid, int milliseconds);

#endif
