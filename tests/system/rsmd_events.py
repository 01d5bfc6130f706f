# SPDX-License-Identifier: BSD-2-Clause
"""Life events of a node: what watchers, the log and the flight recorder are told, also when somebody means harm."""

import fcntl
import json
import os
import re
import resource
import signal
import stat
import subprocess
import tempfile
import time

from rsmd_client import PROTO, TIMEOUT, Client, Daemon, Skip, frame, readable, run, varint
from watcher import Watcher

RECORDS = 1024
OF_CLIENT, OF_NODE = 8, 64
DUMP_MAX = 8 << 20


def with_daemon(config="", **options):
    """Decorator: a fresh rsmd in a directory of its own, and as many descriptors at the end as at the beginning."""
    def wrap(test):
        def body():
            with tempfile.TemporaryDirectory() as directory:
                os.chmod(directory, 0o755)
                daemon = Daemon(directory + "/rsmd.sock", config=config, **options)
                try:
                    Client(daemon.path).close()
                    before = daemon.descriptors()
                    test(daemon)
                    assert daemon.descriptors_left(before) <= before, "descriptors leaked"
                finally:
                    daemon.stop()
        return body
    return wrap


def clear(client):
    for fd in client.fds:
        os.close(fd)
    client.fds = []


def events_of(client):
    text = client.ask("status", what="events")["json"]
    told = json.loads(text)
    assert told["schema"] == 1
    return told["events"]


@with_daemon(config="[node]\nid = 5\n")
def every_event_with_its_keys(daemon):
    watcher = Watcher(daemon.path)
    me = {"pid": os.getpid(), "uid": os.geteuid(), "program": "test"}
    exporter = Client(daemon.path)
    watcher.expect("client", **me)
    export, _, memory = exporter.segment(length=8192, umask=0o077)
    name = exporter.publish(export)
    segment = {"node": 5, "segment": hex(name), **me}
    first = watcher.expect("publish", length=8192, access="0600", controller="loopback", **segment)
    assert set(first) == {"schema", "seq", "time", "event", "node", "segment", "pid", "uid", "program", "length", "access",
                          "controller"}
    exporter.ask("publish", export_id=export, republish=True, acl=[{"node_id": 5, "permission": 0o444}])
    assert watcher.expect("republish", access="0444", **segment)["seq"] == first["seq"] + 1
    importer = Client(daemon.path)
    watcher.expect("client")
    connected = importer.connect(name, permission=0o400, node=5)
    clear(importer)
    watcher.expect("connect", importer=5, access="0400", length=8192, controller="loopback", **segment)
    importer.ask("connect", controller="loopback", node_id=5, segment_id=name ^ 1, permission=0o400,
                 expect="SEG_NOT_PUBLISHED")
    refused = watcher.expect("refuse", importer=5, access="0400", code=7, node=5, segment=hex(name ^ 1), **me)
    assert "not published" in refused["reason"]
    importer.send("disconnect", import_id=connected["import_id"])
    watcher.expect("disconnect", importer=5, **segment)
    importer.connect(name, permission=0o400, node=5)
    clear(importer)
    watcher.expect("connect")
    exporter.ask("unpublish", export_id=export)
    watcher.expect("unpublish", length=8192, **segment)
    aborted = watcher.expect("abort", importer=5, code=40, **segment)
    assert "withdrew" in aborted["reason"]
    importer.close()
    watcher.expect("client-gone", **me)  # and no disconnect of what was aborted
    exporter.publish(export)
    watcher.expect("publish")
    exporter.close()  # dies with what it has published
    watcher.expect("unpublish")
    watcher.expect("client-gone")
    os.close(memory)
    watcher.close()


@with_daemon()
def round_trips_are_no_events(daemon):
    """Nobody can publish segment 0: who asks for it measures a round trip."""
    watcher = Watcher(daemon.path)
    client = Client(daemon.path)
    client.ask("connect", controller="loopback", node_id=1, segment_id=0, permission=0o400, expect="SEG_NOT_PUBLISHED")
    client.close()
    assert [event["event"] for event in watcher.until("client-gone")] == ["client", "client-gone"]
    watcher.close()


