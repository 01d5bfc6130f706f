/* SPDX-License-Identifier: BSD-2-Clause */
/* Configuration, key file, the addresses of this host, the paths to other nodes and their clocks. */
#include <arpa/inet.h>
#include <ifaddrs.h>
#include <limits.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "rsm/doctor.h"

#define PATHS_SHOWN    8    /* active paths that are told one by one */
#define CLOCK_AHEAD_MS 1000 /* between nodes: logs cannot be compared any more */

/* Whether the file was written after the daemon read it. */
static bool is_newer(const struct doctor *doctor, const char *path)
{
	struct stat st;
	double started = (double)time(NULL) - (double)doctor_number(doctor->status, "uptime_s", 0);
	return doctor->status && stat(path, &st) == 0 && (double)st.st_mtime > started + 1;
}

static void check_file(struct doctor *doctor)
{
	char program[PATH_MAX], checked[] = "--check", option[] = "--config", output[4096], said[1024],
				file[PATH_MAX];
	const json_t *files = json_object_get(doctor->config, "files");
	if (!tool_program_find(program, sizeof(program))) {
		doctor_say(doctor, DOCTOR_NOTE, "configuration",
			   "not checked: rsmd is neither beside the library nor in PATH");
		doctor_advise(doctor, "rsmd --check, where rsmd is");
		return;
	}
	const char *first = json_string_value(json_array_get(files, 0));
	snprintf(file, sizeof(file), "%s", first ? first : "");
	/* Drop-ins without a file before them are read by way of the default file only. */
	bool named = json_is_string(json_object_get(doctor->config, "file"));
	char *arguments[] = {program, checked, named ? option : NULL, named ? file : NULL, NULL};
	int status = tool_program_run(arguments, output, sizeof(output));
	tool_program_checked(status < 0 ? "" : output, NULL, said, sizeof(said));
	bool newer = false;
	for (size_t i = 0; i < json_array_size(files); i++)
		newer |= is_newer(doctor, json_string_value(json_array_get(files, i)));
	if (status != 0) {
		doctor_say(doctor, DOCTOR_PROBLEM, "configuration", "%s",
			   status < 0 ? "rsmd could not be run" : said);
		doctor_advise(doctor, "correct that line; until then rsmd does not start again");
	} else if (newer) {
		doctor_say(doctor, DOCTOR_NOTE, "configuration",
			   "%s is valid, and was changed after rsmd started", file);
		doctor_advise(doctor, "restart rsmd, if the change is wanted now");
	} else if (*said) {
		doctor_say(doctor, DOCTOR_NOTE, "configuration", "valid, but %s", said);
	} else {
		doctor_say(doctor, DOCTOR_OK, "configuration", "%s%s",
			   first ? file : "no file: every setting is the default", first ? " is valid" : "");
	}
}

static void check_key(struct doctor *doctor)
{
	const char *path = doctor_text(doctor->health, "key_file.path");
	unsigned long mode = strtoul(doctor_text(doctor->health, "key_file.mode"), NULL, 8);
	int64_t owner = doctor_number(doctor->health, "key_file.uid", -1),
		daemon = doctor_number(doctor->health, "uid", -1);
	if (!doctor->health || !*path)
		return;
	if (*doctor_text(doctor->health, "key_file.error")) {
		doctor_say(doctor, DOCTOR_PROBLEM, "key file", "%s: %s", path,
			   doctor_text(doctor->health, "key_file.error"));
		doctor_advise(
			doctor,
			"copy the key of another node there, in a way that shows it to nobody else; rsm "
			"keygen makes the first one");
	} else if (mode & 0027 || (owner != 0 && owner != daemon)) {
		doctor_say(doctor, DOCTOR_PROBLEM, "key file",
			   "%s: mode %04lo, of uid %jd: others can read or change it", path, mode,
			   (intmax_t)owner);
		doctor_advise(
			doctor,
			"chmod 600 and chown it to rsmd's user; make a new key if others may have read it");
	} else if (doctor_number(doctor->health, "key_file.changed", 0)) {
		doctor_say(doctor, DOCTOR_NOTE, "key file", "%s was changed after rsmd read it", path);
		doctor_advise(doctor, "see that all nodes have the same key, and restart rsmd");
	} else {
		doctor_say(doctor, DOCTOR_OK, "key file", "%s: mode %04lo, of uid %jd", path, mode,
			   (intmax_t)owner);
	}
}

