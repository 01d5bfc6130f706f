/* SPDX-License-Identifier: BSD-2-Clause */
/* C1-C9 and what the manual says of controllers and the topology besides. */
#include <fcntl.h>
#include <rsm/ext.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "pair.h"

static void c1(void)
{
	rsmapi_controller_handle_t c = NULL;
	char name[] = "loopback";

	MUST(rsm_get_controller(name, &c));
	CHECK(c != NULL);
}

static void c2(void)
{
	rsmapi_controller_handle_t c = pair_controller("loopback"), d = NULL;
	char upper[] = "LOOPBACK7";

	MUST(rsm_get_controller(NULL, &d));
	CHECK(c == d);
	d = NULL;
	MUST(rsm_get_controller(upper, &d));
	CHECK(c == d);
}

static void c3(void)
{
	char name[] = "loopback", unknown[] = "nosuch0";

	EXPECT(RSMERR_BAD_CTLR_HNDL, rsm_get_controller(name, NULL));
	EXPECT(RSMERR_BAD_CTLR_HNDL, rsm_get_controller(unknown, NULL));
}

static void c4(void)
{
	rsmapi_controller_handle_t c = NULL;
	char name[] = "nosuch0", empty[] = "";

	EXPECT(RSMERR_CTLR_NOT_PRESENT, rsm_get_controller(name, &c));
	CHECK(strlen(rsmx_last_error()) > 0);
	EXPECT(RSMERR_CTLR_NOT_PRESENT, rsm_get_controller(empty, &c));
}

static void c5(void)
{
	rsmapi_controller_handle_t c = pair_controller(suite_controller());

	CHECK(c == pair_controller(suite_controller()));
	MUST(rsm_release_controller(c));
	MUST(rsm_release_controller(c));
	EXPECT(RSMERR_BAD_CTLR_HNDL, rsm_release_controller(c));
	c = pair_controller(suite_controller());
	MUST(rsm_release_controller(c));
}

static void c6(void)
{
	rsmapi_controller_attr_t attr;
	rsmapi_controller_handle_t c = pair_controller(suite_controller());

	EXPECT(RSMERR_BAD_ADDR, rsm_get_controller_attr(c, NULL));
	EXPECT(RSMERR_BAD_CTLR_HNDL, rsm_get_controller_attr(NULL, &attr));
	EXPECT(RSMERR_BAD_CTLR_HNDL, rsm_get_controller_attr(NULL, NULL));
}

static void c7(void)
{
	rsmapi_controller_attr_t attr;

	memset(&attr, 0xff, sizeof(attr));
	MUST(rsm_get_controller_attr(pair_controller(suite_controller()), &attr));
	CHECK_EQUAL(sysconf(_SC_PAGESIZE), attr.attr_page_size);
}

static void c8(void)
{
	EXPECT(RSMERR_BAD_TOPOLOGY_PTR, rsm_get_interconnect_topology(NULL));
}

static void c9(void)
{
	rsm_topology_t *topology = NULL;

	MUST(rsm_get_interconnect_topology(&topology));
	CHECK(topology != NULL);
	for (uint_t at = 0; at < topology->topology_hdr.local_cntlr_count; at++)
		CHECK(strncasecmp(topology->connections[at]->hdr.cntlr_name, "loopback", 8) != 0);
	/* L is the node that a loopback connect accepts. */
	struct pair pair;
	pair_open(&pair);
	CHECK_EQUAL(topology->topology_hdr.local_nodeid, pair.node);
	rsm_free_interconnect_topology(topology);
	rsm_free_interconnect_topology(NULL);
}

