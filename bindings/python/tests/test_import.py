# SPDX-License-Identifier: BSD-2-Clause
"""Connections on one host: arrays over the exporter's memory, get and put, vectors, barriers, lifetimes."""

import gc
import threading

import numpy as np
import pytest

import rsm


def test_zero_copy_both_ways(other):
    array = rsm.zeros((8, 64))
    with rsm.export(array, access=0o600) as segment:
        other(f"s = rsm.connect('{segment.address}', mode='rw')")
        other("v = s.array(float, (8, 64))")
        array[2, 3] = 1.5
        assert other("float(v[2, 3])") == 1.5
        other("v[7, 63] = 2.5")
        assert array[7, 63] == 2.5
        assert other("v.flags.writeable, v.flags.owndata") == (True, False)


def test_read_only(shared):
    array, segment, _ = shared
    with rsm.connect(segment.address) as reader:
        view = reader.array(float)
        assert reader.rights == "r" and not view.flags.writeable
        with pytest.raises(ValueError):
            view[0] = 1
        with pytest.raises(ValueError):
            view.flags.writeable = True
        with pytest.raises(ValueError):
            view[3:].view(np.uint8).flags.writeable = True
        with pytest.raises(rsm.PermDenied, match="granted"):
            reader.put(0, b"x")
        array[0] = 3
        assert view[0] == 3


def test_modes(shared):
    _, segment, _ = shared
    with rsm.connect(segment.address, mode="w") as writer:
        with pytest.raises(rsm.PermDenied):
            writer.get(0, 1)
    with rsm.connect(segment.address, mode="signal") as signaller:
        with pytest.raises(rsm.PermDenied, match="only signal"):
            signaller.array()
        signaller.post()
    segment.wait(5)
    with pytest.raises(ValueError):
        rsm.connect(segment.address, mode="x")
    segment.republish(0o000)
    if rsm.status().get("uid", 1) != 0:
        try:
            rsm.connect(segment.address).close()
        except rsm.PermDenied as error:
            assert isinstance(error, PermissionError) and "permission 0000" in error.reason
        else:
            assert rsm.segments()  # root passes every access list


def test_addresses(shared):
    _, segment, _ = shared
    for arguments in ((segment.node, segment.id), (segment.address,), (None, segment.id), (hex(segment.id),)):
        rsm.connect(*arguments).close()
    for wrong in ("1:", "abc", "1:2:3", "1:0x"):
        with pytest.raises(ValueError, match="address"):
            rsm.connect(wrong)
    with pytest.raises(TypeError):
        rsm.connect(1)
    with pytest.raises(TypeError):
        rsm.connect("1:0x400000", 5)
    with pytest.raises(rsm.RemoteNodeUnreachable, match="no controller"):
        rsm.connect(4711, 0x400000)


def test_waits_for_publication(monkeypatch):
    array = rsm.zeros(512)
    with rsm.export(array, id=0x400010, access=0o600) as segment:
        segment.unpublish()
        with pytest.raises(rsm.SegNotPublished):
            rsm.connect(None, 0x400010)
        with pytest.raises(rsm.SegNotPublished):
            rsm.connect(None, 0x400010, timeout=0.03)
        monkeypatch.setattr("time.sleep", lambda _: segment.publish(0x400010, 0o600))  # after the first refusal
        rsm.connect(None, 0x400010, timeout=30).close()
        segment.unpublish()
        rsm.connect(None, 0x400010, timeout=None).close()
        with pytest.raises(rsm.RemoteNodeUnreachable):  # the others are told at once
            rsm.connect(4711, 0x400010, timeout=None)


