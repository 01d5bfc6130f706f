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

int lib_object_move(struct lib_object *object)
{
	struct lib_object *fresh = NULL;
	int code = lib_object_create(object->length, object->huge, &fresh);
	if (fresh == NULL)
		return code;
	struct segment_guard guard;
	lib_object_guard(&guard);
	code = segment_move((void *)object->start, object->length, object->fd, object->offset, fresh->fd, 0,
			    &guard);
	segment_guard_close(&guard);
	if (code != RSM_SUCCESS) {
		lib_object_discard(fresh);
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
	if (!object->sealed)
		return base_refuse(RSMERR_BAD_ADDR,
				   "the range cuts shared memory at 0x%lx that is exported as one piece; "
				   "export the same "
				   "range or one that lies apart",
				   (unsigned long)address);
	size_t front = address - object->start;
	struct lib_object *tail = calloc(1, sizeof *tail), *fresh = NULL;
	if (tail == NULL)
		return base_refuse(RSMERR_INSUFFICIENT_MEM, "no memory to describe exported memory");
	int code = lib_object_create(object->length - front, object->huge, &fresh);
	if (fresh == NULL) {
		free(tail);
		return code;
	}
	struct segment_guard guard;
	lib_object_guard(&guard);
	code = segment_move((void *)address, object->length - front, object->fd, object->offset + front,
			    fresh->fd, 0, &guard);
	segment_guard_close(&guard);
	if (code != RSM_SUCCESS) {
		free(tail);
		lib_object_discard(fresh);
		return code;
	}
	*tail = *object;
	tail->start = address;
	tail->length = object->length - front;
	tail->fd = -1;
	object_become(tail, fresh);
	uintptr_t end = object->start + object->length;
	object->length = front;
	if (!lib_object_enter(
		    tail)) /* cannot fail for order, only for memory: then it can be exported no more */
		return base_refuse(RSMERR_INSUFFICIENT_MEM, "no memory to describe exported memory");
	/* The front still lies in the old object, which reaches further than the front: it gets fresh memory too. */
	code = lib_object_move(object);
	return code != RSM_SUCCESS ? code : lib_object_relayout(object->start, end);
}

/*
 * The application may have unmapped or replaced part of the range, against the rules: only what still is our object is
 * turned back, by halves where there are holes.
 */
static void return_range(struct lib_object *object, uintptr_t start, size_t length,
			 const struct segment_guard *guard)
{
	struct segment_range *list = NULL;
	size_t count = 0;
	if (segment_range_list((void *)start, length, &list, &count) != RSM_SUCCESS) {
		size_t page = object->huge ? (size_t)2 << 20 : 4096, half = length / 2 / page * page;
		if (half == 0)
			return;
		return_range(object, start, half, guard);
		return_range(object, start + half, length - half, guard);
		return;
	}
	for (size_t i = 0; i < count; i++)
		if (list[i].inode == object->inode && list[i].device == object->device)
			segment_return((void *)list[i].start, list[i].end - list[i].start, object->fd,
				       list[i].offset, guard);
	free(list);
}

void lib_object_return(struct lib_object *object)
{
	struct segment_guard guard;
	lib_object_guard(&guard);
	return_range(object, object->start, object->length, &guard);
	segment_guard_close(&guard);
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
