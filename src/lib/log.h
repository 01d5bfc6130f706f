/* SPDX-License-Identifier: BSD-2-Clause */
/* Events inside the library, told to whoever asked by rsmx_set_log. Never on the data path. */
#ifndef LIB_LOG_H
#define LIB_LOG_H

#include "rsm/ext.h"

/*
 * Notes an event. May be called under lib_lock: texts are kept until lib_unlock hands them to the callback, which
 * runs with no lock held; when more than a few gather, the newer ones are dropped.
 */
void lib_log(rsmx_log_level_t level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Hands noted events to the callback. Called by lib_unlock after the lock was given back. */
void lib_log_flush(void);

#endif
