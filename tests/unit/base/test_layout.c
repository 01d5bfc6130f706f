/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The public headers against the interface as Solaris documents it: every constant, every error number, every
 * size, offset and type (LP64). They are written down here a second time on purpose.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>
#include <rsmapi.h>

struct fact {
	const char *what;
	unsigned long found;
	unsigned long expected;
};

/* clang-format off */
#define SAME(constant, value) { #constant, (unsigned long)(constant), (value) }
#define SIZE(type, bytes) { "size of " #type, sizeof(type), (bytes) }
#define PLACE(type, field, bytes) { #type "." #field, offsetof(type, field), (bytes) }
#define TYPE(structure, field, type) \
	{ #structure "." #field " being " #type, \
	  __builtin_types_compatible_p(__typeof__(((structure *)0)->field), type), 1 }

static const struct fact errors[] = {
	SAME(RSM_SUCCESS, 0),
	SAME(RSMERR_BAD_LIBRARY_VERSION, 1),
	SAME(RSMERR_BAD_TOPOLOGY_PTR, 2),
	SAME(RSMERR_BAD_CTLR_HNDL, 3),
	SAME(RSMERR_CTLR_NOT_PRESENT, 4),
	SAME(RSMERR_BAD_SEG_HNDL, 5),
	SAME(RSMERR_SEG_ALREADY_PUBLISHED, 6),
	SAME(RSMERR_SEG_NOT_PUBLISHED, 7),
	SAME(RSMERR_SEG_NOT_PUBLISHED_TO_NODE, 8),
	SAME(RSMERR_SEG_ALREADY_MAPPED, 9),
	SAME(RSMERR_SEG_STILL_MAPPED, 10),
	SAME(RSMERR_SEG_NOT_MAPPED, 11),
	SAME(RSMERR_NOT_CREATOR, 12),
	SAME(RSMERR_BAD_BARRIER_PTR, 13),
	SAME(RSMERR_BAD_SGIO, 14),
	SAME(RSMERR_BAD_LOCALMEM_HNDL, 15),
	SAME(RSMERR_BAD_ADDR, 16),
	SAME(RSMERR_BAD_MEM_ALIGNMENT, 17),
	SAME(RSMERR_BAD_OFFSET, 18),
	SAME(RSMERR_MISALIGNED_OFFSET, 19),
	SAME(RSMERR_BAD_LENGTH, 20),
	SAME(RSMERR_BAD_ACL, 21),
	SAME(RSMERR_BAD_SEGID, 22),
	SAME(RSMERR_RESERVED_SEGID, 23),
	SAME(RSMERR_SEGID_IN_USE, 24),
	SAME(RSMERR_BAD_MODE, 25),
	SAME(RSMERR_BAD_PERMS, 26),
	SAME(RSMERR_PERM_DENIED, 27),
	SAME(RSMERR_LOCKS_NOT_SUPPORTED, 28),
	SAME(RSMERR_LOCKS_NOT_ENABLED, 29),
	SAME(RSMERR_REBIND_NOT_ALLOWED, 30),
	SAME(RSMERR_INSUFFICIENT_RESOURCES, 31),
	SAME(RSMERR_INSUFFICIENT_MEM, 32),
	SAME(RSMERR_MAP_FAILED, 33),
	SAME(RSMERR_POLLFD_IN_USE, 34),
	SAME(RSMERR_BARRIER_UNINITIALIZED, 35),
	SAME(RSMERR_BARRIER_OPEN_FAILED, 36),
	SAME(RSMERR_BARRIER_NOT_OPENED, 37),
	SAME(RSMERR_BARRIER_FAILURE, 38),
	SAME(RSMERR_REMOTE_NODE_UNREACHABLE, 39),
	SAME(RSMERR_CONN_ABORTED, 40),
	SAME(RSMERR_INTERRUPTED, 41),
	SAME(RSMERR_TIMEOUT, 42),
	SAME(RSMERR_BAD_APPID, 43),
	SAME(RSMERR_BAD_CONF, 44),
	SAME(RSMERR_SEG_NOT_CONNECTED, 45),
	SAME(RSMERR_INTERNAL_ERROR, 100),
	SAME(RSMERR_BAD_DRIVER_VERSION, 101),
	SAME(RSMERR_UNSUPPORTED_VERSION, 102),
	SAME(RSMERR_DRIVER_NAME_IN_USE, 103),
	SAME(RSMERR_DRIVER_NOT_REGISTERED, 104),
	SAME(RSMERR_DRIVER_THREAD_RUNNING, 105),
	SAME(RSMERR_NEED_THREAD_INIT, 106),
	SAME(RSMERR_THREAD_NOT_INITED, 107),
	SAME(RSMERR_CTLRS_REGISTERED, 108),
	SAME(RSMERR_CTLR_NOT_REGISTERED, 109),
	SAME(RSMERR_CTLR_ALREADY_REGISTERED, 110),
	SAME(RSMERR_CTLR_IN_USE, 111),
	SAME(RSMERR_NAME_TOO_LONG, 112),
	SAME(RSMERR_SEG_PUBLISHED, 113),
	SAME(RSMERR_SEG_NOT_PUBLISHED_TO_RSM_ADDR, 114),
	SAME(RSMERR_SEG_IN_USE, 115),
	SAME(RSMERR_BAD_SENDQ_HNDL, 116),
	SAME(RSMERR_BAD_ARGS_ERRORS, 117),
	SAME(RSMERR_BAD_MSTYPE, 118),
	SAME(RSMERR_NO_BACKING_MEM, 119),
	SAME(RSMERR_NOT_MEM, 120),
	SAME(RSMERR_MEM_ALREADY_BOUND, 121),
	SAME(RSMERR_MEM_NOT_BOUND, 122),
	SAME(RSMERR_HANDLER_NOT_REGISTERED, 123),
	SAME(RSMERR_NO_HANDLER, 124),
	SAME(RSMERR_UNBIND_REBIND_NOT_ALLOWED, 125),
	SAME(RSMERR_CALLBACKS_NOT_SUPPORTED, 126),
	SAME(RSMERR_UNSUPPORTED_OPERATION, 127),
	SAME(RSMERR_RSM_ADDR_UNREACHABLE, 128),
	SAME(RSMERR_UNKNOWN_RSM_ADDR, 129),
	SAME(RSMERR_BAD_BARRIER_HNDL, 130),
	SAME(RSMERR_COMM_ERR_MAYBE_DELIVERED, 131),
	SAME(RSMERR_COMM_ERR_NOT_DELIVERED, 132),
	SAME(RSMERR_QUEUE_FENCE_UP, 133),
	SAME(RSMERR_QUEUE_FULL, 134),
};

