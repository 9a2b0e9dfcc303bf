"""The transforms mean what JAX's mean: one program, run by both, the same trees and numbers."""

from __future__ import annotations

import functools

import numpy as np
import pytest

import tracejit

jax = pytest.importorskip("jax")

X = np.linspace(0.1, 0.8, 4)
W = np.linspace(-1, 1, 12).reshape(3, 4)
PARAMS = {"w": W, "b": (np.array([0.5, -0.5, 0.1]), 2.0)}
DIRECTION = {"w": np.cos(W), "b": (np.array([1.0, 2.0, 3.0]), 1.0)}


def layer(xp, params, x):
    b, scale = params["b"]
    return xp.tanh(params["w"] @ x + b) * scale


def loss(xp, params, x):
    return xp.sum(layer(xp, params, x) ** 2)


def with_aux(xp, params, x):
    out = layer(xp, params, x)
    return xp.sum(out), {"out": out, "n": 3}


def many(xp, params, x):
    return {"y": layer(xp, params, x), "total": loss(xp, params, x), "same": params["b"]}


CASES = {
    "grad": lambda T, p: T.grad(p(loss))(PARAMS, X),
    "grad by position": lambda T, p: T.grad(p(loss), argnums=1)(PARAMS, X),
    "grad of both": lambda T, p: T.grad(p(loss), argnums=(0, 1))(PARAMS, X),
    "grad of the last": lambda T, p: T.grad(p(loss), argnums=-1)(PARAMS, X),
    "grad with a keyword": lambda T, p: T.grad(p(loss))(PARAMS, x=X),
    "value_and_grad": lambda T, p: T.value_and_grad(p(loss))(PARAMS, X),
    "value_and_grad with aux": lambda T, p: T.value_and_grad(p(with_aux), has_aux=True)(PARAMS, X),
    "grad with aux": lambda T, p: T.grad(p(with_aux), has_aux=True)(PARAMS, X),
    "jvp": lambda T, p: T.jvp(p(many), (PARAMS, X), (DIRECTION, X**2)),
    "jvp with aux": lambda T, p: T.jvp(p(with_aux), (PARAMS, X), (DIRECTION, X), has_aux=True),
    "vjp": lambda T, p: (lambda out, f: (out, f(out)))(*T.vjp(p(layer), PARAMS, X)),
    "vjp of a tree": lambda T, p: (lambda out, f: f(out))(*T.vjp(p(many), PARAMS, X)),
    "vjp with aux": lambda T, p: (lambda o, f, a: (o, f(o), a))(
        *T.vjp(p(with_aux), PARAMS, X, has_aux=True)
    ),
    "linearize": lambda T, p: (lambda out, f: (out, f(DIRECTION, X)))(
        *T.linearize(p(many), PARAMS, X)
    ),
    "linear_transpose": lambda T, p: T.linear_transpose(lambda x: W @ x, X)(np.ones(3)),
    "jacfwd": lambda T, p: T.jacfwd(p(layer))(PARAMS, X),
    "jacrev": lambda T, p: T.jacrev(p(layer))(PARAMS, X),
    "jacfwd of a tree": lambda T, p: T.jacfwd(p(many), argnums=(0, 1))(PARAMS, X),
    "jacrev of a tree": lambda T, p: T.jacrev(p(many), argnums=(0, 1))(PARAMS, X),
    "jacfwd with aux": lambda T, p: T.jacfwd(p(with_aux), has_aux=True)(PARAMS, X),
    "jacrev with aux": lambda T, p: T.jacrev(p(with_aux), has_aux=True)(PARAMS, X),
    "hessian": lambda T, p: T.hessian(p(loss))(PARAMS, X),
    "hessian of both": lambda T, p: T.hessian(p(loss), argnums=(0, 1))(PARAMS, X),
    "forward over forward": lambda T, p: T.jacfwd(T.jacfwd(p(loss), 1), 1)(PARAMS, X),
    "reverse over reverse": lambda T, p: T.jacrev(T.jacrev(p(loss), 1), 1)(PARAMS, X),
    "hvp": lambda T, p: T.jvp(lambda x: T.grad(p(loss), 1)(PARAMS, x), (X,), (X**2,)),
    "third order": lambda T, p: T.grad(T.grad(T.grad(lambda x: x**4 * 2.0)))(1.5),
    "vmap": lambda T, p: T.vmap(p(layer), in_axes=(None, 0))(PARAMS, np.outer(X, X)),
    "vmap of a tree": lambda T, p: T.vmap(p(layer), in_axes=({"w": 0, "b": (None, None)}, None))(
        {"w": np.stack([W, W + 1]), "b": PARAMS["b"]}, X
    ),
    "vmap to another axis": lambda T, p: T.vmap(p(layer), (None, 1), out_axes=-1)(
        PARAMS, np.outer(X, X)
    ),
    "vmap out of a tree": lambda T, p: T.vmap(
        p(many), (None, 0), out_axes={"y": 1, "total": 0, "same": None}
    )(PARAMS, np.outer(X, X)),
    "vmap with a keyword": lambda T, p: T.vmap(lambda a, b: a * b)(X, b=X),
    "vmap with axis_size": lambda T, p: T.vmap(lambda a: a, None, axis_size=3)(X),
    "per example gradients": lambda T, p: T.vmap(T.grad(p(loss)), (None, 0))(
        PARAMS, np.outer(X, X)
    ),
    "grad of vmap": lambda T, p: T.grad(
        lambda q: T.vmap(p(loss), (None, 0))(q, np.outer(X, X)).sum()
    )(PARAMS),
    "vmap of vmap": lambda T, p: T.vmap(T.vmap(lambda a, b: a * b, (None, 0)), (0, None))(X, X),
    "vmap of jvp": lambda T, p: T.vmap(lambda t: T.jvp(p(layer), (PARAMS, X), (DIRECTION, t))[1])(
        np.eye(4)
    ),
    "vmap of a pullback": lambda T, p: T.vmap(T.vjp(p(layer), PARAMS, X)[1])(np.eye(3)),
    "stop_gradient": lambda T, p: T.grad(lambda x: (T.lax.stop_gradient(x) * x).sum())(X),
}

JITTED = {
    "plain": lambda T, f: f,
    "jit outside": lambda T, f: f,
    "jit inside": lambda T, f: T.jit(f),
}


def run(T, xp, case: str, how: str):
    """The case with the functions of one package."""

    def program(model):
        return JITTED[how](T, functools.partial(model, xp))

    if how == "jit outside":
        return T.jit(lambda: CASES[case](T, program))()
    return CASES[case](T, program)


@pytest.fixture(autouse=True)
def in_64_bits():
    with jax.enable_x64(True):
        yield


@pytest.mark.parametrize("how", JITTED)
@pytest.mark.parametrize("case", CASES)
def test_same_as_jax(case: str, how: str) -> None:
    expected = run(jax, jax.numpy, case, how)
    with tracejit.config(backend="eager"):
        found = run(tracejit, np, case, how)
    leaves, treedef = tracejit.tree.flatten_with_path(found)
    expected_leaves, expected_def = jax.tree.flatten(expected)
    assert jax.tree.structure(jax.tree.map(lambda x: 0, found)) == expected_def
    for (path, y), z in zip(leaves, expected_leaves, strict=True):
        where = f"{case}{tracejit.tree.keystr(path)}"
        assert np.shape(y) == np.shape(z), where
        if np.ndim(z) or not isinstance(z, int):
            assert np.asarray(y).dtype == np.asarray(z).dtype, where
        np.testing.assert_allclose(y, z, rtol=1e-12, atol=1e-13, err_msg=where)
