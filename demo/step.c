/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "step.h"

static const char *role;
static uint64_t last;

void demo_begin(const char *name)
{
	role = name;
	last = base_clock_ns();
}

void demo_restart(void)
{
	last = base_clock_ns();
}

void demo_step(const char *format, ...)
{
	uint64_t now = base_clock_ns();
	va_list arguments;
	va_start(arguments, format);
	printf("%10.3f ms  %-8s  ", (double)(now - last) / 1e6, role);
	vprintf(format, arguments);
	putchar('\n');
	fflush(stdout);
	va_end(arguments);
	last = base_clock_ns();
}

void demo_tell(const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	putchar('@');
	vprintf(format, arguments);
	putchar('\n');
	fflush(stdout);
	va_end(arguments);
}

void demo_need(int code, const char *what)
{
	if (code != RSM_SUCCESS)
		demo_fail("%s: %s (%s)", what, rsmx_last_error(), rsmx_errname(code));
}

void demo_fail(const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	fprintf(stderr, "demo: %s: ", role);
	vfprintf(stderr, format, arguments);
	fputc('\n', stderr);
	va_end(arguments);
	exit(1);
}

unsigned char demo_byte(size_t offset)
{
	return (unsigned char)(offset * 7 + 3);
}
