/* SPDX-License-Identifier: BSD-2-Clause */
#include "rsmd/log.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "rsmd/metrics.h"
#include "rsmd/recorder.h"

#define OFFENCES_PER_SECOND 10

static enum rsmd_log_level log_level = RSMD_LOG_INFO;
static bool log_prefix, log_json;

static const struct {
	const char *name;
	enum rsmd_log_level level;
} names[] = {{"error", RSMD_LOG_ERROR},
	     {"warning", RSMD_LOG_WARNING},
	     {"info", RSMD_LOG_INFO},
	     {"debug", RSMD_LOG_DEBUG}};
#define NAMES (sizeof(names) / sizeof(names[0]))

void rsmd_log_open(void)
{
	const char *wanted = getenv("RSM_LOG"), *format = getenv("RSM_LOG_FORMAT");
	for (size_t i = 0; wanted && i < NAMES; i++)
		if (!strcmp(wanted, names[i].name))
			log_level = names[i].level;
	log_json = format && !strcmp(format, "json");
	log_prefix = !log_json && getenv("JOURNAL_STREAM") != NULL;
}

static const char *name_of(enum rsmd_log_level level)
{
	for (size_t i = 0; i < NAMES; i++)
		if (names[i].level == level)
			return names[i].name;
	return "debug";
}

bool rsmd_log_has(enum rsmd_log_level level)
{
	return level <= log_level;
}

void rsmd_log_event(enum rsmd_log_level level, const char *text, const struct rsmd_line *line)
{
	if (!rsmd_log_has(level))
		return;
	if (log_json)
		fwrite(line->text, 1, line->length, stderr);
	else if (log_prefix)
		fprintf(stderr, "<%d>%s\n", (int)level, text);
	else
		fprintf(stderr, "rsmd: %s\n", text);
}

__attribute__((format(printf, 2, 0))) static void write_line(enum rsmd_log_level level, const char *format,
							     va_list arguments)
{
	char text[1024], clean[sizeof(text)];
	struct rsmd_line line;
	vsnprintf(text, sizeof(text), format, arguments);
	rsmd_line_clean(clean, sizeof(clean), text); /* names of clients are not trusted */
	rsmd_line_begin(&line);
	rsmd_line_number(&line, "schema", 1);
	rsmd_line_time(&line, "time", base_clock_real_ns());
	rsmd_line_text(&line, "event", "log");
	rsmd_line_text(&line, "level", name_of(level));
	rsmd_line_text(&line, "text", clean);
	rsmd_line_end(&line);
	rsmd_recorder_add(&line, true);
	rsmd_log_event(level, clean, &line);
}

void rsmd_log(enum rsmd_log_level level, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	write_line(level, format, arguments);
	va_end(arguments);
}

bool rsmd_log_admit(void)
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
	rsmd_metrics.offences++;
	return ++count <= OFFENCES_PER_SECOND;
}

void rsmd_log_offence(const char *format, ...)
{
	if (!rsmd_log_admit())
		return;
	va_list arguments;
	va_start(arguments, format);
	write_line(RSMD_LOG_WARNING, format, arguments);
	va_end(arguments);
}
