"""A recording made operation by operation, whose graph lives on its results.

    recorder = Recorder()                              one per door: see `recorder.py`
    y = recorder.perform(np_sin, (x,), record=True)    x a Handle; y a Cell: wrap it in your class
    y.value                                            the array, computed when somebody asks
    part = cut([y], [x.cell])                          the program between two sets of cells
    part.gradients()                                   of the targets' sum; None: not connected
    part.function()                                    a Python function of the sources, for `jit`
    gradients([y], [x.cell])                           the same where sources depend on each other

A `Cell` is a value: known, or a result of a `Step`. A step knows the cells that it reads, never
those that read it, so what nobody holds is garbage. An `Operation` is what a step does: the jaxpr
of one call of a NumPy function, traced once for each kind of arguments. Python numbers, strings and
slices among the arguments belong to the kind; arrays are operands.

A step that is recorded is not run. A gradient is one program: the steps between sources and targets
are put together in the order in which they were recorded, which is the jaxpr that tracing the whole
would have given; linearized, transposed, and run. Programs are remembered by their structure: the
first round of a training loop is run equation by equation, from the second on the loss and all
gradients are one native call. All walks are loops, so depth does not matter.
"""

from __future__ import annotations

import itertools
import operator
import time
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np

from tracejit import tree
from tracejit.compat.program import Program
from tracejit.errors import ArgumentError, DTypeError, ShapeError
from tracejit.ir.atoms import Atom, Var
from tracejit.ir.builder import building
from tracejit.ir.graph import Equation, Jaxpr, Provenance
from tracejit.ir.types import FLOATS, ArrayType, has_dtype, type_of
from tracejit.ir.walk import Substitution, copy_equation, evaluate
from tracejit.numpy.arrays import convert
from tracejit.runtime.runner import Runner
from tracejit.trace.provenance import user_frame
from tracejit.trace.stage import apply
from tracejit.trace.tracer import Tracer

_serials = itertools.count()
_needs = operator.attrgetter("needs")
_NOTHING: Mapping[str, Any] = MappingProxyType({})
#: So many operations, and programs, are remembered at most.
REMEMBERED = 8192


def next_serial() -> int:
    """A moment: steps that are recorded later have a greater serial."""
    return next(_serials)


class Cell:
    """A value of a recording. step, index: where it comes from; step is None for what is known.

    needs: whether somebody may ask for derivatives of what is computed from it (floats only).
    origin: for the door's own use.
    """

    __slots__ = ("__weakref__", "_value", "index", "needs", "origin", "step", "type")

    def __init__(
        self, type: ArrayType, value: np.ndarray | None = None, *, step: Step | None = None,
        index: int = 0, needs: bool = False,
    ):  # fmt: skip
        self.type, self._value, self.step, self.index = type, value, step, index
        self.needs = needs
        self.origin: Any = None

    @property
    def value(self) -> np.ndarray:
        """The array (also for rank 0); nobody may write to it."""
        if self._value is None:
            assert self.step is not None
            self._value = self.step.settle()[self.index]
        return self._value

    @property
    def known(self) -> np.ndarray | None:
        """The value if it was computed, else None."""
        if self._value is None and self.step is not None and self.step.values is not None:
            return self.step.values[self.index]
        return self._value

    def __repr__(self) -> str:
        return f"Cell({self.type})"


def known(value: Any, *, needs: bool = False) -> Cell:
    """The cell of an array or a number, which is copied unless it is a cell's value already."""
    array = np.array(value)
    if not has_dtype(array.dtype):
        raise DTypeError(
            f"there are no arrays of dtype {array.dtype} here", where=user_frame(),
            hint="tracejit knows bool, int8 to int64, uint8 to uint64, float32 and float64",
        )  # fmt: skip
    return Cell(type_of(array), array, needs=needs and array.dtype in FLOATS)


class Handle:
    """The base class of the doors' arrays. A subclass has `cell` as an attribute or a property."""

    __slots__ = ()
    cell: Cell


