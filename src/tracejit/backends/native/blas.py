"""BLAS and LAPACK: addresses of their functions, and one thread for what they do.

They come with SciPy, which is not loaded: its OpenBLAS lies in a folder beside it.
"""

from __future__ import annotations

import ctypes
import importlib.util
import pathlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from tracejit.backends.native.emit import POINTER, PTR, VOID, Function, Value

#: How the names of variables with addresses of their functions begin.
BLAS = "blas."

@cache
def _openblas() -> ctypes.CDLL | None:
    """The OpenBLAS that SciPy's wheels bring, in a folder beside it; SciPy is not loaded."""
    spec = importlib.util.find_spec("scipy")
    package = pathlib.Path(spec.origin if spec and spec.origin else ".").parent
    for folder in (package.parent / "scipy.libs", package / ".dylibs"):
        for library in sorted(folder.glob("libscipy_openblas*")):
            return ctypes.CDLL(str(library))
    return None


@cache
def blas(name: str) -> int:
    """The address of a function: in SciPy's OpenBLAS, else from the pointers SciPy exports."""
    if name == THREADS:
        return _thread_setter()
    found = getattr(_openblas(), f"scipy_{name}_", None)
    if found is not None:
        return ctypes.cast(found, ctypes.c_void_p).value or 0
    exported: dict[str, Any] = {}
    for library in ("cython_lapack", "cython_blas"):
        exported |= importlib.import_module(f"scipy.linalg.{library}").__pyx_capi__
    capsule = exported[name]
    api = ctypes.pythonapi
    api.PyCapsule_GetName.restype = ctypes.c_char_p
    api.PyCapsule_GetName.argtypes = [ctypes.py_object]
    api.PyCapsule_GetPointer.restype = ctypes.c_void_p
    api.PyCapsule_GetPointer.argtypes = [ctypes.py_object, ctypes.c_char_p]
    return api.PyCapsule_GetPointer(capsule, api.PyCapsule_GetName(capsule))


def library_pointer(fn: Function, name: str) -> Value:
    """The address of a BLAS function, from a variable that is set when the code is loaded: code
    that is kept for other processes holds no address of this one.
    """
    cell = f"{BLAS}{name}"
    fn.module.globals.setdefault(cell, POINTER)
    return fn.load(PTR, Value(PTR, f"@{cell}"))


THREADS = "threads"


def _thread_setter() -> int:
    """The address of OpenBLAS's function that sets its threads and returns what they were.

    Of another BLAS the threads are left alone: a function that changes nothing stands in.
    """
    setter = getattr(_openblas(), "openblas_set_num_threads_local", None)
    harmless = ctypes.pythonapi.PyGILState_Check
    return ctypes.cast(harmless if setter is None else setter, ctypes.c_void_p).value or 0


@contextmanager
def one_thread(fn: Function) -> Iterator[None]:
    """Keep BLAS, and LAPACK, to the thread that runs the code emitted here.

    How they divide work between threads of their own may depend on how many there are, and so may
    results; what is worth it is divided here, between ours (`pieces.py`).
    """
    setter = library_pointer(fn, THREADS)
    fn.call("blas_threads.alone", VOID, [setter])
    yield
    fn.call("blas_threads.usual", VOID, [setter])
