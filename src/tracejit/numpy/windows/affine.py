"""Traced integers in normal form: sums of symbols, equal where they are the same number.

    i + 3 - i            3
    rows[i + 1]          one symbol, however often it is written: one equation on one input
    2 * (i - 1) + 2      2 i

A symbol is what is no sum: an argument, an element that is read, a minimum. `Trace.bounds_of` says
in which range loop indices lie; that of a sum, a minimum, a remainder follows. Sums are taken to
stay within their dtype.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any

from tracejit.ir.atoms import Atom, Literal, Var
from tracejit.ir.effects import is_effectful
from tracejit.ir.graph import Equation
from tracejit.ir.types import INT64
from tracejit.numpy.arrays import convert, splat
from tracejit.ops import elementwise
from tracejit.ops.ranges import OpenRange, ends_of
from tracejit.trace.tracer import Constant, Trace, Tracer, bind, current_trace

#: How many equations behind a value are looked at; what is further off is itself alone.
_LOOKED_AT = 256

_counter = itertools.count()


class Symbol:
    """A traced integer that is not a sum of others. `tracer` is it, in the trace of its birth.

    divided: of a truncated quotient or remainder by a known number, its name, the range of what is
    divided, and by what.
    """

    __slots__ = ("divided", "number", "range", "tracer")

    def __init__(
        self, tracer: Tracer, range: OpenRange, divided: tuple[str, OpenRange, int] | None = None
    ):
        self.number = next(_counter)
        self.tracer = tracer
        self.range = range
        self.divided = divided


@dataclass(frozen=True, slots=True)
class Affine:
    """The sum of symbols, each times a whole number, and a constant."""

    terms: tuple[tuple[Symbol, int], ...] = ()
    constant: int = 0

    def __add__(self, other: Affine | int) -> Affine:
        other = affine(other)
        counts = dict(self.terms)
        for symbol, count in other.terms:
            counts[symbol] = counts.get(symbol, 0) + count
        kept = sorted((t for t in counts.items() if t[1]), key=lambda t: t[0].number)
        return Affine(tuple(kept), self.constant + other.constant)

    def __sub__(self, other: Affine | int) -> Affine:
        return self + affine(other) * -1

    def __mul__(self, factor: int) -> Affine:
        if not factor:
            return Affine()
        return Affine(tuple((s, c * factor) for s, c in self.terms), self.constant * factor)

    @property
    def known(self) -> int | None:
        """The number, if it is one."""
        return None if self.terms else self.constant

    @property
    def range(self) -> OpenRange:
        """The least and the greatest value."""
        ends = [(s.range if c > 0 else s.range[::-1], c) for s, c in self.terms]
        low, high = (sum(c * ends_[k] for ends_, c in ends) for k in (0, 1))
        return low + self.constant, high + self.constant

    def at_least(self, other: Affine | int) -> bool:
        """Whether it is certain that this is not below the other."""
        return (self - other).range[0] >= 0

    def value(self) -> Tracer | Literal:
        """The number, computed in the current trace where it is traced."""
        if not self.terms:
            return splat(self.constant, INT64, ())
        return once(self, lambda: _sum(self))


def _sum(form: Affine) -> Tracer:
    """The equations of a sum: positive terms first, so that most are one addition."""
    terms = sorted(form.terms, key=lambda t: -t[1])
    total, rest = (None, form.constant) if terms[0][1] > 0 else (form.constant, 0)
    result: Any = None if total is None else splat(total, INT64, ())
    for symbol, count in terms:
        x = convert(symbol.tracer, INT64)
        if abs(count) != 1:
            x = bind(elementwise.mul, x, splat(abs(count), INT64, ()))
        if result is None:
            result = x
        else:
            result = bind(elementwise.add if count > 0 else elementwise.sub, result, x)
    return bind(elementwise.add, result, splat(rest, INT64, ())) if rest else result


def affine(x: Any) -> Affine:
    """The normal form of a Python number, a NumPy integer or a traced integer."""
    if isinstance(x, Affine):
        return x
    if isinstance(x, Tracer):
        trace = x.owner
        return numbering_of(trace).form(trace, x.atom)
    return Affine(constant=int(x))


def smaller(x: Affine, y: Affine) -> Affine:
    """The lesser of two."""
    return x if y.at_least(x) else y if x.at_least(y) else _bound(elementwise.min, x, y)


def larger(x: Affine, y: Affine) -> Affine:
    """The greater of two."""
    return x if x.at_least(y) else y if y.at_least(x) else _bound(elementwise.max, x, y)


def counted_from_end(x: Affine, n: Affine) -> Affine:
    """An index of n elements, where a negative one counts from the end."""
    low, high = x.range
    if low >= 0 or high < 0:
        return x if low >= 0 else x + n
    return once(("from end", x, n), lambda: _counted_from_end(x, n))


def _counted_from_end(x: Affine, n: Affine) -> Affine:
    below = bind(elementwise.lt, x.value(), splat(0, INT64, ()))
    return affine(bind(elementwise.select, below, (x + n).value(), x.value()))


def _bound(primitive: Any, x: Affine, y: Affine) -> Affine:
    return once((primitive, x, y), lambda: affine(bind(primitive, x.value(), y.value())))


def once(key: Hashable, make: Callable[[], Any]) -> Any:
    """What `make` computes in the current trace: for each key the first time only."""
    trace = current_trace()
    assert trace is not None
    made = numbering_of(trace).made
    if key not in made:
        made[key] = make()
    return made[key]


# The numbers of a trace


class Numbering:
    """What is known of the values of a trace: structural names, and the forms of its integers.

    made: the sums and masks that have been computed in the trace already.
    """

    def __init__(self) -> None:
        self.made: dict[Hashable, Any] = {}
        self._makers: dict[Var, Equation] = {}
        self._origins: dict[Var, Any] = {}
        self._names: dict[Var, Hashable] = {}
        self._table: dict[Hashable, Hashable] = {}
        self._read = 0

    def form(self, trace: Trace, atom: Atom) -> Affine:
        """The normal form of an integer."""
        name = self.name(trace, atom)
        assert isinstance(name, Affine), name
        return name

    def name(self, trace: Trace, atom: Atom) -> Hashable:
        """A name that equal values share: of an integer its form, else a variable or literal."""
        if isinstance(atom, Literal):
            return Affine(constant=int(atom.value)) if _is_integer(atom) else atom
        assert isinstance(atom, Var)
        if atom not in self._names:
            self._catch_up(trace)
            self._name_with_inputs(trace, atom)
        return self._names[atom]

    def maker(self, trace: Trace, atom: Atom) -> Equation | None:
        """The equation of the trace that computes an atom; None for what is given to it."""
        self._catch_up(trace)
        return self._makers.get(atom) if isinstance(atom, Var) else None

    def _catch_up(self, trace: Trace) -> None:
        for eqn in itertools.islice(trace.equations, self._read, None):
            self._makers.update(dict.fromkeys(eqn.outvars, eqn))
        self._read = len(trace.equations)
        if len(self._origins) < len(trace.captured):
            self._origins = dict(trace.captured.values())

    def _name_with_inputs(self, trace: Trace, wanted: Var) -> None:
        pending, budget = [wanted], _LOOKED_AT
        while pending:
            var, budget = pending[-1], budget - 1
            eqn = self._makers.get(var) if budget > 0 else None
            inputs = eqn.inputs if eqn else ()
            missing = [x for x in inputs if isinstance(x, Var) and x not in self._names]
            if missing:
                pending.extend(missing)
                continue
            pending.pop()
            if var not in self._names:
                self._names[var] = (
                    self._given(trace, var) if eqn is None else self._computed(trace, var, eqn)
                )

    def _given(self, trace: Trace, var: Var) -> Hashable:
        """The name of an argument, or of a value from outside."""
        if not _is_integer(var):
            return var
        bounds = trace.bounds_of.get(var)
        origin = self._origins.get(var)
        if bounds is None and isinstance(origin, Constant):
            return Affine(constant=int(origin.value))
        if isinstance(origin, Tracer) and origin.owner is not trace:
            return affine(origin)
        low = 0 if var.dtype.kind == "u" else -inf
        return _symbol(trace, var, bounds or (low, inf))

    def _computed(self, trace: Trace, var: Var, eqn: Equation) -> Hashable:
        """The name of what an equation computes."""
        names = [self.name(trace, x) for x in eqn.inputs]
        if _is_integer(var) and (rule := _FORMS.get(eqn.primitive.name)):
            found = rule(*names)
            if found is not None:
                return found
        key = self._key(eqn, var, names)
        if key not in self._table:
            self._table[key] = self._new(trace, var, eqn, names)
        return self._table[key]

    def _key(self, eqn: Equation, var: Var, names: Sequence[Hashable]) -> Hashable:
        key = (eqn.primitive, tuple(names), tuple(sorted(eqn.params.items())),
               eqn.outvars.index(var), var.type)  # fmt: skip
        try:
            hash(key)
        except TypeError:
            return var
        return var if is_effectful(eqn) else key

    def _new(
        self, trace: Trace, var: Var, eqn: Equation, names: Sequence[Hashable]
    ) -> Hashable:
        if not _is_integer(var):
            return var
        name = eqn.primitive.name
        rule = _RANGES.get(name)
        forms = [x.range if isinstance(x, Affine) else (-inf, inf) for x in names]
        low, high = rule(eqn, *forms) if rule else (-inf, inf)
        bounds = trace.bounds_of.get(var, (-inf, inf))
        divisor = names[1].known if name in ("div", "rem") else None  # type: ignore[attr-defined]
        divided = (name, forms[0], divisor) if divisor else None
        return _symbol(trace, var, (max(low, bounds[0]), min(high, bounds[1])), divided)


def numbering_of(trace: Trace) -> Numbering:
    """The numbering of a trace."""
    if trace.numbering is None:
        trace.numbering = Numbering()
    return trace.numbering


def name_of(x: Tracer) -> Hashable:
    """A name that equal traced values share."""
    trace = x.owner
    return numbering_of(trace).name(trace, x.atom)


def _is_integer(atom: Atom) -> bool:
    return not atom.shape and atom.dtype.kind in "iu"


def _symbol(trace: Trace, var: Var, range: OpenRange, divided: Any = None) -> Affine:
    return Affine(((Symbol(Tracer(trace, var), range, divided), 1),))


# Which equations are sums

Form = Callable[..., Affine | None]


def _product(x: Affine, y: Affine) -> Affine | None:
    if x.known is not None:
        return y * x.known
    return None if y.known is None else x * y.known


def _rounded_down(condition: Hashable, x: Affine, y: Affine) -> Affine | None:
    """What // and % add to a truncated quotient or remainder: nothing, for what is not negative."""
    symbol = y.terms[0][0] if len(y.terms) == 1 else None
    if symbol is None or symbol.divided is None:
        return None
    name, (low, _), divisor = symbol.divided
    step = divisor if name == "rem" else -1
    return y if low >= 0 and divisor > 0 and (x - y).known == step else None


