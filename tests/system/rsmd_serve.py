# SPDX-License-Identifier: BSD-2-Clause
"""rsmd serves: the whole life of segments, the codes and their order, signals, withdrawal, death, limits, status."""

import ctypes
import fcntl
import json
import mmap
import os
import signal
import socket
import struct
import tempfile
import time
import traceback

from rsmd_client import PROTO, Client, Daemon, Skip, readable, run

libc = ctypes.CDLL(None, use_errno=True)
ABORTED = 0x80000000
CONFIG = "[controller shm0]\ntype = local\n"


def with_daemon(config=CONFIG, **options):
    """Decorator: the test gets the path of a fresh rsmd, which must end without complaint."""
    def wrap(test):
        def body():
            with tempfile.TemporaryDirectory() as directory:
                os.chmod(directory, 0o755)
                daemon = Daemon(directory + "/rsmd.sock", config=config, **options)
                try:
                    test(daemon)
                finally:
                    daemon.stop()
                assert os.listdir(directory) == ["rsmd.sock.conf"], "a file was left behind"
        return body
    return wrap


def epoch(client, slot):
    with mmap.mmap(client.hello_fds[0], (slot + 1) * 64, mmap.MAP_SHARED, mmap.PROT_READ) as table:
        return struct.unpack_from("=Q", table, slot * 64)[0], struct.unpack_from("=I", table, slot * 64 + 8)[0]


def child(function, tell=None):
    """Runs it in a process of its own; returns its pid. Its end closes `tell`, so that nobody waits for a dead one."""
    pid = os.fork()
    if not pid:
        code = 1
        try:
            function()
            code = 0
        finally:
            if code:
                traceback.print_exc()
            os._exit(code)
    if tell is not None:
        os.close(tell)
    return pid


def ended(pid):
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


@with_daemon()
def whole_life(daemon):
    exporter, importer = Client(daemon.path), Client(daemon.path)
    export, made, memory = exporter.segment(8192, "SHM0")
    exporter.ask("publish", export_id=export, segment_id=0x400000)
    reply = importer.connect(0x400000, controller="shm0")
    assert (reply["length"], reply["granted"], reply["exporter_pid"]) == (8192, 0o600, os.getpid())
    assert reply["extents"] == [{"object_id": made, "offset": 0, "length": 8192, "kind": 0, "shmid": 0, "fd_index": 0}]
    theirs, signals = importer.fds
    os.pwrite(theirs, b"seen", 100)
    assert os.pread(memory, 4, 100) == b"seen"
    before, importers = epoch(importer, reply["status_slot"])
    assert (before, importers) == (reply["epoch"], 1)
    withdrawn = exporter.ask("unpublish", export_id=export)
    after, importers = epoch(importer, reply["status_slot"])
    assert after >> 32 == (before >> 32) + 1 and importers == 0
    assert withdrawn == {"exposed_objects": [made], "fresh_signals": 1}
    assert struct.unpack_from("=I", os.pread(signals, 64, 64 * reply["signal_slot"]))[0] & ABORTED
    importer.ask("import_layout", import_id=reply["import_id"], expect="CONN_ABORTED")
    importer.connect(0x400000, expect="SEG_NOT_PUBLISHED")
    # The exporter moves: the old object is emptied once no layout names it.
    fresh = exporter.ask("object_create", length=8192)["object_id"]
    exporter.send("object_free", object_id=made)
    assert os.pread(theirs, 4, 100) == b"seen"
    exporter.ask("export_layout", export_id=export, extents=[{"object_id": fresh, "offset": 0, "length": 8192}])
    end = time.monotonic() + 30  # a thread of its own empties it
    while os.pread(theirs, 4, 100) != bytes(4):
        assert time.monotonic() < end
    assert exporter.publish(export, 0x400000) == 0x400000
    importer.send("disconnect", import_id=reply["import_id"])
    again = importer.connect(0x400000)
    assert again["epoch"] >> 32 == after >> 32 and again["signal_slot"] == 1
    importer.send("disconnect", import_id=again["import_id"])
    importer.close()
    os.close(theirs)
    os.close(signals)
    exporter.ask("export_destroy", export_id=export)
    exporter.ask("export_destroy", export_id=export, expect="BAD_SEG_HNDL")


