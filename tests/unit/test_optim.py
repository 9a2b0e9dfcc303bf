"""Optimisers against their papers' formulas, on arrays and compiled; schedules; clipping."""

from __future__ import annotations

import importlib
import math
import sys
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest

import tracejit as tj
from tracejit import optim, tree
from tracejit.backends.native.callable import installed
from tracejit.errors import ArgumentError, DTypeError, TreeError

RNG = np.random.default_rng(3)
STEPS = 5


def tree_of(dtype: Any) -> dict[str, Any]:
    return {"W": RNG.normal(size=(3, 4)).astype(dtype), "b": [RNG.normal(size=4).astype(dtype)]}


# ---- the papers, for one array p and its gradients


def sgd(p: Any, gs: Any) -> Any:
    for g in gs:
        p = p - 0.1 * g
    return p


def momentum(p: Any, gs: Any) -> Any:
    v = np.zeros_like(p)
    for g in gs:
        v = 0.9 * v + g
        p = p - 0.1 * v
    return p


def nesterov(p: Any, gs: Any) -> Any:
    v = np.zeros_like(p)
    for g in gs:
        v = 0.9 * v + g
        p = p - 0.1 * (g + 0.9 * v)
    return p


def adagrad(p: Any, gs: Any) -> Any:
    s = np.full_like(p, 0.1)
    for g in gs:
        s = s + g**2
        p = p - 0.1 * g / np.sqrt(s + 1e-7)
    return p


def rmsprop(p: Any, gs: Any) -> Any:
    v = np.zeros_like(p)
    for g in gs:
        v = 0.9 * v + 0.1 * g**2
        p = p - 0.1 * g / np.sqrt(v + 1e-8)
    return p


def rmsprop_centred(p: Any, gs: Any) -> Any:
    """With momentum of the steps, as Graves has it."""
    m, v, d = np.zeros_like(p), np.zeros_like(p), np.zeros_like(p)
    for g in gs:
        m, v = 0.9 * m + 0.1 * g, 0.9 * v + 0.1 * g**2
        d = 0.8 * d - 0.1 * g / np.sqrt(v - m**2 + 1e-4)
        p = p + d
    return p


def rmsprop_unbiased(p: Any, gs: Any) -> Any:
    v = np.zeros_like(p)
    for t, g in enumerate(gs, 1):
        v = 0.9 * v + 0.1 * g**2
        p = p - 0.1 * g / (np.sqrt(v / (1 - 0.9**t)) + 1e-8)
    return p


def adam(p: Any, gs: Any, decay: float = 0.0, rate: Callable[[int], float] = lambda t: 0.1) -> Any:
    m, v = np.zeros_like(p), np.zeros_like(p)
    for t, g in enumerate(gs, 1):
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        step = m / (1 - 0.9**t) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
        p = p - rate(t - 1) * (step + decay * p)
    return p


def nadam(p: Any, gs: Any) -> Any:
    m, v = np.zeros_like(p), np.zeros_like(p)
    for t, g in enumerate(gs, 1):
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        ahead = 0.9 * m / (1 - 0.9 ** (t + 1)) + 0.1 * g / (1 - 0.9**t)
        p = p - 0.1 * ahead / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
    return p


def lion(p: Any, gs: Any) -> Any:
    m = np.zeros_like(p)
    for g in gs:
        p = p - 0.1 * (np.sign(0.9 * m + 0.1 * g) + 1e-3 * p)
        m = 0.99 * m + 0.01 * g
    return p


def falling(t: Any) -> Any:
    return 0.1 / (1 + t)


RULES = {
    "sgd": (optim.sgd(0.1), sgd),
    "momentum": (optim.sgd(0.1, 0.9), momentum),
    "nesterov": (optim.sgd(0.1, 0.9, nesterov=True), nesterov),
    "adagrad": (optim.adagrad(0.1), adagrad),
    "rmsprop": (optim.rmsprop(0.1), rmsprop),
    "rmsprop centred": (
        optim.rmsprop(0.1, eps=1e-4, centered=True, momentum=0.8), rmsprop_centred,
    ),
    "rmsprop unbiased": (
        optim.rmsprop(0.1, eps_in_sqrt=False, bias_correction=True), rmsprop_unbiased,
    ),
    "adam": (optim.adam(0.1), adam),
    "adam, schedule": (optim.adam(falling), lambda p, gs: adam(p, gs, rate=falling)),
    "nadam": (optim.adam(0.1, nesterov=True), nadam),
    "adamw": (optim.adamw(0.1, weight_decay=0.02), lambda p, gs: adam(p, gs, 0.02)),
    "lion": (optim.lion(0.1), lion),
}  # fmt: skip


