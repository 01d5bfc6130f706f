/* SPDX-License-Identifier: BSD-2-Clause */
/* rsm_memseg_import_map and _unmap: the checks in their order, then the transport. */
#include <sys/mman.h>
#include <unistd.h>

#include "lib/lib.h"

static int check_window(const struct lib_import *import, void *const *address, rsm_attribute_t attr,
			rsm_permission_t perm, off_t offset, size_t length)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);
	const uint64_t whole = import->transport.length;
	if (import->transport.window != NULL)
		return base_refuse(RSMERR_SEG_ALREADY_MAPPED,
				   "this handle is mapped at %p; connect again for a second map",
				   import->transport.window);
	if ((perm & ~(rsm_permission_t)RSM_PERM_RDWR) != 0)
		return base_refuse(RSMERR_BAD_PERMS, "0%o is not a permission to map with", perm);
	if (length == 0)
		return base_refuse(RSMERR_BAD_LENGTH, "a map of 0 bytes");
	if (offset < 0)
		return base_refuse(RSMERR_BAD_OFFSET, "offset %lld is negative", (long long)offset);
	if ((uint64_t)offset > whole || length > whole - (uint64_t)offset)
		return base_refuse(RSMERR_BAD_LENGTH,
				   "%zu bytes at offset %lld reach beyond the segment's %llu bytes", length,
				   (long long)offset, (unsigned long long)whole);
	if ((uint64_t)offset % page != 0)
		return base_refuse(RSMERR_BAD_MEM_ALIGNMENT,
				   "offset %lld must be a multiple of the page size, %zu", (long long)offset,
				   page);
	if ((attr & RSM_MAP_FIXED) != 0 && (uintptr_t)*address % page != 0)
		return base_refuse(RSMERR_BAD_MEM_ALIGNMENT,
				   "address %p must be a multiple of the page size, %zu", *address, page);
	if (transport_is_aborted(&import->transport))
		return base_refuse(RSMERR_CONN_ABORTED,
				   "the exporter has withdrawn the segment; connect again to go on");
	if ((perm & ~import->transport.granted) != 0)
		return base_refuse(RSMERR_BAD_PERMS,
				   "the connection was granted 0%o, a map with 0%o is asked for",
				   import->transport.granted, perm);
	return RSM_SUCCESS;
}

static int import_map(struct lib_import *import, void **address, rsm_attribute_t attr, rsm_permission_t perm,
		      off_t offset, size_t length)
{
	int code = check_window(import, address, attr, perm, offset, length);
	if (code != RSM_SUCCESS)
		return code;
	/* CPUs cannot write without reading. */
	int protection = perm == RSM_PERM_NONE          ? PROT_NONE
			 : (perm & RSM_PERM_WRITE) != 0 ? PROT_READ | PROT_WRITE
							: PROT_READ;
	void *at = (attr & RSM_MAP_FIXED) != 0 ? *address : NULL;
	code = import->transport.ops->map(&import->transport, &at, (attr & RSM_MAP_FIXED) != 0, protection,
					  (uint64_t)offset, length);
	if (code == RSM_SUCCESS)
		*address = at;
	return code;
}

int rsm_memseg_import_map(rsm_memseg_import_handle_t im_memseg, void **address, rsm_attribute_t attr,
			  rsm_permission_t perm, off_t offset, size_t length)
{
	int code;
	lib_lock();
	struct lib_import *import = lib_import_find(im_memseg);
	if (import == NULL)
		code = lib_refuse_handle("import", im_memseg, RSMERR_BAD_SEG_HNDL);
	else if (address == NULL)
		code = base_refuse(RSMERR_BAD_ADDR, "no place to put the address (NULL)");
	else
		code = import_map(import, address, attr, perm, offset, length);
	lib_unlock();
	return code;
}

int rsm_memseg_import_unmap(rsm_memseg_import_handle_t im_memseg)
{
	int code = RSM_SUCCESS;
	lib_lock();
	struct lib_import *import = lib_import_find(im_memseg);
	if (import == NULL)
		code = lib_refuse_handle("import", im_memseg, RSMERR_BAD_SEG_HNDL);
	else if (import->transport.window == NULL)
		code = base_refuse(RSMERR_SEG_NOT_MAPPED, "the segment is not mapped");
	else
		import->transport.ops->unmap(&import->transport);
	lib_unlock();
	return code;
}
