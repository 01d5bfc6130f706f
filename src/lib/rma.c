/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * get and put: the checks in their order, then the transport. This is the first of two stations of
 * every data access; it takes no lock and makes no system call. The probes stand first and name all arguments: so they cost
 * their nop alone, while with a part of them the compiler moves registers about.
 */
#include "base/clock.h"
#include "base/probe.h"
#include "lib/count.h"

/* Writes down why, out of the way of those who succeed. */
static __attribute__((cold, noinline)) int refuse(int code, const void *handle, off_t offset, size_t bytes)
{
	const struct lib_import *import = lib_import_find(handle);
	switch (code) {
	case RSMERR_BAD_SEG_HNDL:
		return lib_refuse_handle("import", handle, code);
	case RSMERR_BAD_ADDR:
		return base_refuse(code, "the pointer to the local data is NULL");
	case RSMERR_BAD_MEM_ALIGNMENT:
		return base_refuse(code, "local data and offset (%lld) must be multiples of the item's size",
				   (long long)offset);
	case RSMERR_PERM_DENIED:
		return base_refuse(code, "the connection was granted 0%o only (read 0400, write 0200)",
				   import->transport.granted);
	case RSMERR_BAD_OFFSET:
		return base_refuse(code, "%zu bytes at offset %lld reach beyond the segment's %llu bytes",
				   bytes, (long long)offset, (unsigned long long)import->transport.length);
	default:
		return base_refuse(code,
				   "implicit barrier mode needs an initialised barrier on this handle; call "
				   "rsm_memseg_import_init_barrier, or set the explicit mode");
	}
}

/*
 * All checks that need no transport. `width` is a constant of the caller; `count` items of it. 0 or the first error in
 * the order of ERRORS in rsm_memseg_import_put(3rsm).
 */
static inline __attribute__((always_inline)) int check(const struct lib_import *import,
						       rsm_permission_t right, const void *data, off_t offset,
						       size_t count, unsigned width)
{
	if (lib_unlikely(import == NULL))
		return RSMERR_BAD_SEG_HNDL;
	if (lib_unlikely(data == NULL))
		return RSMERR_BAD_ADDR;
	if (lib_unlikely((((uintptr_t)data | (uintptr_t)offset) & (width - 1)) != 0))
		return RSMERR_BAD_MEM_ALIGNMENT;
	if (lib_unlikely((import->transport.granted & right) == 0))
		return RSMERR_PERM_DENIED;
	/* A negative offset is a huge one here; count is compared in items, so nothing can overflow. */
	if (lib_unlikely((uint64_t)offset > import->transport.length ||
			 count > (import->transport.length - (uint64_t)offset) / width))
		return RSMERR_BAD_OFFSET;
	if (lib_unlikely(atomic_load_explicit(&import->barriers, memory_order_relaxed) == 0 &&
			 atomic_load_explicit(&import->transport.implicit, memory_order_relaxed)))
		return RSMERR_BARRIER_UNINITIALIZED;
	return RSM_SUCCESS;
}

/*
 * Calls the transport and counts by the long way: the first call of a thread, one in the shared cell, and those that are timed,
 * which between nodes all are. `width` 0: bytes. Of a failure on one host the transport tells (transport_failed).
 */
static __attribute__((noinline)) int transfer(struct lib_import *import, bool is_put, uint64_t offset,
					      void *data, size_t count, unsigned width)
{
	struct transport_import *transport = &import->transport;
	const bool is_timed = lib_count_transfer(import, is_put, count * (width == 0 ? 1 : width));
	const uint64_t start = is_timed ? base_clock_ns() : 0;
	int code;
	if (is_put)
		code = width == 0 ? transport->ops->put(transport, offset, data, count)
				  : transport->ops->put_items(transport, offset, data, count, width);
	else
		code = width == 0 ? transport->ops->get(transport, offset, data, count)
				  : transport->ops->get_items(transport, offset, data, count, width);
	if (code != RSM_SUCCESS && lib_import_is_away(import))
		lib_count_failure(import);
	else if (is_timed && code == RSM_SUCCESS)
		lib_count_latency(import, base_clock_ns() - start);
	return code;
}

int rsm_memseg_import_get(rsm_memseg_import_handle_t im_memseg, off_t offset, void *dst_addr, size_t length)
{
	BASE_PROBE4(get, im_memseg, offset, dst_addr, length);
	struct lib_import *import = lib_import_find(im_memseg);
	int code = check(import, RSM_PERM_READ, dst_addr, offset, length, 1);
	if (lib_unlikely(code != RSM_SUCCESS))
		return refuse(code, im_memseg, offset, length);
	if (lib_unlikely(!lib_count_quickly(import, false, length)))
		return transfer(import, false, (uint64_t)offset, dst_addr, length, 0);
	return import->transport.ops->get(&import->transport, (uint64_t)offset, dst_addr, length);
}

