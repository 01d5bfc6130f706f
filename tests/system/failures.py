# SPDX-License-Identifier: BSD-2-Clause
"""What each call says, and when, if something dies or falls silent between two nodes: the failure matrix of the
documentation. Node 2 owns a segment, processes of node 1 use it, each for one call; node 3 looks on and must not notice.

    failures.py virtual [EVENT...]       rsmd processes on one host: kill, stop
    failures.py hosts [EVENT...]         network namespaces: also what happens to links (needs root)
    failures.py hosts2 [EVENT...]        two hosts and a cable between them, a few events
    failures.py hosts6 [EVENT...]        three over IPv6, a few events
    failures.py encrypted [EVENT...]     one host, data connections encrypted, a few events

After each event: no call hangs; nothing lands in the exporter's memory any more once the abort was reported, neither then
nor when the link is back; a new connect works."""

import os
import signal
import sys
import time

import cluster
from cluster import CODES, NAMES, Cluster, Loopback, soon

DEAD_AFTER_MS = 1000
SLOW = bool(os.environ.get("RSM_TEST_SLOW"))  # with sanitizers
SLACK = 5.0 if SLOW else 1.0  # seconds beyond dead-after: the machine is busy with other tests
THREADS = 2  # of each rsmd, for data
QUIET = 5000 if SLOW else 1000  # milliseconds that a call of a node that is not concerned may take
CALLS = ("put", "get", "putv", "close", "order", "post", "wait", "poll", "connect")
SEGMENT, OTHER = 0x400001, 0x400002
BLOCKS = 32
STREAM = 16  # first block that is only written by the stream

ABORTED, UNREACHABLE = "CONN_ABORTED", "REMOTE_NODE_UNREACHABLE"


class Event:
    """What happens, how it is undone, what calls say of it. `silent`: only time tells; else it is known at once. `alone`: the
    importers' own rsmd is gone; those who sleep find out once a second."""

    def __init__(self, name, act, undo=None, silent=False, connect=UNREACHABLE, lands=True, third=(3, 1), calls=CALLS,
                 alone=False, anew=False, frozen=False):
        self.name, self.act, self.undo, self.silent, self.connect = name, act, undo, silent, connect
        self.lands, self.third, self.calls, self.alone, self.anew = lands, third, calls, alone, anew
        self.frozen = frozen

    def expects(self, call, code):
        """A connect that was half done says that it was interrupted; one that was on its way to a node whose rsmd is started
        anew, that it was not reached."""
        if call != "connect":
            return code == ABORTED
        return code == self.connect or not self.alone and (
            code == "INTERRUPTED" or self.anew and code == UNREACHABLE)

    def bound(self, call, dead_after):
        """Seconds. A connect that finds the path lost waits until it counts as dead before it is refused."""
        slow = self.silent or (call == "connect" and self.connect == UNREACHABLE)
        return (dead_after if slow else 0) + SLACK + (1 if self.alone and call in ("wait", "poll") else 0)


class Scene:
    def __init__(self, nodes):
        self.nodes = nodes
        self.owner = nodes.worker(2)
        self.owner.export(BLOCKS * 4096, SEGMENT)
        self.other = nodes.worker(1)
        self.other.export(BLOCKS * 4096, OTHER)
        self.callers = {}
        self.stream = self.looker = None

    def begin(self, event):
        """Everybody is in the middle of it when this returns."""
        for at, call in enumerate(event.calls):
            self.callers[call] = worker = self.nodes.worker(1)
            worker.connect_soon(0, 2, SEGMENT, at)
            worker.begin(call)
        self.stream = self.nodes.worker(1)
        self.stream.connect_soon(0, 2, SEGMENT, STREAM)
        self.stream.begin("stream")
        source, target = event.third
        if source <= len(self.nodes.nodes):
            self.looker = self.nodes.worker(source)
            self.looker.connect_soon(0, target, SEGMENT if target == 2 else OTHER, BLOCKS - 1)
            self.looker.begin("close")

    def end(self):
        all_of_it = [*self.callers.values(), self.owner, self.other, self.stream, self.looker]
        self.nodes.close([worker for worker in all_of_it if worker])


