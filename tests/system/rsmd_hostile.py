# SPDX-License-Identifier: BSD-2-Clause
"""Clients that mean harm, or are broken: each is dropped or refused alone, with nothing lost for the others."""

import os
import random
import signal
import socket
import struct
import tempfile
import time

from rsmd_client import MAGIC, PROTO, TIMEOUT, Client, Daemon, frame, readable, run, varint


def with_daemon(config="", **options):
    """Decorator: a fresh rsmd and a good client, which must be served all the time."""
    def wrap(test):
        def body():
            with tempfile.TemporaryDirectory() as directory:
                daemon = Daemon(directory + "/rsmd.sock", config=config, **options)
                try:
                    good = Client(daemon.path)
                    export, _, memory = good.segment()
                    name = good.publish(export)
                    os.close(memory)
                    before = daemon.descriptors()
                    test(daemon)
                    reply = good.connect(name)
                    good.send("disconnect", import_id=reply["import_id"])
                    good.ask("topology")
                    for fd in good.fds:
                        os.close(fd)
                    assert daemon.descriptors_left(before + 1) <= before + 1, "descriptors leaked"  # +1: signal memory
                finally:
                    daemon.stop()
        return body
    return wrap


def quiet(daemon):
    """All that was sent before has been handled: one more conversation goes through, and its end, too."""
    client = Client(daemon.path)
    client.ask("topology")
    client.close()
    Client(daemon.path).ask("topology")


@with_daemon()
def violations_drop_the_client(daemon):
    hello = {"id": 1, "hello": {"version": 1}}
    topology = PROTO.encode("Request", {"id": 2, "topology": {}})
    cases = {
        "short": b"abc", "wrong magic": struct.pack("=II", MAGIC + 1, 0), "length beyond": struct.pack("=II", MAGIC, 9),
        "length short": struct.pack("=II", MAGIC, 1) + b"12", "huge": struct.pack("=II", MAGIC, 0xFFFFFFFF),
        "memfd missing": struct.pack("=II", MAGIC, 40000), "not protobuf": frame(b"\xff" * 50),
        "empty": frame(b""), "unknown request": frame(PROTO.encode("Request", {"id": 1}) + b"\xf2\x3f\x00"),
    }
    for case, data in cases.items():
        for greeted in (False, True):
            client = Client(daemon.path, hello=greeted)
            client.send_raw(data)
            client.expect_gone()
    client = Client(daemon.path, hello=False)
    client.send_raw(frame(topology))  # no Hello first
    client.expect_gone()
    client = Client(daemon.path)
    client.send_raw(frame(PROTO.encode("Request", hello)))  # a second Hello
    client.expect_gone()
    client = Client(daemon.path, hello=False)
    client.ask("hello", version=2, expect="BAD_LIBRARY_VERSION")
    client.expect_gone()
    client = Client(daemon.path)
    client.send("unreserve", length=1)  # more than it has
    client.expect_gone()
    assert case


@with_daemon()
def descriptors_where_none_belong(daemon):
    for kind, values in (("topology", {}), ("object_create", {"length": 4096}), ("object_offer", {"kind": 3, "length": 4096})):
        client = Client(daemon.path)
        client.send(kind, [0, 1], **values)
        client.expect_gone()
    client = Client(daemon.path)
    client.send("object_offer", kind=1, length=4096)  # and none where one does
    client.expect_gone()
    client = Client(daemon.path)
    client.send_raw(frame(b""), [0] * 100)
    client.expect_gone()
    # Descriptors of sockets inside sockets, too.
    one, other = socket.socketpair()
    client = Client(daemon.path)
    client.send_raw(frame(b""), [one.fileno(), other.fileno(), client.socket.fileno()])
    client.expect_gone()
    one.close()
    other.close()
    client.close()
    quiet(daemon)


@with_daemon()
def bodies_that_may_change(daemon):
    import fcntl
    body = PROTO.encode("Request", {"id": 1, "status": {"what": "x" * 40000}})
    for seals in (0, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW, fcntl.F_SEAL_WRITE):
        memfd = os.memfd_create("body", os.MFD_ALLOW_SEALING)
        os.write(memfd, body)
        fcntl.fcntl(memfd, fcntl.F_ADD_SEALS, seals)
        client = Client(daemon.path)
        client.send_raw(struct.pack("=II", MAGIC, len(body)), [memfd])
        client.expect_gone()
        os.close(memfd)