@with_daemon()
def read_only_is_read_only(daemon):
    exporter, importer = Client(daemon.path), Client(daemon.path)
    export, _, memory = exporter.segment()
    name = exporter.publish(export)
    importer.connect(name, 0o400)
    try:
        os.pwrite(importer.fds[0], b"x", 0)
        raise AssertionError("a read-only importer wrote")
    except OSError:
        pass
    mmap.mmap(importer.fds[0], 4096, mmap.MAP_SHARED, mmap.PROT_READ)
    assert importer.connect(name, 0o200)["granted"] == 0o200
    os.pwrite(importer.fds[0], b"w", 0)
    assert os.pread(memory, 1, 0) == b"w"
    reply = importer.connect(name, 0)
    assert reply["extents"] == [] and len(importer.fds) == 1, "no right, no memory: only signals"


@with_daemon()
def order_of_checks(daemon):
    client = Client(daemon.path)
    client.ask("export_create", controller="loopback", length=0, expect="BAD_LENGTH")
    client.ask("export_create", controller="loopback", length=4097, expect="BAD_MEM_ALIGNMENT")
    client.ask("export_create", controller="nosuch0", length=4096, expect="CTLR_NOT_PRESENT")
    export, made, _ = client.segment()
    for wrong in (1, 0x3FFFFF, 0x80000000, 0xFFFFFFFF):
        client.ask("publish", export_id=export, segment_id=wrong, expect="RESERVED_SEGID")
    here, there = {"node_id": 1, "permission": 0o666}, {"node_id": 2, "permission": 0o666}
    for wrong in ([there], [here, there], [{"node_id": 1, "permission": 0o777}], [{"node_id": 1, "permission": 0o1000}]):
        client.ask("publish", export_id=export, segment_id=0x400000, acl=wrong, expect="BAD_ACL")
    client.ask("publish", export_id=export, republish=1, expect="SEG_NOT_PUBLISHED")
    client.ask("unpublish", export_id=export, expect="SEG_NOT_PUBLISHED")
    assert client.publish(export, 0x7FFFFFFF) == 0x7FFFFFFF
    client.ask("publish", export_id=export, segment_id=1, expect="SEG_ALREADY_PUBLISHED")
    other = client.ask("export_create", controller="shm0", length=4096)["export_id"]
    client.ask("publish", export_id=other, expect="BAD_ADDR")
    client.ask("export_layout", export_id=other, extents=[{"object_id": made, "offset": 0, "length": 4096}])
    client.ask("publish", export_id=other, segment_id=0x7FFFFFFF, acl=[{"node_id": 1, "permission": 0o777}],
               expect="BAD_ACL")
    client.ask("publish", export_id=other, segment_id=0x7FFFFFFF, expect="SEGID_IN_USE")
    client.publish(other, 0x500000, acl=[there])
    client.connect(0x500000, 0o100, expect="PERM_DENIED")
    client.connect(0x500000, controller="none0", expect="CTLR_NOT_PRESENT")
    client.connect(0x500000, node=2, expect="CTLR_NOT_PRESENT")
    client.connect(0x500000, node=2, controller="shm0", expect="REMOTE_NODE_UNREACHABLE")
    client.connect(0x500001, expect="SEG_NOT_PUBLISHED")
    client.connect(0x500000, expect="SEG_NOT_PUBLISHED_TO_NODE")
    client.ask("publish", export_id=other, republish=1, acl=[there, here])
    client.connect(0x500000)


@with_daemon()
def system_ids_ascend(daemon):
    client = Client(daemon.path)
    export, _, _ = client.segment()
    first = client.publish(export)
    assert first == 0x80000000
    client.ask("unpublish", export_id=export)
    assert client.publish(export) == first + 1, "an id does not come back at once"


@with_daemon()
def layouts_are_checked(daemon):
    client, stranger = Client(daemon.path), Client(daemon.path)
    export, made, _ = client.segment(8192)

    def layout(expect, *extents):
        client.ask("export_layout", export_id=export, expect=expect,
                   extents=[{"object_id": a, "offset": b, "length": c} for a, b, c in extents])
    layout("SUCCESS", (made, 4096, 4096), (made, 0, 4096))
    layout("INSUFFICIENT_RESOURCES")
    layout("INSUFFICIENT_RESOURCES", *[(made, 0, 4096)] * 33)
    layout("BAD_ADDR", (made, 0, 4096))
    layout("BAD_ADDR", (made, 0, 8192), (made, 0, 4096))
    layout("BAD_ADDR", (made, 4096, 8192))
    layout("BAD_ADDR", (made, 1 << 63, 8192))
    layout("BAD_ADDR", (made, 4096, (1 << 64) - 4096), (made, 0, 8192))
    layout("BAD_ADDR", (made, 1, 8192))
    layout("BAD_ADDR", (made, 0, 0), (made, 0, 8192))
    layout("BAD_ADDR", (made + 1000, 0, 8192))
    theirs = stranger.ask("object_create", length=8192)["object_id"]
    layout("BAD_ADDR", (theirs, 0, 8192))
    stranger.ask("export_layout", export_id=export, extents=[{"object_id": theirs, "offset": 0, "length": 8192}],
                 expect="BAD_SEG_HNDL")
    client.ask("object_create", length=4095, expect="BAD_LENGTH")
    client.ask("object_create", length=0, expect="BAD_LENGTH")
    client.ask("object_create", length=1 << 63, expect="BAD_LENGTH")
    client.ask("object_create", length=4096, huge=1, expect="BAD_LENGTH")


