"""The programs of a checkout: their sizes, their inputs, their functions.

A program's inputs are made by the suite's own `initialize`. Arguments that are Python ints (sizes,
numbers of steps) belong to the program, as in the suite's JAX versions: they are static. All others
are traced.
"""

from __future__ import annotations

import importlib.util
import inspect
import json
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.case import leaves

#: What a function of the suite's JAX versions says where its loops are those of the NumPy source.
_LOOPS = re.compile(r"\b(fori_loop|while_loop|scan)\(")


@dataclass(frozen=True)
class Program:
    """One program of the suite. `name` is the name of its module."""

    root: Path
    name: str
    info: dict[str, Any]

    @property
    def folder(self) -> Path:
        return self.root / "npbench" / "benchmarks" / self.info["relative_path"]

    def function(self, version: str = "numpy") -> Callable[..., Any]:
        """The function of a version: numpy, jax, jax_lib; a LookupError where there is none."""
        return getattr(self._module(f"_{version}"), self.info["func_name"])

    def loops(self, version: str) -> bool:
        """Whether the version of a name says its loops as loops."""
        return bool(_LOOPS.search(self._path(f"_{version}").read_text()))

    def _path(self, ending: str) -> Path:
        path = self.folder / f"{self.info['module_name']}{ending}.py"
        if not path.exists():
            raise LookupError(f"the checkout has no {path.name}")
        return path

    def _module(self, ending: str) -> Any:
        path = self._path(ending)
        name = f"npbench_{path.stem}"
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
        return module

    def arguments(self, size: str) -> list[Any]:
        """Fresh arguments at a size, the same numbers each time."""
        np.random.seed(42)
        known = dict(self.info["parameters"][size])
        init = self.info.get("init")
        if init and init["func_name"]:
            made = getattr(self._module(""), init["func_name"])(
                *[known[name] for name in init["input_args"]]
            )
            names = init["output_args"]
            known |= zip(names, made if len(names) > 1 else (made,), strict=True)
        return [known[name] for name in self.info["input_args"]]

    @property
    def argument_names(self) -> list[str]:
        return self.info["input_args"]


def programs(root: Path, wanted: Sequence[str] = ()) -> list[Program]:
    """The programs of a checkout, or those with these names (the suite's short ones, too)."""
    files = sorted((root / "bench_info").glob("*.json"))
    infos = [json.loads(file.read_text())["benchmark"] for file in files]
    found = {info["module_name"]: Program(root, info["module_name"], info) for info in infos}
    if not found:
        sys.exit(f"{root} is no checkout of the suite: there is no bench_info/*.json")
    short = {info["short_name"]: info["module_name"] for info in infos}
    names = [short.get(name, name) for name in wanted] or list(found)
    for name in names:
        if name not in found:
            sys.exit(f"there is no program {name!r}; there are: {', '.join(found)}")
    return [found[name] for name in names]


def static_positions(args: Sequence[Any]) -> list[int]:
    """Where the Python ints are."""
    return [i for i, x in enumerate(args) if type(x) in (int, bool)]


def float_positions(args: Sequence[Any]) -> list[int]:
    """Where the arrays of floats and complex numbers are: the arguments of the gradient."""
    return [i for i, x in enumerate(args) if isinstance(x, np.ndarray) and is_inexact(x)]


def copies(args: Iterable[Any]) -> list[Any]:
    """The arguments with arrays of their own."""
    return [x.copy() if isinstance(x, np.ndarray) else x for x in args]


@dataclass(frozen=True)
class Outcome:
    """What a call left: the results in order, and the arrays of the arguments by position."""

    results: list[np.ndarray]
    arguments: dict[int, np.ndarray]

    def all(self, changed: Iterable[int]) -> list[np.ndarray]:
        """The results, then the assigned arguments."""
        return [*self.results, *(self.arguments[i] for i in changed)]


def call(function: Callable[..., Any], args: Sequence[Any]) -> Outcome:
    """Call with copies of the arguments."""
    given = copies(args)
    result = function(*given)
    results = [] if result is None else leaves(result)
    return Outcome(results, {i: x for i, x in enumerate(given) if isinstance(x, np.ndarray)})


def assigned(before: Sequence[Any], after: Outcome) -> list[int]:
    """The positions of the arguments that the call changed."""
    return [i for i, x in after.arguments.items() if not np.array_equal(x, before[i], True)]


def assigns(function: Callable[..., Any], args: Sequence[Any]) -> list[int]:
    """The positions of the arguments that a function assigns to.

    Inputs may be such that what is assigned is what was there (a field that is steady), so it is
    called with others of their kind, too.
    """
    found: set[int] = set()
    for given in (args, [_bent(x) for x in args]):
        found.update(assigned(given, call(function, given)))
    return sorted(found)


def _bent(x: Any) -> Any:
    """An array of floats near x, with what is linear in x curved; a symmetric one stays so."""
    if not (isinstance(x, np.ndarray) and is_inexact(x) and x.size):
        return x
    scale = np.max(np.abs(x)) or 1.0
    return (x * (1 + 1e-3 * np.abs(x) / scale)).astype(x.dtype)


def loss_of(
    function: Callable[..., Any], changed: Sequence[int], total: Callable[[Any], Any]
) -> Callable[..., Any]:
    """(*args) to the sum of all floats that the function returns or leaves in its arguments, those
    of complex numbers among them.

    total: the sum of one array. Assigned arguments are copied first, so that nobody's array is
    written to.
    """

    def loss(*args: Any) -> Any:
        given = [x.copy() if i in changed else x for i, x in enumerate(args)]
        result = function(*given)
        outs = _flat(result) + [given[i] for i in changed]
        return sum(total(part) for y in outs if is_inexact(y) for part in _parts(y))

    return loss


def _parts(y: Any) -> tuple[Any, ...]:
    return (y.real, y.imag) if _kind(y) == "c" else (y,)


def _kind(x: Any) -> str:
    return np.dtype(getattr(x, "dtype", type(x))).kind


def _flat(tree: Any) -> list[Any]:
    if tree is None:
        return []
    if isinstance(tree, tuple | list):
        return [leaf for item in tree for leaf in _flat(item)]
    return [tree]


def is_inexact(x: Any) -> bool:
    """Whether a value of any system is an array of floats or complex numbers, or one of them."""
    return _kind(x) in "fc"


def unwrapped(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function below jax.jit's decorator."""
    return inspect.unwrap(function)