def churn(client, export, count):
    """Two events each."""
    for _ in range(count):
        client.publish(export)
        client.ask("unpublish", export_id=export)
        clear(client)


@with_daemon()
def a_watcher_that_never_reads(daemon):
    lazy = Watcher(daemon.path)
    client = Client(daemon.path)
    export, _, memory = client.segment()
    os.close(memory)
    churn(client, export, 500)
    memory_before, longest = daemon.rss_kib(), 0.0
    for _ in range(50):
        churn(client, export, 100)
        start = time.monotonic()
        client.ask("topology")
        longest = max(longest, time.monotonic() - start)
    assert longest < 5, longest
    grown = daemon.rss_kib() - memory_before
    assert daemon.sanitized() or grown < 4096, f"{grown} KiB"
    # Lines and losses together are all that happened: 1 client, 11,000 publications and withdrawals.
    seen = lost = 0
    last = None
    while seen + lost < 11001:
        event = lazy.next()
        if event["event"] == "lost":
            assert event["seq"] == last + event["count"], (last, event)
            lost += event["count"]
        else:
            seen += 1
            assert last is None or event["seq"] == last + 1, (last, event)
        last = event["seq"]
    assert seen > 100 and lost > 1000, (seen, lost)
    client.publish(export)  # it goes on as if nothing had been
    assert lazy.expect("publish")["seq"] == last + 1
    client.close()
    lazy.close()


@with_daemon()
def watchers_are_limited(daemon):
    greedy = Client(daemon.path)
    own = [Watcher(daemon.path, greedy) for _ in range(OF_CLIENT)]
    reply = greedy.ask("watch", expect="INSUFFICIENT_RESOURCES")
    assert str(OF_CLIENT) in reply["reason"], reply
    others = [Client(daemon.path) for _ in range(100 - OF_CLIENT)]
    watchers = [Watcher(daemon.path, client) for client in others[:OF_NODE - OF_CLIENT]]
    for client in others[OF_NODE - OF_CLIENT:]:
        assert str(OF_NODE) in client.ask("watch", expect="INSUFFICIENT_RESOURCES")["reason"]
    Client(daemon.path).close()
    for watcher in own + watchers:
        watcher.expect("client")
    # Closing makes room, without the client's end; rsmd learns of it in its own time.
    os.close(own[0].fd)
    deadline = time.monotonic() + TIMEOUT
    while True:
        others[-1].send("watch")
        reply = others[-1].receive()
        if not reply["code"]:
            break
        assert time.monotonic() < deadline, reply
    clear(others[-1])
    for watcher in own[1:] + watchers:
        os.close(watcher.fd)
    for client in others + [greedy]:
        client.close()


@with_daemon(private=False)
def some_are_kept_for_root(daemon):
    if os.geteuid():
        raise Skip("needs root")
    os.seteuid(65534)
    try:
        clients = [Client(daemon.path) for _ in range(OF_NODE)]
    finally:
        os.seteuid(0)
    granted = 0
    for client in clients:
        client.send("watch")
        granted += client.receive()["code"] == 0
        clear(client)
        client.ask("topology")
    assert 0 < granted <= OF_NODE  # closed ones made room
    kept = [Watcher(daemon.path, client) for client in clients[:48]]
    clients[48].ask("watch", expect="INSUFFICIENT_RESOURCES")
    Watcher(daemon.path).close()
    for watcher in kept:
        os.close(watcher.fd)
    for client in clients:
        client.close()


@with_daemon()
def the_end_of_either_side(daemon):
    watcher = Watcher(daemon.path)
    watcher.client.close()
    try:
        watcher.until("never")
    except EOFError:
        pass
    os.close(watcher.fd)
    client = Client(daemon.path)
    before = daemon.descriptors()
    client.ask("watch")
    clear(client)
    assert daemon.descriptors_left(before) <= before
    client.ask("topology")
    client.close()


