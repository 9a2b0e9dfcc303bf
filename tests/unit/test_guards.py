"""Python's control flow on traced values, under jit: a program for each path."""

from __future__ import annotations

from importlib.util import find_spec
from itertools import permutations
from typing import Any

import numpy as np
import pytest

import tracejit as tj
from tracejit import lax
from tracejit.errors import TracedBranchError, TracedConversionError, TreeError
from tracejit.runtime import paths

BACKENDS = ["native", "eager"] + (["xla"] if find_spec("jax") else [])
on_all = pytest.mark.parametrize("backend", BACKENDS)


def root(a: Any) -> Any:
    """The square root, by Newton's method."""
    x = a
    while abs(x * x - a) > 1e-10 * a:
        x = 0.5 * (x + a / x)
    return x


def rounds(x: Any, n: Any) -> Any:
    """A loop over a range whose end is traced, in a loop that is left."""
    y = x
    while y > 1.0:
        y = 0.5 * y
        for _ in range(n):
            y = y - 0.01 * y * y
    return y * y


def piecewise(x: Any) -> Any:
    """A loss with a kink and a flat part."""
    total = 0.0 * x[0]
    for i in range(3):
        if x[i] < -1.0:
            total = total - 2.0 * x[i]
        elif -1.0 <= x[i] < 1.0 and not (x[i] == 0.5 or x[i] > 7.0):
            total = total + x[i] ** 2
        else:
            total = total + 1.0
    return total


def ordered(x: Any) -> Any:
    """The elements in order, weighted by their places."""
    values = [x[i] for i in range(5)]
    for i in range(1, 5):
        j = i
        while j > 0 and values[j - 1] > values[j]:
            values[j - 1], values[j] = values[j], values[j - 1]
            j -= 1
    return sum(v * (k + 1) ** 2 for k, v in enumerate(values))


def test_loops_of_unknown_length_are_one_program_where_there_are_no_tapes() -> None:
    pytest.importorskip("jax")
    far = tj.jit(tj.value_and_grad(rounds), backend="xla")
    near = tj.jit(tj.value_and_grad(rounds))
    for x, n in ((3.0, 2), (0.5, 2), (9.0, 2), (9.0, 7), (3.0, 2)):
        np.testing.assert_allclose(far(x, n), near(x, n), rtol=1e-12)
    assert far.cache_size == near.cache_size == 1
    value = tj.jit(rounds, backend="xla")
    assert np.isclose(value(9.0, 7), rounds(9.0, 7)) and np.isclose(value(3.0, 2), rounds(3.0, 2))
    assert value.cache_size == 1
    assert np.allclose(far.bind(9.0, 7)(), near(9.0, 7))


@on_all
def test_a_root_finder_and_its_derivative(backend: str) -> None:
    both = tj.jit(tj.value_and_grad(root), backend=backend)
    for a in (2.0, 1e-3, 7.0, 1e6, 2.0, 0.5):
        value, slope = both(a)
        assert np.isclose(value, np.sqrt(a), rtol=1e-9)
        assert np.isclose(slope, 0.5 / np.sqrt(a), rtol=1e-4)
        assert np.isclose(tj.jit(root, backend=backend)(a), root(a), rtol=1e-14)


@on_all
def test_a_piecewise_loss_on_every_path(backend: str) -> None:
    both = tj.jit(tj.value_and_grad(piecewise), backend=backend)
    slope = tj.jit(tj.grad(piecewise), backend=backend)
    for a in (-2.0, 0.3, 0.5, 3.0):
        for b in (-1.5, 0.0, 1.0):
            x = np.array([a, b, a + b])
            value, found = both(x)
            expected = tj.grad(piecewise)(x)
            assert np.isclose(value, piecewise(x))
            np.testing.assert_allclose(found, expected)
            np.testing.assert_allclose(slope(x), expected)


def test_a_sort_by_comparisons_on_all_permutations() -> None:
    both = tj.jit(tj.value_and_grad(ordered))
    everything = list(permutations(np.array([0.3, -1.2, 2.5, 0.9, -0.1])))
    for _ in range(2):
        for p in everything:
            x = np.array(p)
            value, slope = both(x)
            ranks = np.argsort(np.argsort(x))
            assert np.isclose(value, np.sort(x) @ np.arange(1, 6) ** 2)
            np.testing.assert_array_equal(slope, (ranks + 1.0) ** 2)
        assert both.cache_size == 120


