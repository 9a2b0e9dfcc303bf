"""Primitives: one constructor call holds an operation's mathematics.

A primitive has five duties. A missing one is a TypeError when the module is imported.

typing(*types, **params) -> tuple of types
    The types of the results; raises ShapeError or DTypeError for operands that do not fit.
evaluate(*arrays, **params) -> array, or a tuple where the primitive is not `single`
    The value, by NumPy: the meaning that every backend has to match.
jvp
    `Derivatives(partials)`, `Linear(operands)`, `ZERO`, `Joint(rule)`, or a function
    (primals, tangents, outs, **params) -> tuple of tangents.
    A tangent may be a zero literal; `outs` are the results for the primals, already bound.
transpose(cts, inputs, **params) -> tuple with a cotangent, or None, for each input
    For linear operations. Inputs that are transposed are `Unknown(type)`, the others atoms.
batch
    `POINTWISE`, or a function (size, inputs, batched, **params) -> tuple of results.
    Batched inputs have the batch as axis 0; so have all results.

Operations that hold jaxprs have `split` too (see transforms/linearize.py). Two facts that the
transpose uses: `masks` (a cotangent it passes back may be a zero that has to stay one, as behind
`select`), `scales` (its transpose multiplies the cotangent by a known value). `effects` says
"ordered" of what does something beside computing its results (see effects.py).
Constructors for the common kinds: `unary`, `binary`, `predicate`, `elementwise`, `linear`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from tracejit.errors import DTypeError, ShapeError
from tracejit.ir.atoms import Atom, Literal, Var, is_zero, zero
from tracejit.ir.current import current
from tracejit.ir.halves import computes, has_halves, widened
from tracejit.ir.types import BOOL, FLOATS, INTEGERS, ArrayType, Dtypes, tangent_type, type_of


@dataclass(frozen=True, slots=True)
class Derivatives:
    """Partial derivatives, as data: one function (*inputs, out, **params) -> atom for each input.

    None stands for a derivative that is zero everywhere.
    """

    partials: tuple[Callable[..., Atom] | None, ...]


@dataclass(frozen=True, slots=True)
class Linear:
    """Linear, jointly, in the operands at these positions (None: in all of them)."""

    operands: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class Joint:
    """Makes results and tangents at once: rule(primals, tangents, **params) -> (outs, ts)."""

    rule: Callable[..., tuple[Sequence[Atom], Sequence[Atom]]]


class Zero:
    """The derivative vanishes wherever it exists."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """Stands for a linear input while an equation is transposed."""

    type: ArrayType

    @property
    def ndim(self) -> int:
        return len(self.type.shape)


class Pointwise:
    """Works element by element: batching only broadcasts the unbatched operands."""


ZERO, POINTWISE = Zero(), Pointwise()

#: Of so many types of operands each primitive remembers the type of the result.
_REMEMBERED = 1024

Jvp = Derivatives | Linear | Joint | Zero | Callable[..., Sequence[Atom]]
Typing = Callable[..., tuple[ArrayType, ...]]


class Primitive:
    """An operation of the language. Calling it with atoms binds it in the current builder."""

    registry: ClassVar[dict[str, Primitive]] = {}

    def __init__(
        self,
        name: str,
        *,
        typing: Typing,
        evaluate: Callable[..., Any],
        jvp: Jvp,
        batch: Pointwise | Callable[..., Sequence[Atom]],
        transpose: Callable[..., Sequence[Atom | None]] | None = None,
        single: bool = True,
        defaults: dict[str, Any] | None = None,
        split: Callable[..., Any] | None = None,
        scales: bool = False,
        masks: bool = False,
        effects: str = "none",
        doc: str = "",
    ):
        if isinstance(jvp, Linear) and transpose is None:
            raise TypeError(f"{name} is linear, so it needs a transpose rule")
        if name in self.registry:
            raise TypeError(f"there is a primitive {name} already")
        if effects not in ("none", "ordered"):
            raise TypeError(f"{name}: effects are 'none' or 'ordered', not {effects!r}")
        self.name = name
        self.typing = typing
        self._evaluate = evaluate
        self.jvp = jvp
        self.transpose = transpose
        self.batch = batch
        self.single = single
        self.defaults = defaults or {}
        self.split = split
        self.scales = scales
        self.masks = masks
        self._types: dict[tuple[int, int], tuple[ArrayType, tuple[ArrayType, ...]]] = {}
        self.is_pointwise = isinstance(batch, Pointwise)
        self.effects = effects
        self.__doc__ = doc
        self.registry[name] = self

    def __repr__(self) -> str:
        return f"<primitive {self.name}>"

    def __call__(self, *inputs: Atom, **params: Any) -> Any:
        """Bind with atoms: the one result, or the tuple of them."""
        outs = self.bind(*inputs, **params)
        return outs[0] if self.single else outs

    def bind(self, *inputs: Atom, **params: Any) -> tuple[Var, ...]:
        """Bind with atoms; always a tuple."""
        return current().emit(self, inputs, params)

    def result_types(
        self, inputs: Sequence[Atom], params: dict[str, Any]
    ) -> tuple[ArrayType, ...]:
        """The types of the results; the type rule raises for wrong operands.

        What it says of operands of one type, element by element, is remembered.
        """
        if not params and self.is_pointwise and inputs:
            first = inputs[0].type
            for x in inputs:
                if x.type is not first:
                    break
            else:
                return self._of_one_type(first, len(inputs))
        return self.typing(*[x.type for x in inputs], **params)

    def result_type(self, type: ArrayType, count: int) -> ArrayType:
        """The type of the one result of an operation, element by element, on so many operands of
        one type."""
        known = self._types.get((id(type), count))
        if known is not None and known[0] is type:
            return known[1][0]
        return self._of_one_type(type, count)[0]

    def _of_one_type(self, type: ArrayType, count: int) -> tuple[ArrayType, ...]:
        key = id(type), count
        known = self._types.get(key)
        if known is not None and known[0] is type:
            return known[1]
        if len(self._types) >= _REMEMBERED:
            self._types.clear()
        types = self.typing(*[type] * count)
        self._types[key] = type, types
        return types

    def evaluate(self, *arrays: Any, **params: Any) -> tuple[Any, ...]:
        """The values by NumPy, always a tuple, of the dtypes that typing says. Of halves they are
        computed in float32 (see halves.py)."""
        wide = has_halves(arrays) and computes(self.name, params)
        outs = self._evaluate(*(widened(arrays) if wide else arrays), **params)
        if not wide:
            return (outs,) if self.single else tuple(outs)
        types = self.typing(*map(type_of, arrays), **params)
        results = (outs,) if self.single else outs
        return tuple([np.asarray(y, t.dtype) for y, t in zip(results, types, strict=True)])


# Constructors.


def accept(name: str, types: Sequence[ArrayType], dtypes: Dtypes) -> None:
    """Raise unless all types have one shape and one dtype out of `dtypes`."""
    first = types[0]
    for other in types[1:]:
        if other.dtype != first.dtype:
            raise DTypeError(
                f"{name}: operands differ in dtype, {' and '.join(map(str, types))}",
                hint="convert one of them with astype",
            )
        if other.shape != first.shape:
            raise ShapeError(f"{name}: operands differ in shape, {' and '.join(map(str, types))}")
    if first.dtype not in dtypes:
        raise not_accepted(name, first, dtypes)


def not_accepted(name: str, type: ArrayType, dtypes: Dtypes) -> DTypeError:
    """The error for an operand of another dtype than an operation takes."""
    hint = f"it takes {', '.join(sorted(d.name for d in dtypes))}"
    if type.is_complex and dtypes & FLOATS:
        hint = "it takes real numbers: x.real, x.imag or abs(x)"
        if dtypes & INTEGERS:
            hint = "complex numbers have no order here (that of NumPy is by real parts, and by "
            hint += "imaginary parts where those are equal): take x.real, x.imag or abs(x)"
    return DTypeError(f"{name} does not accept {type}", hint=hint)


def elementwise(
    name: str,
    *,
    arity: int,
    accepts: Dtypes,
    evaluate: Callable[..., Any],
    jvp: Jvp,
    transpose: Callable[..., Sequence[Atom | None]] | None = None,
    result: np.dtype | None = None,
    doc: str = "",
    **rest: Any,
) -> Primitive:
    """An operation on operands of one type, element by element; `result`: another dtype."""

    def typing(*types: ArrayType, **params: Any) -> tuple[ArrayType, ...]:
        if len(types) != arity:
            raise TypeError(f"{name} takes {arity} operands, got {len(types)}")
        accept(name, types, accepts)
        return (types[0] if result is None else types[0].with_dtype(result),)

    return Primitive(
        name, typing=typing, evaluate=evaluate, jvp=jvp, transpose=transpose,
        batch=POINTWISE, doc=doc, **rest,
    )  # fmt: skip


def unary(
    name: str,
    *,
    accepts: Dtypes,
    evaluate: Callable[..., Any],
    derivative: Callable[..., Atom] | None,
    **rest: Any,
) -> Primitive:
    """y = f(x); derivative(x, y, **params), or None where it is zero almost everywhere."""
    jvp: Jvp = ZERO if derivative is None else Derivatives((derivative,))
    return elementwise(name, arity=1, accepts=accepts, evaluate=evaluate, jvp=jvp, **rest)


def binary(
    name: str,
    *,
    accepts: Dtypes,
    evaluate: Callable[..., Any],
    derivatives: tuple[Callable[..., Atom] | None, Callable[..., Atom] | None] | None,
    **rest: Any,
) -> Primitive:
    """z = f(x, y); derivatives[i](x, y, z), or None for the pair where both are zero."""
    jvp: Jvp = ZERO if derivatives is None else Derivatives(derivatives)
    return elementwise(name, arity=2, accepts=accepts, evaluate=evaluate, jvp=jvp, **rest)


def predicate(
    name: str, *, arity: int, accepts: Dtypes, evaluate: Callable[..., Any]
) -> Primitive:
    """A question asked of each element; the answer is a bool."""
    return elementwise(
        name, arity=arity, accepts=accepts, evaluate=evaluate, jvp=ZERO, result=BOOL
    )


def linear(
    name: str,
    *,
    typing: Typing,
    evaluate: Callable[..., Any],
    transpose: Callable[..., Sequence[Atom | None]],
    batch: Pointwise | Callable[..., Sequence[Atom]],
    operands: tuple[int, ...] | None = None,
    **rest: Any,
) -> Primitive:
    """An operation that is linear, jointly, in `operands` (all of them, unless said)."""
    return Primitive(
        name, typing=typing, evaluate=evaluate, jvp=Linear(operands),
        transpose=transpose, batch=batch, **rest,
    )  # fmt: skip


def apply_jvp(
    primitive: Primitive,
    primals: Sequence[Atom],
    tangents: Sequence[Atom],
    outs: Sequence[Atom],
    params: dict[str, Any],
) -> Sequence[Atom]:
    """The tangents of the results, whatever form the rule has."""
    match primitive.jvp:
        case Zero():
            return [zero(tangent_type(y.type)) for y in outs]
        case Linear(operands):
            return _linear_jvp(primitive, operands, primals, tangents, outs, params)
        case Derivatives(partials):
            (y,) = outs
            total: Atom = zero(tangent_type(y.type))
            for partial, t in zip(partials, tangents, strict=True):
                if partial is None or is_zero(t) or not t.type.is_inexact:
                    continue
                term = times(partial(*primals, y, **params), t)
                total = term if is_zero(total) else total + term
            return [total]
        case Joint(rule):
            return rule(primals, tangents, **params)[1]
        case rule:
            return rule(primals, tangents, outs, **params)


def times(x: Atom, t: Atom) -> Atom:
    """x * t, without the multiplication where x is the literal 0, 1 or -1."""
    if isinstance(x, Literal):
        if x.value == 0:
            return zero(t.type)
        if x.value == 1:
            return t
        if x.value == -1:
            return -t
    return x * t


def _linear_jvp(
    primitive: Primitive,
    operands: tuple[int, ...] | None,
    primals: Sequence[Atom],
    tangents: Sequence[Atom],
    outs: Sequence[Atom],
    params: dict[str, Any],
) -> Sequence[Atom]:
    places = range(len(primals)) if operands is None else operands
    if all(is_zero(tangents[i]) for i in places):
        return [zero(tangent_type(y.type)) for y in outs]
    inputs = [tangents[i] if i in places else x for i, x in enumerate(primals)]
    return primitive.bind(*inputs, **params)
