/* SPDX-License-Identifier: BSD-2-Clause */
/* An exporter is killed at each step: its importers get the right code promptly, its id is free, nothing is left. */
#include <string.h>

#include "node.h"
#include "pair.h"
#include "peer.h"

#define ID 0x4d0001u

enum step {
	CREATED,
	PUBLISHED,
	CONNECTED,
	USED,
	MAPPED,
	IN_BARRIER,
	WAITING,
	EXPORTER_WAITING,
	POLLFD,
	WITHDRAWN
};

struct scene {
	struct node_counts before;
	struct peer exporter, successor, other; /* `other`: an importer in a process of its own */
	struct pair pair;                       /* the importer in this one */
	volatile uint8_t *window;
	struct pollfd fd;
};

static void connect_both(struct scene *scene)
{
	scene->pair.id = ID;
	pair_connect(&scene->pair, RSM_PERM_RDWR);
	MUST(peer_connect(&scene->other, 0, scene->pair.node, ID, RSM_PERM_RDWR));
	MUST(peer_simple(&scene->other, PEER_INIT, 0, 0));
}

static void map_both(struct scene *scene)
{
	void *address = NULL;

	MUST(rsm_memseg_import_map(scene->pair.i, &address, RSM_MAP_NONE, RSM_PERM_RDWR, 0,
				   scene->pair.length));
	scene->window = address;
	scene->window[9] = 9;
	MUST(peer_map(&scene->other, 0, RSM_PERM_RDWR, scene->pair.length));
}

static void build(struct scene *scene, enum step step)
{
	peer_start(&scene->exporter, NULL);
	peer_start(&scene->successor, NULL);
	peer_start(&scene->other, NULL);
	scene->pair.length = 3 * suite_page();
	scene->pair.controller = pair_controller(suite_controller());
	scene->pair.node = pair_node();
	scene->before = node_counts();
	MUST(peer_create(&scene->exporter, scene->pair.length));
	if (step >= PUBLISHED)
		MUST(peer_publish(&scene->exporter, &(rsm_memseg_id_t){ID}, NULL, 0));
	if (step >= CONNECTED)
		connect_both(scene);
	if (step >= USED)
		MUST(pair_put_byte(scene->pair.i, 1, 1));
	if (step >= MAPPED)
		map_both(scene);
	if (step >= IN_BARRIER)
		MUST(rsm_memseg_import_open_barrier(&scene->pair.barrier));
	if (step == WAITING) {
		peer_begin(&scene->other, &(struct peer_request){.op = PEER_WAIT, .handle = 0, .value = -1});
		peer_until_asleep(&scene->other);
	}
	if (step == EXPORTER_WAITING) {
		peer_begin(&scene->exporter,
			   &(struct peer_request){.op = PEER_WAIT, .handle = PEER_EXPORT, .value = -1});
		peer_until_asleep(&scene->exporter);
	}
	if (step == POLLFD) {
		MUST(rsm_memseg_get_pollfd(scene->pair.i, &scene->fd));
		MUST(peer_simple(&scene->exporter, PEER_POLLFD, PEER_EXPORT, 0));
	}
	if (step == WITHDRAWN)
		MUST(peer_simple(&scene->exporter, PEER_UNPUBLISH, 0, 0));
}

static void expect_aborted(struct scene *scene, enum step step)
{
	int count = 0;

	if (step == WAITING)
		EXPECT(RSMERR_CONN_ABORTED, peer_end(&scene->other).code);
	if (step == POLLFD) {
		MUST(rsm_intr_signal_wait_pollfd(&scene->fd, 1, SUITE_PROMPT, &count));
		CHECK_EQUAL(POLLHUP, scene->fd.revents);
		MUST(rsm_memseg_release_pollfd(scene->pair.i));
	}
	EXPECT(RSMERR_CONN_ABORTED, rsm_intr_signal_wait(scene->pair.i, SUITE_PROMPT));
	if (step >= IN_BARRIER)
		EXPECT(RSMERR_CONN_ABORTED, rsm_memseg_import_close_barrier(&scene->pair.barrier));
	EXPECT(RSMERR_CONN_ABORTED, pair_put_byte(scene->pair.i, 0, 1));
	EXPECT(RSMERR_CONN_ABORTED, rsm_intr_signal_post(scene->pair.i, 0));
	EXPECT(RSMERR_CONN_ABORTED, peer_put(&scene->other, 0, 0, 1));
	if (step >= MAPPED) {
		for (size_t at = 0; at < scene->pair.length; at++)
			scene->window[at] = (uint8_t)(scene->window[at] + 1);
		MUST(rsm_memseg_import_unmap(scene->pair.i));
		MUST(peer_simple(&scene->other, PEER_UNMAP, 0, 0));
	}
	MUST(rsm_memseg_import_disconnect(scene->pair.i));
	MUST(peer_simple(&scene->other, PEER_DISCONNECT, 0, 0));
}

static void kill_at(enum step step)
{
	struct scene scene;
	rsm_memseg_import_handle_t i;
	rsm_memseg_id_t id = ID;

	memset(&scene, 0, sizeof(scene));
	build(&scene, step);
	peer_kill(&scene.exporter);
	if (step >= CONNECTED)
		expect_aborted(&scene, step);
	SOON(rsm_memseg_import_connect(scene.pair.controller, scene.pair.node, ID, RSM_PERM_READ, &i) ==
	     RSMERR_SEG_NOT_PUBLISHED);
	MUST(peer_create(&scene.successor, scene.pair.length));
	MUST(peer_publish(&scene.successor, &id, NULL, 0));
	peer_stop(&scene.successor);
	peer_stop(&scene.other);
	if (step >= CONNECTED && scene.before.descriptors >= 0)
		scene.before
			.descriptors++; /* the table of counters of this process, which has had an import */
	NODE_UNTIL(&scene.before);
}

#define KILL(name, step)                                                                                     \
	static void name(void)                                                                               \
	{                                                                                                    \
		kill_at(step);                                                                               \
	}

KILL(created, CREATED)
KILL(published, PUBLISHED)
KILL(connected, CONNECTED)
KILL(used, USED)
KILL(mapped, MAPPED)
KILL(in_barrier, IN_BARRIER)
KILL(waiting, WAITING)
KILL(exporter_waiting, EXPORTER_WAITING)
KILL(pollfd, POLLFD)
KILL(withdrawn, WITHDRAWN)

static const struct suite_case cases[] = {
	{"D-exporter-created", "exporter killed after create", created},
	{"D-exporter-published", "exporter killed after publish", published},
	{"D-exporter-connected", "exporter killed with importers connected", connected},
	{"D-exporter-used", "exporter killed after a put", used},
	{"D-exporter-mapped", "exporter killed while mapped", mapped},
	{"D-exporter-barrier", "exporter killed inside a barrier", in_barrier},
	{"D-exporter-waited-for", "exporter killed while an importer waits", waiting},
	{"D-exporter-waiting", "exporter killed while it waits", exporter_waiting},
	{"D-exporter-pollfd", "exporter killed while an importer has a pollfd", pollfd},
	{"D-exporter-withdrawn", "exporter killed after unpublish, importers still there", withdrawn},
};

SUITE_MAIN(cases)
