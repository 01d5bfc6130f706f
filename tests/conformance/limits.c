/* SPDX-License-Identifier: BSD-2-Clause */
/* The process runs out of address space or descriptors in the middle of a call: nothing is lost, and it goes on. */
#include <errno.h>
#include <fcntl.h>
#include <rsm/ext.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "pair.h"

#define LARGE_PAGES 4096

/* ---- address space ---- */

/* Room for what a call needs beside the memory itself, but not for a second view of it. */
static void address_space_end(void)
{
	unsigned long pages;
	FILE *file = fopen("/proc/self/statm", "re");

	CHECK(file != NULL && fscanf(file, "%lu", &pages) == 1);
	fclose(file);
	struct rlimit limit = {.rlim_cur = pages * suite_page() + ((rlim_t)4 << 20),
			       .rlim_max = RLIM_INFINITY};
	CHECK(setrlimit(RLIMIT_AS, &limit) == 0);
}

static void address_space_again(void)
{
	CHECK(setrlimit(RLIMIT_AS, &(struct rlimit){RLIM_INFINITY, RLIM_INFINITY}) == 0);
}

static void large_open(struct pair *pair)
{
	if (SUITE_ASAN || SUITE_TSAN)
		suite_skip("sanitizers need address space");
	pair_export(pair, LARGE_PAGES);
	memset(pair->memory, 0x5a, pair->length);
	pair_publish(pair);
}

static void r_destroy(void)
{
	struct pair pair;
	char *json = NULL;

	large_open(&pair);
	address_space_end();
	MUST(rsm_memseg_export_destroy(pair.e));
	address_space_again();
	MUST(rsmx_status("status", 0, &json)); /* answered when rsmd has thrown the pages away */
	free(json);
	CHECK_BYTES(pair.memory, 0x5a, pair.length);
	MUST(rsm_memseg_export_create(pair.controller, &pair.e, pair.memory, pair.length, 0));
	MUST(rsm_memseg_export_destroy(pair.e));
	CHECK_BYTES(pair.memory, 0x5a, pair.length);
}

static void r_rebind(void)
{
	struct pair pair;
	uint8_t *other = pair_memory(LARGE_PAGES, 0x77);

	large_open(&pair);
	address_space_end();
	int code = rsm_memseg_export_rebind(pair.e, other, 0, pair.length);
	address_space_again();
	CHECK_BYTES(pair.memory, 0x5a, pair.length);
	CHECK_BYTES(other, 0x77, pair.length);
	pair_connect(&pair, RSM_PERM_RDWR);
	CHECK_EQUAL(code == RSM_SUCCESS ? 0x77 : 0x5a, pair_get_byte(pair.i, 0));
	if (code != RSM_SUCCESS)
		EXPECT(RSMERR_INSUFFICIENT_MEM, code);
	MUST(rsm_memseg_export_rebind(pair.e, other, 0, pair.length));
	CHECK_EQUAL(0x77, pair_get_byte(pair.i, 1));
}

/* ---- descriptors ---- */

static int taken[256];
static int taken_count;

