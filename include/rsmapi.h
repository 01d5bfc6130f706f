/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * rsmapi.h - the Solaris Remote Shared Memory API (RSMAPI), all of it and nothing more. Link with -lrsm.
 * What this library offers beyond it is in <rsm/ext.h>.
 *
 * Common to all functions
 *
 * Result       RSM_SUCCESS (0) or an RSMERR_ number, never errno. rsmx_last_error() has the reason in
 *              words. The errors are listed here in the order in which they are checked. On error result
 *              locations stay unchanged, unless stated.
 * Threads      Every function is MT-Safe. One rsmapi_barrier_t must not be used by two threads at once. To
 *              free a handle while another thread uses it is an error of the application. No function is
 *              async-signal-safe. Cancellation points are rsm_intr_signal_wait_pollfd and, while it reads,
 *              rsm_get_segmentid_range; no other.
 * Handlers     Signal handlers end waits (RSMERR_INTERRUPTED): rsm_intr_signal_wait, its pollfd form, and a connect
 *              to another node. They end no other call.
 * Blocking     A call that needs the node's service (rsmd) waits for its answer: microseconds as a rule, 30
 *              seconds at the most, and 10 to start it. Data calls between processes of one host block only
 *              while the exporter moves the memory (another segment over it is withdrawn or overlaps it), 60
 *              seconds at the most. Data calls to another node block until it has answered, and no longer than
 *              it takes to know that it is dead. Signal waits block as their timeout says.
 * Handles      belong to the process that got them. NULL, freed and foreign handles are refused by
 *              RSMERR_BAD_CTLR_HNDL, RSMERR_BAD_SEG_HNDL or RSMERR_BAD_LOCALMEM_HNDL.
 * Units        Lengths and offsets are bytes; offsets count from the start of the segment; timeouts are
 *              milliseconds.
 * Resources    RSMERR_INSUFFICIENT_MEM and RSMERR_INSUFFICIENT_RESOURCES (segment slots, ids, descriptors;
 *              limits in rsmd.conf) can be had from every call that makes something. RSMERR_INTERNAL_ERROR
 *              is a fault of the library or of rsmd.
 * Service      RSMERR_CTLR_NOT_PRESENT [project]: a call needs the rsmd that its handle was made with, and that
 *              rsmd has gone; free the handle. A call that begins a conversation with rsmd
 *              (rsm_get_controller, rsm_get_interconnect_topology, and after the end of an earlier one
 *              rsm_memseg_export_create and rsm_memseg_import_connect) returns it if none can be reached, and
 *              RSMERR_BAD_LIBRARY_VERSION or, from a private rsmd of another user, RSMERR_PERM_DENIED.
 *              Data calls and barriers need rsmd only when the exporter's memory has moved.
 * Aborted      An import handle is aborted when its segment is unpublished or destroyed, the exporter's
 *              process or node ends, or the path to that node is lost. It never recovers. Its mappings stay
 *              valid addresses: stores vanish, loads give undefined values. It still has to be unmapped and
 *              disconnected.
 * Source       "manual": the Solaris manual page of that name, section 3RSM. "project": where the manual is
 *              silent or contradicts itself, this library's decision; single lines of that kind end with
 *              [project].
 */
#ifndef RSMAPI_H
#define RSMAPI_H

#include <poll.h>
#include <sys/param.h>
#include <sys/rsm/rsm_common.h>
#include <sys/rsm/rsmapi_common.h>

/* Segments are larger than 2 GiB and off_t is in the interface. */
#if !defined(__LP64__) && (!defined(_FILE_OFFSET_BITS) || _FILE_OFFSET_BITS != 64)
#error "rsmapi.h needs 64-bit file offsets: compile with -D_FILE_OFFSET_BITS=64"
#endif

