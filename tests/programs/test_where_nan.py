"""Nothing comes from the untaken side of a choice: no NaN, no infinity, in any mode of derivative.

Each case is the mathematics of a snippet that people reported to JAX or PyTorch (the number says
which), written as they would like to write it, and beside it the same function made safe by hand:
its operands are replaced before the operation that fails on them. The two have the same values and
the same derivatives, everywhere.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest

import tracejit as tj
from tracejit import backends

BACKENDS = [name for name in ("eager", "native", "xla") if backends.available(name)]


class Case(NamedTuple):
    """fun: vector to vector; safe: the same by hand; x: where it used to go wrong.

    smooth: whether it has a second derivative at x.
    """

    fun: Callable[[Any], Any]
    safe: Callable[[Any], Any]
    x: np.ndarray
    smooth: bool = True


def _length(x):
    """jax 347: rows that are 0."""
    size = np.sqrt(np.sum(x.reshape((-1, 2)) ** 2, axis=1))
    return np.where(size > 0.5, size, 1.0)


def _safe_length(x):
    size = np.sum(x.reshape((-1, 2)) ** 2, axis=1)
    return np.sqrt(np.where(size > 0.25, size, 1.0))


def _pairs(x):
    """Energies of charges: each at distance 0 from itself, masked twice over."""
    distance = np.sqrt((x[:, None] - x[None, :]) ** 2)
    other = ~np.eye(len(x), dtype=bool)
    return np.sum(np.where(other, 1.0 / np.where(other, distance, 0.0), 0.0), axis=1)


def _safe_pairs(x):
    other = ~np.eye(len(x), dtype=bool)
    squares = np.where(other, (x[:, None] - x[None, :]) ** 2, 1.0)
    return np.sum(np.where(other, 1.0 / np.sqrt(squares), 0.0), axis=1)


def _piecewise(x):
    return np.select([x < 0, x < 1], [np.zeros_like(x), x**1.5], np.log(x) + 1 / x)


def _safe_piecewise(x):
    middle, upper = (x >= 0) & (x < 1), x >= 1
    power = np.where(middle & (x > 0), x, 1.0) ** 1.5
    above = np.where(upper, x, 1.0)
    return np.where(upper, np.log(above) + 1 / above, np.where(middle & (x > 0), power, 0.0))


CASES = {
    "jax 347, rows of length 0": Case(
        _length, _safe_length, np.array([1.0, 2.0, 3.0, 4.0, 0.0, 0.0])
    ),
    "jax 1052, the angle of the origin": Case(
        lambda x: np.where(np.array([False, True, False]), 0.0, np.arctan2(x, x)),
        lambda x: np.array([1.0, 0.0, 1.0]) * np.arctan2(*[x + np.array([0.0, 1.0, 0.0])] * 2),
        np.array([3.0, 0.0, -5.0]),
    ),
    "jax 5798, a root below 1": Case(
        lambda x: np.where(x < 1.0, x, np.sqrt(x)),
        lambda x: np.where(x < 1.0, x, np.sqrt(np.where(x < 1.0, 1.0, x))),
        np.array([0.0, 1e-9, 0.5, 4.0, -2.0]),
    ),
    "jax, infinity on the other side": Case(
        lambda x: np.where(x > 0, 0.0, x * np.inf), lambda x: 0.0 * x, np.array([1.0, 2.0])
    ),
    "jax, select of pieces": Case(
        _piecewise, _safe_piecewise, np.array([-1.0, 0.25, 0.5, 1.5, 3.0])
    ),
    "jax, a power of what may be negative": Case(
        lambda x: np.where(x < 0, np.power(-x, 1.7), np.power(x, 1.7)),
        lambda x: np.where(x == 0, 1.0, np.abs(x)) ** 1.7,
        np.array([-2.0, -0.5, 0.5, 3.0]),
    ),
    "jax, charges": Case(_pairs, _safe_pairs, np.array([0.3, 1.2, -0.4, 2.5])),
    "pytorch 18287, the cosine of infinity": Case(
        lambda x: np.where(x < 1.0, np.cos(x), 0.0),
        lambda x: np.where(x < 1.0, np.cos(np.where(x < 1.0, x, 0.0)), 0.0),
        np.array([0.0, np.inf]),
    ),
    "pytorch 23395, a root of 0": Case(
        lambda x: np.where(x == 0.0, x / 2, np.sqrt(x) + 1),
        lambda x: np.where(x == 0.0, x / 2, np.sqrt(np.where(x == 0.0, 1.0, x)) + 1),
        np.array([16.0, 0.0]),
    ),
    "pytorch 52248, a fallback where it is not finite": Case(
        lambda x: np.where(np.isfinite(np.log(x) / x), np.log(x) / x, x * x),
        lambda x: np.where(x > 0, np.log(np.where(x > 0, x, 1.0)) / np.where(x > 0, x, 1.0), x * x),
        np.array([2.0, 0.0, -1.0]),
    ),
    "pytorch 68425, an exponential that overflows": Case(
        lambda x: np.where(x <= 0, np.exp(x), 1 + x),
        lambda x: np.where(x <= 0, np.exp(np.where(x <= 0, x, 0.0)), 1 + x),
        np.array([100.0, 1000.0, -3.0]),
    ),
    "pytorch 156212, NaN and overflow on the other side": Case(
        lambda x: np.where(x <= 10, np.exp(x), 1.0),
        lambda x: np.where(x <= 10, np.exp(np.where(x <= 10, x, 0.0)), 1.0),
        np.array([1.0, np.nan, 1e10]),
    ),
    "0 / 0 behind where": Case(
        lambda x: np.where(x != 0, np.sin(x) / x, 1.0),
        lambda x: np.where(x != 0, np.sin(x) / np.where(x != 0, x, 1.0), 1.0),
        np.array([0.0, 1.0, -2.0]),
    ),
    "an arc behind where": Case(
        lambda x: np.where(np.abs(x) < 1, np.arccos(x) * np.arctanh(x), x),
        lambda x: np.where(
            np.abs(x) < 1, np.arccos(np.clip(x, -0.9, 0.9)) * np.arctanh(np.clip(x, -0.9, 0.9)), x
        ),
        np.array([0.5, 1.0, -1.0, 2.0]),
    ),
    "lax.select": Case(
        lambda x: tj.lax.select(x > 0, x * tj.lax.log(x), tj.numpy.zeros_like(x)),
        lambda x: np.where(x > 0, x * np.log(np.where(x > 0, x, 1.0)), 0.0),
        np.array([0.0, 2.0, -1.0]),
    ),
    "lax.cond for each": Case(
        lambda x: tj.vmap(
            lambda x: tj.lax.cond(x > 0, lambda x: np.sqrt(x) * np.log(x), lambda x: 2 * x, x)
        )(x),
        lambda x: np.where(
            x > 0, np.sqrt(np.where(x > 0, x, 1.0)) * np.log(np.where(x > 0, x, 1.0)), 2 * x
        ),
        np.array([0.0, 2.0, -1.0]),
    ),
    "nested": Case(
        lambda x: np.where(x > 0, np.where(x > 1, np.log(x - 1), np.sqrt(x)), 1 / x**2),
        lambda x: np.where(
            x > 0,
            np.where(
                x > 1, np.log(np.where(x > 1, x - 1, 1.0)),
                np.sqrt(np.where((x > 0) & (x <= 1), x, 1.0)),
            ),
            1 / np.where(x > 0, 1.0, x) ** 2,
        ),
        np.array([0.5, 1.0, 3.0, -2.0]),
    ),
    "an outer function that is steep": Case(
        lambda x: np.exp(50 * np.where(x > 0, np.sqrt(x), 0.0)) ** 2,
        lambda x: np.exp(
            50 * np.where(x > 0, np.sqrt(np.where(x > 0, x, 1.0)), 0.0)
        ) ** 2,
        np.array([0.0, 0.01]),
    ),
    "clip before where": Case(
        lambda x: np.where(x > 0, np.log(np.clip(x, 0.0, None)), 0.0),
        lambda x: np.where(x > 0, np.log(np.where(x > 0, x, 1.0)), 0.0),
        np.array([0.0, 2.0, -1.0]),
    ),
    "a boolean index": Case(
        lambda x: np.sum(x, where=x > 0) + np.where(x > 0, x, 0.0) ** 2,
        lambda x: np.sum(np.where(x > 0, x, 0.0)) + np.where(x > 0, x, 0.0) ** 2,
        np.array([np.nan, 2.0, -1.0]),
    ),
}  # fmt: skip

#: Every way to a derivative, from a function to an array.
MODES: dict[str, Callable[..., Any]] = {
    "value": lambda f: f,
    "grad": lambda f: tj.grad(lambda x: np.sum(f(x))),
    "jacfwd": tj.jacfwd,
    "jacrev": tj.jacrev,
    "hessian": lambda f: tj.hessian(lambda x: np.sum(f(x))),
    "reverse over reverse": lambda f: tj.jacrev(tj.grad(lambda x: np.sum(f(x)))),
    "reverse over forward": lambda f: tj.jacrev(tj.jacfwd(f)),
    "vmap of grad": lambda f: (
        lambda x: tj.vmap(tj.grad(lambda x: np.sum(f(x))))(np.stack([x, x + 1.0, x]))
    ),
    "grad of scan": lambda f: tj.grad(
        lambda x: tj.lax.scan(lambda c, s: (c + np.sum(f(x) * s), s), 0.0, np.arange(1.0, 4.0))[0]
    ),
    "grad of carried": lambda f: tj.grad(
        lambda x: np.sum(tj.lax.fori_loop(0, 2, lambda i, c: c * 0.5 + f(x), np.zeros(f(x).shape)))
    ),
    "grad of checkpoint": lambda f: tj.grad(lambda x: np.sum(tj.checkpoint(f)(x))),
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", CASES)
def test_in_numpy(name: str, mode: str) -> None:
    """Outside of jit, equation by equation."""
    check(name, mode, lambda g: g)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", CASES)
def test_compiled(name: str, backend: str) -> None:
    """All modes in one program."""
    case = CASES[name]
    modes = {k: MODES[k] for k in MODES if k != "vmap of grad" or np.isfinite(case.x).all()}

    def run(fun):
        return tj.jit(lambda x: {k: mode(fun)(x) for k, mode in modes.items()}, backend=backend)

    found = run(case.fun)(case.x)
    expected = tj.jit(lambda x: {k: mode(case.safe)(x) for k, mode in modes.items()})(case.x)
    for mode, y in found.items():
        np.testing.assert_allclose(y, expected[mode], rtol=1e-12, atol=1e-300, err_msg=mode)
        assert np.isfinite(y).all(), mode


def check(name: str, mode: str, compiled: Callable[..., Any]) -> None:
    """One mode of one case agrees with that of the safe function, and is finite."""
    case = CASES[name]
    found = compiled(MODES[mode](case.fun))(case.x)
    with np.errstate(all="ignore"):
        expected = MODES[mode](case.safe)(case.x)
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-300)
    assert np.isfinite(found).all()


def test_the_numbers_of_the_reports() -> None:
    """What the authors of the reports expected to see."""
    expected = {
        "jax 1052, the angle of the origin": [0.0, 0.0, 0.0],
        "jax 5798, a root below 1": [1.0, 1.0, 1.0, 0.25, 1.0],
        "pytorch 18287, the cosine of infinity": [0.0, 0.0],
        "pytorch 23395, a root of 0": [0.125, 0.5],
        "pytorch 68425, an exponential that overflows": [1.0, 1.0, np.exp(-3.0)],
        "pytorch 156212, NaN and overflow on the other side": [np.e, 0.0, 0.0],
    }
    for name, gradient in expected.items():
        case = CASES[name]
        for wrapped in (lambda g: g, tj.jit):
            found = wrapped(MODES["grad"](case.fun))(case.x)
            np.testing.assert_allclose(found, gradient, rtol=1e-14, err_msg=name)
