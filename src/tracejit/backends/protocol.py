"""What a backend is: something that turns a jaxpr into an executable.

    backend = backends.load("native")
    run = backend.compile(jaxpr, name="loss")
    (value,) = run(x)                      # arrays in, a tuple of arrays out
    run.texts()                            # {"llvm": "...", "assembly": "..."}

Backends are told apart by name alone: nobody asks which one it has.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from tracejit.backends.explanation import Explanation
from tracejit.ir.graph import Jaxpr
from tracejit.passes.pipeline import Observer


class Executable(Protocol):
    """A compiled jaxpr."""

    def __call__(self, *arrays: Any) -> tuple[np.ndarray, ...]:
        """Run: arrays of the types of `jaxpr.invars` in, fresh arrays of those of its outvars out.

        The caller has checked dtypes and shapes. Results have shape () where the type says so,
        are writeable, and share memory with nothing.
        """
        ...

    def explain(self, name: str) -> Explanation:
        """What was decided and why, with bytes and operations; `name` is the function's."""
        ...

    def texts(self) -> dict[str, str]:
        """The forms between jaxpr and machine as text, by name, in order; made when asked for."""
        ...


class Backend(Protocol):
    """A machine that runs jaxprs. tapes: whether it has them (see control/tape.py)."""

    name: str
    tapes: bool

    def compile(
        self,
        jaxpr: Jaxpr,
        *,
        name: str = "",
        observer: Observer | None = None,
        constants: Sequence[np.ndarray] = (),
        written: Sequence[int] = (),
    ) -> Executable:
        """Compile a jaxpr; `name` is what profiles and texts call it.

        `constants` are the values of the first invars: the executable takes the others. The last
        outvars are final values of the inputs `written` (counted behind the constants): an entry of
        the executable, which takes arrays where they are, writes them there.
        The observer is told of every pass that the backend runs over the jaxpr.
        Raises MissingLoweringError for a primitive that the backend has no row for, CompileError
        where the machine refuses.
        """
        ...
