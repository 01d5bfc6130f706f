# SPDX-License-Identifier: BSD-2-Clause
"""The node's life events as they happen."""

from __future__ import annotations

import asyncio
import json
import os
import select
from types import TracebackType
from typing import Any, Callable

from . import _error
from ._librsm import ffi, lib

Event = dict[str, Any]


class _Descriptor:
    """Closed when nobody uses it any more, as Handle is."""

    def __init__(self) -> None:
        place = ffi.new("int *", -1)
        _error.check(lib.rsmx_watch(place))
        self.fd: int = place[0]
        os.set_blocking(self.fd, False)

    def __del__(self, close: Callable[[int], None] = os.close) -> None:
        if "fd" in self.__dict__:
            close(self.fd)


class Watch:
    """What happens on this node from now on: `for event in rsm.watch()`, in asyncio `async for`. Each event is a dict: "event" says
    what ("publish", "connect", "refuse", "abort", ...), "seq", "time" and other keys tell of it. One that reads too slowly is told
    by a "lost" how many it missed. Ends with rsmd, or by close()."""

    def __init__(self) -> None:
        self._descriptor: _Descriptor | None = _Descriptor()
        self._text = b""
        self._lines: list[bytes] = []
        self._waiter: tuple[asyncio.AbstractEventLoop, asyncio.Future[None]] | None = None

    def fileno(self) -> int:
        """The descriptor, for select and poll; -1 when closed."""
        return self._descriptor.fd if self._descriptor is not None else -1

    def close(self) -> None:
        """Ends it. A task that waits ends at once, a thread with the next event."""
        waiter, self._descriptor = self._waiter, None
        if waiter is not None:
            waiter[0].call_soon_threadsafe(_wake, waiter[1])

    def _next(self) -> Event | None:
        """The next event that is there; None: wait. EOFError: there will be none."""
        while not self._lines:
            descriptor = self._descriptor
            if descriptor is None:
                raise EOFError
            try:
                data = os.read(descriptor.fd, 1 << 16)
            except BlockingIOError:
                return None
            if not data:
                raise EOFError
            *self._lines, self._text = (self._text + data).split(b"\n")
        event: Event = json.loads(self._lines.pop(0))
        return event

    def __iter__(self) -> Watch:
        return self

    def __next__(self) -> Event:
        while True:
            try:
                event = self._next()
            except EOFError:
                raise StopIteration from None
            if event is not None:
                return event
            descriptor = self._descriptor
            if descriptor is not None:
                poll = select.poll()
                poll.register(descriptor.fd, select.POLLIN)
                poll.poll()

    def __aiter__(self) -> Watch:
        return self

    async def __anext__(self) -> Event:
        loop = asyncio.get_running_loop()
        while True:
            try:
                event = self._next()
            except EOFError:
                raise StopAsyncIteration from None
            if event is not None:
                return event
            descriptor = self._descriptor
            if descriptor is None:
                continue
            ready: asyncio.Future[None] = loop.create_future()
            self._waiter = loop, ready
            loop.add_reader(descriptor.fd, _wake, ready)
            try:
                await ready
            finally:
                loop.remove_reader(descriptor.fd)
                self._waiter = None

    def __enter__(self) -> Watch:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.close()


def _wake(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)


def watch() -> Watch:
    """Watches this node's life events: a Watch. For one task or thread.

    >>> import rsm
    >>> with rsm.watch() as events:
    ...     segment = rsm.export(rsm.empty(512), id=0x7ABCDEF0, access=0o600)
    ...     found = next(event for event in events if event.get("segment") == "0x7abcdef0")
    ...     segment.close()
    >>> found["event"]
    'publish'
    """
    return Watch()
