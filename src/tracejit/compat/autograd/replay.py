"""Gradients of functions that are not run again where they would do the same again.

autograd runs the function in each call, and so does `tracejit.grad` outside of `jit`. But a loss
that reads nothing but arrays that have not changed (`unchanged`), and asked for no number of what
is differentiated, is the program that it was: once that is compiled, it alone is run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from tracejit import tree
from tracejit.api.gradients import evaluate, require_scalar, split
from tracejit.api.recording import Recording, positions, record
from tracejit.compat.autograd.unchanged import Reading, readings_of, seen_as, snapshot
from tracejit.config import config
from tracejit.ir.graph import Jaxpr
from tracejit.runtime import nans
from tracejit.runtime.arguments import name_of
from tracejit.runtime.report import wanted
from tracejit.runtime.runner import compiling_repeats, machine_code, plain_array
from tracejit.trace.tracer import current_trace
from tracejit.transforms.gradient import value_and_gradient

__all__ = ["Gradient"]

#: After so many changes more than repetitions nobody looks any more.
PATIENCE = 8


class _Seen(NamedTuple):
    """A recording, and all that it depends on: the kind of its arguments, and what was read."""

    tape: Recording
    program: Jaxpr
    kind: Any
    readings: list[Reading]
    read: Any
    captured: list[np.ndarray]


class Gradient:
    """(scalar, auxiliary data, gradient) of a function, one call after the other.

    fun: returns (a scalar, auxiliary data). read: the user's function, whose readings count.
    """

    def __init__(self, fun: Callable[..., Any], read: Callable[..., Any], argnum: Any):
        self.fun, self.read, self.argnum = fun, read, argnum
        self._program: Jaxpr | None = None
        self._seen: _Seen | None = None
        self._looks = PATIENCE

    def __call__(self, args: Sequence[Any], kwargs: dict[str, Any]) -> tuple[Any, Any, Any]:
        """The function is run unless it would do what it did the last time."""
        places = positions(self.argnum, args, self.fun)
        if not self._looks or current_trace() is not None or wanted() or nans.wanted():
            return self._result(*self._recorded(args, kwargs, places)[:2])
        leaves, structure = tree.flatten(tuple([args[i] for i in places]))
        others = [x for i, x in enumerate(args) if i not in places]
        kind = structure, tuple(map(_kind, leaves)), config.backend, config.tracing
        seen = self._seen
        call = None if seen is None or seen.kind != kind else machine_code(seen.program)
        if seen is None or call is None:
            return self._looked_at(args, kwargs, places, others, kind)
        if seen.read != _read(seen.readings, others, kwargs):
            self._looks -= 1
            return self._looked_at(args, kwargs, places, others, kind)
        self._looks = PATIENCE
        arrays = [plain_array(np.asarray(x)) for x in leaves]
        return self._result(seen.tape, split(seen.tape, list(call(*seen.captured, *arrays))))

    def _looked_at(
        self, args: Sequence[Any], kwargs: dict[str, Any], places: Sequence[int],
        others: Sequence[Any], kind: Any,
    ) -> tuple[Any, Any, Any]:  # fmt: skip
        """Run the function, and keep what it did if its program is one that repeats itself."""
        readings, before = None, None
        if self._program is not None and machine_code(self._program) is not None:
            readings = readings_of(self.read)
            if readings is None or not all(map(_is_plain, (*others, *kwargs.values()))):
                self._looks = 0
            else:
                before = _read(readings, others, kwargs)
        tape, found, asked = self._recorded(args, kwargs, places)
        self._program = value_and_gradient(tape.jaxpr, tape.floats)
        if readings and before == _read(readings, others, kwargs) and all(kind[1]) and not asked:
            captured = [plain_array(np.asarray(x)) for x in tape.captured]
            self._seen = _Seen(tape, self._program, kind, readings, before, captured)
        return self._result(tape, found)

    def _recorded(
        self, args: Sequence[Any], kwargs: dict[str, Any], places: Sequence[int]
    ) -> tuple[Recording, Any, bool]:
        """Run the function: what it recorded, outputs and gradients, and whether it asked for a
        number of what is differentiated."""
        traces: list[Any] = []

        def noting(*args: Any, **kwargs: Any) -> Any:
            traces.append(current_trace())
            return self.fun(*args, **kwargs)

        noting.__name__ = name_of(self.read)
        with compiling_repeats():
            tape = record(noting, args, kwargs, argnums=places, has_aux=True, floats_for="grad")
            require_scalar(tape)
            return tape, evaluate(tape), traces[-1].asked

    def _result(self, tape: Recording, found: Any) -> tuple[Any, Any, Any]:
        (value, *aux), gradients = found
        trees = tape.in_tree.unflatten(gradients)
        return value, tape.aux.fill(aux), trees[0] if isinstance(self.argnum, int) else trees


def _read(readings: Sequence[Reading], others: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """What the function reads now, with the arguments that are not differentiated."""
    return snapshot(readings), seen_as((*others, kwargs))


def _kind(x: Any) -> Any:
    """The kind of a leaf that is differentiated; None where that is not simply told."""
    if type(x) is float or type(x) is complex:
        return type(x)
    if type(x) is np.ndarray or isinstance(x, np.inexact):
        return type(x), x.dtype, x.shape
    return None


def _is_plain(x: Any) -> bool:
    """Whether an argument is numbers and arrays."""
    return all(
        type(y) in (bool, int, float, complex, str, np.ndarray) or isinstance(y, np.generic)
        for y in tree.leaves(x)
    )