@with_daemon()
def random_bytes(daemon):
    dice = random.Random(7)
    whole = [PROTO.encode("Request", {"id": 1, kind: {}}) for kind in PROTO.messages["Request"] if kind != "id"]
    whole.append(PROTO.encode("Request", {"id": 5, "export_layout": {"export_id": 2, "extents": [
        {"object_id": 1, "offset": 0, "length": 4096}] * 5}}))
    whole.append(PROTO.encode("Request", {"id": 5, "publish": {"export_id": 2, "segment_id": 0x400000, "acl": [
        {"node_id": 1, "permission": 0o644}] * 5}}))
    for _ in range(3000):
        client = Client(daemon.path, hello=dice.random() < 0.8)
        try:
            for _ in range(dice.randrange(1, 5)):
                body = bytearray(dice.choice(whole))
                for _ in range(dice.randrange(4)):
                    if body:
                        body[dice.randrange(len(body))] = dice.randrange(256)
                client.send_raw(frame(bytes(body)))
        except OSError:
            pass  # dropped already
        client.close()
    quiet(daemon)


@with_daemon()
def names_of_others(daemon):
    victim, thief = Client(daemon.path), Client(daemon.path)
    export, made, _ = victim.segment()
    name = victim.publish(export)
    held = victim.connect(name)["import_id"]
    for kind, values, expect in (
            ("publish", {"export_id": export, "republish": 1}, "BAD_SEG_HNDL"),
            ("unpublish", {"export_id": export}, "BAD_SEG_HNDL"),
            ("export_destroy", {"export_id": export}, "BAD_SEG_HNDL"),
            ("signals", {"export_id": export}, "BAD_SEG_HNDL"), ("signals", {"export_id": held}, "BAD_SEG_HNDL"),
            ("pollfd", {"handle_id": export}, "BAD_SEG_HNDL"), ("pollfd", {"handle_id": held}, "BAD_SEG_HNDL"),
            ("pollfd", {"handle_id": made}, "BAD_SEG_HNDL"), ("import_layout", {"import_id": held}, "BAD_SEG_HNDL"),
            ("import_layout", {"import_id": export}, "BAD_SEG_HNDL"),
            ("pollfd", {"handle_id": (1 << 64) - 1}, "BAD_SEG_HNDL")):
        thief.ask(kind, expect=expect, **values)
    thief.send("object_free", object_id=made)
    thief.send("disconnect", import_id=held)
    thief.ask("ring", handle_id=export, expect="BAD_SEG_HNDL")
    thief.ask("topology")
    victim.ask("import_layout", import_id=held)
    victim.ask("export_layout", export_id=export, extents=[{"object_id": made, "offset": 0, "length": 4096}])


@with_daemon()
def who_does_not_read(daemon):
    """Requests without ever reading an answer: rsmd stops reading them, and keeps its size."""
    lazy = Client(daemon.path)
    lazy.segment()
    lazy.socket.setblocking(False)
    before = daemon.rss_kib()
    sent = 0
    try:
        while sent < 100000:
            lazy.send("status", what="status")
            sent += 1
    except BlockingIOError:
        lazy.id -= 1
    quiet(daemon)
    try:
        while sent < 100000:
            lazy.send("topology")
            sent += 1
    except BlockingIOError:
        lazy.id -= 1
    assert sent < 100000, "rsmd reads on although nobody reads its answers"
    for _ in range(100):
        quiet(daemon)
    ticks, (mute, _end) = daemon.cpu_ticks(), os.pipe()
    assert not readable(mute, 1)
    assert daemon.cpu_ticks() - ticks <= 1, "it spins over an answer that nobody takes"
    assert daemon.rss_kib() < before + 4096 or daemon.sanitized()
    # Once it reads, every answer is there, in order.
    lazy.socket.setblocking(True)
    first = lazy.receive()["id"]
    answers = 1
    while answers < sent - 10:
        reply = lazy.receive()
        assert reply["id"] == first + answers, (reply["id"], first + answers)
        for fd in lazy.fds:
            os.close(fd)
        answers += 1
    lazy.close()


