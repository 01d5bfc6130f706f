/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Scatter-gather: putv, getv and local memory handles. Local memory handles exist for controllers that
 * must pin memory; here they are a checked address and length.
 */
#include <unistd.h>

#include "base/probe.h"
#include "lib/count.h"
#include "segment/range.h"

#include <stdlib.h>

enum direction { GET, PUT };

/* ---- local memory handles ---- */

static int localmem_check(const void *address, size_t length)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);
	if (length == 0)
		return base_refuse(RSMERR_BAD_LENGTH, "local memory of 0 bytes");
	if (address == NULL || length > UINTPTR_MAX - page - (uintptr_t)address)
		return base_refuse(RSMERR_BAD_ADDR, "%zu bytes at %p are no memory", length, address);
	struct segment_range *list = NULL;
	size_t count;
	int code = segment_range_list(address, (length + page - 1) / page * page, &list, &count);
	free(list);
	return code;
}

static int localmem_create(rsmapi_controller_handle_t handle, rsm_localmemory_handle_t *l_handle,
			   caddr_t address, size_t length)
{
	if ((uintptr_t)address % (uintptr_t)sysconf(_SC_PAGESIZE) != 0)
		return base_refuse(RSMERR_BAD_ADDR, "address %p must be a multiple of the page size",
				   (void *)address);
	struct lib_controller *c = lib_controller_find(handle);
	if (c == NULL)
		return lib_refuse_handle("controller", handle, RSMERR_BAD_CTLR_HNDL);
	if (l_handle == NULL)
		return base_refuse(RSMERR_BAD_LOCALMEM_HNDL, "no place to put the handle (NULL)");
	int code = localmem_check(address, length);
	if (code != RSM_SUCCESS)
		return code;
	void *taken;
	code = lib_handle_take(&taken);
	if (code != RSM_SUCCESS)
		return code;
	struct lib_localmem *local = taken;
	local->controller = c;
	local->address = (unsigned char *)address;
	local->length = length;
	c->references++;
	*l_handle = lib_handle_publish(local, LIB_HANDLE_LOCALMEM);
	return RSM_SUCCESS;
}

int rsm_create_localmemory_handle(rsmapi_controller_handle_t handle, rsm_localmemory_handle_t *l_handle,
				  caddr_t local_vaddr, size_t length)
{
	lib_lock();
	int code = localmem_create(handle, l_handle, local_vaddr, length);
	lib_unlock();
	return code;
}

int rsm_free_localmemory_handle(rsmapi_controller_handle_t handle, rsm_localmemory_handle_t l_handle)
{
	int code = RSM_SUCCESS;
	lib_lock();
	struct lib_localmem *local = lib_handle_find(l_handle, LIB_HANDLE_LOCALMEM);
	if (lib_controller_find(handle) == NULL) {
		code = lib_refuse_handle("controller", handle, RSMERR_BAD_CTLR_HNDL);
	} else if (local == NULL) {
		code = lib_refuse_handle("local memory", l_handle, RSMERR_BAD_LOCALMEM_HNDL);
	} else {
		lib_controller_release(local->controller);
		lib_handle_free(local);
	}
	lib_unlock();
	return code;
}

/* ---- vectors ---- */

/* What must hold for the whole vector before any byte moves. */
static int vector_check(const rsm_scat_gath_t *sg, const struct lib_import *import, rsm_permission_t right)
{
	if (sg->iovec == NULL)
		return base_refuse(RSMERR_BAD_SGIO, "the vector is NULL");
	for (ulong_t i = 0; i < sg->io_request_count; i++) {
		const rsm_iovec_t *entry = &sg->iovec[i];
		if (entry->io_type != RSM_HANDLE_TYPE && entry->io_type != RSM_VA_TYPE)
			return base_refuse(RSMERR_BAD_SGIO,
					   "entry %lu has io_type %d; only RSM_HANDLE_TYPE (%d) and "
					   "RSM_VA_TYPE (%d) exist",
					   i, entry->io_type, RSM_HANDLE_TYPE, RSM_VA_TYPE);
		if (entry->io_type == RSM_HANDLE_TYPE &&
		    lib_handle_find(entry->local.handle, LIB_HANDLE_LOCALMEM) == NULL)
			return base_refuse(RSMERR_BAD_SGIO,
					   "entry %lu names a local memory handle that is not in use", i);
	}
	if ((import->transport.granted & right) == 0)
		return base_refuse(RSMERR_PERM_DENIED,
				   "the connection was granted 0%o only (read 0400, write 0200)",
				   import->transport.granted);
	return RSM_SUCCESS;
}

static int entry_local(const rsm_iovec_t *entry, ulong_t index, unsigned char **local)
{
	if (entry->io_type == RSM_VA_TYPE) {
		if (entry->local.vaddr == NULL && entry->transfer_length > 0)
			return base_refuse(RSMERR_BAD_ADDR, "entry %lu has a NULL address", index);
		/* An empty entry may have no address; memcpy wants one even for nothing. */
		*local = entry->local.vaddr == NULL
				 ? (unsigned char *)local
				 : (unsigned char *)entry->local.vaddr + entry->local_offset;
		return RSM_SUCCESS;
	}
	const struct lib_localmem *memory = lib_handle_find(entry->local.handle, LIB_HANDLE_LOCALMEM);
	if (memory == NULL)
		return base_refuse(RSMERR_BAD_SGIO,
				   "entry %lu names a local memory handle that is not in use", index);
	if (entry->local_offset > memory->length ||
	    entry->transfer_length > memory->length - entry->local_offset)
		return base_refuse(RSMERR_BAD_LENGTH,
				   "entry %lu: %zu bytes at offset %zu reach beyond the local memory's %zu",
				   index, entry->transfer_length, entry->local_offset, memory->length);
	*local = memory->address + entry->local_offset;
	return RSM_SUCCESS;
}

