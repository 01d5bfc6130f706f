/* SPDX-License-Identifier: BSD-2-Clause */
/* rsmd/access: every class, digit and wanted right; lists; privilege. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <rsmapi.h>

#include "base/reason.h"
#include "rsmd/access.h"

#define OWNER 1000
#define GROUP 2000

static const gid_t in_group[] = {5, 6, GROUP};
static const gid_t elsewhere[] = {5, 6, 7};

static const struct rsmd_identity owner = {1, OWNER, 99, NULL, 0};
static const struct rsmd_identity owner_in_group = {1, OWNER, GROUP, in_group, 3};
static const struct rsmd_identity by_gid = {1, 1001, GROUP, NULL, 0};
static const struct rsmd_identity by_groups = {1, 1001, 99, in_group, 3};
static const struct rsmd_identity other = {1, 1001, 99, elsewhere, 3};

static int ask(uint32_t bits, const struct rsmd_identity *who, uint32_t wanted, bool privileged)
{
	struct rsmd_acl_entry entry = {1, bits};
	struct rsmd_acl acl = {&entry, 1, 0};
	return rsmd_access_decide(&acl, OWNER, GROUP, who, wanted, privileged);
}

/* All lists against all wishes, by the rule as rsm_memseg_export_publish(3rsm) words it. */
static void test_every_combination(void **state)
{
	static const struct {
		const struct rsmd_identity *who;
		unsigned shift;
	} people[] = {{&owner, 6}, {&owner_in_group, 6}, {&by_gid, 3}, {&by_groups, 3}, {&other, 0}};
	(void)state;
	for (uint32_t bits = 0; bits <= 0666; bits++) {
		if (bits & ~0666u)
			continue;
		for (size_t i = 0; i < sizeof(people) / sizeof(people[0]); i++)
			for (uint32_t wanted = 0; wanted <= 0600; wanted += 0200) {
				uint32_t digit = bits >> people[i].shift & 7;
				bool granted = (wanted >> 6 & digit) == wanted >> 6;
				assert_int_equal(ask(bits, people[i].who, wanted, false),
						 granted ? RSM_SUCCESS : RSMERR_PERM_DENIED);
				assert_int_equal(ask(bits, people[i].who, wanted, true), RSM_SUCCESS);
			}
	}
}

static void test_classes_exclude_each_other(void **state)
{
	(void)state;
	/* The manual's example, 0624. */
	assert_int_equal(ask(0624, &owner, 0600, false), RSM_SUCCESS);
	assert_int_equal(ask(0624, &by_gid, 0200, false), RSM_SUCCESS);
	assert_int_equal(ask(0624, &by_gid, 0400, false), RSMERR_PERM_DENIED);
	assert_int_equal(ask(0624, &other, 0400, false), RSM_SUCCESS);
	assert_int_equal(ask(0066, &owner_in_group, 0400, false), RSMERR_PERM_DENIED);
	assert_int_equal(ask(0606, &by_groups, 0400, false), RSMERR_PERM_DENIED);
}

static void test_reason_tells_all(void **state)
{
	(void)state;
	assert_int_equal(ask(0640, &by_groups, 0600, false), RSMERR_PERM_DENIED);
	assert_non_null(strstr(base_reason(), "uid 1001"));
	assert_non_null(strstr(base_reason(), "group"));
	assert_non_null(strstr(base_reason(), "0640"));
	assert_non_null(strstr(base_reason(), "it 4, asked was 6"));
}

static void test_nodes(void **state)
{
	struct rsmd_acl_entry entries[] = {{7, 0666}, {1, 0400}, {1, 0666}};
	struct rsmd_acl acl = {entries, 3, 0};
	struct rsmd_identity remote = owner;
	(void)state;
	/* The first entry of the node wins. */
	assert_int_equal(rsmd_access_decide(&acl, OWNER, GROUP, &owner, 0400, false), RSM_SUCCESS);
	assert_int_equal(rsmd_access_decide(&acl, OWNER, GROUP, &owner, 0600, false), RSMERR_PERM_DENIED);
	remote.node = 8;
	assert_int_equal(rsmd_access_decide(&acl, OWNER, GROUP, &remote, 0, false),
			 RSMERR_SEG_NOT_PUBLISHED_TO_NODE);
	/* Privilege is about users, not about nodes. */
	assert_int_equal(rsmd_access_decide(&acl, OWNER, GROUP, &remote, 0, true),
			 RSMERR_SEG_NOT_PUBLISHED_TO_NODE);
	struct rsmd_acl everybody = {NULL, 0, 0644};
	assert_int_equal(rsmd_access_decide(&everybody, OWNER, GROUP, &remote, 0600, false), RSM_SUCCESS);
	assert_int_equal(rsmd_access_decide(&everybody, OWNER, GROUP, &other, 0400, false), RSM_SUCCESS);
	assert_int_equal(rsmd_access_decide(&everybody, OWNER, GROUP, &other, 0200, false),
			 RSMERR_PERM_DENIED);
}

static void test_lists(void **state)
{
	static struct rsmd_acl_entry many[RSMD_ACL_MAX + 1];
	struct rsmd_acl_entry entries[] = {{1, 0666}, {2, 0666}};
	static const uint32_t wrong[] = {01, 010, 0100, 0177, 0777, 01000, 0x80000000u};
	(void)state;
	assert_int_equal(rsmd_access_check_list(NULL, 0, true, 1), RSM_SUCCESS);
	assert_int_equal(rsmd_access_check_list(entries, 1, true, 1), RSM_SUCCESS);
	assert_int_equal(rsmd_access_check_list(entries, 1, true, 2), RSMERR_BAD_ACL);
	assert_int_equal(rsmd_access_check_list(entries, 2, true, 1), RSMERR_BAD_ACL);
	assert_int_equal(rsmd_access_check_list(entries, 2, false, 1), RSM_SUCCESS);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		entries[1].permission = wrong[i];
		assert_int_equal(rsmd_access_check_list(entries, 2, false, 1), RSMERR_BAD_ACL);
	}
	assert_int_equal(rsmd_access_check_list(many, RSMD_ACL_MAX, false, 1), RSM_SUCCESS);
	assert_int_equal(rsmd_access_check_list(many, RSMD_ACL_MAX + 1, false, 1), RSMERR_BAD_ACL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_combination),
		cmocka_unit_test(test_classes_exclude_each_other),
		cmocka_unit_test(test_reason_tells_all),
		cmocka_unit_test(test_nodes),
		cmocka_unit_test(test_lists),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
