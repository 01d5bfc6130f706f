# SPDX-License-Identifier: BSD-2-Clause
"""What is made when the package is built: the C extension rsm._librsm, the exceptions, the release number.

librsm is found by pkg-config, or by the environment: RSM_INCLUDE_DIR and RSM_LIBRARY_DIR (both), and RSM_RPATH, a
directory to be written into the extension (a build tree's)."""

import os
import pathlib
import re
import subprocess

from cffi import FFI

HERE = pathlib.Path(__file__).resolve().parent

# Checked against the headers by the C compiler. "..." stands for what only the headers know.
DECLARATIONS = """
typedef uint32_t rsm_node_id_t;
typedef uint32_t rsm_memseg_id_t;
typedef uint32_t rsm_permission_t;
typedef unsigned int uint_t;
typedef unsigned long ulong_t;
typedef char *caddr_t;
typedef int64_t offset_t;
typedef int... off_t;
typedef ... *rsm_memseg_export_handle_t;
typedef ... *rsm_memseg_import_handle_t;
typedef ... *rsmapi_controller_handle_t;
typedef ... *rsm_localmemory_handle_t;
typedef enum { RSM_BARRIER_SEGMENT, ... } rsm_barrier_type_t;
typedef enum { RSM_BARRIER_MODE_EXPLICIT, RSM_BARRIER_MODE_IMPLICIT } rsm_barrier_mode_t;
typedef enum { RSM_MAP_NONE, ... } rsm_attribute_t;
#define RSM_SUCCESS ...
#define RSM_PERM_READ ...
#define RSM_PERM_WRITE ...
#define RSM_ALLOW_REBIND ...
#define RSM_IMPLICIT_SIGPOST ...
#define RSM_SIGPOST_NO_ACCUMULATE ...
#define RSM_MAX_SGIOREQS ...
#define RSM_VA_TYPE ...
#define RSM_CONNECTION_ACTIVE ...
#define RSMX_ALLOC_HUGE ...

typedef struct { rsm_node_id_t ae_node; rsm_permission_t ae_permission; ...; } rsmapi_access_entry_t;
typedef struct { void *seg; ...; } rsmapi_barrier_t;
typedef struct {
	int io_type;
	union { rsm_localmemory_handle_t handle; caddr_t vaddr; } local;
	size_t local_offset, remote_offset, transfer_length;
	...;
} rsm_iovec_t;
typedef struct {
	ulong_t io_request_count, io_residual_count;
	uint_t flags;
	rsm_memseg_import_handle_t remote_handle;
	rsm_iovec_t *iovec;
	...;
} rsm_scat_gath_t;
typedef struct { rsm_node_id_t local_nodeid; uint_t local_cntlr_count; ...; } rsm_topology_hdr_t;
typedef struct { char cntlr_name[256]; int remote_cntlr_count; ...; } rsm_connections_hdr_t;
typedef struct {
	rsm_node_id_t remote_nodeid;
	char remote_cntlrname[256];
	uint_t connection_state;
	...;
} rsm_remote_cntlr_t;
typedef struct { rsm_connections_hdr_t hdr; rsm_remote_cntlr_t remote_cntlr[1]; ...; } rsm_connections_t;
typedef struct { rsm_topology_hdr_t topology_hdr; rsm_connections_t *connections[1]; ...; } rsm_topology_t;
struct pollfd { int fd; short events; short revents; ...; };

int rsm_get_controller(char *name, rsmapi_controller_handle_t *controller);
int rsm_release_controller(rsmapi_controller_handle_t controller);
int rsm_get_interconnect_topology(rsm_topology_t **topology_data);
void rsm_free_interconnect_topology(rsm_topology_t *topology_data);
int rsm_memseg_export_create(rsmapi_controller_handle_t controller, rsm_memseg_export_handle_t *memseg,
			     void *vaddr, size_t size, uint_t flags);
int rsm_memseg_export_destroy(rsm_memseg_export_handle_t memseg);
int rsm_memseg_export_rebind(rsm_memseg_export_handle_t memseg, void *vaddr, offset_t off, size_t size);
int rsm_memseg_export_publish(rsm_memseg_export_handle_t memseg, rsm_memseg_id_t *segment_id,
			      rsmapi_access_entry_t access_list[], uint_t access_list_length);
int rsm_memseg_export_unpublish(rsm_memseg_export_handle_t memseg);
int rsm_memseg_export_republish(rsm_memseg_export_handle_t memseg, rsmapi_access_entry_t access_list[],
				uint_t access_list_length);
int rsm_memseg_import_connect(rsmapi_controller_handle_t controller, rsm_node_id_t node_id,
			      rsm_memseg_id_t segment_id, rsm_permission_t perm,
			      rsm_memseg_import_handle_t *im_memseg);
int rsm_memseg_import_disconnect(rsm_memseg_import_handle_t im_memseg);
int rsm_memseg_import_get(rsm_memseg_import_handle_t im_memseg, off_t offset, void *dst_addr, size_t length);
int rsm_memseg_import_get16(rsm_memseg_import_handle_t im_memseg, off_t offset, uint16_t *datap, ulong_t rep_cnt);
int rsm_memseg_import_get32(rsm_memseg_import_handle_t im_memseg, off_t offset, uint32_t *datap, ulong_t rep_cnt);
int rsm_memseg_import_get64(rsm_memseg_import_handle_t im_memseg, off_t offset, uint64_t *datap, ulong_t rep_cnt);
int rsm_memseg_import_put(rsm_memseg_import_handle_t im_memseg, off_t offset, void *src_addr, size_t length);
int rsm_memseg_import_put16(rsm_memseg_import_handle_t im_memseg, off_t offset, uint16_t *datap, ulong_t rep_cnt);
int rsm_memseg_import_put32(rsm_memseg_import_handle_t im_memseg, off_t offset, uint32_t *datap, ulong_t rep_cnt);
int rsm_memseg_import_put64(rsm_memseg_import_handle_t im_memseg, off_t offset, uint64_t *datap, ulong_t rep_cnt);
int rsm_memseg_import_putv(rsm_scat_gath_t *sg_io);
int rsm_memseg_import_getv(rsm_scat_gath_t *sg_io);
int rsm_memseg_import_map(rsm_memseg_import_handle_t im_memseg, void **address, rsm_attribute_t attr,
			  rsm_permission_t perm, off_t offset, size_t length);
int rsm_memseg_import_unmap(rsm_memseg_import_handle_t im_memseg);
int rsm_memseg_import_init_barrier(rsm_memseg_import_handle_t im_memseg, rsm_barrier_type_t type,
				   rsmapi_barrier_t *barrier);
int rsm_memseg_import_open_barrier(rsmapi_barrier_t *barrier);
int rsm_memseg_import_order_barrier(rsmapi_barrier_t *barrier);
int rsm_memseg_import_close_barrier(rsmapi_barrier_t *barrier);
int rsm_memseg_import_destroy_barrier(rsmapi_barrier_t *barrier);
int rsm_memseg_import_set_mode(rsm_memseg_import_handle_t im_memseg, rsm_barrier_mode_t mode);
int rsm_intr_signal_post(void *memseg, uint_t flags);
int rsm_intr_signal_wait(void *memseg, int timeout);
int rsm_memseg_get_pollfd(void *memseg, struct pollfd *poll_fd);
int rsm_memseg_release_pollfd(void *memseg);

typedef enum { RSMX_STATE_BOUND, RSMX_STATE_PUBLISHED, RSMX_STATE_CONNECTED, RSMX_STATE_MAPPED, RSMX_STATE_ABORTED, ... }
	rsmx_state_t;
typedef struct {
	size_t size, length;
	rsm_permission_t granted;
	rsmx_state_t state;
	rsm_node_id_t node;
	rsm_memseg_id_t segment_id;
	int32_t peer_pid;
	uint32_t peer_uid, importers, pending;
	...;
} rsmx_segment_info_t;
const char *rsmx_strerror(int code);
const char *rsmx_errname(int code);
const char *rsmx_last_error(void);
int rsmx_segment_info(void *memseg, rsmx_segment_info_t *info);
void *rsmx_alloc(size_t size, unsigned flags);
int rsmx_free(void *address);
const char *rsmx_version(const char **daemon);
int rsmx_status(const char *what, rsm_memseg_id_t segment_id, char **json);
int rsmx_watch(int *fd);
typedef ... rsmx_counters_t;
typedef struct {
	int32_t pid;
	uint32_t uid;
	rsm_node_id_t importer, node;
	rsm_memseg_id_t segment_id;
	uint32_t flags;
	uint64_t id, length, puts, gets, bytes_put, bytes_got, posts, spans, failures, latency_ns;
	char program[64];
	...;
} rsmx_counter_t;
#define RSMX_COUNTER_GUEST ...
#define RSMERR_INTERRUPTED ...
int rsmx_counters_open(rsmx_counters_t **counters);
int rsmx_counters_read(rsmx_counters_t *counters, rsmx_counter_t *rows, size_t row_size, size_t *count);
void free(void *memory);
"""

