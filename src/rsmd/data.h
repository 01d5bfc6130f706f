/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Data connections and the threads that serve them (doc/protocol.md 4). The gate has checked hello and ticket; from then on a
 * connection belongs to one thread of the pool for life: requests are performed in order, straight into and out of the segment.
 * Data threads share nothing with the loop but grants.
 */
#ifndef RSMD_DATA_H
#define RSMD_DATA_H

#include <stdbool.h>
#include <stdint.h>

#include "rsmd/target.h"

struct wire_tls;

/* Starts the threads. RSM_SUCCESS or a code with reason. */
int rsmd_data_open(uint32_t threads);

/*
 * Hands over a connected socket (and its TLS, or NULL) whose ticket was good; sends the welcome. Takes over the socket, the
 * tls and the connection's reference of the grant. `swap`: the client's byte order is not ours. False: no memory; all
 * is freed.
 */
bool rsmd_data_serve(int socket, struct wire_tls *tls, struct rsmd_grant *grant, bool swap);

/*
 * Set by guest.c: called in the loop's thread when a connection has ended (closed by its process, broken, or an offence: `why` is
 * text then, else NULL).
 */
void rsmd_data_on_end(void (*ended)(uint64_t guest_id, const char *why));

/* Guests that were held go on. The loop's thread. */
void rsmd_data_resume(void);

#endif
