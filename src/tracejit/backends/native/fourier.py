"""FFTs: rows of complex numbers, transformed by Stockham's algorithm (autosort: no bit reversal).

A row of n = r m points is read as r parts of m. Each stage takes a radix r out of what is left,

    y[q + s (r p + j)] = w^(j p) sum_k x[q + s (p + k m)] w_r^(j k),    w = e^(-2 pi i / (r m)),

for p < m and q < s, where s is the product of the radices before (Van Loan, Computational
Frameworks for the Fast Fourier Transform, 1992, 1.7). Lanes run along q, which lies together on
both sides; in the first stage, where s is 1, along p, and what goes to y is interleaved.

Between stages real and imaginary parts lie apart. In memory they alternate: the first stage takes
them apart, the last one puts them together. Real rows of even length are rows of complex numbers of
half of it, with a pass over the result (`_untangle`) or the operand (`_tangle`) that separates what
even and odd places came to. An inverse exchanges the parts on both sides, and divides in the end.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tracejit.backends.native.butterflies import Point, butterfly, times
from tracejit.backends.native.elementwise import memory_type
from tracejit.backends.native.emit import I64, PTR, VOID, Function, Module, Type, Value, constant
from tracejit.backends.native.linalg import NOTHING
from tracejit.backends.native.lowering import LOWERINGS, Choice, Statement
from tracejit.backends.native.nest import Buffer
from tracejit.backends.native.program import inverse_order
from tracejit.ir.graph import Equation
from tracejit.ir.types import COMPLEX_OF, PART_OF, array_type
from tracejit.ops import fourier as ops
from tracejit.passes.pairs.fourier import radices_of

#: Bytes of a vector.
VECTOR = 64


@dataclass(frozen=True)
class Apart:
    """Rows of parts: real ones at one address, imaginary ones at another."""

    re: Value
    im: Value

    def load(self, b: Function, type: Type, at: Value) -> Point:
        lane = type.scalar
        return Point(
            b.load(type, b.offset(self.re, at, lane), lane.bytes),
            b.load(type, b.offset(self.im, at, lane), lane.bytes),
        )

    def store(self, b: Function, x: Point, at: Value) -> None:
        lane = x.re.type.scalar
        b.store(x.re, b.offset(self.re, at, lane), lane.bytes)
        b.store(x.im, b.offset(self.im, at, lane), lane.bytes)


@dataclass(frozen=True)
class Together:
    """A row of complex numbers; exchanged: the imaginary part comes first."""

    row: Value
    exchanged: bool = False

    def load(self, b: Function, type: Type, at: Value) -> Point:
        lane, n = type.scalar, type.lanes
        address = b.offset(self.row, b.add(at, at), lane)
        both = b.load(type.vector(2 * n), address, lane.bytes)
        if n == 1:
            parts = b.extract(both, 0), b.extract(both, 1)
        else:
            picks = list(range(0, 2 * n, 2)), list(range(1, 2 * n, 2))
            parts = b.shuffle(both, None, picks[0]), b.shuffle(both, None, picks[1])
        return Point(*(parts[::-1] if self.exchanged else parts))

    def store(self, b: Function, x: Point, at: Value) -> None:
        first, second = x[::-1] if self.exchanged else x
        lane, n = first.type.scalar, first.type.lanes
        address = b.offset(self.row, b.add(at, at), lane)
        if n == 1:
            b.store(first, address, lane.bytes)
            b.store(second, b.offset(address, 1, lane), lane.bytes)
        else:
            both = b.shuffle(first, second, [i + n * odd for i in range(n) for odd in (0, 1)])
            b.store(both, address, lane.bytes)


Row = Apart | Together


def complex_rows(module: Module, lane: Type, n: int, inverse: bool) -> str:
    """A function (source, result, work): the transform of a row of n complex numbers. `work` has
    room for 4 n parts."""
    name = f"fft.{lane.suffix}.{n}{'.inverse' if inverse else ''}"
    if not module.has(name):
        b = module.function(name, VOID, [PTR] * 3, internal=True)
        source, result, work = b.args
        rows = Together(source, inverse), Together(result, inverse)
        _stages(b, lane, n, *rows, work, 1 / n if inverse else 1.0)
        b.ret()
    return name


def forward_real_rows(module: Module, lane: Type, n: int) -> str:
    """A function (source, result, work): n real numbers to n // 2 + 1 complex ones."""
    name = f"rfft.{lane.suffix}.{n}"
    if not module.has(name):
        b = module.function(name, VOID, [PTR] * 3, internal=True)
        source, result, work = b.args
        if n % 2:
            spread, last = _half(b, lane, work, n, 2), _half(b, lane, work, n, 3)
            _widened(b, lane, source, spread, n)
            _stages(b, lane, n, spread, last, work, 1.0)
            _each(b, n // 2 + 1, lambda k: Together(result).store(b, last.load(b, lane, k), k))
        else:
            last = _half(b, lane, work, n // 2, 2)
            _stages(b, lane, n // 2, Together(source), last, work, 1.0)
            _untangle(b, lane, n // 2, last, Together(result))
        b.ret()
    return name


def inverse_real_rows(module: Module, lane: Type, n: int) -> str:
    """A function (source, result, work): n // 2 + 1 complex numbers to n real ones."""
    name = f"irfft.{lane.suffix}.{n}"
    if not module.has(name):
        b = module.function(name, VOID, [PTR] * 3, internal=True)
        source, result, work = b.args
        m = n if n % 2 else n // 2
        spread, last = _half(b, lane, work, m, 2), _half(b, lane, work, m, 3)
        exchanged = Apart(spread.im, spread.re)
        if n % 2:
            _mirrored(b, lane, Together(source), spread, n)
            _stages(b, lane, n, exchanged, last, work, 1 / n)
            _each(b, n, lambda k: b.store(
                b.load(lane, b.offset(last.im, k, lane)), b.offset(result, k, lane)
            ))  # fmt: skip
        else:
            _tangle(b, lane, m, Together(source), spread)
            _stages(b, lane, m, exchanged, Together(result, exchanged=True), work, 1 / m)
        b.ret()
    return name


def _half(b: Function, lane: Type, work: Value, n: int, number: int) -> Apart:
    """One of the four rows of n points, parts apart, that there is room for."""
    return Apart(
        b.offset(work, 2 * number * n, lane), b.offset(work, (2 * number + 1) * n, lane)
    )


# Stages


def _stages(
    b: Function, lane: Type, n: int, source: Row, result: Row, work: Value, scale: float
) -> None:
    """All stages, through the first two rows of `work` in turns."""
    radices = radices_of(n)
    left, span = n, 1
    between = [_half(b, lane, work, n, number) for number in (0, 1)]
    for i, radix in enumerate(radices):
        left //= radix
        last = i == len(radices) - 1
        target = result if last else between[i % 2]
        _stage(b, lane, radix, left, span, source, target, scale if last else 1.0)
        source, span = target, span * radix


def _stage(
    b: Function, lane: Type, radix: int, left: int, span: int, source: Row, target: Row,
    scale: float,
) -> None:  # fmt: skip
    """Take a radix out of `left` times it; `span` is the product of those before."""
    widest = VECTOR // lane.bytes
    lanes = min(widest, 1 << (span.bit_length() - 1))
    if span == 1 and left >= widest and radix & (radix - 1) == 0:
        _first_stage(b, lane.vector(widest), radix, left, source, target)
        return
    type = lane.vector(lanes)
    factors = _factors(radix, left)
    parts = [part for row in factors for z in row for part in (z.real, z.imag)]
    table = b.module.table(lane, parts)

    def along(p: Value) -> None:
        known = [
            Point(*[
                b.splat(b.load(lane, b.offset(table, b.add(
                    b.mul(p, constant(I64, 2 * (radix - 1))), constant(I64, 2 * j + part)
                ), lane)), lanes)
                for part in (0, 1)
            ])
            for j in range(radix - 1)
        ] if left > 1 else []  # fmt: skip

        def across(q: Value) -> None:
            here = b.add(q, b.mul(p, constant(I64, span)))
            xs = [
                source.load(b, type, b.add(here, constant(I64, span * k * left)))
                for k in range(radix)
            ]
            there = b.add(q, b.mul(p, constant(I64, span * radix)))
            for j, y in enumerate(butterfly(b, xs)):
                if j and known:
                    y = times(b, y, *known[j - 1])
                if scale != 1.0:
                    y = Point(*[b.mul(part, b.like(part, scale)) for part in y])
                target.store(b, y, b.add(there, constant(I64, span * j)))

        _blocks(b, 0, span, lanes, across)

    _each(b, left, along)


def _factors(radix: int, left: int) -> list[list[complex]]:
    """w^(j p) for each p, and each j but 0."""
    n = radix * left
    return [[_root(j * p, n) for j in range(1, radix)] for p in range(left)]


def _root(k: int, n: int) -> complex:
    """e^(-2 pi i k / n), exact where it can be: from an angle of at most 45 degrees."""
    eighth, rest = divmod(8 * (k % n), n)
    angle = 2 * math.pi * rest / (8 * n)
    if eighth % 2:
        angle = math.pi / 4 - angle
    c, s = math.cos(angle), math.sin(angle)
    x, y = (c, s) if eighth in (0, 3, 4, 7) else (s, c)
    return complex(x if eighth in (0, 1, 6, 7) else -x, -y if eighth < 4 else y)


def _first_stage(
    b: Function, type: Type, radix: int, left: int, source: Row, target: Row
) -> None:
    """Where the span is 1 lanes run along p, and results are interleaved."""
    lane, lanes = type.scalar, type.lanes
    roots = [[_root(j * p, radix * left) for p in range(left)] for j in range(1, radix)]
    tables = [
        (b.module.table(lane, [z.real for z in row]), b.module.table(lane, [z.imag for z in row]))
        for row in roots
    ]

    def along(p: Value) -> None:
        xs = [source.load(b, type, b.add(p, constant(I64, k * left))) for k in range(radix)]
        ys = butterfly(b, xs)
        for j, (re, im) in enumerate(tables, 1):
            ys[j] = times(b, ys[j], *Apart(re, im).load(b, type, p))
        real, imaginary = (_interleaved(b, list(parts)) for parts in zip(*ys, strict=True))
        there = b.mul(p, constant(I64, radix))
        for i, (re, im) in enumerate(zip(real, imaginary, strict=True)):
            target.store(b, Point(re, im), b.add(there, constant(I64, i * lanes)))

    _blocks(b, 0, left, lanes, along)


def _interleaved(b: Function, xs: Sequence[Value]) -> list[Value]:
    """One lane of each in turns: as many vectors, to be written one behind the other."""
    if len(xs) == 1:
        return list(xs)
    n = xs[0].type.lanes
    low = [i // 2 + n * (i % 2) for i in range(n)]
    high = [i + n // 2 for i in low]
    pairs = zip(_interleaved(b, xs[::2]), _interleaved(b, xs[1::2]), strict=True)
    return [b.shuffle(x, y, lanes) for x, y in pairs for lanes in (low, high)]


# Real rows


def _untangle(b: Function, lane: Type, m: int, z: Apart, result: Row) -> None:
    """x_k = e_k + w^k o_k for k <= m, with e and o, the transforms of even and of odd places, the
    parts of z that are those of real numbers: 2 e_k = z_k + conj(z_(m-k)), 2 i o_k = z_k - that."""
    half = 0.5

    def mix(type: Type, here: Point, there: Point, w: Point) -> Point:
        total = Point(b.add(here.re, there.re), b.sub(here.im, there.im))
        odd = Point(b.add(here.im, there.im), b.sub(there.re, here.re))
        y = times(b, odd, w.re, w.im)
        return Point(*[
            b.mul(b.add(x, part), b.like(x, half)) for x, part in zip(total, y, strict=True)
        ])  # fmt: skip

    first = z.load(b, lane, constant(I64, 0))
    nothing = constant(lane, 0.0)
    result.store(b, Point(b.add(first.re, first.im), nothing), constant(I64, 0))
    result.store(b, Point(b.sub(first.re, first.im), nothing), constant(I64, m))
    _mirrored_blocks(b, lane, m, z, result, mix)


def _tangle(b: Function, lane: Type, m: int, x: Row, result: Apart) -> None:
    """z_k = e_k + i o_k, with 2 e_k = x_k + conj(x_(m-k)) and 2 o_k = w^-k (x_k - that)."""

    def mix(type: Type, here: Point, there: Point, w: Point) -> Point:
        even = Point(b.add(here.re, there.re), b.sub(here.im, there.im))
        rest = Point(b.sub(here.re, there.re), b.add(here.im, there.im))
        odd = times(b, rest, w.re, b.neg(w.im))
        return Point(
            b.mul(b.sub(even.re, odd.im), b.like(even.re, 0.5)),
            b.mul(b.add(even.im, odd.re), b.like(even.im, 0.5)),
        )

    first, last = (x.load(b, lane, constant(I64, k)).re for k in (0, m))
    half = constant(lane, 0.5)
    ends = Point(b.mul(b.add(first, last), half), b.mul(b.sub(first, last), half))
    result.store(b, ends, constant(I64, 0))
    _mirrored_blocks(b, lane, m, x, result, mix)


def _mirrored_blocks(
    b: Function, lane: Type, m: int, source: Row, result: Row,
    mix: Callable[[Type, Point, Point, Point], Point],
) -> None:  # fmt: skip
    """result_k = mix(source_k, source_(m-k), w^k) for 0 < k < m."""
    if m == 1:
        return
    lanes = min(VECTOR // lane.bytes, 1 << ((m - 1).bit_length() - 1))
    type = lane.vector(lanes)
    roots = [_root(k, 2 * m) for k in range(m)]
    table = Apart(
        b.module.table(lane, [z.real for z in roots]), b.module.table(lane, [z.imag for z in roots])
    )
    back = list(range(lanes))[::-1]

    def body(k: Value) -> None:
        here = source.load(b, type, k)
        there = source.load(b, type, b.sub(constant(I64, m - lanes + 1), k))
        if lanes > 1:
            there = Point(*[b.shuffle(part, None, back) for part in there])
        result.store(b, mix(type, here, there, table.load(b, type, k)), k)

    _blocks(b, 1, m, lanes, body)


def _widened(b: Function, lane: Type, source: Value, target: Apart, n: int) -> None:
    """Real numbers as complex ones."""

    def body(k: Value) -> None:
        x = b.load(lane, b.offset(source, k, lane))
        target.store(b, Point(x, constant(lane, 0.0)), k)

    _each(b, n, body)


def _mirrored(b: Function, lane: Type, source: Row, target: Apart, n: int) -> None:
    """All n points of which the first n // 2 + 1 are given, n odd: the others are conjugates."""

    def body(k: Value) -> None:
        x = source.load(b, lane, k)
        target.store(b, x, k)
        target.store(b, Point(x.re, b.neg(x.im)), b.sub(constant(I64, n), k))

    first = source.load(b, lane, constant(I64, 0))
    target.store(b, Point(first.re, constant(lane, 0.0)), constant(I64, 0))
    _blocks(b, 1, n // 2 + 1, 1, body)


# Loops


def _each(b: Function, count: int, body: Callable[[Value], None]) -> None:
    """body(i) for i < count."""
    _blocks(b, 0, count, 1, body)


def _blocks(
    b: Function, start: int, stop: int, lanes: int, body: Callable[[Value], None]
) -> None:
    """body(i) for i = start, start + lanes ... The last block ends at `stop`, so that it may have a
    part of the one before, which is written again alike."""
    count = -(-(stop - start) // lanes)
    if count <= 0:
        return
    if count == 1:
        body(constant(I64, start))
        return
    before, loop, after = b.here, b.block("loop"), b.block("after")
    b.branch(loop)
    b.at(loop)
    i = b.phi(I64)
    i.add(constant(I64, start), before)
    at = i.value
    if (stop - start) % lanes:
        end = constant(I64, stop - lanes)
        at = b.select(b.less(at, end), at, end)
    body(at)
    following = b.add(i.value, constant(I64, lanes))
    i.add(following, b.here)
    b.branch_if(b.less(following, constant(I64, stop)), loop, after)
    b.at(after)


# The lowering


def _transform(program: Any, eqn: Equation) -> None:
    """One axis after the other; rows that do not lie together are copied together first."""
    (x,), (out,) = eqn.inputs, eqn.outvars
    current, result = program.buffer(x), program.allocate(out)
    steps = _steps(eqn.params["kind"], eqn.params["lengths"])
    for i, (axis, kind, n) in enumerate(steps):
        axis += x.ndim
        shape = (*current.shape[:axis], _points(kind, n), *current.shape[axis + 1 :])
        type = array_type(out.dtype if kind == "irfft" else COMPLEX_OF.get(x.dtype, x.dtype), shape)
        target = result if i == len(steps) - 1 else program.scratch(type)
        order = (*(a for a in range(x.ndim) if a != axis), axis)
        if axis == x.ndim - 1:
            _rows(program, current, target, kind, n)
        else:
            rows = _together(program, current, order)
            turned = program.scratch(type.with_shape(tuple(shape[a] for a in order)))
            _rows(program, rows, turned, kind, n)
            program.move(turned.permuted(inverse_order(order)), target)
        current = target
    program.settle(out, result)


def _steps(kind: str, lengths: Sequence[int]) -> list[tuple[int, str, int]]:
    """Axis (from the end), kind and length of each: real numbers first or last."""
    axes = [(i - len(lengths), n) for i, n in enumerate(lengths)]
    whole = {"rfft": "fft", "irfft": "ifft"}.get(kind, kind)
    steps = [(axis, whole, n) for axis, n in axes]
    steps[-1] = (-1, kind, lengths[-1])
    return steps if kind == "irfft" else steps[::-1]


def _points(kind: str, n: int) -> int:
    return n // 2 + 1 if kind == "rfft" else n


def _together(program: Any, buffer: Buffer, order: Sequence[int]) -> Buffer:
    """A copy with the axes in another order."""
    turned = buffer.permuted(order)
    result = program.scratch(array_type(buffer.dtype, turned.shape))
    program.move(turned, result)
    return result


def _rows(program: Any, source: Buffer, target: Buffer, kind: str, n: int) -> None:
    """The transforms of all rows along the last axis."""
    fn: Function = program.fn
    part = np.dtype(PART_OF.get(source.dtype, source.dtype))
    lane = memory_type(part)
    name = _function(fn.module, lane, kind, n)
    work = program.scratch(array_type(part, (8 * n,))).pointer

    def body(i: Value) -> None:
        rows = [
            fn.offset(x.pointer, fn.mul(i, constant(I64, x.shape[-1])), x.lane)
            for x in (source, target)
        ]
        fn.call(name, VOID, [*rows, work])

    program.repeat(math.prod(source.shape[:-1]), body)


def _function(module: Module, lane: Type, kind: str, n: int) -> str:
    if kind == "rfft":
        return forward_real_rows(module, lane, n)
    if kind == "irfft":
        return inverse_real_rows(module, lane, n)
    return complex_rows(module, lane, n, kind == "ifft")


def _choose(eqn: Equation) -> Statement:
    return _STATEMENT if eqn.inputs[0].type.size and eqn.outvars[0].type.size else NOTHING


_STATEMENT = Statement(_transform)

LOWERINGS.rows(__name__, {ops.fft: Choice(_choose)})
