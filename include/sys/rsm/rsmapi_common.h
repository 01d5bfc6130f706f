/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sys/rsm/rsmapi_common.h - handles and structures of the Solaris RSMAPI. Applications include <rsmapi.h>.
 * Order, names and types of all fields are fixed for ever.
 */
#ifndef SYS_RSM_RSMAPI_COMMON_H
#define SYS_RSM_RSMAPI_COMMON_H

#include <sys/rsm/rsm_common.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Handles are opaque and mean something in the process only that got them. */
typedef struct __rsm_memseg_export_handle *rsm_memseg_export_handle_t;
typedef struct __rsm_memseg_import_handle *rsm_memseg_import_handle_t;
typedef struct __rsmapi_controller_handle *rsmapi_controller_handle_t;
typedef struct __rsm_localmemory_handle *rsm_localmemory_handle_t;

/* How rsm_memseg_import_map chooses the address. */
typedef enum {
	RSM_MAP_NONE     = 0x0, /* the system chooses */
	RSM_MAP_FIXED    = 0x1, /* exactly there, replacing what is there */
	RSM_MAP_RESERVED = 0x2  /* no effect */
} rsm_attribute_t;

/* Widths of an access; a mask of them says what a controller can do. */
typedef enum { RSM_DAS8 = 1, RSM_DAS16 = 2, RSM_DAS32 = 4, RSM_DAS64 = 8 } rsm_access_size_t;

/* What a controller can do. Sizes in bytes. */
typedef struct {
	uint_t  attr_direct_access_sizes;     /* mask of RSM_DAS: widths of loads and stores through a mapping */
	uint_t  attr_atomic_sizes;            /* mask of RSM_DAS: widths that are moved as one */
	size_t  attr_page_size;               /* alignment and granularity of exported memory */
	size_t  attr_max_export_segment_size; /* one segment */
	size_t  attr_tot_export_segment_size; /* all segments */
	ulong_t attr_max_export_segments;     /* count */
	size_t  attr_max_import_map_size;     /* one mapping */
	size_t  attr_tot_import_map_size;     /* all mappings */
	ulong_t attr_max_import_segments;     /* count */
} rsmapi_controller_attr_t;

/* One line of an access list: a node and what its processes may do. */
typedef struct {
	rsm_node_id_t    ae_node;
	rsm_permission_t ae_permission; /* octal owner, group, other; each digit 0, 2 (write), 4 (read) or 6 */
} rsmapi_access_entry_t;

/* A barrier is the application's memory; what is inside is the library's. One thread at a time. */
typedef struct {
	void    *seg; /* NULL: not initialised */
	uint16_t gnum;
	void    *privdata;
} rsmapi_barrier_t;

/* rsm_iovec_t.io_type: what `local` holds. */
#define RSM_HANDLE_TYPE 0x01
#define RSM_VA_TYPE     0x02

#define RSM_MAX_SGIOREQS 16 /* entries of one vector */

typedef struct {
	int io_type;
	union {
		rsm_localmemory_handle_t handle; /* RSM_HANDLE_TYPE */
		caddr_t                  vaddr;  /* RSM_VA_TYPE */
	} local;
	size_t local_offset;    /* bytes, from the start of the local memory */
	size_t remote_offset;   /* bytes, from the start of the segment */
	size_t transfer_length; /* bytes */
} rsm_iovec_t;

typedef struct {
	rsm_node_id_t              local_nodeid;      /* not read */
	ulong_t                    io_request_count;  /* in: entries, 1 to RSM_MAX_SGIOREQS */
	ulong_t                    io_residual_count; /* out: entries that were not completed */
	uint_t                     flags;             /* in: RSM_IMPLICIT_SIGPOST, RSM_SIGPOST_NO_ACCUMULATE */
	rsm_memseg_import_handle_t remote_handle;
	rsm_iovec_t               *iovec;
} rsm_scat_gath_t;

/* rsm_remote_cntlr_t.connection_state: the only state in which a path may be used. */
#define RSM_CONNECTION_ACTIVE 3

typedef struct rsm_topology_hdr {
	rsm_node_id_t local_nodeid;
	uint_t        local_cntlr_count; /* entries of connections */
} rsm_topology_hdr_t;

typedef struct rsm_connections_hdr {
	char       cntlr_name[256]; /* type and unit number: "tcp0" */
	rsm_addr_t local_hwaddr;
	int        remote_cntlr_count; /* entries of remote_cntlr, may be 0 */
} rsm_connections_hdr_t;

typedef struct rsm_remote_cntlr {
	rsm_node_id_t remote_nodeid;
	char          remote_cntlrname[256];
	rsm_addr_t    remote_hwaddr;
	uint_t        connection_state;
} rsm_remote_cntlr_t;

typedef struct rsm_connection {
	rsm_connections_hdr_t hdr;
	rsm_remote_cntlr_t    remote_cntlr[1]; /* as many as hdr says */
} rsm_connections_t;

typedef struct rsm_topology {
	rsm_topology_hdr_t topology_hdr;
	rsm_connections_t *connections[1]; /* as many as topology_hdr says */
} rsm_topology_t;

#ifdef __cplusplus
}
#endif

#endif