def outcome(worker, since):
    """(code, seconds from the event, longest call in ms)."""
    code, _, longest, end = worker.read(cluster.PATIENCE)[:4]
    return NAMES.get(code, str(code)), end / 1e9 - since, longest


def play(nodes, event, table):
    """One event, from a cluster that is whole to one that is whole again."""
    scene = Scene(nodes)
    scene.begin(event)
    dead_after = nodes.dead_after
    since = time.monotonic()
    event.act(scene)
    if event.silent:
        since = time.monotonic()  # making silence takes some steps
    found = {call: outcome(worker, since) for call, worker in scene.callers.items()}
    stream = outcome(scene.stream, since)
    before = landed(scene, event)
    table.append((event.name, {call: (code, seconds) for call, (code, seconds, _) in found.items()}))
    if scene.looker:
        code, _, longest = scene.looker.finish()
        assert code == 0, f"node {event.third[0]} was disturbed: {NAMES.get(code, code)}: {scene.looker.reason}"
        assert longest < QUIET, f"a call between nodes {event.third} took {longest} ms"
    if event.undo:
        event.undo(scene)
    recovered(scene, event)
    compare(before, landed(scene, event), event)
    for call, (code, seconds, _) in found.items():
        assert event.expects(call, code), f"{call}: {code}"
        assert seconds < event.bound(call, dead_after), f"{call}: told after {seconds:.3f} s"
    assert stream[0] == ABORTED and stream[1] < event.bound("put", dead_after), f"stream: {stream}"
    scene.end()


def landed(scene, event):
    """What the stream and the others have written, if the exporter is there to be asked: a checksum of it all, and of each block
    the first and the last byte, which each put raises by one."""
    if not event.lands:
        return None, []
    return scene.owner.must("sum", 0, (BLOCKS - 1) * 4096), [
        scene.owner.must("byte", at) for block in range(BLOCKS - 1) for at in (block * 4096, block * 4096 + 4095)]


def compare(before, after, event):
    """Nothing landed. An rsmd that was stopped in the middle of an access makes that one access when it goes on: then it is one put
    for each of its threads, not what waits in its sockets."""
    moved = [(new - old) % 256 for old, new in zip(before[1], after[1])]
    if event.frozen:
        assert max(moved) <= 1 and sum(moved) <= 2 * THREADS, f"landed after the abort was reported: {moved}"
    else:
        assert before == after, f"something landed after the abort was reported: {moved}"


def recovered(scene, event):
    """A new connect works: to the segment, if it is there; else to one that takes its place."""
    fresh = scene.nodes.worker(1)
    name = SEGMENT
    if event.connect != UNREACHABLE or not event.lands:
        successor = scene.nodes.worker(2)
        name = SEGMENT + 7
        successor.export(4096, name)
    fresh.connect_soon(0, 2, name)
    fresh.must("once", "get", 0)
    scene.nodes.close([fresh] + ([successor] if name != SEGMENT else []))


# ---- events ----

def rsmd(number, what):
    return lambda scene: what(scene.nodes[number])


def kill(node):
    node.kill()


def start(node):
    node.start()


def stop(node):
    node.stop()


def freeze(node):
    node.signal(signal.SIGSTOP)


def thaw(node):
    node.signal(signal.SIGCONT)


def restart(node):
    node.kill()
    node.start()


def lose_node(scene):
    scene.nodes[2].kill()
    scene.owner.kill()


def common_events():
    return [
        Event("unpublish", lambda scene: scene.owner.must("unpublish"), connect="SEG_NOT_PUBLISHED",
              undo=lambda scene: scene.owner.must("publish", SEGMENT + 1)),
        Event("exporter killed", lambda scene: scene.owner.kill(), connect="SEG_NOT_PUBLISHED", lands=False),
        Event("owner's rsmd killed", rsmd(2, kill), rsmd(2, start), lands=False),
        Event("owner's rsmd ended", rsmd(2, stop), rsmd(2, start), lands=False),
        Event("owner's rsmd started anew", rsmd(2, restart), connect="SEG_NOT_PUBLISHED", lands=False, anew=True),
        Event("all of the owner's node killed", lose_node, rsmd(2, start), lands=False),
        Event("owner's rsmd stands still", rsmd(2, freeze), rsmd(2, thaw), silent=True, frozen=True),
        Event("importer's rsmd killed", rsmd(1, kill), rsmd(1, start), silent=True, connect="CTLR_NOT_PRESENT",
              third=(3, 2), alone=True),
    ]


