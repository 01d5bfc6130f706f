# SPDX-License-Identifier: BSD-2-Clause
"""Life events of two nodes: each tells its side of a connection, and of the path between them."""

import json
import sys

from cluster import Cluster, Loopback
from watcher import Watcher

NAME = 0x400000


def up(watcher):
    """Until the path is there, from whenever the watcher came: it may have been first."""
    paths = json.loads(watcher.client.ask("status", what="nodes")["json"])["paths"]
    return paths[0]["state"] == "active" or watcher.until("node-up")


def main():
    with Cluster([Loopback(1), Loopback(2)], 400) as nodes:
        one, two = Watcher(nodes[1].socket), Watcher(nodes[2].socket)
        up(one)
        up(two)
        exporter, importer = nodes.worker(2), nodes.worker(1)
        exporter.export(4096, NAME)
        segment = {"node": 2, "segment": hex(NAME), "importer": 1, "controller": "tcp0"}
        pid = importer.process.pid

        def both(kind, **keys):
            for watcher in (one, two):
                event = watcher.until(kind)[-1]
                for key, value in {**segment, **keys}.items():
                    assert event.get(key) == value, (kind, key, value, event)

        importer.connect(0, 2, NAME)
        both("connect", length=4096, access="0600", pid=pid)
        assert importer.ask("connect", 1, 2, NAME + 1, 0)[0] == 7
        for watcher in (one, two):
            assert watcher.until("refuse")[-1]["code"] == 7
        importer.ask("disconnect", 0)
        both("disconnect", pid=pid)
        importer.connect(0, 2, NAME)
        both("connect")
        exporter.kill()  # the segment goes with it
        both("abort", pid=pid)
        print("ok 1 a connection", flush=True)

        exporter = nodes.worker(2)
        exporter.export(4096, NAME)
        importer.ask("disconnect", 0)
        importer.connect(0, 2, NAME)
        both("connect")
        nodes[2].kill()
        told = one.until("node-down")
        assert told[-1]["node"] == 2 and told[-1]["controller"] == "tcp0" and told[-1]["reason"], told[-1]
        while not any(event["event"] == "abort" for event in told):
            told.append(one.next())
        abort = next(event for event in told if event["event"] == "abort")
        assert abort["code"] == 39 and abort["pid"] == pid, abort
        assert not any(event["event"] == "disconnect" for event in told), told
        nodes[2].start()
        event = one.until("node-up")[-1]
        assert event["node"] == 2 and event["release"].startswith("2."), event
        one.close()
        two.close()
        print("ok 2 the path", flush=True)
    return 0


sys.exit(main())
