"""Reverse mode, put together: one jaxpr for the value and its gradient."""

from __future__ import annotations

from tracejit.ir.atoms import ones, zero
from tracejit.ir.builder import building
from tracejit.ir.graph import Jaxpr
from tracejit.ir.walk import splice
from tracejit.transforms.jvp import Mask
from tracejit.transforms.linearize import Split, linearize, live_equations
from tracejit.transforms.memo import remembered
from tracejit.transforms.transpose import transpose


def adjoint(parts: Split) -> Jaxpr:
    """The transposed linear part: residuals, cotangents of the live outputs -> input cotangents."""
    inputs = len(parts.linear.invars) - parts.residuals
    return transpose(parts.linear, (False,) * parts.residuals + (True,) * inputs)


def first_output_only(parts: Split) -> Split:
    """The same linearization, with the tangent of output 0 alone."""
    linear = parts.linear
    wanted = linear.outvars[:1]
    only = Jaxpr(linear.invars, tuple(live_equations(linear.equations, wanted, False)), wanted)
    return Split(parts.known, only, parts.unknown, parts.residuals)


@remembered
def value_and_gradient(jaxpr: Jaxpr, wrt: Mask) -> Jaxpr:
    """inputs -> (all outputs, gradients of output 0 with respect to the inputs marked `wrt`).

    Output 0 is a scalar float. The other outputs are carried along (auxiliary data).
    """
    parts = linearize(jaxpr, wrt)
    with building() as builder:
        builder.equations += parts.known.equations
        known = parts.known.outvars
        outs, residuals = known[: len(jaxpr.outvars)], known[len(jaxpr.outvars) :]
        if parts.unknown[0]:
            back = adjoint(first_output_only(parts))
            gradients = splice(back, [*residuals, ones(jaxpr.outvars[0].type)], builder)
        else:
            gradients = [zero(t) for t, w in zip(jaxpr.in_types, wrt, strict=True) if w]
    return builder.finish(parts.known.invars, [*outs, *gradients])
