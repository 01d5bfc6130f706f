/* SPDX-License-Identifier: BSD-2-Clause */
/* Signals between nodes. */
#include <string.h>

#include "there.h"

static void to_exporter(void)
{
	struct peer exporter;
	struct pair pair;

	there_open(&exporter, &pair, 1);
	for (int at = 0; at < 3; at++)
		MUST(rsm_intr_signal_post(pair.i, 0));
	for (int at = 0; at < 3; at++) /* a post that has returned counts */
		MUST(peer_simple(&exporter, PEER_WAIT, PEER_EXPORT, 0));
	EXPECT(RSMERR_TIMEOUT, peer_simple(&exporter, PEER_WAIT, PEER_EXPORT, 0));
	for (int at = 0; at < 2; at++)
		MUST(rsm_intr_signal_post(pair.i, RSM_SIGPOST_NO_ACCUMULATE));
	MUST(peer_simple(&exporter, PEER_WAIT, PEER_EXPORT, 0));
	EXPECT(RSMERR_TIMEOUT, peer_simple(&exporter, PEER_WAIT, PEER_EXPORT, 0));
	EXPECT(RSMERR_TIMEOUT, rsm_intr_signal_wait(pair.i, 0));
	/* Without any right to the data, too. */
	rsm_memseg_import_handle_t none = pair_import(&pair, RSM_PERM_NONE, NULL);
	MUST(rsm_intr_signal_post(none, 0));
	MUST(peer_simple(&exporter, PEER_WAIT, PEER_EXPORT, 0));
}

static void behind_data(void)
{
	struct peer exporter;
	struct pair pair;

	there_open(&exporter, &pair, 16);
	uint8_t *bytes = pair_memory(16, 0);
	for (int round = 1; round < 200; round++) {
		memset(bytes, round, pair.length);
		rsm_iovec_t entries[2] = {{.io_type = RSM_VA_TYPE,
					   .local.vaddr = (caddr_t)bytes,
					   .transfer_length = pair.length - 8},
					  {.io_type = RSM_VA_TYPE,
					   .local.vaddr = (caddr_t)bytes,
					   .remote_offset = pair.length - 8,
					   .transfer_length = 8}};
		rsm_scat_gath_t io = {.io_request_count = 2,
				      .remote_handle = pair.i,
				      .flags = RSM_IMPLICIT_SIGPOST,
				      .iovec = entries};
		peer_begin(&exporter,
			   &(struct peer_request){.op = PEER_WAIT, .handle = PEER_EXPORT, .value = -1});
		MUST(rsm_memseg_import_putv(&io));
		CHECK_EQUAL(RSM_IMPLICIT_SIGPOST, io.flags);
		MUST(peer_end(&exporter).code);
		CHECK_EQUAL(round, peer_load(&exporter, PEER_EXPORT, (int64_t)pair.length - 1));
		CHECK_EQUAL(round, peer_load(&exporter, PEER_EXPORT, 0));
	}
	rsm_iovec_t wrong = {.io_type = RSM_VA_TYPE,
			     .local.vaddr = (caddr_t)bytes,
			     .remote_offset = pair.length,
			     .transfer_length = 1};
	rsm_scat_gath_t io = {.io_request_count = 1,
			      .remote_handle = pair.i,
			      .flags = RSM_IMPLICIT_SIGPOST,
			      .iovec = &wrong};
	EXPECT(RSMERR_BAD_OFFSET, rsm_memseg_import_putv(&io));
	EXPECT(RSMERR_TIMEOUT, peer_simple(&exporter, PEER_WAIT, PEER_EXPORT, 0));
}

static void behind_explicit_data(void)
{
	struct peer exporter;
	struct pair pair;

	/* Puts of explicit mode may be gathered; a post is behind them all the same. */
	there_open(&exporter, &pair, 1);
	MUST(rsm_memseg_import_set_mode(pair.i, RSM_BARRIER_MODE_EXPLICIT));
	for (int round = 1; round < 200; round++) {
		MUST(rsm_memseg_import_open_barrier(&pair.barrier));
		for (off_t at = 0; at < 8; at++)
			MUST(pair_put_byte(pair.i, at * 100, round));
		MUST(rsm_intr_signal_post(pair.i, 0));
		MUST(peer_simple(&exporter, PEER_WAIT, PEER_EXPORT, SUITE_PROMPT));
		CHECK_EQUAL((uint8_t)round, peer_load(&exporter, PEER_EXPORT, 700));
		MUST(rsm_memseg_import_close_barrier(&pair.barrier));
	}
}

