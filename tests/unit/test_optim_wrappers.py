"""What goes around optimisers, and L-BFGS: against plain loops, and compiled in place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.optimize

import tracejit as tj
from tracejit import optim, tree
from tracejit.errors import ArgumentError

RNG = np.random.default_rng(0)
PARAMS = {"w": RNG.normal(size=(3, 2)), "b": RNG.normal(size=2)}
GRADIENTS = [tree.map(lambda p: RNG.normal(size=p.shape), PARAMS) for _ in range(12)]


def run(optimiser: Any, gradients: list[Any], params: Any = PARAMS) -> list[Any]:
    """The parameters after each gradient."""
    state, found = optimiser.init(params), []
    for g in gradients:
        updates, state = optimiser.update(g, state, params)
        params = optim.apply_updates(params, updates)
        found.append(params)
    return found


def compiled(optimiser: Any, gradients: list[Any]) -> list[Any]:
    """The same in place, in machine code."""
    params, state, found = tree.map(np.copy, PARAMS), optimiser.init(PARAMS), []

    @tj.jit
    def step(params: Any, state: Any, gradient: Any) -> None:
        updates, new = optimiser.update(gradient, state, params)
        optim.assign((params, state), (optim.apply_updates(params, updates), new))

    for g in gradients:
        step(params, state, g)
        found.append(tree.map(np.copy, params))
    return found


def same(found: Any, expected: Any, rtol: float = 1e-12) -> None:
    for x, y in zip(tree.leaves(found), tree.leaves(expected), strict=True):
        np.testing.assert_allclose(x, y, rtol=rtol, atol=1e-13)


RUNS = [run, compiled]


@pytest.mark.parametrize("run", RUNS)
@pytest.mark.parametrize("mean", [True, False])
def test_several_gradients_make_a_step(run: Callable[..., Any], mean: bool) -> None:
    found = run(optim.MultiSteps(optim.adam(0.1), 3, use_grad_mean=mean), GRADIENTS)
    parts = [GRADIENTS[k : k + 3] for k in range(0, 12, 3)]
    wanted = [tree.map(lambda *g: sum(g) / (3 if mean else 1), *part) for part in parts]
    same(found[2::3], globals()["run"](optim.adam(0.1), wanted))
    same(found[3], found[2])


def test_how_many_gradients_may_change() -> None:
    steps = optim.MultiSteps(optim.sgd(1.0), lambda step: np.where(step < 2, 1, 3))
    state, told = steps.init(PARAMS), []
    for g in GRADIENTS[:8]:
        _, state = steps.update(g, state, PARAMS)
        told.append(bool(steps.has_updated(state)))
    assert told == [True, True, False, False, True, False, False, True]
    assert int(state.gradient_step) == 4


@pytest.mark.parametrize("run", RUNS)
def test_each_part_has_its_own_transformation(run: Callable[..., Any]) -> None:
    labels = {"w": "fast", "b": "still"}
    parts = {"fast": optim.adam(0.1), "still": optim.set_to_zero(), "unused": optim.sgd(1.0)}
    for given in (labels, lambda params: labels):
        found = run(optim.multi_transform(parts, given), GRADIENTS)
        alone = globals()["run"](optim.adam(0.1), GRADIENTS)
        same([p["w"] for p in found], [p["w"] for p in alone])
        same(found[-1]["b"], PARAMS["b"])
    with pytest.raises(ArgumentError, match="no transformation for the label 'fost'"):
        optim.partition(parts, "fost").init(PARAMS)


@pytest.mark.parametrize("run", RUNS)
def test_numbers_in_the_state_are_those_of_the_optimiser(run: Callable[..., Any]) -> None:
    rate = optim.exponential_decay(0.1, 4, 0.5)
    injected = optim.inject_hyperparams(optim.adamw, static_args="mask")(
        rate, b1=0.8, weight_decay=0.01, mask=lambda p: {"w": True, "b": False}
    )
    plain = optim.adamw(rate, b1=0.8, weight_decay=0.01, mask={"w": True, "b": False})
    same(run(injected, GRADIENTS), globals()["run"](plain, GRADIENTS))


def test_numbers_in_the_state_may_be_changed() -> None:
    optimiser = optim.inject_hyperparams(optim.sgd)(learning_rate=0.5)
    params, state = np.zeros(3), optimiser.init(np.zeros(3))
    assert set(state.hyperparams) == {"learning_rate"}

    @tj.jit
    def step(params, state):
        updates, new = optimiser.update(np.ones(3), state, params)
        optim.assign((params, state), (params + updates, new))

    step(params, state)
    state.hyperparams["learning_rate"][...] = 2.0
    step(params, state)
    np.testing.assert_array_equal(params, -2.5)
    assert state.count == 2
    single = optim.inject_hyperparams(optim.adam)(0.1).init(np.zeros(3, np.float32))
    assert {x.dtype for x in single.hyperparams.values()} == {np.dtype(np.float32)}


@pytest.mark.parametrize("run", RUNS)
def test_gradients_that_are_not_finite_are_left_out(run: Callable[..., Any]) -> None:
    bad = tree.map(lambda g: np.full_like(g, np.nan), GRADIENTS[0])
    mixed = [*GRADIENTS[:2], bad, bad, *GRADIENTS[2:4]]
    found = run(optim.apply_if_finite(optim.adam(0.1), 2), mixed)
    same(found[-1], globals()["run"](optim.adam(0.1), GRADIENTS[:4])[-1])
    same(found[3], found[1])
    spoilt = run(optim.apply_if_finite(optim.adam(0.1), 1), mixed)
    assert np.isnan(spoilt[-1]["w"]).all()


def test_keywords_go_to_those_that_take_them() -> None:
    seen = []

    def update(updates: Any, state: Any, params: Any = None, *, value: float, **_: Any) -> Any:
        seen.append(value)
        return updates, state

    told = optim.GradientTransformationExtraArgs(lambda p: (), update)
    whole = optim.apply_if_finite(
        optim.masked(optim.chain(optim.clip(1.0), told, optim.sgd(0.1)), {"w": True, "b": False}), 2
    )
    whole.update(GRADIENTS[0], whole.init(PARAMS), PARAMS, value=3.0)
    assert seen == [3.0]
    with pytest.raises(TypeError, match="value"):
        plain = optim.sgd(0.1)
        plain.update(GRADIENTS[0], plain.init(PARAMS), PARAMS, value=3.0)


# ---- L-BFGS


def rosenbrock(p: Any) -> Any:
    x = p["x"]
    return np.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2) + (p["b"] - 2.0) ** 2


def test_lbfgs_finds_the_minimum() -> None:
    optimiser = optim.lbfgs()
    params = {"x": np.zeros(6), "b": np.array(0.0)}
    state = optimiser.init(params)

    @tj.jit
    def step(params, state):
        value, gradient = tj.value_and_grad(rosenbrock)(params)
        updates, new = optimiser.update(
            gradient, state, params, value=value, grad=gradient, value_fn=rosenbrock
        )
        optim.assign((params, state), (optim.apply_updates(params, updates), new))
        return value

    values = [step(params, state) for _ in range(80)]
    np.testing.assert_allclose(params["x"], 1.0, atol=1e-8)
    np.testing.assert_allclose(params["b"], 2.0, atol=1e-8)
    assert all(after <= before for before, after in zip(values, values[1:], strict=False))


def by_definition(gradient: np.ndarray, pairs: list[Any]) -> np.ndarray:
    """H g with H = (1 - s y'/y's) H (1 - y s'/y's) + s s'/y's for each pair, as a matrix."""
    s, y = pairs[-1]
    inverse = np.eye(len(gradient)) * (s @ y) / (y @ y)
    for s, y in pairs:
        left = np.eye(len(s)) - np.outer(s, y) / (s @ y)
        inverse = left @ inverse @ left.T + np.outer(s, s) / (s @ y)
    return inverse @ gradient


@pytest.mark.parametrize("memory", [1, 3, 5])
def test_lbfgs_is_its_formula(memory: int) -> None:
    matrix = np.diag([1.0, 2.0, 3.0, 4.0]) + 0.1
    points = [RNG.normal(size=4) for _ in range(7)]
    gradients = [matrix @ x for x in points]
    rule = optim.scale_by_lbfgs(memory)
    state = rule.init(points[0])
    for x, g in zip(points, gradients, strict=True):
        found, state = rule.update(g, state, x)
    pairs = [(points[k + 1] - points[k], gradients[k + 1] - gradients[k]) for k in range(6)]
    np.testing.assert_allclose(found, by_definition(gradients[-1], pairs[-memory:]), rtol=1e-9)


def test_lbfgs_needs_about_as_many_steps_as_scipys() -> None:
    matrix = np.diag(np.linspace(1.0, 50.0, 20))

    def loss(x: Any) -> Any:
        return 0.5 * x @ matrix @ x + np.sum(x**4)

    theirs = scipy.optimize.minimize(loss, np.ones(20), jac=tj.grad(loss), method="L-BFGS-B")
    optimiser, params = optim.lbfgs(), np.ones(20)
    state, slope = optimiser.init(params), tj.jit(tj.value_and_grad(loss))
    for _ in range(2 * theirs.nit):
        value, g = slope(params)
        updates, state = optimiser.update(g, state, params, value=value, grad=g, value_fn=loss)
        params = optim.apply_updates(params, updates)
    assert loss(params) < 1e-8


def test_a_line_search_that_fails_stays() -> None:
    search = optim.scale_by_backtracking_linesearch(5)

    def hostile(p: Any) -> Any:
        return np.where(np.all(p == 1.0), 0.0, np.nan)

    found, _ = search.update(
        np.ones(3), search.init(np.ones(3)), np.ones(3), value=0.0, grad=-np.ones(3),
        value_fn=hostile,
    )  # fmt: skip
    np.testing.assert_array_equal(found, 0.0)


def test_mistakes_are_named() -> None:
    with pytest.raises(ArgumentError, match="every_k_schedule must be 1 or more, not 0"):
        optim.MultiSteps(optim.sgd(0.1), 0)
    with pytest.raises(ArgumentError, match="memory_size must be 1 or more"):
        optim.lbfgs(memory_size=0)
    with pytest.raises(ArgumentError, match="L-BFGS needs the parameters"):
        optim.lbfgs().update(np.ones(2), optim.lbfgs().init(np.ones(2)))
    with pytest.raises(ArgumentError, match="line search needs the value and the function"):
        optim.lbfgs().update(np.ones(2), optim.lbfgs().init(np.ones(2)), np.ones(2))
    with pytest.raises(ArgumentError, match="not one that is made"):
        optim.inject_hyperparams(optim.sgd(0.1))  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="sgd has no argument 'mask'"):
        optim.inject_hyperparams(optim.sgd, static_args=("mask",))
