# SPDX-License-Identifier: BSD-2-Clause
"""Whoever can reach rsmd's port: noise, broken and replayed frames with a real ticket, forged tickets, a wrong key, the right
key and wrong words, crowds that say nothing. Each is dropped alone; others are served meanwhile; nothing is left."""

import json
import os
import random
import re
import resource
import select
import socket
import struct
import threading
import time

from cluster import soon
from raw_net import (ANSWER, DEAD_AFTER, FAKE, FENCE, GET, KEY, MAGIC, NODE, NO_ACCUMULATE, PEER, POST, PUT, SIZE, Connection,
                     Import, Stream, endpoint, greeting, hello, offences, request, with_segment)
from rsmd_client import NAMES, TIMEOUT, Client, Skip, run
from watcher import Watcher

# ---- noise ----

@with_segment
def noise(segment):
    dice = random.Random(7)
    firsts = [b"", b"\x16", b"\x16\x03\x01", b"R", MAGIC, MAGIC + b"\x01\x00\x01\x00", b"GET / HTTP/1.1\r\n"]
    for at in range(600):
        connection = Connection(greet=False)
        try:
            connection.send(dice.choice(firsts) + dice.randbytes(dice.choice((1, 7, 56, 64, 200, 5000))))
        except OSError:
            pass  # dropped already
        connection.close()
        if at % 100 == 0:
            segment.serve()
    segment.untouched()
    for first in firsts[1:]:  # half a word, then nothing: dropped when its time is over
        connection = Connection(greet=False)
        connection.send(first)
        connection.expect_end()


@with_segment
def blame_is_bounded(segment):
    """Hundreds of offences of one cause are some lines, not hundreds."""
    ticket = (4711, bytes(32))
    for _ in range(500):
        connection = Connection(greet=False)
        connection.send(hello(ticket))
        try:
            while connection.socket.recv(4096):
                pass
        except ConnectionResetError:
            pass
        connection.close()
    lines = offences(segment.daemon)
    assert 1 <= len(lines) <= 50, f"{len(lines)} lines: {lines[:3]}"


# ---- tickets ----

def refused(data):
    """A hello that must not be welcome: nothing, or a welcome with a code; then the end."""
    connection = Connection(greet=False)
    connection.send(data)
    answer = b""
    try:
        while more := connection.socket.recv(4096):
            answer += more
    except ConnectionResetError:
        pass
    connection.close()
    assert len(answer) in (0, 16), answer
    assert not answer or struct.unpack("<H", answer[8:10])[0] != 0, "welcome"


@with_segment
def tickets(segment):
    used = segment.good.ticket
    refused(hello(used))  # good once
    fresh = Import(segment.daemon, segment.name)
    number, secret = fresh.ticket
    flipped = bytes([secret[0] ^ 1]) + secret[1:]
    for wrong in ((number + 1, secret), (number, flipped), (number, secret[:31] + bytes([secret[31] ^ 0x80])),
                  (number, bytes(32)), (0, secret), ((1 << 64) - 1, b"\xff" * 32)):
        refused(hello(wrong))
    segment.serve()
    fresh.close()
    other = Import(segment.daemon, segment.name)
    other.client.send("disconnect", import_id=other.id)
    other.client.ask("topology")
    refused(hello(other.ticket))  # who has disconnected has no right left
    other.close()
    gone = Import(segment.daemon, segment.name)
    gone.close()  # nor whose process has gone
    deadline = time.monotonic() + TIMEOUT
    while True:
        try:
            refused(hello(gone.ticket))
            break
        except AssertionError:
            assert time.monotonic() < deadline
    segment.untouched()


@with_segment
def hellos(segment):
    for wrong in ({"magic": b"RSMe"}, {"version": 0}, {"version": 2}, {"order": 0}, {"order": 3}, {"reserved": 1},
                  {"zeros": bytes(15) + b"\1"}):
        fresh = Import(segment.daemon, segment.name)
        refused(hello(fresh.ticket, **wrong))
        fresh.close()
    fresh = Import(segment.daemon, segment.name)  # in two pieces, with the first request in the same breath
    whole = hello(fresh.ticket) + request(FENCE, 0)
    connection = Connection(greet=False)
    connection.send(whole[:20])
    segment.serve()
    connection.send(whole[20:])
    assert connection.take(16)[8:10] == b"\0\0" and connection.reply()[:3] == (FENCE, 0, 0)
    connection.send(hello(fresh.ticket))  # twice is no request
    connection.expect_end()
    fresh.close()
    segment.untouched()


