/* SPDX-License-Identifier: BSD-2-Clause */
#include "pair.h"

#include <stdlib.h>
#include <string.h>

rsmapi_controller_handle_t pair_controller(const char *name)
{
	rsmapi_controller_handle_t controller = NULL;
	char writable[MAXNAMELEN];

	strncpy(writable, name, sizeof(writable) - 1);
	writable[sizeof(writable) - 1] = '\0';
	MUST(rsm_get_controller(writable, &controller));
	CHECK(controller != NULL);
	return controller;
}

rsm_node_id_t pair_node(void)
{
	rsm_topology_t *topology = NULL;

	MUST(rsm_get_interconnect_topology(&topology));
	rsm_node_id_t node = topology->topology_hdr.local_nodeid;
	rsm_free_interconnect_topology(topology);
	return node;
}

/* Remembered, so that a leak checker does not take what cases leave to the end of their process for a leak. */
static void *remembered[4096];
static size_t remembered_count;

uint8_t *pair_memory(size_t pages, int value)
{
	void *memory = NULL;

	if (posix_memalign(&memory, suite_page(), pages * suite_page()))
		suite_fail(__FILE__, __LINE__, "no memory for %zu pages", pages);
	memset(memory, value, pages * suite_page());
	size_t place = __atomic_fetch_add(&remembered_count, 1, __ATOMIC_RELAXED);
	if (place < sizeof(remembered) / sizeof(remembered[0]))
		remembered[place] = memory;
	return memory;
}

void pair_export(struct pair *pair, size_t pages)
{
	memset(pair, 0, sizeof(*pair));
	pair->controller = pair_controller(suite_controller());
	pair->node = pair_node();
	pair->length = pages * suite_page();
	pair->memory = pair_memory(pages, 0);
	MUST(rsm_memseg_export_create(pair->controller, &pair->e, pair->memory, pair->length,
				      RSM_ALLOW_REBIND));
	CHECK(pair->e != NULL);
}

void pair_publish(struct pair *pair)
{
	pair->id = 0;
	MUST(rsm_memseg_export_publish(pair->e, &pair->id, NULL, 0));
}

void pair_connect(struct pair *pair, rsm_permission_t permission)
{
	pair->i = pair_import(pair, permission, &pair->barrier);
}

void pair_open_pages(struct pair *pair, size_t pages)
{
	pair_export(pair, pages);
	pair_publish(pair);
	pair_connect(pair, RSM_PERM_RDWR);
}

void pair_open(struct pair *pair)
{
	pair_open_pages(pair, 1);
}

rsm_memseg_import_handle_t pair_import(const struct pair *pair, rsm_permission_t permission,
				       rsmapi_barrier_t *barrier)
{
	rsm_memseg_import_handle_t import = NULL;

	MUST(rsm_memseg_import_connect(pair->controller, pair->node, pair->id, permission, &import));
	CHECK(import != NULL);
	if (barrier)
		MUST(rsm_memseg_import_init_barrier(import, RSM_BAR_DEFAULT, barrier));
	return import;
}

void pair_settle(const struct pair *pair)
{
	MUST(rsm_memseg_import_disconnect(pair_import(pair, RSM_PERM_NONE, NULL)));
}

void pair_close(struct pair *pair)
{
	if (pair->i)
		MUST(rsm_memseg_import_disconnect(pair->i));
	MUST(rsm_memseg_export_destroy(pair->e));
	MUST(rsm_release_controller(pair->controller));
}

int pair_put_byte(rsm_memseg_import_handle_t import, off_t offset, int value)
{
	uint8_t byte = (uint8_t)value;
	return rsm_memseg_import_put8(import, offset, &byte, 1);
}

int pair_get_byte(rsm_memseg_import_handle_t import, off_t offset)
{
	uint8_t byte = 0;
	MUST(rsm_memseg_import_get8(import, offset, &byte, 1));
	return byte;
}