static const struct fact constants[] = {
	SAME(RSM_VERSION, 5),
	SAME(RSM_PERM_NONE, 0), SAME(RSM_PERM_READ, 0400), SAME(RSM_PERM_WRITE, 0200), SAME(RSM_PERM_RDWR, 0600),
	SAME(RSM_ALLOW_REBIND, 0x01), SAME(RSM_CREATE_SEG_DONTWAIT, 0x02),
	SAME(RSM_IMPLICIT_SIGPOST, 0x01), SAME(RSM_SIGPOST_NO_ACCUMULATE, 0x02),
	SAME(RSM_HANDLE_TYPE, 0x01), SAME(RSM_VA_TYPE, 0x02), SAME(RSM_MAX_SGIOREQS, 16),
	SAME(RSM_CONNECTION_ACTIVE, 3),
	SAME(RSM_DRIVER_PRIVATE_ID_BASE, 0), SAME(RSM_DRIVER_PRIVATE_ID_END, 0x0FFFFF),
	SAME(RSM_CLUSTER_TRANSPORT_ID_BASE, 0x100000), SAME(RSM_CLUSTER_TRANSPORT_ID_END, 0x1FFFFF),
	SAME(RSM_RSMLIB_ID_BASE, 0x200000), SAME(RSM_RSMLIB_ID_END, 0x2FFFFF),
	SAME(RSM_DLPI_ID_BASE, 0x300000), SAME(RSM_DLPI_ID_END, 0x3FFFFF),
	SAME(RSM_HPC_ID_BASE, 0x400000), SAME(RSM_HPC_ID_END, 0x4FFFFF),
	SAME(RSM_OPS_ID_BASE, 0x500000), SAME(RSM_OPS_ID_END, 0x5FFFFF),
	SAME(RSM_USER_APP_ID_BASE, 0x80000000), SAME(RSM_USER_APP_ID_END, 0xFFFFFFFF),
	SAME(RSM_MAP_NONE, 0), SAME(RSM_MAP_FIXED, 1), SAME(RSM_MAP_RESERVED, 2),
	SAME(RSM_BARRIER_SEGMENT, 0x01), SAME(RSM_BARRIER_NODE, 0x02),
	SAME(RSM_BARRIER_SEGMENT_THREAD, 0x11), SAME(RSM_BARRIER_NODE_THREAD, 0x12),
	SAME(RSM_BAR_DEFAULT, RSM_BARRIER_SEGMENT),
	SAME(RSM_BARRIER_MODE_EXPLICIT, 0), SAME(RSM_BARRIER_MODE_IMPLICIT, 1),
	SAME(RSM_DAS8, 1), SAME(RSM_DAS16, 2), SAME(RSM_DAS32, 4), SAME(RSM_DAS64, 8),
	SAME(MAXNAMELEN, 256),
};