@with_daemon()
def silence(daemon):
    quiet_ones = [Client(daemon.path, hello=False) for _ in range(200)]
    quiet(daemon)
    ticks = daemon.cpu_ticks()
    assert not readable(quiet_ones[0].socket, 1)
    assert daemon.cpu_ticks() - ticks <= 1
    for client in quiet_ones:
        client.close()
    quiet(daemon)


@with_daemon(limit=400)
def descriptors_run_out(daemon):
    """By objects, by doorbells, by connections: refused with the limit named, and served again when some are free."""
    ticks = daemon.cpu_ticks()
    greedy, observer = Client(daemon.path), Client(daemon.path)

    def take(kind, **values):
        count = 0
        while True:
            greedy.send(kind, **values)
            reply = greedy.receive()
            for fd in greedy.fds:
                os.close(fd)
            if reply["code"]:
                assert reply["code"] == 31 and "RLIMIT_NOFILE 400" in reply["reason"], reply
                return count
            count += 1
            assert count < 400
    made = take("object_create", length=4096)
    assert made > 100
    export = greedy.ask("export_create", controller="loopback", length=4096)["export_id"]
    assert take("signals", export_id=export) == 0 and take("pollfd", handle_id=export) == 0
    late = Client(daemon.path, hello=False)
    late.send("hello", version=1)
    reply = late.receive()
    assert reply["id"] == 1 and reply["code"] == 31 and "RLIMIT_NOFILE" in reply["reason"], reply
    late.expect_gone()
    # Many of them, mute: the first ones wait for their answer, the others are closed at once; nothing spins.
    crowd = [Client(daemon.path, hello=False) for _ in range(300)]
    for client in crowd:
        client.close()
    greedy.close()
    for _ in range(20):  # each time rsmd handles what became ready before
        observer.ask("topology")
    observer.close()
    assert daemon.cpu_ticks() - ticks < 300
    assert daemon.descriptors_left(30) <= 30
    deadline = time.monotonic() + TIMEOUT
    while True:  # some of the crowd may still come in and go, and take the last places for a moment
        late = Client(daemon.path, hello=False)
        late.send("hello", version=1)
        code = late.receive()["code"]
        late.close()
        if code == 0:
            break
        assert code == 31 and time.monotonic() < deadline
    quiet(daemon)
    again = Client(daemon.path)
    again.ask("object_create", length=4096)
    again.close()


@with_daemon()
def floods_of_descriptors(daemon):
    """More descriptors than a packet may hold, again and again, do not stay open."""
    null = os.open("/dev/null", os.O_RDONLY)
    for _ in range(100):
        client = Client(daemon.path)
        try:
            for _ in range(5):
                client.send_raw(frame(b"\xff"), [null] * 250)
        except OSError:
            pass
        client.close()
    quiet(daemon)


@with_daemon()
def leaving_in_the_middle(daemon):
    """The client goes away at each step, with answers and descriptors on their way."""
    steps = [("object_create", {"length": 4096}), ("export_create", {"controller": "loopback", "length": 4096}),
             ("topology", {}), ("status", {"what": "segments"})]
    for count in range(len(steps) + 1):
        for _ in range(20):
            client = Client(daemon.path)
            for kind, values in steps[:count]:
                client.send(kind, **values)
            client.close()
    quiet(daemon)


