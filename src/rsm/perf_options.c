/* SPDX-License-Identifier: BSD-2-Clause */
/* The options of `rsm perf`, those of a command line and those of a line of a batch. */
#include <errno.h>
#include <getopt.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "rsm/perf.h"

const char cmd_perf_help[] =
	"Usage: rsm perf [OPTION]... [[NODE:]ID]\n"
	"\n"
	"Measures latency, rate and bandwidth. Without an address it starts a peer process of its own and\n"
	"measures against that; with one, against that segment: get and connect always, put only with\n"
	"--write. The segment may be another node's, such as one of `rsm export` there: its process takes\n"
	"no part. Tests that need a peer of their own are left out then.\n"
	"\n"
	"What is measured:\n"
	"  -t, --tests NAME[,..]   only these; --list shows all\n"
	"  -l, --list              list the tests\n"
	"  -s, --sizes SIZE[,..]   for the tests that take sizes\n"
	"  -a, --all               all powers of two up to the segment's size; 64 MiB against an own peer\n"
	"  -b, --batch FILE        a run for each line of FILE, whose words are options as here; - is\n"
	"                          standard input\n"
	"  -w, --write             allow puts to a segment that was named (its contents are put back)\n"
	"      --controller NAME   default: one that leads to NODE\n"
	"  -f, --from FILE         show results that --json wrote earlier, measure nothing\n"
	"How:\n"
	"  -n, --count N           operations of one row, instead of a time\n"
	"  -D, --duration SECONDS  time of one row, default 0.2\n"
	"  -W, --warm-up SECONDS   before the first sample; default: until a batch takes 2 us\n"
	"  -c, --cpus CPU,CPU      where this process and its peer run; default the first two allowed\n"
	"  -C, --compare           run the raw limit (memcpy, store and fence, futex) in turns, print the\n"
	"                          ratio. It is one of this host's memory; the limit of a network needs a\n"
	"                          program at its other end: make bench\n"
	"How it is shown:\n"
	"  -j, --json              as JSON, \"schema\": 1, with the facts of the machine\n"
	"  -H, --histogram         bars of the samples below each row; the last one is all above p99.9\n"
	"      --plot FILE.svg     draw curves over size, else the latency's distribution; or FILE.png\n"
	"                          (by gnuplot)\n"
	"      --baseline FILE     tell what changed since FILE was written by --json on the same machine\n"
	"      --force             compare with another machine's\n"
	"  -h, --help              this text\n"
	"\n"
	"Times are per operation, means of batches of at least 2 us after a warm-up; speed is taken from\n"
	"the median. RATIO is librsm's median time over the raw one: 1.00 is the limit, smaller is\n"
	"better.\n"
	"\n"
	"Example:\n"
	"  rsm perf --compare -t put-bw,get-bw -s 4k,64k,1M\n"
	"  rsm perf --compare --all -t put,get --plot latency.svg\n"
	"  rsm perf 2:0x400000\n";

enum { CONTROLLER = 256, PLOT, BASELINE, FORCE };

static const char short_options[] = ":t:s:ab:f:n:D:W:c:CwljHh";
static const struct option long_options[] = {{"tests", required_argument, NULL, 't'},
					     {"sizes", required_argument, NULL, 's'},
					     {"all", no_argument, NULL, 'a'},
					     {"batch", required_argument, NULL, 'b'},
					     {"from", required_argument, NULL, 'f'},
					     {"count", required_argument, NULL, 'n'},
					     {"duration", required_argument, NULL, 'D'},
					     {"warm-up", required_argument, NULL, 'W'},
					     {"cpus", required_argument, NULL, 'c'},
					     {"compare", no_argument, NULL, 'C'},
					     {"write", no_argument, NULL, 'w'},
					     {"controller", required_argument, NULL, CONTROLLER},
					     {"list", no_argument, NULL, 'l'},
					     {"json", no_argument, NULL, 'j'},
					     {"histogram", no_argument, NULL, 'H'},
					     {"plot", required_argument, NULL, PLOT},
					     {"baseline", required_argument, NULL, BASELINE},
					     {"force", no_argument, NULL, FORCE},
					     {"help", no_argument, NULL, 'h'},
					     {NULL, 0, NULL, 0}};

static int check_names(const struct tool_command *command, const char *list)
{
	for (const char *at = list; at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL) {
		size_t length = strcspn(at, ",");
		if (!perf_select_exists(at, length))
			return tool_usage(command, "there is no test '%.*s'; --list shows all", (int)length,
					  at);
	}
	return TOOL_OK;
}

static int parse_sizes(const struct tool_command *command, const char *text, struct perf_options *options)
{
	char word[32];
	options->size_count = 0;
	options->all = false;
	for (const char *at = text; at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL) {
		uint64_t size;
		size_t length = strcspn(at, ",");
		snprintf(word, sizeof(word), "%.*s", (int)(length < sizeof(word) ? length : sizeof(word) - 1),
			 at);
		if (!tool_parse_size(word, &size) || size == 0 || size > SIZE_MAX / 4)
			return tool_usage(command, "'%s' is not a size such as 64k", word);
		if (options->size_count == PERF_SIZES_MAX)
			return tool_usage(command, "more than %d sizes", PERF_SIZES_MAX);
		options->sizes[options->size_count++] = (size_t)size;
	}
	return TOOL_OK;
}