@on_all
def test_a_sort_without_and_with_its_gradient(backend: str) -> None:
    alone, slope = tj.jit(ordered, backend=backend), tj.jit(tj.grad(ordered), backend=backend)
    for p in permutations([0.3, -1.2, 2.5]):
        x = np.array([-7.0, *p, 5.0])
        assert np.isclose(alone(x), np.sort(x) @ np.arange(1, 6) ** 2)
        np.testing.assert_array_equal(slope(x), (np.argsort(np.argsort(x)) + 1.0) ** 2)
    assert alone.cache_size == slope.cache_size == 6


def test_python_is_left_alone_once_the_paths_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    runs = []

    @tj.jit
    def f(x: Any) -> Any:
        runs.append(x)
        return x + 1.0 if x > 0 else -x

    for _ in range(3):
        assert (f(2.0), f(-2.0)) == (3.0, 2.0)
    assert len(runs) == 2
    monkeypatch.setattr(type(f), "_miss", None)
    assert (f(2.0), f(-2.0), f(5.0)) == (3.0, 2.0, 6.0)


@on_all
def test_integers_decide_too(backend: str) -> None:
    @tj.jit(backend=backend)
    def power(x: Any, n: Any) -> Any:
        y = x * 0.0 + 1.0
        for _ in range(n):
            y = y * x
        return y

    for n in (3, 0, 2, 3):
        assert power(2.0, n) == 2.0**n

    @tj.jit(backend=backend)
    def pick(x: Any, t: Any) -> Any:
        return x[int(t)] + [10.0, 20.0, 30.0][bool(t > 1.5)]

    assert pick(np.arange(3.0), 1.7) == 21.0
    assert pick(np.arange(3.0), 0.2) == 10.0


@on_all
def test_other_questions(backend: str) -> None:
    @tj.jit(backend=backend)
    def f(x: Any) -> Any:
        assert x[0] < 100.0
        low, high = min(x[0], x[1]), max(x[0], x[1])
        first, *_ = sorted([x[2], x[1], x[0]])
        match x[2] > 0.0:
            case True:
                scale = 1.0
            case _:
                scale = 2.0
        for i in range(3):
            if x[i] > 2.0 or x[i] < -2.0:
                break
        return low + 10.0 * high + 100.0 * first + scale + i

    for x in ([1.0, 2.0, 3.0], [3.0, 1.0, -1.0], [0.0, -5.0, 0.5], [0.0, 1.0, 0.5]):
        a = np.array(x)
        assert np.isclose(f(a), f.__wrapped__(a))


def test_what_a_path_raises_it_raises_each_time() -> None:
    @tj.jit
    def f(x: Any) -> Any:
        if x > 10.0:
            raise LookupError("too large")
        assert x > 0.0, "not positive"
        return x * 2.0

    for _ in range(2):
        with pytest.raises(LookupError, match="too large"):
            f(11.0)
        assert f(3.0) == 6.0
        with pytest.raises(AssertionError, match="not positive"):
            f(-1.0)
    assert f.cache_size == 1


def test_functions_within_functions() -> None:
    limit = 2.0

    @tj.jit
    def inner(x: Any, sign: Any) -> Any:
        return x * sign if x > limit else x**2

    def helper(x: Any) -> Any:
        return inner(x, -1.0 if x > 4.0 else 1.0)

    @tj.jit
    def outer(x: Any) -> Any:
        return helper(x) + inner(3.0, x) + 1.0

    for x in (1.0, 3.0, 5.0, 1.5):
        expected = (x**2 if x <= 2 else x * (-1.0 if x > 4 else 1.0)) + 3.0 * x + 1.0
        slope = (2 * x if x <= 2 else (-1.0 if x > 4 else 1.0)) + 3.0
        assert np.isclose(outer(x), expected)
        for f in (tj.grad(outer), tj.jit(tj.grad(outer.__wrapped__)), tj.jit(tj.grad(outer))):
            assert np.isclose(f(x), slope)
        assert np.isclose(tj.grad(lambda x: outer(x) * 2.0)(x), 2 * slope)


