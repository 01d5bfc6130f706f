/* SPDX-License-Identifier: BSD-2-Clause */
/* What was put or stored before a post is there when the wait returns (rsm_intr_signal_post(3rsm)). */
#include <string.h>
#include <unistd.h>

#include "pair.h"

#define ROUNDS 20000
#define WORDS  64 /* in different cache lines */
#define STRIDE 8

/* A process of its own, forked before this one has used the library. */
static pid_t child_begin(int ends[2])
{
	CHECK(pipe(ends) == 0);
	pid_t child = fork();
	CHECK(child >= 0);
	return child;
}

static void child_import(struct pair *pair, int fd)
{
	memset(pair, 0, sizeof(*pair));
	CHECK(read(fd, &pair->id, sizeof(pair->id)) == (ssize_t)sizeof(pair->id));
	pair->controller = pair_controller(suite_controller());
	pair->node = pair_node();
	pair->length = suite_page();
	pair_connect(pair, RSM_PERM_RDWR);
}

static void expect_at_least(const volatile uint64_t *words, uint64_t round)
{
	for (size_t at = 0; at < WORDS; at++) {
		if (words[at * STRIDE] < round)
			suite_fail(__FILE__, __LINE__, "word %zu is %llu after event %llu", at,
				   (unsigned long long)words[at * STRIDE], (unsigned long long)round);
	}
}

static void puts_and_posts(int fd, bool mapped)
{
	struct pair pair;
	void *address = NULL;

	child_import(&pair, fd);
	if (mapped)
		MUST(rsm_memseg_import_map(pair.i, &address, RSM_MAP_NONE, RSM_PERM_RDWR, 0, pair.length));
	volatile uint64_t *words = address;
	for (uint64_t round = 1; round <= ROUNDS; round++) {
		if (mapped)
			MUST(rsm_memseg_import_open_barrier(&pair.barrier));
		for (size_t at = 0; at < WORDS; at++) {
			if (mapped)
				words[at * STRIDE] = round;
			else
				MUST(rsm_memseg_import_put64(pair.i, (off_t)(at * STRIDE * 8), &round, 1));
		}
		if (mapped)
			MUST(rsm_memseg_import_close_barrier(&pair.barrier));
		MUST(rsm_intr_signal_post(pair.i, 0));
	}
	_exit(0);
}

static void importer_posts(bool mapped)
{
	struct pair pair;
	int ends[2];
	pid_t child = child_begin(ends);

	if (child == 0)
		puts_and_posts(ends[0], mapped);
	pair_export(&pair, 1);
	pair_publish(&pair);
	CHECK(write(ends[1], &pair.id, sizeof(pair.id)) == (ssize_t)sizeof(pair.id));
	for (uint64_t round = 1; round <= ROUNDS; round++) {
		MUST(rsm_intr_signal_wait(pair.e, 10000));
		expect_at_least((volatile uint64_t *)(void *)pair.memory, round);
	}
	CHECK_EQUAL(0, suite_join(child));
	EXPECT(RSMERR_TIMEOUT, rsm_intr_signal_wait(pair.e, 0));
}

static void put_post(void)
{
	importer_posts(false);
}

static void store_post(void)
{
	importer_posts(true);
}

static void waits_and_gets(int fd)
{
	uint64_t words[WORDS * STRIDE];
	struct pair pair;

	child_import(&pair, fd);
	MUST(rsm_intr_signal_post(pair.i, 0)); /* connected: no event is missed from here */
	for (uint64_t round = 1; round <= ROUNDS; round++) {
		MUST(rsm_intr_signal_wait(pair.i, 10000));
		MUST(rsm_memseg_import_get64(pair.i, 0, words, WORDS * STRIDE));
		expect_at_least(words, round);
	}
	_exit(0);
}

static void exporter_posts(void)
{
	struct pair pair;
	int ends[2];
	pid_t child = child_begin(ends);

	if (child == 0)
		waits_and_gets(ends[0]);
	pair_export(&pair, 1);
	pair_publish(&pair);
	CHECK(write(ends[1], &pair.id, sizeof(pair.id)) == (ssize_t)sizeof(pair.id));
	MUST(rsm_intr_signal_wait(pair.e, 10000));
	volatile uint64_t *words = (volatile uint64_t *)(void *)pair.memory;
	for (uint64_t round = 1; round <= ROUNDS; round++) {
		for (size_t at = 0; at < WORDS; at++)
			words[at * STRIDE] = round;
		MUST(rsm_intr_signal_post(pair.e, 0));
	}
	CHECK_EQUAL(0, suite_join(child));
}

static const struct suite_case cases[] = {
	{"S-put-post", "data put before a post is there at wake-up", put_post},
	{"S-store-post", "data stored in a closed span before a post is there at wake-up", store_post},
	{"S-own-store-post", "the exporter's own stores before its post are there for a get", exporter_posts},
};

SUITE_MAIN(cases)
