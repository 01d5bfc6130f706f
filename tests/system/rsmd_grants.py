# SPDX-License-Identifier: BSD-2-Clause
"""What a client cannot get out of rsmd: rights of others by a pretence, room or time of others, pages after the end."""

import ctypes
import fcntl
import mmap
import os
import signal
import tempfile
import time
import traceback

from rsmd_client import TIMEOUT, Client, Daemon, Skip, readable, run

libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
libc.shmat.restype = ctypes.c_void_p
libc.shmat.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_int]
OTHER = 65534  # a user without rights
PAGE = mmap.PAGESIZE
CLONE_NEWNS, CLONE_NEWIPC, CLONE_NEWUSER = 0x20000, 0x8000000, 0x10000000
PR_SET_DUMPABLE, MNT_DETACH, MAP_FIXED, IPC_CREAT = 4, 2, 0x10, 0o1000
MISSING = 77  # exit status of a child for which the kernel lacks something


def with_daemon(**options):
    """Decorator: the test gets a fresh rsmd for all users, and must leave it in good order."""
    def wrap(test):
        def body():
            with tempfile.TemporaryDirectory() as directory:
                os.chmod(directory, 0o755)
                daemon = Daemon(directory + "/rsmd.sock", private=False, **options)
                try:
                    test(daemon)
                    Client(daemon.path).ask("topology")
                finally:
                    daemon.stop()
        return body
    return wrap


def as_root(test):
    """Decorator: the test needs more than one user."""
    def body():
        if os.geteuid():
            raise Skip("needs root")
        test()
    return body


class Missing(Exception):
    """The kernel refuses what the test is made of."""


def need(result, what):
    """Of a call of libc, which must succeed for the test to mean something."""
    if result < 0:
        raise Missing(f"{what}: {os.strerror(ctypes.get_errno())}")
    return result


def in_child(function, *arguments):
    """Runs it in a process of its own, to its end."""
    pid = os.fork()
    if not pid:
        code = 1
        try:
            function(*arguments)
            code = 0
        except Missing as error:
            print(f"# cannot be tried here: {error}", flush=True)
            code = MISSING
        except BaseException:  # pylint: disable=broad-except
            traceback.print_exc()
        finally:
            os._exit(code)
    pidfd = os.pidfd_open(pid)
    if not readable(pidfd, 2 * TIMEOUT):
        os.kill(pid, signal.SIGKILL)
    os.close(pidfd)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if code == MISSING:
        raise Skip("the kernel refuses what the test is made of, see above")
    assert code == 0, f"the child ended with {code}"


def become_other():
    try:
        os.setgroups([])
        os.setresgid(OTHER, OTHER, OTHER)
        os.setresuid(OTHER, OTHER, OTHER)
    except OSError as error:
        raise Missing(f"uid {OTHER}: {error}") from error
    libc.prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)  # else its /proc is root's


def enter_namespaces(flags):
    """Of its own, in which it has all capabilities."""
    need(libc.unshare(CLONE_NEWUSER | flags), "unshare")
    for name, text in (("setgroups", "deny"), ("uid_map", f"0 {OTHER} 1"), ("gid_map", f"0 {OTHER} 1")):
        try:
            with open("/proc/self/" + name, "w", encoding="utf-8") as file:
                file.write(text)
        except OSError as error:
            raise Missing(f"/proc/self/{name}: {error}") from error


def map_at(address, protection, fd):
    """A page of the file, shared; at that address, or at any for None."""
    got = libc.mmap(address, PAGE, protection, mmap.MAP_SHARED | (MAP_FIXED if address else 0), fd, 0)
    if got == ctypes.c_void_p(-1).value:
        raise Missing(f"mmap: {os.strerror(ctypes.get_errno())}")
    return got


def line_of(address):
    """The line of maps that begins there."""
    with open("/proc/self/maps", encoding="utf-8") as maps:
        return next(line for line in maps if int(line.split("-")[0], 16) == address)


@with_daemon(limit=1024)
def descriptors_of_empty_messages(daemon):
    """An empty message looks like the end of a conversation; what it carries is closed all the same."""
    observer = Client(daemon.path)
    observer.ask("topology")
    before = daemon.descriptors()
    null = os.open("/dev/null", os.O_RDONLY)
    for greeted in (False, True) * 10:
        client = Client(daemon.path, hello=greeted)
        client.send_raw(b"", [null] * 60)
        client.expect_gone()
        client.close()
    os.close(null)
    observer.ask("topology")
    assert daemon.descriptors_left(before) <= before, (daemon.descriptors(), before)
    Client(daemon.path).ask("object_create", length=PAGE)