def hello_as(daemon, program):
    client = Client(daemon.path, hello=False)
    hello = PROTO.encode("Hello", {"version": 1}) + varint(3 << 3 | 2) + varint(len(program)) + program
    client.send_raw(frame(varint(1 << 3) + varint(1) + varint(2 << 3 | 2) + varint(len(hello)) + hello))
    assert client.receive()["code"] == 0
    clear(client)
    return client


@with_daemon(environment={"RSM_LOG": "debug"})
def names_that_are_none(daemon):
    """Names come from clients: every line stays one line of valid JSON, and one line of the log."""
    names = {
        b"plain": "plain", b"a b": "a b", b'quote" pid=0': 'quote" pid=0', b"back\\slash": "back\\slash",
        b"new\nline": "new?line", b"\x1b[31mred\x7f": "?[31mred?", "\u00e4\u20ac\U0001f40b".encode(): "\u00e4\u20ac\U0001f40b",
        b"\xff\xfe": "??", b"\xc3": "?", b"\xc0\xaf": "??", b"\xed\xa0\x80": "???", b"\xf4\x90\x80\x80": "????",
        b"\xc2\x9b31m": "??31m", b"\xe2\x82": "??", b"x" * 300: "x" * 64, b"\xc3\xa4" * 40: None, b'"' * 64: '"' * 64,
    }
    watcher = Watcher(daemon.path)
    for name, shown in names.items():
        client = hello_as(daemon, name)
        assert len(json.loads(client.ask("status", what="events")["json"])["events"]) > 0
        event = watcher.expect("client")
        assert shown is None or event["program"] == shown, (name, event)
        client.ask("connect", controller='no"\x01' * 8, node_id=1, segment_id=77, permission=0o400,
                   expect="CTLR_NOT_PRESENT")
        assert watcher.expect("refuse")["controller"] == 'no"?' * 8
        client.ask("connect", controller="z" * 5000, node_id=1, segment_id=77, permission=0o400,
                   expect="CTLR_NOT_PRESENT")
        watcher.expect("refuse")
        client.close()
        watcher.expect("client-gone")
    watcher.close()
    Client(daemon.path).close()
    for line in daemon.lines:
        assert line.startswith("rsmd: ") and line[:-1].isprintable(), line
        assert ' pid=0"' not in line or '\\" pid=0"' in line, line  # no key but rsmd's own


@with_daemon(environment={"RSM_LOG": "debug", "RSM_LOG_FORMAT": "json"})
def the_log_as_json(daemon):
    assert json.loads(daemon.first)["event"] == "log" and json.loads(daemon.first)["level"] == "info"
    client = Client(daemon.path)
    export, _, memory = client.segment()
    os.close(memory)
    name = client.publish(export)
    client.close()
    deadline = time.monotonic() + TIMEOUT
    while not any('"unpublish"' in line for line in daemon.lines) and time.monotonic() < deadline:
        Client(daemon.path).close()
    events = [json.loads(line) for line in daemon.lines]
    assert [event["segment"] for event in events if event["event"] == "publish"] == [hex(name)]


@with_daemon()
def the_door_is_no_way_to_flood(daemon):
    """Offences are rationed in the log, and so in the recorder."""
    watcher = Watcher(daemon.path)
    for _ in range(100):
        client = Client(daemon.path, hello=False)
        client.send_raw(b"nonsense")
        client.expect_gone()
        client.close()
    told = [event for event in events_of(watcher.client) if event["event"] == "log"]
    assert 1 <= sum("dropped" in event["text"] for event in told) <= 40, told
    assert sum("dropped" in line for line in daemon.lines) <= 40
    watcher.close()


@with_daemon(private=False)
def the_flight_recorder(daemon):
    client = Client(daemon.path)
    export, _, memory = client.segment()
    os.close(memory)
    churn(client, export, 400)
    told = events_of(client)
    assert told[0]["event"] == "log" and "serves" in told[0]["text"]
    churn(client, export, 400)
    told = events_of(client)
    assert len(told) == RECORDS and told[-1]["event"] == "unpublish"
    numbers = [event["seq"] for event in told if event["event"] != "log"]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    Client(daemon.path, hello=False).send_raw(b"nonsense")
    Client(daemon.path).close()
    assert any(event["event"] == "log" for event in events_of(client))
    if os.geteuid() == 0:
        os.seteuid(65534)
        try:
            stranger = Client(daemon.path)
        finally:
            os.seteuid(0)
        told = events_of(stranger)
        assert told and not any(event["event"] == "log" for event in told)
        stranger.close()
    client.close()


