/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the subcommands of `rsm` share. One thread. Whatever prints an error returns the exit code that goes with
 * it, so that callers only pass it on: each error is told once.
 */
#ifndef RSM_TOOL_H
#define RSM_TOOL_H

#include <getopt.h>
#include <jansson.h>
#include <rsm/ext.h>
#include <rsmapi.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum tool_exit {
	TOOL_OK = 0,
	TOOL_FAILED = 1,
	TOOL_USAGE = 2,
	TOOL_NO_DAEMON = 3,
	TOOL_REFUSED = 4,
	TOOL_TIMED_OUT = 5, /* or the other node cannot be reached */
};

struct tool_command {
	const char *name;
	const char *summary;
	const char *help; /* whole text of --help */
	int (*run)(const struct tool_command *command, int argc, char **argv);
};

int cmd_status(const struct tool_command *command, int argc, char **argv);
int cmd_ls(const struct tool_command *command, int argc, char **argv);
int cmd_show(const struct tool_command *command, int argc, char **argv);
int cmd_nodes(const struct tool_command *command, int argc, char **argv);
int cmd_watch(const struct tool_command *command, int argc, char **argv);
int cmd_topo(const struct tool_command *command, int argc, char **argv);
int cmd_ping(const struct tool_command *command, int argc, char **argv);
int cmd_export(const struct tool_command *command, int argc, char **argv);
int cmd_get(const struct tool_command *command, int argc, char **argv);
int cmd_put(const struct tool_command *command, int argc, char **argv);
int cmd_top(const struct tool_command *command, int argc, char **argv);
int cmd_perf(const struct tool_command *command, int argc, char **argv);
int cmd_signal(const struct tool_command *command, int argc, char **argv);
int cmd_doctor(const struct tool_command *command, int argc, char **argv);
int cmd_config(const struct tool_command *command, int argc, char **argv);
int cmd_keygen(const struct tool_command *command, int argc, char **argv);
int cmd_version(const struct tool_command *command, int argc, char **argv);

extern const char cmd_status_help[], cmd_ls_help[], cmd_show_help[], cmd_nodes_help[], cmd_watch_help[],
	cmd_topo_help[], cmd_ping_help[], cmd_export_help[], cmd_get_help[], cmd_put_help[], cmd_perf_help[],
	cmd_signal_help[], cmd_top_help[], cmd_doctor_help[], cmd_config_help[], cmd_keygen_help[],
	cmd_version_help[];

