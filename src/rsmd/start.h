/* SPDX-License-Identifier: BSD-2-Clause */
/* How the process begins: descriptors, signals, the background, readiness. */
#ifndef RSMD_START_H
#define RSMD_START_H

/* Descriptors 0-2 exist, signals are as a daemon expects them whatever the starter's mask was. */
void rsmd_start_clean(void);

/*
 * Goes to the background. Returns in the child; the parent waits in here until the child is ready (exit 0) or
 * has ended (its exit code). Descriptors of the starter's program are closed, but for keep_fd.
 */
void rsmd_start_detach(int keep_fd);

/* The socket answers: tells the waiting parent, or the service manager. */
void rsmd_start_ready(void);

#endif
