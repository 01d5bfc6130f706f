# SPDX-License-Identifier: BSD-2-Clause
"""Arrays that can be exported, and the memory behind arrays and buffers."""

from __future__ import annotations

import mmap
from typing import Any, Callable, Union

import numpy as np
import numpy.typing as npt

from . import _error, errors
from ._librsm import ffi, lib

Array = npt.NDArray[Any]
Shape = Union[int, tuple[int, ...]]

HUGE_PAGE = 2 << 20


class Block:
    """Memory of rsmx_alloc: the base of arrays, and freed with the last one."""

    def __init__(self, size: int, huge: bool) -> None:
        self.page = HUGE_PAGE if huge else mmap.PAGESIZE
        self.size = -(-size // self.page) * self.page
        self.address: Any = lib.rsmx_alloc(self.size, lib.RSMX_ALLOC_HUGE if huge else 0)
        if not self.address:
            raise _error.last(errors.InsufficientMem.code)

    def __del__(self, free: Callable[[Any], int] = lib.rsmx_free) -> None:
        if self.address:
            free(self.address)

    @property
    def __array_interface__(self) -> dict[str, Any]:
        return {"version": 3, "typestr": "|u1", "shape": (self.size,),
                "data": (int(ffi.cast("uintptr_t", self.address)), False)}


def plain(dtype: npt.DTypeLike) -> np.dtype[Any]:
    """A dtype whose items mean something in another process."""
    result = np.dtype(dtype)
    if result.hasobject:
        raise TypeError(f"items of {result} are pointers to Python objects: they mean nothing in another process")
    if result.itemsize == 0:
        raise TypeError(f"items of {result!r} have no size")
    return result


def dimensions(shape: Shape) -> tuple[int, ...]:
    """A shape as numpy's functions take it, as a tuple."""
    result = (shape,) if isinstance(shape, int) else tuple(int(length) for length in shape)
    if any(length < 0 for length in result):
        raise ValueError(f"negative dimensions in {result}")
    return result


def size_of(shape: tuple[int, ...], dtype: np.dtype[Any]) -> int:
    """Bytes of an array; Python's integers do not overflow."""
    size = dtype.itemsize
    for length in shape:
        size *= length
    return size


def empty(shape: Shape, dtype: npt.DTypeLike = float, huge: bool = False) -> Array:
    """An array that can be exported without copying anything, zeroed. Its memory is shared memory of the kernel, page-aligned,
    whole pages, and freed with the last view of it. `huge`: pages of 2 MiB of the hugetlb pool.

    >>> import rsm
    >>> field = rsm.empty((480, 640), "f4")
    >>> field.shape, field.dtype, field.ctypes.data % 4096
    ((480, 640), dtype('float32'), 0)
    """
    kind, lengths = plain(dtype), dimensions(shape)
    size = size_of(lengths, kind)
    if size == 0:
        raise ValueError(f"an array of shape {lengths} has no memory that could be exported")
    block = np.asarray(Block(size, huge))
    return np.ndarray(lengths, kind, buffer=block.data)


def zeros(shape: Shape, dtype: npt.DTypeLike = float, huge: bool = False) -> Array:
    """The same as rsm.empty, whose memory is zeroed too: for those who know numpy.zeros.

    >>> import rsm
    >>> rsm.zeros(4).tolist()
    [0.0, 0.0, 0.0, 0.0]
    """
    return empty(shape, dtype, huge)


def block_of(array: Array) -> Block | None:
    """The block that an array lies in."""
    base: Any = array
    while base is not None and not isinstance(base, Block):
        base = base.obj if isinstance(base, memoryview) else getattr(base, "base", None)
    return base


def exportable(source: Any) -> tuple[Array, int, int]:
    """The array over the memory of an array or buffer, its address and its length: of an array of rsm.empty all its pages."""
    array: Array = source if isinstance(source, np.ndarray) else np.frombuffer(source, np.uint8)
    plain(array.dtype)
    if not (array.flags.c_contiguous or array.flags.f_contiguous):
        raise ValueError("the array's items do not lie side by side; export the array that it is a view of")
    if not array.flags.writeable:
        raise ValueError("the memory is read-only; exported memory must be readable and writable, and the access list says "
                         "what importers may do")
    address, length = array.__array_interface__["data"][0], array.nbytes
    block = block_of(array)
    if block is not None and address == int(ffi.cast("uintptr_t", block.address)) and block.size - length < block.page:
        length = block.size  # the rest of the last page is nobody else's
    return array, address, length


def local(data: Any, writable: bool) -> tuple[Any, int, Any]:
    """Address, length in bytes and owner of the caller's memory, for a transfer."""
    if isinstance(data, np.ndarray):
        plain(data.dtype)
        if writable and not data.flags.writeable:
            raise ValueError("the array to read into is read-only")
        if not data.flags.c_contiguous:
            if writable:
                raise ValueError("the array to read into must be C-contiguous")
            data = np.ascontiguousarray(data)
        return ffi.cast("char *", data.__array_interface__["data"][0]), data.nbytes, data
    buffer = ffi.from_buffer("char[]", data, require_writable=writable)
    return buffer, len(buffer), buffer
