/* SPDX-License-Identifier: BSD-2-Clause */
/* lib/controller.c against a fake rsmd: names, references, attributes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fd.h"
#include "base/reason.h"
#include "fake.h"
#include "rsmapi.h"

/* 254 letters and the unit: the longest name there is. */
static char longest[256];

static uint64_t max_exported_bytes = 10000;

static bool answer(int socket, const Wire__Request *request, struct wire_packet *packet)
{
	const char *const names[] = {"loopback", "shm0", "shm7", "x9y3", longest};
	enum { COUNT = sizeof(names) / sizeof(*names) };
	Wire__Controller list[COUNT], *controllers[COUNT];
	Wire__HelloReply hello;

	(void)packet;
	memset(longest, 'l', 254);
	longest[254] = '5';
	for (size_t i = 0; i < COUNT; i++) {
		wire__controller__init(&list[i]);
		list[i].name = fake_text(names[i]);
		list[i].type = fake_text(i == 0 ? "loopback" : "local");
		controllers[i] = &list[i];
	}
	fake_hello_fill(&hello);
	hello.controllers = controllers;
	hello.n_controllers = COUNT;
	hello.max_exported_bytes = max_exported_bytes;
	int table = fake_table();
	fake_hello_send(socket, request, &hello, &table, 1);
	base_fd_close(&table);
	return true;
}

static int start(void **state)
{
	(void)state;
	fake_start(answer);
	return 0;
}

static int stop(void **state)
{
	(void)state;
	fake_stop();
	return 0;
}

static rsmapi_controller_handle_t get(const char *name)
{
	char copy[600];
	rsmapi_controller_handle_t controller = NULL;
	if (name != NULL)
		strcpy(copy, name);
	if (rsm_get_controller(name == NULL ? NULL : copy, &controller) != RSM_SUCCESS)
		fail_msg("no controller %s: %s", name, base_reason());
	assert_non_null(controller);
	if (name != NULL)
		assert_string_equal(copy, name); /* the caller's text is left alone */
	return controller;
}

static void expect_same(const char *one, const char *other)
{
	rsmapi_controller_handle_t a = get(one), b = get(other);
	if (a != b)
		fail_msg("%s and %s are two controllers", one, other);
	assert_int_equal(rsm_release_controller(a), RSM_SUCCESS);
	assert_int_equal(rsm_release_controller(b), RSM_SUCCESS);
}

static void expect_none(const char *name)
{
	char copy[600];
	rsmapi_controller_handle_t controller;
	strcpy(copy, name);
	int code = rsm_get_controller(copy, &controller);
	if (code != RSMERR_CTLR_NOT_PRESENT)
		fail_msg("%s: code %d", name, code);
}

static void test_names(void **state)
{
	(void)state;
	const char *const loopback[] = {NULL, "LOOPBACK", "LoopBack7", "loopback0",
					"loopback00099999999999999"};
	for (size_t i = 0; i < sizeof(loopback) / sizeof(*loopback); i++)
		expect_same("loopback", loopback[i]);
	const char *const shm0[] = {"shm", "SHM", "Shm0", "shm00", "shm0000000000000000000000000"};
	for (size_t i = 0; i < sizeof(shm0) / sizeof(*shm0); i++)
		expect_same("shm0", shm0[i]);
	expect_same("shm7", "SHM007");
	expect_same("shm7", "shm00000000000000000000000007");
	expect_same("x9y3", "X9Y3"); /* digits inside belong to the type */
	rsmapi_controller_handle_t a = get("shm0"), b = get("shm7");
	assert_ptr_not_equal(a, b);
	rsm_release_controller(a);
	rsm_release_controller(b);
}

static void test_unknown_names(void **state)
{
	(void)state;
	const char *const unknown[] = {"",
				       " ",
				       "7",
				       "shm1",
				       "shm70",
				       "shm07 ",
				       " shm0",
				       "shm-0",
				       "loopback ",
				       "loopbac",
				       "shm4294967303" /* 7 + 2^32 */,
				       "x9y",
				       "shm0/../shm0"};
	for (size_t i = 0; i < sizeof(unknown) / sizeof(*unknown); i++)
		expect_none(unknown[i]);
	expect_none("shm%s%n");
	assert_non_null(strstr(base_reason(), "shm%s%n"));
}

