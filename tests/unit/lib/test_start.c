/* SPDX-License-Identifier: BSD-2-Clause */
/* lib/start.c: which socket is taken, whose directory is trusted, and what is said when there is no rsmd. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fd.h"
#include "base/reason.h"
#include "fake.h"
#include "lib/lib.h"

static char runtime[64];   /* XDG_RUNTIME_DIR */
static char directory[96]; /* of the socket */
static char socket_path[128];
static char programs[96]; /* PATH */

static int start_connect(void)
{
	lib_lock();
	int fd = lib_start_connect();
	lib_unlock();
	return fd;
}

static void expect_refused(const char *text)
{
	unsigned before = fake_descriptors();
	assert_int_equal(start_connect(), -1);
	if (strstr(base_reason(), text) == NULL)
		fail_msg("\"%s\" is not in \"%s\"", text, base_reason());
	assert_int_equal(fake_descriptors(), before);
}

/* A listening socket at `path`. */
static int listen_at(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	assert_true(fd >= 0);
	assert_true(strlen(path) < sizeof(address.sun_path));
	strcpy(address.sun_path, path);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(fd, 4), 0);
	return fd;
}

static int set_up(void **state)
{
	(void)state;
	strcpy(runtime, "/tmp/rsm-unit-XXXXXX");
	assert_non_null(mkdtemp(runtime));
	snprintf(directory, sizeof(directory), "%s/rsm", runtime);
	snprintf(socket_path, sizeof(socket_path), "%s/rsmd.sock", directory);
	snprintf(programs, sizeof(programs), "%s/bin", runtime);
	assert_int_equal(mkdir(programs, 0700), 0);
	setenv("XDG_RUNTIME_DIR", runtime, 1);
	setenv("PATH", programs, 1);
	unsetenv("RSM_SOCKET");
	return 0;
}

static int tear_down(void **state)
{
	char program[128];

	(void)state;
	snprintf(program, sizeof(program), "%s/rsmd", programs);
	unlink(program);
	unlink(socket_path);
	rmdir(directory);
	unlink(directory);
	rmdir(programs);
	return rmdir(runtime);
}

/* The tests below are about this user's own rsmd: where the system has one, that one is found first. */
static void need_no_rsmd(void)
{
	if (access("/run/rsm/rsmd.sock", F_OK) == 0 || access("/usr/sbin/rsmd", F_OK) == 0)
		skip();
}

/* ---- RSM_SOCKET ---- */

static void test_chosen(void **state)
{
	(void)state;
	assert_int_equal(mkdir(directory, 0777), 0);
	assert_int_equal(chmod(directory, 0777), 0); /* whoever sets RSM_SOCKET answers for it */
	int listener = listen_at(socket_path);
	setenv("RSM_SOCKET", socket_path, 1);
	int fd = start_connect();
	assert_true(fd > 2);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	int peer = accept(listener, NULL, NULL);
	assert_true(peer >= 0);
	close(peer);
	close(fd);
	close(listener);
	/* Nobody listens any more: no other place is tried. */
	expect_refused(socket_path);
	assert_non_null(strstr(base_reason(), "RSM_SOCKET"));
	assert_non_null(strstr(base_reason(), strerror(ECONNREFUSED)));
}

static void test_chosen_wrong(void **state)
{
	char path[200];

	(void)state;
	setenv("RSM_SOCKET", "/nowhere/rsmd.sock", 1);
	expect_refused("/nowhere/rsmd.sock");
	assert_non_null(strstr(base_reason(), strerror(ENOENT)));
	memset(path, 'x', sizeof(path) - 1);
	path[0] = '/';
	path[sizeof(path) - 1] = '\0';
	setenv("RSM_SOCKET", path, 1);
	expect_refused(strerror(ENAMETOOLONG));
	path[108] = '\0'; /* one more than sun_path holds with its NUL */
	setenv("RSM_SOCKET", path, 1);
	expect_refused(strerror(ENAMETOOLONG));
	path[107] = '\0';
	setenv("RSM_SOCKET", path, 1);
	expect_refused(strerror(ENOENT));
	assert_int_equal(access(directory, F_OK), -1); /* nothing was made */
}

/* Set and empty is not set. */
static void test_chosen_empty(void **state)
{
	(void)state;
	need_no_rsmd();
	setenv("RSM_SOCKET", "", 1);
	expect_refused(socket_path);
}

