/* SPDX-License-Identifier: BSD-2-Clause */
/* What the kernel allows this process: descriptors, locked memory, userfaultfd, memfd, processors. */
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "rsm/doctor.h"

#define FILES_FEW                                                                                            \
	256u /* an application with fewer descriptors has little room for exports beside its own files */

static void check_user(struct doctor *doctor)
{
	if (geteuid() == 0) {
		doctor_say(
			doctor, DOCTOR_NOTE, "user",
			"root: access lists do not bind it, and what is found here need not hold for other "
			"users");
		doctor_advise(doctor, "run rsm doctor as the user that the programs run as");
	} else {
		doctor_say(doctor, DOCTOR_OK, "user", "uid %u, gid %u; librsm needs no privilege", geteuid(),
			   getegid());
	}
}

static void check_files(struct doctor *doctor)
{
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit))
		return;
	bool few = limit.rlim_cur < FILES_FEW;
	doctor_say(doctor, few ? DOCTOR_WARNING : DOCTOR_OK, "descriptors",
		   "RLIMIT_NOFILE of this process: %ju, may be raised to %ju; a program needs one for each "
		   "piece of "
		   "exported memory, for each handle that it polls and for each import of another node's "
		   "segment",
		   (uintmax_t)limit.rlim_cur, (uintmax_t)limit.rlim_max);
	if (few)
		doctor_advise(doctor, "ulimit -n %ju before the program starts", (uintmax_t)limit.rlim_max);
}

static void check_locked(struct doctor *doctor)
{
	struct rlimit limit;
	if (getrlimit(RLIMIT_MEMLOCK, &limit))
		return;
	char size[32] = "unlimited";
	if (limit.rlim_cur != RLIM_INFINITY)
		tool_format_size(size, sizeof(size), limit.rlim_cur);
	doctor_say(
		doctor, DOCTOR_OK, "memlock",
		"RLIMIT_MEMLOCK is %s, which does not matter: nothing here locks memory; only what a program "
		"locks itself (mlock) stays locked when it is exported, and counts",
		size);
}

/* 0, or the errno of userfaultfd(2). */
static int try_userfaultfd(int flags)
{
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | flags);
	int error = fd < 0 ? errno : 0;
	base_fd_close(&fd);
	return error;
}

static int try_device(void)
{
	int device = open("/dev/userfaultfd", O_RDWR | O_CLOEXEC);
	int error = device < 0 ? errno : 0;
	base_fd_close(&device);
	return error;
}

/* Which form of the guard an export here has, told once the daemon has said whether it passes the device on. */
static void check_userfaultfd(struct doctor *doctor)
{
	int64_t open_to_all = doctor_read_number("/proc/sys/vm/unprivileged_userfaultfd", -1);
	int full = try_userfaultfd(0), user_mode = try_userfaultfd(UFFD_USER_MODE_ONLY),
	    device = try_device();
	if (full == 0 || device == 0) {
		doctor_say(doctor, DOCTOR_OK, "userfaultfd",
			   "complete (%s): threads that write into memory while it is exported wait",
			   full == 0 ? "the system call" : "/dev/userfaultfd");
		return;
	}
	doctor_say(doctor, user_mode == 0 ? DOCTOR_NOTE : DOCTOR_WARNING, "userfaultfd",
		   user_mode == 0 ? "for user mode only by itself (vm.unprivileged_userfaultfd = %jd, "
				    "/dev/userfaultfd: %s): "
				    "unless rsmd passes the device on (see below), a system call of another "
				    "thread that writes "
				    "into memory while it is being exported gets EFAULT"
				  : "none by itself (vm.unprivileged_userfaultfd = %jd, /dev/userfaultfd: "
				    "%s; a container's "
				    "seccomp profile may deny it): unless rsmd passes the device on (see "
				    "below), no other "
				    "thread may write to memory while it is being exported",
		   (intmax_t)open_to_all, strerror(device));
	doctor_advise(doctor,
		      "let rsmd open /dev/userfaultfd (its user or group may read and write it), or sysctl "
		      "vm.unprivileged_userfaultfd=1");
}

