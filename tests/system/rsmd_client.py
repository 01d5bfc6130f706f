# SPDX-License-Identifier: BSD-2-Clause
"""A raw client of rsmd for tests: speaks src/wire/rsm.proto over the socket without the library, so that it can
also say what the library never would. Standard library only."""

import array
import os
import re
import resource
import select
import socket
import struct
import subprocess
import sys
import threading
import time

MAGIC = 0x314D5352
INLINE_MAX = 32768
TIMEOUT = 60  # seconds after which a test counts as hung

CODES = {
    "SUCCESS": 0, "CTLR_NOT_PRESENT": 4, "BAD_SEG_HNDL": 5, "SEG_ALREADY_PUBLISHED": 6, "SEG_NOT_PUBLISHED": 7,
    "SEG_NOT_PUBLISHED_TO_NODE": 8, "BAD_ADDR": 16, "BAD_MEM_ALIGNMENT": 17, "BAD_LENGTH": 20, "BAD_ACL": 21,
    "RESERVED_SEGID": 23, "SEGID_IN_USE": 24, "PERM_DENIED": 27, "INSUFFICIENT_RESOURCES": 31,
    "INSUFFICIENT_MEM": 32, "REMOTE_NODE_UNREACHABLE": 39, "CONN_ABORTED": 40, "BAD_LIBRARY_VERSION": 1,
}
NAMES = {number: name for name, number in CODES.items()}


class Proto:
    """The messages of a .proto file, as far as rsm.proto uses the language."""

    def __init__(self, path):
        self.messages, self.enums = {}, {}
        text = re.sub(r"//[^\n]*", "", open(path, encoding="utf-8").read())
        for name, body in re.findall(r"enum (\w+) \{(.*?)\}", text, re.S):
            self.enums[name] = {key: int(number) for key, number in re.findall(r"(\w+) = (\d+);", body)}
        for name, body in re.findall(r"message (\w+) \{((?:[^{}]|\{[^{}]*\})*)\}", text):
            fields = re.findall(r"(repeated )?(\w+) (\w+) = (\d+);", body)
            self.messages[name] = {field: (int(number), kind, bool(repeated)) for repeated, kind, field, number in fields}

    def encode(self, name, values):
        out = bytearray()
        for field, value in values.items():
            number, kind, repeated = self.messages[name][field]
            if repeated and kind in ("uint32", "uint64"):
                packed = b"".join(varint(item) for item in value)
                out += varint(number << 3 | 2) + varint(len(packed)) + packed
                continue
            for item in value if repeated else [value]:
                if kind in self.messages or kind in ("string", "bytes"):
                    data = item if kind == "bytes" else item.encode() if kind == "string" else self.encode(kind, item)
                    out += varint(number << 3 | 2) + varint(len(data)) + data
                else:
                    out += varint(number << 3) + varint(int(item))
        return bytes(out)

    def decode(self, name, data):
        numbers = {number: (field, kind, repeated) for field, (number, kind, repeated) in self.messages[name].items()}
        values = {}
        for field, (_, kind, repeated) in self.messages[name].items():
            if repeated:
                values[field] = []
            elif kind not in self.messages:
                values[field] = {"string": "", "bytes": b""}.get(kind, 0)
        at = 0
        while at < len(data):
            key, at = unvarint(data, at)
            item, at = unvarint(data, at)
            if key & 7 == 2:
                item, at = data[at:at + item], at + item
            if key >> 3 not in numbers:
                continue
            field, kind, repeated = numbers[key >> 3]
            if kind in self.messages:
                item = self.decode(kind, item)
            elif kind == "string":
                item = item.decode()
            elif repeated and isinstance(item, bytes):
                inner = 0
                while inner < len(item):
                    one, inner = unvarint(item, inner)
                    values[field].append(one)
                continue
            if repeated:
                values[field].append(item)
            else:
                values[field] = item
        return values


def varint(number):
    out = b""
    number &= (1 << 64) - 1
    while number > 127:
        out += bytes([number & 127 | 128])
        number >>= 7
    return out + bytes([number])


def unvarint(data, at):
    number = shift = 0
    while True:
        byte = data[at]
        number |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return number, at


PROTO = Proto(os.environ["RSM_PROTO"])


def frame(body):
    return struct.pack("=II", MAGIC, len(body)) + body


class Gone(Exception):
    """rsmd ended the conversation."""


