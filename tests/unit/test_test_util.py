"""check_grads: right derivatives pass; of wrong ones it says which argument, mode and order."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

import tracejit as tj
from tracejit.errors import ArgumentError
from tracejit.test_util import check_grads, check_jvp, check_vjp


def model(params, x):
    hidden = np.tanh(x @ params["w"] + params["b"])
    return {"loss": np.sum(hidden**2), "hidden": hidden}


PARAMS = {"w": np.linspace(-1, 1, 6).reshape(3, 2), "b": np.array([0.1, -0.2])}
X = np.cos(np.arange(12.0)).reshape(4, 3)


@pytest.mark.parametrize("modes", ["fwd", "rev", ("fwd", "rev")])
def test_right_ones_pass(modes) -> None:
    check_grads(model, (PARAMS, X), order=2, modes=modes)
    check_grads(tj.jit(model), (PARAMS, X), order=1, modes=modes)


def test_third_order_scalars_and_integers() -> None:
    check_grads(lambda x, n, y: np.sin(x) * y**n, (0.5, 3, 1.5), order=3)


def test_single_precision() -> None:
    x = np.linspace(0.5, 2, 4, dtype=np.float32)
    check_grads(lambda x: np.log(x) * x, (x,), order=2)


def wrong_in_b(params, x):
    """The derivative by b is 0 where it should not be."""
    return np.sin(x @ params["w"] + tj.stop_gradient(params["b"]))


@pytest.mark.parametrize(("mode", "word"), [("fwd", "forward"), ("rev", "reverse")])
def test_the_report_of_a_wrong_one(mode, word) -> None:
    with pytest.raises(AssertionError) as caught:
        check_grads(wrong_in_b, (PARAMS, X), order=1, modes=(mode,))
    text = str(caught.value)
    assert f"wrong_in_b, order 1 ({mode}): {word} mode is wrong for argument params['b']" in text
    assert "along the direction [" in text and "differences say" in text


def test_what_is_wrong_in_second_order_alone() -> None:
    x = np.array([1.0, 2.0])
    check_grads(second_only, (x,), order=1)
    with pytest.raises(AssertionError, match=r"second_only, order 2 \(fwd of fwd\)"):
        check_grads(second_only, (x,), order=2)
    with pytest.raises(AssertionError, match=r"second_only, order 2 \(rev of rev\)"):
        check_grads(second_only, (x,), order=2, modes=("rev",))


def second_only(x):
    """x^3 whose derivative, right as a number, is a constant to the derivative of it."""
    fixed = tj.stop_gradient(x)
    return fixed**3 + 3 * fixed**2 * (x - fixed)


def test_rules_of_ones_own() -> None:
    check_jvp(np.sin, partial(tj.jvp, np.sin), (0.3,))
    check_vjp(np.sin, partial(tj.vjp, np.sin), (0.3,))
    with pytest.raises(AssertionError, match="my rule: forward mode is wrong"):
        check_jvp(np.sin, lambda xs, ts: (np.sin(xs[0]), ts[0]), (0.3,), err_msg="my rule")
    with pytest.raises(AssertionError, match="another value"):
        check_vjp(np.sin, lambda x: (x, lambda ct: (ct,)), (0.3,))


def test_errors() -> None:
    with pytest.raises(ArgumentError, match="no mode 'forward'"):
        check_grads(np.sin, (0.3,), 1, modes="forward")


def test_what_has_no_derivative_is_said() -> None:
    with pytest.raises(ArgumentError, match="has no argument of floats"):
        check_grads(lambda x: x * 2.0, (3,), order=1)
    with pytest.raises(ArgumentError, match="has no result of floats"):
        check_grads(lambda x: x > 0, (np.ones(2),), order=2)
    with pytest.raises(ArgumentError, match="a tuple of arguments, not float"):
        check_grads(np.sin, 1.0, order=1)


def test_integers_among_arguments_and_results() -> None:
    check_grads(lambda x, n: (n * x**2, n, np.argmax(x)), (np.array([0.3, 0.4]), 3), order=3)


def test_complex_numbers() -> None:
    z = np.array([0.3 + 0.4j, -0.2 + 0.1j])
    check_grads(lambda z: np.sum(np.exp(z) * np.conj(z)), (z,), order=2)
    check_grads(lambda z: np.real(z) * np.imag(z * z), (z,), order=2)

    @tj.custom_jvp
    def wrong(z):
        return z * z

    wrong.defjvps(lambda t, out, z: 2 * np.conj(z) * t)
    with pytest.raises(AssertionError, match="is wrong for argument z"):
        check_grads(wrong, (z,), order=1)
