# SPDX-License-Identifier: BSD-2-Clause
"""What travels between hosts, by hand: data connections (src/wire/frame.h) and control streams (src/wire/peer.proto) without the
product's code, so that tests can say what it never would. Standard library only; TLS by a helper program."""

import os
import random
import select
import socket
import struct
import subprocess
import tempfile
import time

from rsmd_client import TIMEOUT, Client, Daemon, Proto

KEY = "5a" * 32
MAGIC = b"RSMd"
VERSION, LITTLE = 1, 1
PUT, GET, POST, FENCE = 1, 2, 3, 4
ANSWER, NO_ACCUMULATE = 1, 2
NODE, FAKE = 2, 1  # who is tested; the peer that a test plays, which dials
DEAD_AFTER = 1.0
PEER = Proto(os.environ["RSM_PEER_PROTO"])
SIZE = 3 * 4096


def endpoint():
    pid = os.getpid()
    return f"127.{64 + (pid >> 16 & 63)}.{pid >> 8 & 255}.{pid & 255}", 7600


def config(directory):
    address, port = endpoint()
    path = directory + "/key"
    with open(path, "w", encoding="ascii", opener=lambda p, f: os.open(p, f, 0o600)) as file:
        file.write(f"rsm-key-1 {KEY}\n")
    return (f"[node]\nid = {NODE}\n[cluster]\nkey-file = {path}\ndead-after = {int(DEAD_AFTER * 1000)}ms\n"
            f"[controller tcp0]\ntype = tcp\naddress = {address}\nport = {port}\nloop = yes\n"
            f"[peer {FAKE}]\ntcp0 = {address}:{port + 1}\n")


# ---- data connections ----

def hello(ticket, magic=MAGIC, version=VERSION, order=LITTLE, reserved=0, zeros=bytes(16)):
    return struct.pack("<4sHBBQ32s", magic, version, order, reserved, ticket[0], ticket[1]) + zeros


def request(op, sequence, offset=0, length=0, flags=ANSWER, width=0, reserved=0):
    return struct.pack("<BBBBIQQ", op, flags, width, reserved, sequence & 0xffffffff, offset & (1 << 64) - 1,
                       length & (1 << 64) - 1)


class Connection:
    """One data connection, by hand."""

    def __init__(self, ticket=None, greet=True):
        self.socket = socket.create_connection(endpoint(), TIMEOUT)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sequence = 0
        if greet:
            self.send(hello(ticket))
            magic, version, _, _, code, _ = struct.unpack("<4sHBBH6s", self.take(16))
            assert (magic, version) == (MAGIC, VERSION), (magic, version)
            assert code == 0, code

    def send(self, data):
        self.socket.sendall(data)

    def take(self, length):
        data = b""
        while len(data) < length:
            more = self.socket.recv(length - len(data))
            assert more, f"the connection ended after {len(data)} of {length} bytes"
            data += more
        return data

    def reply(self):
        op, _, code, sequence, length = struct.unpack("<BBHIQ", self.take(16))
        return op, code, sequence, self.take(length)

    def ask(self, op, offset=0, length=0, data=b"", **values):
        self.send(request(op, self.sequence, offset, len(data) or length, **values) + data)
        got, code, sequence, payload = self.reply()
        assert (got, code, sequence) == (op, 0, self.sequence), (got, code, sequence, payload)
        self.sequence += 1
        return payload

    def expect_end(self, answers=0):
        """rsmd ends it; not before `answers` replies, and with no other."""
        data = b""
        try:
            while more := self.socket.recv(65536):
                data += more
        except ConnectionResetError:
            pass
        assert len(data) == answers * 16, f"{len(data)} bytes came"
        self.socket.close()

    def close(self):
        self.socket.close()


class Import:
    """A client of rsmd that connects to a segment through the network, without the library."""

    def __init__(self, daemon, name, permission=0o600):
        self.client = Client(daemon.path)
        reply = self.client.ask("connect", controller="tcp0", node_id=NODE, segment_id=name, permission=permission)
        for fd in self.client.fds:
            os.close(fd)
        self.id = reply["import_id"]
        deadline = time.monotonic() + TIMEOUT
        while reply["pending"]:
            assert time.monotonic() < deadline
            reply = self.client.ask("connect_result", import_id=self.id)
        remote = reply["remote"]
        assert remote["dead_after_ms"] == DEAD_AFTER * 1000 and len(remote["ticket_secret"]) == 32, remote
        self.ticket = (remote["ticket_id"], remote["ticket_secret"])

    def close(self):
        self.client.close()


