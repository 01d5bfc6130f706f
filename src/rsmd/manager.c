/* SPDX-License-Identifier: BSD-2-Clause */
#include "rsmd/manager.h"

#ifdef RSMD_SYSTEMD
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <systemd/sd-daemon.h>

#include "rsmd/export.h"
#include "rsmd/log.h"
#include "rsmd/loop.h"
#include "rsmd/rsmd.h"

static bool told; /* that we are ready: it will hear of the end, too */
static struct rsmd_timer *life;
static uint64_t life_ms;

bool rsmd_manager_socket(int *fd, char *error, size_t size)
{
	int passed = sd_listen_fds(1);
	*fd = -1;
	if (passed == 0)
		return true;
	if (passed < 0) {
		snprintf(error, size, "LISTEN_FDS: %s", strerror(-passed));
		return false;
	}
	if (passed != 1 || sd_is_socket_unix(SD_LISTEN_FDS_START, SOCK_SEQPACKET, 1, NULL, 0) <= 0) {
		snprintf(error, size,
			 "the service manager passed %d descriptors; one is expected, a listening socket of "
			 "ListenSequentialPacket=",
			 passed);
		return false;
	}
	*fd = SD_LISTEN_FDS_START;
	fcntl(*fd, F_SETFL, O_NONBLOCK);
	return true;
}

static void tell_status(const char *sign)
{
	sd_notifyf(0, "%sSTATUS=Node %" PRIu32 ": %zu clients, %u segments published", sign,
		   rsmd_server.config.node_id, rsmd_server.client_count,
		   HASH_CNT(hh_published, rsmd_server.published));
}

static void on_life(void *context)
{
	(void)context;
	tell_status("WATCHDOG=1\n");
	rsmd_loop_timer_start(life, life_ms);
}

void rsmd_manager_ready(void)
{
	uint64_t watchdog_us = 0;
	tell_status("READY=1\n");
	told = true;
	if (sd_watchdog_enabled(0, &watchdog_us) <= 0)
		return;
	life_ms = watchdog_us / 1000 / 2; /* twice in the time after which it takes us for dead */
	life = rsmd_loop_timer(on_life, NULL);
	if (life)
		rsmd_loop_timer_start(life, life_ms);
	else
		rsmd_log(RSMD_LOG_WARNING, "no memory for the watchdog's timer: the service manager will "
					   "take rsmd for dead");
}

void rsmd_manager_stopping(void)
{
	if (told)
		sd_notify(0, "STOPPING=1\nSTATUS=Ends");
}

#else

bool rsmd_manager_socket(int *fd, char *error, size_t size)
{
	(void)error;
	(void)size;
	*fd = -1;
	return true;
}

void rsmd_manager_ready(void)
{
}

void rsmd_manager_stopping(void)
{
}

#endif
