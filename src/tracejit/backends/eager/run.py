"""Run a jaxpr by the NumPy value of each primitive."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tracejit.backends.eager.explain import explain
from tracejit.backends.explanation import Explanation
from tracejit.ir.graph import Jaxpr
from tracejit.ir.walk import evaluate
from tracejit.passes.pipeline import Observer


class EagerExecutable:
    """A jaxpr as it is; there is no form below it, so `texts` has nothing to show."""

    def __init__(self, jaxpr: Jaxpr, constants: Sequence[np.ndarray] = ()):
        self.jaxpr = jaxpr
        self.constants = tuple(constants)

    def __call__(self, *arrays: Any) -> tuple[np.ndarray, ...]:
        inputs = (*self.constants, *arrays)
        taken = {id(x) for x in inputs}
        return tuple([_fresh(y, taken) for y in evaluate(self.jaxpr, *inputs)])

    def texts(self) -> dict[str, str]:
        return {}

    def explain(self, name: str) -> Explanation:
        """One equation after the other, each into an array of its own."""
        return explain(self.jaxpr, name)


def _fresh(y: Any, taken: set[int]) -> np.ndarray:
    """y as an array that shares memory with no argument, literal or other result.

    The primitives' values may be views (reshape), read-only (broadcast) or the operand itself.
    """
    array = np.asarray(y)
    if array.base is not None or not array.flags.writeable or id(array) in taken:
        array = array.copy()
    taken.add(id(array))
    return array


class EagerBackend:
    """See protocol.Backend."""

    name = "eager"
    tapes = True

    def compile(
        self,
        jaxpr: Jaxpr,
        *,
        name: str = "",
        observer: Observer | None = None,
        constants: Sequence[np.ndarray] = (),
        written: Sequence[int] = (),
    ) -> EagerExecutable:
        """The jaxpr as it is: a reference runs no passes, so there is nothing to observe."""
        return EagerExecutable(jaxpr, constants)


BACKEND = EagerBackend()
