# SPDX-License-Identifier: BSD-2-Clause
"""A connection to a segment of another process."""

from __future__ import annotations

import math
import threading
import time
from typing import Any, Callable, Iterable, Literal, TypeVar, Union, overload

import numpy as np
import numpy.typing as npt

from . import _error, _memory, _topology, errors
from ._barrier import Barrier
from ._librsm import ffi, lib
from ._remote import RemoteArray
from ._segment import Handle, Segment

Mode = Literal["r", "w", "rw", "signal"]
_B = TypeVar("_B")
_PAUSE = 0.01  # between two looks whether a segment is published: of another node no event tells

# Numbers of these widths are moved one by one, as getN and putN do.
_WIDTHS = {2: "uint16_t *", 4: "uint32_t *", 8: "uint64_t *"}
_GET = {2: lib.rsm_memseg_import_get16, 4: lib.rsm_memseg_import_get32, 8: lib.rsm_memseg_import_get64}
_PUT = {2: lib.rsm_memseg_import_put16, 4: lib.rsm_memseg_import_put32, 8: lib.rsm_memseg_import_put64}


class _Map:
    """The mapped segment: the base of all arrays over it, and unmapped with the last one."""

    def __init__(self, handle: Handle, permission: int, length: int) -> None:
        place = ffi.new("void **")
        self._handle: Handle | None = None
        code = lib.rsm_memseg_import_map(handle.value, place, lib.RSM_MAP_NONE, permission, 0, length)
        _error.check(code)
        self._handle = handle
        self.__array_interface__ = {
            "version": 3, "typestr": "|u1", "shape": (length,),
            "data": (int(ffi.cast("uintptr_t", place[0])), not permission & lib.RSM_PERM_WRITE)}

    def __del__(self, unmap: Callable[[Any], int] = lib.rsm_memseg_import_unmap) -> None:
        if self._handle is not None:
            unmap(self._handle.value)


def _width(data: Any) -> int:
    """Bytes of an item that has to be moved as a number; 0: bytes as they are."""
    if not isinstance(data, np.ndarray) or data.dtype.kind not in "iufcmM" or not data.dtype.isnative:
        return 0
    width: int = data.dtype.itemsize // (2 if data.dtype.kind == "c" else 1)
    return width if width in _WIDTHS else 0


