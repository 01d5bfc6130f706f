/* SPDX-License-Identifier: BSD-2-Clause */
/* lib/import.c: the memory behind a connected import moves, and rsmd's answer to ImportLayout is good, bad or none. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fd.h"
#include "base/reason.h"
#include "lib/lib.h"
#include "published.h"

static rsm_memseg_import_handle_t import;

static size_t page(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

static int connect_it(void **state)
{
	(void)state;
	published_start(1, 0xaa);
	assert_int_equal(published_connect(&import), RSM_SUCCESS);
	return rsm_memseg_import_set_mode(import, RSM_BARRIER_MODE_EXPLICIT);
}

static int disconnect_it(void **state)
{
	(void)state;
	assert_int_equal(rsm_memseg_import_disconnect(import), RSM_SUCCESS);
	published_stop();
	return 0;
}

static int get(unsigned char *byte)
{
	*byte = 0;
	return rsm_memseg_import_get(import, 0, byte, 1);
}

static void test_move(void **state)
{
	unsigned char byte;

	(void)state;
	assert_int_equal(get(&byte), RSM_SUCCESS);
	assert_int_equal(byte, 0xaa);
	published_describe(1, 0xbb);
	published_move();
	unsigned descriptors = fake_descriptors();
	for (int i = 0; i < 3; i++) {
		assert_int_equal(get(&byte), RSM_SUCCESS);
		assert_int_equal(byte, 0xbb);
	}
	assert_int_equal(atomic_load(&published.layouts), 1);
	assert_int_equal(fake_descriptors(), descriptors);
}

/* Withdrawn for good: rsmd is not even asked. */
static void test_abort(void **state)
{
	unsigned char byte;

	(void)state;
	published_abort();
	assert_int_equal(get(&byte), RSMERR_CONN_ABORTED);
	assert_int_equal(byte, 0);
	assert_int_equal(atomic_load(&published.layouts), 0);
}

/* ---- bad answers ---- */

static void refused(void)
{
	published.code = RSMERR_CONN_ABORTED;
}

static void no_body(void)
{
	published.no_body = true;
}

static void other_length(void)
{
	published.reply.length += page();
	published.extents[0].length += page();
}

static void no_descriptor(void)
{
	base_fd_close(&published.fds[0]);
	published.fds[0] = published.fds[1];
	published.fd_count = 1;
}

static void extents_33(void)
{
	published.reply.n_extents = 33;
}

static void sum_wrong(void)
{
	published.extents[0].length += page();
}

static void extents_none(void)
{
	published.reply.n_extents = 0;
}

static void other_epoch(void)
{
	published.reply.epoch += 2;
}

static const struct {
	const char *name;
	void (*spoil)(void);
	int code;
} rows[] = {
	{"an epoch that the status table does not show", other_epoch, RSMERR_BARRIER_FAILURE},
	{"refusal", refused, RSMERR_CONN_ABORTED},
	{"no body", no_body, RSMERR_INTERNAL_ERROR},
	{"another length", other_length, RSMERR_INTERNAL_ERROR},
	{"no descriptor", no_descriptor, RSMERR_INSUFFICIENT_RESOURCES},
	{"33 extents", extents_33, RSMERR_INTERNAL_ERROR},
	{"a sum that is not the length", sum_wrong, RSMERR_INTERNAL_ERROR},
	{"no extents", extents_none, RSMERR_INTERNAL_ERROR},
};

/* Every access says that the memory cannot be had, and none harms; a good answer heals. */
static void test_bad_answers(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		unsigned char byte;
		published_describe(1, 0xbb);
		published_move();
		rows[i].spoil();
		unsigned descriptors = fake_descriptors();
		int code = get(&byte);
		if (code != rows[i].code)
			fail_msg("%s: code %d (%s)", rows[i].name, code, base_reason());
		published_settle();
		assert_int_equal(fake_descriptors(), descriptors);
		published_describe(1, (unsigned char)i);
		assert_int_equal(get(&byte), RSM_SUCCESS);
		assert_int_equal(byte, i);
	}
}

/* A failing transport_layout_fetch leaves alone what stood in a layout that nobody has set up. */
static void test_fetch_unset(void **state)
{
	static struct transport_layout layout;
	int ours = fcntl(0, F_DUPFD_CLOEXEC, 20);

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		memset(&layout, 0, sizeof(layout));
		layout.fd_count = 1;
		layout.fds[0] = ours;
		published_describe(1, 0xbb);
		rows[i].spoil();
		lib_lock();
		int code = transport_layout_fetch(&lib_import_find(import)->transport, &layout);
		if (code == RSM_SUCCESS)
			transport_layout_clear(&layout);
		lib_unlock();
		if (fcntl(ours, F_GETFD) < 0)
			fail_msg("%s: a descriptor that is not the layout's was closed", rows[i].name);
	}
	close(ours);
}

/* rsmd is gone: an import whose memory stays still works, one whose memory moved cannot follow. */
static void test_hang_up(void **state)
{
	unsigned char byte;

	(void)state;
	published_describe(1, 0xbb);
	published.hangs_up = true;
	published_move();
	assert_int_equal(get(&byte), RSMERR_CTLR_NOT_PRESENT);
	assert_int_equal(get(&byte), RSMERR_CTLR_NOT_PRESENT);
	assert_int_equal(atomic_load(&published.layouts), 1);
	assert_int_equal(fake_conversations(), 1); /* the next rsmd would not know this import */
}

static void test_daemon_gone(void **state)
{
	unsigned char byte;

	(void)state;
	lib_lock();
	lib_daemon_close();
	lib_unlock();
	assert_int_equal(get(&byte), RSM_SUCCESS);
	assert_int_equal(byte, 0xaa);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, connect_it, disconnect_it)
	const struct CMUnitTest tests[] = {
		TEST(test_move),        TEST(test_abort),   TEST(test_bad_answers),
		TEST(test_fetch_unset), TEST(test_hang_up), TEST(test_daemon_gone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
