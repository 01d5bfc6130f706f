# SPDX-License-Identifier: BSD-2-Clause
"""Arrays in segments that cannot be mapped."""

from __future__ import annotations

import math
import mmap
from typing import TYPE_CHECKING, Any, Iterator

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from ._import import Import

# Reading a strided selection: all between its ends in one piece, if that is no more than this many times what is wanted.
WASTE = 8


class RemoteArray:
    """An array in the memory of another node. Indexing it by integers and slices gets a copy (`a[2:5, ::2]`), assigning to such an
    index puts (`a[2:5] = 0`); numpy's functions read it as a whole. Nothing is kept here: each read asks the other node. What
    is true of get and put is true of it: rights, barrier modes, barriers."""

    def __init__(self, segment: Import, dtype: np.dtype[Any], shape: tuple[int, ...], offset: int) -> None:
        self.segment = segment
        self.dtype = dtype
        self.shape = shape
        self.offset = offset
        # numpy says on it where a selection lies. Only addresses: nobody reads it, no page of it exists, and a debugger that shows
        # it finds zeros.
        size = dtype.itemsize * math.prod(shape)
        nowhere = mmap.mmap(-1, max(size, 1), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, prot=mmap.PROT_READ)
        self._plan: npt.NDArray[Any] = np.ndarray(shape, dtype, nowhere)

    @property
    def ndim(self) -> int:
        """Number of dimensions."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of items."""
        return int(self._plan.size)

    @property
    def nbytes(self) -> int:
        """Bytes of all items."""
        return int(self._plan.nbytes)

    def __len__(self) -> int:
        return len(self._plan)

    def __repr__(self) -> str:
        return f"<rsm.RemoteArray {self.segment.address}+{self.offset:#x} {self.dtype} {self.shape}>"

    def read(self) -> npt.NDArray[Any]:
        """A copy of it all."""
        result: npt.NDArray[Any] = self[...]
        return result

    def write(self, data: Any) -> None:
        """Replaces it all, by an array or what numpy makes one of."""
        self[...] = data

    def __array__(self, dtype: npt.DTypeLike = None) -> npt.NDArray[Any]:
        return self.read() if dtype is None else self.read().astype(dtype)

    def __getitem__(self, key: Any) -> Any:
        where, at = self._select(key)
        if where.size == 0:
            return np.empty(where.shape, where.dtype)
        low, high = np.lib.array_utils.byte_bounds(where) if hasattr(np.lib, "array_utils") else np.byte_bounds(where)
        start = at - (where.__array_interface__["data"][0] - low)
        if high - low <= WASTE * where.nbytes:
            whole = np.empty((high - low) // where.dtype.itemsize, where.dtype)
            self.segment._fetch(start, whole)
            result: npt.NDArray[Any] = np.ndarray(where.shape, where.dtype, whole.data, at - start, where.strides).copy()
        else:
            result = np.empty(where.shape, where.dtype)
            pieces = [(offset, result[index]) for index, offset in self._runs(where, at)]
            self._fetch_pieces(pieces)
        # As numpy does it: an item by its full index is a scalar.
        return result[()] if where.ndim == 0 and not _has_ellipsis(key) else result

    def __setitem__(self, key: Any, data: Any) -> None:
        where, at = self._select(key)
        if where.size:
            values = np.broadcast_to(np.asarray(data, where.dtype), where.shape)
            self.segment.putv((offset, np.ascontiguousarray(values[index])) for index, offset in self._runs(where, at))

    def _fetch_pieces(self, pieces: list[tuple[int, Any]]) -> None:
        if self.segment.mode == "explicit":
            with self.segment.barrier():
                self.segment.getv(pieces)
        else:
            self.segment.getv(pieces)

    def _select(self, key: Any) -> tuple[npt.NDArray[Any], int]:
        """The plan of a selection, and where its first item lies in the segment."""
        parts = key if isinstance(key, tuple) else (key,)
        if not all(part is None or part is Ellipsis or isinstance(part, slice) or _is_integer(part) for part in parts):
            raise IndexError("an array on another node is indexed by integers and slices; read() it for other selections")
        where = self._plan[parts if _has_ellipsis(key) else (*parts, Ellipsis)]
        base = self._plan.__array_interface__["data"][0]
        return where, self.offset + int(where.__array_interface__["data"][0]) - int(base)

    @staticmethod
    def _runs(where: npt.NDArray[Any], at: int) -> Iterator[tuple[tuple[Any, ...], int]]:
        """The pieces of a selection that lie side by side: their index and their offset in the segment."""
        inner, side_by_side = where.ndim, where.dtype.itemsize
        while inner > 0 and where.shape[inner - 1] and (where.shape[inner - 1] == 1 or
                                                        where.strides[inner - 1] == side_by_side):
            inner -= 1
            side_by_side *= where.shape[inner]
        for index in np.ndindex(where.shape[:inner]):
            yield (*index, ...), at + sum(i * s for i, s in zip(index, where.strides))


def _is_integer(part: Any) -> bool:
    return not isinstance(part, (bool, np.bool_)) and hasattr(part, "__index__") and np.ndim(part) == 0


def _has_ellipsis(key: Any) -> bool:
    return any(part is Ellipsis for part in key) if isinstance(key, tuple) else key is Ellipsis
