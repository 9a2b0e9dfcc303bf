"""The life of a program as a list of texts, for eyes and for tests.

    stages = Stages()
    SIMPLIFY(jaxpr, stages)                    an observer of pipelines
    stages.add("llvm", lambda: module_text)    backends add theirs
    print(stages)                              everything, `dce (unchanged)` where nothing happened
    stages["fold"]                             the text of one
    stages.diff("cse", "dce")                  what happened in between
    stages.cost                                equations and milliseconds of each

Text is made when it is asked for.
"""

from __future__ import annotations

import difflib
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from tracejit.config import config
from tracejit.errors import ArgumentError, did_you_mean
from tracejit.ir.graph import Jaxpr
from tracejit.ir.walk import count_equations


@dataclass(frozen=True, slots=True)
class Cost:
    """What a stage came to. equations: in all, those in held jaxprs too; None for other text."""

    stage: str
    equations: int | None
    milliseconds: float


class Stage:
    """One entry: a jaxpr, a text, or a function that makes one when it is first asked for."""

    def __init__(self, name: str, content: Any, unchanged: bool, milliseconds: float):
        self.name = name
        self.unchanged = unchanged
        self.milliseconds = milliseconds
        self._content = content

    @property
    def equations(self) -> int | None:
        """How many, those in held jaxprs too; None for a text that is no jaxpr's."""
        return count_equations(self._content) if isinstance(self._content, Jaxpr) else None

    def read(self) -> str:
        """The text."""
        if callable(self._content):
            self._content = self._content()
        return str(self._content)


class Stages:
    """Named texts in order; an observer of pipelines."""

    def __init__(self) -> None:
        self._stages: list[Stage] = []
        self._clock = time.perf_counter()

    def __call__(self, name: str, before: Any, after: Any) -> None:
        """Take what a pipeline reports. Its input is the stage `traced`, if nothing came before."""
        milliseconds = self._lap()
        if not self._stages:
            self._stages.append(Stage("traced", before, False, 0.0))
        self._append(name, after, after is before, milliseconds)

    def add(self, name: str, content: str | Jaxpr | Callable[[], str]) -> None:
        """Append a stage that no pipeline reports: a jaxpr, a text, or a function for one."""
        self._append(name, content, False, self._lap())

    def _append(self, name: str, content: Any, unchanged: bool, milliseconds: float) -> None:
        taken = {stage.name for stage in self._stages}
        unique, count = name, 1
        while unique in taken:
            count += 1
            unique = f"{name} {count}"
        self._stages.append(Stage(unique, content, unchanged, milliseconds))

    def _lap(self) -> float:
        """Milliseconds since the last report."""
        before, self._clock = self._clock, time.perf_counter()
        return 1e3 * (self._clock - before)

    def _find(self, name: str) -> Stage:
        for stage in self._stages:
            if stage.name == name:
                return stage
        raise ArgumentError(f"there is no stage {name!r}", hint=did_you_mean(name, self))

    def __getitem__(self, name: str) -> str:
        """The text of a stage; ArgumentError (a ValueError) if there is no such stage."""
        return self._find(name).read()

    def __iter__(self) -> Iterator[str]:
        return iter([stage.name for stage in self._stages])

    def __len__(self) -> int:
        return len(self._stages)

    def __contains__(self, name: object) -> bool:
        return any(stage.name == name for stage in self._stages)

    def diff(self, before: str, after: str, context: int = 3) -> str:
        """A unified diff of two stages; empty if they are alike."""
        old, new = (self._find(name).read().splitlines() for name in (before, after))
        return "\n".join(difflib.unified_diff(old, new, before, after, lineterm="", n=context))

    @property
    def cost(self) -> list[Cost]:
        """Equations and milliseconds of each stage, in order."""
        return [Cost(s.name, s.equations, s.milliseconds) for s in self._stages]

    def __str__(self) -> str:
        return "\n".join([show(s.name, s.unchanged, s.read) for s in self._stages])

    def __repr__(self) -> str:
        return f"<stages: {' -> '.join(self) or 'none'}>"


def show(name: str, unchanged: bool, text: Callable[[], str]) -> str:
    """A heading and the text of a stage; the heading alone if nothing changed."""
    return f"// {name} (unchanged)" if unchanged else f"// {name}\n{text()}"


def dump(name: str, content: Any, before: Any = None) -> None:
    """Print a stage to stderr if `config.dump` names it (or is `all`).

    content: a jaxpr, a text, or a function that makes one. before: what it was made of, if that
    can be the same object.
    """
    names = config.dump
    if name in names or "all" in names:
        text = content if callable(content) else content.__str__
        print(show(name, content is before, text), file=sys.stderr)


def dump_observer() -> Callable[[str, Any, Any], None] | None:
    """An observer that prints what `config.dump` names; None if it names nothing."""
    if not config.dump:
        return None
    return lambda name, before, after: dump(name, after, before)
