"""Halves become bits: floats of 16 bits are moved as unsigned integers, computed with as float32.

    %1: f16[n] = mul(%0, %0)        %1: f16[n] = bitcast(%0, dtype=f16)      %0: u16[n]
    %2: f16[9] = slice(%1, ..)  ->  %2: f32[n] = convert(%1, dtype=f32)
                                    %3: f32[n] = mul(%2, %2)
                                    %4: f16[n] = convert(%3, dtype=f16)
                                    %5: u16[n] = bitcast(%4, dtype=u16)
                                    %6: u16[9] = slice(%5, ..)

Needs: no calls (inline). Leaves: no half but between such a bitcast and such a conversion; each
operation that computes rounds once, as `ir/halves.py` says; fold, cse and dce find much to do.
Does not: change a program without halves, which is found by one look at its variables.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from tracejit.control.callback import callback_, pure_callback
from tracejit.control.custom_closure import constant
from tracejit.ir.atoms import Atom, Literal, Var
from tracejit.ir.builder import Builder, building
from tracejit.ir.graph import Equation, Jaxpr
from tracejit.ir.halves import computes, has_halves
from tracejit.ir.types import (
    FLOAT16,
    FLOAT32,
    FLOAT64,
    HALVES,
    UINT16,
    ArrayType,
)
from tracejit.ir.walk import held_jaxprs
from tracejit.ops import elementwise as ops
from tracejit.ops import structure
from tracejit.passes.held import Pass, through_held, with_held


def bits_of(x: Any) -> np.ndarray:
    """An array, one of halves as its bits."""
    array = np.asarray(x)
    return np.ascontiguousarray(array).view(UINT16) if array.dtype in HALVES else array


def holds_halves(jaxpr: Jaxpr) -> bool:
    """Whether a variable or a literal of a program, or of what it holds, is a half."""
    if has_halves(jaxpr.invars) or has_halves(jaxpr.outvars):
        return True
    for eqn in jaxpr.equations:
        if has_halves(eqn.outvars) or has_halves(eqn.inputs):
            return True
        if eqn.params and any(holds_halves(held) for _, held in held_jaxprs(eqn)):
            return True
    return False


@through_held
def widen(jaxpr: Jaxpr, inner: Pass) -> Jaxpr:
    """Take the halves out of a program: its inputs and results of halves are their bits."""
    if not holds_halves(jaxpr):
        return jaxpr
    builder = _Widened()
    with building(builder):
        for eqn in jaxpr.equations:
            builder.provenance = eqn.provenance
            builder.take(with_held(eqn, inner) if eqn.params else eqn)
        outs = [builder.moved(y) for y in jaxpr.outvars]
    return builder.finish([builder.bits_var(v) for v in jaxpr.invars], outs)


class _Widened(Builder):
    """Appends what equations become. bits, wide: what stands for a half, stored and as float32."""

    def __init__(self) -> None:
        super().__init__()
        self.bits: dict[Var, Var] = {}
        self.wide: dict[Atom, Atom] = {}

    def bits_var(self, v: Var) -> Var:
        """The variable of the bits of a half; any other variable itself."""
        if v.dtype not in HALVES:
            return v
        if v not in self.bits:
            self.bits[v] = Var(v.type.with_dtype(UINT16))
        return self.bits[v]

    def moved(self, x: Atom) -> Atom:
        """The bits of a half; any other atom itself."""
        if isinstance(x, Var) or x.dtype not in HALVES:
            return self.bits_var(x) if isinstance(x, Var) else x
        assert isinstance(x, Literal)
        number = np.asarray(x.value, x.dtype).view(UINT16)
        return Literal(int(number), x.type.with_dtype(UINT16))

    def computed(self, x: Atom) -> Atom:
        """A half as float32; any other atom itself."""
        if x.dtype not in HALVES:
            return x
        if isinstance(x, Literal):
            return Literal(x.value, x.type.with_dtype(FLOAT32))
        if x not in self.wide:
            self.wide[x] = ops.convert(ops.bitcast(self.moved(x), dtype=x.dtype), dtype=FLOAT32)
        return self.wide[x]

    def take(self, eqn: Equation) -> None:
        """Append what an equation becomes."""
        if not (has_halves(eqn.inputs) or has_halves(eqn.outvars)):
            self.equations.append(eqn)
        elif eqn.primitive in _SPECIAL:
            _SPECIAL[eqn.primitive](self, eqn, *eqn.inputs, **eqn.params)
        elif computes(eqn.primitive.name, eqn.params):
            outs = self.append(eqn, map(self.computed, eqn.inputs), FLOAT32)
            for v, y in zip(eqn.outvars, outs, strict=True):
                if y is not v:
                    self.round(y, v)
        else:
            self.append(eqn, map(self.moved, eqn.inputs))

    def append(
        self, eqn: Equation, inputs: Iterable[Atom], of: np.dtype = UINT16, **params: Any
    ) -> tuple[Var, ...]:
        """Append the equation on other operands; what was a half in its results is of this dtype,
        bits being those that the half has from here on."""
        outs = tuple([self._result(v, of) for v in eqn.outvars])
        params = eqn.params | params
        self.equations.append(Equation(eqn.primitive, tuple(inputs), params, outs, eqn.provenance))
        return outs

    def _result(self, v: Var, dtype: np.dtype) -> Var:
        if v.dtype not in HALVES or dtype == UINT16:
            return self.bits_var(v)
        return Var(v.type.with_dtype(dtype))

    def round(self, x: Atom, v: Var) -> None:
        """Let a half be x, rounded."""
        self.settle(v, ops.bitcast(ops.convert(x, dtype=v.dtype), dtype=UINT16))

    def settle(self, v: Var, bits: Atom) -> None:
        """Let a half be what has these bits."""
        assert isinstance(bits, Var)
        self.bits[v] = bits


# What neither moves nor computes.


def _convert(b: _Widened, eqn: Equation, x: Atom, *, dtype: np.dtype) -> None:
    """From float64 to float16 at once, as NumPy does it: by way of float32 it would round twice."""
    (v,) = eqn.outvars
    if dtype not in HALVES:
        b.append(eqn, (b.computed(x),))
    elif x.dtype == FLOAT64 and dtype == FLOAT16:
        b.round(x, v)
    else:
        b.round(ops.convert(b.computed(x), dtype=FLOAT32), v)


def _bitcast(b: _Widened, eqn: Equation, x: Atom, *, dtype: np.dtype) -> None:
    if dtype in HALVES:
        b.append(eqn, (b.moved(x),), dtype=UINT16)
    else:
        b.append(eqn, (b.moved(x),))


def _iota(b: _Widened, eqn: Equation, **params: Any) -> None:
    b.round(structure.iota(**params | {"dtype": FLOAT32}), eqn.outvars[0])


def _nextafter(b: _Widened, eqn: Equation, x: Atom, y: Atom) -> None:
    """One step in the order of the bits: away from 0 they grow; from 0 it is the smallest number
    with the sign of y."""
    (bits, toward), (wide, target) = map(b.moved, (x, y)), map(b.computed, (x, y))
    one, sign = (Literal(n, bits.type) for n in (1, 0x8000))
    nothing = Literal(0.0, wide.type)
    grows = ops.eq(ops.lt(wide, target), ops.gt(wide, nothing))
    stepped = ops.select(grows, ops.add(bits, one), ops.sub(bits, one))
    smallest = ops.or_(ops.and_(toward, sign), one)
    result = ops.select(ops.eq(wide, nothing), smallest, stepped)
    stays = ops.or_(ops.eq(wide, target), ops.ne(target, target))
    result = ops.select(stays, toward, result)
    b.settle(eqn.outvars[0], ops.select(ops.ne(wide, wide), bits, result))


def _constant(b: _Widened, eqn: Equation, *, value: Any) -> None:
    b.append(eqn, (), value=type(value)(bits_of(value.array)))


def _called(b: _Widened, eqn: Equation, *inputs: Atom, **params: Any) -> None:
    results = tuple([b.bits_var(v).type for v in eqn.outvars])
    takes = OnBits(params["callback"], [x.dtype for x in inputs], params["results"])
    b.append(eqn, map(b.moved, inputs), callback=takes, results=results)


class OnBits:
    """A callback that is handed the bits of its operands, and hands on those of its results."""

    def __init__(
        self, called: Any, dtypes: Sequence[np.dtype], results: Sequence[ArrayType]
    ) -> None:
        self.called, self.dtypes, self.results = called, dtypes, results
        self.__qualname__ = called.__qualname__

    def __call__(self, *arrays: Any, results: Sequence[ArrayType]) -> tuple[Any, ...]:
        seen = [
            np.asarray(x).view(dtype) if dtype in HALVES else x
            for x, dtype in zip(arrays, self.dtypes, strict=True)
        ]
        return tuple([bits_of(y) for y in self.called(*seen, results=self.results)])


_SPECIAL: dict[Any, Callable[..., None]] = {
    ops.convert: _convert, ops.bitcast: _bitcast, structure.iota: _iota,
    ops.nextafter: _nextafter, constant: _constant, callback_: _called, pure_callback: _called,
}  # fmt: skip
