"""Random numbers: pinned draws, the same ones traced, batched and differentiated, and errors.

That they are JAX's is in tests/differential/test_random_jax.py; the pinned numbers are JAX's too.
"""

from __future__ import annotations

import numpy as np
import pytest

import tracejit as tj
from tracejit import errors, random

KEY = random.key(42)
KEYS = random.split(KEY, 3)


def test_pinned_draws():
    words = [[1832780943, 270669613], [64467757, 2916123636]]
    assert random.split(KEY).tolist() == words
    assert random.fold_in(KEY, 7).tolist() == [2547012911, 1371500959]
    assert random.bits(KEY, (3,), "uint32").tolist() == [2098992034, 2919706841, 2646866425]
    uniform = [0.4267275666499091, 0.015010069515314584, 0.5741444178995352]
    assert random.uniform(KEY, (3,)).tolist() == uniform
    assert random.randint(KEY, (5,), 0, 100).tolist() == [85, 18, 3, 71, 5]
    assert random.permutation(KEY, 8).tolist() == [7, 4, 2, 5, 3, 6, 0, 1]
    normal = [-0.18471174528191162, -2.169824560397754, 0.18693555179382582]
    np.testing.assert_allclose(random.normal(KEY, (3,)), normal, rtol=1e-14)


def test_a_seed_has_64_bits_or_32_as_the_default_float_has():
    assert random.key(-1).tolist() == [2**32 - 1, 2**32 - 1]
    assert random.key(2**40 + 5).tolist() == [256, 5]
    with tj.config(default_float="float32"):
        assert random.key(-1).tolist() == [0, 2**32 - 1]
        assert random.randint(KEY, (), 0, 9).dtype == np.int32
        assert random.normal(KEY).dtype == np.float32
        assert random.bits(KEY).dtype == np.uint32
    np.testing.assert_array_equal(tj.jit(random.key)(7), random.key(7))


DRAWS = {
    "split": lambda k: random.split(k, (2, 2)),
    "fold_in": lambda k: random.fold_in(k, 3),
    "bits": lambda k: random.bits(k, (3,), "uint8"),
    "uniform": lambda k: random.uniform(k, (2, 3), minval=-1.0, maxval=4.0),
    "normal": lambda k: random.normal(k, (5,)),
    "float32": lambda k: random.normal(k, (5,), "float32"),
    "truncated_normal": lambda k: random.truncated_normal(k, -0.5, np.array([1.0, 2.0])),
    "gumbel": lambda k: random.gumbel(k, (3,), mode="high"),
    "laplace": lambda k: random.laplace(k, (3,)),
    "triangular": lambda k: random.triangular(k, 0.0, 0.2, 1.0, (3,)),
    "bernoulli": lambda k: random.bernoulli(k, np.array([0.2, 0.7]), (4, 2)),
    "randint": lambda k: random.randint(k, (6,), np.arange(6), 10),
    "permutation": lambda k: random.permutation(k, np.arange(12.0).reshape(3, 4), 1),
    "choice": lambda k: random.choice(k, 10, (3,), replace=False),
    "choice_by_p": lambda k: random.choice(k, np.arange(3) * 2, (4,), p=np.array([0.2, 0.5, 0.3])),
    "categorical": lambda k: random.categorical(k, np.array([[0.1, 2.0, 0.3]] * 4)),
}


@pytest.mark.parametrize("name", DRAWS)
def test_a_draw_is_the_same_traced_and_batched(name, backend):
    draw = DRAWS[name]
    want = [draw(key) for key in KEYS]
    compiled = tj.jit(draw, backend=backend)(KEYS[0])
    batched = tj.jit(tj.vmap(draw), backend=backend)(KEYS)
    rtol = 1e-4 if name == "float32" else 1e-12
    assert compiled.dtype == want[0].dtype
    np.testing.assert_allclose(compiled, want[0], rtol=rtol)
    np.testing.assert_allclose(batched, np.stack(want), rtol=rtol)
    np.testing.assert_allclose(tj.vmap(draw)(KEYS), np.stack(want), rtol=rtol)


def test_a_traced_draw_holds_no_array_of_counters():
    text = str(tj.make_jaxpr(lambda key: random.uniform(key, (1000, 1000)).sum())(KEY))
    assert "iota" in text
    assert "const" not in text


def test_counters_beyond_a_word():
    """Element 2^32 + i has upper word 1; seen in the program, which is not run."""
    shape = (2, 2**32)
    types = tj.eval_shape(lambda key: random.bits(key, shape, "uint32"), KEY)
    assert types.shape == shape
    text = str(tj.make_jaxpr(lambda key: random.bits(key, shape, "uint32"))(KEY))
    assert "shift_right_logical" in text


