/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The bench: every row compares the library with a raw limit that is measured in the same run, in alternating
 * rounds. One process measures (first core), one peer exports and answers (second core), one rsmd of our own
 * serves both. All functions run on the measuring process's main thread unless they say otherwise.
 */
#ifndef BENCH_BENCH_H
#define BENCH_BENCH_H

#include <rsmapi.h>

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

/* bench.c: the cores in use, and what could not be measured. `pid` 0: this thread. */
extern int bench_core[2];
extern double bench_load; /* load average of the minute before the run */
bool bench_pin(pid_t pid, int core);
/* All threads that a process has now. */
bool bench_pin_threads(pid_t pid, int core);
/* The path of this program, to start it in another role. */
char *bench_program(void);
/* Tells why a measurement could not be made and makes the run end with 1. Returns false. */
bool bench_problem(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The same for a call of the library, with its code and reason. */
bool bench_refused(const char *call, int code);
/* A private mapping of `length` bytes, every page touched. NULL: told as a problem. */
void *bench_memory(size_t length);

/* report.c: the rows. */
enum bench_goal {
	BENCH_RATIO_MOST,
	BENCH_RATIO_LEAST,
	BENCH_VALUE_MOST,
	BENCH_VALUE_LEAST,
	BENCH_EXCESS_MOST, /* of ours over raw */
};

struct bench_row {
	bool far; /* belongs to the table of two hosts */
	const char *name;
	const char *limit; /* what the raw limit is; NULL: there is none */
	const char *unit;
	double raw, ours;     /* in the unit */
	enum bench_goal kind; /* what `goal` bounds */
	double goal;
	const char *note; /* the goal in words of its own, or NULL */
};

/* To be called before any row: the rows are shared with processes that are forked later. `hosts`: see hosts.c. */
bool bench_report_open(void);
void bench_report_hosts(const char *hosts);
void bench_row_add(const struct bench_row *row);
void bench_report_table(FILE *out);
/* False: could not be written. */
bool bench_report_json(FILE *out);

/*
 * One round of a measurement: a figure in the row's unit, negative when it could not be made (told already).
 */
typedef double (*bench_probe)(void *context);

/*
 * Alternates both probes: one round to warm up, then `rounds`; the medians go into the row, which is added.
 */
bool bench_compare(struct bench_row row, bench_probe raw, bench_probe ours, void *context, unsigned rounds);
double bench_median(double *values, unsigned count);

/*
 * daemon.c: our own rsmd, on the second core for one host. To be started before this process is pinned: rsmd looks once,
 * at its start, whether it has several cores; only then does it spin for a while before it sleeps.
 */
struct bench_daemon {
	pid_t pid; /* -1: none */
	char directory[64], socket[96], config[96], log[96];
};

extern struct bench_daemon bench_daemon; /* of one host */
/* `config`: the text of rsmd.conf. RSM_SOCKET is not touched. */
bool bench_daemon_start(struct bench_daemon *daemon, const char *config, int core);
void bench_daemon_stop(struct bench_daemon *daemon);
/* Only for a signal handler that ends the run. */
void bench_daemon_abandon(const struct bench_daemon *daemon);
/* What rsmd had to say, on standard error. */
void bench_daemon_tell(const struct bench_daemon *daemon);
int bench_daemon_role(const char *socket, const char *config, const char *log);
/* Resident KiB of rsmd, negative when unknown. */
double bench_daemon_rss(const struct bench_daemon *daemon);
/* Milliseconds of CPU that all its threads used until now, taken while it sleeps; negative when unknown. */
double bench_daemon_cpu_ms(const struct bench_daemon *daemon);
bool bench_daemon_rows(void);

/* peer.c: the exporting process. */
struct bench_peer {
	pid_t pid;
	int socket;
};

enum bench_verb {
	BENCH_EXPORT,      /* argument: bytes; one segment, BENCH_SEGMENT */
	BENCH_EXPORT_MANY, /* argument: count; one-page segments from `id` on */
	BENCH_PIN,         /* argument: core */
	BENCH_PONG_DATA,   /* argument: turns; in the exported memory */
	BENCH_PONG_FUTEX,  /* argument: turns */
	BENCH_PONG_LINES,  /* argument: turns; in the raw shared page */
	BENCH_PONG_POLL,   /* argument: turns; signals, the waiter polls */
	BENCH_PONG_SIGNAL, /* argument: turns; signals, the waiter blocks */
	BENCH_PONG_SOCKET, /* argument: turns */
};

#define BENCH_SEGMENT      0x400000u /* the peer's large segment */
#define BENCH_SEGMENT_MANY 0x410000u /* first of the one-page segments */
#define BENCH_SEGMENT_SIZE ((size_t)64 << 20)

bool bench_peer_start(struct bench_peer *peer, int core);
/* The same, exporting through another controller than loopback. */
bool bench_peer_start_on(struct bench_peer *peer, int core, const char *controller);
/* Its segments go with it. */
void bench_peer_end(struct bench_peer *peer);
bool bench_peer_tell(const struct bench_peer *peer, enum bench_verb verb, uint32_t id, uint64_t argument);
/* Waits for the answer to the last order. */
bool bench_peer_answer(const struct bench_peer *peer);
bool bench_peer_ask(const struct bench_peer *peer, enum bench_verb verb, uint32_t id, uint64_t argument);
int bench_peer_role(int core, const char *controller);

/* raw.c: the limits without the library. */
struct bench_turn {
	_Alignas(128) _Atomic uint32_t flag;
	uint32_t data;
};

/* Where two processes take turns: [0] is written by the measuring process, [1] by the peer. */
struct bench_turns {
	struct bench_turn turn[2];
	uint64_t
		think; /* nanoseconds that a side computes before it posts, so that the other one is asleep */
};

/*
 * One way to hand over and to wait, seen by one side: `own` is the index it writes. False: refused, told
 * already.
 */
struct bench_ball {
	bool (*post)(unsigned own, uint32_t turn);
	bool (*wait)(unsigned own, uint32_t turn);
};

extern struct bench_turns *bench_shared; /* raw page, the same in both processes */
extern struct bench_turns *bench_mapped; /* exported memory: the exporter's own, the importer's map */
extern int bench_shared_fd;              /* BENCH_FD_ABOVE or higher on the measuring side */
#define BENCH_FD_ABOVE 10
extern const struct bench_ball bench_ball_lines, bench_ball_data, bench_ball_futex;

bool bench_shared_make(void);
bool bench_shared_map(int fd);
/* The measuring side of `turns` turns after a tenth of them to warm up: ns of half a round trip. */
/* Computes for bench_shared->think. */
void bench_think(void);

double bench_ping(const struct bench_ball *ball, uint32_t turns);
bool bench_pong(const struct bench_ball *ball, uint32_t turns);
/* Turns that a ping of `turns` makes in all. */
uint32_t bench_turns_all(uint32_t turns);
void *bench_memfd(size_t length);
/*
 * A request over a socket, both sides spinning; the reply brings the raw page, which is mapped and read with
 * `map`.
 */
bool bench_raw_request(int socket, bool map);
bool bench_raw_reply(int socket, uint64_t count);
/*
 * Nanoseconds of one operation. A copy is made by one memcpy per `piece`: the sizes come in as variables, so
 * that each is a call. After every `window` copies there is a fence, unless it is 0.
 */
double bench_raw_lock_add(unsigned long count);
double bench_raw_mfence(unsigned long count);
double bench_raw_copy(void *to, const void *from, size_t length, size_t piece, unsigned window,
		      unsigned long count);

/* The groups of rows. False: something could not be measured (told already). */
bool bench_control_rows(struct bench_peer *peer);
bool bench_memory_rows(void);
bool bench_rma_rows(void);
bool bench_scale_rows(void);
bool bench_signal_rows(struct bench_peer *peer);

/* control.c, for scale.c: microseconds of one connect + get + disconnect over `count` segments. */
double bench_connect_cost(uint32_t count);

/* signal.c, shared with the peer: signals as a ball over an export or an import handle. */
extern void *bench_signal_handle;
extern const struct bench_ball bench_ball_poll, bench_ball_signal;

/* datapath.c: loops for strace and callgrind. Exit status. */
int bench_datapath(const char *what, unsigned long count);

/*
 * tcp.c: the limits of the network without the library. One connection; the server is a process of its own, at the other
 * node's end.
 */
enum bench_tcp_op {
	BENCH_TCP_ECHO = 1, /* `size` bytes there, as many back, one at a time */
	BENCH_TCP_PUT,      /* a stream of writes of `size` bytes there, one answer behind the last */
	BENCH_TCP_GET,      /* the same the other way */
};

struct bench_tcp_order {
	uint32_t op;    /* 0: the end */
	uint32_t spin;  /* both sides poll their socket; else they block in it */
	uint32_t think; /* ns before each echo, not counted */
	uint32_t zero;
	uint64_t size, count; /* of one write; how many */
};

/* Never returns: runs in a forked child. `ready` is closed as soon as it listens. */
_Noreturn void bench_tcp_serve(const char *address, unsigned port, int ready);
bool bench_tcp_connect(const char *address, unsigned port);
/* Nanoseconds of all of it; negative: told. */
double bench_tcp_run(struct bench_tcp_order order);
/* Computes for so long. */
void bench_tcp_think(uint32_t nanoseconds);

/*
 * hosts.c: two nodes in network namespaces joined by a veth pair; without the right to make them, two addresses of the
 * loopback device. The calling process stands for a process of node 1 afterwards.
 */
#define BENCH_FAR_NODE 2u

struct bench_hosts {
	bool namespaces;
	int near_net, far_net; /* descriptors of the namespaces, -1 */
	char address[2][16];
	unsigned port[2], raw_port;
	char key[96];
	struct bench_daemon daemon[2];
	struct bench_peer exporter; /* at node 2, stopped (SIGSTOP) */
	pid_t raw;
};

extern struct bench_hosts bench_hosts;
bool bench_hosts_open(void);
void bench_hosts_close(void);
void bench_hosts_abandon(void);

/* net.c: all rows of two hosts, measured in a forked child. To be called before this process uses the library. */
bool bench_net_group(void);
void bench_net_abandon(void);
/* Connects to the exporter's large segment. */
bool bench_net_connect(rsm_memseg_import_handle_t *handle, rsmapi_barrier_t *barrier);
/* crowd.c: the rows about many connections, and about none. */
bool bench_crowd_rows(void);

/* The controller loopback, or the one that bench_controller_name says, and this node's id, once per process. */
extern const char *bench_controller_name;
bool bench_controller(rsmapi_controller_handle_t *controller, rsm_node_id_t *node);
/* Connects to a segment of this node with a barrier initialised. */
bool bench_connect(rsm_memseg_id_t id, rsm_memseg_import_handle_t *handle, rsmapi_barrier_t *barrier);

#endif