_FORMS: dict[str, Form] = {
    "select": _rounded_down,
    "add": lambda x, y: x + y,
    "sub": lambda x, y: x - y,
    "neg": lambda x: x * -1,
    "mul": _product,
    "convert": lambda x: x if isinstance(x, Affine) else None,
    "reshape": lambda x: x if isinstance(x, Affine) else None,
    "stop_gradient": lambda x: x,
}


# The ranges of what is no sum


def _remainder(eqn: Equation, x: OpenRange, y: OpenRange) -> OpenRange:
    """Of the truncated remainder by a known number: the sign is that of x."""
    if y[0] != y[1] or not y[0]:
        return -inf, inf
    most = abs(y[0]) - 1
    return (0 if x[0] >= 0 else -most), (0 if x[1] <= 0 else min(most, max(x[1], -x[0])))


def _quotient(eqn: Equation, x: OpenRange, y: OpenRange) -> OpenRange:
    """Of the truncated quotient by a known positive number."""
    if y[0] != y[1] or y[0] <= 0:
        return -inf, inf
    low, high = (v if abs(v) == inf else int(v / y[0]) for v in x)
    return low, high


def _index(eqn: Equation, x: OpenRange) -> OpenRange:
    return 0, max(eqn.inputs[0].shape[eqn.params["axis"]] - 1, 0)


_RANGES: dict[str, Callable[..., OpenRange]] = {
    "max": lambda eqn, x, y: ends_of("max", (x, y)),
    "min": lambda eqn, x, y: ends_of("min", (x, y)),
    "select": lambda eqn, c, x, y: (min(x[0], y[0]), max(x[1], y[1])),
    "rem": _remainder,
    "div": _quotient,
    "abs": lambda eqn, x: (max(x[0], -x[1], 0), max(abs(x[0]), abs(x[1]))),
    "argmax": _index,
    "argmin": _index,
    "convert": lambda eqn, x: (0, 1) if eqn.inputs[0].dtype.kind == "b" else (-inf, inf),
}
