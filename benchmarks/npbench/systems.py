"""The systems that are timed on the suite, and the far side that runs one of them.

A system makes a call of no arguments whose results are looked at, from a program and a size. What
writes to its arguments gets fresh ones before each call; that is not timed.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.case import leaves
from benchmarks.measure import answer_all, peak_of, resident
from benchmarks.npbench import versions
from benchmarks.npbench.suite import (
    Outcome,
    Program,
    assigns,
    float_positions,
    loss_of,
    programs,
    static_positions,
    unwrapped,
)
from benchmarks.systems import NotOffered

#: name -> what it is
SYSTEMS = {
    "native": "tracejit: the NumPy source under jit",
    "native-grad": "tracejit: value and gradient of the sum of all float outputs",
    "numpy": "NumPy",
    "loops": "jax.jit, the loops of the source as lax loops",
    "loops-grad": "their value and gradient",
    "jax": "jax.jit, as JAX's users would write it",
    "jax-grad": "its value and gradient",
}


@dataclass
class Prepared:
    """A call; `renew` is done before each one; `results` are NumPy arrays of what it returned."""

    call: Callable[[], Any]
    results: Callable[[Any], list[np.ndarray]]
    renew: Callable[[], None] = lambda: None


def prepare(
    system: str, program: Program, args: Sequence[Any], changed: Sequence[int]
) -> Prepared:
    """A system's call for these arguments, some of which NumPy's function changes."""
    if system in ("numpy", "native"):
        function = program.function()
        if system == "native":
            function = _tracejit().jit(function, static_argnums=static_positions(args))
        return _in_place(function, args, changed)
    if system == "native-grad":
        return _native_gradient(program, args, changed)
    kind, _, gradient = system.partition("-")
    return _jax(_jax_version(program, kind), args, bool(gradient))


def _tracejit() -> Any:
    import tracejit  # the process of another system does not load it

    return tracejit


def _in_place(
    function: Callable[..., Any], args: Sequence[Any], changed: Sequence[int]
) -> Prepared:
    """A function that may write to its arguments: they are filled anew before each call."""
    given = [x.copy() if i in changed else x for i, x in enumerate(args)]

    def renew() -> None:
        for i in changed:
            np.copyto(given[i], args[i])

    def results(returned: Any) -> list[np.ndarray]:
        found = [] if returned is None else leaves(returned)
        return Outcome(found, {i: given[i] for i in changed}).all(changed)

    return Prepared(functools.partial(function, *given), results, renew)


def _native_gradient(program: Program, args: Sequence[Any], changed: Sequence[int]) -> Prepared:
    tj = _tracejit()
    floats = float_positions(args)
    if not floats:
        raise NotOffered
    loss = loss_of(program.function(), changed, np.sum)
    function = tj.jit(
        tj.value_and_grad(loss, argnums=tuple(floats)), static_argnums=static_positions(args)
    )
    return Prepared(functools.partial(function, *args), leaves)


def _jax_version(program: Program, kind: str) -> Callable[..., Any]:
    """The literal or the idiomatic version of a program for JAX: the suite's own, else ours."""
    literal = kind == "loops"
    ours = versions.of(program.name, literal)
    if ours is not None:
        return ours
    for name in ("jax",) if literal else ("jax_lib", "jax"):
        with contextlib.suppress(LookupError):
            if not literal or program.loops(name):
                return program.function(name)
    raise NotOffered


def _jax(
    function: Callable[..., Any], args: Sequence[Any], gradient: bool
) -> Prepared:
    """JAX arrays in and out; numbers are known to the program, as the suite's versions want."""
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)
    inner = unwrapped(function)
    arrays = [i for i, x in enumerate(args) if isinstance(x, np.ndarray)]
    floats = float_positions(args)
    if gradient and not floats:
        raise NotOffered

    def value(*given: Any) -> Any:
        full = list(args)
        for i, x in zip(arrays, given, strict=True):
            full[i] = x
        return inner(*full)

    where = tuple(arrays.index(i) for i in floats)
    whole = jax.value_and_grad(loss_of(value, (), jnp.sum), argnums=where) if gradient else value
    compiled = jax.jit(whole)
    given = [jnp.array(args[i]) for i in arrays]
    return Prepared(lambda: jax.block_until_ready(compiled(*given)), leaves)


class Bench:
    """The far side: one system on one program."""

    def __init__(self, system: str, program: Program):
        self.system, self.program = system, program

    def open(self, size: str) -> tuple[float, int | None, list[np.ndarray]]:
        """(seconds to the first result, bytes that stay, the results)."""
        small, args = self.program.arguments("S"), self.program.arguments(size)
        changed = assigns(self.program.function(), small)
        gc.collect()
        before = resident()
        start = time.perf_counter()
        self.ready = prepare(self.system, self.program, args, changed)
        returned = self.ready.call()
        seconds = time.perf_counter() - start
        results = [np.array(x) for x in self.ready.results(returned)]
        del returned
        self.seconds = self._timed(1)
        held = None if before is None else max(0, (resident() or 0) - before)
        return seconds, held, results

    def round(self, seconds: float) -> float:
        """Seconds of the fastest call, of as many as fit in `seconds`."""
        count = max(1, min(1000, int(seconds / max(self.seconds, 1e-6))))
        return min(self._timed(1) for _ in range(count))

    def memory(self) -> int | None:
        """Bytes that a call adds at its peak."""
        self.ready.renew()
        return peak_of(self.ready.call)

    def _timed(self, count: int) -> float:
        """Seconds of the fastest of some calls."""
        clock, times = time.perf_counter, []
        for _ in range(count):
            self.ready.renew()
            start = clock()
            returned = self.ready.call()
            times.append(clock() - start)
            del returned
        return min(times)


def serve(pipe: Connection, root: str, name: str, system: str, threads: int) -> None:
    """Answer the questions of `Bench`."""
    (program,) = programs(Path(root), [name])
    answer_all(pipe, Bench(system, program), lambda: "", threads)
