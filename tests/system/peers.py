# SPDX-License-Identifier: BSD-2-Clause
"""Paths between nodes: two and three rsmd on addresses of 127/8 as virtual nodes, raw clients, and a node that is
none of ours. What is waited for is asked for again and again, never slept for."""

import contextlib
import json
import mmap
import os
import re
import secrets
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time

from rsmd_client import TIMEOUT, Client, Daemon, Proto, readable, run

PEER = Proto(os.environ["RSM_PROTO"].replace("rsm.proto", "peer.proto"))
PORT = 7600
PEER_VERSION = 1
PROCESS = os.getpid() % 30000
KEY = secrets.token_hex(32)
DEAD_AFTER = 1.0
ABORTED = 0x80000000


def address(node):
    """One of 127/8 that no other test uses."""
    return f"127.{1 + PROCESS // 256}.{PROCESS % 256}.{node}"


def eventually(check, what):
    """What check() returns once it is true."""
    deadline = time.monotonic() + TIMEOUT
    while time.monotonic() < deadline:
        found = check()
        if found:
            return found
        os.sched_yield()
    raise AssertionError(f"never came: {what}")


class Cluster:
    """A directory with key files and the daemons of some nodes; ends them all."""

    def __init__(self):
        self.directory = tempfile.mkdtemp(prefix="rsm-peers-")
        self.daemons = {}
        self.clients = []
        self.key_file("cluster.key", KEY)

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        for client in self.clients:
            client.close()
        for daemon in self.daemons.values():
            if kind:
                daemon.process.kill()
                daemon.process.wait()
                print("".join("# " + line for line in daemon.lines))
            elif daemon.alive():
                daemon.stop()
        shutil.rmtree(self.directory)

    def key_file(self, name, key):
        path = os.path.join(self.directory, name)
        with open(path, "w", encoding="ascii") as file:
            file.write(f"# a test's\nrsm-key-1 {key}\n")
        os.chmod(path, 0o600)
        return path

    def run(self, node, config):
        directory = os.path.join(self.directory, str(node))
        os.makedirs(directory, exist_ok=True)
        self.daemons[node] = Daemon(os.path.join(directory, "sock"), config=config, private=False)
        return self.daemons[node]

    def start(self, node, peers, more="", key="cluster.key", dead_after="1s", extra=""):
        config = f"[node]\nid = {node}\nname = node{node}\n"
        config += f"[controller tcp0]\ntype = tcp\naddress = {address(node)}\n{more}\n"
        config += f"[cluster]\nkey-file = {self.directory}/{key}\ndead-after = {dead_after}\n"
        for peer in peers:
            config += f"[peer {peer}]\ntcp0 = {address(peer)}:{PORT}\n"
        return self.run(node, config + extra)

    def pair(self, **values):
        """Two nodes. Only a test of silence sets a dead-after: a machine that is busy lets a daemon wait for a second."""
        values.setdefault("dead_after", "5m")
        self.start(1, [2], **values)
        self.start(2, [1], **values)
        self.active(1, 2)
        self.active(2, 1)

    def client(self, node):
        client = Client(self.daemons[node].path)
        self.clients.append(client)
        return client

    def path(self, node, peer):
        """What node's rsmd says of its path to peer."""
        daemon = self.daemons[node]
        if not hasattr(daemon, "watcher"):
            daemon.watcher = self.client(node)
        paths = json.loads(daemon.watcher.ask("status", what="nodes")["json"])["paths"]
        return next(path for path in paths if path["node"] == peer)

    def state(self, node, peer, state):
        return eventually(lambda: self.path(node, peer)["state"] == state and self.path(node, peer),
                          f"node {node} sees node {peer} {state}")

    def active(self, node, peer):
        return self.state(node, peer, "active")

    def logged(self, node, text):
        eventually(lambda: any(re.search(text, line) for line in self.daemons[node].lines), f"log of {node}: {text}")


