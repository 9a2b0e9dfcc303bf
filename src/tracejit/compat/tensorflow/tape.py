"""GradientTape: derivatives of what was computed inside of its block.

An operation is recorded if a tape is active and one of its operands is watched, or depends on what
is. A tape differentiates what was recorded while it was: `stop` cuts the rest off, whose results
are constants to it. What a tape computes is recorded by the tapes around it.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Self

import numpy as np

from tracejit import tree
from tracejit.api.jacobians import jacrev
from tracejit.compat.graph import Cell, Cut, Operation, Step, cut, gradients, next_serial
from tracejit.compat.tensorflow.state import STATE
from tracejit.compat.tensorflow.tensor import Tensor, Value, call, convert
from tracejit.compat.tensorflow.variable import Variable
from tracejit.errors import ArgumentError, GradError, ShapeError, UnsupportedError
from tracejit.numpy import creation, ufuncs
from tracejit.trace.provenance import user_frame
from tracejit.trace.stage import apply, stage
from tracejit.trace.tracer import Tracer

__all__ = ["GradientTape", "UnconnectedGradients"]


class UnconnectedGradients(enum.Enum):
    """What a gradient is for a source on which the target does not depend."""

    NONE = "none"
    ZERO = "zero"


class GradientTape:
    """with tf.GradientTape() as tape: ...; then tape.gradient(target, sources).

    persistent: whether it may be asked more than once. watch_accessed_variables: whether trainable
    variables are watched when they are read in the block; tensors are by `watch`.
    """

    def __init__(self, persistent: bool = False, watch_accessed_variables: bool = True):
        self.persistent = persistent
        self.watches_variables = watch_accessed_variables
        self._watched: dict[Cell, Variable | None] = {}
        self._spans: list[list[float]] = []
        self._spent = False

    # Recording

    def __enter__(self) -> Self:
        if self.recording:
            raise ArgumentError(
                "Tape is still recording, This can happen if you try to re-enter an already-active "
                "tape.", where=user_frame(),
            )  # fmt: skip
        self._start()
        return self

    def __exit__(self, *error: object) -> None:
        if self.recording:
            self._stop()

    @property
    def recording(self) -> bool:
        """Whether operations are recorded by this tape now."""
        return any(tape is self for tape in STATE.tapes)

    def _start(self) -> None:
        self._spans.append([next_serial(), float("inf")])
        STATE.tapes.append(self)

    def _stop(self) -> None:
        self._spans[-1][1] = next_serial()
        STATE.tapes = [tape for tape in STATE.tapes if tape is not self]

    @contextmanager
    def stop_recording(self) -> Iterator[None]:
        """In this block nothing is recorded."""
        if not self.recording:
            raise ArgumentError("Tape is not recording.", where=user_frame())
        self._stop()
        try:
            yield
        finally:
            self._start()

    def reset(self) -> None:
        """Forget what was recorded, and what is watched."""
        recording = self.recording
        self.__exit__()
        self.__init__(self.persistent, self.watches_variables)  # type: ignore[misc]
        if recording:
            self._start()

    def watch(self, tensor: Any) -> None:
        """Have derivatives with respect to a tensor, or to each in a tree of them."""
        for x in _values(tensor):
            if not isinstance(x, Value):
                raise ArgumentError(
                    f"Passed in object {x!r} of type {type(x).__name__!r}, not tf.Tensor or "
                    "tf.Variable", where=user_frame(), hint="tf.constant makes a tensor",
                )  # fmt: skip
            if isinstance(x.cell, Tracer):
                raise _inside_a_trace()
            if not x.dtype.is_floating:
                raise GradError(
                    f"The dtype of the watched tensor must be floating (e.g. tf.float32), got "
                    f"{x.dtype!r}", where=user_frame(), hint="tf.cast(x, tf.float32) converts it",
                )  # fmt: skip
            cell = x._cell if isinstance(x, Variable) else x.cell
            cell.needs = True
            self.read(x if isinstance(x, Variable) else None, cell)

    def read(self, variable: Variable | None, cell: Cell) -> None:
        """Remember that a variable had this value."""
        self._watched[cell] = variable

    def watched_variables(self) -> tuple[Variable, ...]:
        """The variables that were read, each once, in order."""
        return tuple({id(v): v for v in self._watched.values() if v is not None}.values())

    # Derivatives

    def gradient(
        self, target: Any, sources: Any, output_gradients: Any = None,
        unconnected_gradients: Any = UnconnectedGradients.NONE,
    ) -> Any:  # fmt: skip
        """The gradients of the sum of all elements of `target`, in the structure of `sources`.

        target, sources: tensors, variables and trees of them. output_gradients: weights, of the
        shapes of the targets. unconnected_gradients: what there is for a source on which the target
        does not depend: None, or zeros.
        Raises RuntimeError (as TensorFlow) where a tape that is not persistent is asked again.
        """
        unconnected = UnconnectedGradients(unconnected_gradients)
        self._spend()
        tensors = [*map(self._target, _values(target))]
        floats = [t.dtype.is_floating for t in tensors]
        targets = [t.cell for t, is_float in zip(tensors, floats, strict=True) if is_float]
        given, structure = tree.flatten(sources)
        given = [_source(x) for x in given]
        cells = [self._cells(x) for x in given]
        weights = None
        if output_gradients is not None:
            each = tree.flatten_up_to(tree.structure(target), output_gradients)
            weights = _weights([w for w, on in zip(each, floats, strict=True) if on], targets)
        slopes = gradients(
            targets, [cell for each in cells for cell in each], weights, record=_recorded(),
            stop=self._is_outside,
        )  # fmt: skip
        supply = iter(slopes)
        found = [[next(supply) for _ in each] for each in cells]
        return structure.unflatten(
            [_total(each, x, unconnected) for each, x in zip(found, given, strict=True)]
        )

    def jacobian(
        self, target: Any, sources: Any, unconnected_gradients: Any = UnconnectedGradients.NONE,
        parallel_iterations: int | None = None, experimental_use_pfor: bool = True,
    ) -> Any:  # fmt: skip
        """The derivatives of every element of a tensor, of shape (*target, *source), in the
        structure of `sources`; from one program, so the last two arguments change nothing."""
        unconnected = UnconnectedGradients(unconnected_gradients)
        self._spend()
        y = self._target(target)
        return tree.map(lambda x: self._jacobian(y, _source(x), unconnected, _each), sources)

    def batch_jacobian(
        self, target: Any, source: Any, unconnected_gradients: Any = UnconnectedGradients.NONE,
        parallel_iterations: int | None = None, experimental_use_pfor: bool = True,
    ) -> Any:  # fmt: skip
        """For each row b of target and source the Jacobian of one by the other, where rows do not
        depend on each other: of shape (b, *target[0], *source[0]).

        Raises ShapeError unless both have the same number of rows.
        """
        unconnected = UnconnectedGradients(unconnected_gradients)
        y, x = self._target(target), _source(source)
        if not y.ndim or not x.ndim or y.shape[0] != x.shape[0]:
            raise ShapeError(
                f"Need first dimension of target shape ({y.shape}) and source shape ({x.shape}) to "
                "match.", where=user_frame(),
            )  # fmt: skip
        self._spend()
        return self._jacobian(y, x, unconnected, _by_rows)

    def compile(self, target: Any, sources: Any) -> Callable[..., Any]:
        """What was recorded, from `sources` (a list) to `target`, as a function of plain arrays:
        for `tracejit.jit`, `grad` and `vmap`. It does not spend the tape."""
        cells = [self._cells(_source(x))[-1:] for x in _values(sources)]
        if not all(cells):
            raise ArgumentError(
                "compile: a source is not watched by this tape", where=user_frame(),
                hint="tape.watch(x), or read the variable in the block",
            )  # fmt: skip
        targets = [self._target(t).cell for t in _values(target)]
        return self._cut(targets, [cell for each in cells for cell in each]).function()

    # How

    def _spend(self) -> None:
        """Note that the tape is asked; a tape that is not persistent is asked once."""
        if self._spent:
            raise SpentTapeError(
                "A non-persistent GradientTape can only be used to compute one set of gradients "
                "(or jacobians)", where=user_frame(),
                hint="with tf.GradientTape(persistent=True) as tape: ...",
            )  # fmt: skip
        if not self.persistent:
            self._spent = True
            self.__exit__()

    def _target(self, x: Any) -> Tensor:
        """A target as a tensor; a variable that is one itself counts as read."""
        if isinstance(x, Variable) and x.trainable and self.watches_variables:
            self._watched.setdefault(x._cell, x)
        tensor: Tensor = convert(x)
        if isinstance(tensor.cell, Tracer):
            raise _inside_a_trace()
        return tensor

    def _cells(self, source: Value) -> list[Cell]:
        """The values that a source had in this tape's block; none if it was not watched."""
        if isinstance(source, Variable):
            return [cell for cell, variable in self._watched.items() if variable is source]
        cell = source.cell
        made_here = cell.step is not None and not self._is_outside(cell.step)
        return [cell] if cell in self._watched or made_here else []

    def _is_outside(self, step: Step) -> bool:
        """Whether a step was recorded while this tape was not recording."""
        return not any(a < step.serial < b for a, b in self._spans)

    def _cut(self, targets: Sequence[Cell], sources: Sequence[Cell]) -> Cut:
        return cut(targets, sources, self._is_outside)

    def _jacobian(
        self, y: Tensor, x: Value, unconnected: UnconnectedGradients,
        form: Callable[[Callable[..., Any], int], Callable[..., Any]],
    ) -> Any:  # fmt: skip
        cells = self._cells(x)
        part = self._cut([y.cell], cells[-1:])
        if not part.connected:
            if unconnected is UnconnectedGradients.NONE:
                return None
            return convert(np.zeros((*y.shape, *x.shape), x.dtype.numpy_dtype))
        program = part.jaxpr()
        derivative = form(lambda *values: apply(program, values)[0], x.ndim)
        staged = stage(lambda *values: [derivative(*values)], program.in_types, name="jacobian")
        operation = Operation("jacobian", staged.jaxpr, tree.structure(0), staged.captured)
        return Tensor(operation.apply(part.inputs, _recorded()))


