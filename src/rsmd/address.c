/* SPDX-License-Identifier: BSD-2-Clause */
#include "rsmd/address.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "rsmd/config_reader.h"

bool rsmd_address_parse(const char *text, struct sockaddr_storage *address, socklen_t *length)
{
	struct sockaddr_in *four = (struct sockaddr_in *)address;
	struct sockaddr_in6 *six = (struct sockaddr_in6 *)address;
	char host[INET6_ADDRSTRLEN + 1 + IF_NAMESIZE];
	memset(address, 0, sizeof(*address));
	if (inet_pton(AF_INET, text, &four->sin_addr) == 1) {
		four->sin_family = AF_INET;
		*length = sizeof(*four);
		return true;
	}
	if (strlen(text) >= sizeof(host))
		return false;
	strcpy(host, text);
	char *scope = strchr(host, '%');
	if (scope)
		*scope++ = '\0';
	if (inet_pton(AF_INET6, host, &six->sin6_addr) != 1)
		return false;
	six->sin6_family = AF_INET6;
	six->sin6_scope_id = scope ? if_nametoindex(scope) : 0;
	*length = sizeof(*six);
	return !scope || six->sin6_scope_id;
}

void rsmd_address_set_port(struct sockaddr_storage *address, uint16_t port)
{
	if (address->ss_family == AF_INET)
		((struct sockaddr_in *)address)->sin_port = htons(port);
	else
		((struct sockaddr_in6 *)address)->sin6_port = htons(port);
}

bool rsmd_address_endpoint(const char *text, uint16_t port_default, struct sockaddr_storage *address,
			   socklen_t *length)
{
	char host[128];
	uint64_t port = port_default;
	const char *end = "";
	if (rsmd_address_parse(text, address, length)) {
		rsmd_address_set_port(address, port_default);
		return true;
	}
	bool bracket = text[0] == '[';
	const char *stop = strchr(text, bracket ? ']' : ':');
	if (!stop || (size_t)(stop - text) >= sizeof(host))
		return false;
	snprintf(host, sizeof(host), "%.*s", (int)(stop - text - bracket), text + bracket);
	stop += bracket;
	if (!rsmd_address_parse(host, address, length) || bracket != (address->ss_family == AF_INET6))
		return false;
	if (*stop && (*stop != ':' || !rsmd_config_number(stop + 1, 10, &port, &end) || *end || !port ||
		      port > UINT16_MAX))
		return false;
	rsmd_address_set_port(address, (uint16_t)port);
	return true;
}

void rsmd_address_text(const struct sockaddr_storage *address, char text[RSMD_ADDRESS_TEXT])
{
	char host[INET6_ADDRSTRLEN] = "?";
	if (address->ss_family == AF_INET) {
		const struct sockaddr_in *four = (const struct sockaddr_in *)address;
		inet_ntop(AF_INET, &four->sin_addr, host, sizeof(host));
		snprintf(text, RSMD_ADDRESS_TEXT, "%s:%u", host, ntohs(four->sin_port));
	} else {
		const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)address;
		inet_ntop(AF_INET6, &six->sin6_addr, host, sizeof(host));
		snprintf(text, RSMD_ADDRESS_TEXT, "[%s]:%u", host, ntohs(six->sin6_port));
	}
}
