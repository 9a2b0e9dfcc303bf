"""What a workload is: inputs, a scalar function of them, and the versions that systems need.

A case file in `cases/` holds one `CASE`. Its model is ordinary NumPy code over a namespace `xp`:
NumPy's functions, and JAX's control flow under `xp.lax`. The benchmark is the value and the
gradient with respect to the first argument.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from benchmarks import cases

#: The groups of the report, in its order.
GROUPS = ("calls", "regressions", "mixture", "loops", "elementwise", "networks")

Model = Callable[..., Any]


@dataclass(frozen=True)
class Case:
    """One workload.

    inputs: (rng, **size) to the arguments: arrays, floats, trees of them in dicts.
    model: (xp, *args) to the value, for every system that reads NumPy code.
    versions: a system's name to its own model of the same meaning; None where the workload has no
        sensible form in that system. `"jax-idiomatic"` exists only where it differs from `"jax"`.
    scalar: (m, x, *rest) to the value, for systems of scalar graphs: x is the flat list of the
        first argument's elements as symbols, m has the functions, the rest are numbers.
    numba: (*args) to (value, gradient), plain Python to be compiled by numba.njit.
    c: a body of `static double call(in..., double *restrict g)`; see `systems/c.py`.
    products: (**size) to the (rows, columns, depth) of the matrix products in value and gradient,
        where they are most of the work.
    tolerance: what a gradient may differ, relative to its largest element.
    """

    name: str
    group: str
    sizes: Mapping[str, Mapping[str, int]]
    inputs: Callable[..., tuple[Any, ...]]
    model: Model
    versions: Mapping[str, Model | None] = field(default_factory=dict)
    scalar: Model | None = None
    numba: Callable[..., Any] | None = None
    c: str | None = None
    products: Callable[..., list[tuple[int, int, int]]] | None = None
    tolerance: float = 1e-9

    def arguments(self, size: str) -> tuple[Any, ...]:
        """The arguments at a size: the same numbers for every system and on every run."""
        return self.inputs(np.random.default_rng(1), **self.sizes[size])

    @property
    def smallest(self) -> str:
        """The first size."""
        return next(iter(self.sizes))


class Namespace:
    """The functions of a module, some replaced: `Namespace(numpy, lax=tracejit.lax).exp`."""

    def __init__(self, module: Any, **replaced: Any):
        self._module = module
        self.__dict__.update(replaced)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, name)


class PythonLoops:
    """`xp.lax` for systems whose loops are Python's."""

    @staticmethod
    def fori_loop(start: int, stop: int, body: Any, carry: Any) -> Any:
        for i in range(start, stop):
            carry = body(i, carry)
        return carry

    @staticmethod
    def scan(body: Any, carry: Any, xs: Any) -> tuple[Any, None]:
        """Over the rows of an array; bodies here return no results by step."""
        for x in xs:
            carry, _ = body(carry, x)
        return carry, None


def all_cases() -> dict[str, Case]:
    """Every case by name, in the order of the report."""
    modules = [info.name for info in pkgutil.iter_modules(cases.__path__)]
    found = [importlib.import_module(f"benchmarks.cases.{name}").CASE for name in modules]
    found.sort(key=lambda case: (GROUPS.index(case.group), case.name))
    return {case.name: case for case in found}


def leaves(tree: Any) -> list[np.ndarray]:
    """The arrays of a result, in order: tuples and lists by position, dicts by sorted key."""
    if isinstance(tree, dict):
        return [leaf for key in sorted(tree) for leaf in leaves(tree[key])]
    if isinstance(tree, tuple | list):
        return [leaf for item in tree for leaf in leaves(item)]
    return [np.asarray(tree)]


def difference(got: list[np.ndarray], want: list[np.ndarray]) -> float:
    """The largest difference of two results, each array relative to its largest element.

    Infinite where sizes differ, or where either has a NaN.
    """
    if [np.size(x) for x in got] != [np.size(x) for x in want]:
        return float("inf")
    worst = [0.0]
    for x, y in zip(got, want, strict=True):
        if np.size(y):
            scale = np.max(np.abs(y)) or 1.0
            worst.append(np.max(np.abs(np.ravel(x) - np.ravel(y))) / scale)
    largest = float(np.max(worst))
    return float("inf") if np.isnan(largest) else largest
