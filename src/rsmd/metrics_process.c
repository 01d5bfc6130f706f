/* SPDX-License-Identifier: BSD-2-Clause */
/* The families of the process rsmd: time, descriptors, memory. The loop's thread. */
#include <stdio.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "rsmd/metrics.h"
#include "rsmd/rsmd.h"

#define KEPT_NS 1000000000u /* how long a count of descriptors is good: it takes time where there are many */

static uint64_t descriptors(void)
{
	static uint64_t known, known_ns;
	uint64_t now = base_clock_ns();
	if (!known || now - known_ns > KEPT_NS) {
		known = rsmd_fd_count();
		known_ns = now;
	}
	return known;
}

static uint64_t resident_bytes(void)
{
	unsigned long long pages = 0;
	FILE *file = fopen("/proc/self/statm", "re");
	if (!file)
		return 0;
	if (fscanf(file, "%*u %llu", &pages) != 1)
		pages = 0;
	fclose(file);
	return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static double processor_seconds(void)
{
	struct rusage usage;
	if (getrusage(RUSAGE_SELF, &usage))
		return 0;
	return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
	       (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static void times(struct rsmd_metrics_text *text)
{
	static double started; /* once: the wall clock may be set later */
	double uptime = (double)((base_clock_ns() - rsmd_server.started_ns) / 1000000u) / 1000.0;
	if (started == 0) {
		struct timespec now;
		clock_gettime(CLOCK_REALTIME, &now);
		started = (double)now.tv_sec + (double)(now.tv_nsec / 1000000) / 1000.0 - uptime;
	}
	rsmd_metrics_gauge(text, "rsm_start_time_seconds", "When rsmd started, in seconds since 1970.");
	rsmd_metrics_real(text, NULL, started);
	rsmd_metrics_gauge(text, "rsm_uptime_seconds", "How long rsmd has been running.");
	rsmd_metrics_real(text, NULL, uptime);
	rsmd_metrics_counter(text, "rsm_cpu_seconds_total", "Processor time of rsmd, all its threads.");
	rsmd_metrics_real(text, NULL, processor_seconds());
	rsmd_metrics_gauge(
		text, "rsm_loop_latency_seconds",
		"How long metrics for the file or by HTTP had to wait for the loop, the last time; "
		"missing while "
		"nobody wanted them so.");
	if (rsmd_metrics.loop_latency_ns)
		rsmd_metrics_real(text, NULL, (double)rsmd_metrics.loop_latency_ns / 1e9);
}

void rsmd_metrics_process(struct rsmd_metrics_text *text)
{
	times(text);
	rsmd_metrics_gauge(text, "rsm_open_descriptors", "Descriptors that rsmd has open.");
	rsmd_metrics_count(text, NULL, descriptors());
	rsmd_metrics_gauge(text, "rsm_max_descriptors",
			   "Descriptors from which on rsmd refuses what needs one that stays open: "
			   "RLIMIT_NOFILE less a reserve.");
	rsmd_metrics_count(text, NULL, rsmd_fd_ceiling());
	rsmd_metrics_gauge(
		text, "rsm_resident_memory_bytes",
		"Memory of rsmd that is in RAM, segments that it has mapped for other nodes included.");
	rsmd_metrics_count(text, NULL, resident_bytes());
}
