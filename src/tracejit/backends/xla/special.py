"""Rows of special functions."""

from __future__ import annotations

import jax
from jax import lax

from tracejit.backends.xla.table import LOWERINGS, full_like
from tracejit.ops import special as ops

LOWERINGS.rows(__name__, {
    ops.erf: lax.erf, ops.erfc: lax.erfc, ops.erfinv: lax.erf_inv, ops.lgamma: lax.lgamma,
    ops.i0e: lax.bessel_i0e, ops.i1e: lax.bessel_i1e,
    ops.polygamma: lambda x, *, n: lax.polygamma(full_like(x, n), x),
})  # fmt: skip


@LOWERINGS.rule(ops.digamma)
def digamma(x: jax.Array) -> jax.Array:
    """At the pole 0 the infinity that SciPy gives, where lax has NaN."""
    return lax.select(lax.eq(x, full_like(x, 0)), -full_like(x, 1) / x, lax.digamma(x))
