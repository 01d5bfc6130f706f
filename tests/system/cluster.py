# SPDX-License-Identifier: BSD-2-Clause
"""Nodes for tests: rsmd processes that know each other, on addresses of 127.0.0.0/8 or in network namespaces (hosts.py),
and processes on them that a script tells what to call (worker.c). Standard library only."""

import ctypes
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

PATIENCE = 30  # seconds after which a test counts as hung
PORT = 7600
KEY = "rsm-key-1 " + "5a" * 32 + "\n"
PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None)

CODES = {
    "SUCCESS": 0, "CTLR_NOT_PRESENT": 4, "SEG_NOT_PUBLISHED": 7, "SEG_NOT_PUBLISHED_TO_NODE": 8, "BARRIER_FAILURE": 38,
    "REMOTE_NODE_UNREACHABLE": 39, "CONN_ABORTED": 40, "INTERRUPTED": 41, "TIMEOUT": 42,
}
NAMES = {number: name for name, number in CODES.items()}


def die_with_us():
    """In the child: whatever ends this test ends it, too."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def soon(condition, what, seconds=PATIENCE):
    """Asks again until it is so; what it returned."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.002)  # the condition is asked again; nothing depends on how long this takes


class Loopback:
    """A place for a node: an address that is this test's own."""

    def __init__(self, number):
        pid = os.getpid()
        self.prefix = []
        self.address = f"127.{64 + (pid >> 16 & 63)}.{pid >> 8 & 255}.{pid & 255}"
        self.port = PORT + number

    def endpoint(self):
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"


class Node:
    """One rsmd."""

    def __init__(self, number, place, directory):
        self.number, self.place = number, place
        self.path = f"{directory}/{number}"
        os.mkdir(self.path)
        self.socket = self.path + "/rsmd.sock"
        self.log = self.path + "/log"
        self.process = None

    def configure(self, nodes, dead_after_ms, encrypt, threads):
        with open(self.path + "/key", "w", encoding="ascii", opener=lambda p, f: os.open(p, f, 0o600)) as file:
            file.write(KEY)
        text = f"[node]\nid = {self.number}\n[cluster]\nkey-file = {self.path}/key\ndead-after = {dead_after_ms}ms\n"
        text += f"[controller tcp0]\ntype = tcp\naddress = {self.place.address}\nport = {self.place.port}\n"
        text += f"threads = {threads}\n" + ("encrypt = yes\n" if encrypt else "")
        for other in nodes:
            if other is not self:
                text += f"[peer {other.number}]\ntcp0 = {other.place.endpoint()}\n"
        with open(self.path + "/conf", "w", encoding="ascii") as file:
            file.write(text)

    def start(self):
        self.begin()
        soon(self.answers, f"rsmd of node {self.number} answers")

    def begin(self):
        with open(self.log, "a", encoding="utf-8") as log:
            self.process = subprocess.Popen(
                self.place.prefix + [os.environ["RSMD"], "--config", self.path + "/conf", "--socket", self.socket],
                stderr=log, env={**os.environ, "RSM_LOG": "info"}, preexec_fn=die_with_us)

    def answers(self):
        assert self.process.poll() is None, f"rsmd of node {self.number} ended: {self.text()[-2000:]}"
        client = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            client.connect(self.socket)
            return True
        except OSError:
            return False
        finally:
            client.close()

    def signal(self, number):
        self.process.send_signal(number)

    def kill(self):
        self.process.kill()
        self.process.wait(PATIENCE)

    def stop(self):
        """By SIGTERM: a crash or a sanitizer's report fails the test."""
        self.process.terminate()
        code = self.process.wait(PATIENCE)
        assert code == 0, f"rsmd of node {self.number} ended with {code}: {self.text()[-2000:]}"

    def alive(self):
        return self.process and self.process.poll() is None

    def text(self):
        with open(self.log, encoding="utf-8", errors="replace") as file:
            return file.read()

    def rss_kib(self):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("VmRSS"))

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))


