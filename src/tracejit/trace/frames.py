"""The local variables of a running function, read and replaced.

CPython lets debuggers replace them: since 3.13 (PEP 667) by writing to `frame.f_locals`, before
that by writing there and copying back, for which the interpreter has a C function.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Mapping
from types import FrameType
from typing import Any

_WRITES_THROUGH = sys.version_info >= (3, 13)


def replace_locals(frame: FrameType, values: Mapping[str, Any]) -> None:
    """Give local variables of a running function other values."""
    if not values:
        return
    variables = frame.f_locals
    for name, value in values.items():
        variables[name] = value
    if not _WRITES_THROUGH and frame.f_code.co_flags & 0x2:  # a module's are a plain dict
        copy_back = ctypes.pythonapi.PyFrame_LocalsToFast
        copy_back(ctypes.py_object(frame), ctypes.c_int(0))


def read_locals(frame: FrameType) -> dict[str, Any]:
    """The local variables that have a value, as a dict of its own."""
    return dict(frame.f_locals)