def cut(*pairs):
    """(at, from): what `from` sends does not arrive at `at`."""
    def act(scene):
        for at, source in pairs:
            scene.nodes[at].place.deaf([scene.nodes[source].place])
    return act


def join(scene):
    for node in scene.nodes.nodes:
        node.place.hearing()


def link(number, up):
    return lambda scene: scene.nodes[number].place.link(up)


def lose_host(scene):
    """As when the power goes: first silence, then nobody who could say anything."""
    cut((1, 2), (2, 1))(scene)
    lose_node(scene)


def bring_host(scene):
    join(scene)
    scene.nodes[2].start()


def host_events():
    return [
        Event("owner's host lost", lose_host, bring_host, silent=True, lands=False),
        Event("owner's link down", link(2, False), link(2, True), silent=True),
        Event("importer's link down", link(1, False), link(1, True), silent=True, third=(3, 2)),
        Event("silent drop, both ways", cut((1, 2), (2, 1)), join, silent=True),
        Event("silent drop towards the owner", cut((2, 1)), join, silent=True),
        Event("silent drop towards the importer", cut((1, 2)), join, silent=True),
    ]


# ---- beside the matrix ----

def importer_killed(nodes):
    """The owner lets go of it: its slot, its descriptors; nobody else notices."""
    scene = Scene(nodes)
    event = Event("", None, third=(3, 2), calls=("put",))
    scene.begin(event)
    victim = nodes.worker(1)
    before = nodes[2].descriptors()
    for slot in range(20):
        victim.connect(slot, 2, SEGMENT, slot % 8)
    victim.begin("stream")
    assert nodes[2].descriptors() >= before + 20
    victim.kill()
    soon(lambda: nodes[2].descriptors() <= before, "the owner's rsmd has let go")
    for worker in (scene.callers["put"], scene.looker, scene.stream):
        code, count, longest = worker.finish()
        assert code == 0 and longest < QUIET and count > 0, (code, count, longest)
    nodes.close([victim])
    scene.end()


def slow_importers(nodes):
    """Importers that ask for much and then read nothing: others are served, and unpublish is not held up."""
    scene = Scene(nodes)
    big = nodes.worker(2)
    big.export(16 << 20, OTHER + 1)
    slow = [nodes.worker(1) for _ in range(4)]  # more than there are threads
    for worker in slow:
        worker.connect_soon(0, 2, OTHER + 1)
        worker.begin("fetch")
    scene.begin(Event("", None, third=(3, 2), calls=("put", "get", "post", "connect")))
    for worker in slow:
        worker.process.send_signal(signal.SIGSTOP)
    counter = nodes.worker(1)
    counter.connect_soon(0, 2, SEGMENT, 9)
    time_out = time.monotonic() + nodes.dead_after * 1.5
    longest = rounds = 0
    while time.monotonic() < time_out:  # they stand still for longer than dead-after
        start_at = time.monotonic()
        counter.must("once", "close", 0)
        longest = max(longest, time.monotonic() - start_at)
        rounds += 1
    assert longest < QUIET / 1000 and rounds > 1, (longest, rounds)
    for call, worker in [*scene.callers.items(), ("close", scene.looker)]:
        code, count, took = worker.finish()
        assert code == 0 and took < QUIET and count > 1, (call, code, count, took)
    start_at = time.monotonic()
    big.must("unpublish")
    assert time.monotonic() - start_at < SLACK, "unpublish waits for an importer that reads nothing"
    for worker in slow:
        worker.process.send_signal(signal.SIGCONT)
        code = outcome(worker, time.monotonic())[0]
        assert code == ABORTED, code
    nodes.close([*slow, big, counter])
    scene.end()


