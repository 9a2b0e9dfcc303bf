"""`tracejit demo`: from a loss in NumPy to a fitted model, with every step shown and checked.

Two models on real data. For each: its program with the derivative, the gradient against difference
quotients, a fit by SciPy from the compiled value and gradient, and a table of the backends, with
plain JAX beside them where it is installed. A plot is saved at the end.
"""

from __future__ import annotations

import importlib
import importlib.util
import time
from pathlib import Path
from typing import Any

import numpy as np

import tracejit as tj
from tracejit.config import config
from tracejit.demo.measure import System, available, build, difference_quotient, time_calls
from tracejit.demo.problems import Problem, load
from tracejit.demo.screen import Plain, best_screen

__all__ = ["demo"]


def demo(*, plot: str = "tracejit_demo.png", quick: bool = False, plain: bool = False) -> None:
    """Run the demo; `plot` is the file the plot goes to, quick takes fewer rounds of timing."""
    show = best_screen(plain)
    names, notes = available()
    results = []
    for problem in load():
        show.title(f"{problem.name} on {problem.source}")
        _show_program(show, problem)
        systems = _systems(show, problem, names, quick)
        fit = _fit(show, problem, next(s for s in systems if s.name == "native"))
        results.append((problem, systems, fit))
    for problem, systems, _ in results:
        show.title(f"value and gradient of the {problem.name}: NumPy in, float and ndarray out")
        show.table(*_table(systems))
    show.say(f"{config.threads} cores; times are medians of interleaved rounds")
    for note in notes:
        show.say(f"note: {note}")
    save_plot(show, plot, results)


def _show_program(show: Plain, problem: Problem) -> None:
    """The program with its derivative, as the passes leave it."""
    stages = tj.stages(tj.value_and_grad(problem.loss(np)), backend="native")(
        problem.start, problem.X, problem.Y
    )
    costs = [cost for cost in stages.cost if cost.equations is not None]
    lines = stages[costs[-1].stage].splitlines()
    show.say(" -> ".join(f"{cost.stage} {cost.equations}" for cost in costs) + " equations")
    if len(lines) > 40:
        lines = [*lines[:18], f"  ... {len(lines) - 36} lines ...", *lines[-18:]]
    show.say("\n".join(lines))


def _systems(show: Plain, problem: Problem, names: list[str], quick: bool) -> list[System]:
    """Every system built, checked and timed."""
    systems = []
    for name in names:
        with show.working(f"{name}: trace, compile, first call"):
            systems.append(build(problem, name))
    error = difference_quotient(systems[0].call, problem.start + 0.01)
    show.say(f"gradient against difference quotients: relative error {error:.0e}")
    with show.working("timing calls, in turn"):
        time_calls(systems, problem.start, rounds=3 if quick else 7, slot=0.02 if quick else 0.05)
    return systems


def _fit(show: Plain, problem: Problem, system: System) -> list[float]:
    """Minimise by L-BFGS from the compiled value and gradient; the loss after each iteration."""
    minimize = importlib.import_module("scipy.optimize").minimize
    path = [system.value]
    begin = time.perf_counter()
    found = minimize(
        system.call, problem.start, jac=True, method="L-BFGS-B", options={"maxiter": 100},
        callback=lambda intermediate_result: path.append(float(intermediate_result.fun)),
    )  # fmt: skip
    took = time.perf_counter() - begin
    show.say(
        f"fitted by L-BFGS-B: {found.nit} iterations, {found.nfev} gradients, {took * 1e3:.0f} ms; "
        f"loss {path[0]:.4f} -> {found.fun:.4f}, {problem.accuracy(found.x):.1%} right on its data"
    )
    return path


def _table(systems: list[System]) -> tuple[list[str], list[list[str]]]:
    """Header and rows; speedups are over plain JAX, or over eager where JAX is missing."""
    eager, reference = systems[0], systems[-1] if systems[-1].name == "jax.jit" else systems[0]
    header = ["", "a call", f"against {reference.name}", "first result", "off eager by"]
    rows = [
        [
            system.name,
            _time(system.seconds),
            f"{reference.seconds / system.seconds:.1f} x",
            _time(system.first),
            f"{system.distance(eager):.0e}",
        ]
        for system in systems
    ]
    return header, rows


def _time(seconds: float) -> str:
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1e9:.0f} ns"


def save_plot(
    show: Plain, file: str, results: list[tuple[Problem, list[System], list[float]]]
) -> None:
    """The fits and the times of a call, as a PNG in the current folder."""
    if not importlib.util.find_spec("matplotlib"):
        show.say("note: no plot, install tracejit[demo] for matplotlib")
        return
    importlib.import_module("matplotlib").use("Agg")
    pyplot: Any = importlib.import_module("matplotlib.pyplot")
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(11, 4.2), layout="constrained")
    width = 0.8 / len(results)
    for i, (problem, systems, path) in enumerate(results):
        left.semilogy(path, label=problem.name)
        places = np.arange(len(systems)) + i * width
        right.bar(places, [s.seconds * 1e6 for s in systems], width, label=problem.name)
    left.set(xlabel="iteration of L-BFGS-B", ylabel="loss", title="fits with compiled gradients")
    right.set(yscale="log", ylabel="us", title="a call: value and gradient")
    right.set_xticks(np.arange(len(systems)) + width / 2, [s.name for s in systems])
    for axes in (left, right):
        axes.margins(y=0.2)  # room for the legend above the bars
        axes.legend(frameon=False)
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(file, dpi=120)
    pyplot.close(figure)
    show.say(f"plot saved as {Path(file)}")
