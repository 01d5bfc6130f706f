/* SPDX-License-Identifier: BSD-2-Clause */
#include "rsmd/client.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <rsmapi.h>
#include <stdlib.h>
#include <string.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include <utlist.h>

#include "base/fd.h"
#include "base/reason.h"
#include "base/text.h"
#include "rsmd/closer.h"
#include "rsmd/event.h"
#include "rsmd/export.h"
#include "rsmd/identity.h"
#include "rsmd/import.h"
#include "rsmd/listen.h"
#include "rsmd/log.h"
#include "rsmd/loop.h"
#include "rsmd/metrics.h"
#include "rsmd/object.h"
#include "rsmd/topology.h"
#include "rsmd/unpack.h"
#include "rsmd/watch.h"

/* Descriptors in unread answers of one client: the kernel limits them for all of rsmd's together. */
#define UNREAD_FDS_MAX (2 * WIRE_FDS_MAX)

static RSMD_HANDLER(hello);

/* By the number of the request's body in rsm.proto. */
static const struct {
	RSMD_HANDLER((*handle));
	bool one_way;
} requests[] = {
	[WIRE__REQUEST__BODY_HELLO] = {hello, false},
	[WIRE__REQUEST__BODY_OBJECT_CREATE] = {rsmd_object_create, false},
	[WIRE__REQUEST__BODY_OBJECT_OFFER] = {rsmd_object_offer, false},
	[WIRE__REQUEST__BODY_OBJECT_FREE] = {rsmd_object_free, true},
	[WIRE__REQUEST__BODY_EXPORT_CREATE] = {rsmd_export_create, false},
	[WIRE__REQUEST__BODY_EXPORT_LAYOUT] = {rsmd_export_layout, false},
	[WIRE__REQUEST__BODY_EXPORT_DESTROY] = {rsmd_export_destroy, false},
	[WIRE__REQUEST__BODY_PUBLISH] = {rsmd_export_publish, false},
	[WIRE__REQUEST__BODY_UNPUBLISH] = {rsmd_export_unpublish, false},
	[WIRE__REQUEST__BODY_RESERVE] = {rsmd_export_reserve, false},
	[WIRE__REQUEST__BODY_UNRESERVE] = {rsmd_export_unreserve, true},
	[WIRE__REQUEST__BODY_CONNECT] = {rsmd_import_connect, false},
	[WIRE__REQUEST__BODY_IMPORT_LAYOUT] = {rsmd_import_layout, false},
	[WIRE__REQUEST__BODY_DISCONNECT] = {rsmd_import_disconnect, true},
	[WIRE__REQUEST__BODY_SIGNALS] = {rsmd_signal_memory, false},
	[WIRE__REQUEST__BODY_POLLFD] = {rsmd_signal_pollfd, false},
	[WIRE__REQUEST__BODY_RING] = {rsmd_signal_ring, false},
	[WIRE__REQUEST__BODY_TOPOLOGY] = {rsmd_topology_tell, false},
	[WIRE__REQUEST__BODY_STATUS] = {rsmd_status_tell, false},
	[WIRE__REQUEST__BODY_CONNECT_RESULT] = {rsmd_away_result, false},
	[WIRE__REQUEST__BODY_COUNTERS] = {rsmd_counters_tell, false},
	[WIRE__REQUEST__BODY_WATCH] = {rsmd_watch_open, false},
};

void rsmd_answer_add_fd(struct rsmd_answer *answer, int fd, bool once)
{
	answer->fds[answer->fd_count] = fd;
	answer->close_fds[answer->fd_count++] = once;
}

static void answer_clear(struct rsmd_answer *answer)
{
	for (size_t i = 0; i < answer->fd_count; i++)
		if (answer->close_fds[i])
			base_fd_close(&answer->fds[i]);
	answer->fd_count = 0;
	free(answer->text);
	answer->text = NULL;
}