static const struct fact layouts[] = {
	SIZE(rsm_addr_t, 8), SIZE(rsm_node_id_t, 4), SIZE(rsm_memseg_id_t, 4), SIZE(rsm_permission_t, 4),
	SIZE(rsm_memseg_export_handle_t, 8), SIZE(rsm_memseg_import_handle_t, 8),
	SIZE(rsmapi_controller_handle_t, 8), SIZE(rsm_localmemory_handle_t, 8),
	SIZE(uint_t, 4), SIZE(ulong_t, 8), SIZE(uchar_t, 1), SIZE(offset_t, 8), SIZE(caddr_t, 8), SIZE(off_t, 8),
	SIZE(rsm_attribute_t, 4), SIZE(rsm_barrier_type_t, 4), SIZE(rsm_barrier_mode_t, 4), SIZE(rsm_access_size_t, 4),
	SIZE(rsm_barrier_component_t, 8), SIZE(rsm_barrier_t, 32),
	SIZE(rsmapi_controller_attr_t, 64),
	SIZE(rsmapi_access_entry_t, 8),
	SIZE(rsmapi_barrier_t, 24),
	SIZE(rsm_iovec_t, 40),
	SIZE(rsm_scat_gath_t, 48),
	SIZE(rsm_topology_hdr_t, 8),
	SIZE(rsm_connections_hdr_t, 272),
	SIZE(rsm_remote_cntlr_t, 280),
	PLACE(rsmapi_controller_attr_t, attr_direct_access_sizes, 0),
	PLACE(rsmapi_controller_attr_t, attr_atomic_sizes, 4),
	PLACE(rsmapi_controller_attr_t, attr_page_size, 8),
	PLACE(rsmapi_controller_attr_t, attr_max_export_segment_size, 16),
	PLACE(rsmapi_controller_attr_t, attr_tot_export_segment_size, 24),
	PLACE(rsmapi_controller_attr_t, attr_max_export_segments, 32),
	PLACE(rsmapi_controller_attr_t, attr_max_import_map_size, 40),
	PLACE(rsmapi_controller_attr_t, attr_tot_import_map_size, 48),
	PLACE(rsmapi_controller_attr_t, attr_max_import_segments, 56),
	PLACE(rsmapi_access_entry_t, ae_node, 0),
	PLACE(rsmapi_access_entry_t, ae_permission, 4),
	PLACE(rsmapi_barrier_t, seg, 0),
	PLACE(rsmapi_barrier_t, gnum, 8),
	PLACE(rsmapi_barrier_t, privdata, 16),
	PLACE(rsm_iovec_t, io_type, 0),
	PLACE(rsm_iovec_t, local.handle, 8),
	PLACE(rsm_iovec_t, local.vaddr, 8),
	PLACE(rsm_iovec_t, local_offset, 16),
	PLACE(rsm_iovec_t, remote_offset, 24),
	PLACE(rsm_iovec_t, transfer_length, 32),
	PLACE(rsm_scat_gath_t, local_nodeid, 0),
	PLACE(rsm_scat_gath_t, io_request_count, 8),
	PLACE(rsm_scat_gath_t, io_residual_count, 16),
	PLACE(rsm_scat_gath_t, flags, 24),
	PLACE(rsm_scat_gath_t, remote_handle, 32),
	PLACE(rsm_scat_gath_t, iovec, 40),
	PLACE(rsm_topology_hdr_t, local_nodeid, 0),
	PLACE(rsm_topology_hdr_t, local_cntlr_count, 4),
	PLACE(rsm_connections_hdr_t, cntlr_name, 0),
	PLACE(rsm_connections_hdr_t, local_hwaddr, 256),
	PLACE(rsm_connections_hdr_t, remote_cntlr_count, 264),
	PLACE(rsm_remote_cntlr_t, remote_nodeid, 0),
	PLACE(rsm_remote_cntlr_t, remote_cntlrname, 4),
	PLACE(rsm_remote_cntlr_t, remote_hwaddr, 264),
	PLACE(rsm_remote_cntlr_t, connection_state, 272),
	PLACE(rsm_connections_t, hdr, 0),
	PLACE(rsm_connections_t, remote_cntlr, 272),
	PLACE(rsm_topology_t, topology_hdr, 0),
	PLACE(rsm_topology_t, connections, 8),
};

