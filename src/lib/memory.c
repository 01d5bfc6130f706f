/* SPDX-License-Identifier: BSD-2-Clause */
/* Which memory stands behind an export: acquire, release, revoke, rebind; see memory.h. Under lib_lock. */
#include "lib/memory.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "lib/export.h"
#include "lib/object.h"
#include "segment/memfd.h"

/* ---- new objects for memory that no object covers yet ---- */

static bool is_private(const struct segment_range *range)
{
	return range->kind == SEGMENT_RANGE_ANONYMOUS || range->kind == SEGMENT_RANGE_PRIVATE_FILE;
}

/*
 * Makes an unused sealed object private memory again. If that cannot be done (no memory), the contents stay where they
 * are, away from former importers, and the object stays with them until the next attempt.
 */
static void give_back(struct lib_object *object)
{
	if (lib_object_return(object) == RSM_SUCCESS) {
		lib_object_discard(object);
		return;
	}
	lib_log(RSMX_LOG_WARNING, "%zu bytes at 0x%lx stay shared memory: %s", object->length,
		(unsigned long)object->start, base_reason());
	lib_object_move(object);
}

/* Puts neighbouring private mappings behind one sealed object. */
static int adopt(const struct segment_range *list, size_t count, bool huge)
{
	uintptr_t start = list[0].start;
	struct lib_object *object;
	int code = lib_object_create(list[count - 1].end - start, huge, &object);
	if (code != RSM_SUCCESS)
		return code;
	struct segment_guard guard;
	lib_object_guard(&guard);
	object->start = start;
	if (!lib_object_enter(object))
		code = base_refuse(RSMERR_INSUFFICIENT_MEM, "no memory to describe exported memory");
	for (size_t i = 0; i < count && code == RSM_SUCCESS; i++)
		code = segment_adopt(&list[i], object->fd, list[i].start - start, &guard);
	segment_guard_close(&guard);
	if (code != RSM_SUCCESS)
		give_back(object);
	return code;
}

/*
 * Shares memory that is shared already, in place. `fd` (stays the caller's) for a file, else -1 and rsmd looks for itself.
 */
static int offer(const struct segment_range *range, Wire__ObjectKind kind, int fd)
{
	struct lib_object *object = calloc(1, sizeof *object);
	if (object == NULL)
		return base_refuse(RSMERR_INSUFFICIENT_MEM, "no memory to describe exported memory");
	Wire__ObjectOffer message = WIRE__OBJECT_OFFER__INIT;
	message.kind = kind;
	message.address = range->start;
	message.length =
		range->end - range->start + (kind == WIRE__OBJECT_KIND__OBJECT_FILE ? range->offset : 0);
	message.shmid = kind == WIRE__OBJECT_KIND__OBJECT_SYSV ? (uint32_t)range->inode : 0;
	struct lib_reply reply = {0};
	int code = lib_daemon_call(WIRE__REQUEST__BODY_OBJECT_OFFER, &message, fd, &reply);
	if (code == RSM_SUCCESS && reply.message->body_case != WIRE__REPLY__BODY_OBJECT)
		code = base_refuse(RSMERR_INTERNAL_ERROR, "rsmd answered something else than an object");
	if (code == RSM_SUCCESS)
		*object = (struct lib_object){
			.start = range->start,
			.length = range->end - range->start,
			.id = reply.message->object->object_id,
			.session = lib_daemon.session,
			.fd = -1,
			.offset = range->offset,
			.device = range->device,
			.inode = range->inode,
		};
	lib_reply_clear(&reply);
	if (code == RSM_SUCCESS && lib_object_enter(object))
		return RSM_SUCCESS;
	free(object);
	return code != RSM_SUCCESS
		       ? code
		       : base_refuse(RSMERR_INSUFFICIENT_MEM, "no memory to describe exported memory");
}

