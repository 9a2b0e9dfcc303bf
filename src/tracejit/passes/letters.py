"""Products of arrays by letters, as in einsum: what a value is in all rounds of a loop at once.

    dot(A[i, :], select(k < i, B, 0))     A: i k     B: k j     mask: k i     sum: k     value: j

Each factor lies in memory outside of the loop and has a letter for each of its axes; the loop's
counter is a letter, too. So a product of vectors in a loop is seen as the product of matrices that
all rounds are together, and is emitted as such.

A mask that runs along a letter that is summed is put on those of the factors that it covers which
have its letters. The others are read where the loop does not read them, and multiplied by 0: that
is right where they are finite, and NaN where not. `Product.trusts` says that this happened.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from tracejit.ir.atoms import Atom, Literal
from tracejit.ir.types import ArrayType, array_type
from tracejit.ops.contraction import dot
from tracejit.ops.elementwise import mul, not_, select
from tracejit.ops.structure import broadcast, permute, reduce_sum, reshape

#: A product of matrices has at least so many rows, columns and terms, and multiplications.
NARROW, FEW = 4, 1 << 14


@dataclass(eq=False, slots=True)
class Letter:
    """What an axis runs along."""

    size: int


Letters = tuple[Letter, ...]
#: An array outside of the loop, and the letters of its axes.
Factor = tuple[Atom, Letters]


class Mask(NamedTuple):
    """Where a product is not 0; covers: the numbers of the factors that are not read elsewhere."""

    atom: Atom
    letters: Letters
    covers: frozenset[int]

    def moved(self, by: int) -> Mask:
        """With factors that have other numbers."""
        return self._replace(covers=frozenset(i + by for i in self.covers))


class CannotError(Exception):
    """A value has no such form."""


@dataclass(frozen=True, slots=True)
class Product:
    """scale times the sum of the product of the factors, where all masks hold, and else 0.

    axes: the letters of the value's axes; None: of one element. A letter that no factor has
    repeats the value.
    """

    dtype: np.dtype
    axes: tuple[Letter | None, ...]
    factors: tuple[Factor, ...] = ()
    masks: tuple[Mask, ...] = ()
    scale: float = 1
    sums: frozenset[Letter] = frozenset()
    trusts: bool = False

    @property
    def of_factors(self) -> list[Letters]:
        """The letters of each factor and of each mask."""
        return [*[f[1] for f in self.factors], *[m.letters for m in self.masks]]

    @property
    def letters(self) -> list[Letter]:
        """All that are not summed, those of the axes last."""
        found = [x for letters in self.of_factors for x in letters]
        own = [x for x in self.axes if x is not None]
        rest = [x for x in dict.fromkeys(found) if x not in self.sums and x not in own]
        return rest + own

    @property
    def is_plain(self) -> bool:
        """Whether it is one array, or a number."""
        return len(self.factors) < 2 and not self.masks and not self.sums

    def renamed(self, names: dict[Letter, Letter]) -> Product:
        """With other letters."""

        def of(letters: Letters) -> Letters:
            return tuple(names.get(a, a) for a in letters)

        return replace(
            self, factors=tuple((x, of(letters)) for x, letters in self.factors),
            masks=tuple(m._replace(letters=of(m.letters)) for m in self.masks),
            axes=tuple(a if a is None else names.get(a, a) for a in self.axes),
            sums=frozenset(names.get(a, a) for a in self.sums),
        )  # fmt: skip


def fresh(shape: Sequence[int]) -> tuple[Letter | None, ...]:
    """New letters for the axes of a shape."""
    return tuple(None if n == 1 else Letter(n) for n in shape)


def whole(x: Atom) -> Product:
    """An array outside of the loop, or a literal."""
    axes = fresh(x.shape)
    if isinstance(x, Literal):
        return Product(x.dtype, axes, scale=x.value)
    if None in axes:
        x = drop_units(x)
    return Product(x.dtype, axes, ((x, tuple(a for a in axes if a is not None)),))


def drop_units(x: Atom) -> Atom:
    """Without axes of one element."""
    shape = tuple(n for n in x.shape if n != 1)
    return x if shape == x.shape else reshape(x, shape=shape)


@dataclass(slots=True)
class Algebra:
    """Emits products, into the current builder; the results have at most `limit` elements."""

    loop: Letter
    limit: int
    #: Of the last array: whether it is a product of matrices, and right for finite factors only.
    is_matrix: bool = field(default=False, init=False)
    trusts: bool = field(default=False, init=False)
    #: Whether any array was a product of matrices.
    found: bool = field(default=False, init=False)

    # Forms.

    def apart(self, p: Product) -> Product:
        """With letters of its own, but for the loop's."""
        everywhere = {*p.letters, *p.sums} - {self.loop}
        return p.renamed({a: Letter(a.size) for a in everywhere})

    def aligned(self, ps: Sequence[Product]) -> list[Product]:
        """Of one shape, with the same letters for their axes."""
        first, found = ps[0], [ps[0]]
        for p in ps[1:]:
            q = self.apart(p)
            pairs = zip(q.axes, first.axes, strict=True)
            q = q.renamed({a: b for a, b in pairs if a is not None and b is not None})
            found.append(q)
        return found

    def solid(self, p: Product) -> Product:
        """The same as one array, or with nothing summed."""
        return self.plain(p) if p.sums else p

    def plain(self, p: Product) -> Product:
        """The same as one array."""
        if p.is_plain and p.scale == 1 and p.factors:
            return p
        if not p.factors and not p.masks and not p.sums:
            return p
        used = {x for letters in p.of_factors for x in letters}
        letters = tuple(x for x in p.letters if x in used)
        x = self.array(p, letters)
        return Product(p.dtype, p.axes, ((x, letters),), trusts=self.trusts)

    def times(self, p: Product, q: Product) -> Product:
        """The product of two of one shape."""
        p, q = self.aligned([self.solid(p), self.solid(q)])
        return replace(
            p, factors=p.factors + q.factors, masks=joined(p, q), scale=p.scale * q.scale,
            trusts=p.trusts or q.trusts,
        )  # fmt: skip

    def masked(self, p: Product, mask: Product, side: bool = True) -> Product:
        """p where a mask of its shape holds, or where it does not."""
        p, m = self.aligned([p, self.plain(mask)])
        if not m.factors:
            return p if bool(m.scale) == side else replace(p, factors=(), masks=(), scale=0)
        ((x, letters),) = m.factors
        covers = frozenset(range(len(p.factors)))
        chosen = Mask(x if side else not_(x), letters, covers)
        return replace(p, masks=(*p.masks, chosen), trusts=p.trusts or m.trusts)

    # Arrays.

    def array(self, p: Product, letters: Sequence[Letter]) -> Atom:
        """p as an array whose axes are these letters."""
        self.is_matrix, self.trusts = False, p.trusts
        if math.prod(x.size for x in letters) > self.limit:
            raise CannotError
        if not p.factors and not p.masks:
            count = math.prod(x.size for x in p.sums)
            return Literal(p.scale * count if p.sums else p.scale, _type(p.dtype, letters))
        if p.dtype.kind != "f" and (p.sums or p.scale != 1 or p.masks):
            raise CannotError
        masks = united(p.masks)
        result = [m for m in masks if self._is_of_result(m, p)]
        inner = [m for m in masks if m not in result]
        outside = [self._outside(p, m, masks, letters) for m in result]
        factors = [*p.factors] or [(Literal(1, _type(p.dtype, ())), ())]
        factors = self._merged(self._masked(factors, inner), p.sums)
        scale = p.scale * math.prod(
            x.size for x in p.sums if all(x not in own for _, own in factors)
        )
        x, own = self._summed(factors, p.sums, letters)
        if scale != 1:
            x = mul(x, Literal(scale, x.type))
        x = spread(x, own, letters)
        for m, other in zip(result, outside, strict=True):
            x = select(spread(m.atom, m.letters, letters), x, other)
        return x

    def _is_of_result(self, mask: Mask, p: Product) -> bool:
        """Whether a mask is put on a result, not on a factor."""
        own = set(mask.letters)
        if not p.sums.isdisjoint(own):
            return False
        return len(mask.covers) == len(p.factors) or not any(
            own <= set(p.factors[i][1]) for i in mask.covers
        )

    def _outside(
        self, p: Product, mask: Mask, masks: Sequence[Mask], letters: Sequence[Letter]
    ) -> Atom:
        """What a product is where a mask does not hold: 0, or NaN of a factor not covered."""
        others = [i for i in range(len(p.factors)) if i not in mask.covers]
        if not others:
            return Literal(0, _type(p.dtype, letters))
        if len(others) > 1:
            raise CannotError
        (i,) = others
        self.trusts = self.trusts or any(i in m.covers for m in masks)
        x, own = p.factors[i]
        gone = tuple(a for a, letter in enumerate(own) if letter in p.sums)
        nothing = mul(x, Literal(0, x.type))
        kept = [a for a in own if a not in p.sums]
        return spread(reduce_sum(nothing, axes=gone) if gone else nothing, kept, letters)

    def _merged(self, factors: list[Factor], sums: Iterable[Letter]) -> list[Factor]:
        """At most two, if something is summed; a factor goes to one that has all its letters."""
        while len(factors) > 1:
            pairs = [
                (small, large) for small in factors for large in factors
                if small is not large and set(small[1]) <= set(large[1])
            ]  # fmt: skip
            if len(factors) == 2 and sums:
                return factors
            if not pairs:
                if sums:
                    raise CannotError
                pairs = [(factors[0], factors[1])]
            small, large = min(pairs, key=lambda pair: pair[0][0].type.size)
            letters = tuple(dict.fromkeys((*large[1], *small[1])))
            both = mul(spread(*large, letters), spread(*small, letters))
            factors = [(both, letters), *[f for f in factors if f is not small and f is not large]]
        return factors

    def _masked(self, factors: list[Factor], masks: Sequence[Mask]) -> list[Factor]:
        """The masks on the factors that have their letters."""
        for m in masks:
            having = [i for i in m.covers if set(m.letters) <= set(factors[i][1])]
            if not having:
                raise CannotError
            self.trusts = self.trusts or len(having) < len(m.covers)
            for i in having:
                x, own = factors[i]
                factors[i] = select(spread(m.atom, m.letters, own), x, Literal(0, x.type)), own
        return factors

    def _summed(
        self, factors: list[Factor], sums: Iterable[Letter], wanted: Sequence[Letter]
    ) -> Factor:
        """The sum over some letters of the product of one or two factors."""
        sums = set(sums)
        for i, (x, own) in enumerate(factors):
            others = {a for j, (_, letters) in enumerate(factors) if j != i for a in letters}
            alone = tuple(a for a, letter in enumerate(own) if letter in sums - others)
            if alone:
                x = reduce_sum(x, axes=alone)
                factors[i] = (x, tuple(a for a in own if a not in sums - others))
        if len(factors) == 1:
            return factors[0]
        (x, of_x), (y, of_y) = factors
        both = [a for a in of_x if a in of_y]
        batch = [a for a in both if a not in sums]
        contract = [a for a in both if a in sums]
        rows, columns = ([a for a in own if a not in both] for own in (of_x, of_y))
        first = [a for a in wanted if a not in batch]
        if first and first[0] in columns:
            (x, of_x, rows), (y, of_y, columns) = (y, of_y, columns), (x, of_x, rows)
        sizes = [math.prod(a.size for a in part) for part in (rows, columns, contract)]
        self.is_matrix = min(sizes) >= NARROW and math.prod(sizes) >= FEW
        self.found = self.found or self.is_matrix
        result = dot(
            x, y, batch=_axes(batch, of_x, of_y), contract=_axes(contract, of_x, of_y)
        )
        return result, (*batch, *rows, *columns)


