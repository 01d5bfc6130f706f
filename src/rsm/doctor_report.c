/* SPDX-License-Identifier: BSD-2-Clause */
/* How `rsm doctor` tells: lines for people, JSON, or one text for a bug report. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "base/text.h"
#include "rsm/doctor.h"

#define INDENT 24 /* level and topic */

static const char *colour_of(const char *level)
{
	if (!tool_coloured())
		return "";
	if (strcmp(level, "ok") == 0)
		return "\033[32m";
	if (strcmp(level, "problem") == 0)
		return "\033[1;31m";
	return strcmp(level, "warning") == 0 ? "\033[33m" : "\033[36m";
}

/* At blanks, into the columns behind INDENT. A word that is longer stands alone. */
static void print_wrapped(const char *text)
{
	size_t column = INDENT;
	while (*text) {
		size_t length = strcspn(text, " \n");
		if (column > INDENT && column + 1 + length > TOOL_TABLE_WIDTH) {
			printf("\n%*s", INDENT, "");
			column = INDENT;
		} else if (column > INDENT) {
			putchar(' ');
			column++;
		}
		for (size_t i = 0, bytes; i < length; i += bytes ? bytes : 1) { /* from other programs, too */
			bytes = base_text_character(text + i);
			fwrite(bytes ? text + i : "?", bytes ? bytes : 1, 1, stdout);
		}
		column += length;
		text += length + (text[length] != '\0');
	}
	putchar('\n');
}

static const char *plural(unsigned count)
{
	return count == 1 ? "" : "s";
}

static void print_checks(const struct doctor *doctor)
{
	for (size_t i = 0; i < json_array_size(doctor->checks); i++) {
		const json_t *check = json_array_get(doctor->checks, i);
		const char *level = doctor_text(check, "level"), *advice = doctor_text(check, "do");
		const char *colour = colour_of(level);
		printf("%s%-8s%s %-14s ", colour, level, *colour ? "\033[0m" : "",
		       doctor_text(check, "topic"));
		print_wrapped(doctor_text(check, "found"));
		if (*advice) {
			printf("%*s-> ", INDENT - 3, "");
			print_wrapped(advice);
		}
	}
	const unsigned *counts = doctor->counts;
	printf("\n%u ok, %u note%s, %u warning%s, %u problem%s\n", counts[DOCTOR_OK], counts[DOCTOR_NOTE],
	       plural(counts[DOCTOR_NOTE]), counts[DOCTOR_WARNING], plural(counts[DOCTOR_WARNING]),
	       counts[DOCTOR_PROBLEM], plural(counts[DOCTOR_PROBLEM]));
}

/*
 * What else the daemon tells. One that does not know a word yet says so, which is told in its place. One that did not answer
 * the checks is not asked again: each question would wait as long as they did.
 */
static json_t *ask(const struct doctor *doctor, const char *what)
{
	char *text = NULL;
	if (!doctor->status)
		return json_pack("{s:s, s:s}", "refused", "RSMERR_CTLR_NOT_PRESENT", "reason",
				 "no daemon answers");
	int code = rsmx_status(what, 0, &text);
	if (code != RSM_SUCCESS)
		return json_pack("{s:s, s:s}", "refused", rsmx_errname(code), "reason", rsmx_last_error());
	json_error_t error;
	json_t *tree = json_loads(text, 0, &error);
	free(text);
	return tree ? tree : json_pack("{s:s, s:s}", "refused", "not JSON", "reason", error.text);
}

static const char *const dumped[] = {"status", "health", "config", "nodes", "segments", "events"};
#define DUMPED (sizeof(dumped) / sizeof(dumped[0]))

static json_t *host(void)
{
	struct utsname name;
	char when[40] = "";
	time_t now = time(NULL);
	struct tm parts;
	if (uname(&name) != 0)
		memset(&name, 0, sizeof(name));
	if (gmtime_r(&now, &parts))
		strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", &parts);
	return json_pack("{s:s, s:s, s:s, s:s, s:I}", "time", when, "tool", RSM_RELEASE, "kernel",
			 name.release, "machine", name.machine, "uid", (json_int_t)geteuid());
}

static int report_json(const struct doctor *doctor, bool dump)
{
	const unsigned *counts = doctor->counts;
	json_t *tree = json_pack("{s:i, s:O, s:i, s:i, s:i}", "schema", 1, "checks", doctor->checks, "notes",
				 (int)counts[DOCTOR_NOTE], "warnings", (int)counts[DOCTOR_WARNING],
				 "problems", (int)counts[DOCTOR_PROBLEM]);
	if (dump)
		json_object_set_new(tree, "host", host());
	for (size_t i = 0; dump && i < DUMPED; i++)
		json_object_set_new(tree, dumped[i], ask(doctor, dumped[i]));
	if (!tree || json_dumpf(tree, stdout, JSON_COMPACT | JSON_ENSURE_ASCII) != 0)
		return tool_fail("print the checks as JSON: out of memory");
	putchar('\n');
	json_decref(tree);
	return TOOL_OK;
}

static int dump_section(const char *title, json_t *tree)
{
	printf("\n== %s\n", title);
	int done = tree ? json_dumpf(tree, stdout, JSON_INDENT(1) | JSON_ENSURE_ASCII) : -1;
	json_decref(tree);
	putchar('\n');
	return done == 0 ? TOOL_OK : tool_fail("print the dump: out of memory");
}

int doctor_report(const struct doctor *doctor, bool as_json, bool dump)
{
	if (as_json)
		return report_json(doctor, dump);
	print_checks(doctor);
	int result = TOOL_OK;
	if (dump)
		result = dump_section("host", host());
	for (size_t i = 0; dump && result == TOOL_OK && i < DUMPED; i++)
		result = dump_section(dumped[i], ask(doctor, dumped[i]));
	return result;
}
