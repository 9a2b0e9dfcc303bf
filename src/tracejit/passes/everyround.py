"""What the values of a loop's body are in all rounds at once.

    %r = dynamic_slice(%A, %i, 0)       A, its first axis along the loop
    %d = dot(%r, %B)                    A B, as one product

Reads of arrays that a round shares with no other, operations that products have (`letters`), and
others element by element. Behind a loop its values may also be had by keeping them in it: `stacks`.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

from tracejit.ir.atoms import Atom, Literal, Var
from tracejit.ir.builder import Builder, building
from tracejit.ir.graph import Equation
from tracejit.ir.primitive import Primitive
from tracejit.ir.types import BOOL, INT64
from tracejit.ops import elementwise as ops
from tracejit.ops import indexing, structure
from tracejit.ops.contraction import dot, free_axes
from tracejit.passes.letters import (
    Algebra,
    CannotError,
    Letter,
    Mask,
    Product,
    drop_units,
    fresh,
    joined,
    united,
    whole,
)

Makers = Mapping[Atom, Equation]


class Private(NamedTuple):
    """Of a carry: round i reads and writes it at index i + offset of an axis, and nowhere else."""

    axis: int
    offset: int
    writes: tuple[Equation, ...]


class _Once(Builder):
    """Emits equal equations once, so that equal masks are one."""

    def __init__(self) -> None:
        super().__init__()
        self.made: dict[Hashable, tuple[Var, ...]] = {}

    def emit(
        self, primitive: Primitive, inputs: Sequence[Atom], params: dict[str, Any]
    ) -> tuple[Var, ...]:
        """The variables of an equation, which is appended if it is new."""
        key = primitive, tuple(inputs), tuple(sorted(params.items()))
        if key not in self.made:
            self.made[key] = super().emit(primitive, inputs, params)
        return self.made[key]


def counted(x: Atom, makers: Makers, begun: Mapping[Atom, int]) -> int | None:
    """What x adds to a counter, of which some begin with known offsets."""
    if x in begun:
        return begun[x]
    eqn = makers.get(x)
    if eqn is None or eqn.primitive not in (ops.add, ops.sub):
        return None
    a, b = eqn.inputs
    offset = counted(a, makers, begun) if isinstance(b, Literal) else None
    if offset is None:
        return None
    return offset + int(b.value) * (1 if eqn.primitive is ops.add else -1)  # type: ignore[attr-defined]


class Rounds:
    """The values of one scan's body. `builder` takes what is computed outside of the loop."""

    def __init__(self, eqn: Equation, around: Makers, limit: int, free: Rounds | None = None):
        params = eqn.params
        self.eqn, self.body, self.free, self.around = eqn, params["jaxpr"], free, around
        own = Algebra(Letter(params["length"]), limit)
        self.algebra: Algebra = free.algebra if free else own
        self.loop, self.length = self.algebra.loop, params["length"]
        self.builder = _Once()
        self.builder.provenance = eqn.provenance
        self.known: dict[Atom, Product | None] = {}
        self.stacks: dict[Var, Var] = {}
        self.makers: Makers = {v: e for e in self.body.equations for v in e.outvars}
        first, last = params["num_consts"], params["num_consts"] + params["num_carry"]
        self.inits = dict(zip(self.body.invars[first:last], eqn.inputs[first:last], strict=True))
        #: Arrays from outside that no round changes.
        given = zip(self.body.invars[:first], eqn.inputs, strict=False)
        self.shared: dict[Atom, Atom] = dict(given)
        ends = zip(self.inits, self.body.outvars, strict=False)
        self.shared |= {v: self.inits[v] for v, y in ends if y is v}
        self.rows = dict(zip(self.body.invars[last:], eqn.inputs[last:], strict=True))
        self.counters = {
            v: offset for v, x in self.rows.items()
            if (offset := self._begin(x, around)) is not None
        }
        self.private = {
            v: found for v in self.inits
            if v not in self.shared and (found := self._private(v)) is not None
        }

    # Counters and places.

    def _begin(self, x: Atom, around: Makers) -> int | None:
        """The first number of a counter."""
        first, made = x, around.get(x)
        while made is not None and made.primitive in (ops.add, ops.sub):
            first = made.inputs[0]
            made = around.get(first)
        if made is None or made.primitive is not structure.iota or made.outvars[0].ndim != 1:
            return None
        return counted(x, around, {first: 0})

    def at(self, start: Atom) -> int | None:
        """The offset of a start that follows the counter."""
        return counted(start, self.makers, self.counters)

    def _private(self, carry: Var) -> Private | None:
        versions: set[Atom] = {carry}
        places, writes = [], []
        for eqn in self.body.equations:
            if versions.isdisjoint(eqn.inputs):
                continue
            if eqn.primitive is indexing.dynamic_slice:
                places.append((eqn.inputs[1:], eqn.params["sizes"]))
            elif eqn.primitive is indexing.dynamic_update_slice and eqn.inputs[0] in versions:
                if eqn.inputs[1] in versions:
                    return None
                places.append((eqn.inputs[2:], eqn.inputs[1].shape))
                versions.add(eqn.outvars[0])
                writes.append(eqn)
            else:
                return None
        if sum(y in versions for y in self.body.outvars) > 1:
            return None
        for axis in range(carry.ndim):
            found = {self.at(s[axis]) if sizes[axis] == 1 else None for s, sizes in places}
            (offset,) = found if len(found) == 1 else (None,)
            if offset is not None and 0 <= offset <= carry.shape[axis] - self.length:
                return Private(axis, offset, tuple(writes))
        return None

    # Values.

    def value(self, x: Atom) -> Product:
        """x in all rounds; CannotError if that has no such form."""
        if isinstance(x, Literal):
            return whole(x)
        if x not in self.known:
            try:
                with building(self.builder):
                    self.known[x] = self._value(x)  # type: ignore[arg-type]
            except CannotError:
                self.known[x] = None
        found = self.known[x]
        if found is None:
            raise CannotError
        return found

    def _value(self, x: Var) -> Product:
        if self.free is not None:
            try:
                return self.free.value(x)
            except CannotError:
                pass
        eqn = self.makers.get(x)
        if eqn is None:
            return self._given(x)
        try:
            if len(eqn.outvars) > 1:
                raise CannotError
            return self._made(eqn)
        except CannotError:
            return self._of_sum(eqn, self._stacked(x))

    def _given(self, x: Var) -> Product:
        if x in self.shared:
            return whole(self.shared[x])
        if x in self.rows:
            return self._along(self.rows[x], x)
        return self._stacked(x)

    def _along(self, rows: Atom, x: Var) -> Product:
        """Rows of an array."""
        if isinstance(rows, Literal):
            return whole(Literal(rows.value, x.type))
        axes = fresh(x.shape)
        letters = (self.loop, *[a for a in axes if a is not None])
        return Product(x.dtype, axes, ((drop_units(rows), letters),))

    def _stacked(self, x: Var) -> Product:
        """What the loop keeps of each round."""
        if self.free is None or x.type.size * self.length > self.algebra.limit:
            raise CannotError
        self.stacks[x] = Var(x.type.with_shape((self.length, *x.shape)))
        return self._along(self.stacks[x], x)

    def _made(self, eqn: Equation) -> Product:
        p, xs, (out,) = eqn.primitive, eqn.inputs, eqn.outvars
        if p in RULES and (out.dtype.kind == "f" or p not in FLOATS_ONLY):
            try:
                return RULES[p](self, eqn)
            except CannotError:
                if not p.is_pointwise:
                    raise
        if not p.is_pointwise or self.free is not None or not xs:
            raise CannotError
        algebra = self.algebra
        ps = algebra.aligned([algebra.plain(self.value(x)) for x in xs])
        letters = tuple(dict.fromkeys(a for q in ps for _, own in q.factors for a in own))
        arrays = [algebra.array(q, letters) for q in ps]
        (y,) = p.bind(*arrays, **eqn.params)
        trusts = any(q.trusts for q in ps)
        return self._of_sum(eqn, Product(out.dtype, ps[0].axes, ((y, letters),), trusts=trusts))

    # Rules.

    def _mul(self, eqn: Equation) -> Product:
        return self.algebra.times(*map(self.value, eqn.inputs))

    def _linear(self, eqn: Equation) -> Product:
        x, rule = self._linear_in(eqn)
        return rule(self.value(x))

    def _linear_in(self, eqn: Equation) -> tuple[Atom, Callable[[Product], Product]]:
        """The operand in which an equation is linear, and what it does with it."""
        p, (x, *others), params = eqn.primitive, eqn.inputs, eqn.params
        if p is ops.neg:
            return x, lambda q: replace(q, scale=-q.scale)
        if p is ops.keep_zeros:
            return x, lambda q: self._kept(q, others)
        if p is structure.broadcast:
            return x, lambda q: repeated(q, params["dims"], params["shape"])
        if p is structure.reshape:
            return x, lambda q: reshaped(q, params["shape"])
        if p is structure.permute:
            return x, lambda q: replace(q, axes=tuple(q.axes[a] for a in params["order"]))
        if p is structure.reduce_sum:
            return x, lambda q: summed(q, params["axes"])
        if p is ops.mul:
            return x, lambda q: self.algebra.times(q, self.value(others[0]))
        if p is ops.select and x.dtype == BOOL:
            (a, b), mask = others, self.value(x)
            if isinstance(b, Literal) and b.value == 0:
                return a, partial(self._masked, mask, True)
            if isinstance(a, Literal) and a.value == 0:
                return b, partial(self._masked, mask, False)
        raise CannotError

    def _masked(self, mask: Product, side: bool, p: Product) -> Product:
        return self.algebra.masked(p, mask, side)

    def _kept(self, p: Product, guards: Sequence[Atom]) -> Product:
        """p where no guard is 0: also of numbers that are not finite."""
        for g in guards:
            p, q = self.algebra.aligned([p, self.value(g)])
            p = covered(p, zeros_of(q))
        return replace(p, trusts=p.trusts or len(p.factors) > 1)

    def _of_sum(self, eqn: Equation, total: Product) -> Product:
        """A sum is 0 where its terms are."""
        if eqn.primitive not in (ops.add, ops.sub) or total.dtype.kind != "f":
            return total
        try:
            first, *terms = (zeros_of(q) for q in self.algebra.aligned(
                [total, *map(self.value, eqn.inputs)]
            )[1:])  # fmt: skip
        except CannotError:
            return total
        same = {(m.atom, m.letters) for m in terms[0]}
        return covered(total, [m for m in first if (m.atom, m.letters) in same])

    def values(self, x: Atom) -> list[Product]:
        """x in all rounds as a sum of products."""
        eqn = self.makers.get(x)
        if eqn is None or x.dtype.kind != "f":
            return [self.value(x)]
        with building(self.builder):
            if eqn.primitive in (ops.add, ops.sub):
                (a, b), sign = eqn.inputs, 1 if eqn.primitive is ops.add else -1
                later = [replace(p, scale=sign * p.scale) for p in self.values(b)]
                return self.values(a) + later
            if eqn.primitive in LINEAR:
                try:
                    y, rule = self._linear_in(eqn)
                    return [rule(p) for p in self.values(y)]
                except CannotError:
                    pass
            return [self.value(x)]

    def _iota(self, eqn: Equation) -> Product:
        (out,), axes = eqn.outvars, fresh(eqn.outvars[0].shape)
        letter = axes[eqn.params["axis"]]
        if letter is None:
            return Product(out.dtype, axes, scale=0)
        x = structure.iota(dtype=out.dtype, shape=(letter.size,), axis=0)
        return Product(out.dtype, axes, ((x, (letter,)),))

    def _dot(self, eqn: Equation) -> Product:
        x, y = (self.algebra.solid(self.value(a)) for a in eqn.inputs)
        y = self.algebra.apart(y)
        (cx, cy), (bx, by) = eqn.params["contract"], eqn.params["batch"]
        pairs = zip((*cx, *bx), (*cy, *by), strict=True)
        y = y.renamed({
            b: a for i, j in pairs if (a := x.axes[i]) is not None and (b := y.axes[j]) is not None
        })  # fmt: skip
        fx, fy = free_axes(len(x.axes), cx, bx), free_axes(len(y.axes), cy, by)
        axes = (*[x.axes[a] for a in (*bx, *fx)], *[y.axes[a] for a in fy])
        return Product(
            x.dtype, axes, x.factors + y.factors, joined(x, y), x.scale * y.scale,
            frozenset(x.axes[a] for a in cx) - {None}, x.trusts or y.trusts,  # type: ignore[arg-type]
        )  # fmt: skip

    def _read(self, eqn: Equation) -> Product:
        x, *starts = eqn.inputs
        sizes = eqn.params["sizes"]
        base = self.inits[x] if x in self.private else self._array(x)  # type: ignore[index]
        along, low, high = [], [0] * x.ndim, list(x.shape)
        rest: list[Atom] = [Literal(0, s.type) for s in starts]
        axes = list(fresh(sizes))
        letters: list[Letter | None] = [*axes]
        for a, start in enumerate(starts):
            offset = self.at(start)
            if sizes[a] == x.shape[a]:
                continue
            if offset is None:
                rest[a] = self.number(start)
            elif sizes[a] == 1 and 0 <= offset <= x.shape[a] - self.length:
                low[a], high[a], letters[a] = offset, offset + self.length, self.loop
                along.append(a)
            else:
                raise CannotError
        if x in self.private:
            axis, offset, _ = self.private[x]  # type: ignore[index]
            if axis not in along or low[axis] != offset:
                raise CannotError
        base = structure.slice(
            base, start=tuple(low), limit=tuple(high), stride=(1,) * x.ndim
        ) if along else base  # fmt: skip
        sizes = tuple(self.length if a in along else n for a, n in enumerate(sizes))
        if sizes != base.shape:
            base = indexing.dynamic_slice(base, *rest, sizes=sizes)
        for a in along[:0:-1]:
            base = _diagonal(base, along[0], a)
            letters.pop(a)
        base = drop_units(base)
        return Product(x.dtype, tuple(axes), ((base, tuple(a for a in letters if a is not None)),))

    def _slice(self, eqn: Equation) -> Product:
        return whole(structure.slice(self._array(eqn.inputs[0]), **eqn.params))

    def _array(self, x: Atom) -> Atom:
        """An array that does not depend on the round."""
        if isinstance(x, Literal):
            return x
        if x in self.shared:
            return self.shared[x]
        p = self.value(x)
        axes = tuple(a for a in p.axes if a is not None)
        if set(p.letters) - set(axes) or p.trusts:
            raise CannotError
        return structure.reshape(self.algebra.array(p, axes), shape=x.shape)

    def number(self, x: Atom) -> Atom:
        """A number that does not depend on the round."""
        p = self.value(x)
        if p.letters or p.trusts:
            raise CannotError
        return self.algebra.array(p, ())


