"""Recorded programs and their gradients, which are run by NumPy at first and then compiled."""

from __future__ import annotations

from typing import Any

from tracejit.ir.atoms import Atom, Var, ones, zero
from tracejit.ir.builder import building
from tracejit.ir.graph import Jaxpr
from tracejit.ir.types import tangent_type
from tracejit.ir.walk import splice
from tracejit.runtime.runner import Runner, Thrifty
from tracejit.transforms.gradient import adjoint
from tracejit.transforms.linearize import linearize


class Program:
    """The jaxpr of a recording, whose first inputs are its sources. operations: for the recorder,
    by the mask of cotangents."""

    def __init__(self, jaxpr: Jaxpr, sources: int):
        self.jaxpr, self.sources = jaxpr, sources
        self.operations: dict[tuple[bool, ...], Any] = {}
        self._gradients: dict[tuple[bool, ...], Runner] = {}
        #: Inputs -> targets.
        self.forward = Thrifty(jaxpr)

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
