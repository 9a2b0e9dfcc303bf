"""Versions for JAX of our own, where the suite's are of the other kind, or slower than need be.

Literal ones say the loops of the NumPy source as lax loops; idiomatic ones are what a user who
knows JAX would write. Where a program has neither here, the suite's own version serves.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def of(name: str, literal: bool) -> Callable[..., Any] | None:
    """Our version of a program, if there is one."""
    return globals().get(f"{name}_{'loops' if literal else 'jax'}")


def _jax() -> tuple[Any, Any]:
    import jax  # the processes of other systems do not load it

    return jax.numpy, jax.lax


def trmm_loops(alpha: Any, A: Any, B: Any) -> Any:
    jnp, lax = _jax()
    rows = jnp.arange(A.shape[0])

    def column(j: Any, carry: Any) -> Any:
        i, B = carry
        below = jnp.where(rows > i, A[:, i] * B[:, j], 0.0)
        return i, B.at[i, j].add(jnp.sum(below))

    def row(i: Any, B: Any) -> Any:
        return lax.fori_loop(0, B.shape[1], column, (i, B))[1]

    return alpha * lax.fori_loop(0, B.shape[0], row, B)


def covariance_loops(M: int, float_n: Any, data: Any) -> Any:
    jnp, lax = _jax()
    data = data - jnp.mean(data, axis=0)
    columns = jnp.arange(M)

    def row(i: Any, cov: Any) -> Any:
        line = data[:, i] @ data / (float_n - 1.0)
        cov = cov.at[i, :].set(jnp.where(columns >= i, line, cov[i, :]))
        return cov.at[:, i].set(jnp.where(columns >= i, line, cov[:, i]))

    return lax.fori_loop(0, M, row, jnp.zeros((M, M), data.dtype))


def correlation_jax(M: int, float_n: Any, data: Any) -> Any:
    jnp, _ = _jax()
    deviation = jnp.std(data, axis=0)
    deviation = jnp.where(deviation <= 0.1, 1.0, deviation)
    scaled = (data - jnp.mean(data, axis=0)) / (jnp.sqrt(float_n) * deviation)
    products = scaled.T @ scaled
    return jnp.where(jnp.eye(M, dtype=bool), 1.0, products)


def cholesky_jax(A: Any) -> Any:
    jnp, _ = _jax()
    return jnp.tril(jnp.linalg.cholesky(A)) + jnp.triu(A, 1)


def trisolv_jax(L: Any, x: Any, b: Any) -> Any:
    from jax.scipy.linalg import solve_triangular

    return solve_triangular(L, b, lower=True)


def syrk_jax(alpha: Any, beta: Any, C: Any, A: Any) -> Any:
    jnp, _ = _jax()
    return jnp.tril(beta * C + alpha * A @ A.T) + jnp.triu(C, 1)


def syr2k_jax(alpha: Any, beta: Any, C: Any, A: Any, B: Any) -> Any:
    jnp, _ = _jax()
    half = A @ B.T
    return jnp.tril(beta * C + alpha * (half + half.T)) + jnp.triu(C, 1)


def symm_jax(alpha: Any, beta: Any, C: Any, A: Any, B: Any) -> Any:
    jnp, _ = _jax()
    whole = jnp.tril(A) + jnp.tril(A, -1).T
    return beta * C + alpha * whole @ B


def spmv_jax(A_row: Any, A_col: Any, A_val: Any, x: Any) -> Any:
    from jax.ops import segment_sum

    jnp, _ = _jax()
    rows = jnp.searchsorted(A_row, jnp.arange(A_val.size), side="right") - 1
    return segment_sum(A_val * x[A_col], rows, A_row.size - 1, indices_are_sorted=True)


def azimint_naive_jax(data: Any, radius: Any, npt: int) -> Any:
    from jax.ops import segment_sum

    jnp, _ = _jax()
    edges = jnp.max(radius) * jnp.arange(npt + 1) / npt
    bins = jnp.searchsorted(edges, radius, side="right") - 1
    return segment_sum(data, bins, npt) / segment_sum(jnp.ones_like(data), bins, npt)


def _convolution(x: Any, weights: Any) -> Any:
    _, lax = _jax()
    dimensions = ("NHWC", "HWIO", "NHWC")
    return lax.conv_general_dilated(x, weights, (1, 1), "VALID", dimension_numbers=dimensions)


def conv2d_jax(input: Any, weights: Any, bias: Any) -> Any:
    return _convolution(input, weights) + bias


def lenet_jax(
    input: Any, conv1: Any, conv1bias: Any, conv2: Any, conv2bias: Any, fc1w: Any, fc1b: Any,
    fc2w: Any, fc2b: Any, fc3w: Any, fc3b: Any, N: int, C_before_fc1: int,
) -> Any:  # fmt: skip
    jnp, lax = _jax()

    def pooled(x: Any) -> Any:
        window = (1, 2, 2, 1)
        return lax.reduce_window(x, -jnp.inf, lax.max, window, window, "VALID")

    x = pooled(jnp.maximum(_convolution(input, conv1) + conv1bias, 0))
    x = pooled(jnp.maximum(_convolution(x, conv2) + conv2bias, 0))
    x = jnp.maximum(jnp.reshape(x, (N, C_before_fc1)) @ fc1w + fc1b, 0)
    return jnp.maximum(x @ fc2w + fc2b, 0) @ fc3w + fc3b


def go_fast_jax(a: Any) -> Any:
    jnp, _ = _jax()
    return a + jnp.sum(jnp.tanh(jnp.diagonal(a)))
