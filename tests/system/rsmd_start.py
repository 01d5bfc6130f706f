# SPDX-License-Identifier: BSD-2-Clause
"""How rsmd starts and ends: exactly one per socket, whoever starts it and how many at once; leaves when idle."""

import ctypes
import fcntl
import os
import random
import signal
import socket
import stat
import subprocess
import tempfile

from rsmd_client import TIMEOUT, Client, Daemon, readable, run

RSMD = os.environ["RSMD"]


def in_directory(test):
    def body():
        with tempfile.TemporaryDirectory() as directory:
            test(directory)
            assert os.listdir(directory) in ([], ["rsmd.sock.conf"]), os.listdir(directory)
    return body


def rsmd(*options, **values):
    return subprocess.run([RSMD, *options], capture_output=True, text=True, timeout=TIMEOUT, check=False, **values)


def stop(pid):
    """Ends a daemon that is not our child, and waits until it is gone."""
    pidfd = os.pidfd_open(pid)
    signal.pidfd_send_signal(pidfd, signal.SIGTERM)
    assert readable(pidfd, TIMEOUT)
    os.close(pidfd)


@in_directory
def command_line(_):
    assert rsmd("--version").stdout.startswith("rsmd 2.")
    assert "--lock-fd" in rsmd("--help").stdout
    for wrong in (["--nonsense"], ["argument"], ["--lock-fd", "x"], ["--lock-fd", "99"], ["--lock-fd", "0"]):
        result = rsmd(*wrong)
        assert result.returncode == 2 and result.stderr, wrong


@in_directory
def checking(directory):
    path = directory + "/rsmd.sock.conf"
    with open(path, "w", encoding="ascii") as file:
        file.write("[node]\nid = 3\n\nmax-segment = 1\n")
    for how in (dict(args=["--check", "--config", path]), dict(args=["--check"], environment=path)):
        result = rsmd(*how["args"], env={**os.environ, "RSM_CONFIG": how.get("environment", "/nonexistent")})
        assert result.returncode == 1 and path + ":4: " in result.stderr, result
    assert rsmd("--private", "--socket", directory + "/rsmd.sock", "--config", path).returncode == 1
    with open(path, "w", encoding="ascii") as file:
        file.write("[node]\nid = 3\n")
    assert rsmd("--check", "--config", path).returncode == 0
    assert rsmd("--check", "--config", "/nonexistent").returncode == 1
    key = directory + "/key"
    with open(path, "w", encoding="ascii") as file:
        file.write(f"[cluster]\nkey-file = {key}\n[controller tcp0]\ntype = tcp\naddress = 127.0.0.1\n"
                   "[peer 2]\ntcp0 = 127.0.0.2\n")
    assert "cannot be opened" in rsmd("--check", "--config", path).stderr
    with open(key, "w", encoding="ascii") as file:
        file.write("rsm-key-1 " + 64 * "5" + "\n")
    os.chmod(key, 0o644)
    result = rsmd("--check", "--config", path)
    assert result.returncode == 1 and "chmod 600" in result.stderr, result
    os.chmod(key, 0o600)
    assert rsmd("--check", "--config", path).returncode == 0
    os.chmod(key, 0)  # not for this user: the rest is valid
    assert rsmd("--check", "--config", path).returncode == 0 or not os.geteuid()
    os.unlink(key)


@in_directory
def modes_of_the_socket(directory):
    for private, mode in ((True, 0o600), (False, 0o640)):
        daemon = Daemon(directory + "/rsmd.sock", config="[node]\nsocket-mode = 0640\n", private=private)
        assert stat.S_IMODE(os.stat(daemon.path).st_mode) == mode
        daemon.stop()


@in_directory
def second_is_refused(directory):
    daemon = Daemon(directory + "/rsmd.sock")
    result = rsmd("--private", "--socket", daemon.path)
    assert result.returncode == 1 and "serves this socket" in result.stderr, result
    result = rsmd("--private", "--detach", "--socket", daemon.path)
    assert result.returncode == 1
    Client(daemon.path)
    daemon.stop()


