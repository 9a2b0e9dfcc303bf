"""linear_transpose against JAX's, on linear functions of many kinds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import tracejit as tj
from tracejit.errors import MissingRuleError

X = np.array([0.3, -0.6, 0.45])
M = np.arange(6.0).reshape(2, 3) / 5 - 0.4
N = np.array([[4.0, 1.0, 0.5], [0.2, 3.0, -1.0], [0.3, 0.1, 5.0]])

#: (numpy or jax.numpy, tracejit or jax, arguments) -> result.
FUNCTIONS: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
    "matrix": (lambda xp, api, x: M @ x, (X,)),
    "sum": (lambda xp, api, x: xp.sum(x) * 2, (X,)),
    "two": (lambda xp, api, x, y: (x * 2 + y, [x - y]), (X, X)),
    "dict": (lambda xp, api, d: {"u": d["a"][::-1], "v": xp.outer(X, d["b"])},
             ({"a": X, "b": np.ones(2)},)),
    "where": (lambda xp, api, x: xp.where(X > 0, x, 0.0), (X,)),
    "index": (lambda xp, api, x: x[np.array([0, 0, 2])], (X,)),
    "parts": (lambda xp, api, x: xp.concatenate([x[1:], x * 3, xp.zeros(2)]), (X,)),
    "pad": (lambda xp, api, x: xp.pad(x, 2), (X,)),
    "einsum": (lambda xp, api, x: xp.einsum("ij,kj->ik", x, M), (M,)),
    "solve": (lambda xp, api, x: xp.linalg.solve(N, x), (X,)),
    "dtype": (lambda xp, api, x: x.astype(xp.float32), (X,)),
    "shape": (lambda xp, api, x: xp.mean(x.T.reshape(3, 2), axis=0), (M,)),
    "triangle": (lambda xp, api, x: xp.tril(x) + xp.trace(x), (N,)),
    "running": (lambda xp, api, x: xp.cumsum(xp.roll(x, 1)) - xp.diff(x)[0], (X,)),
    "affine": (lambda xp, api, x: x + 1.0, (X,)),
    "constant": (lambda xp, api, x: (x, xp.ones(2)), (X,)),
    "scan": (lambda xp, api, x: api.lax.scan(lambda c, r: (c * 0.5 + r, c), xp.zeros(()), x), (X,)),
    "fori_loop": (lambda xp, api, x: api.lax.fori_loop(0, 3, lambda i, c: c * 0.5 + x, x), (X,)),
    "cond": (lambda xp, api, x: api.lax.cond(X[0] > 0, lambda y: y * 2, lambda y: y, x), (X,)),
    "jit": (lambda xp, api, x: api.jit(lambda y: y * 2)(x), (X,)),
    "vmap": (lambda xp, api, x: api.vmap(lambda r: xp.sum(r) * X[0])(x), (M,)),
    "jvp": (lambda xp, api, x: api.jvp(xp.sin, (X,), (x,))[1], (X,)),
    "vjp": (lambda xp, api, x: api.vjp(xp.sin, X)[1](x), (X,)),
    "twice": (lambda xp, api, x: api.linear_transpose(lambda y: M @ y, X)(x)[0], (np.ones(2),)),
    "shape alone": (lambda xp, api, x: x * 2, (jax.ShapeDtypeStruct((3,), np.float64),)),
}  # fmt: skip


@pytest.mark.parametrize("name", FUNCTIONS)
def test_linear_transpose(name: str) -> None:
    f, args = FUNCTIONS[name]
    rng = np.random.default_rng(0)
    with jax.enable_x64(True):
        theirs = lambda *args: f(jnp, jax, *args)
        out = jax.eval_shape(theirs, *args)
        ct = jax.tree.map(lambda t: np.asarray(rng.standard_normal(t.shape), t.dtype), out)
        wanted = jax.tree.map(np.asarray, jax.linear_transpose(theirs, *args)(ct))

    def mine(ct: Any) -> Any:
        return tj.linear_transpose(lambda *args: f(np, tj, *args), *args)(ct)

    for found in (mine(ct), tj.jit(mine)(ct)):
        assert jax.tree.structure(found) == jax.tree.structure(wanted)
        for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(wanted), strict=True):
            assert a.dtype == b.dtype
            np.testing.assert_allclose(a, b, rtol=1e-12)


def test_a_loop_of_unknown_length_has_a_transpose() -> None:
    def doubled(x: Any) -> Any:
        return tj.lax.while_loop(lambda s: s[0] < 3, lambda s: (s[0] + 1, s[1] * 2), (0, x))[1]

    np.testing.assert_array_equal(tj.linear_transpose(doubled, X)(X)[0], 8 * X)


@pytest.mark.parametrize("f", [np.sin, np.square, lambda x: x * x, lambda x: abs(x)])
def test_what_is_not_linear_is_named(f: Any) -> None:
    with pytest.raises(MissingRuleError, match="not linear"):
        tj.linear_transpose(f, X)(X)
