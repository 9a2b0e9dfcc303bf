"""The timings: the systems in turn, a process each, what they compute compared first."""

from __future__ import annotations

import argparse
import contextlib
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

import numpy as np

from benchmarks.measure import Failed, Remote
from benchmarks.npbench import systems
from benchmarks.npbench.checks import distance
from benchmarks.npbench.suite import Program
from benchmarks.report import duration, geomean, markdown_table, size_of

#: Seconds of a call from which on a system takes only one turn.
SLOW = 2.0

#: What results of other systems may differ from NumPy's before their times are not believed.
TOLERANCES = {"float64": 1e-6, "float32": 1e-3, "complex128": 1e-6, "complex64": 1e-3}


@dataclass
class Timing:
    """One system on one program. Seconds and bytes; None where not measured."""

    first: float | None = None
    least: float | None = None
    median: float | None = None
    memory: int | None = None
    held: int | None = None
    note: str = ""


def timings(program: Program, names: list[str], options: argparse.Namespace) -> dict[str, Any]:
    """name -> the timing of a system, as a dict."""
    found = {name: Timing() for name in names}
    remotes: dict[str, Remote] = {}
    results: dict[str, list[np.ndarray]] = {}
    try:
        for name, timing in found.items():
            with _noted(timing):
                far = (str(program.root), program.name, name, options.threads)
                remotes[name] = Remote(systems.serve, far, options.threads, options.timeout)
                timing.first, timing.held, results[name] = remotes[name].ask("open", options.size)
        _compare(results, found)
        times: dict[str, list[float]] = {name: [] for name in results if not found[name].note}
        for _ in range(options.rounds):
            for name, taken in times.items():
                if not found[name].note and not (taken and taken[-1] > SLOW):
                    with _noted(found[name]):
                        taken.append(remotes[name].ask("round", options.seconds))
        for name, taken in times.items():
            if taken and not found[name].note:
                found[name].least, found[name].median = min(taken), median(taken)
                with _noted(found[name]):
                    found[name].memory = remotes[name].ask("memory")
    finally:
        for remote in remotes.values():
            remote.close()
    return {name: asdict(timing) for name, timing in found.items()}


@contextlib.contextmanager
def _noted(timing: Timing) -> Any:
    try:
        yield
    except Failed as error:
        timing.note = str(error) or "no version"


def _compare(results: dict[str, list[np.ndarray]], found: dict[str, Timing]) -> None:
    """Note whose results are not NumPy's, and whose gradients are not native's.

    Systems differ in which assigned arguments they return, so each result has to be one of the
    referee's; gradients are compared where the values are the same sums.
    """
    for name, got in results.items():
        gradient = name.endswith("-grad")
        want = results.get("native-grad" if gradient else "numpy")
        if want is None or got is want:
            continue
        if gradient:
            if distance(got[0], want[0]) > 1e-9:
                continue
            good = all(_alike(x, y) for x, y in zip(got[1:], want[1:], strict=True))
        else:
            good = all(any(_alike(x, y) for y in want) for x in got)
        if not good:
            found[name].note = "other values"


def _alike(x: np.ndarray, y: np.ndarray) -> bool:
    if x.shape != y.shape:
        return False
    return distance(x, y) <= TOLERANCES.get(y.dtype.name, 0.0)


def _over(row: dict[str, Any], other: str, ours: str) -> float | None:
    times = [row.get("times", {}).get(name, {}).get("least") for name in (other, ours)]
    return times[0] / times[1] if all(times) else None


#: Title, and which system's time is divided by which.
RATIOS = (
    ("NumPy / ours", "numpy", "native"),
    ("loops / ours", "loops", "native"),
    ("JAX / ours", "jax", "native"),
    ("gradient / value", "native-grad", "native"),
    ("loops / ours, gradient", "loops-grad", "native-grad"),
    ("JAX / ours, gradient", "jax-grad", "native-grad"),
)


def report(rows: list[dict[str, Any]], size: str) -> str:
    """The tables: times, then ratios with their geometric means, then who was left out and why."""
    names = [n for n in systems.SYSTEMS if any(n in row.get("times", {}) for row in rows)]
    timed = [row for row in rows if row.get("times")]
    times = [["program", *names]]
    memory = [["program", *names]]
    notes = []
    for row in timed:
        known = row["times"]
        times.append([row["program"], *(duration(known[n]["least"]) for n in names)])
        memory.append([row["program"], *(size_of(known[n]["memory"]) for n in names)])
        notes += [
            f"- {row['program']}, {n}: {known[n]['note']}"
            for n in names
            if known[n]["note"] not in ("", "no version")
        ]
    return "\n\n".join([
        f"## Time of a call, size {size}", markdown_table(times),
        "## Ratios", markdown_table(_ratios(timed)),
        "## Memory that a call adds", markdown_table(memory),
        "## Left out", "\n".join(notes),
    ]) + "\n"  # fmt: skip


def _ratios(rows: list[dict[str, Any]]) -> list[list[str]]:
    lines = [["program", *(title for title, _, _ in RATIOS)]]
    table = [[_over(row, other, ours) for _, other, ours in RATIOS] for row in rows]
    for row, ratios in zip(rows, table, strict=True):
        lines.append([row["program"], *("" if r is None else f"{r:.2f}" for r in ratios)])
    means = [geomean(column) for column in zip(*table, strict=True)]
    lines.append(["geometric mean", *("" if m is None else f"{m:.2f}" for m in means)])
    return lines
