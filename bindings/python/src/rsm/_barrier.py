# SPDX-License-Identifier: BSD-2-Clause
"""Spans of accesses that tell at their end whether everything arrived."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Any, Callable

from . import _error
from ._librsm import ffi, lib

if TYPE_CHECKING:
    from ._import import Import
    from ._segment import Handle


class Barrier:
    """`with segment.barrier():` brackets accesses to an import, of any kind and by any thread. Leaving it raises what befell
    them: rsm.ConnAborted, rsm.BarrierFailure; then any of them may be lost and all have to be done again. If the block itself
    raises, that is what is raised. May be entered again and again, by one thread at a time."""

    def __init__(self, segment: Import) -> None:
        self._segment = segment
        self._is_open = False
        self._barrier: Any = ffi.new("rsmapi_barrier_t *")
        _error.check(lib.rsm_memseg_import_init_barrier(segment._use().value, lib.RSM_BARRIER_SEGMENT, self._barrier))

    def open(self) -> None:
        """Begins a span. `with` calls it."""
        handle = self._segment._use()
        self._count(handle, True)  # before: a get of another thread may come in between
        _error.check(lib.rsm_memseg_import_open_barrier(self._barrier))

    def order(self) -> None:
        """Earlier writes are performed at the exporter before later ones. The span stays open."""
        self._complete(lib.rsm_memseg_import_order_barrier)

    def close(self) -> None:
        """Ends the span. `with` calls it."""
        handle = self._segment._use()
        try:
            self._complete(lib.rsm_memseg_import_close_barrier)
        finally:
            self._count(handle, False)

    def _count(self, handle: Handle, is_open: bool) -> None:
        with handle.lock:
            handle.spans += is_open - self._is_open
            self._is_open = is_open

    def _complete(self, function: Callable[[Any], int]) -> None:
        handle = self._segment._use()
        asked = list(handle.unfilled)
        _error.check(function(self._barrier))
        # Those gets have their data. After a failure what they would fill stays until the handle is freed.
        for token in asked:
            handle.unfilled.pop(token, None)

    def __enter__(self) -> Barrier:
        self.open()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None,
                 trace: TracebackType | None) -> None:
        try:
            self.close()
        except _error.Error:
            if kind is None:
                raise

    def __del__(self, destroy: Callable[[Any], int] = lib.rsm_memseg_import_destroy_barrier) -> None:
        handle = self._segment._handle  # stays for this call
        if handle is not None:
            destroy(self._barrier)
