"""Loops of products of vectors become products of matrices.

    for i in range(n):                                P = A B
        y = A[i, :] @ B                        ->     for i in range(n):
        C[i, :i] = C[i, :i] * 2 + y[:i]                   C[i, :i] = C[i, :i] * 2 + P[i, :i]

    for i in range(n):                                for i in range(n):
        v = ...                                ->         V[i, :] = v = ...
        G += outer(A[:, i], v)                        G += A V

A product that depends on no carry is computed ahead of the loop for all its rounds; what is only
added to a carry is added behind it. Loops within such a loop of which nothing else is left are
their rounds at once (`everyround`), whatever they compute; so a nest of three becomes one product.
A loop is left alone unless that finds a product of matrices.

Of a triangle the product computes the other half, too. Where that is a product with what the loop
does not read (`letters`), its results are looked at: if they are not all finite, the loop runs as
it was written.

Needs: sums that begin where they are added to (totals).
Leaves: what is moved unread in bodies is gone.
Does not: look at loops whose length is not known; move effects.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial, reduce

from tracejit.control.cond import cond
from tracejit.control.scan import scan
from tracejit.ir.atoms import Atom, Literal, Var
from tracejit.ir.builder import Builder, building
from tracejit.ir.effects import is_effectful
from tracejit.ir.graph import Equation, Jaxpr
from tracejit.ir.types import BOOL, INT32, array_type
from tracejit.ir.walk import held_jaxprs
from tracejit.ops import elementwise as ops
from tracejit.ops import indexing, structure
from tracejit.ops.contraction import dot
from tracejit.ops.reduction import reduce_and
from tracejit.passes.added import Term, terms_of
from tracejit.passes.cse import cse
from tracejit.passes.dce import dce
from tracejit.passes.everyround import Rounds, reshaped
from tracejit.passes.fold import fold
from tracejit.passes.held import Pass, Renaming, through_held, with_held
from tracejit.passes.letters import CannotError, Letter, Product

#: What is computed for all rounds is at most so many times larger than the largest array of a
#: loop, or has so many elements.
LARGER, SMALL = 4, 1 << 16


@through_held
def matrices(jaxpr: Jaxpr, inner: Pass) -> Jaxpr:
    """The jaxpr, with products of matrices ahead of its loops and behind them."""
    nest = _Nests()
    builder, renaming, changed = nest.builder, nest.renaming, False
    for eqn in jaxpr.equations:
        renamed = eqn._replace(inputs=renaming.all(eqn.inputs))
        if not (_may_gain(eqn) and nest.replaced(renamed)):
            after = with_held(renamed, inner) if eqn.params else renamed
            changed = changed or after is not renamed
            nest.append(after)
    if not (changed or renaming):
        return jaxpr
    made = Jaxpr(jaxpr.invars, tuple(builder.equations), renaming.all(jaxpr.outvars))
    return _clean(made) if renaming else made


def _may_gain(eqn: Equation) -> bool:
    """Whether an equation is a loop that may have products."""
    return eqn.primitive is scan and not is_effectful(eqn) and _has_products(eqn.params["jaxpr"])


def _has_products(body: Jaxpr) -> bool:
    for eqn in body.equations:
        if eqn.primitive in (dot, ops.mul) and eqn.outvars[0].dtype.kind == "f":
            return True
        if eqn.primitive is scan and _has_products(eqn.params["jaxpr"]):
            return True
    return False


def _swallows(body: Jaxpr) -> bool:
    """Whether a NaN may be lost: numbers decide what is computed."""
    return any(
        any(x.dtype.kind == "f" for x in eqn.inputs)
        and any(y.dtype.kind != "f" for y in eqn.outvars)
        for eqn in body.equations
    ) or any(_swallows(held) for eqn in body.equations for _, held in held_jaxprs(eqn))


@dataclass
class _Nests:
    """Loops, replaced as they come; the equations so far are in the builder."""

    limit: int = 0
    builder: Builder = field(default_factory=Builder)
    renaming: Renaming = field(default_factory=Renaming)
    makers: dict[Atom, Equation] = field(default_factory=dict)
    found: bool = False
    trusts: bool = False

    def append(self, *equations: Equation) -> None:
        """Add equations."""
        self.builder.equations += equations
        self.makers.update({v: e for e in equations for v in e.outvars})

    def replaced(self, eqn: Equation) -> bool:
        """Replace an outermost loop, if there is a product of matrices in it."""
        sizes = [x.type.size for x in (*eqn.inputs, *eqn.outvars)]
        inner = _Nests(max(LARGER * max(sizes, default=0), SMALL), makers=dict(self.makers))
        results = inner.loop(eqn)
        if not inner.found or results is None or (inner.trusts and _swallows(eqn.params["jaxpr"])):
            return False
        if inner.trusts:
            results = inner.checked(eqn, results)
        self.append(*inner.builder.equations)
        self.renaming.update(zip(eqn.outvars, results, strict=True))
        return True

    def checked(self, eqn: Equation, results: Sequence[Atom]) -> list[Atom]:
        """The results if they are finite, else those of the loop as it is."""
        with building(self.builder):
            good: Atom = Literal(True, array_type(BOOL))
            for y in results:
                if y.dtype.kind == "f":
                    finite = reduce_and(ops.is_finite(y), axes=tuple(range(y.ndim)))
                    good = ops.and_(good, finite)
            given = [*dict.fromkeys(x for x in (*results, *eqn.inputs) if isinstance(x, Var))]
            names = {x: Var(x.type) for x in given}
            outvars = [Var(y.type) for y in eqn.outvars]
            inputs = tuple(names[x] if isinstance(x, Var) else x for x in eqn.inputs)
            again = eqn._replace(inputs=inputs, outvars=tuple(outvars))
            invars = tuple(names.values())
            same = tuple(names[x] if isinstance(x, Var) else x for x in results)
            branches = (Jaxpr(invars, (again,), tuple(outvars)), Jaxpr(invars, (), same))
            return list(cond.bind(ops.convert(good, dtype=INT32), *given, branches=branches))

    def body(self, jaxpr: Jaxpr) -> Jaxpr:
        """A body, its loops replaced."""
        inner = _Nests(self.limit)
        for eqn in jaxpr.equations:
            renamed = eqn._replace(inputs=inner.renaming.all(eqn.inputs))
            results = inner.loop(renamed) if _may_gain(eqn) else None
            if results is None:
                inner.append(renamed)
            else:
                inner.renaming.update(zip(eqn.outvars, results, strict=True))
        if not inner.renaming:
            return jaxpr
        self.found, self.trusts = self.found or inner.found, self.trusts or inner.trusts
        outvars = inner.renaming.all(jaxpr.outvars)
        return _clean(Jaxpr(jaxpr.invars, tuple(inner.builder.equations), outvars))

    def loop(self, eqn: Equation) -> Sequence[Atom] | None:
        """The results of a loop that is replaced; None if it is as it was."""
        if (eqn.params["length"] or 0) < 2:
            return None
        body = self.body(eqn.params["jaxpr"])
        after = eqn._replace(params=eqn.params | {"jaxpr": body})
        rounds = Rounds(after, self.makers, self.limit)
        for way in (_AtOnce, _Apart):
            made = way(after, rounds)
            try:
                results = made.results()
            except CannotError:
                continue
            self.append(*made.equations)
            self.trusts = self.trusts or made.trusts
            self.found = self.found or made.found
            return results
        if body is eqn.params["jaxpr"]:
            return None
        outvars = tuple(Var(v.type) for v in eqn.outvars)
        self.append(after._replace(outvars=outvars))
        return outvars


def _clean(jaxpr: Jaxpr) -> Jaxpr:
    return dce(cse(fold(jaxpr)))


class _AtOnce:
    """All rounds of a loop, without a loop."""

    def __init__(self, eqn: Equation, rounds: Rounds):
        self.eqn, self.rounds, self.body = eqn, rounds, eqn.params["jaxpr"]
        self.first = eqn.params["num_consts"]
        self.carries = self.body.invars[self.first : self.first + eqn.params["num_carry"]]
        self.found = self.trusts = False

    @property
    def equations(self) -> list[Equation]:
        """What is there instead of the loop."""
        return self.rounds.builder.equations

    def results(self) -> list[Atom]:
        """The results of the loop; CannotError if something needs it."""
        found = [self._carry(k, v) for k, v in enumerate(self.carries)]
        for y in self.body.outvars[len(self.carries) :]:
            p = self.rounds.value(y)
            found.append(self._array(p, [self.rounds.loop, *p.axes]))
        self.found = self.rounds.algebra.found
        return found

    def _carry(self, k: int, carry: Var) -> Atom:
        rounds, init = self.rounds, self.rounds.inits[carry]
        if carry in rounds.shared:
            return init
        terms = terms_of(self.body, carry, k)
        if terms is not None:
            for term in terms:
                y = self._of_term(term, init.shape, rounds)
                init = self._with(init, y, term, rounds)
            return init
        if not any(carry in e.inputs for e in self.body.equations):
            return self._last(self.body.outvars[k])
        private = rounds.private.get(carry)
        if private is None or len(private.writes) != 1:
            raise CannotError
        (write,) = private.writes
        if self.body.outvars[k] is not write.outvars[0]:
            raise CannotError
        p = rounds.value(write.inputs[1])
        letters = [rounds.loop if a == private.axis else x for a, x in enumerate(p.axes)]
        y = self._array(p, letters)
        if y.shape == init.shape:
            return y
        starts = [
            Literal(private.offset, s.type) if a == private.axis else self._start(s, a, y, init)
            for a, s in enumerate(write.inputs[2:])
        ]
        with building(rounds.builder):
            return indexing.dynamic_update_slice(init, y, *starts)

    def _last(self, y: Atom) -> Atom:
        """What y is in the last round."""
        p, n = self.rounds.value(y), self.rounds.length
        x = self._array(p, [self.rounds.loop, *p.axes])
        at = 0 if self.eqn.params["reverse"] else n - 1
        with building(self.rounds.builder):
            row = structure.slice(
                x, start=(at, *[0] * y.ndim), limit=(at + 1, *y.shape), stride=(1,) * x.ndim
            )
            return structure.reshape(row, shape=y.shape)

    def _start(self, start: Atom, axis: int, part: Atom, whole: Atom) -> Atom:
        """Where a part begins along an axis that does not follow the counter."""
        if part.shape[axis] == whole.shape[axis]:
            return Literal(0, start.type)
        return self.rounds.number(start)

    def _of_term(self, term: Term, shape: Sequence[int], rounds: Rounds) -> Atom:
        """What a term adds in all rounds."""
        along = _along(term, shape, rounds)
        parts = []
        for p in added(rounds, term):
            letters = [rounds.loop if a == along else x for a, x in enumerate(p.axes)]
            summed = p if along is not None else replace(p, sums=p.sums | {rounds.loop})
            parts.append(self._array(summed, letters, rounds))
        with building(rounds.builder):
            return reduce(ops.add, parts)

    def _with(self, whole: Atom, y: Atom, term: Term, rounds: Rounds) -> Atom:
        """A sum, with what a term adds to it."""
        along = _along(term, whole.shape, rounds)
        with building(rounds.builder):
            if y.shape == whole.shape:
                return ops.add(whole, y)
            starts = [
                Literal(rounds.at(s), s.type) if a == along else self._start(s, a, y, whole)  # type: ignore[arg-type]
                for a, s in enumerate(term.starts or ())
            ]
            old = indexing.dynamic_slice(whole, *starts, sizes=y.shape)
            return indexing.dynamic_update_slice(whole, ops.add(old, y), *starts)

    def _array(
        self, p: Product, axes: Sequence[Letter | None], rounds: Rounds | None = None
    ) -> Atom:
        rounds = rounds or self.rounds
        with building(rounds.builder):
            x = rounds.algebra.array(p, [a for a in axes if a is not None])
            self.trusts = self.trusts or rounds.algebra.trusts
            self.found = self.found or rounds.algebra.is_matrix
            shape = tuple(1 if a is None else a.size for a in axes)
            return x if x.shape == shape else structure.reshape(x, shape=shape)


def added(rounds: Rounds, term: Term) -> list[Product]:
    """The value of a term in all rounds, of the place's shape, as a sum of products."""
    found = [reshaped(p, term.sizes) for p in rounds.values(term.value)]
    with building(rounds.builder):
        for m in term.masks:
            mask = reshaped(rounds.value(m), term.sizes)
            found = [rounds.algebra.masked(p, mask) for p in found]
    return [replace(p, scale=term.sign * p.scale) for p in found]


