/* SPDX-License-Identifier: BSD-2-Clause */
/* The control plane: connect and publish. */
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "rsm/perf.h"

/* On a handle of its own, so that the run's import is left as it is. */
static int connect_once(struct perf_run *run)
{
	rsm_memseg_import_handle_t import;
	rsmapi_barrier_t barrier;
	rsm_node_id_t node = run->address.local ? run->session.node : run->address.node;
	int code = rsm_memseg_import_connect(run->session.controller, node, run->address.id, RSM_PERM_READ,
					     &import);
	if (code != RSM_SUCCESS)
		return code;
	code = rsm_memseg_import_init_barrier(import, RSM_BARRIER_SEGMENT, &barrier);
	if (code == RSM_SUCCESS)
		code = rsm_memseg_import_get(import, (off_t)run->base, run->local, 8);
	int ended = rsm_memseg_import_disconnect(import);
	return code != RSM_SUCCESS ? code : ended;
}

static int run_connect(struct perf_run *run, size_t size, uint64_t count)
{
	(void)size;
	int code = RSM_SUCCESS;
	while (count-- && code == RSM_SUCCESS)
		code = connect_once(run);
	return code;
}

static int begin_publish(struct perf_run *run, size_t size)
{
	(void)size;
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	void *memory = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED) {
		tool_fail_errno(errno, "memory for a page");
		return PERF_TOLD;
	}
	run->page = memory;
	return rsm_memseg_export_create(run->session.controller, &run->segment, memory, page, 0);
}

static int run_publish(struct perf_run *run, size_t size, uint64_t count)
{
	(void)size;
	int code = RSM_SUCCESS;
	while (count-- && code == RSM_SUCCESS) {
		rsm_memseg_id_t id = 0;
		code = rsm_memseg_export_publish(run->segment, &id, NULL, 0);
		if (code == RSM_SUCCESS)
			code = rsm_memseg_export_unpublish(run->segment);
	}
	return code;
}

static int end_publish(struct perf_run *run, size_t size)
{
	(void)size;
	int code = rsm_memseg_export_destroy(run->segment);
	munmap(run->page, (size_t)sysconf(_SC_PAGESIZE));
	return code;
}

const struct perf_test perf_control_tests[] = {
	{.name = "connect",
	 .title = "connect, first get, disconnect",
	 .kind = PERF_RATE,
	 .parts = 1,
	 .run = run_connect},
	{.name = "publish",
	 .title = "publish and unpublish a page",
	 .kind = PERF_RATE,
	 .parts = 1,
	 .peer = true,
	 .begin = begin_publish,
	 .run = run_publish,
	 .end = end_publish},
};
const size_t perf_control_count = sizeof(perf_control_tests) / sizeof(perf_control_tests[0]);
