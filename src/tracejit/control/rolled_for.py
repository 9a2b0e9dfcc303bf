"""`for` statements that are traced once: over a range, or the rows of a traced array."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from types import FrameType
from typing import Any

import numpy as np

from tracejit.control.bodies import divide
from tracejit.control.loop import while_ as while_primitive
from tracejit.control.rolling import GO, BodyTrace, Loop, may_roll
from tracejit.control.scan import scan as scan_primitive
from tracejit.control.staging import as_dtype, as_leaf, leaf_type
from tracejit.errors import UnsupportedError
from tracejit.ir.atoms import Literal, Var
from tracejit.ir.builder import building
from tracejit.ir.graph import Jaxpr
from tracejit.ir.types import INT64, array_type
from tracejit.ir.walk import count_equations, held_jaxprs, inline
from tracejit.ops.elementwise import add, and_, gt, lt, mul, ne, select, sub
from tracejit.ops.structure import iota
from tracejit.trace.bytecode import for_target
from tracejit.trace.provenance import user_frame
from tracejit.trace.retrace import Site
from tracejit.trace.tracer import Tracer, bind, current_trace

#: A loop of so few equations in all its rounds is unrolled: its values stay in registers.
UNROLLED_EQUATIONS = 256
#: So few rounds are not worth a loop.
FEW_ROUNDS = 4


class Rolled:
    """What a `for` statement in traced code runs over: rounds, or one round that is traced.

    element: from an index, traced or not, to what the loop variable is. always: never unrolled.
    """

    def __init__(
        self, start: Any, stop: Any, step: int = 1, *, always: bool = False,
        element: Callable[[Any], Any] = lambda i: i,
    ):  # fmt: skip
        self.start, self.stop, self.step, self.always = start, stop, step, always
        known = not isinstance(start, Tracer) and not isinstance(stop, Tracer)
        self.rounds = len(range(start, stop, step)) if known else None
        self.element = element
        self.loop: Loop | None = None
        self.plain: Iterator[Any] | None = None

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        if self.plain is not None:
            return next(self.plain)
        if self.loop is None:
            return self._begin(sys._getframe(1))
        body = self.loop.body
        done = self.loop.end({"go": Literal(True, GO)})
        if self._is_small(body):
            return self._unroll()
        if not done:
            return self._enter()
        self._finish()
        raise StopIteration

    def _begin(self, frame: FrameType) -> Any:
        trace = current_trace()
        site = Site(frame.f_code, frame.f_lasti)
        few = self.rounds is not None and self.rounds <= (0 if self.always else FEW_ROUNDS)
        if few or not may_roll(trace, site):
            if self.always and not few and trace is not None and site in trace.unrolled:
                raise self._refusal(trace.unrolled[site])
            return self._unroll()
        self.loop = Loop(frame, site, "for", for_target(frame.f_code, frame.f_lasti))
        self.loop.is_counted = self.rounds is not None
        return self._enter()

    def _refusal(self, reason: str) -> UnsupportedError:
        return UnsupportedError(
            f"a loop over tracejit.range cannot be traced once: {reason}", where=user_frame(),
            hint="over the built-in range it is unrolled",
        )  # fmt: skip

    def _unroll(self) -> Any:
        self.plain = map(self.element, range(self.start, self.stop, self.step))
        return next(self.plain)

    def _is_small(self, body: BodyTrace | None) -> bool:
        """Whether all rounds together are so short that they are better unrolled. A loop within
        whose length depends on the index is as long as it is."""
        if self.rounds is None or self.always or body is None or body.forks:
            return False
        size = len(body.equations)
        for eqn in body.equations:
            if eqn.primitive is while_primitive:
                return False
            size += sum(count_equations(inner) for _, inner in held_jaxprs(eqn))
        return size * self.rounds <= UNROLLED_EQUATIONS

    def _enter(self) -> Any:
        loop = self.loop
        assert loop is not None
        body = loop.enter(loop.again())
        index = body.new_input(array_type(INT64), weak=True)
        body.own["index"] = index.atom  # type: ignore[assignment]
        body.bounds_of[index.atom] = self._bounds()  # type: ignore[index]
        loop.given = self.element(index)
        return loop.given

    def _bounds(self) -> tuple[float, float]:
        """The least and the greatest index."""
        if self.rounds:
            ends = (self.start, self.start + (self.rounds - 1) * self.step)
            return min(ends), max(ends)
        start, stop = (Tracer.operators.range_of(x) for x in (self.start, self.stop))
        return (start[0], stop[1] - 1) if self.step > 0 else (stop[0] + 1, start[1])

    def _finish(self) -> None:
        loop = self.loop
        assert loop is not None
        if self.rounds is None or loop.is_left:
            outs, last = self._as_while(loop)
        else:
            outs, last = self._as_scan(loop), range(self.start, self.stop, self.step)[-1]
        also = {} if loop.index is None else {loop.index: self.element(last)}
        loop.finish(outs, also, self.rounds)

    def _as_scan(self, loop: Loop) -> Sequence[Any]:
        """The loop as a scan over its indices."""
        assert self.rounds is not None
        whole = loop.assembled((), ("index",))
        k, n = len(whole.consts), len(whole.start)
        consts, index, carry = divide(whole.jaxpr.invars, k, 1)
        jaxpr = Jaxpr((*consts, *carry, *index), whole.jaxpr.equations, whole.jaxpr.outvars)
        indices = _indices(self.start, self.rounds, self.step)
        return bind(  # type: ignore[no-any-return]
            scan_primitive, *whole.consts, *whole.start, indices, jaxpr=jaxpr, length=self.rounds,
            reverse=False, num_consts=k, num_carry=n,
        )  # fmt: skip

    def _as_while(self, loop: Loop) -> tuple[Sequence[Any], Any]:
        """The loop as a while that carries its index, and whether there was no break; and the last
        index."""
        whole = loop.assembled(("go",) if loop.is_left else (), ("index",))
        k, going = len(whole.consts), [GO] if loop.is_left else []
        start, stop = (as_dtype(as_leaf(x, "a bound"), INT64) for x in (self.start, self.stop))
        more = lt if self.step > 0 else gt
        with building() as builder:
            consts, index, rest = divide([Var(t) for t in whole.jaxpr.in_types], k, 1)
            outs = inline(whole.jaxpr, [*consts, *index, *rest])
            after = add(index[0], Literal(self.step, array_type(INT64)))
            outs.insert(len(going), after)
            body = builder.finish([*consts, *map(Var, going), *index, *rest], outs)
        with building() as builder:
            end = Var(array_type(INT64))
            carry = [Var(t) for t in (*going, *whole.jaxpr.in_types[k:])]
            holds = more(carry[len(going)], end)
            holds = and_(holds, carry[0]) if going else holds
            cond = builder.finish([end, *carry], [holds])
        outs = bind(
            while_primitive, stop, *whole.consts, *[Literal(True, GO) for _ in going], start,
            *whole.start, cond=cond, body=body, num_cond_consts=1, num_body_consts=k,
        )  # fmt: skip
        index, *final = outs[len(going) :]
        last = bind(sub, index, np.int64(self.step))
        if loop.index_before is not None:  # what it stays where there is no round
            before = as_leaf(loop.index_before, "the index ahead of the loop")
            if leaf_type(before) != last.aval:
                raise loop.unrolled("its index was no integer ahead of the loop")
            last = bind(select, bind(ne, index, start), last, before)
        last.weak = True
        return final, last


def _indices(first: int, length: int, step: int) -> Any:
    """first, first + step, ...: computed by the program that is traced."""
    trace = current_trace()
    assert trace is not None
    type = array_type(INT64, (length,))
    (count,) = trace.emit(iota, (), {"dtype": INT64, "shape": (length,), "axis": 0})
    indices: Any = Tracer(trace, count)
    if step != 1:
        indices = bind(mul, indices, Literal(step, type))
    return indices if first == 0 else bind(add, indices, Literal(first, type))