def lingering():
    """A socket whose last close takes an hour, and its peer, which must stay open."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    slow = socket.socket()
    slow.connect(listener.getsockname())
    peer, _ = listener.accept()
    listener.close()
    slow.setblocking(False)
    try:
        while True:
            slow.send(b"x" * 65536)
    except BlockingIOError:
        pass
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 3600))
    return slow, peer


@with_daemon()
def closing_takes_long(daemon):
    """Descriptors whose close blocks: in a bad packet, too many in one, in the queue of a client that is dropped."""
    null = os.open("/dev/null", os.O_RDONLY)
    peers = []
    for before, packets in ((0, 1), (0, 2), (100, 1)):
        slow, peer = lingering()
        client = Client(daemon.path)
        daemon.process.send_signal(signal.SIGSTOP)  # so that the last close is not ours
        os.waitid(os.P_PID, daemon.process.pid, os.WSTOPPED)
        for _ in range(packets):
            try:
                client.send_raw(b"garbage", [null] * before + [slow.fileno()])
            except (BrokenPipeError, ConnectionResetError):
                pass  # the first one was enough
        slow.close()
        daemon.process.send_signal(signal.SIGCONT)
        client.expect_gone()
        peers.append(peer)
    os.close(null)
    start = time.monotonic()
    quiet(daemon)
    assert time.monotonic() - start < TIMEOUT / 2
    for peer in peers:
        peer.close()  # resets the connection, which ends the linger


@with_daemon()
def memory_of_many_pages(daemon):
    """An object that is freed while somebody holds it is empty soon, and others are served meanwhile."""
    client, other = Client(daemon.path), Client(daemon.path)
    made = client.ask("object_create", length=64 << 20)["object_id"]
    memory = client.fds[0]
    os.pwrite(memory, b"x" * (64 << 20), 0)
    client.send("object_free", object_id=made)
    client.ask("topology")
    other.ask("topology")
    deadline = time.monotonic() + TIMEOUT
    while os.fstat(memory).st_blocks and time.monotonic() < deadline:
        other.ask("topology")
    assert os.fstat(memory).st_blocks == 0, "the pages are not given back"
    os.close(memory)
    client.close()
    other.close()


@with_daemon()
def answers_nobody_reads(daemon):
    """Descriptors and large bodies that lie in unread answers are few; who reads is served on and on."""
    reader = Client(daemon.path)
    for _ in range(300):
        reader.ask("object_create", length=4096)
        os.close(reader.fds[0])
    reader.close()
    lazy = Client(daemon.path)
    try:
        for _ in range(200):
            lazy.send("object_create", length=4096)
    except OSError:
        pass
    deadline = time.monotonic() + TIMEOUT
    while not any("descriptors in answers" in line for line in daemon.lines) and time.monotonic() < deadline:
        quiet(daemon)
    assert sum("descriptors in answers" in line for line in daemon.lines) == 1, daemon.lines
    lazy.close()


@with_daemon()
def large_answers_nobody_reads(daemon):
    owner = Client(daemon.path)
    made = owner.ask("object_create", length=4096)["object_id"]
    for _ in range(200):
        export = owner.ask("export_create", controller="loopback", length=4096)["export_id"]
        owner.ask("export_layout", export_id=export, extents=[{"object_id": made, "offset": 0, "length": 4096}])
        owner.publish(export)
    for _ in range(5):
        assert len(owner.ask("status", what="segments")["json"]) > 32768
    owner.send("status", what="segments")
    owner.send("status", what="segments")
    quiet(daemon)
    owner.receive()
    owner.expect_gone()
    for fd in owner.fds:
        os.close(fd)


@with_daemon()
def requests_of_many_parts(daemon):
    """Half a million empty messages in one request: refused, and rsmd keeps its size."""
    import fcntl
    publish = varint(1 << 3) + varint(1) + b"\x22\x00" * 520000
    body = varint(1 << 3) + varint(1) + varint(PROTO.messages["Request"]["publish"][0] << 3 | 2)
    body += varint(len(publish)) + publish
    before = daemon.rss_kib()
    client = Client(daemon.path)
    for _ in range(3):
        memfd = os.memfd_create("body", os.MFD_ALLOW_SEALING)
        os.write(memfd, body)
        fcntl.fcntl(memfd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE)
        client.send_raw(struct.pack("=II", MAGIC, len(body)), [memfd])
        os.close(memfd)
        assert client.receive()["code"] == 5
    client.ask("topology")
    assert daemon.rss_kib() < before + 8192 or daemon.sanitized()
    client.close()


if __name__ == "__main__":
    run({name: test for name, test in list(globals().items()) if name in (
        "violations_drop_the_client", "descriptors_where_none_belong", "bodies_that_may_change", "random_bytes",
        "names_of_others", "who_does_not_read", "silence", "descriptors_run_out", "floods_of_descriptors",
        "leaving_in_the_middle", "closing_takes_long", "memory_of_many_pages", "answers_nobody_reads",
        "large_answers_nobody_reads", "requests_of_many_parts")})
