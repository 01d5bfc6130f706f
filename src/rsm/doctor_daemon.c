/* SPDX-License-Identifier: BSD-2-Clause */
/* The sockets where rsmd is looked for, in the library's order; the daemon that answers; its limits. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/place.h"
#include "rsm/doctor.h"

/* 0: somebody listens; else the errno. */
static int listens(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	if (strlen(path) >= sizeof(address.sun_path))
		return ENAMETOOLONG;
	strcpy(address.sun_path, path);
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int error = fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) ? errno : 0;
	base_fd_close(&fd);
	return error == EAGAIN ? 0 : error; /* its queue is full, so there is one */
}

/* Owner and mode of a socket, in words. */
static void describe(const char *path, char *text, size_t size)
{
	struct stat st;
	text[0] = '\0';
	if (lstat(path, &st) == 0)
		snprintf(text, size, " (uid %u, mode %04o)", st.st_uid, (unsigned)st.st_mode & 07777);
}

/* RSM_SOCKET is the only place then. */
static void check_named(struct doctor *doctor, const char *path)
{
	char rights[64];
	int error = listens(path);
	describe(path, rights, sizeof(rights));
	if (!error) {
		doctor_say(doctor, DOCTOR_OK, "socket", "RSM_SOCKET names %s%s, and it answers", path,
			   rights);
		return;
	}
	doctor_say(doctor, DOCTOR_PROBLEM, "socket",
		   "RSM_SOCKET names %s%s, where nobody answers (%s), and nowhere "
		   "else is looked",
		   path, rights, strerror(error));
	doctor_advise(doctor,
		      error == EACCES ? "ask its owner for a right (socket-mode in rsmd.conf), or unset "
					"RSM_SOCKET"
				      : "start rsmd there (rsmd --socket %s), or unset RSM_SOCKET",
		      path);
}

/* True: the system daemon answers, and programs take it. */
static bool check_system(struct doctor *doctor)
{
	char rights[64];
	const char *path = BASE_PLACE_SYSTEM_SOCKET;
	int error = listens(path);
	describe(path, rights, sizeof(rights));
	if (!error) {
		doctor_say(doctor, DOCTOR_OK, "socket", "%s%s, of a system daemon, answers", path, rights);
	} else if (error == ENOENT) {
		doctor_say(doctor, DOCTOR_OK, "socket",
			   "%s is not there: no system daemon, so each user has a private one; programs of "
			   "different "
			   "users and of other nodes need a system daemon",
			   path);
	} else if (error == EACCES) {
		doctor_say(doctor, DOCTOR_WARNING, "socket",
			   "%s%s: this user may not connect, so its programs take a private daemon and see "
			   "no segments "
			   "of others",
			   path, rights);
		doctor_advise(
			doctor,
			"give the user a right to it: socket-mode in rsmd.conf, or the rights of /run/rsm");
	} else {
		doctor_say(doctor, DOCTOR_WARNING, "socket",
			   "%s%s was left behind by a system daemon that is gone (%s); programs take private "
			   "daemons "
			   "meanwhile",
			   path, rights, strerror(error));
		doctor_advise(
			doctor,
			"start the system daemon again, it replaces the socket; if it keeps dying, see its "
			"log");
	}
	return !error;
}

static void check_private(struct doctor *doctor, bool used)
{
	char directory[PATH_MAX], path[PATH_MAX + 16], rights[64];
	struct stat st;
	if (!base_place_private(directory, sizeof(directory)))
		return;
	snprintf(path, sizeof(path), "%s/rsmd.sock", directory);
	bool there = lstat(directory, &st) == 0;
	if (there && (!S_ISDIR(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 022))) {
		doctor_say(doctor, used ? DOCTOR_PROBLEM : DOCTOR_NOTE, "private socket",
			   "%s must be a directory of uid %u that nobody else can write; it is uid %u's, "
			   "mode %04o",
			   directory, geteuid(), st.st_uid, (unsigned)st.st_mode & 07777);
		doctor_advise(doctor, "remove %s, or set XDG_RUNTIME_DIR", directory);
		return;
	}
	int error = there ? listens(path) : ENOENT;
	describe(path, rights, sizeof(rights));
	if (!used && !error) {
		doctor_say(doctor, DOCTOR_NOTE, "private socket",
			   "%s answers as well: programs that found it before the system daemon came stay "
			   "with it, and do "
			   "not see the system daemon's segments",
			   path);
		doctor_advise(doctor,
			      "restart those programs; the private daemon leaves when they have ended");
	} else if (used) {
		doctor_say(doctor, DOCTOR_OK, "private socket", "%s%s%s", path, rights,
			   !error ? " answers"
			   : error == ENOENT
				   ? ": nobody listens yet; the first program starts a private daemon"
				   : " was left behind; the next private daemon replaces it");
	}
}

static json_t *load(const char *what)
{
	char *text;
	json_error_t error;
	if (rsmx_status(what, 0, &text) != RSM_SUCCESS)
		return NULL;
	json_t *tree = json_loads(text, 0, &error);
	free(text);
	return tree;
}

