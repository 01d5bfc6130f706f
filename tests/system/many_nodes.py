# SPDX-License-Identifier: BSD-2-Clause
"""A cluster of 50 nodes on one host, each with a process that imports from all others. Some fall silent, a third is killed:
everybody else notices in time and goes on. Prints what a node and a connection cost."""

import os
import signal
import sys
import time

from cluster import Cluster, Loopback, soon
from rsmd_client import Client

COUNT = 12 if os.environ.get("RSM_TEST_SLOW") else 50  # slow: with sanitizers
DEAD_AFTER_MS = 4000
SLACK = 2.0  # seconds: a hundred processes share two processors
BASE = 0x400000


def all_active(node):
    client = Client(node.socket)
    topology = client.ask("topology")
    client.close()
    peers = [peer for controller in topology["controllers"] for peer in controller["peers"]]
    return len(peers) == COUNT - 1 and all(peer["state"] == 3 for peer in peers)


def everybody(workers, *words):
    """All at the same time: {number: answer}."""
    for worker in workers.values():
        worker.send(*words)
    return {number: worker.read() for number, worker in workers.items()}


def sweep(workers, expected, bound):
    """Each puts and gets to and from all others; as many as expected answer. What it took."""
    start = time.monotonic()
    for number, answer in everybody(workers, "sweep", 1, COUNT + 1).items():
        assert answer[1] == expected, f"node {number} reaches {answer[1]} others, not {expected}"
    took = time.monotonic() - start
    assert took < bound, f"all sweeps took {took:.1f} s"
    return took


def mean(values):
    values = list(values)
    return sum(values) / len(values)


def main():
    began = time.monotonic()
    with Cluster([Loopback(number) for number in range(1, COUNT + 1)], DEAD_AFTER_MS, threads=1) as nodes:
        bound = nodes.dead_after + SLACK
        for node in nodes.nodes:
            soon(lambda node=node: all_active(node), f"all paths of node {node.number} are active")
        print(f"# {COUNT * (COUNT - 1) // 2} paths active after {time.monotonic() - began:.1f} s", flush=True)
        before = mean(node.rss_kib() for node in nodes.nodes)
        workers = {node.number: nodes.worker(node.number) for node in nodes.nodes}
        for number, worker in workers.items():
            worker.export((COUNT + 1) * 4096, BASE + number)
        for number, worker in workers.items():
            for target in workers:
                if number != target:
                    worker.send("connect", target, target, BASE + target, number)
        for number, worker in workers.items():
            for target in workers:
                if number != target:
                    answer = worker.read()
                    assert answer[0] == 0, (number, target, answer, worker.reason)
        print(f"# {COUNT * (COUNT - 1)} imports after {time.monotonic() - began:.1f} s", flush=True)
        took = sweep(workers, COUNT - 1, 20)
        after = mean(node.rss_kib() for node in nodes.nodes)
        print(f"# one put and get through each: {took:.2f} s")
        print(f"# rsmd: {before:.0f} KiB with {COUNT - 1} paths, {after:.0f} KiB with {COUNT - 1} data connections: "
              f"{(after - before) / (COUNT - 1):.1f} KiB each", flush=True)

        silent = list(range(3, COUNT + 1, 10))
        for number in silent:
            nodes[number].signal(signal.SIGSTOP)
        others = {number: worker for number, worker in workers.items() if number not in silent}
        took = sweep(others, len(others) - 1, bound)
        print(f"# {len(silent)} nodes silent: all noticed within {took:.2f} s", flush=True)
        for number in silent:
            nodes[number].signal(signal.SIGCONT)

        dead = list(range(1, COUNT + 1, 3))
        left = {number: worker for number, worker in others.items() if number not in dead}
        for number in dead:
            nodes[number].kill()
            workers[number].kill()
        took = sweep(left, len(left) - 1, bound)
        print(f"# {len(dead)} nodes killed: all noticed within {took:.2f} s", flush=True)
        took = sweep(left, len(left) - 1, 10)
        print(f"# the rest go on: {took:.2f} s", flush=True)
    print(f"ok: {time.monotonic() - began:.1f} s")
    return 0


sys.exit(main())