@with_daemon()
def rebind_keeps_importers(daemon):
    exporter, importer = Client(daemon.path), Client(daemon.path)
    export, made, _ = exporter.segment()
    reply = importer.connect(exporter.publish(export))
    fresh = exporter.ask("object_create", length=4096)["object_id"]
    os.pwrite(exporter.fds[0], b"new", 0)
    exporter.ask("export_layout", export_id=export, extents=[{"object_id": fresh, "offset": 0, "length": 4096}])
    now, importers = epoch(importer, reply["status_slot"])
    assert now >> 32 == reply["epoch"] >> 32 and now & 0xFFFFFFFF == (reply["epoch"] & 0xFFFFFFFF) + 2
    assert importers == 1
    again = importer.ask("import_layout", import_id=reply["import_id"])
    assert again["epoch"] == now and again["extents"][0]["object_id"] == fresh
    assert len(importer.fds) == 1 and os.pread(importer.fds[0], 3, 0) == b"new"
    # While pages move the layout is odd, and a new even one when they have arrived.
    exporter.ask("export_layout", export_id=export, hold=1)
    assert epoch(importer, reply["status_slot"])[0] == now + 1
    exporter.ask("export_layout", export_id=export, extents=[{"object_id": fresh, "offset": 0, "length": 4096}])
    assert epoch(importer, reply["status_slot"])[0] == now + 2
    # An object that no importer of this segment ever saw is not exposed.
    assert exporter.ask("export_destroy", export_id=export)["exposed_objects"] == [fresh]
    assert made != fresh


@with_daemon()
def gone_importers_expose_nothing(daemon):
    exporter, importer = Client(daemon.path), Client(daemon.path)
    export, _, _ = exporter.segment()
    name = exporter.publish(export)
    reply = importer.connect(name)
    for fd in importer.fds:
        os.close(fd)
    importer.send("disconnect", import_id=reply["import_id"])
    importer.ask("topology")
    assert exporter.ask("unpublish", export_id=export) == {"exposed_objects": [], "fresh_signals": 0}
    exporter.publish(export, 0x400000)
    assert exporter.ask("unpublish", export_id=export)["exposed_objects"] == []


@with_daemon()
def events_survive_unpublish(daemon):
    """An exporter that never looked at its signal memory finds in the fresh one what was posted before."""
    exporter, importer = Client(daemon.path), Client(daemon.path)
    export, _, _ = exporter.segment()
    importer.connect(exporter.publish(export))
    os.pwrite(importer.fds[-1], struct.pack("=I", 3), 0)
    assert exporter.ask("unpublish", export_id=export)["fresh_signals"]
    exporter.ask("signals", export_id=export)
    assert struct.unpack("=I", os.pread(exporter.fds[0], 4, 0))[0] == 3