static RSMD_HANDLER(hello)
{
	static char release[] = RSM_RELEASE; /* the message wants one that may be written */
	const Wire__Hello *said = request->hello;
	(void)packet;
	if (client->greeted)
		return RSMD_VIOLATION;
	if (said->version != WIRE_VERSION)
		return base_refuse(
			RSMERR_BAD_LIBRARY_VERSION,
			"the library speaks version %u of the conversation, rsmd %s version %u; install the "
			"same release of both",
			said->version, RSM_RELEASE, WIRE_VERSION);
	client->greeted = true;
	base_text_clean(client->program, sizeof(client->program), said->program);
	Wire__HelloReply *body = &answer->body.hello;
	wire__hello_reply__init(body);
	body->version = WIRE_VERSION;
	body->features = WIRE_FEATURE_COUNTERS | WIRE_FEATURE_WATCH;
	body->release = release;
	body->node_id = rsmd_server.config.node_id;
	body->node_name = rsmd_server.config.node_name;
	body->max_segments = rsmd_server.config.max_segments;
	body->max_exported_bytes = rsmd_server.config.max_exported_bytes;
	body->status_slots = rsmd_server.slots.count;
	body->has_userfaultfd = rsmd_server.userfaultfd >= 0;
	body->daemon_pid = getpid();
	body->private_daemon = rsmd_server.private_daemon;
	rsmd_topology_list(&body->controllers, &body->n_controllers);
	rsmd_answer_add_fd(answer, rsmd_server.slots.fd, false);
	if (body->has_userfaultfd)
		rsmd_answer_add_fd(answer, rsmd_server.userfaultfd, false);
	answer->reply.body_case = WIRE__REPLY__BODY_HELLO;
	answer->reply.hello = body;
	rsmd_event_client(RSMD_EVENT_CLIENT, client, 0, NULL);
	return RSM_SUCCESS;
}

/* Keeps an answer for which the socket has no room now, with descriptors of its own. */
static bool answer_keep(struct rsmd_client *client, struct rsmd_answer *answer, uint8_t *packed,
			size_t length)
{
	for (size_t i = 0; i < answer->fd_count; i++) {
		int copy = fcntl(answer->fds[i], F_DUPFD_CLOEXEC, 3);
		if (copy < 0 || rsmd_fd_keep(&copy))
			return false;
		client->answer_fds[client->answer_fd_count++] = copy;
	}
	client->answer = packed;
	client->answer_length = length;
	rsmd_loop_wait_for(client->socket_watch, RSMD_WAIT_WRITE);
	return true;
}

static uint8_t *answer_pack(const struct rsmd_answer *answer, size_t *length)
{
	uint8_t *packed = malloc(wire__reply__get_packed_size(&answer->reply) + 1);
	if (packed)
		*length = wire__reply__pack(&answer->reply, packed);
	return packed;
}

/* The descriptors cannot be sent, or there is no memory: takes back what the request made and says so. */
static void answer_refuse(struct rsmd_answer *answer, int code)
{
	if (answer->import)
		rsmd_import_end(answer->import);
	if (answer->object)
		rsmd_object_forget(answer->object);
	answer->import = NULL;
	answer->object = NULL;
	answer_clear(answer);
	uint64_t id = answer->reply.id;
	wire__reply__init(&answer->reply);
	answer->reply.id = id;
	answer->reply.code = (uint32_t)code;
	answer->text = strdup(base_reason());
	if (answer->text)
		answer->reply.reason = answer->text;
}

/*
 * Counts what goes out with an answer. False: too much of it lies unread, and the client is to be dropped. The
 * library never has more than one answer under way.
 */
static bool answer_count(struct rsmd_client *client, size_t length, size_t fd_count)
{
	bool memfd = length > WIRE_INLINE_MAX;
	int unread = 0;
	if (!fd_count && !memfd)
		return true;
	if (!ioctl(client->socket, SIOCOUTQ, &unread) && !unread) {
		client->unread_fds = 0;
		client->unread_memfd = false;
	}
	client->unread_fds += fd_count + memfd;
	if (client->unread_fds > UNREAD_FDS_MAX)
		client->offence = "too many descriptors in answers that it does not read";
	else if (memfd && client->unread_memfd)
		client->offence = "a second large answer without reading the first";
	client->unread_memfd |= memfd;
	return !client->offence;
}