def steps(optimiser: optim.GradientTransformation, params: Any, gradients: list[Any],
          wrap: Callable[..., Any] = lambda f: f) -> Any:  # fmt: skip
    @wrap
    def step(params: Any, state: Any, gradient: Any) -> Any:
        updates, state = optimiser.update(gradient, state, params)
        return optim.apply_updates(params, updates), state

    state = optimiser.init(params)
    for g in gradients:
        params, state = step(params, state, g)
    return params


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("name", RULES)
def test_a_rule_is_that_of_its_paper(name: str, dtype: Any) -> None:
    optimiser, paper = RULES[name]
    params, gradients = tree_of(dtype), [tree_of(dtype) for _ in range(STEPS)]
    want = tree.map(lambda p, *gs: paper(p, gs), params, *gradients)
    tolerance = 1e-12 if dtype is np.float64 else 2e-5
    compiled = lambda f: tj.jit(f, backend="native")
    for got in (steps(optimiser, params, gradients), steps(optimiser, params, gradients, compiled)):
        for x, y in zip(tree.leaves(got), tree.leaves(want), strict=True):
            assert x.dtype == dtype
            np.testing.assert_allclose(x, y, rtol=tolerance, atol=tolerance)


def test_numbers_are_parameters_too() -> None:
    params, state = (1.0, np.float32(2.0)), None
    optimiser = optim.adam(0.1)
    state = optimiser.init(params)
    updates, state = optimiser.update((0.5, np.float32(0.5)), state, params)
    first, second = optim.apply_updates(params, updates)
    assert first == pytest.approx(0.9)
    assert second.dtype == np.float32 and second == pytest.approx(1.9)


def test_the_mean_may_have_a_dtype_of_its_own() -> None:
    optimiser = optim.adam(0.1, mu_dtype=np.float32)
    state = optimiser.init({"w": np.ones(3)})
    updates, state = optimiser.update({"w": np.full(3, 0.25)}, state)
    assert state[0].mu["w"].dtype == np.float32 and state[0].nu["w"].dtype == np.float64
    assert updates["w"].dtype == np.float64


def test_the_count_stops_at_its_largest() -> None:
    optimiser = optim.scale_by_adam()
    state = optimiser.init(np.ones(2))
    state = state._replace(count=np.array(np.iinfo(np.int32).max, np.int32))
    updates, state = optimiser.update(np.ones(2), state)
    assert state.count == np.iinfo(np.int32).max and np.isfinite(updates).all()


def test_equal_gradients_have_no_variance() -> None:
    """Rounding may make it negative."""
    optimiser = optim.rmsprop(0.1, centered=True, bias_correction=True)
    state = optimiser.init(np.zeros(1000, np.float32))
    gradient = np.linspace(-50, 50, 1000, dtype=np.float32)
    for _ in range(4):
        updates, state = optimiser.update(gradient, state)
        assert np.isfinite(updates).all()


# ---- masks, chains, clipping


def test_weights_decay_where_the_mask_says() -> None:
    params = {"W": np.ones((2, 2)), "b": np.ones(2)}
    zeros = tree.map(np.zeros_like, params)
    by_rank = lambda params: tree.map(lambda p: p.ndim > 1, params)
    for mask in ({"W": True, "b": False}, by_rank):
        optimiser = optim.adamw(0.1, weight_decay=0.5, mask=mask)
        updates, _ = optimiser.update(zeros, optimiser.init(params), params)
        np.testing.assert_allclose(updates["W"], -0.05)
        np.testing.assert_allclose(updates["b"], 0.0)


def test_masked_leaves_the_rest_alone() -> None:
    params = {"W": np.ones(2), "rest": [np.ones(3), np.ones(1)]}
    optimiser = optim.masked(optim.sgd(0.1, momentum=0.9), {"W": True, "rest": False})
    state = optimiser.init(params)
    assert len(tree.leaves(state)) == 1
    updates, state = optimiser.update(params, state, params)
    np.testing.assert_allclose(updates["W"], -0.1)
    np.testing.assert_array_equal(updates["rest"][0], params["rest"][0])