class Away:
    """An import of another node's segment, by a raw client."""

    def __init__(self, client, segment_id, node, permission=0o600):
        self.client = client
        self.reply = client.ask("connect", controller="tcp0", node_id=node, segment_id=segment_id,
                                permission=permission)
        assert self.reply["pending"]
        self.import_id = self.reply["import_id"]
        self.status = mmap.mmap(client.hello_fds[0], 0, access=mmap.ACCESS_READ)
        self.memory = mmap.mmap(client.fds[0], 0)
        self.slot = 64 * self.reply["signal_slot"]
        self.granted = None

    def events(self):
        return struct.unpack_from("=I", self.memory, self.slot)[0]

    def generation(self):
        return struct.unpack_from("=Q", self.status, 64 * self.reply["status_slot"])[0] >> 32

    def result(self, expect="SUCCESS"):
        eventually(lambda: self.events() & ~ABORTED, "the outcome")
        struct.pack_into("=I", self.memory, self.slot, self.events() - 1)
        self.granted = self.client.ask("connect_result", expect=expect, import_id=self.import_id)
        return self.granted

    def aborted(self):
        """Waits for the abort; the data path sees it no later than who waits for events."""
        eventually(lambda: self.events() & ABORTED, "an abort")
        assert self.generation() == (self.reply["epoch"] >> 32) + 1

    def hello(self, node, version=1, secret=None):
        """The data connection of a granted import."""
        remote = self.granted["remote"]
        data = socket.create_connection((address(node), PORT), TIMEOUT)
        data.sendall(hello_bytes(remote["ticket_id"], secret or remote["ticket_secret"], version))
        return data


def hello_bytes(ticket_id, secret, version=1):
    return b"RSMd" + struct.pack("<HBBQ", version, 1, 0, ticket_id) + secret + bytes(16)


def welcome(data):
    """Code of the answer to a hello."""
    got = data.recv(16, socket.MSG_WAITALL)
    assert len(got) == 16 and got[:4] == b"RSMd", got
    return struct.unpack("<H", got[8:10])[0]


def published(client, controller="tcp0", **values):
    export, _, client.last_memory = client.segment(8192, controller=controller)
    return client.publish(export, **values)


