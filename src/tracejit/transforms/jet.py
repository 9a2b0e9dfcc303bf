"""Taylor mode: a jaxpr on truncated power series.

    fn(x) { y = sin(x) }    ->    fn(x, x1, x2) { y = sin(x); c = cos(x); y1 = mul(c, x1); ... }

Along a path x(t) = x0 + x1 t + x2 t^2 + ... each value is a `Series` of coefficients; the k-th is
computed when it is first read, of the earlier ones (streams, after McIlroy, "Power series, power
serious", 1999). So the derivative that a primitive has anyway is enough for all orders:

    y' = D(x, y) x'     hence     y_k = [D(x, y) x']_(k-1) / k                    (`by_derivative`)

where D is a small jaxpr, itself on series: reading its coefficient k - 1 reads y to k - 1, which is
known. For exp, tanh, sqrt, log and their kin this is the recursion that Griewank and Walther give
("Evaluating derivatives", 2008, chapter 13), for others what nested jvp would give, with shared
values found once. Linear operations work on each coefficient. A table of rules says what is done
better in another way, and for operations that hold jaxprs (see `tracejit.series`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tracejit.ir.atoms import Atom, Literal, Var, is_zero, zero
from tracejit.ir.builder import Builder, building
from tracejit.ir.current import current
from tracejit.ir.graph import Equation, Jaxpr
from tracejit.ir.primitive import Joint, Linear, Primitive, Zero, apply_jvp
from tracejit.ir.types import ArrayType, tangent_type
from tracejit.transforms.jvp import Mask
from tracejit.transforms.memo import remembered

Coefficients = Sequence[Atom]


class Series:
    """The coefficients of one value: `series[k]`, zero literals where it does not change."""

    __slots__ = ("_known", "_make", "type", "varies")

    def __init__(self, type: ArrayType, make: Callable[[int], Atom], varies: bool = True):
        self.type = type
        self.varies = varies
        self._make = make
        self._known: dict[int, Atom] = {}

    def __getitem__(self, k: int) -> Atom:
        found = self._known.get(k)
        if found is None:
            constant = k > 0 and not self.varies
            found = zero(tangent_type(self.type)) if constant else self._make(k)
            self._known[k] = found
        return found


def constant(x: Atom) -> Series:
    """A value that does not change along the path."""
    return Series(x.type, lambda k: x, varies=False)


def polynomial(coefficients: Sequence[Atom]) -> Series:
    """A value with these coefficients; behind them come zeros."""
    first = coefficients[0]
    nothing = zero(tangent_type(first.type))
    return Series(first.type, lambda k: coefficients[k] if k < len(coefficients) else nothing)


def rate(x: Series) -> Series:
    """The derivative of a series by t."""
    return Series(x.type, lambda k: scaled(x[k + 1], k + 1), x.varies)


# What rules are written with.


def scaled(x: Atom, factor: float) -> Atom:
    """x * factor, without the multiplication of a zero, or by 1."""
    return x if is_zero(x) or factor == 1 else x * float(factor)


def divided(x: Atom, divisor: float) -> Atom:
    """x / divisor, without the division of a zero, or by 1."""
    return x if is_zero(x) or divisor == 1 else x / float(divisor)


def total(terms: Iterable[Atom], type: ArrayType) -> Atom:
    """The sum of those terms that are not zero."""
    result: Atom = zero(tangent_type(type))
    for term in terms:
        if not is_zero(term):
            result = term if is_zero(result) else result + term
    return result


def convolution(
    product: Callable[[Atom, Atom], Atom], x: Series, y: Series, places: Iterable[tuple[int, int]],
    type: ArrayType,
) -> Atom:  # fmt: skip
    """The sum of product(x_i, y_j) over pairs (i, j)."""
    terms = (product(x[i], y[j]) for i, j in places if not (is_zero(x[i]) or is_zero(y[j])))
    return total(terms, type)


# Rules.


@dataclass(frozen=True, slots=True)
class Coefficient:
    """A rule that makes coefficients one at a time.

    `start(use)` gives a function k -> the k-th coefficients of all results, which reads of the
    results (`use.outs`) only earlier ones.
    """

    start: Callable[[Use], Callable[[int], Coefficients]]


@dataclass(frozen=True, slots=True)
class Whole:
    """A rule for an operation that holds jaxprs: through(use, k) -> for each result, its
    coefficients 0 .. k."""

    through: Callable[[Use, int], Sequence[Coefficients]]


Rule = Coefficient | Whole


@dataclass(frozen=True, slots=True, eq=False)
class Rules:
    """A table of rules; primitives without a row have what their jvp says."""

    rows: Mapping[Primitive, Rule]

    def rule(self, primitive: Primitive) -> Rule:
        if primitive in self.rows:
            return self.rows[primitive]
        match primitive.jvp:
            case Zero():
                return FIXED
            case Linear():
                return LINEAR
            case _:
                return DERIVATIVE


class Use:
    """One operation on series: `inputs`, `outs`, `params`."""

    def __init__(
        self, rules: Rules, primitive: Primitive, inputs: Sequence[Series], params: dict[str, Any]
    ):
        self.rules = rules
        self.primitive = primitive
        self.inputs = inputs
        self.params = params
        self._rule = rules.rule(primitive)
        self._known: dict[int, Coefficients] = {}
        varies = any(x.varies for x in inputs) and self._rule is not FIXED
        self._step = self._start if varies else _fixed(self)
        self.outs: list[Series] = []
        for i, type in enumerate(self._types()):
            moves = varies and tangent_type(type) == type
            self.outs.append(Series(type, lambda k, i=i: self.at(k)[i], moves))  # type: ignore[misc]

    def _types(self) -> tuple[ArrayType, ...]:
        return self.primitive.typing(*[x.type for x in self.inputs], **self.params)

    def _start(self, k: int) -> Coefficients:
        """The first look at a coefficient prepares those that follow."""
        rule = self._rule
        if isinstance(rule, Coefficient):
            self._step = rule.start(self)
            return self._step(k)
        columns = rule.through(self, k)
        self._known = dict(enumerate(zip(*columns, strict=True)))
        return self._known[k]

    def at(self, k: int) -> Coefficients:
        """The k-th coefficients of all results."""
        if k not in self._known:
            self._known[k] = self._step(k)
        return self._known[k]

    def bind(self, *inputs: Atom) -> Coefficients:
        """The operation on atoms."""
        return self.primitive.bind(*inputs, **self.params)

    def value(self) -> Coefficients:
        """The operation on the values, coefficients 0."""
        return self.bind(*[x[0] for x in self.inputs])

    def through(self, order: int) -> None:
        """Compute all coefficients up to this one, in order; of loops, at once.

        The operation itself is done even if nobody reads it: it may have effects.
        """
        self.at(order if isinstance(self._rule, Whole) else 0)
        for k in range(order + 1):
            for y in self.outs:
                y[k]


def _fixed(use: Use) -> Callable[[int], Coefficients]:
    return lambda k: use.value()


def _linear(use: Use) -> Callable[[int], Coefficients]:
    """The operation on the k-th coefficients of what it is linear in."""
    operands = use.primitive.jvp.operands  # type: ignore[union-attr]
    places = range(len(use.inputs)) if operands is None else operands

    def step(k: int) -> Coefficients:
        if k and all(is_zero(use.inputs[i][k]) for i in places):
            return [zero(tangent_type(y.type)) for y in use.outs]
        return use.bind(*[x[k if i in places else 0] for i, x in enumerate(use.inputs)])

    return step


def by_derivative(use: Use) -> Callable[[int], Coefficients]:
    """From y' = D(x, y) x', D being what the primitive's jvp says."""
    rates: list[tuple[Series, list[Use]]] = []

    def step(k: int) -> Coefficients:
        if k == 0:
            return use.value()
        if not rates:
            rates.extend(_rates(use))
        outs = []
        for y, needed in rates:
            for inner in needed:
                inner.at(k - 1)
            outs.append(divided(y[k - 1], k))
        return outs

    return step