def test_gradients_are_clipped() -> None:
    g = {"a": np.array([3.0, -4.0]), "b": np.array(12.0)}
    assert optim.global_norm(g) == 13.0 and optim.global_norm({}) == 0.0
    by_value, _ = optim.clip(3.5).update(g, optim.EmptyState())
    np.testing.assert_array_equal(by_value["a"], [3.0, -3.5])
    by_norm, _ = optim.clip_by_global_norm(6.5).update(g, optim.EmptyState())
    np.testing.assert_allclose(by_norm["a"], [1.5, -2.0])
    kept, _ = optim.clip_by_global_norm(14.0).update(g, optim.EmptyState())
    np.testing.assert_array_equal(kept["b"], g["b"])
    by_rms, _ = optim.clip_by_block_rms(1.0).update(g, optim.EmptyState())
    np.testing.assert_allclose(np.mean(by_rms["a"] ** 2), 1.0)
    with np.errstate(all="raise"):
        zero, _ = optim.clip_by_global_norm(1.0).update(np.zeros(2), optim.EmptyState())
    np.testing.assert_array_equal(zero, 0.0)


def test_a_chain_clips_before_it_steps() -> None:
    optimiser = optim.chain(optim.clip_by_global_norm(1.0), optim.sgd(0.5))
    updates, state = optimiser.update(np.array([0.0, 10.0]), optimiser.init(np.zeros(2)))
    np.testing.assert_allclose(updates, [0.0, -0.5])
    assert len(state) == 2


# ---- schedules


def cosine(share: float) -> float:
    return 0.5 * (1 + math.cos(math.pi * share))


