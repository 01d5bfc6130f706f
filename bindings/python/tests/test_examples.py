# SPDX-License-Identifier: BSD-2-Clause
"""The examples, as users run them."""

import os
import re
import subprocess
import sys

import pytest

import rsm

TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
EXAMPLES = os.path.join(TOP, "examples")


def start(*arguments):
    return subprocess.Popen([sys.executable, *arguments], stdout=subprocess.PIPE, text=True)


def finish(process):
    text, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    return text


def test_producer_and_consumer():
    producer = start(f"{EXAMPLES}/producer.py")
    address = producer.stdout.readline().strip()
    finish(start(f"{EXAMPLES}/consumer.py", address))
    assert finish(producer) == "[3. 1. 4. 1.]\n"


@pytest.mark.parametrize("readme, said, heard", [
    (f"{TOP}/README.md", "", "1:0x400000\n[42. 42. 42.]\n"),
    (f"{TOP}/../../README.md", "done: 1.0\n", "1.0\n")])
def test_programs_of_the_readmes(readme, said, heard):
    with open(readme, encoding="utf-8") as file:
        exporter, importer = re.findall(r"```python\n(.*?)```", file.read(), re.S)[:2]
    second = start("-c", importer)  # whoever comes first waits
    first = start("-c", exporter)
    assert finish(second) == said
    assert finish(first) == heard


@pytest.mark.parametrize("controller", ["loopback", "tcp0"])
def test_in_situ_analysis(controller):
    simulation = start(f"{EXAMPLES}/heat.py", "32", "60", "20", controller)
    address = simulation.stdout.readline().strip()
    socket = os.environ["RSM_TEST_PEER_SOCKET" if controller == "tcp0" else "RSM_SOCKET"]
    analysis = subprocess.run([sys.executable, f"{EXAMPLES}/insitu.py", address], stdout=subprocess.PIPE, text=True, timeout=60,
                              check=True, env={**os.environ, "RSM_SOCKET": socket})
    finish(simulation)
    lines = analysis.stdout.splitlines()
    assert [int(line.split()[1]) for line in lines if line.startswith("step")] == [20, 40, 60]
    means = [float(line.split()[3]) for line in lines if line.startswith("step")]
    assert 0 < means[0] < means[1] < means[2] < 100
    assert lines[4].startswith("@@@")  # the picture begins with the hot edge
    assert not [row for row in rsm.segments() if f"1:{row['id_hex']}" == address]
