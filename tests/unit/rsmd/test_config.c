/* SPDX-License-Identifier: BSD-2-Clause */
/* rsmd/config: values, defaults, and every error with its line. */
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
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
	rsmd_config_clear(&config);
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

/* `before`, a letter so often, `after`: in one buffer, valid until the next call. */
static const char *text_of(const char *before, int letters, const char *after)
{
	static char text[4096];
	int length = snprintf(text, sizeof(text), "%s", before);
	memset(text + length, 'x', (size_t)letters);
	snprintf(text + length + letters, sizeof(text) - (size_t)(length + letters), "%s", after);
	return text;
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
	refused("id = 1\n", ":1:", "id stands before any [section]");
	refused("[node]\nid = 1\n max-segments = 7\n", ":3:",
		"the line begins with a blank, so it continues the value of id; id = max-segments = 7");
	refused("[node]\nid = 1\n[cluster]\n dead-after = 3\n", ":4:", ":4: dead-after = 3");
	refused("[node]\nname = x\n y\nid = z\n", ":4:", ":4: id = z");
	refused("[cluster]\nkeys = /x\n", ":2:", "dead-after and key-file");
	refused("[cluster]\nkey-file = x\n", ":2:", "absolute");
	refused("[cluster]\ndead-after = 199ms\n", ":2:", "200ms");
	refused("[cluster]\ndead-after = 2h\n", ":2:", "200ms to 1h");
	refused("[cluster]\ndead-after = 3\n", ":2:", "unit");
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
	strcat(text, "[controller shm99]\ntype = local\naddress = 10.0.0.1\n");
	refused(text, ":66:", "32");
}

/* What is cut would be read as a line of its own. */
static void test_long_lines(void **state)
{
	(void)state;
	assert_true(read_text(text_of("[node]\n; ", 197, "max-segments = 1\nid = 3\n")));
	assert_int_equal(config.max_segments, 65535);
	assert_int_equal(config.node_id, 3);
	refused(text_of("[node]\n; ", 500, "\nid = x\n"), ":3:", "id = x");
	assert_true(read_text(text_of("[node]\n#", 1023, "\r\nid = 3\n")));
	assert_int_equal(config.node_id, 3);
	assert_true(read_text(text_of("[node]\nid = 3\n#", 1023, "")));
	refused(text_of("[node]\n#", 1100, "\nid = 3\n"), ":2:", "at most 1024 characters");
	refused(text_of("[node]\n#", 1100, ""), ":2:", "at most 1024 characters");
	refused(text_of("[node]\n#", 3000, "\nid = x\n"), ":2:", "at most 1024 characters");
	refused(text_of("[controller ", 48, "1]\ntype = local\n"), ":2:", "at most 48");

	assert_true(read_text(text_of("[metrics]\ntextfile = /", 254, "\n")));
	assert_int_equal(strlen(config.metrics_textfile), 255);
	refused(text_of("[metrics]\ntextfile = /", 255, "\n"), ":2:", "at most 255 bytes");
	assert_true(read_text(text_of("[cluster]\nkey-file = /", 254, "\n")));
	assert_int_equal(strlen(config.key_file), 255);
	refused(text_of("[cluster]\nkey-file = /", 255, "\n"), ":2:", "at most 255 bytes");
}

/* A line that has a byte 0 would be cut there. */
static void test_zero_byte(void **state)
{
	static const char text[] = "[node]\nid = 3\0000\nmax-segments = 1\n";
	char path[64];
	(void)state;
	int fd = memfd_create("conf", 0);
	assert_int_equal(write(fd, text, sizeof(text) - 1), sizeof(text) - 1);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	rsmd_config_clear(&config);
	rsmd_config_defaults(&config);
	assert_false(rsmd_config_read(&config, path, true, error, sizeof(error)));
	assert_non_null(strstr(error, ":2:"));
	close(fd);
}