# ---- requests ----

def broken_requests():
    """(name, permission, bytes)."""
    top = 1 << 64
    for op in (0, 5, 127, 255):
        yield f"op {op}", 0o600, request(op, 0)
    for flags in (4, 8, 0x80, 0xff):
        yield f"flags {flags}", 0o600, request(GET, 0, 0, 8, flags=flags)
    for width in (3, 5, 9, 16, 255):
        yield f"width {width}", 0o600, request(GET, 0, 0, 16, width=width)
    yield "reserved", 0o600, request(GET, 0, 0, 8, reserved=1)
    for sequence in (1, 2, 0xffffffff):
        yield f"sequence {sequence}", 0o600, request(FENCE, sequence)
    edges = ((SIZE, 1), (SIZE - 1, 2), (0, SIZE + 1), (SIZE + 1, 0), (SIZE - 8, 16), (1 << 62, 1), (1 << 63, 1),
             ((1 << 63) - 1, 1), (top - 1, 1), (top - 8, 8), (top - 8, 16), (8, top - 8), (0, top - 1), (0, 1 << 63),
             (8, top - 1), (0, 1 << 56), (0, (1 << 56) + 1), (1 << 56, 1 << 56), (top - SIZE, SIZE), (4096, top - 4096))
    for offset, length in edges:
        yield f"get {offset:#x}+{length:#x}", 0o600, request(GET, 0, offset, length)
        yield f"put {offset:#x}+{length:#x}", 0o600, request(PUT, 0, offset, length) + b"\xee" * min(length, 4096)
        yield f"put items {offset:#x}+{length:#x}", 0o600, (
            request(PUT, 0, offset, length, width=1) + b"\xee" * min(length, 4096))
    for width, offset, length in ((2, 1, 2), (4, 2, 4), (8, 4, 8), (8, 0, 9), (4, 0, 6), (2, 0, 1)):
        yield f"put width {width} at {offset}", 0o600, request(PUT, 0, offset, length, width=width) + b"\xee" * length
        yield f"get width {width} at {offset}", 0o600, request(GET, 0, offset, length, width=width)
    yield "put without right", 0o400, request(PUT, 0, 0, 8) + b"\xee" * 8
    yield "put items without right", 0o400, request(PUT, 0, 0, 8, width=8) + b"\xee" * 8
    yield "get without right", 0o200, request(GET, 0, 0, 8)
    yield "put with no right", 0, request(PUT, 0, 0, 8) + b"\xee" * 8
    yield "get with no right", 0, request(GET, 0, 0, 8)


@with_segment
def requests_that_break_the_protocol(segment):
    count = 0
    for name, permission, data in broken_requests():
        fresh = Import(segment.daemon, segment.name, permission)
        connection = Connection(fresh.ticket)
        try:
            connection.send(data)
            connection.expect_end()
            segment.untouched()
        except AssertionError as error:
            raise AssertionError(f"{name}: {error}") from error
        fresh.close()
        count += 1
    assert offences(segment.daemon), "no line of it in the log"
    print(f"# {count} broken requests")


@with_segment
def edges_that_are_right(segment):
    fresh = Import(segment.daemon, segment.name)
    connection = Connection(fresh.ticket)
    connection.ask(PUT, SIZE, 0)
    assert connection.ask(GET, SIZE, 0) == b""
    assert connection.ask(GET, SIZE - 9, 1) == b"\0"
    assert len(connection.ask(GET, 0, SIZE)) == SIZE
    connection.ask(PUT, 0, data=b"\x11" * 8, width=8)
    connection.ask(PUT, 0, data=bytes(8), width=1)
    connection.send(request(PUT, connection.sequence, 0, 4, flags=0) + b"abcd")  # without an answer
    connection.sequence += 1
    connection.ask(FENCE)
    assert os.pread(segment.memory, 4, 0) == b"abcd"
    connection.ask(PUT, 0, data=bytes(4))
    connection.ask(POST, flags=ANSWER | NO_ACCUMULATE)
    connection.close()
    fresh.close()
    segment.untouched()


@with_segment
def replayed_and_truncated(segment):
    fresh = Import(segment.daemon, segment.name)
    connection = Connection(fresh.ticket)
    put = request(PUT, 0, 0, 8) + bytes(8)
    connection.send(put)
    assert connection.reply()[:3] == (PUT, 0, 0)
    connection.send(put)  # the same again
    connection.expect_end()
    fresh.close()
    whole = request(PUT, 0, 0, 4096) + bytes(4096)
    for length in (1, 23, 24, 25, 2000, len(whole) - 1):
        fresh = Import(segment.daemon, segment.name)
        connection = Connection(fresh.ticket)
        connection.send(whole[:length])
        connection.socket.shutdown(socket.SHUT_WR)
        connection.expect_end()
        fresh.close()
    segment.untouched()


