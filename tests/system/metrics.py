# SPDX-License-Identifier: BSD-2-Clause
"""Metrics: what is counted while real processes publish, connect, are refused and die; the file, the port and who misuses it;
the page, the dashboard and the rules that name them. What is waited for is asked for again and again."""

import http.client
import json
import mmap
import os
import re
import shutil
import signal
import socket
import stat
import struct
import subprocess
import tempfile

import prometheus
from cluster import LIBC, NAMES, PATIENCE, Cluster, Loopback, Node, Worker, soon
from prometheus import value
from rsmd_client import Client, Skip, run

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
SEGMENT, OTHER, NOWHERE = 0x400001, 0x400002, 0x4fffff
LENGTH, BLOCK = 65536, 4096


class One:
    """with One("listen = ...", ...) as node: a single rsmd with this section [metrics]; ended and removed afterwards."""

    def __init__(self, *lines, number=1, directory=None):
        self.own = directory is None
        self.directory = directory or tempfile.mkdtemp(prefix="rsm-metrics-")
        self.node = Node(number, Loopback(number), self.directory)
        with open(self.node.path + "/conf", "w", encoding="utf-8") as file:
            file.write(f"[node]\nid = {number}\nname = K\u00f6ln \"north\"\n[metrics]\n" + "\n".join(lines) + "\n")
        self.workers = []

    def __enter__(self):
        try:
            self.node.start()
            Client(self.node.socket).close()  # an answer: the loop runs, and all that the section asks for has begun
        except BaseException:
            self.__exit__(True, None, None)
            raise
        return self

    def __exit__(self, kind, *_):
        for worker in self.workers:
            worker.end()
        try:
            if self.node.alive():
                self.node.stop()
        finally:
            if self.node.alive():
                self.node.kill()
            if kind:
                print("# " + "\n# ".join(self.node.text().splitlines()[-12:]), flush=True)
            if self.own:
                shutil.rmtree(self.directory)

    def worker(self):
        self.workers.append(Worker(self.node, "loopback"))
        return self.workers[-1]


class Watch:
    """What a node tells, asked as a client of its own. Counters must never fall."""

    def __init__(self, node):
        self.node, self.last = node, {}
        self.client = Client(node.socket)

    def text(self):
        told = json.loads(self.client.ask("status", what="metrics")["json"])
        assert told["schema"] == 1 and set(told) == {"schema", "text"}, told.keys()
        return told["text"]

    def families(self):
        families = prometheus.parse(self.text())
        for family in families.values():
            for labels, now in family.samples.items():
                before = self.last.get((family.name, labels), 0)
                assert family.kind == "gauge" or now >= before, f"{family.name}{labels} fell from {before} to {now}"
                self.last[family.name, labels] = now
        return families

    def get(self, name, /, **labels):
        return value(self.families(), name, **labels)

    def soon(self, expected, name, /, **labels):
        soon(lambda: self.get(name, **labels) == expected, f"{name}{labels} is {expected}")


def fetch(address, method="GET", path="/metrics"):
    """Status, headers and text of an answer."""
    connection = http.client.HTTPConnection(*address, timeout=PATIENCE)
    connection.request(method, path)
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, answer.headers, text


def has_http():
    """Whether rsmd was built with libmicrohttpd."""
    with tempfile.TemporaryDirectory() as directory:
        path = directory + "/conf"
        with open(path, "w", encoding="ascii") as file:
            file.write("[metrics]\nlisten = 127.0.0.1:9781\n")
        checked = subprocess.run([os.environ["RSMD"], "--config", path, "--check"], stderr=subprocess.PIPE, text=True,
                                 check=False)
        assert not checked.returncode or "built without libmicrohttpd" in checked.stderr, checked.stderr
        return not checked.returncode


def needs_http(test):
    def body():
        if not has_http():
            raise Skip("rsmd was built without libmicrohttpd")
        test()
    return body


