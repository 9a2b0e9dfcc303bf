"""Systems that compute a value and a gradient, and how long they take."""

from __future__ import annotations

import importlib
import importlib.util
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import tracejit as tj
from tracejit.demo.problems import Problem

Call = Callable[[np.ndarray], tuple[Any, np.ndarray]]


@dataclass
class System:
    """One column of the table: NumPy in, a float and an ndarray out.

    first: seconds from the function to its first result. rounds: seconds of a call.
    """

    name: str
    call: Call
    first: float = 0.0
    value: float = 0.0
    gradient: np.ndarray = field(default_factory=lambda: np.empty(0))
    rounds: list[float] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        """The median of the rounds."""
        return statistics.median(self.rounds)

    def distance(self, other: System) -> float:
        """The largest difference of value and gradient, in units of the largest entry."""
        scale = max(abs(other.value), float(np.abs(other.gradient).max()), 1e-300)
        off = float(np.abs(self.gradient - other.gradient).max())
        return max(off, abs(self.value - other.value)) / scale


def build(problem: Problem, name: str) -> System:
    """A system on a problem, after its first call, which compiles."""
    make = _plain_jax if name == "jax.jit" else _tracejit
    begin = time.perf_counter()
    system = System(name, make(problem, name))
    value, gradient = system.call(problem.start)
    system.first = time.perf_counter() - begin
    system.value, system.gradient = float(value), np.array(gradient)
    return system


def _tracejit(problem: Problem, backend: str) -> Call:
    compiled = tj.jit(tj.value_and_grad(problem.loss(np)), backend=backend)
    X, Y = problem.X, problem.Y
    return lambda p: compiled(p, X, Y)


def _plain_jax(problem: Problem, name: str) -> Call:
    """The same function by JAX itself, with its data on the device beforehand."""
    jax, jnp = importlib.import_module("jax"), importlib.import_module("jax.numpy")
    jax.config.update("jax_enable_x64", True)
    X, Y = jnp.asarray(problem.X), jnp.asarray(problem.Y)
    compiled = jax.jit(jax.value_and_grad(problem.loss(jnp)))

    def call(p: np.ndarray) -> tuple[Any, np.ndarray]:
        value, gradient = compiled(p, X, Y)
        return float(value), np.asarray(gradient)

    return call


def available() -> tuple[list[str], list[str]]:
    """The systems that can run here, and a note for each that cannot."""
    if importlib.util.find_spec("jax"):
        return ["eager", "native", "xla", "jax.jit"], []
    return ["eager", "native"], ["xla and jax.jit are left out: install tracejit[xla] for them"]


def time_calls(systems: Sequence[System], start: np.ndarray, rounds: int, slot: float) -> None:
    """Time calls in turn: each round gives every system a slot of so many seconds."""
    counts = []
    for system in systems:
        about = min(_duration(system.call, start, 3) for _ in range(3))
        counts.append(max(1, int(slot / about)))
    for _ in range(rounds):
        for system, count in zip(systems, counts, strict=True):
            system.rounds.append(_duration(system.call, start, count))


def _duration(call: Call, start: np.ndarray, count: int) -> float:
    """The mean seconds of `count` calls."""
    begin = time.perf_counter()
    for _ in range(count):
        call(start)
    return (time.perf_counter() - begin) / count


def difference_quotient(call: Call, at: np.ndarray, directions: int = 5) -> float:
    """The largest relative error of the gradient against central differences, in directions.

    Two steps h and h/2 are combined so that the error of order h^2 cancels (Richardson).
    """
    rng, worst = np.random.default_rng(1), 0.0
    gradient = np.asarray(call(at)[1])
    for _ in range(directions):
        d = rng.normal(size=at.shape)
        d /= np.linalg.norm(d)
        wide, narrow = (
            (float(call(at + h * d)[0]) - float(call(at - h * d)[0])) / (2 * h)
            for h in (1e-2, 5e-3)
        )
        slope = (4 * narrow - wide) / 3
        worst = max(worst, abs(float(gradient @ d) - slope) / max(abs(slope), 1e-12))
    return worst
