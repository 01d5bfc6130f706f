/* SPDX-License-Identifier: BSD-2-Clause */
/* Memory: what is free, overcommit, huge pages, and the limits of the control group. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rsm/doctor.h"

#define KIB 1024

/* A line of /proc/meminfo, in bytes; -1 where there is none. */
static int64_t meminfo(const char *key)
{
	char line[128];
	int64_t bytes = -1;
	size_t length = strlen(key);
	FILE *file = fopen("/proc/meminfo", "re");
	while (file && bytes < 0 && fgets(line, sizeof(line), file))
		if (strncmp(line, key, length) == 0 && line[length] == ':')
			bytes = strtoll(line + length + 1, NULL, 10) * KIB;
	if (file)
		fclose(file);
	return bytes;
}

static void size_of(char text[32], int64_t bytes)
{
	tool_format_size(text, 32, bytes > 0 ? (uint64_t)bytes : 0);
}

static void check_free(struct doctor *doctor)
{
	char available[32], total[32];
	int64_t free_bytes = meminfo("MemAvailable"), all = meminfo("MemTotal");
	size_of(available, free_bytes);
	size_of(total, all);
	bool low = free_bytes >= 0 && free_bytes < all / 20;
	doctor_say(doctor, low ? DOCTOR_WARNING : DOCTOR_OK, "memory",
		   "%s of %s available; exported memory counts once, whoever imports it, and twice while it "
		   "moves",
		   available, total);
	if (low)
		doctor_advise(doctor, "free memory, or limit exports: max-exported-memory in rsmd.conf");
}

/* With strict accounting (2) a memfd counts in full as soon as it has its size. */
static void check_overcommit(struct doctor *doctor)
{
	char left[32];
	if (doctor_read_number("/proc/sys/vm/overcommit_memory", 0) != 2) {
		doctor_say(doctor, DOCTOR_OK, "overcommit", "memory is given when it is touched");
		return;
	}
	int64_t room = meminfo("CommitLimit") - meminfo("Committed_AS");
	size_of(left, room);
	bool low = room < meminfo("CommitLimit") / 20;
	doctor_say(doctor, low ? DOCTOR_WARNING : DOCTOR_NOTE, "overcommit",
		   "vm.overcommit_memory = 2: %s can still be committed, and an export needs room for its "
		   "whole length",
		   left);
	if (low)
		doctor_advise(doctor, "raise vm.overcommit_ratio, or set vm.overcommit_memory to 0");
}

#define HUGE_POOL "/sys/kernel/mm/hugepages/hugepages-2048kB/"

static void check_huge(struct doctor *doctor)
{
	int64_t all = doctor_read_number(HUGE_POOL "nr_hugepages", -1),
		unused = doctor_read_number(HUGE_POOL "free_hugepages", 0),
		reserved = doctor_read_number(HUGE_POOL "resv_hugepages", 0);
	if (all < 0) {
		doctor_say(
			doctor, DOCTOR_NOTE, "huge pages",
			"the kernel has no pool of 2 MiB pages: rsmx_alloc with RSMX_ALLOC_HUGE is refused");
		return;
	}
	doctor_say(doctor, all == 0 ? DOCTOR_NOTE : DOCTOR_OK, "huge pages",
		   "%jd of %jd pages of 2 MiB are free for rsmx_alloc with RSMX_ALLOC_HUGE%s",
		   (intmax_t)(unused - reserved), (intmax_t)all, all == 0 ? "; only that needs them" : "");
	if (all == 0)
		doctor_advise(doctor, "programs that ask for it: sysctl vm.nr_hugepages=COUNT");
}

/* The control group's directory below /sys/fs/cgroup, of either kind. */
static bool group_of(char *directory, size_t size, bool *second)
{
	char line[512];
	bool found = false;
	FILE *file = fopen("/proc/self/cgroup", "re");
	while (file && !found && fgets(line, sizeof(line), file)) {
		line[strcspn(line, "\n")] = '\0';
		char *memory = strstr(line, ":memory:");
		*second = strncmp(line, "0::", 3) == 0;
		if (*second && doctor_read_number("/sys/fs/cgroup/cgroup.procs", -1) == -1 && !memory &&
		    doctor_read_number("/sys/fs/cgroup/memory/memory.limit_in_bytes", -1) >= 0)
			continue; /* both kinds are there, and memory belongs to the first */
		if (*second)
			snprintf(directory, size, "/sys/fs/cgroup%s", line + 3);
		else if (memory)
			snprintf(directory, size, "/sys/fs/cgroup/memory%s", memory + 8);
		found = *second || memory;
	}
	if (file)
		fclose(file);
	return found;
}

/* The smallest limit from here up to the root; what is used where it stands. */
static bool find_limit(char *directory, bool second, int64_t *limit, int64_t *used)
{
	char path[640];
	bool found = false;
	for (;;) {
		snprintf(path, sizeof(path), "%.600s/%s", directory,
			 second ? "memory.max" : "memory.limit_in_bytes");
		int64_t here = doctor_read_number(path, -1); /* "max" is none */
		if (here >= 0 && here < INT64_MAX / 2 && (!found || here < *limit)) {
			snprintf(path, sizeof(path), "%.600s/%s", directory,
				 second ? "memory.current" : "memory.usage_in_bytes");
			*limit = here;
			*used = doctor_read_number(path, 0);
			found = true;
		}
		char *slash = strrchr(directory, '/');
		if (!slash || strcmp(directory, "/sys/fs/cgroup") == 0 ||
		    strcmp(directory, "/sys/fs/cgroup/memory") == 0)
			return found;
		*slash = '\0';
	}
}

static void check_group(struct doctor *doctor)
{
	char directory[600], most[32], now[32];
	bool second;
	int64_t limit = 0, used = 0;
	if (!group_of(directory, sizeof(directory), &second)) {
		doctor_say(doctor, DOCTOR_OK, "control group", "none limits memory");
		return;
	}
	if (!find_limit(directory, second, &limit, &used)) {
		doctor_say(doctor, DOCTOR_OK, "control group", "no limit of memory");
		return;
	}
	size_of(most, limit);
	size_of(now, used);
	bool low = used > limit / 10 * 9;
	doctor_say(doctor, low ? DOCTOR_WARNING : DOCTOR_NOTE, "control group",
		   "memory is limited to %s, %s are in use; shared memory counts in the group that touched "
		   "it first",
		   most, now);
	if (low)
		doctor_advise(doctor,
			      "raise memory.max (systemd: MemoryMax=, containers: --memory), or export less");
}

void doctor_memory(struct doctor *doctor)
{
	check_free(doctor);
	check_overcommit(doctor);
	check_huge(doctor);
	check_group(doctor);
}
