/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An import without library and rsmd: memfds stand for the exporter's memory, a line in our own memory for the status
 * table, and transport_layout_fetch answers what the test has put down.
 */
#ifndef UNIT_TRANSPORT_STUB_H
#define UNIT_TRANSPORT_STUB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "transport/local/local.h"

struct stub {
	struct transport_import import; /* first: the functions below get its address */
	struct segment_status status;
	struct transport_layout layout; /* what fetch tells; the descriptors stay the stub's */
	int fetch_code;                 /* fetch fails with it, if not 0 */
	unsigned fetches;
	unsigned locks;
	bool locked;
};

/* Memory of the exporter's: a memfd of `length` bytes filled with `fill`. */
int stub_memory(size_t length, unsigned char fill);

/* Makes the layout one extent, or adds one. The descriptor becomes the stub's. */
void stub_layout(struct stub *stub, int fd, uint64_t offset, uint64_t length);
void stub_layout_add(struct stub *stub, int fd, uint64_t offset, uint64_t length);

/* A connected import of `length` bytes of one memfd full of `fill`, which stands at *fd. */
void stub_connect(struct stub *stub, size_t length, unsigned char fill, uint32_t granted, int *fd);
void stub_disconnect(struct stub *stub);

/* The exporter puts other memory behind the segment; withdraws it. Async-signal-safe. */
void stub_move(struct stub *stub);
void stub_abort(struct stub *stub);

/* The same in two steps: between them the pages are in motion and nobody may use the map. */
void stub_move_begin(struct stub *stub);
void stub_move_end(struct stub *stub);

/* Returns when the thread of this process, that may not have told its id yet, sleeps in the kernel. */
void stub_await_sleep(const _Atomic pid_t *thread);

/* Reads of the memory past all maps of the transport. */
unsigned char stub_byte(int fd, uint64_t offset);
bool stub_is_all(int fd, uint64_t offset, size_t length, unsigned char value);

/* What transport_is_orphaned says. */
extern _Atomic bool stub_is_orphaned;

/* Times that transport_failed was called. */
extern _Atomic unsigned stub_failures;

/* What the kernel says of an address: it never faults. */
bool stub_can_read(const void *address);
bool stub_can_write(void *address);
bool stub_is_mapped(const void *address);

/* Pages of address space that this process has. */
unsigned stub_address_space(void);

#endif
