/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What this daemon may and has, as JSON, for `rsm doctor`. Schema 1: keys are only added. Every client may ask, so nothing
 * here helps whoever attacks: no address in memory, nothing of the key but what `ls -l` shows.
 */
#include "rsmd/status.h"

#include <errno.h>
#include <fcntl.h>
#include <rsmapi.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "rsmd/listen.h"
#include "rsmd/peer.h"
#include "rsmd/rsmd.h"

/* RLIM_INFINITY is null: JSON has no such number. */
static json_t *limit_of(rlim_t value)
{
	return value > INT64_MAX ? json_null() : json_integer((json_int_t)value);
}

static json_t *descriptors(void)
{
	struct rlimit limit = {0, 0};
	uint64_t ceiling = rsmd_fd_ceiling();
	getrlimit(RLIMIT_NOFILE, &limit);
	json_t *said = json_pack("{s:o, s:o, s:I, s:o}", "soft", limit_of(limit.rlim_cur), "hard",
				 limit_of(limit.rlim_max), "usable", (json_int_t)ceiling, "in_use",
				 json_integer((json_int_t)rsmd_fd_count()));
	return said;
}

static json_t *memlock(void)
{
	struct rlimit limit = {0, 0};
	getrlimit(RLIMIT_MEMLOCK, &limit);
	return json_pack("{s:o, s:o}", "soft", limit_of(limit.rlim_cur), "hard", limit_of(limit.rlim_max));
}

/* A socket from a service manager has the mode that its unit says, and its name is only in the socket. */
static json_t *listener(void)
{
	struct stat stat;
	bool inherited;
	const char *path = rsmd_listen_path(&inherited);
	json_t *said = json_pack("{s:o, s:b}", "path", *path ? rsmd_status_text(path) : json_null(),
				 "inherited", inherited);
	if (*path && !lstat(path, &stat)) {
		json_object_set_new(said, "mode", rsmd_status_octal(stat.st_mode & 07777));
		json_object_set_new(said, "uid", json_integer((json_int_t)stat.st_uid));
	}
	return said;
}

/*
 * The key is read once, at start. What is told is whether the file is still there, who may read it, and whether it was
 * changed since: then the next start takes another key than the other nodes may have.
 */
static json_t *key_file(void)
{
	const char *path = rsmd_server.config.key_file;
	struct stat stat;
	if (!*path)
		return json_null();
	if (lstat(path, &stat))
		return json_pack("{s:o, s:s}", "path", rsmd_status_text(path), "error", strerror(errno));
	double age = rsmd_status_seconds_since(rsmd_server.started_ns);
	double changed = (double)time(NULL) - (double)stat.st_ctime;
	return json_pack("{s:o, s:o, s:I, s:b}", "path", rsmd_status_text(path), "mode",
			 rsmd_status_octal(stat.st_mode & 07777), "uid", (json_int_t)stat.st_uid, "changed",
			 changed < age - 1);
}

/* Which namespaces the daemon is in, as the kernel numbers them: a client in others may not mean the same by a name. */
static json_t *namespaces(void)
{
	static const char *const names[] = {"user", "pid", "mnt", "net", "ipc"};
	json_t *said = json_object();
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		char path[32];
		struct stat stat_of;
		snprintf(path, sizeof(path), "/proc/self/ns/%s", names[i]);
		if (!stat(path, &stat_of))
			json_object_set_new(said, names[i], json_integer((json_int_t)stat_of.st_ino));
	}
	return said;
}

static int processors(void)
{
	cpu_set_t set;
	return sched_getaffinity(0, sizeof(set), &set) ? 0 : CPU_COUNT(&set);
}

/* How late the newest beat of each path is, and how far the other node's wall clock is from ours. */
static json_t *paths(void)
{
	json_t *list = json_array();
	uint64_t now = base_clock_boot_ns();
	for (const struct rsmd_peer *peer = rsmd_peers; peer; peer = peer->next) {
		if (peer->state != RSMD_PEER_ACTIVE || peer->self)
			continue;
		json_t *said = json_pack("{s:I, s:s, s:f, s:f}", "node", (json_int_t)peer->member.node,
					 "controller", peer->member.controller->name, "heard_ms_ago",
					 (double)(now - peer->seen_ns) / 1e6, "dead_after_ms",
					 (double)peer->dead_after_ns / 1e6);
		json_object_set_new(said, "clock_ahead_ms",
				    peer->clock_known ? json_real((double)peer->clock_ahead_ns / 1e6)
						      : json_null());
		json_array_append_new(list, said);
	}
	return list;
}

json_t *rsmd_status_health(void)
{
	bool cluster = rsmd_server.config.peer_count > 0;
	return json_pack(
		"{s:i, s:s, s:I, s:i, s:I, s:b, s:o, s:o, s:I, s:I, s:b, s:b, s:o, s:o, s:i, s:i, s:o, s:o}",
		"schema", 1, "release", RSM_RELEASE, "node", (json_int_t)rsmd_server.config.node_id, "pid",
		(int)getpid(), "uid", (json_int_t)geteuid(), "private", rsmd_server.private_daemon,
		"descriptors", descriptors(), "memlock", memlock(), "segments",
		(json_int_t)rsmd_server.segments, "max_segments", (json_int_t)rsmd_server.config.max_segments,
		"userfaultfd_wanted", rsmd_server.config.userfaultfd, "userfaultfd_device",
		rsmd_server.userfaultfd >= 0, "socket", listener(), "key_file",
		cluster ? key_file() : json_null(), "processors", processors(), "threads",
		cluster ? (int)rsmd_server.config.threads : 0, "namespaces", namespaces(), "paths", paths());
}