static void to_importers(void)
{
	struct peer exporter, neighbour;
	struct pair pair;

	there_open(&exporter, &pair, 1);
	there_start(&neighbour, NULL);
	rsm_memseg_import_handle_t second = pair_import(&pair, RSM_PERM_READ, NULL);
	MUST(peer_connect(&neighbour, 0, there_node(), pair.id, RSM_PERM_READ));
	for (int round = 0; round < 50; round++) {
		MUST(peer_simple(&exporter, PEER_POST, PEER_EXPORT, 0));
		MUST(rsm_intr_signal_wait(pair.i, SUITE_PROMPT));
		MUST(rsm_intr_signal_wait(second, SUITE_PROMPT));
		MUST(peer_simple(&neighbour, PEER_WAIT, 0, 0));
	}
	/* Exactly one each: what came too often would be in front of this one. */
	MUST(peer_simple(&exporter, PEER_POST, PEER_EXPORT, 0));
	MUST(rsm_intr_signal_wait(pair.i, SUITE_PROMPT));
	EXPECT(RSMERR_TIMEOUT, rsm_intr_signal_wait(pair.i, 0));
	MUST(rsm_intr_signal_wait(second, SUITE_PROMPT));
	EXPECT(RSMERR_TIMEOUT, rsm_intr_signal_wait(second, 0));
	MUST(peer_simple(&neighbour, PEER_WAIT, 0, 0));
	EXPECT(RSMERR_TIMEOUT, peer_simple(&neighbour, PEER_WAIT, 0, 0));
	EXPECT(RSMERR_TIMEOUT, peer_simple(&exporter, PEER_WAIT, PEER_EXPORT, 0));
}

static void no_accumulate(void)
{
	struct peer exporter;
	struct pair pair;

	/* Decided per receiver: one has an event pending, the other one not. An ordinary post behind them marks the end. */
	there_open(&exporter, &pair, 1);
	MUST(peer_simple(&exporter, PEER_POST, PEER_EXPORT, 0));
	rsm_memseg_import_handle_t second = pair_import(&pair, RSM_PERM_READ, NULL);
	for (int at = 0; at < 2; at++)
		MUST(peer_simple(&exporter, PEER_POST, PEER_EXPORT, RSM_SIGPOST_NO_ACCUMULATE));
	MUST(rsm_intr_signal_wait(second, SUITE_PROMPT)); /* all but the second of the two may be there */
	MUST(peer_simple(&exporter, PEER_POST, PEER_EXPORT, 0));
	MUST(rsm_intr_signal_wait(second, SUITE_PROMPT));
	MUST(rsm_intr_signal_wait(pair.i, SUITE_PROMPT));
	MUST(rsm_intr_signal_wait(pair.i, SUITE_PROMPT));
	EXPECT(RSMERR_TIMEOUT, rsm_intr_signal_wait(pair.i, 0));
}

static void many(void)
{
	enum { COUNT = 3000 };
	struct peer exporter;
	struct pair pair;

	there_open(&exporter, &pair, 1);
	for (int at = 0; at < COUNT; at++)
		MUST(peer_simple(&exporter, PEER_POST, PEER_EXPORT, 0));
	for (int at = 0; at < COUNT; at++)
		MUST(rsm_intr_signal_wait(pair.i, SUITE_PROMPT));
	EXPECT(RSMERR_TIMEOUT, rsm_intr_signal_wait(pair.i, 0));
}

static struct pollfd pollfd_of(void *handle)
{
	struct pollfd fd = {.fd = -1};

	MUST(rsm_memseg_get_pollfd(handle, &fd));
	CHECK(fd.fd >= 3 && (fd.events & POLLRDNORM));
	return fd;
}

