"""Operations of your own, by the constructors that tracejit makes its own with.

    softsign = extend.unary(
        "softsign",
        evaluate=lambda x: x / (1 + np.abs(x)),                    # the value, by NumPy
        derivative=lambda x, y: 1 / (1 + np.abs(x)) ** 2,
        lower=lambda x: x / (1 + np.abs(x)),                       # what backends compile
    )
    tj.jit(tj.grad(lambda x: np.sum(softsign(x))))(x)

One call holds an operation's mathematics; a rule that is missing is an error at once. Rules are
written in NumPy: they are traced. `lower` is traced into operations that there are, and fuses with
what is around it; without one, compiled programs call `evaluate` back in Python. Derivatives of the
operation are those of its rules, never of `lower`. `tracejit.testing.check_primitive` tests all the
laws on it. What the house has beyond that (types, zeros) is here, too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tracejit import tree
from tracejit.control.custom_closure import self_contained
from tracejit.control.extension import EXTENSIONS, lower_by
from tracejit.control.members import one_by_one
from tracejit.errors import ArgumentError
from tracejit.ir import primitive as house
from tracejit.ir.atoms import Atom, is_zero, zero
from tracejit.ir.primitive import POINTWISE, ZERO, Linear, Primitive, Unknown
from tracejit.ir.types import (
    ALL,
    BOOL,
    FLOATS,
    INTEGERS,
    NUMBERS,
    ArrayType,
    array_type,
    tangent_type,
)
from tracejit.ir.walk import inline
from tracejit.numpy.arrays import fit, operand, unify
from tracejit.numpy.promotion import result_float
from tracejit.trace.provenance import user_frame
from tracejit.trace.stage import stage
from tracejit.trace.tracer import Tracer, bind

__all__ = [
    "ALL", "BOOL", "FLOATS", "INTEGERS", "NUMBERS", "POINTWISE", "ZERO", "ArrayType", "Linear",
    "Operation", "Unknown", "array_type", "binary", "is_zero", "linear", "primitive", "unary",
]  # fmt: skip

Rule = Callable[..., Any]


class Operation:
    """An operation that the user has added: call it with arrays, numbers, traced values.

    primitive: what stands in programs, and what the laws are about.
    """

    def __init__(self, primitive: Primitive, lower: Rule | None, elementwise: bool):
        self.primitive, self._elementwise = primitive, elementwise
        self.__name__, self.__doc__ = primitive.name, primitive.__doc__
        lower_by(primitive, lower)

    def __call__(self, *operands: Any, **params: Any) -> Any:
        """The result, or the tuple of them where it is not `single`.

        Operands of an operation element by element are broadcast, and take one float dtype if that
        is what it accepts.
        """
        xs = [operand(x) for x in operands]
        if self._elementwise and any(getattr(x, "dtype", None) not in FLOATS for x in xs):
            xs = unify(xs, result_float(*xs))
        elif self._elementwise:
            xs = unify(xs)
        return bind(self.primitive, *xs, **params)

    def __repr__(self) -> str:
        return f"<operation {self.primitive.name}>"


def unary(
    name: str, *, evaluate: Rule, derivative: Rule | None, lower: Rule | None = None,
    accepts: frozenset[np.dtype] = FLOATS, doc: str = "",
) -> Operation:  # fmt: skip
    """y = f(x), element by element.

    evaluate(x, **params): the value of an array, by NumPy. derivative(x, y, **params): dy/dx, or
    None where it is zero almost everywhere. accepts: the dtypes of x and y.
    """
    made = house.unary(
        _new(name), accepts=accepts, evaluate=_same_dtype(evaluate), doc=doc,
        derivative=derivative and _partial(derivative),
    )  # fmt: skip
    return Operation(made, lower, accepts <= FLOATS)


def binary(
    name: str, *, evaluate: Rule, derivatives: tuple[Rule | None, Rule | None] | None,
    lower: Rule | None = None, accepts: frozenset[np.dtype] = FLOATS, doc: str = "",
) -> Operation:  # fmt: skip
    """z = f(x, y), element by element; derivatives[i](x, y, z, **params), or None where it is 0."""
    given = derivatives or (None, None)
    partials = (given[0] and _partial(given[0]), given[1] and _partial(given[1]))
    made = house.binary(
        _new(name), accepts=accepts, evaluate=_same_dtype(evaluate), doc=doc,
        derivatives=partials if derivatives else None,
    )  # fmt: skip
    return Operation(made, lower, accepts <= FLOATS)


def linear(
    name: str, *, typing: Rule, evaluate: Rule, transpose: Rule, batch: Rule | None = None,
    operands: tuple[int, ...] | None = None, lower: Rule | None = None, single: bool = True,
    doc: str = "",
) -> Operation:  # fmt: skip
    """An operation that is linear, jointly, in `operands` (all of them, unless said).

    typing(*types, **params) -> tuple of types of the results. transpose(cts, inputs, **params): a
    cotangent, or None, for each input; those that it is linear in are `Unknown(type)`. batch(size,
    inputs, batched, **params) -> tuple of results, with the batch as first axis; without it the
    members are computed one after the other.
    """
    return primitive(
        name, typing=typing, evaluate=evaluate, jvp=Linear(operands), transpose=transpose,
        batch=batch, lower=lower, single=single, doc=doc,
    )  # fmt: skip


def primitive(
    name: str, *, typing: Rule, evaluate: Rule, jvp: Any, transpose: Rule | None = None,
    batch: Any = None, lower: Rule | None = None, single: bool = True,
    defaults: dict[str, Any] | None = None, doc: str = "",
) -> Operation:  # fmt: skip
    """Any operation. See `tracejit.ir.primitive` for the duties of a primitive.

    jvp: `ZERO`, `Linear(operands)`, or a function (primals, tangents, outs, **params) -> tuple of
    tangents, for each of which `None` stands for zero. A tangent that is zero comes as zeros.
    single: whether evaluate returns one array, or a tuple of them.
    """
    made = Primitive(
        _new(name), typing=typing, evaluate=evaluate, single=single, defaults=defaults, doc=doc,
        jvp=jvp if isinstance(jvp, (house.Zero, Linear)) else _jvp(jvp),
        transpose=transpose and _in_numpy(transpose),
        batch=batch if batch is POINTWISE else _batch(name, batch),
    )  # fmt: skip
    return Operation(made, lower, False)


def _new(name: str) -> str:
    """A name that no operation has; making one again, as notebooks do, replaces it."""
    known = Primitive.registry.get(name)
    if known is not None and known not in EXTENSIONS:
        raise ArgumentError(
            f"there is an operation {name!r} in tracejit already", where=user_frame(),
            hint="give yours another name",
        )  # fmt: skip
    Primitive.registry.pop(name, None)
    return name


# Rules in NumPy.


def _same_dtype(evaluate: Rule) -> Rule:
    """The value in the dtype of the operands, whatever NumPy promotes to."""

    def value(*arrays: Any, **params: Any) -> Any:
        return np.asarray(evaluate(*arrays, **params), arrays[0].dtype)

    return value


def _in_numpy(rule: Rule) -> Rule:
    """A rule on atoms, from one on what is traced: it is traced at each use, and inlined."""

    def on_atoms(*args: Any, **params: Any) -> Any:
        leaves, structure = tree.flatten(args, is_leaf=_is_atom)
        atoms = [x for x in leaves if isinstance(x, Atom)]
        found: list[tree.TreeDef] = []

        def flat(*tracers: Tracer) -> list[Any]:
            supply = iter(tracers)
            given = [_traced(x, next(supply)) if isinstance(x, Atom) else x for x in leaves]
            results = rule(*structure.unflatten(given), **params)
            outs, out_structure = tree.flatten(results)
            found.append(out_structure)
            return outs

        staged = stage(flat, [x.type for x in atoms])
        outs = inline(self_contained(staged, rule, "an operation"), atoms)
        return found[0].unflatten(outs)

    return on_atoms


def _is_atom(x: Any) -> bool:
    return isinstance(x, (Atom, Unknown))


def _traced(x: Atom, tracer: Tracer) -> Tracer:
    """A tracer; of a zero one that is known to be zero."""
    return Tracer(tracer.owner, zero(x.type)) if is_zero(x) else tracer


def _partial(derivative: Rule) -> Rule:
    """A partial derivative: of the type of the result, also where it is a number."""

    def fitted(*args: Any, **params: Any) -> Any:
        y = args[-1]
        return fit(operand(derivative(*args, **params)), y.dtype, y.shape, traced=True)

    return _in_numpy(fitted)


def _jvp(rule: Rule) -> Rule:
    """A jvp whose zeros may be None."""
    traced = _in_numpy(rule)

    def pushed(primals: Any, tangents: Any, outs: Any, **params: Any) -> Sequence[Atom]:
        ts = traced(list(primals), list(tangents), list(outs), **params)
        types = [tangent_type(y.type) for y in outs]
        return [zero(type) if t is None else t for t, type in zip(ts, types, strict=True)]

    return pushed


def _batch(name: str, rule: Rule | None) -> Rule:
    """A batching rule; one member after the other, where there is none."""
    if rule is not None:
        return _in_numpy(rule)

    def members(size: int, inputs: Any, batched: Any, **params: Any) -> Sequence[Atom]:
        made = Primitive.registry[name]
        return one_by_one(size, inputs, batched, lambda xs: made.bind(*xs, **params))

    return members
