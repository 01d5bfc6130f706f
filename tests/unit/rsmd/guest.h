/* SPDX-License-Identifier: BSD-2-Clause */
/* For the tests of the data plane: an export, a guest with its connection, and the client's end of it, by hand. */
#ifndef TESTS_RSMD_GUEST_H
#define TESTS_RSMD_GUEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "rsmd/export.h"
#include "rsmd/target.h"
#include "wire/frame.h"
#include "wire/tls.h"

#define GUEST_FULL WIRE_FLAG_ANSWER

/* An export of one object; `memory` is the exporter's map of it. */
struct guest_export {
	struct rsmd_export export;
	struct rsmd_object object;
	struct rsmd_client owner;
	unsigned char *memory;
};

struct guest {
	struct guest_export *export;
	struct rsmd_grant *grant;
	int socket;           /* the client's end; blocking, gives up after 20 s */
	struct wire_tls *tls; /* or NULL: what follows is encrypted */
	uint32_t sequence;
};

/* Starts loop and data threads, once. */
void guest_begin(void);

/* `sealed`: as rsmd makes it; else a file that may be cut short. */
void guest_export_open(struct guest_export *export, size_t length, bool sealed);
void guest_export_close(struct guest_export *export);

enum guest_way { GUEST_TCP, GUEST_LOCAL, GUEST_TLS };
void guest_open(struct guest *guest, struct guest_export *export, enum guest_way way, uint32_t granted,
		struct rsmd_peer *peer, bool swap);
/* Closes what is still open, and waits until the data thread has let go. */
void guest_close(struct guest *guest);

/* The end of the connection as the loop's thread is told; the guest's, and why (NULL: no offence). */
const char *guest_ended(struct guest *guest);

/* The client's end. */
void guest_send(struct guest *guest, const void *bytes, size_t length);
bool guest_receive(struct guest *guest, void *bytes, size_t length); /* false: the end */
void guest_request(struct guest *guest, enum wire_op op, unsigned flags, unsigned width, uint64_t offset,
		   uint64_t length);
void guest_put(struct guest *guest, unsigned flags, uint64_t offset, const void *bytes, size_t length);
/* The next reply: success, of that op and sequence, with that many bytes behind. */
void guest_answered(struct guest *guest, enum wire_op op, uint32_t sequence, uint64_t length);
/* The next reply is a failure with a text; returns it (static). */
const char *guest_refused(struct guest *guest, enum wire_op op, uint32_t sequence);
/* All so far is performed. */
void guest_fence(struct guest *guest);

/* Bytes that tell where they belong. */
void guest_pattern(unsigned char *bytes, size_t length, uint64_t offset, unsigned seed);
bool guest_is_pattern(const unsigned char *bytes, size_t length, uint64_t offset, unsigned seed);

#endif