static void pollfd(void)
{
	struct peer exporter;
	struct pair pair;
	int count = 0;

	there_open(&exporter, &pair, 1);
	MUST(peer_simple(&exporter, PEER_POLLFD, PEER_EXPORT, 0));
	struct pollfd fd = pollfd_of(pair.i);
	for (int round = 0; round < 50; round++) {
		CHECK_EQUAL(0, poll(&fd, 1, 0));
		MUST(peer_simple(&exporter, PEER_POST, PEER_EXPORT, 0));
		CHECK_EQUAL(1, poll(&fd, 1, SUITE_PROMPT));
		CHECK(fd.revents & POLLRDNORM);
		MUST(rsm_intr_signal_wait_pollfd(&fd, 1, 0, &count));
		CHECK_EQUAL(POLLRDNORM, fd.revents);
		EXPECT(RSMERR_TIMEOUT, rsm_intr_signal_wait_pollfd(&fd, 1, 0, &count));
		MUST(rsm_intr_signal_post(pair.i, 0));
		MUST(peer_simple(&exporter, PEER_WAIT, PEER_EXPORT, 0));
	}
	EXPECT(RSMERR_POLLFD_IN_USE, rsm_memseg_import_disconnect(pair.i));
	MUST(peer_simple(&exporter, PEER_POST, PEER_EXPORT, 0));
	CHECK_EQUAL(1, poll(&fd, 1, SUITE_PROMPT));
	MUST(peer_simple(&exporter, PEER_UNPUBLISH, 0, 0));
	MUST(rsm_intr_signal_wait_pollfd(&fd, 1, SUITE_PROMPT, &count)); /* what is pending comes first */
	CHECK(fd.revents & POLLRDNORM);
	MUST(rsm_intr_signal_wait_pollfd(&fd, 1, SUITE_PROMPT, &count));
	CHECK_EQUAL(POLLHUP, fd.revents);
}

static void waits(void)
{
	struct peer exporter;
	struct pair pair;

	there_open(&exporter, &pair, 1);
	uint64_t start = suite_clock_ms();
	EXPECT(RSMERR_TIMEOUT, rsm_intr_signal_wait(pair.i, 100));
	CHECK(suite_clock_ms() - start >= 99);
	there_interrupt();
	EXPECT(RSMERR_INTERRUPTED, rsm_intr_signal_wait(pair.i, -1));
	EXPECT(RSMERR_INTERRUPTED, rsm_intr_signal_wait(pair.i, 5000));
}

static void blocked_importer(void)
{
	struct peer importer;
	struct pair pair;

	/* A sleeper on the other node is woken by a post and by unpublish, not by looking around once a second. */
	there_start(&importer, NULL);
	pair_export(&pair, 1);
	pair_publish(&pair);
	MUST(peer_connect(&importer, 0, pair.node, pair.id, RSM_PERM_READ));
	uint64_t start = suite_clock_ms();
	for (int round = 0; round < 10; round++) {
		peer_begin(&importer, &(struct peer_request){.op = PEER_WAIT, .handle = 0, .value = -1});
		peer_until_asleep(&importer);
		MUST(rsm_intr_signal_post(pair.e, 0));
		MUST(peer_end(&importer).code);
		MUST(peer_simple(&importer, PEER_POST, 0, 0));
		MUST(rsm_intr_signal_wait(pair.e, 0));
	}
	CHECK(suite_clock_ms() - start < 3000);
	peer_begin(&importer, &(struct peer_request){.op = PEER_WAIT, .handle = 0, .value = -1});
	peer_until_asleep(&importer);
	start = suite_clock_ms();
	MUST(rsm_memseg_export_unpublish(pair.e));
	EXPECT(RSMERR_CONN_ABORTED, peer_end(&importer).code);
	CHECK(suite_clock_ms() - start < 500);
	EXPECT(RSMERR_CONN_ABORTED, peer_simple(&importer, PEER_POST, 0, 0));
	EXPECT(RSMERR_TIMEOUT, rsm_intr_signal_wait(pair.e, 0));
}

static const struct suite_case cases[] = {
	{"N-post", "importer posts: every one counts when post has returned", to_exporter},
	{"N-post-data", "an implicit post comes behind its data", behind_data},
	{"N-post-explicit", "a post comes behind puts of explicit mode", behind_explicit_data},
	{"N-post-export", "exporter posts: importers on both nodes get exactly one each", to_importers},
	{"N-no-accumulate", "NO_ACCUMULATE is decided per receiver", no_accumulate},
	{"N-post-many", "3000 posts of the exporter are counted", many},
	{"N-pollfd", "the descriptor for poll of both sides; hang-up at unpublish", pollfd},
	{"N-wait", "timeouts and signals while nothing comes", waits},
	{"N-blocked", "a sleeping importer is woken at once by post and unpublish", blocked_importer},
};

SUITE_MAIN(cases)