/* Shared memory: by an own descriptor or path, by a privileged rsmd, or, if nobody else maps it, by copy. */
static int share(const struct segment_range *range)
{
	if (range->kind == SEGMENT_RANGE_SYSV)
		return offer(range, WIRE__OBJECT_KIND__OBJECT_SYSV, -1);
	int fd = range->kind == SEGMENT_RANGE_SHARED_FILE ? segment_range_descriptor(range) : -1;
	if (fd >= 0) {
		/* A fresh memfd may be opened for writing by whoever holds it read-only: not by importers of other users. */
		if (strncmp(range->path, "/memfd:", 7) == 0)
			(void)fchmod(fd, 0600);
		int code = offer(range, WIRE__OBJECT_KIND__OBJECT_FILE, fd);
		base_fd_close(&fd);
		return code;
	}
	bool copy = !segment_range_is_shared_with_others(range);
	/* Sealed memory is the better one where nobody loses by it: it can be revoked. */
	if (copy)
		return adopt(range, 1, range->page_size > 4096);
	int code = offer(range, WIRE__OBJECT_KIND__OBJECT_MAP_FILES, -1);
	if (code == RSM_SUCCESS)
		return code;
	return base_refuse(RSMERR_BAD_ADDR,
			   "0x%lx-0x%lx is memory shared with other processes (%s) of which no descriptor "
			   "can be had; keep "
			   "the memfd or file open, use rsmx_alloc, or run rsmd with CAP_CHECKPOINT_RESTORE",
			   (unsigned long)range->start, (unsigned long)range->end, range->path);
}

/* Behind objects with [start, end), which no object covers. */
static int cover(uintptr_t start, uintptr_t end)
{
	struct segment_range *list = NULL;
	size_t count = 0, i = 0;
	int code = segment_range_list((void *)start, end - start, &list, &count);
	while (code == RSM_SUCCESS && i < count) {
		size_t next = i + 1;
		if (is_private(&list[i])) {
			while (next < count && is_private(&list[next]))
				next++;
			code = adopt(&list[i], next - i, false);
		} else if (list[i].kind == SEGMENT_RANGE_HUGE) {
			code = adopt(&list[i], 1, true);
		} else if (list[i].kind == SEGMENT_RANGE_OTHER) {
			code = base_refuse(
				RSMERR_BAD_ADDR, "0x%lx-0x%lx (%s) is not memory that can be exported",
				(unsigned long)list[i].start, (unsigned long)list[i].end, list[i].path);
		} else {
			code = share(&list[i]);
		}
		i = next;
	}
	free(list);
	return code;
}

/* ---- the objects of a range ---- */

/* Drops what nobody references in the range: newly made and not used, or released. */
static void drop_unused(uintptr_t start, uintptr_t end)
{
	struct lib_object *object;
	for (uintptr_t at = start; (object = lib_object_first(at, end)) != NULL;) {
		at = object->start + object->length;
		if (object->references > 0 || object->allocation)
			continue;
		if (object->sealed)
			give_back(object);
		else
			lib_object_discard(object);
	}
}

static size_t count_pieces(uintptr_t start, uintptr_t end)
{
	size_t pieces = 0;
	struct lib_object *object;
	for (uintptr_t at = start; (object = lib_object_first(at, end)) != NULL; pieces++)
		at = object->start + object->length;
	return pieces;
}

/* A cut gives every export over the place one piece more: none may get too many. */
static int check_cut(uintptr_t border)
{
	for (struct lib_export *export = lib_export_list(); export != NULL; export = export->following) {
		uintptr_t end = export->address + export->length;
		if (export->address < border && border < end &&
		    count_pieces(export->address, end) >= SEGMENT_EXTENTS_MAX)
			return base_refuse(RSMERR_INSUFFICIENT_RESOURCES,
					   "the range cuts memory at 0x%lx that another segment of this "
					   "process covers, which "
					   "consists of %d pieces already, the most that are possible",
					   (unsigned long)border, SEGMENT_EXTENTS_MAX);
	}
	return RSM_SUCCESS;
}

/* Memory that is exported in place stays there: the tail becomes an object of its own, no page moves. */
static int cut_shared(struct lib_object *object, uintptr_t address)
{
	const uintptr_t end = object->start + object->length;
	object->length = address - object->start;
	int code = cover(address, end);
	if (code != RSM_SUCCESS) {
		drop_unused(address, end);
		object->length = end - object->start;
		return code;
	}
	struct lib_object *tail;
	for (uintptr_t at = address; (tail = lib_object_first(at, end)) != NULL;
	     at = tail->start + tail->length)
		tail->references = object->references;
	return lib_object_relayout(object->start, end);
}