def _rates(use: Use) -> list[tuple[Series, list[Use]]]:
    """The derivatives of the results by t, each with the operations that lead to it, in order."""
    equations, env, ts = _derivative(use)
    uses: list[tuple[Equation, Use]] = []
    for eqn in equations:
        inner = Use(use.rules, eqn.primitive, [_read(env, x) for x in eqn.inputs], eqn.params)
        uses.append((eqn, inner))
        for v, series in zip(eqn.outvars, inner.outs, strict=True):
            env.setdefault(v, series)
    pairs = []
    for t in ts:
        needed = {t}
        chosen: list[Use] = []
        for eqn, inner in reversed(uses):
            if not needed.isdisjoint(eqn.outvars):
                chosen.append(inner)
                needed.update(eqn.inputs)
        pairs.append((_read(env, t), chosen[::-1]))
    return pairs


def _derivative(use: Use) -> tuple[list[Equation], dict[Atom, Series], Coefficients]:
    """D as equations, the series of its inputs, and its results.

    Its inputs are the operands, the results, which are there already, and the rates of operands.
    """
    xs = [x[0] if isinstance(x[0], Literal) and not x.varies else Var(x.type) for x in use.inputs]
    ts = [Var(x.type) if x.varies else zero(tangent_type(x.type)) for x in use.inputs]
    place = current().provenance
    with building() as builder:
        builder.provenance = place
        rule = use.primitive.jvp
        if isinstance(rule, Joint):
            outs, tangents = rule.rule(xs, ts, **use.params)
        else:
            outs = [Var(y.type) for y in use.outs]
            tangents = apply_jvp(use.primitive, xs, ts, outs, use.params)
    env: dict[Atom, Series] = dict(zip(outs, use.outs, strict=True))
    env.update(zip(xs, use.inputs, strict=True))
    env.update((t, rate(x)) for t, x in zip(ts, use.inputs, strict=True))
    return _missing(builder.equations, tangents, env), env, tangents


