# SPDX-License-Identifier: BSD-2-Clause
"""fork, multiprocessing, the end of the interpreter; what the documents show."""

import doctest
import importlib
import multiprocessing
import os
import pkgutil
import subprocess
import sys

import numpy as np
import pytest

import rsm
from partner import Partner


def test_fork(shared):
    array, segment, connection = shared
    array[0] = 1
    view = connection.array(float)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            array[0] = 2  # the child's own copy
            for use in (segment.unpublish, segment.republish, lambda: connection.get(0, 1), connection.post):
                try:
                    use()
                    os._exit(3)
                except rsm.Error:
                    pass
            segment.close()
            connection.close()
            with rsm.export(rsm.zeros(512), access=0o600) as own:
                rsm.connect(own.address).close()
            status = 0
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert array[0] == 1 and view[0] == 1
    connection.put(0, 4.0)
    assert array[0] == 4 and segment.info().importers == 1


def _work(address):
    with rsm.connect(address, mode="rw") as connection:
        connection.array(float)[1] += 41
        connection.post()
    with pytest.raises(rsm.SegNotPublished):
        rsm.connect(None, 0x7fff0000)
    raise rsm.Timeout(reason="through the pool")


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_multiprocessing(shared, method):
    array, segment, _ = shared
    array[1] = 1
    with multiprocessing.get_context(method).Pool(1) as pool:
        with pytest.raises(rsm.Timeout, match="through the pool"):
            pool.apply(_work, (segment.address,))
        pool.close()
        pool.join()
    segment.wait(20)
    assert array[1] == 42


def test_exit_without_close():
    other = Partner(os.environ["RSM_SOCKET"])
    address = other("(e := rsm.export(rsm.zeros(512), access=0o600)).address")
    other("c = rsm.connect(e.address, mode='rw'); v = c.array(float); b = c.barrier(); b.open(); c.fileno(); e.fileno()")
    other("import threading; threading.Thread(target=e.wait, daemon=True).start()")
    assert other.end() == 0
    with pytest.raises(rsm.SegNotPublished):
        rsm.connect(address)


def test_exit_is_silent():
    script = ("import rsm\na = rsm.zeros(512)\ne = rsm.export(a, access=0o600)\nc = rsm.connect(e.address, mode='rw')\n"
              "v = c.array()\nb = c.barrier()\nloop = [a, e, c, v, b]\nloop.append(loop)\n")
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, timeout=60, check=True)
    assert not ended.stderr and not ended.stdout


@pytest.mark.parametrize("name", ["rsm"] + [f"rsm.{module.name}" for module in pkgutil.iter_modules(rsm.__path__)])
def test_documented_examples(name):
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_arrays_of_all_kinds_go_through():
    for dtype in ("?", "i1", "u2", "f2", "c8", "c16", "U5", "S3", "M8[ns]", [("x", "f4", 3), ("y", "S2")]):
        array = rsm.zeros(4, dtype)
        with rsm.export(array, access=0o600) as segment, rsm.connect(segment.address, mode="rw") as connection:
            sample = np.ones(4, dtype)
            connection.put(0, sample)
            assert (array == sample).all() and (connection.get(dtype=dtype, shape=4) == sample).all()
            assert (connection.array(dtype, 4) == sample).all()
