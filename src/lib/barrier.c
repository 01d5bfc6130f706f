/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Barriers (rsm_memseg_import_init_barrier(3rsm)). A barrier is the application's memory and used by one thread at a time; it holds the import's
 * handle, a mark with the open flag, and what the transport's begin gave at open. Nothing points to it, so it may vanish at
 * any time; a span that was open then ends with its import.
 */
#include "base/probe.h"
#include "lib/count.h"

#define MARK 0x5ba0u /* gnum of an initialised barrier; +1 while open */

struct span {
	struct lib_import *import;
	int code;
};

static int not_initialised(void)
{
	return base_refuse(RSMERR_BARRIER_UNINITIALIZED,
			   "the barrier was not initialised, was destroyed, or its import "
			   "segment was disconnected");
}

static struct span span_of(const rsmapi_barrier_t *barrier, bool must_be_open)
{
	if (barrier == NULL)
		return (struct span){
			.code = base_refuse(RSMERR_BAD_BARRIER_PTR, "the barrier pointer is NULL")};
	struct lib_import *import =
		(barrier->gnum | 1u) == (MARK | 1u) ? lib_import_find(barrier->seg) : NULL;
	if (import == NULL)
		return (struct span){.code = not_initialised()};
	if (must_be_open && barrier->gnum != (MARK | 1u))
		return (struct span){
			.code = base_refuse(RSMERR_BARRIER_NOT_OPENED, "the barrier is not open")};
	return (struct span){.import = import};
}

/* An open span that nobody closes. */
static void span_abandon(struct lib_import *import, rsmapi_barrier_t *barrier)
{
	if (barrier->gnum == (MARK | 1u) && import->transport.ops->abandon != NULL)
		import->transport.ops->abandon(&import->transport, (uint64_t)(uintptr_t)barrier->privdata);
	barrier->gnum = MARK;
}

int rsm_memseg_import_init_barrier(rsm_memseg_import_handle_t im_memseg, rsm_barrier_type_t type,
				   rsmapi_barrier_t *barrier)
{
	(void)type; /* every type is a span over the segment */
	struct lib_import *import = lib_import_find(im_memseg);
	if (import == NULL)
		return lib_refuse_handle("import", im_memseg, RSMERR_BAD_SEG_HNDL);
	if (barrier == NULL)
		return base_refuse(RSMERR_BAD_BARRIER_PTR, "the barrier pointer is NULL");
	/* Initialising a barrier of this handle anew does not make it two. */
	if ((barrier->gnum | 1u) != (MARK | 1u) || barrier->seg != (void *)im_memseg)
		atomic_fetch_add(&import->barriers, 1);
	else
		span_abandon(import, barrier);
	barrier->seg = im_memseg;
	barrier->gnum = MARK;
	barrier->privdata = NULL;
	return RSM_SUCCESS;
}

int rsm_memseg_import_open_barrier(rsmapi_barrier_t *barrier)
{
	BASE_PROBE1(barrier_open, barrier);
	struct span span = span_of(barrier, false);
	if (span.import == NULL)
		return span.code;
	span_abandon(span.import, barrier);
	barrier->privdata = (void *)(uintptr_t)span.import->transport.ops->begin(&span.import->transport);
	barrier->gnum = MARK | 1u;
	return RSM_SUCCESS;
}

int rsm_memseg_import_order_barrier(rsmapi_barrier_t *barrier)
{
	BASE_PROBE1(barrier_order, barrier);
	struct span span = span_of(barrier, true);
	if (span.import == NULL)
		return span.code;
	int code = span.import->transport.ops->order(&span.import->transport);
	if (lib_unlikely(code != RSM_SUCCESS))
		lib_count_failure(span.import);
	return code;
}

int rsm_memseg_import_close_barrier(rsmapi_barrier_t *barrier)
{
	BASE_PROBE1(barrier_close, barrier);
	struct span span = span_of(barrier, true);
	if (span.import == NULL)
		return span.code;
	barrier->gnum = MARK; /* closed in every case */
	int code = span.import->transport.ops->settle(&span.import->transport,
						      (uint64_t)(uintptr_t)barrier->privdata);
	lib_count_span(span.import, code);
	return code;
}

int rsm_memseg_import_destroy_barrier(rsmapi_barrier_t *barrier)
{
	struct span span = span_of(barrier, false);
	if (span.import == NULL)
		return span.code;
	span_abandon(span.import, barrier);
	atomic_fetch_sub(&span.import->barriers, 1);
	barrier->seg = NULL;
	barrier->gnum = 0;
	return RSM_SUCCESS;
}

int rsm_memseg_import_set_mode(rsm_memseg_import_handle_t im_memseg, rsm_barrier_mode_t mode)
{
	struct lib_import *import = lib_import_find(im_memseg);
	if (import == NULL)
		return lib_refuse_handle("import", im_memseg, RSMERR_BAD_SEG_HNDL);
	if (mode != RSM_BARRIER_MODE_EXPLICIT && mode != RSM_BARRIER_MODE_IMPLICIT)
		return base_refuse(RSMERR_BAD_MODE,
				   "barrier mode %d; only explicit (0) and implicit (1) exist", (int)mode);
	atomic_store(&import->transport.implicit, mode == RSM_BARRIER_MODE_IMPLICIT);
	lib_count_mode(import);
	return RSM_SUCCESS;
}

int rsm_memseg_import_get_mode(rsm_memseg_import_handle_t im_memseg, rsm_barrier_mode_t *mode)
{
	struct lib_import *import = lib_import_find(im_memseg);
	if (import == NULL)
		return lib_refuse_handle("import", im_memseg, RSMERR_BAD_SEG_HNDL);
	if (mode == NULL)
		return base_refuse(RSMERR_BAD_ADDR, "no place to put the mode (NULL)");
	*mode = atomic_load(&import->transport.implicit) ? RSM_BARRIER_MODE_IMPLICIT
							 : RSM_BARRIER_MODE_EXPLICIT;
	return RSM_SUCCESS;
}