# ---- the dump ----

def dump_lines(lines, why):
    """Between its first and its last line: objects."""
    text = [line.rstrip("\n") for line in lines]
    begin = text.index(f"rsmd: flight recorder, newest last: {why}")
    end = text.index("rsmd: end of the flight recorder", begin)
    return [json.loads(line) for line in text[begin + 1:end]]


def killed(number, why, environment=None):
    """A daemon with one publication, ended by that signal: its lines on stderr."""
    with tempfile.TemporaryDirectory() as directory:
        daemon = Daemon(directory + "/rsmd.sock", environment=environment)
        client = Client(daemon.path)
        export, _, memory = client.segment()
        os.close(memory)
        client.publish(export)
        daemon.process.send_signal(number)
        code = daemon.process.wait(TIMEOUT)
        daemon.reader.join()
        client.close()
        assert code == -number, f"{why}: ended with {code}"
        return daemon.lines


def dump_at_death():
    """The signal still ends it as the signal does."""
    for number in (signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGILL, signal.SIGFPE):
        told = dump_lines(killed(number, number.name), number.name)
        assert [event["event"] for event in told] == ["log", "client", "publish"], told


def dump_into_a_file():
    with tempfile.TemporaryDirectory() as directory:
        path = directory + "/dump"
        lines = killed(signal.SIGSEGV, "SIGSEGV", {"RSM_DUMP": path})
        assert not any("flight recorder" in line for line in lines), lines
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
        killed(signal.SIGABRT, "SIGABRT", {"RSM_DUMP": path})  # is appended
        with open(path, encoding="utf-8") as file:
            text = file.readlines()
        assert len(dump_lines(text, "SIGSEGV")) == 3 and len(dump_lines(text, "SIGABRT")) == 3
        killed(signal.SIGABRT, "SIGABRT", {"STATE_DIRECTORY": directory + ":/nonexistent"})
        with open(directory + "/rsmd.dump", encoding="utf-8") as file:
            assert len(dump_lines(file.readlines(), "SIGABRT")) == 3


def dump_of_one_that_dies_again_and_again():
    """A file that has grown beyond its bound begins anew."""
    with tempfile.TemporaryDirectory() as directory:
        path = directory + "/dump"
        for size, begins_anew in ((DUMP_MAX, False), (DUMP_MAX + 1, True)):
            with open(path, "wb") as file:
                file.truncate(size)
            killed(signal.SIGSEGV, "SIGSEGV", {"RSM_DUMP": path})
            with open(path, encoding="utf-8") as file:
                text = file.read()
            assert (len(text) < 4096) == begins_anew, (size, len(text))
            assert len(dump_lines(text[-4096:].lstrip("\0").splitlines(), "SIGSEGV")) == 3


def dump_never_follows():
    """Neither a symbolic link nor a second name of somebody's file, nor what is no file: stderr then."""
    with tempfile.TemporaryDirectory() as directory:
        victims = directory + "/linked", directory + "/named twice"
        for victim in victims:
            with open(victim, "w", encoding="ascii") as file:
                file.write("mine")
        os.symlink(victims[0], directory + "/link")
        os.link(victims[1], directory + "/second")
        os.mkfifo(directory + "/fifo")
        os.mkdir(directory + "/directory")
        for name in ("link", "second", "fifo", "directory", "missing/dump"):
            lines = killed(signal.SIGSEGV, "SIGSEGV", {"RSM_DUMP": f"{directory}/{name}"})
            assert len(dump_lines(lines, "SIGSEGV")) == 3, name
        for victim in victims:
            with open(victim, encoding="ascii") as file:
                assert file.read() == "mine"
    result = subprocess.run([os.environ["RSMD"], "--check", "--config", "/dev/null"], capture_output=True, text=True,
                            timeout=TIMEOUT, check=False, env={**os.environ, "RSM_DUMP": "relative"})
    assert result.returncode == 0 and "not an absolute path" in result.stderr, result