SCHEDULES = [
    (optim.constant_schedule(0.3), lambda t: 0.3),
    (optim.linear_schedule(1.0, 0.2, 4, 2), lambda t: 1 - 0.8 * min(max(t - 2, 0), 4) / 4),
    (optim.polynomial_schedule(1.0, 0.1, 2, 5), lambda t: 0.9 * (1 - min(t, 5) / 5) ** 2 + 0.1),
    (optim.polynomial_schedule(1.0, 0.1, 2, 0), lambda t: 1.0),
    (optim.exponential_decay(1.0, 3, 0.5, 1), lambda t: 0.5 ** (max(t - 1, 0) / 3)),
    (optim.exponential_decay(1.0, 3, 0.5, staircase=True, end_value=0.3),
     lambda t: max(0.5 ** (t // 3), 0.3)),
    (optim.cosine_decay_schedule(2.0, 6, 0.1), lambda t: 2 * (0.9 * cosine(min(t, 6) / 6) + 0.1)),
    (optim.warmup_constant_schedule(0.0, 1.0, 4), lambda t: min(t, 4) / 4),
    (optim.warmup_cosine_decay_schedule(0.0, 1.0, 3, 9),
     lambda t: t / 3 if t < 3 else cosine(min(t - 3, 6) / 6)),
    (optim.warmup_exponential_decay_schedule(0.0, 1.0, 3, 2, 0.5),
     lambda t: t / 3 if t < 3 else 0.5 ** ((t - 3) / 2)),
    (optim.piecewise_constant_schedule(1.0, {6: 0.1, 3: 0.5}),
     lambda t: 1.0 if t < 3 else 0.5 if t < 6 else 0.05),
    (optim.piecewise_interpolate_schedule("linear", 1.0, {4: 0.5, 8: 0.5}),
     lambda t: np.interp(t, [0, 4, 8], [1.0, 0.5, 0.25])),
    (optim.cosine_onecycle_schedule(10, 1.0),
     lambda t: 0.04 + 0.96 * (1 - cosine(t / 3)) if t < 3
     else 4e-6 + (1 - 4e-6) * cosine(min(t - 3, 7) / 7)),
    (optim.join_schedules([lambda t: t, lambda t: -t], [4]), lambda t: t if t < 4 else 4 - t),
]  # fmt: skip


@pytest.mark.parametrize(("schedule", "want"), SCHEDULES)
def test_a_schedule(schedule: Callable[[Any], Any], want: Callable[[int], float]) -> None:
    compiled = tj.jit(lambda t: schedule(t) + 0.0, backend="native")
    for t in range(12):
        assert float(schedule(t)) == pytest.approx(want(t), abs=1e-12)
        assert float(schedule(np.array(t, np.int32))) == pytest.approx(want(t), abs=1e-12)
        assert float(compiled(np.int32(t))) == pytest.approx(want(t), abs=1e-12)


# ---- in place


def loss(params: Any, X: Any, Y: Any) -> Any:
    hidden = np.tanh(X @ params["W"] + params["b"])
    return np.mean((hidden @ params["V"] - Y) ** 2)


def problem() -> tuple[Any, Any, Any]:
    params = {"W": RNG.normal(size=(8, 16)), "b": np.zeros(16), "V": RNG.normal(size=(16, 4))}
    return params, RNG.normal(size=(32, 8)), RNG.normal(size=(32, 4))


def in_place(optimiser: optim.GradientTransformation) -> Callable[..., Any]:
    def step(params: Any, state: Any, X: Any, Y: Any) -> Any:
        value, gradient = tj.value_and_grad(loss)(params, X, Y)
        updates, new = optimiser.update(gradient, state, params)
        optim.assign((params, state), (optim.apply_updates(params, updates), new))
        return value

    return step


@pytest.mark.parametrize("backend", ["native", "eager"])
def test_a_step_updates_the_callers_arrays(backend: str) -> None:
    optimiser = optim.chain(optim.clip_by_global_norm(1.0), optim.adamw(falling))
    params, X, Y = problem()
    want, state = params, optimiser.init(params)
    for _ in range(STEPS):
        value, gradient = tj.value_and_grad(loss)(want, X, Y)
        updates, state = optimiser.update(gradient, state, want)
        want = optim.apply_updates(want, updates)
    mine, own = tree.map(np.copy, params), optimiser.init(params)
    kept = mine["W"]
    step = tj.jit(in_place(optimiser), backend=backend)
    for _ in range(STEPS - 1):
        step(mine, own, X, Y)
    assert step.bind(mine, own, X, Y)() == pytest.approx(value)
    assert mine["W"] is kept
    for x, y in zip(tree.leaves((mine, own)), tree.leaves((want, state)), strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize(
    "optimiser",
    [
        optim.sgd(0.1, 0.9), optim.adam(0.1), optim.adamw(0.1), optim.lion(0.1),
        optim.rmsprop(0.1, centered=True, momentum=0.9), optim.adagrad(falling),
        optim.chain(optim.clip_by_global_norm(1.0), optim.adam(0.1, nesterov=True)),
    ],
)  # fmt: skip
def test_a_compiled_step_copies_nothing(optimiser: optim.GradientTransformation) -> None:
    """Parameters, means and counts are written where they lie."""
    params, X, Y = problem()
    state = optimiser.init(params)
    told = tj.explain(in_place(optimiser))(params, state, X, Y)
    arrays = [a for step in told.steps for a in step.arrays if "result" in a.where + a.reason]
    assert not [step.title for step in told.steps if step.title.startswith("copy")]
    written = len([x for x in tree.leaves((params, state)) if np.ndim(x)])
    assert str(told).count("which dies here: a result") == written, arrays


BACKENDS = ["native", "eager"] + (["xla"] if find_spec("jax") else [])
RATED = [
    lambda rate: optim.sgd(rate, 0.9),
    lambda rate: optim.adam(rate, nesterov=True),
    lambda rate: optim.rmsprop(rate, centered=True, eps=1e-3, bias_correction=True),
    lambda rate: optim.chain(optim.clip_by_global_norm(1.0), optim.adamw(rate)),
    lambda rate: optim.adagrad(lambda count: rate / (1 + count)),
]


@pytest.mark.parametrize(
    ("make", "backend"),
    [*[(make, "native") for make in RATED], *[(RATED[0], other) for other in BACKENDS[1:]]],
)
def test_training_has_derivatives_and_batches(make: Callable[[Any], Any], backend: str) -> None:
    """A loop of steps, and what its last loss says of the learning rate."""
    params, X, Y = problem()

    def last_loss(rate: Any) -> Any:
        optimiser = make(rate)

        def step(carry: Any, _: Any) -> Any:
            params, state = carry
            value, gradient = tj.value_and_grad(loss)(params, X, Y)
            updates, state = optimiser.update(gradient, state, params)
            return (optim.apply_updates(params, updates), state), value

        return tj.lax.scan(step, (params, optimiser.init(params)), None, length=4)[1][-1]

    value, slope = tj.jit(tj.value_and_grad(last_loss), backend=backend)(0.01)
    h = 1e-6
    assert slope == pytest.approx((last_loss(0.01 + h) - last_loss(0.01 - h)) / (2 * h), rel=1e-5)
    both = tj.jit(tj.vmap(last_loss), backend=backend)(np.array([0.01, 0.02]))
    np.testing.assert_allclose(both, [value, last_loss(0.02)], rtol=1e-10)


def test_steps_in_a_loop_of_the_compiled_function() -> None:
    params, X, Y = problem()
    optimiser = optim.adam(0.01)
    one, many = tree.map(np.copy, params), tree.map(np.copy, params)
    state, states = optimiser.init(one), optimiser.init(many)
    step = in_place(optimiser)

    @tj.jit
    def steps(params: Any, state: Any, X: Any, Y: Any, count: int) -> None:
        for _ in tj.range(count):
            step(params, state, X, Y)

    for _ in range(7):
        tj.jit(step)(one, state, X, Y)
    steps(many, states, X, Y, 7)
    assert states[0].count == 7
    for x, y in zip(tree.leaves(one), tree.leaves(many), strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-11)


def test_a_step_is_one_native_call() -> None:
    """After the first call no Python runs: machine code takes the trees as they are."""
    params, X, Y = problem()
    optimiser = optim.adam(0.1)
    state, step = optimiser.init(params), tj.jit(in_place(optimiser), backend="native")
    step(params, state, X, Y)
    assert installed(step)
    frames: list[Any] = []
    sys.setprofile(lambda frame, event, arg: frames.append(event) if event == "call" else None)
    step(params, state, X, Y)
    sys.setprofile(None)
    assert frames == [] and state[0].count == 2


@pytest.mark.skipif(not find_spec("jax"), reason="jax is not installed")
def test_the_benchmark_compares_equals() -> None:
    adam = importlib.import_module("benchmarks.adam")
    assert len(adam.compare(8, 16, np.float64, rounds=1, steps=1)) == 3


@pytest.mark.parametrize("run", [lambda f: f, tj.jit])
def test_values_are_those_before_the_first_is_written(run: Callable[..., Any]) -> None:
    a, b, c = np.zeros(3), np.ones(3), np.full(2, 5.0)
    run(lambda a, b, c: optim.assign((a, b, c), (b, a, a[:2])))(a, b, c)
    np.testing.assert_array_equal((*a, *b, *c), (1, 1, 1, 0, 0, 0, 0, 0))


# ---- mistakes


def test_what_cannot_be_assigned_is_named() -> None:
    with pytest.raises(ArgumentError, match=r"target\['a'\] is a number of type float"):
        optim.assign({"a": 1.0}, {"a": 2.0})
    with pytest.raises(TreeError, match="differ"):
        optim.assign({"a": np.ones(2)}, {"b": np.ones(2)})


def test_mistakes_are_named() -> None:
    with pytest.raises(ArgumentError, match="argument 1 of chain is of type function"):
        optim.chain(optim.clip(1.0), optim.adam)
    with pytest.raises(ArgumentError, match="weight decay needs the parameters"):
        optimiser = optim.adamw(0.1)
        optimiser.update(np.ones(2), optimiser.init(np.ones(2)))
    with pytest.raises(ArgumentError, match="a chain of 2 got another state"):
        optim.sgd(0.1).update(np.ones(2), (), None)
    with pytest.raises(DTypeError, match=r"params\['n'\] has dtype int64"):
        optim.adam(0.1).init({"n": np.arange(3)})
    with pytest.raises(DTypeError, match=r"params\['n'\] has dtype int64"):
        optim.apply_updates({"n": np.arange(3)}, {"n": np.ones(3)})
    with pytest.raises(ArgumentError, match="must be a number or a schedule, not '0.1'"):
        optim.sgd("0.1")
    with pytest.raises(ArgumentError, match="max_norm must be positive"):
        optim.clip_by_global_norm(-1.0)
    with pytest.raises(ArgumentError, match="decay_steps must be positive, not 0"):
        optim.cosine_decay_schedule(1.0, 0)
    with pytest.raises(ArgumentError, match="2 schedules have 2 boundaries"):
        optim.join_schedules([optim.constant_schedule(1.0)] * 2, [1, 2])
    with pytest.raises(ArgumentError, match="'linear' or 'cosine'"):
        optim.piecewise_interpolate_schedule("cubic", 1.0)
    with pytest.raises(ArgumentError, match="must not be negative"):
        optim.piecewise_constant_schedule(1.0, {3: -0.5})
