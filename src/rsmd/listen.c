/* SPDX-License-Identifier: BSD-2-Clause */
#include "rsmd/listen.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fd.h"
#include "rsmd/client.h"
#include "rsmd/log.h"
#include "rsmd/loop.h"
#include "rsmd/manager.h"

#define BACKLOG    4096
#define LOCK_TRIES 500 /* times 10 ms: another rsmd holds the lock while it starts or leaves */
#define PAUSE_MS   100 /* after accept failed for lack of kernel memory or files */
#define ACCEPTS    64  /* in a row, before requests get their turn */

static struct sockaddr_un address = {.sun_family = AF_UNIX};
static char directory[sizeof(address.sun_path)];
static int listen_fd = -1;
static bool inherited;       /* the service manager's: its name is not ours to remove */
static struct stat own_name; /* of the name, to see whether it still is ours */
static struct rsmd_watch *watch;
static struct rsmd_timer *idle_timer;
static struct rsmd_timer *pause_timer;

__attribute__((format(printf, 3, 4))) static bool fail(char *error, size_t size, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(error, size, format, arguments);
	va_end(arguments);
	return false;
}

bool rsmd_listen_default_path(bool private_daemon, char *path, size_t size)
{
	const char *runtime = getenv("XDG_RUNTIME_DIR");
	char user[64];
	int length;
	snprintf(user, sizeof(user), "/run/user/%u", geteuid());
	if (!private_daemon)
		length = snprintf(path, size, "/run/rsm/rsmd.sock");
	else if (runtime && runtime[0] == '/')
		length = snprintf(path, size, "%s/rsm/rsmd.sock", runtime);
	else if (!access(user, F_OK))
		length = snprintf(path, size, "%s/rsm/rsmd.sock", user);
	else
		length = snprintf(path, size, "/tmp/rsm-%u/rsmd.sock", geteuid());
	return length > 0 && (size_t)length < size;
}

/* The socket's directory, made if missing. Whoever can write into it could put his socket in our place. */
static int directory_open(char *error, size_t size)
{
	struct stat stat;
	mkdir(directory, rsmd_server.private_daemon ? 0700 : 0755); /* open tells if it is not there */
	int fd = open(directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0) {
		fail(error, size, "%s: %s; make it for rsmd's user, or choose another socket by --socket",
		     directory, strerror(errno));
		return -1;
	}
	if (!fstat(fd, &stat) &&
	    (stat.st_uid == geteuid() || (!rsmd_server.private_daemon && stat.st_uid == 0)) &&
	    (!(stat.st_mode & 0022) || stat.st_mode & S_ISVTX))
		return fd;
	base_fd_close(&fd);
	fail(error, size,
	     "%s: belongs to uid %u with mode 0%o; it must be ours and not writable for others, unless "
	     "sticky",
	     directory, stat.st_uid, stat.st_mode & 07777);
	return -1;
}

/* flock has no time limit of its own; nobody holds this lock for long. */
static bool directory_lock(int fd, int tries)
{
	while (flock(fd, LOCK_EX | LOCK_NB)) {
		if (errno != EWOULDBLOCK || --tries <= 0)
			return false;
		poll(NULL, 0, 10);
	}
	return true;
}

static bool is_served(void)
{
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	bool served =
		fd >= 0 &&
		(!connect(fd, (struct sockaddr *)&address, sizeof(address)) ||
		 (errno != ECONNREFUSED && errno != ENOENT && errno != EPROTOTYPE && errno != ENOTSOCK));
	base_fd_close(&fd);
	return served;
}