# Codes that a program written without librsm in mind already has a name for.
ALSO = {
    "CONN_ABORTED": "ConnectionAbortedError",
    "INSUFFICIENT_MEM": "MemoryError",
    "INTERRUPTED": "InterruptedError",
    "PERM_DENIED": "PermissionError",
    "TIMEOUT": "TimeoutError",
}


def pkg_config(option):
    """One answer of pkg-config about librsm."""
    try:
        return subprocess.run(["pkg-config", option, "librsm"], check=True, text=True, capture_output=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError) as error:
        raise SystemExit(
            f"librsm is not found: {getattr(error, 'stderr', '') or error}\n"
            "Install it (librsm-dev, or `make install`) and let PKG_CONFIG_PATH name where librsm.pc lies; or set "
            "RSM_INCLUDE_DIR and RSM_LIBRARY_DIR to the directories of rsmapi.h and librsm.so.") from None


def include_dir():
    """Where rsmapi.h lies."""
    return os.environ.get("RSM_INCLUDE_DIR") or pkg_config("--variable=includedir")


def library_dir():
    """Where librsm.so lies."""
    return os.environ.get("RSM_LIBRARY_DIR") or pkg_config("--variable=libdir")


def release():
    """The project's release number, from the one place where it is written; outside the project librsm's own."""
    top = HERE.parent.parent / "CMakeLists.txt"
    found = top.is_file() and re.search(r"^project\(rsm VERSION ([\d.]+)", top.read_text(encoding="utf-8"), re.M)
    return found.group(1) if found else pkg_config("--modversion")