class Cluster:
    """with Cluster(places) as nodes: all of them know each other; ended and removed afterwards."""

    def __init__(self, places, dead_after_ms=1000, encrypt=False, threads=2):
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda *_: sys.exit(1))  # by way of __exit__
        self.directory = tempfile.mkdtemp(prefix="rsm-nodes-")
        self.nodes = [Node(number, place, self.directory) for number, place in enumerate(places, 1)]
        self.dead_after = dead_after_ms / 1000
        self.workers = []
        for node in self.nodes:
            node.configure(self.nodes, dead_after_ms, encrypt, threads)

    def __enter__(self):
        try:
            for node in self.nodes:
                node.begin()
            for node in self.nodes:
                soon(node.answers, f"rsmd of node {node.number} answers")
        except BaseException:
            self.__exit__(True, None, None)
            raise
        return self

    def __exit__(self, kind, value, trace):
        for worker in self.workers:
            worker.end()
        problem = None
        for node in self.nodes:
            if node.alive():
                node.signal(signal.SIGCONT)
                try:
                    node.stop()
                except (AssertionError, subprocess.TimeoutExpired) as error:
                    problem = error
                    node.process.kill()
                    node.process.wait()
            if kind:
                print(f"# node {node.number}:", *node.text().splitlines()[-12:], sep="\n#   ", flush=True)
        shutil.rmtree(self.directory)
        if problem and not kind:
            raise problem

    def __getitem__(self, number):
        return self.nodes[number - 1]

    def worker(self, number):
        worker = Worker(self[number])
        self.workers.append(worker)
        return worker

    def close(self, workers):
        for worker in workers:
            worker.end()
            self.workers.remove(worker)


class Worker:
    """A process on a node."""

    def __init__(self, node, controller="tcp0"):
        self.node = node
        self.process = subprocess.Popen(node.place.prefix + [os.environ["RSM_WORKER"], controller],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0,
                                        env={**os.environ, "RSM_SOCKET": node.socket}, preexec_fn=die_with_us)
        self.rest, self.reason = b"", ""
        code = self.read()[0]
        assert code == 0, f"a process of node {node.number} gets no controller: {NAMES.get(code, code)}: {self.reason}"

    def send(self, *words):
        self.process.stdin.write((" ".join(str(word) for word in words) + "\n").encode())

    def line(self, seconds=PATIENCE):
        deadline = time.monotonic() + seconds
        while b"\n" not in self.rest:
            left = deadline - time.monotonic()
            ready = left > 0 and select.select([self.process.stdout], [], [], left)[0]
            assert ready, f"a process of node {self.node.number} does not answer within {seconds} s: {self.whereabouts()}"
            data = os.read(self.process.stdout.fileno(), 65536)
            assert data, f"a process of node {self.node.number} ended: {self.process.wait(PATIENCE)}"
            self.rest += data
        line, self.rest = self.rest.split(b"\n", 1)
        return line.decode()

    def read(self, seconds=PATIENCE):
        """Numbers of an answer, then its text."""
        words = self.line(seconds).split()
        numbers = []
        while words and words[0].isdigit():
            numbers.append(int(words.pop(0)))
        self.reason = " ".join(words)
        return numbers

    def ask(self, *words, seconds=PATIENCE):
        self.send(*words)
        return self.read(seconds)

    def must(self, *words):
        answer = self.ask(*words)
        assert answer[0] == 0, f"{words}: {NAMES.get(answer[0], answer[0])}: {self.reason}"
        return answer[1]

    def begin(self, call, slot=0):
        """Again and again; returns when it is under way, in its sleep if it is one that sleeps."""
        self.send("until", call, slot)
        line = self.line()
        assert line == "+", f"{call}: {line}"
        if call in ("wait", "poll"):
            soon(self.asleep, "asleep")

    def finish(self):
        """Ends what begin began: (code, calls, longest call in ms)."""
        self.send("stop")
        return self.read()[:3]

    def whereabouts(self):
        """What each of its threads and of its rsmd's is at: a hang that comes once in a hundred runs is hard to catch again."""
        said = []
        for process in (self.process, self.node.process):
            tasks = f"/proc/{process.pid}/task"
            for task in os.listdir(tasks) if os.path.exists(tasks) else []:
                with open(f"{tasks}/{task}/stat", encoding="ascii") as stat, \
                     open(f"{tasks}/{task}/syscall", encoding="ascii") as call:
                    said.append(stat.read().split(" ", 3)[1:3] + call.read().split()[:3])
        return said

    def asleep(self):
        with open(f"/proc/{self.process.pid}/stat", encoding="ascii") as file:
            return file.read().rsplit(")", 1)[1].split()[0] == "S"

    def export(self, length, name):
        return self.must("export", length, name)

    def connect(self, slot, node, name, block=0):
        return self.must("connect", slot, node, name, block)

    def connect_soon(self, slot, node, name, block=0, seconds=PATIENCE):
        soon(lambda: self.ask("connect", slot, node, name, block)[0] == 0, f"connected to node {node}", seconds)

    def kill(self):
        self.process.kill()
        self.process.wait(PATIENCE)

    def end(self):
        self.process.kill()
        self.process.wait(PATIENCE)
        self.process.stdin.close()
        self.process.stdout.close()
