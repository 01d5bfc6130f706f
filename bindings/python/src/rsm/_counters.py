# SPDX-License-Identifier: BSD-2-Clause
"""What the connections of this node carried."""

from __future__ import annotations

import os
import threading
from typing import Any, NamedTuple

from . import _error
from ._librsm import ffi, lib


class Counter(NamedTuple):
    """One connection: an import by a process. rsmx_counter_t in rsm/ext.h says what is counted, and by whom."""

    pid: int
    uid: int
    program: str
    importer: int
    node: int
    segment_id: int
    guest: bool
    id: int
    length: int
    puts: int
    gets: int
    bytes_put: int
    bytes_got: int
    posts: int
    spans: int
    failures: int
    latency_ns: int

    @property
    def address(self) -> str:
        """Node and id of the segment: "1:0x400000"."""
        return f"{self.node}:{self.segment_id:#x}"


class _View:
    """The one view of this process, made when first asked for: `id` means the same in all reads."""

    lock = threading.Lock()
    value: Any = None
    room = 64  # rows

    def read(self) -> list[Counter]:
        with self.lock:
            if self.value is None:
                place = ffi.new("rsmx_counters_t **")
                _error.check(lib.rsmx_counters_open(place))
                self.value = place[0]
            while True:
                rows, count = ffi.new("rsmx_counter_t[]", self.room), ffi.new("size_t *", self.room)
                _error.check(lib.rsmx_counters_read(self.value, rows, ffi.sizeof("rsmx_counter_t"), count))
                if count[0] <= self.room:
                    return [_counter(rows[at]) for at in range(count[0])]
                self.room = count[0] + 64  # others may come meanwhile


def _counter(row: Any) -> Counter:
    return Counter(row.pid, row.uid, _error.text(row.program), row.importer, row.node, row.segment_id,
                   bool(row.flags & lib.RSMX_COUNTER_GUEST), row.id, row.length, row.puts, row.gets, row.bytes_put, row.bytes_got,
                   row.posts, row.spans, row.failures, row.latency_ns)


_view = _View()


def _forked() -> None:
    _view.lock = threading.Lock()  # another thread of the parent may have held it


os.register_at_fork(after_in_child=_forked)


def counters() -> list[Counter]:
    """All connections of the processes of this node, and those of other nodes to its segments, with what they have carried so far.
    Disturbs nobody; asks rsmd only when processes came or went. Loads and stores through a map are not counted.

    >>> import rsm
    >>> with rsm.export(rsm.empty(512), access=0o600) as segment, rsm.connect(segment.address, mode="rw") as other:
    ...     other.put(0, b"12345")
    ...     [(row.puts, row.bytes_put) for row in rsm.counters() if row.address == segment.address]
    [(1, 5)]
    """
    return _view.read()