/* Names are shown, and told to other nodes and programs. */
static void test_names(void **state)
{
	(void)state;
	assert_true(read_text("[node]\nname = K\xc3\xb6ln \"north\"?\n"));
	assert_string_equal(config.node_name, "K\xc3\xb6ln \"north\"?");
	assert_true(read_text(text_of("[node]\nname = ", 63, "\n")));
	refused(text_of("[node]\nname = ", 64, "\n"), ":2:", "1 to 63 bytes");
	refused("[node]\nname = caf\xe9\n", ":2:", "caf?");
	refused("[node]\nname = a\033[31m\n", ":2:", "a?[31m");
	refused("[node]\nname = a\xc2\x9b\n", ":2:", "UTF-8 without control characters");
	refused("[peer 2]\nname = caf\xe9\n", ":2:", "UTF-8 without control characters");
	refused(text_of("[peer 2]\nname = ", 64, "\n"), ":2:", "1 to 63 bytes");
}

#define TCP0 "[controller tcp0]\ntype = tcp\naddress = 10.0.0.1\n"

static void test_cluster(void **state)
{
	(void)state;
	/* Peers may come before the controllers that they name. */
	assert_true(read_text(
		"[peer 2]\nname = beta\nTCP0 = 10.0.0.2:7601\ntcp1 = [fd00::2]:7700\n"
		"[peer 4294967295]\ntcp1 = fd00::3\n"
		"[cluster]\nkey-file = /etc/rsm/cluster.key\ndead-after = 500ms\n"
		"[controller shm0]\ntype = local\n"
		"[controller tcp0]\ntype = tcp\naddress = 10.0.0.1\nport = 7601\nthreads = 3\n"
		"[controller tcp1]\nthreads = 1\naddress = fd00::1\nencrypt = yes\nloop = yes\ntype = "
		"tcp\n"));
	assert_string_equal(config.key_file, "/etc/rsm/cluster.key");
	assert_int_equal(config.dead_after_ms, 500);
	assert_int_equal(config.threads, 3);
	assert_int_equal(config.controller_count, 4);
	const struct rsmd_controller *tcp0 = &config.controllers[2], *tcp1 = &config.controllers[3];
	const struct sockaddr_in *four = (const struct sockaddr_in *)&tcp0->address;
	const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)&tcp1->address;
	assert_int_equal(ntohs(four->sin_port), 7601);
	assert_int_equal(ntohl(four->sin_addr.s_addr), 0x0a000001);
	assert_int_equal(ntohs(six->sin6_port), 7600);
	assert_false(tcp0->encrypt || tcp0->loop);
	assert_true(tcp1->encrypt && tcp1->loop);
	assert_int_equal(config.controllers[1].address_length, 0);
	assert_int_equal(config.peer_count, 2);
	assert_int_equal(config.peers[0].node, 2);
	assert_string_equal(config.peers[0].name, "beta");
	assert_int_equal(config.peers[0].path_count, 2);
	assert_int_equal(config.peers[0].paths[0].controller, 2);
	four = (const struct sockaddr_in *)&config.peers[0].paths[0].address;
	assert_int_equal(ntohs(four->sin_port), 7601);
	six = (const struct sockaddr_in6 *)&config.peers[0].paths[1].address;
	assert_int_equal(six->sin6_family, AF_INET6);
	assert_int_equal(ntohs(six->sin6_port), 7700);
	six = (const struct sockaddr_in6 *)&config.peers[1].paths[0].address;
	assert_int_equal(ntohs(six->sin6_port), 7600);

	/* A private daemon has no part in a cluster. */
	assert_int_equal(rsmd_config_make_private(&config), 2);
	assert_int_equal(config.controller_count, 2);
	assert_string_equal(config.controllers[1].name, "shm0");
	assert_int_equal(config.peer_count, 0);

	/* One host, its own segments through the network: no peer, so no key. */
	assert_true(read_text(TCP0 "loop = yes\n"));
}

