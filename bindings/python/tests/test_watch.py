# SPDX-License-Identifier: BSD-2-Clause
"""Life events."""

import asyncio
import os
import select
import threading

import pytest

import rsm


def test_events_in_order(other):
    with rsm.watch() as events:
        address = other("(e := rsm.export(rsm.zeros(512), id=0x7ABC1000, access=0o600)).address")
        rsm.connect(address).close()
        other("e.close()")
        seen = []
        for event in events:
            if event.get("segment") == "0x7abc1000":
                seen.append(event)
                if event["event"] == "unpublish":
                    break
    assert [event["event"] for event in seen] == ["publish", "connect", "disconnect", "unpublish"]
    assert all(event["schema"] == 1 and event["time"] > 1e9 for event in seen)
    assert [event["seq"] for event in seen] == sorted(event["seq"] for event in seen)
    assert seen[1]["pid"] == os.getpid()
    assert next(events, "end") == "end" and events.fileno() == -1


def test_asyncio(other):
    async def look():
        with rsm.watch() as events:
            other.tell("e = rsm.export(rsm.zeros(512), id=0x7ABC1001, access=0o600)")
            async for event in events:
                if event["event"] == "publish" and event["segment"] == "0x7abc1001":
                    return event["pid"]

    assert asyncio.run(asyncio.wait_for(look(), 20)) == other.process.pid
    other.answer()


def test_close_ends_a_task():
    async def look():
        events = rsm.watch()

        async def drain():
            async for _ in events:
                pass

        task = asyncio.ensure_future(drain())
        await asyncio.sleep(0)
        threading.Thread(target=events.close).start()
        await asyncio.wait_for(task, 20)

    asyncio.run(look())


def test_a_cancelled_wait_loses_nothing():
    async def look():
        with rsm.watch() as events:
            with pytest.raises(asyncio.TimeoutError):
                while True:
                    await asyncio.wait_for(anext(events), 0.05)
            segment = rsm.export(rsm.zeros(512), id=0x7ABC1002, access=0o600)
            assert select.select([events], [], [], 20)[0]
            first = await asyncio.wait_for(anext(events), 20)
            segment.close()
            return first

    assert asyncio.run(look())["event"] == "publish"


def test_descriptors_are_given_back():
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):  # a process may have 8 at a time
        rsm.watch().close()
    assert len(os.listdir("/proc/self/fd")) == before