static bool check_answer(struct doctor *doctor)
{
	char program[PATH_MAX];
	doctor->status = load("status");
	if (!doctor->status) {
		doctor_say(doctor, DOCTOR_PROBLEM, "daemon", "%s", rsmx_last_error());
		doctor_advise(doctor,
			      tool_program_find(program, sizeof(program))
				      ? "run %s --private by hand to see why, or start the system daemon"
				      : "install rsmd: it is neither beside the library nor in PATH",
			      program);
		return false;
	}
	doctor->health = load("health");
	doctor->config = load("config");
	doctor->nodes = load("nodes");
	const json_t *status = doctor->status;
	doctor_say(
		doctor, DOCTOR_OK, "daemon", "a %s rsmd answers: pid %jd, uid %jd, node %jd (%s), for %jd s",
		doctor_number(status, "private", 0) ? "private" : "system",
		(intmax_t)doctor_number(status, "pid", 0), (intmax_t)doctor_number(doctor->health, "uid", -1),
		(intmax_t)doctor_number(status, "node.id", 0), doctor_text(status, "node.name"),
		(intmax_t)doctor_number(status, "uptime_s", 0));
	doctor_say(doctor, DOCTOR_OK, "cleaning up",
		   "nothing to do: segments, memory and descriptors end with the processes that have them, "
		   "so there is no rsm gc");
	return true;
}

static void check_release(struct doctor *doctor)
{
	const char *daemon = doctor_text(doctor->status, "release"), *library = rsmx_version(NULL);
	bool same = strcmp(daemon, library) == 0 && strcmp(library, RSM_RELEASE) == 0;
	doctor_say(doctor, same ? DOCTOR_OK : DOCTOR_WARNING, "release", "library %s, daemon %s, tool %s",
		   library, daemon, RSM_RELEASE);
	if (!same)
		doctor_advise(doctor, "install one release of all three, and restart rsmd");
	if (!doctor->health || !doctor->config) {
		doctor_say(doctor, DOCTOR_NOTE, "release",
			   "this daemon does not tell its limits and settings; they are not looked at");
		doctor_advise(doctor, "restart rsmd, so that the installed release runs");
	}
}

/* Two for each published segment with importers (doc/operating.md), which is the most that max-segments allows. */
static void check_descriptors(struct doctor *doctor)
{
	int64_t usable = doctor_number(doctor->health, "descriptors.usable", 0),
		used = doctor_number(doctor->health, "descriptors.in_use", 0),
		soft = doctor_number(doctor->health, "descriptors.soft", 0),
		hard = doctor_number(doctor->health, "descriptors.hard", -1),
		most = doctor_number(doctor->health, "max_segments", 0);
	if (!usable)
		return;
	bool full = used > usable / 10 * 8, fewer = usable / 2 < most;
	doctor_say(doctor,
		   full    ? DOCTOR_WARNING
		   : fewer ? DOCTOR_NOTE
			   : DOCTOR_OK,
		   "rsmd's files",
		   "%jd of %jd descriptors in use (RLIMIT_NOFILE %jd of %jd); a published segment with "
		   "importers takes "
		   "two, so they are enough for some %jd, max-segments is %jd",
		   (intmax_t)used, (intmax_t)usable, (intmax_t)soft, (intmax_t)hard, (intmax_t)usable / 2,
		   (intmax_t)most);
	if (full || fewer)
		doctor_advise(doctor, "%s: LimitNOFILE= in rsmd's unit, or ulimit -Hn before it starts",
			      full ? "raise the limit" : "raise the limit if so many are wanted");
}

static void check_counts(struct doctor *doctor)
{
	char used[32], limit[32] = "no limit";
	int64_t segments = doctor_number(doctor->health, "segments", 0),
		most = doctor_number(doctor->status, "limits.max_segments", 0),
		bytes = doctor_number(doctor->status, "counts.bytes", 0),
		bytes_most = doctor_number(doctor->status, "limits.max_exported_bytes", 0);
	tool_format_size(used, sizeof(used), (uint64_t)bytes);
	if (bytes_most)
		tool_format_size(limit, sizeof(limit), (uint64_t)bytes_most);
	bool full = segments > most / 10 * 9 || (bytes_most && bytes > bytes_most / 10 * 9);
	doctor_say(doctor, full ? DOCTOR_WARNING : DOCTOR_OK, "segments",
		   "%jd exports and imports of %jd (max-segments); %s exported (max-exported-memory: %s)",
		   (intmax_t)segments, (intmax_t)most, used, limit);
	if (full)
		doctor_advise(doctor,
			      "rsm ls and rsm status show who has them; the limits are in rsmd.conf, [node]");
}

static void check_device(struct doctor *doctor)
{
	if (!doctor->health)
		return;
	bool wanted = doctor_number(doctor->health, "userfaultfd_wanted", 0) > 0,
	     there = doctor_number(doctor->health, "userfaultfd_device", 0) > 0;
	doctor_say(doctor, there ? DOCTOR_OK : DOCTOR_NOTE, "rsmd's device",
		   there    ? "rsmd passes /dev/userfaultfd to its clients, so theirs is complete"
		   : wanted ? "rsmd may not open /dev/userfaultfd, so clients have what they have themselves"
			    : "userfaultfd = no in rsmd.conf, so clients have what they have themselves");
	if (!there && wanted)
		doctor_advise(
			doctor,
			"chgrp its group to /dev/userfaultfd and chmod 660 (a udev rule keeps it), then "
			"restart rsmd");
}

void doctor_daemon(struct doctor *doctor)
{
	const char *named = secure_getenv("RSM_SOCKET");
	if (named && *named)
		check_named(doctor, named);
	else
		check_private(doctor, !check_system(doctor));
	if (!check_answer(doctor))
		return;
	check_release(doctor);
	check_descriptors(doctor);
	check_counts(doctor);
	check_device(doctor);
}