static void test_cluster_errors(void **state)
{
	(void)state;
	refused("\n[controller tcp0]\nport = 7600\n", ":3:", "no type");
	refused("[node]\n[controller tcp0]\ntype = tcp\n", ":3:", "add address");
	refused("[controller tcp0]\ntype = tcp\naddress = alpha\n", ":3:", "numeric");
	refused("[controller tcp0]\ntype = tcp\naddress = 10.0.0.1:7600\n", ":3:", "numeric");
	refused("[controller shm0]\ntype = local\nloop = yes\n", ":2:", "only type = tcp");
	refused(TCP0 "port = 65536\n", ":4:", "port");
	refused(TCP0 "encrypt = 1\n", ":4:", "yes or no");
	refused(TCP0 "threads = 65\n", ":4:", "64");
	refused(TCP0 "speed = 1\n", ":4:", "speed");
	refused(TCP0 "[peer 2]\ntcp0 = 10.0.0.2:7600\n", ":5:", "key-file");
	refused(TCP0 "[peer x]\ntcp0 = 10.0.0.2:7600\n", ":5:", "number of a node");
	refused(TCP0 "[peer 1]\ntcp0 = 10.0.0.2:7600\n", ":5:", "own number");
	refused(TCP0 "[peer 2]\ntcp0 = beta:7600\n", ":5:", "numeric");
	refused(TCP0 "[peer 2]\ntcp0 = 10.0.0.2:0\n", ":5:", "numeric");
	refused(TCP0 "[peer 2]\ntcp0 = 10.0.0.2:65536\n", ":5:", "numeric");
	refused(TCP0 "[peer 2]\ntcp0 = [fd00::2:7600\n", ":5:", "numeric");
	refused(TCP0 "[peer 2]\ntcp0 = [10.0.0.2]:7600\n", ":5:", "numeric");
	refused(TCP0 "[peer 2]\ntcp0 = [fd00::2]:7600\n", ":5:", "families");
	refused(TCP0 "[peer 2]\ntcp1 = 10.0.0.2:7600\n", ":5:", "[controller tcp1]");
	refused(TCP0 "[peer 2]\nloopback0 = 10.0.0.2\n", ":5:", "loopback0");
	refused(TCP0 "[peer 2]\nspeed = 10\n", ":5:", "unknown key speed");
	refused(TCP0 "[peer 2]\ntcp0 = 10.0.0.2\ntcp0 = 10.0.0.3\n", ":6:", "two addresses");
	refused(TCP0 "[peer 2]\nname = b\n[node]\nid = 3\n[peer 2]\nname = c\n", ":9:", "twice");
	refused(TCP0 "[peer 2]\nname = b\n", ":5:", "no address");
	refused("[controller shm0]\ntype = local\n[peer 2]\nshm0 = 10.0.0.2\n", ":4:", "type = tcp");
}

static void test_metrics(void **state)
{
	(void)state;
	assert_true(read_text(""));
	assert_string_equal(config.metrics_textfile, "");
	assert_int_equal(config.metrics_interval_ms, 15000);
	assert_int_equal(config.metrics_listen_length, 0);
	assert_true(read_text("[metrics]\ntextfile = /var/lib/agent/rsm.prom\ninterval = 1m\n"));
	assert_string_equal(config.metrics_textfile, "/var/lib/agent/rsm.prom");
	assert_int_equal(config.metrics_interval_ms, 60000);
#ifdef RSMD_MICROHTTPD
	const struct sockaddr_in *four = (const struct sockaddr_in *)&config.metrics_listen;
	const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)&config.metrics_listen;
	assert_true(read_text("[metrics]\nlisten = 127.0.0.1:9999\n"));
	assert_int_equal(four->sin_family, AF_INET);
	assert_int_equal(ntohs(four->sin_port), 9999);
	assert_int_equal(config.metrics_listen_length, sizeof(*four));
	assert_true(read_text("[metrics]\nlisten = 127.7.0.1\n"));
	assert_int_equal(ntohs(four->sin_port), 9781);
	assert_true(read_text("[metrics]\nlisten = [::1]:80\n"));
	assert_int_equal(six->sin6_family, AF_INET6);
	assert_int_equal(ntohs(six->sin6_port), 80);
	/* A private daemon leaves both to the node's. */
	assert_true(read_text("[metrics]\nlisten = 127.0.0.1\ntextfile = /x\n"));
	rsmd_config_make_private(&config);
	assert_int_equal(config.metrics_listen_length, 0);
	assert_string_equal(config.metrics_textfile, "");
#else
	refused("[metrics]\nlisten = 127.0.0.1:9999\n", ":2:", "built without libmicrohttpd");
#endif
}