@in_directory
def stale_socket_is_replaced(directory):
    first = Daemon(directory + "/rsmd.sock")
    first.process.kill()
    first.process.wait()
    first.reader.join()
    assert os.path.exists(first.path)
    second = Daemon(first.path)
    Client(second.path)
    second.stop()
    with open(first.path, "w", encoding="ascii"):
        pass  # something that is no socket at all
    third = Daemon(first.path)
    Client(third.path)
    # The name belongs to somebody else now: not ours to remove.
    os.rename(first.path, first.path + ".old")
    other = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    other.bind(first.path)
    third.stop()
    assert stat.S_ISSOCK(os.stat(first.path).st_mode)
    os.unlink(first.path)
    os.unlink(first.path + ".old")


@in_directory
def directories_of_others(directory):
    for place, message in ((directory + "/link", "link"), (directory + "/open", "mode"), (directory + "/file", "file")):
        if message == "link":
            os.symlink(directory, place)
        elif message == "mode":
            os.mkdir(place)
            os.chmod(place, 0o777)
        else:
            open(place, "w", encoding="ascii").close()
        result = rsmd("--private", "--socket", place + "/rsmd.sock")
        assert result.returncode == 1 and place in result.stderr, result
        os.rmdir(place) if message == "mode" else os.unlink(place)
    if not os.geteuid():
        os.chown(directory, 5001, 5001)
        assert rsmd("--private", "--socket", directory + "/rsmd.sock").returncode == 1
        os.chown(directory, 0, 0)
    assert rsmd("--socket", "relative").returncode == 1
    assert rsmd("--socket", directory + "/" + "x" * 120).returncode == 1


@in_directory
def default_place(directory):
    env = {**os.environ, "XDG_RUNTIME_DIR": directory, "RSM_LOG": "info"}
    process = subprocess.Popen([RSMD, "--private"], stderr=subprocess.PIPE, text=True, env=env)
    assert "serves" in process.stderr.readline()
    place = directory + "/rsm"
    assert stat.S_IMODE(os.stat(place).st_mode) == 0o700
    Client(place + "/rsmd.sock")
    process.terminate()
    process.wait()
    process.stderr.close()
    os.rmdir(place)


def start_as_library(directory):
    """What librsm does when nobody listens; returns rsmd's pid as the conversation tells it."""
    path = directory + "/rsmd.sock"
    try:
        return Client(path).hello["daemon_pid"]
    except (FileNotFoundError, ConnectionRefusedError):
        pass
    lock = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            return Client(path).hello["daemon_pid"]
        except (FileNotFoundError, ConnectionRefusedError):
            pass
        subprocess.run([RSMD, "--private", "--detach", "--socket", path, "--lock-fd", str(lock)], pass_fds=[lock],
                       check=True, stderr=subprocess.DEVNULL)
    finally:
        os.close(lock)
    return Client(path).hello["daemon_pid"]


@in_directory
def many_starters_one_daemon(directory):
    read, write = os.pipe()
    gate, open_gate = os.pipe()
    starters = []
    for _ in range(50):
        pid = os.fork()
        if not pid:
            try:
                os.close(open_gate)
                os.read(gate, 1)  # all at once, at end of file
                os.write(write, b"%10d" % start_as_library(directory))
            finally:
                os._exit(0)
        starters.append(pid)
    os.close(open_gate)
    os.close(write)
    for pid in starters:
        os.waitpid(pid, 0)
    answers = b""
    # A daemon that kept the starter's pipe open would hang us here.
    while part := os.read(read, 65536):
        answers += part
    answers = {int(answers[at:at + 10]) for at in range(0, len(answers), 10)} if len(answers) == 500 else answers
    assert isinstance(answers, set) and len(answers) == 1, answers
    lock = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # it gave the lock back
    os.close(lock)
    stop(answers.pop())


@in_directory
def detaching(directory):
    """The parent returns only when the socket answers, with the child's failure if it fails."""
    path = directory + "/rsmd.sock"
    read, write = os.pipe()
    os.set_inheritable(write, True)
    result = rsmd("--private", "--detach", "--socket", path, close_fds=False)
    assert result.returncode == 0, result
    os.close(write)
    assert os.read(read, 1) == b"", "rsmd holds a pipe of its starter"
    pid = Client(path).hello["daemon_pid"]
    links = {fd: os.readlink(f"/proc/{pid}/fd/{fd}") for fd in (0, 1, 2)}
    assert set(links.values()) == {"/dev/null"}, links
    assert os.getsid(pid) == os.getsid(pid) != os.getsid(0)
    assert os.readlink(f"/proc/{pid}/cwd") == "/"
    stop(pid)


