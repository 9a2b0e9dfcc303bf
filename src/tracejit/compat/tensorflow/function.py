"""tf.function: a Python function on tensors, recorded once for each kind of arguments, compiled.

What it reads are inputs of the program: its arguments and the variables that it uses; what it gives
are outputs: its results and the variables that it assigns. Tapes and optimizers inside of it are
part of it, so that a whole training step is one native call.

Where Python asks for a truth or a whole number (`if`, `while`, `range`), the program is that of the
path that was taken, and gives these answers along: a call that finds others is recorded anew, on a
path of its own. Random numbers are drawn for each call, and are inputs. What asks for an array
(`numpy()`), or takes too many paths, runs as it stands, operation by operation.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable, Sequence
from contextlib import suppress
from itertools import accumulate
from typing import Any

from tracejit import tree
from tracejit.compat.graph import Cell, Operation, cut, known
from tracejit.compat.tensorflow.dtypes import TensorSpec
from tracejit.compat.tensorflow.state import STATE
from tracejit.compat.tensorflow.tensor import Tensor, convert
from tracejit.compat.tensorflow.tracing import Tracing, show
from tracejit.compat.tensorflow.variable import Variable
from tracejit.errors import ArgumentError, ShapeError
from tracejit.runtime.arguments import name_of
from tracejit.runtime.runner import Runner
from tracejit.trace.provenance import user_frame

__all__ = ["Function", "function"]

#: So many paths through a function are recorded for one kind of arguments.
PATHS = 16


class _Concrete:
    """The program of one kind of arguments, on one path through the function.

    It gives `results` (None where the place is None, in their structure), the new values of
    `written`, the numbers to compare with `answers`, and what is printed.
    """

    def __init__(
        self, name: str, results: Sequence[Cell | None], structure: tree.TreeDef,
        sources: Sequence[Cell], tracing: Tracing,
    ):  # fmt: skip
        self.structure = structure
        given = [x for x in results if x is not None]
        supply = iter(range(len(given)))
        self.places = [None if x is None else next(supply) for x in results]
        before, written = [*tracing.before.values()], [*tracing.written.values()]
        self.read, self.written = [v for v, _ in before], [v for v, _ in written]
        self.makers = [make for make, _ in tracing.drawn]
        self.answers = [answer for _, answer in tracing.answers]
        self.printed = tracing.printed
        shown = [x for parts, _ in self.printed for x in parts if isinstance(x, Cell)]
        groups = [given, [c for _, c in written], [c for c, _ in tracing.answers], shown]
        self.ends = [*accumulate(map(len, groups))]
        targets = [cell for group in groups for cell in group]
        draws = [cell for _, cell in tracing.drawn]
        part = cut(targets, [*sources, *[cell for _, cell in before], *draws])
        self.constants = part.constants
        jaxpr = part.jaxpr()
        out_tree = tree.structure([0] * len(targets))
        self.operation = Operation(name, jaxpr, out_tree, runner=Runner(jaxpr, name))

    def __call__(self, arguments: Sequence[Cell], drawn: list[Cell]) -> tuple[bool, Any]:
        """(True, result); (False, None) where this call takes another path, which then finds the
        numbers that were drawn in `drawn`."""
        drawn += [known(make()) for make in self.makers[len(drawn) :]]
        draws = drawn[: len(self.makers)]
        inputs = (*arguments, *[v.cell for v in self.read], *draws, *self.constants)
        outs = self.operation.apply(inputs, bool(STATE.tapes) and any(c.needs for c in inputs))
        parts = [outs[a:b] for a, b in zip([0, *self.ends], self.ends, strict=False)]
        results, written, answers, shown = parts
        for cell, answer in zip(answers, self.answers, strict=True):
            if cell.value != answer:
                return False, None
        for variable, cell in zip(self.written, written, strict=True):
            variable._cell = Cell(cell.type, cell.value, needs=variable.trainable)
        supply = iter(shown)
        for texts, stream in self.printed:
            show([next(supply) if isinstance(x, Cell) else x for x in texts], stream)
        return True, self.structure.unflatten(
            [None if place is None else Tensor(results[place]) for place in self.places]
        )


class Function:
    """What `tf.function` returns. python_function: the function."""

    def __init__(self, fun: Callable[..., Any], input_signature: Sequence[Any] | None = None):
        functools.update_wrapper(self, fun, updated=())
        self.python_function = fun
        self.input_signature = input_signature
        self._concrete: dict[Hashable, list[_Concrete] | None] = {}
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
        if STATE.tracing is not None or STATE.eager:
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
        paths = self._concrete.setdefault(key, [])
        drawn: list[Cell] = []
        for i, path in enumerate(paths or ()):
            done, result = path(cells, drawn)
            if done:
                paths.insert(0, paths.pop(i))  # type: ignore[union-attr]
                return result
        args, kwargs = structure.unflatten(leaves)
        if paths is None:
            return self.python_function(*args, **kwargs)
        if len(paths) >= PATHS:
            self._concrete[key] = None
            return self.python_function(*args, **kwargs)
        return self._trace(key, leaves, structure, cells)

    def experimental_get_tracing_count(self) -> int:
        """How often the Python function has been recorded."""
        return self._traces

    def pretty_printed_concrete_signatures(self, verbose: bool = True) -> str:
        """The kinds of arguments that have programs, a line each."""
        return "\n".join(str(key) for key in self._concrete)

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
            outs, out_tree = tree.flatten(result, is_leaf=lambda x: x is None)
            results = [None if x is None else convert(x).cell for x in outs]
        finally:
            STATE.tracing, STATE.tapes = None, tapes
            for variable, cell in tracing.before.values():
                variable._cell = cell
        if tracing.asked:
            self._concrete[key] = None
            args, kwargs = structure.unflatten(leaves)
            return self.python_function(*args, **kwargs)
        name = name_of(self.python_function)
        path = _Concrete(name, results, out_tree, sources, tracing)
        self._concrete[key].insert(0, path)  # type: ignore[union-attr]
        return path(cells, [cell for _, cell in tracing.drawn])[1]

    def __repr__(self) -> str:
        return f"<tf.function of {self.python_function!r}>"


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