@with_segment
def an_offence_aborts_one_import(segment):
    """The import of who broke the protocol is aborted; another import of the same process is not."""
    client = Import(segment.daemon, segment.name)
    second = Import(segment.daemon, segment.name)
    bad, good = Connection(client.ticket), Connection(second.ticket)
    bad.send(request(99, 0))
    bad.expect_end()
    assert good.ask(GET, 0, 8) == bytes(8)
    refused(hello(client.ticket))
    good.close()
    client.close()
    second.close()


# ---- who takes his time ----

@with_segment
def who_stops_in_the_middle(segment):
    """Requests begun and never finished, answers asked for and never read: more of each than there are threads."""
    imports, connections = [], []
    for at in range(12):
        imports.append(Import(segment.daemon, segment.name))
        connection = Connection(imports[-1].ticket)
        if at % 3 == 0:
            connection.send(request(PUT, 0, 0, SIZE - 8) + bytes(100))
        elif at % 3 == 1:
            connection.send(request(PUT, 0)[:13])
        else:
            connection.socket.settimeout(0.3)
            try:
                for sequence in range(1 << 20):  # until neither side takes any more
                    connection.send(request(GET, sequence, 0, SIZE))
            except OSError:
                pass
        connections.append(connection)
        segment.serve()
    start = time.monotonic()
    while time.monotonic() - start < DEAD_AFTER * 1.5:
        segment.serve()
    start = time.monotonic()
    export, made, memory = segment.client.segment(SIZE, controller="tcp0")  # and control calls go on
    os.close(memory)
    segment.client.ask("export_destroy", export_id=export)
    segment.client.send("object_free", object_id=made)
    assert time.monotonic() - start < 1.0
    for connection, client in zip(connections, imports):
        connection.close()
        client.close()
    segment.untouched()


@with_segment
def crowd(segment):
    """3000 connections that say nothing."""
    count = 3000
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard < count + 200:
        raise Skip(f"{hard} descriptors are too few")
    address = endpoint()
    silent = []
    longest = 0
    for at in range(count):
        one = socket.socket()
        one.setblocking(False)
        try:
            one.connect(address)
        except BlockingIOError:
            pass
        silent.append(one)
        if at % 300 == 0:
            longest = max(longest, segment.serve())
    fresh = Import(segment.daemon, segment.name)  # a newcomer finds the door open
    start = time.monotonic()
    connection = Connection(fresh.ticket)
    connection.ask(GET, 0, 8)
    took = time.monotonic() - start
    assert took < 2.0, f"a newcomer waited {took:.3f} s"
    print(f"# good importer {longest * 1000:.0f} ms at most, newcomer {took * 1000:.0f} ms")
    connection.close()
    fresh.close()
    poll = select.poll()
    for one in silent:
        poll.register(one, select.POLLIN | select.POLLHUP | select.POLLERR)
    left, deadline = len(silent), time.monotonic() + TIMEOUT
    while left and time.monotonic() < deadline:  # all of them are dropped when their time is over
        for fd, _ in poll.poll(1000):
            poll.unregister(fd)
            left -= 1
    assert left == 0, f"{left} silent connections are still there"
    for one in silent:
        one.close()
    lines = offences(segment.daemon)
    assert len(lines) <= 60, f"{len(lines)} lines"


# ---- control streams ----

@with_segment
def wrong_keys(segment):
    before = len(offences(segment.daemon))
    for identity, key in ((f"rsm-node-{FAKE}", "5b" * 32), (f"rsm-node-{FAKE}", "00" * 32), ("rsm-node-99", KEY),
                          (f"rsm-node-{NODE}", KEY), ("rsm-node-", KEY), ("root", KEY), ("rsm-node-1x", KEY),
                          ("rsm-ticket-0000000000000001", KEY), ("x" * 63, KEY)):
        stream = Stream(identity, key)
        assert not stream.begun(), f"{identity} came in"
        stream.close()
    lines = offences(segment.daemon)
    assert len(lines) > before, "no line about it"