static void r_topology_names(void)
{
	rsm_topology_t *topology = NULL;
	bool found = false;

	MUST(rsm_get_interconnect_topology(&topology));
	for (uint_t at = 0; at < topology->topology_hdr.local_cntlr_count; at++) {
		const rsm_connections_t *connection = topology->connections[at];
		CHECK(((uintptr_t)connection & 7) == 0);
		CHECK(memchr(connection->hdr.cntlr_name, '\0', MAXNAMELEN) != NULL);
		MUST(rsm_release_controller(pair_controller(connection->hdr.cntlr_name)));
		CHECK(connection->hdr.remote_cntlr_count >= 0);
		found = found || strcmp(connection->hdr.cntlr_name, "shm0") == 0;
	}
	CHECK(found); /* the configuration of these tests has it */
	rsm_free_interconnect_topology(topology);
}

static void r_attributes(void)
{
	rsmapi_controller_attr_t attr;
	size_t mask = suite_page() - 1;

	memset(&attr, 0, sizeof(attr));
	MUST(rsm_get_controller_attr(pair_controller(suite_controller()), &attr));
	CHECK_EQUAL(suite_can_map() ? 0xf : 0, attr.attr_direct_access_sizes);
	CHECK_EQUAL(0xf, attr.attr_atomic_sizes);
	CHECK(attr.attr_max_export_segment_size >= ((size_t)1 << 31) &&
	      !(attr.attr_max_export_segment_size & mask));
	CHECK(attr.attr_tot_export_segment_size >= attr.attr_max_export_segment_size);
	if (suite_can_map())
		CHECK(attr.attr_max_import_map_size >= ((size_t)1 << 31) &&
		      !(attr.attr_max_import_map_size & mask));
	else
		CHECK_EQUAL(0, attr.attr_max_import_map_size);
	CHECK(attr.attr_tot_import_map_size >= attr.attr_max_import_map_size);
	CHECK_EQUAL(65535, attr.attr_max_export_segments);
	CHECK_EQUAL(65535, attr.attr_max_import_segments);
}

static void r_name_too_long(void)
{
	rsmapi_controller_handle_t c = NULL;
	char name[MAXNAMELEN * 4];

	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	EXPECT(RSMERR_CTLR_NOT_PRESENT, rsm_get_controller(name, &c));
	memcpy(name, "loopback", 8);
	EXPECT(RSMERR_CTLR_NOT_PRESENT, rsm_get_controller(name, &c));
}

static void r_name_unit(void)
{
	rsmapi_controller_handle_t c = pair_controller("shm0");

	CHECK(c == pair_controller("shm")); /* no digits: unit 0 */
	CHECK(c == pair_controller("SHM0"));
	CHECK(c == pair_controller("shm00"));
	CHECK(c != pair_controller("loopback"));
	char other[] = "shm1";
	EXPECT(RSMERR_CTLR_NOT_PRESENT, rsm_get_controller(other, &c));
}

static void r_released_handle(void)
{
	rsmapi_controller_attr_t attr;
	rsm_memseg_export_handle_t e;
	rsm_memseg_import_handle_t i;
	rsmapi_controller_handle_t c = pair_controller(suite_controller());

	EXPECT(RSMERR_BAD_CTLR_HNDL, rsm_release_controller(NULL));
	MUST(rsm_release_controller(c));
	EXPECT(RSMERR_BAD_CTLR_HNDL, rsm_get_controller_attr(c, &attr));
	EXPECT(RSMERR_BAD_CTLR_HNDL, rsm_memseg_export_create(c, &e, pair_memory(1, 0), suite_page(), 0));
	EXPECT(RSMERR_BAD_CTLR_HNDL, rsm_memseg_import_connect(c, 0, 0x400000, RSM_PERM_READ, &i));
}

static void r_release_with_segments(void)
{
	struct pair pair;

	pair_open(&pair);
	MUST(rsm_release_controller(pair.controller));
	MUST(pair_put_byte(pair.i, 5, 0x5a));
	CHECK_BYTES(pair.memory + 5, 0x5a, 1);
	MUST(rsm_intr_signal_post(pair.i, 0));
	MUST(rsm_intr_signal_wait(pair.e, 1000));
	MUST(rsm_memseg_import_disconnect(pair.i));
	MUST(rsm_memseg_export_destroy(pair.e));
}