static const struct fact types[] = {
	TYPE(rsmapi_controller_attr_t, attr_direct_access_sizes, uint_t),
	TYPE(rsmapi_controller_attr_t, attr_atomic_sizes, uint_t),
	TYPE(rsmapi_controller_attr_t, attr_page_size, size_t),
	TYPE(rsmapi_controller_attr_t, attr_max_export_segment_size, size_t),
	TYPE(rsmapi_controller_attr_t, attr_tot_export_segment_size, size_t),
	TYPE(rsmapi_controller_attr_t, attr_max_export_segments, ulong_t),
	TYPE(rsmapi_controller_attr_t, attr_max_import_map_size, size_t),
	TYPE(rsmapi_controller_attr_t, attr_tot_import_map_size, size_t),
	TYPE(rsmapi_controller_attr_t, attr_max_import_segments, ulong_t),
	TYPE(rsmapi_access_entry_t, ae_node, rsm_node_id_t),
	TYPE(rsmapi_access_entry_t, ae_permission, rsm_permission_t),
	TYPE(rsmapi_barrier_t, seg, void *),
	TYPE(rsmapi_barrier_t, gnum, uint16_t),
	TYPE(rsmapi_barrier_t, privdata, void *),
	TYPE(rsm_iovec_t, io_type, int),
	TYPE(rsm_iovec_t, local.handle, rsm_localmemory_handle_t),
	TYPE(rsm_iovec_t, local.vaddr, caddr_t),
	TYPE(rsm_iovec_t, local_offset, size_t),
	TYPE(rsm_iovec_t, remote_offset, size_t),
	TYPE(rsm_iovec_t, transfer_length, size_t),
	TYPE(rsm_scat_gath_t, local_nodeid, rsm_node_id_t),
	TYPE(rsm_scat_gath_t, io_request_count, ulong_t),
	TYPE(rsm_scat_gath_t, io_residual_count, ulong_t),
	TYPE(rsm_scat_gath_t, flags, uint_t),
	TYPE(rsm_scat_gath_t, remote_handle, rsm_memseg_import_handle_t),
	TYPE(rsm_scat_gath_t, iovec, rsm_iovec_t *),
	TYPE(rsm_topology_hdr_t, local_nodeid, rsm_node_id_t),
	TYPE(rsm_topology_hdr_t, local_cntlr_count, uint_t),
	TYPE(rsm_connections_hdr_t, cntlr_name, char[256]),
	TYPE(rsm_connections_hdr_t, local_hwaddr, rsm_addr_t),
	TYPE(rsm_connections_hdr_t, remote_cntlr_count, int),
	TYPE(rsm_remote_cntlr_t, remote_nodeid, rsm_node_id_t),
	TYPE(rsm_remote_cntlr_t, remote_cntlrname, char[256]),
	TYPE(rsm_remote_cntlr_t, remote_hwaddr, rsm_addr_t),
	TYPE(rsm_remote_cntlr_t, connection_state, uint_t),
	TYPE(rsm_connections_t, hdr, rsm_connections_hdr_t),
	TYPE(rsm_connections_t, remote_cntlr, rsm_remote_cntlr_t[1]),
	TYPE(rsm_topology_t, topology_hdr, rsm_topology_hdr_t),
	TYPE(rsm_topology_t, connections, rsm_connections_t *[1]),
};
/* clang-format on */