@in_directory
def signals_of_the_starter(directory):
    """A starter that blocks or ignores signals does not pass that on."""
    def rude():
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    path = directory + "/rsmd.sock"
    process = subprocess.Popen([RSMD, "--private", "--socket", path], stderr=subprocess.PIPE, preexec_fn=rude)
    assert b"serves" in process.stderr.readline()
    process.send_signal(signal.SIGINT)
    process.stderr.close()
    assert process.wait(TIMEOUT) == 0


@in_directory
def leaves_when_idle(directory):
    daemon = Daemon(directory + "/rsmd.sock", config="[node]\nidle-exit = 50ms\n")
    try:
        client = Client(daemon.path)
    except (FileNotFoundError, ConnectionRefusedError, ConnectionResetError):
        client = None  # a slow machine: it left already, which is right
    if client:
        pidfd = os.pidfd_open(daemon.process.pid)
        assert not readable(pidfd, 0.5), "it left although it has a client"
        client.close()
    daemon.wait()
    assert not os.path.exists(daemon.path)


@in_directory
def stays_while_wanted(directory):
    daemon = Daemon(directory + "/rsmd.sock", config="[node]\nidle-exit = 0s\n")
    pidfd = os.pidfd_open(daemon.process.pid)
    assert not readable(pidfd, 0.3)
    daemon.stop()
    daemon = Daemon(directory + "/rsmd.sock", config="[node]\nidle-exit = 10ms\n", private=False)
    pidfd = os.pidfd_open(daemon.process.pid)
    assert not readable(pidfd, 0.3), "only a private rsmd leaves"
    daemon.stop()


@in_directory
def idle_exit_loses_nobody(directory):
    """Clients that come at the moment it leaves find it, or find nobody and may start another; none is cut off."""
    path = directory + "/rsmd.sock"
    with open(path + ".conf", "w", encoding="ascii") as file:
        file.write("[node]\nidle-exit = 1ms\n")
    os.environ["RSM_CONFIG"] = path + ".conf"
    daemons, left, dice = set(), 0, random.Random(7)
    for _ in range(300):
        try:
            pid = start_as_library(directory)
            daemons.add(pid)
            pidfd = os.pidfd_open(pid)
            readable(pidfd, dice.random() * 0.003)  # the next client comes before, while or after it leaves
            os.close(pidfd)
        except ProcessLookupError:
            pass
        except (FileNotFoundError, ConnectionRefusedError):
            left += 1  # started, and gone again within its millisecond: nobody was cut off
    del os.environ["RSM_CONFIG"]
    assert len(daemons) + left > 1, "it never left, so nothing was tested"
    for pid in daemons:
        try:
            pidfd = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        assert readable(pidfd, TIMEOUT), "left behind"


@in_directory
def leaving_with_a_full_queue(directory):
    """Stopped while its timer runs out and a client connects: it must serve that client, not leave."""
    path = directory + "/rsmd.sock"
    for _ in range(10):
        daemon = Daemon(path, config="[node]\nidle-exit = 100ms\n")
        daemon.process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, daemon.process.pid, os.WSTOPPED | os.WNOWAIT)
        waiting = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            waiting.connect(path)
        except (FileNotFoundError, ConnectionRefusedError):
            daemon.process.send_signal(signal.SIGCONT)
            daemon.wait()
            continue
        pidfd = os.pidfd_open(daemon.process.pid)
        readable(pidfd, 0.2)  # its time is over, nothing else happens
        daemon.process.send_signal(signal.SIGCONT)
        client = Client.__new__(Client)
        client.socket, client.id, client.fds = waiting, 0, []
        client.ask("hello", version=1)
        Client(path).close()  # and whoever comes later finds it under the same name
        daemon.stop()


if __name__ == "__main__":
    assert ctypes.CDLL(None).prctl(36, 1) == 0  # PR_SET_CHILD_SUBREAPER: no daemon escapes
    run({name: test for name, test in list(globals().items()) if name in (
        "command_line", "checking", "modes_of_the_socket", "second_is_refused", "stale_socket_is_replaced",
        "directories_of_others", "default_place", "many_starters_one_daemon", "detaching", "signals_of_the_starter",
        "leaves_when_idle", "stays_while_wanted", "idle_exit_loses_nobody", "leaving_with_a_full_queue")})