@with_daemon()
def signals_and_doorbells(daemon):
    exporter, one, two = Client(daemon.path), Client(daemon.path), Client(daemon.path)
    export, _, _ = exporter.segment()
    exporter.ask("signals", export_id=export)
    view = mmap.mmap(exporter.fds[0], 4096)
    name = exporter.publish(export)

    def events(slot, count):
        struct.pack_into("=I", view, 64 * slot, count)
    a, b = one.connect(name), two.connect(name)
    assert (a["signal_slot"], b["signal_slot"]) == (1, 2)
    assert struct.unpack_from("=I", view, 12 + 64)[0] == 1, "connected"
    assert struct.unpack_from("=I", view, 16)[0] == 2, "high"
    exporter.ask("pollfd", handle_id=export)
    bell = exporter.fds[0]
    assert struct.unpack_from("=I", view, 8)[0] == 1, "doorbell"
    events(0, 1)
    one.ask("ring", handle_id=a["import_id"])
    assert readable(bell, 30)
    assert os.read(bell, 10) == b"\0"
    one.ask("ring", handle_id=b["import_id"], expect="BAD_SEG_HNDL")  # not one's own
    one.ask("topology")
    assert not readable(bell, 0)
    events(1, 3)
    one.ask("pollfd", handle_id=a["import_id"])
    bell_one = one.fds[0]
    assert readable(bell_one, 0), "events were pending when it was made"
    os.read(bell_one, 10)
    two.ask("pollfd", handle_id=b["import_id"])
    bell_two = two.fds[0]
    assert not readable(bell_two, 0)
    events(2, 1)
    exporter.ask("ring", handle_id=export)
    exporter.ask("topology")
    assert readable(bell_one, 0) and readable(bell_two, 0)
    os.read(bell_one, 10)
    one.ask("ring", handle_id=a["import_id"], self=1)
    one.ask("topology")
    assert readable(bell_one, 0) and os.read(bell_one, 10) == b"\0"
    # A full doorbell stops nobody.
    for _ in range(1000):
        exporter.ask("ring", handle_id=export)
    exporter.ask("topology")
    events(0, 7)
    assert exporter.ask("unpublish", export_id=export)["fresh_signals"]
    fresh = struct.unpack("=IIII", os.pread(exporter.fds[0], 16, 0))
    assert fresh[0] == 0 and fresh[2] == 1, "the exporter, who has the old memory, takes its events along"
    while os.read(bell_one, 65536):
        pass  # end of file: hung up
    assert not readable(bell, 0)
    one.ask("ring", handle_id=a["import_id"], expect="CONN_ABORTED")
    one.ask("pollfd", handle_id=a["import_id"])
    assert os.read(one.fds[0], 1) == b"", "of an aborted import: hung up at once"
    # Slots of former importers are free again, the lowest first.
    one.send("disconnect", import_id=a["import_id"])
    exporter.publish(export, 0x400000)
    slots = [one.connect(0x400000)["signal_slot"] for _ in range(20)]
    assert slots == list(range(1, 21))


@with_daemon()
def futex_wakes_at_withdrawal(daemon):
    exporter = Client(daemon.path)
    export, _, _ = exporter.segment()
    name = exporter.publish(export)
    ready, tell = os.pipe()

    def wait():
        importer = Client(daemon.path)
        reply = importer.connect(name)
        memory = mmap.mmap(importer.fds[-1], 1 << 22)
        word = ctypes.c_uint32.from_buffer(memory, 64 * reply["signal_slot"])
        os.write(tell, b"r")
        timeout = struct.pack("qq", 30, 0)
        while not word.value & ABORTED:
            result = libc.syscall(202, ctypes.byref(word), 0, 0, timeout, None, 0)
            assert result == 0 or ctypes.get_errno() in (11, 4), ctypes.get_errno()
    pid = child(wait, tell)
    assert os.read(ready, 1)
    exporter.ask("unpublish", export_id=export)
    ended(pid)


@with_daemon()
def death_frees_everything(daemon):
    watcher = Client(daemon.path)
    base = daemon.descriptors()
    ready, tell = os.pipe()

    def live():
        client = Client(daemon.path)
        export, _, _ = client.segment()
        client.publish(export, 0x400000)
        client.ask("reserve", length=4096)
        other = client.connect(0x400000)
        client.ask("pollfd", handle_id=other["import_id"])
        client.ask("pollfd", handle_id=export)
        os.write(tell, b"r")
        signal.pause()
    pid = child(live, tell)
    assert os.read(ready, 1)
    reply = watcher.connect(0x400000)
    kept = watcher.fds
    os.pwrite(kept[0], b"kept", 0)
    watcher.ask("pollfd", handle_id=reply["import_id"])
    bell = watcher.fds[0]
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    assert readable(bell, 30) and os.read(bell, 1) == b"", "hung up when the exporter died"
    assert epoch(watcher, reply["status_slot"])[0] >> 32 == (reply["epoch"] >> 32) + 1
    assert os.pread(kept[0], 4, 0) == b"kept", "pages of a dead exporter stay for who has them"
    export, _, _ = watcher.segment()
    assert watcher.publish(export, 0x400000) == 0x400000
    watcher.ask("export_destroy", export_id=export)
    watcher.send("object_free", object_id=export - 1)
    watcher.send("disconnect", import_id=reply["import_id"])
    counts = json.loads(watcher.ask("status", what="status")["json"])["counts"]
    assert counts == {"clients": 1, "exports": 0, "published": 0, "imports": 0, "objects": 0, "bytes": 0}, counts
    assert daemon.descriptors_left(base) == base, "rsmd kept descriptors"