/* Without the port, and without the brackets of IPv6. */
static void host_of(const char *endpoint, char *host, size_t size)
{
	const char *colon = strrchr(endpoint, ':');
	bool bracket = endpoint[0] == '[';
	size_t length = colon ? (size_t)(colon - endpoint) : strlen(endpoint);
	if (bracket && length > 2)
		snprintf(host, size, "%.*s", (int)length - 2, endpoint + 1);
	else
		snprintf(host, size, "%.*s", (int)length, endpoint);
	host[strcspn(host, "%")] = '\0';
}

/* 1: on an interface that is up, 0: on one that is down, -1: on none. */
static int interface_of(const struct ifaddrs *all, const char *host, char name[IF_NAMESIZE])
{
	int found = -1;
	if (strcmp(host, "0.0.0.0") == 0 || strcmp(host, "::") == 0) {
		strcpy(name, "any");
		return 1;
	}
	for (const struct ifaddrs *at = all; at && found < 1; at = at->ifa_next) {
		char text[INET6_ADDRSTRLEN] = "";
		if (!at->ifa_addr)
			continue;
		if (at->ifa_addr->sa_family == AF_INET)
			inet_ntop(AF_INET,
				  &((const struct sockaddr_in *)(const void *)at->ifa_addr)->sin_addr, text,
				  sizeof(text));
		else if (at->ifa_addr->sa_family == AF_INET6)
			inet_ntop(AF_INET6,
				  &((const struct sockaddr_in6 *)(const void *)at->ifa_addr)->sin6_addr, text,
				  sizeof(text));
		/* All of 127.0.0.0/8 is the loopback device's. */
		if (strcmp(text, host) != 0 &&
		    !(strcmp(text, "127.0.0.1") == 0 && strncmp(host, "127.", 4) == 0))
			continue;
		found = (at->ifa_flags & IFF_UP) != 0;
		snprintf(name, IF_NAMESIZE, "%s", at->ifa_name);
	}
	return found;
}

static void check_addresses(struct doctor *doctor)
{
	const json_t *controllers = json_object_get(doctor->status, "controllers");
	struct ifaddrs *all;
	if (getifaddrs(&all))
		return;
	for (size_t i = 0; i < json_array_size(controllers); i++) {
		const json_t *controller = json_array_get(controllers, i);
		const char *address = doctor_text(controller, "address"),
			   *name = doctor_text(controller, "name");
		char host[128], interface[IF_NAMESIZE];
		if (!*address)
			continue;
		host_of(address, host, sizeof(host));
		int state = interface_of(all, host, interface);
		doctor_say(doctor, state == 1 ? DOCTOR_OK : DOCTOR_PROBLEM, "address",
			   "%s listens at %s, %s%s", name, address,
			   state < 0 ? "which no interface of this host has" : "on ",
			   state < 0 ? "" : interface);
		if (state == 0)
			doctor_advise(doctor, "ip link set %s up", interface);
		else if (state < 0)
			doctor_advise(
				doctor,
				"correct address in [controller %s], or give the address to an interface; "
				"in another network namespace than rsmd's this says nothing",
				name);
	}
	freeifaddrs(all);
}