def short_gap(nodes):
    """A loss that is over before anything counts as dead is no event at all."""
    scene = Scene(nodes)
    scene.begin(Event("", None, calls=("put", "get", "close", "post", "connect")))
    for _ in range(3):
        cut((1, 2), (2, 1))(scene)
        join(scene)
        counted = nodes.worker(1)
        counted.connect(0, 2, SEGMENT, 9)
        counted.must("once", "put", 0)
        nodes.close([counted])
    for call, worker in [*scene.callers.items(), ("stream", scene.stream)]:
        code, count, _ = worker.finish()
        assert code == 0 and count > 0, (call, NAMES.get(code, code), worker.reason)
    scene.end()


def both_directions(nodes):
    """Both nodes import from each other at full speed; one rsmd dies: both sides hear of it, the rest goes on."""
    scene = Scene(nodes)
    forth, back = nodes.worker(1), nodes.worker(2)
    forth.connect_soon(0, 2, SEGMENT, 1)
    back.connect_soon(0, 1, OTHER, 1)
    looker = nodes.worker(3)
    looker.connect_soon(0, 1, OTHER, 2)
    for worker in (forth, back, looker):
        worker.begin("close")
    since = time.monotonic()
    nodes[2].kill()
    for worker in (forth, back):
        code, seconds, _ = outcome(worker, since)
        assert code == ABORTED and seconds < nodes.dead_after + SLACK, (worker.node.number, code, seconds)
    code, _, longest = looker.finish()
    assert code == 0 and longest < QUIET, (code, longest)
    nodes[2].start()
    again, successor = nodes.worker(2), nodes.worker(2)
    again.connect_soon(0, 1, OTHER)  # from the new rsmd: it is dialled as well as it dials
    again.must("once", "put", 0)
    successor.export(4096, SEGMENT)
    third = nodes.worker(3)
    third.connect_soon(0, 2, SEGMENT)
    third.must("once", "put", 0)
    nodes.close([forth, back, looker, again, successor, third])
    nodes.close([scene.owner, scene.other])


def connects_to_dead_node(nodes):
    """Many processes ask for a node that is silent; who asks for another one does not wait."""
    scene = Scene(nodes)
    first = nodes.worker(1)
    first.connect_soon(0, 2, SEGMENT)
    third = nodes.worker(3)
    third.export(4096, OTHER + 2)
    nodes[2].signal(signal.SIGSTOP)
    waiting = [nodes.worker(1) for _ in range(8)]
    since = time.monotonic()
    for worker in waiting:
        worker.send("connect", 0, 2, SEGMENT, 0)
    quick = nodes.worker(1)
    longest = 0
    for _ in range(20):
        start_at = time.monotonic()
        quick.connect(0, 3, OTHER + 2)
        quick.must("disconnect", 0)
        longest = max(longest, time.monotonic() - start_at)
    assert longest < QUIET / 1000, longest
    for worker in waiting:
        code = worker.read()[0]
        assert NAMES.get(code) == UNREACHABLE, code
    assert time.monotonic() - since < 2 * nodes.dead_after + SLACK
    nodes[2].signal(signal.SIGCONT)
    waiting[0].connect_soon(0, 2, SEGMENT)
    nodes.close([*waiting, quick, first, third, scene.owner, scene.other])


