"""Arrays of one element are numbers: what is compiled, and that values are the same."""

from __future__ import annotations

import numpy as np
import pytest

import tracejit as tj
import tracejit.numpy as tnp
from tracejit import lax
from tracejit.backends.native.ones import numbers
from tracejit.ir.walk import held_jaxprs


def thomas(right, lower, diagonal, upper):
    """One tridiagonal system, its arrays with an axis of one element."""
    n = right.shape[1]

    def forward(k, state):
        c, d = state
        pivot = diagonal[:, k] - lower[:, k] * c[:, k - 1]
        c = c.at[:, k].set(upper[:, k] / pivot)
        return c, d.at[:, k].set((right[:, k] - lower[:, k] * d[:, k - 1]) / pivot)

    def back(i, x):
        k = n - 2 - i
        return x.at[:, k].set(x[:, k] - c[:, k] * x[:, k + 1])

    c = tnp.zeros_like(upper).at[:, 0].set(upper[:, 0] / diagonal[:, 0])
    d = tnp.zeros_like(right).at[:, 0].set(right[:, 0] / diagonal[:, 0])
    c, d = lax.fori_loop(1, n, forward, (c, d))
    return lax.fori_loop(0, n - 1, back, d)


def systems(n):
    rng = np.random.default_rng(0)
    right, lower, upper = rng.normal(size=(3, 1, n))
    return right, lower, 4.0 + 0.1 * rng.normal(size=(1, n)), upper


def pointwise_on_one(jaxpr):
    """The operations on arrays of one element, in a jaxpr and all that it holds."""
    found = [
        eqn for eqn in jaxpr.equations
        if eqn.primitive.is_pointwise and eqn.outvars[0].ndim and eqn.outvars[0].type.size == 1
    ]  # fmt: skip
    for eqn in jaxpr.equations:
        for _, held in held_jaxprs(eqn):
            found += pointwise_on_one(held)
    return found


def test_operations_on_one_element_are_done_on_numbers():
    before = tj.make_jaxpr(thomas)(*systems(30))
    assert pointwise_on_one(before)
    assert not pointwise_on_one(numbers(before))


def test_what_has_no_arrays_of_one_element_is_left_as_it_is():
    jaxpr = tj.make_jaxpr(lambda x: tnp.sin(x).sum() * 2.0)(np.ones(3))
    assert numbers(jaxpr) is jaxpr


def test_a_recurrence_does_not_go_through_memory_besides_its_arrays():
    kernels = str(tj.stages(thomas)(*systems(30))["kernels"])
    assert "unrolled" not in kernels


@pytest.mark.parametrize("n", [2, 3, 30])
def test_values_and_gradients_are_those_of_the_reference(n):
    args = systems(n)
    loss = tj.value_and_grad(lambda *a: (thomas(*a) ** 2).sum(), argnums=(0, 1, 2, 3))
    found, expected = tj.jit(loss)(*args), tj.jit(loss, backend="eager")(*args)
    for a, b in zip(tj.tree.leaves(found), tj.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("dtype", ["bool", "int32", "float32", "float64"])
def test_one_element_is_spread_and_moved(dtype):
    def f(x, y):
        z = tnp.broadcast_to(x.reshape(1, 1) | y if dtype == "bool" else x + y, (4, 3))
        return z, x * y, tnp.where(x > y, x, y).reshape(())

    for a, b in ((1, 0), (0, 1)):
        args = np.array([a], dtype), np.array([b], dtype)
        found, expected = tj.jit(f)(*args), tj.jit(f, backend="eager")(*args)
        for one, other in zip(found, expected, strict=True):
            assert one.dtype == other.dtype
            np.testing.assert_array_equal(one, other)
