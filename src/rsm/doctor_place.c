/* SPDX-License-Identifier: BSD-2-Clause */
/* Where we are: in a container, in other namespaces than the daemon. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "rsm/doctor.h"

/* A sign that containers leave, or NULL. None of them is certain. */
static const char *container_sign(void)
{
	static const char *const files[] = {"/.dockerenv", "/run/.containerenv", "/run/systemd/container"};
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		if (access(files[i], F_OK) == 0)
			return files[i];
	return NULL;
}

static const struct {
	const char *name, *means;
} namespaces[] = {
	{"user", "users are numbered in another way there: access lists mean the daemon's numbers"},
	{"pid",
	 "processes are numbered in another way there: rsm ls and rsm status show the daemon's numbers"},
	{"mnt", "the same path may be another file there"},
	{"net", "other nodes are reached from there, and addresses are that network's"},
	{"ipc", "System V memory cannot be exported across it"},
};

static void check_namespaces(struct doctor *doctor)
{
	char path[40], key[24];
	bool same = true;
	const char *sign = container_sign();
	if (sign)
		doctor_say(doctor, DOCTOR_NOTE, "container", "this seems to be one (%s)", sign);
	for (size_t i = 0; i < sizeof(namespaces) / sizeof(namespaces[0]); i++) {
		struct stat own;
		snprintf(path, sizeof(path), "/proc/self/ns/%s", namespaces[i].name);
		snprintf(key, sizeof(key), "namespaces.%s", namespaces[i].name);
		int64_t daemon = doctor_number(doctor->health, key, -1);
		if (daemon < 0 || stat(path, &own) != 0 || (int64_t)own.st_ino == daemon)
			continue;
		same = false;
		doctor_say(doctor, DOCTOR_NOTE, "namespace", "the daemon is in another %s namespace: %s",
			   namespaces[i].name, namespaces[i].means);
	}
	if (same && doctor->health)
		doctor_say(doctor, DOCTOR_OK, "namespaces", "the daemon's");
}

void doctor_place(struct doctor *doctor)
{
	check_namespaces(doctor);
}