def joined(p: Product, q: Product) -> tuple[Mask, ...]:
    """The masks of a product of two."""
    return (*p.masks, *[m.moved(len(p.factors)) for m in q.masks])


def united(masks: Sequence[Mask]) -> list[Mask]:
    """Masks that are the same as one, which covers what each of them does."""
    found: dict[tuple[Atom, Letters], Mask] = {}
    for m in masks:
        same = found.get((m.atom, m.letters))
        covers = m.covers if same is None else m.covers | same.covers
        found[m.atom, m.letters] = m._replace(covers=covers)
    return [*found.values()]


def _type(dtype: np.dtype, letters: Sequence[Letter]) -> ArrayType:
    return array_type(dtype, tuple(a.size for a in letters))


def _axes(
    which: Sequence[Letter], of_x: Letters, of_y: Letters
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    return tuple(of_x.index(a) for a in which), tuple(of_y.index(a) for a in which)


def spread(x: Atom, own: Sequence[Letter], wanted: Sequence[Letter]) -> Atom:
    """x, whose axes have some letters, as an array whose axes have these."""
    kept = [a for a in wanted if a in own]
    if list(own) != kept:
        x = permute(x, order=tuple(own.index(a) for a in kept))
    if len(kept) == len(wanted):
        return x
    shape = tuple(a.size for a in wanted)
    return broadcast(x, dims=tuple(wanted.index(a) for a in kept), shape=shape)