static void test_long_names(void **state)
{
	char name[600];

	(void)state;
	memset(name, 'L', sizeof(name));
	strcpy(name + 254, "5");
	expect_same(longest, name);
	memset(name, 'l', sizeof(name));
	name[255] = '\0'; /* 255 letters: with the unit 0 it would be 256 */
	expect_none(name);
	memset(name, 'l', sizeof(name));
	name[256] = '\0';
	expect_none(name);
	assert_non_null(strstr(base_reason(), "255"));
	memset(name, '0', sizeof(name));
	memcpy(name, "shm", 3);
	name[255] = '\0';
	expect_same("shm0", name);
	name[255] = '0';
	name[599] = '\0';
	expect_none(name);
}

static void test_arguments(void **state)
{
	(void)state;
	assert_int_equal(rsm_get_controller(fake_text("loopback"), NULL), RSMERR_BAD_CTLR_HNDL);
	assert_int_equal(rsm_release_controller(NULL), RSMERR_BAD_CTLR_HNDL);
	assert_int_equal(rsm_get_controller_attr(NULL, NULL), RSMERR_BAD_CTLR_HNDL);
	assert_int_equal(fake_conversations(), 0);
}

static void test_references(void **state)
{
	rsmapi_controller_attr_t attr;

	(void)state;
	rsmapi_controller_handle_t a = get("shm0");
	assert_ptr_equal(get("SHM"), a);
	assert_int_equal(rsm_release_controller(a), RSM_SUCCESS);
	assert_int_equal(rsm_get_controller_attr(a, &attr), RSM_SUCCESS);
	assert_int_equal(rsm_release_controller(a), RSM_SUCCESS);
	assert_int_equal(rsm_release_controller(a), RSMERR_BAD_CTLR_HNDL);
	assert_int_equal(rsm_get_controller_attr(a, &attr), RSMERR_BAD_CTLR_HNDL);
	rsmapi_controller_handle_t again = get("shm0");
	assert_ptr_not_equal(again, a);
	assert_int_equal(rsm_release_controller(a), RSMERR_BAD_CTLR_HNDL);
	assert_int_equal(rsm_release_controller(again), RSM_SUCCESS);
}

static void test_attributes(void **state)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);
	rsmapi_controller_attr_t attr;

	(void)state;
	rsmapi_controller_handle_t c = get("loopback");
	assert_int_equal(rsm_get_controller_attr(c, NULL), RSMERR_BAD_ADDR);
	memset(&attr, 0xff, sizeof(attr));
	assert_int_equal(rsm_get_controller_attr(c, &attr), RSM_SUCCESS);
	assert_int_equal(attr.attr_page_size, page);
	assert_int_equal(attr.attr_max_export_segment_size, 10000 / page * page);
	assert_int_equal(attr.attr_tot_export_segment_size, 10000 / page * page);
	assert_int_equal(attr.attr_max_export_segments, 100);
	assert_int_equal(attr.attr_max_import_segments, 100);
	assert_int_equal(attr.attr_max_import_map_size % page, 0);
	assert_true(attr.attr_max_import_map_size > SIZE_MAX - page);
	assert_int_equal(attr.attr_direct_access_sizes, RSM_DAS8 | RSM_DAS16 | RSM_DAS32 | RSM_DAS64);
	assert_int_equal(rsm_release_controller(c), RSM_SUCCESS);
}

/* 0 is no limit, and so is more than an address space has. */
static void test_attributes_without_limit(void **state)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);
	const uint64_t limits[] = {0, UINT64_MAX};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		rsmapi_controller_attr_t attr;
		max_exported_bytes = limits[i];
		fake_start(answer);
		rsmapi_controller_handle_t c = get("loopback");
		assert_int_equal(rsm_get_controller_attr(c, &attr), RSM_SUCCESS);
		assert_int_equal(attr.attr_max_export_segment_size, SIZE_MAX / page * page);
		assert_int_equal(rsm_release_controller(c), RSM_SUCCESS);
		fake_stop();
	}
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)
	const struct CMUnitTest tests[] = {
		TEST(test_names),
		TEST(test_unknown_names),
		TEST(test_long_names),
		TEST(test_arguments),
		TEST(test_references),
		TEST(test_attributes),
		cmocka_unit_test(test_attributes_without_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