void perf_options_all(struct perf_options *options, size_t largest)
{
	options->size_count = 0;
	for (size_t size = 1; size && size <= largest && options->size_count < PERF_SIZES_MAX; size *= 2)
		options->sizes[options->size_count++] = size;
}

static int parse_cpus(const struct tool_command *command, const char *text, int cpus[2])
{
	char tail;
	if (sscanf(text, "%d,%d%c", &cpus[0], &cpus[1], &tail) != 2 || cpus[0] < 0 || cpus[1] < 0 ||
	    cpus[0] >= CPU_SETSIZE || cpus[1] >= CPU_SETSIZE)
		return tool_usage(command, "'%s' is not a pair of CPUs such as 0,1", text);
	return TOOL_OK;
}

/* Options with an argument. */
static int set_argument(const struct tool_command *command, int option, struct perf_options *options)
{
	switch (option) {
	case 't':
		options->tests = optarg;
		return check_names(command, optarg);
	case 's':
		return parse_sizes(command, optarg, options);
	case CONTROLLER:
		options->controller = optarg;
		return TOOL_OK;
	case 'b':
		options->batch = optarg;
		return TOOL_OK;
	case 'f':
		options->from = optarg;
		return TOOL_OK;
	case PLOT:
		options->plot = optarg;
		return TOOL_OK;
	case BASELINE:
		options->baseline = optarg;
		return TOOL_OK;
	case 'n':
		if (!tool_parse_number(optarg, UINT64_MAX / 2, &options->budget.operations) ||
		    options->budget.operations == 0)
			return tool_usage(command, "'%s' is not a count", optarg);
		return TOOL_OK;
	case 'D':
		options->budget.operations = 0;
		if (!tool_parse_seconds(optarg, &options->budget.nanoseconds))
			return tool_usage(command, "'%s' is not a number of seconds up to 3600", optarg);
		return TOOL_OK;
	case 'W':
		if (!tool_parse_seconds(optarg, &options->budget.warm_up))
			return tool_usage(command, "'%s' is not a number of seconds up to 3600", optarg);
		return TOOL_OK;
	default:
		return parse_cpus(command, optarg, options->cpus);
	}
}

static int set_option(const struct tool_command *command, int option, struct perf_options *options)
{
	switch (option) {
	case 'a':
		options->all = true;
		perf_options_all(options, PERF_LARGEST);
		return TOOL_OK;
	case 'C':
		options->compare = true;
		return TOOL_OK;
	case 'w':
		options->write = true;
		return TOOL_OK;
	case 'l':
		options->list = true;
		return TOOL_OK;
	case 'j':
		options->json = true;
		return TOOL_OK;
	case 'H':
		options->histogram = true;
		return TOOL_OK;
	case FORCE:
		options->force = true;
		return TOOL_OK;
	case 'h':
		options->help = true;
		return TOOL_OK;
	default:
		return set_argument(command, option, options);
	}
}

/* What cannot go together. */
static int check(const struct tool_command *command, const struct perf_options *options)
{
	if (options->controller && !options->address)
		return tool_usage(command, "--controller needs a segment to lead to");
	if (options->from && (options->batch || options->address || options->tests))
		return tool_usage(command, "--from shows what was measured; nothing is measured with it");
	if (options->force && !options->baseline)
		return tool_usage(command, "--force needs a --baseline to compare with");
	return TOOL_OK;
}

/* Rather than of one measurement. */
static bool is_of_the_run(int option)
{
	static const int all[] = {'b', 'f', 'l', 'j', 'H', 'h', PLOT, BASELINE, FORCE};
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		if (all[i] == option)
			return true;
	return false;
}

int perf_options_parse(const struct tool_command *command, int argc, char **argv,
		       struct perf_options *options)
{
	optind = 0; /* from the beginning: a batch has many lines */
	for (int option; (option = getopt_long(argc, argv, short_options, long_options, NULL)) != -1;) {
		if (option == '?' || option == ':')
			return tool_usage_option(command, option, argv, long_options);
		if (options->line && is_of_the_run(option))
			return tool_usage(command,
					  "-b, -f, -l, -j, -H, --plot, --baseline, --force and -h are "
					  "for the whole run, not for a line of a batch");
		int result = set_option(command, option, options);
		if (result != TOOL_OK || options->help)
			return result;
	}
	if (optind + (options->line ? 0 : 1) < argc)
		return tool_usage(command,
				  options->line ? "a line of a batch has options only, found '%s'"
						: "one segment expected, found '%s'",
				  argv[argc - 1]);
	if (!options->line)
		options->address = argv[optind];
	return check(command, options);
}