/* Makes [start, end) consist of whole objects. */
static int cut_borders(uintptr_t start, uintptr_t end)
{
	const uintptr_t borders[] = {start, end};
	for (int i = 0; i < 2; i++) {
		struct lib_object *object = lib_object_first(borders[i] - 1, borders[i]);
		if (object == NULL || object->start + object->length <= borders[i])
			continue;
		int code = check_cut(borders[i]);
		if (code == RSM_SUCCESS)
			code = object->sealed ? lib_object_cut(object, borders[i])
					      : cut_shared(object, borders[i]);
		if (code != RSM_SUCCESS)
			return code;
	}
	return RSM_SUCCESS;
}

/* The whole range must be mapped, readable and writable, also where objects stand. */
static int check_mapped(uintptr_t start, size_t length)
{
	struct segment_range *list = NULL;
	size_t count = 0;
	int code = segment_range_list((void *)start, length, &list, &count);
	for (size_t i = 0; i < count && code == RSM_SUCCESS; i++) {
		struct lib_object *object = lib_object_first(list[i].start, list[i].end);
		if (object != NULL && (object->inode != list[i].inode || object->device != list[i].device))
			code = base_refuse(
				RSMERR_BAD_ADDR,
				"0x%lx-0x%lx was exported and then replaced by another mapping; destroy that "
				"export first",
				(unsigned long)list[i].start, (unsigned long)list[i].end);
	}
	free(list);
	return code;
}

/* An object that was registered with an rsmd that is gone gets a place at the present one. */
static int renew(struct lib_object *object)
{
	if (object->sealed)
		return lib_object_move(object);
	return base_refuse(RSMERR_CTLR_NOT_PRESENT,
			   "the range is still exported through an rsmd that is gone; destroy "
			   "that export first");
}

int lib_memory_acquire(uintptr_t address, size_t length)
{
	uintptr_t end = address + length;
	int code = check_mapped(address, length);
	if (code == RSM_SUCCESS)
		code = cut_borders(address, end);
	for (uintptr_t at = address; at < end && code == RSM_SUCCESS;) {
		struct lib_object *object = lib_object_first(at, end);
		uintptr_t gap_end = object == NULL ? end : object->start;
		if (gap_end > at) {
			code = cover(at, gap_end);
			at = gap_end;
			continue;
		}
		if (object->session != lib_daemon.session)
			code = renew(object);
		at = object->start + object->length;
	}
	size_t pieces = count_pieces(address, end);
	if (code == RSM_SUCCESS && pieces > SEGMENT_EXTENTS_MAX)
		code = base_refuse(
			RSMERR_INSUFFICIENT_RESOURCES,
			"the range consists of %zu pieces of different memory, a segment can have %d", pieces,
			SEGMENT_EXTENTS_MAX);
	if (code != RSM_SUCCESS) {
		drop_unused(address, end);
		return code;
	}
	for (uintptr_t at = address; at < end;) {
		struct lib_object *object = lib_object_first(at, end);
		object->references++;
		at = object->start + object->length;
	}
	return RSM_SUCCESS;
}

void lib_memory_release(uintptr_t address, size_t length)
{
	struct lib_object *object;
	for (uintptr_t at = address; (object = lib_object_first(at, address + length)) != NULL;
	     at = object->start + object->length)
		if (object->references > 0)
			object->references--;
	drop_unused(address, address + length);
}

int lib_memory_layout(const struct lib_export *export)
{
	if (export->signal.session != lib_daemon.session)
		return RSM_SUCCESS; /* registered with an rsmd that is gone: nobody to tell */
	Wire__Extent extents[SEGMENT_EXTENTS_MAX], *pointers[SEGMENT_EXTENTS_MAX];
	size_t count = 0;
	uintptr_t end = export->address + export->length;
	for (uintptr_t at = export->address; at < end && count < SEGMENT_EXTENTS_MAX; count++) {
		struct lib_object *object = lib_object_first(at, end);
		if (object == NULL)
			break;
		wire__extent__init(&extents[count]);
		extents[count].object_id = object->id;
		extents[count].offset = object->offset;
		extents[count].length = object->length;
		pointers[count] = &extents[count];
		at = object->start + object->length;
	}
	Wire__ExportLayout message = WIRE__EXPORT_LAYOUT__INIT;
	message.export_id = export->signal.id;
	message.extents = pointers;
	message.n_extents = count;
	return lib_daemon_call(WIRE__REQUEST__BODY_EXPORT_LAYOUT, &message, -1, NULL);
}

