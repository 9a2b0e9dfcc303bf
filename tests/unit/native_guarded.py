"""Native programs on memory that ends, or begins, at a page nobody may touch.

    python native_guarded.py elementwise      runs one group of `native_memory_cases`

A read or write outside of an array ends the process, so groups run in processes of their own; the
case that was running stands on the last line of the output.
"""

from __future__ import annotations

import ctypes
import math
import mmap
import sys
from collections.abc import Callable, Sequence

import numpy as np

from tracejit.backends.native.compile import ALIGN, NativeExecutable
from tracejit.ir.atoms import Atom, Var
from tracejit.ir.builder import building
from tracejit.ir.graph import Jaxpr
from tracejit.ir.types import ArrayType
from tracejit.ir.walk import evaluate
from tracejit.testing.compare import assert_close

PAGE = mmap.PAGESIZE
_libc = ctypes.CDLL(None, use_errno=True)
_libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]


class Guarded:
    """Memory between two protected pages, lent out as one array at a time."""

    def __init__(self, nbytes: int):
        self.room = max(1, -(-nbytes // PAGE)) * PAGE
        self._map = mmap.mmap(-1, self.room + 2 * PAGE)
        start = np.frombuffer(self._map, np.uint8).ctypes.data
        assert start % PAGE == 0
        for page in (start, start + PAGE + self.room):
            assert _libc.mprotect(page, PAGE, 0) == 0, ctypes.get_errno()
        self._bytes = np.frombuffer(self._map, np.uint8)[PAGE : PAGE + self.room]

    def array(self, type: ArrayType, *, at_end: bool) -> np.ndarray:
        """An array that ends where the last page begins, or begins where the first one ends."""
        nbytes = type.size * type.dtype.itemsize
        part = self._bytes[self.room - nbytes :] if at_end else self._bytes[:nbytes]
        return part.view(type.dtype).reshape(type.shape)


class GuardedRun:
    """Runs executables on guarded memory; reuses the memory for all of them."""

    def __init__(self, count: int = 24, nbytes: int = 1 << 16):
        self._slots = [Guarded(nbytes) for _ in range(count)]
        self._workspace = Guarded(1 << 20)

    def __call__(
        self, run: NativeExecutable, arrays: Sequence[np.ndarray], *, at_end: bool
    ) -> list[np.ndarray]:
        slots = iter(self._slots)
        inputs = [next(slots).array(t, at_end=at_end) for t in run.in_types]
        outputs = [next(slots).array(t, at_end=at_end) for t in run.out_types]
        for place, x in zip(inputs, arrays, strict=True):
            place[...] = x
        need = -(-run.summary.workspace_bytes // ALIGN) * ALIGN
        workspace = self._workspace.array(ArrayType(np.dtype(np.uint8), (need,)), at_end=at_end)
        poison(workspace)
        run.use_workspace(workspace)
        run.run_into(inputs, outputs)
        for place, x in zip(inputs, arrays, strict=True):
            np.testing.assert_array_equal(place, x, err_msg="an input has changed")
        return [y.copy() for y in outputs]


def poison(workspace: np.ndarray) -> None:
    """Fill with what is NaN for floats and far out of range for indices."""
    workspace[...] = 0xFF
    workspace[7::8] = 0x7F


def program(fun: Callable[..., Sequence[Atom]], *types: ArrayType) -> Jaxpr:
    """The jaxpr of a function that binds primitives on atoms."""
    with building() as b:
        xs = [Var(t) for t in types]
        return b.finish(xs, fun(*xs))


def numbers(rng: np.random.Generator, type: ArrayType) -> np.ndarray:
    """Values of any type; integers small."""
    if type.dtype.kind == "f":
        return rng.uniform(-2, 2, type.shape).astype(type.dtype)
    high = 2 if type.dtype.kind == "b" else 9
    return rng.integers(0, high, type.shape).astype(type.dtype)


def check(run: GuardedRun, title: str, jaxpr: Jaxpr, *operands: Sequence[np.ndarray]) -> None:
    """Each list of operands, at both ends of memory, gives NumPy's values."""
    print(title, flush=True)
    executable = NativeExecutable(jaxpr)
    for arrays in operands:
        with np.errstate(all="ignore"):
            expected = evaluate(jaxpr, *arrays)
        for at_end in (True, False):
            results = run(executable, arrays, at_end=at_end)
            rtol = 1e-5 if any(x.dtype == np.float32 for x in arrays) else 1e-12
            assert_close("guarded", title, results, expected, rtol=rtol)


def size_of(shape: Sequence[int]) -> int:
    return math.prod(shape)


def main(groups: dict[str, Callable[[GuardedRun], None]]) -> None:
    groups[sys.argv[1]](GuardedRun())
    print("done")
