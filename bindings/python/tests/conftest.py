# SPDX-License-Identifier: BSD-2-Clause
"""Fixtures. The tests need the two nodes of `run_with_rsmd --pair`; CTest gives them."""

import faulthandler
import gc
import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(__file__))
import rsm  # noqa: E402
from partner import Partners  # noqa: E402

faulthandler.dump_traceback_later(150, exit=True)  # a test that hangs says where


@pytest.fixture(scope="session")
def partners():
    """Other processes: starting one takes longer than most tests."""
    made = Partners()
    yield made
    made.end()


@pytest.fixture
def other(partners):
    """A second process on this node."""
    with partners.one(os.environ["RSM_SOCKET"]) as made:
        yield made


@pytest.fixture
def away(partners):
    """A process on the other node."""
    with partners.one(os.environ["RSM_TEST_PEER_SOCKET"]) as made:
        yield made


@pytest.fixture
def shared():
    """An exported array of 1024 float64, and a connection to it."""
    array = rsm.zeros(1024)
    with rsm.export(array, access=0o600) as segment, rsm.connect(segment.address, mode="rw") as connection:
        yield array, segment, connection


@pytest.fixture(autouse=True)
def nothing_is_left():
    """Every test withdraws what it published and lets go of it."""
    yield
    gc.collect()
    mine = [row for row in rsm.segments() if row["owner_pid"] == os.getpid()]
    assert not mine, f"published still: {mine}"
