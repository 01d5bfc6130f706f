/* SPDX-License-Identifier: BSD-2-Clause */
#include "rsmd/object.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <rsmapi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utlist.h>

#include "base/fd.h"
#include "base/reason.h"
#include "rsmd/closer.h"
#include "rsmd/maps.h"
#include "segment/memfd.h"
#include "segment/view.h"

#define PAGE      4096u
#define HUGE_PAGE (2u << 20)

#define CLOSED_HERE_MAX (1u << 20) /* bytes of our own memory that are freed without a thread */

struct rsmd_object *rsmd_object_find(const struct rsmd_client *client, uint64_t id)
{
	struct rsmd_object *object;
	HASH_FIND(hh, rsmd_server.objects, &id, sizeof(id), object);
	if (object && object->owner == client && !object->freed)
		return object;
	base_refuse(RSMERR_BAD_ADDR, "object %" PRIu64 " is not one of this process", id);
	return NULL;
}

/* Frees it and has closed what it has open: at once if that is quick, so that the descriptor is free again. */
static void object_release(struct rsmd_object *object)
{
	bool sealed = object->kind == WIRE__OBJECT_KIND__OBJECT_SEALED;
	if (sealed)
		rsmd_server.object_bytes -= object->end;
	if (sealed && object->end <= CLOSED_HERE_MAX)
		base_fd_close(&object->fd);
	else
		rsmd_closer_close(object->fd);
	free(object);
}

void rsmd_object_forget(struct rsmd_object *object)
{
	HASH_DEL(rsmd_server.objects, object);
	DL_DELETE(object->owner->objects, object);
	object_release(object);
}

static void object_empty(struct rsmd_object *object)
{
	/* Who still maps it sees zeros from now on, and the memory is free even if he stays. */
	if (object->kind == WIRE__OBJECT_KIND__OBJECT_SEALED) {
		rsmd_closer_empty(object->fd, object->end);
		object->fd = -1;
	}
	rsmd_object_forget(object);
}

void rsmd_object_use(struct rsmd_object *object)
{
	object->uses++;
}

void rsmd_object_unuse(struct rsmd_object *object)
{
	if (--object->uses == 0 && object->freed)
		object_empty(object);
}

/* Enters it in the tables, or frees it. */
static int object_add(struct rsmd_client *client, struct rsmd_object *object, struct rsmd_answer *answer)
{
	size_t limit = 2 * (size_t)rsmd_server.config.max_segments;
	int code = RSM_SUCCESS;
	if (HASH_COUNT(rsmd_server.objects) >= limit)
		code = base_refuse(RSMERR_INSUFFICIENT_RESOURCES,
				   "%zu memory objects on this node, the limit is twice max-segments = %u",
				   limit, rsmd_server.config.max_segments);
	object->id = ++rsmd_server.last_id;
	object->owner = client;
	if (!code) {
		HASH_ADD(hh, rsmd_server.objects, id, sizeof(object->id), object);
		if (!object->hh.tbl)
			code = base_refuse(RSMERR_INSUFFICIENT_MEM, "rsmd has no memory for another object");
	}
	if (code) {
		object_release(object);
		return code;
	}
	DL_APPEND(client->objects, object);
	answer->object = object;
	wire__object_reply__init(&answer->body.object);
	answer->body.object.object_id = object->id;
	answer->reply.body_case = WIRE__REPLY__BODY_OBJECT;
	answer->reply.object = &answer->body.object;
	return RSM_SUCCESS;
}

static struct rsmd_object *object_new(Wire__ObjectKind kind)
{
	struct rsmd_object *object = calloc(1, sizeof(*object));
	if (!object) {
		base_refuse(RSMERR_INSUFFICIENT_MEM, "rsmd has no memory for another object");
		return NULL;
	}
	object->kind = kind;
	object->fd = -1;
	object->shmid = -1;
	return object;
}

static int check_room(uint64_t length)
{
	uint64_t most = 2 * rsmd_server.config.max_exported_bytes;
	if (most == 0 || (rsmd_server.object_bytes <= most && length <= most - rsmd_server.object_bytes))
		return RSM_SUCCESS; /* without a limit nobody can use it up */
	return base_refuse(RSMERR_INSUFFICIENT_MEM,
			   "memory object of %" PRIu64 " bytes; %" PRIu64 " of %" PRIu64
			   " bytes are in use (twice max-exported-memory = %u percent)",
			   length, rsmd_server.object_bytes, most, rsmd_server.config.max_exported_percent);
}

