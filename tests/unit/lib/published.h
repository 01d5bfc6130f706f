/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One published segment at the fake rsmd, described as a ConnectReply that a test may spoil. The same description answers
 * Connect and ImportLayout.
 */
#ifndef UNIT_LIB_PUBLISHED_H
#define UNIT_LIB_PUBLISHED_H

#include <stdatomic.h>

#include "fake.h"
#include "rsmapi.h"

#define PUBLISHED_IMPORT 4711u /* rsmd's id of the import */
#define PUBLISHED_SLOT   5u    /* of the status table */

struct published {
	Wire__ConnectReply reply;
	Wire__Extent extents[40];
	Wire__Extent *list[40];
	int fds[8]; /* the memory, then the signal memory */
	size_t fd_count;
	uint32_t code;                 /* refuses, if not 0 */
	bool no_body;                  /* answers without ConnectReply */
	fake_answer other;             /* to all other requests; NULL: an empty answer */
	bool hangs_up;                 /* when asked for the layout */
	_Atomic uint64_t disconnected; /* id that the library gave back last */
	_Atomic unsigned layouts;      /* how often the layout was asked for */
};
extern struct published published;

/* Starts a fake with a good segment: `pages` pages of `fill` in one object. */
void published_start(size_t pages, unsigned char fill);
void published_stop(void);

/* Makes the description good again, with fresh memory; the epoch is the table's. Closes what it had. */
void published_describe(size_t pages, unsigned char fill);

/* rsmd's side: other memory was put behind the segment; it was withdrawn. */
void published_move(void);
void published_abort(void);

/* A controller of the fake's. */
rsmapi_controller_handle_t published_controller(void);

/* Connects for reading and writing. */
int published_connect(rsm_memseg_import_handle_t *import);

/* Returns when the fake has worked off all that was sent. */
void published_settle(void);

#endif
