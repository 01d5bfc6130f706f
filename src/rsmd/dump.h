/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Writes the flight recorder out when rsmd dies of a fault in any of its threads (SIGSEGV, SIGBUS, SIGABRT, SIGILL, SIGFPE; the signal
 * is raised again, so that there is a core dump as without it), and on SIGUSR1, by which a daemon that does not answer is asked. All in
 * the signal's handler, without the loop, memory from the heap or a lock.
 *
 * Where to: the file that $RSM_DUMP names (absolute); else rsmd.dump in $STATE_DIRECTORY, which a service manager sets; else stderr. A file
 * has mode 0600 and is appended to; one larger than 8 MiB begins anew. It is used only if it is a regular one, of rsmd's user, under
 * one name, and no symbolic link.
 */
#ifndef RSMD_DUMP_H
#define RSMD_DUMP_H

#include <signal.h>

/* Installs the handlers; after rsmd_start_clean and rsmd_log_open. */
void rsmd_dump_open(void);

/* Takes from a set of signals that a thread blocks those that it must not: the faults. */
void rsmd_dump_spare(sigset_t *blocked);

/* rsmd ends with an error that it found itself: writes to the file, if there is one. On stderr the log has said it. */
void rsmd_dump_fatal(void);

#endif