class Client:
    hello_fds = ()

    def __init__(self, path, hello=True, program="test"):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.settimeout(TIMEOUT)
        self.socket.connect(path)
        self.id = 0
        self.fds = []
        if hello:
            self.hello = self.ask("hello", version=1, program=program)
            self.hello_fds, self.fds = self.fds, []

    def send_raw(self, data, fds=()):
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        self.socket.sendmsg([data], rights, socket.MSG_NOSIGNAL)

    def send(self, kind, fds=(), /, **values):
        """Without waiting for an answer."""
        self.id += 1
        self.send_raw(frame(PROTO.encode("Request", {"id": self.id, kind: values})), fds)

    def receive(self):
        """The next reply; its descriptors are in self.fds."""
        try:
            data, rights, _, _ = self.socket.recvmsg(INLINE_MAX + 8, socket.CMSG_SPACE(64 * 4), socket.MSG_CMSG_CLOEXEC)
        except ConnectionResetError as error:
            raise Gone from error
        if not data:
            raise Gone
        self.fds = []
        for _, _, content in rights:
            numbers = array.array("i")
            numbers.frombytes(content)
            self.fds += numbers
        magic, length = struct.unpack("=II", data[:8])
        assert magic == MAGIC
        body = data[8:]
        if length > INLINE_MAX:
            memfd = self.fds.pop(0)
            body = os.pread(memfd, length, 0)
            os.close(memfd)
        assert len(body) == length
        return PROTO.decode("Reply", body)

    def ask(self, kind, fds=(), /, expect="SUCCESS", **values):
        self.send(kind, fds, **values)
        reply = self.receive()
        assert reply["id"] == self.id, reply
        assert NAMES.get(reply["code"], reply["code"]) == expect, (kind, values, expect, reply)
        if reply["code"]:
            assert reply["reason"], "a refusal needs a reason"
        for body in ("hello", "object", "export_", "publish", "withdrawn", "connect", "topology", "status"):
            if body in reply:
                return reply[body]
        return reply

    def expect_gone(self):
        """rsmd must have dropped this client."""
        try:
            reply = self.receive()
        except Gone:
            return
        raise AssertionError(f"still served: {reply}")

    def segment(self, length=4096, controller="loopback", umask=0):
        """Export with a fresh object: (export id, object id, its descriptor)."""
        made = self.ask("object_create", length=length)["object_id"]
        memory = self.fds[0]
        export = self.ask("export_create", controller=controller, length=length, umask=umask)["export_id"]
        self.ask("export_layout", export_id=export, extents=[{"object_id": made, "offset": 0, "length": length}])
        self.last_export = export
        return export, made, memory

    def publish(self, export, segment_id=0, **values):
        return self.ask("publish", export_id=export, segment_id=segment_id, **values)["segment_id"]

    def connect(self, segment_id, permission=0o600, node=1, controller="loopback", **values):
        return self.ask("connect", controller=controller, node_id=node, segment_id=segment_id, permission=permission,
                        **values)

    def close(self):
        """With what hello brought; what came with other answers is the caller's."""
        for fd in self.hello_fds:
            os.close(fd)
        self.hello_fds = ()
        self.socket.close()


class Daemon:
    """One rsmd. Ready when the constructor returns."""

    def __init__(self, path, *options, config="", limit=None, private=True, environment=None):
        self.path = path
        self.config = path + ".conf"
        with open(self.config, "w", encoding="utf-8") as file:
            file.write(config)
        command = [os.environ["RSMD"], "--config", self.config, "--socket", path]
        command += ["--private"] if private else []
        if limit:
            command = ["/bin/sh", "-c", f"ulimit -n {limit}; exec \"$@\"", "sh"] + command
        self.process = subprocess.Popen(command + list(options), stderr=subprocess.PIPE, text=True,
                                        env={**os.environ, "RSM_LOG": "info", **(environment or {})})
        self.first = self.process.stderr.readline()
        if "serves" not in self.first:
            self.process.wait()
            raise RuntimeError(self.first)
        self.lines = [self.first]
        self.reader = threading.Thread(target=lambda: self.lines.extend(self.process.stderr))
        self.reader.start()

    def alive(self):
        return self.process.poll() is None

    def rss_kib(self):
        for line in open(f"/proc/{self.process.pid}/status", encoding="ascii"):
            if line.startswith("VmRSS"):
                return int(line.split()[1])
        return 0

    def cpu_ticks(self):
        fields = open(f"/proc/{self.process.pid}/stat", encoding="ascii").read().rsplit(")", 1)[1].split()
        return int(fields[11]) + int(fields[12])

    def sanitized(self):
        """Built with a sanitizer: its memory says nothing then."""
        with open(f"/proc/{self.process.pid}/exe", "rb") as file:
            program = file.read()
            return b"__asan_init" in program or b"__tsan_init" in program

    def limit(self):
        """Descriptors it may have."""
        for line in open(f"/proc/{self.process.pid}/limits", encoding="ascii"):
            if line.startswith("Max open files"):
                return int(line.split()[3])
        return 0

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def descriptors_left(self, most):
        """The same, once they are no more than that: it closes those of others in threads."""
        deadline = time.monotonic() + TIMEOUT
        while self.descriptors() > most and time.monotonic() < deadline:
            os.sched_yield()
        return self.descriptors()

    def stop(self):
        """Ends it by SIGTERM; a crash or a sanitizer's report fails the test."""
        self.process.terminate()
        self.wait()

    def wait(self):
        """Until it ends by itself, without an error."""
        code = self.process.wait(TIMEOUT)
        self.reader.join()
        assert code == 0, f"rsmd ended with {code}: {''.join(self.lines[-20:])}"


def readable(descriptor, seconds):
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(seconds * 1000))


class Skip(Exception):
    """What the test is made of cannot be had here: why."""


def run(tests):
    """Runs the named functions of a script, or all, with as many descriptors as this user may have; prints TAP."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    wanted = sys.argv[1:] or list(tests)
    failed = skipped = 0
    print(f"1..{len(wanted)}")
    for number, name in enumerate(wanted, 1):
        try:
            tests[name]()
            print(f"ok {number} {name}", flush=True)
        except Skip as why:
            skipped += 1
            print(f"ok {number} {name} # SKIP {why}", flush=True)
        except BaseException as error:  # pylint: disable=broad-except
            import traceback
            traceback.print_exc()
            failed += 1
            print(f"not ok {number} {name}: {error!r}", flush=True)
    sys.exit(1 if failed else 77 if skipped == len(wanted) else 0)
