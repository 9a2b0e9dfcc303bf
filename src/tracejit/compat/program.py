"""Recorded programs: run by NumPy at first, compiled when they come again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tracejit import backends
from tracejit.config import config
from tracejit.errors import MissingLoweringError
from tracejit.ir.atoms import Atom, Var, ones, zero
from tracejit.ir.builder import building
from tracejit.ir.graph import Jaxpr
from tracejit.ir.types import tangent_type
from tracejit.ir.walk import evaluate, splice
from tracejit.runtime.programs import FlatCall
from tracejit.trace.garbage import seldom_collected
from tracejit.transforms.gradient import adjoint
from tracejit.transforms.linearize import linearize

#: A program is compiled when it is run for the second time; one of many equations, which takes
#: long to compile, one run later for each so many. (29,000 equations on scalars: 0.7 s by NumPy,
#: 29 s to compile, so that compiling pays after some 40 runs.)
EQUATIONS_PER_RUN = 1000


class Runner:
    """A jaxpr as a function of a sequence of arrays; gives a tuple of arrays. patience: the number
    of the run from which on it is compiled."""

    def __init__(self, jaxpr: Jaxpr, name: str = "recorded", patience: int | None = None):
        self.jaxpr, self.name = jaxpr, name
        self.patience = patience or 2 + len(jaxpr.equations) // EQUATIONS_PER_RUN
        self._runs = 0
        self._compiled: dict[str, FlatCall | None] = {}

    def __call__(self, values: Sequence[np.ndarray]) -> tuple[np.ndarray, ...]:
        self._runs += 1
        call = self._call() if self._runs >= self.patience else None
        if call is None:
            return tuple([np.array(y) for y in evaluate(self.jaxpr, *values)])
        return tuple([np.asarray(y) for y in call(*map(_plain, values))])

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


def _plain(x: np.ndarray) -> np.ndarray:
    """An array as machine code takes it."""
    flags = x.flags
    return x if flags.c_contiguous and flags.aligned else x.copy()


class Program:
    """The jaxpr of a recording, whose first inputs are its sources. operations: for the recorder,
    by the mask of cotangents."""

    def __init__(self, jaxpr: Jaxpr, sources: int):
        self.jaxpr, self.sources = jaxpr, sources
        self.operations: dict[tuple[bool, ...], Any] = {}
        self._gradients: dict[tuple[bool, ...], Runner] = {}

    def gradient(self, given: tuple[bool, ...]) -> Runner:
        """(inputs, cotangents of the targets marked `given`) -> (targets, gradients of the float
        sources). The cotangents of the other targets are ones."""
        runner = self._gradients.get(given)
        if runner is None:
            runner = self._gradients[given] = Runner(self._pulled_back(given), "gradient")
        return runner

    def _pulled_back(self, given: tuple[bool, ...]) -> Jaxpr:
        jaxpr = self.jaxpr
        wrt = tuple([i < self.sources and t.is_inexact for i, t in enumerate(jaxpr.in_types)])
        parts = linearize(jaxpr, wrt)
        count = len(jaxpr.outvars)
        with building() as builder:
            builder.equations += parts.known.equations
            outs, residuals = parts.known.outvars[:count], parts.known.outvars[count:]
            extra: list[Var] = []
            cotangents: list[Atom] = []
            for type, live, is_given in zip(jaxpr.out_types, parts.unknown, given, strict=True):
                ct: Atom = Var(tangent_type(type)) if is_given else ones(type)
                if isinstance(ct, Var):
                    extra.append(ct)
                if live:
                    cotangents.append(ct)
            if cotangents:
                gradients = splice(adjoint(parts), [*residuals, *cotangents], builder)
            else:
                gradients = [zero(t) for t, w in zip(jaxpr.in_types, wrt, strict=True) if w]
        return builder.finish((*parts.known.invars, *extra), (*outs, *gradients))