# ---- counters ----

def test_tool():
    with One() as one:
        families = Watch(one.node).families()
        assert value(families, "rsm_node_info", id=1, name="K\u00f6ln \"north\"") == 1
        assert value(families, "rsm_controller_info", controller="loopback", type="loopback") == 1
        assert "rsm_loop_latency_seconds" in families and not families["rsm_loop_latency_seconds"].samples
        assert abs(value(families, "rsm_open_descriptors") - one.node.descriptors()) <= 2
        assert value(families, "rsm_resident_memory_bytes") > 1 << 20
        printed = subprocess.run([os.environ["RSM"], "status", "--metrics"], stdout=subprocess.PIPE, text=True, check=True,
                                 env={**os.environ, "RSM_SOCKET": one.node.socket}).stdout
        assert prometheus.parse(printed).keys() == families.keys()
        both = subprocess.run([os.environ["RSM"], "status", "--metrics", "--json"], stderr=subprocess.PIPE, check=False,
                              env={**os.environ, "RSM_SOCKET": one.node.socket})
        assert both.returncode == 2 and b"exclude" in both.stderr, both


def test_counters():
    with One() as one:
        watch = Watch(one.node)
        start = watch.families()
        assert value(start, "rsm_clients") == 1 and value(start, "rsm_publications_total") == 0
        owner, importer = one.worker(), one.worker()
        owner.export(LENGTH, SEGMENT)
        importer.connect(0, 1, SEGMENT)
        importer.connect(1, 1, SEGMENT)
        now = watch.families()
        for name, expected in (("clients", 3), ("exports", 1), ("published_segments", 1), ("imports", 2), ("objects", 1),
                               ("segments", 3), ("exported_bytes", LENGTH), ("object_bytes", LENGTH),
                               ("max_segments", 65535), ("max_exported_bytes", 0), ("publications_total", 1),
                               ("client_connections_total", value(start, "rsm_client_connections_total") + 2)):
            assert value(now, "rsm_" + name) == expected, (name, value(now, "rsm_" + name), expected)
        assert value(now, "rsm_connects_total", controller="loopback") == 2
        assert value(now, "rsm_requests_total", kind="connect") == 2
        assert value(now, "rsm_requests_total", kind="publish") == 1
        assert NAMES[importer.ask("connect", 2, 1, NOWHERE)[0]] == "SEG_NOT_PUBLISHED"
        now = watch.families()
        assert value(now, "rsm_refusals_total", code="RSMERR_SEG_NOT_PUBLISHED") == 1
        assert value(now, "rsm_connects_total", controller="loopback") == 2
        assert value(now, "rsm_requests_total", kind="connect") == 3
        owner.must("unpublish")
        now = watch.families()
        assert value(now, "rsm_withdrawals_total", cause="withdrawn") == 1
        assert value(now, "rsm_aborts_total", cause="withdrawn") == 2
        assert value(now, "rsm_published_segments") == 0
        owner.must("publish", SEGMENT)
        importer.connect(3, 1, SEGMENT)
        owner.kill()
        watch.soon(1, "rsm_withdrawals_total", cause="exporter-gone")
        watch.soon(1, "rsm_aborts_total", cause="exporter-gone")
        importer.kill()
        watch.soon(1, "rsm_clients")
        now = watch.families()
        for name in ("exports", "published_segments", "imports", "objects", "segments", "exported_bytes", "object_bytes"):
            assert value(now, "rsm_" + name) == 0, name
        assert value(now, "rsm_publications_total") == 2


def test_doorbells_and_offences():
    with One() as one:
        watch = Watch(one.node)
        raw = Client(one.node.socket)
        export, _, _ = raw.segment(4096)
        raw.publish(export, OTHER)
        worker = one.worker()
        worker.connect(0, 1, OTHER)
        raw.ask("pollfd", handle_id=export)
        assert watch.get("rsm_doorbells_rung_total") == 0
        worker.must("once", "post", 0)
        assert watch.get("rsm_doorbells_rung_total") == 1
        before = watch.get("rsm_offences_total")
        raw.send_raw(b"this is no request")
        raw.expect_gone()
        watch.soon(before + 1, "rsm_offences_total")


