# SPDX-License-Identifier: BSD-2-Clause
"""rsmd under a service manager: it is passed its socket, tells of readiness and of the end, and shows that it lives. The test
plays the manager. How the units look: tests/package."""

import os
import select
import signal
import socket
import subprocess
import tempfile
import time

from rsmd_client import TIMEOUT, Client, readable, run

RSMD = os.environ["RSMD"]


class Manager:
    """A service with its socket, as a manager starts it: descriptors from 3 on, a datagram socket for notifications."""

    running = set()  # what a failed test leaves

    def __init__(self, directory, *options, kind=socket.SOCK_SEQPACKET, sockets=1, listening=True, **environment):
        self.path = directory + "/rsmd.sock"
        self.sockets = []
        for number in range(sockets):
            one = socket.socket(socket.AF_UNIX, kind)
            one.bind(self.path + (str(number) if number else ""))
            if listening:
                one.listen()
            self.sockets.append(one)
        self.notices = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notices.bind(directory + "/notify")
        self.environment = {**os.environ, "RSM_LOG": "info", "RSM_CONFIG": "/dev/null",
                            "NOTIFY_SOCKET": directory + "/notify", **environment}
        self.directory, self.options = directory, options
        self.started = 0
        self.start()

    def start(self):
        """By exec, so that the descriptors lie where a manager puts them and LISTEN_PID is the daemon's."""
        self.started += 1
        self.log = f"{self.directory}/log{self.started}"
        self.pid = os.fork()
        if self.pid:
            Manager.running.add(self.pid)
            return
        try:
            log = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            passed = [os.dup(one.fileno()) for one in self.sockets]
            high = [os.dup2(fd, 60 + number) for number, fd in enumerate(passed)]
            os.dup2(log, 2)
            for number, fd in enumerate(high):
                os.dup2(fd, 3 + number)
            os.closerange(3 + len(high), 100)
            status = os.fstat(2)
            if high:
                self.environment |= {"LISTEN_FDS": str(len(high)), "LISTEN_PID": str(os.getpid())}
            self.environment["WATCHDOG_PID"] = str(os.getpid())
            self.environment["JOURNAL_STREAM"] = f"{status.st_dev}:{status.st_ino}"
            os.execve(RSMD, [RSMD, *self.options], self.environment)
        finally:
            os._exit(127)

    def notice(self):
        """The next notification, as a dictionary. A daemon that ended sends no more."""
        with self.pidfd() as pidfd:
            select.select([self.notices, pidfd], [], [], TIMEOUT)
        assert readable(self.notices.fileno(), 0), "no notification; log: " + self.lines()
        return dict(line.split("=", 1) for line in self.notices.recv(4096).decode().split("\n"))

    def notice_with(self, key):
        deadline = time.monotonic() + TIMEOUT
        while time.monotonic() < deadline:
            notice = self.notice()
            if key in notice:
                return notice
        raise AssertionError(f"no {key} in time")

    def lines(self):
        with open(self.log, encoding="utf-8") as file:
            return file.read()

    def pidfd(self):
        return open(os.pidfd_open(self.pid), "rb", buffering=0)

    def wait(self):
        with self.pidfd() as pidfd:
            if not readable(pidfd.fileno(), TIMEOUT):
                os.kill(self.pid, signal.SIGKILL)
        code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        Manager.running.discard(self.pid)
        return code

    def stop(self):
        os.kill(self.pid, signal.SIGTERM)
        assert self.notice_with("STOPPING")["STOPPING"] == "1"
        code = self.wait()
        assert code == 0, (code, self.lines())
        assert os.path.exists(self.path), "the socket's name is the manager's"

    def close(self):
        for one in [*self.sockets, self.notices]:
            one.close()


def in_directory(test):
    def body():
        with tempfile.TemporaryDirectory() as directory:
            try:
                test(directory)
            finally:
                for pid in Manager.running:
                    os.kill(pid, signal.SIGKILL)
                    os.waitpid(pid, 0)
                Manager.running.clear()
    return body


@in_directory
def socket_is_passed(directory):
    """A client that came before the daemon is served, and so is one that comes between two daemons."""
    manager = Manager(directory)
    ready = manager.notice()
    assert ready["READY"] == "1" and ready["STATUS"].startswith("Node 1: 0 clients"), ready
    client = Client(manager.path)
    assert client.hello["daemon_pid"] == manager.pid
    client.segment()
    client.publish(client.last_export)
    assert os.listdir(directory).count("rsmd.sock") == 1
    client.close()
    manager.stop()
    early = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    early.connect(manager.path)
    manager.start()
    client = Client.__new__(Client)
    client.socket, client.id, client.fds = early, 0, []
    assert client.ask("hello", version=1)["daemon_pid"] == manager.pid
    client.close()
    manager.stop()
    manager.close()