int rsm_memseg_import_put(rsm_memseg_import_handle_t im_memseg, off_t offset, void *src_addr, size_t length)
{
	BASE_PROBE4(put, im_memseg, offset, src_addr, length);
	struct lib_import *import = lib_import_find(im_memseg);
	int code = check(import, RSM_PERM_WRITE, src_addr, offset, length, 1);
	if (lib_unlikely(code != RSM_SUCCESS))
		return refuse(code, im_memseg, offset, length);
	if (lib_unlikely(!lib_count_quickly(import, true, length)))
		return transfer(import, true, (uint64_t)offset, src_addr, length, 0);
	return import->transport.ops->put(&import->transport, (uint64_t)offset, src_addr, length);
}

static inline __attribute__((always_inline)) int get_items(rsm_memseg_import_handle_t im_memseg, off_t offset,
							   void *datap, ulong_t rep_cnt, unsigned width)
{
	BASE_PROBE5(get_items, im_memseg, offset, datap, rep_cnt, width);
	struct lib_import *import = lib_import_find(im_memseg);
	int code = check(import, RSM_PERM_READ, datap, offset, rep_cnt, width);
	if (lib_unlikely(code != RSM_SUCCESS))
		return refuse(code, im_memseg, offset, rep_cnt * width);
	if (lib_unlikely(!lib_count_quickly(import, false, rep_cnt * width)))
		return transfer(import, false, (uint64_t)offset, datap, rep_cnt, width);
	return import->transport.ops->get_items(&import->transport, (uint64_t)offset, datap, rep_cnt, width);
}

static inline __attribute__((always_inline)) int put_items(rsm_memseg_import_handle_t im_memseg, off_t offset,
							   const void *datap, ulong_t rep_cnt, unsigned width)
{
	BASE_PROBE5(put_items, im_memseg, offset, datap, rep_cnt, width);
	struct lib_import *import = lib_import_find(im_memseg);
	int code = check(import, RSM_PERM_WRITE, datap, offset, rep_cnt, width);
	if (lib_unlikely(code != RSM_SUCCESS))
		return refuse(code, im_memseg, offset, rep_cnt * width);
	if (lib_unlikely(!lib_count_quickly(import, true, rep_cnt * width)))
		return transfer(import, true, (uint64_t)offset, (void *)(uintptr_t)datap, rep_cnt, width);
	return import->transport.ops->put_items(&import->transport, (uint64_t)offset, datap, rep_cnt, width);
}

int rsm_memseg_import_get8(rsm_memseg_import_handle_t im_memseg, off_t offset, uint8_t *datap,
			   ulong_t rep_cnt)
{
	return get_items(im_memseg, offset, datap, rep_cnt, 1);
}

int rsm_memseg_import_get16(rsm_memseg_import_handle_t im_memseg, off_t offset, uint16_t *datap,
			    ulong_t rep_cnt)
{
	return get_items(im_memseg, offset, datap, rep_cnt, 2);
}

int rsm_memseg_import_get32(rsm_memseg_import_handle_t im_memseg, off_t offset, uint32_t *datap,
			    ulong_t rep_cnt)
{
	return get_items(im_memseg, offset, datap, rep_cnt, 4);
}

int rsm_memseg_import_get64(rsm_memseg_import_handle_t im_memseg, off_t offset, uint64_t *datap,
			    ulong_t rep_cnt)
{
	return get_items(im_memseg, offset, datap, rep_cnt, 8);
}

int rsm_memseg_import_put8(rsm_memseg_import_handle_t im_memseg, off_t offset, uint8_t *datap,
			   ulong_t rep_cnt)
{
	return put_items(im_memseg, offset, datap, rep_cnt, 1);
}

int rsm_memseg_import_put16(rsm_memseg_import_handle_t im_memseg, off_t offset, uint16_t *datap,
			    ulong_t rep_cnt)
{
	return put_items(im_memseg, offset, datap, rep_cnt, 2);
}

int rsm_memseg_import_put32(rsm_memseg_import_handle_t im_memseg, off_t offset, uint32_t *datap,
			    ulong_t rep_cnt)
{
	return put_items(im_memseg, offset, datap, rep_cnt, 4);
}

int rsm_memseg_import_put64(rsm_memseg_import_handle_t im_memseg, off_t offset, uint64_t *datap,
			    ulong_t rep_cnt)
{
	return put_items(im_memseg, offset, datap, rep_cnt, 8);
}
