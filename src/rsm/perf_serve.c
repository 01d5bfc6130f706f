/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * `rsm perf --serve`: the peer process. Exports a segment, then does what the socket says until it ends:
 * "echo SIZE", "signal-spin", "signal-block", "raw-echo SIZE", "raw-futex", "both SIZE ID". Every loop ends by the stop word or when
 * the measuring side has gone.
 */
#include <errno.h>
#include <linux/futex.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "rsm/perf.h"

bool perf_pin(int cpu)
{
	cpu_set_t set;
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	return sched_setaffinity(0, sizeof(set), &set) == 0;
}

uint32_t perf_echo_read(const unsigned char *message, size_t size)
{
	const void *word = message + size - sizeof(uint32_t);
	return atomic_load_explicit((const _Atomic uint32_t *)word, memory_order_acquire);
}

void perf_echo_write(unsigned char *message, const unsigned char *from, size_t size, uint32_t turn)
{
	void *word = message + size - sizeof(uint32_t);
	memcpy(message, from, size - sizeof(uint32_t));
	atomic_store_explicit((_Atomic uint32_t *)word, turn, memory_order_release);
}

long perf_futex(_Atomic uint32_t *word, int operation, uint32_t value, unsigned milliseconds)
{
	struct timespec timeout = {.tv_sec = milliseconds / 1000, .tv_nsec = milliseconds % 1000 * 1000000L};
	return syscall(SYS_futex, word, operation, value, &timeout, NULL, 0);
}

/* Readable means an order out of turn or the end of the other side: in both cases the loop has to end. */
bool perf_server_over(const struct perf_server *server, const struct perf_words *words)
{
	struct pollfd entry = {.fd = server->socket, .events = POLLIN};
	return atomic_load_explicit(&words->stop, memory_order_relaxed) || poll(&entry, 1, 0) > 0;
}

int perf_server_say(const struct perf_server *server, const char *line)
{
	return send(server->socket, line, strlen(line), MSG_NOSIGNAL) > 0 ? TOOL_OK : TOOL_FAILED;
}

/* Message n arrives in the first half of the data and goes back in the second. */
static int serve_echo(const struct perf_server *server, unsigned char *memory, size_t size)
{
	const struct perf_words *words = (const struct perf_words *)(void *)memory;
	const unsigned char *ping = memory + PERF_DATA;
	unsigned char *pong = memory + PERF_DATA + server->room / 2;
	uint32_t turn = perf_echo_read(ping, size); /* before "ready": the first message may follow at once */
	perf_server_say(server, "ready");
	for (unsigned spins = 0;; spins++) {
		uint32_t now = perf_echo_read(ping, size);
		if (now != turn) {
			turn = now;
			spins = 0;
			perf_echo_write(pong, ping, size, turn);
		} else if (spins >= PERF_SPINS) {
			if (perf_server_over(server, words))
				return RSM_SUCCESS;
			spins = 0;
		}
	}
}

void perf_think(void)
{
	const uint64_t start = base_clock_ns();
	while (base_clock_ns() - start < PERF_THINK_NS)
		;
}

static int serve_signals(const struct perf_server *server, bool spin)
{
	const struct perf_words *words = (const struct perf_words *)(void *)server->shared;
	perf_server_say(server, "ready");
	for (unsigned spins = 0;; spins++) {
		int code = rsm_intr_signal_wait(server->segment, spin ? 0 : PERF_WAIT_MS);
		if (code == RSM_SUCCESS) {
			spins = 0;
			if (atomic_load_explicit(&words->stop, memory_order_relaxed))
				return RSM_SUCCESS;
			if (!spin)
				perf_think();
			code = rsm_intr_signal_post(server->segment, 0);
		} else if (code == RSMERR_TIMEOUT) {
			code = RSM_SUCCESS;
			if (!spin || spins >= PERF_SPINS) {
				if (perf_server_over(server, words))
					return RSM_SUCCESS;
				spins = 0;
			}
		}
		if (code != RSM_SUCCESS)
			return code;
	}
}