/* The checks of one entry; where it passes, what the transport needs of it. */
static int entry_resolve(const struct lib_import *import, const rsm_iovec_t *entry, ulong_t index,
			 struct transport_vector *resolved)
{
	unsigned char *local = NULL;
	int code = entry_local(entry, index, &local);
	if (code != RSM_SUCCESS)
		return code;
	const uint64_t length = import->transport.length;
	if (entry->remote_offset > length || entry->transfer_length > length - entry->remote_offset)
		return base_refuse(RSMERR_BAD_OFFSET,
				   "entry %lu: %zu bytes at offset %zu reach beyond the segment's %llu bytes",
				   index, entry->transfer_length, entry->remote_offset,
				   (unsigned long long)length);
	*resolved = (struct transport_vector){entry->remote_offset, local, entry->transfer_length};
	return RSM_SUCCESS;
}

/* One call for each entry. */
static int transfer_each(rsm_scat_gath_t *sg, struct lib_import *import, enum direction direction)
{
	const ulong_t count = sg->io_request_count;
	uint64_t bytes = 0;
	int code = RSM_SUCCESS;
	for (ulong_t i = 0; i < count && code == RSM_SUCCESS; i++) {
		struct transport_vector entry = {0};
		code = entry_resolve(import, &sg->iovec[i], i, &entry);
		if (code == RSM_SUCCESS && direction == PUT)
			code = import->transport.ops->put(&import->transport, entry.offset, entry.local,
							  entry.length);
		else if (code == RSM_SUCCESS)
			code = import->transport.ops->get(&import->transport, entry.offset, entry.local,
							  entry.length);
		if (code == RSM_SUCCESS) {
			sg->io_residual_count = count - 1 - i;
			bytes += entry.length;
		}
	}
	lib_count_transfer(import, direction == PUT, bytes);
	if (code == RSM_SUCCESS && (sg->flags & RSM_IMPLICIT_SIGPOST) != 0)
		code = rsm_intr_signal_post(sg->remote_handle, sg->flags & RSM_SIGPOST_NO_ACCUMULATE);
	return code;
}

static void count_at_once(const struct lib_import *import, enum direction direction,
			  const struct transport_vector *entries, size_t done, int code, bool is_posted)
{
	uint64_t bytes = 0;
	for (size_t i = 0; i < done; i++)
		bytes += entries[i].length;
	lib_count_transfer(import, direction == PUT, bytes);
	if (code != RSM_SUCCESS)
		lib_count_failure(import);
	else if (is_posted)
		lib_count_signal(import);
}

/* All in one exchange: the entries before the first one that does not pass, and the post behind a whole vector. */
static int transfer_at_once(rsm_scat_gath_t *sg, struct lib_import *import, enum direction direction)
{
	const ulong_t count = sg->io_request_count;
	struct transport_vector entries[RSM_MAX_SGIOREQS];
	int refused = RSM_SUCCESS, post = -1;
	ulong_t good = 0;
	while (good < count && refused == RSM_SUCCESS) {
		refused = entry_resolve(import, &sg->iovec[good], good, &entries[good]);
		good += refused == RSM_SUCCESS;
	}
	if (refused == RSM_SUCCESS && (sg->flags & RSM_IMPLICIT_SIGPOST) != 0)
		post = (int)(sg->flags & RSM_SIGPOST_NO_ACCUMULATE);
	if (good == 0)
		return refused;
	size_t done = 0;
	int code = direction == PUT
			   ? import->transport.ops->putv(&import->transport, entries, good, post, &done)
			   : import->transport.ops->getv(&import->transport, entries, good, post, &done);
	sg->io_residual_count = count - done;
	count_at_once(import, direction, entries, done, code, post >= 0);
	return code != RSM_SUCCESS ? code : refused;
}

static int transfer(rsm_scat_gath_t *sg, enum direction direction)
{
	if (sg == NULL)
		return base_refuse(RSMERR_BAD_SGIO, "the scatter-gather description is NULL");
	const ulong_t count = sg->io_request_count;
	sg->io_residual_count = count;
	struct lib_import *import = lib_import_find(sg->remote_handle);
	if (import == NULL)
		return lib_refuse_handle("import", sg->remote_handle, RSMERR_BAD_SEG_HNDL);
	if (count == 0 || count > RSM_MAX_SGIOREQS)
		return base_refuse(RSMERR_BAD_SGIO, "%lu entries; a vector has 1 to %d", count,
				   RSM_MAX_SGIOREQS);
	int code = vector_check(sg, import, direction == PUT ? RSM_PERM_WRITE : RSM_PERM_READ);
	if (code != RSM_SUCCESS)
		return code;
	const bool at_once =
		direction == PUT ? import->transport.ops->putv != NULL : import->transport.ops->getv != NULL;
	return at_once ? transfer_at_once(sg, import, direction) : transfer_each(sg, import, direction);
}

int rsm_memseg_import_putv(rsm_scat_gath_t *sg_io)
{
	BASE_PROBE1(put_vector, sg_io);
	return transfer(sg_io, PUT);
}

int rsm_memseg_import_getv(rsm_scat_gath_t *sg_io)
{
	BASE_PROBE1(get_vector, sg_io);
	return transfer(sg_io, GET);
}
