/* SPDX-License-Identifier: BSD-2-Clause */
/* Threads beside the loop's: detached, and with all signals blocked, which are the loop's. */
#ifndef RSMD_THREAD_H
#define RSMD_THREAD_H

#include <stdbool.h>

/* False: there is neither memory nor a thread; errno tells. */
bool rsmd_thread_start(void *(*run)(void *context), void *context);

#endif
