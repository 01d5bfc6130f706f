/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Closes descriptors that others made. Such a close may take as long as they like (a socket that lingers, a
 * file of a FUSE server, the last one of much memory), and emptying memory waits for who is writing it, so
 * neither happens in the loop's thread. Threads do it, started as they are needed, up to 32; while all of them
 * are stuck the rest waits, and its numbers count as open descriptors. Nobody waits for them at exit.
 */
#ifndef RSMD_CLOSER_H
#define RSMD_CLOSER_H

#include <stdint.h>

/* Takes the descriptor over; -1 is ignored. Keeps errno. */
void rsmd_closer_close(int fd);

/* Gives the memfd's `length` bytes back first: who still maps it sees zeros. */
void rsmd_closer_empty(int fd, uint64_t length);

#endif
