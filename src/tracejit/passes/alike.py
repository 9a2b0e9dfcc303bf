"""Which equations of a program are alike, so that they could be one on arrays: see `pack`.

    %2 = mul(%0, 0.3)    %3 = tanh(%2)          mul, mul: one kind        tanh, tanh: one kind
    %4 = mul(%1, 0.3)    %5 = tanh(%4)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tracejit.ir.atoms import Atom, Literal
from tracejit.ir.graph import Equation
from tracejit.ops import elementwise as ops
from tracejit.ops import special
from tracejit.passes.rows import Place, Row

#: Fewer values than this are not packed.
LEAST = 4
#: So many operands are stacked wherever they lie, if the function is dear: a store for each, and a
#: load that has to wait for them, are worth it.
SCATTERED = 8
#: Functions that are dear.
DEAR = frozenset(
    {getattr(ops, name) for name in (
        "exp exp2 expm1 log log2 log10 log1p logistic softplus sin cos tan tanh sinh cosh asin "
        "acos atan atan2 asinh acosh atanh cbrt pow"
    ).split()}
    | {getattr(special, name) for name in (
        "erf erfc erfinv lgamma digamma i0e i1e"
    ).split()}
)  # fmt: skip
#: Here x y = y x to the bit.
COMMUTATIVE = frozenset({ops.add, ops.mul})


@dataclass(slots=True, eq=False)
class Group:
    """Equations that are alike, in the order in which their results lie in the row."""

    depth: int
    members: list[Equation] = field(default_factory=list)
    operands: list[tuple[Atom, ...]] = field(default_factory=list)
    row: Row = field(default_factory=lambda: Row(0))

    def put(self, eqn: Equation, operands: tuple[Atom, ...]) -> None:
        """One more member."""
        self.members.append(eqn)
        self.operands.append(operands)

    def arrange(self, wanted: dict[Atom, Place], places: Mapping[Atom, Place]) -> None:
        """Order the members as they are wanted, or as operands at some position lie in a row."""
        found = [[wanted.get(eqn.outvars[0]) for eqn in self.members]]
        found += [[places.get(x) for x in xs] for xs in zip(*self.operands, strict=True)]
        for column in found:
            known = [place for place in column if place is not None]
            at = [index for _, index in known]
            if len({id(row) for row, _ in known}) == 1 and len(set(at)) == len(column):
                order = sorted(range(len(at)), key=at.__getitem__)
                self.members = [self.members[i] for i in order]
                self.operands = [self.operands[i] for i in order]
                return


class Kinds:
    """Numbers that are equal for what is computed alike, at the same depth, from leaves alike.

    leaf: what tells one leaf from another, beside its type.
    """

    def __init__(self, leaf: Callable[[Atom], Any]):
        self.leaf = leaf
        self.groups: dict[int, Group] = {}
        self._kinds: dict[Atom, int] = {}
        self._depths: dict[Atom, int] = {}
        self._ids: dict[Any, int] = {}

    def take(self, eqn: Equation) -> None:
        """Put an equation with those like it; called for all, in order."""
        depth = 1 + max([self._depths.get(x, 0) for x in eqn.inputs], default=0)
        for v in eqn.outvars:
            self._depths[v] = depth
            self._kinds[v] = self._id((eqn.primitive, v.type))
        if not is_scalar(eqn):
            return
        inputs = eqn.inputs
        if eqn.primitive in COMMUTATIVE:
            inputs = tuple(sorted(inputs, key=self._kind))
        kind = self._id((eqn.primitive, depth, data(eqn), *map(self._kind, inputs)))
        self._kinds[eqn.outvars[0]] = kind
        self.groups.setdefault(kind, Group(depth)).put(eqn, inputs)

    def _id(self, key: Any) -> int:
        return self._ids.setdefault(key, len(self._ids))

    def _kind(self, x: Atom) -> int:
        found = self._kinds.get(x)
        if found is None:
            found = self._id(x if isinstance(x, Literal) else (self.leaf(x), x.type))
        return found


def is_scalar(eqn: Equation) -> bool:
    """Whether an equation computes a number from numbers."""
    primitive = eqn.primitive
    pointwise = primitive.is_pointwise and primitive.single and bool(eqn.inputs)
    return pointwise and not eqn.outvars[0].ndim


def is_dear(eqn: Equation) -> bool:
    """Whether an equation is a dear function of numbers."""
    return eqn.primitive in DEAR and not eqn.outvars[0].ndim


def data(eqn: Equation) -> tuple[Any, ...]:
    """The parameters, to be compared."""
    return tuple(sorted(eqn.params.items())) if eqn.params else ()
