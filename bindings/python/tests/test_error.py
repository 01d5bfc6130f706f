# SPDX-License-Identifier: BSD-2-Clause
"""Every code has its class."""

import os
import pickle
import re

import pytest

import rsm
from rsm import _error
from rsm._librsm import ffi, lib


def header_codes():
    top = os.path.join(os.path.dirname(__file__), "../../../include/sys/rsm/rsm_common.h")
    with open(top, encoding="utf-8") as file:
        return [(name, int(code)) for name, code in re.findall(r"#define (RSMERR_\w+)\s+(\d+)", file.read())]


def test_none_is_missing():
    codes = header_codes()
    assert len(codes) > 70
    for name, code in codes:
        error = _error.make(code, "a reason")
        class_name = "".join(word.capitalize() for word in name[len("RSMERR_"):].split("_"))
        assert type(error) is getattr(rsm, class_name) and issubclass(type(error), rsm.Error)
        assert (error.code, error.name, str(error)) == (code, name, f"{name}: a reason")
        assert ffi.string(lib.rsmx_errname(code)).decode() == name


def test_unknown_codes_and_missing_reasons():
    assert type(_error.make(999)) is rsm.Error and _error.make(999).code == 999
    assert "aligned" in str(_error.make(rsm.BadMemAlignment.code))


@pytest.mark.parametrize("name, also", [("Timeout", TimeoutError), ("PermDenied", PermissionError),
                                        ("ConnAborted", ConnectionAbortedError), ("Interrupted", InterruptedError),
                                        ("InsufficientMem", MemoryError)])
def test_are_pythons_errors_too(name, also):
    with pytest.raises(also, match="because"):
        raise getattr(rsm, name)(reason="because")


def test_go_through_pickle():
    error = rsm.BadOffset(reason="too far")
    error.completed = 3
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is rsm.BadOffset and str(copy) == str(error) and copy.completed == 3
    timeout = pickle.loads(pickle.dumps(rsm.Timeout(reason="late")))
    assert type(timeout) is rsm.Timeout and timeout.reason == "late"
