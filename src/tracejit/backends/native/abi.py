"""Where CPython and NumPy keep their fields: offsets found by looking, never assumed.

Machine code reads ndarrays, floats, tuples and lists straight from memory. Each offset is
probed once, at import: build sample objects whose field is known, look where every one of them
holds its value, and insist that there is one such place. `SUPPORTED` says whether all of it was
found; otherwise `WHY_NOT` holds the reason in words, `LAYOUT` is None, and calls take the
portable path. Free-threaded and debug builds, other interpreters and 32 bit processes are told
apart before anything is read.

Functions of the C API are taken by name from the interpreter, NumPy's from its table
`_ARRAY_API` (the contract behind `import_array`), whose order is part of NumPy's ABI.
"""

from __future__ import annotations

import ctypes
import functools
import struct
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

WORD = 8
HEAD = object.__basicsize__  # bytes before the first field of an object's own
CONTIGUOUS_ALIGNED = 0x0001 | 0x0100  # NPY_ARRAY_C_CONTIGUOUS | NPY_ARRAY_ALIGNED
WRITEABLE = 0x0400  # NPY_ARRAY_WRITEABLE
SCALARS = tuple(
    getattr(np, name)
    for name in (
        *("bool_", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
        *("float16", "float32", "float64", "complex64", "complex128"),
    )
)
"""The NumPy scalar types whose values machine code reads and writes in place."""

_LOWEST_POINTER = 1 << 16  # no operating system maps the first 64 KiB; small integers stay below
_TP_ALLOC, _TP_NEW = 47, 65  # from the stable ABI's typeslots.h
# Places in NumPy's table, numpy/__multiarray_api.h.
_ARRAY_TYPE, _NEW_COPY, _NEW_FROM_DESCR = 2, 85, 94
_FUNCTIONS = (
    *("Py_IncRef", "Py_DecRef", "PyErr_Occurred", "PyErr_Clear", "PyEval_SaveThread"),
    *("PyEval_RestoreThread", "PyObject_GetAttr", "PyObject_Vectorcall"),
    *("PyContextVar_Get", "PyObject_GenericGetAttr", "PyObject_GenericSetAttr"),
    *("PyObject_RichCompareBool", "PyUnicode_Compare", "PyLong_AsLongLongAndOverflow"),
    *("PyTuple_New", "PyList_New", "PyDict_New", "PyDict_SetItem", "PyDict_Size", "PyDict_Next"),
    *("PyDict_GetItemWithError", "PyType_GetSlot", "PyType_FromSpec", "PyCapsule_GetPointer"),
)


class ProbeError(Exception):
    """A structure is not laid out in a way that the probe understands."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Byte offsets of the fields that native code touches, and the addresses of the functions that
    it calls.
    """

    ob_refcnt: int
    ob_type: int
    type_flags: int
    var_size: int
    tuple_items: int
    tuple_hash: int  # 0 where a tuple does not keep its hash
    list_items: int
    float_value: int
    complex_value: int
    array_data: int
    array_ndim: int
    array_dims: int
    array_strides: int
    array_descr: int
    array_flags: int
    array_weakrefs: int
    descr_number: int
    descr_byteorder: int
    scalar_value: Mapping[type, int]
    functions: Mapping[str, int]


def unsupported_interpreter() -> str:
    """The reason why objects of this interpreter cannot be read from memory, or an empty string."""
    if sys.implementation.name != "cpython":
        return f"the interpreter is {sys.implementation.name}, not CPython"
    if "free-threading" in sys.version or "t" in getattr(sys, "abiflags", ""):
        return "this is a free-threaded build, whose objects begin with other fields"
    if hasattr(sys, "gettotalrefcount") or hasattr(sys, "getobjects"):
        return "this is a debug build, whose objects may begin with other fields"
    if struct.calcsize("P") != WORD or sys.byteorder != "little":
        return "only 64 bit little endian processes are understood"
    if object.__basicsize__ != 2 * WORD:
        return f"an object's head has {object.__basicsize__} bytes instead of {2 * WORD}"
    return ""


def probe() -> tuple[Layout | None, str]:
    """The layout of this process and an empty string, or None and the reason why there is none."""
    if reason := unsupported_interpreter():
        return None, reason
    try:
        return _layout(), ""
    except (ProbeError, AttributeError, TypeError, ValueError) as failure:
        return None, f"the probe of memory layouts failed: {failure}"


def _layout() -> Layout:
    array = _array_offsets()
    return Layout(
        ob_refcnt=_references(),
        ob_type=_one_offset(
            "ob_type", ((x, _word(id(type(x)))) for x in (1.5, "a", b"b")), start=0
        ),
        type_flags=_type_flags(),
        var_size=_one_offset("ob_size", ((n * (None,), _word(n)) for n in (1, 2, 7))),
        tuple_items=_tuple_items(),
        tuple_hash=_tuple_hash(),
        list_items=_pointer_to("ob_item", [[object(), object()] for _ in range(3)], _identities),
        float_value=_one_offset("ob_fval", ((x, struct.pack("d", x)) for x in (1.25, -3e77))),
        complex_value=_one_offset(
            "cval", ((z, struct.pack("2d", z.real, z.imag)) for z in (1.25 - 3e77j, 2.5j))
        ),
        **array,
        **_descr_offsets(),
        scalar_value={scalar: _scalar_offset(scalar) for scalar in SCALARS},
        functions={name: function(name) for name in _FUNCTIONS} | _numpy_functions(),
    )


def _array_offsets() -> dict[str, int]:
    shapes = [(7,), (3, 5), (2, 3, 4), (2, 1, 3, 1, 2, 2)]
    arrays = [np.zeros(s, d) for s, d in zip(shapes, ("f8", "f4", "i8", "u2"), strict=True)]
    arrays[1].flags.writeable = False
    samples = [*arrays, arrays[2].T, arrays[3][:, :, ::2]]
    one = functools.partial(_one_offset, size=np.ndarray.__basicsize__)
    data = [(x, _word(x.__array_interface__["data"][0])) for x in samples]
    found = {
        "array_data": one("data", data),
        "array_descr": one("descr", ((x, _word(id(x.dtype))) for x in samples)),
        "array_ndim": one("nd", ((x, struct.pack("i", x.ndim)) for x in samples)),
        "array_flags": one("flags", ((x, struct.pack("i", x.flags.num)) for x in samples)),
    }
    # The remaining words are null, tagged or pointers to live memory of at least two words.
    pointer = functools.partial(_pointer_to, known=set(found.values()))
    planes = [np.zeros((3, 5)), np.zeros((11, 4), "f4").T, np.zeros((6, 9), "i2")[::2]]
    found["array_dims"] = pointer("dimensions", planes, lambda x: struct.pack("2q", *x.shape))
    found["array_strides"] = pointer("strides", planes, lambda x: struct.pack("2q", *x.strides))
    found["array_weakrefs"] = np.ndarray.__weakrefoffset__
    if found["array_weakrefs"] < HEAD:
        raise ProbeError("arrays have no place for weak references")
    return found


def _references() -> int:
    """Where an object has the number of its references, as a whole word."""
    holder, more = [object()], 1000
    before = struct.unpack("2Q", ctypes.string_at(id(holder[0]), HEAD))
    holder *= more
    after = struct.unpack("2Q", ctypes.string_at(id(holder[0]), HEAD))
    places = [k for k in range(2) if (before[k], after[k]) == (1, more)]
    if len(places) != 1:
        raise ProbeError("the number of references to an object was not found")
    return places[0] * WORD


def _descr_offsets() -> dict[str, int]:
    dtypes = [np.dtype(code) for code in ("f8", "f4", "i1", "?", "c16", ">i4")]
    orders = [(d, d.byteorder.encode()) for d in dtypes]
    return {
        "descr_number": _one_offset("type_num", ((d, struct.pack("i", d.num)) for d in dtypes)),
        "descr_byteorder": _one_offset("byteorder", orders),
    }


@functools.cache
def _scalar_offset(scalar: type[np.generic]) -> int:
    codes = (0, 1) if scalar is np.bool_ else (1, 2, 101)
    values = [scalar(code) for code in codes]
    return _one_offset(scalar.__name__, ((x, x.tobytes()) for x in values))


def _type_flags() -> int:
    classes = [type("Plain", (), {}), type("Int", (int,), {}), type("Error", (Exception,), {})]
    flags = ((c, struct.pack("L", c.__flags__)) for c in classes)
    return _one_offset("tp_flags", flags)


def _tuple_items() -> int:
    samples = [(object(), object()) for _ in range(3)]
    size = tuple.__basicsize__ + 2 * WORD
    return _one_offset("ob_item", ((x, _identities(x)) for x in samples), size=size)


def _tuple_hash() -> int:
    """Where a tuple keeps its hash, which is -1 before somebody asks; 0 where it does not."""
    samples = [(object(), object()) for _ in range(3)]
    between = tuple.__basicsize__ - HEAD - WORD
    if not between:
        return 0
    if any(ctypes.string_at(id(x) + HEAD + WORD, between) != b"\xff" * WORD for x in samples):
        raise ProbeError("tuples have a field that is not known")
    hashes = ((x, struct.pack("q", hash(x))) for x in samples)
    return _one_offset("ob_hash", hashes, size=tuple.__basicsize__)


def _one_offset(
    field: str,
    samples: Iterable[tuple[object, bytes]],
    *,
    start: int = HEAD,
    size: int | None = None,
) -> int:
    """The only offset at or above `start` where each sample object holds the bytes that belong to
    it.
    """
    candidates: set[int] | None = None
    for x, value in samples:
        memory = ctypes.string_at(id(x), size or type(x).__basicsize__)
        step = min(len(value), WORD)
        ends = len(memory) - len(value) + 1
        places = {at for at in range(start, ends, step) if memory[at:].startswith(value)}
        candidates = places if candidates is None else candidates & places
    if candidates is None or len(candidates) != 1:
        raise ProbeError(f"field {field} was found at {sorted(candidates or ())}, not at one place")
    return candidates.pop()


def _pointer_to(
    field: str, samples: list, expected: Callable[[Any], bytes], known: Iterable[int] = ()
) -> int:
    """The only offset whose word points at the bytes `expected(sample)`; words in `known` are not
    followed.
    """
    skip = {at // WORD for at in known}
    candidates: set[int] | None = None
    for x in samples:
        memory = ctypes.string_at(id(x), type(x).__basicsize__)
        words = struct.unpack(f"{len(memory) // WORD}Q", memory[: len(memory) // WORD * WORD])
        places = {
            WORD * k
            for k, word in enumerate(words)
            if WORD * k >= HEAD and k not in skip and word >= _LOWEST_POINTER and word % WORD == 0
            if ctypes.string_at(word, len(expected(x))) == expected(x)
        }
        candidates = places if candidates is None else candidates & places
    if candidates is None or len(candidates) != 1:
        raise ProbeError(
            f"pointer {field} was found at {sorted(candidates or ())}, not at one place"
        )
    return candidates.pop()


def _word(value: int) -> bytes:
    return struct.pack("Q", value)


def _identities(items: Iterable[object]) -> bytes:
    return b"".join(_word(id(x)) for x in items)


def function(name: str) -> int:
    """The address of a function of CPython's C API; AttributeError when the interpreter does not
    export it.
    """
    return ctypes.cast(getattr(ctypes.pythonapi, name), ctypes.c_void_p).value or 0


def prototype(name: str, result: Any, *arguments: Any) -> Callable[..., Any]:
    """A C API function as a Python callable, made afresh: nobody else's `ctypes.pythonapi.name`
    changes its types.
    """
    return ctypes.PYFUNCTYPE(result, *arguments)((name, ctypes.pythonapi))


def _numpy_functions() -> dict[str, int]:
    pointer = prototype("PyCapsule_GetPointer", ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)
    capsule = np._core._multiarray_umath._ARRAY_API  # type: ignore[attr-defined]
    table = ctypes.cast(pointer(capsule, None), ctypes.POINTER(ctypes.c_void_p))
    if table[_ARRAY_TYPE] != id(np.ndarray):
        raise ProbeError("NumPy's table of functions has another order")
    return {"PyArray_NewFromDescr": table[_NEW_FROM_DESCR], "PyArray_NewCopy": table[_NEW_COPY]}


def allocator(kind: type) -> int:
    """The address of a type's `tp_alloc`; `tp_alloc(type, 0)` makes an object whose value is 0."""
    return _slot(kind, _TP_ALLOC)


def constructor(kind: type) -> int:
    """The address of a type's `tp_new`, called as `tp_new(type, (), NULL)`."""
    return _slot(kind, _TP_NEW)


def _slot(kind: type, number: int) -> int:
    slot = prototype("PyType_GetSlot", ctypes.c_void_p, ctypes.py_object, ctypes.c_int)
    return slot(kind, number)


def value_offset(scalar: type[np.generic]) -> int:
    """Where a NumPy scalar has its value; that of bfloat16, which may come later, is looked for
    when it is asked for."""
    assert LAYOUT is not None
    found = LAYOUT.scalar_value.get(scalar)
    return _scalar_offset(scalar) if found is None else found  # type: ignore[arg-type]


LAYOUT, WHY_NOT = probe()
SUPPORTED = LAYOUT is not None