def _missing(
    equations: Sequence[Equation], wanted: Iterable[Atom], known: Mapping[Atom, Series]
) -> list[Equation]:
    """The equations that are needed for what is wanted, and gives what is not known."""
    needed = {x for x in wanted if x not in known}
    live = []
    for eqn in reversed(equations):
        if not needed.isdisjoint(eqn.outvars):
            live.append(eqn)
            needed.update(x for x in eqn.inputs if x not in known)
    return live[::-1]


def _read(env: Mapping[Atom, Series], x: Atom) -> Series:
    return constant(x) if isinstance(x, Literal) else env[x]


FIXED, LINEAR, DERIVATIVE = Coefficient(_fixed), Coefficient(_linear), Coefficient(by_derivative)


# The transform.


@remembered
def jet(
    jaxpr: Jaxpr, order: int, degrees: tuple[int, ...], rules: Rules, wanted: Mask | None = None
) -> tuple[Jaxpr, Mask]:
    """The jaxpr of (inputs, their coefficients) -> (outputs, their coefficients), through `order`.

    An input of degree d has coefficients 1 .. d, one behind the other; d is 0 for one that does not
    change. Returns it with a mask: which outputs have coefficients (1 .. order); the others do not
    change. Outputs marked in `wanted` have them in any case.
    """
    with building() as builder:
        invars = [Var(v.type) for v in jaxpr.invars]
        env: dict[Atom, Series] = {}
        moving: list[Var] = []
        for v, x, degree in zip(jaxpr.invars, invars, degrees, strict=True):
            behind = [Var(x.type) for _ in range(degree)]
            moving += behind
            env[v] = polynomial([x, *behind]) if degree else constant(x)
        for eqn in jaxpr.equations:
            _advance(eqn, env, order, rules, builder)
        outs = [_read(env, y) for y in jaxpr.outvars]
        force = wanted or (False,) * len(outs)
        live = tuple(y.varies or f for y, f in zip(outs, force, strict=True))
        behind_outs = [
            y[k] for y, many in zip(outs, live, strict=True) if many for k in range(1, order + 1)
        ]
    return builder.finish([*invars, *moving], [*[y[0] for y in outs], *behind_outs]), live


def _advance(
    eqn: Equation, env: dict[Atom, Series], order: int, rules: Rules, builder: Builder
) -> None:
    """Do one equation on series, through the order."""
    use = Use(rules, eqn.primitive, [_read(env, x) for x in eqn.inputs], eqn.params)
    builder.provenance = eqn.provenance.derived(eqn, "jet")
    use.through(order)
    env.update(zip(eqn.outvars, use.outs, strict=True))