@with_segment
def right_key_wrong_words(segment):
    cases = {
        "older version": {"version": 0}, "newer version": {"version": 99}, "another node": {"node_id": 77},
    }
    for name, values in cases.items():
        stream = Stream(f"rsm-node-{FAKE}")
        assert stream.begun(), name
        stream.send("hello", **greeting(**values))
        found = stream.messages()
        byes = [message["bye"] for message in found if "bye" in message]
        assert byes and byes[-1]["code"] != 0 and byes[-1]["reason"], f"{name}: {found}"
        if "version" in name:
            assert NAMES[byes[-1]["code"]] == "BAD_LIBRARY_VERSION", byes
        stream.close()
    for name, body, length in (("no protobuf", b"\xff" * 40, None), ("too long", b"", 1 << 21), ("longest", b"", 0xffffffff),
                               ("before hello", PEER.encode("PeerMessage", {"beat": {"time_ns": 5}}), None)):
        stream = Stream(f"rsm-node-{FAKE}")
        assert stream.begun(), name
        stream.send_raw(body, length)
        stream.messages()
        stream.close()
        segment.serve()


def active(**values):
    stream = Stream(f"rsm-node-{FAKE}")
    assert stream.begun()
    stream.send("hello", **greeting(**values))
    while "hello" not in stream.message():
        pass
    return stream


def refusal(client):
    """Connects to the fake node: a function that tells why it is refused, once it is."""
    client.send("connect", controller="tcp0", node_id=FAKE, segment_id=0x1234, permission=0o400)
    first = client.receive()

    def told():
        if first["code"]:
            return first
        client.send("connect_result", import_id=first["connect"]["import_id"])
        reply = client.receive()
        return reply if reply["code"] else None
    return told


@with_segment
def texts_of_a_peer(segment):
    """What another node says reaches no process, and so no terminal, with control characters."""
    evil, shown = "\x1b]0;evil\x07\x9b31m\n" + "\u00e4" * 400, "?]0;evil???31m?"
    client = Client(segment.daemon.path)
    stream = active(node_name=evil, release=evil)

    def greeted():
        """The fake node's path, once its hello was read."""
        paths = json.loads(client.ask("status", what="nodes")["json"])["paths"]
        return next((path for path in paths if path["node"] == FAKE and path["release"]), None)
    path = soon(greeted, "the hello")
    for key in ("name", "release"):
        assert path[key].startswith(shown + "\u00e4") and set(path[key][len(shown):]) == {"\u00e4"}, path
    told = refusal(client)
    while "connect" not in (message := stream.message()):
        pass
    stream.send("connected", away_id=message["connect"]["away_id"], code=7, reason=evil)
    reply = soon(told, "the refusal")
    assert reply["code"] == 7 and reply["reason"].startswith(shown), reply
    stream.close()
    stream = Stream(f"rsm-node-{FAKE}")
    assert stream.begun()
    stream.send("bye", code=1, reason=evil)
    stream.messages()
    stream.close()
    reply = soon(refusal(client), "the loss of the path")
    assert NAMES[reply["code"]] == "REMOTE_NODE_UNREACHABLE" and shown in reply["reason"], reply
    for fd in client.fds:
        os.close(fd)
    client.close()


@with_segment
def paths_in_the_log(segment):
    """Noise at the door keeps no path out of the log; a path that goes down is no offence, and floods nothing either."""
    watcher, over = Watcher(segment.daemon.path), threading.Event()

    def offence_count():
        text = json.loads(watcher.client.ask("status", what="metrics")["json"])["text"]
        return int(re.search(r"^rsm_offences_total (\d+)$", text, re.M)[1])

    def lines(kind):
        return sum(f"event={kind} " in line for line in segment.daemon.lines)

    def flap():
        active().close()
        watcher.until("node-down")

    def noise_at_the_door():
        while not over.is_set():
            client = Client(segment.daemon.path, hello=False)
            client.send_raw(b"nonsense")
            client.expect_gone()
            client.close()

    flap()
    assert offence_count() == 0
    thread = threading.Thread(target=noise_at_the_door)
    thread.start()
    try:
        soon(lambda: offence_count() > 10, "noise")
        for _ in range(3):  # with the first one 8 lines, for which there is room in any second
            flap()
    finally:
        over.set()
        thread.join()
    soon(lambda: lines("node-down") == 4, "a line for each time that the path went down")
    before, start = lines("node-down") + lines("node-up"), time.monotonic()
    for _ in range(50):
        flap()
    seconds = int(time.monotonic() - start) + 2
    Client(segment.daemon.path).close()
    assert lines("node-down") + lines("node-up") - before <= 10 * seconds, f"{segment.daemon.lines} in {seconds} s"
    watcher.close()