def ask_for_a_foreign_segment(daemon, name, namespace):
    become_other()
    if namespace:
        enter_namespaces(0)
    Client(daemon.path).ask("connect", controller="loopback", node_id=1, segment_id=name, permission=0o600,
                            expect="PERM_DENIED")


@as_root
@with_daemon()
def capability_of_another_namespace(daemon):
    """Who is privileged only in a user namespace of its own is not privileged here."""
    owner = Client(daemon.path)
    export, _, _ = owner.segment(umask=0o077)
    name = owner.publish(export)
    for namespace in (False, True):
        in_child(ask_for_a_foreign_segment, daemon, name, namespace)


def offer_a_forged_line(daemon, victim, work):
    """
    The file may only be read. Before its mapping another one has a path so long that a reader of 512 byte pieces finds
    a second line in it, in which the victim is mapped writable.
    """
    become_other()
    target = 0x200000000000
    fd = os.open(victim, os.O_RDONLY)
    try:
        os.open(victim, os.O_RDWR)
        raise AssertionError("the victim should be out of reach")
    except PermissionError:
        pass
    map_at(target, mmap.PROT_READ, fd)
    device, inode = line_of(target).split()[3:5]
    forged = f"{target:x}-{target + PAGE:x} rw-s 00000000 {device} {inode} x"
    before = target - 0x100000

    def map_file(name):
        fd = os.open(name, os.O_RDWR | os.O_CREAT, 0o600)
        os.ftruncate(fd, PAGE)
        map_at(before, mmap.PROT_READ | mmap.PROT_WRITE, fd)
        return line_of(before)
    column = map_file(work + "/probe").index("/")
    room = 511 - column - len(work)
    path = work
    while room > 200:
        path += "/" + "a" * 150
        room -= 151
    path += "/" + "b" * (room - 1) + forged
    os.makedirs(os.path.dirname(path), exist_ok=True)
    assert map_file(path)[511:].startswith(forged)
    Client(daemon.path).ask("object_offer", kind=2, address=target, length=PAGE, expect="BAD_ADDR")


@as_root
@with_daemon()
def forged_maps_line(daemon):
    with tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o755)
        victim, work = directory + "/victim", directory + "/work"
        with open(victim, "wb") as file:
            file.write(bytes(PAGE))
        os.chmod(victim, 0o644)
        os.mkdir(work)
        os.chown(work, OTHER, OTHER)
        in_child(offer_a_forged_line, daemon, victim, work)