def four_hosts(nodes):
    """All import from all; one falls silent: what is between the other three does not notice."""
    names = {number: 0x400100 + number for number in range(1, 5)}
    exporters = {number: nodes.worker(number) for number in names}
    for number, worker in exporters.items():
        worker.export(16 * 4096, names[number])
    pairs = {(source, target): nodes.worker(source) for source in names for target in names if source != target}
    for (source, target), worker in pairs.items():
        worker.connect_soon(0, target, names[target], source)
        worker.begin("close")
    for number in (1, 2, 3):
        nodes[number].place.deaf([nodes[4].place])
    nodes[4].place.deaf([nodes[number].place for number in (1, 2, 3)])
    since = time.monotonic()
    for pair, worker in pairs.items():
        if 4 in pair:
            code, seconds, _ = outcome(worker, since)
            assert code == ABORTED and seconds < nodes.dead_after + SLACK, (pair, code, seconds)
    sums = exporters[4].must("sum", 0, 16 * 4096)
    for pair, worker in pairs.items():
        if 4 not in pair:
            code, count, longest = worker.finish()
            assert code == 0 and longest < QUIET and count > 10, (pair, code, count, longest)
    for number in (1, 2, 3, 4):
        nodes[number].place.hearing()
    for (source, target), worker in pairs.items():
        if 4 in (source, target):
            worker.connect_soon(1, target, names[target], source)
            worker.must("once", "get", 1)
    assert exporters[4].must("sum", 0, 16 * 4096) == sums, "something landed after the abort was reported"
    nodes.close([*pairs.values(), *exporters.values()])


# ---- running ----

def render(table):
    lines = ["", "Code and milliseconds after the event, dead-after = 1 s:", ""]
    lines.append("| Event | " + " | ".join(CALLS) + " |")
    lines.append("|---|" + "---|" * len(CALLS))
    for name, found in table:
        cells = [f"{found[call][0]} {max(found[call][1], 0) * 1000:.0f}" if call in found else "" for call in CALLS]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    print("\n".join("# " + line for line in lines), flush=True)


def run(groups, wanted):
    """(cluster maker, events, further tests) each on one cluster that lives through all of them."""
    total = sum(len(events) + len(tests) for _, events, tests in groups)
    print(f"1..{total}", flush=True)
    number, failed, table = 0, 0, []
    for make, events, tests in groups:
        steps = [(event.name, lambda nodes, event=event: play(nodes, event, table)) for event in events]
        steps += [(test.__name__.replace("_", " "), test) for test in tests]
        steps = [step for step in steps if not wanted or any(word in step[0] for word in wanted)]
        while steps:
            try:
                with make() as nodes:
                    while steps:
                        name, step = steps.pop(0)
                        number += 1
                        start_at = time.monotonic()
                        step(nodes)
                        print(f"ok {number} {name} ({time.monotonic() - start_at:.1f} s)", flush=True)
            except Exception as error:  # pylint: disable=broad-except
                import traceback
                traceback.print_exc()
                failed += 1
                print(f"not ok {number} {name}: {error}", flush=True)
    render(table)
    return 1 if failed else 0


def named(events, *names):
    return [event for event in events if event.name in names]


def main():
    kind, wanted = sys.argv[1], sys.argv[2:]
    beside = [importer_killed, slow_importers, both_directions, connects_to_dead_node]
    if kind in ("virtual", "encrypted"):
        places = [Loopback(number) for number in (1, 2, 3)]
        if kind == "virtual":
            return run([(lambda: Cluster(places, DEAD_AFTER_MS), common_events(), beside)], wanted)
        some = named(common_events(), "unpublish", "owner's rsmd killed", "owner's rsmd stands still")
        return run([(lambda: Cluster(places, DEAD_AFTER_MS, encrypt=True), some, beside[:2])], wanted)
    import hosts
    hosts.need()
    events = common_events() + host_events()
    if kind == "hosts6":
        three = hosts.Hosts(3, version=6)
        some = named(events, "unpublish", "owner's rsmd killed", "owner's link down", "silent drop, both ways")
        return run([(lambda: Cluster(three.hosts, DEAD_AFTER_MS), some, [])], wanted)
    if kind == "hosts2":
        two = hosts.Hosts(2)
        some = named(events, "exporter killed", "owner's rsmd ended", "owner's link down", "silent drop, both ways")
        return run([(lambda: Cluster(two.hosts, DEAD_AFTER_MS), some, []),
                    (lambda: Cluster(two.hosts, 5 * DEAD_AFTER_MS), [], [short_gap])], wanted)
    four = hosts.Hosts(4)
    return run([(lambda: Cluster(four.hosts, DEAD_AFTER_MS), host_events(), [both_directions, four_hosts])], wanted)


assert CODES and os.environ.get("RSMD"), "started by CTest"
sys.exit(main())