LOCAL = ("puts", "gets", "put_bytes", "got_bytes", "posts", "failures")


def test_local():
    """What processes count themselves: added up, kept when imports are closed and processes have gone."""
    with One() as one:
        watch = Watch(one.node)

        def moved(*expected):
            soon(lambda: tuple(watch.get(f"rsm_local_{name}_total") for name in LOCAL) == expected, f"{LOCAL}: {expected}")
        owner, importer = one.worker(), one.worker()
        owner.export(LENGTH, SEGMENT)
        moved(0, 0, 0, 0, 0, 0)
        importer.connect(0, 1, SEGMENT)
        importer.must("once", "put", 0)
        importer.must("once", "get", 0)
        importer.must("once", "post", 0)
        moved(1, 1, BLOCK, BLOCK, 1, 0)
        for number in range(1, 11):  # each import begins in the row of the one before
            importer.connect(number, 1, SEGMENT)
            importer.must("once", "put", number)
            importer.must("disconnect", number)
        moved(11, 1, 11 * BLOCK, BLOCK, 1, 0)
        importer.must("once", "get", 0)
        importer.kill()
        moved(11, 2, 11 * BLOCK, 2 * BLOCK, 1, 0)
        other = one.worker()
        other.connect(0, 1, SEGMENT)
        other.must("once", "put", 0)
        owner.must("unpublish")
        assert NAMES[other.ask("once", "put", 0)[0]] == "CONN_ABORTED"
        soon(lambda: watch.get("rsm_local_failures_total") == 1, "a failure")
        assert watch.get("rsm_local_puts_total") >= 12


def table_of(client):
    """The table that this client shares with rsmd."""
    export, _, _ = client.segment(LENGTH)
    client.connect(client.publish(export))
    client.ask("counters", own=True)
    return mmap.mmap(client.fds[0], 0)


def test_local_lies():
    """Whatever a process writes into its table: sums never fall, nor rise faster than a machine can."""
    with One() as one:
        watch = Watch(one.node)
        liar, honest = Client(one.node.socket), one.worker()
        table = table_of(liar)
        puts = 128 + 64  # head, then the row's own line, then its first cell: calls of put

        def looked(expected):
            """rsmd looks once a second; what it finds is its last word for this client."""
            soon(lambda: watch.get("rsm_local_puts_total") == expected, f"{expected} puts")
        struct.pack_into("=III", table, 0, 0, 0, 1)  # high
        struct.pack_into("=I", table, 128 + 16, 1)  # the row's id
        struct.pack_into("=Q", table, puts, 1000)
        looked(1000)
        struct.pack_into("=Q", table, puts, 10)
        start = watch.get("rsm_uptime_seconds")
        soon(lambda: watch.get("rsm_uptime_seconds") > start + 1.2, "another look")
        assert watch.get("rsm_local_puts_total") == 1000, "a number that fell"
        struct.pack_into("=Q", table, puts, 1 << 63)
        struct.pack_into("=III", table, 0, 0, 0, 0xffffffff)
        start = watch.get("rsm_uptime_seconds")
        soon(lambda: watch.get("rsm_uptime_seconds") > start + 1.2, "another look")
        assert watch.get("rsm_local_puts_total") == 1000, "a number that cannot be"
        struct.pack_into("=Q", table, puts, 1001)
        looked(1001)
        table[:] = b"\xff" * len(table)
        liar.close()
        raw = Client(one.node.socket)
        export, _, _ = raw.segment(LENGTH)
        raw.publish(export, OTHER)
        honest.connect(0, 1, OTHER)
        honest.must("once", "put", 0)
        looked(1002)


# ---- the file ----

