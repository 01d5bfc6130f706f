/* SPDX-License-Identifier: BSD-2-Clause */
#include "there.h"

#include <signal.h>
#include <stdlib.h>
#include <time.h>

static const char *variable(const char *name)
{
	const char *value = getenv(name);

	if (!value)
		suite_fail(__FILE__, __LINE__, "%s is not set: start this by run_with_rsmd --pair", name);
	return value;
}

const char *there_socket(void)
{
	return variable("RSM_TEST_PEER_SOCKET");
}

rsm_node_id_t there_node(void)
{
	return (rsm_node_id_t)strtoul(variable("RSM_TEST_PEER_NODE"), NULL, 10);
}

pid_t there_rsmd(void)
{
	return (pid_t)strtol(variable("RSM_TEST_PEER_RSMD_PID"), NULL, 10);
}

void there_start(struct peer *peer, const struct peer_user *user)
{
	peer_start_at(peer, user, there_socket(), NULL);
}

void there_open(struct peer *exporter, struct pair *pair, size_t pages)
{
	there_start(exporter, NULL);
	*pair = (struct pair){.node = there_node(), .length = pages * suite_page()};
	MUST(peer_ask(exporter, &(struct peer_request){.op = PEER_CREATE,
						       .length = pair->length,
						       .value = RSM_ALLOW_REBIND})
		     .code);
	MUST(peer_publish(exporter, &pair->id, NULL, 0));
	pair->controller = pair_controller(suite_controller());
	pair_connect(pair, RSM_PERM_RDWR);
}

void there_expect(struct peer *exporter, size_t offset, const void *bytes, size_t length)
{
	for (size_t at = 0; at < length; at++)
		CHECK_EQUAL(((const uint8_t *)bytes)[at],
			    peer_load(exporter, PEER_EXPORT, (int64_t)(offset + at)));
}

static void on_signal(int number)
{
	(void)number;
}

void there_interrupt(void)
{
	struct sigaction action = {.sa_handler = on_signal};
	struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
	struct itimerspec every = {{0, 20000000}, {0, 20000000}};
	timer_t timer;

	CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
	CHECK(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0);
	CHECK(timer_settime(timer, 0, &every, NULL) == 0);
}
