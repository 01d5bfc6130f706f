/* SPDX-License-Identifier: BSD-2-Clause */
#include "suite.h"

#include <errno.h>
#include <poll.h>
#include <rsm/ext.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "peer.h"

#define STATUS_FAILED  1
#define STATUS_SKIPPED 77
#define MESSAGE_MAX    2048

static const char *controller = "loopback";
static char *message; /* shared with the case's process and its forked children */

#if SUITE_ASAN
/* Cases end with imports connected. Their links hang on handles, in mapped memory, where the leak checker does not look. */
const char *__lsan_default_suppressions(void);
__attribute__((visibility("default"))) const char *__lsan_default_suppressions(void)
{
	return "leak:tcp_attach\nleak:tcp_gather_ready\nleak:tcp_answers_grow\n";
}
#endif

const char *suite_controller(void)
{
	return controller;
}

bool suite_is_loopback(void)
{
	return strcmp(controller, "loopback") == 0;
}

bool suite_is_tcp(void)
{
	return strncmp(controller, "tcp", 3) == 0;
}

bool suite_can_map(void)
{
	return !suite_is_tcp();
}

static void __attribute__((format(printf, 1, 0))) say(const char *format, va_list arguments)
{
	size_t used = strlen(message);
	vsnprintf(message + used, MESSAGE_MAX - used, format, arguments);
}

_Noreturn void suite_fail(const char *file, int line, const char *format, ...)
{
	const char *name = strrchr(file, '/');
	int used = snprintf(message, MESSAGE_MAX, "%s:%d: ", name ? name + 1 : file, line);
	va_list arguments;
	va_start(arguments, format);
	if (used > 0 && used < MESSAGE_MAX)
		say(format, arguments);
	va_end(arguments);
	_exit(STATUS_FAILED);
}

_Noreturn void suite_skip(const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	message[0] = '\0';
	say(format, arguments);
	va_end(arguments);
	_exit(STATUS_SKIPPED);
}

void suite_expect(const char *file, int line, const char *call, int expected, int got)
{
	if (got != expected)
		suite_fail(file, line, "%s expected %s got %s (%d): %s", call, rsmx_errname(expected),
			   rsmx_errname(got), got, got ? rsmx_last_error() : "");
}

void suite_expect_number(const char *file, int line, const char *what, long long expected, long long got)
{
	if (got != expected)
		suite_fail(file, line, "%s expected %lld (0x%llx) got %lld (0x%llx)", what, expected,
			   expected, got, got);
}

void suite_expect_bytes(const char *file, int line, const char *what, const volatile void *address, int value,
			size_t length)
{
	const volatile uint8_t *bytes = address;
	for (size_t at = 0; at < length; at++) {
		if (bytes[at] != (uint8_t)value)
			suite_fail(file, line, "%s[%zu] expected 0x%02x got 0x%02x", what, at,
				   (unsigned)(uint8_t)value, (unsigned)bytes[at]);
	}
}

uint64_t suite_clock_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000u + (uint64_t)now.tv_nsec / 1000000u;
}

void suite_again(const char *file, int line, const char *what, uint64_t start)
{
	if (suite_clock_ms() - start > SUITE_PROMPT)
		suite_fail(file, line, "not within %d ms: %s", SUITE_PROMPT, what);
	poll(NULL, 0, 1); /* the condition is asked again; nothing depends on how long this takes */
}

size_t suite_page(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

int suite_join(int pid)
{
	int status;
	while (waitpid(pid, &status, 0) < 0) {
		if (errno != EINTR)
			suite_fail(__FILE__, __LINE__, "waitpid %d: %s", pid, strerror(errno));
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : 256 + WTERMSIG(status);
}

/* The case's own process: the deadline is the kernel's, so that a hang anywhere ends. */
static int case_run(const struct suite_case *one)
{
	message[0] = '\0';
	fflush(stdout);
	pid_t pid = fork();
	if (pid < 0) {
		snprintf(message, MESSAGE_MAX, "fork: %s", strerror(errno));
		return STATUS_FAILED;
	}
	if (pid == 0) {
		setpgid(0, 0);
		alarm(SUITE_DEADLINE);
		one->run();
		exit(0); /* runs what sanitizers check at exit */
	}
	setpgid(pid, pid);
	int status = suite_join(pid);
	kill(-pid, SIGKILL); /* children that a failed case left behind */
	if (status == 256 + SIGALRM)
		snprintf(message, MESSAGE_MAX, "no end within %d s", SUITE_DEADLINE);
	else if (status >= 256)
		snprintf(message, MESSAGE_MAX, "killed by signal %d (%s)", status - 256,
			 strsignal(status - 256));
	else if (status && !message[0])
		snprintf(message, MESSAGE_MAX, "exit status %d", status);
	return status;
}

static bool is_wanted(const char *number, int argc, char **argv, int first)
{
	for (int at = first; at < argc; at++) {
		if (strcmp(argv[at], number) == 0)
			return true;
	}
	return first == argc;
}

int suite_run(int argc, char **argv, const struct suite_case *cases, size_t count)
{
	bool list = false;
	int first = 1, passed = 0, failed = 0, skipped = 0;

	message = mmap(NULL, MESSAGE_MAX, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (message == MAP_FAILED)
		return STATUS_FAILED;
	if (argc > 1 && strcmp(argv[1], PEER_ARGUMENT) == 0)
		return peer_main(argc, argv);
	for (; first < argc && argv[first][0] == '-'; first++) {
		if (strcmp(argv[first], "--controller") == 0 && first + 1 < argc)
			controller = argv[++first];
		else if (strcmp(argv[first], "--list") == 0)
			list = true;
		else
			return fprintf(stderr, "usage: %s [--controller NAME] [--list] [C49 ...]\n", argv[0]),
			       2;
	}
	for (size_t at = 0; at < count; at++) {
		const struct suite_case *one = &cases[at];
		if (!is_wanted(one->number, argc, argv, first))
			continue;
		if (list) {
			printf("%s %s\n", one->number, one->text);
			continue;
		}
		int status = case_run(one);
		if (status == 0)
			passed++, printf("ok %s %s\n", one->number, one->text);
		else if (status == STATUS_SKIPPED)
			skipped++, printf("skip %s %s: %s\n", one->number, one->text, message);
		else
			failed++, printf("FAIL %s %s: %s\n", one->number, one->text, message);
	}
	if (!list)
		printf("%d passed, %d failed, %d skipped\n", passed, failed, skipped);
	return failed || (!list && passed + skipped == 0);
}