class Segment:
    """An exporter, and a good importer that must be served whatever others do."""

    def __init__(self, daemon):
        self.daemon = daemon
        self.client = Client(daemon.path)
        export, _, self.memory = self.client.segment(SIZE, controller="tcp0")
        self.name = self.client.publish(export)
        self.good = Import(daemon, self.name)
        self.connection = Connection(self.good.ticket)
        self.marks = 0

    def serve(self, limit=1.0):
        """The good one's turn: a put, a get, a fence; the longest of some."""
        longest = 0
        for _ in range(10):
            self.marks += 1
            mark = struct.pack("<Q", self.marks)
            start = time.monotonic()
            self.connection.ask(PUT, SIZE - 8, data=mark)
            assert self.connection.ask(GET, SIZE - 8, 8) == mark
            longest = max(longest, time.monotonic() - start)
            assert os.pread(self.memory, 8, SIZE - 8) == mark
        assert longest < limit, f"the good importer waited {longest:.3f} s"
        return longest

    def untouched(self):
        assert os.pread(self.memory, SIZE - 8, 0) == bytes(SIZE - 8), "something was written"


def with_segment(test):
    def body():
        with tempfile.TemporaryDirectory() as directory:
            daemon = Daemon(directory + "/rsmd.sock", config=config(directory), private=False)
            try:
                segment = Segment(daemon)
                segment.serve()
                before = daemon.descriptors()
                test(segment)
                segment.serve()
                assert daemon.alive()
                left = daemon.descriptors_left(before)
                assert left <= before, f"descriptors: {before} before, {left} now"
            finally:
                daemon.stop()
    return body


def offences(daemon):
    """Lines that blame somebody; rsmd is asked something first, so that what it had to say is said."""
    Client(daemon.path).close()
    return [line for line in daemon.lines if "dropped:" in line or "ended:" in line]


# ---- control streams ----

class Stream:
    """A TLS connection to the port, by the helper program."""

    def __init__(self, identity, key=KEY):
        address, port = endpoint()
        self.process = subprocess.Popen([os.environ["RSM_TLS_PIPE"], address, str(port), identity, key], bufsize=0,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.rest = b""

    def read(self, seconds=TIMEOUT):
        ready = select.select([self.process.stdout], [], [], seconds)[0]
        assert ready, "nothing came"
        return os.read(self.process.stdout.fileno(), 65536)

    def begun(self):
        """The handshake was done; what the other side said at once comes with it."""
        data = self.read()
        self.rest = data[1:]
        return data[:1] == b"+"

    def send(self, kind, **values):
        self.send_raw(PEER.encode("PeerMessage", {kind: values}))

    def send_raw(self, body, length=None):
        try:
            self.process.stdin.write(struct.pack("<I", len(body) if length is None else length) + body)
        except BrokenPipeError:
            pass

    def messages(self):
        """Until the end of the stream."""
        found = []
        while data := self.read():
            self.rest += data
            while len(self.rest) >= 4 and len(self.rest) >= 4 + struct.unpack("<I", self.rest[:4])[0]:
                length = struct.unpack("<I", self.rest[:4])[0]
                found.append(PEER.decode("PeerMessage", self.rest[4:4 + length]))
                self.rest = self.rest[4 + length:]
        return found

    def message(self):
        while len(self.rest) < 4 or len(self.rest) < 4 + struct.unpack("<I", self.rest[:4])[0]:
            data = self.read()
            assert data, "the stream ended"
            self.rest += data
        length = struct.unpack("<I", self.rest[:4])[0]
        body, self.rest = self.rest[4:4 + length], self.rest[4 + length:]
        return PEER.decode("PeerMessage", body)

    def close(self):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait(TIMEOUT)


def greeting(**values):
    return {"version": 1, "node_id": FAKE, "node_name": "fake", "controller": "tcp0", "release": "test",
            "incarnation": random.getrandbits(60) + 1, "dead_after_ms": int(DEAD_AFTER * 1000), **values}