@with_daemon()
def death_is_seen_behind_a_relative(daemon):
    """A forked child keeps the socket open: only the pidfd tells. After exec only the socket does."""
    watcher = Client(daemon.path)
    ready, tell = os.pipe()

    def live():
        client = Client(daemon.path)
        export, _, _ = client.segment()
        client.publish(export, 0x400000)
        relative = child(signal.pause)
        os.write(tell, struct.pack("i", relative))
        signal.pause()
    pid = child(live, tell)
    relative = struct.unpack("i", os.read(ready, 4))[0]
    reply = watcher.connect(0x400000)
    watcher.ask("pollfd", handle_id=reply["import_id"])
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    assert readable(watcher.fds[0], 30)
    watcher.connect(0x400000, expect="SEG_NOT_PUBLISHED")
    os.kill(relative, signal.SIGKILL)

    ready, tell = os.pipe()
    wait, go = os.pipe()

    def exec_away():
        client = Client(daemon.path)
        export, _, _ = client.segment()
        client.publish(export, 0x400000)
        os.write(tell, b"r")
        os.read(wait, 1)
        os.execlp("sleep", "sleep", "1000")
    pid = child(exec_away, tell)
    assert os.read(ready, 1)
    reply = watcher.connect(0x400000)
    watcher.ask("pollfd", handle_id=reply["import_id"])
    os.write(go, b"g")
    assert readable(watcher.fds[0], 30)
    watcher.connect(0x400000, expect="SEG_NOT_PUBLISHED")
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


@with_daemon("[node]\nmax-segments = 4\n")
def max_segments(daemon):
    client = Client(daemon.path)
    export, made, _ = client.segment()
    name = client.publish(export)
    imports = [client.connect(name)["import_id"] for _ in range(3)]
    client.connect(name, expect="INSUFFICIENT_RESOURCES")
    client.ask("export_create", controller="loopback", length=4096, expect="INSUFFICIENT_RESOURCES")
    client.send("disconnect", import_id=imports[0])
    client.connect(name)
    for _ in range(7):
        client.ask("object_create", length=4096)
    client.ask("object_create", length=4096, expect="INSUFFICIENT_RESOURCES")
    client.ask("export_destroy", export_id=export)
    for _ in range(10):  # slots of the status table come back
        again = client.ask("export_create", controller="loopback", length=4096)["export_id"]
        client.ask("export_layout", export_id=again, extents=[{"object_id": made, "offset": 0, "length": 4096}])
        client.publish(again)
        client.ask("export_destroy", export_id=again)


@with_daemon("[node]\nmax-exported-memory = 1\n")
def quota(daemon):
    client = Client(daemon.path)
    limit = client.hello["max_exported_bytes"]
    assert limit > 0 and limit % 4096 == 0
    client.ask("export_create", controller="loopback", length=limit + 4096, expect="INSUFFICIENT_MEM")
    export = client.ask("export_create", controller="loopback", length=limit - 4096)["export_id"]
    client.ask("reserve", length=8192, expect="INSUFFICIENT_MEM")
    client.ask("reserve", length=4096)
    client.ask("export_create", controller="loopback", length=4096, expect="INSUFFICIENT_MEM")
    client.send("unreserve", length=4096)
    client.ask("export_create", controller="loopback", length=4096)
    client.ask("export_destroy", export_id=export)
    client.ask("object_create", length=limit)
    client.ask("object_create", length=limit)
    client.ask("object_create", length=4096, expect="INSUFFICIENT_MEM")
    client.close()
    client = Client(daemon.path)
    client.ask("reserve", length=limit)