def test_dtype_shape_offset(shared):
    array, _, connection = shared
    array[:] = np.arange(1024)
    assert connection.length == 8192
    assert connection.array().shape == (8192,) and connection.array().dtype == np.uint8
    assert connection.array(float, offset=8000).tolist() == list(range(1000, 1024))
    assert connection.array(float, (2, 3), 16).tolist() == [[2, 3, 4], [5, 6, 7]]
    assert connection.array("f8", 0, 8192).shape == (0,)
    assert connection.array("f8", (), 8)[()] == 1
    record = connection.array([("a", "f8"), ("b", "f8")], 4)
    assert record["b"].tolist() == [1, 3, 5, 7]
    for dtype, shape, offset in ((float, 1025, 0), (float, 1, 8185), (float, None, -1), (float, None, 8193), (float, -1, 0),
                                 (float, (1 << 40, 1 << 40), 0)):
        with pytest.raises(ValueError):
            connection.array(dtype, shape, offset)
    with pytest.raises(TypeError):
        connection.array(object)


def test_get_and_put(shared):
    array, _, connection = shared
    connection.put(0, np.arange(4.0))
    connection.put(32, [4, 5], float)
    connection.put(48, 6.0)
    connection.put(56, np.array([7.0, 0, 8.0, 0])[::2])
    assert array[:9].tolist() == list(range(9))
    connection.put(8000, b"bytes")
    connection.put(8005, bytearray(b"more"))
    assert connection.get(8000, 9) == b"bytesmore" and isinstance(connection.get(0, 3), bytes)
    assert len(connection.get()) == 8192 and len(connection.get(8192)) == 0
    assert connection.get(8, dtype=float, shape=(2, 2)).tolist() == [[1, 2], [3, 4]]
    into = np.empty(3)
    assert connection.get(8, into=into) is into and into.tolist() == [1, 2, 3]
    buffer = bytearray(5)
    connection.get(8000, into=buffer)
    assert buffer == b"bytes"
    connection.put(100, np.array([1, 2, 3], ">i4"))  # as it is, in whatever order
    assert connection.get(100, 4) == b"\0\0\0\1"
    connection.put(104, np.array(["2024-01-01"], "M8[D]"))
    assert connection.get(104, dtype="M8[D]", shape=1)[0] == np.datetime64("2024-01-01")


def test_get_and_put_refuse(shared):
    _, _, connection = shared
    for call in (lambda: connection.get(8190, 4), lambda: connection.put(8190, b"1234"), lambda: connection.get(0, 9000),
                 lambda: connection.get(-1, 1), lambda: connection.put(-8, 1.0), lambda: connection.get(0, -1)):
        with pytest.raises(rsm.BadOffset):
            call()
    with pytest.raises(rsm.BadMemAlignment):
        connection.get(4, into=np.empty(1))
    with pytest.raises(TypeError):
        connection.put(0, ["text", None])
    with pytest.raises((BufferError, TypeError, ValueError)):
        connection.get(0, into=b"read-only")
    with pytest.raises(ValueError):
        connection.get(0, into=np.empty(8)[::2])


def test_vectors(shared):
    array, segment, connection = shared
    connection.putv(((number * 16, np.array([float(number)])) for number in range(100)), signal=True)
    segment.wait(5)
    with pytest.raises(rsm.Timeout):
        segment.wait(0)
    assert array[:200:2].tolist() == list(range(100))
    into = [np.empty(1) for _ in range(40)]
    connection.getv([(number * 16, into[number]) for number in range(40)])
    assert [float(one[0]) for one in into] == list(range(40))
    with pytest.raises(rsm.BadOffset) as caught:
        connection.putv([(0, b"x")] * 20 + [(8192, b"x")] + [(1, b"x")] * 5)
    assert caught.value.completed == 20
    connection.putv([])
    connection.getv([])


def test_barrier(shared):
    array, segment, connection = shared
    view = connection.array(float)
    with connection.barrier() as barrier:
        view[0] = 1
        barrier.order()
        view[1] = 2
    with barrier:
        connection.put(16, 3.0)
    assert array[:3].tolist() == [1, 2, 3]
    with pytest.raises(rsm.BarrierNotOpened):
        barrier.close()
    with pytest.raises(KeyError):
        with barrier:
            raise KeyError
    with pytest.raises(KeyError):
        with barrier:
            segment.unpublish()
            raise KeyError
    with pytest.raises(rsm.ConnAborted):
        with barrier:
            pass