@with_segment
def words_of_a_peer(segment):
    """A peer with the key that says anything at any time: refused or ignored, and others are served."""
    dice = random.Random(11)
    numbers = (0, 1, 2, 3, 0x7fffffff, 0x80000000, 0xffffffff)
    kinds = [kind for kind in PEER.messages["PeerMessage"] if kind not in ("hello", "bye", "beat")]
    for attempt in range(20):
        stream = active()
        for _ in range(200):
            kind = dice.choice(kinds + ["beat"] * (attempt % 4 == 0))  # a wrong beat ends the stream
            fields = PEER.messages["Peer" + kind.capitalize()]
            values = {}
            for field, (_, form, repeated) in fields.items():
                value = {"string": "x" * dice.choice((0, 5, 3000)), "bytes": dice.randbytes(dice.choice((0, 31, 32, 400))),
                         "bool": dice.randrange(2)}.get(form, dice.choice(numbers))
                values[field] = [value] * dice.choice((0, 1, 300)) if repeated else value
            stream.send(kind, **values)
        stream.close()
        segment.serve()
    segment.untouched()


@with_segment
def a_peer_that_connects(segment):
    """The right answers to right words, so that the tests above test something."""
    stream = active()
    stream.send("connect", away_id=5, segment_id=segment.name, permission=0o600, uid=os.geteuid(), gid=os.getegid(),
                groups=[], pid=1, program="fake")
    stream.send("connect", away_id=6, segment_id=0x7abcdef0, permission=0o400, uid=0, gid=0)
    stream.send("connect", away_id=7, segment_id=segment.name, permission=0o777, uid=0, gid=0)
    answers = {}
    while len(answers) < 3:
        message = stream.message()
        if "beat" in message:  # keeps the lease
            stream.send("beat", time_ns=time.clock_gettime_ns(time.CLOCK_BOOTTIME), echo_ns=message["beat"]["time_ns"])
        if "connected" in message:
            answers[message["connected"]["away_id"]] = message["connected"]
    assert answers[5]["code"] == 0 and answers[5]["length"] == SIZE, answers
    assert NAMES[answers[6]["code"]] == "SEG_NOT_PUBLISHED" and answers[7]["code"] != 0, answers
    connection = Connection((answers[5]["ticket_id"], answers[5]["ticket_secret"]))
    assert connection.ask(GET, 0, 8) == bytes(8)
    stream.process.kill()  # the path is lost: so is the right
    connection.expect_end()
    stream.close()
    segment.untouched()


@with_segment
def a_peer_that_falls_silent(segment):
    """No beat is answered: the lease ends before dead-after, and what is sent then does not land."""
    stream = active()
    stream.send("connect", away_id=5, segment_id=segment.name, permission=0o600, uid=os.geteuid(), gid=os.getegid())
    answered = None
    connection, last = None, 0
    while True:
        message = stream.message() if not connection else None
        if message and "beat" in message:
            last = time.monotonic()
            stream.send("beat", time_ns=time.clock_gettime_ns(time.CLOCK_BOOTTIME), echo_ns=message["beat"]["time_ns"])
        if message and "connected" in message:
            answered = message["connected"]
        if answered and last and not connection:
            connection = Connection((answered["ticket_id"], answered["ticket_secret"]))
            break
    count = 0
    try:
        while time.monotonic() - last < 3 * DEAD_AFTER:
            connection.ask(PUT, 0, data=bytes(8))
            count += 1
    except (AssertionError, ConnectionError):
        pass
    took = time.monotonic() - last
    assert count > 0 and took < DEAD_AFTER, f"{count} puts, the last {took:.3f} s after the last beat"
    stream.close()
    connection.close()


TESTS = {
    "noise": noise, "blame_is_bounded": blame_is_bounded, "tickets": tickets, "hellos": hellos,
    "requests_that_break_the_protocol": requests_that_break_the_protocol, "edges_that_are_right": edges_that_are_right,
    "replayed_and_truncated": replayed_and_truncated, "an_offence_aborts_one_import": an_offence_aborts_one_import,
    "who_stops_in_the_middle": who_stops_in_the_middle, "crowd": crowd, "wrong_keys": wrong_keys,
    "right_key_wrong_words": right_key_wrong_words, "texts_of_a_peer": texts_of_a_peer, "paths_in_the_log": paths_in_the_log,
    "words_of_a_peer": words_of_a_peer,
    "a_peer_that_connects": a_peer_that_connects, "a_peer_that_falls_silent": a_peer_that_falls_silent,
}

run(TESTS)