@with_daemon()
def memory_that_is_shared_already(daemon):
    exporter, importer = Client(daemon.path), Client(daemon.path)
    memfd = os.memfd_create("own", os.MFD_CLOEXEC)
    exporter.ask("object_offer", [memfd], kind=1, length=4096, expect="BAD_ADDR")  # too short
    os.truncate(memfd, 16384)
    exporter.ask("object_offer", [memfd], kind=1, length=100, expect="BAD_LENGTH")
    read_only = os.open(f"/proc/self/fd/{memfd}", os.O_RDONLY)
    exporter.ask("object_offer", [read_only], kind=1, length=4096, expect="BAD_ADDR")
    with open("/dev/zero", "r+b", buffering=0) as device:
        exporter.ask("object_offer", [device.fileno()], kind=1, length=4096, expect="BAD_ADDR")
    own, theirs = socket.socketpair()
    exporter.ask("object_offer", [own.fileno()], kind=1, length=4096, expect="BAD_ADDR")
    theirs.close()
    made = exporter.ask("object_offer", [memfd], kind=1, length=12288)["object_id"]
    export = exporter.ask("export_create", controller="loopback", length=4096)["export_id"]
    exporter.ask("export_layout", export_id=export, extents=[{"object_id": made, "offset": 12288, "length": 4096}],
                 expect="BAD_ADDR")
    exporter.ask("export_layout", export_id=export, extents=[{"object_id": made, "offset": 8192, "length": 4096}])
    name = exporter.publish(export)
    os.pwrite(memfd, b"mine", 8192)
    reply = importer.connect(name)
    assert reply["extents"][0]["kind"] == 1 and os.pread(importer.fds[0], 4, reply["extents"][0]["offset"]) == b"mine"
    assert exporter.ask("unpublish", export_id=export)["exposed_objects"] == [], "cannot be moved"


@with_daemon()
def system_v(daemon):
    client = Client(daemon.path)
    shmid = libc.shmget(0, 16384, 0o1600)
    libc.shmat.restype = ctypes.c_void_p
    libc.shmat.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_int]
    address = libc.shmat(shmid, None, 0)
    libc.shmctl(shmid, 0, None)
    client.ask("object_offer", kind=3, address=address, length=16384, shmid=shmid + 1, expect="BAD_ADDR")
    client.ask("object_offer", kind=3, address=address, length=20480, shmid=shmid, expect="BAD_ADDR")
    made = client.ask("object_offer", kind=3, address=address, length=16384, shmid=shmid)["object_id"]
    export = client.ask("export_create", controller="loopback", length=16384)["export_id"]
    client.ask("export_layout", export_id=export, extents=[{"object_id": made, "offset": 0, "length": 16384}])
    reply = client.connect(client.publish(export))
    assert reply["extents"][0]["shmid"] == shmid and len(client.fds) == 1, "no descriptor but the signals'"


@with_daemon()
def map_files(daemon):
    client = Client(daemon.path)
    memory = mmap.mmap(-1, 16384, mmap.MAP_SHARED)
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    memory[4096:4100] = b"here"
    private = mmap.mmap(-1, 16384, mmap.MAP_PRIVATE)
    elsewhere = ctypes.addressof(ctypes.c_char.from_buffer(private))
    client.ask("object_offer", kind=2, address=elsewhere, length=4096, expect="BAD_ADDR")
    client.ask("object_offer", kind=2, address=0x1000, length=4096, expect="BAD_ADDR")
    client.ask("object_offer", kind=2, address=(1 << 64) - 4096, length=8192, expect="BAD_ADDR")
    client.send("object_offer", kind=2, address=address + 4096, length=8192)
    reply = client.receive()
    if reply["code"]:
        assert os.geteuid() != 0 and "CAP_CHECKPOINT_RESTORE" in reply["reason"], reply
        return
    made = reply["object"]["object_id"]
    export = client.ask("export_create", controller="loopback", length=4096)["export_id"]
    for offset, expect in ((0, "BAD_ADDR"), (12288, "BAD_ADDR"), (4096, "SUCCESS")):
        client.ask("export_layout", export_id=export, expect=expect,
                   extents=[{"object_id": made, "offset": offset, "length": 4096}])
    client.connect(client.publish(export))
    assert os.pread(client.fds[0], 4, 4096) == b"here"


def as_user(uid, gid, groups, function):
    def body():
        os.setgroups(groups)
        os.setresgid(gid, gid, gid)
        os.setresuid(uid, uid, uid)
        function()
    ended(child(body))


