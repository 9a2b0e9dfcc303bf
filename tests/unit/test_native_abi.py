"""Offsets are found where they are, and what is not understood is told, not guessed."""

from __future__ import annotations

import ctypes
import dataclasses
import sys

import numpy as np
import pytest
from native_call_harness import needs_native

from tracejit.backends.native import abi


@needs_native
def test_offsets_lead_to_the_fields() -> None:
    layout = abi.LAYOUT
    assert layout is not None
    x = np.arange(15.0).reshape(3, 5)

    def word(obj: object, offset: int) -> int:
        return ctypes.c_int64.from_address(id(obj) + offset).value

    assert word(x, layout.ob_type) == id(np.ndarray)
    assert word(x, layout.array_data) == x.ctypes.data
    assert word(x, layout.array_descr) == id(x.dtype)
    assert ctypes.c_int.from_address(id(x) + layout.array_ndim).value == 2
    assert ctypes.c_int.from_address(id(x) + layout.array_flags).value == x.flags.num
    dims = (ctypes.c_int64 * 2).from_address(word(x, layout.array_dims))
    strides = (ctypes.c_int64 * 2).from_address(word(x, layout.array_strides))
    assert (tuple(dims), tuple(strides)) == (x.shape, x.strides)
    assert ctypes.c_double.from_address(id(2.5) + layout.float_value).value == 2.5
    two = (ctypes.c_double * 2).from_address(id(2.5 - 1j) + layout.complex_value)
    assert tuple(two) == (2.5, -1.0)
    pair = (x, layout)
    assert word(pair, layout.tuple_items + abi.WORD) == id(layout)
    assert word([1, 2, 3], layout.var_size) == 3


@needs_native
@pytest.mark.parametrize("kind", abi.SCALARS, ids=lambda kind: kind.__name__)
def test_the_value_of_a_numpy_scalar(kind: type[np.generic]) -> None:
    assert abi.LAYOUT is not None
    x = kind(1)
    place = id(x) + abi.LAYOUT.scalar_value[kind]
    assert ctypes.string_at(place, x.dtype.itemsize) == x.tobytes()


@needs_native
def test_the_allocator_makes_an_object_of_the_type() -> None:
    make = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.py_object, ctypes.c_ssize_t)
    x = make(abi.allocator(np.float64))(np.float64, 0)
    assert type(x) is np.float64 and x == 0.0


@pytest.mark.parametrize(
    ("where", "name", "value", "reason"),
    [
        (sys, "version", "3.13.0 experimental free-threading build", "free-threaded"),
        (sys, "abiflags", "t", "free-threaded"),
        (sys, "gettotalrefcount", lambda: 0, "debug"),
        (sys, "getobjects", list, "debug"),
        (sys, "byteorder", "big", "little endian"),
        (sys.implementation, "name", "pypy", "pypy"),
    ],
)
def test_other_interpreters_are_told_apart(
    monkeypatch: pytest.MonkeyPatch, where: object, name: str, value: object, reason: str
) -> None:
    monkeypatch.setattr(where, name, value, raising=False)
    layout, why = abi.probe()
    assert layout is None
    assert reason in why


@needs_native
def test_a_field_in_no_or_several_places_fails_the_probe() -> None:
    with pytest.raises(abi.ProbeError, match="lost"):
        abi._one_offset("lost", [(1.5, b"no float")])
    with pytest.raises(abi.ProbeError, match="everywhere"):
        abi._one_offset("everywhere", [((), b"\0")])


@needs_native
def test_a_failed_probe_names_what_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(abi, "_FUNCTIONS", ("PyNothing_OfTheKind",))
    layout, why = abi.probe()
    assert layout is None
    assert "PyNothing_OfTheKind" in why


@needs_native
def test_prototypes_leave_pythonapi_alone() -> None:
    before = getattr(ctypes.pythonapi, "PyType_FromSpec").restype  # noqa: B009 (no attribute)
    abi.prototype("PyType_FromSpec", ctypes.py_object, ctypes.c_void_p)
    assert ctypes.pythonapi.PyType_FromSpec.restype is before
    assert dataclasses.is_dataclass(abi.LAYOUT)