def test_derivatives_of_derivatives_take_the_same_path() -> None:
    def f(x: Any) -> Any:
        return x**3 if x > 0 else -(x**2)

    second = tj.jit(tj.grad(tj.grad(f)))
    assert [float(second(x)) for x in (2.0, -2.0, 1.0)] == [12.0, -2.0, 6.0]
    assert [float(tj.jit(tj.hessian(f))(x)) for x in (2.0, -2.0)] == [12.0, -2.0]
    out, tangent = tj.jit(lambda x: tj.jvp(f, (x,), (1.0,)))(-3.0)
    assert (out, tangent) == (-9.0, 6.0)

    def by_gradient(x: Any) -> Any:
        return x if tj.grad(f)(x) > 3.0 else 0.0 * x

    assert [float(tj.jit(by_gradient)(x)) for x in (2.0, 0.5)] == [2.0, 0.0]


def test_paths_with_results_of_different_kinds() -> None:
    @tj.jit
    def f(x: Any) -> Any:
        if x[0] > 0:
            return {"a": x, "b": 1}
        return x.sum(), None

    for _ in range(4):
        np.testing.assert_array_equal(f(np.ones(3))["a"], np.ones(3))
        assert f(-np.ones(3)) == (-3.0, None)
    assert f.cache_size == 2


def test_vmap_says_what_to_write() -> None:
    def f(x: Any) -> Any:
        return x if x > 0 else -x

    for g in (tj.vmap(f), tj.jit(tj.vmap(f)), tj.vmap(tj.jit(f)), tj.jit(tj.vmap(tj.grad(f)))):
        with pytest.raises(TracedBranchError, match=r"np\.where(.|\n)*lax\.cond"):
            g(np.array([1.0, -1.0]))


def test_a_condition_that_vmap_does_not_map_is_a_guard() -> None:
    @tj.jit
    def f(x: Any, t: Any) -> Any:
        negative = t < 0
        return tj.vmap(lambda row: -row if negative else row)(x)

    x = np.arange(3.0)
    for t in (1.0, -1.0, 2.0):
        np.testing.assert_array_equal(f(x, t), -x if t < 0 else x)


def test_bodies_of_loops_have_no_paths() -> None:
    def step(carry: Any, x: Any) -> Any:
        return (carry + x if x > 0 else carry), None

    with pytest.raises(TracedBranchError, match="while_loop"):
        tj.jit(lambda xs: lax.scan(step, 0.0, xs)[0])(np.array([1.0, -1.0]))


def test_a_predicate_of_cond_is_not_decided() -> None:
    f = tj.jit(lambda x: lax.cond(x > 0, lambda x: x + 1.0, lambda x: x - 1.0, x))
    assert (f(1.0), f(-1.0)) == (2.0, -2.0)
    assert f.cache_size == 1


def test_numbers_that_would_be_lost_are_refused() -> None:
    for use in (float, lambda x: x.item(), lambda x: range(x)):
        with pytest.raises((TracedConversionError, TypeError)):
            tj.jit(lambda x, use=use: x * use(x))(1.5)
    with pytest.raises(ValueError, match="ambiguous"):
        tj.jit(lambda x: x if x > 0 else -x)(np.ones(2))


def test_nothing_runs_behind_a_guard_that_fails() -> None:
    """A loop of the other path might not end."""

    @tj.jit
    def f(x: Any, n: Any) -> Any:
        if x.sum() > 0.0:
            return lax.while_loop(lambda i: i != n, lambda i: i + 1, 0) * 1.0
        return x.sum()

    x = np.ones(5)
    assert f(x, 7) == 7.0
    assert f(-x, -1) == f(-x, -2) == -5.0
    assert f(x, 3) == 3.0


def test_too_many_paths_name_the_line_and_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "MOST_PATHS", 4)

    @tj.jit
    def f(x: Any, n: Any) -> Any:
        for i in (0, 1, 2, 3, 9):
            if n == i:
                return x * i
        return x

    for n in range(4):
        assert f(2.0, np.int64(n)) == 2.0 * n
    with pytest.raises(TracedBranchError, match=r"4 paths(.|\n)*test_guards.py:\d+ in f(.|\n)*"
                       r"lax\.cond(.|\n)*while_loop"):  # fmt: skip
        f(2.0, np.int64(9))
    assert f(2.0, np.int64(3)) == 6.0


