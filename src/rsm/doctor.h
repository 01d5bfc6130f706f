/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the parts of `rsm doctor` share. A check says one thing: how it is (the level), what was found, and, unless that is
 * well, what to do. Nothing is changed by looking, except that a private daemon is started where an application would
 * start one.
 */
#ifndef RSM_DOCTOR_H
#define RSM_DOCTOR_H

#include "rsm/tool.h"

enum doctor_level { DOCTOR_OK, DOCTOR_NOTE, DOCTOR_WARNING, DOCTOR_PROBLEM, DOCTOR_LEVELS };

struct doctor {
	json_t *checks; /* list of {level, topic, found, do}; owned */
	unsigned counts[DOCTOR_LEVELS];

	/* What the daemon says of itself; NULL where it did not answer. Owned. */
	json_t *status, *health, *config, *nodes;
};

/* A new check. */
void doctor_say(struct doctor *doctor, enum doctor_level level, const char *topic, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
/* What to do about the newest one. */
void doctor_advise(struct doctor *doctor, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The parts, in this order. daemon: fills what the daemon says; without an answer the rest says less. */
void doctor_host(struct doctor *doctor);
void doctor_memory(struct doctor *doctor);
void doctor_daemon(struct doctor *doctor);
void doctor_processors(struct doctor *doctor);
void doctor_cluster(struct doctor *doctor);
void doctor_place(struct doctor *doctor);

/* doctor_report.c: text or JSON; `dump`: with all that the daemon tells. */
int doctor_report(const struct doctor *doctor, bool as_json, bool dump);

/* Small files of /proc and /sys: the first line without its end; false if there is none. */
bool doctor_read_line(const char *path, char *line, size_t size);
/* The number in it; `missing` where there is none. */
int64_t doctor_read_number(const char *path, int64_t missing);
/* Numbers out of the daemon's JSON: "descriptors.soft". `missing` where there is none, or null. */
int64_t doctor_number(const json_t *tree, const char *path, int64_t missing);
const char *doctor_text(const json_t *tree, const char *path);

#endif