/* False: the client cannot be answered any more and is to be dropped. */
static bool answer_send(struct rsmd_client *client, struct rsmd_answer *answer)
{
	for (int attempt = 0; attempt < 2; attempt++) {
		size_t length = 0;
		uint8_t *packed = answer_pack(answer, &length);
		if (packed && !answer_count(client, length, answer->fd_count)) {
			free(packed);
			return false;
		}
		int error = packed ? wire_packet_send(client->socket, packed, length, answer->fds,
						      answer->fd_count, true)
				   : -ENOMEM;
		if (error == -EAGAIN && answer_keep(client, answer, packed, length))
			return true;
		free(packed);
		if (!error)
			return true;
		if (error != -ETOOMANYREFS && error != -EMFILE && error != -ENOMEM && error != -EMSGSIZE)
			return false;
		answer_refuse(answer, base_refuse_errno(RSMERR_INSUFFICIENT_RESOURCES, -error,
							"rsmd cannot send its answer"));
	}
	return false;
}

/* Handles one request. False: the client broke the protocol, or cannot be served, and is dropped. */
static bool serve(struct rsmd_client *client, const Wire__Request *request, struct wire_packet *packet,
		  bool fds_lost)
{
	unsigned kind = (unsigned)request->body_case;
	bool known = kind < sizeof(requests) / sizeof(requests[0]) && requests[kind].handle;
	if (packet->fd_count > (kind == WIRE__REQUEST__BODY_OBJECT_OFFER ? 1u : 0u))
		return false;
	if (!known || client->greeted == (kind == WIRE__REQUEST__BODY_HELLO))
		return false;

	struct rsmd_answer answer;
	answer.fd_count = 0;
	answer.text = NULL;
	answer.import = NULL;
	answer.object = NULL;
	wire__reply__init(&answer.reply);
	answer.reply.id = request->id;
	int code;
	bool measures = rsmd_request_measures(client, request); /* its import may be gone afterwards */
	rsmd_metrics_request(kind);
	if (client->refusal)
		code = base_refuse(client->refusal, "%s", client->refusal_reason);
	else if (fds_lost)
		code = base_refuse(
			RSMERR_INSUFFICIENT_RESOURCES,
			"rsmd has no descriptor left for the one that came; its RLIMIT_NOFILE is the limit");
	else
		code = requests[kind].handle(client, request, packet, &answer);
	bool go_on = code != RSMD_VIOLATION;
	if (go_on && code) {
		if (!measures)
			rsmd_metrics_refusal(code);
		answer_refuse(&answer, code);
	}
	if (go_on && !requests[kind].one_way)
		go_on = answer_send(client, &answer);
	answer_clear(&answer);
	return go_on && client->greeted;
}

static void on_request(struct rsmd_client *client)
{
	struct wire_packet packet;
	int error = wire_packet_receive(client->socket, WIRE_REQUEST_MAX, true, &packet);
	if (error == -EAGAIN || error == -EINTR)
		return;
	bool fds_lost = error == -EMFILE && packet.body;
	bool whole = !error || fds_lost;
	Wire__Request *request = whole ? rsmd_unpack(packet.body, packet.length) : NULL;
	bool go_on = request && serve(client, request, &packet, fds_lost);
	rsmd_unpack_reset();
	if (whole)
		wire_packet_clear(&packet);
	rsmd_loop_active();
	if (go_on)
		return;
	if (client->offence)
		rsmd_log_offence("client pid %d uid %u dropped: %s", (int)client->pid, client->identity.uid,
				 client->offence);
	else if (error != -ECONNRESET && !client->refusal)
		rsmd_log_offence("client pid %d uid %u dropped: not a request of protocol version %u (%s)",
				 (int)client->pid, client->identity.uid, WIRE_VERSION,
				 whole ? "content" : strerror(-error));
	rsmd_client_drop(client);
}

static void on_room(struct rsmd_client *client)
{
	int error = wire_packet_send(client->socket, client->answer, client->answer_length,
				     client->answer_fds, client->answer_fd_count, true);
	if (error == -EAGAIN)
		return;
	if (error) {
		rsmd_client_drop(client);
		return;
	}
	while (client->answer_fd_count)
		base_fd_close(&client->answer_fds[--client->answer_fd_count]);
	free(client->answer);
	client->answer = NULL;
	rsmd_loop_wait_for(client->socket_watch, RSMD_WAIT_READ);
}

static void on_socket(void *context)
{
	struct rsmd_client *client = context;
	if (client->answer)
		on_room(client);
	else
		on_request(client);
}