static void r_no_service(void)
{
	rsmapi_controller_handle_t c = NULL;
	char name[] = "loopback";

	CHECK(setenv("RSM_SOCKET", "/proc/self/no-such-socket", 1) == 0);
	EXPECT(RSMERR_CTLR_NOT_PRESENT, rsm_get_controller(name, &c));
	CHECK(strstr(rsmx_last_error(), "/proc/self/no-such-socket") != NULL);
}

static void r_descriptors(void)
{
	struct pair pair;
	struct pollfd fd;
	bool before[256];

	for (int at = 0; at < 256; at++)
		before[at] = at > 2 && fcntl(at, F_GETFD) >= 0;
	close(0);
	close(1);
	close(2);
	pair_open_pages(&pair, 4);
	MUST(rsm_memseg_get_pollfd(pair.e, &fd));
	MUST(rsm_memseg_get_pollfd(pair.i, &fd));
	for (int at = 0; at < 256; at++) {
		int flags = fcntl(at, F_GETFD);
		if (flags >= 0 && !before[at] && (at <= 2 || !(flags & FD_CLOEXEC)))
			suite_fail(__FILE__, __LINE__, "descriptor %d of the library has flags %d", at,
				   flags);
	}
}

static void r_reason_texts(void)
{
	rsmapi_controller_handle_t c = NULL;
	char name[] = "nosuch0";

	CHECK(strcmp(rsmx_last_error(), "") == 0);
	EXPECT(RSMERR_CTLR_NOT_PRESENT, rsm_get_controller(name, &c));
	CHECK(strstr(rsmx_last_error(), "nosuch") != NULL);
	CHECK(strcmp(rsmx_errname(RSMERR_BAD_MEM_ALIGNMENT), "RSMERR_BAD_MEM_ALIGNMENT") == 0);
	CHECK(strcmp(rsmx_errname(RSM_SUCCESS), "RSM_SUCCESS") == 0);
	CHECK(strcmp(rsmx_errname(9999), "RSMERR_?") == 0);
	for (int code = -1; code < 200; code++)
		CHECK(rsmx_strerror(code) != NULL && rsmx_strerror(code)[0] != '\0');
}

static const struct suite_case cases[] = {
	{"C1", "get_controller(\"loopback\") gives a handle", c1},
	{"C2", "NULL and LOOPBACK7 are loopback", c2},
	{"C3", "get_controller without result pointer -> BAD_CTLR_HNDL", c3},
	{"C4", "get_controller(\"nosuch0\") -> CTLR_NOT_PRESENT", c4},
	{"C5", "two gets, two releases, a third release -> BAD_CTLR_HNDL", c5},
	{"C6", "get_controller_attr with NULL attr, NULL handle", c6},
	{"C7", "attr_page_size is the system's page size", c7},
	{"C8", "get_interconnect_topology(NULL) -> BAD_TOPOLOGY_PTR", c8},
	{"C9", "topology: local node, no loopback entry, free is safe", c9},
	{"R-topology-names", "topology names can be opened; block is aligned", r_topology_names},
	{"R-attributes", "attributes are real values", r_attributes},
	{"R-name-too-long", "controller name over 255 bytes -> CTLR_NOT_PRESENT", r_name_too_long},
	{"R-name-unit", "unit number and case of controller names", r_name_unit},
	{"R-released-controller", "a released controller handle -> BAD_CTLR_HNDL", r_released_handle},
	{"R-release-with-segments", "segments outlive the release of their controller",
	 r_release_with_segments},
	{"R-no-service", "no rsmd at RSM_SOCKET -> CTLR_NOT_PRESENT", r_no_service},
	{"R-descriptors", "descriptors of the library are above 2 and close-on-exec", r_descriptors},
	{"R-reason-texts", "names, texts and reasons of codes", r_reason_texts},
};

SUITE_MAIN(cases)
