"""Programs that nobody asked to compile: run by NumPy at first, compiled when they come again.

    runner = Runner(jaxpr)        runner(arrays)       the doors' recordings
    with compiling_repeats(): ... grad(f)(x) ...       what an uncompiled derivative computes, too
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from tracejit import backends
from tracejit.config import config
from tracejit.errors import MissingLoweringError
from tracejit.ir.graph import Jaxpr
from tracejit.ir.walk import evaluate
from tracejit.runtime.programs import FlatCall
from tracejit.runtime.run import quicker
from tracejit.trace.garbage import seldom_collected

#: A program is compiled when it is run for the second time; one of many equations, which takes
#: long to compile, one run later for each so many. (29,000 equations on scalars: 0.7 s by NumPy,
#: 29 s to compile, so that compiling pays after some 40 runs.)
EQUATIONS_PER_RUN = 1000
#: What is traced anew in each call is compiled later: many functions are differentiated a few
#: times only, and compiling takes as long as a hundred calls.
REPEATS = 20

#: About what compiling costs.
SECONDS_PER_EQUATION = 1e-3


class Runner:
    """A jaxpr as a function of a sequence of arrays; gives a tuple of arrays. patience: the number
    of the run from which on it is compiled."""

    def __init__(self, jaxpr: Jaxpr, name: str = "recorded", patience: int | None = None):
        self.jaxpr, self.name = jaxpr, name
        self.patience = patience or 2 + len(jaxpr.equations) // EQUATIONS_PER_RUN
        self._runs = 0
        self._compiled: dict[str, FlatCall | None] = {}

    def __call__(self, values: Sequence[np.ndarray]) -> tuple[np.ndarray, ...]:
        found = self.by_machine(values)
        if found is not None:
            return found
        return tuple([np.array(y) for y in evaluate(self.jaxpr, *values)])

    def by_machine(self, values: Sequence[np.ndarray]) -> tuple[np.ndarray, ...] | None:
        """The results by machine code; None where it is not time for that. Counts the run."""
        call = self.compiled()
        if call is None:
            return None
        return tuple([np.asarray(y) for y in call(*map(plain_array, values))])

    def compiled(self) -> FlatCall | None:
        """Machine code for this run, where it is time for it and the backend of now can; counts
        the run."""
        self._runs += 1
        return self._call() if self._runs >= self.patience else None

    def compiled_already(self) -> FlatCall | None:
        """Machine code for the backend of now, if there is any."""
        return None if config.disable_jit else self._compiled.get(config.backend)

    def _call(self) -> FlatCall | None:
        """The program compiled for the backend of now; None where that cannot be, or need not."""
        backend = config.backend
        if backend == "eager" or config.disable_jit:
            return None
        if backend not in self._compiled:
            try:
                with seldom_collected():
                    executable = backends.load(backend).compile(self.jaxpr, name=self.name)
                self._compiled[backend] = FlatCall(executable, self.jaxpr.out_types)
            except MissingLoweringError:
                self._compiled[backend] = None
        return self._compiled[backend]


class Thrifty(Runner):
    """The same, compiled when running it otherwise has cost about as much as compiling does: for
    what may come again, or not. spent: the seconds so far, which others may add to."""

    def __init__(self, jaxpr: Jaxpr, name: str = "recorded"):
        super().__init__(jaxpr, name)
        self.spent = 0.0

    def __call__(self, values: Sequence[np.ndarray]) -> tuple[np.ndarray, ...]:
        start = time.perf_counter()
        results = super().__call__(values)
        self.spent += time.perf_counter() - start
        return results

    def compiled(self) -> FlatCall | None:
        """Machine code, if it is time for it."""
        due = self.spent >= SECONDS_PER_EQUATION * len(self.jaxpr.equations)
        return self._call() if due else None


def plain_array(x: np.ndarray) -> np.ndarray:
    """An array as machine code takes it."""
    flags = x.flags
    return x if flags.c_contiguous and flags.aligned else x.copy()


# ---- repeats

#: By the program: who runs it. So many are remembered at most.
_runners: dict[Jaxpr, Runner] = {}
REMEMBERED = 512


@contextmanager
def compiling_repeats() -> Iterator[None]:
    """In this block a program that is run for the `REPEATS`th time is compiled. Jaxprs that say
    the same count as one if they are interned (`ir.interning`)."""
    token = quicker.set(_repeated)
    try:
        yield
    finally:
        quicker.reset(token)


def machine_code(jaxpr: Jaxpr) -> FlatCall | None:
    """What runs a program that has been compiled for repeating itself, on the backend of now."""
    runner = _runners.get(jaxpr)
    return None if runner is None else runner.compiled_already()


def _repeated(jaxpr: Jaxpr, arrays: Sequence[np.ndarray]) -> list[Any] | None:
    """The results by machine code; None where the program does not repeat itself."""
    runner = _runners.get(jaxpr)
    if runner is None:
        if len(_runners) >= REMEMBERED:
            _runners.clear()
        runner = _runners[jaxpr] = Runner(jaxpr, patience=REPEATS)
    call = runner.compiled()
    return None if call is None else list(call(*map(plain_array, arrays)))
