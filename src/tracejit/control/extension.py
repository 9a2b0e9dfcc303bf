"""Operations that users add: the programs that stand for them, where a backend has no row.

    lower=f     the operations that f consists of: they fuse with what is around them
    none        the operation's value, called back in Python

Either takes their place once the last transform is behind them (see passes/inline.py).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tracejit import tree
from tracejit.control.callback import Callback, pure_callback
from tracejit.control.custom_closure import self_contained
from tracejit.errors import DTypeError, ShapeError
from tracejit.ir.atoms import Var
from tracejit.ir.builder import building
from tracejit.ir.graph import Equation, Jaxpr
from tracejit.ir.primitive import Primitive
from tracejit.ir.types import ArrayType
from tracejit.trace.provenance import function_place
from tracejit.trace.stage import stage

#: By primitive: what stands for an equation.
EXTENSIONS: dict[Primitive, Callable[[Equation], Jaxpr]] = {}


def lower_by(primitive: Primitive, lower: Callable[..., Any] | None) -> None:
    """Say what stands for a primitive: `lower(*operands, **params)`, traced, or its own value."""
    if lower is None:
        EXTENSIONS[primitive] = lambda eqn: _called_back(primitive, eqn)
        return
    known: dict[Any, Jaxpr] = {}

    def lowered(eqn: Equation) -> Jaxpr:
        key = tuple([x.type for x in eqn.inputs]), tuple(sorted(eqn.params.items()))
        try:
            found = known.get(key)
        except TypeError:  # parameters that have no hash
            return _traced(primitive, lower, eqn)
        if found is None:
            found = known[key] = _traced(primitive, lower, eqn)
        return found

    EXTENSIONS[primitive] = lowered


def _called_back(primitive: Primitive, eqn: Equation) -> Jaxpr:
    """A program that asks Python for the value."""

    def value(*arrays: Any) -> tuple[Any, ...]:
        return primitive.evaluate(*arrays, **eqn.params)

    value.__name__ = primitive.name
    types = tuple([v.type for v in eqn.outvars])
    taken = tree.structure(((0,) * len(eqn.inputs), {}))
    called = Callback(value, taken, tree.structure((0,) * len(types)))
    with building() as builder:
        invars = [Var(x.type) for x in eqn.inputs]
        results = pure_callback.bind(*invars, callback=called, results=types)
    return builder.finish(invars, results)


def _traced(primitive: Primitive, lower: Callable[..., Any], eqn: Equation) -> Jaxpr:
    """What `lower` consists of; its results have to be of the types of the primitive."""

    def flat(*operands: Any) -> list[Any]:
        return tree.leaves(lower(*operands, **eqn.params))

    staged = stage(flat, [x.type for x in eqn.inputs], name=primitive.name)
    _check(primitive, lower, staged.jaxpr.out_types, tuple([v.type for v in eqn.outvars]))
    return self_contained(staged, lower, primitive.name)


def _check(
    primitive: Primitive, lower: Callable[..., Any], made: tuple[ArrayType, ...],
    wanted: tuple[ArrayType, ...],
) -> None:  # fmt: skip
    if made != wanted:
        same = len(made) == len(wanted) and all(
            a.shape == b.shape for a, b in zip(made, wanted, strict=True)
        )
        raise (DTypeError if same else ShapeError)(
            f"the lowering of {primitive.name} makes {', '.join(map(str, made))}, and its typing "
            f"says {', '.join(map(str, wanted))}", where=function_place(lower),
        )  # fmt: skip
