# SPDX-License-Identifier: BSD-2-Clause
"""Memory of this process that others may connect to."""

from __future__ import annotations

from typing import Any

from . import _error, _memory, _topology, errors
from ._librsm import ffi, lib
from ._segment import Handle, Segment


class Export(Segment):
    """An exported array. rsm.export makes it. It keeps the array alive."""

    def __init__(self, source: Any, controller: str) -> None:
        array, address, length = _memory.exportable(source)
        place = ffi.new("rsm_memseg_export_handle_t *")
        with _topology.controller(controller) as way:
            code = lib.rsm_memseg_export_create(way, place, ffi.cast("void *", address), length, lib.RSM_ALLOW_REBIND)
        _check_memory(code)
        self._handle = Handle(place[0], lib.rsm_memseg_export_destroy)
        self._handle.owner = array
        self._length = length
        self.controller = controller
        self.node: int = _topology.topology().node
        """The local node."""
        self.id: int = 0
        """Under what it was last published."""

    @property
    def address(self) -> str:
        """What importers connect to: "1:0x400000"."""
        return f"{self.node}:{self.id:#x}"

    @property
    def array(self) -> _memory.Array:
        """The array that is exported now."""
        array: _memory.Array = self._use().owner
        return array

    def publish(self, id: int | None = None, access: _topology.Access = None) -> None:
        """Publishes it again after unpublish()."""
        handle = self._use()
        place = ffi.new("rsm_memseg_id_t *", id or 0)
        entries, count = _topology.access_list(access, self.controller)
        _error.persist(lib.rsm_memseg_export_publish, handle.value, place, entries, count)
        self.id = place[0]

    def republish(self, access: _topology.Access = None) -> None:
        """Replaces the access list. Present connections keep their rights."""
        handle = self._use()
        entries, count = _topology.access_list(access, self.controller)
        _error.persist(lib.rsm_memseg_export_republish, handle.value, entries, count)

    def unpublish(self) -> None:
        """Withdraws it: the id is free, imports are aborted, nobody reaches the memory any more."""
        handle = self._use()
        _error.persist(lib.rsm_memseg_export_unpublish, handle.value)

    def rebind(self, source: Any) -> None:
        """Puts another array of the same length behind the segment. Importers stay connected and see its contents; nothing is
        copied between the two. Nobody may use the segment during the call."""
        handle = self._use()
        array, address, length = _memory.exportable(source)
        _check_memory(_error.again(lib.rsm_memseg_export_rebind, handle.value, ffi.cast("void *", address), 0, length))
        handle.owner = array

    def close(self) -> None:
        """Withdraws the segment and gives the memory back to the array alone, contents kept."""
        handle = self._handle
        if handle is None:
            return
        # Explicitly: a thread that still waits keeps the handle, and must not keep the segment published. In a forked child it is
        # refused.
        _error.again(lib.rsm_memseg_export_unpublish, handle.value)
        super().close()

    def __repr__(self) -> str:
        return f"<rsm.Export {self.address}{' closed' if self.closed else ''}>"


def _check_memory(code: int) -> None:
    if code in (errors.BadMemAlignment.code, errors.BadAddr.code):
        raise _error.last(code, "; an array from rsm.empty(shape, dtype) can always be exported")
    _error.check(code)


def export(source: Any, id: int | None = None, access: _topology.Access = None, controller: str = "loopback") -> Export:
    """Exports the memory of an array or buffer, in place, and publishes it.

    source      an array of rsm.empty, or any memory that starts on a page and is whole pages long; what is not is refused, and
                never copied
    id          0x400000 to 0x7FFFFFFF; None has one chosen
    access      {node: 0o640, ...}: who may connect, and the rights of owner, group and others there; a number: the same for all
                nodes known now; None: every node, 0o777 & ~umask
    controller  "loopback" for this host, "tcp0" for others too (rsmd.conf(5))

    >>> import rsm
    >>> field = rsm.empty((4, 4))
    >>> with rsm.export(field, access=0o600) as segment:
    ...     with rsm.connect(segment.address, mode="rw") as other:
    ...         other.array(float, (4, 4))[1, 2] = 7
    >>> float(field[1, 2])
    7.0
    """
    made = Export(source, controller)
    try:
        made.publish(id, access)
    except BaseException:
        made.close()
        raise
    return made