class Stranger:
    """The stream of a node that we play ourselves."""

    def __init__(self, node, key=KEY, identity="rsm-node-1"):
        self.process = subprocess.Popen([os.environ["PEER_BRIDGE"], address(node), str(PORT), identity, key],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def send_raw(self, data):
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(data)
            self.process.stdin.flush()

    def send(self, kind, **values):
        body = PEER.encode("PeerMessage", {kind: values})
        self.send_raw(struct.pack("<I", len(body)) + body)

    def hello(self, **values):
        self.send("hello", **{"version": PEER_VERSION, "node_id": 1, "node_name": "stranger", "controller": "tcp0",
                              "release": "0", "incarnation": 5, "dead_after_ms": 1000, **values})

    def receive(self):
        """The next message, None at the end."""
        head = self.process.stdout.read(4)
        if len(head) < 4:
            return None
        return PEER.decode("PeerMessage", self.process.stdout.read(struct.unpack("<I", head)[0]))

    def expect(self, kind):
        while True:
            message = self.receive()
            assert message is not None, f"ended before {kind}: {self.process.stderr.read()}"
            if kind in message:
                return message[kind]

    def ended(self):
        """How it ended: 0 by the other side, 1 for lack of the key."""
        while self.receive() is not None:
            pass
        return self.process.wait(TIMEOUT)

    def close(self):
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.wait(TIMEOUT)


def test_active():
    """Both sides see the path become active, whoever starts first, and tell about it."""
    with Cluster() as cluster:
        cluster.start(2, [1])
        assert cluster.path(2, 1)["state"] == "down"
        cluster.start(1, [2])
        for node, peer in ((1, 2), (2, 1)):
            path = cluster.active(node, peer)
            assert path["name"] == f"node{peer}" and path["controller"] == "tcp0" and not path["encrypt"]
            assert path["address"] == f"{address(peer)}:{PORT}" and path["release"]
            eventually(lambda node=node, peer=peer: cluster.path(node, peer)["round_trip_us"], "a round trip")
            (controller,) = cluster.client(node).ask("topology")["controllers"]
            assert controller["name"] == "tcp0" and controller["type"] == "tcp"
            (told,) = controller["peers"]
            assert told["node_id"] == peer and told["state"] == 3 and told["controller"] == "tcp0"


def test_three_nodes():
    with Cluster() as cluster:
        for node in (1, 2, 3):
            cluster.start(node, {1, 2, 3} - {node})
        for node in (1, 2, 3):
            for peer in {1, 2, 3} - {node}:
                cluster.active(node, peer)
        cluster.daemons[2].stop()
        for node in (1, 3):
            cluster.state(node, 2, "down")
        assert cluster.path(1, 3)["state"] == cluster.path(3, 1)["state"] == "active"


def test_kill_and_restart():
    """The end of a daemon is seen at once, not after dead-after; a new one is found."""
    with Cluster() as cluster:
        cluster.pair()
        for victim, witness in ((2, 1), (1, 2)):
            cluster.daemons[victim].process.kill()
            cluster.daemons[victim].process.wait()
            cluster.state(witness, victim, "down")
            cluster.start(victim, [witness], dead_after="5m")
            cluster.active(1, 2)
            cluster.active(2, 1)


def test_silence():
    """A daemon that is stopped keeps its sockets; the beats tell."""
    with Cluster() as cluster:
        cluster.pair(dead_after="1s")
        away = Away(cluster.client(1), published(cluster.client(2)), 2)
        away.result()
        os.kill(cluster.daemons[2].process.pid, signal.SIGSTOP)
        begin = time.monotonic()
        away.aborted()
        took = time.monotonic() - begin
        assert took > DEAD_AFTER * 0.75, f"aborted after {took} s: the other side may not have fenced"
        cluster.state(1, 2, "down")
        os.kill(cluster.daemons[2].process.pid, signal.SIGCONT)
        cluster.active(1, 2)
        cluster.active(2, 1)


def test_wrong_key():
    with Cluster() as cluster:
        cluster.key_file("other.key", secrets.token_hex(32))
        cluster.start(1, [2])
        cluster.start(2, [1], key="other.key")
        cluster.logged(1, "key-file must be the same")
        cluster.logged(2, "has not the cluster's key")
        assert cluster.path(1, 2)["state"] == "down" and cluster.path(2, 1)["state"] == "down"
        assert "key" in cluster.path(1, 2)["reason"]
        # Who has not the key learns nothing: not even which nodes there are.
        endings = set()
        for identity in ("rsm-node-1", "rsm-node-2", "rsm-node-77", "rsm-ticket-0123456789abcdef", "x"):
            stranger = Stranger(2, secrets.token_hex(32), identity)
            assert stranger.process.stdout.read() == b""
            endings.add((stranger.process.wait(TIMEOUT), stranger.process.stderr.read()))
        assert len(endings) == 1, endings


def test_key_file():
    """Without a key file that is safe rsmd does not start."""
    with Cluster() as cluster:
        os.chmod(cluster.key_file("open.key", KEY), 0o644)
        for key in ("open.key", "missing.key"):
            with contextlib.suppress(RuntimeError):
                cluster.start(1, [2], key=key)
                raise AssertionError(f"started with {key}")


def test_refused_hellos():
    """Wrong version, another node's number, twice, none, garbage: the stream ends, others stay."""
    with Cluster() as cluster:
        cluster.start(2, [1, 3])
        cluster.start(3, [1, 2])
        cluster.active(2, 3)
        stranger = Stranger(2)
        stranger.hello(version=PEER_VERSION + 1)
        bye = stranger.expect("bye")
        assert bye["code"] == 1 and f"version {PEER_VERSION + 1}" in bye["reason"] and "older" in bye["reason"]
        assert stranger.ended() == 0
        cluster.logged(2, r"speaks version \d of the protocol between nodes")
        stranger = Stranger(2)
        stranger.hello(node_id=3)
        assert "node 3 answers" in stranger.expect("bye")["reason"]
        assert stranger.ended() == 0
        for first, second in (("hello", "hello"), ("beat", None), ("hello", b"\xff\xff\xff\xff"),
                              ("hello", struct.pack("<I", 3) + b"\xff\xff\xff"), (b"GET / HTTP/1.1\r\n\r\n", None)):
            stranger = Stranger(2)
            for what in (first, second):
                if isinstance(what, bytes):
                    stranger.send_raw(what)
                elif what == "hello":
                    stranger.hello()
                elif what:
                    stranger.send(what, time_ns=1)
            assert stranger.ended() == 0, (first, second)
        assert Stranger(2).ended() == 0  # silent: dead-after is the limit
        cluster.logged(2, "no hello within dead-after")
        assert cluster.path(2, 3)["state"] == "active"
        # Numbers above our own do not dial us.
        assert Stranger(2, identity="rsm-node-3").ended() == 1


def test_second_stream():
    """A node that comes again has given its old stream up."""
    with Cluster() as cluster:
        cluster.start(2, [1])
        first = Stranger(2)
        first.hello()
        cluster.active(2, 1)
        second = Stranger(2)
        second.hello(incarnation=6)
        assert first.ended() == 0
        second.expect("beat")
        cluster.active(2, 1)
        second.send("bye", reason="test")
        assert second.ended() == 0
        cluster.state(2, 1, "down")


def test_future_echo():
    """A lease is not stretched by a beat that was never sent."""
    with Cluster() as cluster:
        cluster.start(2, [1])
        stranger = Stranger(2)
        stranger.hello()
        stranger.expect("beat")
        stranger.send("beat", time_ns=1, echo_ns=1 << 62)
        assert stranger.ended() == 0
        cluster.logged(2, "echoes a beat that was never sent")


def test_connect():
    """The outcome of a connect to another node, by code."""
    with Cluster() as cluster:
        cluster.pair(extra="[controller shm0]\ntype = local\n")
        owner, client = cluster.client(2), cluster.client(1)
        segment = published(owner)
        away = Away(client, segment, 2)
        granted = away.result()
        assert granted["length"] == 8192 and granted["granted"] == 0o600
        assert granted["exporter_pid"] == os.getpid() and granted["exporter_uid"] == os.getuid()
        remote = granted["remote"]
        assert struct.unpack("=H", remote["address"][:2])[0] == socket.AF_INET
        assert struct.unpack(">H", remote["address"][2:4])[0] == PORT
        assert socket.inet_ntoa(remote["address"][4:8]) == address(2)
        assert len(remote["ticket_secret"]) == 32 and not remote["encrypt"] and remote["dead_after_ms"] == 300000
        assert cluster.path(2, 1)["guests"] == 1 and cluster.path(1, 2)["aways"] == 1
        client.ask("connect_result", expect="BAD_SEG_HNDL", import_id=away.import_id)
        client.ask("connect_result", expect="BAD_SEG_HNDL", import_id=1 << 40)
        told = json.loads(owner.ask("status", what="segment", segment_id=segment)["json"])["segment"]
        assert told["importers"] == 1
        assert [(one["node"], one["pid"], one["uid"]) for one in told["imports"]] == [(1, os.getpid(), os.getuid())]
        client.send("disconnect", import_id=away.import_id)
        eventually(lambda: cluster.path(2, 1)["guests"] == 0, "the guest has gone")

        Away(client, 0x777, 2).result("SEG_NOT_PUBLISHED")
        Away(client, published(owner, "loopback"), 2).result("SEG_NOT_PUBLISHED")
        Away(client, published(owner, "shm0"), 2).result("REMOTE_NODE_UNREACHABLE")
        listed = published(owner, acl=[{"node_id": 3, "permission": 0o666}, {"node_id": 2, "permission": 0o666}])
        Away(client, listed, 2).result("SEG_NOT_PUBLISHED_TO_NODE")
        # The digit of the owner's user; nobody is privileged across nodes.
        read_only = published(owner, acl=[{"node_id": 1, "permission": 0o400}])
        Away(client, read_only, 2).result("PERM_DENIED")
        assert Away(client, read_only, 2, 0o400).result()["granted"] == 0o400
        assert Away(client, read_only, 2, 0).result()["granted"] == 0
        for expect, controller, node in (("REMOTE_NODE_UNREACHABLE", "tcp0", 9), ("REMOTE_NODE_UNREACHABLE", "shm0", 2),
                                         ("CTLR_NOT_PRESENT", "loopback", 2), ("CTLR_NOT_PRESENT", "tcp7", 2)):
            client.ask("connect", expect=expect, controller=controller, node_id=node, segment_id=1, permission=0)
        # The own node through tcp: shared memory, as the controller has no loop.
        assert not client.connect(published(client), controller="tcp0", node=1)["pending"]


def test_connect_waits():
    """While a path is down a connect waits for it, dead-after at most."""
    with Cluster() as cluster:
        cluster.start(1, [2], dead_after="60s")
        client = cluster.client(1)
        away = Away(client, 0x777, 2)
        assert client.ask("connect_result", import_id=away.import_id)["pending"]
        cluster.start(2, [1], dead_after="60s")
        away.result("SEG_NOT_PUBLISHED")
    with Cluster() as cluster:
        cluster.start(1, [2])
        Away(cluster.client(1), 0x777, 2).result("REMOTE_NODE_UNREACHABLE")
        cluster.client(1).ask("connect", expect="REMOTE_NODE_UNREACHABLE", controller="tcp0", node_id=2, segment_id=1,
                              permission=0)


def test_connect_refused():
    """A node that refuses again and again keeps no connect waiting longer than one that is silent."""
    with Cluster() as cluster:
        cluster.start(2, [1])
        away = Away(cluster.client(2), 0x777, 1)

        def refuse():
            stranger = Stranger(2)
            stranger.send("bye", code=1, reason="not today")
            assert stranger.ended() == 0
            return away.events() & ~ABORTED

        eventually(refuse, "the refusal of a connect")
        away.result("REMOTE_NODE_UNREACHABLE")


def test_abort():
    """Unpublish, the exporter's end and the daemon's end abort imports of other nodes."""
    with Cluster() as cluster:
        cluster.pair()
        owner, client = cluster.client(2), cluster.client(1)
        away = Away(client, published(owner), 2)
        away.result()
        client.ask("pollfd", handle_id=away.import_id)
        doorbell = client.fds[0]
        assert not readable(doorbell, 0)
        owner.ask("unpublish", export_id=owner.last_export)
        assert cluster.path(2, 1)["guests"] == 0
        away.aborted()
        assert readable(doorbell, TIMEOUT)
        other = Away(client, published(owner), 2)
        other.result()
        owner.close()
        other.aborted()
        owner = cluster.client(2)
        segment = published(owner)
        third, unfetched = Away(client, segment, 2), Away(client, segment, 2)
        third.result()
        eventually(unfetched.events, "an outcome")
        cluster.daemons[2].process.kill()
        cluster.daemons[2].process.wait()
        third.aborted()
        unfetched.result("REMOTE_NODE_UNREACHABLE")
        for one in (away, other, third):
            client.send("disconnect", import_id=one.import_id)
        eventually(lambda: cluster.path(1, 2)["aways"] == 0, "all are gone")


def test_signals():
    """Posts of the exporter reach slots and descriptors on the other node; NO_ACCUMULATE does not add."""
    with Cluster() as cluster:
        cluster.pair()
        owner, client = cluster.client(2), cluster.client(1)
        away = Away(client, published(owner), 2)
        away.result()
        client.ask("pollfd", handle_id=away.import_id)
        doorbell = client.fds[0]
        export = owner.last_export
        owner.ask("signals", export_id=export)
        slots = mmap.mmap(owner.fds[0], 0)
        assert [struct.unpack_from("=I", slots, 64 * slot + 8)[0] for slot in (1, 2)] == [2, 0]
        for _ in range(3):
            owner.ask("ring", handle_id=export)
        eventually(lambda: away.events() == 3, "three events")
        assert readable(doorbell, TIMEOUT)
        owner.ask("ring", handle_id=export, flags=2)
        owner.ask("ring", handle_id=export)
        eventually(lambda: away.events() >= 4, "the fourth event")
        assert away.events() == 4


def test_tickets():
    """A ticket opens one connection; without one, with a wrong one, or with a wrong version there is none."""
    with Cluster() as cluster:
        cluster.pair()
        owner, client = cluster.client(2), cluster.client(1)
        away = Away(client, published(owner), 2)
        away.result()
        assert welcome(away.hello(2, version=9)) == 1
        assert welcome(away.hello(2, secret=bytes(32))) == 40
        data = away.hello(2)
        assert welcome(data) == 0
        assert welcome(away.hello(2)) == 40
        data.sendall(struct.pack("<BBBBIQQ", 1, 1, 0, 0, 0, 4096, 5) + b"hello")
        assert data.recv(16, socket.MSG_WAITALL) == struct.pack("<BBHIQ", 1, 0, 0, 0, 0)
        assert os.pread(owner.last_memory, 5, 4096) == b"hello"
        data.close()
        away.aborted()
        eventually(lambda: cluster.path(2, 1)["guests"] == 0, "the guest has gone")


def test_encrypt():
    """A controller that encrypts takes no plain data connections, and says so in hello."""
    with Cluster() as cluster:
        cluster.pair(more="encrypt = yes")
        assert cluster.path(1, 2)["encrypt"]
        away = Away(cluster.client(1), published(cluster.client(2)), 2)
        remote = away.result()["remote"]
        assert remote["encrypt"]
        assert welcome(away.hello(2)) == 27
        name = f"rsm-ticket-{remote['ticket_id']:016x}"
        assert Stranger(2, secrets.token_hex(32), name).ended() == 1
        stranger = Stranger(2, remote["ticket_secret"].hex(), name)
        stranger.send_raw(hello_bytes(remote["ticket_id"], remote["ticket_secret"]))
        assert struct.unpack("<H", stranger.process.stdout.read(16)[8:10])[0] == 0
        stranger.close()
        away.aborted()


def test_loop():
    """A controller with loop connects a node to itself by messages, without a peer and without a key."""
    with Cluster() as cluster:
        cluster.run(5, f"[node]\nid = 5\n[controller tcp0]\ntype = tcp\naddress = {address(5)}\nloop = yes\n")
        owner, client = cluster.client(5), cluster.client(5)
        segment = published(owner)
        away = Away(client, segment, 5)
        assert away.result()["length"] == 8192
        data = away.hello(5)
        assert welcome(data) == 0
        Away(client, 0x777, 5).result("SEG_NOT_PUBLISHED")
        owner.ask("ring", handle_id=owner.last_export)
        eventually(lambda: away.events() == 1, "an event")
        owner.close()
        away.aborted()
        assert client.ask("topology")["controllers"][0]["peers"] == []


def test_private_has_no_port():
    with Cluster() as cluster:
        path = os.path.join(cluster.directory, "sock")
        with open(path + ".conf", "w", encoding="ascii") as file:
            file.write(f"[controller tcp0]\ntype = tcp\naddress = {address(5)}\n[controller shm0]\ntype = local\n")
        process = subprocess.Popen([os.environ["RSMD"], "--private", "--config", path + ".conf", "--socket", path],
                                   stderr=subprocess.PIPE, text=True)
        try:
            assert "left out" in process.stderr.readline()
            assert "serves" in process.stderr.readline()
            client = Client(path)
            assert [one["name"] for one in client.hello["controllers"]] == ["loopback", "shm0"]
            client.close()
            with socket.socket() as probe:
                assert probe.connect_ex((address(5), PORT))
        finally:
            process.terminate()
            process.wait()
            process.stderr.close()


def test_silent_crowd():
    """Connections that say nothing delay nobody and leave descriptors for clients."""
    with Cluster() as cluster:
        daemon = cluster.start(2, [1])
        crowd = []
        before = daemon.descriptors()
        for number in range(3000):
            one = socket.create_connection((address(2), PORT), TIMEOUT)
            crowd.append(one)
            if number % 3 == 1:
                with contextlib.suppress(OSError):
                    one.sendall(b"\x16\x03\x01" if number % 2 else b"RSMd")
        most = min(1024, daemon.limit() // 8) + 64
        assert daemon.descriptors() - before <= most, daemon.descriptors()
        cluster.start(1, [2], dead_after="5m")  # the path's then; how long node 2 lets strangers be silent stays 1 s
        cluster.active(1, 2)
        Away(cluster.client(1), published(cluster.client(2)), 2).result()
        for one in crowd:
            one.close()
        cluster.logged(2, "have not shown a key or a ticket|dropped")
        assert daemon.descriptors_left(before + 20) <= before + 20


def test_many_imports():
    """Connects, posts and ends in numbers: nothing is lost on the way."""
    with Cluster() as cluster:
        cluster.pair()
        owner, client = cluster.client(2), cluster.client(1)
        segment = published(owner)
        aways = [Away(client, segment, 2) for _ in range(200)]
        connections = []
        for away in aways:
            away.result()
            connections.append(away.hello(2))  # a ticket that nobody uses ends the import after 10 s
        assert all(welcome(data) == 0 for data in connections)
        assert cluster.path(2, 1)["guests"] == 200
        for _ in range(50):
            owner.ask("ring", handle_id=owner.last_export)
        for away in aways:
            eventually(lambda away=away: away.events() == 50, "fifty events")
        client.close()
        eventually(lambda: cluster.path(2, 1)["guests"] == 0, "all are gone")
        assert cluster.path(1, 2)["aways"] == 0


run({name[5:]: test for name, test in dict(globals()).items() if name.startswith("test_")})