static void test_metrics_errors(void **state)
{
	(void)state;
	refused("[metrics]\ntextfile = rsm.prom\n", ":2:", "absolute");
	refused("[metrics]\ntextfile = /var/lib/\n", ":2:", "absolute");
	refused("[metrics]\ntextfile =\n", ":2:", "absolute");
	refused("[metrics]\ninterval = 15\n", ":2:", "unit");
	refused("[metrics]\ninterval = 999ms\n", ":2:", "1s to 1h");
	refused("[metrics]\ninterval = 2h\n", ":2:", "1s to 1h");
	refused("[metrics]\n\nlisten = 10.0.0.1:9781\n", ":3:", "not an address of loopback");
	refused("[metrics]\nlisten = 0.0.0.0:9781\n", ":2:", "not an address of loopback");
	refused("[metrics]\nlisten = [::]:9781\n", ":2:", "not an address of loopback");
	refused("[metrics]\nlisten = [::ffff:127.0.0.1]:9781\n", ":2:", "not an address of loopback");
	refused("[metrics]\nlisten = localhost:9781\n", ":2:", "numeric");
	refused("[metrics]\nlisten = 127.0.0.1:0\n", ":2:", "numeric");
	refused("[metrics]\nlisten = 127.0.0.1:70000\n", ":2:", "numeric");
	refused("[metrics]\nport = 1\n", ":2:", "unknown key port");
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
	assert_memory_equal(&config, &defaults, offsetof(struct rsmd_config, files));
	rsmd_config_clear(&config);
}

/* A directory of files, by name; they end up in one configuration. */
static char directory[32];

static void write_file(const char *name, const char *text)
{
	char path[96];
	snprintf(path, sizeof(path), "%s/%s", directory, name);
	FILE *file = fopen(path, "we");
	assert_non_null(file);
	assert_int_equal(fputs(text, file) < 0, 0);
	assert_int_equal(fclose(file), 0);
}

static int make_directory(void **state)
{
	char drop_ins[64];
	(void)state;
	strcpy(directory, "/tmp/rsm-config.XXXXXX");
	if (!mkdtemp(directory))
		return -1;
	snprintf(drop_ins, sizeof(drop_ins), "%s/rsmd.conf.d", directory);
	return mkdir(drop_ins, 0700);
}

static int remove_directory(void **state)
{
	static const char *const names[] = {
		"rsmd.conf.d/.hidden.conf", "rsmd.conf.d/10-b.conf", "rsmd.conf.d/20-a.conf",
		"rsmd.conf.d/note.txt",     "rsmd.conf.d",           "rsmd.conf"};
	char path[96];
	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", directory, names[i]);
		remove(path);
	}
	rsmd_config_clear(&config);
	return rmdir(directory);
}

static bool read_directory(bool must_exist)
{
	char path[96];
	snprintf(path, sizeof(path), "%s/rsmd.conf", directory);
	rsmd_config_clear(&config);
	rsmd_config_defaults(&config);
	return rsmd_config_read(&config, path, must_exist, error, sizeof(error));
}

static void origin(const char *section, const char *key, const char *value, const char *file, int line)
{
	const struct rsmd_config_setting *setting = rsmd_config_setting(&config, section, key);
	assert_non_null(setting);
	assert_string_equal(setting->value, value);
	assert_non_null(strstr(config.files[setting->file], file));
	assert_int_equal(setting->line, line);
}

static void test_drop_ins(void **state)
{
	(void)state;
	write_file("rsmd.conf", "[node]\nid = 7\nname = seven\n[cluster]\nkey-file = /k\n" TCP0
				"threads = 9\n[peer 2]\nname = two\ntcp0 = 10.0.0.2\n");
	write_file("rsmd.conf.d/20-a.conf", "[node]\nname = last\n");
	write_file("rsmd.conf.d/10-b.conf", "# more\n[node]\nname = first\n[controller TCP0]\nthreads = 4\n"
					    "[peer 2]\ntcp0 = 10.0.0.3:99\n[peer 3]\ntcp0 = 10.0.0.4\n");
	write_file("rsmd.conf.d/.hidden.conf", "nonsense\n");
	write_file("rsmd.conf.d/note.txt", "nonsense\n");
	if (!read_directory(true))
		fail_msg("%s", error);
	assert_int_equal(config.file_count, 3);
	assert_int_equal(config.node_id, 7);
	assert_string_equal(config.node_name, "last");
	assert_int_equal(config.threads, 4); /* of the controller, not the largest ever said */
	assert_int_equal(config.peer_count, 2);
	assert_int_equal(config.peers[0].path_count, 1);
	const struct sockaddr_in *where = (const void *)&config.peers[0].paths[0].address;
	assert_int_equal(ntohs(where->sin_port), 99);
	origin("node", "id", "7", "/rsmd.conf", 2);
	origin("node", "name", "last", "/20-a.conf", 2);
	origin("controller tcp0", "threads", "4", "/10-b.conf", 5);
	origin("peer 2", "name", "two", "/rsmd.conf", 11);
	assert_null(rsmd_config_setting(&config, "node", "idle-exit"));
}

