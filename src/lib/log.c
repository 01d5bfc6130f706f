/* SPDX-License-Identifier: BSD-2-Clause */
/* rsmx_set_log, and the few texts that wait for the lock to be given back. Thread-local: no lock needed. */
#include "lib/log.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>

#define PENDING_MAX 4
#define TEXT_MAX    256 /* bytes */

static pthread_mutex_t sink_lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
	rsmx_log_callback_t callback;
	void *context;
	rsmx_log_level_t level;
} sink;

static _Thread_local struct {
	unsigned count;
	rsmx_log_level_t level[PENDING_MAX];
	char text[PENDING_MAX][TEXT_MAX];
} pending;

void rsmx_set_log(rsmx_log_callback_t callback, void *context, rsmx_log_level_t level)
{
	pthread_mutex_lock(&sink_lock);
	sink.callback = callback;
	sink.context = context;
	sink.level = level;
	pthread_mutex_unlock(&sink_lock);
}

void lib_log(rsmx_log_level_t level, const char *format, ...)
{
	if (pending.count == PENDING_MAX)
		return;
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(pending.text[pending.count], TEXT_MAX, format, arguments);
	va_end(arguments);
	pending.level[pending.count++] = level;
}

void lib_log_flush(void)
{
	if (pending.count == 0)
		return;
	pthread_mutex_lock(&sink_lock);
	rsmx_log_callback_t callback = sink.callback;
	void *context = sink.context;
	rsmx_log_level_t level = sink.level;
	pthread_mutex_unlock(&sink_lock);
	for (unsigned i = 0; i < pending.count && callback != NULL; i++)
		if (pending.level[i] <= level)
			callback(context, pending.level[i], pending.text[i]);
	pending.count = 0;
}
