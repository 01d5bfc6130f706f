/* SPDX-License-Identifier: BSD-2-Clause */
/* rsm_get_controller, rsm_release_controller, rsm_get_controller_attr. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/lib.h"

static struct lib_controller *controllers;

struct lib_controller *lib_controller_find(rsmapi_controller_handle_t value)
{
	struct lib_controller_handle *handle = lib_handle_find(value, LIB_HANDLE_CONTROLLER);
	return handle == NULL ? NULL : handle->controller;
}

void lib_controller_release(struct lib_controller *controller)
{
	if (--controller->references > 0)
		return;
	struct lib_controller **place = &controllers;
	while (*place != controller)
		place = &(*place)->next;
	*place = controller->next;
	free(controller);
}

/*
 * "SCI" -> "sci0", "sci7" -> "sci7", "LOOPBACK7" -> "loopback": the type is compared without case, no digits mean unit 0,
 * loopback has no unit. False if it is too long to be a name.
 */
static bool name_normalise(const char *name, char out[MAXNAMELEN + 1])
{
	size_t length = strlen(name);
	if (length > MAXNAMELEN - 1)
		return false;
	size_t type = length;
	while (type > 0 && isdigit((unsigned char)name[type - 1]))
		type--;
	for (size_t i = 0; i < type; i++)
		out[i] = (char)tolower((unsigned char)name[i]);
	out[type] = '\0';
	if (strcmp(out, "loopback") == 0)
		return true;
	const char *unit = name + type;
	while (unit[0] == '0' && unit[1] != '\0')
		unit++;
	strcpy(out + type, type == length ? "0" : unit);
	return true;
}

static const struct lib_daemon_controller *controller_known(const char *name)
{
	for (size_t i = 0; i < lib_daemon.controller_count; i++)
		if (strcmp(lib_daemon.controllers[i].name, name) == 0)
			return &lib_daemon.controllers[i];
	return NULL;
}

static struct lib_controller *controller_of(const char *name, const char *asked)
{
	for (struct lib_controller *c = controllers; c != NULL; c = c->next)
		if (strcmp(c->name, name) == 0)
			return c;
	const struct lib_daemon_controller *known = controller_known(name);
	if (known == NULL) {
		base_refuse(RSMERR_CTLR_NOT_PRESENT,
			    "this node has no controller %s; rsm topo shows which ones lead where", asked);
		return NULL;
	}
	struct lib_controller *fresh = calloc(1, sizeof *fresh);
	if (fresh == NULL) {
		base_refuse(RSMERR_INSUFFICIENT_MEM, "no memory for a controller");
		return NULL;
	}
	strcpy(fresh->name, name);
	fresh->loopback = known->loopback;
	fresh->between_nodes = known->between_nodes;
	fresh->next = controllers;
	controllers = fresh;
	return fresh;
}

/* Gives the public handle, the same for everybody who gets this controller. */
static int controller_open(struct lib_controller *c, rsmapi_controller_handle_t *result)
{
	if (c->handle == NULL) {
		void *taken;
		int code = lib_handle_take(&taken);
		if (code != RSM_SUCCESS) {
			if (c->references == 0) {
				c->references = 1;
				lib_controller_release(c);
			}
			return code;
		}
		struct lib_controller_handle *slot = taken;
		slot->controller = c;
		c->references++;
		c->handle = lib_handle_publish(slot, LIB_HANDLE_CONTROLLER);
	}
	c->opened++;
	*result = c->handle;
	return RSM_SUCCESS;
}

int rsm_get_controller(char *name, rsmapi_controller_handle_t *controller)
{
	char normal[MAXNAMELEN + 1];
	if (controller == NULL)
		return base_refuse(RSMERR_BAD_CTLR_HNDL, "no place to put the controller handle (NULL)");
	if (!name_normalise(name == NULL ? "loopback" : name, normal))
		return base_refuse(RSMERR_CTLR_NOT_PRESENT, "a controller's name has at most %d characters",
				   MAXNAMELEN - 1);
	lib_lock();
	int code = lib_daemon_open();
	if (code == RSM_SUCCESS) {
		struct lib_controller *c = controller_of(normal, name);
		code = c == NULL ? (controller_known(normal) ? RSMERR_INSUFFICIENT_MEM
							     : RSMERR_CTLR_NOT_PRESENT)
				 : controller_open(c, controller);
	}
	lib_unlock();
	return code;
}

int rsm_release_controller(rsmapi_controller_handle_t controller)
{
	int code = RSM_SUCCESS;
	lib_lock();
	struct lib_controller *c = lib_controller_find(controller);
	if (c == NULL) {
		code = lib_refuse_handle("controller", controller, RSMERR_BAD_CTLR_HNDL);
	} else if (--c->opened == 0) {
		lib_handle_free(lib_handle_find(controller, LIB_HANDLE_CONTROLLER));
		c->handle = NULL;
		lib_controller_release(c);
	}
	lib_unlock();
	return code;
}

static size_t page_floor(uint64_t bytes)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	return bytes > SIZE_MAX ? SIZE_MAX / page * page : (size_t)bytes / page * page;
}

int rsm_get_controller_attr(rsmapi_controller_handle_t chdl, rsmapi_controller_attr_t *attr)
{
	int code = RSM_SUCCESS;
	lib_lock();
	const struct lib_controller *c = lib_controller_find(chdl);
	if (c == NULL) {
		code = lib_refuse_handle("controller", chdl, RSMERR_BAD_CTLR_HNDL);
	} else if (attr == NULL) {
		code = base_refuse(RSMERR_BAD_ADDR, "no place to put the attributes (NULL)");
	} else {
		uint64_t exported =
			lib_daemon.max_exported_bytes == 0 ? SIZE_MAX : lib_daemon.max_exported_bytes;
		/* Segments of other nodes cannot be mapped; those of this one can, through any controller. */
		const uint_t direct = c->between_nodes ? 0 : RSM_DAS8 | RSM_DAS16 | RSM_DAS32 | RSM_DAS64;
		const size_t map = c->between_nodes ? 0 : page_floor(SIZE_MAX);
		*attr = (rsmapi_controller_attr_t){
			.attr_direct_access_sizes = direct,
			.attr_atomic_sizes = RSM_DAS8 | RSM_DAS16 | RSM_DAS32 | RSM_DAS64,
			.attr_page_size = (size_t)sysconf(_SC_PAGESIZE),
			.attr_max_export_segment_size = page_floor(exported),
			.attr_tot_export_segment_size = page_floor(exported),
			.attr_max_export_segments = (ulong_t)lib_daemon.max_segments,
			.attr_max_import_map_size = map,
			.attr_tot_import_map_size = map,
			.attr_max_import_segments = (ulong_t)lib_daemon.max_segments,
		};
	}
	lib_unlock();
	return code;
}