def test_draws_have_derivatives_in_their_parameters():
    def draw(low, high, sigma):
        return (
            random.uniform(KEY, (), minval=low, maxval=high)
            + random.lognormal(KEY, sigma)
            + random.truncated_normal(KEY, low, high)
        )

    at = (0.3, 1.7, 0.8)
    got = tj.grad(draw, argnums=(0, 1, 2))(*at)
    step = 1e-6
    for i, slope in enumerate(got):
        up, down = (draw(*(x + s * (i == j) for j, x in enumerate(at))) for s in (step, -step))
        np.testing.assert_allclose(slope, (up - down) / (2 * step), rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "mean", "variance"),
    [
        ("uniform", 0.5, 1 / 12), ("normal", 0.0, 1.0), ("exponential", 1.0, 1.0),
        ("gumbel", 0.57721566, np.pi**2 / 6), ("laplace", 0.0, 2.0),
        ("logistic", 0.0, np.pi**2 / 3),
        ("rademacher", 0.0, 1.0), ("maxwell", 2 * np.sqrt(2 / np.pi), 3 - 8 / np.pi),
    ],
)  # fmt: skip
def test_moments(name, mean, variance):
    n = 40_000
    x = np.asarray(getattr(random, name)(KEY, (n,)), np.float64)
    assert abs(x.mean() - mean) < 5 * np.sqrt(variance / n)
    assert abs(x.var() - variance) < 0.06 * max(variance, 0.1)


def test_every_category_has_its_share():
    p = np.array([0.1, 0.2, 0.3, 0.4])
    for drawn in (
        random.choice(KEY, 4, (20_000,), p=p),
        random.categorical(KEY, np.log(p), shape=(20_000,)),
    ):
        np.testing.assert_allclose(np.bincount(drawn) / 20_000, p, atol=0.015)


def test_edges_of_choice_and_permutation():
    assert random.permutation(KEY, 0).shape == (0,)
    assert random.choice(KEY, 5, (0,)).shape == (0,)
    assert sorted(random.choice(KEY, 5, (5,), replace=False)) == [0, 1, 2, 3, 4]
    assert random.randint(KEY, (3,), 5, 5).tolist() == [5, 5, 5]
    lines = random.permutation(KEY, np.tile(np.arange(20), (3, 1)), 1, independent=True)
    assert np.all(np.sort(lines) == np.arange(20))
    assert not np.array_equal(lines[0], lines[1])


ERRORS = [
    (lambda: random.normal(0), errors.ArgumentError, "random.key"),
    (lambda: random.normal(np.array([0, 1])), errors.DTypeError, "uint32"),
    (lambda: random.normal(KEYS), errors.ShapeError, "vmap"),
    (lambda: random.normal(np.zeros(3, np.uint32)), errors.ShapeError, "length 2"),
    (lambda: random.key(1.5), errors.DTypeError, "integer"),
    (lambda: random.key(2**63), errors.ArgumentError, "64 bits"),
    (lambda: random.key(np.arange(3)), errors.ShapeError, "one integer"),
    (lambda: random.key(0, impl="rbg"), errors.UnsupportedError, "rbg"),
    (lambda: random.fold_in(KEY, -1), errors.ArgumentError, "0 to 2"),
    (lambda: random.fold_in(KEY, 0.5), errors.ArgumentError, "one integer"),
    (lambda: random.bits(KEY, (2,), "int32"), errors.DTypeError, "unsigned"),
    (lambda: random.normal(KEY, (-1,)), errors.ShapeError, "negative"),
    (lambda: random.normal(KEY, (1.5,)), errors.ArgumentError, "int"),
    (lambda: random.normal(KEY, (2,), "int32"), errors.DTypeError, "draws floats, not int32"),
    (lambda: random.uniform(KEY, (2,), minval=np.zeros(3)), errors.ShapeError, "broadcast"),
    (lambda: random.uniform(KEY, (2,), maxval="x"), errors.ArgumentError, "array"),
    (lambda: random.gumbel(KEY, mode="best"), errors.ArgumentError, "'high'"),
    (lambda: random.bernoulli(KEY, 1), errors.DTypeError, "float"),
    (lambda: random.randint(KEY, (2,), 0.0, 3.0), errors.DTypeError, "integer"),
    (lambda: random.randint(KEY, (2,), 0, 3, "float32"), errors.DTypeError, "integers"),
    (lambda: random.permutation(KEY, 1.5), errors.DTypeError, "int or an array"),
    (lambda: random.permutation(KEY, np.zeros((2, 2)), 2), errors.AxisError, "axis 2"),
    (lambda: random.choice(KEY, 3, (4,), replace=False), errors.ArgumentError, "replace=True"),
    (lambda: random.choice(KEY, 0, (1,)), errors.ArgumentError, "nothing"),
    (lambda: random.choice(KEY, 3, (1,), p=np.ones(2)), errors.ShapeError, "3 members"),
    (lambda: random.categorical(KEY, np.zeros((3, 2)), shape=(2,)), errors.ShapeError, "(3,)"),
    (
        lambda: random.categorical(KEY, np.zeros(2), shape=(3,), replace=False),
        errors.ArgumentError, "cannot differ",
    ),
    (lambda: random.norml(KEY), AttributeError, "did you mean 'normal'"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "error", "words"), ERRORS)
def test_errors_say_what_is_wrong(call, error, words):
    with pytest.raises(error) as caught:
        call()
    assert words in str(caught.value)