/* report.c: "rsm: <what was asked>: <why>" on standard error; the exit code is returned. */
int tool_help(const struct tool_command *command);
int tool_usage(const struct tool_command *command, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* After getopt_long returned '?' or, as its short options begin with a colon, ':'. */
int tool_usage_option(const struct tool_command *command, int option, char **argv,
		      const struct option *options);
int tool_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
int tool_fail_errno(int error, const char *format, ...) __attribute__((format(printf, 2, 3)));
int tool_fail_code(int code, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* parse.c: whole strings only; false on anything else, also on overflow. */
struct tool_address {
	bool local; /* no node was named: the local one is meant */
	rsm_node_id_t node;
	rsm_memseg_id_t id;
};

bool tool_parse_number(const char *text, uint64_t limit, uint64_t *value);
bool tool_parse_size(const char *text, uint64_t *bytes);
bool tool_parse_seconds(const char *text, uint64_t *nanoseconds);
bool tool_parse_permissions(const char *text, rsm_permission_t *permissions);
bool tool_parse_address(const char *text, struct tool_address *address);

/*
 * route.c: which controller leads to a node: one whose path is active if there is one, else any. `wanted` names the only one
 * that may be taken, NULL: all. False: none leads there.
 */
struct tool_route {
	char controller[MAXNAMELEN + 1];
	uint_t state; /* of the path */
};

bool tool_route_find(const rsm_topology_t *topology, rsm_node_id_t node, const char *wanted,
		     struct tool_route *route);
/* Whether `wanted`, as a person wrote it, means that controller: "TCP" is tcp0. */
bool tool_route_is(const char *controller, const char *wanted);
const char *tool_route_state(uint_t state);
/* Tells that none leads there, with a guess at why. */
int tool_route_none(rsm_node_id_t local, rsm_node_id_t node);
/* "a private daemon (pid N) answers; ...": why others are not seen. NULL: the system's one answers, or none. */
const char *tool_private_note(void);

/* session.c: a controller, and at most one import on it. Ended by tool_session_close in every case. */
struct tool_session {
	rsmapi_controller_handle_t loopback;
	rsmapi_controller_handle_t controller; /* the one named, or that leads to the segment, or loopback */
	bool named;                            /* by the caller: it is not exchanged for another one */
	rsm_node_id_t node;                    /* the local node */
	rsm_memseg_import_handle_t import;
	rsmapi_barrier_t barrier;
	size_t length; /* bytes of the imported segment */
};

/* `name`: controller; NULL for loopback, or for whichever leads to the node that is connected to. */
int tool_session_open(struct tool_session *session, const char *name);

/* Connects and makes a barrier; the import stays in implicit mode. */
int tool_session_connect(struct tool_session *session, const struct tool_address *address,
			 rsm_permission_t permission);
void tool_session_close(struct tool_session *session);

/* A count that another process or node may have made up: JSON has no larger integer. */
static inline json_int_t tool_json_count(uint64_t count)
{
	return count > INT64_MAX ? INT64_MAX : (json_int_t)count;
}

/* render.c: JSON from the daemon as text for people. */
int tool_status_load(const char *what, rsm_memseg_id_t id, char **text, json_t **tree);
void tool_render_object(const json_t *object);
void tool_render_value(char *text, size_t size, const char *key, const json_t *value);

/*
 * program.c: rsmd. find: as the library finds it. run: its exit status (128 + the signal that killed it), or -1 with errno;
 * with `output` what it says goes there, cut at `size`.
 */
bool tool_program_find(char *path, size_t size);
int tool_program_run(char *const *arguments, char *output, size_t size);
/* Out of what `rsmd --check` said: the first complaint, "" if there is none; the files that it read are added to the list. */
void tool_program_checked(const char *output, json_t *files, char *complaint, size_t size);

/*
 * ends.c: for what goes on until SIGINT or SIGTERM. It ends at once then, or a little later with success where nobody takes
 * what is still to be printed.
 */
struct pollfd;
struct timespec;
extern volatile sig_atomic_t tool_ends;
void tool_ends_take(void);
/* Waits for `stream` (NULL: for nothing) or the time. As ppoll; -1 with EINTR when an end came, before the wait or in it. */
int tool_ends_wait(struct pollfd *stream, const struct timespec *limit);

/* nearest.c: the name that is meant by a mistyped one, or NULL. Of `count` structs of `stride` bytes that begin with their name. */
const char *tool_nearest(const char *word, const void *first, size_t stride, size_t count);

/* table.c: columns as wide as their widest cell; the last one is cut at 100 columns. */
#define TOOL_TABLE_COLUMNS 12
#define TOOL_TABLE_WIDTH   100
#define TOOL_TABLE_CELL    96 /* bytes of a cell with its NUL */

struct tool_table {
	size_t columns, rows, capacity;
	const char *titles[TOOL_TABLE_COLUMNS];
	bool right[TOOL_TABLE_COLUMNS]; /* numbers stand to the right */
	char (*cells)[TOOL_TABLE_CELL]; /* row by row; owned */
};

void tool_table_column(struct tool_table *table, const char *title, bool right);
/* The cells of a new row, to be filled; NULL when memory is short. Valid until the next row. */
char (*tool_table_row(struct tool_table *table))[TOOL_TABLE_CELL];
void tool_table_print(const struct tool_table *table);
void tool_table_clear(struct tool_table *table);
bool tool_terminal(int fd); /* one that can more than show characters: TERM is not dumb */
bool tool_coloured(void);   /* standard output is one, and NO_COLOR is not set */
void tool_heading(const char *text);
void tool_format_size(char *text, size_t size, uint64_t bytes);
/* 3 s, 12 min, 5 h, 8 d: one unit is enough to judge by. */
void tool_format_age(char *text, size_t size, double seconds);

/* progress.c: one line on a terminal's standard error for a transfer that is large or takes long. */
struct tool_progress {
	uint64_t total;       /* bytes, 0: unknown */
	uint64_t start, last; /* ns */
	bool terminal, shown;
};

void tool_progress_begin(struct tool_progress *progress, uint64_t total);
void tool_progress_update(struct tool_progress *progress, uint64_t done);
/* The same for work that has steps and no bytes: `total` and `done` count them, `what` is being done. */
void tool_progress_steps(struct tool_progress *progress, uint64_t done, const char *what);
void tool_progress_clear(void); /* at the end, and before an error is told */

#endif
