"""Lowering of dot: loops with fma for vectors and small matrices, BLAS for large ones.

The space of a dot is (batch, free of x, free of y, contracted).
"""

from __future__ import annotations

import ctypes
import importlib.util
import math
import pathlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np

from tracejit.backends.native.effort import LONG
from tracejit.backends.native.emit import I32, I64, POINTER, PTR, VOID, Function, Value, constant
from tracejit.backends.native.index import Emitted
from tracejit.backends.native.lowering import LOWERINGS, Axes, Choice, Reduction, Statement
from tracejit.backends.native.nest import Indices, Nest
from tracejit.backends.native.parallel import parallel
from tracejit.backends.native.pieces import pieces_of
from tracejit.ir.graph import Equation
from tracejit.ops import contraction as ops
from tracejit.ops.contraction import free_axes

Places = tuple[int, ...]
#: Steps, and how many elements long they are; None for none.
Offset = tuple[Value, int] | None

#: Multiplications from which a call of BLAS (about 0.3 us) costs less than our loops lose.
BLAS_FROM = 20_000
#: Multiplications that BLAS does while a nest does one.
MULTIPLICATIONS = 2

#: How the names of variables with addresses of BLAS functions begin.
BLAS = "blas."


class Dot(Reduction):
    """sum over the contracted axes of x times y."""

    def _parts(self, eqn: Equation) -> tuple[Places, Places]:
        """For x and for y, the axis of the space that each of their axes is."""
        x, y = eqn.inputs
        (cx, cy), (bx, by) = eqn.params["contract"], eqn.params["batch"]
        fx, fy = free_axes(x.ndim, cx, bx), free_axes(y.ndim, cy, by)
        nb, nx = len(bx), len(fx)
        last = nb + nx + len(fy)
        of_x = {a: i for i, a in enumerate(bx)} | {a: nb + i for i, a in enumerate(fx)}
        of_x |= {a: last + i for i, a in enumerate(cx)}
        of_y = {a: i for i, a in enumerate(by)} | {a: nb + nx + i for i, a in enumerate(fy)}
        of_y |= {a: last + i for i, a in enumerate(cy)}
        return tuple(of_x[a] for a in range(x.ndim)), tuple(of_y[a] for a in range(y.ndim))

    def space(self, eqn: Equation) -> tuple[int, ...]:
        x, _ = eqn.inputs
        return eqn.outvars[0].shape + tuple(x.shape[a] for a in eqn.params["contract"][0])

    def reduced(self, eqn: Equation) -> tuple[int, ...]:
        kept = eqn.outvars[0].ndim
        return tuple(range(kept, kept + len(eqn.params["contract"][0])))

    def operands(self, eqn: Equation) -> list[tuple[Any, Axes]]:
        of_x, of_y = self._parts(eqn)
        return [(eqn.inputs[0], of_x), (eqn.inputs[1], of_y)]

    def element(self, nest: Nest, eqn: Equation, index: Indices) -> tuple[Emitted, ...]:
        of_x, of_y = self._parts(eqn)
        x, y = eqn.inputs
        return (
            nest.value(x, tuple(index[a] for a in of_x)),
            nest.value(y, tuple(index[a] for a in of_y)),
        )

    def combine(self, b: Function, dtype: np.dtype, total: Value, *element: Value) -> Value:
        x, y = element
        return b.fma(x, y, total) if dtype.kind == "f" else b.add(b.mul(x, y), total)

    def merge(self, b: Function, dtype: np.dtype, x: Value, y: Value) -> Value:
        return b.add(x, y)

    def identity(self, dtype: np.dtype) -> Any:
        return 0

    def spread(self, eqn: Equation) -> tuple[Any, ...]:
        total = math.prod(self.space(eqn))
        return tuple(x for x in eqn.inputs if x.type.size < total)

    def aligned(self, eqn: Equation) -> bool:
        return False


# BLAS. Row-major C = A B is column-major C' = B' A', so the operands change places.

_PREFIX = {"float32": "s", "float64": "d"}


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
    """The address of a BLAS function: in SciPy's OpenBLAS, else from the pointers SciPy exports."""
    if name == THREADS:
        return _thread_setter()
    found = getattr(_openblas(), f"scipy_{name}_", None)
    if found is not None:
        return ctypes.cast(found, ctypes.c_void_p).value or 0
    capsule = importlib.import_module("scipy.linalg.cython_blas").__pyx_capi__[name]
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


def _is_large(eqn: Equation) -> bool:
    """A product of matrices that BLAS does faster than loops."""
    x, y = eqn.inputs
    if x.dtype.name not in _PREFIX or not eqn.outvars[0].type.size:
        return False
    (cx, _), (bx, _) = eqn.params["contract"], eqn.params["batch"]
    depth = math.prod(x.shape[a] for a in cx)
    batch = math.prod(x.shape[a] for a in bx)
    if depth == 0 or batch == 0:
        return False
    rows, columns = x.type.size // (depth * batch), y.type.size // (depth * batch)
    return min(rows, columns, depth) >= 4 and rows * columns * depth >= BLAS_FROM


