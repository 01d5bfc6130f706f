/* SPDX-License-Identifier: BSD-2-Clause */
/* rsmd/config: values, defaults, and every error with its line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "rsmd/config.h"

static struct rsmd_config config;
static char error[256];

/* Reads `text` as a file. */
static bool read_text(const char *text)
{
	char path[64];
	int fd = memfd_create("conf", 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	error[0] = '\0';
	rsmd_config_defaults(&config);
	bool done = rsmd_config_read(&config, path, true, error, sizeof(error));
	close(fd);
	return done;
}

static void refused(const char *text, const char *line, const char *word)
{
	assert_false(read_text(text));
	if (!strstr(error, line) || !strstr(error, word))
		fail_msg("\"%s\" gave \"%s\"; expected %s and %s", text, error, line, word);
}

static void test_defaults(void **state)
{
	(void)state;
	assert_true(read_text(""));
	assert_int_equal(config.node_id, 1);
	assert_int_equal(config.max_segments, 65535);
	assert_int_equal(config.max_exported_bytes, 0);
	assert_int_equal(config.socket_mode, 0666);
	assert_int_equal(config.idle_exit_ms, 30000);
	assert_true(config.userfaultfd);
	assert_int_equal(config.controller_count, 1);
	assert_string_equal(config.controllers[0].name, "loopback");
}

static void test_values(void **state)
{
	(void)state;
	assert_true(read_text("[node]\nid = 4294967295\nname = alpha ; "
			      "comment\nmax-segments=100\nmax-exported-memory = 50\n"
			      "socket-mode = 0600\nidle-exit = 200ms\nuserfaultfd = no\n"
			      "[controller SHM0]\ntype = local\n[controller x1]\ntype=local\n"));
	assert_int_equal(config.node_id, UINT32_MAX);
	assert_string_equal(config.node_name, "alpha");
	assert_int_equal(config.max_segments, 100);
	assert_true(config.max_exported_bytes > 0);
	assert_int_equal(config.max_exported_bytes % 4096, 0);
	assert_int_equal(config.socket_mode, 0600);
	assert_int_equal(config.idle_exit_ms, 200);
	assert_false(config.userfaultfd);
	assert_int_equal(config.controller_count, 3);
	assert_ptr_equal(rsmd_config_controller(&config, "Shm0"), &config.controllers[1]);
	assert_string_equal(config.controllers[1].name, "shm0");
	assert_ptr_equal(rsmd_config_controller(&config, "x1"), &config.controllers[2]);
	assert_ptr_equal(rsmd_config_controller(&config, "LOOPBACK"), &config.controllers[0]);
	assert_null(rsmd_config_controller(&config, "shm1"));
	assert_true(read_text("[node]\nidle-exit = 2m\n"));
	assert_int_equal(config.idle_exit_ms, 120000);
}

static void test_errors_have_lines(void **state)
{
	(void)state;
	refused("[node]\nid = 1\nsegments = 5\n", ":3:", "segments");
	refused("[node]\n\nid = x\n", ":3:", "id = x");
	refused("[node]\nid = 4294967296\n", ":2:", "id");
	refused("[node]\nid = -1\n", ":2:", "id");
	refused("[node]\nid = 1 2\n", ":2:", "id");
	refused("[node]\nmax-segments = 0\n", ":2:", "max-segments");
	refused("[node]\nmax-segments = 65536\n", ":2:", "max-segments");
	refused("[node]\nmax-exported-memory = 101\n", ":2:", "max-exported-memory");
	refused("[node]\nsocket-mode = 0888\n", ":2:", "octal");
	refused("[node]\nsocket-mode = 01777\n", ":2:", "octal");
	refused("[node]\nidle-exit = 30\n", ":2:", "unit");
	refused("[node]\nidle-exit = 30d\n", ":2:", "unit");
	refused("[node]\nuserfaultfd = maybe\n", ":2:", "yes or no");
	refused("[node]\nname =\n", ":2:", "name");
	refused("[node]\nnonsense\n", ":2:", "key = value");
	refused("id = 1\n", ":1:", "section");
	refused("[cluster]\nkey-file = /x\n", ":2:", "cluster");
	refused("[peer 2]\nname = beta\n", ":2:", "peer 2");
}

static void test_controllers(void **state)
{
	char text[4096] = "";
	(void)state;
	refused("[controller tcp0]\ntype = tcp\n", ":2:", "tcp");
	refused("[controller loopback0]\ntype = local\n", ":2:", "loopback");
	refused("[controller shm]\ntype = local\n", ":2:", "unit number");
	refused("[controller 0]\ntype = local\n", ":2:", "unit number");
	refused("[controller shm-0]\ntype = local\n", ":2:", "unit number");
	refused("[controller shm0]\naddress = 1\n", ":2:", "address");
	refused("[controller shm0]\ntype = local\n[controller SHM0]\ntype = local\n", ":4:", "twice");
	for (int i = 0; i <= RSMD_CONTROLLERS_MAX; i++)
		snprintf(text + strlen(text), sizeof(text) - strlen(text),
			 "[controller shm%d]\ntype = local\n", i);
	refused(text, ":66:", "32");
}

static void test_files(void **state)
{
	(void)state;
	rsmd_config_defaults(&config);
	assert_true(rsmd_config_read(&config, "/nonexistent/rsmd.conf", false, error, sizeof(error)));
	assert_false(rsmd_config_read(&config, "/nonexistent/rsmd.conf", true, error, sizeof(error)));
	assert_non_null(strstr(error, "/nonexistent/rsmd.conf"));
	/* What packaging ships is valid and says the defaults. */
	struct rsmd_config defaults;
	rsmd_config_defaults(&defaults);
	if (!rsmd_config_read(&config, EXAMPLE, true, error, sizeof(error)))
		fail_msg("%s", error);
	assert_memory_equal(&config, &defaults, sizeof(config));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_errors_have_lines),
		cmocka_unit_test(test_controllers),
		cmocka_unit_test(test_files),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
