"""Guards: Python's own control flow on traced values, one path at a time.

    if x > 0:             %1: bool[] = gt(%0, 0.0)
        y = np.sqrt(x)    guard(%1, expected=true, place=0)
    else:          ->     %2: f64[] = sqrt(%0)
        y = -x            return %2

Python asks a traced value for its truth (`if`, `while`, `and`, `not`, `assert`, `sorted`) or for
its number (`range`, an index). Where the arguments of the call are at hand the answer is computed
from them, and what is traced is the path that these arguments take. A guard says so in the program:
who runs it leaves at the first guard that does not hold (`GuardFailed`), and takes another path.

`Guards` is the decider of a trace (see `Trace.decider`): it answers, and binds the guards. Traces
of derivatives inside of the function share it; those of vmap, and of the bodies of loops and
branches, have none, since there is no one answer there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tracejit.errors import TracedBranchError, TracedConversionError
from tracejit.ir.atoms import Atom, Literal, zero
from tracejit.ir.builder import building
from tracejit.ir.effects import is_effectful
from tracejit.ir.graph import Equation, Jaxpr
from tracejit.ir.primitive import ZERO, Primitive
from tracejit.ir.types import BOOL, INT64, ArrayType
from tracejit.ops.elementwise import convert, eq, ne
from tracejit.ops.structure import reshape
from tracejit.trace.provenance import user_frame
from tracejit.trace.tracer import Trace, Tracer
from tracejit.transforms.linearize import free_variables

#: What a value said: its truth, or its number.
Answer = bool | int


class GuardFailed(Exception):
    """A program met values for which it was not made; `place` is the number of the guard."""

    def __init__(self, place: int):
        super().__init__(place)
        self.place = place


def _typing(pred: ArrayType, *, expected: bool, place: int) -> tuple[ArrayType, ...]:
    if pred.dtype != BOOL or pred.shape:
        raise TypeError(f"guard takes a bool[], not {pred}")
    return ()


def _evaluate(pred: Any, *, expected: bool, place: int) -> tuple[()]:
    if bool(pred) is not expected:
        raise GuardFailed(place)
    return ()


def _batch(
    size: int, inputs: Sequence[Atom], batched: Sequence[bool], *, expected: bool, place: int
) -> Sequence[Atom]:
    if any(batched):
        raise TracedBranchError(
            "a Python condition depends on what vmap maps, so each member may take another path",
            where=user_frame(),
        )
    return guard.bind(*inputs, expected=expected, place=place)


guard = Primitive(
    "guard", typing=_typing, evaluate=_evaluate, jvp=ZERO, batch=_batch, single=False,
    effects="ordered", doc="Nothing, if the truth of a bool[] is as expected; else the way out.",
)  # fmt: skip


def guards_of(jaxpr: Jaxpr) -> list[Equation]:
    """The guards of a program, in order; they are never inside of what it holds."""
    return [eqn for eqn in jaxpr.equations if eqn.primitive is guard]


def without_guards(jaxpr: Jaxpr) -> Jaxpr:
    """The same path, whatever the values."""
    rest = tuple([eqn for eqn in jaxpr.equations if eqn.primitive is not guard])
    return Jaxpr(jaxpr.invars, rest, jaxpr.outvars)


def cut_behind_guards(jaxpr: Jaxpr) -> tuple[Jaxpr, Jaxpr]:
    """What comes up to the last guard, without the guards; and the rest, which takes its results.
    What the guards ask are further results of the first part, in order."""
    asked = guards_of(jaxpr)
    count = 1 + jaxpr.equations.index(asked[-1])
    rest = jaxpr.equations[count:]
    made = {v for eqn in rest for v in eqn.outvars}
    passed = tuple(free_variables(rest, jaxpr.outvars, made))
    ahead = tuple([eqn for eqn in jaxpr.equations[:count] if eqn.primitive is not guard])
    results = (*passed, *[eqn.inputs[0] for eqn in asked])
    return Jaxpr(jaxpr.invars, ahead, results), Jaxpr(passed, rest, jaxpr.outvars)


def guards_first(jaxpr: Jaxpr) -> Jaxpr:
    """The guards, and what they need, before other effects: those are then not seen where a guard
    fails, and seen once on the path that is right. An effect whose result is asked for stays ahead,
    with the effects before it."""
    others = {
        n for n, eqn in enumerate(jaxpr.equations)
        if is_effectful(eqn) and eqn.primitive is not guard
    }  # fmt: skip
    if not others:
        return jaxpr
    needed: set[Atom] = set()
    ahead: set[int] = set()
    last = -1  # the last effect that a guard needs
    for n in reversed(range(len(jaxpr.equations))):
        eqn = jaxpr.equations[n]
        wanted = not needed.isdisjoint(eqn.outvars)
        if wanted and n in others:
            last = max(last, n)
        if wanted or eqn.primitive is guard or (n < last and n in others):
            ahead.add(n)
            needed.update(eqn.inputs)
    first = [e for n, e in enumerate(jaxpr.equations) if n in ahead]
    rest = [e for n, e in enumerate(jaxpr.equations) if n not in ahead]
    return Jaxpr(jaxpr.invars, (*first, *rest), jaxpr.outvars)


class Guards:
    """Answers what Python asks of traced values, by their numbers, and binds a guard for each.

    answers: what was answered, in order; guard number i is about answer i. given: answers that are
    known beforehand, for the first questions.
    """

    def __init__(self, given: Sequence[Answer] = ()):
        self.given = tuple(given)
        self.answers: list[Answer] = []
        self._known: dict[tuple[Atom, bool], Answer] = {}

    def truth(self, x: Tracer) -> bool:
        """Whether `bool(x)`, on this path from now on."""
        if x.size != 1:
            raise ValueError(
                f"the truth value of an array of {x.size} elements is ambiguous: "
                "use a.any() or a.all()"
            )
        return bool(self._ask(x, exact=False))

    def number(self, x: Tracer) -> int:
        """The integer `int(x)`, on this path from now on."""
        if x.size != 1:
            raise TypeError(f"only an array of one element is a number, not {x.aval}")
        return int(self._ask(x, exact=True))

    def _ask(self, x: Tracer, *, exact: bool) -> Answer:
        atom, trace = x.atom, x.owner
        if isinstance(atom, Literal):
            return int(atom.value) if exact else bool(atom.value)
        if (atom, exact) not in self._known:
            trace.provenance = user_frame()
            with building(trace):  # which need not be the innermost
                answer = self._bind_number(trace, atom) if exact else self._bind_truth(trace, atom)
            self._known[atom, exact] = answer
            self.answers.append(answer)
        return self._known[atom, exact]

    def _bind_truth(self, trace: Trace, x: Atom) -> Answer:
        pred = x if x.dtype == BOOL else ne(x, zero(x.type))
        pred = pred if not pred.ndim else reshape(pred, shape=())
        answer = bool(self._answer(trace, pred, "the truth of a value (if, while, and, or, not)"))
        guard(pred, expected=answer, place=len(self.answers))
        return answer

    def _bind_number(self, trace: Trace, x: Atom) -> Answer:
        x = x if x.dtype.kind in "iu" else convert(x, dtype=INT64)
        x = x if not x.ndim else reshape(x, shape=())
        answer = int(self._answer(trace, x, "an index, a size, range() or int()"))
        guard(eq(x, Literal(answer, x.type)), expected=True, place=len(self.answers))
        return answer

    def _answer(self, trace: Trace, asked: Atom, use: str) -> Any:
        if len(self.answers) < len(self.given):
            return self.given[len(self.answers)]
        value = trace.number_of(asked)
        if value is None:
            kind = TracedBranchError if asked.dtype == BOOL else TracedConversionError
            raise kind(
                f"{use} needs a number, and depends on a traced one that is not known",
                where=user_frame(),
            )
        return np.asarray(value).item()
