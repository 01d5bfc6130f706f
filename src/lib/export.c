/* SPDX-License-Identifier: BSD-2-Clause */
/* Export segments: create, destroy, rebind (rsm_memseg_export_create(3rsm)). Publication is in publish.c. */
#include "lib/export.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "lib/memory.h"
#include "lib/withdraw.h"

static struct lib_export *exports;

struct lib_export *lib_export_list(void)
{
	return exports;
}

/* The child of a fork has copies of the handles; the segments are its parent's. */
void lib_export_forked(void)
{
	exports = NULL;
}

/* The umask, without the race of setting it twice. 022 where /proc cannot tell. */
static uint32_t process_umask(void)
{
	char text[4096];
	int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
	ssize_t length = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
	base_fd_close(&fd);
	text[length < 0 ? 0 : length] = '\0';
	const char *line = strstr(text, "\nUmask:");
	return line == NULL ? 022 : (uint32_t)strtoul(line + 7, NULL, 8);
}

static int check_range(const void *vaddr, size_t size)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);
	if (vaddr == NULL)
		return base_refuse(RSMERR_BAD_ADDR, "the address of the memory to export is NULL");
	if (size == 0)
		return base_refuse(RSMERR_BAD_LENGTH, "a segment of 0 bytes");
	if ((uintptr_t)vaddr % page != 0 || size % page != 0)
		return base_refuse(RSMERR_BAD_MEM_ALIGNMENT,
				   "address %p and size %zu must be multiples of the page size, %zu", vaddr,
				   size, page);
	if (size > UINTPTR_MAX - (uintptr_t)vaddr)
		return base_refuse(RSMERR_BAD_ADDR, "%zu bytes at %p reach beyond the address space", size,
				   vaddr);
	return RSM_SUCCESS;
}

/* Loopback is exempt: there the node's quota decides. */
static int check_size(const struct lib_controller *controller, size_t size)
{
	if (controller->loopback || lib_daemon.max_exported_bytes == 0 ||
	    size <= lib_daemon.max_exported_bytes)
		return RSM_SUCCESS;
	return base_refuse(RSMERR_BAD_LENGTH,
			   "%zu bytes are more than a segment of %s may have, %llu (max-exported-memory)",
			   size, controller->name, (unsigned long long)lib_daemon.max_exported_bytes);
}

static void export_link(struct lib_export *export)
{
	export->following = exports;
	if (exports != NULL)
		exports->previous = export;
	exports = export;
}

static void export_unlink(struct lib_export *export)
{
	if (export->previous != NULL)
		export->previous->following = export->following;
	else if (exports == export)
		exports = export->following;
	if (export->following != NULL)
		export->following->previous = export->previous;
}

/* Takes slot and quota at rsmd; the memory comes after, so that limits are reported before addresses. */
static int export_register(struct lib_export *export)
{
	Wire__ExportCreate create;
	wire__export_create__init(&create);
	create.controller = export->controller->name;
	create.length = export->length;
	create.umask = process_umask();
	create.address = export->address;
	struct lib_reply reply = {0};
	int code = lib_daemon_call(WIRE__REQUEST__BODY_EXPORT_CREATE, &create, -1, &reply);
	if (code != RSM_SUCCESS)
		return code;
	const Wire__ExportReply *answer =
		reply.message->body_case == WIRE__REPLY__BODY_EXPORT_ ? reply.message->export_ : NULL;
	if (answer != NULL && answer->status_slot > 0 && answer->status_slot < lib_daemon.status_slots) {
		export->signal.id = answer->export_id;
		export->signal.session = lib_daemon.session;
		export->status = &lib_daemon.status[answer->status_slot];
	} else {
		code = base_refuse(RSMERR_INTERNAL_ERROR, "rsmd answered something else than an export");
	}
	lib_reply_clear(&reply);
	return code;
}

static void export_deregister(struct lib_export *export)
{
	if (lib_daemon_check(export->signal.session) != RSM_SUCCESS)
		return;
	Wire__ExportDestroy destroy = WIRE__EXPORT_DESTROY__INIT;
	destroy.export_id = export->signal.id;
	lib_daemon_call(WIRE__REQUEST__BODY_EXPORT_DESTROY, &destroy, -1, NULL);
}

static int export_back(struct lib_export *export)
{
	int code = lib_daemon_open();
	if (code == RSM_SUCCESS)
		code = export_register(export);
	if (code != RSM_SUCCESS)
		return code;
	code = lib_memory_acquire(export->address, export->length);
	if (code == RSM_SUCCESS) {
		code = lib_memory_layout(export);
		if (code == RSM_SUCCESS)
			return code;
		lib_memory_release(export->address, export->length);
	}
	export_deregister(export);
	return code;
}

static int export_create(rsmapi_controller_handle_t controller, rsm_memseg_export_handle_t *memseg,
			 void *vaddr, size_t size, uint_t flags)
{
	struct lib_controller *c = lib_controller_find(controller);
	if (c == NULL)
		return lib_refuse_handle("controller", controller, RSMERR_BAD_CTLR_HNDL);
	if (memseg == NULL)
		return base_refuse(RSMERR_BAD_SEG_HNDL, "no place to put the export handle (NULL)");
	*memseg = NULL;
	int code = check_range(vaddr, size);
	if (code != RSM_SUCCESS)
		return code;
	code = check_size(c, size);
	if (code != RSM_SUCCESS)
		return code;
	void *slot;
	code = lib_handle_take(&slot);
	if (code != RSM_SUCCESS)
		return code;
	struct lib_export *export = slot;
	export->controller = c;
	export->address = (uintptr_t)vaddr;
	export->length = size;
	export->flags = flags;
	export->creator = atomic_load(&lib_pid);
	atomic_store(&export->signal.doorbell, -1);
	code = export_back(export);
	if (code != RSM_SUCCESS) {
		lib_handle_free(export);
		return code;
	}
	c->references++;
	export_link(export);
	*memseg = lib_handle_publish(export, LIB_HANDLE_EXPORT);
	return RSM_SUCCESS;
}

