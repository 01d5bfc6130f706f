/* SPDX-License-Identifier: BSD-2-Clause */
#include "rsmd/unpack.h"

#include <stdalign.h>
#include <string.h>
#include <sys/mman.h>

#include "base/text.h"

#define REGION_SIZE (64u << 20)
#define REGION_KEPT (1u << 20) /* bytes of memory that stay between requests */

static uint8_t *region;
static size_t used;

static void *region_alloc(void *context, size_t size)
{
	(void)context;
	size_t unit = alignof(max_align_t);
	if (size > REGION_SIZE - used)
		return NULL;
	void *piece = region + used;
	used += (size + unit - 1) & ~(unit - 1); /* the region's size is a multiple, too */
	return piece;
}

static void region_free(void *context, void *piece)
{
	(void)context;
	(void)piece; /* with all others, by reset */
}

bool rsmd_unpack_open(void)
{
	void *memory = mmap(NULL, REGION_SIZE, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	region = memory == MAP_FAILED ? NULL : memory;
	return region != NULL;
}

static ProtobufCAllocator allocator = {.alloc = region_alloc, .free = region_free};

/* Whether the sender set that field: of those in a oneof, one at most. */
static bool is_set(const uint8_t *message, const ProtobufCFieldDescriptor *field)
{
	uint32_t chosen;
	if (!(field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF))
		return true;
	memcpy(&chosen, message + field->quantifier_offset, sizeof(chosen));
	return chosen == field->id;
}

/* Here, where they come in, so that nobody behind has to think of it. Nothing that is repeated holds a text. */
static void texts_clean(ProtobufCMessage *message)
{
	uint8_t *bytes = (uint8_t *)message;
	for (unsigned i = 0; i < message->descriptor->n_fields; i++) {
		const ProtobufCFieldDescriptor *field = &message->descriptor->fields[i];
		bool is_message = field->type == PROTOBUF_C_TYPE_MESSAGE;
		void *value;
		if ((!is_message && field->type != PROTOBUF_C_TYPE_STRING) ||
		    field->label == PROTOBUF_C_LABEL_REPEATED || !is_set(bytes, field))
			continue;
		memcpy(&value, bytes + field->offset, sizeof(value));
		if (is_message && value)
			texts_clean(value);
		else if (!is_message && *(char *)value) /* "" is a constant */
			base_text_clean(value, strlen(value) + 1, value);
	}
}

Wire__Request *rsmd_unpack(const uint8_t *body, size_t length)
{
	Wire__Request *request = wire__request__unpack(&allocator, length, body);
	if (request)
		texts_clean(&request->base);
	return request;
}

Wire__PeerMessage *rsmd_unpack_peer(const uint8_t *body, size_t length)
{
	Wire__PeerMessage *message = wire__peer_message__unpack(&allocator, length, body);
	if (message)
		texts_clean(&message->base);
	return message;
}

void rsmd_unpack_reset(void)
{
	if (used > REGION_KEPT)
		madvise(region + REGION_KEPT, REGION_SIZE - REGION_KEPT, MADV_DONTNEED);
	used = 0;
}
