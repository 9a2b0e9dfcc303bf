"""What becomes of the arguments that a function assigns to, as a result.

    def step(A, dt):                     result, finals = tj.with_finals(step)(A, 0.1)
        A[1:-1] += dt * ...              finals["A"] is what A would be now; A is what it was

So a function that works in place can be differentiated and mapped:
tj.grad(lambda A: tj.with_finals(step)(A, 0.1)[1]["A"].sum()).
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from tracejit import tree
from tracejit.runtime.arguments import argument, check_callable, name_of, paths, result
from tracejit.runtime.run import run
from tracejit.runtime.values import canonical, returned, type_of_value
from tracejit.trace.stage import is_weak, recorded, stage
from tracejit.trace.tracer import Tracer, current_trace


def with_finals(fun: Callable[..., Any]) -> Callable[..., Any]:
    """A function of the same arguments that returns (result of `fun`, finals).

    finals: a dict from the names of the arguments that `fun` assigned to (`"A"`, and `"state['w']"`
    of an array in a tree) to their final values. The arguments themselves are left alone. It may be
    compiled, differentiated and mapped, and so may `fun`.
    """
    check_callable(fun, "with_finals")

    @functools.wraps(fun, updated=())
    def call(*args: Any, **kwargs: Any) -> Any:
        given, structure = tree.flatten((args, kwargs))
        places = [i for i, x in enumerate(given) if isinstance(x, (Tracer, np.ndarray))]
        leaves = [canonical(given[i], partial(argument, fun, args, kwargs, i)) for i in places]
        flat = _Flat(fun, given, structure, places)
        outer = current_trace()
        staged = stage(
            flat, [type_of_value(x) for x in leaves], values=[recorded(x) for x in leaves],
            weak=list(map(is_weak, leaves)), name=name_of(fun), finals=True,
            decider=None if outer is None else outer.decider,
        )  # fmt: skip
        outs = run(staged.jaxpr, [*staged.captured, *leaves])
        n, k = len(staged.weak), len(staged.assigned)
        for y, weak in zip(outs, staged.weak, strict=False):
            if isinstance(y, Tracer):
                y.weak = weak
        for x, y in zip(staged.written, outs[n + k :], strict=True):
            x.assign(y)
        names = paths(fun, args, kwargs) if k else []
        finals = {
            names[places[i]]: y for i, y in zip(staged.assigned, outs[n : n + k], strict=True)
        }
        return flat.out_tree.unflatten(outs[:n]), finals

    return call


class _Flat:
    """A function on the arrays among its arguments; remembers the structure of the result."""

    def __init__(
        self, fun: Callable[..., Any], given: list[Any], structure: tree.TreeDef, places: list[int]
    ):
        self.fun, self.given, self.structure, self.places = fun, given, structure, places

    def __call__(self, *tracers: Tracer) -> list[Any]:
        leaves = list(self.given)
        for place, x in zip(self.places, tracers, strict=True):
            leaves[place] = x
        args, kwargs = self.structure.unflatten(leaves)
        outs, self.out_tree = tree.flatten(self.fun(*args, **kwargs))
        here = current_trace()
        return [
            returned(y, here, partial(result, self.fun, self.out_tree, i))
            for i, y in enumerate(outs)
        ]
