"""Factors with orthonormal columns: jax.lax.linalg has them, by LAPACK on CPUs."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import lax

from tracejit.backends.xla.table import LOWERINGS
from tracejit.ops import eigen
from tracejit.ops import orthogonal as ops


def _found(values: jax.Array, *vectors: jax.Array) -> tuple[jax.Array, ...]:
    """All NaN where there is NaN among the values."""
    bad = jnp.isnan(values).any(axis=-1, keepdims=True)
    spoilt = [jnp.where(bad[..., None], jnp.nan, v) for v in vectors]
    return (jnp.where(bad, jnp.nan, values), *spoilt)


@LOWERINGS.rule(ops.eigh)
def eigh(x: jax.Array, *, vectors: bool) -> tuple[jax.Array, ...]:
    """Of the lower triangle; the matrix of vectors comes first there."""
    if not vectors:
        return _found(jnp.linalg.eigvalsh(x, UPLO="L", symmetrize_input=False))
    v, w = lax.linalg.eigh(x, lower=True, symmetrize_input=False)
    return _found(w, v)


@LOWERINGS.rule(ops.svd)
def svd(x: jax.Array, *, vectors: bool, full: bool) -> tuple[jax.Array, ...]:
    """Without vectors it is the values alone there."""
    if not vectors:
        return _found(lax.linalg.svd(x, compute_uv=False))
    u, s, vh = lax.linalg.svd(x, full_matrices=full)
    s, u, vh = _found(s, u, vh)
    return u, s, vh


@LOWERINGS.rule(ops.qr)
def qr(x: jax.Array) -> tuple[jax.Array, ...]:
    """Householder's, reduced."""
    q, r = lax.linalg.qr(x, full_matrices=False)
    return q, r


@LOWERINGS.rule(eigen.eig)
def eig(x: jax.Array, *, vectors: bool) -> tuple[jax.Array, ...]:
    """On CPUs alone."""
    found = lax.linalg.eig(
        x, compute_left_eigenvectors=False, compute_right_eigenvectors=vectors
    )
    return tuple(found)