def zeros_of(p: Product) -> list[Mask]:
    """The masks without which a product is 0."""
    every = frozenset(range(len(p.factors)))
    return [m for m in united(p.masks) if m.covers == every and p.sums.isdisjoint(m.letters)]


def covered(p: Product, masks: Sequence[Mask]) -> Product:
    """p where masks hold, which have its letters."""
    every = frozenset(range(len(p.factors)))
    return replace(p, masks=(*p.masks, *[m._replace(covers=every) for m in masks]))


def reshaped(p: Product, shape: Sequence[int]) -> Product:
    """p with axes of one element more or less."""
    kept = [a for a in p.axes if a is not None]
    if [a.size for a in kept] != [n for n in shape if n != 1]:
        raise CannotError
    rest = iter(kept)
    return replace(p, axes=tuple(None if n == 1 else next(rest) for n in shape))


def repeated(p: Product, dims: Sequence[int], shape: Sequence[int]) -> Product:
    """p, its axis i as axis dims[i] of a shape."""
    axes = list(fresh(shape))
    for a, d in zip(p.axes, dims, strict=True):
        axes[d] = a
    return replace(p, axes=tuple(axes))


def summed(p: Product, axes: Sequence[int]) -> Product:
    """p summed over axes."""
    gone = {x for a in axes if (x := p.axes[a]) is not None}
    kept = tuple(x for a, x in enumerate(p.axes) if a not in axes)
    return replace(p, axes=kept, sums=p.sums | gone)


def _diagonal(x: Atom, a: int, b: int) -> Atom:
    """The elements whose indices along two axes are equal; along the first of them."""
    i, j = (structure.iota(dtype=INT64, shape=x.shape, axis=c) for c in (a, b))
    return structure.reduce_sum(ops.select(ops.eq(i, j), x, Literal(0, x.type)), axes=(b,))


LINEAR = {
    ops.neg, ops.keep_zeros, ops.select, ops.mul, structure.broadcast, structure.reshape,
    structure.permute, structure.reduce_sum,
}  # fmt: skip
RULES: dict[Any, Any] = dict.fromkeys(LINEAR, Rounds._linear) | {
    ops.mul: Rounds._mul, structure.iota: Rounds._iota, dot: Rounds._dot,
    indexing.dynamic_slice: Rounds._read, structure.slice: Rounds._slice,
}  # fmt: skip
FLOATS_ONLY = {ops.mul, ops.neg, ops.select, structure.reduce_sum, dot}
