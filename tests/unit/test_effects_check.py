"""check: a condition that has to hold when the program runs; where it fails, the user's line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tracejit as tj
from tracejit.errors import ArgumentError, CheckError, DTypeError

BACKENDS = ["native", "eager"]


@pytest.fixture(params=[None, *BACKENDS], ids=["plain", *BACKENDS])
def compiled(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """jit for a backend, or nothing at all: the function as it is."""
    if request.param is None:
        return lambda f, **options: f
    return lambda f, **options: tj.jit(f, backend=request.param, **options)


def _failure(run: Callable[..., Any], *args: Any) -> str:
    with pytest.raises(CheckError) as caught:
        run(*args)
    text = str(caught.value)
    assert "test_effects_check.py" in text
    return text.partition("\n  at ")[0]


def root(x: Any) -> Any:
    tj.check(x >= 0, "no root of {x:.1f} ({})", 7, x=x)
    return np.sqrt(x)


def test_a_number(compiled: Any) -> None:
    run = compiled(root)
    for _ in range(3):
        assert run(4.0) == 2.0
        assert _failure(run, -4.0) == "no root of -4.0 (7)"


def test_the_line_is_the_users(compiled: Any) -> None:
    with pytest.raises(CheckError, match=r"test_effects_check.py:\d+ in root") as caught:
        compiled(root)(-1.0)
    assert isinstance(caught.value, ValueError)


def test_an_array_says_where(compiled: Any) -> None:
    def f(x: Any) -> Any:
        tj.check(np.isfinite(x), "x sums to {s}", s=x.sum())
        return x.sum()

    run, x = compiled(f), np.ones((3, 4))
    assert run(x) == 12.0
    x[1, 2] = x[2, 0] = np.nan
    assert _failure(run, x) == "x sums to nan\n  2 of 12 elements fail, the first at [1, 2]"
    assert _failure(compiled(lambda x: tj.check(np.isfinite(x).all(), "nan")), x) == "nan"


def test_large_arrays_are_checked(compiled: Any) -> None:
    def f(x: Any) -> Any:
        y = np.exp(x)
        tj.check(y < 2, "{y}", y=y[3])
        return y.sum()

    x = np.zeros(300_000)
    run = compiled(f)
    assert run(x) == 300_000
    x[200_001] = 1
    assert _failure(run, x) == "1.0\n  1 of 300000 elements fail, the first at [200001]"


def test_in_a_loop_and_in_a_branch(compiled: Any) -> None:
    def f(x: Any) -> Any:
        def body(i: Any, s: Any) -> Any:
            tj.check(s < 10, "{s} in round {i}", s=s, i=i)
            return s * 2

        def large(s: Any) -> Any:
            tj.check(s < 100, "{s} is too large", s=s)
            return s

        s = tj.lax.fori_loop(0, 3, body, x)
        return tj.lax.cond(s > 50, large, lambda s: s, s)

    run = compiled(f)
    assert run(1.0) == 8.0 and run(2.25) == 18.0 and run(-30.0) == -240.0
    assert _failure(run, 3.0) == "12.0 in round 2"
    assert _failure(run, 20.0) == "20.0 in round 0"
    wide = compiled(lambda x: tj.lax.cond(x > 50, lambda x: tj.check(x < 100, "{x}", x=x),
                                          lambda x: None, x))  # fmt: skip
    assert wide(60.0) is None and wide(0.0) is None
    assert _failure(wide, 100.0) == "100.0"


def test_of_a_batch(compiled: Any) -> None:
    def f(x: Any, y: Any) -> Any:
        tj.check(x < y, "{x} and {y} of {n}", x=x[0], y=y, n=3)
        return x + y

    x = np.arange(12.0).reshape(3, 2, 2)
    inner = tj.vmap(f, in_axes=(0, None))
    run = compiled(inner)
    assert run(x[0], 9.0).shape == (2, 2)
    assert _failure(run, x[0], 3.0) == (
        "2.0 and 3.0 of 3 (member 1 of the batch)\n  1 of 2 elements fail, the first at [1]"
    )
    nested = compiled(tj.vmap(inner))
    assert nested(x, np.full(3, 20.0)).shape == (3, 2, 2)
    assert _failure(nested, x, np.array([20.0, 20, 10])).startswith(
        "10.0 and 10.0 of 3 (member 2, 1 of the batch)\n  2 of 2"
    )


def test_members_are_checked_in_the_branch_they_take(compiled: Any) -> None:
    def f(x: Any) -> Any:
        return tj.lax.cond(x > 0, root, lambda x: -x, x)

    def g(x: Any) -> Any:
        def body(s: Any) -> Any:
            tj.check(s > 1, "{s}", s=s)
            return s - 1

        return tj.lax.while_loop(lambda s: s > 1, body, x)

    x = np.array([4.0, -9.0])
    assert compiled(tj.vmap(f))(x).tolist() == [2.0, 9.0]
    assert compiled(tj.vmap(g))(x).tolist() == [1.0, -9.0]


@pytest.mark.parametrize("derivative", [tj.grad, tj.jacfwd, tj.hessian, tj.value_and_grad])
def test_in_a_derivative(compiled: Any, derivative: Any) -> None:
    run = compiled(derivative(root))
    run(4.0)
    assert _failure(run, -4.0) == "no root of -4.0 (7)"


def test_in_a_derivative_of_a_loop(compiled: Any) -> None:
    def f(x: Any) -> Any:
        def body(s: Any, i: Any) -> Any:
            tj.check(s < 3, "{i}", i=i)
            return s * x, s

        return tj.lax.scan(body, x, np.arange(4))[1].sum()

    run = compiled(tj.grad(f))
    assert np.isclose(run(1.1), sum((k + 1) * 1.1**k for k in range(4)))
    assert _failure(run, 1.5) == "2"


def test_the_first_that_fails_is_the_one(compiled: Any) -> None:
    def f(x: Any) -> Any:
        tj.check(x.sum() < 100, "first")
        tj.check(x[0] < 0, "second")
        return x

    run = compiled(f)
    assert _failure(run, np.full(3, 50.0)) == "first"
    assert _failure(run, np.full(3, 5.0)) == "second"


def test_a_check_ends_a_loop_that_would_not_end() -> None:
    def f(x: Any) -> Any:
        tj.check(x > 0, "{x}", x=x)
        return tj.lax.while_loop(lambda s: s < 1e9, lambda s: s * 2, x)

    run = tj.jit(f)
    assert run(1.0) == 2.0**30
    assert _failure(run, -1.0) == "-1.0"


def test_what_failed_is_not_there() -> None:
    """Bound arrays hold what they held, or what has been computed; entries go on working."""
    call = tj.jit(lambda x: root(x).sum()).bind(np.full(1, 4.0)[0])
    assert call() == 2.0
    x = np.array(4.0)
    bound = tj.jit(root).bind(x, out=np.zeros(()))
    bound()
    x[...] = -1.0
    assert _failure(bound) == "no root of -1.0 (7)"
    x[...] = 9.0
    assert bound() == 3.0


def test_a_program_of_many_parts() -> None:
    """The check is in a function of its own, far from the kernel's end."""

    steps = np.random.default_rng(0).choice([np.sin, np.cos, np.tanh, np.exp], 900)

    def f(x: Any, y: Any) -> Any:
        for i, step in enumerate(steps):
            x = np.minimum(step(x), y[i % 5]) + y[i % 3]
            if i in (10, 600):
                tj.check(y[3] < i, "{i}", i=i)
        return x

    run = tj.jit(f)
    y = np.linspace(0, 1, 5)
    assert np.isclose(run(0.5, y), f(0.5, y))
    assert _failure(run, 0.5, y + 600) == "10"
    assert _failure(run, 0.5, y + 300) == "10"
    assert _failure(run, 0.5, y + np.array([0, 0, 0, 9.5, 0])) == "10"
    module = tj.stages(f)(0.5, y)["llvm"]
    assert str(module).count("call void @part") > 1


def test_wrong_conditions_are_told_at_once() -> None:
    with pytest.raises(DTypeError, match="of dtype float64, not bool"):
        tj.jit(lambda x: tj.check(x, "x"))(1.0)
    with pytest.raises(ArgumentError, match="no argument for x"):
        tj.check(True, "{x}")
    tj.check(True, "fine")
    with pytest.raises(DTypeError, match="an argument of check, name"):
        tj.check(True, "{name}", name="text")