/* Uses up all descriptors of the process; give makes all of them free again. */
static void descriptors_take(void)
{
	int fd;

	CHECK(setrlimit(RLIMIT_NOFILE, &(struct rlimit){200, 256}) == 0);
	while ((fd = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0)
		taken[taken_count++] = fd;
	CHECK(errno == EMFILE);
}

static void descriptors_give(void)
{
	while (taken_count > 0)
		close(taken[--taken_count]);
}

static void r_unpublish(void)
{
	struct pair pair;

	pair_open(&pair);
	MUST(rsm_intr_signal_post(pair.i, 0));
	MUST(rsm_intr_signal_wait(pair.e, 1000)); /* the signal memory is there, and is to be replaced */
	descriptors_take();
	int code = rsm_memseg_export_unpublish(pair.e);
	descriptors_give();
	if (code != RSM_SUCCESS)
		EXPECT(RSMERR_INSUFFICIENT_RESOURCES, code);
	EXPECT(RSMERR_CONN_ABORTED, pair_put_byte(pair.i, 0, 1)); /* withdrawn it is in any case */
	pair_publish(&pair);
	pair_connect(&pair, RSM_PERM_RDWR);
	MUST(rsm_intr_signal_post(pair.i, 0));
	MUST(rsm_intr_signal_wait(pair.e, 1000));
	MUST(rsm_intr_signal_post(pair.e, 0));
	MUST(rsm_intr_signal_wait(pair.i, 1000));
	MUST(pair_put_byte(pair.i, 0, 2));
	CHECK_BYTES(pair.memory, 2, 1);
}

static void r_publish(void)
{
	enum { ACL = 10000 };
	struct pair pair, listed;
	rsmapi_access_entry_t acl[ACL];

	if (suite_is_loopback())
		suite_skip("no access lists on loopback");
	/* So long a list travels in a descriptor. That there is none ends this call, not the conversation. */
	for (unsigned at = 0; at < ACL; at++)
		acl[at] = (rsmapi_access_entry_t){.ae_node = at, .ae_permission = 0666};
	pair_open(&pair);
	pair_export(&listed, 1);
	descriptors_take();
	EXPECT(RSMERR_INSUFFICIENT_RESOURCES, rsm_memseg_export_publish(listed.e, &listed.id, acl, ACL));
	descriptors_give();
	MUST(rsm_memseg_export_publish(listed.e, &listed.id, acl, ACL));
	MUST(pair_put_byte(pair.i, 0, 1));
	CHECK_BYTES(pair.memory, 1, 1);
}

/* The first calls of a process, with so many descriptors to spare. */
static void first_calls(int spare)
{
	char name[MAXNAMELEN];
	rsmapi_controller_handle_t c = NULL;
	rsm_memseg_export_handle_t e = NULL;
	uint8_t *memory = pair_memory(1, 0x5a);
	int lowest = open("/dev/null", O_RDONLY | O_CLOEXEC);

	CHECK(lowest >= 0 && close(lowest) == 0);
	rlim_t limit = (rlim_t)(lowest + spare);
	CHECK(setrlimit(RLIMIT_NOFILE, &(struct rlimit){limit, limit}) == 0);
	snprintf(name, sizeof(name), "%s", suite_controller());
	int code = rsm_get_controller(name, &c);
	if (code != RSM_SUCCESS) {
		EXPECT(RSMERR_INSUFFICIENT_RESOURCES, code);
		_exit(0);
	}
	code = rsm_memseg_export_create(c, &e, memory, suite_page(), 0);
	if (code != RSM_SUCCESS)
		EXPECT(RSMERR_INSUFFICIENT_RESOURCES, code);
	CHECK_BYTES(memory, 0x5a, suite_page());
	if (e)
		MUST(rsm_memseg_export_destroy(e));
	CHECK_BYTES(memory, 0x5a, suite_page());
	_exit(e ? 2 : 0);
}

static void r_first_calls(void)
{
	int status = 0;

	/* No call to the library in this process: each child is one in its own right. */
	for (int spare = 1; status == 0 && spare < 12; spare++) {
		pid_t child = fork();
		CHECK(child >= 0);
		if (child == 0)
			first_calls(spare);
		status = suite_join(child);
	}
	CHECK_EQUAL(2, status); /* with enough of them it works */
}

static const struct suite_case cases[] = {
	{"R-limit-destroy", "no address space: destroy keeps the contents", r_destroy},
	{"R-limit-rebind", "no address space: rebind keeps both contents", r_rebind},
	{"R-limit-unpublish", "no descriptors: unpublish withdraws, events work afterwards", r_unpublish},
	{"R-limit-publish", "no descriptors: publish of a long list is refused, the conversation goes on",
	 r_publish},
	{"R-limit-first", "few descriptors: the first calls say what is lacking", r_first_calls},
};

SUITE_MAIN(cases)