static void tell_path(struct doctor *doctor, const json_t *path)
{
	const char *state = doctor_text(path, "state"), *reason = doctor_text(path, "reason"),
		   *release = doctor_text(path, "release"), *controller = doctor_text(path, "controller");
	intmax_t node = (intmax_t)doctor_number(path, "node", 0);
	if (strcmp(state, "active") != 0) {
		doctor_say(doctor, DOCTOR_PROBLEM, "path", "node %jd (%s) through %s at %s: %s for %jd s%s%s",
			   node, doctor_text(path, "name"), controller, doctor_text(path, "address"), state,
			   (intmax_t)doctor_number(path, "since_s", 0), *reason ? ": " : "", reason);
		doctor_advise(
			doctor,
			"see whether rsmd runs on node %jd (rsm doctor there), whether its address and "
			"port are right here, and whether a firewall is between; rsm nodes --watch shows "
			"when it comes",
			node);
		return;
	}
	bool same = strcmp(release, RSM_RELEASE) == 0;
	doctor_say(doctor, same ? DOCTOR_OK : DOCTOR_NOTE, "path",
		   "node %jd (%s) through %s: active for %jd s, a beat takes %jd us, release %s", node,
		   doctor_text(path, "name"), controller, (intmax_t)doctor_number(path, "since_s", 0),
		   (intmax_t)doctor_number(path, "round_trip_us", 0), release);
	if (!same)
		doctor_advise(
			doctor,
			"releases that differ work together as far as both go; one release on all nodes is "
			"tested best");
}

static void check_paths(struct doctor *doctor)
{
	const json_t *paths = json_object_get(doctor->nodes, "paths");
	size_t active = 0, all = 0;
	for (size_t i = 0; i < json_array_size(paths); i++) {
		const json_t *path = json_array_get(paths, i);
		if (doctor_number(path, "self", 0))
			continue;
		all++;
		bool plain = strcmp(doctor_text(path, "state"), "active") == 0 &&
			     strcmp(doctor_text(path, "release"), RSM_RELEASE) == 0;
		active += plain;
		if (!plain || active <= PATHS_SHOWN)
			tell_path(doctor, path);
	}
	if (active > PATHS_SHOWN)
		doctor_say(doctor, DOCTOR_OK, "paths", "%zu of %zu are active", active, all);
	if (all == 0 && doctor->nodes)
		doctor_say(doctor, DOCTOR_OK, "paths",
			   doctor_number(doctor->status, "private", 0)
				   ? "none: a private daemon has no part in a cluster"
				   : "none: no other node is configured");
}

static void check_clocks(struct doctor *doctor)
{
	const json_t *paths = json_object_get(doctor->health, "paths");
	for (size_t i = 0; i < json_array_size(paths); i++) {
		const json_t *path = json_array_get(paths, i);
		intmax_t node = (intmax_t)doctor_number(path, "node", 0),
			 ahead = (intmax_t)doctor_number(path, "clock_ahead_ms", 0),
			 heard = (intmax_t)doctor_number(path, "heard_ms_ago", 0),
			 dead = (intmax_t)doctor_number(path, "dead_after_ms", 0);
		bool late = heard > dead / 2;
		if (late) {
			doctor_say(doctor, DOCTOR_WARNING, "beats",
				   "node %jd: the last beat came %jd ms ago, and after "
				   "%jd ms it counts as dead",
				   node, heard, dead);
			doctor_advise(
				doctor,
				"the node or the network is overloaded; if it stays so, raise dead-after");
		}
		if (ahead > CLOCK_AHEAD_MS || ahead < -CLOCK_AHEAD_MS) {
			doctor_say(doctor, DOCTOR_WARNING, "clocks",
				   "node %jd's clock is %jd ms %s ours: nothing of librsm depends on it, but "
				   "times in logs "
				   "cannot be compared",
				   node, ahead < 0 ? -ahead : ahead, ahead < 0 ? "behind" : "ahead of");
			doctor_advise(doctor,
				      "let both keep their clocks by NTP (systemd-timesyncd, chrony)");
		} else if (json_is_number(json_object_get(path, "clock_ahead_ms")) && i < PATHS_SHOWN &&
			   !late) {
			doctor_say(doctor, DOCTOR_OK, "clocks",
				   "node %jd: beats come (the last %jd ms ago), wall clocks differ by %jd ms",
				   node, heard, ahead < 0 ? -ahead : ahead);
		}
	}
}

void doctor_cluster(struct doctor *doctor)
{
	check_file(doctor);
	if (!doctor->status)
		return;
	check_key(doctor);
	check_addresses(doctor);
	check_paths(doctor);
	check_clocks(doctor);
}