int rsm_memseg_export_create(rsmapi_controller_handle_t controller, rsm_memseg_export_handle_t *memseg,
			     void *vaddr, size_t size, uint_t flags)
{
	lib_lock();
	int code = export_create(controller, memseg, vaddr, size, flags);
	lib_unlock();
	return code;
}

/* Everything of this process's behind the handle; a forked child only has its copy of the handle to free. */
static void export_free(struct lib_export *export)
{
	if (export->creator == atomic_load(&lib_pid)) {
		lib_withdraw_destroy(export);
		lib_memory_release(export->address, export->length);
		export_unlink(export);
	}
	lib_pollfd_close(&export->signal);
	lib_signal_unmap(&export->signal);
	lib_controller_release(export->controller);
	lib_handle_free(export);
}

int rsm_memseg_export_destroy(rsm_memseg_export_handle_t memseg)
{
	int code = RSM_SUCCESS;
	lib_lock();
	struct lib_export *export = lib_export_find(memseg);
	if (export == NULL)
		code = lib_refuse_handle("export", memseg, RSMERR_BAD_SEG_HNDL);
	else if (export->signal.pollfd_references > 0)
		code = base_refuse(RSMERR_POLLFD_IN_USE,
				   "%u references to the segment's poll descriptor remain; call "
				   "rsm_memseg_release_pollfd",
				   export->signal.pollfd_references);
	else
		export_free(export);
	lib_unlock();
	return code;
}

/* rebind's own order and codes for a bad range. */
static int rebind_check(const struct lib_export *export, const void *vaddr, size_t size)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);
	if ((export->flags & RSM_ALLOW_REBIND) == 0)
		return base_refuse(RSMERR_REBIND_NOT_ALLOWED,
				   "the segment was created without RSM_ALLOW_REBIND");
	if (export->creator != atomic_load(&lib_pid))
		return base_refuse(RSMERR_NOT_CREATOR, "process %d created the segment, process %d asks",
				   export->creator, atomic_load(&lib_pid));
	if (size != export->length)
		return base_refuse(RSMERR_BAD_LENGTH,
				   "the segment has %zu bytes, the new range %zu; they must be equal",
				   export->length, size);
	if ((uintptr_t)vaddr % page != 0)
		return base_refuse(RSMERR_BAD_ADDR, "address %p must be a multiple of the page size, %zu",
				   vaddr, page);
	if (size > UINTPTR_MAX - (uintptr_t)vaddr)
		return base_refuse(RSMERR_BAD_ADDR, "%zu bytes at %p reach beyond the address space", size,
				   vaddr);
	return lib_daemon_check(export->signal.session);
}

/* New memory behind the segment: in place if its object can be kept, else with a new layout that importers follow. */
static int rebind_memory(struct lib_export *export, uintptr_t address)
{
	bool done;
	const uintptr_t old = export->address;
	int code = lib_memory_rebind(old, address, export->length, &done);
	if (code != RSM_SUCCESS)
		return code;
	if (done) { /* the same objects, at another address: nothing that rsmd or an importer would see */
		export->address = address;
		return RSM_SUCCESS;
	}
	code = lib_memory_acquire(address, export->length);
	if (code != RSM_SUCCESS)
		return code;
	export->address = address;
	code = lib_memory_layout(export);
	if (code != RSM_SUCCESS) {
		export->address = old;
		lib_memory_release(address, export->length);
		return code;
	}
	/* Memory that other exports keep must not stay in the hands of this one's importers. */
	if (atomic_load(&export->published))
		lib_memory_revoke_kept(old, export->length, NULL, LIB_MEMORY_ALL);
	lib_memory_release(old, export->length);
	return RSM_SUCCESS;
}

static int export_rebind(rsm_memseg_export_handle_t memseg, void *vaddr, size_t size)
{
	struct lib_export *export = lib_export_find(memseg);
	if (export == NULL)
		return lib_refuse_handle("export", memseg, RSMERR_BAD_SEG_HNDL);
	if (vaddr == NULL)
		return base_refuse(RSMERR_BAD_ADDR, "the address of the new memory is NULL");
	if ((uintptr_t)vaddr == export->address && (export->flags & RSM_ALLOW_REBIND) != 0 &&
	    size == export->length && export->creator == atomic_load(&lib_pid))
		return RSM_SUCCESS;
	int code = rebind_check(export, vaddr, size);
	if (code != RSM_SUCCESS)
		return code;
	Wire__Reserve reserve = WIRE__RESERVE__INIT;
	reserve.length = size;
	code = lib_daemon_call(WIRE__REQUEST__BODY_RESERVE, &reserve, -1, NULL);
	if (code != RSM_SUCCESS)
		return code;
	code = rebind_memory(export, (uintptr_t)vaddr);
	Wire__Unreserve unreserve = WIRE__UNRESERVE__INIT;
	unreserve.length = size;
	lib_daemon_tell(WIRE__REQUEST__BODY_UNRESERVE, &unreserve);
	return code;
}

int rsm_memseg_export_rebind(rsm_memseg_export_handle_t memseg, void *vaddr, offset_t off, size_t size)
{
	(void)off; /* ignored, as the manual says */
	lib_lock();
	int code = export_rebind(memseg, vaddr, size);
	lib_unlock();
	return code;
}
