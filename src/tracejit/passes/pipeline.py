"""Running passes: once, here, they are run, checked and reported.

    SIMPLIFY = Pipeline("simplify", [inline, fold, cse, dce])
    SIMPLIFY(jaxpr, observer)

After each pass the observer is called with its name and the jaxprs before and behind it; they are
frozen, so that it may keep them and make text of them later. `config.check` verifies the program
before the first pass and behind each; `config.dump` prints the stages that it names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import Any

from tracejit.config import config
from tracejit.errors import VerifyError
from tracejit.ir.check import verify
from tracejit.ir.graph import Jaxpr
from tracejit.passes.held import Pass
from tracejit.passes.stages import dump_observer

#: Called with the name of a stage and the program before and behind it.
Observer = Callable[[str, Any, Any], None]


class Pipeline:
    """Passes in order. A pass is a function; its name is the stage's name."""

    def __init__(self, name: str, passes: Iterable[Pass]):
        self.name = name
        self.passes = tuple(passes)

    def __call__(self, jaxpr: Jaxpr, observer: Observer | None = None) -> Jaxpr:
        """Run the passes.

        Raises VerifyError, with `config.check`, naming the pass that broke the program.
        """
        check = config.check
        observers = [o for o in (observer, dump_observer()) if o is not None]
        if check:
            self._verify("the input", jaxpr)
        for step in self.passes:
            name = step.__name__
            after = step(jaxpr)
            if check and after is not jaxpr:
                self._verify(name, after)
            for observe in observers:
                observe(name, jaxpr, after)
            jaxpr = after
        return jaxpr

    def _verify(self, stage: str, jaxpr: Jaxpr) -> None:
        try:
            verify(jaxpr)
        except VerifyError as error:
            what = f"pipeline {self.name}, behind {stage}: {error.what}"
            raise VerifyError(what, where=error.where, hint=error.hint) from error

    def __add__(self, passes: Iterable[Pass]) -> Pipeline:
        """The pipeline with more passes behind it."""
        return Pipeline(self.name, chain(self.passes, passes))

    def __iter__(self) -> Iterator[Pass]:
        return iter(self.passes)

    def __repr__(self) -> str:
        return f"<pipeline {self.name}: {', '.join(p.__name__ for p in self.passes)}>"
