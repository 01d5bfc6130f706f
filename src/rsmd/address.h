/* SPDX-License-Identifier: BSD-2-Clause */
/* Addresses of other nodes, and of our own sockets, as numbers and as text; never a name that would have to be looked up. */
#ifndef RSMD_ADDRESS_H
#define RSMD_ADDRESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#define RSMD_ADDRESS_TEXT 80

/* A numeric address of either family; IPv6 with %interface where it is a link's own. */
bool rsmd_address_parse(const char *text, struct sockaddr_storage *address, socklen_t *length);
void rsmd_address_set_port(struct sockaddr_storage *address, uint16_t port);

/* ADDR:PORT or [IPv6]:PORT, numeric; without a port the default one. */
bool rsmd_address_endpoint(const char *text, uint16_t port_default, struct sockaddr_storage *address,
			   socklen_t *length);

/* "192.0.2.1:7600" or "[2001:db8::1]:7600". */
void rsmd_address_text(const struct sockaddr_storage *address, char text[RSMD_ADDRESS_TEXT]);

#endif