def test_textfile():
    with tempfile.TemporaryDirectory(prefix="rsm-metrics-") as directory:
        path, victim = directory + "/rsm.prom", directory + "/victim"
        with open(victim, "w", encoding="ascii") as file:
            file.write("untouched")
        os.symlink(victim, path + ".tmp")
        os.symlink(victim, path)
        with One(f"textfile = {path}", "interval = 1s") as one:
            soon(lambda: not os.path.islink(path), "the file")
            seen = {}
            first = open(path, encoding="utf-8")
            before = first.read()

            def replaced():
                """Every text that is found is whole; three of them have been seen."""
                with open(path, encoding="utf-8") as file:
                    status = os.fstat(file.fileno())
                    assert stat.S_IMODE(status.st_mode) == 0o644, oct(status.st_mode)
                    seen[value(prometheus.parse(file.read()), "rsm_uptime_seconds")] = True
                return len(seen) >= 3
            soon(replaced, "two more texts")
            first.seek(0)
            assert first.read() == before, "a text was changed in place"
            first.close()
            with open(path, encoding="utf-8") as file:
                assert value(prometheus.parse(file.read()), "rsm_loop_latency_seconds") >= 0
            assert "metrics" not in one.node.text(), one.node.text()
        assert open(victim, encoding="ascii").read() == "untouched"
        assert sorted(os.listdir(directory)) == ["rsm.prom", "victim"]


def test_textfile_cannot_be_written():
    with tempfile.TemporaryDirectory(prefix="rsm-metrics-") as directory:
        path = directory + "/none/rsm.prom"
        with One(f"textfile = {path}", "interval = 1s") as one:
            watch = Watch(one.node)
            soon(lambda: watch.get("rsm_uptime_seconds") > 2.5, "some times at which it could not be written")
            assert "cannot be written" in one.node.text(), one.node.text()
            os.mkdir(directory + "/none")
            soon(lambda: os.path.exists(path), "the file, once there is a directory")
            soon(lambda: "are written" in one.node.text(), "the end of the warning")
            assert one.node.text().count("cannot be written") == 1, one.node.text()
            assert watch.get("rsm_clients") == 1


# ---- the port ----

def listening(number=1):
    place = Loopback(number)
    return place.address, place.port


