/* SPDX-License-Identifier: BSD-2-Clause */
/* What the three programs of the demo share: steps with their time, and how they end when one goes wrong. */
#ifndef DEMO_STEP_H
#define DEMO_STEP_H

#include <rsm/ext.h>
#include <rsmapi.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DEMO_TIMEOUT_MS 30000 /* no wait of the demo is longer */
#define DEMO_REGION                                                                                          \
	((size_t)4096) /* bytes of the region that is changed by put, and of the one changed by stores */

/* Names the process in its lines and starts the clock of its first step. */
void demo_begin(const char *role);

/* Ends a step: one line with the time since the last one. Waiting for others is not a step: demo_restart. */
void demo_step(const char *format, ...) __attribute__((format(printf, 1, 2)));
void demo_restart(void);

/* A line for run.sh, not for people. */
void demo_tell(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Ends the process with status 1 unless the call succeeded; the reason is the library's. */
void demo_need(int code, const char *what);
void demo_fail(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

/* The byte at `offset` of a changed region, as importer and exporter both compute it. */
unsigned char demo_byte(size_t offset);

/* SHA-256 as hexadecimal digits (checksum.c). */
void demo_checksum(const unsigned char *memory, size_t length, char digest[65]);

#endif
