# SPDX-License-Identifier: BSD-2-Clause
"""Signals, blocking and in asyncio, with other processes and threads."""

import asyncio
import select
import signal
import threading
import time

import pytest

import rsm


def test_post_and_wait(shared):
    _, segment, connection = shared
    connection.post()
    connection.post()
    connection.post(accumulate=False)
    segment.wait()
    assert segment.info().pending == 1
    segment.wait(1)
    with pytest.raises(rsm.Timeout) as caught:
        segment.wait(0)
    assert isinstance(caught.value, TimeoutError)
    segment.post()
    connection.wait(1)


def test_timeout_is_in_seconds(shared):
    _, segment, _ = shared
    start = time.monotonic()
    with pytest.raises(TimeoutError):
        segment.wait(0.05)
    assert time.monotonic() - start >= 0.05


def test_wait_lets_other_threads_run(shared):
    _, segment, connection = shared
    waiter = threading.Thread(target=segment.wait)
    waiter.start()
    connection.post()
    waiter.join(20)
    assert not waiter.is_alive()


def test_a_signal_handler_may_end_a_wait(shared):
    _, segment, _ = shared
    ran = []

    def raising(number, frame):
        ran.append(number)
        if len(ran) == 2:
            raise KeyboardInterrupt

    old = signal.signal(signal.SIGALRM, raising)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.02, 0.02)
        with pytest.raises(KeyboardInterrupt):
            segment.wait()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)
    assert len(ran) == 2


def test_descriptor(shared):
    _, segment, connection = shared
    assert segment.fileno() == segment.fileno()
    assert not select.select([segment], [], [], 0)[0]
    connection.post()
    assert select.select([segment], [], [], 20)[0] == [segment]
    segment.wait(0)
    assert not select.select([segment], [], [], 0)[0]


def test_asyncio_between_processes(other):
    with rsm.export(rsm.zeros(512), access=0o600) as segment:
        other(f"s = rsm.connect('{segment.address}', mode='rw')")

        async def talk():
            for turn in range(20):
                task = asyncio.ensure_future(segment.signal())
                await asyncio.sleep(0)
                other(f"s.put(0, {turn}.0); s.post()")
                await asyncio.wait_for(task, 20)
                assert segment.array[0] == turn

        asyncio.run(talk())


def test_asyncio_several_tasks(shared):
    _, segment, connection = shared

    async def talk():
        tasks = [asyncio.ensure_future(segment.signal()) for _ in range(5)]
        await asyncio.sleep(0)
        for _ in range(5):
            connection.post()
        await asyncio.wait_for(asyncio.gather(*tasks), 20)
        left = asyncio.ensure_future(segment.signal())
        await asyncio.sleep(0)
        left.cancel()
        with pytest.raises(asyncio.CancelledError):
            await left
        connection.post()
        await asyncio.wait_for(segment.signal(), 20)

    asyncio.run(talk())


def test_async_for_ends_with_the_segment(other):
    address = other("(e := rsm.export(rsm.zeros(512), access=0o600)).address")

    async def listen():
        count = 0
        with rsm.connect(address) as connection:
            other("e.post(); e.post(); e.post()")
            async for _ in connection.signals():
                count += 1
                if count == 3:
                    other.kill()
        return count

    assert asyncio.run(asyncio.wait_for(listen(), 20)) == 3


def test_close_ends_async_waits(shared):
    _, segment, _ = shared
    connection = rsm.connect(segment.address)

    async def wait():
        task = asyncio.ensure_future(connection.signal())
        listener = asyncio.ensure_future(anext(connection.signals(), "end"))
        await asyncio.sleep(0)
        threading.Thread(target=connection.close).start()
        with pytest.raises(rsm.BadSegHndl):
            await asyncio.wait_for(task, 20)
        assert await asyncio.wait_for(listener, 20) == "end"

    asyncio.run(wait())


def test_close_while_another_thread_waits():
    segment = rsm.export(rsm.zeros(512), access=0o600)
    connection = rsm.connect(segment.address)
    began = threading.Event()
    ends = []

    def wait():
        began.set()
        try:
            connection.wait(20)
        except rsm.Error as error:
            ends.append(error)

    waiter = threading.Thread(target=wait)
    waiter.start()
    began.wait()
    connection.close()
    segment.close()  # aborts the connection, whose handle the waiter still has
    waiter.join(20)
    assert not waiter.is_alive() and isinstance(ends[0], (rsm.ConnAborted, rsm.BadSegHndl))


def test_an_export_is_withdrawn_though_a_thread_waits():
    segment = rsm.export(rsm.zeros(512), access=0o600)
    began, ended = threading.Event(), threading.Event()

    def wait():
        began.set()
        with pytest.raises(rsm.Timeout):
            segment.wait(1)
        ended.set()

    waiter = threading.Thread(target=wait)
    waiter.start()
    began.wait()
    segment.close()
    with pytest.raises(rsm.SegNotPublished):
        rsm.connect(segment.address)
    assert not ended.is_set()
    waiter.join(20)
    assert ended.is_set()