class Step:
    """One recorded operation: what it does, what it reads, where the user wrote it.

    values: the results, once somebody has asked for them, or a program that has them was run.
    freed: whether the door has let the graph go (`release`). home: the door's name for the program
    that it was part of, and its place there; `wanted` has the places that were asked for later.
    """

    __slots__ = ("freed", "home", "inputs", "operation", "serial", "values", "where")

    def __init__(self, operation: Operation, inputs: tuple[Cell, ...], where: Provenance):
        self.operation, self.inputs, self.where = operation, inputs, where
        self.serial = next(_serials)
        self.values: tuple[np.ndarray, ...] | None = None
        self.freed = False
        self.home: tuple[Hashable, int] | None = None

    def settle(self) -> tuple[np.ndarray, ...]:
        """The values of the results; whatever they depend on is computed, too."""
        if self.values is None:
            if self.home is not None:
                if len(wanted) >= REMEMBERED:
                    wanted.clear()
                wanted.setdefault(self.home[0], {})[self.home[1]] = None
            steps = reachable([self], lambda cell: cell._value is not None or _done(cell))
            if len(steps) > FEW:
                _run_together(self, steps)
            for step in steps if self.values is None else [self]:
                step.run()
        assert self.values is not None
        return self.values

    def run(self) -> None:
        """Have values, those of the inputs being known."""
        if self.values is None:
            self.values = self.operation.run([cell.value for cell in self.inputs])
        self.drop()

    def release(self) -> None:
        """Let the graph behind this step go, which no derivative is asked of any more."""
        self.freed = True
        self.drop()

    def drop(self) -> None:
        """Forget what was read, if neither values nor derivatives need it."""
        if self.freed and self.values is not None:
            self.inputs = ()


#: Of programs: the places of the steps whose values somebody asked for after the program had run.
wanted: dict[Hashable, dict[int, None]] = {}
#: So many steps are run one by one, more of them, when they come again, as one program.
FEW = 3


def _run_together(last: Step, steps: Sequence[Step]) -> None:
    """Run some steps one by one; or, once that has cost enough, the last of them by a program."""
    inside = set(steps)
    outs = [Cell(t, step=last, index=i) for i, t in enumerate(last.operation.out_types)]
    part = Cut(outs, (), lambda step: step not in inside)
    forward = part.program().forward
    last.values = forward.by_machine([cell.value for cell in part.inputs])
    if last.values is None:
        start = time.perf_counter()
        for step in steps:
            step.run()
        forward.spent += time.perf_counter() - start


def _done(cell: Cell) -> bool:
    return cell.step is None or cell.step.values is not None


def reachable(steps: Iterable[Step], stop: Callable[[Cell], bool]) -> list[Step]:
    """These steps and those that they depend on, in the order in which they were recorded; cells
    that `stop` says yes to are not followed."""
    found = dict.fromkeys(steps)
    pending = list(found)
    while pending:
        for cell in pending.pop().inputs:
            step = cell.step
            if step is not None and step not in found and not stop(cell):
                found[step] = None
                pending.append(step)
    return sorted(found, key=lambda step: step.serial)


class Operation:
    """A function on some kind of arguments as a jaxpr. captured: the cells of its first inputs,
    arrays that the function closes over. number: no other operation has it. passing: whether it
    does not come again, nor a program with it."""

    __slots__ = (
        "captured", "jaxpr", "name", "number", "out_tree", "out_types", "passing", "runner"
    )  # fmt: skip

    def __init__(
        self, name: str, jaxpr: Jaxpr, out_tree: tree.TreeDef, captured: Sequence[Any] = (),
        runner: Runner | None = None,
    ):  # fmt: skip
        self.name, self.jaxpr, self.out_tree = name, jaxpr, out_tree
        self.captured = tuple([known(x) for x in captured])
        self.runner, self.out_types = runner, jaxpr.out_types
        self.number = next(_serials)
        self.passing = False

    def run(self, values: Sequence[np.ndarray]) -> tuple[np.ndarray, ...]:
        """The results for arrays; by the runner if there is one, else by NumPy."""
        if self.runner is not None:
            return self.runner(values)
        return tuple([np.asarray(y) for y in evaluate(self.jaxpr, *values)])

    def apply(self, cells: Sequence[Cell], record: bool, where: Provenance | None = None) -> Any:
        """The results for cells: a cell, or a tree of them."""
        inputs = (*self.captured, *cells)
        types = self.out_types
        if record:
            step = Step(self, inputs, where or user_frame())
            needs = any(map(_needs, inputs))
            outs = [
                Cell(t, None, step=step, index=i, needs=needs and t.dtype in FLOATS)
                for i, t in enumerate(types)
            ]
        else:
            values = self.run([cell.value for cell in inputs])
            outs = [Cell(t, y) for t, y in zip(types, values, strict=True)]
        return outs[0] if self.out_tree.kind == "leaf" else self.out_tree.unflatten(outs)