def release_module():
    """The text of rsm/_release.py."""
    return ("# SPDX-License-Identifier: BSD-2-Clause\n# Written when the package was built.\n"
            f"RELEASE = \"{release()}\"\n")


def errors():
    """The text of rsm/errors.py: a class for every RSMERR code of the header."""
    header = pathlib.Path(include_dir(), "sys/rsm/rsm_common.h").read_text(encoding="utf-8")
    codes = re.findall(r"^#define RSMERR_(\w+)\s+(\d+)", header, re.M)
    if not codes:
        raise SystemExit(f"no RSMERR codes in {include_dir()}/sys/rsm/rsm_common.h")
    text = ["# SPDX-License-Identifier: BSD-2-Clause", "# Written from sys/rsm/rsm_common.h when the package was built.",
            '"""One class for every RSMERR code: RSMERR_PERM_DENIED is PermDenied."""', "",
            "from ._error import Error", ""]
    names = []
    for name, code in codes:
        names.append("".join(word.capitalize() for word in name.split("_")))
        also = f", {ALSO[name]}" if name in ALSO else ""
        text += ["", f"class {names[-1]}(Error{also}):", f'    """RSMERR_{name}"""', "", f"    code = {code}", ""]
    text += ["", "__all__ = [", *(f'    "{name}",' for name in names), "]", ""]
    return "\n".join(text)


def make_builder():
    """The extension."""
    ffi = FFI()
    ffi.cdef(DECLARATIONS)
    rpath = os.environ.get("RSM_RPATH")
    ffi.set_source(
        "rsm._librsm", "#include <poll.h>\n#include <stdlib.h>\n#include <rsmapi.h>\n#include <rsm/ext.h>\n",
        libraries=["rsm"], include_dirs=[include_dir()], library_dirs=[library_dir()],
        runtime_library_dirs=[rpath] if rpath else [],
        define_macros=[("_GNU_SOURCE", None), ("_FILE_OFFSET_BITS", "64")])
    return ffi


def builder():
    """For setuptools, which calls it."""
    return make_builder()
