"""Jacobians, Hessians and products with them: structures against JAX, chunks, compiled programs."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import tracejit as tj
from tracejit.api import jacobians
from tracejit.errors import ArgumentError, GradError

X = np.array([0.3, -0.6, 0.45])
M = np.arange(6.0).reshape(2, 3) / 5


class Pair(NamedTuple):
    u: Any
    v: Any


@tj.tree_util.register_dataclass
@jax.tree_util.register_dataclass
@dataclass
class Params:
    w: Any
    b: Any


def of_dict(xp: Any, p: Any) -> Any:
    return {"s": xp.sum(p["a"] ** 3) * p["b"], "t": [xp.sin(p["a"]), p["b"] ** 2]}


def of_pair(xp: Any, p: Any) -> Any:
    return Pair(xp.dot(p.u, p.v), (p.u[0, 0] * p.v,))


def of_dataclass(xp: Any, p: Any) -> Any:
    return Params(xp.tanh(p.w @ X) + p.b, xp.sum(p.w) * p.b)


def of_two(xp: Any, x: Any, y: Any) -> Any:
    return x * xp.sum(y**2), xp.exp(y[0]) * x[1]


def of_nothing(xp: Any, p: Any) -> Any:
    return {"none": None, "value": p[0] * p[1], "empty": ()}


def constant(xp: Any, x: Any) -> Any:
    return [x[0] ** 2, xp.ones(2)]


CASES: dict[str, tuple[Callable[..., Any], tuple[Any, ...], Any]] = {
    "dict": (of_dict, ({"a": X, "b": 2.0},), 0),
    "namedtuple": (of_pair, (Pair(M, X),), 0),
    "dataclass": (of_dataclass, (Params(M, np.ones(2)),), 0),
    "one of two": (of_two, (X, X + 1), 1),
    "both": (of_two, (X, X + 1), (0, 1)),
    "swapped": (of_two, (X, X + 1), (1, 0)),
    "a tuple of one": (of_two, (X, X + 1), (-1,)),
    "none": (of_nothing, ((X, 1.5),), 0),
    "constant": (constant, (X,), 0),
}


def same(found: Any, wanted: Any) -> None:
    assert tj.tree.structure(found) == tj.tree.structure(wanted)
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(wanted), strict=True):
        assert np.shape(a) == np.shape(b)
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)


#: Both modes of each case, and two of the five ways to second order.
FIRST = [(case, (mode,)) for case in CASES for mode in ("jacfwd", "jacrev")]
WAYS = [*itertools.product(("jacfwd", "jacrev"), repeat=2), ("hessian",)]
SECOND = [(case, WAYS[(i + 2 * j) % 5]) for i, case in enumerate(CASES) for j in range(2)]


@pytest.mark.parametrize(("case", "names"), [*FIRST, *SECOND], ids=str)
def test_nestings_have_the_structure_and_values_of_jax(case: str, names: tuple[str, ...]) -> None:
    f, args, argnums = CASES[case]
    mine: Any = lambda *args: f(np, *args)
    theirs: Any = lambda *args: f(jnp, *args)
    for name in names:
        mine, theirs = getattr(tj, name)(mine, argnums), getattr(jax, name)(theirs, argnums)
    with jax.enable_x64(True):
        wanted = jax.tree.map(np.asarray, jax.jit(theirs)(*args))
    same(mine(*args), wanted)
    if len(names) == 1:
        same(tj.jit(mine)(*args), wanted)


@pytest.mark.parametrize("name", ["jacfwd", "jacrev", "hessian"])
def test_auxiliary_data(name: str) -> None:
    def f(xp: Any, x: Any) -> Any:
        return xp.sum(x**3), {"seen": x * 2}

    mine = getattr(tj, name)(lambda x: f(np, x), has_aux=True)(X)
    with jax.enable_x64(True):
        theirs = getattr(jax, name)(lambda x: f(jnp, x), has_aux=True)(X)
        same(mine, jax.tree.map(np.asarray, theirs))


def test_integers() -> None:
    def f(x: Any, n: Any) -> Any:
        return x * n

    with pytest.raises(GradError, match="needs floats"):
        tj.jacrev(f, 1)(X, 2)
    by_x, by_n = tj.jacrev(f, (0, 1), allow_int=True)(X, 2)
    np.testing.assert_array_equal(by_x, 2 * np.eye(3))
    assert (by_n.shape, by_n.dtype) == ((3,), tj.float0)


def test_messages() -> None:
    for transform in (tj.jacfwd, tj.jacrev, tj.hessian):
        with pytest.raises(GradError, match="holomorphic=True takes complex arguments"):
            transform(np.sin, holomorphic=True)(X)
        for size in (0, -1, 2.5, True):
            with pytest.raises(ArgumentError, match="chunk_size must be a positive int"):
                transform(np.sin, chunk_size=size)
    assert tj.jacfwd(np.sin, chunk_size=np.int64(2))(X).shape == (3, 3)


# Chunks


def model(x: Any) -> Any:
    return {"y": np.sin(M.T @ (M @ x)) * x[0], "s": np.sum(x**2)}


@pytest.mark.parametrize("transform", [tj.jacfwd, tj.jacrev, tj.hessian])
@pytest.mark.parametrize("size", [1, 2, 3])
@pytest.mark.parametrize("compiled", [False, True])
def test_chunks_give_the_same(transform: Any, size: int, compiled: bool) -> None:
    f, g = transform(model), transform(model, chunk_size=size)
    if compiled:
        f, g = tj.jit(f), tj.jit(g)
    whole, parts = tj.tree.leaves(f(X)), tj.tree.leaves(g(X))
    for a, b in zip(whole, parts, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-15, atol=1e-15)


def wide(x: Any) -> Any:
    """100 numbers in each direction become 10,000 on the way to one result."""
    return np.sum(np.sin(np.cumsum(np.outer(x, x), axis=0)))


def loops(f: Any, *args: Any) -> int:
    program = tj.make_jaxpr(f)(*args)
    return sum(eqn.primitive.name == "scan" for eqn in program.equations)


def test_memory_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.linspace(0.1, 0.9, 100)
    assert loops(tj.hessian(wide), x) == 0
    expected = 2.0 * tj.hessian(wide)(x)
    monkeypatch.setattr(jacobians, "MEMORY", 30 * 8 * 100 * 100)
    chunked = lambda x: tj.hessian(lambda y: 2.0 * wide(y))(x)  # what is known of wide, is known
    assert loops(chunked, x) == 1
    (scan,) = [e for e in tj.make_jaxpr(chunked)(x).equations if e.primitive.name == "scan"]
    assert scan.params["length"] == 4
    np.testing.assert_allclose(chunked(x), expected, rtol=1e-12)
    np.testing.assert_allclose(tj.jit(chunked)(x), expected, rtol=1e-10)


def test_what_the_result_needs_anyway_is_not_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jacobians, "MEMORY", 1)
    assert loops(lambda x: tj.jacfwd(lambda y: np.sin(y) * y)(x), X) == 0


# Products with Hessians


def scalar(x: Any) -> Any:
    return np.sum(np.sin(x) * x[::-1] ** 2)


def test_hvp_is_the_product() -> None:
    v = np.array([1.0, -2.0, 0.5])
    expected = tj.hessian(scalar)(X) @ v
    np.testing.assert_allclose(tj.hvp(scalar, (X,), (v,)), expected)
    np.testing.assert_allclose(tj.jit(lambda x, v: tj.hvp(scalar, (x,), (v,)))(X, v), expected)
    rows = tj.vmap(lambda v: tj.hvp(scalar, (X,), (v,)))(np.eye(3))
    np.testing.assert_allclose(rows, tj.hessian(scalar)(X))


def test_hvp_of_trees_and_of_several_arguments() -> None:
    def f(p: Any, y: Any) -> Any:
        return np.sum(p["a"] ** 2 * y) + p["b"] * np.sum(y**3)

    p, t = {"a": X, "b": 2.0}, {"a": X * 2, "b": 1.0}
    first = tj.hvp(lambda p: f(p, X), (p,), (t,))
    np.testing.assert_allclose(first["a"], 2 * X * t["a"])
    of_p, of_y = tj.hvp(f, (p, X), (t, X))
    np.testing.assert_allclose(of_p["a"], 2 * X * t["a"] + 2 * X * X)
    np.testing.assert_allclose(of_p["b"], np.sum(3 * X**2 * X))
    np.testing.assert_allclose(of_y, 2 * X * t["a"] + 3 * X**2 + 2.0 * 6 * X * X)


def test_hvp_has_aux_and_higher_orders() -> None:
    product, aux = tj.hvp(lambda x: (scalar(x), x * 2), (X,), (X,), has_aux=True)
    np.testing.assert_allclose(product, tj.hvp(scalar, (X,), (X,)))
    np.testing.assert_array_equal(aux, X * 2)
    third = tj.jacfwd(lambda x: tj.hvp(scalar, (x,), (X,)))(X)
    np.testing.assert_allclose(third, tj.jacfwd(tj.hessian(scalar))(X) @ X)


def test_hvp_is_one_native_loop() -> None:
    explained = tj.explain(lambda x, v: tj.hvp(scalar, (x,), (v,)))(X, X)
    assert (len(explained.steps), explained.temporary_bytes) == (1, 0)


def test_hvp_messages() -> None:
    with pytest.raises(ArgumentError, match="primals must be a tuple"):
        tj.hvp(scalar, X, X)
    with pytest.raises(GradError, match="scalar"):
        tj.hvp(np.sin, (X,), (X,))


def test_blocks_that_are_zero_have_the_dtypes_of_the_others() -> None:
    """Reverse mode gives the dtype of the argument, forward mode that of the result."""

    def fun(x):
        return x * 2.0, np.ones(2, np.float32)

    for jacobian, dtype in ((tj.jacrev, np.float64), (tj.jacfwd, np.float32)):
        _, block = jacobian(fun)(np.arange(3.0))
        assert block.dtype == dtype and block.shape == (2, 3)
