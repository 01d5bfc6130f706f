/* SPDX-License-Identifier: BSD-2-Clause */
/* Threads beside the loop's: detached, and with signals blocked, which are the loop's. */
#ifndef RSMD_THREAD_H
#define RSMD_THREAD_H

#include <signal.h>
#include <stdbool.h>

/* False: there is neither memory nor a thread; errno tells. */
bool rsmd_thread_start(void *(*run)(void *context), void *context);

/*
 * Around the start of a thread by somebody else: what it blocks then. Not faults: one that is blocked kills on the spot, without a
 * dump (dump.h).
 */
void rsmd_thread_signals_block(sigset_t *before);

#endif