/* However a section was written, its settings are found by the name that the controller or peer has. */
static void test_origin_of_other_spellings(void **state)
{
	(void)state;
	write_file("rsmd.conf", "[node]\nid = 7\n[cluster]\nkey-file = /k\n[controller   TCP0]\ntype = tcp\n"
				"address = 10.0.0.1\nport = 7777\n[peer   02]\nTCP0 = 10.0.0.2\n");
	write_file("rsmd.conf.d/10-b.conf", "[peer 2]\ntcp0 = 10.0.0.3\n[controller tcp0]\nport = 7778\n");
	if (!read_directory(true))
		fail_msg("%s", error);
	assert_int_equal(config.peer_count, 1);
	origin("controller tcp0", "address", "10.0.0.1", "/rsmd.conf", 7);
	origin("controller tcp0", "port", "7778", "/10-b.conf", 4);
	origin("peer 2", "tcp0", "10.0.0.3", "/10-b.conf", 2);
	size_t superseded = 0;
	for (size_t i = 0; i < config.setting_count; i++)
		superseded += config.settings[i].superseded;
	assert_int_equal(superseded, 2);
}

static void test_drop_in_errors(void **state)
{
	(void)state;
	write_file("rsmd.conf", "[node]\nid = 7\n");
	write_file("rsmd.conf.d/10-b.conf", "[node]\n\nspeed = 1\n");
	assert_false(read_directory(true));
	assert_non_null(strstr(error, "/rsmd.conf.d/10-b.conf:3: unknown key speed"));
	write_file("rsmd.conf.d/10-b.conf", "[node]\nid = 8\nnonsense\n");
	assert_false(read_directory(true));
	assert_non_null(strstr(error, "/rsmd.conf.d/10-b.conf:3: neither"));
	/* What is wrong only with the whole is told where it was said last. */
	write_file("rsmd.conf.d/10-b.conf", "[controller tcp0]\ntype = tcp\n");
	assert_false(read_directory(true));
	assert_non_null(strstr(error, "/rsmd.conf.d/10-b.conf:2: controller tcp0 has no address"));
	write_file("rsmd.conf.d/20-a.conf", "[controller tcp0]\naddress = 10.0.0.1\n[controller tcp0]\n");
	if (!read_directory(true))
		fail_msg("%s", error);
	write_file("rsmd.conf.d/20-a.conf", "[controller tcp0]\naddress = 10.0.0.1\n[node]\nid = 3\n"
					    "[controller tcp0]\nport = 1\n");
	assert_false(read_directory(true));
	assert_non_null(strstr(error, "/rsmd.conf.d/20-a.conf:6: controller tcp0 is there twice"));
}

/* The file may be missing, its directory counts all the same. */
static void test_drop_ins_alone(void **state)
{
	(void)state;
	write_file("rsmd.conf.d/10-b.conf", "[node]\nid = 9\n");
	assert_false(read_directory(true));
	assert_true(read_directory(false));
	assert_int_equal(config.node_id, 9);
	origin("node", "id", "9", "/10-b.conf", 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_errors_have_lines),
		cmocka_unit_test(test_controllers),
		cmocka_unit_test(test_long_lines),
		cmocka_unit_test(test_zero_byte),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_cluster),
		cmocka_unit_test(test_cluster_errors),
		cmocka_unit_test(test_metrics),
		cmocka_unit_test(test_metrics_errors),
		cmocka_unit_test(test_files),
		cmocka_unit_test_setup_teardown(test_drop_ins, make_directory, remove_directory),
		cmocka_unit_test_setup_teardown(test_origin_of_other_spellings, make_directory,
						remove_directory),
		cmocka_unit_test_setup_teardown(test_drop_in_errors, make_directory, remove_directory),
		cmocka_unit_test_setup_teardown(test_drop_ins_alone, make_directory, remove_directory),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
