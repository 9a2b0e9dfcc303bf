"""`while` statements on traced values that are traced once.

A `while` is told from an `if` by the bytecode of its test (`trace.bytecode`). Python compiles the
tests twice, ahead of the body and behind it; it asks for those of the first round in the trace
around the loop, and for those of the next round at the end of the body. So the loop carries its
condition, and the body ends with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import FrameType
from typing import Any

from tracejit.control.loop import while_ as while_primitive
from tracejit.control.rolling import GO, Loop, as_bool, may_roll, stale
from tracejit.ir.atoms import Var
from tracejit.ir.current import stack
from tracejit.ir.graph import Jaxpr
from tracejit.ir.walk import inline
from tracejit.ops.elementwise import and_, not_
from tracejit.trace.bytecode import WhileTest, forever_test, while_test
from tracejit.trace.provenance import asking_frame
from tracejit.trace.retrace import Site
from tracejit.trace.tracer import Constant, Trace, Tracer, bind, current_trace


class While(Loop):
    """A `while` that is being rolled. first: the tests of its first round, in the trace around it;
    tests: those behind the body, as far as they were asked for. entering: the tests ahead of the
    body are not all through. place: the last test that was asked for."""

    def __init__(self, frame: FrameType, site: Site, asked: int | None):
        """asked: where a `while True` asks whether it is left."""
        super().__init__(frame, site, "while")
        self.asked = asked
        self.first: list[Tracer] = []
        self._enter(-1, last=False)

    def _enter(self, place: int, *, last: bool) -> None:
        """Begin a run, from a test; the others of its round follow, unless it is the last."""
        self.tests: list[Tracer] = []
        self._stand(place, last=last)
        self.enter(self.again())

    def _stand(self, place: int, *, last: bool) -> None:
        """Note a test ahead of the body; behind the last one the body begins."""
        self.place, self.entering = (-1, False) if last else (place, True)

    def ask(self, test: WhileTest, truth: Tracer) -> bool:
        """Python asks whether the loop goes on."""
        if stack.sinks[-1] is not self.body:
            raise stale()
        last = test.place == test.count - 1
        if self.entering and test.place > self.place:
            if not self.carried and not self.runs:
                self.first.append(self._ahead(truth))
            self._stand(test.place, last=last)
            return True
        if self.entering:  # the other tests are known
            self._stand(-1, last=True)
        wrapped = test.place <= self.place
        self.place = test.place
        if not wrapped:
            self.tests.append(truth)
            if not last:
                return True
        if self.end({} if wrapped else {"go": _all(self.tests)}):
            if wrapped:
                raise self.unrolled("one of its conditions is no traced value")
            self._bind()
            return False
        self._enter(test.place, last=last)
        return True

    def _ahead(self, truth: Tracer) -> Tracer:
        """A test of the first round, computed in the trace around the loop."""
        body = self.body
        assert body is not None
        if truth.owner is not body:
            return truth
        given = [*body.captured.values()]
        jaxpr = body.finish([var for var, _ in given], [body.lift(truth)])
        values = [self.outer.lift(x.value if isinstance(x, Constant) else x) for _, x in given]
        return Tracer(self.outer, inline(jaxpr, values, self.outer)[0])

    def _bind(self) -> None:
        whole = self.assembled(("go",), ())
        k = len(whole.consts)
        go = Var(GO)
        invars = whole.jaxpr.invars
        body = Jaxpr((*invars[:k], go, *invars[k:]), whole.jaxpr.equations, whole.jaxpr.outvars)
        rest = [Var(x.type) for x in (go, *invars[k:])]
        cond = Jaxpr(tuple(rest), (), (rest[0],))
        _, *outs = bind(
            while_primitive, *whole.consts, _all(self.first), *whole.start, cond=cond, body=body,
            num_cond_consts=0, num_body_consts=k,
        )  # fmt: skip
        self.finish(outs, {})


def _all(tests: Sequence[Tracer]) -> Any:
    truth = as_bool(tests[0])
    for t in tests[1:]:
        truth = bind(and_, truth, as_bool(t))
    return truth


def while_truth(tracer: Tracer) -> bool | None:
    """The answer to a truth that a `while` statement asks for, or an `if` that leaves a
    `while True:`; None if neither does."""
    frame = asking_frame()
    if frame is None:
        return None
    test, asked = while_test(frame.f_code, frame.f_lasti), None
    if test is None:
        found = forever_test(frame.f_code, frame.f_lasti)
        if found is None:
            return None
        test, asked = WhileTest(found[0], 0, 1, True, stays=not found[1]), frame.f_lasti
    site = Site(frame.f_code, test.body)
    loop = _running(frame, site)
    if loop is None:
        if not may_roll(current_trace(), site):
            return None
        loop = While(frame, site, asked)
    elif asked is not None and asked != loop.asked:
        return None  # another `if` of the loop, which leaves it or does not
    truth = tracer if test.stays else bind(not_, as_bool(tracer))
    return loop.ask(test, truth) is test.stays


def _running(frame: FrameType, site: Site) -> While | None:
    """The loop at a place of a frame, if it is being rolled."""
    for sink in reversed(stack.sinks):
        if not isinstance(sink, Trace):
            break
        loop = getattr(sink, "loop", None)
        if isinstance(loop, While) and loop.frame is frame and loop.site == site:
            return loop
    return None


Trace.while_truth = while_truth
