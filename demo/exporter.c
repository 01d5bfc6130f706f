/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * demo_exporter [CONTROLLER NODE] <FILE: reads a file from standard input into memory from valloc and exports it, for this
 * node, or for another one through a controller. Wakes by the importer's signal, looks at the changes through its own
 * pointers, narrows the access list, and stays until it is killed.
 */
#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "step.h"

static unsigned char *read_input(size_t *length, size_t *size)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), done = 0;
	struct stat status;
	if (fstat(STDIN_FILENO, &status) != 0 || !S_ISREG(status.st_mode))
		demo_fail("standard input must be a regular file");
	*length = (size_t)status.st_size;
	if (*length < 2 * DEMO_REGION)
		demo_fail("the file has %zu bytes, at least %zu are needed", *length, 2 * DEMO_REGION);
	*size = (*length + page - 1) / page * page;
	unsigned char *memory = valloc(*size);
	if (!memory)
		demo_fail("valloc of %zu bytes: %s", *size, strerror(errno));
	while (done < *length) {
		ssize_t got = read(STDIN_FILENO, memory + done, *length - done);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			demo_fail("read: %s", got < 0 ? strerror(errno) : "the file became shorter");
		done += (size_t)got;
	}
	memset(memory + *length, 0, *size - *length);
	return memory;
}

/* The first region was changed by put, the last one of the file by stores. */
static void verify(const unsigned char *memory, size_t length)
{
	for (size_t i = 0; i < DEMO_REGION; i++) {
		if (memory[i] != demo_byte(i))
			demo_fail("byte %zu was not changed by the importer's put", i);
		if (memory[length - DEMO_REGION + i] != demo_byte(i + 1))
			demo_fail("byte %zu was not changed by the importer", length - DEMO_REGION + i);
	}
}

int main(int argc, char **argv)
{
	char loopback[] = "loopback", *name = argc == 3 ? argv[1] : loopback;
	rsmapi_controller_handle_t controller;
	rsm_memseg_export_handle_t segment;
	rsm_memseg_id_t id = 0;
	rsm_topology_t *topology;
	size_t length, size;

	demo_begin("exporter");
	unsigned char *memory = read_input(&length, &size);
	demo_step("read %.1f MiB of the file into memory from valloc", (double)length / 1048576);

	demo_need(rsm_get_controller(name, &controller), "rsm_get_controller");
	demo_need(rsm_get_interconnect_topology(&topology), "rsm_get_interconnect_topology");
	rsm_node_id_t node = topology->topology_hdr.local_nodeid;
	rsm_free_interconnect_topology(topology);
	demo_step("opened controller %s on node %u%s", name, node,
		  argc == 3 ? "" : " (a private rsmd is started if none runs)");

	demo_need(rsm_memseg_export_create(controller, &segment, memory, size, 0),
		  "rsm_memseg_export_create");
	demo_step("exported the memory where it is, without an interruption for its users");

	rsm_node_id_t importers = argc == 3 ? (rsm_node_id_t)strtoul(argv[2], NULL, 10) : node;
	rsmapi_access_entry_t access = {.ae_node = importers, .ae_permission = 0600};
	demo_need(rsm_memseg_export_publish(segment, &id, &access, 1), "rsm_memseg_export_publish");
	demo_step("published it as %u:0x%x, owner on node %u may read and write (0600)", node, id, importers);
	demo_tell("segment %u %u %zu", node, id, length);

	demo_need(rsm_intr_signal_wait(segment, DEMO_TIMEOUT_MS), "rsm_intr_signal_wait");
	demo_restart();
	verify(memory, length);
	demo_step("woken by the signal: both changes are there, seen through its own pointers");

	access.ae_permission = 0400;
	demo_need(rsm_memseg_export_republish(segment, &access, 1), "rsm_memseg_export_republish");
	demo_step("narrowed the access list: from now on the owner may only read (0400)");
	demo_tell("narrowed");
	demo_need(rsm_intr_signal_post(segment, 0), "rsm_intr_signal_post");

	/* Killed here. The alarm is for the case that nobody does it. */
	alarm(DEMO_TIMEOUT_MS / 1000);
	pause();
	return 1;
}