/* ---- the private directory ---- */

static void test_none_found(void **state)
{
	struct stat st;

	(void)state;
	need_no_rsmd();
	mode_t mask = umask(0);
	expect_refused("no rsmd was found to start");
	umask(mask);
	assert_non_null(strstr(base_reason(), socket_path));
	assert_int_equal(stat(directory, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	expect_refused("no rsmd was found to start");
}

static void test_listening(void **state)
{
	(void)state;
	need_no_rsmd();
	assert_int_equal(mkdir(directory, 0700), 0);
	int listener = listen_at(socket_path);
	int fd = start_connect();
	assert_true(fd > 2);
	close(fd);
	close(listener);
}

/* A directory in which others could put a socket of theirs is refused, even if somebody listens there. */
static void test_directory_of_others(void **state)
{
	const mode_t modes[] = {0720, 0702, 0777, 01777};

	(void)state;
	need_no_rsmd();
	assert_int_equal(mkdir(directory, 0700), 0);
	int listener = listen_at(socket_path);
	for (size_t i = 0; i < sizeof(modes) / sizeof(*modes); i++) {
		assert_int_equal(chmod(directory, modes[i]), 0);
		expect_refused("nobody else can write");
		assert_non_null(strstr(base_reason(), directory));
	}
	assert_int_equal(chmod(directory, 0755), 0); /* others may look */
	int fd = start_connect();
	assert_true(fd > 2);
	close(fd);
	if (geteuid() == 0) { /* only root can give it away */
		assert_int_equal(chown(directory, 65534, 65534), 0);
		expect_refused("nobody else can write");
		assert_int_equal(chown(directory, 0, 0), 0);
	}
	close(listener);
}

static void test_directory_is_link(void **state)
{
	char elsewhere[96];

	(void)state;
	need_no_rsmd();
	snprintf(elsewhere, sizeof(elsewhere), "%s/else", runtime);
	assert_int_equal(mkdir(elsewhere, 0700), 0);
	assert_int_equal(symlink(elsewhere, directory), 0);
	expect_refused("must be a directory");
	assert_int_equal(rmdir(elsewhere), 0); /* the link leads nowhere now */
	expect_refused("must be a directory");
	assert_int_equal(access(elsewhere, F_OK), -1);
}

static void test_directory_is_file(void **state)
{
	(void)state;
	need_no_rsmd();
	close(open(directory, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	expect_refused("must be a directory");
}

static void test_directory_impossible(void **state)
{
	char path[PATH_MAX + 200];

	(void)state;
	need_no_rsmd();
	setenv("XDG_RUNTIME_DIR", "/proc/self/nothing", 1);
	expect_refused("cannot make /proc/self/nothing/rsm");
	/* The socket's name must fit a socket's address; the path must fit a path. */
	const size_t lengths[] = {94, 200, PATH_MAX - 2, PATH_MAX + 100};
	for (size_t i = 0; i < sizeof(lengths) / sizeof(*lengths); i++) {
		memset(path, 'x', lengths[i]);
		path[0] = '/';
		path[lengths[i]] = '\0';
		setenv("XDG_RUNTIME_DIR", path, 1);
		expect_refused("too long for a socket");
	}
	path[93] = '\0'; /* with "/rsm/rsmd.sock" it is 107 */
	setenv("XDG_RUNTIME_DIR", path, 1);
	if (geteuid() != 0)
		expect_refused("cannot make");
}

/* ---- starting a program ---- */

static void program_write(const char *text, mode_t mode)
{
	char path[128];
	snprintf(path, sizeof(path), "%s/rsmd", programs);
	unlink(path);
	int fd = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, mode);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static volatile sig_atomic_t children;

static void on_child(int number)
{
	(void)number;
	children++;
}

/* A program that fails is not waited for longer than it lives, and leaves no trace in the application. */
static void test_program_fails(void **state)
{
	struct sigaction action = {.sa_handler = on_child}, saved;

	(void)state;
	need_no_rsmd();
	sigaction(SIGCHLD, &action, &saved);
	program_write("#!/bin/sh\nexit 1\n", 0700);
	expect_refused("rsmd did not start");
	assert_non_null(strstr(base_reason(), programs));
	assert_non_null(strstr(base_reason(), "--private --socket"));
	program_write("this is no program", 0700);
	expect_refused("rsmd did not start");
	sigaction(SIGCHLD, &saved, NULL);
	assert_int_equal(children, 0);
	assert_int_equal(wait(NULL), -1);
	assert_int_equal(errno, ECHILD);
}

/* Where PATH is looked through: absolute entries only, and what can be run. */
static void test_program_found(void **state)
{
	char path[256];

	(void)state;
	need_no_rsmd();
	program_write("#!/bin/sh\nexit 1\n", 0600);
	if (geteuid() == 0) /* for root, too, something must be executable */
		expect_refused("no rsmd was found to start");
	program_write("#!/bin/sh\nexit 1\n", 0700);
	snprintf(path, sizeof(path), "/nowhere::%s:/nothing", programs);
	setenv("PATH", path, 1);
	expect_refused("rsmd did not start");
	assert_int_equal(chdir(programs), 0);
	setenv("PATH", ":.:", 1);
	expect_refused("no rsmd was found to start");
	assert_int_equal(chdir("/"), 0);
}

/* What rsmd gets: its socket, the locked directory, and nothing else that is ours. */
static void test_program_arguments(void **state)
{
	char script[512], result[128], text[1024] = "", expected[400];

	(void)state;
	need_no_rsmd();
	snprintf(result, sizeof(result), "%s/result", runtime);
	snprintf(script, sizeof(script),
		 "#!/bin/sh\nexec 9>'%s'\necho \"$@\" >&9\n"
		 "/bin/readlink /proc/$$/fd/3 >&9\n"
		 "[ -e /proc/$$/fd/20 ] && echo more >&9\npwd >&9\n/bin/readlink /proc/$$/fd/0 >&9\n",
		 result);
	program_write(script, 0700);
	/* Our standard input, our directory, and a descriptor that is not closed on exec. */
	int zero = open("/dev/zero", O_RDONLY | O_CLOEXEC), input = fcntl(0, F_DUPFD_CLOEXEC, 3);
	assert_int_equal(dup2(zero, 0), 0);
	assert_int_equal(dup2(zero, 20), 20);
	assert_int_equal(chdir(programs), 0);
	expect_refused("rsmd did not start");
	assert_int_equal(chdir("/"), 0);
	assert_int_equal(dup2(input, 0), 0);
	close(20);
	close(input);
	close(zero);
	int fd = open(result, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_true(read(fd, text, sizeof(text) - 1) > 0);
	close(fd);
	unlink(result);
	snprintf(expected, sizeof(expected), "--private --detach --lock-fd 3 --socket %s\n%s\n/\n/dev/null\n",
		 socket_path, directory);
	assert_string_equal(text, expected);
}

/* ---- somebody else is starting it ---- */

static void *connect_there(void *unused)
{
	(void)unused;
	return (void *)(intptr_t)start_connect();
}

/* While another process holds the lock we neither start a program nor give up, and find its socket. */
static void test_other_starts(void **state)
{
	pthread_t thread;
	void *result;
	char event[512];

	(void)state;
	need_no_rsmd();
	assert_int_equal(mkdir(directory, 0700), 0);
	int lock = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(flock(lock, LOCK_EX | LOCK_NB), 0);
	int watch = inotify_init1(IN_CLOEXEC);
	assert_true(inotify_add_watch(watch, directory, IN_CLOSE) >= 0);
	assert_int_equal(pthread_create(&thread, NULL, connect_there, NULL), 0);
	/* It has opened the directory, found it locked, and closed it. */
	assert_true(read(watch, event, sizeof(event)) > 0);
	int listener = listen_at(socket_path);
	pthread_join(thread, &result);
	int fd = (int)(intptr_t)result;
	assert_true(fd > 2);
	close(fd);
	close(listener);
	close(watch);
	close(lock);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(test_chosen),
		TEST(test_chosen_wrong),
		TEST(test_chosen_empty),
		TEST(test_none_found),
		TEST(test_listening),
		TEST(test_directory_of_others),
		TEST(test_directory_is_link),
		TEST(test_directory_is_file),
		TEST(test_directory_impossible),
		TEST(test_program_fails),
		TEST(test_program_found),
		TEST(test_program_arguments),
		TEST(test_other_starts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