@with_daemon()
def dump_when_asked(daemon):
    """By SIGUSR1, as often as one likes; nothing else happens to it."""
    client = Client(daemon.path)
    for _ in range(20):
        daemon.process.send_signal(signal.SIGUSR1)
        client.ask("topology")
    deadline = time.monotonic() + TIMEOUT
    while not any("end of the flight recorder" in line for line in daemon.lines) and time.monotonic() < deadline:
        client.ask("topology")
    assert dump_lines(daemon.lines, "SIGUSR1")[-1]["event"] == "client"
    client.close()


def a_log_that_nobody_reads():
    """It costs lines, never an answer; what was lost is told. The dump goes to its file meanwhile, or is cut."""
    with tempfile.TemporaryDirectory() as directory:
        path = directory + "/dump"
        end, log = os.pipe()
        room = fcntl.fcntl(end, fcntl.F_GETPIPE_SZ)
        process = subprocess.Popen([os.environ["RSMD"], "--private", "--config", "/dev/null", "--socket", directory + "/rsmd.sock"],
                                   stderr=log, env={**os.environ, "RSM_DUMP": path, "RSM_LOG": "debug"})
        try:
            os.close(log)
            assert b"serves" in os.read(end, 4096)
            for _ in range(2 * room // 100):  # two lines each of more than that
                Client(directory + "/rsmd.sock", program="p" * 64).close()
            process.send_signal(signal.SIGUSR1)
            deadline = time.monotonic() + TIMEOUT
            while not (os.path.exists(path) and b"end of the flight" in open(path, "rb").read()):
                assert time.monotonic() < deadline, "no dump"
                os.sched_yield()
            with open(path, encoding="utf-8") as file:
                assert len(dump_lines(file.readlines(), "SIGUSR1")) > 100
            os.unlink(path)
            os.symlink("/dev/null", path)  # not followed: the dump goes where nobody reads
            process.send_signal(signal.SIGUSR1)
            Client(directory + "/rsmd.sock").close()
            assert len(os.read(end, room)) > room - 2 * 4096
            Client(directory + "/rsmd.sock").close()
            told = os.read(end, room).decode().splitlines()
            lost = int(re.fullmatch(r"rsmd: (\d+) lines of the log found no room and are lost", told[0])[1])
            assert 2 * room // 100 < lost and "event=client" in told[1], told
        finally:
            process.kill()
            process.wait()
            os.close(end)


def fatal_errors():
    """What rsmd says itself when it cannot start stays short; a file gets the records, too."""
    with tempfile.TemporaryDirectory() as directory:
        for environment in ({}, {"RSM_DUMP": directory + "/dump"}):
            result = subprocess.run([os.environ["RSMD"], "--private", "--socket", directory + "/rsmd.sock", "--config", "/nonexistent"],
                                    capture_output=True, text=True, timeout=TIMEOUT, check=False,
                                    env={**os.environ, **environment})
            assert result.returncode == 1 and result.stderr.count("\n") == 1, result
        with open(directory + "/dump", encoding="utf-8") as file:
            told = dump_lines(file.readlines(), "fatal error")
        assert told[-1]["level"] == "error" and "/nonexistent" in told[-1]["text"]


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    run({name: test for name, test in list(globals().items()) if name in (
        "every_event_with_its_keys", "round_trips_are_no_events", "a_watcher_that_never_reads", "watchers_are_limited",
        "some_are_kept_for_root", "the_end_of_either_side", "names_that_are_none", "the_log_as_json",
        "the_door_is_no_way_to_flood", "the_flight_recorder", "dump_at_death", "dump_into_a_file", "dump_of_one_that_dies_again_and_again",
        "dump_never_follows",
        "dump_when_asked", "a_log_that_nobody_reads", "fatal_errors")})
