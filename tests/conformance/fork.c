/* SPDX-License-Identifier: BSD-2-Clause */
/* What a forked child has of its parent's segments. */
#include <rsm/ext.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "pair.h"
#include "peer.h"

/* The child's part in a function: it fails the case by its exit status. */
static pid_t child_begin(void)
{
	pid_t child = fork();
	CHECK(child >= 0);
	return child;
}

static void r_not_creator(void)
{
	struct pair pair;
	rsm_memseg_id_t id = 0;

	pair_open(&pair);
	pid_t child = child_begin();
	if (child == 0) {
		EXPECT(RSMERR_NOT_CREATOR, rsm_memseg_export_unpublish(pair.e));
		EXPECT(RSMERR_NOT_CREATOR, rsm_memseg_export_republish(pair.e, NULL, 0));
		EXPECT(RSMERR_NOT_CREATOR,
		       rsm_memseg_export_rebind(pair.e, pair_memory(1, 0), 0, pair.length));
		EXPECT(RSMERR_BAD_ACL,
		       rsm_memseg_export_republish(pair.e, NULL, 1)); /* before the creator check */
		EXPECT(RSMERR_SEG_ALREADY_PUBLISHED, rsm_memseg_export_publish(pair.e, &id, NULL, 0));
		EXPECT(RSMERR_NOT_CREATOR,
		       rsm_memseg_export_rebind(pair.e, pair.memory, 0, 1)); /* before length */
		_exit(0);
	}
	CHECK_EQUAL(0, suite_join(child));
	MUST(pair_put_byte(pair.i, 0, 1));
	CHECK_BYTES(pair.memory, 1, 1);
}

static void r_child_destroy(void)
{
	struct pair pair;
	struct peer peer;

	peer_start(&peer, NULL);
	pair_open(&pair);
	MUST(peer_connect(&peer, 0, pair.node, pair.id, RSM_PERM_RDWR));
	MUST(peer_simple(&peer, PEER_INIT, 0, 0));
	pid_t child = child_begin();
	if (child == 0) {
		MUST(rsm_memseg_export_destroy(pair.e)); /* the child's copy only */
		EXPECT(RSMERR_BAD_SEG_HNDL, rsm_memseg_export_destroy(pair.e));
		exit(0);
	}
	CHECK_EQUAL(0, suite_join(child));
	MUST(peer_put(&peer, 0, 3, 0x33));
	CHECK_BYTES(pair.memory + 3, 0x33, 1);
	MUST(peer_connect(&peer, 1, pair.node, pair.id, RSM_PERM_RDWR));
	MUST(pair_put_byte(pair.i, 4, 0x44));
	pair_close(&pair);
}

static void r_child_exit(void)
{
	struct pair pair;

	pair_open(&pair);
	for (int how = 0; how < 3; how++) {
		pid_t child = child_begin();
		if (child == 0) {
			if (how == 0)
				exit(0);
			if (how == 1)
				_exit(0);
			raise(SIGKILL);
		}
		CHECK_EQUAL(how == 2 ? 256 + SIGKILL : 0, suite_join(child));
		MUST(pair_put_byte(pair.i, how, 0x70 + how));
		CHECK_BYTES(pair.memory + how, 0x70 + how, 1);
		MUST(rsm_intr_signal_post(pair.i, 0));
		MUST(rsm_intr_signal_wait(pair.e, 1000));
		/* A control call, after what the child's end could have done to the conversation. */
		MUST(rsm_memseg_import_disconnect(pair.i));
		pair_connect(&pair, RSM_PERM_RDWR);
	}
}

static void r_child_memory(void)
{
	struct pair pair;
	int to_child[2], to_parent[2];
	char byte;

	/* The child has the contents of the moment of fork, as a copy of its own; neither sees the other's stores. */
	pair_open_pages(&pair, 1200);
	memset(pair.memory, 0x11, pair.length);
	CHECK(pipe(to_child) == 0 && pipe(to_parent) == 0);
	pid_t child = child_begin();
	if (child == 0) {
		if (read(to_child[0], &byte, 1) != 1)
			_exit(10);
		CHECK_BYTES(pair.memory, 0x11, pair.length);
		memset(pair.memory, 0x22, pair.length);
		if (write(to_parent[1], "x", 1) != 1 || read(to_child[0], &byte, 1) != 1)
			_exit(11);
		CHECK_BYTES(pair.memory, 0x22, pair.length);
		free(pair.memory);
		exit(0);
	}
	memset(pair.memory, 0x33, pair.length);
	CHECK(write(to_child[1], "x", 1) == 1 && read(to_parent[0], &byte, 1) == 1);
	CHECK_BYTES(pair.memory, 0x33, pair.length);
	CHECK_EQUAL(0x33, pair_get_byte(pair.i, (off_t)pair.length - 1));
	MUST(pair_put_byte(pair.i, 0, 0x44));
	CHECK_BYTES(pair.memory, 0x44, 1);
	CHECK(write(to_child[1], "x", 1) == 1);
	CHECK_EQUAL(0, suite_join(child));
	CHECK_BYTES(pair.memory + 1, 0x33, pair.length - 1);
}

