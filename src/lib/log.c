/* SPDX-License-Identifier: BSD-2-Clause */
/* rsmx_set_log, and the few texts that wait for the lock to be given back. The texts are thread-local, who gets them is under lib_lock. */
#include "lib/log.h"
#include "lib/lib.h"

#include <stdarg.h>
#include <stdio.h>

#define PENDING_MAX 4
#define TEXT_MAX    256 /* bytes */

struct lib_log_sink lib_log_sink;

static _Thread_local struct {
	unsigned count;
	rsmx_log_level_t level[PENDING_MAX];
	char text[PENDING_MAX][TEXT_MAX];
} pending;

void rsmx_set_log(rsmx_log_callback_t callback, void *context, rsmx_log_level_t level)
{
	lib_lock();
	lib_log_sink = (struct lib_log_sink){.callback = callback, .context = context, .level = level};
	lib_unlock();
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

void lib_log_flush(const struct lib_log_sink *sink)
{
	for (unsigned i = 0; i < pending.count && sink->callback != NULL; i++)
		if (pending.level[i] <= sink->level)
			sink->callback(sink->context, pending.level[i], pending.text[i]);
	pending.count = 0;
}