RSMD_HANDLER(rsmd_object_create)
{
	const Wire__ObjectCreate *asked = request->object_create;
	uint64_t unit = asked->huge ? HUGE_PAGE : PAGE;
	(void)packet;
	if (!asked->length || asked->length % unit || asked->length > INT64_MAX)
		return base_refuse(RSMERR_BAD_LENGTH,
				   "memory object of %" PRIu64 " bytes; a multiple of %" PRIu64
				   " is expected",
				   asked->length, unit);
	int code = check_room(asked->length);
	if (code)
		return code;
	struct rsmd_object *object = object_new(WIRE__OBJECT_KIND__OBJECT_SEALED);
	if (!object)
		return RSMERR_INSUFFICIENT_MEM;
	object->local = true;
	code = segment_memfd_create("rsm", asked->length, asked->huge, 0, &object->fd);
	if (!code)
		code = rsmd_fd_keep(&object->fd);
	if (code) {
		free(object);
		return code;
	}
	object->end = asked->length;
	object->huge = asked->huge;
	rsmd_server.object_bytes += asked->length;
	code = object_add(client, object, answer);
	if (!code)
		rsmd_answer_add_fd(answer, object->fd, false);
	return code;
}

/*
 * The mode of a fresh memfd, and of shared anonymous memory, lets everybody who is given it read-only open it again for
 * writing. The exporter's library sees to its own memfds; this is for those that rsmd may change.
 */
static void tighten(int fd, uid_t uid)
{
	char path[32], name[16] = "";
	struct stat stat;
	if (fstat(fd, &stat) || (stat.st_uid != uid && stat.st_uid != geteuid()))
		return; /* somebody else's, who may have reasons for its mode */
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (readlink(path, name, sizeof(name) - 1) > 0 &&
	    (!strncmp(name, "/memfd:", 7) || !strncmp(name, "/dev/zero", 9)))
		(void)fchmod(fd, 0600);
}

static int offer_file(const Wire__ObjectOffer *asked, struct wire_packet *packet, struct rsmd_object *object)
{
	object->fd = wire_packet_take(packet, 0);
	object->end = asked->length;
	int code = segment_memfd_verify(object->fd, asked->length, true, false);
	if (!code)
		code = rsmd_fd_keep(&object->fd);
	return code;
}

static int offer_map_files(struct rsmd_client *client, const Wire__ObjectOffer *asked,
			   struct rsmd_object *object)
{
	struct rsmd_mapping mapping;
	int process;
	int code = rsmd_maps_find(client, asked->address, asked->length, &mapping, &process);
	if (code)
		return code;
	code = rsmd_maps_open(process, client->identity.uid, &mapping, &object->fd);
	base_fd_close(&process);
	if (!code)
		code = segment_memfd_verify(object->fd, mapping.offset + asked->length, true, false);
	if (!code)
		code = rsmd_fd_keep(&object->fd);
	object->start = mapping.offset;
	object->end = mapping.offset + asked->length;
	return code;
}

/* System V ids mean something else in another ipc namespace. */
static bool same_ipc_namespace(int process)
{
	struct stat own, theirs;
	return !stat("/proc/self/ns/ipc", &own) && !fstatat(process, "ns/ipc", &theirs, 0) &&
	       own.st_ino == theirs.st_ino && own.st_dev == theirs.st_dev;
}

