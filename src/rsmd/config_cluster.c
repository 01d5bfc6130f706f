/* SPDX-License-Identifier: BSD-2-Clause */
/* What rsmd.conf says about other nodes: [cluster], [controller NAME] and [peer NUMBER], in any order. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "rsmd/address.h"
#include "rsmd/config_reader.h"

#define PORT_DEFAULT   7600
#define DEAD_AFTER_MIN 200u /* ms */
#define DEAD_AFTER_MAX 3600000u
#define THREADS_MAX    64

static bool set_dead_after(struct rsmd_config_reader *reader, const char *value)
{
	uint64_t ms;
	if (!rsmd_config_time(reader, "dead-after", value, &ms))
		return false;
	if (ms < DEAD_AFTER_MIN || ms > DEAD_AFTER_MAX)
		return rsmd_config_wrong(reader, "dead-after = %.64s: 200ms to 1h is expected", value);
	reader->config->dead_after_ms = ms;
	return true;
}

static bool set_key_file(struct rsmd_config_reader *reader, const char *value)
{
	struct rsmd_config *config = reader->config;
	if (value[0] != '/' || strlen(value) >= sizeof(config->key_file))
		return rsmd_config_wrong(
			reader, "key-file = %.80s: an absolute path of at most %zu bytes is expected", value,
			sizeof(config->key_file) - 1);
	strcpy(config->key_file, value);
	return true;
}

bool rsmd_config_cluster(struct rsmd_config_reader *reader, const char *key, const char *value)
{
	if (!strcmp(key, "dead-after"))
		return set_dead_after(reader, value);
	if (!strcmp(key, "key-file"))
		return set_key_file(reader, value);
	return rsmd_config_wrong(reader, "unknown key %.64s in [cluster]: dead-after and key-file are known",
				 key);
}

/* Type and unit number, as rsm_get_controller takes them: letters, then digits; made lower case. */
static bool controller_name(const char *text, char name[RSMD_NAME_MAX])
{
	size_t letters = 0;
	while (isalpha((unsigned char)text[letters]))
		letters++;
	size_t digits = strspn(text + letters, "0123456789");
	if (!letters || !digits || text[letters + digits] || letters + digits >= RSMD_NAME_MAX)
		return false;
	for (size_t i = 0; i <= letters + digits; i++)
		name[i] = (char)tolower((unsigned char)text[i]);
	return true;
}

static bool set_type(struct rsmd_config_reader *reader, size_t n, const char *value)
{
	struct rsmd_controller *controller = &reader->config->controllers[n];
	if (strcmp(value, "local") && strcmp(value, "tcp"))
		return rsmd_config_wrong(
			reader,
			"type = %.64s: not a type of controller of this release; local and tcp are known",
			value);
	strcpy(controller->type, value);
	return true;
}

static bool set_address(struct rsmd_config_reader *reader, size_t n, const char *value)
{
	struct rsmd_controller *controller = &reader->config->controllers[n];
	if (!rsmd_address_parse(value, &controller->address, &controller->address_length))
		return rsmd_config_wrong(reader,
					 "address = %.64s: a numeric IPv4 or IPv6 address of this host is "
					 "expected; names are not looked up",
					 value);
	return true;
}

static bool set_controller_port(struct rsmd_config_reader *reader, size_t n, const char *value)
{
	uint32_t port;
	if (!rsmd_config_bounded(reader, "port", value, 1, UINT16_MAX, &port))
		return false;
	reader->ports[n] = (uint16_t)port;
	return true;
}

static bool set_encrypt(struct rsmd_config_reader *reader, size_t n, const char *value)
{
	return rsmd_config_yes(reader, "encrypt", value, &reader->config->controllers[n].encrypt);
}

static bool set_loop(struct rsmd_config_reader *reader, size_t n, const char *value)
{
	return rsmd_config_yes(reader, "loop", value, &reader->config->controllers[n].loop);
}

static bool set_threads(struct rsmd_config_reader *reader, size_t n, const char *value)
{
	return rsmd_config_bounded(reader, "threads", value, 1, THREADS_MAX, &reader->threads[n]);
}

static const struct {
	const char *name;
	bool (*set)(struct rsmd_config_reader *reader, size_t n, const char *value);
} controller_keys[] = {
	{"type", set_type}, /* first: all others are tcp's */
	{"address", set_address}, {"encrypt", set_encrypt}, {"loop", set_loop}, {"port", set_controller_port},
	{"threads", set_threads},
};

