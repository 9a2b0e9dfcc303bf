"""Between which numbers the integers of a program lie, and what follows from it.

    %i in 0 .. 9                                  (the counter of a loop of 10 rounds)
    lt(%i, 0)                                  -> false
    select(lt(%i, 0), add(%i, 10), %i)         -> %i
    scatter(x, [%i], u, axes=(0,))             -> dynamic_update_slice(x, u, %i, ...)

So an index that a loop makes is used as it is, and one element or row that is set is a window like
any other, which is written in place. Counters are carries that grow by a number: for `length`
rounds, or as long as the condition of a `while` compares them with something.

Needs: counters as carries (counting). Does not: follow what is read from arrays in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from tracejit.control.cond import cond
from tracejit.control.loop import while_
from tracejit.control.scan import scan
from tracejit.ir.atoms import Atom, Literal, Var
from tracejit.ir.builder import building
from tracejit.ir.graph import Equation, Jaxpr
from tracejit.ir.types import BOOL, INT64, array_type
from tracejit.ops import elementwise as ops
from tracejit.ops import indexing, structure
from tracejit.ops.ranges import Range, decided, ends_of, limits_of
from tracejit.passes.held import Renaming

#: What only moves elements: the result is in the range of its first operand.
_MOVES = {
    structure.reshape, structure.broadcast, structure.permute, structure.slice, structure.reverse,
    indexing.dynamic_slice, indexing.gather, ops.stop_gradient,
}  # fmt: skip

#: What is written with a row or an element that is changed, besides what was there.
_CHANGES: dict[Any, Callable[[Atom, Atom], Atom]] = {
    indexing.scatter: lambda old, new: new,
    indexing.scatter_add: lambda old, new: ops.add(old, new),
    indexing.scatter_mul: lambda old, new: ops.mul(old, new),
    indexing.scatter_min: lambda old, new: ops.min(old, new),
    indexing.scatter_max: lambda old, new: ops.max(old, new),
}

_TURNED = {ops.lt: ops.gt, ops.gt: ops.lt, ops.le: ops.ge, ops.ge: ops.le}

Ranges = dict[Any, Range]


def bounded(jaxpr: Jaxpr) -> Jaxpr:
    """The jaxpr without comparisons that are known, updates of known places being windows."""
    return _Walk({}).run(jaxpr, [None] * len(jaxpr.invars))


def bounds_of(jaxpr: Jaxpr) -> Ranges:
    """The ranges of integers, by variable, in a jaxpr and all that it holds."""
    walk = _Walk({})
    walk.run(jaxpr, [None] * len(jaxpr.invars))
    return walk.ranges


class _Walk:
    """One way through a jaxpr and what it holds."""

    def __init__(self, ranges: Ranges):
        self.ranges = ranges
        self.inputs: set[Var] = set()
        self.makers: dict[Any, Equation] = {}

    def of(self, x: Atom) -> Range | None:
        """The range of an atom; None for what is no integer, or not known."""
        if isinstance(x, Literal):
            return (int(x.value), int(x.value)) if x.dtype.kind in "iub" else None
        return self.ranges.get(x)

    def run(self, jaxpr: Jaxpr, ranges: Sequence[Range | None]) -> Jaxpr:
        """The body with what is known put in; ranges: of its inputs.

        A body that is held twice, or one of the same variables, is given either's.
        """
        for v, range in zip(jaxpr.invars, ranges, strict=True):
            if v in self.inputs:
                range = _joined(range, self.ranges.pop(v, None))
            self.inputs.add(v)
            self._learn(v, range)
        names, equations = Renaming(), []
        for eqn in jaxpr.equations:
            eqn = names.equation(eqn)
            for v in eqn.outvars:
                self.ranges.pop(v, None)
            known = self._known(eqn)
            if known is not None:
                names[eqn.outvars[0]] = known
                continue
            new = self._as_window(eqn) or [self._inside(eqn)]
            for e in new:
                self.makers.update((v, e) for v in e.outvars)
                if len(e.outvars) == 1 and e.outvars[0] not in self.ranges:
                    self._learn(e.outvars[0], self._result(e))
            equations += new
        if len(equations) == len(jaxpr.equations) and all(map(_is, equations, jaxpr.equations)):
            return jaxpr
        return Jaxpr(jaxpr.invars, tuple(equations), names.all(jaxpr.outvars))

    def _learn(self, v: Var, range: Range | None) -> None:
        if range is not None and v.dtype.kind in "iu":
            low, high = limits_of(v.dtype)
            if low <= range[0] and range[1] <= high and range != (low, high):
                self.ranges[v] = range

    # Equations.

    def _known(self, eqn: Equation) -> Atom | None:
        """What the result is, where that is known."""
        if eqn.primitive is ops.select and isinstance(eqn.inputs[0], Literal):
            return eqn.inputs[1] if eqn.inputs[0].value else eqn.inputs[2]
        if eqn.primitive.name not in ("lt", "le", "gt", "ge", "eq", "ne"):
            return None
        a, b = map(self.of, eqn.inputs)
        if a is None or b is None:
            return None
        answer = decided(eqn.primitive.name, a, b)
        return None if answer is None else Literal(answer, array_type(BOOL, eqn.outvars[0].shape))

    def _result(self, eqn: Equation) -> Range | None:
        """The range of the only result of an equation."""
        p = eqn.primitive
        if eqn.outvars[0].dtype.kind not in "iu":
            return None
        if p is structure.iota:
            return 0, max(0, eqn.params["shape"][eqn.params["axis"]] - 1)
        if p is ops.select:
            return self._chosen(eqn)
        if p is ops.convert and eqn.inputs[0].dtype == BOOL:
            return 0, 1
        if p in _MOVES or p is ops.convert:
            return self.of(eqn.inputs[0])
        known = [r for x in eqn.inputs if (r := self.of(x)) is not None]
        if len(known) < max(1, len(eqn.inputs)):
            return None
        if p is structure.concatenate:
            return min(r[0] for r in known), max(r[1] for r in known)
        return ends_of(p.name, known) if p.name in ("add", "sub", "mul", "max", "min") else None

    def _chosen(self, eqn: Equation) -> Range | None:
        """Of a select: in  x < c ? x + k : x  each x is on its own side of c."""
        test, *sides = eqn.inputs
        maker = self.makers.get(test)
        ranges = []
        for side, holds in zip(sides, (True, False), strict=True):
            found = self.of(side)
            if maker is not None and maker.primitive is ops.lt:
                found = self._on_side(side, maker, holds) or found
            ranges.append(found)
        return _joined(*ranges)

    def _on_side(self, side: Atom, test: Equation, holds: bool) -> Range | None:
        """The range of x or x + k where x < c holds, or does not."""
        x, c = test.inputs
        shift, maker = 0, self.makers.get(side)
        if side is not x:
            if maker is None or maker.primitive is not ops.add or maker.inputs[0] is not x:
                return None
            if not isinstance(maker.inputs[1], Literal):
                return None
            shift = int(maker.inputs[1].value)
        known = self.of(x)
        if known is None or not isinstance(c, Literal):
            return None
        low, high = known
        low, high = (low, min(high, int(c.value) - 1)) if holds else (max(low, int(c.value)), high)
        return (low + shift, high + shift) if low <= high else None

    # Windows.

    def _as_window(self, eqn: Equation) -> list[Equation] | None:
        """An update of one place that is inside of the array, or a look at one, as of a window."""
        change = _CHANGES.get(eqn.primitive)
        if change is None and eqn.primitive is not indexing.gather or eqn.params["batch"]:
            return None
        x, indices = eqn.inputs[:2]
        axes, places = eqn.params["axes"], self._places(indices)
        if places is None or len(places) != len(axes):
            return None
        for place, axis in zip(places, axes, strict=True) if change else ():
            range = self.of(place)
            if range is None or range[0] < 0 or range[1] >= x.shape[axis]:
                return None
        at = dict(zip(axes, places, strict=True))
        starts = [at.get(a, Literal(0, array_type(INT64))) for a in range_of(x.ndim)]
        sizes = tuple(1 if a in at else n for a, n in enumerate(x.shape))
        with building() as builder:
            if change is None:
                old = indexing.dynamic_slice(x, *starts, sizes=sizes)
                result = structure.reshape(old, shape=eqn.outvars[0].shape)
            else:
                new = structure.reshape(eqn.inputs[2], shape=sizes)
                if eqn.primitive is not indexing.scatter:
                    new = change(indexing.dynamic_slice(x, *starts, sizes=sizes), new)
                result = indexing.dynamic_update_slice(x, new, *starts)
        *before, last = builder.equations
        if (result,) != last.outvars:
            return None
        inputs, params = last.inputs, last.params
        return [*before, Equation(last.primitive, inputs, params, eqn.outvars, eqn.provenance)]

    def _places(self, indices: Atom) -> list[Atom] | None:
        """The numbers of a vector of indices that is put together here."""
        if indices.ndim != 1:
            return None
        maker = self.makers.get(indices)
        if maker is not None and maker.primitive is structure.concatenate:
            found = [self._places(x) for x in maker.inputs]
            return None if None in found else [y for part in found for y in part or ()]
        if maker is None or maker.primitive is not structure.reshape or maker.inputs[0].ndim:
            return [Literal(indices.value, array_type(indices.dtype))] * indices.shape[0] if (
                isinstance(indices, Literal)
            ) else None
        return [maker.inputs[0]]

    # Loops and branches.

    def _inside(self, eqn: Equation) -> Equation:
        """The same for the bodies that an equation holds."""
        p: dict[str, Any] = eqn.params
        params: dict[str, Any] = {}
        if eqn.primitive is scan:
            params["jaxpr"] = self.run(p["jaxpr"], self._of_rounds(eqn))
        elif eqn.primitive is while_:
            inside, around = self._of_condition(eqn)
            test, n = p["num_cond_consts"], p["num_body_consts"]
            consts = [self.of(x) for x in eqn.inputs[: test + n]]
            params["cond"] = self.run(p["cond"], [*consts[:test], *around])
            params["body"] = self.run(p["body"], [*consts[test:], *inside])
            for v, range in zip(eqn.outvars, around, strict=False):
                self._learn(v, range)
        elif eqn.primitive is cond:
            operands = [self.of(x) for x in eqn.inputs[1:]]
            params["branches"] = tuple(self.run(b, operands) for b in p["branches"])
        if all(params[name] == p[name] for name in params):
            return eqn
        return Equation(eqn.primitive, eqn.inputs, p | params, eqn.outvars, eqn.provenance)

    def _of_rounds(self, eqn: Equation) -> list[Range | None]:
        """The ranges of what the body of a scan is given."""
        p, body = eqn.params, eqn.params["jaxpr"]
        first, count, length = p["num_consts"], p["num_carry"], p["length"]
        found = [self.of(x) for x in eqn.inputs]
        for i in range_of(count):
            start, step = found[first + i], step_of(body, body.invars[first + i], i)
            if step and start is not None and length:
                grown = step * (length - 1)
                inside = min(start[0], start[0] + grown), max(start[1], start[1] + grown)
                over = inside[0] + min(step, 0), inside[1] + max(step, 0)
                found[first + i] = inside if _fits(over, body.invars[first + i].dtype) else None
            elif body.outvars[i] is not body.invars[first + i]:
                found[first + i] = None
        return found

    def _of_condition(
        self, eqn: Equation
    ) -> tuple[list[Range | None], list[Range | None]]:
        """The ranges of the carries of a while in its body, and at its condition."""
        p, body, test = eqn.params, eqn.params["body"], eqn.params["cond"]
        first = p["num_cond_consts"]
        inits = eqn.inputs[first + p["num_body_consts"] :]
        names = body.invars[p["num_body_consts"] :]
        fixed = [y is x for x, y in zip(names, body.outvars, strict=False)]
        known = {
            **dict(zip(test.invars[:first], eqn.inputs, strict=False)),
            **{v: x for v, x, same in zip(test.invars[first:], inits, fixed, strict=True) if same},
        }
        inside = [self.of(x) if same else None for x, same in zip(inits, fixed, strict=True)]
        around = list(inside)
        for x, op, y in _comparisons(test):
            if x not in test.invars[first:]:
                continue
            i = test.invars.index(x) - first  # type: ignore[arg-type]
            step, start = step_of(body, names[i], i), self.of(inits[i])
            limit = self.of(y if isinstance(y, Literal) else known.get(y, y))
            found = _counted(start, step, op, limit)
            if found is not None and _fits(found[1], names[i].dtype):
                inside[i], around[i] = found
        return inside, around


range_of = range


def _joined(a: Range | None, b: Range | None) -> Range | None:
    return None if a is None or b is None else (min(a[0], b[0]), max(a[1], b[1]))


def _is(x: Any, y: Any) -> bool:
    return x is y


def _fits(range: Range, dtype: Any) -> bool:
    low, high = limits_of(dtype)
    return low <= range[0] and range[1] <= high


def step_of(body: Jaxpr, before: Var, i: int) -> int | None:
    """What a carry grows by in each round; None where that is not a number."""
    after = body.outvars[i]
    if before.ndim or before.dtype.kind != "i":
        return None
    for eqn in body.equations:
        if after in eqn.outvars:
            x, n = eqn.inputs if len(eqn.inputs) == 2 else (None, None)
            if x is before and isinstance(n, Literal) and eqn.primitive in (ops.add, ops.sub):
                return int(n.value) if eqn.primitive is ops.add else -int(n.value)
    return None


def _comparisons(test: Jaxpr) -> Iterator[tuple[Atom, Any, Atom]]:
    """(x, lt or its like, y) for what holds wherever the test does."""
    makers = {v: e for e in test.equations for v in e.outvars}
    pending: list[Atom] = list(test.outvars)
    while pending:
        eqn: Equation | None = makers.get(pending.pop())  # type: ignore[call-overload]
        if eqn is not None and eqn.primitive is ops.and_:
            pending += eqn.inputs
        elif eqn is not None and eqn.primitive in _TURNED and eqn.inputs[0].dtype.kind == "i":
            x, y = eqn.inputs
            yield x, eqn.primitive, y
            yield y, _TURNED[eqn.primitive], x


def _counted(
    start: Range | None, step: int | None, op: Any, limit: Range | None
) -> tuple[Range, Range] | None:
    """The ranges, in the body and around it, of what begins in one and is compared with another."""
    if start is None or limit is None or not step or (step > 0) != (op in (ops.lt, ops.le)):
        return None
    strict = op in (ops.lt, ops.gt)
    if step > 0:
        most = limit[1] - strict
        inside, around = (start[0], most), (start[0], max(start[1], most + step))
    else:
        least = limit[0] + strict
        inside, around = (least, start[1]), (min(start[0], least + step), start[1])
    return (inside, around) if inside[0] <= inside[1] else None