/* With LIB_MEMORY_ALL every object counts as held by importers. */
static bool is_listed(uint64_t id, const uint64_t *ids, size_t count)
{
	if (count == LIB_MEMORY_ALL)
		return true;
	for (size_t i = 0; i < count; i++)
		if (ids[i] == id)
			return true;
	return false;
}

int lib_memory_revoke(uintptr_t address, size_t length, const uint64_t *objects, size_t count)
{
	int code = RSM_SUCCESS;
	struct lib_object *object;
	for (uintptr_t at = address; (object = lib_object_first(at, address + length)) != NULL;
	     at = object->start + object->length) {
		if (!object->sealed || !is_listed(object->id, objects, count))
			continue;
		int one = lib_object_move(object);
		if (one != RSM_SUCCESS)
			code = one;
	}
	return code;
}

void lib_memory_revoke_kept(uintptr_t address, size_t length, const uint64_t *objects, size_t count)
{
	struct lib_object *object;
	for (uintptr_t at = address; (object = lib_object_first(at, address + length)) != NULL;
	     at = object->start + object->length)
		if (object->sealed && (object->references > 1 || object->allocation) &&
		    is_listed(object->id, objects, count))
			lib_object_move(object);
}

/* ---- rebind ---- */

/* Whether the objects of the old range can be kept: sealed, ours alone, 4 KiB pages; and the new range is private. */
static bool rebind_fits(uintptr_t from, uintptr_t to, size_t length)
{
	struct lib_object *object;
	for (uintptr_t at = from; (object = lib_object_first(at, from + length)) != NULL;
	     at = object->start + object->length)
		if (!object->sealed || object->references != 1 || object->allocation || object->huge ||
		    object->session != lib_daemon.session)
			return false;
	if (lib_object_first(to, to + length) != NULL)
		return false;
	struct segment_range *list = NULL;
	size_t count = 0;
	bool fits = segment_range_list((void *)to, length, &list, &count) == RSM_SUCCESS;
	for (size_t i = 0; i < count && fits; i++)
		fits = is_private(&list[i]);
	free(list);
	return fits;
}

/* The object leaves its range, where a private copy stays, and takes in the contents of the range at `to`. */
static int rebind_object(struct lib_object *object, uintptr_t to)
{
	struct segment_range *list = NULL;
	size_t count = 0;
	int code = lib_object_return(object);
	if (code != RSM_SUCCESS)
		return code;
	code = segment_range_list((void *)to, object->length, &list, &count);
	struct segment_guard guard;
	lib_object_guard(&guard);
	for (size_t i = 0; i < count && code == RSM_SUCCESS; i++)
		code = segment_adopt(&list[i], object->fd, object->offset + (list[i].start - to), &guard);
	segment_guard_close(&guard);
	free(list);
	lib_object_remove(object);
	object->start = to;
	if (!lib_object_enter(object) && code == RSM_SUCCESS)
		code = base_refuse(RSMERR_INSUFFICIENT_MEM, "no memory to describe exported memory");
	return code;
}

int lib_memory_rebind(uintptr_t from, uintptr_t to, size_t length, bool *done)
{
	*done = rebind_fits(from, to, length);
	if (!*done)
		return RSM_SUCCESS;
	struct lib_object *object;
	while ((object = lib_object_first(from, from + length)) != NULL) {
		int code = rebind_object(object, to + (object->start - from));
		if (code != RSM_SUCCESS) {
			/* Undo: the contents of the old range go back behind what was rebound so far. */
			while ((object = lib_object_first(to, to + length)) != NULL)
				if (rebind_object(object, from + (object->start - to)) != RSM_SUCCESS)
					break;
			return code;
		}
	}
	return RSM_SUCCESS;
}

/* ---- fork ---- */

/*
 * A private copy of what the object shows; pages that the application replaced are left alone. Where no copy can be made
 * the child sees the parent's later stores, but at least it cannot make any.
 */
static void forked(struct lib_object *object)
{
	if (object->sealed &&
	    !segment_copy_private((void *)object->start, object->length, object->fd, object->offset))
		(void)mmap((void *)object->start, object->length, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_FIXED, object->fd, (off_t)object->offset);
}

void lib_memory_forked(void)
{
	lib_object_each(forked);
	lib_object_forget_all();
}