def _ordered(program: Any, x: Any, axes: tuple[int, ...]) -> Any:
    """A buffer with the elements of x in the order of these axes: x's own, where it is that."""
    buffer = program.buffer(x)
    if axes == tuple(range(x.ndim)):
        return buffer
    return program.permuted_copy(x, axes)


def _matrix(
    program: Any, x: Any, batch: Axes, free: Axes, contract: Axes, *, free_first: bool
) -> tuple[Any, bool]:
    """x as (batch, rows, columns) in memory, and whether that is the transpose of what is asked."""
    natural = tuple(range(x.ndim))
    wanted = (*batch, *free, *contract) if free_first else (*batch, *contract, *free)
    other = (*batch, *contract, *free) if free_first else (*batch, *free, *contract)
    if natural == other and natural != wanted:
        return program.buffer(x), True
    return _ordered(program, x, wanted), False  # type: ignore[arg-type]


def _gemm(program: Any, eqn: Equation) -> None:
    x, y = eqn.inputs
    (out,) = eqn.outvars
    (cx, cy), (bx, by) = eqn.params["contract"], eqn.params["batch"]
    fx, fy = free_axes(x.ndim, cx, bx), free_axes(y.ndim, cy, by)
    count = math.prod(x.shape[a] for a in bx)
    rows = math.prod(x.shape[a] for a in fx)
    columns = math.prod(y.shape[a] for a in fy)
    depth = math.prod(x.shape[a] for a in cx)
    left, left_turned = _matrix(program, x, bx, fx, cx, free_first=True)
    right, right_turned = _matrix(program, y, by, fy, cy, free_first=False)
    result = program.allocate(out)
    product = _Product(
        program, (left, right, result), (left_turned, right_turned), rows, columns, depth
    )
    work = count * rows * columns * depth // MULTIPLICATIONS
    with one_thread(program.fn):
        if count == 1:
            product.emit(work)
        else:
            loop = parallel if work >= LONG else type(program).repeat
            loop(program, count, product.one)
    program.settle(out, result)


class _Product:
    """Matrices in memory, one behind the other: result = left right, each perhaps transposed."""

    def __init__(
        self, program: Any, matrices: Sequence[Any], turned: Sequence[bool],
        rows: int, columns: int, depth: int,
    ):
        self.program = program
        self.matrices = matrices
        self.turned = turned
        self.rows, self.columns, self.depth = rows, columns, depth

    def emit(self, work: int) -> None:
        """The only product, in pieces if that is worth it: of rows, or of columns."""
        pieces = pieces_of((self.rows, self.columns), work)
        if pieces is None or self.program.threads is None:
            self.one(constant(I64, 0))
            return

        def piece(i: Value, extent: int) -> None:
            first = self.program.fn.mul(i, constant(I64, pieces.rows))
            if pieces.axis == 0:
                step = 1 if self.turned[0] else self.depth
                self._call((first, step), None, (first, self.columns), extent, self.columns)
            else:
                step = self.depth if self.turned[1] else 1
                self._call(None, (first, step), (first, 1), self.rows, extent)

        parallel(self.program, pieces.count, lambda i: piece(i, pieces.rows))
        if pieces.rest:
            piece(constant(I64, pieces.count), pieces.rest)

    def one(self, i: Value) -> None:
        """Product number i."""
        rows, columns, depth = self.rows, self.columns, self.depth
        self._call((i, rows * depth), (i, columns * depth), (i, rows * columns), rows, columns)

    def _call(self, left: Offset, right: Offset, result: Offset, rows: int, columns: int) -> None:
        """Call BLAS for matrices that begin so many steps behind ours."""
        program, fn, depth = self.program, self.program.fn, self.depth
        a, b, c = (
            matrix.pointer if at is None
            else fn.offset(matrix.pointer, fn.mul(at[0], constant(I64, at[1])), matrix.lane)
            for matrix, at in zip(self.matrices, (left, right, result), strict=True)
        )  # fmt: skip
        sizes = program.stack_integers([
            columns, rows, depth, depth if self.turned[1] else self.columns,
            self.rows if self.turned[0] else depth, self.columns,
        ])  # fmt: skip
        m, n, k, b_step, a_step, c_step = (fn.offset(sizes, i, I32) for i in range(6))
        b_flag, a_flag = (program.stack_byte("NT"[t]) for t in reversed(self.turned))
        dtype = self.matrices[0].dtype
        one, nought = program.stack_float(dtype, 1.0), program.stack_float(dtype, 0.0)
        fn.call_pointer(
            library_pointer(fn, f"{_PREFIX[dtype.name]}gemm"), VOID,
            [b_flag, a_flag, m, n, k, one, b, b_step, a, a_step, nought, c, c_step],
        )  # fmt: skip


_LOOPS, _BLAS = Dot(), Statement(_gemm)


def _reason(eqn: Equation) -> str:
    """Why a product is left to BLAS, or not."""
    count = math.prod(_LOOPS.space(eqn))
    if _is_large(eqn):
        return f"by BLAS: {count:,} multiplications"
    if count < BLAS_FROM:
        return f"{count:,} multiplications, fewer than BLAS is worth"
    return "no product of matrices, so not by BLAS"


LOWERINGS.rows(
    __name__, {ops.dot: Choice(lambda eqn: _BLAS if _is_large(eqn) else _LOOPS, _reason)}
)