@with_daemon(private=False)
def users_and_groups(daemon):
    if os.geteuid():
        raise Skip("needs root")
    ready, tell = os.pipe()
    done, finish = os.pipe()

    def export():
        client = Client(daemon.path)
        one, _, _ = client.segment(umask=0o027)
        client.publish(one, 0x400000)
        for name, shared in ((0x400001, os.memfd_create("own")), (0x400002, open_to_all)):
            os.truncate(shared, 4096)
            two = client.ask("export_create", controller="shm0", length=4096)["export_id"]
            made = client.ask("object_offer", [shared], kind=1, length=4096)["object_id"]
            client.ask("export_layout", export_id=two, extents=[{"object_id": made, "offset": 0, "length": 4096}])
            client.publish(two, name, acl=[{"node_id": 1, "permission": 0o666}])
        os.write(tell, b"r")
        assert readable(done, 60)
    open_to_all = os.open(daemon.path + ".file", os.O_RDWR | os.O_CREAT)
    os.fchmod(open_to_all, 0o666)
    os.unlink(daemon.path + ".file")
    pid = child(lambda: as_user(5001, 6001, [], export), tell)
    assert os.read(ready, 1)

    def ask(segment, read, write):
        def body():
            client = Client(daemon.path)
            client.connect(segment, 0o400, expect=read)
            if read == "SUCCESS":
                try:
                    os.open(f"/proc/self/fd/{client.fds[0]}", os.O_RDWR)
                    assert os.geteuid() in (0, 5001), "a read-only descriptor was opened again for writing"
                except PermissionError:
                    pass
            client.connect(segment, 0o600, expect=write)
        return body
    yes, no = "SUCCESS", "PERM_DENIED"
    as_user(5001, 6002, [], ask(0x400000, yes, yes))
    as_user(5002, 6001, [], ask(0x400000, yes, no))
    as_user(5002, 6002, list(range(7000, 27000)) + [6001], ask(0x400000, yes, no))
    as_user(5002, 6002, [6003], ask(0x400000, no, no))
    as_user(0, 0, [], ask(0x400000, yes, yes))

    # Where the segment lies in the exporter is told to those who could look there.
    def address_is_told(told):
        def body():
            text = Client(daemon.path).ask("status", what="segment", segment_id=0x400000)["json"]
            assert ("address" in json.loads(text)["segment"]) == told
        return body
    as_user(5001, 6001, [], address_is_told(True))
    as_user(5002, 6001, [], address_is_told(False))
    as_user(0, 0, [], address_is_told(True))
    # Memory that cannot be sealed: another user may read it at most.
    as_user(5001, 6001, [], ask(0x400001, yes, yes))
    as_user(5002, 6001, [], ask(0x400001, yes, no))
    as_user(0, 0, [], ask(0x400001, yes, yes))
    # Nor read it, if its mode makes a read-only descriptor a writable one.
    as_user(5001, 6001, [], ask(0x400002, yes, yes))
    as_user(5002, 6001, [], ask(0x400002, no, no))
    os.write(finish, b"f")
    ended(pid)


@with_daemon()
def private_serves_its_user_only(daemon):
    if os.geteuid():
        raise Skip("needs root")
    os.chmod(daemon.path, 0o666)  # so that not the mode alone refuses

    def stranger():
        client = Client(daemon.path, hello=False)
        client.ask("hello", version=1, expect="PERM_DENIED")
        client.expect_gone()
    as_user(5001, 6001, [], stranger)
    Client(daemon.path)


@with_daemon("[node]\nid = 77\nname = alpha\n" + CONFIG)
def status_and_topology(daemon):
    client = Client(daemon.path)
    assert client.hello["node_id"] == 77 and client.hello["node_name"] == "alpha"
    assert [c["name"] for c in client.hello["controllers"]] == ["loopback", "shm0"]
    assert client.hello["status_slots"] == client.hello["max_segments"] + 1
    topology = client.ask("topology")
    assert topology["node_id"] == 77 and [c["name"] for c in topology["controllers"]] == ["shm0"]
    export, _, _ = client.segment(umask=0o022, controller="shm0")
    name = client.publish(export)
    client.connect(name, 0o400, node=77)
    status = json.loads(client.ask("status", what="status")["json"])
    assert status["schema"] == 1 and status["node"] == {"id": 77, "name": "alpha"} and status["private"] is True
    assert status["clients"] == [{"pid": os.getpid(), "uid": os.geteuid(), "program": "test", "exports": 1, "imports": 1}]
    [segment] = json.loads(client.ask("status", what="segments")["json"])["segments"]
    expected = {"id": name, "id_hex": hex(name), "node": 77, "controller": "shm0", "length": 4096,
                "owner_pid": os.getpid(), "owner_uid": os.geteuid(), "owner_gid": os.getegid(), "program": "test",
                "acl": None, "permissions": "0644", "importers": 1}
    assert {key: segment[key] for key in expected} == expected and segment["published_s"] >= 0
    client.ask("publish", export_id=export, republish=1, acl=[{"node_id": 77, "permission": 0o600}])
    one = json.loads(client.ask("status", what="segment", segment_id=name)["json"])["segment"]
    assert one["acl"] == [{"node": 77, "permission": "0600"}] and one["permissions"] == "0600"
    assert [i["granted"] for i in one["imports"]] == ["0400"] and one["extents"][0]["kind"] == "sealed"
    client.ask("status", what="segment", segment_id=5, expect="SEG_NOT_PUBLISHED")
    client.ask("status", what="weather", expect="BAD_ADDR")
    without = daemon.descriptors()
    guests = [Client(daemon.path) for _ in range(10)]
    half = without + (daemon.descriptors() - without) // 2
    for guest in guests[:5]:  # their numbers are free, below others that are not
        guest.close()
    assert daemon.descriptors_left(half) == half
    assert json.loads(client.ask("status", what="health")["json"])["descriptors"]["in_use"] == daemon.descriptors()


