"""Backward passes in which Python has a say: hooks of tensors, and `autograd.Function`.

Such a pass is made in levels. Where a gradient goes through Python, a level ends: the steps of a
level are one program from its results to what it reads of lower levels, and programs and Python
take turns, from the highest level down.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tracejit.compat import graph
from tracejit.compat.graph import Cell, Operation, Step, known
from tracejit.compat.torch.kinds import is_grad_enabled, no_grad, set_grad_enabled
from tracejit.compat.torch.tensor import Tensor, fault, wrapped
from tracejit.ir.types import type_of
from tracejit.trace.provenance import user_frame
from tracejit.trace.tracer import Tracer

__all__ = ["Function", "once_differentiable"]


class Custom(Operation):
    """What a `Function` does: a step that has values, and a rule in Python for its gradient."""

    __slots__ = ("context", "function", "places")

    def __init__(self, function: type[Function], context: Context, places: Sequence[int]):
        self.name, self.number = function.__name__, graph.next_serial()
        self.jaxpr = None  # type: ignore[assignment]
        self.function, self.context, self.places = function, context, tuple(places)

    def pulled_back(self, step: Step, given: Sequence[Cell | None]) -> list[Cell | None]:
        """The gradients for the inputs of the step, from those of its results."""
        context, values = self.context, step.values
        assert values is not None
        cotangents = [
            None if ct is None and not context.materializes
            else Tensor(known(np.zeros_like(y))) if ct is None else Tensor(ct)
            for ct, y in zip(given, values, strict=True)
        ]  # fmt: skip
        found = self.function.backward(context, *cotangents)
        several = found if isinstance(found, tuple) else (found,)
        count = len(context.needs_input_grad)
        if len(several) < count or any(g is not None for g in several[count:]):
            raise fault(
                f"function {self.name}Backward returned an incorrect number of gradients "
                f"(expected {count}, got {len(several)})"
            )
        slopes: list[Cell | None] = []
        for place, cell in zip(self.places, step.inputs, strict=True):
            g = several[place]
            if g is not None and tuple(g.shape) != cell.type.shape:
                raise fault(
                    f"Function {self.name}Backward returned an invalid gradient at index {place} - "
                    f"got {list(g.shape)} but expected shape compatible with "
                    f"{list(cell.type.shape)}"
                )
            slopes.append(None if g is None or not cell.needs else g.cell)
        return slopes


class Context:
    """What `forward` leaves for `backward`."""

    def __init__(self, needs: tuple[bool, ...]):
        self.needs_input_grad = needs
        self.materializes = True
        self._kept: tuple[Any, ...] = ()
        self._versions: tuple[int, ...] = ()
        self._constant: set[int] = set()

    def save_for_backward(self, *tensors: Tensor | None) -> None:
        """Keep tensors for `saved_tensors`."""
        self._kept = tensors
        self._versions = tuple([0 if x is None else x._version for x in tensors])

    save_for_forward = save_for_backward

    @property
    def saved_tensors(self) -> tuple[Any, ...]:
        """What was kept."""
        for x, version in zip(self._kept, self._versions, strict=True):
            if x is not None and x._version != version:
                raise fault(
                    "one of the variables needed for gradient computation has been modified by an "
                    f"inplace operation: it is at version {x._version}; expected version {version} "
                    "instead."
                )
        return self._kept

    def mark_non_differentiable(self, *tensors: Tensor) -> None:
        """Results of which no gradient is asked."""
        self._constant = {id(x) for x in tensors}

    def mark_dirty(self, *tensors: Tensor) -> None:
        """An error: a Function cannot write to its arguments here."""
        raise fault("mark_dirty is not supported here", "return a new tensor instead")

    def set_materialize_grads(self, value: bool) -> None:
        """Whether `backward` gets zeros, or None, for results that were not used."""
        self.materializes = value


class Function:
    """`torch.autograd.Function`: static methods `forward` and `backward`, called by `apply`."""

    @staticmethod
    def forward(*args: Any, **kwargs: Any) -> Any:
        """(ctx, *args) -> results; or (*args), with `setup_context`."""
        raise NotImplementedError("You must implement the forward function for autograd.Function.")

    @staticmethod
    def setup_context(ctx: Context, inputs: tuple[Any, ...], output: Any) -> Any:
        """What `backward` needs, where `forward` has no ctx."""
        raise NotImplementedError("setup_context is not implemented.")

    @staticmethod
    def backward(ctx: Context, *grad_outputs: Any) -> Any:
        """(ctx, gradients of the results) -> gradients of the arguments, None for no tensors."""
        raise NotImplementedError(
            "You must implement the backward function to use it with autograd.Function."
        )

    vjp = backward

    @classmethod
    def apply(cls, *args: Any) -> Any:
        """The results of `forward`, whose derivative is `backward`."""
        if any(isinstance(x, Tracer) for x in args):
            raise fault(
                f"{cls.__name__}.apply takes tensors, and got a traced value",
                "in tracejit.jit and tracejit.grad use a function with tracejit.custom_vjp",
            )
        places = [i for i, x in enumerate(args) if isinstance(x, Tensor)]
        context = Context(tuple([isinstance(x, Tensor) and x.requires_grad for x in args]))
        with no_grad():
            if cls.setup_context is Function.setup_context:
                out = cls.forward(context, *args)
            else:
                out = cls.forward(*args)
                cls.setup_context(context, args, out)
        if not graph_wanted(args):
            return out
        several = out if isinstance(out, tuple) else (out,)
        inputs = tuple([args[i].cell for i in places])
        step = Step(Custom(cls, context, places), inputs, user_frame())
        step.values = tuple(
            [y.cell.value if isinstance(y, Tensor) else np.asarray(y) for y in several]
        )
        made = []
        for i, y in enumerate(several):
            if not isinstance(y, Tensor):
                made.append(y)
                continue
            type = type_of(step.values[i])
            needs = type.is_inexact and id(y) not in context._constant
            made.append(wrapped(Cell(type, step.values[i], step=step, index=i, needs=needs)))
        same = {id(y): x for y, x in zip(several, made, strict=True)}
        context._kept = tuple([same.get(id(x), x) for x in context._kept])
        return tuple(made) if isinstance(out, tuple) else made[0]


def graph_wanted(args: Sequence[Any]) -> bool:
    """Whether derivatives are recorded, and asked for of one of these."""
    return is_grad_enabled() and any(isinstance(x, Tensor) and x.requires_grad for x in args)


def once_differentiable(backward: Any) -> Any:
    """A `backward` of which no derivative is asked."""

    def once(ctx: Context, *grads: Any) -> Any:
        with no_grad():
            return backward(ctx, *grads)

    return once


# ---- passes


def _hooks(cell: Cell) -> Any:
    return cell.origin is not None and cell.step is not None and cell.origin.hooks


def _is_stop(step: Step) -> bool:
    return step.operation.jaxpr is None


def has_stops(targets: Sequence[Cell], steps: Sequence[Step]) -> bool:
    """Whether gradients go through Python somewhere."""
    return any(
        _is_stop(step) or any(_hooks(cell) for cell in step.inputs) for step in steps
    ) or any(map(_hooks, targets))


def refuse_stops(steps: Sequence[Step]) -> None:
    """An error where a recording that is to be compiled as a whole goes through Python."""
    for step in steps:
        if _is_stop(step):
            raise fault(
                f"{step.operation.name} is an autograd.Function, which cannot be compiled",
                "call it outside, or write it as a function with tracejit.custom_vjp",
            )


def gradients(
    targets: Sequence[Cell], cotangents: Sequence[Cell | None], sources: Sequence[Cell],
    steps: Sequence[Step], record: bool,
) -> list[Cell | None]:  # fmt: skip
    """For each source the gradient of the targets, weighted and summed; see the module."""
    found = _Pass(sources, steps, record)
    with set_grad_enabled(record):
        for y, ct in zip(targets, cotangents, strict=True):
            one = known(np.ones(y.type.shape, y.type.dtype)) if ct is None else ct
            found.add(y, one)
        found.run()
    return [found.results.get(cell) for cell in sources]


class _Pass:
    """One backward pass in levels. levels: of steps; pending: gradients so far."""

    def __init__(self, sources: Sequence[Cell], steps: Sequence[Step], record: bool):
        self.sources, self.record = set(sources), record
        self.levels: dict[Step, int] = {}
        self.pending: dict[Cell, Cell] = {}
        self.results: dict[Cell, Cell] = {}
        for step in steps:
            below = [self._level(cell) for cell in step.inputs if cell.needs]
            self.levels[step] = max(below, default=0)

    def _level(self, cell: Cell) -> int:
        """The level of what reads a cell, at least."""
        step = cell.step
        if step is None or step not in self.levels:
            return 0
        return self.levels[step] + bool(_is_stop(step) or _hooks(cell))

    def add(self, cell: Cell, slope: Cell | None) -> None:
        """More of the gradient of a cell."""
        if slope is not None and cell.needs:
            before = self.pending.get(cell)
            self.pending[cell] = slope if before is None else (Tensor(before) + Tensor(slope)).cell

    def run(self) -> None:
        """Go down all levels."""
        for level in range(max(self.levels.values(), default=0), -1, -1):
            here = [c for c in self.pending if c.step is not None and self._at(c, level)]
            for cell in here:
                self._call_hooks(cell)
            for step in [s for s in self.levels if self.levels[s] == level and _is_stop(s)]:
                self._step_back(step)
            self._compute(level)
        for cell in list(self.pending):
            self._finish(cell)

    def _at(self, cell: Cell, level: int) -> bool:
        return cell.step is not None and self.levels.get(cell.step, -1) == level

    def _call_hooks(self, cell: Cell) -> None:
        for hook in list((_hooks(cell) or {}).values()):
            found = hook(Tensor(self.pending[cell]))
            if found is not None:
                self.pending[cell] = found.cell

    def _step_back(self, step: Step) -> None:
        """Through a Function."""
        given: list[Cell | None] = [None] * len(step.values or ())
        for cell in [c for c in self.pending if c.step is step]:
            given[cell.index] = self.pending[cell]
            self._finish(cell)
        if any(ct is not None for ct in given):
            operation: Any = step.operation
            for cell, slope in zip(step.inputs, operation.pulled_back(step, given), strict=True):
                self.add(cell, slope)

    def _finish(self, cell: Cell) -> None:
        slope = self.pending.pop(cell)
        if cell in self.sources:
            before = self.results.get(cell)
            self.results[cell] = (
                slope if before is None else (Tensor(before) + Tensor(slope)).cell
            )

    def _compute(self, level: int) -> None:
        """Through the other steps of a level, by one program."""
        targets = [c for c in self.pending if self._at(c, level)]
        if not targets:
            return
        cotangents = [self.pending.pop(c) for c in targets]
        lower = graph.reachable(
            [c.step for c in targets if c.step], lambda c: not c.needs or not self._at(c, level)
        )
        edge = dict.fromkeys(
            c for step in lower for c in step.inputs if c.needs and not self._at(c, level)
        )
        inside = [
            c for c in self.sources if self._at(c, level) and c not in edge
        ]
        sources = [*edge, *inside]
        stop = {c.step for c in edge if c.step is not None}
        slopes = graph.gradients(
            targets, sources, cotangents, record=self.record, stop=stop.__contains__
        )
        for cell, slope in zip(edge, slopes, strict=False):
            self.add(cell, slope)
        for cell, slope in zip(inside, slopes[len(edge) :], strict=True):
            if slope is not None:
                self.results[cell] = slope