@needs_http
def test_http():
    with One("listen = %s:%d" % listening()) as one:
        status, headers, text = fetch(listening())
        assert status == 200
        assert headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8", headers["Content-Type"]
        families = prometheus.parse(text)
        assert families.keys() == Watch(one.node).families().keys()
        soon(lambda: value(prometheus.parse(fetch(listening())[2]), "rsm_loop_latency_seconds") > 0, "a latency")
        worker = one.worker()
        worker.export(LENGTH, SEGMENT)
        soon(lambda: value(prometheus.parse(fetch(listening())[2]), "rsm_exported_bytes") == LENGTH, "a fresh text")
        for path in ("/", "/metrics/", "/metricsx", "/../metrics", "/%2e%2e/etc/passwd"):
            assert fetch(listening(), path=path)[0] == 404, path
        for method in ("POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "TRACE"):
            status, headers, _ = fetch(listening(), method)
            assert status == 405 and headers["Allow"] == "GET", (method, status)
        assert fetch(listening())[0] == 200
        clean_end(one)


def clean_end(one):
    """Connections that are open do not keep it from ending."""
    silent = socket.create_connection(listening(), PATIENCE)
    one.node.stop()
    silent.close()


@needs_http
def test_http_slow_and_hostile():
    with One("listen = %s:%d" % listening()) as one:
        watch = Watch(one.node)
        slow = socket.create_connection(listening(), PATIENCE)
        slow.sendall(b"G")
        reader = socket.create_connection(listening(), PATIENCE)  # asks, and never reads
        reader.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n" * 200)
        assert fetch(listening())[0] == 200
        assert watch.get("rsm_clients") == 1
        slow.sendall(b"ET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        assert slow.recv(100, socket.MSG_WAITALL).startswith(b"HTTP/1.1 200"), "the slow one is served in the end"
        slow.close()
        reader.close()
        crowd = [socket.create_connection(listening(), PATIENCE) for _ in range(100)]
        for one_of_many in crowd:
            one_of_many.sendall(b"G")
        soon(lambda: attempt() == 200, "a scrape beside 100 silent connections")
        assert one.node.descriptors() < 80, one.node.descriptors()
        for one_of_many in crowd:
            one_of_many.close()
        for noise in (b"\0" * 100, b"GET /metrics\r\n\r\n", b"GET " + b"x" * 70000 + b" HTTP/1.1\r\n\r\n",
                      b"GET /metrics HTTP/1.1\r\n" + b"a: " + b"b" * 70000, b"\x16\x03\x01\x02\x00\x01",
                      b"POST /metrics HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n",
                      b"GET /metrics HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n"):
            with socket.create_connection(listening(), PATIENCE) as connection:
                try:
                    connection.sendall(noise)
                except OSError:
                    pass  # it was hung up while we were speaking
        soon(lambda: attempt() == 200, "a scrape behind noise")
        assert watch.get("rsm_clients") == 1


def attempt():
    """One that the crowd pushed out is tried again."""
    try:
        return fetch(listening())[0]
    except (OSError, http.client.HTTPException):
        return 0


@needs_http
def test_http_while_the_loop_waits():
    """The answer comes from the loop; while rsmd is stopped there is none, and afterwards all goes on."""
    with One("listen = %s:%d" % listening()) as one:
        assert fetch(listening())[0] == 200
        one.node.signal(signal.SIGSTOP)
        waiting = socket.create_connection(listening(), PATIENCE)
        waiting.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        one.node.signal(signal.SIGCONT)
        assert waiting.recv(12, socket.MSG_WAITALL) == b"HTTP/1.1 200"
        waiting.close()


def test_thread_that_dies():
    """The loop's or another one: whichever thread has a fault, the flight recorder is dumped."""
    with open(os.environ["RSMD"], "rb") as program:
        if b"__tsan_init" in program.read():
            raise Skip("the thread sanitizer holds signals back until a call returns")
    listen = ["listen = %s:%d" % listening()] if has_http() else []
    which = count = 0
    while not which or which < count:
        with tempfile.TemporaryDirectory() as directory, One(f"textfile = {directory}/rsm.prom", *listen) as one:
            process = one.node.process
            threads = sorted(int(thread) for thread in os.listdir(f"/proc/{process.pid}/task"))
            if which >= len(threads):
                break  # the run before had one more: how many close descriptors, they are last, depends on how clients left
            assert not LIBC.tgkill(process.pid, threads[which], signal.SIGSEGV)
            assert process.wait(PATIENCE) == -signal.SIGSEGV, f"thread {which}: {process.returncode}"
            assert "rsmd: end of the flight recorder" in one.node.text(), f"thread {which} of {len(threads)}"
        which, count = which + 1, len(threads)
    assert count > 1 + len(listen), f"{count} threads"


@needs_http
def test_port_taken():
    with socket.create_server(listening()) as taken:
        with One("listen = %s:%d" % listening()) as one:
            assert re.search(r"metrics are not served on .*: Address already in use", one.node.text()), one.node.text()
            assert Watch(one.node).get("rsm_clients") == 1
            assert taken.fileno() >= 0


def test_only_loopback():
    for address in ("0.0.0.0:9781", "192.0.2.1:9781", "[::]:9781", "[fe80::1]:9781"):
        one = One(f"listen = {address}")
        started = subprocess.run([os.environ["RSMD"], "--config", one.node.path + "/conf", "--socket", one.node.socket],
                                 stderr=subprocess.PIPE, text=True, check=False, timeout=PATIENCE)
        shutil.rmtree(one.directory)
        assert started.returncode == 1 and "conf:5: listen" in started.stderr and "loopback" in started.stderr, started


# ---- other nodes ----

def test_nodes():
    with Cluster([Loopback(number) for number in (1, 2)], dead_after_ms=3000) as nodes:
        watches = {number: Watch(nodes[number]) for number in (1, 2)}
        for number, other in ((1, 2), (2, 1)):
            watches[number].soon(1, "rsm_path_up", node=other, controller="tcp0")
        soon(lambda: watches[1].families()["rsm_path_round_trip_seconds"].samples, "a round trip")
        owner, importer = nodes.worker(2), nodes.worker(1)
        owner.export(LENGTH, SEGMENT)
        path = {"node": 1, "controller": "tcp0"}
        importer.connect(0, 2, SEGMENT)
        assert NAMES[importer.ask("connect", 1, 2, NOWHERE)[0]] == "SEG_NOT_PUBLISHED"
        for _ in range(3):
            importer.must("once", "put", 0)
        importer.must("once", "get", 0)
        importer.must("once", "post", 0)
        watches[2].soon(3, "rsm_guest_puts_total", **path)
        watches[2].soon(1, "rsm_guest_gets_total", **path)
        watches[2].soon(1, "rsm_guest_posts_total", **path)
        watches[2].soon(3 * BLOCK, "rsm_guest_received_bytes_total", **path)
        watches[2].soon(BLOCK, "rsm_guest_sent_bytes_total", **path)
        assert watches[2].get("rsm_guest_connects_total", **path) == 1
        assert watches[2].get("rsm_guest_refusals_total", **path) == 1
        assert watches[2].get("rsm_path_guests", **path) == 1
        assert watches[1].get("rsm_path_aways", node=2, controller="tcp0") == 1
        assert watches[1].get("rsm_connects_total", controller="tcp0") == 1
        assert watches[1].get("rsm_refusals_total", code="RSMERR_SEG_NOT_PUBLISHED") == 1
        check_page(watches[1].families(), watches[2].families())
        before = watches[1].get("rsm_requests_total", kind="connect")
        pinged = subprocess.run([os.environ["RSM"], "ping", "--count", "5", "--interval", "0.001", "2"], check=False,
                                env={**os.environ, "RSM_SOCKET": nodes[1].socket}, capture_output=True, text=True)
        assert pinged.returncode == 0 and pinged.stdout.count("answer from node 2") == 5, pinged
        assert watches[1].get("rsm_requests_total", kind="connect") == before + 5
        assert watches[1].get("rsm_refusals_total", code="RSMERR_SEG_NOT_PUBLISHED") == 1, "a ping is no refusal"
        assert watches[2].get("rsm_guest_refusals_total", **path) == 1, "a ping is no refusal of a guest"
        importer.kill()
        watches[2].soon(0, "rsm_path_guests", **path)
        watches[1].soon(0, "rsm_path_aways", node=2, controller="tcp0")
        # Its data connection may have ended before its conversation: then its node heard of an abort first.
        before = watches[1].get("rsm_aborts_total", cause="owner")
        assert watches[2].get("rsm_guest_puts_total", **path) == 3, "what a guest moved is kept when it has gone"
        second = nodes.worker(1)
        second.connect(0, 2, SEGMENT)
        second.must("once", "put", 0)
        watches[2].soon(4, "rsm_guest_puts_total", **path)
        owner.must("unpublish")
        assert watches[2].get("rsm_aborts_total", cause="withdrawn") == 1
        watches[1].soon(before + 1, "rsm_aborts_total", cause="owner")
        owner.must("publish", SEGMENT)
        second.connect(1, 2, SEGMENT)
        nodes[2].kill()
        watches[1].soon(0, "rsm_path_up", node=2, controller="tcp0")
        assert watches[1].get("rsm_path_losses_total", node=2, controller="tcp0") == 1
        watches[1].soon(1, "rsm_aborts_total", cause="path-lost")
        assert not watches[1].families()["rsm_path_round_trip_seconds"].samples
        nodes[2].start()
        watches[1].soon(1, "rsm_path_up", node=2, controller="tcp0")


# ---- who names them ----

def check_page(*told):
    """The table of the page has every family of these texts, with its type and labels, and no other."""
    with open(ROOT + "/doc/observability.md", encoding="utf-8") as file:
        rows = re.findall(r"^\| `(rsm_\w+)` \| (\w+) \| ([\w, ]*?) ?\| (.+) \|$", file.read(), re.M)
    page = {name: (kind, set(filter(None, labels.split(", ")))) for name, kind, labels, _ in rows}
    assert len(page) == len(rows), "a name has two rows"
    families = {}
    for one in told:
        for name, family in one.items():
            kind, labels = families.get(name, (family.kind, None))
            families[name] = kind, family.labels() if labels is None else labels
    assert page.keys() == families.keys(), f"page and rsmd differ in {sorted(page.keys() ^ families.keys())}"
    for name, (kind, labels) in families.items():
        assert page[name][0] == kind, (name, kind, page[name])
        assert labels in (None, page[name][1]), (name, labels, page[name])


def check_names(what, text, families):
    names = prometheus.names_in(text)
    assert len(names) > 5, f"{what}: names are not found"
    missing = names - families.keys()
    assert not missing, f"{what} names what rsmd does not write: {sorted(missing)}"


def test_dashboard():
    with One() as one:
        families = Watch(one.node).families()
    with open(ROOT + "/packaging/grafana-dashboard.json", encoding="utf-8") as file:
        board = json.load(file)
    assert board["schemaVersion"] >= 36 and board["uid"] and board["title"]
    variables = {variable["name"]: variable for variable in board["templating"]["list"]}
    assert variables["datasource"]["type"] == "datasource" and variables["node"]["type"] == "query"
    identifiers = [panel["id"] for panel in board["panels"]]
    assert len(set(identifiers)) == len(identifiers)
    expressions = [variables["node"]["definition"]] + [note["expr"] for note in board["annotations"]["list"]]
    for panel in board["panels"]:
        assert panel["type"] == "row" or panel["targets"], panel["title"]
        assert panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24, panel["title"]
        for target in panel.get("targets", []):
            assert target["datasource"]["uid"] == "${datasource}" and "$node" in target["expr"], target
            expressions.append(target["expr"])
    for expression in expressions:
        assert expression.count("(") == expression.count(")") and expression.count("{") == expression.count("}"), expression
        counters = {name for name in prometheus.names_in(expression) if name.endswith("_total")}
        assert not counters or re.search(r"\b(rate|increase)\(", expression), f"a bare counter: {expression}"
    check_names("the dashboard", " ".join(expressions), families)
    unused = {name for name in families if not name.startswith("rsm_start")} - prometheus.names_in(" ".join(expressions))
    assert not unused, f"the dashboard shows nothing of {sorted(unused)}"


def test_alerts():
    path = ROOT + "/packaging/prometheus-alerts.yml"
    with One() as one:
        families = Watch(one.node).families()
    with open(path, encoding="utf-8") as file:
        text = file.read()
    rules = re.findall(r"^      - alert: (\w+)\n        expr: (.+)\n((?:        .*\n|          .*\n)+)", text, re.M)
    assert len(rules) == text.count("alert:") and len({name for name, _, _ in rules}) == len(rules)
    for name, expression, rest in rules:
        assert "severity:" in rest and "summary:" in rest and "description:" in rest, name
        assert expression.count("(") == expression.count(")"), name
    check_names("the rules", text, families)
    if shutil.which("promtool"):
        subprocess.run(["promtool", "check", "rules", path], check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    run({name[5:]: test for name, test in list(globals().items()) if name.startswith("test_")})