static void serve_futex(const struct perf_server *server)
{
	struct perf_words *words = (struct perf_words *)(void *)server->raw;
	uint32_t turn = atomic_load(&words->ping);
	perf_server_say(server, "ready");
	for (;;) {
		uint32_t now;
		while ((now = atomic_load(&words->ping)) == turn) {
			if (perf_futex(&words->ping, FUTEX_WAIT, turn, PERF_WAIT_MS) != 0 &&
			    errno == ETIMEDOUT && perf_server_over(server, words))
				return;
		}
		if (atomic_load(&words->stop))
			return;
		turn = now;
		perf_think();
		atomic_store(&words->pong, turn);
		perf_futex(&words->pong, FUTEX_WAKE, 1, 0);
	}
}

static int obey(const struct perf_server *server, const char *order)
{
	size_t size = 0;
	rsm_memseg_id_t id = 0;
	char word[32] = "";
	int code = RSM_SUCCESS;
	sscanf(order, "%31s %zu %u", word, &size, &id);
	((struct perf_words *)(void *)server->shared)->stop = 0;
	((struct perf_words *)(void *)server->raw)->stop = 0;
	if (strcmp(word, "echo") == 0)
		code = serve_echo(server, server->shared, size);
	else if (strcmp(word, "raw-echo") == 0)
		code = serve_echo(server, server->raw, size);
	else if (strcmp(word, "raw-futex") == 0)
		serve_futex(server);
	else if (strcmp(word, "both") == 0)
		code = perf_both_serve(server, id, size);
	else
		code = serve_signals(server, strcmp(word, "signal-spin") == 0);
	if (code != RSM_SUCCESS)
		return tool_fail_code(code, "%s in the measuring peer", word);
	return perf_server_say(server, "done");
}

static int serve_segment(struct perf_server *server)
{
	rsm_memseg_id_t id = 0;
	char line[64];
	int result = tool_session_open(&server->session, NULL);
	if (result != TOOL_OK)
		goto out;
	rsmapi_access_entry_t access = {.ae_node = server->session.node, .ae_permission = 0600};
	int code = rsm_memseg_export_create(server->session.controller, &server->segment, server->shared,
					    PERF_DATA + server->room, 0);
	if (code == RSM_SUCCESS)
		code = rsm_memseg_export_publish(server->segment, &id, &access, 1);
	if (code != RSM_SUCCESS) {
		result = tool_fail_code(code, "publish %zu bytes to measure with", PERF_DATA + server->room);
		goto out;
	}
	snprintf(line, sizeof(line), "segment %u", id);
	for (result = perf_server_say(server, line); result == TOOL_OK;) {
		ssize_t got = recv(server->socket, line, sizeof(line) - 1, 0);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			break;
		line[got] = '\0';
		result = obey(server, line);
	}
out:
	if (server->segment)
		rsm_memseg_export_destroy(server->segment);
	tool_session_close(&server->session);
	return result;
}

int perf_serve(const char *what)
{
	struct perf_server server = {0};
	int memory, cpu;
	if (sscanf(what, "%d,%d,%zu,%d", &server.socket, &memory, &server.room, &cpu) != 4)
		return tool_fail(
			"--serve is how `rsm perf` starts its own peer; it takes SOCKET,MEMORY,ROOM,CPU");
	if (cpu >= 0 && !perf_pin(cpu))
		return tool_fail_errno(errno, "run the peer on CPU %d", cpu);
	size_t length = PERF_DATA + server.room;
	server.raw = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
	if (server.raw == MAP_FAILED)
		return tool_fail_errno(errno, "map %zu bytes to measure with", length);
	server.shared = rsmx_alloc(length, 0);
	if (!server.shared)
		return tool_fail("memory for %zu bytes to measure with: %s", length, rsmx_last_error());
	memset(server.shared, 0, length); /* touched: nobody shall measure page faults */
	int result = serve_segment(&server);
	rsmx_free(server.shared);
	munmap(server.raw, length);
	return result;
}
