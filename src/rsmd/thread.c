/* SPDX-License-Identifier: BSD-2-Clause */
#include "rsmd/thread.h"

#include <errno.h>
#include <pthread.h>

#include "rsmd/dump.h"

#define STACK (256u << 10)

void rsmd_thread_signals_block(sigset_t *before)
{
	sigset_t blocked;
	sigfillset(&blocked);
	rsmd_dump_spare(&blocked);
	pthread_sigmask(SIG_SETMASK, &blocked, before);
}

bool rsmd_thread_start(void *(*run)(void *context), void *context)
{
	pthread_attr_t attributes;
	pthread_t thread;
	sigset_t before;
	int error = pthread_attr_init(&attributes);
	if (!error) {
		pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
		pthread_attr_setstacksize(&attributes, STACK);
		rsmd_thread_signals_block(&before);
		error = pthread_create(&thread, &attributes, run, context);
		pthread_sigmask(SIG_SETMASK, &before, NULL);
		pthread_attr_destroy(&attributes);
	}
	errno = error;
	return !error;
}
