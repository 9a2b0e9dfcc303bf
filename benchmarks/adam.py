"""One step of Adam on a network for 8 x 8 digits: tracejit in place against jax.jit, donated.

    python -m benchmarks.adam [--rounds 15] [--steps 100] [--cpu]

A step is the loss, its gradient, Adam's means and the new parameters. JAX's step is optax's `adam`
written out (Kingma, Ba, 2014), with parameters and state donated and the batch on its device; it is
waited for at the end of a round of steps, not after each. tracejit's is one native call that writes
into the caller's arrays: `step(...)` as users write it, and bound. The systems take turns in one
process, start from the same numbers, and are compared after the first steps. --cpu counts the CPU
time of all threads instead of the time that passes: for machines that have other work.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import tracejit as tj

jax.config.update("jax_enable_x64", True)

RATE, B1, B2, EPS = 1e-3, 0.9, 0.999, 1e-8
#: (hidden units, rows of a batch)
SIZES = [(64, 64), (128, 64), (128, 256), (512, 256)]
CHECKED = 20


def model(xp: Any, logsumexp: Any) -> Callable[..., Any]:
    """The mean cross entropy of a layer of relus and a softmax."""

    def loss(params: Any, X: Any, Y: Any) -> Any:
        hidden = xp.maximum(X @ params["W"] + params["b"], 0)
        scores = hidden @ params["V"] + params["c"]
        return xp.mean(logsumexp(scores, axis=1) - xp.sum(Y * scores, axis=1))

    return loss


def inputs(hidden: int, batch: int, dtype: Any) -> tuple[Any, Any, Any]:
    """Parameters and a batch: pixels from 0 to 1, labels as rows of 0 and 1."""
    rng = np.random.default_rng(0)
    params = {
        "W": rng.normal(size=(64, hidden)) * 0.2, "b": np.zeros(hidden),
        "V": rng.normal(size=(hidden, 10)) * 0.1, "c": np.zeros(10),
    }  # fmt: skip
    X = rng.integers(0, 17, (batch, 64)) / 16.0
    Y = np.eye(10)[rng.integers(0, 10, batch)]
    return {k: v.astype(dtype) for k, v in params.items()}, X.astype(dtype), Y.astype(dtype)


def ours(params: Any, X: Any, Y: Any, bound: bool) -> tuple[Callable[[], Any], Callable[[], Any]]:
    """(a step, the parameters as they are now)."""
    loss, optimiser = model(np, tj.nn.logsumexp), tj.optim.adam(RATE, B1, B2, EPS)
    params = {k: v.copy() for k, v in params.items()}
    state = optimiser.init(params)

    @tj.jit
    def step(params: Any, state: Any, X: Any, Y: Any) -> Any:
        value, gradient = tj.value_and_grad(loss)(params, X, Y)
        updates, new = optimiser.update(gradient, state, params)
        tj.optim.assign((params, state), (tj.optim.apply_updates(params, updates), new))
        return value

    one = step.bind(params, state, X, Y) if bound else lambda: step(params, state, X, Y)
    return one, lambda: params


def theirs(params: Any, X: Any, Y: Any) -> tuple[Callable[[], Any], Callable[[], Any]]:
    """The same for JAX."""
    loss, each = model(jnp, jax.nn.logsumexp), jax.tree.map

    def step(params: Any, state: Any, X: Any, Y: Any) -> Any:
        value, gradient = jax.value_and_grad(loss)(params, X, Y)
        count, mu, nu = state
        count = count + 1
        mu = each(lambda m, g: B1 * m + (1 - B1) * g, mu, gradient)
        nu = each(lambda v, g: B2 * v + (1 - B2) * g**2, nu, gradient)
        means = each(lambda m: m / (1 - B1**count).astype(m.dtype), mu)
        squares = each(lambda v: v / (1 - B2**count).astype(v.dtype), nu)
        params = each(
            lambda p, m, v: p - RATE * m / (jnp.sqrt(v) + EPS), params, means, squares
        )
        return params, (count, mu, nu), value

    compiled = jax.jit(step, donate_argnums=(0, 1))
    zeros = each(jnp.zeros_like, params)
    held = [each(jnp.array, params), (jnp.int32(0), zeros, each(jnp.copy, zeros))]
    X, Y = jnp.array(X), jnp.array(Y)

    def one() -> Any:
        held[0], held[1], value = compiled(held[0], held[1], X, Y)
        return value

    return one, lambda: jax.tree.map(np.asarray, jax.block_until_ready(held[0]))


def seconds(
    step: Callable[[], Any], now: Callable[[], Any], steps: int, clock: Callable[[], float]
) -> float:
    """Seconds a step, over so many."""
    begin = clock()
    for _ in range(steps):
        step()
    now()
    return (clock() - begin) / steps


def compare(
    hidden: int, batch: int, dtype: Any, rounds: int, steps: int,
    clock: Callable[[], float] = time.perf_counter,
) -> list[list[float]]:  # fmt: skip
    """Seconds a step of each system, round by round; SystemExit where they disagree."""
    args = inputs(hidden, batch, dtype)
    systems = [ours(*args, bound=False), ours(*args, bound=True), theirs(*args)]
    for step, _ in systems:
        for _ in range(CHECKED):
            step()
    found = [now() for _, now in systems]
    for name in found[0]:
        for other in found[1:]:
            off = float(np.abs(found[0][name] - other[name]).max())
            if not off < (1e-9 if dtype is np.float64 else 1e-3):
                raise SystemExit(f"{name} differs by {off:.1e}: nothing to compare")
    times: list[list[float]] = [[] for _ in systems]
    for _ in range(rounds):
        for system, mine in zip(systems, times, strict=True):
            mine.append(seconds(*system, steps, clock))
    return times


def main() -> None:
    """Measure and print: medians in microseconds, minima in brackets."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--cpu", action="store_true")
    asked = parser.parse_args()
    clock = time.process_time if asked.cpu else time.perf_counter
    print(f"tracejit {tj.__version__}, jax {jax.__version__}, numpy {np.__version__}, "
          f"Python {platform.python_version()}, {tj.config.threads} cores")  # fmt: skip
    print(f"{'':28s}{'step(...)':>18s}{'bound':>18s}{'jax.jit':>18s}   jax / step")
    for dtype in (np.float32, np.float64):
        for hidden, batch in SIZES:
            times = compare(hidden, batch, dtype, asked.rounds, asked.steps, clock)
            cells = [f"{1e6 * statistics.median(t):8.1f} [{1e6 * min(t):6.1f}]" for t in times]
            ratio = statistics.median(times[2]) / statistics.median(times[0])
            name = f"64-{hidden}-10, {batch} rows, {np.dtype(dtype).name}"
            print(f"{name:28s}{cells[0]:>18s}{cells[1]:>18s}{cells[2]:>18s}   "
                  f"{ratio:.2f} [{min(times[2]) / min(times[0]):.2f}]")  # fmt: skip


if __name__ == "__main__":
    main()