static void r_child_protected(void)
{
	struct pair pair;
	size_t page = suite_page();

	/* One page that the application has made read-only since does not leave the others shared. */
	pair_open_pages(&pair, 4);
	memset(pair.memory, 0x5a, pair.length);
	CHECK(mprotect(pair.memory + 2 * page, page, PROT_READ) == 0);
	pid_t child = child_begin();
	if (child == 0) {
		CHECK_BYTES(pair.memory, 0x5a, pair.length);
		memset(pair.memory, 0x22, 2 * page);
		memset(pair.memory + 3 * page, 0x22, page);
		_exit(0);
	}
	CHECK_EQUAL(0, suite_join(child));
	CHECK_BYTES(pair.memory, 0x5a, pair.length);
	CHECK(mprotect(pair.memory + 2 * page, page, PROT_READ | PROT_WRITE) == 0);
}

static void r_child_free(void)
{
	uint8_t *memory = rsmx_alloc(2 * suite_page(), 0);

	/* The child's copy of allocated memory is the child's to free, once. */
	CHECK(memory != NULL);
	memset(memory, 0x11, 2 * suite_page());
	pid_t child = child_begin();
	if (child == 0) {
		CHECK_BYTES(memory, 0x11, 2 * suite_page());
		MUST(rsmx_free(memory));
		EXPECT(RSMERR_BAD_ADDR, rsmx_free(memory));
		_exit(0);
	}
	CHECK_EQUAL(0, suite_join(child));
	CHECK_BYTES(memory, 0x11, 2 * suite_page());
	MUST(rsmx_free(memory));
}

static void r_child_own_library(void)
{
	struct pair pair;
	struct peer peer;

	/* A child that goes on without exec can use the library for itself. */
	peer_start(&peer, NULL);
	pair_open(&pair);
	rsm_memseg_id_t id = peer_export(&peer, suite_page(), 0);
	pid_t child = child_begin();
	if (child == 0) {
		struct pair own;
		pair_open(&own);
		MUST(pair_put_byte(own.i, 1, 1));
		CHECK_BYTES(own.memory + 1, 1, 1);
		MUST(rsm_intr_signal_post(own.i, 0));
		MUST(rsm_intr_signal_wait(own.e, 1000));
		own.id = id;
		rsm_memseg_import_handle_t i = pair_import(&own, RSM_PERM_RDWR, &own.barrier);
		MUST(pair_put_byte(i, 2, 0x22));
		exit(0);
	}
	CHECK_EQUAL(0, suite_join(child));
	CHECK_EQUAL(0x22, peer_load(&peer, PEER_EXPORT, 2));
	MUST(pair_put_byte(pair.i, 0, 1)); /* the parent's conversation was not disturbed */
	pair_close(&pair);
}

static void r_parent_dies(void)
{
	struct peer peer;
	int hold[2];

	/* A child that outlives the exporter does not keep the segment alive. */
	peer_start(&peer, NULL);
	int ids[2];
	CHECK(pipe(ids) == 0 && pipe(hold) == 0);
	pid_t exporter = child_begin(); /* no call to the library so far: a process in its own right */
	if (exporter == 0) {
		struct pair pair;
		char byte;
		pair_export(&pair, 1);
		pair_publish(&pair);
		if (fork() == 0) {
			close(hold[1]);
			_exit(read(hold[0], &byte, 1) != 0);
		}
		if (write(ids[1], &pair.id, sizeof(pair.id)) != (ssize_t)sizeof(pair.id))
			_exit(1);
		pause();
	}
	rsm_memseg_id_t id;
	CHECK(read(ids[0], &id, sizeof(id)) == (ssize_t)sizeof(id));
	rsm_node_id_t node = pair_node();
	MUST(peer_connect(&peer, 0, node, id, RSM_PERM_RDWR));
	MUST(peer_simple(&peer, PEER_INIT, 0, 0));
	peer_begin(&peer, &(struct peer_request){.op = PEER_WAIT, .handle = 0, .value = -1});
	CHECK(kill(exporter, SIGKILL) == 0);
	CHECK_EQUAL(256 + SIGKILL, suite_join(exporter));
	EXPECT(RSMERR_CONN_ABORTED, peer_end(&peer).code);
	EXPECT(RSMERR_CONN_ABORTED, peer_put(&peer, 0, 0, 1));
	EXPECT(RSMERR_SEG_NOT_PUBLISHED, peer_connect(&peer, 1, node, id, RSM_PERM_RDWR));
	close(hold[1]); /* lets the grandchild go */
}

static void r_system(void)
{
	struct pair pair;

	/* system() and posix_spawn neither fail nor disturb. */
	pair_open(&pair);
	CHECK_EQUAL(3, WEXITSTATUS(system("exit 3")));
	MUST(pair_put_byte(pair.i, 0, 1));
	CHECK_BYTES(pair.memory, 1, 1);
	MUST(rsm_memseg_export_unpublish(pair.e));
	pair_publish(&pair);
}

static const struct suite_case cases[] = {
	{"R-fork-not-creator", "unpublish, republish, rebind in a child -> NOT_CREATOR", r_not_creator},
	{"R-fork-destroy", "destroy in a child frees its copy only", r_child_destroy},
	{"R-fork-exit", "a child's end withdraws nothing", r_child_exit},
	{"R-fork-memory", "a child has a private copy of exported memory", r_child_memory},
	{"R-fork-protected", "private copies beside a page that was made read-only", r_child_protected},
	{"R-fork-free", "a child frees its copy of rsmx_alloc memory", r_child_free},
	{"R-fork-own", "a child can use the library for itself", r_child_own_library},
	{"R-fork-orphan", "a child does not keep a dead exporter's segment alive", r_parent_dies},
	{"R-fork-system", "system() beside exports", r_system},
};

SUITE_MAIN(cases)