/* The controller of a section: a new one where it begins. */
static bool controller_find(struct rsmd_config_reader *reader, const char *title, bool begins, size_t *n)
{
	struct rsmd_config *config = reader->config;
	char name[RSMD_NAME_MAX];
	if (!controller_name(title, name))
		return rsmd_config_wrong(
			reader, "[controller %.64s]: a name is letters and a unit number, as in shm0", title);
	if (!strncmp(name, "loopback", 8) && isdigit((unsigned char)name[8]))
		return rsmd_config_wrong(
			reader, "[controller %.64s]: loopback always exists and cannot be configured", title);
	const struct rsmd_controller *known = rsmd_config_controller(config, name);
	*n = known ? (size_t)(known - config->controllers) : config->controller_count;
	if (known && begins && reader->controllers[*n].file == reader->place.file)
		return rsmd_config_wrong(reader, "controller %s is there twice", name);
	if (*n == 1 + RSMD_CONTROLLERS_MAX)
		return rsmd_config_wrong(reader, "more than %d controllers", RSMD_CONTROLLERS_MAX);
	if (begins)
		reader->controllers[*n] = reader->place;
	if (known)
		return true;
	config->controller_count++;
	strcpy(config->controllers[*n].name, name);
	return true;
}

bool rsmd_config_on_controller(struct rsmd_config_reader *reader, const char *title, bool begins,
			       const char *key, const char *value)
{
	size_t n = 0;
	if (!controller_find(reader, title + strspn(title, " "), begins, &n))
		return false;
	for (size_t i = 0; i < sizeof(controller_keys) / sizeof(controller_keys[0]); i++)
		if (!strcmp(key, controller_keys[i].name)) {
			if (i > 0)
				reader->tcp_only[n] = controller_keys[i].name;
			return controller_keys[i].set(reader, n, value);
		}
	return rsmd_config_wrong(reader,
				 "unknown key %.64s in [controller %s]: type, address, encrypt, loop, port "
				 "and threads are known",
				 key, reader->config->controllers[n].name);
}

static bool peer_find(struct rsmd_config_reader *reader, const char *title, bool begins, size_t *n)
{
	struct rsmd_config *config = reader->config;
	uint64_t node;
	const char *end;
	if (!rsmd_config_number(title, 10, &node, &end) || *end || node > UINT32_MAX)
		return rsmd_config_wrong(reader, "[peer %.64s]: the number of a node is expected, as in 2",
					 title);
	for (*n = 0; *n < config->peer_count; ++*n)
		if (config->peers[*n].node == node)
			break;
	if (*n < config->peer_count) {
		if (begins && reader->peers[*n].file == reader->place.file)
			return rsmd_config_wrong(reader, "peer %u is there twice", (uint32_t)node);
		if (begins)
			reader->peers[*n] = reader->place;
		return true;
	}
	struct rsmd_config_peer *peers = realloc(config->peers, (*n + 1) * sizeof(*peers));
	if (!peers)
		return rsmd_config_wrong(reader, "no memory for another peer");
	config->peers = peers;
	struct rsmd_config_place *places = realloc(reader->peers, (*n + 1) * sizeof(*places));
	if (!places)
		return rsmd_config_wrong(reader, "no memory for another peer");
	reader->peers = places;
	memset(&peers[*n], 0, sizeof(*peers));
	peers[*n].node = (uint32_t)node;
	places[*n] = reader->place;
	config->peer_count++;
	return true;
}

/* Any other key of a peer is a controller: where the peer is on it. */
static bool peer_path(struct rsmd_config_reader *reader, size_t n, const char *key, const char *value)
{
	struct rsmd_config_named named = {.peer = n, .place = reader->place};
	uint32_t node = reader->config->peers[n].node;
	if (!controller_name(key, named.controller))
		return rsmd_config_wrong(
			reader,
			"unknown key %.64s in [peer %u]: name, and the names of this node's tcp controllers "
			"with the peer's ADDRESS:PORT are known",
			key, node);
	if (!rsmd_address_endpoint(value, PORT_DEFAULT, &named.address, &named.address_length))
		return rsmd_config_wrong(reader,
					 "%s = %.80s: ADDRESS:PORT or [IPv6]:PORT is expected, both numeric",
					 key, value);
	for (size_t i = 0; i < reader->path_count; i++) {
		struct rsmd_config_named *known = &reader->paths[i];
		if (known->peer != n || strcmp(known->controller, named.controller))
			continue;
		if (known->place.file == reader->place.file)
			return rsmd_config_wrong(reader, "peer %u has two addresses on %s; one is expected",
						 node, named.controller);
		*known = named; /* a later file says better */
		return true;
	}
	struct rsmd_config_named *paths = realloc(reader->paths, (reader->path_count + 1) * sizeof(*paths));
	if (!paths)
		return rsmd_config_wrong(reader, "no memory for another path");
	reader->paths = paths;
	paths[reader->path_count++] = named;
	return true;
}