@in_directory
def ready_means_served(directory):
    """Not before everything stands: a daemon that cannot start never says so, and one without a socket makes its own."""
    with open(directory + "/bad", "w", encoding="ascii") as file:
        file.write("[node]\nid = nobody\n")
    manager = Manager(directory, "--config", directory + "/bad")
    assert manager.wait() == 1
    assert not readable(manager.notices.fileno(), 0)
    manager.close()
    os.unlink(directory + "/notify")
    os.unlink(manager.path)
    manager = Manager(directory, "--socket", directory + "/own/rsmd.sock", sockets=0)
    assert manager.notice()["READY"] == "1"
    Client(directory + "/own/rsmd.sock").close()
    os.kill(manager.pid, signal.SIGTERM)
    assert manager.wait() == 0
    assert not os.path.exists(directory + "/own/rsmd.sock"), "this one is its own"
    manager.close()


def refused(directory, **values):
    manager = Manager(directory, **values)
    assert manager.wait() == 1
    assert "ListenSequentialPacket" in manager.lines(), manager.lines()
    manager.close()


@in_directory
def stream_socket_is_refused(directory):
    refused(directory, kind=socket.SOCK_STREAM)


@in_directory
def deaf_socket_is_refused(directory):
    refused(directory, listening=False)


@in_directory
def two_sockets_are_refused(directory):
    refused(directory, sockets=2)


@in_directory
def signs_of_life(directory):
    """Twice per period as long as the loop runs, with the status of the moment; none from a loop that stands."""
    manager = Manager(directory, WATCHDOG_USEC="100000")
    assert manager.notice()["READY"] == "1"
    client = Client(manager.path)
    client.publish(client.segment()[0])
    deadline = time.monotonic() + TIMEOUT
    while "1 clients, 1 segments published" not in manager.notice_with("WATCHDOG")["STATUS"]:
        assert time.monotonic() < deadline
    os.kill(manager.pid, signal.SIGSTOP)
    os.waitid(os.P_PID, manager.pid, os.WSTOPPED | os.WNOWAIT)
    while readable(manager.notices.fileno(), 0):
        manager.notice()
    assert not readable(manager.notices.fileno(), 0.3), "a loop that stands gives no sign"
    os.kill(manager.pid, signal.SIGCONT)
    manager.notice_with("WATCHDOG")
    client.close()
    manager.stop()
    manager.close()


@in_directory
def no_watchdog_no_signs(directory):
    manager = Manager(directory)
    assert manager.notice()["READY"] == "1"
    Client(manager.path)
    assert not readable(manager.notices.fileno(), 0.3)
    manager.stop()
    manager.close()


@in_directory
def hangup_changes_nothing(directory):
    manager = Manager(directory)
    manager.notice_with("READY")
    client = Client(manager.path)
    os.kill(manager.pid, signal.SIGHUP)
    deadline = time.monotonic() + TIMEOUT
    while "<4>SIGHUP changes nothing" not in manager.lines():  # with the journal's level before it
        assert time.monotonic() < deadline, manager.lines()
        time.sleep(0.01)
    client.segment()
    client.close()
    manager.stop()
    manager.close()


@in_directory
def others_variables(directory):
    """A private daemon that a service's program started is no part of that service."""
    notices = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    notices.bind(directory + "/notify")
    path = directory + "/rsmd.sock"
    environment = {**os.environ, "NOTIFY_SOCKET": directory + "/notify", "LISTEN_FDS": "1",
                   "LISTEN_PID": str(os.getpid()), "WATCHDOG_PID": str(os.getpid()), "WATCHDOG_USEC": "20000",
                   "RSM_CONFIG": "/dev/null"}
    subprocess.run([RSMD, "--private", "--detach", "--socket", path], env=environment, check=True, timeout=TIMEOUT,
                   stderr=subprocess.DEVNULL)
    pid = Client(path).hello["daemon_pid"]
    assert not readable(notices.fileno(), 0.2)
    pidfd = os.pidfd_open(pid)
    os.kill(pid, signal.SIGTERM)
    assert readable(pidfd, TIMEOUT)
    os.close(pidfd)
    assert not readable(notices.fileno(), 0)
    notices.close()


if __name__ == "__main__":
    run({name: test for name, test in list(globals().items()) if name in (
        "socket_is_passed", "ready_means_served", "stream_socket_is_refused", "deaf_socket_is_refused",
        "two_sockets_are_refused", "signs_of_life", "no_watchdog_no_signs", "hangup_changes_nothing",
        "others_variables")})
