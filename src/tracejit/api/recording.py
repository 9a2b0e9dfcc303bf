"""A function recorded at a point: what every derivative starts from.

The arguments to differentiate become inputs of the recording; all others reach the function as
the user gave them, arrays as copies, so that what it assigns to is its own. The recording is a
tape: it knows the numbers, where there are numbers, so that plain Python control flow works. In a
trace without numbers (under jit) it has none either.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from tracejit import tree
from tracejit.errors import ArgumentError, GradError, TreeError
from tracejit.ir.graph import Jaxpr
from tracejit.ir.interning import interned
from tracejit.ir.types import ArrayType
from tracejit.runtime.arguments import argument, name_of, result
from tracejit.runtime.values import canonical, returned, type_of_value
from tracejit.trace.provenance import user_frame
from tracejit.trace.stage import is_weak, own, recorded, stage
from tracejit.trace.tracer import Tracer, current_trace

Argnums = int | Sequence[int]


@dataclass(frozen=True, slots=True)
class Aux:
    """Auxiliary data: what of it is traced comes out of the jaxpr, the rest as it is."""

    leaves: list[Any]
    treedef: tree.TreeDef
    traced: list[int]

    def fill(self, values: Sequence[Any]) -> Any:
        """The data, with values for what is traced."""
        leaves = list(self.leaves)
        for place, value in zip(self.traced, values, strict=True):
            leaves[place] = value
        return self.treedef.unflatten(leaves)


@dataclass(frozen=True, slots=True)
class Recording:
    """inputs: the captured values, then the leaves of the arguments. The outputs of the jaxpr are
    the leaves of the result, then what is traced of the auxiliary data. `argument(i)` is what
    messages call leaf i."""

    name: str
    jaxpr: Jaxpr
    captured: tuple[Any, ...]
    leaves: list[Any]
    in_tree: tree.TreeDef
    out_tree: tree.TreeDef
    aux: Aux
    argument: Callable[[int], str]

    @property
    def inputs(self) -> list[Any]:
        return [*self.captured, *self.leaves]

    @property
    def in_types(self) -> tuple[ArrayType, ...]:
        return self.jaxpr.in_types[len(self.captured) :]

    @property
    def out_types(self) -> tuple[ArrayType, ...]:
        return self.jaxpr.out_types[: self.out_tree.num_leaves]

    @property
    def floats(self) -> tuple[bool, ...]:
        """Which inputs of the jaxpr are differentiated: the arguments of a float dtype."""
        return (False,) * len(self.captured) + tuple(t.is_inexact for t in self.in_types)


class _Function:
    """The user's function on the leaves of some of its arguments; remembers what came out."""

    def __init__(
        self, fun: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any],
        argnums: Sequence[int], has_aux: bool,
    ):  # fmt: skip
        self.fun, self.args, self.kwargs = fun, list(args), kwargs
        self.argnums, self.has_aux = argnums, has_aux
        chosen = tuple(args[i] for i in argnums)
        given, self.in_tree = tree.flatten(chosen)
        self.weak = list(map(is_weak, given))
        self.leaves = [canonical(x, partial(self.argument, i)) for i, x in enumerate(given)]

    def argument(self, index: int) -> str:
        """What messages call a leaf of the differentiated arguments."""
        counts = [tree.structure(x).num_leaves for x in self.args]
        leaves = [sum(counts[:i]) + j for i in self.argnums for j in range(counts[i])]
        return argument(self.fun, self.args, None, leaves[index])

    def require_floats(self, what: str) -> None:
        """GradError for the first differentiated leaf that is no float."""
        for i, x in enumerate(self.leaves):
            if not type_of_value(x).is_inexact:
                raise GradError(
                    f"{self.argument(i)} is {type_of_value(x)}, and {what} needs floats",
                    where=user_frame(),
                    hint="convert it with astype(float), or differentiate other arguments "
                    "(argnums)",
                )

    def __call__(self, *tracers: Tracer) -> list[Any]:
        args = [own(x) for x in self.args]
        kwargs = {name: own(x) for name, x in self.kwargs.items()}
        for i, arg in zip(self.argnums, self.in_tree.unflatten(tracers), strict=True):
            args[i] = arg
        out, aux = self.fun(*args, **kwargs), None
        if self.has_aux:
            out, aux = pair(out, self.fun)
        leaves, self.out_tree = tree.flatten(out)
        trace = current_trace()
        outs = [
            returned(y, trace, partial(result, self.fun, self.out_tree, i))
            for i, y in enumerate(leaves)
        ]
        self.aux = _aux(aux)
        return outs + [self.aux.leaves[i] for i in self.aux.traced]