@with_daemon()
def lease_stalls_nobody(daemon):
    """A lease on an offered file makes who opens it wait until the lease is broken. rsmd has others to serve."""
    with open("/proc/sys/fs/lease-break-time", encoding="utf-8") as file:
        patience = int(file.read()) / 2
    if patience < 5:
        raise Skip("leases are broken too soon to tell")
    exporter, importer, other = Client(daemon.path), Client(daemon.path), Client(daemon.path)
    fresh = os.memfd_create("leased")
    os.ftruncate(fresh, PAGE)
    memory = os.open(f"/proc/self/fd/{fresh}", os.O_RDWR)  # a lease needs a file that was opened, and once only
    os.close(fresh)
    made = exporter.ask("object_offer", [memory], kind=1, length=PAGE)["object_id"]
    export = exporter.ask("export_create", controller="loopback", length=PAGE)["export_id"]
    exporter.ask("export_layout", export_id=export, extents=[{"object_id": made, "offset": 0, "length": PAGE}])
    name = exporter.publish(export)
    handler = signal.signal(signal.SIGIO, signal.SIG_IGN)  # by which the kernel asks for the lease
    try:
        try:
            fcntl.fcntl(memory, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        except OSError as error:
            raise Skip(f"no lease: {error}") from error
        importer.socket.settimeout(patience)
        other.socket.settimeout(patience)
        importer.send("connect", controller="loopback", node_id=1, segment_id=name, permission=0o400)
        for _ in range(3):  # each time rsmd handles what became ready before
            other.ask("topology")
        importer.receive()  # granted or refused, but at once
    finally:
        exporter.close()
        os.close(memory)  # and the lease goes when rsmd has closed it, too
        signal.signal(signal.SIGIO, handler)


@with_daemon(config="")
def nobody_uses_up_no_limit(daemon):
    """Without max-exported-memory the numbers that one client names take nothing from another."""
    greedy, other = Client(daemon.path), Client(daemon.path)
    most = (1 << 63) - PAGE
    for length in (1 << 63, (1 << 64) - PAGE):
        greedy.ask("reserve", length=length, expect="INSUFFICIENT_MEM")
    for _ in range(2):
        greedy.ask("reserve", length=most)
    other.ask("reserve", length=2 * PAGE)
    other.ask("export_create", controller="loopback", length=2 * PAGE)
    for _ in range(2):
        greedy.send("object_create", length=most)  # whether the kernel can make one is its own affair
        greedy.receive()
        for fd in greedy.fds:
            os.close(fd)
    other.segment(2 * PAGE)
    greedy.close()
    for _ in range(3):
        other.ask("topology")
    other.segment(2 * PAGE)


def pin(daemon, name, pipe):
    """Puts a page of the segment itself into the pipe, and goes."""
    become_other()
    client = Client(daemon.path)
    client.connect(name, 0o400)
    assert os.splice(client.fds[0], pipe, PAGE, offset_src=0) == PAGE


@as_root
@with_daemon()
def pinned_pages_are_exposed(daemon):
    """A page in a pipe is seen by no look at open files and maps. Unpublish must tell the exporter to move it."""
    owner = Client(daemon.path)
    export, made, memory = owner.segment(4 * PAGE)
    name = owner.publish(export)
    os.pwrite(memory, b"before", 0)
    if not hasattr(os, "splice"):
        raise Skip("needs os.splice")
    end, begin = os.pipe()
    in_child(pin, daemon, name, begin)
    exposed = owner.ask("unpublish", export_id=export)["exposed_objects"]
    os.pwrite(memory, b"after!", 0)
    seen = os.read(end, 6)
    os.close(end)
    os.close(begin)
    assert seen in (b"before", b"after!")
    if seen == b"before":
        raise Skip("this kernel copies; nothing was pinned")
    assert exposed == [made], exposed


def offer_forged_system_v(daemon, directory, victim):
    """A file named like System V memory, with its id as inode number, in a mount that is nowhere any more."""
    become_other()
    enter_namespaces(CLONE_NEWNS)
    need(libc.mount(b"none", directory.encode(), b"tmpfs", 0, None), "mount")
    os.chdir(directory)
    for _ in range(victim + 1):
        fd = os.open("SYSV00000000", os.O_RDWR | os.O_CREAT, 0o600)
        if os.fstat(fd).st_ino >= victim:
            break
        os.close(fd)
        os.unlink("SYSV00000000")
    if os.fstat(fd).st_ino != victim:
        raise Missing("tmpfs numbers its files in another way")
    os.ftruncate(fd, PAGE)
    need(libc.umount2(directory.encode(), MNT_DETACH), "umount")
    address = map_at(None, mmap.PROT_READ | mmap.PROT_WRITE, fd)
    assert " /SYSV00000000" in line_of(address)
    Client(daemon.path).ask("object_offer", kind=3, address=address, length=PAGE, shmid=victim, expect="BAD_ADDR")


@with_daemon()
def forge_system_v(daemon):
    victim = 0
    while victim < 16:  # small numbers, as a fresh tmpfs has them
        victim = need(libc.shmget(0, PAGE, IPC_CREAT | 0o600), "shmget")
    address = libc.shmat(victim, None, 0)
    Client(daemon.path).ask("object_offer", kind=3, address=address, length=PAGE, shmid=victim)  # the real one is taken
    with tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o755)
        in_child(offer_forged_system_v, daemon, directory, victim)


def forge_in_fresh_ipc():
    need(libc.unshare(CLONE_NEWIPC), "unshare")  # rsmd is in it, too; its memory goes with it
    forge_system_v()


@as_root
def forged_system_v():
    in_child(forge_in_fresh_ipc)


COUNTERS = 128 + 2048 * 320  # bytes of a table, segment/counters.h


