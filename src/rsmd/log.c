/* SPDX-License-Identifier: BSD-2-Clause */
#include "rsmd/log.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"

#define OFFENCES_PER_SECOND 10

static enum rsmd_log_level log_level = RSMD_LOG_INFO;
static bool log_prefix;

/* Children of services inherit the variable, but not always the journal behind standard error. */
static bool is_journal(void)
{
	const char *named = getenv("JOURNAL_STREAM");
	unsigned long long device, inode;
	struct stat found;
	return named && sscanf(named, "%llu:%llu", &device, &inode) == 2 && !fstat(STDERR_FILENO, &found) &&
	       found.st_dev == device && found.st_ino == inode;
}

void rsmd_log_open(void)
{
	static const struct {
		const char *name;
		enum rsmd_log_level level;
	} names[] = {{"error", RSMD_LOG_ERROR},
		     {"warning", RSMD_LOG_WARNING},
		     {"info", RSMD_LOG_INFO},
		     {"debug", RSMD_LOG_DEBUG}};
	const char *wanted = getenv("RSM_LOG");
	for (size_t i = 0; wanted && i < sizeof(names) / sizeof(names[0]); i++)
		if (!strcmp(wanted, names[i].name))
			log_level = names[i].level;
	log_prefix = is_journal();
}

__attribute__((format(printf, 2, 0))) static void write_line(enum rsmd_log_level level, const char *format,
							     va_list arguments)
{
	char line[1024];
	if (level > log_level)
		return;
	vsnprintf(line, sizeof(line), format, arguments);
	for (char *c = line; *c; c++) /* names of clients are not trusted */
		if ((unsigned char)*c < ' ')
			*c = '?';
	if (log_prefix)
		fprintf(stderr, "<%d>%s\n", (int)level, line);
	else
		fprintf(stderr, "rsmd: %s\n", line);
}

void rsmd_log(enum rsmd_log_level level, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	write_line(level, format, arguments);
	va_end(arguments);
}

void rsmd_log_offence(const char *format, ...)
{
	static uint64_t second;
	static unsigned count;
	uint64_t now = base_clock_ns() / 1000000000u;
	if (now != second) {
		if (count > OFFENCES_PER_SECOND)
			rsmd_log(RSMD_LOG_WARNING, "%u more such lines were left out",
				 count - OFFENCES_PER_SECOND);
		second = now;
		count = 0;
	}
	if (++count > OFFENCES_PER_SECOND)
		return;
	va_list arguments;
	va_start(arguments, format);
	write_line(RSMD_LOG_WARNING, format, arguments);
	va_end(arguments);
}