bool rsmd_config_on_peer(struct rsmd_config_reader *reader, const char *title, bool begins, const char *key,
			 const char *value)
{
	size_t n = 0;
	if (!peer_find(reader, title + strspn(title, " "), begins, &n))
		return false;
	if (strcmp(key, "name"))
		return peer_path(reader, n, key, value);
	return rsmd_config_name(reader, value, reader->config->peers[n].name);
}

static bool resolve_controller(struct rsmd_config_reader *reader, size_t n)
{
	struct rsmd_controller *controller = &reader->config->controllers[n];
	reader->place = reader->controllers[n];
	if (!controller->type[0])
		return rsmd_config_wrong(reader, "controller %s has no type: add type = local or type = tcp",
					 controller->name);
	if (!strcmp(controller->type, "local"))
		return !reader->tcp_only[n] ||
		       rsmd_config_wrong(reader, "controller %s has %s, which only type = tcp has",
					 controller->name, reader->tcp_only[n]);
	if (!controller->address_length)
		return rsmd_config_wrong(reader,
					 "controller %s has no address: add address = this host's on the "
					 "network that other nodes come from",
					 controller->name);
	rsmd_address_set_port(&controller->address, reader->ports[n] ? reader->ports[n] : PORT_DEFAULT);
	return true;
}

static bool resolve_path(struct rsmd_config_reader *reader, const struct rsmd_config_named *named)
{
	struct rsmd_config *config = reader->config;
	struct rsmd_config_peer *peer = &config->peers[named->peer];
	const struct rsmd_controller *controller = rsmd_config_controller(config, named->controller);
	reader->place = named->place;
	if (!controller || !controller->address_length)
		return rsmd_config_wrong(
			reader,
			"peer %u is reached through %s, which is not a tcp controller of this node: add "
			"[controller %s] with type = tcp",
			peer->node, named->controller, named->controller);
	if (controller->address.ss_family != named->address.ss_family)
		return rsmd_config_wrong(
			reader, "peer %u and controller %s have addresses of different families (IPv4, IPv6)",
			peer->node, named->controller);
	struct rsmd_config_path *paths = realloc(peer->paths, (peer->path_count + 1) * sizeof(*paths));
	if (!paths)
		return rsmd_config_wrong(reader, "no memory for another path");
	peer->paths = paths;
	paths[peer->path_count++] = (struct rsmd_config_path){
		.controller = (uint32_t)(controller - config->controllers),
		.address = named->address,
		.address_length = named->address_length,
	};
	return true;
}

static bool resolve_peer(struct rsmd_config_reader *reader, size_t n)
{
	const struct rsmd_config *config = reader->config;
	const struct rsmd_config_peer *peer = &config->peers[n];
	reader->place = reader->peers[n];
	if (peer->node == config->node_id)
		return rsmd_config_wrong(reader,
					 "peer %u has this node's own number: give one of them another id",
					 peer->node);
	if (!peer->path_count)
		return rsmd_config_wrong(
			reader,
			"peer %u has no address: add a line with a tcp controller of this node, as in "
			"tcp0 = 192.0.2.%u:%d",
			peer->node, peer->node % 256, PORT_DEFAULT);
	if (!config->key_file[0])
		return rsmd_config_wrong(
			reader, "there are peers but no key: add key-file to [cluster], and make the "
				"file with rsm keygen");
	return true;
}

/* All controllers have one pool of threads: the largest number counts. */
static void resolve_threads(struct rsmd_config_reader *reader)
{
	uint32_t most = 0;
	for (size_t i = 1; i < reader->config->controller_count; i++)
		if (reader->threads[i] > most)
			most = reader->threads[i];
	if (most)
		reader->config->threads = most;
}

bool rsmd_config_resolve(struct rsmd_config_reader *reader)
{
	resolve_threads(reader);
	for (size_t i = 1; i < reader->config->controller_count; i++)
		if (!resolve_controller(reader, i))
			return false;
	for (size_t i = 0; i < reader->path_count; i++)
		if (!resolve_path(reader, &reader->paths[i]))
			return false;
	for (size_t i = 0; i < reader->config->peer_count; i++)
		if (!resolve_peer(reader, i))
			return false;
	return true;
}

size_t rsmd_config_make_private(struct rsmd_config *config)
{
	size_t kept = 1, dropped = 0;
	for (size_t i = 1; i < config->controller_count; i++)
		if (config->controllers[i].address_length)
			dropped++;
		else
			config->controllers[kept++] = config->controllers[i];
	config->controller_count = kept;
	for (size_t i = 0; i < config->peer_count; i++)
		free(config->peers[i].paths);
	free(config->peers);
	config->peers = NULL;
	config->peer_count = 0;
	config->metrics_textfile[0] = '\0';
	config->metrics_listen_length = 0;
	return dropped;
}
