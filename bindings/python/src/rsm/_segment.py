# SPDX-License-Identifier: BSD-2-Clause
"""What exports and imports have in common: a handle, its end, signals."""

from __future__ import annotations

import asyncio
import math
import os
import threading
import time
from types import TracebackType
from typing import Any, AsyncIterator, Callable, NamedTuple, TypeVar

from . import _error, errors
from ._librsm import ffi, lib

_S = TypeVar("_S", bound="Segment")
STATES = {getattr(lib, "RSMX_STATE_" + name.upper()): name for name in ("bound", "published", "connected", "mapped", "aborted")}
LONGEST = 1 << 30  # milliseconds of one wait in C


class Handle:
    """A handle of the library. Who uses it, if only for one call, refers to this object, and the last reference frees the
    handle: so no thread finds it freed, whoever closes the segment when. A forked child leaves its parent's alone."""

    def __init__(self, value: Any, free: Callable[[Any], int]) -> None:
        self.value, self.free, self.pid = value, free, os.getpid()
        self.fd = -1
        self.lock = threading.RLock()  # a signal handler may come in between and close
        # Of imports: open spans, and what gets of the explicit mode still have to fill.
        self.explicit, self.mode_changes, self.spans = False, 0, 0
        self.unfilled: dict[object, Any] = {}
        self.owner: Any = None  # of exports: the array; of imports: the barrier that get and put need
        self.waiters: set[tuple[asyncio.AbstractEventLoop, asyncio.Future[None]]] = set()

    def __del__(self, getpid: Callable[[], int] = os.getpid,
                release: Callable[[Any], int] = lib.rsm_memseg_release_pollfd) -> None:
        if self.pid == getpid():
            if self.fd >= 0:
                release(self.value)
            self.free(self.value)


class SegmentInfo(NamedTuple):
    """What the library knows of an export or import (rsmx_segment_info)."""

    length: int
    rights: str
    state: str
    node: int
    id: int
    peer_pid: int
    peer_uid: int
    importers: int
    pending: int


def rights_text(permission: int) -> str:
    """As connect takes it: "r", "w", "rw" or "signal"."""
    letters = ("r" if permission & lib.RSM_PERM_READ else "") + ("w" if permission & lib.RSM_PERM_WRITE else "")
    return letters or "signal"


class Segment:
    """Base of Export and Import. Good in the process that made it only: in a forked child every call is refused."""

    _handle: Handle | None = None

    def _use(self) -> Handle:
        handle = self._handle
        if handle is None:
            raise errors.BadSegHndl(reason=f"this {type(self).__name__.lower()} is closed")
        if handle.pid != os.getpid():
            raise errors.NotCreator(reason=f"process {handle.pid} made this {type(self).__name__.lower()}, and process "
                                    f"{os.getpid()} is a fork of it; export or connect again here")
        return handle

    @property
    def closed(self) -> bool:
        """Whether close() was called."""
        return self._handle is None

    def info(self) -> SegmentInfo:
        """Length, rights, state, peer, number of importers, waiting events. Does not ask rsmd."""
        handle = self._use()
        info = ffi.new("rsmx_segment_info_t *", {"size": ffi.sizeof("rsmx_segment_info_t")})
        _error.check(lib.rsmx_segment_info(handle.value, info))
        return SegmentInfo(info.length, rights_text(info.granted), STATES.get(info.state, str(info.state)), info.node,
                           info.segment_id, info.peer_pid, info.peer_uid, info.importers, info.pending)

    def post(self, accumulate: bool = True) -> None:
        """Posts one event: of an import the exporter gets it, of an export every importer. With accumulate=False it is dropped
        where one waits already."""
        handle = self._use()
        _error.check(lib.rsm_intr_signal_post(handle.value, 0 if accumulate else lib.RSM_SIGPOST_NO_ACCUMULATE))

    def wait(self, timeout: float | None = None) -> None:
        """Waits for an event and consumes it. `timeout` in seconds, None for ever; rsm.Timeout when it is over."""
        handle = self._use()
        end = math.inf if timeout is None else time.monotonic() + max(timeout, 0)
        while True:
            left = math.ceil(min((end - time.monotonic()) * 1000, LONGEST)) if timeout is not None else -1
            code = lib.rsm_intr_signal_wait(handle.value, max(left, 0) if timeout is not None else -1)
            if code == errors.Interrupted.code or code == errors.Timeout.code and left == LONGEST:
                continue  # Python's handlers have run; what they raise ends the wait
            return _error.check(code)

    def fileno(self) -> int:
        """A descriptor for select, poll and epoll, readable while events wait or when the import is aborted. It stays this
        object's: only look at it, and take the event by wait(0)."""
        handle = self._use()
        with handle.lock:
            if handle.fd < 0:
                place = ffi.new("struct pollfd *")
                _error.check(lib.rsm_memseg_get_pollfd(handle.value, place))
                handle.fd = place.fd
        return handle.fd

    async def signal(self) -> None:
        """Waits for an event in asyncio and consumes it. Any number of tasks may wait; each event releases one."""
        loop = asyncio.get_running_loop()
        handle = self._use()
        fd = os.dup(self.fileno())  # an own number in the loop's selector
        try:
            while True:
                code = lib.rsm_intr_signal_wait(handle.value, 0)
                if code not in (errors.Timeout.code, errors.Interrupted.code):
                    return _error.check(code)
                await self._readable(handle, loop, fd)
        finally:
            os.close(fd)

    async def _readable(self, handle: Handle, loop: asyncio.AbstractEventLoop, fd: int) -> None:
        """Until the descriptor is readable, or close() says that nobody shall wait any more."""
        ready: asyncio.Future[None] = loop.create_future()
        with handle.lock:
            handle.waiters.add((loop, ready))
        loop.add_reader(fd, _wake, ready)
        try:
            self._use()
            await ready
            self._use()
        finally:
            loop.remove_reader(fd)
            handle.waiters.discard((loop, ready))

    async def signals(self) -> AsyncIterator[None]:
        """`async for _ in segment.signals()`: once for every event, until the segment is closed or aborted (ends) or fails
        otherwise (raises)."""
        while not self.closed:
            try:
                await self.signal()
            except errors.ConnAborted:
                return
            except errors.BadSegHndl:
                if self.closed:
                    return
                raise
            yield

    def close(self) -> None:
        """Ends the use of the segment. Calling it again is allowed."""
        handle, self._handle = self._handle, None
        if handle is not None:
            with handle.lock:
                waiters = list(handle.waiters)
            for loop, ready in waiters:
                loop.call_soon_threadsafe(_wake, ready)

    def __enter__(self: _S) -> _S:
        self._use()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.close()


def _wake(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)