class Import(Segment):
    """A connection. rsm.connect makes it.

    It ends when close() was called and no array over the map is left: an array stays good as long as it exists, close() or not.
    After an abort what is stored in it vanishes and what is read is undefined; a barrier tells.
    """

    def __init__(self, node: int, id: int, permission: int, controller: str) -> None:
        place = ffi.new("rsm_memseg_import_handle_t *")
        with _topology.controller(controller) as way:
            _error.persist(lib.rsm_memseg_import_connect, way, node, id, permission, place)
        handle = Handle(place[0], lib.rsm_memseg_import_disconnect)
        self.node: int = node
        self.id: int = id
        self.controller = controller
        self._map: _Map | None = None
        self._map_lock = threading.RLock()
        # Get and put of the implicit mode need one to exist. It is the handle's, and ends with it.
        handle.owner = ffi.new("rsmapi_barrier_t *")
        _error.check(lib.rsm_memseg_import_init_barrier(handle.value, lib.RSM_BARRIER_SEGMENT, handle.owner))
        self._handle = handle
        info = self.info()
        self.length: int = info.length
        """Bytes of the segment."""
        self.rights: str = info.rights
        self._permission = permission

    @property
    def address(self) -> str:
        """Node and id: "1:0x400000"."""
        return f"{self.node}:{self.id:#x}"

    @property
    def mode(self) -> Literal["implicit", "explicit"]:
        """Barrier mode. "implicit": each get and put is complete, and checked, on return. "explicit": when the span around it
        is closed; faster between nodes. Can be set."""
        return "explicit" if self._use().explicit else "implicit"

    @mode.setter
    def mode(self, mode: Literal["implicit", "explicit"]) -> None:
        if mode not in ("implicit", "explicit"):
            raise ValueError(f"{mode!r} is neither 'implicit' nor 'explicit'")
        handle = self._use()
        with handle.lock:
            handle.mode_changes += 1
            handle.explicit = True  # in doubt: gets of other threads keep what they fill
            code = lib.RSM_BARRIER_MODE_EXPLICIT if mode == "explicit" else lib.RSM_BARRIER_MODE_IMPLICIT
            _error.check(lib.rsm_memseg_import_set_mode(handle.value, code))
            handle.explicit = mode == "explicit"

    def barrier(self) -> Barrier:
        """`with segment.barrier() as barrier: ...`; see Barrier."""
        return Barrier(self)

    # ---- arrays ----

    def array(self, dtype: npt.DTypeLike = np.uint8, shape: _memory.Shape | None = None,
              offset: int = 0) -> _memory.Array | RemoteArray:
        """The segment from byte `offset` on as an array; without a shape all of it, in one dimension. On this host it is the
        exporter's memory itself, read-only unless the connection may write. A segment of another node cannot be mapped: then it is
        a RemoteArray, which gets and puts what is indexed."""
        handle = self._use()
        kind, lengths = self._layout(dtype, shape, offset)
        if not self._permission:
            raise errors.PermDenied(reason="the connection can only signal; connect with mode 'r', 'w' or 'rw'")
        try:
            with self._map_lock:
                if self._map is None:
                    self._map = _Map(handle, self._permission, self.length)
                memory = np.asarray(self._map)
        except errors.MapFailed:
            return RemoteArray(self, kind, lengths, offset)
        return np.ndarray(lengths, kind, buffer=memory.data, offset=offset)

    def _layout(self, dtype: npt.DTypeLike, shape: _memory.Shape | None,
                offset: int) -> tuple[np.dtype[Any], tuple[int, ...]]:
        kind = _memory.plain(dtype)
        if not 0 <= offset <= self.length:
            raise ValueError(f"offset {offset} is outside the segment of {self.length} bytes")
        lengths = ((self.length - offset) // kind.itemsize,) if shape is None else _memory.dimensions(shape)
        size = _memory.size_of(lengths, kind)
        if size > self.length - offset:
            raise ValueError(f"an array of shape {lengths} and {kind} has {size} bytes: at offset {offset} it reaches beyond the "
                             f"segment's {self.length} bytes")
        return kind, lengths

    # ---- get and put ----

    @overload
    def get(self, offset: int = 0, length: int | None = None) -> bytes: ...

    @overload
    def get(self, offset: int = 0, *, into: _B) -> _B: ...

    @overload
    def get(self, offset: int = 0, *, dtype: npt.DTypeLike, shape: _memory.Shape | None = None) -> _memory.Array: ...

    def get(self, offset: int = 0, length: int | None = None, *, into: Any = None, dtype: npt.DTypeLike = None,
            shape: _memory.Shape | None = None) -> Any:
        """Reads from byte `offset` on: `length` bytes (without it the rest of the segment), or what fills the array or buffer
        `into`, which is returned, or a new array. Numbers of an array are read one by one, at offsets that are multiples of their
        size. In the explicit mode `into` is filled when the span is ordered or closed; the others at once."""
        if into is not None:
            self._get(offset, into)
            return into
        if dtype is not None:
            kind, lengths = self._layout(dtype, shape, offset)
            return self._fetch(offset, np.empty(lengths, kind))
        size = self.length - offset if length is None else length
        if not 0 <= size <= self.length:
            raise errors.BadOffset(reason=f"{size} bytes at offset {offset} reach beyond the segment's {self.length} bytes")
        return bytes(self._fetch(offset, bytearray(size)))

    def _fetch(self, offset: int, into: Any) -> Any:
        """A get that is complete on return, in either mode."""
        if self._use().explicit:
            with self.barrier():
                self._get(offset, into)
        else:
            self._get(offset, into)
        return into

    def _get(self, offset: int, into: Any) -> None:
        handle = self._use()
        address, size, owner = _memory.local(into, writable=True)
        width = _width(into)
        with _Unfilled(handle, owner):
            if width:
                code = _GET[width](handle.value, offset, ffi.cast(_WIDTHS[width], address), size // width)
            else:
                code = lib.rsm_memseg_import_get(handle.value, offset, address, size)
            _error.check(code)

    def put(self, offset: int, data: Any, dtype: npt.DTypeLike = None) -> None:
        """Writes bytes, a buffer or an array at byte `offset`; numbers and lists become an array of `dtype` first."""
        handle = self._use()
        if dtype is not None or not isinstance(data, (bytes, bytearray, memoryview, np.ndarray)) and not _is_buffer(data):
            data = np.asarray(data, dtype)
        address, size, owner = _memory.local(data, writable=False)
        width = _width(data)
        if width:
            code = _PUT[width](handle.value, offset, ffi.cast(_WIDTHS[width], address), size // width)
        else:
            code = lib.rsm_memseg_import_put(handle.value, offset, address, size)
        del owner  # until here what is put must exist
        _error.check(code)

    def getv(self, vector: Iterable[tuple[int, Any]]) -> None:
        """Reads into several arrays or buffers, in order: [(offset, into), ...]. Each 16 are one call of the library. After an
        error `completed` of the exception says how many were done."""
        self._vector(lib.rsm_memseg_import_getv, vector, True, 0)

    def putv(self, vector: Iterable[tuple[int, Any]], signal: bool = False, accumulate: bool = True) -> None:
        """Writes several arrays or buffers, in order: [(offset, data), ...]; with `signal` the exporter gets an event when all
        is written."""
        flags = (lib.RSM_IMPLICIT_SIGPOST | (0 if accumulate else lib.RSM_SIGPOST_NO_ACCUMULATE)) if signal else 0
        self._vector(lib.rsm_memseg_import_putv, vector, False, flags)

    def _vector(self, function: Callable[[Any], int], vector: Iterable[tuple[int, Any]], reading: bool,
                flags: int) -> None:
        handle = self._use()
        entries = [(offset, *_memory.local(data, writable=reading)) for offset, data in vector]
        step: int = lib.RSM_MAX_SGIOREQS
        for start in range(0, len(entries), step):
            part = entries[start:start + step]
            rows = ffi.new("rsm_iovec_t[]", [
                {"io_type": lib.RSM_VA_TYPE, "local": {"vaddr": ffi.cast("char *", address)}, "local_offset": 0,
                 "remote_offset": offset, "transfer_length": size} for offset, address, size, _ in part])
            request = ffi.new("rsm_scat_gath_t *", {
                "io_request_count": len(part), "io_residual_count": len(part), "iovec": rows,
                "remote_handle": handle.value, "flags": flags if start + step >= len(entries) else 0})
            with _Unfilled(handle, part if reading else None):
                code = function(request)
                if code:
                    error = _error.last(code)
                    error.completed = start + len(part) - request.io_residual_count
                    raise error

    def close(self) -> None:
        """Disconnects; later, if arrays over the map still exist. Barriers of the segment can no longer be used."""
        with self._map_lock:
            super().close()
            self._map = None

    def __repr__(self) -> str:
        return f"<rsm.Import {self.address} {self.rights}{' closed' if self.closed else ''}>"


class _Unfilled:
    """Keeps what a get of the explicit mode fills until its span is complete: the library writes there even if the caller has
    forgotten it."""

    def __init__(self, handle: Handle, owner: Any) -> None:
        self.handle, self.token = handle, object()
        self.explicit, self.changes = handle.explicit, handle.mode_changes
        handle.unfilled[self.token] = owner

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        may_be_open = self.explicit or self.changes != self.handle.mode_changes
        if not (may_be_open and self.handle.spans):
            self.handle.unfilled.pop(self.token, None)


def _is_buffer(data: Any) -> bool:
    try:
        memoryview(data).release()
    except TypeError:
        return False
    return True


def connect(node: Union[int, str, None], id: int | None = None, mode: Mode = "r", controller: str | None = None,
            timeout: float | None = 0) -> Import:
    """Connects to a published segment.

    node, id    its address: two numbers (None is this node), or one text: rsm.connect("1:0x400000")
    mode        what will be done with it: "r" read, "w" write, "rw" both, "signal" neither
    controller  through which; None: the one that leads to the node
    timeout     seconds to wait until it is published, None for ever; rsm.SegNotPublished when they are over
    """
    if isinstance(node, str):
        if id is not None:
            raise TypeError("an address as text has the id in it: rsm.connect('1:0x400000')")
        node, id = _topology.parse_address(node)
    if id is None:
        raise TypeError("the id of the segment is missing: rsm.connect(1, 0x400000) or rsm.connect('1:0x400000')")
    if mode not in ("r", "w", "rw", "signal"):
        raise ValueError(f"mode {mode!r} is none of 'r', 'w', 'rw', 'signal'")
    permission = 0 if mode == "signal" else \
        (lib.RSM_PERM_READ if "r" in mode else 0) | (lib.RSM_PERM_WRITE if "w" in mode else 0)
    if node is None or controller is None:
        ways = _topology.topology()
        node = ways.node if node is None else node
        controller = controller or ways.controller_to(node)
    end = math.inf if timeout is None else time.monotonic() + timeout
    while True:
        try:
            return Import(node, id, permission, controller)
        except errors.SegNotPublished:
            if time.monotonic() >= end:
                raise
        time.sleep(_PAUSE)
