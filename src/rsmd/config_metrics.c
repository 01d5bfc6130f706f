/* SPDX-License-Identifier: BSD-2-Clause */
/* What rsmd.conf says about metrics: section [metrics]. */
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "rsmd/address.h"
#include "rsmd/config_reader.h"

#define PORT_DEFAULT 9781
#define INTERVAL_MIN 1000u /* ms */
#define INTERVAL_MAX 3600000u

static bool set_textfile(struct rsmd_config_reader *reader, const char *value)
{
	struct rsmd_config *config = reader->config;
	size_t length = strlen(value);
	if (value[0] != '/' || length >= sizeof(config->metrics_textfile) || value[length - 1] == '/')
		return rsmd_config_wrong(
			reader,
			"textfile = %.80s: the absolute path of a file, of at most %zu bytes, "
			"is expected",
			value, sizeof(config->metrics_textfile) - 1);
	strcpy(config->metrics_textfile, value);
	return true;
}

static bool set_interval(struct rsmd_config_reader *reader, const char *value)
{
	uint64_t ms;
	if (!rsmd_config_time(reader, "interval", value, &ms))
		return false;
	if (ms < INTERVAL_MIN || ms > INTERVAL_MAX)
		return rsmd_config_wrong(reader, "interval = %.64s: 1s to 1h is expected", value);
	reader->config->metrics_interval_ms = ms;
	return true;
}

static bool is_loopback(const struct sockaddr_storage *address)
{
	if (address->ss_family == AF_INET)
		return ntohl(((const struct sockaddr_in *)address)->sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
	return IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)address)->sin6_addr);
}

static bool set_listen(struct rsmd_config_reader *reader, const char *value)
{
	struct rsmd_config *config = reader->config;
	if (!rsmd_address_endpoint(value, PORT_DEFAULT, &config->metrics_listen,
				   &config->metrics_listen_length))
		return rsmd_config_wrong(
			reader, "listen = %.80s: ADDRESS:PORT or [IPv6]:PORT is expected, both numeric",
			value);
	if (!is_loopback(&config->metrics_listen))
		return rsmd_config_wrong(
			reader,
			"listen = %.80s: not an address of loopback (127.0.0.0/8, [::1]); metrics have no "
			"password, "
			"so they "
			"are served on this host only: let an agent or a proxy of this host pass them on",
			value);
#ifndef RSMD_MICROHTTPD
	return rsmd_config_wrong(
		reader,
		"listen = %.80s: this rsmd was built without libmicrohttpd; use textfile, or "
		"build it "
		"with libmicrohttpd-dev installed",
		value);
#else
	return true;
#endif
}

bool rsmd_config_metrics(struct rsmd_config_reader *reader, const char *key, const char *value)
{
	if (!strcmp(key, "textfile"))
		return set_textfile(reader, value);
	if (!strcmp(key, "interval"))
		return set_interval(reader, value);
	if (!strcmp(key, "listen"))
		return set_listen(reader, value);
	return rsmd_config_wrong(
		reader, "unknown key %.64s in [metrics]: interval, listen and textfile are known", key);
}
