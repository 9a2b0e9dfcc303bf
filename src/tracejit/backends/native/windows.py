"""Windows: which part of a loop the masks of its operands leave to do.

    %m = lt(iota, %k)                            for i in 0 .. k - 1:  s += x[i]
    %s = reduce_sum(select(%m, %x, 0.0))   ->
    %y = select(%m, f(%x), %y0)                  for i in 0 .. k - 1:  y0[i] = f(x[i])

A mask that compares an index along one axis with a number is a `Limit` of that axis: the number may
depend on indices along other axes, so that a triangle is a loop in a loop. Three things make
elements not worth a round, and all are read off the equations, once for a program:

- neutral: they are what a reduction starts with, where a limit does not hold;
- as before: they are what lies there already, in a store in place;
- in vain: all who read them choose something else there.

A round that is left out would change nothing; sums are added up in another order than without
limits, and are the same from run to run. Inside of its limits a mask is known to hold.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from typing import Any

from tracejit.backends.native.lowering import Pointwise, Reduction
from tracejit.ir.atoms import Atom, Literal, Var
from tracejit.ir.graph import Equation
from tracejit.ir.types import INT64
from tracejit.ops import elementwise as ops
from tracejit.ops import indexing, structure

#: Axes with fewer elements have no limits: to ask is as dear as to run them all.
WIDE = 16
#: So deep a value is looked into for what it replaces.
DEEP = 40


@dataclass(frozen=True, slots=True)
class Limit:
    """Indices along `axis` that are below a number, or not below it.

    The number: const + the sum of coefficient x index along an axis + the sum of coefficient x
    element of a variable whose axes run along those given. past: those at the number belong to the
    others: `<=` for an upper limit, `>` for a lower one.
    """

    axis: int
    upper: bool
    past: bool
    const: int = 0
    along: tuple[tuple[int, int], ...] = ()
    terms: tuple[tuple[int, Var, tuple[int, ...]], ...] = ()

    @property
    def needs(self) -> set[int]:
        """The axes that the number depends on."""
        return {a for a, _ in self.along} | {a for _, _, dims in self.terms for a in dims}

    @property
    def turned(self) -> Limit:
        """The indices that are left out."""
        return replace(self, upper=not self.upper)

    def moved(self, places: Mapping[int, tuple[int, int]]) -> Limit | None:
        """The same along other axes: places has for each axis the other one, and what has to be
        added to an index of that; None where an axis is not among them."""
        if self.axis not in places or not self.needs <= places.keys():
            return None
        if any(places[a][1] for _, _, dims in self.terms for a in dims):
            return None
        axis, shift = places[self.axis]
        const = self.const - shift + sum(n * places[a][1] for a, n in self.along)
        along = tuple((places[a][0], n) for a, n in self.along)
        terms = tuple((n, v, tuple(places[a][0] for a in dims)) for n, v, dims in self.terms)
        return Limit(axis, self.upper, self.past, const, along, terms)


Limits = frozenset[Limit]
NONE: Limits = frozenset()

#: Of an element that is the same whatever the limits: in sets of limits, all there are.
Known = Limits | None


def both(a: Known, b: Known) -> Known:
    """The limits that two have in common."""
    return b if a is None else a if b is None else a & b


def either(a: Known, b: Known) -> Known:
    """The limits of both."""
    return None if a is None or b is None else a | b


def in_common(found: Sequence[Limits]) -> Limits:
    """The limits that all have."""
    return frozenset.intersection(*found) if found else NONE


class Windows:
    """The limits of what a plan stores and reduces."""

    def __init__(self, plan: Any):
        self.plan = plan
        self.makers: Mapping[Any, Equation] = plan.makers
        self.masks: dict[Any, tuple[Limits, bool]] = {}
        self.linear: dict[tuple[Any, int], _Linear] = {}
        self.neutrals: dict[Any, dict[float, Limits]] = {}
        self.vain: dict[Any, Limits] = {}
        if any(eqn.primitive is ops.select for eqn in plan.jaxpr.equations):
            self._find_neutrals()
            self._find_vain()

    # What is asked.

    def of_sum(self, eqn: Equation) -> Limits:
        """Of the space of a reduction: of what it reads, and of its result."""
        rule = self.plan.rules[eqn]
        return _wide(self._of_element(eqn, rule) | self.of_result(eqn), rule.space(eqn))

    def of_result(self, eqn: Equation) -> Limits:
        """Of the space of a reduction: what of its result nobody reads."""
        rule, (out,) = self.plan.rules[eqn], eqn.outvars
        reduced, space = set(rule.reduced(eqn)), rule.space(eqn)
        kept = {i: (a, 0) for i, a in enumerate(a for a in range(len(space)) if a not in reduced)}
        return _moved(self.vain.get(out, NONE), kept)

    def of_store(self, v: Var, old: Set[Var] | None = None) -> Limits:
        """Of an array that is stored; old: what lies there, element by element, so far. By default
        what might: what a select chooses instead."""
        if not self.neutrals and not self.vain and not self._chooses(v):
            return NONE
        before = self._as_before(v, self.replaced(v) if old is None else old, 0, {})
        return _wide((before or NONE) | self.vain.get(v, NONE), v.shape)

    def of_scatter(self, eqn: Equation) -> Limits:
        """Of the updates of scatter_add: without which they are zeros. Numbers that are known ahead
        of its loops alone."""
        if eqn.primitive is not indexing.scatter_add or eqn.inputs[1].ndim < 2:
            return NONE
        known = self._is(eqn.inputs[2], 0) or NONE
        return _wide((x for x in known if x.axis == 0 and not x.needs), eqn.inputs[2].shape)

    def of_mask(self, x: Atom) -> tuple[Limits, bool]:
        """The limits of a mask, and whether it holds wherever they do."""
        if isinstance(x, Literal) or x not in self.makers:
            return NONE, False
        if x not in self.masks:
            self.masks[x] = self._read_mask(self.makers[x])
        return self.masks[x]

    # Masks.

    def _read_mask(self, eqn: Equation) -> tuple[Limits, bool]:
        p = eqn.primitive
        if p is ops.and_:
            (a, whole), (b, too) = map(self.of_mask, eqn.inputs)
            return a | b, whole and too
        if p is ops.not_:
            limits, exact = self.of_mask(eqn.inputs[0])
            single = len(limits) == 1 and exact
            return (frozenset(limit.turned for limit in limits), True) if single else (NONE, False)
        if p in _COMPARISONS and eqn.inputs[0].dtype == INT64:
            x, y = eqn.inputs
            found = self._compared(x, y, *_COMPARISONS[p])
            return frozenset(found), len(found) > 0
        places = _places(eqn)
        if places is None or not eqn.inputs or eqn.inputs[0].dtype.kind != "b":
            return NONE, False
        limits, exact = self.of_mask(eqn.inputs[0])
        moved = frozenset(m for limit in limits if (m := limit.moved(places)) is not None)
        return moved, exact and len(moved) == len(limits)

    def _compared(self, x: Atom, y: Atom, less: bool, past: bool) -> list[Limit]:
        """x < y, or x <= y if past, or the other way round if not less."""
        if not less:
            x, y = y, x
        left, right = self._linear(x, 0), self._linear(y, 0)
        const = right.const - left.const
        along = dict(right.along)
        for a, n in left.along.items():
            along[a] = along.get(a, 0) - n
        terms = [*right.terms, *[(-n, v, dims) for n, v, dims in left.terms]]
        taken = {a for _, _, dims in terms for a in dims}
        found = []
        for axis, n in along.items():
            # 0 < n i + rest: below rest for n = -1, above -rest for n = 1.
            if n not in (1, -1) or axis in taken:
                continue
            rest = tuple((a, -n * m) for a, m in along.items() if a != axis and m)
            numbers = tuple((-n * m, v, dims) for m, v, dims in terms)
            upper = n == -1
            found.append(Limit(axis, upper, past if upper else not past, -n * const, rest, numbers))
        return found

    def _linear(self, x: Atom, depth: int) -> _Linear:
        """An array of integers as a sum of indices, numbers and elements of others."""
        if isinstance(x, Literal):
            return _Linear(int(x.value), {}, [])
        if (x, depth) not in self.linear:
            self.linear[x, depth] = self._sum(x, depth)
        return self.linear[x, depth]

    def _sum(self, x: Atom, depth: int) -> _Linear:
        eqn = self.makers.get(x)
        if eqn is None or depth > DEEP:
            return _Linear(0, {}, [(1, x, tuple(range(x.ndim)))])  # type: ignore[list-item]
        p = eqn.primitive
        if p is structure.iota:
            return _Linear(0, {eqn.params["axis"]: 1}, [])
        if p in (ops.add, ops.sub):
            a, b = (self._linear(y, depth + 1) for y in eqn.inputs)
            if a.along or b.along:
                return a.plus(b, 1 if p is ops.add else -1)
        places = _places(eqn)
        if places is not None and not any(shift for _, shift in places.values()):
            inner = self._linear(eqn.inputs[0], depth + 1)
            if inner.axes <= places.keys():
                return inner.moved({a: b for a, (b, _) in places.items()})
        return _Linear(0, {}, [(1, x, tuple(range(x.ndim)))])  # type: ignore[list-item]

    # Neutral elements.

    def _find_neutrals(self) -> None:
        """By variable and number: limits without which its elements are that number."""
        for eqn in self.plan.jaxpr.equations:
            if len(eqn.outvars) != 1 or not eqn.outvars[0].ndim:
                continue
            found = self._neutral(eqn)
            if found:
                self.neutrals[eqn.outvars[0]] = found

    def _is(self, x: Atom, number: float) -> Known:
        """The limits without which x is a number."""
        if isinstance(x, Literal):
            return None if x.value == number else NONE
        return self.neutrals.get(x, {}).get(number, NONE)

    def _neutral(self, eqn: Equation) -> dict[float, Limits]:
        p, xs = eqn.primitive, eqn.inputs
        if p is ops.select:
            numbers = {y.value for y in xs[1:] if isinstance(y, Literal)}
            numbers |= {n for y in xs[1:] for n in self.neutrals.get(y, ())}
            return _some({n: self._selected(eqn, lambda y, n=n: self._is(y, n)) for n in numbers})
        places = _places(eqn)
        if places is not None:
            inner = self.neutrals.get(xs[0], {})
            return _some({n: _moved(limits, places) for n, limits in inner.items()})
        if p in (ops.add, ops.sub, ops.mul, ops.max, ops.min):
            return _some({0: both(self._is(xs[0], 0), self._is(xs[1], 0))})
        if p is ops.keep_zeros:
            return _some({0: self._guarded(*xs)})
        if p in (ops.neg, ops.convert, ops.abs, ops.sqrt, ops.square, ops.stop_gradient):
            return _some({0: self._is(xs[0], 0)})
        return {}

    def _guarded(self, product: Atom, *guards: Atom) -> Known:
        """Of keep_zeros: a multiple of a guard is 0 where the guards are, whatever the factor."""
        maker = self.makers.get(product)
        if maker is None or maker.primitive not in (ops.mul, ops.div):
            return NONE
        factors = maker.inputs[:1] if maker.primitive is ops.div else maker.inputs
        if not any(x is g for x in factors for g in guards):
            return NONE
        found: Known = None
        for g in guards:
            found = both(found, self._is(g, 0))
        return found

    def _selected(self, eqn: Equation, ask: Any) -> Known:
        """Limits of select(m, a, b), from those of m and of its sides."""
        m, a, b = eqn.inputs
        limits, exact = self.of_mask(m)
        inside, outside = ask(a), ask(b)
        found = both(either(limits, inside), outside)
        if inside is None and len(limits) == 1 and exact:
            (limit,) = limits
            found = either(found, either(frozenset([limit.turned]), outside))
        return found

    # Elements in vain.

    def _find_vain(self) -> None:
        """By variable: limits without which nobody needs its elements."""
        wanted: dict[Any, Known] = dict.fromkeys(self.plan.jaxpr.outvars, NONE)
        for eqn in reversed(self.plan.jaxpr.equations):
            out = wanted.get(eqn.outvars[0]) if len(eqn.outvars) == 1 else NONE
            places = _places(eqn)
            for number, x in enumerate(eqn.inputs):
                if isinstance(x, Literal) or not x.ndim:
                    continue
                of_x: Known = NONE
                if isinstance(self.plan.rules[eqn], Pointwise):
                    sides = eqn.primitive is ops.select and eqn.inputs[1] is not eqn.inputs[2]
                    chosen = self._chosen(eqn.inputs[0], number == 1) if sides and number else NONE
                    of_x = either(out, chosen)
                    if eqn.primitive is ops.keep_zeros and not number:
                        of_x = either(of_x, self._guarded(*eqn.inputs) or NONE)
                elif eqn.primitive is indexing.scatter_add and number:
                    of_x = self.of_scatter(eqn)
                elif eqn.primitive is indexing.gather and number:
                    along = {a: (a, 0) for a in range(x.ndim - 1)}
                    of_x = None if out is None else _moved(out, along)
                elif places is not None:
                    back = {b: (a, -shift) for a, (b, shift) in places.items()}
                    of_x = None if out is None else _moved(out, back)
                wanted[x] = both(wanted[x], of_x) if x in wanted else of_x
        self.vain = {v: found for v, found in wanted.items() if found}

    def _chosen(self, mask: Atom, side: bool) -> Limits:
        """The limits of where a select takes its first side, or the second."""
        limits, exact = self.of_mask(mask)
        if side:
            return limits
        single = len(limits) == 1 and exact
        return frozenset(limit.turned for limit in limits) if single else NONE

    # What stays as it was.

    def _chooses(self, v: Any) -> bool:
        maker = self.makers.get(v)
        return maker is not None and maker.primitive in (ops.select, ops.add, ops.sub)

    def replaced(self, v: Any) -> set[Any]:
        """What v is where nothing is chosen instead of it."""
        maker, depth = self.makers.get(v), 0
        while maker is not None and depth < DEEP:
            if maker.primitive is ops.select:
                v = maker.inputs[2]
            elif maker.primitive in (ops.add, ops.sub):
                v = maker.inputs[0]
            else:
                break
            maker, depth = self.makers.get(v), depth + 1
        return {v}

    def _as_before(self, x: Any, old: Set[Any], depth: int, known: dict[Any, Known]) -> Known:
        """The limits without which x is what it replaces. known: the answers so far, by variable
        and depth: what several operations read is looked at once."""
        if isinstance(x, Literal) or depth > DEEP:
            return NONE
        if x in old or x not in self.makers:
            return None if x in old else NONE
        key = x, depth
        if key not in known:
            known[key] = self._after(
                self.makers[x], lambda y: self._as_before(y, old, depth + 1, known)
            )
        return known[key]

    def _after(self, eqn: Equation, ask: Callable[[Atom], Known]) -> Known:
        """The limits without which a result is what it replaces; ask: those of an operand."""
        if eqn.primitive is ops.select:
            return self._selected(eqn, ask)
        if eqn.primitive in (ops.add, ops.sub):
            a, b = eqn.inputs
            found = both(ask(a), self._is(b, 0))
            if found == NONE and eqn.primitive is ops.add:
                found = both(ask(b), self._is(a, 0))
            return found
        places = _places(eqn)
        inner = NONE if places is None else ask(eqn.inputs[0])
        return None if inner is None else _moved(inner, places or {})

    # Reductions.

    def _of_element(self, eqn: Equation, rule: Reduction) -> Limits:
        """Limits, along the axes of the space, without which nothing is added: all factors have to
        be neutral there."""
        identity, found = rule.identity(eqn.outvars[0].dtype), None
        for x, axes in rule.operands(eqn):
            limits = self._is(x, identity)
            if limits is not None:
                limits = _moved(limits, {i: (a, 0) for i, a in enumerate(axes) if a is not None})
            found = both(found, limits)
        return found or NONE


@dataclass(frozen=True, slots=True)
class _Linear:
    """A sum: a number, multiples of indices along axes, multiples of elements of variables."""

    const: int
    along: dict[int, int]
    terms: list[tuple[int, Var, tuple[int, ...]]]

    @property
    def axes(self) -> set[int]:
        """The axes that it depends on."""
        return {*self.along, *[a for _, _, dims in self.terms for a in dims]}

    def plus(self, other: _Linear, sign: int) -> _Linear:
        """The sum, or the difference, of two."""
        along = dict(self.along)
        for a, n in other.along.items():
            along[a] = along.get(a, 0) + sign * n
        found = {(v, dims): n for n, v, dims in self.terms}
        for n, v, dims in other.terms:
            found[v, dims] = found.get((v, dims), 0) + sign * n
        terms = [(n, v, dims) for (v, dims), n in found.items()]
        return _Linear(self.const + sign * other.const, along, terms)

    def moved(self, axes: Mapping[int, int]) -> _Linear:
        """The same along other axes."""
        terms = [(n, v, tuple(axes[a] for a in dims)) for n, v, dims in self.terms]
        return _Linear(self.const, {axes[a]: n for a, n in self.along.items()}, terms)


#: Whether the first is less, and whether they may be equal.
_COMPARISONS = {
    ops.lt: (True, False), ops.le: (True, True), ops.gt: (False, False), ops.ge: (False, True),
}  # fmt: skip


def _places(eqn: Equation) -> dict[int, tuple[int, int]] | None:
    """For what only moves elements: by axis of the operand the axis of the result that runs along
    it, and what has to be added to its index; None for all else."""
    p, params = eqn.primitive, eqn.params
    if p is structure.broadcast:
        return {a: (b, 0) for a, b in enumerate(params["dims"])}
    if p is structure.permute:
        return {a: (b, 0) for b, a in enumerate(params["order"])}
    if p is structure.slice:
        steps = zip(params["start"], params["stride"], strict=True)
        return {a: (a, start) for a, (start, stride) in enumerate(steps) if stride == 1}
    if p is structure.reshape:
        old, new = eqn.inputs[0].shape, params["shape"]
        left, right = ([a for a, n in enumerate(shape) if n != 1] for shape in (old, new))
        if [old[a] for a in left] == [new[a] for a in right]:
            return {a: (b, 0) for a, b in zip(left, right, strict=True)}
    return None


def _moved(limits: Limits, places: Mapping[int, tuple[int, int]]) -> Limits:
    return frozenset(m for limit in limits if (m := limit.moved(places)) is not None)


def _some(found: Mapping[float, Known]) -> dict[float, Limits]:
    return {n: limits for n, limits in found.items() if limits}


def _wide(limits: Iterable[Limit | None], space: tuple[int, ...]) -> Limits:
    """Those along axes that are long."""
    return frozenset(x for x in limits if x is not None and space[x.axis] >= WIDE)
