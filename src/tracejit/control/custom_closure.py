"""What a rule of the user closes over, when it is traced long after its function was called.

    def scaled(a):                     a is traced, and the trace that it belongs to may be over
        @g.defjvp                      when the rule runs: so the call of g takes it as an operand,
        def rule(xs, ts): ... a ...    and the rule reads, under the same name, what became of it

Arrays are known: they go into the program as `constant`, which backends take out of it again.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np

from tracejit.errors import UnsupportedError
from tracejit.ir.atoms import Atom, Var
from tracejit.ir.builder import building
from tracejit.ir.graph import Jaxpr
from tracejit.ir.primitive import ZERO, Primitive
from tracejit.ir.types import ArrayType, type_of
from tracejit.ir.walk import inline
from tracejit.trace.provenance import function_place
from tracejit.trace.stage import Staged
from tracejit.trace.tracer import Tracer

#: So many objects are looked at for what a rule closes over.
_LOOKED_AT = 10_000


class Held:
    """An array as a parameter of an equation; equal to another of the same bytes."""

    def __init__(self, array: np.ndarray):
        self.array = np.array(array, order="C")
        self.array.setflags(write=False)
        self._hash = hash((type_of(self.array), self.array.tobytes()))
        self.__qualname__ = f"array {type_of(array)}"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Held) or self._hash != other._hash:
            return False
        same = type_of(self.array) == type_of(other.array)
        return same and self.array.tobytes() == other.array.tobytes()

    def __hash__(self) -> int:
        return self._hash

    def __repr__(self) -> str:
        return self.__qualname__


constant: Primitive = Primitive(
    "constant", typing=lambda *, value: (type_of(value.array),),
    evaluate=lambda *, value: value.array, jvp=ZERO,
    batch=lambda size, inputs, batched, *, value: (constant(value=value),),
    doc="An array that a rule of the user closes over.",
)  # fmt: skip


def lift_constants(jaxpr: Jaxpr) -> tuple[Jaxpr, list[np.ndarray]]:
    """The jaxpr whose first inputs are the constants that it held, and their values."""
    lifted = [eqn for eqn in jaxpr.equations if eqn.primitive is constant]
    if not lifted:
        return jaxpr, []
    rest = tuple([eqn for eqn in jaxpr.equations if eqn.primitive is not constant])
    inputs = [eqn.outvars[0] for eqn in lifted]
    values = [eqn.params["value"].array for eqn in lifted]
    return Jaxpr((*inputs, *jaxpr.invars), rest, jaxpr.outvars), values


def self_contained(staged: Staged, rule: Callable[..., Any], name: str) -> Jaxpr:
    """A staged rule as a jaxpr of its arguments alone: the arrays it closes over are within.

    Raises UnsupportedError for a tracer among them, which was not found ahead.
    """
    if not staged.captured:
        return staged.jaxpr
    with building() as builder:
        arguments = staged.jaxpr.invars[len(staged.captured) :]
        invars = [Var(v.type) for v in arguments]
        outs = inline(staged.jaxpr, [*[_known(x, rule, name) for x in staged.captured], *invars])
    return builder.finish(invars, outs)


def _known(x: Any, rule: Callable[..., Any], name: str) -> Atom:
    if isinstance(x, Tracer):
        raise not_found(str(x.aval), rule, name)
    return constant(value=Held(np.asarray(x)))


def not_found(what: str, rule: Callable[..., Any], name: str) -> UnsupportedError:
    """The error of a rule that reads a tracer which was not seen when the function was called."""
    return UnsupportedError(
        f"a rule of {name} reads a traced {what} that is neither an argument nor a variable of a "
        "function around it", where=function_place(rule), hint=f"pass it to {name} as an argument",
    )  # fmt: skip


# Looking for tracers.


def closed_over(*roots: Any) -> list[Tracer]:
    """The tracers, of traces that go on, that functions close over: by their cells, defaults, the
    arguments of partials, and the attributes of `self`."""
    found: dict[int, Tracer] = {}
    seen: dict[int, Any] = {}
    pending = list(roots)
    while pending and len(seen) < _LOOKED_AT:
        x = pending.pop()
        if id(x) in seen:
            continue
        seen[id(x)] = x
        if isinstance(x, Tracer):
            if not x.ended:
                found[id(x)] = x
        else:
            pending += _parts(x)
    return list(found.values())


def _parts(x: Any) -> list[Any]:
    """What hangs on an object, as far as functions can read it."""
    if isinstance(x, (tuple, list, set, frozenset)):
        return list(x)
    if isinstance(x, dict):
        return list(x.values())
    if isinstance(x, functools.partial):
        return [x.func, *x.args, *x.keywords.values()]
    if isinstance(x, MethodType):
        return [x.__func__, x.__self__]
    if isinstance(x, FunctionType):
        cells = [c.cell_contents for c in x.__closure__ or () if _is_filled(c)]
        return [*cells, *(x.__defaults__ or ()), *(x.__kwdefaults__ or {}).values()]
    if hasattr(type(x), "__array__") or isinstance(x, (type, ModuleType)):
        return []
    if type(x).__module__.partition(".")[0] == "tracejit":
        wrapped = getattr(x, "__wrapped__", None)
        return [wrapped, *getattr(x, "rules", ())] if wrapped is not None else []
    return list(getattr(x, "__dict__", {}).values())


def _is_filled(cell: Any) -> bool:
    try:
        cell.cell_contents  # noqa: B018  an empty cell raises
    except ValueError:
        return False
    return True


@contextmanager
def standing_for(objects: Sequence[Any], values: Sequence[Tracer]) -> Iterator[None]:
    """In this block the tracers among `objects` are `values`, which belong to the current trace."""
    before = [(x, x.atom, x.owner) for x in objects if isinstance(x, Tracer)]
    try:
        for x, value in zip(objects, values, strict=True):
            if isinstance(x, Tracer):
                x.atom, x.owner = value.atom, value.owner
        yield
    finally:
        for x, atom, owner in before:
            x.atom, x.owner = atom, owner


def ignoring(jaxpr: Jaxpr, types: Sequence[ArrayType], place: int) -> Jaxpr:
    """The jaxpr with operands of these types more, at a place among its inputs."""
    more = [Var(t) for t in types]
    invars = (*jaxpr.invars[:place], *more, *jaxpr.invars[place:])
    return Jaxpr(invars, jaxpr.equations, jaxpr.outvars)