static void check_memfd(struct doctor *doctor)
{
	int fd = memfd_create("rsm-doctor", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int error = fd < 0 || ftruncate(fd, sysconf(_SC_PAGESIZE)) ||
				    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)
			    ? errno
			    : 0;
	base_fd_close(&fd);
	int64_t noexec = doctor_read_number("/proc/sys/vm/memfd_noexec", 0);
	if (error) {
		doctor_say(doctor, DOCTOR_PROBLEM, "memfd", "a sealed memfd, which every export needs: %s",
			   strerror(error));
		doctor_advise(doctor,
			      noexec == 2
				      ? "sysctl vm.memfd_noexec=1: 2 refuses every program that does not ask "
					"for a memfd that cannot be executed"
				      : "see whether a seccomp profile denies memfd_create(2)");
	} else {
		doctor_say(doctor, DOCTOR_OK, "memfd", "sealed memfds can be made; /dev/shm is not needed");
	}
}

/* Time that all processors were busy and idle, in ticks since the start of the system. */
static void read_load(uint64_t *busy, uint64_t *idle)
{
	char line[256];
	unsigned long long user, nice, kernel, rest, wait, interrupt, soft, stolen;
	*busy = *idle = 0;
	if (!doctor_read_line("/proc/stat", line, sizeof(line)) ||
	    sscanf(line, "cpu %llu %llu %llu %llu %llu %llu %llu %llu", &user, &nice, &kernel, &rest, &wait,
		   &interrupt, &soft, &stolen) != 8)
		return;
	*busy = user + nice + kernel + interrupt + soft + stolen;
	*idle = rest + wait;
}

static int own_processors(void)
{
	cpu_set_t set;
	return sched_getaffinity(0, sizeof(set), &set) ? 1 : CPU_COUNT(&set);
}

/* What is idle is asked over LOOK_MS: for those who wonder why spinning or beats are slow. */
#define LOOK_MS 200

void doctor_processors(struct doctor *doctor)
{
	struct timespec pause = {.tv_nsec = LOOK_MS * 1000000L};
	uint64_t busy, idle, busy_then, idle_then;
	int own = own_processors();
	long online = sysconf(_SC_NPROCESSORS_ONLN);
	read_load(&busy_then, &idle_then);
	nanosleep(&pause, NULL);
	read_load(&busy, &idle);
	busy -= busy_then;
	idle -= idle_then;
	double free_ones =
		busy + idle ? (double)online * (double)idle / (double)(busy + idle) : (double)online;
	if (own == 1) {
		doctor_say(doctor, DOCTOR_NOTE, "processors",
			   "this process may use 1 of %ld: waiters sleep rather than spin, so signals and "
			   "control calls "
			   "take tens of microseconds",
			   online);
		doctor_advise(doctor,
			      "give the programs that talk to each other a processor each (taskset, cpuset)");
	} else if (free_ones < 1 && !doctor_number(doctor->status, "private", 0)) {
		doctor_say(doctor, DOCTOR_NOTE, "processors",
			   "%d may be used, and they are busy (%.1f of %ld idle): who waits by spinning "
			   "takes time from "
			   "those that it waits for, and a daemon that gets no time for 3/4 of dead-after "
			   "loses its paths",
			   own, free_ones, online);
		doctor_advise(doctor, "on a machine that stays so, choose a larger dead-after in rsmd.conf");
	} else {
		doctor_say(doctor, DOCTOR_OK, "processors", "%d may be used, %.1f of %ld are idle", own,
			   free_ones, online);
	}
}

void doctor_host(struct doctor *doctor)
{
	check_user(doctor);
	check_files(doctor);
	check_locked(doctor);
	check_userfaultfd(doctor);
	check_memfd(doctor);
}
