# SPDX-License-Identifier: BSD-2-Clause
"""Hosts for tests: network namespaces, joined by a pair of virtual cards, or by a bridge in one more namespace. Needs root.
Their names carry this process's id; all are removed on every end of the test, and what a killed test left is by the next one."""

import atexit
import ipaddress
import os
import shutil
import signal
import subprocess
import sys

SKIPPED = 77
PORT = 7600


def command(*words, **options):
    return subprocess.run(words, check=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options).stdout


def need():
    """Ends the test as skipped where it cannot run."""
    for program in ("ip", "nft"):
        if not shutil.which(program):
            skip(f"needs {program} (packages iproute2, nftables)")
    if os.geteuid() != 0:
        skip("needs root, to make network namespaces")
    name = f"rsm{os.getpid()}-try"
    try:
        command("ip", "netns", "add", name)
        command("ip", "netns", "exec", name, "nft", "list", "tables")
    except subprocess.CalledProcessError as error:
        skip(f"no network namespaces with packet filter here: {error.stderr.strip()}")
    finally:
        subprocess.run(["ip", "netns", "del", name], check=False, stderr=subprocess.DEVNULL)


def skip(why):
    print(f"1..0 # SKIP {why}", flush=True)
    sys.exit(SKIPPED)


class Host:
    """A namespace; a place for a node."""

    def __init__(self, name, address):
        self.name, self.address, self.port = name, address, PORT
        self.prefix = ["ip", "netns", "exec", name]

    def endpoint(self):
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"

    def link(self, up):
        command("ip", "-n", self.name, "link", "set", "eth0", "up" if up else "down")
        if up and ":" in self.address:
            self.configure()  # an address of version 6 goes with the link

    def configure(self):
        bits = 64 if ":" in self.address else 24
        options = ["nodad"] if ":" in self.address else []
        command("ip", "-n", self.name, "address", "replace", f"{self.address}/{bits}", "dev", "eth0", *options)

    def deaf(self, others):
        """What these send does not arrive here; nobody is told."""
        family = "ip6" if ":" in self.address else "ip"
        rules = "".join(f"add rule inet rsm in {family} saddr {ipaddress.ip_address(other.address)} drop\n"
                        for other in others)
        self.filter("add table inet rsm\nadd chain inet rsm in { type filter hook input priority 0; }\n" + rules)

    def hearing(self):
        self.filter("add table inet rsm\ndelete table inet rsm\n")

    def filter(self, rules):
        command(*self.prefix, "nft", "-f", "-", input=rules)


class Hosts:
    """`count` hosts on one network."""

    def __init__(self, count, version=4):
        self.stem = f"rsm{os.getpid()}-"
        self.names = []
        remove_leftovers()
        atexit.register(self.remove)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda *_: sys.exit(1))
        prefix = "10.77.0." if version == 4 else "fd77::"
        self.hosts = [Host(self.space(str(at)), f"{prefix}{at}") for at in range(1, count + 1)]
        if count == 2:
            command("ip", "link", "add", "eth0", "netns", self.hosts[0].name, "type", "veth",
                    "peer", "name", "eth0", "netns", self.hosts[1].name)
        else:
            self.bridge()
        for host in self.hosts:
            command("ip", "-n", host.name, "link", "set", "lo", "up")
            command("ip", "-n", host.name, "link", "set", "eth0", "up")
            host.configure()

    def space(self, end):
        command("ip", "netns", "add", self.stem + end)
        self.names.append(self.stem + end)
        return self.stem + end

    def bridge(self):
        switch = self.space("switch")
        command("ip", "-n", switch, "link", "add", "br0", "type", "bridge", "stp_state", "0", "forward_delay", "0")
        command("ip", "-n", switch, "link", "set", "br0", "up")
        for at, host in enumerate(self.hosts, 1):
            command("ip", "link", "add", "eth0", "netns", host.name, "type", "veth", "peer", "name", f"port{at}",
                    "netns", switch)
            command("ip", "-n", switch, "link", "set", f"port{at}", "master", "br0", "up")

    def remove(self):
        while self.names:
            subprocess.run(["ip", "netns", "del", self.names.pop()], check=False)


def remove_leftovers():
    for line in command("ip", "netns", "list").splitlines():
        name = line.split()[0]
        owner = name[3:].split("-")[0]
        if name.startswith("rsm") and "-" in name and owner.isdigit() and not os.path.exists(f"/proc/{owner}"):
            subprocess.run(["ip", "netns", "del", name], check=False, stderr=subprocess.DEVNULL)