#ifdef __cplusplus
extern "C" {
#endif
#ifdef __GNUC__
#pragma GCC visibility push(default)
#endif

/* ---- Controllers ------------------------------------------------------------------------------------- */

/*
 * Opens the controller `name`: a type and a decimal unit number ("tcp0"; no number means 0), in any case of
 * letters. "loopback", with any number, always exists and reaches the local node only; NULL means it too.
 * The same controller gives the same handle again and counts a reference; each needs one
 * rsm_release_controller. May start the node's service. `name` is not changed.
 *
 *   RSMERR_BAD_CTLR_HNDL        controller is NULL
 *   RSMERR_CTLR_NOT_PRESENT     name longer than 255 characters [project]; no such controller; the node's
 *                               service cannot be reached [project]
 *   RSMERR_BAD_LIBRARY_VERSION  the node's service is of an incompatible version
 *   RSMERR_INSUFFICIENT_MEM     no memory
 * Source: manual; NULL name and numbers as the Solaris library does.
 */
int rsm_get_controller(char *name, rsmapi_controller_handle_t *controller);

/*
 * Gives one reference back; the last one frees the handle. Segments made through it keep working [project].
 *
 *   RSMERR_BAD_CTLR_HNDL  NULL, or released already
 * Source: manual.
 */
int rsm_release_controller(rsmapi_controller_handle_t controller);

/*
 * Tells the limits and abilities of a controller, in *attr. Sizes without a limit are SIZE_MAX rounded down
 * to pages. A controller between nodes ("tcp") cannot map: attr_direct_access_sizes and the sizes of import
 * maps are 0 (segments of the local node can be mapped through it all the same).
 *
 *   RSMERR_BAD_CTLR_HNDL  invalid handle
 *   RSMERR_BAD_ADDR       attr is NULL
 * Source: manual; values for the same host: project.
 */
int rsm_get_controller_attr(rsmapi_controller_handle_t chdl, rsmapi_controller_attr_t *attr);

/* ---- Topology ---------------------------------------------------------------------------------------- */

/*
 * Describes the local node, its controllers without loopback, and the controllers that each reaches, as
 * they are at this moment. *topology_data is one block that the caller only reads and frees by
 * rsm_free_interconnect_topology; it is NULL after an error other than the first.
 *
 *   RSMERR_BAD_TOPOLOGY_PTR  topology_data is NULL
 *   RSMERR_CTLR_NOT_PRESENT  the node's service cannot be reached [project]
 *   RSMERR_INSUFFICIENT_MEM  no memory
 * Source: manual.
 */
int rsm_get_interconnect_topology(rsm_topology_t **topology_data);

/* Frees such a block; NULL is allowed. Source: manual. */
void rsm_free_interconnect_topology(rsm_topology_t *topology_data);

/* ---- Export ------------------------------------------------------------------------------------------ */

/*
 * Makes an export segment of the caller's memory [vaddr, vaddr+size), which must be mapped, readable and
 * writable and stay so until the segment is destroyed. The memory keeps its contents and address and is
 * used as before. The umask is taken now, for later access decisions; uid and gid are the effective ones of
 * when this process first called rsmd (doc/operating.md). The segment lives until it is destroyed, or until
 * this process ends or execs.
 *
 * Private memory is shared from now on and no longer copied on write; a forked child gets a private copy.
 * Memory that is shared already is exported in place (shared anonymous memory that nobody else maps counts as
 * private). What cannot be shared is refused with RSMERR_BAD_ADDR.
 *
 * flags: RSM_ALLOW_REBIND permits rsm_memseg_export_rebind; RSM_CREATE_SEG_DONTWAIT is accepted, and this
 * library refuses rather than waits when resources are short in any case. Other bits are ignored.
 *
 *   RSMERR_BAD_CTLR_HNDL           invalid controller handle
 *   RSMERR_BAD_SEG_HNDL            memseg is NULL; from here on *memseg is NULL on error
 *   RSMERR_BAD_ADDR                vaddr is NULL
 *   RSMERR_BAD_LENGTH              size is 0
 *   RSMERR_BAD_MEM_ALIGNMENT       vaddr or size is not a multiple of attr_page_size
 *   RSMERR_BAD_ADDR                the range reaches beyond the address space
 *   RSMERR_BAD_LENGTH              size exceeds attr_max_export_segment_size (not on loopback)
 *   RSMERR_INSUFFICIENT_MEM        no memory
 *   RSMERR_INSUFFICIENT_RESOURCES  no descriptor, or max-segments of the node reached
 *   RSMERR_CTLR_NOT_PRESENT        the controller has gone
 *   RSMERR_INSUFFICIENT_MEM        max-exported-memory of the node would be exceeded
 *   RSMERR_BAD_ADDR                a part of the range is not mapped, or cannot be shared
 *   RSMERR_PERM_DENIED             a part of the range is not readable and writable
 *   RSMERR_INSUFFICIENT_MEM        pages cannot be had
 * Source: manual rsm_memseg_export_create; kinds of memory: project.
 */
int rsm_memseg_export_create(rsmapi_controller_handle_t controller, rsm_memseg_export_handle_t *memseg,
			     void *vaddr, size_t size, uint_t flags);

/*
 * Frees an export segment; a published one is unpublished first. The memory stays the application's, with its
 * contents, at its address. In a forked child only the child's copy of the handle is freed [project].
 *
 *   RSMERR_BAD_SEG_HNDL   invalid handle
 *   RSMERR_POLLFD_IN_USE  rsm_memseg_release_pollfd is missing; nothing was changed
 * Source: manual rsm_memseg_export_create.
 */
int rsm_memseg_export_destroy(rsm_memseg_export_handle_t memseg);

/*
 * Puts [vaddr, vaddr+size) behind the whole segment in place of its present memory. Importers stay
 * connected and mapped and see the new range's contents; nothing is copied between the ranges, and the old
 * one keeps its own. Nobody may use the segment during the call. `off` is ignored. On error the old memory
 * stays.
 *
 *   RSMERR_BAD_SEG_HNDL            invalid handle
 *   RSMERR_BAD_ADDR                vaddr is NULL
 *   RSMERR_REBIND_NOT_ALLOWED      created without RSM_ALLOW_REBIND
 *   RSMERR_NOT_CREATOR             another process created the segment
 *   RSMERR_BAD_LENGTH              size is not the segment's
 *   RSMERR_INTERRUPTED             not returned: nothing is waited for [project]
 *   (RSM_SUCCESS                   vaddr is the present address)
 *   RSMERR_BAD_ADDR                vaddr is not page-aligned
 *   RSMERR_INSUFFICIENT_MEM        max-exported-memory would be exceeded; both ranges count during the call
 *   RSMERR_BAD_ADDR                a part of the range is not mapped, or cannot be shared
 *   RSMERR_PERM_DENIED             a part of the range is not readable and writable
 *   RSMERR_INSUFFICIENT_RESOURCES  resources are short
 * Source: manual rsm_memseg_export_create.
 */
int rsm_memseg_export_rebind(rsm_memseg_export_handle_t memseg, void *vaddr, offset_t off, size_t size);

/*
 * Makes the segment connectable under *segment_id: an id from 0x400000 to 0x7FFFFFFF, or 0 to have one
 * chosen from 0x80000000 upwards and stored there. (Set it to 0 again before the next publish.) Ids are
 * unique on the node.
 *
 * access_list names the nodes, the local one included, whose processes may connect, and the rights of each:
 * owner, group, other as for files, compared with the exporter's uid and gid (see create). The first
 * entry of a node counts. Length 0: every node, rights 0777 & ~umask.
 *
 *   RSMERR_BAD_SEGID                segment_id is NULL
 *   RSMERR_BAD_SEG_HNDL             invalid handle
 *   RSMERR_BAD_ACL                  access_list is NULL though its length is not 0
 *   RSMERR_SEG_ALREADY_PUBLISHED    it is published
 *   RSMERR_RESERVED_SEGID           *segment_id is in 1..0x3FFFFF or above 0x7FFFFFFF
 *   RSMERR_NOT_CREATOR              another process created the segment
 *   RSMERR_BAD_ACL                  list too long; rights with bits outside 0666; on loopback, more than
 *                                   one entry or one of another node
 *   RSMERR_INSUFFICIENT_RESOURCES   no id is left
 *   RSMERR_SEGID_IN_USE             the id is published on this node
 *   RSMERR_INSUFFICIENT_MEM, RSMERR_INSUFFICIENT_RESOURCES
 * Source: manual rsm_memseg_export_publish.
 */
int rsm_memseg_export_publish(rsm_memseg_export_handle_t memseg, rsm_memseg_id_t *segment_id,
			      rsmapi_access_entry_t access_list[], uint_t access_list_length);

/*
 * Withdraws the id and aborts every import handle of the segment. When it returns nobody reaches the memory
 * any more (memory that was shared before it was exported: doc/operating.md), the id is free, and blocked
 * importers have been woken. Events that wait on the handle stay.
 *
 *   RSMERR_BAD_SEG_HNDL       invalid handle
 *   RSMERR_SEG_NOT_PUBLISHED  it is not published
 *   RSMERR_NOT_CREATOR        another process created the segment
 *   RSMERR_INTERRUPTED        not returned: nothing is waited for [project]
 *   RSMERR_CTLR_NOT_PRESENT   rsmd is gone [project]
 *   RSMERR_INSUFFICIENT_MEM, RSMERR_INSUFFICIENT_RESOURCES  the segment is unpublished, but no memory was
 *                             left to take away what former importers may hold [project]
 * Source: manual rsm_memseg_export_publish; pollfd references do not stop it: project.
 */
int rsm_memseg_export_unpublish(rsm_memseg_export_handle_t memseg);

/*
 * Replaces the access list of a published segment; length 0 as for rsm_memseg_export_publish. Present
 * connections and mappings keep their rights. On error the old list stays.
 *
 *   RSMERR_BAD_SEG_HNDL       invalid handle
 *   RSMERR_SEG_NOT_PUBLISHED  it is not published
 *   RSMERR_BAD_ACL            access_list is NULL though its length is not 0
 *   RSMERR_NOT_CREATOR        another process created the segment
 *   RSMERR_BAD_ACL            as for rsm_memseg_export_publish
 *   RSMERR_INTERRUPTED        not returned: nothing is waited for [project]
 *   RSMERR_INSUFFICIENT_MEM, RSMERR_INSUFFICIENT_RESOURCES
 * Source: manual rsm_memseg_export_publish.
 */
int rsm_memseg_export_republish(rsm_memseg_export_handle_t memseg, rsmapi_access_entry_t access_list[],
				uint_t access_list_length);

/* ---- Connections ------------------------------------------------------------------------------------- */

/*
 * Connects to segment_id of node_id (the local node is allowed on every controller) with the rights perm:
 * RSM_PERM_READ, WRITE or RDWR; with RSM_PERM_NONE the handle can only signal. Does not wait for a segment
 * to be published. The new handle is in implicit barrier mode and has no barrier, mapping or events. Any
 * number of handles may be connected to one segment. Blocks until the exporter's node answers.
 *
 *   RSMERR_BAD_CTLR_HNDL              invalid controller handle
 *   RSMERR_BAD_SEG_HNDL               im_memseg is NULL [project]; from here on *im_memseg is NULL on error
 *   RSMERR_INSUFFICIENT_MEM           no memory
 *   RSMERR_PERM_DENIED                perm has bits outside RSM_PERM_RDWR
 *   RSMERR_INSUFFICIENT_RESOURCES     no descriptor, or max-segments of the node reached; the controller
 *                                     encrypts and librsm-tls.so.2 cannot be loaded
 *   RSMERR_CTLR_NOT_PRESENT           the controller has gone; loopback to another node
 *   RSMERR_REMOTE_NODE_UNREACHABLE    no such node, or no path to it on this controller; it does not answer;
 *                                     its address cannot be reached from this process [project]
 *   RSMERR_SEG_NOT_PUBLISHED          no such segment there
 *   RSMERR_SEG_NOT_PUBLISHED_TO_NODE  the access list does not name this node
 *   RSMERR_INTERRUPTED                the exporter withdrew the segment, or a signal handler ran, meanwhile
 *   RSMERR_PERM_DENIED                the access list does not grant perm. Effective uid 0 and
 *                                     CAP_IPC_OWNER on the exporter's host override it [project]
 * Source: manual rsm_memseg_import_connect.
 */
int rsm_memseg_import_connect(rsmapi_controller_handle_t controller, rsm_node_id_t node_id,
			      rsm_memseg_id_t segment_id, rsm_permission_t perm,
			      rsm_memseg_import_handle_t *im_memseg);

/*
 * Ends the connection and frees the handle, an aborted one too. Its barriers become invalid. Between nodes it
 * waits until what was put in explicit mode has arrived; a process that ends without it may lose that.
 *
 *   RSMERR_BAD_SEG_HNDL      invalid handle
 *   RSMERR_SEG_STILL_MAPPED  rsm_memseg_import_unmap is missing
 *   RSMERR_POLLFD_IN_USE     rsm_memseg_release_pollfd is missing
 * Source: manual rsm_memseg_import_connect.
 */
int rsm_memseg_import_disconnect(rsm_memseg_import_handle_t im_memseg);

/* ---- get and put ------------------------------------------------------------------------------------- */

/*
 * The get functions copy from the segment at byte `offset` to the caller's memory, the put functions the
 * other way. getN and putN move rep_cnt items of N bits, each by one access (atomic where attr_atomic_sizes
 * says so), and convert the byte order between nodes that differ. get and put move `length` bytes of any
 * alignment. No mapping is needed. Count or length 0: all checks, then success.
 *
 * Implicit mode: on success the data has arrived. Explicit mode: completion and errors are known when the
 * enclosing barrier is closed; no barrier needs to exist. Between nodes and inside such a span that means:
 * what a put takes may be changed as soon as it returns; what a get gives is in datap or dst_addr, which must
 * stay, when the span is ordered or closed, and not before. A get outside a span is complete on return.
 * Signal handlers do not end get and put.
 *
 * Errors of all ten:
 *
 *   RSMERR_BAD_SEG_HNDL           invalid handle
 *   RSMERR_BAD_ADDR               the data pointer is NULL
 *   RSMERR_BAD_MEM_ALIGNMENT      getN, putN: the data pointer, then the offset, is not a multiple of N/8
 *   RSMERR_PERM_DENIED            the connection lacks RSM_PERM_READ (get) or RSM_PERM_WRITE (put)
 *   RSMERR_BAD_OFFSET             a part lies outside the segment [project: always this code]
 *   RSMERR_BARRIER_UNINITIALIZED  implicit mode, and the handle has no barrier
 *   RSMERR_CONN_ABORTED           the connection is aborted [project: in explicit mode too], or was aborted
 *                                 during an implicit transfer, whatever else happened
 *   RSMERR_BARRIER_OPEN_FAILED    not returned: no transport of this release refuses to begin
 *   RSMERR_BARRIER_FAILURE        the exporter's memory (a file that was cut short) is not there, has been moving
 *                                 for a minute, or could not be mapped where it moved to
 *   RSMERR_INSUFFICIENT_RESOURCES the memory has moved, and no descriptor is left for its new place
 * Source: manual rsm_memseg_import_get, rsm_memseg_import_put; whole segment and any right: project.
 */

/* Reads rep_cnt bytes into datap. Errors above. Source: manual rsm_memseg_import_get. */
int rsm_memseg_import_get8(rsm_memseg_import_handle_t im_memseg, off_t offset, uint8_t *datap,
			   ulong_t rep_cnt);

/* Reads rep_cnt 16-bit items into datap. Errors above. Source: manual rsm_memseg_import_get. */
int rsm_memseg_import_get16(rsm_memseg_import_handle_t im_memseg, off_t offset, uint16_t *datap,
			    ulong_t rep_cnt);

/* Reads rep_cnt 32-bit items into datap. Errors above. Source: manual rsm_memseg_import_get. */
int rsm_memseg_import_get32(rsm_memseg_import_handle_t im_memseg, off_t offset, uint32_t *datap,
			    ulong_t rep_cnt);

/* Reads rep_cnt 64-bit items into datap. Errors above. Source: manual rsm_memseg_import_get. */
int rsm_memseg_import_get64(rsm_memseg_import_handle_t im_memseg, off_t offset, uint64_t *datap,
			    ulong_t rep_cnt);

/* Reads length bytes into dst_addr, unconverted. Errors above. Source: manual rsm_memseg_import_get. */
int rsm_memseg_import_get(rsm_memseg_import_handle_t im_memseg, off_t offset, void *dst_addr, size_t length);

/* Writes rep_cnt bytes from datap. Errors above. Source: manual rsm_memseg_import_put. */
int rsm_memseg_import_put8(rsm_memseg_import_handle_t im_memseg, off_t offset, uint8_t *datap,
			   ulong_t rep_cnt);

/* Writes rep_cnt 16-bit items from datap. Errors above. Source: manual rsm_memseg_import_put. */
int rsm_memseg_import_put16(rsm_memseg_import_handle_t im_memseg, off_t offset, uint16_t *datap,
			    ulong_t rep_cnt);

/* Writes rep_cnt 32-bit items from datap. Errors above. Source: manual rsm_memseg_import_put. */
int rsm_memseg_import_put32(rsm_memseg_import_handle_t im_memseg, off_t offset, uint32_t *datap,
			    ulong_t rep_cnt);

/* Writes rep_cnt 64-bit items from datap. Errors above. Source: manual rsm_memseg_import_put. */
int rsm_memseg_import_put64(rsm_memseg_import_handle_t im_memseg, off_t offset, uint64_t *datap,
			    ulong_t rep_cnt);

/* Writes length bytes from src_addr, unconverted. Errors above. Source: manual rsm_memseg_import_put. */
int rsm_memseg_import_put(rsm_memseg_import_handle_t im_memseg, off_t offset, void *src_addr, size_t length);

/* ---- Vectors ----------------------------------------------------------------------------------------- */

/*
 * Writes the entries of a vector, in order, to one import segment. Implicit mode: each entry is complete
 * before the next begins and the first error stops; entry k failed: io_residual_count = io_request_count -
 * k, entries before k are done, those after untouched (between nodes, where a vector is one exchange, they may
 * be done if the exporter's memory could not take entry k). Explicit mode: as for put. Only
 * io_residual_count is written: 0 on success, io_request_count after an error before any transfer [project].
 * No barrier is needed in either mode. With RSM_IMPLICIT_SIGPOST complete success posts one event to the exporter
 * (RSM_SIGPOST_NO_ACCUMULATE is passed on); an error of that post is the result, with residual 0.
 *
 *   RSMERR_BAD_SGIO                 sg_io is NULL
 *   RSMERR_BAD_SEG_HNDL             remote_handle is invalid
 *   RSMERR_BAD_SGIO                 count is 0 or above RSM_MAX_SGIOREQS; then [project] iovec is NULL, bad
 *                                   io_type, invalid local handle
 *   RSMERR_PERM_DENIED              the connection lacks RSM_PERM_WRITE
 *   and for each entry in turn:
 *   RSMERR_BAD_ADDR                 NULL address with a length
 *   RSMERR_BAD_LENGTH               the range exceeds that of the local memory handle
 *   RSMERR_BAD_OFFSET               the range exceeds the segment
 *   RSMERR_CONN_ABORTED             the connection is aborted
 *   RSMERR_BARRIER_FAILURE, RSMERR_INSUFFICIENT_RESOURCES  as for rsm_memseg_import_put
 *   RSMERR_REMOTE_NODE_UNREACHABLE  the exporter's node did not take the event
 *   RSMERR_INTERRUPTED              not returned: signal handlers do not end the call
 * Source: manual rsm_memseg_import_putv; checks: project.
 */
int rsm_memseg_import_putv(rsm_scat_gath_t *sg_io);

/*
 * Reads the entries of a vector from one import segment. Everything as for rsm_memseg_import_putv, with
 * RSMERR_PERM_DENIED for a connection without RSM_PERM_READ. Source: manual rsm_memseg_import_getv.
 */
int rsm_memseg_import_getv(rsm_scat_gath_t *sg_io);

/*
 * Makes a handle of the caller's memory [local_vaddr, local_vaddr+length), for vectors of RSM_HANDLE_TYPE.
 * The memory stays the caller's and must stay mapped. The length need not be a multiple of pages.
 *
 *   RSMERR_BAD_ADDR           local_vaddr is not page-aligned
 *   RSMERR_BAD_CTLR_HNDL      invalid controller handle
 *   RSMERR_BAD_LOCALMEM_HNDL  l_handle is NULL
 *   RSMERR_BAD_LENGTH         length is 0
 *   RSMERR_BAD_ADDR           local_vaddr is NULL, or a part of the range is not mapped [project]
 *   RSMERR_PERM_DENIED        a part of the range cannot be accessed
 *   RSMERR_INSUFFICIENT_MEM, RSMERR_INSUFFICIENT_RESOURCES
 * Source: manual rsm_create_localmemory_handle.
 */
int rsm_create_localmemory_handle(rsmapi_controller_handle_t handle, rsm_localmemory_handle_t *l_handle,
				  caddr_t local_vaddr, size_t length);

/*
 * Frees a local memory handle; the memory stays.
 *
 *   RSMERR_BAD_CTLR_HNDL      invalid controller handle
 *   RSMERR_BAD_LOCALMEM_HNDL  NULL or invalid handle
 * Source: manual rsm_create_localmemory_handle.
 */
int rsm_free_localmemory_handle(rsmapi_controller_handle_t handle, rsm_localmemory_handle_t l_handle);

/* ---- Mapping ----------------------------------------------------------------------------------------- */

/*
 * Maps [offset, offset+length) of the segment into this process and stores the address in *address. One
 * mapping per handle; connect again for another. Loads and stores are coherent with the exporter's memory;
 * barriers tell whether they arrived. perm is RSM_PERM_READ, WRITE, RDWR or NONE, within the connection's
 * rights. RSM_MAP_NONE: the system chooses, *address is not read [project]. RSM_MAP_FIXED: exactly at
 * *address, replacing what is there. RSM_MAP_RESERVED: as RSM_MAP_NONE. The length need not be a multiple
 * of pages.
 *
 *   RSMERR_BAD_SEG_HNDL            invalid handle
 *   RSMERR_BAD_ADDR                address is NULL
 *   RSMERR_SEG_ALREADY_MAPPED      mapped already; what get and put do inside the library does not count
 *                                  [project]
 *   RSMERR_BAD_PERMS               perm has bits outside RSM_PERM_RDWR
 *   RSMERR_BAD_LENGTH              length is 0
 *   RSMERR_BAD_OFFSET              offset is negative [project]
 *   RSMERR_BAD_LENGTH              a part lies outside the segment
 *   RSMERR_BAD_MEM_ALIGNMENT       offset, or *address with RSM_MAP_FIXED, is not page-aligned
 *   RSMERR_CONN_ABORTED            the connection is aborted
 *   RSMERR_BAD_PERMS               the connection lacks a right of perm
 *   RSMERR_INSUFFICIENT_RESOURCES  mappings or address space are short
 *   RSMERR_MAP_FAILED              impossible for another reason: the segment is on another node, where get and put
 *                                  (rsm_memseg_import_get, rsm_memseg_import_put) reach it; the system refuses the
 *                                  address or the memory
 * Source: manual rsm_memseg_import_map.
 */
int rsm_memseg_import_map(rsm_memseg_import_handle_t im_memseg, void **address, rsm_attribute_t attr,
			  rsm_permission_t perm, off_t offset, size_t length);

/*
 * Removes the mapping, of an aborted handle too.
 *
 *   RSMERR_BAD_SEG_HNDL    invalid handle
 *   RSMERR_SEG_NOT_MAPPED  no mapping by rsm_memseg_import_map
 * Source: manual rsm_memseg_import_map.
 */
int rsm_memseg_import_unmap(rsm_memseg_import_handle_t im_memseg);

/* ---- Barriers ---------------------------------------------------------------------------------------- */

/*
 * Prepares a barrier for an import handle. The memory is the application's and need not be cleared before.
 * A handle may have several, open at once; they cover every access to the handle, by any thread. Implicit
 * get and put need one to exist. `type` is ignored: every barrier spans the segment.
 *
 *   RSMERR_BAD_SEG_HNDL      invalid handle
 *   RSMERR_BAD_BARRIER_PTR   barrier is NULL
 *   RSMERR_INSUFFICIENT_MEM  not returned: no memory is needed
 * Source: manual rsm_memseg_import_init_barrier.
 */
int rsm_memseg_import_init_barrier(rsm_memseg_import_handle_t im_memseg, rsm_barrier_type_t type,
				   rsmapi_barrier_t *barrier);

/*
 * Begins a span of accesses; one that is open begins anew and forgets its errors (between nodes it waits for
 * what was asked for in it). Moves no data and excludes nobody. Succeeds on an aborted connection: close
 * reports it.
 *
 *   RSMERR_BAD_BARRIER_PTR        barrier is NULL
 *   RSMERR_BARRIER_UNINITIALIZED  not initialised, destroyed, or its handle was disconnected
 *   RSMERR_BARRIER_OPEN_FAILED    not returned: no transport of this release refuses to begin
 * Source: manual rsm_memseg_import_open_barrier.
 */
int rsm_memseg_import_open_barrier(rsmapi_barrier_t *barrier);

/*
 * Earlier writes of the caller are performed at the exporter before later ones. The barrier stays open in
 * every case.
 *
 *   RSMERR_BAD_BARRIER_PTR        barrier is NULL
 *   RSMERR_BARRIER_UNINITIALIZED  not initialised, destroyed, or its handle was disconnected
 *   RSMERR_BARRIER_NOT_OPENED     not open
 *   RSMERR_CONN_ABORTED           the connection is aborted
 *   RSMERR_BARRIER_FAILURE        the interconnect failed; or the exporter's memory moved during the span, so
 *                                 that stores through a mapping may be lost (close) [project]
 *   RSMERR_INSUFFICIENT_RESOURCES the memory has moved, and no descriptor is left for its new place
 * Source: manual rsm_memseg_import_order_barrier; abort is checked: project.
 */
int rsm_memseg_import_order_barrier(rsmapi_barrier_t *barrier);

/*
 * Ends the span. Success: every access since open has completed on the exporter's memory and is visible
 * there. Error: any of them may be lost and all have to be done again. Errors as for
 * rsm_memseg_import_order_barrier; whatever the result, an open barrier is closed then. May block on a
 * network until the accesses are complete.
 * Source: manual rsm_memseg_import_close_barrier.
 */
int rsm_memseg_import_close_barrier(rsmapi_barrier_t *barrier);

/*
 * Takes a barrier out of use, an open one too; its memory can be used for something else.
 *
 *   RSMERR_BAD_BARRIER_PTR        barrier is NULL
 *   RSMERR_BARRIER_UNINITIALIZED  not initialised, destroyed, or its handle was disconnected
 * Source: manual rsm_memseg_import_destroy_barrier.
 */
int rsm_memseg_import_destroy_barrier(rsmapi_barrier_t *barrier);

/*
 * Chooses whether each get and put of this handle is a complete barrier span of its own (implicit, the
 * default) or not (explicit). Calls that begin later follow it.
 *
 *   RSMERR_BAD_SEG_HNDL  invalid handle
 *   RSMERR_BAD_MODE      neither RSM_BARRIER_MODE_EXPLICIT nor _IMPLICIT
 * Source: manual rsm_memseg_import_set_mode.
 */
int rsm_memseg_import_set_mode(rsm_memseg_import_handle_t im_memseg, rsm_barrier_mode_t mode);

/*
 * Stores the handle's barrier mode in *mode.
 *
 *   RSMERR_BAD_SEG_HNDL  invalid handle
 *   RSMERR_BAD_ADDR      mode is NULL [project]
 * Source: manual rsm_memseg_import_set_mode.
 */
int rsm_memseg_import_get_mode(rsm_memseg_import_handle_t im_memseg, rsm_barrier_mode_t *mode);

/* ---- Signals ----------------------------------------------------------------------------------------- */

/*
 * Posts one event. memseg is a handle of either kind: of an import, the exporter gets it; of an export,
 * every connected import handle does. Events are counted and carry nothing; without a receiver they are
 * dropped. flags: RSM_SIGPOST_NO_ACCUMULATE drops the event where one is waiting already; other bits are
 * ignored. Data put before in implicit mode is seen by whoever waited for the event; in explicit mode, and
 * after stores through a mapping, close or order the barrier first. Never waits for a receiver; where one
 * polls a descriptor, and at the first post of an export, rsmd is asked. Of an import of another node's
 * segment it returns when that node has counted the event.
 *
 *   RSMERR_BAD_SEG_HNDL             invalid handle
 *   RSMERR_CONN_ABORTED             import handle: the connection is aborted [project]; between nodes the last
 *                                   event may have been counted all the same
 *   RSMERR_REMOTE_NODE_UNREACHABLE  import handle: no path to the exporter's node
 *   RSMERR_BARRIER_FAILURE          import handle, between nodes: an earlier put in explicit mode failed, and
 *                                   no event was posted [project]
 * Source: manual rsm_intr_signal_post.
 */
int rsm_intr_signal_post(void *memseg, uint_t flags);

/*
 * Waits for an event of a handle of either kind and consumes one. timeout in milliseconds: -1 for ever, 0
 * only looks. Several threads may wait; each event releases one.
 *
 *   RSMERR_BAD_SEG_HNDL  invalid handle
 *   RSMERR_TIMEOUT       no event in that time, never earlier [project]
 *   RSMERR_INTERRUPTED   a signal handler ran, with SA_RESTART too
 *   RSMERR_CONN_ABORTED  import handle: aborted, and no event is left [project]
 *   RSMERR_INSUFFICIENT_MEM, RSMERR_INSUFFICIENT_RESOURCES
 * Source: manual rsm_intr_signal_wait.
 */
int rsm_intr_signal_wait(void *memseg, int timeout);

/*
 * poll(2) over descriptors of rsm_memseg_get_pollfd and any others, in one array. For each segment that is
 * ready, one event is consumed and revents is POLLRDNORM; others as poll(2) reports them. *numfdsp (may be
 * NULL) is the number of entries whose revents is not 0. An aborted import segment without events is
 * reported by POLLHUP [project]. nfds 0 waits for the timeout.
 *
 *   RSMERR_TIMEOUT                 nothing ready in that time
 *   RSMERR_INTERRUPTED             a signal handler ran
 *   RSMERR_BAD_ADDR                fds cannot be read
 *   RSMERR_BAD_ARGS_ERRORS         nfds exceeds the limit of descriptors
 *   RSMERR_INSUFFICIENT_MEM        the system has none for poll
 *   RSMERR_INSUFFICIENT_RESOURCES  not returned
 * After an error *numfdsp is 0. Source: manual rsm_intr_signal_wait_pollfd.
 */
int rsm_intr_signal_wait_pollfd(struct pollfd fds[], nfds_t nfds, int timeout, int *numfdsp);

/*
 * Stores in poll_fd a descriptor (`fd`) that is readable while the handle has events, and `events` =
 * POLLRDNORM. Counts a reference: until it is released the handle cannot be freed. The descriptor stays the
 * library's, is the same each time, and may be given to poll, select and epoll, which consume nothing
 * [project].
 *
 *   RSMERR_BAD_SEG_HNDL      invalid handle
 *   RSMERR_BAD_ADDR          poll_fd is NULL [project]
 *   RSMERR_INSUFFICIENT_MEM, RSMERR_INSUFFICIENT_RESOURCES
 * Source: manual rsm_memseg_get_pollfd.
 */
int rsm_memseg_get_pollfd(void *memseg, struct pollfd *poll_fd);

/*
 * Gives one such reference back; one too many is no error.
 *
 *   RSMERR_BAD_SEG_HNDL  invalid handle
 * Source: manual rsm_memseg_get_pollfd.
 */
int rsm_memseg_release_pollfd(void *memseg);

/* ---- Segment ids ------------------------------------------------------------------------------------- */

/*
 * Looks up the range of segment ids reserved for the application `appid` in /etc/rsm/rsm.segmentid (or in
 * the file that the environment names by RSM_SEGMENTID_FILE [project]): first id in *baseid, count in
 * *length. Lines are "reserved APPID BASE LENGTH", BASE hexadecimal, LENGTH decimal; # begins a comment.
 * Case does not count. Reservation is an agreement of the administrators: publish does not look at it.
 *
 *   RSMERR_BAD_ADDR   an argument is NULL
 *   RSMERR_BAD_CONF   the file cannot be opened; a malformed or blank line stands before the entry; the
 *                     entry itself is malformed
 *   RSMERR_BAD_APPID  no entry
 * Source: manual rsm_get_segmentid_range.
 */
int rsm_get_segmentid_range(const char *appid, rsm_memseg_id_t *baseid, uint32_t *length);

#ifdef __GNUC__
#pragma GCC visibility pop
#endif
#ifdef __cplusplus
}
#endif

#endif