def values_of(x: Any) -> Any:
    """The array of a handle; anything else as it is."""
    return x.cell.value if isinstance(x, Handle) else x


# ---- programs


class Cut:
    """The program from some cells to others.

    steps: in order. sources: what it is a function of, each once; asked: as they were given.
    targets: its results. constants: the other cells that it reads. connected: the sources that it
    reads.
    """

    __slots__ = ("asked", "connected", "constants", "numbers", "sources", "steps", "targets")

    def __init__(
        self, targets: Sequence[Cell], sources: Sequence[Cell],
        stop: Callable[[Step], bool] | None = None,
    ):  # fmt: skip
        self.targets, self.asked = tuple(targets), tuple(sources)
        self.sources = tuple(dict.fromkeys(sources))
        ends = set(self.sources)

        def ends_at(cell: Cell) -> bool:
            step = cell.step
            if cell in ends or step is None or step.operation.jaxpr is None:
                return True
            return stop is not None and stop(step)

        first = [y.step for y in self.targets if y.step is not None and not ends_at(y)]
        self.steps = reachable(first, ends_at)
        self.numbers: dict[Any, int] = {}
        for i, cell in enumerate(self.sources):
            self.numbers.setdefault(cell, i)
        places = {step: i for i, step in enumerate(self.steps)}
        self.constants: list[Cell] = []
        read = set(self.targets)
        for step in self.steps:
            for cell in step.inputs:
                read.add(cell)
                if cell not in self.numbers and cell.step not in places:
                    self.numbers[cell] = len(self.sources) + len(self.constants)
                    self.constants.append(cell)
        for cell in self.targets:
            if cell not in self.numbers and cell.step not in places:
                self.numbers[cell] = len(self.sources) + len(self.constants)
                self.constants.append(cell)
        self.connected = read & ends

    @property
    def inputs(self) -> tuple[Cell, ...]:
        """The cells of the inputs of the jaxpr: the sources, then the constants."""
        return (*self.sources, *self.constants)

    def key(self) -> Hashable:
        """Equal for cuts of one structure: the same operations on the same operands and types."""
        places: dict[Any, int] = {step: i for i, step in enumerate(self.steps)}
        numbers = self.numbers
        key: list[Any] = []

        def number(cell: Cell) -> Any:
            found = numbers.get(cell)
            return found if found is not None else (places[cell.step], cell.index)

        for step in self.steps:
            key.append(step.operation.number)
            key += [number(cell) for cell in step.inputs]
        types = tuple([cell.type for cell in self.inputs])
        return tuple(key), types, tuple([number(cell) for cell in self.targets]), len(self.sources)

    def jaxpr(self) -> Jaxpr:
        """(sources, constants) -> targets."""
        made: dict[Any, Atom] = {}
        with building() as builder:
            invars = [Var(cell.type) for cell in self.inputs]
            for cell, number in self.numbers.items():
                made[cell] = invars[number]
            results: dict[Step, list[Atom]] = {}

            def atom(cell: Cell) -> Atom:
                found = made.get(cell)
                return results[cell.step][cell.index] if found is None else found  # type: ignore[index]

            for step in self.steps:
                inner = step.operation.jaxpr
                inputs = [atom(cell) for cell in step.inputs]
                env = Substitution(zip(inner.invars, inputs, strict=True))
                for eqn in inner.equations:
                    place = Equation(eqn.primitive, eqn.inputs, eqn.params, eqn.outvars, step.where)
                    copy_equation(place if step.where.file else eqn, env, builder)
                results[step] = env.all(inner.outvars)
            return builder.finish(invars, [atom(cell) for cell in self.targets])

    def program(self) -> Program:
        """The program, remembered by its structure."""
        if any(step.operation.passing for step in self.steps):
            return Program(self.jaxpr(), len(self.sources))
        key = self.key()
        found = _programs.get(key)
        if found is None:
            if len(_programs) >= REMEMBERED:
                _programs.clear()
            found = _programs[key] = Program(self.jaxpr(), len(self.sources))
        return found

    def gradients(
        self, cotangents: Sequence[Cell | None] | None = None, *, record: bool = False
    ) -> list[Cell | None]:
        """For each source the gradient of the targets, weighted by cotangents (None: by ones) and
        summed; None where no target reads it, or it is no float.

        record: whether derivatives of the gradients may be asked for. If not, they are computed at
        once, and the targets get their values at the same time.
        """
        program = self.program()
        given = [None] * len(self.targets) if cotangents is None else list(cotangents)
        mask = tuple([ct is not None for ct in given])
        runner = program.gradient(mask)
        cells = [*self.inputs, *[ct for ct in given if ct is not None]]
        count = len(self.targets)
        if record:
            operation = program.operations.get(mask)
            if operation is None:
                out_tree = tree.structure([0] * len(runner.jaxpr.outvars))
                operation = Operation("gradient", runner.jaxpr, out_tree, runner=runner)
                program.operations[mask] = operation
            found = operation.apply(cells, True)[count:]
        else:
            results = runner([cell.value for cell in cells])
            for cell, value in zip(self.targets, results, strict=False):
                _fill(cell, value)
            found = [Cell(type_of(y), y) for y in results[count:]]
        floats = [cell for cell in self.sources if cell.type.is_inexact]
        slopes = {c: g for c, g in zip(floats, found, strict=True) if c in self.connected}
        return [slopes.get(cell) for cell in self.asked]

    def function(self, name: str = "recorded") -> Callable[..., Any]:
        """A function of the sources that gives the target, or the list of targets: plain arrays or
        traced values in, so that `jit`, `grad` and `vmap` take it. What is read beside the sources
        is a constant of it."""
        jaxpr, types = self.jaxpr(), [cell.type for cell in self.sources]
        constants = [cell.value for cell in self.constants]

        def recorded(*values: Any) -> Any:
            outs = apply(jaxpr, [*_fitting(values, types, name), *constants])
            return outs[0] if len(outs) == 1 else outs

        recorded.__name__ = recorded.__qualname__ = name
        return recorded


