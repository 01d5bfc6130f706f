# SPDX-License-Identifier: BSD-2-Clause
"""Between two nodes: arrays that cannot be mapped."""

import numpy as np
import pytest

import rsm


@pytest.fixture
def remote(away):
    """An array of 12 x 10 numbers on the other node, what it contains, and a connection."""
    address = away("(e := rsm.export(rsm.zeros((12, 10)), access=0o666, controller='tcp0')).address")
    away("e.array[...] = np.arange(120).reshape(12, 10)")
    with rsm.connect(address, mode="rw") as connection:
        assert connection.controller == "tcp0" and connection.node == 2
        array = connection.array(float, (12, 10))
        assert isinstance(array, rsm.RemoteArray)
        yield array, np.arange(120.0).reshape(12, 10), connection


KEYS = [..., 3, -1, (3, 4), (-1, -1), slice(2, 5), slice(None, None, 3), slice(None, None, -1), (slice(None), 2),
        (slice(1, 9, 2), slice(8, 1, -3)), (Ellipsis, 4), (None, 5), (2, Ellipsis), (slice(3, 3), 1), (0, slice(2, 7)),
        (11, 9, Ellipsis), (slice(None), slice(4, 6)), (np.int64(3), slice(None))]


def test_reading_selections(remote):
    array, expected, _ = remote
    for key in KEYS:
        got = array[key]
        assert np.shape(got) == np.shape(expected[key]) and (got == expected[key]).all(), key
        assert isinstance(got, np.ndarray) == isinstance(expected[key], np.ndarray), key


@pytest.mark.parametrize("explicit", [False, True])
def test_writing_selections(remote, away, explicit):
    array, expected, connection = remote
    if explicit:
        connection.mode = "explicit"
    with connection.barrier():
        for number, key in enumerate(KEYS):
            value = np.random.default_rng(number).random(np.shape(expected[key]))
            array[key] = expected[key] = value
        array[1] = expected[1] = 7
        array[2:4] = expected[2:4] = np.arange(10)
    assert away("e.array.tolist()") == expected.tolist()
    assert (array.read() == expected).all()


def test_pieces_far_apart(away):
    address = away("(e := rsm.export(rsm.zeros((64, 4096)), access=0o666, controller='tcp0')).address")
    away("e.array[:, 7] = np.arange(64)")
    with rsm.connect(address, mode="rw") as connection:
        array = connection.array(float, (64, 4096))
        for mode in "implicit", "explicit":
            connection.mode = mode
            assert array[:, 7].tolist() == list(range(64))
        with connection.barrier():
            array[:, 9] = np.arange(64) * 2
        assert away("e.array[:, 9].tolist()") == [2 * row for row in range(64)]


def test_as_numpy_sees_it(remote):
    array, expected, _ = remote
    assert (np.asarray(array) == expected).all() and np.mean(array) == expected.mean()
    assert np.asarray(array, "f4").dtype == np.float32
    assert (array.shape, array.ndim, array.size, array.nbytes, len(array)) == ((12, 10), 2, 120, 960, 12)
    array.write(np.ones((12, 10)))
    assert (array.read() == 1).all()
    for wrong in ([1, 2], np.array([True] * 12), True, "a", (0, [1])):
        with pytest.raises(IndexError):
            array[wrong]
    for wrong in (12, (0, 10), (0, 0, 0)):
        with pytest.raises(IndexError):
            array[wrong]
    with pytest.raises(ValueError):
        array[0] = np.arange(3)
    with pytest.raises(TypeError):
        array[0] = object


def test_offsets_and_bounds(remote):
    _, expected, connection = remote
    assert connection.array(float, (5,), 80)[:].tolist() == expected[1, :5].tolist()
    with pytest.raises(ValueError):
        connection.array(float, (1000,))


def test_explicit_gets_are_kept_until_filled(remote):
    _, expected, connection = remote
    connection.mode = "explicit"
    into = [np.zeros(10) for _ in range(12)]
    with connection.barrier() as barrier:
        for row in range(12):
            connection.get(row * 80, into=into[row])
            connection.get(row * 80, into=np.zeros(10))  # nobody else knows this one
        assert connection._handle.unfilled
        barrier.order()
        assert (np.array(into) == expected).all() and not connection._handle.unfilled
        assert connection.get(8, dtype=float, shape=2).tolist() == [1, 2]
        assert connection.get(88, 32) == expected[1, 1:5].tobytes()


def test_signals_between_nodes(remote, away):
    _, _, connection = remote
    connection.putv([(0, np.array([5.0]))], signal=True)
    away("e.wait(20)")
    assert away("float(e.array[0, 0])") == 5
    away.tell("e.post()")
    connection.wait(20)
    away.answer()


def test_death_between_nodes(remote, away):
    array, _, connection = remote
    with pytest.raises(rsm.ConnAborted):
        with connection.barrier():
            away.kill()
            with pytest.raises(rsm.ConnAborted):
                connection.wait(20)
            with pytest.raises(rsm.ConnAborted):
                array[0] = 1


def test_topology_and_status():
    ways = rsm.topology()
    assert ways.node == 1 and ways.controller_to(1) == "loopback" and ways.controller_to(2) == "tcp0"
    assert any(peer.node == 2 and peer.active for way in ways.controllers for peer in way.peers)
    assert rsm.status()["schema"] == 1 and [path["node"] for path in rsm.nodes()] == [2]
    assert rsm.version() == (rsm.__version__, rsm.__version__)
    with rsm.export(rsm.zeros(512), access=0o600, controller="tcp0") as segment:
        assert segment.id in [row["id"] for row in rsm.segments()]
        assert rsm.segment(segment.id)["acl"] == [{"node": 1, "permission": "0600"}, {"node": 2, "permission": "0600"}]
    with pytest.raises(rsm.SegNotPublished):
        rsm.segment(0x7fff0000)


def test_spans_are_counted(remote):
    _, _, connection = remote
    connection.mode = "explicit"
    one, two = connection.barrier(), connection.barrier()
    with pytest.raises(rsm.BarrierNotOpened):
        one.close()
    assert connection._handle.spans == 0
    one.open()
    one.open()  # anew
    with two:
        pass
    connection.get(0, into=np.zeros(10))
    assert connection._handle.spans == 1 and connection._handle.unfilled
    one.close()
    assert connection._handle.spans == 0 and not connection._handle.unfilled
