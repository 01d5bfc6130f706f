/* SPDX-License-Identifier: BSD-2-Clause */
/* Objects by address, and moving, cutting and returning one; see object.h. Under lib_lock. */
#include "lib/object.h"

#include <search.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "lib/export.h"
#include "lib/lib.h"
#include "lib/memory.h"

static void *tree; /* of struct lib_object, ordered by address; ranges are disjoint */

/* Ranges that overlap count as equal: so a lookup with a range finds whatever overlaps it. */
static int compare(const void *a, const void *b)
{
	const struct lib_object *left = a, *right = b;
	if (left->start + left->length <= right->start)
		return -1;
	return left->start >= right->start + right->length;
}

static struct lib_object *find(uintptr_t start, uintptr_t end)
{
	const struct lib_object key = {.start = start, .length = end - start};
	struct lib_object *const *node = start < end ? tfind(&key, &tree, compare) : NULL;
	return node == NULL ? NULL : *node;
}

struct lib_object *lib_object_first(uintptr_t start, uintptr_t end)
{
	struct lib_object *object = find(start, end), *earlier;
	while (object != NULL && object->start > start && (earlier = find(start, object->start)) != NULL)
		object = earlier;
	return object;
}

bool lib_object_enter(struct lib_object *object)
{
	struct lib_object **node = tsearch(object, &tree, compare);
	return node != NULL && *node == object;
}

void lib_object_remove(struct lib_object *object)
{
	if (find(object->start, object->start + object->length) == object)
		tdelete(object, &tree, compare);
}

static void (*each_function)(struct lib_object *object);

static void each_node(const void *node, VISIT visit, int depth)
{
	(void)depth;
	if (visit == postorder || visit == leaf)
		each_function(*(struct lib_object *const *)node);
}

void lib_object_each(void (*each)(struct lib_object *object))
{
	each_function = each;
	twalk(tree, each_node);
}

static void forget(void *node)
{
	struct lib_object *object = node;
	base_fd_close(&object->fd);
	free(object);
}

void lib_object_forget_all(void)
{
	tdestroy(tree, forget);
	tree = NULL;
}

bool lib_memory_is_empty(void)
{
	return tree == NULL;
}

void lib_object_guard(struct segment_guard *guard)
{
	segment_guard_open(guard, lib_daemon.userfaultfd_device);
}

static void object_tell_free(uint64_t id, uint32_t session)
{
	if (session != lib_daemon.session)
		return;
	Wire__ObjectFree message = WIRE__OBJECT_FREE__INIT;
	message.object_id = id;
	lib_daemon_tell(WIRE__REQUEST__BODY_OBJECT_FREE, &message);
}

int lib_object_create(size_t length, bool huge, struct lib_object **created)
{
	struct lib_object *object = calloc(1, sizeof *object);
	if (object == NULL)
		return base_refuse(RSMERR_INSUFFICIENT_MEM, "no memory to describe exported memory");
	object->fd = -1;
	Wire__ObjectCreate create = WIRE__OBJECT_CREATE__INIT;
	create.length = length;
	create.huge = huge;
	struct lib_reply reply = {0};
	int code = lib_daemon_call(WIRE__REQUEST__BODY_OBJECT_CREATE, &create, -1, &reply);
	if (code == RSM_SUCCESS) {
		struct stat st;
		object->fd = base_fd_above_stdio(wire_packet_take(&reply.packet, 0));
		if (reply.message->body_case != WIRE__REPLY__BODY_OBJECT || object->fd < 0 ||
		    fstat(object->fd, &st) != 0)
			code = base_refuse(RSMERR_INSUFFICIENT_RESOURCES,
					   "no descriptor came for %zu bytes of exported memory; is "
					   "RLIMIT_NOFILE reached?",
					   length);
		else {
			object->id = reply.message->object->object_id;
			object->device = st.st_dev;
			object->inode = st.st_ino;
		}
		if (code != RSM_SUCCESS && reply.message->body_case == WIRE__REPLY__BODY_OBJECT)
			object_tell_free(reply.message->object->object_id, lib_daemon.session);
		lib_reply_clear(&reply);
	}
	if (code != RSM_SUCCESS) {
		base_fd_close(&object->fd);
		free(object);
		return code;
	}
	object->session = lib_daemon.session;
	object->length = length;
	object->sealed = true;
	object->huge = huge;
	*created = object;
	return RSM_SUCCESS;
}

void lib_object_discard(struct lib_object *object)
{
	lib_object_remove(object);
	object_tell_free(object->id, object->session);
	base_fd_close(&object->fd);
	free(object);
}

/* Takes over identity and memory of `fresh`, whose pages now stand at our range. */
static void object_become(struct lib_object *object, struct lib_object *fresh)
{
	base_fd_close(&object->fd);
	object->fd = fresh->fd;
	object->id = fresh->id;
	object->session = fresh->session;
	object->offset = 0;
	object->device = fresh->device;
	object->inode = fresh->inode;
	free(fresh);
}

