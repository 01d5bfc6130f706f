# SPDX-License-Identifier: BSD-2-Clause
"""What can be exported, how it is published and withdrawn."""

import gc
import mmap
import weakref

import numpy as np
import pytest

import rsm


def test_empty_is_zeroed_and_aligned():
    array = rsm.empty((3, 5), "i2")
    assert array.shape == (3, 5) and array.dtype == np.int16 and not array.any()
    assert array.ctypes.data % mmap.PAGESIZE == 0 and array.flags.writeable and array.flags.c_contiguous


@pytest.mark.parametrize("shape, dtype, error", [(0, float, ValueError), (-1, float, ValueError), (4, object, TypeError)])
def test_empty_refuses(shape, dtype, error):
    with pytest.raises(error):
        rsm.empty(shape, dtype)


def test_memory_of_empty_lives_as_long_as_a_view():
    array = rsm.empty(1 << 20, np.uint8)
    block = weakref.ref(array.base.base if array.base is not None and array.base.base is not None else array.base)
    view = array[4096:8192:2]
    del array
    gc.collect()
    view[:] = 7
    assert view.sum() == 7 * view.size and block() is not None
    del view
    gc.collect()
    assert block() is None


def test_empty_memory_is_given_back():
    def shared_now():
        with open("/proc/self/status", encoding="ascii") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("RssShmem"))

    before = shared_now()
    for _ in range(8):
        rsm.empty(8 << 20, np.uint8)[:] = 1
    gc.collect()
    assert shared_now() - before < 4 << 10


def test_export_of_other_memory_in_place(other):
    memory = mmap.mmap(-1, 8192)
    with rsm.export(memory, access=0o600) as segment:
        other(f"s = rsm.connect('{segment.address}', mode='rw')")
        other("s.put(4096, b'there')")
        assert memory[4096:4101] == b"there"
        other("s.close()")


def test_export_of_an_aligned_numpy_array():
    plain = np.zeros(3 * 4096, np.uint8)
    start = -plain.ctypes.data % 4096
    page = plain[start:start + 4096]
    with rsm.export(page, access=0o600) as segment, rsm.connect(segment.address) as connection:
        page[5] = 9
        assert connection.array()[5] == 9


def test_unaligned_is_refused_with_advice():
    plain = np.zeros(4 * 4096, np.uint8)
    start = -plain.ctypes.data % 4096
    for wrong in (plain[start + 8:start + 8 + 4096], plain[start:start + 4097]):
        with pytest.raises(rsm.BadMemAlignment, match=r"rsm\.empty\(shape, dtype\)"):
            rsm.export(wrong)


def test_a_part_of_a_block_is_not_rounded_up():
    array = rsm.empty(8192, np.uint8)
    with pytest.raises(rsm.BadMemAlignment):
        rsm.export(array[:100])
    with rsm.export(array[4096:]) as segment:
        assert segment.info().length == 4096


def test_what_cannot_be_exported():
    array = rsm.empty((64, 64))
    with pytest.raises(ValueError, match="side by side"):
        rsm.export(array[:, ::2])
    array.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        rsm.export(array)
    with pytest.raises(TypeError, match="pointers"):
        rsm.export(np.array([{}] * 512))


def test_fortran_order_is_contiguous():
    array = rsm.empty((64, 8)).T
    with rsm.export(array) as segment:
        assert segment.info().length == 4096


def test_publish_republish_unpublish(other):
    with rsm.export(rsm.zeros(512), id=0x7ABC0001, access={rsm.topology().node: 0o400}) as segment:
        assert segment.id == 0x7ABC0001 and segment.address == f"{segment.node}:0x7abc0001"
        assert [row["permissions"] for row in rsm.segments() if row["id"] == segment.id] == ["0400"]
        other("rsm.connect('%s').close()" % segment.address)
        segment.republish(0o600)
        with pytest.raises(rsm.SegidInUse):
            rsm.export(rsm.zeros(512), id=0x7ABC0001)
        segment.unpublish()
        with pytest.raises(rsm.SegNotPublished):
            rsm.connect(segment.address)
        segment.publish(0x7ABC0002, 0o600)
        assert segment.info().state == "published" and segment.id == 0x7ABC0002


def test_access_lists():
    node = rsm.topology().node
    with pytest.raises(rsm.BadAcl, match="loopback"):
        rsm.export(rsm.zeros(512), access={node: 0o600, node + 7: 0o600})
    with pytest.raises(rsm.BadAcl, match="no node"):
        rsm.export(rsm.zeros(512), access={})
    with pytest.raises(rsm.BadAcl):
        rsm.export(rsm.zeros(512), access=0o777)
    many = {1000 + number: 0o640 for number in range(60000)}
    with rsm.export(rsm.zeros(512), access={**many, node: 0o600}, controller="tcp0") as segment:
        rsm.connect(segment.address).close()
        segment.republish(many)
        with pytest.raises(rsm.SegNotPublishedToNode):
            rsm.connect(segment.address)
        with pytest.raises(rsm.BadAcl):
            segment.republish({number: 0o600 for number in range(66000)})


def test_rebind():
    first, second = rsm.zeros(512), rsm.zeros(512)
    with rsm.export(first, access=0o600) as segment, rsm.connect(segment.address) as connection:
        first[0], second[0] = 1, 2
        assert connection.get(0, dtype=float, shape=1)[0] == 1
        segment.rebind(second)
        assert segment.array is second and connection.get(0, dtype=float, shape=1)[0] == 2
        with pytest.raises(rsm.BadLength):
            segment.rebind(rsm.zeros(1024))
        with pytest.raises(rsm.BadAddr, match=r"rsm\.empty"):
            segment.rebind(np.zeros(600)[1:513])
    assert first[0] == 1 and second[0] == 2


def test_the_export_keeps_its_array():
    segment = rsm.export(rsm.zeros(512), access=0o600)
    gc.collect()
    segment.array[3] = 4
    with rsm.connect(segment.address) as connection:
        assert connection.array(float)[3] == 4
    segment.close()


def test_an_export_that_nobody_refers_to_is_withdrawn():
    address = rsm.export(rsm.zeros(512), access=0o600).address
    gc.collect()
    with pytest.raises(rsm.SegNotPublished):
        rsm.connect(address)


def test_contents_survive_close():
    array = rsm.zeros(512)
    with rsm.export(array, access=0o600) as segment:
        array[:] = np.arange(512)
    assert (array == np.arange(512)).all()
    segment.close()
    for use in (segment.info, segment.post, segment.unpublish, segment.republish, segment.fileno, segment.wait,
                lambda: segment.array, lambda: segment.rebind(array)):
        with pytest.raises(rsm.BadSegHndl, match="closed"):
            use()


def test_same_array_twice():
    array = rsm.zeros(1024)
    with rsm.export(array, access=0o600) as one, rsm.export(array[512:], access=0o600) as two:
        with rsm.connect(one.address, mode="rw") as a, rsm.connect(two.address) as b:
            a.put(4096, 5.0)
            assert b.array(float)[0] == 5


def test_huge_pages():
    try:
        array = rsm.empty((100, 100), huge=True)
    except rsm.InsufficientMem as error:
        assert "huge" in error.reason  # the pool is empty: it says so
        return
    assert array.ctypes.data % (2 << 20) == 0
    with rsm.export(array) as segment:
        assert segment.info().length == 2 << 20
