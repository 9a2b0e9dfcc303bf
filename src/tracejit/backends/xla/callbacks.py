"""Rows of Python code that a program calls, by jax's callbacks, in order.

What Python raises is kept (`Raised`), and jax sees a failure, which ends the program; who called it
raises what was kept (see `run.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.experimental import io_callback

from tracejit.backends.xla.lower import site
from tracejit.backends.xla.table import LOWERINGS
from tracejit.control.callback import callback_, check, pure_callback
from tracejit.control.custom_closure import Held, constant
from tracejit.ir.walk import evaluate_equation

Arrays = tuple[jax.Array, ...]


def _function() -> Callable[..., tuple[Any, ...]]:
    """What evaluates the equation that is being lowered, and keeps what it raises."""
    eqn, raised = site.get()

    def run(*arrays: Any) -> tuple[Any, ...]:
        try:
            return evaluate_equation(eqn, arrays)
        except BaseException as error:
            raised.append(error)
            raise

    return run


def _types() -> tuple[jax.ShapeDtypeStruct, ...]:
    eqn, _ = site.get()
    return tuple([jax.ShapeDtypeStruct(v.shape, v.dtype) for v in eqn.outvars])


@LOWERINGS.rule(callback_)
def lower_callback(*operands: jax.Array, **params: Any) -> Arrays:
    """In the order of the program."""
    return tuple(io_callback(_function(), _types(), *operands, ordered=True))


@LOWERINGS.rule(pure_callback)
def lower_pure_callback(*operands: jax.Array, **params: Any) -> Arrays:
    """Whenever XLA likes."""
    return tuple(jax.pure_callback(_function(), _types(), *operands))


@LOWERINGS.rule(check)
def lower_check(ok: jax.Array, *operands: jax.Array, **params: Any) -> Arrays:
    """A branch, from which Python is called where the check fails."""
    run = _function()

    def fail() -> None:
        io_callback(run, (), ok, *operands, ordered=True)

    lax.cond(ok, lambda: None, fail)
    return ()


@LOWERINGS.rule(constant)
def lower_constant(*, value: Held) -> jax.Array:
    """A constant of XLA's program."""
    return jnp.asarray(value.array)