static void on_pidfd(void *context)
{
	rsmd_client_drop(context);
}

static int client_start(struct rsmd_client *client)
{
	int code = rsmd_identity_read(client);
	if (!code)
		code = rsmd_fd_check(client->socket);
	if (code)
		return code;
	uid_t uid = client->identity.uid;
	if (rsmd_server.private_daemon && uid != geteuid() && uid != 0)
		return base_refuse(RSMERR_PERM_DENIED, "this rsmd is private to uid %u, the caller is uid %u",
				   geteuid(), uid);
	client->socket_watch = rsmd_loop_watch(client->socket, on_socket, client);
	if (client->pidfd >= 0)
		client->pidfd_watch = rsmd_loop_watch(client->pidfd, on_pidfd, client);
	if (!client->socket_watch || (client->pidfd >= 0 && !client->pidfd_watch))
		return base_refuse(RSMERR_INSUFFICIENT_MEM, "rsmd has no memory for another client");
	return RSM_SUCCESS;
}

static void client_free(struct rsmd_client *client)
{
	rsmd_loop_unwatch(client->socket_watch);
	rsmd_loop_unwatch(client->pidfd_watch);
	/* Descriptors may wait in its queue. The client learns of the end at once, whenever they are closed. */
	shutdown(client->socket, SHUT_RDWR);
	rsmd_closer_close(client->socket);
	base_fd_close(&client->pidfd);
	while (client->answer_fd_count)
		base_fd_close(&client->answer_fds[--client->answer_fd_count]);
	rsmd_signals_end(&client->away_signals);
	rsmd_metrics_local_look(&client->local, &client->counters);
	rsmd_counters_end(&client->counters);
	free(client->answer);
	free(client->groups);
	free(client->refusal_reason);
	free(client);
}

/* It cannot be served, and learns why in the answer to its Hello. */
static bool client_refuse(struct rsmd_client *client, int code)
{
	client->refusal = code;
	client->refusal_reason = strdup(base_reason());
	rsmd_event_client(RSMD_EVENT_REFUSE, client, code, base_reason());
	if (!client->refusal_reason || client->socket >= rsmd_fd_last())
		return false;
	if (!client->socket_watch)
		client->socket_watch = rsmd_loop_watch(client->socket, on_socket, client);
	return client->socket_watch != NULL;
}

void rsmd_client_accept(int socket)
{
	struct rsmd_client *client = calloc(1, sizeof(*client));
	if (!client) {
		rsmd_log_offence("connection refused: no memory");
		base_fd_close(&socket);
		return;
	}
	client->socket = socket;
	client->pidfd = -1;
	rsmd_signals_init(&client->away_signals);
	rsmd_counters_init(&client->counters);
	rsmd_metrics_local_begin(&client->local);
	int code = client_start(client);
	if (code && !client_refuse(client, code)) {
		client_free(client);
		return;
	}
	DL_APPEND(rsmd_server.clients, client);
	rsmd_server.client_count++;
	rsmd_metrics.clients++;
	rsmd_listen_busy();
}

void rsmd_client_drop(struct rsmd_client *client)
{
	DL_DELETE(rsmd_server.clients, client);
	rsmd_server.client_count--;
	rsmd_watchers_end(client);
	while (client->imports)
		rsmd_import_end(client->imports);
	while (client->exports)
		rsmd_export_end(client->exports);
	while (client->objects)
		rsmd_object_forget(client->objects);
	rsmd_quota_give(client->reserved);
	if (client->greeted)
		rsmd_event_client(RSMD_EVENT_CLIENT_GONE, client, 0, NULL);
	client_free(client);
	if (!rsmd_server.client_count)
		rsmd_listen_idle();
}

bool rsmd_client_is_alive(const struct rsmd_client *client)
{
	struct pollfd pidfd = {.fd = client->pidfd, .events = POLLIN};
	return client->pidfd >= 0 && poll(&pidfd, 1, 0) == 0;
}

bool rsmd_client_is_privileged(const struct rsmd_client *client)
{
	return client->identity.uid == 0 ||
	       (client->pid > 0 && rsmd_identity_owns_ipc(client->pid, client->identity.uid) &&
		rsmd_client_is_alive(client));
}
