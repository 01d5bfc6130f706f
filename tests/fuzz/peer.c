/* SPDX-License-Identifier: BSD-2-Clause */
/* A message of another daemon: it parses or not, and what parses packs, and parses to the same again. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "target.h"
#include "wire/peer.pb-c.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
	Wire__PeerMessage *message = wire__peer_message__unpack(NULL, length, data);
	if (!message)
		return 0;
	size_t size = wire__peer_message__get_packed_size(message);
	uint8_t *packed = malloc(size + 1);
	if (!packed || wire__peer_message__pack(message, packed) != size)
		abort();
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
