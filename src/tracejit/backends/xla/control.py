"""Rows of the operations that hold jaxprs: XLA has them all, as operations of its own."""

from __future__ import annotations

from typing import Any

import jax
from jax import lax

from tracejit.backends.xla.lower import lower
from tracejit.backends.xla.table import LOWERINGS, full_like
from tracejit.control import call, cond, loop, remat, scan
from tracejit.control.bodies import divide
from tracejit.errors import MissingLoweringError
from tracejit.ir.graph import Jaxpr
from tracejit.ir.types import INT32

Arrays = tuple[jax.Array, ...]


@LOWERINGS.rule(call.call)
def lower_call(*operands: jax.Array, jaxpr: Jaxpr, name: str) -> Arrays:
    """The body, in place, under its name."""
    with jax.named_scope(name or "call"):
        return lower(jaxpr, operands)


@LOWERINGS.rule(cond.cond)
def lower_cond(index: jax.Array, *operands: jax.Array, branches: tuple[Jaxpr, ...]) -> Arrays:
    """lax.switch clamps too, but after it has cut the index down to 32 bits."""
    last = full_like(index, len(branches) - 1)
    index = lax.convert_element_type(lax.clamp(full_like(index, 0), index, last), INT32)

    def run(branch: Jaxpr) -> Any:
        return lambda *xs: lower(branch, xs)

    return lax.switch(index, [run(branch) for branch in branches], *operands)


@LOWERINGS.rule(loop.while_)
def lower_while(
    *operands: jax.Array, cond: Jaxpr, body: Jaxpr, num_cond_consts: int, num_body_consts: int
) -> Arrays:
    """Condition and body close over their constants."""
    if len(body.outvars) > len(operands) - num_cond_consts - num_body_consts:
        raise _no_tapes()
    of_cond, of_body, init = divide(operands, num_cond_consts, num_body_consts)

    def goes_on(carry: Arrays) -> jax.Array:
        return lower(cond, (*of_cond, *carry))[0]

    def step(carry: Arrays) -> Arrays:
        return lower(body, (*of_body, *carry))

    return lax.while_loop(goes_on, step, tuple(init))


def _no_tapes() -> MissingLoweringError:
    return MissingLoweringError(
        "XLA's arrays have fixed sizes, so it keeps nothing for the derivative of a while_loop",
        hint="tracejit.checkpoint(f, slots=n) computes it again, in memory of a fixed size",
    )


@LOWERINGS.rule(remat.barrier)
def lower_barrier(x: jax.Array) -> jax.Array:
    """XLA has the same."""
    return lax.optimization_barrier(x)


@LOWERINGS.rule(scan.scan)
def lower_scan(
    *operands: jax.Array, jaxpr: Jaxpr, length: int, reverse: bool, num_consts: int, num_carry: int
) -> Arrays:
    """The body closes over the constants."""
    if length is None:
        raise _no_tapes()
    consts, init, xs = divide(operands, num_consts, num_carry)

    def step(carry: Arrays, row: Arrays) -> tuple[Arrays, Arrays]:
        outs = lower(jaxpr, (*consts, *carry, *row))
        return outs[:num_carry], outs[num_carry:]

    carry, ys = lax.scan(step, tuple(init), tuple(xs), length=length, reverse=reverse)
    return (*carry, *ys)