static int offer_sysv(struct rsmd_client *client, const Wire__ObjectOffer *asked, struct rsmd_object *object)
{
	struct rsmd_mapping mapping;
	int process;
	int code = rsmd_maps_find(client, asked->address, asked->length, &mapping, &process);
	if (code)
		return code;
	bool same = same_ipc_namespace(process);
	base_fd_close(&process);
	if (!mapping.sysv || mapping.inode != asked->shmid || !same)
		return base_refuse(RSMERR_BAD_ADDR,
				   "System V segment %u is not what pid %d maps at 0x%" PRIx64, asked->shmid,
				   (int)client->pid, asked->address);
	struct shmid_ds state; /* may be forbidden to rsmd; the mapping shows the size as well */
	if (!shmctl((int)asked->shmid, IPC_STAT, &state) &&
	    mapping.offset + asked->length > ((state.shm_segsz + PAGE - 1) & ~(size_t)(PAGE - 1)))
		return base_refuse(RSMERR_BAD_ADDR,
				   "System V segment %u has %zu bytes, %" PRIu64 " were offered",
				   asked->shmid, (size_t)state.shm_segsz, mapping.offset + asked->length);
	object->shmid = (int)asked->shmid;
	object->start = mapping.offset;
	object->end = mapping.offset + asked->length;
	return RSM_SUCCESS;
}

RSMD_HANDLER(rsmd_object_offer)
{
	const Wire__ObjectOffer *asked = request->object_offer;
	if (packet->fd_count != (asked->kind == WIRE__OBJECT_KIND__OBJECT_FILE ? 1u : 0u))
		return RSMD_VIOLATION;
	if (!asked->length || asked->length % PAGE || asked->length > INT64_MAX || asked->address % PAGE)
		return base_refuse(RSMERR_BAD_LENGTH,
				   "0x%" PRIx64 " bytes at 0x%" PRIx64 ": whole pages are expected",
				   asked->length, asked->address);
	struct rsmd_object *object = object_new(asked->kind);
	if (!object)
		return RSMERR_INSUFFICIENT_MEM;
	int code;
	switch (asked->kind) {
	case WIRE__OBJECT_KIND__OBJECT_FILE:
		code = offer_file(asked, packet, object);
		break;
	case WIRE__OBJECT_KIND__OBJECT_MAP_FILES:
		code = offer_map_files(client, asked, object);
		break;
	case WIRE__OBJECT_KIND__OBJECT_SYSV:
		code = offer_sysv(client, asked, object);
		break;
	default:
		code = RSMD_VIOLATION;
	}
	if (!code && object->fd >= 0)
		tighten(object->fd, client->identity.uid);
	object->local = object->shmid >= 0 || (!code && segment_view_is_local(object->fd));
	if (!code)
		return object_add(client, object, answer);
	rsmd_closer_close(object->fd);
	free(object);
	return code;
}

RSMD_HANDLER(rsmd_object_free)
{
	(void)packet;
	(void)answer;
	struct rsmd_object *object = rsmd_object_find(client, request->object_free->object_id);
	if (!object)
		return RSMERR_BAD_ADDR;
	object->freed = true;
	if (!object->uses)
		object_empty(object);
	return RSM_SUCCESS;
}

int rsmd_object_open_for(struct rsmd_object *object, const struct rsmd_client *importer, bool writable,
			 int *fd)
{
	uid_t owner = object->owner->identity.uid, uid = importer->identity.uid;
	bool sealed = object->kind == WIRE__OBJECT_KIND__OBJECT_SEALED;
	*fd = -1;
	if (!sealed && writable && uid != owner && uid != 0)
		return base_refuse(RSMERR_PERM_DENIED,
				   "write access asked by uid %u to shared memory of uid %u that cannot be "
				   "sealed; the exporter "
				   "may use private memory or rsmx_alloc",
				   uid, owner);
	if (object->kind == WIRE__OBJECT_KIND__OBJECT_SYSV)
		return RSM_SUCCESS;
	struct stat stat;
	if (!sealed && uid != owner && uid != 0 &&
	    (fstat(object->fd, &stat) || stat.st_uid == uid || stat.st_mode & 0022))
		return base_refuse(
			RSMERR_PERM_DENIED,
			"uid %u could write the shared memory of uid %u that it may read: its file mode lets "
			"others write; chmod it, or use private memory or rsmx_alloc",
			uid, owner);
	int code = segment_memfd_reopen(object->fd, writable, fd);
	object->foreign |= uid != owner && uid != 0;
	if (!code || sealed || (uid != owner && uid != 0))
		return code;
	/* A file that rsmd's own user may not open again. The same user, or root, may have the exporter's. */
	*fd = fcntl(object->fd, F_DUPFD_CLOEXEC, 3);
	return *fd < 0 ? code : RSM_SUCCESS;
}