/*
 * Tells the importers of every published export over [start, end) that its memory is about to move: what they do
 * meanwhile waits, or is done again. lib_object_relayout ends it.
 */
static int hold(uintptr_t start, uintptr_t end)
{
	int code = RSM_SUCCESS;
	for (struct lib_export *export = lib_export_list(); export != NULL && code == RSM_SUCCESS;
	     export = export->following) {
		if (export->address >= end || export->address + export->length <= start ||
		    !export->published || export->signal.session != lib_daemon.session)
			continue;
		Wire__ExportLayout message = WIRE__EXPORT_LAYOUT__INIT;
		message.export_id = export->signal.id;
		message.hold = true;
		code = lib_daemon_call(WIRE__REQUEST__BODY_EXPORT_LAYOUT, &message, -1, NULL);
	}
	return code;
}

/* Moves the pages of [start, object's end) to `fresh`. Importers are held from before the first page until relayout. */
static int move_to(struct lib_object *object, uintptr_t start, struct lib_object *fresh)
{
	int code = hold(object->start, object->start + object->length);
	if (code != RSM_SUCCESS)
		return code;
	struct segment_guard guard;
	lib_object_guard(&guard);
	code = segment_move((void *)start, fresh->length, object->fd,
			    object->offset + (start - object->start), fresh->fd, 0, &guard);
	segment_guard_close(&guard);
	return code;
}

/*
 * After a move that failed: gives the fresh memory up, unless pages stand there that could not be brought back (no
 * memory for that either). Then it stays, unknown to all, and the contents with it.
 */
static void abandon(struct lib_object *fresh, uintptr_t start)
{
	struct segment_range *list = NULL;
	size_t count = 0;
	bool stands = segment_range_collect((void *)start, fresh->length, &list, &count) != RSM_SUCCESS;
	for (size_t i = 0; i < count; i++)
		stands |= list[i].inode == fresh->inode && list[i].device == fresh->device;
	free(list);
	if (stands)
		lib_log(RSMX_LOG_ERROR, "part of the memory at 0x%lx could not be moved back",
			(unsigned long)start);
	else
		lib_object_discard(fresh);
}

int lib_object_move(struct lib_object *object)
{
	struct lib_object *fresh = NULL;
	int code = lib_object_create(object->length, object->huge, &fresh);
	if (fresh == NULL)
		return code;
	code = move_to(object, object->start, fresh);
	if (code != RSM_SUCCESS) {
		abandon(fresh, object->start);
		/* NOLINTNEXTLINE(clang-analyzer-*): abandoned on purpose: rsmd keeps it, or its owner is the tree */
		lib_object_relayout(object->start, object->start + object->length);
		return code;
	}
	uint64_t old = object->id;
	uint32_t old_session = object->session;
	object_become(object, fresh);
	code = lib_object_relayout(object->start, object->start + object->length);
	object_tell_free(old, old_session); /* only now: no export names it any more */
	return code;
}

int lib_object_cut(struct lib_object *object, uintptr_t address)
{
	const size_t front = address - object->start, back = object->length - front;
	const uintptr_t end = object->start + object->length;
	struct lib_object *fresh = NULL;
	int code = lib_object_create(back, object->huge, &fresh);
	if (fresh == NULL)
		return code;
	code = move_to(object, address, fresh);
	if (code != RSM_SUCCESS) {
		abandon(fresh, address);
		/* NOLINTNEXTLINE(clang-analyzer-*): the same */
		lib_object_relayout(object->start, end);
		return code;
	}
	fresh->start = address;
	fresh->allocation = object->allocation;
	fresh->references = object->references;
	object->length = front;
	if (!lib_object_enter(fresh))
		code = base_refuse(RSMERR_INSUFFICIENT_MEM, "no memory to describe exported memory");
	/* The front still lies in the old object, which reaches further than the front: it gets fresh memory too. */
	int front_code = lib_object_move(object);
	int back_code = lib_object_relayout(object->start, end);
	return code != RSM_SUCCESS ? code : front_code != RSM_SUCCESS ? front_code : back_code;
}

int lib_object_return(struct lib_object *object)
{
	struct segment_guard guard;
	lib_object_guard(&guard);
	/* What the application has unmapped or replaced meanwhile, against the rules, is left alone. */
	int code = segment_return((void *)object->start, object->length, object->fd, object->offset, &guard);
	segment_guard_close(&guard);
	return code;
}

int lib_object_relayout(uintptr_t start, uintptr_t end)
{
	int code = RSM_SUCCESS;
	for (struct lib_export *export = lib_export_list(); export != NULL; export = export->following) {
		if (export->address >= end || export->address + export->length <= start)
			continue;
		int one = lib_memory_layout(export);
		if (one != RSM_SUCCESS)
			code = one;
	}
	return code;
}