def _aux(aux: Any) -> Aux:
    leaves, treedef = tree.flatten(aux)
    here = current_trace()
    traced = [i for i, y in enumerate(leaves) if isinstance(y, Tracer) and y.owner is here]
    return Aux(leaves, treedef, traced)


def record(
    fun: Callable[..., Any],
    args: Sequence[Any],
    kwargs: Mapping[str, Any] | None = None,
    *,
    argnums: Sequence[int] | None = None,
    has_aux: bool = False,
    floats_for: str = "",
) -> Recording:
    """Record fun(*args, **kwargs) as a function of the arguments `argnums` (all, unless said).

    `floats_for` names the transform that needs floats: GradError, before the function runs, where
    an argument is none.
    """
    places = range(len(args)) if argnums is None else argnums
    flat = _Function(fun, args, kwargs or {}, places, has_aux)
    if floats_for:
        flat.require_floats(floats_for)
    outer = current_trace()
    staged = stage(
        flat, [type_of_value(x) for x in flat.leaves],
        values=[recorded(x) for x in flat.leaves], weak=flat.weak, name=name_of(fun),
        decider=None if outer is None else outer.decider,
    )  # fmt: skip
    return Recording(
        name_of(fun), interned(staged.jaxpr), staged.captured, flat.leaves, flat.in_tree,
        flat.out_tree, _without_traced(flat.aux), flat.argument,
    )  # fmt: skip


def _without_traced(aux: Aux) -> Aux:
    """The same without its tracers, whose trace has ended."""
    leaves = [None if i in aux.traced else y for i, y in enumerate(aux.leaves)]
    return Aux(leaves, aux.treedef, aux.traced)


def pair(out: Any, fun: Callable[..., Any]) -> tuple[Any, Any]:
    """What a function with has_aux=True returned: (result, auxiliary data)."""
    if not isinstance(out, (tuple, list)) or len(out) != 2:
        raise TreeError(
            f"has_aux=True needs a pair from {name_of(fun)}, (result, auxiliary data), "
            f"not {_shown(out)}", where=user_frame(),
        )  # fmt: skip
    return out[0], out[1]


def _shown(out: Any) -> str:
    if isinstance(out, Tracer):
        return "an array"
    length = f" of {len(out)}" if isinstance(out, (tuple, list)) else ""
    return f"{type(out).__name__}{length}"


def positions(argnums: Argnums, args: Sequence[Any], fun: Callable[..., Any]) -> tuple[int, ...]:
    """argnums as places among the positional arguments of a call."""
    several = argnums if isinstance(argnums, Sequence) else (argnums,)
    try:
        given = [operator.index(i) for i in several]
    except TypeError:
        raise ArgumentError(
            f"argnums must be an int or a tuple of ints, not {argnums!r}", where=user_frame()
        ) from None
    places = tuple(i + len(args) if i < 0 else i for i in given)
    for i, place in zip(given, places, strict=True):
        if not 0 <= place < len(args):
            raise ArgumentError(
                f"argnums={argnums!r}: there is no positional argument {i} in this call of "
                f"{name_of(fun)}, which has {len(args)}", where=user_frame(),
                hint="arguments given by keyword are not differentiated: give it by position",
            )  # fmt: skip
    if len(set(places)) < len(places):
        raise ArgumentError(f"argnums={argnums!r} names an argument twice", where=user_frame())
    return places


def require_complex(tape: Recording, what: str) -> None:
    """GradError unless all that is differentiated, for holomorphic=True, is complex."""
    for which, types in (("arguments", tape.in_types), ("results", tape.out_types)):
        for t in types:
            if not t.is_complex:
                raise GradError(
                    f"{what} with holomorphic=True takes complex {which}, and one of {tape.name} "
                    f"is {t}", where=user_frame(),
                    hint="convert it with astype(complex), or leave holomorphic=True out",
                )  # fmt: skip


def require_real(
    tape: Recording, what: str, types: Sequence[ArrayType], which: str, holomorphic: bool
) -> None:
    """GradError for complex arguments or results where holomorphic=True does not allow them."""
    for t in types:
        if t.is_complex and not holomorphic:
            raise GradError(
                f"{what} needs real {which}, and one of {tape.name} is {t}", where=user_frame(),
                hint="holomorphic=True is for holomorphic functions; of others take the derivative "
                "of the real and the imaginary part, or vjp and jvp",
            )  # fmt: skip