/* Listens under a temporary name and renames it, so that nobody ever finds a socket that refuses him. */
static bool listen_bind(char *error, size_t size)
{
	struct sockaddr_un temporary = {.sun_family = AF_UNIX};
	int length =
		snprintf(temporary.sun_path, sizeof(temporary.sun_path), "%s/.%d", directory, (int)getpid());
	if (length < 0 || (size_t)length >= sizeof(temporary.sun_path))
		return fail(error, size, "%s: too long for a socket's name", directory);
	int fd = base_fd_above_stdio(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
	unlink(temporary.sun_path); /* of a process that had our number and died here */
	if (fd < 0 || bind(fd, (struct sockaddr *)&temporary, sizeof(temporary)) ||
	    chmod(temporary.sun_path, rsmd_server.private_daemon ? 0600 : rsmd_server.config.socket_mode) ||
	    listen(fd, BACKLOG) || rename(temporary.sun_path, address.sun_path) ||
	    lstat(address.sun_path, &own_name)) {
		fail(error, size, "%s: %s", address.sun_path, strerror(errno));
		unlink(temporary.sun_path);
		base_fd_close(&fd);
		return false;
	}
	listen_fd = fd;
	return true;
}

bool rsmd_listen_open(const char *path, int lock_fd, char *error, size_t size)
{
	if (!rsmd_manager_socket(&listen_fd, error, size))
		return false;
	inherited = listen_fd >= 0;
	if (inherited) {
		socklen_t length = sizeof(address);
		if (getsockname(listen_fd, (struct sockaddr *)&address, &length) != 0 ||
		    address.sun_path[0] != '/')
			address.sun_path[0] = '\0';
		address.sun_path[sizeof(address.sun_path) - 1] = '\0';
		return true;
	}
	const char *slash = strrchr(path, '/');
	if (strlen(path) >= sizeof(address.sun_path) - 16)
		return fail(error, size, "%s: too long for a socket's name, the limit is %zu bytes", path,
			    sizeof(address.sun_path) - 17);
	if (!slash || slash == path || !slash[1])
		return fail(error, size, "%s: an absolute path is expected, in a directory of its own", path);
	strcpy(address.sun_path, path);
	memcpy(directory, path, (size_t)(slash - path));

	int fd = directory_open(error, size);
	if (fd < 0)
		return false;
	bool done;
	if (lock_fd < 0 && !directory_lock(fd, LOCK_TRIES))
		done = fail(error, size, "%s: somebody else holds the lock", directory);
	else if (is_served())
		done = fail(error, size, "%s: another rsmd serves this socket", path);
	else
		done = listen_bind(error, size);
	/* The lock is on the open file: unlocking the starter's descriptor frees it for everybody. */
	if (lock_fd >= 0) {
		flock(lock_fd, LOCK_UN);
		base_fd_close(&lock_fd);
	}
	base_fd_close(&fd);
	return done;
}

const char *rsmd_listen_path(bool *from_outside)
{
	*from_outside = inherited;
	return address.sun_path;
}

/* Accepts what waits. False: not now, the kernel has no room. */
static bool accept_some(int limit)
{
	for (int i = 0; i < limit; i++) {
		int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (fd >= 0)
			rsmd_client_accept(fd);
		else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
			return false;
		else if (errno != EINTR && errno != ECONNABORTED)
			return true;
	}
	return true;
}

static void on_connection(void *context)
{
	(void)context;
	if (!accept_some(ACCEPTS)) {
		/* The connection stays readable: without a pause this would spin. */
		rsmd_log_offence("cannot accept a connection: %s", strerror(errno));
		rsmd_loop_wait_for(watch, RSMD_WAIT_NOTHING);
		rsmd_loop_timer_start(pause_timer, PAUSE_MS);
	}
	rsmd_loop_active();
}

static void on_pause_over(void *context)
{
	(void)context;
	rsmd_loop_wait_for(watch, RSMD_WAIT_READ);
}

static void unlink_own(void)
{
	struct stat now;
	if (!inherited && !lstat(address.sun_path, &now) && now.st_ino == own_name.st_ino &&
	    now.st_dev == own_name.st_dev)
		unlink(address.sun_path);
}

void rsmd_listen_close(void)
{
	if (listen_fd >= 0)
		unlink_own();
	base_fd_close(&listen_fd);
}

/* The queue of the socket that is given up is not empty: serves it and listens anew. */
static bool stay(int first)
{
	char error[256];
	int old = listen_fd;
	rsmd_loop_unwatch(watch);
	watch = NULL;
	rsmd_client_accept(first);
	accept_some(BACKLOG);
	base_fd_close(&old);
	listen_fd = -1;
	if (!listen_bind(error, sizeof(error))) {
		rsmd_log(RSMD_LOG_ERROR, "%s", error);
		return false;
	}
	watch = rsmd_loop_watch(listen_fd, on_connection, NULL);
	if (!rsmd_server.client_count) /* who was waiting was refused, or has gone again */
		rsmd_listen_idle();
	return watch != NULL;
}

/*
 * Nobody came for a while. Under the lock nobody can start another rsmd; with the name gone and the socket
 * shut nobody can connect any more. Who did connect before that is still in the queue: then we stay, with a
 * new socket.
 */
static void on_idle(void *context)
{
	char error[256];
	(void)context;
	/* Without the directory nobody can find us any more: then there is nothing to be careful about. */
	int lock = directory_open(error, sizeof(error));
	if (lock >= 0 && !directory_lock(lock, 1)) { /* a starter looks for us right now */
		base_fd_close(&lock);
		rsmd_listen_idle();
		return;
	}
	unlink_own();
	shutdown(listen_fd, SHUT_RD);
	int first = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (first < 0 || !stay(first)) {
		rsmd_log(RSMD_LOG_INFO, "no client for %llu ms, leaving",
			 (unsigned long long)rsmd_server.config.idle_exit_ms);
		rsmd_loop_stop();
	}
	base_fd_close(&lock);
}

bool rsmd_listen_start(void)
{
	watch = rsmd_loop_watch(listen_fd, on_connection, NULL);
	idle_timer = rsmd_loop_timer(on_idle, NULL);
	pause_timer = rsmd_loop_timer(on_pause_over, NULL);
	if (!watch || !idle_timer || !pause_timer)
		return false;
	rsmd_listen_idle();
	return true;
}

void rsmd_listen_busy(void)
{
	rsmd_loop_timer_stop(idle_timer);
}

void rsmd_listen_idle(void)
{
	if (rsmd_server.private_daemon && rsmd_server.config.idle_exit_ms && !inherited)
		rsmd_loop_timer_start(idle_timer, rsmd_server.config.idle_exit_ms);
}
