/* SPDX-License-Identifier: BSD-2-Clause */
/* rsm/nearest: what a mistyped command may mean, and words that mean none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "rsm/tool.h"

static const struct tool_command commands[] = {{.name = "status"}, {.name = "ls"},  {.name = "show"},
					       {.name = "nodes"},  {.name = "top"}, {.name = "topo"},
					       {.name = "doctor"}, {.name = "get"}, {.name = "version"}};

static const char *nearest(const char *word)
{
	const char *name =
		tool_nearest(word, commands, sizeof(commands[0]), sizeof(commands) / sizeof(commands[0]));
	return name ? name : "";
}

static void test_near(void **state)
{
	static const char *const pairs[][2] = {{"statsu", "status"}, {"sttaus", "status"}, {"stat", "status"},
					       {"doktor", "doctor"}, {"dcotor", "doctor"}, {"sl", "ls"},
					       {"lss", "ls"},        {"node", "nodes"},    {"shaw", "show"},
					       {"gte", "get"},       {"ver", "version"},   {"tops", "top"}};
	(void)state;
	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++)
		assert_string_equal(nearest(pairs[i][0]), pairs[i][1]);
}

static void test_far(void **state)
{
	static const char *const words[] = {"",      "x",
					    "xyzzy", "frobnicate",
					    "--bad", "a-word-that-is-longer-than-any-command-of-this-tool"};
	(void)state;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		assert_string_equal(nearest(words[i]), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_near), cmocka_unit_test(test_far)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