def _along(term: Term, shape: Sequence[int], rounds: Rounds) -> int | None:
    """The axis along which the place of a term follows the counter."""
    found = None
    for a, start in enumerate(term.starts or ()):
        offset = rounds.at(start)
        if term.sizes[a] == shape[a] or offset is None:
            continue
        if found is not None or term.sizes[a] != 1 or not 0 <= offset <= shape[a] - rounds.length:
            raise CannotError
        found = a
    return found


class _Apart(_AtOnce):
    """A loop without its products of matrices, which are ahead of it or behind it."""

    def __init__(self, eqn: Equation, rounds: Rounds):
        super().__init__(eqn, rounds)
        self.behind = Rounds(eqn, rounds.around, rounds.algebra.limit, free=rounds)
        self.loops: list[Equation] = []

    @property
    def equations(self) -> list[Equation]:
        """What is there instead of the loop."""
        return [*self.rounds.builder.equations, *self.loops, *self.behind.builder.equations]

    def results(self) -> list[Atom]:
        """The results of the loop; CannotError if it has no such products."""
        removed = Renaming()
        sums = [found for k, v in enumerate(self.carries) for found in self._sums(k, v, removed)]
        params = self.eqn.params
        outvars = (*removed.all(self.body.outvars), *self.behind.stacks)
        body = self._without(self.body, removed, outvars)
        body, rows = self._ahead(body)
        if not (sums or rows):
            raise CannotError
        inputs = (*self.eqn.inputs, *rows)
        found = [Var(v.type) for v in self.eqn.outvars]
        results: list[Atom] = [*found]
        for k, carry in enumerate(self.carries):
            if body.outvars[k] is carry:
                results[k] = self.rounds.inits[carry]
        loop = Equation(
            scan, inputs, params | {"jaxpr": body},
            (*found, *self.behind.stacks.values()), self.eqn.provenance,
        )  # fmt: skip
        self.loops.append(loop)
        for k, term, y in sums:
            results[k] = self._with(results[k], y, term, self.behind)
        return results

    def _without(self, body: Jaxpr, names: Renaming, outvars: Sequence[Atom]) -> Jaxpr:
        equations = tuple(map(names.equation, body.equations))
        return _clean(Jaxpr(body.invars, equations, tuple(outvars)))

    def _sums(
        self, k: int, carry: Var, removed: Renaming
    ) -> Iterator[tuple[int, Term, Atom]]:
        """The terms of a carry that are products of matrices; they are removed."""
        if carry in self.rounds.shared:
            return
        for term in terms_of(self.body, carry, k) or ():
            y = self._matrix(partial(self._of_term, term, carry.shape, self.behind))
            if y is not None:
                removed[term.sum] = removed.atom(term.before)
                yield k, term, y

    def _ahead(self, body: Jaxpr) -> tuple[Jaxpr, list[Atom]]:
        """A body that reads what is computed ahead of it, and that."""
        names, rows = Renaming(), dict[Var, Atom]()
        for eqn in body.equations:
            (out, *_) = eqn.outvars
            if eqn.primitive in (dot, structure.reduce_sum) and out.dtype.kind == "f":
                y = self._matrix(partial(self._of_rounds, out))
                if y is not None:
                    names[out] = row = Var(out.type)
                    rows[row] = y
        if not rows:
            return body, []
        body = Jaxpr((*body.invars, *rows), body.equations, body.outvars)
        return self._without(body, names, names.all(body.outvars)), [*rows.values()]

    def _of_rounds(self, x: Var) -> Atom:
        p = self.rounds.value(x)
        if self.rounds.loop not in p.letters:
            raise CannotError
        return self._array(p, [self.rounds.loop, *p.axes])

    def _matrix(self, make: Callable[[], Atom]) -> Atom | None:
        """What is made, if it is a product of matrices."""
        before = self.found, self.trusts
        self.found = False
        try:
            y = make()
        except CannotError:
            self.found, self.trusts = before
            return None
        if self.found:
            return y
        self.found, self.trusts = before
        return None
