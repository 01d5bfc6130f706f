/* SPDX-License-Identifier: BSD-2-Clause */
/* Events inside the library, told to whoever asked by rsmx_set_log. Never on the data path. */
#ifndef LIB_LOG_H
#define LIB_LOG_H

#include "rsm/ext.h"

/* Who wants to be told; under lib_lock. */
struct lib_log_sink {
	rsmx_log_callback_t callback;
	void *context;
	rsmx_log_level_t level;
};
extern struct lib_log_sink lib_log_sink;

/*
 * Notes an event, under lib_lock. It is kept, per thread, until lib_unlock hands it to the callback, which so runs with no
 * lock held; when more than a few gather, the newer ones are dropped.
 */
void lib_log(rsmx_log_level_t level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Hands this thread's noted events to `sink`. Called by lib_unlock after the lock was given back. */
void lib_log_flush(const struct lib_log_sink *sink);

#endif
