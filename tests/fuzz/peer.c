/* SPDX-License-Identifier: BSD-2-Clause */
/* A message of another daemon: it parses or not, and what parses and is known packs, and parses to the same again. */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "target.h"
#include "wire/peer.pb-c.h"

/*
 * Fields that this release does not know are kept, and some of them (number 0) protobuf-c packs but does not parse. No daemon sends
 * on what it received, so that is nobody's trouble.
 */
static bool has_unknown(const Wire__PeerMessage *message)
{
	if (message->base.n_unknown_fields > 0)
		return true;
	/* Whatever the body is, it begins with its base. */
	return message->body_case != WIRE__PEER_MESSAGE__BODY__NOT_SET &&
	       message->hello->base.n_unknown_fields > 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
	Wire__PeerMessage *message = wire__peer_message__unpack(NULL, length, data);
	if (!message)
		return 0;
	size_t size = wire__peer_message__get_packed_size(message);
	uint8_t *packed = malloc(size + 1);
	if (!packed || wire__peer_message__pack(message, packed) != size)
		abort();
	if (has_unknown(message)) {
		free(packed);
		wire__peer_message__free_unpacked(message, NULL);
		return 0;
	}
	Wire__PeerMessage *again = wire__peer_message__unpack(NULL, size, packed);
	if (!again || again->body_case != message->body_case ||
	    wire__peer_message__get_packed_size(again) != size)
		abort();
	uint8_t *repacked = malloc(size + 1);
	if (!repacked || wire__peer_message__pack(again, repacked) != size ||
	    memcmp(packed, repacked, size) != 0)
		abort();
	free(repacked);
	free(packed);
	wire__peer_message__free_unpacked(again, NULL);
	wire__peer_message__free_unpacked(message, NULL);
	return 0;
}