def look_only(daemon, own):
    """Another user may see the table of counters, and not change it by any descriptor."""
    become_other()
    viewer = Client(daemon.path)
    reply = viewer.ask("counters")["counters"]
    assert not viewer.fds
    table, = [told for told in reply["tables"] if told["pid"] == os.getppid()]
    assert table["rows"] == 12 and not table["guests"] and table["program"] == "test"
    reply = viewer.ask("counters", tables=[table["id"], 4711, table["id"]])["counters"]  # what is not there is left out
    assert [told["id"] for told in reply["tables"]] == [table["id"]] * 2 and len(viewer.fds) == 2
    assert fcntl.fcntl(viewer.fds[0], fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY
    assert os.fstat(viewer.fds[0]).st_size == COUNTERS == os.fstat(viewer.fds[1]).st_size
    seals = fcntl.fcntl(viewer.fds[0], fcntl.F_GET_SEALS)
    assert seals & fcntl.F_SEAL_SHRINK and seals & fcntl.F_SEAL_GROW and seals & fcntl.F_SEAL_SEAL
    try:
        mmap.mmap(viewer.fds[0], COUNTERS, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
        raise AssertionError("a viewer's table can be written")
    except PermissionError:
        pass
    try:
        os.open(f"/proc/self/fd/{viewer.fds[0]}", os.O_RDWR)
        raise AssertionError("a viewer's table was opened again for writing")
    except PermissionError:
        pass
    assert os.pread(viewer.fds[0], 4, 0) == b"mine" == os.pread(own, 4, 0)
    viewer.send("counters", tables=list(range(65)))
    viewer.expect_gone()


def connected(daemon, segment=0x400000):
    """A client with one import, of a segment of its own; what came with it is closed."""
    client = Client(daemon.path)
    export, _, memory = client.segment()
    os.close(memory)
    client.publish(export, segment)
    client.connect(segment)
    for descriptor in client.fds:
        os.close(descriptor)
    return client


@with_daemon()
def counters_are_as_large_as_what_they_count(daemon):
    """A page of a memfd takes memory once it is read: who looks does so for no more than there were imports."""
    viewer = Client(daemon.path)
    viewer.ask("counters", own=True, expect="BAD_SEG_HNDL")
    client = connected(daemon)
    client.ask("counters", own=True)
    os.close(client.fds[0])

    def told():
        reply = viewer.ask("counters")["counters"]
        table, = reply["tables"]
        return table["rows"], reply["changes"]
    steps, seen = [(1, *told())], [1]
    for imports in range(2, 2100):
        seen.append(client.connect(0x400000)["import_id"])
        for descriptor in client.fds:
            os.close(descriptor)
        rows, changes = told()
        assert rows >= min(imports, 2048), (imports, rows)
        if (rows, changes) != steps[-1][1:]:
            steps.append((imports, rows, changes))
    first = steps[0][2]
    assert steps == [(at, rows, first + step) for step, (at, rows) in enumerate([
        (1, 12), (13, 24), (25, 48), (49, 96), (97, 192), (193, 384), (385, 768), (769, 1536), (1537, 2048)])], steps
    for import_id in seen[1:]:
        client.send("disconnect", import_id=import_id)
    client.ask("topology")
    assert told() == steps[-1][1:]  # rows that were in use may still say what they counted


@as_root
@with_daemon()
def counters_are_looked_at_only(daemon):
    client = connected(daemon)
    client.ask("counters", own=True)
    own, = client.fds
    before = daemon.descriptors()
    for _ in range(3):  # the same one
        client.ask("counters", own=True)
        assert os.fstat(client.fds[0]).st_ino == os.fstat(own).st_ino
    assert daemon.descriptors_left(before) <= before
    os.pwrite(own, b"mine", 0)
    in_child(look_only, daemon, own)
    changes = Client(daemon.path).ask("counters")["counters"]
    client.close()
    other = Client(daemon.path)
    deadline = time.monotonic() + TIMEOUT
    while other.ask("counters")["counters"].get("tables") and time.monotonic() < deadline:
        pass
    told = other.ask("counters")["counters"]
    assert not told["tables"] and told["changes"] > changes["changes"]


@with_daemon(limit=1024)
def counters_take_no_room_from_others(daemon):
    """Where half of rsmd's descriptors are in use, tables are refused and clients are served as before."""
    clients, refused = [], 0
    while refused < 10:
        clients.append(connected(daemon, 0x400000 + len(clients)))
        clients[-1].send("counters", own=True)
        reply = clients[-1].receive()
        for fd in clients[-1].fds:
            os.close(fd)
        if reply["code"]:
            refused += 1
            assert "RLIMIT_NOFILE" in reply["reason"]
        assert len(clients) < 1024
    assert len(clients) > 50
    clients[-1].segment()
    for client in clients:
        client.close()


if __name__ == "__main__":
    run({name: test for name, test in list(globals().items()) if name in (
        "descriptors_of_empty_messages", "capability_of_another_namespace", "forged_maps_line", "lease_stalls_nobody",
        "nobody_uses_up_no_limit", "pinned_pages_are_exposed", "forged_system_v", "counters_are_looked_at_only",
        "counters_are_as_large_as_what_they_count", "counters_take_no_room_from_others")})
