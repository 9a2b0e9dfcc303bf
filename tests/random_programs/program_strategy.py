"""Random programs: a hypothesis strategy for well-typed jaxprs with operands.

    @given(programs())
    def test(case): case.jaxpr, case.arrays

A program is written equation by equation. Each `maker` below adds one operation, on operands that
it picks among what is there; a new primitive gets a line or a maker. Values are computed along:
what grows beyond `LIMIT` or is not finite is left unread, so that rounding can be told from
faults, and so that there is dead code. `wild` programs keep it; their inputs are inf and NaN too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from hypothesis import strategies as st

import tracejit  # noqa: F401  registers every primitive
from tracejit.control.call import call
from tracejit.control.cond import cond
from tracejit.control.loop import while_
from tracejit.control.scan import scan
from tracejit.ir.atoms import Atom, Literal, Var
from tracejit.ir.builder import Builder, building
from tracejit.ir.graph import Jaxpr
from tracejit.ir.primitive import Primitive
from tracejit.ir.types import (
    BOOL,
    COMPLEX_OF,
    FLOAT32,
    FLOAT64,
    FLOATS,
    INT32,
    ArrayType,
    array_type,
    without_axes,
)
from tracejit.ir.walk import evaluate_equation, literal_value
from tracejit.ops import contraction, elementwise, indexing, reduction, special, structure
from tracejit.ops.complex import complex as complex_of
from tracejit.ops.complex import conj, imag, real
from tracejit.ops.elementwise import convert, keep_zeros, rem, select, sin

T = TypeVar("T")

LIMIT = 1e4
SHAPES = [(), (3,), (2, 3), (3, 2), (1, 3), (2,)]
SPECIAL = [0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -2.0, 0.5]
LITERALS = [0.0, 1.0, -1.0, 2.0, 0.5, 3.0, -0.75]

PRIMITIVES = Primitive.registry
#: Defined, and differentiable but for kinks, for every float.
UNARY = [
    "neg", "abs", "sin", "cos", "tanh", "logistic", "exp", "expm1", "softplus", "square", "atan",
    "asinh", "erf", "stop_gradient", "sign", "floor", "ceil",
]  # fmt: skip
BINARY = ["add", "sub", "mul", "max", "min"]
INTEGER_BINARY = ["add", "sub", "mul", "max", "min", "and", "or", "xor", "div", "rem"]
COMPARISONS = ["eq", "ne", "lt", "le", "gt", "ge"]
LOGIC = ["and", "or", "xor", "eq", "ne"]
#: Of complex numbers.
ENTIRE = ["neg", "square", "conj", "sin", "cos", "sinh", "cosh", "exp", "stop_gradient"]
REDUCTIONS = ["reduce_sum", "reduce_max", "reduce_min", "reduce_prod"]
RUNNING = ["cumsum", "cumprod", "cummax", "cummin"]


@dataclass(frozen=True)
class Case:
    """A program and operands for it."""

    jaxpr: Jaxpr
    arrays: tuple[np.ndarray, ...]

    @property
    def rtol(self) -> float:
        """How near results have to come that differ by rounding: wide where f32 is anywhere."""
        return 1e-3 if "f32" in str(self.jaxpr) else 1e-8

    def __repr__(self) -> str:
        return f"{self.jaxpr}\n// on {', '.join(repr(x) for x in self.arrays)}"


class Writer:
    """Adds operations to a program; knows the atoms that may be read and their values."""

    def __init__(self, draw: Callable[[Any], Any], *, wild: bool, double: bool, depth: int = 0):
        self.draw, self.wild, self.double, self.depth = draw, wild, double, depth
        self.pool: list[Atom] = []
        self.values: dict[Atom, Any] = {}
        self.builder = Builder()

    # Choices.

    def choose(self, items: Sequence[T]) -> T:
        return items[self.draw(st.integers(0, len(items) - 1))]

    def flip(self) -> bool:
        return bool(self.draw(st.booleans()))

    def pick(self, holds: Callable[[Atom], bool]) -> Atom | None:
        """An atom of the pool, later ones as likely as earlier ones; None if there is none."""
        found = [x for x in self.pool if holds(x)]
        return self.choose(found) if found else None

    def literal(self, type: ArrayType) -> Literal:
        if type.dtype == BOOL:
            return Literal(self.flip(), type)
        if type.dtype in FLOATS:
            return Literal(self.choose(SPECIAL if self.wild else LITERALS), type)
        return Literal(self.draw(st.integers(-2, 3)), type)

    def like(self, type: ArrayType) -> Atom:
        """An operand of the type: one of the pool, or a literal."""
        x = None if self.draw(st.integers(0, 3)) == 0 else self.pick(lambda x: x.type == type)
        return self.literal(type) if x is None else x

    def floats(self, holds: Callable[[Atom], bool] = lambda x: True) -> Atom | None:
        return self.pick(lambda x: x.type.is_inexact and holds(x))

    def axes(self, x: Atom) -> tuple[int, ...]:
        return tuple(a for a in range(x.ndim) if self.flip())

    # Equations.

    def take(self, *atoms: Atom) -> None:
        """Compute what is new, and put it into the pool unless it is too wild to compare."""
        for eqn in self.builder.equations:
            if eqn.outvars and eqn.outvars[0] not in self.values:
                inputs = [self.value(x) for x in eqn.inputs]
                self.values.update(zip(eqn.outvars, evaluate_equation(eqn, inputs), strict=True))
        for x in atoms:
            tame = x.dtype not in FLOATS or bool(np.all(np.abs(self.value(x)) < LIMIT))
            if self.wild or tame:
                self.pool.append(x)

    def value(self, x: Atom) -> Any:
        return literal_value(x) if isinstance(x, Literal) else self.values[x]

    def bind(self, name: str, *inputs: Atom, **params: Any) -> None:
        self.take(*PRIMITIVES[name].bind(*inputs, **params))

    def write(self, count: int) -> None:
        """Add `count` operations, fewer where operands for them are missing."""
        for _ in range(count):
            makers = MAKERS if self.depth == 0 else [m for m in MAKERS if m not in HOLDERS]
            self.choose(makers)(self)

    def body(self, types: Sequence[ArrayType], results: Sequence[ArrayType]) -> Jaxpr:
        """A program of its own from these types to those, with results between -1 and 1."""
        inner = Writer(self.draw, wild=self.wild, double=self.double, depth=self.depth + 1)
        with building(inner.builder):
            invars = [Var(t) for t in types]
            for v in invars:
                inner.values[v] = np.ones(v.shape, v.dtype)
            inner.take(*invars)
            inner.write(self.draw(st.integers(0, 3)))
            outs = [inner.shaped(t) for t in results]
        return inner.builder.finish(invars, outs)

    def shaped(self, type: ArrayType) -> Atom:
        """A value of the pool brought to a type; a literal if no dtype fits."""
        x = self.pick(lambda x: x.dtype == type.dtype)
        if x is None:
            return self.literal(type)
        if x.shape != type.shape:
            x = structure.reduce_sum(x, axes=tuple(range(x.ndim))) if x.ndim else x
            x = structure.broadcast(x, shape=type.shape, dims=())
        return sin(x) if type.is_inexact else rem(x, Literal(3, type))


# Makers.


def unary(w: Writer) -> None:
    if (x := w.floats()) is not None:
        w.bind(w.choose(UNARY), x)


def binary(w: Writer) -> None:
    if (x := w.floats()) is not None:
        operands = [x, w.like(x.type)]
        w.bind(w.choose(BINARY), *(operands if w.flip() else operands[::-1]))


def quotient(w: Writer) -> None:
    """x / (1 + y^2), and for wild programs nothing: the sign of a zero would matter."""
    if (x := w.floats()) is not None and not w.wild:
        y = w.like(x.type)
        w.take(x / (elementwise.square(y) + 1.0), x / w.choose([2.0, 3.0, -0.5]))


def root(w: Writer) -> None:
    if (x := w.floats()) is not None:
        y = elementwise.square(x) + 0.5
        functions = (elementwise.sqrt, elementwise.log, elementwise.rsqrt, special.lgamma)
        w.take(w.choose(functions)(y))


def power(w: Writer) -> None:
    if (x := w.floats()) is not None:
        w.bind("integer_pow", x, n=w.draw(st.integers(0, 3)))


def plane(w: Writer) -> None:
    """Some steps with complex numbers, and their parts: functions without cuts and poles. Nothing
    for wild programs, as signs of zeros would matter, and which part is NaN."""
    if (x := w.floats()) is None or w.wild or x.dtype not in COMPLEX_OF:
        return
    z = complex_of(x, w.like(x.type))
    for _ in range(w.draw(st.integers(1, 4))):
        z = PRIMITIVES[w.choose(ENTIRE)](z)
        factor = Literal(w.choose([1j, 2 + 0j, 0.5 - 1j, -0.25j]), z.type)
        z = w.choose([elementwise.mul, elementwise.add])(z, factor) if w.flip() else z * conj(z)
        if z.ndim and w.flip():
            z = reduction.cumsum(structure.reverse(z, axes=(0,)), axis=0, reverse=False)
    w.take(real(z), imag(z), elementwise.abs(z + Literal(1e-3j, z.type)))


def integers(w: Writer) -> None:
    if (x := w.pick(lambda x: x.dtype == INT32)) is not None:
        w.bind(w.choose(INTEGER_BINARY), x, w.like(x.type))


def comparison(w: Writer) -> None:
    if (x := w.pick(lambda x: x.dtype != BOOL)) is not None:
        w.bind(w.choose(COMPARISONS), w.like(x.type), x)


def logic(w: Writer) -> None:
    if (x := w.pick(lambda x: x.dtype == BOOL)) is not None:
        w.bind(w.choose(LOGIC), x, w.like(x.type))
        w.bind("not", x)


def choice(w: Writer) -> None:
    if (x := w.floats()) is not None:
        y = select(w.like(x.type.with_dtype(BOOL)), x, w.like(x.type))
        w.take(y, keep_zeros(y * w.like(x.type), y))


def conversion(w: Writer) -> None:
    x = w.pick(lambda x: not x.type.is_inexact or not w.wild)
    if x is not None:
        w.take(convert(x, dtype=w.choose([FLOAT64, INT32] + [FLOAT32] * (not w.double))))


def broadcast(w: Writer) -> None:
    if (x := w.pick(lambda x: x.ndim < 2)) is not None:
        if x.ndim == 0:
            w.bind("broadcast", x, shape=w.choose([(3,), (2, 3)]), dims=())
        else:
            first = w.flip()
            shape = (x.shape[0], 2) if first else (2, x.shape[0])
            w.bind("broadcast", x, shape=shape, dims=(0 if first else 1,))


def reshape(w: Writer) -> None:
    if (x := w.pick(lambda x: x.ndim > 0)) is not None:
        shapes = [x.shape[::-1], (x.type.size,), (1, x.type.size)]
        w.bind("reshape", x, shape=w.choose(shapes))


def permute(w: Writer) -> None:
    if (x := w.pick(lambda x: x.ndim == 2)) is not None:
        w.bind("permute", x, order=w.choose([(1, 0), (0, 1)]))


def reverse(w: Writer) -> None:
    if (x := w.pick(lambda x: x.ndim > 0)) is not None:
        w.bind("reverse", x, axes=w.axes(x))


def window(w: Writer) -> None:
    if (x := w.pick(lambda x: x.ndim > 0)) is not None:
        limit = tuple(w.draw(st.integers(1, n)) if n else 0 for n in x.shape)
        start = tuple(w.draw(st.integers(0, max(b - 1, 0))) for b in limit)
        w.bind("slice", x, start=start, limit=limit, stride=(w.choose([1, 1, 2]),) * x.ndim)


def pad(w: Writer) -> None:
    if (x := w.floats(lambda x: 0 < x.type.size <= 6)) is not None:
        sizes = [tuple(w.draw(st.integers(0, 1)) for _ in x.shape) for _ in range(3)]
        fill = w.like(array_type(x.dtype))
        w.bind("pad", x, fill, low=sizes[0], high=sizes[1], interior=sizes[2])


def concatenate(w: Writer) -> None:
    if (x := w.pick(lambda x: x.ndim > 0)) is not None:
        axis = w.draw(st.integers(0, x.ndim - 1))
        w.bind("concatenate", x, w.like(x.type), axis=axis)


def iota(w: Writer) -> None:
    shape = w.choose(SHAPES[1:])
    w.bind("iota", dtype=w.choose([INT32, FLOAT64]), shape=shape, axis=len(shape) - 1)


def reduce(w: Writer) -> None:
    if (x := w.floats(lambda x: x.ndim > 0)) is not None:
        w.bind(w.choose(REDUCTIONS), x, axes=w.axes(x))


def running(w: Writer) -> None:
    if (x := w.floats(lambda x: x.ndim > 0)) is not None:
        axis = w.draw(st.integers(0, x.ndim - 1))
        w.bind(w.choose(RUNNING), x, axis=axis, reverse=w.flip())


def extremum(w: Writer) -> None:
    if (x := w.floats(lambda x: x.ndim > 0 and x.type.size > 0)) is not None:
        axis = w.draw(st.integers(0, x.ndim - 1))
        w.bind(w.choose(["argmax", "argmin"]), x, axis=axis, dtype=INT32)


def sort(w: Writer) -> None:
    if (x := w.floats(lambda x: x.ndim > 0)) is not None:
        w.bind("sort", x, w.like(x.type), axis=x.ndim - 1, keys=1)


def dot(w: Writer) -> None:
    if (x := w.floats(lambda x: x.ndim > 0)) is not None:
        n = x.shape[-1]
        y = w.pick(lambda y: y.dtype == x.dtype and y.ndim > 0 and n in y.shape)
        if y is not None:
            contract = ((x.ndim - 1,), (y.shape.index(n),))
            w.take(contraction.dot(x, y, contract=contract, batch=((), ())))


def gather(w: Writer) -> None:
    if (x := w.floats(lambda x: x.ndim > 0 and x.shape[0] > 0)) is not None:
        indices = w.like(array_type(INT32, (3, 1)))
        y = indexing.gather(x, indices, axes=(0,), batch=0)
        w.take(y, indexing.scatter_add(x, indices, y, axes=(0,), batch=0))


def dynamic(w: Writer) -> None:
    if (x := w.floats(lambda x: x.ndim > 0 and 0 not in x.shape)) is not None:
        starts = [w.like(array_type(INT32)) for _ in x.shape]
        y = indexing.dynamic_slice(x, *starts, sizes=(1,) * x.ndim)
        w.take(y, indexing.dynamic_update_slice(x, y, *starts[::-1]))


def called(w: Writer) -> None:
    if (x := w.floats()) is not None:
        y = w.like(x.type)
        inner = w.body((x.type, y.type), (x.type, y.type.with_shape(())))
        w.take(*call(x, y, jaxpr=inner, name="f"))


def branches(w: Writer) -> None:
    if (x := w.floats()) is not None:
        y, index = w.like(x.type), w.like(array_type(INT32))
        results = (x.type, x.type.with_shape(()))
        w.take(*cond(index, x, y, branches=tuple(w.body((x.type, y.type), results) for _ in "ab")))


def loop(w: Writer) -> None:
    """A scan over the first axis: a carry, a constant, rows."""
    if (xs := w.floats(lambda x: x.ndim > 0)) is not None:
        row = xs.type.with_shape(without_axes(xs.shape, (0,)))
        carry, const = w.like(row), w.like(row)
        inner = w.body((row, row, row), (row, row.with_shape(())))
        w.take(*scan(const, carry, xs, jaxpr=inner, length=xs.shape[0], reverse=w.flip(),
                     num_consts=1, num_carry=1))  # fmt: skip


def while_loop(w: Writer) -> None:
    """Three turns, counted; no reverse mode, so only of what has no derivative."""
    if (x := w.pick(lambda x: x.dtype == INT32)) is not None:
        count = array_type(INT32)
        inner = w.body((x.type,), (x.type,))
        with building() as b:
            i, y = Var(count), Var(x.type)
            body_eqns = PRIMITIVES["call"].bind(y, jaxpr=inner, name="turn")
            body = b.finish((i, y), (i + 1, *body_eqns))
        with building() as b:
            i, y = Var(count), Var(x.type)
            condition = b.finish((i, y), (i < 3,))
        w.take(*while_(Literal(0, count), x, cond=condition, body=body,
                       num_cond_consts=0, num_body_consts=0))  # fmt: skip


HOLDERS = [called, branches, loop, while_loop]
MAKERS = [
    unary, unary, binary, binary, quotient, root, power, plane, integers, comparison, logic, choice,
    conversion, broadcast, reshape, permute, reverse, window, pad, concatenate, iota, reduce,
    running, extremum, sort, dot, gather, dynamic, *HOLDERS,
]  # fmt: skip


def _array(rng: np.random.Generator, type: ArrayType, wild: bool) -> np.ndarray:
    if type.dtype in FLOATS:
        values = rng.uniform(-2, 2, type.shape)
        if wild:
            values = np.where(rng.random(type.shape) < 0.4, rng.choice(SPECIAL, type.shape), values)
        return np.asarray(values, type.dtype)
    return np.asarray(rng.integers(0, 2 if type.dtype == BOOL else 4, type.shape), type.dtype)


@st.composite
def programs(draw: Any, *, most: int = 12, wild: bool = False, scalar: bool = False) -> Case:
    """Programs of up to `most` operations with three float inputs, an i32 index and a bool mask.

    scalar: the first result is one number, to take a gradient of, and all floats are f64, to
    compare it sharply.
    """
    w = Writer(draw, wild=wild, double=scalar)
    dtype = FLOAT64 if scalar else draw(st.sampled_from([FLOAT64, FLOAT64, FLOAT32]))
    shapes = [draw(st.sampled_from(SHAPES)) for _ in range(3)]
    types = [array_type(dtype, shape) for shape in shapes]
    types += [array_type(INT32), array_type(BOOL, shapes[0])]
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    invars = [Var(t) for t in types]
    arrays = tuple(_array(rng, t, wild) for t in types)
    w.values.update(zip(invars, arrays, strict=True))
    with building(w.builder):
        w.take(*invars)
        w.pool = list(invars)  # a wild input is an input
        w.write(draw(st.integers(1, most)))
        outs = w.pool[-draw(st.integers(1, 3)) :]
        if scalar:
            total = sum_of([x for x in w.pool[-4:] if x.dtype == dtype] or [invars[0]])
            outs = [total, *outs]
    return Case(w.builder.finish(invars, outs), arrays)


def sum_of(xs: Sequence[Atom]) -> Atom:
    """One number that depends on all of them."""
    first, *rest = [structure.reduce_sum(sin(x), axes=tuple(range(x.ndim))) for x in xs]
    for x in rest:
        first = first + x
    return first
