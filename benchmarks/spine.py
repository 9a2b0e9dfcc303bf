"""The ratios that the project promises, against jax.jit in the same process.

    python benchmarks/spine.py

1. Eight schools, 10 parameters: value and gradient, NumPy in, float and ndarray out. A call.
2. The same: from the function to the first result.
3. sum(exp(-x*x) * sin(x)), 1e6 float64: value and gradient. A call.

The work is the same and the results are checked against each other. Calls are timed in interleaved
rounds; the table has medians, and minima in brackets. Both use the threads they like.
"""

from __future__ import annotations

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

EFFECTS = np.array([28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0])
ERRORS = np.array([15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0])


def eight_schools(xp: Any) -> Callable[[Any], Any]:
    """Minus the log density of eight schools, not centred: mu, log tau, eight eta."""

    def energy(q: Any) -> Any:
        mu, log_tau, eta = q[0], q[1], q[2:]
        off = (EFFECTS - mu - xp.exp(log_tau) * eta) / ERRORS
        prior = (mu / 5.0) ** 2 + xp.sum(eta**2) + 2.0 * xp.log1p(xp.exp(2.0 * log_tau) / 25.0)
        return 0.5 * (xp.sum(off**2) + prior) - log_tau

    return energy


def waves(xp: Any) -> Callable[[Any], Any]:
    """A sum over elements with two transcendental functions."""
    return lambda x: xp.sum(xp.exp(-x * x) * xp.sin(x))


def ours(model: Callable[[Any], Callable], at: np.ndarray) -> tuple[Callable, float]:
    """Value and gradient by tracejit, and the seconds to the first result."""
    begin = time.perf_counter()
    call = tj.jit(tj.value_and_grad(model(np)), backend="native")
    call(at)
    return call, time.perf_counter() - begin


def theirs(model: Callable[[Any], Callable], at: np.ndarray) -> tuple[Callable, float]:
    """Value and gradient by JAX, to a float and an ndarray, and the seconds to the first result."""
    begin = time.perf_counter()
    compiled = jax.jit(jax.value_and_grad(model(jnp)))

    def call(q: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient = compiled(q)
        return float(value), np.asarray(gradient)

    call(at)
    return call, time.perf_counter() - begin


def check(calls: list[Callable], at: np.ndarray) -> float:
    """The largest difference between the two systems, relative to the largest number."""
    (v, g), (w, h) = (call(at) for call in calls)
    size = max(abs(w), float(np.abs(h).max()))
    off = max(abs(v - w), float(np.abs(g - h).max())) / size
    if not off < 1e-9:
        raise SystemExit(f"results differ by {off:.1e}: nothing to compare")
    return off


def seconds(calls: list[Callable], at: np.ndarray, count: int, rounds: int) -> list[list[float]]:
    """Seconds a call for each system, round by round, in turn."""
    times: list[list[float]] = [[] for _ in calls]
    for _ in range(rounds):
        for call, found in zip(calls, times, strict=True):
            begin = time.perf_counter()
            for _ in range(count):
                call(at)
            found.append((time.perf_counter() - begin) / count)
    return times


def row(name: str, times: list[list[float]], unit: str, goal: str) -> None:
    """Print a line of the table."""
    size = {"us": 1e-6, "ms": 1e-3}[unit]
    cells = [
        f"{statistics.median(t) / size:9.2f} {unit} [{min(t) / size:8.2f}]" for t in times
    ]
    ratio = statistics.median(times[1]) / statistics.median(times[0])
    print(f"{name:34s} {cells[0]}  {cells[1]}  {ratio:8.1f} x   (goal {goal})")


def first_results(model: Callable[[Any], Callable], at: np.ndarray, rounds: int) -> list:
    """Seconds to the first result, in turn; each round traces and compiles a new function."""
    times: list[list[float]] = [[], []]
    for _ in range(rounds):
        for system, found in zip((ours, theirs), times, strict=True):
            found.append(system(model, at)[1])
    return times


def main() -> None:
    """Measure and print."""
    q = np.linspace(-1.0, 1.0, 10)
    x = np.linspace(-3.0, 3.0, 1_000_001)[:1_000_000]
    print(f"tracejit {tj.__version__}, jax {jax.__version__}, numpy {np.__version__}, "
          f"Python {platform.python_version()}, {tj.config.threads} cores")  # fmt: skip
    print(f"{'':34s} {'tracejit':>23s}  {'jax.jit':>23s}")
    first_results(waves, x[:10], 1)  # what either loads on first use is loaded
    starts = first_results(eight_schools, q, 5)
    schools = [system(eight_schools, q)[0] for system in (ours, theirs)]
    sums = [system(waves, x)[0] for system in (ours, theirs)]
    off = check(schools, q), check(sums, x)
    row("eight schools, a call", seconds(schools, q, 2000, 9), "us", "20 x")
    row("eight schools, to first result", starts, "ms", "3 x")
    row("sum(exp(-x*x)*sin(x)), 1e6", seconds(sums, x, 10, 9), "ms", "3 x")
    print(f"results agree to {max(off):.0e}")


if __name__ == "__main__":
    main()