def test_the_machine_decides_where_numpy_would_decide_otherwise() -> None:
    """At the edge of a condition the two may round to different sides."""

    @tj.jit
    def f(x: Any) -> Any:
        return x * 2.0 if (x * 0.1) * 3.0 == x * 0.3 else x * 3.0

    numbers = np.random.default_rng(0).uniform(0.0, 1.0, 200)
    for x in numbers:
        assert f(x) in (2.0 * x, 3.0 * x)
    assert f.cache_size <= 2


def test_a_function_of_chance_is_right_for_its_arguments() -> None:
    """Its paths cannot be known beforehand; every program checks all of its guards."""
    rng = np.random.default_rng(0)

    @tj.jit
    def f(x: Any, y: Any) -> Any:
        first, second = (x, y) if rng.uniform() > 0.5 else (y, x)
        if first > 0:
            return abs(first) + abs(second) if second > 0 else abs(first) - second
        return abs(second) - first

    for _ in range(30):
        x, y = rng.normal(size=2)
        assert np.isclose(f(x, y), abs(x) + abs(y))


@on_all
def test_bound_calls_take_the_path_of_what_they_read(backend: str) -> None:
    x = np.array([1.0, 2.0])
    f = tj.jit(lambda x: x * 2.0 if x.sum() > 0.0 else -x, backend=backend)
    call = f.bind(x)
    for value in (1.0, -3.0, 5.0, -1.0):
        x[:] = value
        np.testing.assert_array_equal(call(), x * 2.0 if value > 0 else -x)
        assert call() is call.result
    assert f.cache_size == 2
    another = f.bind(x)  # on the path that came second
    for value in (1.0, -3.0):
        x[:] = value
        np.testing.assert_array_equal(another(), x * 2.0 if value > 0 else -x)
        np.testing.assert_array_equal(f(x), another())
    assert f.cache_size == 2


def test_a_bound_call_whose_result_changes_its_kind() -> None:
    x = np.array([1.0, 2.0])
    call = tj.jit(lambda x: x if x.sum() > 0.0 else x.sum()).bind(x)
    call()
    x -= 7.0
    with pytest.raises(TreeError, match="on the path that it takes now"):
        call()
    x += 9.0
    np.testing.assert_array_equal(call(), x)


def test_what_shows_a_program_shows_the_path_of_its_arguments() -> None:
    def f(x: Any) -> Any:
        return np.sqrt(x) if x > 0 else x * x

    assert "sqrt" in str(tj.make_jaxpr(f)(2.0)) and "mul" in str(tj.make_jaxpr(f)(-2.0))
    assert "guard(%1, expected=true, place=0)" in str(tj.make_jaxpr(f)(2.0))
    assert "guard" in str(tj.explain(f)(np.array(2.0)))
    assert "guard" in str(tj.stages(tj.jit(tj.grad(f)))(2.0)["whole"])
    assert "sqrt" in str(tj.jit(f).trace(2.0))
    with pytest.raises(TracedBranchError, match=r"lax\.cond"):
        tj.make_jaxpr(f)(tj.ShapeDtypeStruct((), "float64"))
    with pytest.raises(TracedBranchError):
        tj.eval_shape(f, 2.0)


@on_all
def test_effects_are_seen_once(backend: str, capsys: pytest.CaptureFixture[str]) -> None:
    @tj.jit(backend=backend)
    def f(x: Any) -> Any:
        y = x * 2.0
        tj.debug.print("y={}", y)
        if y > 3.0:
            tj.debug.print("large")
            return y * y
        return y

    assert [float(f(x)) for x in (1.0, 5.0, 0.5, 2.0)] == [2.0, 100.0, 1.0, 16.0]
    lines = ["y=2.0", "y=10.0", "large", "y=1.0", "y=4.0", "large"]
    assert capsys.readouterr().out.split() == lines


def test_a_check_stands_before_what_it_protects() -> None:
    @tj.jit
    def f(x: Any) -> Any:
        tj.check(x < 100.0, "too large: {x}", x=x)
        return x if x > 0.0 else -x

    assert (f(1.0), f(-1.0)) == (1.0, 1.0)
    for _ in range(2):
        with pytest.raises(tj.errors.CheckError, match="too large: 200"):
            f(200.0)


def test_a_tape_with_effects_decides() -> None:
    def f(x: Any) -> Any:
        y = x * 2.0
        tj.check(y < 100.0, "too large")
        z = y + 1.0
        return z * z if z > 0 and y > 0 else z

    assert tj.grad(f)(1.0) == 12.0 and tj.grad(f)(-3.0) == 2.0
