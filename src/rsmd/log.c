/* SPDX-License-Identifier: BSD-2-Clause */
#include "rsmd/log.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/text.h"
#include "rsmd/metrics.h"
#include "rsmd/recorder.h"

#define LINES_PER_SECOND 10

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
	const char *wanted = getenv("RSM_LOG"), *format = getenv("RSM_LOG_FORMAT");
	for (size_t i = 0; wanted && i < NAMES; i++)
		if (!strcmp(wanted, names[i].name))
			log_level = names[i].level;
	log_json = format && !strcmp(format, "json");
	log_prefix = !log_json && is_journal();
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

/* Less than PIPE_BUF: a pipe takes it at once or not at all. 0 or an errno. */
static int put(enum rsmd_log_level level, const char *text, const struct rsmd_line *line)
{
	char plain[RSMD_LINE_MAX + 100];
	int length;
	if (log_json)
		return base_fd_write(STDERR_FILENO, line->text, line->length, 0);
	if (log_prefix)
		length = snprintf(plain, sizeof(plain), "<%d>%s\n", (int)level, text);
	else
		length = snprintf(plain, sizeof(plain), "rsmd: %s\n", text);
	return base_fd_write(STDERR_FILENO, plain, (size_t)length, 0);
}

static void make_line(struct rsmd_line *line, enum rsmd_log_level level, const char *text)
{
	rsmd_line_begin(line);
	rsmd_line_number(line, "schema", 1);
	rsmd_line_time(line, "time", base_clock_real_ns());
	rsmd_line_text(line, "event", "log");
	rsmd_line_text(line, "level", name_of(level));
	rsmd_line_text(line, "text", text);
	rsmd_line_end(line);
}

/* rsmd does not wait for who reads its log: what finds no room is counted, and told first when there is some. */
void rsmd_log_event(enum rsmd_log_level level, const char *text, const struct rsmd_line *line)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	static unsigned long lost;
	int error = 0;
	if (!rsmd_log_has(level))
		return;
	pthread_mutex_lock(&lock);
	if (lost) {
		char told[100];
		struct rsmd_line of_lost;
		snprintf(told, sizeof(told), "%lu lines of the log found no room and are lost", lost);
		make_line(&of_lost, RSMD_LOG_WARNING, told);
		error = put(RSMD_LOG_WARNING, told, &of_lost);
		lost = error ? lost : 0;
	}
	if (error || put(level, text, line))
		lost++;
	pthread_mutex_unlock(&lock);
}

__attribute__((format(printf, 2, 0))) static void write_line(enum rsmd_log_level level, const char *format,
							     va_list arguments)
{
	char text[RSMD_LINE_MAX], clean[sizeof(text)];
	struct rsmd_line line;
	vsnprintf(text, sizeof(text), format, arguments);
	base_text_clean(clean, sizeof(clean), text); /* names of clients are not trusted */
	make_line(&line, level, clean);
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

bool rsmd_log_admit(struct rsmd_log_budget *budget)
{
	uint64_t now = base_clock_ns() / 1000000000u;
	if (now != budget->second) {
		if (budget->count > LINES_PER_SECOND)
			rsmd_log(RSMD_LOG_WARNING, "%u more such lines were left out",
				 budget->count - LINES_PER_SECOND);
		budget->second = now;
		budget->count = 0;
	}
	return ++budget->count <= LINES_PER_SECOND;
}

bool rsmd_log_admit_offence(void)
{
	static struct rsmd_log_budget offences;
	rsmd_metrics.offences++;
	return rsmd_log_admit(&offences);
}

void rsmd_log_offence(const char *format, ...)
{
	if (!rsmd_log_admit_offence())
		return;
	va_list arguments;
	va_start(arguments, format);
	write_line(RSMD_LOG_WARNING, format, arguments);
	va_end(arguments);
}
