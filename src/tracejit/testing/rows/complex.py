"""Rows with complex operands, of every primitive that takes them.

Domains keep away from branch cuts where derivatives are compared with differences; on the cuts
there are values alone, which have the sides that the signs of zeros say.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np

from tracejit.control.callback import callback_, pure_callback
from tracejit.control.custom import custom_jvp_call
from tracejit.control.remat import barrier, name
from tracejit.control.scan import scan
from tracejit.ir.atoms import Atom, Literal
from tracejit.ir.primitive import Primitive
from tracejit.ir.types import COMPLEX64, COMPLEX128, DTYPES
from tracejit.ops import complex as parts
from tracejit.ops import contraction as products
from tracejit.ops import elementwise as ops
from tracejit.ops import indexing, reduction
from tracejit.ops import structure as moves
from tracejit.testing.domains import (
    Arg,
    Domain,
    booleans,
    exactly,
    integers,
    plane,
    reals,
    ring,
    splat,
)
from tracejit.testing.rows import callback, contraction, control, custom, structure
from tracejit.testing.rows import indexing as places
from tracejit.testing.rows import reduction as sums
from tracejit.testing.samples import Sample

SHAPES = ("c128[]", "c128[7]", "c128[0]", "c64[2,1,3]")
SQUARE, RIGHT = plane(reals(-2, 2)), plane(reals(0.2, 2), reals(-2, 2))
ANYWHERE, OFF_CUT = ring(0.3, 2.0), ring(0.3, 2.0, 3.0)
#: Between the cuts of the inverse functions, which lie on the axes beyond 1.
INSIDE = ring(0.1, 0.8)

#: Functions of one complex number: the domain, and the units in the last place between libraries.
UNARY: dict[Primitive, tuple[Domain, int]] = {
    ops.neg: (SQUARE, 0), ops.abs: (ANYWHERE, 2), ops.sign: (ANYWHERE, 4), ops.square: (SQUARE, 4),
    ops.sqrt: (OFF_CUT, 4), ops.rsqrt: (OFF_CUT, 8), ops.exp: (SQUARE, 4), ops.exp2: (SQUARE, 8),
    ops.expm1: (SQUARE, 8), ops.log: (ring(1.2, 3.0, 3.0), 4), ops.log2: (ring(1.2, 3.0, 3.0), 8),
    ops.log10: (ring(1.2, 3.0, 3.0), 8), ops.log1p: (RIGHT, 8), ops.logistic: (RIGHT, 16),
    ops.sin: (SQUARE, 8), ops.cos: (SQUARE, 8), ops.tan: (INSIDE, 16), ops.sinh: (SQUARE, 8),
    ops.cosh: (SQUARE, 8), ops.tanh: (INSIDE, 16), ops.asin: (INSIDE, 8), ops.acos: (INSIDE, 8),
    ops.atan: (INSIDE, 8), ops.asinh: (INSIDE, 8), ops.acosh: (RIGHT, 8), ops.atanh: (INSIDE, 8),
    ops.stop_gradient: (SQUARE, 0), parts.real: (SQUARE, 0), parts.imag: (SQUARE, 0),
    parts.conj: (SQUARE, 0),
}  # fmt: skip
BINARY: dict[Primitive, tuple[Domain, Domain, int]] = {
    ops.add: (SQUARE, SQUARE, 0), ops.sub: (SQUARE, SQUARE, 0), ops.mul: (SQUARE, SQUARE, 4),
    ops.div: (SQUARE, ANYWHERE, 8), ops.pow: (OFF_CUT, plane(reals(-1, 1)), 64),
}  # fmt: skip
#: Functions that jump across a line.
CUT = (
    ops.sqrt, ops.log, ops.log1p, ops.asin, ops.acos, ops.atan, ops.asinh, ops.acosh, ops.atanh,
)  # fmt: skip


INFINITE_AT_ONE = (ops.log1p, ops.atan, ops.atanh)


def _elementwise() -> Iterator[Sample]:
    for primitive, (domain, ulps) in UNARY.items():
        smooth = primitive is not ops.stop_gradient
        for type in SHAPES:
            yield Sample(primitive, (domain(type),), ulps=ulps, smooth=smooth)
    for primitive, (x, y, ulps) in BINARY.items():
        for type in SHAPES:
            yield Sample(primitive, (x(type), y(type)), ulps=ulps)
        yield Sample(primitive, (x("c128[4]"), splat(1.5 - 0.5j, "c128[4]")), ulps=ulps)
    for n in (-2, -1, 0, 1, 2, 3, 7):
        yield Sample(ops.integer_pow, (ANYWHERE("c128[7]"),), {"n": n}, ulps=64)
    yield Sample(ops.integer_pow, (ANYWHERE("c64[3]"),), {"n": 3}, ulps=16)
    for type in ("f64[]", "f64[7]", "f64[0]", "f32[2,1,3]"):
        yield Sample(parts.complex, (reals(-2, 2)(type), reals(-2, 2)(type)), ulps=0)
    zero = exactly([0.0, -0.0, 1 + 0j, 0j], "c128")
    for primitive in (ops.abs, ops.sign, ops.square, ops.exp, parts.conj):
        yield Sample(primitive, (zero,), smooth=False, note="at zero")


def on_the_cuts(ends: tuple[float, ...]) -> Arg:
    """Points of the axes, reached from both sides."""
    values = [complex(a * x, b * 0.0) for x, a, b in product(ends, (1, -1), (1.0, -1.0))]
    ends = ends[0], ends[-1]
    values += [complex(b * 0.0, a * x) for x, a, b in product(ends, (1, -1), (1.0, -1.0))]
    return exactly(values, "c128")


def _choices() -> Iterator[Sample]:
    for primitive in CUT:
        ends = (0.5, 2.0) if primitive in INFINITE_AT_ONE else (0.5, 1.0, 2.0)
        yield Sample(
            primitive, (on_the_cuts(ends),), ulps=8, smooth=False,
            needs=frozenset({"signed zeros"}), note="on the cuts",
        )  # fmt: skip
    for primitive in (ops.eq, ops.ne):
        few = plane(integers(0, 1))
        for type in ("c128[9]", "c64[2,3]", "c128[]"):
            yield Sample(primitive, (few(type), few(type)), ulps=0)
    odd = exactly([np.nan, complex(0, np.nan), complex(np.inf, 0), 1 + 1j], "c128")
    yield Sample(ops.is_finite, (odd,), ulps=0)
    yield Sample(ops.ne, (odd, odd), ulps=0, note="itself")
    for type in ("c128[2,3]", "c64[5]", "c128[]"):
        condition = booleans()("bool" + type[type.index("[") :])
        yield Sample(ops.select, (condition, SQUARE(type), SQUARE(type)), ulps=0)
    yield Sample(ops.keep_zeros, (SQUARE("c128[5]"), SQUARE("c128[5]")), ulps=0)
    for x, target in (("f64[5]", COMPLEX128), ("f32[5]", COMPLEX128), ("f64[5]", COMPLEX64)):
        params = {"dtype": target}
        yield Sample(ops.convert, (reals(-2, 2)(x),), params, ulps=0, note="to complex")
    for x, name_ in (("c128[5]", "c64"), ("c64[5]", "c128"), ("c128[5]", "f64"), ("c64[5]", "f32")):
        params = {"dtype": DTYPES[name_]}
        yield Sample(ops.convert, (SQUARE(x),), params, ulps=0, note="between floats")


# Rows of other families, with complex numbers for their floats


def _as_complex(row: Sample) -> Sample | None:
    """The row with complex operands; None for one without floats, or of few that say no more."""
    if row.note in ("specials", "wraps around") or not row.smooth:
        return None
    args = tuple(map(_complex_operand, row.args))
    params = {
        key: COMPLEX128 if value == np.dtype(float) else value for key, value in row.params.items()
    }
    if args == row.args and params == row.params:
        return None
    return replace(row, args=args, params=params, ulps=4 * row.ulps, note=f"{row.note} of c")


def _complex_operand(arg: Arg) -> Arg:
    whole = {"f64": "c128", "f32": "c64"}.get(str(arg.type).split("[")[0])
    if whole is None:
        return arg
    type = arg.type.with_dtype(DTYPES[whole])
    if arg.splat is not None:
        return Arg(type, arg.draw, arg.splat)
    domain = plane(Domain(arg.draw))
    return Arg(type, domain.draw)


#: Operations whose rows are repeated with complex operands, and how many of the rows.
REPEATED: dict[Primitive, int] = {
    moves.broadcast: 4, moves.reduce_sum: 8, moves.reshape: 3, moves.permute: 3, moves.reverse: 2,
    moves.slice: 3, moves.pad: 4, moves.concatenate: 3, moves.iota: 1, reduction.reduce_prod: 8,
    reduction.cumsum: 3, reduction.cumprod: 3, products.dot: 12, indexing.gather: 4,
    indexing.scatter: 4, indexing.scatter_add: 6, indexing.scatter_mul: 6,
    indexing.dynamic_slice: 3, indexing.dynamic_update_slice: 3, barrier: 1, name: 1,
}  # fmt: skip


def _repeated(rows: Iterable[Sample]) -> Iterator[Sample]:
    left = dict(REPEATED)
    for row in rows:
        if left.get(row.primitive, 0) and (found := _as_complex(row)) is not None:
            left[row.primitive] -= 1
            yield found


def _bodies() -> Iterator[Sample]:
    """Operations that hold jaxprs, and a sort that carries complex numbers along."""

    def recurrence(c: Atom, s: Atom, x: Atom) -> list[Atom]:
        after = ops.sin(s * c) + x
        return [after, after * parts.conj(s), ops.abs(after)]

    for reverse in (False, True):
        params: dict[str, Any] = {
            "jaxpr": control.body("c128[] c128[] c128[]", recurrence), "reverse": reverse,
            "length": 4, "num_consts": 1, "num_carry": 1,
        }  # fmt: skip
        small = plane(reals(-0.5, 0.5))
        args: tuple[Arg, ...] = (small("c128[]"), small("c128[]"), small("c128[4]"))
        yield Sample(scan, args, params, ulps=64, scale=1.0, note="complex")
    layer = control.body("c128[3] f64[3]", lambda z, x: [ops.exp(z) * _whole(x), parts.real(z)])
    params = {"jaxpr": layer, "rule": custom.Honest(layer), "num_consts": 0, "name": "complex"}
    args = (SQUARE("c128[3]"), reals(-1, 1)("f64[3]"))
    yield Sample(custom_jvp_call, args, params, ulps=8, has_text=False)
    yield Sample(control.call, args, {"jaxpr": layer, "name": "complex"}, ulps=8)
    branches = tuple(
        control.body("c128[2]", f)
        for f in (lambda z: [z * z], lambda z: [parts.conj(z)], lambda z: [Literal(1j, z.type)])
    )
    for index in range(3):
        args = (exactly(index, "i64"), SQUARE("c128[2]"))
        yield Sample(control.cond, args, {"branches": branches}, ulps=8, note=f"complex {index}")
    keys = (integers(0, 3)("i64[9]"), SQUARE("c128[9]"))
    yield Sample(reduction.sort, keys, {"axis": 0, "keys": 1}, ulps=0, note="complex values")
    for primitive, extra in ((callback_, {}), (pure_callback, {"vmap_method": "sequential"})):
        yield callback.called(
            primitive, lambda z: (z.conj(), abs(z)), "c128[3]", "c128[3] f64[3]", **extra
        )


def _whole(x: Atom) -> Atom:
    return parts.complex(x, -x)


ROWS: tuple[Sample, ...] = (
    *_elementwise(),
    *_choices(),
    *_repeated((
        *structure.ROWS, *sums.ROWS, *contraction.ROWS, *places.ROWS, *control.ROWS,
    )),
    *_bodies(),
)  # fmt: skip
