"""tf.function: a Python function on tensors, recorded once for each kind of arguments, compiled.

What it reads are inputs of the program: its arguments and the variables that it uses; what it gives
are outputs: its results and the variables that it assigns. Tapes and optimizers inside of it are
part of it, so that a whole training step is one native call.

Where Python asks for a number (`if`, `numpy()`, `print` of a tensor) or draws random ones, there is
no one program for all calls: such a function runs as it stands, operation by operation.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable, Sequence
from contextlib import suppress
from typing import Any

from tracejit import tree
from tracejit.compat.graph import Cell, Operation, cut, reachable
from tracejit.compat.tensorflow.dtypes import TensorSpec
from tracejit.compat.tensorflow.state import STATE
from tracejit.compat.tensorflow.tensor import Tensor, convert
from tracejit.compat.tensorflow.variable import Variable
from tracejit.errors import ArgumentError, ShapeError
from tracejit.runtime.arguments import name_of
from tracejit.runtime.runner import Runner
from tracejit.trace.provenance import user_frame

__all__ = ["Function", "function"]


class Tracing:
    """The recording of a function. asked: what Python asked of a value that differs from call to
    call, if it did. read: the values that variables had, written: their new ones."""

    def __init__(self, sources: Sequence[Cell]):
        self.asked = ""
        self._sources = set(sources)
        self.before: dict[int, tuple[Variable, Cell]] = {}
        self.written: dict[int, tuple[Variable, Cell]] = {}

    def read(self, variable: Variable, cell: Cell) -> None:
        """Note that a variable is read, which has this value."""
        if id(variable) not in self.written:
            self.before.setdefault(id(variable), (variable, cell))
            self._sources.add(cell)

    def write(self, variable: Variable, cell: Cell) -> None:
        """Give a variable a new value."""
        self.before.setdefault(id(variable), (variable, variable._cell))
        self.written[id(variable)] = (variable, cell)
        variable._cell = cell

    def depends(self, cell: Cell) -> bool:
        """Whether the value of a cell may differ from call to call."""
        if cell in self._sources or cell.step is None:
            return cell in self._sources
        steps = reachable([cell.step], self._sources.__contains__)
        return any(x in self._sources for step in steps for x in step.inputs)


class _Concrete:
    """The program of one kind of arguments."""

    def __init__(
        self, operation: Operation, constants: Sequence[Cell], read: Sequence[Variable],
        written: Sequence[Variable], structure: tree.TreeDef, places: Sequence[int | None],
    ):  # fmt: skip
        self.operation, self.constants = operation, tuple(constants)
        self.read, self.written = tuple(read), tuple(written)
        self.structure, self.places = structure, tuple(places)

    def __call__(self, arguments: Sequence[Cell]) -> Any:
        inputs = (*arguments, *[v.cell for v in self.read], *self.constants)
        outs = self.operation.apply(inputs, bool(STATE.tapes) and any(c.needs for c in inputs))
        count = len(outs) - len(self.written)
        for variable, cell in zip(self.written, outs[count:], strict=True):
            variable._cell = Cell(cell.type, cell.value, needs=variable.trainable)
        return self.structure.unflatten(
            [None if place is None else Tensor(outs[place]) for place in self.places]
        )


class Function:
    """What `tf.function` returns. python_function: the function."""

    def __init__(self, fun: Callable[..., Any], input_signature: Sequence[Any] | None = None):
        functools.update_wrapper(self, fun, updated=())
        self.python_function = fun
        self.input_signature = input_signature
        self._concrete: dict[Hashable, _Concrete | None] = {}
        self._traces = 0

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        """As a method; a program belongs to one instance."""
        if instance is None:
            return self
        bound = Function(self.python_function.__get__(instance, owner), self.input_signature)
        with suppress(AttributeError):  # a class with slots: recorded anew at each call
            setattr(instance, self.python_function.__name__, bound)
        return bound

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if STATE.tracing is not None:
            return self.python_function(*args, **kwargs)
        if self.input_signature is not None:
            args = self._fitting(args)
        leaves, structure = tree.flatten((args, kwargs))
        leaves = [convert(x) if _is_array(x) else x for x in leaves]
        cells = [x.cell for x in leaves if isinstance(x, Tensor)]
        key = (
            structure,
            tuple([x.cell.type if isinstance(x, Tensor) else _static(x) for x in leaves]),
        )
        if key not in self._concrete:
            return self._trace(key, leaves, structure, cells)
        concrete = self._concrete[key]
        if concrete is None:
            args, kwargs = structure.unflatten(leaves)
            return self.python_function(*args, **kwargs)
        return concrete(cells)

    def experimental_get_tracing_count(self) -> int:
        """How often the Python function has been recorded."""
        return self._traces

    def get_concrete_function(self, *args: Any, **kwargs: Any) -> Function:
        """This function, which finds the program by the kind of the arguments."""
        return self

    def _fitting(self, args: Sequence[Any]) -> tuple[Any, ...]:
        """Arguments as the signature has them; ShapeError, ArgumentError where they do not fit."""
        assert self.input_signature is not None
        if len(args) != len(self.input_signature):
            raise ArgumentError(
                f"{name_of(self.python_function)} takes {len(self.input_signature)} arguments by "
                f"its input_signature, got {len(args)}", where=user_frame(),
            )  # fmt: skip
        return tuple(map(_fit, args, self.input_signature))

    def _trace(
        self, key: Hashable, leaves: Sequence[Any], structure: tree.TreeDef, cells: Sequence[Cell]
    ) -> Any:
        """Record the function and keep its program. What it returned this time is its result."""
        self._traces += 1
        sources = [Cell(cell.type, cell.value) for cell in cells]
        supply = iter(sources)
        given = [Tensor(next(supply)) if isinstance(x, Tensor) else x for x in leaves]
        args, kwargs = structure.unflatten(given)
        tapes, STATE.tapes = STATE.tapes, []
        tracing = STATE.tracing = Tracing(sources)
        try:
            result = self.python_function(*args, **kwargs)
        finally:
            STATE.tracing, STATE.tapes = None, tapes
            for variable, cell in tracing.before.values():
                variable._cell = cell
        if tracing.asked:
            self._concrete[key] = None
            args, kwargs = structure.unflatten(leaves)
            return self.python_function(*args, **kwargs)
        concrete = _concrete(result, sources, tracing, name_of(self.python_function))
        self._concrete[key] = concrete
        return concrete(cells)

    def __repr__(self) -> str:
        return f"<tf.function of {self.python_function!r}>"


def _concrete(result: Any, sources: Sequence[Cell], tracing: Tracing, name: str) -> _Concrete:
    """The program of what was recorded."""
    out_leaves, structure = tree.flatten(result, is_leaf=lambda x: x is None)
    outs = [None if x is None else convert(x).cell for x in out_leaves]
    places = [None if x is None else sum(y is not None for y in outs[:i])
              for i, x in enumerate(outs)]  # fmt: skip
    written = [*tracing.written.values()]
    targets = [x for x in outs if x is not None] + [cell for _, cell in written]
    before = [*tracing.before.values()]
    part = cut(targets, [*sources, *[cell for _, cell in before]])
    jaxpr = part.jaxpr()
    operation = Operation(
        name, jaxpr, tree.structure([0] * len(targets)), runner=Runner(jaxpr, name)
    )
    return _Concrete(
        operation, part.constants, [v for v, _ in before], [v for v, _ in written], structure,
        places,
    )  # fmt: skip


def function(
    func: Callable[..., Any] | None = None, input_signature: Sequence[Any] | None = None,
    autograph: bool = True, jit_compile: bool | None = None, reduce_retracing: bool = False,
    **options: Any,
) -> Any:  # fmt: skip
    """tf.function(func), or a decorator: recorded for each structure, dtypes and shapes of the
    tensors among its arguments, and each value of the others.

    input_signature: TensorSpecs for the arguments, which convert and check them. The other options
    are accepted for TensorFlow's sake, without effect.
    """
    if func is None:
        return functools.partial(function, input_signature=input_signature)
    if not callable(func):
        raise ArgumentError(f"tf.function takes a function, not {func!r}", where=user_frame())
    return Function(func, input_signature)


def _is_array(x: Any) -> bool:
    """Whether an argument is an operand of the program; variables are read, not copied."""
    return hasattr(x, "__array__") and not isinstance(x, Variable)


def _static(x: Any) -> Hashable:
    """What tells values apart that belong to the program; ArgumentError without a hash."""
    if isinstance(x, Variable):
        return x.ref()
    try:
        hash(x)
    except TypeError:
        raise ArgumentError(
            f"tf.function: an argument {x!r} is neither a tensor nor hashable", where=user_frame(),
            hint="what is no array belongs to the program: give it == and hash",
        ) from None  # fmt: skip
    return type(x), x


def _fit(x: Any, spec: Any) -> Any:
    if not isinstance(spec, TensorSpec):
        return x
    tensor = convert(x, dtype_hint=spec.dtype)
    if not spec.fits(tensor.shape) or tensor.dtype != spec.dtype:
        raise ShapeError(
            f"an argument {tensor.dtype.name}{tensor.shape} does not fit {spec!r}",
            where=user_frame(),
        )
    return tensor
