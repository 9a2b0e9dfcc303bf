"""The paths through a function whose Python control flow depends on values: a tree of programs.

    def f(x):                    guard 0: x > 0  --fails-->  guard 0: not (x > 0)
        if x > 0:                guard 1: x > 1              returns -x
            if x > 1:            returns 1    --fails-->  guard 0: x > 0
                return 1                                  guard 1: not (x > 1)
            return x                                      returns x
        return -x

The first call traces the path that its arguments take, and its program is the root. A program that
leaves at guard i hands the call to its child there; where it has none, the path of this call is
traced, compiled, and becomes that child. Each program checks all of its guards, so whichever runs
to its end was right. Where the machine can (`Executable.link`), a call goes down the tree without
Python.

Numbers that lie at the edge of a condition may fall on different sides for the machine and for
NumPy, which says what to trace. The machine is right: its answers are given to the trace. What is
beyond that, such as a function that decides by chance, is run by NumPy.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from tracejit.control.guard import GuardFailed, guards_of, without_guards
from tracejit.errors import TracedBranchError
from tracejit.runtime.programs import Call, Compiled, Traced, trace
from tracejit.runtime.run import run
from tracejit.runtime.write_back import write_back

#: The paths that one kind of arguments may take.
MOST_PATHS = 256


class Paths:
    """The programs of a function, for one kind of arguments on one backend."""

    def __init__(self, root: Compiled, compile: Callable[[Traced], Compiled]):
        """compile: makes the program of another path."""
        self._compile = compile
        self._known = {_key(root.traced): root}
        self._apart: set[Compiled] = set()  # programs that no other one leads to
        self._lock = threading.RLock()
        self.root = root
        root.paths = self

    def __len__(self) -> int:
        """How many there are so far."""
        return len(self._known)

    def __call__(
        self, call: Call, first: Compiled | None = None
    ) -> tuple[Compiled | None, Any]:
        """The program that was right, if there is one, and its result. first: the one to begin
        with, the root unless said."""
        tried: list[Compiled] = []
        found: Compiled | Traced = first or self.root
        while isinstance(found, Compiled):
            try:
                return found, found(call)
            except GuardFailed as failed:
                tried.append(found)
                found = found.others.get(failed.place) or self._grow(tried, failed.place, call)
        if not found.closed:
            return None, call.run()
        outs = run(without_guards(found.jaxpr), [*found.captured, *call.leaves])
        n = len(found.weak)
        write_back(call.given, found.assigned, outs[n:])
        return None, found.out_tree.unflatten(outs[:n])

    def program(self, traced: Traced) -> Compiled:
        """The program of a path that was traced; nothing is run."""
        with self._lock:
            known = self._known.get(_key(traced))
            if known is None:
                known = self._make(traced)
                self._apart.add(known)
            return known

    def _make(self, traced: Traced) -> Compiled:
        made = self._known[_key(traced)] = self._compile(traced)
        made.paths = self
        return made

    def _grow(self, tried: list[Compiled], place: int, call: Call) -> Compiled | Traced:
        """The path of a call behind a guard where its latest program ends; as it was traced, if it
        can not be compiled, or was, and failed, too."""
        parent, tapes = tried[-1], self.root.traced.tapes
        with self._lock:
            if place in parent.others:
                return parent.others[place]
            traced = trace(call, finals=True, tapes=tapes)
            if self._known.get(_key(traced)) in tried:
                answers = parent.traced.answers
                turned = (not answers[place],) if isinstance(answers[place], bool) else ()
                traced = trace(call, (*answers[:place], *turned), finals=True, tapes=tapes)
            known = self._known.get(_key(traced))
            if known in tried:
                return trace(call, finals=True, tapes=tapes)
            if not traced.closed:
                return traced
            if known is None:
                self._check_limit(parent, place)
                known = self._make(traced)
                self._apart.add(known)
            if not known.leads_to(parent):
                parent.add(place, known, known in self._apart)
                self._apart.discard(known)
            return known

    def _check_limit(self, parent: Compiled, place: int) -> None:
        if len(self) < MOST_PATHS:
            return
        for eqn in guards_of(parent.traced.jaxpr):
            if eqn.params["place"] == place:
                raise TracedBranchError(
                    f"{parent.traced.name} has taken {MOST_PATHS} paths with arguments of one "
                    "kind, and a Python condition on a traced value leads to another",
                    where=eqn.provenance,
                )


def _key(traced: Traced) -> str:
    """Equal for equal answers; True is not 1."""
    return repr(traced.answers)
