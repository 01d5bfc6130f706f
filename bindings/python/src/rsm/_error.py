# SPDX-License-Identifier: BSD-2-Clause
"""The base of all exceptions, and how a code of the library becomes one."""

from __future__ import annotations

from typing import Any, Callable

from ._librsm import ffi, lib

_classes: dict[int, type[Error]] = {}


class Error(Exception):
    """A call of librsm was refused. There is a subclass for every RSMERR code.

    code    the number
    name    "RSMERR_PERM_DENIED"
    reason  what was asked, what was found, which limit or rule, what to do

    >>> import rsm
    >>> error = rsm.PermDenied(reason="asked was 6, given 4")
    >>> error.code, error.name, str(error)
    (27, 'RSMERR_PERM_DENIED', 'RSMERR_PERM_DENIED: asked was 6, given 4')
    >>> isinstance(error, PermissionError) and isinstance(error, rsm.Error)
    True
    """

    code: int = 0
    reason: str = ""
    completed: int | None = None
    """After a vector (getv, putv): how many of its entries were completed."""

    def __init__(self, code: int | None = None, reason: str = "") -> None:
        if code is not None:
            self.code = code
        self.reason = reason or text(lib.rsmx_strerror(self.code))
        super().__init__(f"{self.name}: {self.reason}")

    def __init_subclass__(cls) -> None:
        _classes[cls.code] = cls

    def __str__(self) -> str:
        return f"{self.name}: {self.reason}"

    def __reduce__(self) -> tuple[Any, ...]:
        return (make, (self.code, self.reason), {"completed": self.completed})

    @property
    def name(self) -> str:
        """The code's name in C."""
        return text(lib.rsmx_errname(self.code))


def text(characters: Any) -> str:
    """A string of C."""
    result: str = ffi.string(characters).decode("utf-8", "replace")
    return result


def make(code: int, reason: str = "") -> Error:
    """The exception for a code."""
    return _classes.get(code, Error)(code, reason)


def last(code: int, hint: str = "") -> Error:
    """The exception for what this thread's last call returned."""
    return make(code, text(lib.rsmx_last_error()) + hint)


def check(code: int) -> None:
    """Raises unless the code is RSM_SUCCESS."""
    if code:
        raise last(code)


def again(function: Callable[..., int], *arguments: Any) -> int:
    """Calls again when a signal handler ran, as Python's own functions do; an exception of the handler ends it. The code."""
    while True:
        code = function(*arguments)
        if code != lib.RSMERR_INTERRUPTED:
            return code


def persist(function: Callable[..., int], *arguments: Any) -> None:
    """The same; raises unless the code is RSM_SUCCESS."""
    check(again(function, *arguments))
