/* SPDX-License-Identifier: BSD-2-Clause */
/* What the tool was told by others reaches the terminal without control characters: render.c, report.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "rsm/tool.h"

#define EVIL                                                                                                 \
	"\x1b]0;a\x07\xc2\x9b"                                                                               \
	"31m\xc3\xa4\xff"
#define SHOWN "?]0;a???31m\xc3\xa4?"

static void test_value(void **state)
{
	char text[64];
	json_t *value = json_string("\x1b]0;a\x07\xc2\x9b"
				    "31m\xc3\xa4"); /* jansson takes UTF-8 only */
	(void)state;
	tool_render_value(text, sizeof(text), "program", value);
	assert_string_equal(text, "?]0;a???31m\xc3\xa4");
	tool_render_value(text, 13, "program", value); /* cut between characters */
	assert_string_equal(text, "?]0;a???31m");
	json_decref(value);
}

/* What goes to standard error until caught_errors. */
static FILE *catch_errors(int *saved)
{
	FILE *caught = tmpfile();
	assert_non_null(caught);
	*saved = dup(STDERR_FILENO);
	assert_true(dup2(fileno(caught), STDERR_FILENO) >= 0);
	return caught;
}

static const char *caught_errors(FILE *caught, int saved)
{
	static char text[512];
	dup2(saved, STDERR_FILENO);
	close(saved);
	rewind(caught);
	text[fread(text, 1, sizeof(text) - 1, caught)] = '\0';
	fclose(caught);
	return text;
}

static void test_errors(void **state)
{
	const struct tool_command command = {.name = "get"};
	int saved;
	(void)state;
	FILE *caught = catch_errors(&saved);
	int failed = tool_fail("ask %s", EVIL), of_errno = tool_fail_errno(2, "open %s", EVIL);
	int of_code = tool_fail_code(RSMERR_TIMEOUT, "connect %s", EVIL);
	int usage = tool_usage(&command, "'%s' is none", EVIL);
	assert_string_equal(caught_errors(caught, saved),
			    "rsm: ask " SHOWN "\n"
			    "rsm: open " SHOWN ": No such file or directory\n"
			    "rsm: connect " SHOWN ": timed out (RSMERR_TIMEOUT)\n"
			    "rsm get: '" SHOWN "' is none; see `rsm get --help`\n");
	assert_int_equal(failed, TOOL_FAILED);
	assert_int_equal(of_errno, TOOL_FAILED);
	assert_int_equal(of_code, TOOL_TIMED_OUT);
	assert_int_equal(usage, TOOL_USAGE);
}

/* The reason of a refusal is a text of the daemon or of another node. */
static void test_reason(void **state)
{
	rsmapi_controller_handle_t controller;
	char name[64];
	int saved;
	(void)state;
	setenv("RSM_SOCKET", "/nonexistent/" EVIL, 1);
	snprintf(name, sizeof(name), "loopback");
	int code = rsm_get_controller(name, &controller);
	assert_int_not_equal(code, RSM_SUCCESS);
	assert_non_null(strchr(rsmx_last_error(), '\x1b'));
	FILE *caught = catch_errors(&saved);
	tool_fail_code(code, "begin");
	const char *text = caught_errors(caught, saved);
	assert_non_null(strstr(text, SHOWN));
	assert_null(strchr(text, '\x1b'));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_value),
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_reason),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
