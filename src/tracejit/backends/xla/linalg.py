"""The linalg family: jax.lax.linalg has all of it."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import lax

from tracejit.backends.xla.table import LOWERINGS
from tracejit.ops import linalg as ops


@LOWERINGS.rule(ops.cholesky)
def cholesky(x: jax.Array) -> jax.Array:
    """Of the lower triangle. Where there is none, XLA may have NaN in a part of it only."""
    factor = lax.linalg.cholesky(x, symmetrize_input=False)
    bad = jnp.isnan(factor).any(axis=(-2, -1), keepdims=True)
    return jnp.tril(jnp.where(bad, jnp.nan, factor))


@LOWERINGS.rule(ops.triangular_solve)
def triangular_solve(
    a: jax.Array, b: jax.Array, *, lower: bool, transposed: bool, unit: bool
) -> jax.Array:
    """With a on the left."""
    return lax.linalg.triangular_solve(
        a, b, left_side=True, lower=lower, transpose_a=transposed, unit_diagonal=unit
    )


@LOWERINGS.rule(ops.lu)
def lu(x: jax.Array) -> tuple[jax.Array, ...]:
    """Pivots and permutation are int32 there, too."""
    factors, pivots, permutation = lax.linalg.lu(x)
    return factors, pivots.astype(jnp.int32), permutation.astype(jnp.int32)