class SpentTapeError(ArgumentError, RuntimeError):
    """A tape that is not persistent was asked for derivatives a second time."""


def _recorded() -> bool:
    """Whether derivatives may be asked of a derivative: by a tape around, or a `function`."""
    return bool(STATE.tapes) or STATE.tracing is not None


def _each(fun: Callable[..., Any], ndim: int) -> Callable[..., Any]:
    return jacrev(fun)


def _by_rows(fun: Callable[..., Any], ndim: int) -> Callable[..., Any]:
    """The Jacobian of the sum of the rows has the source's rows behind the axes of the target."""
    whole = jacrev(lambda *values: np.sum(fun(*values), axis=0))

    def rows(*values: Any) -> Any:
        jacobian = whole(*values)
        return np.moveaxis(jacobian, jacobian.ndim - ndim, 0)

    return rows


def _values(x: Any) -> list[Any]:
    return tree.leaves(x)


def _source(x: Any) -> Value:
    if not isinstance(x, Value):
        raise ArgumentError(
            f"a source must be a tf.Tensor or tf.Variable, not {type(x).__name__}",
            where=user_frame(), hint="tf.constant makes a tensor; watch it in the tape's block",
        )  # fmt: skip
    return x


def _inside_a_trace() -> UnsupportedError:
    return UnsupportedError(
        "a GradientTape inside of a function that tracejit traces",
        where=user_frame(),
        hint="decorate with tf.function, which records tapes; or use tracejit.grad in there",
    )


def _weights(given: Sequence[Any], targets: Sequence[Cell]) -> list[Cell | None]:
    """Cotangents of the targets' types."""
    weights: list[Cell | None] = []
    for w, y in zip(given, targets, strict=True):
        tensor = None if w is None else convert(w, dtype_hint=y.type.dtype)
        if tensor is not None and tensor.cell.type != y.type:
            raise ShapeError(
                f"output_gradients: {tensor.cell.type} for a target {y.type}", where=user_frame()
            )
        weights.append(None if tensor is None else tensor.cell)
    return weights


def _total(slopes: Sequence[Cell | None], x: Value, unconnected: UnconnectedGradients) -> Any:
    """The gradient of a source: the sum over the values that it had."""
    found = [Tensor(slope) for slope in slopes if slope is not None]
    if not found:
        none = unconnected is UnconnectedGradients.NONE
        return None if none else call(creation.zeros_like, x)
    total = found[0]
    for slope in found[1:]:
        total = call(ufuncs.add, total, slope)
    return total
