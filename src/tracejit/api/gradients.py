"""grad and value_and_grad: reverse mode for functions with a scalar result."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from tracejit.api.jit import through_jit
from tracejit.api.recording import (
    Argnums,
    Recording,
    positions,
    record,
    require_complex,
    require_real,
)
from tracejit.errors import GradError
from tracejit.ir.types import FLOAT0
from tracejit.runtime.arguments import check_callable
from tracejit.runtime.report import report, wanted
from tracejit.runtime.run import run
from tracejit.trace.provenance import user_frame
from tracejit.transforms.gradient import adjoint, first_output_only, value_and_gradient
from tracejit.transforms.linearize import linearize


def value_and_grad(
    fun: Callable[..., Any],
    argnums: Argnums = 0,
    has_aux: bool = False,
    *,
    holomorphic: bool = False,
    allow_int: bool = False,
) -> Callable[..., Any]:
    """A function that returns (value, gradient) of `fun`, as `jax.value_and_grad`.

    fun:       returns a float of shape (); with `has_aux`, a pair of it and auxiliary data, and
               then the value is such a pair too.
    argnums:   which positional arguments to differentiate. An int gives one gradient, a tuple a
               tuple of them. A gradient has the structure, shapes and dtypes of its argument.
    allow_int: gives integer and bool arguments a gradient of dtype float0 instead of an error.
    holomorphic: `fun` is a holomorphic function of complex numbers, and its result is complex; the
               gradient is its complex derivative. Without it, the gradient of a real function u of
               x + iy is du/dx - i du/dy, as in JAX.

    Other arguments, and those given by keyword, reach `fun` as they are.
    Raises GradError for a result that is no scalar float, or an argument that is no float.
    """
    check_callable(fun, "value_and_grad")
    return through_jit(_value_and_grad, fun, argnums, has_aux, allow_int, holomorphic)


def _value_and_grad(
    fun: Callable[..., Any], argnums: Argnums, has_aux: bool, allow_int: bool, holomorphic: bool
) -> Callable[..., Any]:
    @functools.wraps(fun, updated=())
    def value_and_gradients(*args: Any, **kwargs: Any) -> tuple[Any, Any]:
        places = positions(argnums, args, fun)
        floats_for = "" if allow_int else "grad"
        tape = record(fun, args, kwargs, argnums=places, has_aux=has_aux, floats_for=floats_for)
        require_scalar(tape)
        if holomorphic:
            require_complex(tape, "grad")
        require_real(tape, "grad", tape.out_types, "results", holomorphic)
        (value, *aux), gradients = evaluate(tape)
        trees = tape.in_tree.unflatten(gradients)
        gradient = trees[0] if isinstance(argnums, int) else trees
        return ((value, tape.aux.fill(aux)) if has_aux else value), gradient

    return value_and_gradients


def grad(
    fun: Callable[..., Any],
    argnums: Argnums = 0,
    has_aux: bool = False,
    *,
    holomorphic: bool = False,
    allow_int: bool = False,
) -> Callable[..., Any]:
    """A function that returns the gradient of `fun`; with `has_aux`, (gradient, auxiliary data).

    The arguments are those of `value_and_grad`.
    """
    check_callable(fun, "grad")
    return through_jit(_grad, fun, argnums, has_aux, allow_int, holomorphic)


def _grad(
    fun: Callable[..., Any], argnums: Argnums, has_aux: bool, allow_int: bool, holomorphic: bool
) -> Callable[..., Any]:
    both = _value_and_grad(fun, argnums, has_aux, allow_int, holomorphic)

    @functools.wraps(fun, updated=())
    def gradient(*args: Any, **kwargs: Any) -> Any:
        value, result = both(*args, **kwargs)
        return (result, value[1]) if has_aux else result

    return gradient


def evaluate(tape: Recording) -> tuple[list[Any], list[Any]]:
    """The outputs of a recording, and the gradient of the first for each leaf."""
    floats = tape.floats
    if wanted():
        _report(tape)
    results = run(value_and_gradient(tape.jaxpr, floats), tape.inputs, tape.name)
    return split(tape, results)


def split(tape: Recording, results: list[Any]) -> tuple[list[Any], list[Any]]:
    """The results of the program of value and gradient: outputs, gradients of all leaves."""
    count = len(tape.jaxpr.outvars)
    gradients = iter(results[count:])
    return results[:count], [
        next(gradients) if t.is_inexact else np.zeros(t.shape, FLOAT0) for t in tape.in_types
    ]


def _report(tape: Recording) -> None:
    """Tell of the forms on the way to a gradient."""
    parts = linearize(tape.jaxpr, tape.floats)
    report("traced", tape.jaxpr)
    report("linearized: known", parts.known)
    report("linearized: linear", parts.linear)
    if parts.unknown[0]:
        report("transposed", adjoint(first_output_only(parts)))


def require_scalar(tape: Recording) -> None:
    """GradError unless the result is one float of shape ()."""
    if tape.out_tree.kind != "leaf":
        raise GradError(
            f"grad needs a scalar result, and {tape.name} returned {_shown(tape)}",
            where=user_frame(),
            hint="return the scalar alone, or (scalar, other things) with has_aux=True",
        )
    (type,) = tape.out_types
    if not type.is_inexact:
        raise GradError(
            f"grad needs a float result, and {tape.name} returned {type}", where=user_frame(),
            hint="integers have no derivative: compute it in floats",
        )  # fmt: skip
    if type.shape:
        raise GradError(
            f"grad needs a scalar result, and {tape.name} returned {type}", where=user_frame(),
            hint="reduce it (sum, mean), or take all derivatives with jacrev or jacfwd, or "
            "those of one direction with vjp or jvp",
        )  # fmt: skip


def _shown(tape: Recording) -> str:
    """A result that is a container, as a message shows it."""
    if tape.out_tree.kind == "none":
        return "None"
    kind = tape.out_tree.type
    return f"a {kind.__name__ if kind else 'container'} of {tape.out_tree.num_leaves} arrays"