static void facts_check(const struct fact *facts, size_t count)
{
	unsigned wrong = 0;

	for (size_t i = 0; i < count; i++) {
		if (facts[i].found == facts[i].expected)
			continue;
		print_error("%s is %lu, not %lu\n", facts[i].what, facts[i].found, facts[i].expected);
		wrong++;
	}
	assert_int_equal(wrong, 0);
}

static void test_errors(void **state)
{
	(void)state;
	facts_check(errors, sizeof(errors) / sizeof(errors[0]));
}

static void test_constants(void **state)
{
	(void)state;
	facts_check(constants, sizeof(constants) / sizeof(constants[0]));
}

static void test_layouts(void **state)
{
	(void)state;
	facts_check(layouts, sizeof(layouts) / sizeof(layouts[0]));
}

/* Types of fields, signedness, and the struct tags that C programs use; wrong tags do not compile. */
static void test_types(void **state)
{
	struct rsm_topology_hdr *header = (rsm_topology_hdr_t *)NULL;
	struct rsm_connections_hdr *connections = (rsm_connections_hdr_t *)NULL;
	struct rsm_remote_cntlr *remote = (rsm_remote_cntlr_t *)NULL;
	struct rsm_connection *connection = (rsm_connections_t *)NULL;
	struct rsm_topology *topology = (rsm_topology_t *)NULL;
	struct __rsm_memseg_export_handle *export = (rsm_memseg_export_handle_t)NULL;
	struct __rsm_memseg_import_handle *import = (rsm_memseg_import_handle_t)NULL;
	struct __rsmapi_controller_handle *controller = (rsmapi_controller_handle_t)NULL;
	struct __rsm_localmemory_handle *memory = (rsm_localmemory_handle_t)NULL;

	(void)state;
	facts_check(types, sizeof(types) / sizeof(types[0]));
	assert_null(header || connections || remote || connection || topology);
	assert_null(export || import || controller || memory);
	assert_true((offset_t)-1 < 0);
	assert_true((off_t)-1 < 0);
	assert_true((rsm_addr_t)-1 > 0);
	assert_true((rsm_node_id_t)-1 > 0);
	assert_true((uint_t)-1 > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_constants),
		cmocka_unit_test(test_layouts),
		cmocka_unit_test(test_types),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