@with_daemon("[node]\nmax-segments = 2000\n")
def long_answers_and_lists(daemon):
    client = Client(daemon.path)
    export, made, _ = client.segment(controller="loopback")
    acl = [{"node_id": node, "permission": 0o644} for node in range(65536)]
    client.close()
    client = Client(daemon.path)

    def ask(entries, expect):
        body = PROTO.encode("Request", {"id": 9, "publish": {"export_id": export, "acl": entries}})
        memfd = os.memfd_create("body", os.MFD_ALLOW_SEALING)
        os.write(memfd, body)
        fcntl.fcntl(memfd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE)
        client.send_raw(struct.pack("=II", 0x314D5352, len(body)), [memfd])
        os.close(memfd)
        reply = client.receive()
        assert (reply["id"], reply["code"]) == (9, expect), reply
    made = client.ask("object_create", length=4096)["object_id"]
    export = client.ask("export_create", controller="loopback", length=4096)["export_id"]
    client.ask("export_layout", export_id=export, extents=[{"object_id": made, "offset": 0, "length": 4096}])
    ask(acl, 21)       # one too many
    ask(acl[:5000], 21)  # on loopback only the local node
    for number in range(1500):
        other = client.ask("export_create", controller="loopback", length=4096)["export_id"]
        client.ask("export_layout", export_id=other, extents=[{"object_id": made, "offset": 0, "length": 4096}])
        client.publish(other, 0x400000 + number)
    answer = client.ask("status", what="segments")["json"]
    assert len(answer) > 100000 and len(json.loads(answer)["segments"]) == 1500


def costs_stay_flat():
    """15,000 segments of one process: one descriptor each and less than 1 KiB; nothing when idle."""
    with tempfile.TemporaryDirectory() as directory:
        daemon = Daemon(directory + "/rsmd.sock")
        client = Client(daemon.path)
        empty = daemon.rss_kib()
        assert empty <= 10240 or daemon.sanitized(), empty
        count = 15000 if daemon.limit() >= 20000 and not daemon.sanitized() else 500
        before = daemon.descriptors()
        for _ in range(count):
            _, _, memory = client.segment()
            os.close(memory)
            client.ask("publish", export_id=client.last_export)
        assert daemon.descriptors() - before == count
        assert daemon.rss_kib() - empty <= count or daemon.sanitized()
        ticks = daemon.cpu_ticks()
        assert not readable(client.socket, 1)
        assert daemon.cpu_ticks() - ticks <= 1, "an idle rsmd works"
        client.close()
        assert json.loads(Client(daemon.path).ask("status", what="status")["json"])["counts"]["objects"] == 0
        daemon.stop()


if __name__ == "__main__":
    run({name: test for name, test in list(globals().items()) if callable(test) and name in (
        "whole_life", "read_only_is_read_only", "order_of_checks", "system_ids_ascend", "layouts_are_checked",
        "rebind_keeps_importers", "gone_importers_expose_nothing", "events_survive_unpublish", "signals_and_doorbells",
        "futex_wakes_at_withdrawal", "death_frees_everything", "death_is_seen_behind_a_relative", "max_segments",
        "quota", "memory_that_is_shared_already", "system_v", "map_files", "users_and_groups",
        "private_serves_its_user_only", "status_and_topology", "long_answers_and_lists", "costs_stay_flat")})