def test_explicit_mode(shared):
    array, _, connection = shared
    assert connection.mode == "implicit"
    connection.mode = "explicit"
    assert connection.mode == "explicit"
    connection.put(0, 1.0)
    into = np.zeros(2)
    with connection.barrier():
        connection.put(8, 2.0)
        connection.get(0, into=into)
        assert connection.get(8, dtype=float, shape=1)[0] == 2
    assert into.tolist() == [1, 2] and not connection._handle.unfilled
    connection.get(0, into=into)
    assert not connection._handle.unfilled
    connection.mode = "implicit"
    with pytest.raises(ValueError):
        connection.mode = "other"


def test_barrier_tells_of_the_exporters_death(other):
    address = other("(e := rsm.export(rsm.zeros(1024), access=0o600)).address")
    with rsm.connect(address, mode="rw") as connection:
        view = connection.array(float)
        other("e.array[0] = 5")
        assert view[0] == 5
        with pytest.raises(rsm.ConnAborted) as caught:
            with connection.barrier():
                other.kill()
                while connection.info().state != "aborted":
                    pass
                view[1] = 1  # goes nowhere, harms nobody
        assert isinstance(caught.value, ConnectionAbortedError) and caught.value.reason
        view[2] = 3
        with pytest.raises(rsm.ConnAborted):
            connection.put(0, 1.0)
        with pytest.raises(rsm.ConnAborted):
            connection.wait(5)


def test_views_survive_close(shared):
    array, segment, _ = shared
    connection = rsm.connect(segment.address, mode="rw")
    before = segment.info().importers
    view = connection.array(float, 10)
    part = view[2:5]
    connection.close()
    connection.close()
    del view
    gc.collect()
    assert segment.info().importers == before
    part[0] = 9
    assert array[2] == 9
    for use in (connection.info, connection.array, connection.get, connection.barrier, connection.post):
        with pytest.raises(rsm.BadSegHndl, match="closed"):
            use()
    assert connection.closed
    del part
    gc.collect()
    assert segment.info().importers == before - 1


def test_views_survive_the_segment():
    array = rsm.zeros(512)
    segment = rsm.export(array, access=0o600)
    view = rsm.connect(segment.address, mode="rw").array(float)
    segment.close()
    del array
    gc.collect()
    view[:] = 1
    assert view.shape == (512,)


def test_barrier_after_close(shared):
    _, segment, _ = shared
    connection = rsm.connect(segment.address, mode="rw")
    barrier = connection.barrier()
    with pytest.raises(rsm.BadSegHndl, match="closed"):
        with barrier:
            connection.close()
    with pytest.raises(rsm.BadSegHndl):
        barrier.open()


def test_threads(shared):
    array, segment, connection = shared
    failures = []

    def work(number):
        try:
            with rsm.connect(segment.address, mode="rw") as own:
                for turn in range(200):
                    connection.put(number * 8, float(turn))
                    assert connection.array(float)[number] == turn
                    with own.barrier():
                        own.put((number + 8) * 8, float(turn))
                    assert own.get((number + 8) * 8, dtype=float, shape=1)[0] == turn
        except BaseException as error:  # told to the main thread
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures and array[:16].tolist() == [199] * 16


def test_info(shared):
    _, segment, connection = shared
    info = connection.info()
    assert (info.length, info.rights, info.state, info.node, info.id) == \
        (8192, "rw", "connected", segment.node, segment.id)
    connection.array()
    assert connection.info().state == "mapped"
    assert segment.info().importers == 1
    assert "rsm.Import" in repr(connection) and "rsm.Export" in repr(segment)