_programs: dict[Hashable, Program] = {}


def cut(
    targets: Sequence[Cell], sources: Sequence[Cell], stop: Callable[[Step], bool] | None = None
) -> Cut:
    """The program from `sources` to `targets`; whatever else it reads is a constant of it, and so
    are the results of steps that `stop` says yes to."""
    return Cut(targets, sources, stop)


def gradients(
    targets: Sequence[Cell], sources: Sequence[Cell],
    cotangents: Sequence[Cell | None] | None = None, *, record: bool = False,
    stop: Callable[[Step], bool] | None = None,
) -> list[Cell | None]:  # fmt: skip
    """`cut(targets, sources, stop).gradients(...)`, also where a source is computed from another:
    then what goes through the one counts for the other, too."""
    among = set(sources)
    inside = [cell.step for cell in sources if cell.step is not None]
    below = reachable(inside, lambda cell: False) if inside else []
    if any(cell in among for step in below for cell in step.inputs):
        alone = {x: cut(targets, [x], stop).gradients(cotangents, record=record)[0] for x in among}
        return [alone[x] for x in sources]
    return cut(targets, sources, stop).gradients(cotangents, record=record)


def _fill(cell: Cell, value: np.ndarray) -> None:
    """Give a cell its value, which a program has computed on the way."""
    step = cell.step
    if cell._value is None and step is not None and step.values is None:
        cell._value = value
        if len(step.operation.jaxpr.outvars) == 1:
            step.values = (value,)


def _fitting(values: Sequence[Any], types: Sequence[ArrayType], name: str) -> list[Any]:
    """Arguments in the dtypes of the recording; ShapeError where the shapes are others."""
    if len(values) != len(types):
        raise ArgumentError(
            f"{name} takes {len(types)} arguments, got {len(values)}", where=user_frame()
        )
    fitting = []
    for i, (x, t) in enumerate(zip(values, types, strict=True)):
        x = values_of(x)
        array = x if isinstance(x, (Tracer, np.ndarray)) else np.asarray(x)
        if array.shape != t.shape:
            raise ShapeError(
                f"argument {i} of {name} has shape {array.shape}, and was recorded with {t.shape}",
                where=user_frame(), hint="a recording is for one shape: record it anew",
            )  # fmt: skip
        fitting.append(convert(array, t.dtype))
    return fitting
