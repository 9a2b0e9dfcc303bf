"""tf.custom_gradient: functions that bring their derivative.

Such a function is traced anew in each call, as TensorFlow runs it anew: what it closes over may
have changed.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any

from tracejit import tree
from tracejit.api import custom
from tracejit.compat.graph import Cell
from tracejit.compat.tensorflow.state import RECORDER, STATE
from tracejit.compat.tensorflow.tensor import Tensor, bare, convert, wrap
from tracejit.compat.tensorflow.variable import Variable
from tracejit.errors import ArgumentError
from tracejit.runtime.arguments import name_of
from tracejit.trace.provenance import user_frame
from tracejit.trace.tracer import current_trace

__all__ = ["custom_gradient"]


class _Readers:
    """Takes note of the trainable variables that are read."""

    watches_variables = True

    def __init__(self) -> None:
        self.variables: dict[int, Variable] = {}

    def read(self, variable: Variable, cell: Cell) -> None:
        self.variables.setdefault(id(variable), variable)


def custom_gradient(f: Callable[..., Any]) -> Callable[..., Any]:
    """A function of tensors that returns (result, gradient function), as a function of tensors.

    The gradient function takes a cotangent for each tensor of the result, and returns one for each
    argument: a tensor, or a tuple or list of them. If f reads variables, it also takes them as
    `variables=`, and returns a pair: those of the arguments, and a list of those of the variables.
    What is given by keyword is no tensor.
    """

    @functools.wraps(f)
    def function(*args: Any, **kwargs: Any) -> Any:
        tensors = [convert(x) for x in args]
        if current_trace() is not None:
            return wrap(_rule(f, kwargs, [])(*map(bare, tensors)))
        record = True if STATE.tracing is not None else None if STATE.tapes else False
        readers = _Readers()
        tapes, STATE.tapes = STATE.tapes, [readers]
        try:
            operation, cells = RECORDER.once(_rule(f, kwargs, []), tensors)
            variables = [*readers.variables.values()] if record is not False else []
            for tape in tapes:
                for variable in variables:
                    tape.read(variable, variable._cell)
            if variables:
                given = [*tensors, *[Tensor(v._cell) for v in variables]]
                operation, cells = RECORDER.once(_rule(f, kwargs, variables), given)
        finally:
            STATE.tapes = tapes
        needed = any(cell.needs for cell in cells) if record is None else record
        return wrap(operation.apply(cells, needed))

    return function


def _rule(
    f: Callable[..., Any], kwargs: dict[str, Any], variables: Sequence[Variable]
) -> Callable[..., Any]:
    """f as a function of arrays, those of the variables behind its arguments."""

    def arrays(*values: Any) -> Any:
        count = len(values) - len(variables)
        before = [v._cell for v in variables]
        for variable, value in zip(variables, values[count:], strict=True):
            variable._cell = value
        try:
            y, grad = f(*[Tensor(x) for x in values[:count]], **kwargs)
            result = tree.map(bare, y)
        finally:
            for variable, cell in zip(variables, before, strict=True):
                variable._cell = cell

        def pull(ct: Any) -> Any:
            weights = [Tensor(w) for w in tree.leaves(ct)]
            if not variables:
                return tuple(map(bare, _sequence(grad(*weights))))
            _require_variables(f, grad)
            found, of_variables = grad(*weights, variables=list(variables))
            return tuple(map(bare, [*_sequence(found), *of_variables]))

        return result, pull

    arrays.__name__ = name_of(f)
    rule = custom.custom_gradient(arrays)
    return lambda *values: rule(*values)


def _sequence(x: Any) -> Sequence[Any]:
    return x if isinstance(x, (tuple, list)) else [x]


def _require_variables(f: Callable[..., Any], grad: Callable[..., Any]) -> None:
    parameters = inspect.signature(grad).parameters.values()
    if not any(p.name == "variables" or p.kind is p.VAR_KEYWORD for p in parameters):
        raise ArgumentError(
            f"{name_of(f)} uses variables, and its gradient function has no argument 'variables'",
            where=user_frame(),
            hint="def grad(dy, variables=None): return gradients of the arguments, [of variables]",
        )
